//! From any error to the engine's, with the sentence that says what was being done.

use std::error::Error;

use metalk8s_engine::StateError;

pub(crate) trait Doing<T> {
    /// The same result; an error becomes the cause of one that says what was being done.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, StateError>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, StateError> {
        self.map_err(|err| StateError::new(what()).because(err))
    }
}
