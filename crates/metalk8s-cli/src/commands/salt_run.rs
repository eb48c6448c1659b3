//! `salt-run`.

use std::{collections::BTreeSet, time::Duration};

use anyhow::bail;
use jiff::{Timestamp, tz::TimeZone};
use metalk8s_diagnostics::{Exit, Printer};
use metalk8s_engine::journal::RunId;
use metalk8s_kube::{Fleet, fleet::Seen};
use metalk8s_orchestrator::dispatch::{Call, dispatch};
use metalk8s_saltcompat::{
    Target, TargetKind, matching,
    output::{self, Form, Orchestrated, StepEnded},
    runner::{self, DeployNode, Job, Orchestrate, RunnerCall},
};
use metalk8s_types::{
    VERSION, environment,
    fleet::{Agent, JobState, Procedure, ProcedureName, RunPhase, RunSpec, RunStep, StepState},
};
use serde_json::{Value, json};

use super::{
    master::{Answers, begin_log, fleet, minions, name},
    salt::print,
    told_to_stop,
};
use crate::args::SaltRun;

/// The procedures, by Salt's names.
const DEPLOY_NODE: &str = "metalk8s.orchestrate.deploy_node";

/// Calls a function of the master and prints what it returned.
pub(crate) async fn run(args: SaltRun, printer: &mut Printer) -> anyhow::Result<Exit> {
    begin_log(args.log_level)?;
    let form = args.output.form(printer.paint());
    if args.doc {
        let names: Vec<String> = args.function.into_iter().chain(args.arguments).collect();
        print(printer, &output::docs_of([&runner::docs(&names)]));
        return Ok(Exit::Done);
    }
    let call = runner::parse(args.function.as_deref().unwrap_or_default(), &args.arguments)?;
    let fleet = fleet();
    let patience = Duration::from_secs(args.timeout);
    let value = match call {
        RunnerCall::Orchestrate(wanted) => {
            return orchestrate(&fleet, &wanted, form, args.is_async, printer).await;
        }
        RunnerCall::Minions(which, target) => {
            let agents = fleet.agents().await?;
            let asked = matching(&target, minions(&agents));
            let there = if which.are_asked() {
                answering(&fleet, &asked, patience).await
            } else {
                connected(&agents, &asked)
            };
            let away = asked.difference(&there).cloned().collect();
            which.told(there.into_iter().collect(), away)
        }
        RunnerCall::Versions => {
            let agents = fleet.agents().await?;
            let asked = agents.iter().map(|agent| name(agent).to_owned()).collect();
            let there = answering(&fleet, &asked, patience).await;
            let version = |agent: &Agent| agent.status.as_ref().map(|status| status.version.clone());
            let found: Vec<(String, Option<String>)> = agents
                .iter()
                .map(|agent| (name(agent).to_owned(), version(agent).filter(|_| there.contains(name(agent)))))
                .collect();
            runner::versions(VERSION, found.iter().map(|(name, version)| (name.as_str(), version.as_deref())))
        }
        RunnerCall::ListJobs(filter) => runner::list_jobs(&jobs(&fleet).await?, &filter),
        RunnerCall::LastRun(filter) => runner::last_run(&jobs(&fleet).await?, &filter),
        RunnerCall::ListJob(jid) => {
            let jobs = jobs(&fleet).await?;
            runner::list_job(&jid, jobs.iter().find(|job| job.jid == jid))
        }
        RunnerCall::PrintJob(jid) => {
            let jobs = jobs(&fleet).await?;
            runner::print_job(&jid, jobs.iter().find(|job| job.jid == jid))
        }
        RunnerCall::Lookup { jid, missing } => {
            let jobs = jobs(&fleet).await?;
            let answers = runner::lookup(jobs.iter().find(|job| job.jid == jid), missing);
            print(printer, &output::together(&answers, &form)?);
            return Ok(Exit::Done);
        }
        RunnerCall::ActiveJobs => runner::active(&jobs(&fleet).await?),
        RunnerCall::SyncAll { saltenv: _ } => runner::synced(),
        RunnerCall::SyncRoster | RunnerCall::SyncAuth => json!([]),
        RunnerCall::WaitMinions { target, retry } => wait_minions(&fleet, &target, retry, patience).await?,
        RunnerCall::Answer(value) => value,
    };
    print(printer, &output::bare(&value, &form)?);
    Ok(Exit::Done)
}

/// Those that answer a ping in time.
async fn answering(fleet: &Fleet, asked: &BTreeSet<String>, patience: Duration) -> BTreeSet<String> {
    let call = Call { begin_within: patience, ..Call::new("test.ping", [""; 0], patience) };
    let mut answers = Answers::new(dispatch(fleet, asked, &call).await, patience);
    let mut there = BTreeSet::new();
    while let Some((minion, answer)) = answers.next().await {
        if answer.is_returned() {
            there.insert(minion);
        }
    }
    there
}

/// Those that have introduced themselves; nobody is asked whether they are there still.
fn connected(agents: &[Agent], asked: &BTreeSet<String>) -> BTreeSet<String> {
    let is_known = |agent: &&Agent| agent.status.is_some() && asked.contains(name(agent));
    agents.iter().filter(is_known).map(|agent| name(agent).to_owned()).collect()
}

async fn wait_minions(
    fleet: &Fleet,
    target: &Target,
    retry: u32,
    patience: Duration,
) -> anyhow::Result<Value> {
    let mut away = BTreeSet::new();
    for _ in 0..retry.max(1) {
        let agents = fleet.agents().await?;
        let asked = matching(target, minions(&agents));
        let there = answering(fleet, &asked, patience).await;
        away = asked.difference(&there).cloned().collect();
        if away.is_empty() {
            return Ok("All minions matching target are available".into());
        }
    }
    bail!("these minions do not answer: {}", away.into_iter().collect::<Vec<_>>().join(", "))
}

