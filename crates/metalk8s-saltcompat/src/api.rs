//! The HTTP interface of Salt's master: what is asked for, who may ask, and the forms of answers and events.
//!
//! Begin with [`Chunk`]: a body is a lowstate, which is a list of them.

pub mod event;
mod form;
mod lowstate;
mod rights;
#[cfg(test)]
mod tests;
mod wheel;
mod words;

pub use event::Event;
pub use form::from_form;
pub use lowstate::{
    Asked, CLIENTS, Chunk, Credentials, LowstateError, MasterCall, MinionsCall, Way, credentials,
};
pub use rights::Rights;
pub use wheel::{KeysCall, wheel_answer};

/// The only way of logging in (constants.md, section 18).
pub const EAUTH: &str = "kubernetes_rbac";

/// The function whose answers are the facts of minions.
pub const GRAINS: &str = "grains.items";

/// The function of keys that lists all of them.
pub const ALL_KEYS: &str = "key.list_all";

/// The function of keys that shows their fingerprints.
pub const FINGER: &str = "key.finger";

/// The function of the master that lists jobs.
pub const LIST_JOBS: &str = "jobs.list_jobs";

/// The function of the master that shows one job.
pub const LIST_JOB: &str = "jobs.list_job";
