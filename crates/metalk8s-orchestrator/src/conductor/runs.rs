//! Carries out runs: each step is recorded as begun before it is, and as ended before the next one begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use metalk8s_diagnostics::sentence;
use metalk8s_kube::{Fleet, fleet::Seen};
use metalk8s_types::fleet::{ProcedureName, Run, RunPhase, RunStatus, RunStep, StepState};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, sleep},
};

use super::{ConductorConfig, deploy_node, failure::Failure, remove_node};

/// How many lines of changes and errors are kept of a step, and how many characters each may have: an error may end with
/// all that a machine said of it.
const LINES: usize = 40;
const CHANGE: usize = 400;
const ERROR: usize = 1_500;

/// How many runs that have ended are kept, the newest, and how long.
const KEPT: usize = 100;
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How often it is looked whether one is older than that.
const LOOK: Duration = Duration::from_secs(3600);

/// How long after the API did not take what became of a run it is told again, and a step is that failed as it may have
/// been busy.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a step is tried again, from its first failure on. A lone API server that starts anew takes a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// One stage of a procedure: its name in records, and what it does.
pub(super) type Planned = (&'static str, &'static str);

/// What a step did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// In a line.
    pub(super) comment: String,
    /// A line each.
    pub(super) changes: Vec<String>,
}

impl Done {
    /// Nothing was to be done, because of this.
    pub(super) fn nothing(comment: impl Into<String>) -> Self {
        Self { comment: comment.into(), changes: Vec::new() }
    }

    /// This was done.
    pub(super) fn change(comment: impl Into<String>, change: impl Into<String>) -> Self {
        Self { comment: comment.into(), changes: vec![change.into()] }
    }
}

/// A procedure that is being carried out.
pub(super) trait Procedure {
    /// Its steps, decided up front.
    fn steps(&self) -> &'static [Planned];

    /// Does one step. It may have been begun before.
    fn carry_out(&mut self, step: &str) -> impl Future<Output = Result<Done, Failure>> + Send;

    /// Tells what one step would do, after the others would have been done.
    fn foresee(&mut self, step: &str) -> impl Future<Output = Result<Done, Failure>> + Send;

    /// Tells whoever watches the run what its step waits for.
    fn tell(&self, message: &str) -> impl Future<Output = ()> + Send;
}

/// Carries out every run that is asked for, those of different nodes side by side.
pub(super) async fn carry_out(fleet: &Fleet, config: &ConductorConfig) {
    let mut events = fleet.follow_runs(None);
    let mut known: BTreeMap<String, Run> = BTreeMap::new();
    let mut at_work: BTreeMap<String, String> = BTreeMap::new();
    // What is seen comes later than what is done: a run that ended here is not what it still looks like.
    let mut over: BTreeSet<String> = BTreeSet::new();
    let mut tasks: JoinSet<(String, Recorded)> = JoinSet::new();
    let mut is_complete = false;
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            seen = events.recv() => match seen {
                Some(Seen::There(run)) => {
                    let name = run.metadata.name.clone().unwrap_or_default();
                    known.insert(name, *run);
                }
                Some(Seen::Gone(name)) => {
                    known.remove(&name);
                    over.remove(&name);
                }
                Some(Seen::Complete) => is_complete = true,
                Some(Seen::Blind(why)) => tracing::warn!(error = why, "runs cannot be seen, trying again"),
                None => return,
            },
            Some(ended) = tasks.join_next() => {
                if let Ok((name, recorded)) = ended {
                    at_work.retain(|_, run| *run != name);
                    if recorded == Recorded::Over {
                        over.insert(name);
                    }
                }
            }
        }
        // Until all are known, an older run of the same node may be missing.
        if !is_complete {
            continue;
        }
        for name in surplus(&known, Timestamp::now()) {
            known.remove(&name);
            let fleet = fleet.clone();
            tokio::spawn(async move {
                if let Err(error) = fleet.delete_run(&name).await {
                    tracing::warn!(error = sentence(&error), "an old run stays for now");
                }
            });
        }
        for (name, run) in next(&known, &at_work, &over) {
            at_work.insert(run.spec.procedure.node.clone(), name.clone());
            let (fleet, config) = (fleet.clone(), config.clone());
            tasks.spawn(async move {
                let recorded = one(&fleet, &config, &name, run).await;
                (name, recorded)
            });
        }
    }
}

/// How the work at a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// The API knows its end.
    Over,
    /// The API did not answer: it is to be taken up again.
    No,
}

/// Runs that may begin now: the oldest of each node at which nobody is at work, but for those that are `over`
/// whatever they look like. Pure.
fn next(
    known: &BTreeMap<String, Run>,
    at_work: &BTreeMap<String, String>,
    over: &BTreeSet<String>,
) -> Vec<(String, Run)> {
    let mut busy: BTreeSet<&str> = at_work.keys().map(String::as_str).collect();
    let mut chosen = Vec::new();
    for (name, run) in known {
        let is_over =
            over.contains(name) || run.status.as_ref().is_some_and(|status| status.phase.is_final());
        if !is_over && busy.insert(&run.spec.procedure.node) {
            chosen.push((name.clone(), run.clone()));
        }
    }
    chosen
}

