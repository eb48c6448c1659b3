//! The HTTP API of Salt's master.
