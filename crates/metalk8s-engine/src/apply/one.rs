//! One state: check, change or react, try again, wait.

use std::{error::Error, time::Duration};

use crate::{
    Change, ChangeKind, Hands, Observer, Outcome, Retry, State, StateError, StateId, Step, StepReport,
    state::Wait,
};

use super::ApplyOptions;

/// The first pause between two looks at a condition.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// The longest pause between two looks at a condition.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// The first pause before a failure is tried again; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// The longest pause before a failure is tried again.
const LAST_RETRY: Duration = Duration::from_secs(5);

/// A state whose turn it is.
pub(super) struct One<'a> {
    pub(super) step: &'a Step,
    pub(super) hands: &'a dyn Hands,
    pub(super) observer: &'a dyn Observer,
    pub(super) options: &'a ApplyOptions,
    /// States it watches that changed.
    pub(super) watched: Vec<StateId>,
    /// States that must be about to change for this one to be needed.
    pub(super) precedes: Vec<&'a Step>,
}

/// How it went, without times.
struct Done {
    outcome: Outcome,
    comment: String,
    changes: Vec<Change>,
}

impl One<'_> {
    pub(super) async fn run(self, run_number: usize) -> StepReport {
        self.observer.started(self.step);
        let clock = &self.options.clock;
        let (started, before) = (clock.now(), clock.elapsed());
        let done = match &self.step.state {
            State::Wait(wait) => self.wait(wait).await,
            _ => self.retry().await,
        };
        let duration_ms = clock.elapsed().saturating_sub(before).as_secs_f64() * 1000.0;
        let (done, causes) = match done {
            Ok(done) => (done, Vec::new()),
            Err(err) => {
                let causes = causes(&err);
                let changes = err.done.map(|change| *change).into_iter().collect();
                (Done { outcome: Outcome::Failed, comment: err.doing, changes }, causes)
            }
        };
        StepReport {
            id: self.step.id.clone(),
            what: self.step.state.label(),
            result: Some(done.outcome != Outcome::Failed),
            outcome: done.outcome,
            comment: done.comment,
            changes: done.changes,
            causes,
            started,
            duration_ms,
            run_number,
        }
    }

    async fn retry(&self) -> Result<Done, StateError> {
        let clock = &self.options.clock;
        let mut tried = 0;
        let mut begun = None;
        let mut first_failure = None;
        loop {
            let result = self.attempt(&mut begun).await;
            let Err(err) = &result else { return result };
            tried += 1;
            let failing =
                clock.elapsed().saturating_sub(*first_failure.get_or_insert_with(|| clock.elapsed()));
            let Some(pause) = self.pause(err, tried, failing) else { return result };
            tracing::debug!(state = %self.step.id, error = %err, "state failed, will try again");
            if tried > self.options.retries {
                self.observer.waiting(self.step, &err.doing, failing);
            }
            clock.sleep(pause).await;
        }
    }

    /// How long to wait after so many failures, the first of them that long ago; `None` where it is not tried
    /// again.
    fn pause(&self, err: &StateError, tried: u32, failing: Duration) -> Option<Duration> {
        match self.step.retry {
            Some(Retry { attempts, interval_seconds }) => {
                (tried < attempts).then(|| Duration::from_secs(interval_seconds))
            }
            None => {
                let may_pass = err.retryable && tried <= self.options.retries
                    || err.passes_within.is_some_and(|within| failing < within);
                may_pass.then(|| FIRST_RETRY.saturating_mul(1 << (tried - 1).min(16)).min(LAST_RETRY))
            }
        }
    }

    /// `begun` is the change that an earlier attempt began and that failed half-way.
    async fn attempt(&self, begun: &mut Option<Change>) -> Result<Done, StateError> {
        let state = &self.step.state;
        self.taken()?;
        if !self.precedes.is_empty() && !self.is_preceding().await? {
            return Ok(not_needed("nothing is about to change"));
        }
        if let Some(because) = self.step.left_alone(self.hands).await? {
            return Ok(not_needed(because));
        }
        if let Some(change) = self.hands.check(state).await? {
            self.observer.changing(self.step, &change)?;
            let change = begun.insert(change);
            let made = self.hands.apply(state, change).await?;
            *change = made;
        }
        // A service that was only enabled, or whose enabling failed half-way, still runs with what it read
        // before; anything else that changed has taken notice.
        let took_notice = match begun.as_ref() {
            None => false,
            Some(change) => !(matches!(state, State::Service(_)) && change.kind == ChangeKind::Update),
        };
        if !self.watched.is_empty() && state.reacts() && !took_notice {
            let names: Vec<&str> = self.watched.iter().map(StateId::as_str).collect();
            let reaction = Change::new(ChangeKind::Run, format!("react to {}", names.join(", ")));
            self.observer.changing(self.step, &reaction)?;
            if let Some(made) = self.hands.react(state).await? {
                return Ok(changed(begun.take().into_iter().chain([made]).collect()));
            }
        }
        match begun.take() {
            Some(change) => Ok(changed(vec![change])),
            None => {
                let comment = "nothing to change".to_owned();
                Ok(Done { outcome: Outcome::Unchanged, comment, changes: Vec::new() })
            }
        }
    }

    fn taken(&self) -> Result<(), StateError> {
        if self.hands.takes(&self.step.state) {
            return Ok(());
        }
        Err(StateError::new(format!("`{}` cannot be carried out here", self.step.state.label())))
    }

    async fn is_preceding(&self) -> Result<bool, StateError> {
        for other in &self.precedes {
            let is_to_change = self.is_to_change(other).await.map_err(|err| StateError {
                doing: format!("could not find out whether `{}` is about to change", other.id),
                retryable: err.retryable,
                passes_within: err.passes_within,
                done: None,
                source: Some(Box::new(err)),
            })?;
            if is_to_change {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn is_to_change(&self, step: &Step) -> Result<bool, StateError> {
        Ok(step.left_alone(self.hands).await?.is_none() && self.hands.check(&step.state).await?.is_some())
    }

    /// Looks until the condition holds; errors that may pass count as not yet.
    async fn wait(&self, wait: &Wait) -> Result<Done, StateError> {
        self.taken()?;
        if let Some(because) = self.step.left_alone(self.hands).await? {
            return Ok(not_needed(because));
        }
        let clock = &self.options.clock;
        let start = clock.elapsed();
        let deadline = Duration::from_secs(wait.deadline_seconds);
        let mut pause = FIRST_LOOK;
        loop {
            let last_seen = match self.hands.check(&self.step.state).await {
                Ok(None) => {
                    let waited = clock.elapsed().saturating_sub(start).as_secs();
                    let comment =
                        if waited == 0 { "holds".to_owned() } else { format!("holds after {waited} s") };
                    return Ok(Done { outcome: Outcome::Unchanged, comment, changes: Vec::new() });
                }
                Ok(Some(change)) => StateError::new(change.summary),
                Err(err) if err.retryable => err,
                Err(err) => return Err(err),
            };
            let waited = clock.elapsed().saturating_sub(start);
            if waited >= deadline {
                return Err(StateError {
                    doing: format!("waited {} s until {}, in vain", wait.deadline_seconds, wait.until),
                    retryable: true,
                    passes_within: None,
                    done: None,
                    source: Some(Box::new(last_seen)),
                });
            }
            self.observer.waiting(self.step, &last_seen.doing, waited);
            clock.sleep(pause.min(deadline.saturating_sub(waited))).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }
}

fn not_needed(because: &str) -> Done {
    let comment = format!("not needed, because {because}");
    Done { outcome: Outcome::NotNeeded, comment, changes: Vec::new() }
}

fn changed(changes: Vec<Change>) -> Done {
    let summaries: Vec<&str> = changes.iter().map(|change| change.summary.as_str()).collect();
    Done { outcome: Outcome::Changed, comment: summaries.join(", "), changes }
}

/// The causes of an error, outermost first, without its own message.
pub(crate) fn causes(err: &StateError) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = err.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}
