//! From a graph to a report: each state in its turn, independent ones at the same time.

mod one;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    num::NonZeroUsize,
    sync::Arc,
};

use futures::{StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;

use crate::{
    Clock, Graph, GraphError, Hands, Observer, Outcome, Report, State, StateId, Step, StepReport,
    SystemClock,
    graph::{Edge, Order},
};

pub(crate) use one::causes;

/// How a graph is applied.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// How many states may be worked on at the same time; those that only wait do not count. With 1, states run in the order they were added,
    /// as far as requisites allow.
    pub concurrency: NonZeroUsize,
    /// How often a failure that may pass is tried again.
    pub retries: u32,
    /// States that an earlier, unfinished run may have changed ([`crate::journal::Journal::unsettled`]):
    /// whoever watches them reacts, because nobody knows whether it did before.
    pub changed_before: BTreeSet<StateId>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            concurrency: NonZeroUsize::new(8).expect("8 is not 0"),
            retries: 3,
            changed_before: BTreeSet::new(),
            clock: Arc::new(SystemClock::default()),
        }
    }
}

impl ApplyOptions {
    /// One state after the other, in the order they were added.
    pub fn in_order() -> Self {
        Self { concurrency: NonZeroUsize::MIN, ..Self::default() }
    }
}

/// Makes every state of a graph true, in the order of its requisites, and reports on every one of them.
///
/// A failure stops only what requires the failed state. Dropped before its end, it leaves the states that
/// were being worked on as far as they came; applied again, the graph goes on from there.
///
/// # Errors
/// When the graph has no order. What fails later is in the report.
pub async fn apply(
    graph: &Graph,
    hands: &dyn Hands,
    observer: &dyn Observer,
    options: &ApplyOptions,
) -> Result<Report, GraphError> {
    let order = Order::of(graph)?;
    let mut run = Run::new(graph, &order, observer, options);
    let mut working = FuturesUnordered::new();
    loop {
        while let Some(position) = run.next_ready() {
            let step = &graph.steps()[position];
            let run_number = run.begun;
            run.begun += 1;
            match run.decide(position) {
                Decision::Skip(outcome, comment) => {
                    let report = skipped(step, outcome, comment, options.clock.now(), run_number);
                    run.finish(position, report);
                }
                Decision::Run { watched } => {
                    run.busy += usize::from(run.counts(position));
                    let precedes = order.precedes[position].iter().map(|at| &graph.steps()[*at]).collect();
                    let one = one::One { step, hands, observer, options, watched, precedes };
                    working.push(async move { (position, one.run(run_number).await) });
                }
            }
        }
        match working.next().await {
            Some((position, report)) => {
                run.busy -= usize::from(run.counts(position));
                run.finish(position, report);
            }
            // Nothing is worked on and nothing is ready: everything is finished.
            None => break,
        }
    }
    Ok(Report::new(run.reports.into_iter().flatten().collect()))
}

/// What an application knows so far.
struct Run<'a> {
    graph: &'a Graph,
    order: &'a Order,
    observer: &'a dyn Observer,
    options: &'a ApplyOptions,
    /// How many edges of each state are still open.
    open: Vec<usize>,
    ready: BinaryHeap<Reverse<usize>>,
    reports: Vec<Option<StepReport>>,
    begun: usize,
    /// How many states are worked on, of those that count.
    busy: usize,
    /// The state whose failure stopped the run.
    stopped: Option<StateId>,
}

/// What becomes of a state whose turn it is.
enum Decision {
    Run {
        /// States it watches that changed.
        watched: Vec<StateId>,
    },
    Skip(Outcome, String),
}

impl<'a> Run<'a> {
    fn new(
        graph: &'a Graph,
        order: &'a Order,
        observer: &'a dyn Observer,
        options: &'a ApplyOptions,
    ) -> Self {
        let open: Vec<usize> = order.needs.iter().map(Vec::len).collect();
        let ready = (0..open.len()).filter(|position| open[*position] == 0).map(Reverse).collect();
        let reports = vec![None; open.len()];
        Self { graph, order, observer, options, open, ready, reports, begun: 0, busy: 0, stopped: None }
    }

