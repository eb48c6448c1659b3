//! Runs entries, one after the other, in the order of the manual.

use std::{collections::BTreeSet, time::Duration};

use super::{
    book::Book,
    call::{Call, Where, call},
    entry::{Need, Procedure, Run},
    facts::Facts,
    judge::{Verdict, judge},
    report::{Outcome, Report},
};
use crate::{process::Output, wait::wait_until};

/// Tells when the system that answers was started; another answer means another start.
const STARTED: &str = "systemctl show --property UserspaceTimestampMonotonic --property UserspaceTimestamp";
/// How long one look at a machine that starts may take.
const LOOK: Duration = Duration::from_secs(20);

/// Machines that commands can be run on.
pub trait Place {
    /// Runs a command with bash, as root, and collects what it says.
    ///
    /// A command that could not be run to its end has an exit code other than 0, and the reason is in its standard
    /// error.
    fn run(&self, place: Where, command: &str, deadline: Duration) -> Output;
}

/// Runs the entries of one suite.
pub struct Runner<'a> {
    /// The manual.
    pub book: &'a Book,
    /// What is known of the lab.
    pub facts: &'a Facts,
    /// The lab.
    pub place: &'a dyn Place,
}

impl Runner<'_> {
    /// Runs every entry that still waits in `report` and needs nothing but `available`, also after one failed.
    ///
    /// Call it again when more is there: first on bare machines, then with a cluster. `ended` is told of each.
    pub fn run(
        &self,
        available: &BTreeSet<Need>,
        report: &mut Report,
        ended: &mut dyn FnMut(&Procedure, &Outcome),
    ) {
        for procedure in self.book.procedures() {
            let Some(run) = &procedure.run else { continue };
            let waits = matches!(report.outcome(&procedure.id), Some(Outcome::Waiting { .. }));
            if waits && run.needs.iter().all(|need| available.contains(need)) {
                let outcome = Outcome::from(self.verdict(procedure, run));
                ended(procedure, &outcome);
                report.set(&procedure.id, outcome);
            }
        }
    }

    /// Runs one entry, whichever suite runs it else, and whatever it needs.
    ///
    /// It has failed, too, where the manual has no such entry, or where that one is not run.
    pub fn run_one(&self, id: &str) -> Verdict {
        match self.book.get(id).map(|procedure| (procedure, &procedure.run)) {
            Some((procedure, Some(run))) => self.verdict(procedure, run),
            Some((_, None)) => failed(format!("{id} is not run")),
            None => failed(format!("there is no entry {id}")),
        }
    }

    fn verdict(&self, procedure: &Procedure, run: &Run) -> Verdict {
        let call = match call(self.book, procedure, self.facts) {
            Ok(call) => call,
            Err(error) => return failed(error.to_string()),
        };
        if run.reboots {
            return self.reboot(&call);
        }
        let output = self.place.run(call.place, &call.command, call.deadline);
        judge(run, self.facts, &output)
    }

    /// What the command itself says counts for nothing: the machine goes down under it.
    fn reboot(&self, call: &Call) -> Verdict {
        let before = self.place.run(call.place, STARTED, LOOK);
        if !before.success() {
            return failed(format!("the machine did not answer before: {}", before.stderr.trim()));
        }
        self.place.run(call.place, &call.command, LOOK);
        let look = || {
            let now = self.place.run(call.place, STARTED, LOOK);
            if !now.success() {
                return Err("it does not answer");
            }
            if now.stdout == before.stdout { Err("it has not been started anew") } else { Ok(()) }
        };
        match wait_until("the machine to come up again", call.deadline, look) {
            Ok(()) => Verdict::Passed,
            Err(error) => failed(error.to_string()),
        }
    }
}

fn failed(problem: String) -> Verdict {
    Verdict::Failed { problems: vec![problem] }
}
