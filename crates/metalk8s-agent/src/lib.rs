//! the daemon on every node.
