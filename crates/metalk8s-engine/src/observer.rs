//! Those who watch an application: progress, the journal.

use std::time::Duration;

use crate::{Change, StateError, Step, StepReport};

/// Is told what happens while a graph is applied. Calls come from one task, in the order things happen.
pub trait Observer: Send + Sync {
    /// A state is being looked at.
    fn started(&self, _step: &Step) {}

    /// A state is about to be changed, or to react. A journal writes it down before anything happens, so
    /// that a run that is killed right after still knows what it may have changed.
    ///
    /// # Errors
    /// Then the state is not changed, and fails with this error.
    fn changing(&self, _step: &Step, _change: &Change) -> Result<(), StateError> {
        Ok(())
    }

    /// A condition does not hold yet, after this time; `still` says what is waited for.
    fn waiting(&self, _step: &Step, _still: &str, _since: Duration) {}

    /// A state is done, in whatever way; also called for states that were not run.
    fn finished(&self, _step: &Step, _report: &StepReport) {}
}

/// Nobody watches.
impl Observer for () {}
