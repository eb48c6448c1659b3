//! the build chain: programs, packages, images, documents, ISO.
