//! the metalk8s command, and the scripts the manual prints.
