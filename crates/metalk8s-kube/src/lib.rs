//! states made true in a cluster: server-side apply, waiting, conditions.
