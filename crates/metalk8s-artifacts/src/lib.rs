//! what an archive holds: ISO tree, image layouts, package repositories, bill of materials.