/// Jobs as agents remember them.
async fn jobs(fleet: &Fleet) -> anyhow::Result<Vec<Job>> {
    let mut jobs = std::collections::BTreeMap::<String, Job>::new();
    for agent in fleet.agents().await? {
        let minion = name(&agent).to_owned();
        let arguments = |jid: &str| {
            let job = agent.spec.jobs.get(jid);
            job.map(|job| job.arguments.iter().map(|word| json!(word)).collect()).unwrap_or_default()
        };
        for (jid, status) in agent.status.iter().flat_map(|status| &status.jobs) {
            let job = jobs.entry(jid.clone()).or_insert_with(|| Job {
                jid: jid.clone(),
                function: status.function.clone(),
                arguments: arguments(jid),
                target: String::new(),
                target_kind: TargetKind::List,
                user: "root".to_owned(),
                minions: Vec::new(),
                metadata: None,
                returned: std::collections::BTreeMap::new(),
                running: std::collections::BTreeMap::new(),
            });
            job.minions.push(minion.clone());
            if status.state == JobState::Running {
                job.running.insert(minion.clone(), None);
            } else if let output::Answer::Returned(returned) = super::master::answer(status.clone()) {
                job.returned.insert(minion.clone(), returned);
            }
        }
    }
    let with_target = |mut job: Job| {
        job.target = job.minions.join(",");
        job
    };
    Ok(jobs.into_values().map(with_target).collect())
}

async fn orchestrate(
    fleet: &Fleet,
    wanted: &Orchestrate,
    form: Form,
    is_async: bool,
    printer: &mut Printer,
) -> anyhow::Result<Exit> {
    if wanted.name != DEPLOY_NODE {
        bail!("there is no orchestration `{}` in version {VERSION}; there is: `{DEPLOY_NODE}`", wanted.name);
    }
    if wanted.test {
        bail!(
            "orchestrations cannot be shown without being done; `salt NODE state.apply test=True` shows what would change on a node"
        );
    }
    let DeployNode { node_name, skip_draining } = DeployNode::from_pillar(&wanted.pillar)?;
    let own = environment(VERSION);
    let version = match wanted.saltenv.as_deref() {
        None => VERSION.to_owned(),
        Some(saltenv) => match saltenv.strip_prefix("metalk8s-") {
            Some(version) => version.to_owned(),
            None => bail!("`saltenv={saltenv}` is no environment such as `{own}`"),
        },
    };
    let procedure = Procedure { name: ProcedureName::DeployNode, node: node_name.clone(), skip_draining };
    let run = RunId::at(Timestamp::now()).to_string();
    let mut events = fleet.follow_runs(Some(&run));
    fleet.create_run(&run, &RunSpec { procedure, version, cancelled: false }).await?;
    if is_async {
        printer.data(output::executed(&run).trim_end());
        return Ok(Exit::Done);
    }
    let mut told = Orchestrated::new(form, TimeZone::system());
    print(printer, &told.head());
    let mut ended = BTreeSet::new();
    loop {
        let seen = tokio::select! {
            seen = events.recv() => seen,
            _ = told_to_stop() => {
                printer.say(&format!("The run {run} goes on; `metalk8s run show {run}` tells how far it is."));
                return Ok(Exit::Interrupted);
            }
        };
        let status = match seen {
            Some(Seen::There(run)) => run.status.unwrap_or_default(),
            Some(Seen::Blind(why)) => {
                tracing::warn!(error = why, "the run cannot be seen, trying again");
                continue;
            }
            Some(Seen::Gone(_)) => bail!("somebody deleted the run {run}"),
            Some(Seen::Complete) => continue,
            None => bail!("nothing more can be seen of the run {run}"),
        };
        for step in status.steps.iter().filter(|step| step.state != StepState::Running) {
            if ended.insert(step.name.clone()) {
                print(printer, &told.ended(&as_told(step, &node_name)));
            }
        }
        if status.phase.is_final() {
            print(printer, &told.end()?);
            return Ok(match status.phase {
                RunPhase::Succeeded => Exit::Done,
                _ => Exit::Failed,
            });
        }
    }
}

fn as_told(step: &RunStep, node: &str) -> StepEnded {
    let mut comment = step.comment.clone();
    for line in step.error.iter().skip(1) {
        comment = format!("{comment}\n{line}");
    }
    let milliseconds = step.finished.map_or(0, |end| end.duration_since(step.started).as_millis());
    StepEnded {
        id: step.title.clone(),
        name: node.to_owned(),
        function: "metalk8s.step".to_owned(),
        result: Some(step.state == StepState::Done),
        comment,
        changes: if step.changes.is_empty() { json!({}) } else { json!({ node: step.changes }) },
        started: step.started,
        #[expect(clippy::cast_precision_loss, reason = "no step takes that long")]
        duration_ms: milliseconds as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_tells_all_its_causes() {
        let step = RunStep {
            name: "apply".into(),
            title: "Applying the roles".into(),
            state: StepState::Failed,
            started: "2026-01-01T00:00:00Z".parse().unwrap(),
            finished: Some("2026-01-01T00:00:02Z".parse().unwrap()),
            comment: "one".into(),
            changes: Vec::new(),
            error: vec!["one".into(), "two".into()],
        };
        let told = as_told(&step, "node-1");
        assert_eq!((told.comment.as_str(), told.result, told.duration_ms), ("one\ntwo", Some(false), 2000.0));
    }
}
