//! states made true on a machine: files, packages, units, mounts, images, static pods.