    /// Whether a state counts for [`ApplyOptions::concurrency`]. Waiting is no work: many states that wait must
    /// not keep those from running that they wait for.
    fn counts(&self, position: usize) -> bool {
        let waits = matches!(self.graph.steps()[position].state, State::Wait(_));
        !waits || self.options.concurrency == NonZeroUsize::MIN
    }

    /// The next state whose turn it is, where there is room for it.
    fn next_ready(&mut self) -> Option<usize> {
        let Reverse(position) = *self.ready.peek()?;
        if self.counts(position) && self.busy >= self.options.concurrency.get() {
            return None;
        }
        self.ready.pop();
        Some(position)
    }

    fn report(&self, position: usize) -> &StepReport {
        self.reports[position].as_ref().expect("a state's turn comes after those it depends on")
    }

    fn changed(&self, position: usize) -> bool {
        let report = self.report(position);
        report.is_changed() || (!report.is_failed() && self.options.changed_before.contains(&report.id))
    }

    fn decide(&self, position: usize) -> Decision {
        if let Some(because) = self.stopped.clone() {
            let comment = format!("not run, because `{because}` failed and that stops the run");
            return Decision::Skip(Outcome::NotRun { because }, comment);
        }
        let needs = &self.order.needs[position];
        for &(on, edge) in needs {
            let report = self.report(on);
            if edge != Edge::OnFail && report.is_failed() {
                let because = match &report.outcome {
                    Outcome::NotRun { because } => because.clone(),
                    _ => report.id.clone(),
                };
                let comment = format!("not run, because `{because}` failed");
                return Decision::Skip(Outcome::NotRun { because }, comment);
            }
        }
        let of = |wanted: Edge| needs.iter().filter(move |(_, edge)| *edge == wanted).map(|(on, _)| *on);
        if of(Edge::OnFail).next().is_some() && !of(Edge::OnFail).any(|on| self.report(on).is_failed()) {
            return Decision::Skip(Outcome::NotNeeded, "not needed, because nothing failed".to_owned());
        }
        if of(Edge::OnChanges).next().is_some() && !of(Edge::OnChanges).any(|on| self.changed(on)) {
            return Decision::Skip(Outcome::NotNeeded, "not needed, because nothing changed".to_owned());
        }
        // A command that runs only on change also means the change that its `OnChanges` waited for.
        let also = self.graph.steps()[position].state.runs_only_on_change();
        let watched = needs
            .iter()
            .filter(|(_, edge)| *edge == Edge::Watch || (also && *edge == Edge::OnChanges))
            .filter(|(on, _)| self.changed(*on))
            .map(|(on, _)| self.graph.steps()[*on].id.clone())
            .collect();
        Decision::Run { watched }
    }

    fn finish(&mut self, position: usize, report: StepReport) {
        let step = &self.graph.steps()[position];
        self.observer.finished(step, &report);
        if step.stops_run && report.outcome == Outcome::Failed {
            self.stopped.get_or_insert(report.id.clone());
        }
        self.reports[position] = Some(report);
        for &follower in &self.order.followers[position] {
            self.open[follower] -= 1;
            if self.open[follower] == 0 {
                self.ready.push(Reverse(follower));
            }
        }
    }
}

fn skipped(
    step: &Step,
    outcome: Outcome,
    comment: String,
    started: Timestamp,
    run_number: usize,
) -> StepReport {
    StepReport {
        id: step.id.clone(),
        what: step.state.label(),
        result: Some(!matches!(outcome, Outcome::NotRun { .. })),
        outcome,
        comment,
        changes: Vec::new(),
        causes: Vec::new(),
        started,
        duration_ms: 0.0,
        run_number,
    }
}