/// Runs that have ended and are too many, or too old. Pure.
fn surplus(known: &BTreeMap<String, Run>, now: Timestamp) -> Vec<String> {
    let is_over = |run: &Run| run.status.as_ref().is_some_and(|status| status.phase.is_final());
    let is_old = |run: &Run| {
        let end = run.status.as_ref().and_then(|status| status.finished);
        end.is_some_and(|end| now.duration_since(end) > KEPT_FOR)
    };
    // Their names begin with the moment in which they were asked for.
    let ended = known.iter().rev().filter(|(_, run)| is_over(run)).enumerate();
    let surplus = ended.filter(|(newer, (_, run))| *newer >= KEPT || is_old(run));
    surplus.map(|(_, (name, _))| name.clone()).collect()
}

async fn one(fleet: &Fleet, config: &ConductorConfig, name: &str, run: Run) -> Recorded {
    let span = tracing::info_span!("run", run = name, node = run.spec.procedure.node);
    tracing::Instrument::instrument(
        async {
            let ended = match run.spec.procedure.name {
                ProcedureName::DeployNode => {
                    let procedure = deploy_node::DeployNode::new(fleet, config, name, &run.spec);
                    conduct(fleet, name, run, procedure).await
                }
                ProcedureName::RemoveNode => {
                    let procedure = remove_node::RemoveNode::new(fleet, config, name, &run.spec);
                    conduct(fleet, name, run, procedure).await
                }
            };
            match ended {
                Ok(()) => Recorded::Over,
                Err(error) => {
                    tracing::warn!(error, "a run could not be recorded, it waits");
                    sleep(AGAIN).await;
                    Recorded::No
                }
            }
        },
        span,
    )
    .await
}

async fn conduct(fleet: &Fleet, name: &str, run: Run, mut procedure: impl Procedure) -> Result<(), String> {
    let mut status = run.status.unwrap_or_default();
    status.phase = RunPhase::Running;
    status.started.get_or_insert_with(Timestamp::now);
    for (step, title) in procedure.steps() {
        if status.steps.iter().any(|known| known.name == *step && known.state == StepState::Done) {
            continue;
        }
        if is_cancelled(fleet, name).await? {
            status.phase = RunPhase::Cancelled;
            status.message = Some(format!("cancelled before: {title}"));
            return end(fleet, name, status).await;
        }
        status.steps.retain(|known| known.name != *step);
        status.message = Some((*title).to_owned());
        status.steps.push(RunStep {
            name: (*step).to_owned(),
            title: (*title).to_owned(),
            state: StepState::Running,
            started: Timestamp::now(),
            finished: None,
            comment: String::new(),
            changes: Vec::new(),
            error: Vec::new(),
        });
        record(fleet, name, &status).await?;
        tracing::info!(step, "{title}");
        let done = patiently(&mut procedure, step, run.spec.procedure.trial).await;
        let last = status.steps.last_mut().expect("it was pushed above");
        last.finished = Some(Timestamp::now());
        match done {
            Ok(done) => {
                last.state = StepState::Done;
                last.comment = done.comment;
                last.changes = bounded(done.changes, CHANGE);
                record(fleet, name, &status).await?;
            }
            Err(failure) => {
                let error = failure.into_lines();
                last.state = StepState::Failed;
                last.comment = error.first().cloned().unwrap_or_default();
                last.error = bounded(error, ERROR);
                status.phase = RunPhase::Failed;
                status.message = Some(format!("{title}: {}", last.comment));
                tracing::error!(step, error = last.comment, "a step failed");
                return end(fleet, name, status).await;
            }
        }
    }
    status.phase = RunPhase::Succeeded;
    status.message = None;
    end(fleet, name, status).await
}

/// Does one step, or tells what it would do, and tries again what passes by itself: an API server that has just started,
/// or an etcd that elects a leader, is no reason to give up.
async fn patiently(procedure: &mut impl Procedure, step: &str, is_trial: bool) -> Result<Done, Failure> {
    let mut given_up = None;
    let mut told = String::new();
    loop {
        let done = match is_trial {
            true => procedure.foresee(step).await,
            false => procedure.carry_out(step).await,
        };
        let failure = match done {
            Err(failure) if failure.passes() => failure,
            ended => return ended,
        };
        if Instant::now() >= *given_up.get_or_insert_with(|| Instant::now() + PATIENCE) {
            return Err(failure);
        }
        let why = format!("{}, trying again", failure.into_lines().join(": "));
        if why != told {
            procedure.tell(&why).await;
            told = why;
        }
        sleep(AGAIN).await;
    }
}

async fn end(fleet: &Fleet, name: &str, mut status: RunStatus) -> Result<(), String> {
    status.finished = Some(Timestamp::now());
    record(fleet, name, &status).await
}

/// Records how far a run is; an API server that is just being restarted is waited for.
async fn record(fleet: &Fleet, name: &str, status: &RunStatus) -> Result<(), String> {
    let mut attempts = 0;
    loop {
        match fleet.record_run(name, status).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() && attempts < 60 => {
                attempts += 1;
                sleep(AGAIN).await;
            }
            Err(error) => return Err(sentence(&error)),
        }
    }
}

