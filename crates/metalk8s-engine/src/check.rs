//! From a graph to a plan: reads only.

use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::{
    ApplyOptions, Change, ChangeKind, Graph, GraphError, Hands, Outcome, Plan, PlanStep, Planned, Report,
    StateError, StateId, Step, StepReport,
    apply::causes,
    graph::{Edge, Order},
};

/// What `apply` would do, state by state, in the order it would do it. Changes nothing.
///
/// All states are looked at as the world is now; where a look fails because a state before it is not made
/// true yet, the plan says that it cannot be known.
///
/// # Errors
/// When the graph has no order. What cannot be checked is in the plan.
pub async fn check_all(graph: &Graph, hands: &dyn Hands, options: &ApplyOptions) -> Result<Plan, GraphError> {
    let order = Order::of(graph)?;
    let looks = look_all(graph, hands, options).await;
    Ok(Plan { steps: decide_all(graph, &order, options, looks).0 })
}

/// Looks at every state and reports, in Salt's test mode: nothing is changed, and the result of what would
/// change is none.
///
/// # Errors
/// When the graph has no order.
pub async fn test(graph: &Graph, hands: &dyn Hands, options: &ApplyOptions) -> Result<Report, GraphError> {
    let order = Order::of(graph)?;
    let looks = look_all(graph, hands, options).await;
    let (steps, times) = decide_all(graph, &order, options, looks);
    let reports =
        steps.into_iter().zip(times).enumerate().map(|(number, (step, time))| tested(step, time, number));
    Ok(Report::new(reports.collect()))
}

/// What a look at a state found.
enum Found {
    Right,
    Differs(Change),
    /// A guard leaves it alone, for this reason.
    LeftAlone(String),
}

type Look = Result<Found, StateError>;

async fn look(step: &Step, hands: &dyn Hands) -> Look {
    if !hands.takes(&step.state) {
        return Err(StateError::new(format!("`{}` cannot be carried out here", step.state.label())));
    }
    if let Some(because) = step.left_alone(hands).await? {
        return Ok(Found::LeftAlone(because.to_owned()));
    }
    Ok(hands.check(&step.state).await?.map_or(Found::Right, Found::Differs))
}

/// When a state was looked at and how long that took.
#[derive(Clone, Copy)]
struct Time {
    started: Timestamp,
    took: Duration,
}

async fn look_all(graph: &Graph, hands: &dyn Hands, options: &ApplyOptions) -> Vec<(Look, Time)> {
    let clock = &options.clock;
    stream::iter(graph.steps())
        .map(|step| async move {
            let (started, before) = (clock.now(), clock.elapsed());
            let look = look(step, hands).await;
            (look, Time { started, took: clock.elapsed().saturating_sub(before) })
        })
        .buffered(options.concurrency.get())
        .collect()
        .await
}

/// Puts what was seen in order and applies the requisites.
fn decide_all(
    graph: &Graph,
    order: &Order,
    options: &ApplyOptions,
    looks: Vec<(Look, Time)>,
) -> (Vec<PlanStep>, Vec<Time>) {
    let about_to_change: Vec<Option<bool>> =
        looks.iter().map(|(look, _)| Some(matches!(look.as_ref().ok()?, Found::Differs(_)))).collect();
    let mut looks: Vec<Option<(Look, Time)>> = looks.into_iter().map(Some).collect();
    let mut seen = Seen {
        order,
        options,
        planned: vec![None; looks.len()],
        pending: vec![None; looks.len()],
        stopped: None,
    };
    let mut times = Vec::with_capacity(looks.len());
    for &position in &order.sequence {
        let (look, time) = looks[position].take().expect("a sequence names each state once");
        let planned = seen.decide(graph, position, look, &about_to_change);
        if matches!(planned, Planned::Failed { .. }) && graph.steps()[position].stops_run {
            seen.stopped.get_or_insert(graph.steps()[position].id.clone());
        }
        seen.planned[position] = Some(planned);
        times.push(time);
    }
    let mut planned = seen.planned;
    let steps = order.sequence.iter().map(|&position| {
        let step = &graph.steps()[position];
        let planned = planned[position].take().expect("a sequence names each state once");
        PlanStep { id: step.id.clone(), what: step.state.label(), planned }
    });
    (steps.collect(), times)
}

/// What was decided for the states before.
struct Seen<'a> {
    order: &'a Order,
    options: &'a ApplyOptions,
    planned: Vec<Option<Planned>>,
    /// The nearest state before each that will change, through any number of states that will not.
    pending: Vec<Option<usize>>,
    /// The state whose failure stops the run.
    stopped: Option<StateId>,
}