async fn is_cancelled(fleet: &Fleet, name: &str) -> Result<bool, String> {
    match fleet.run(name).await {
        Ok(run) => Ok(run.is_none_or(|run| run.spec.cancelled)),
        Err(error) if error.is_retryable() => Ok(false),
        Err(error) => Err(sentence(&error)),
    }
}

fn bounded(lines: Vec<String>, longest: usize) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES);
    let mut kept: Vec<String> =
        lines.into_iter().take(LINES).map(|line| line.chars().take(longest).collect()).collect();
    if more > 0 {
        kept.push(format!("and {more} more"));
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use metalk8s_diagnostics::Diagnose;
    use metalk8s_types::fleet::{Procedure as Asked, RunSpec};

    use super::{super::failure::told, *};

    fn run(node: &str, phase: RunPhase) -> Run {
        let procedure = Asked::new(ProcedureName::DeployNode, node);
        let mut run = Run::new("", RunSpec { procedure, version: "1".into(), cancelled: false });
        run.status = Some(RunStatus { phase, ..RunStatus::default() });
        run
    }

    /// Fails for as long as this, then is done.
    struct Hindered {
        until: Instant,
        tries: usize,
        passes: bool,
        told: Mutex<Vec<String>>,
    }

    impl Hindered {
        fn until(until: Instant, passes: bool) -> Self {
            Self { until, tries: 0, passes, told: Mutex::default() }
        }
    }

    impl Procedure for Hindered {
        fn steps(&self) -> &'static [Planned] {
            &[]
        }

        async fn carry_out(&mut self, _: &str) -> Result<Done, Failure> {
            self.tries += 1;
            let failure = told(&Busy { passes: self.passes });
            if Instant::now() < self.until { Err(failure) } else { Ok(Done::nothing("at last")) }
        }

        async fn foresee(&mut self, step: &str) -> Result<Done, Failure> {
            self.carry_out(step).await
        }

        async fn tell(&self, message: &str) {
            self.told.lock().unwrap().push(message.to_owned());
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("it is busy")]
    struct Busy {
        passes: bool,
    }

    impl Diagnose for Busy {
        fn passes(&self) -> bool {
            self.passes
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_is_tried_again_for_two_minutes_where_its_failure_may_pass() {
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        for is_trial in [false, true] {
            let mut short = Hindered::until(after(30), true);
            assert_eq!(patiently(&mut short, "a", is_trial).await.unwrap().comment, "at last");
            assert_eq!(short.tries, 31);
            assert_eq!(*short.told.lock().unwrap(), ["it is busy (MK1010), trying again"]);
            let mut long = Hindered::until(after(3600), true);
            assert!(patiently(&mut long, "a", is_trial).await.unwrap_err().into_lines()[0].contains("busy"));
            assert_eq!(long.tries, 121);
            let mut refused = Hindered::until(after(30), false);
            patiently(&mut refused, "a", is_trial).await.unwrap_err();
            assert_eq!((refused.tries, refused.told.lock().unwrap().len()), (1, 0));
        }
    }

    #[test]
    fn of_runs_that_have_ended_the_newest_are_kept_and_all_others() {
        let mut known: BTreeMap<String, Run> =
            (0..KEPT + 3).map(|number| (format!("{number:03}"), run("a", RunPhase::Succeeded))).collect();
        known.insert("000".to_owned(), run("a", RunPhase::Running));
        let now = Timestamp::UNIX_EPOCH + 2 * KEPT_FOR;
        assert_eq!(surplus(&known, now), ["002", "001"]);
        known.retain(|name, _| name > &"002".to_owned());
        assert_eq!(surplus(&known, now), [""; 0]);
        let ended = |before: SignedDuration| {
            let mut run = run("a", RunPhase::Succeeded);
            run.status.as_mut().unwrap().finished = Some(now - before);
            run
        };
        known.insert("050".to_owned(), ended(KEPT_FOR + SignedDuration::from_secs(1)));
        known.insert("051".to_owned(), ended(KEPT_FOR - SignedDuration::from_secs(1)));
        assert_eq!(surplus(&known, now), ["050"]);
    }

    #[test]
    fn the_oldest_run_of_each_node_is_next_and_a_busy_node_waits() {
        let known = BTreeMap::from([
            ("1".to_owned(), run("a", RunPhase::Failed)),
            ("2".to_owned(), run("a", RunPhase::Running)),
            ("3".to_owned(), run("a", RunPhase::Pending)),
            ("4".to_owned(), run("b", RunPhase::Pending)),
            ("5".to_owned(), run("c", RunPhase::Pending)),
        ]);
        let at_work = BTreeMap::from([("c".to_owned(), "0".to_owned())]);
        let names = |over: &[&str]| -> Vec<String> {
            let over = over.iter().map(|name| (*name).to_owned()).collect();
            next(&known, &at_work, &over).into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&[]), ["2", "4"]);
        assert_eq!(names(&["2"]), ["3", "4"], "its end is not seen yet, and it is not begun again");
    }
}