impl Seen<'_> {
    fn planned(&self, position: usize) -> &Planned {
        self.planned[position].as_ref().expect("a sequence puts a state after those it depends on")
    }

    /// Whether those who watch a state would react.
    fn may_change(&self, graph: &Graph, position: usize) -> bool {
        self.planned(position).may_change()
            || self.options.changed_before.contains(&graph.steps()[position].id)
    }

    fn decide(
        &mut self,
        graph: &Graph,
        position: usize,
        look: Look,
        about_to_change: &[Option<bool>],
    ) -> Planned {
        let needs = &self.order.needs[position];
        let step = &graph.steps()[position];
        if let Some(by) = self.stopped.clone() {
            return Planned::Blocked { by };
        }
        let id = |at: usize| graph.steps()[at].id.clone();
        self.pending[position] = needs
            .iter()
            .find_map(|&(on, _)| if self.planned(on).may_change() { Some(on) } else { self.pending[on] });
        for &(on, edge) in needs {
            if edge == Edge::OnFail {
                continue;
            }
            match self.planned(on) {
                Planned::Failed { .. } => return Planned::Blocked { by: id(on) },
                Planned::Blocked { by } => return Planned::Blocked { by: by.clone() },
                _ => {}
            }
        }
        let of = |wanted: Edge| needs.iter().filter(move |(_, edge)| *edge == wanted).map(|(on, _)| *on);
        if of(Edge::OnFail).next().is_some() && !of(Edge::OnFail).any(|on| self.planned(on).is_failed()) {
            return Planned::NotNeeded { because: "nothing failed".to_owned() };
        }
        if of(Edge::OnChanges).next().is_some() {
            if !of(Edge::OnChanges).any(|on| self.may_change(graph, on)) {
                return Planned::NotNeeded { because: "nothing changes".to_owned() };
            }
            if let Some(on) =
                of(Edge::OnChanges).find(|on| matches!(self.planned(*on), Planned::Unknown { .. }))
                && !of(Edge::OnChanges).any(|on| self.planned(on).is_change())
            {
                return Planned::Unknown { before: id(on) };
            }
        }
        let precedes = &self.order.precedes[position];
        if !precedes.is_empty() && !precedes.iter().any(|&on| about_to_change[on] == Some(true)) {
            return match precedes.iter().find(|&&on| about_to_change[on].is_none()) {
                Some(&on) => Planned::Unknown { before: id(on) },
                None => Planned::NotNeeded { because: "nothing is about to change".to_owned() },
            };
        }
        match look {
            Ok(Found::LeftAlone(because)) => Planned::NotNeeded { because },
            Ok(Found::Differs(change)) => Planned::Change { change },
            Ok(Found::Right) if step.state.reacts() => {
                let also = step.state.runs_only_on_change();
                let to: Vec<_> = needs
                    .iter()
                    .filter(|(_, edge)| *edge == Edge::Watch || (also && *edge == Edge::OnChanges))
                    .filter(|(on, _)| self.may_change(graph, *on))
                    .map(|(on, _)| id(*on))
                    .collect();
                if to.is_empty() { Planned::Nothing } else { Planned::React { to } }
            }
            Ok(Found::Right) => Planned::Nothing,
            Err(err) => match self.pending[position] {
                Some(before) => Planned::Unknown { before: id(before) },
                None => Planned::Failed { causes: causes(&err), error: err.doing },
            },
        }
    }
}

fn tested(step: PlanStep, time: Time, run_number: usize) -> StepReport {
    let (result, outcome, comment, changes, causes) = match step.planned {
        Planned::Nothing => {
            (Some(true), Outcome::Unchanged, "nothing to change".to_owned(), Vec::new(), Vec::new())
        }
        Planned::Change { change } => {
            (None, Outcome::WouldChange, format!("would {}", change.summary), vec![change], Vec::new())
        }
        Planned::React { to } => {
            let names: Vec<&str> = to.iter().map(StateId::as_str).collect();
            let change = Change::new(ChangeKind::Run, format!("react to {}", names.join(", ")));
            (None, Outcome::WouldChange, format!("would {}", change.summary), vec![change], Vec::new())
        }
        Planned::NotNeeded { because } => {
            (Some(true), Outcome::NotNeeded, format!("not needed, because {because}"), Vec::new(), Vec::new())
        }
        Planned::Unknown { before } => {
            let comment = format!("cannot be known before `{before}` is applied");
            (None, Outcome::Unknown { before }, comment, Vec::new(), Vec::new())
        }
        Planned::Blocked { by } => {
            let comment = format!("not run, because `{by}` failed");
            (Some(false), Outcome::NotRun { because: by }, comment, Vec::new(), Vec::new())
        }
        Planned::Failed { error, causes } => (Some(false), Outcome::Failed, error, Vec::new(), causes),
    };
    StepReport {
        id: step.id,
        what: step.what,
        result,
        outcome,
        comment,
        changes,
        causes,
        started: time.started,
        duration_ms: time.took.as_secs_f64() * 1000.0,
        run_number,
    }
}
