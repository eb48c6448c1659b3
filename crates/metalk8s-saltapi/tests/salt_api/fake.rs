//! A fleet and its people, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use metalk8s_kube::{
    Fleet,
    fleet::{FleetError, Follow, Identity, Seen},
};
use metalk8s_orchestrator::bus::Bus;
use metalk8s_saltapi::Reviews;
use metalk8s_types::fleet::{
    Agent, Job, JobState, JobStatus, Run, RunPhase, RunSpec, RunStatus, RunStep, StepState,
};
use serde_json::json;
use tokio::sync::mpsc::{Sender, channel};

const MOMENT: &str = "2026-01-01T00:00:00Z";

/// Agents that answer at once, but for those that are deaf, and a conductor that does.
#[derive(Default)]
pub(crate) struct FakeFleet(Mutex<State>);

#[derive(Default)]
struct State {
    agents: BTreeMap<String, Agent>,
    runs: BTreeMap<String, Run>,
    deaf: BTreeSet<String>,
    is_down: bool,
    agent_followers: Vec<Sender<Seen<Agent>>>,
    run_followers: Vec<Sender<Seen<Run>>>,
}

impl FakeFleet {
    /// A fleet with these agents, the first of which is that of the Bootstrap node.
    pub(crate) fn new(names: &[&str]) -> Arc<Self> {
        let fleet = Self::default();
        for (number, name) in names.iter().enumerate() {
            let roles: &[&str] = if number == 0 { &["bootstrap"] } else { &[] };
            let agent: Agent = serde_json::from_value(json!({
                "apiVersion": "fleet.metalk8s.scality.com/v1alpha1",
                "kind": "Agent",
                "metadata": {"name": name},
                "spec": {
                    "version": "1",
                    "roles": roles,
                    "addresses": {"controlPlane": "10.0.0.1", "workloadPlane": "10.0.0.1"},
                },
                "status": {"version": "1", "started": MOMENT, "grains": {"id": name, "os": "Debian"}},
            }))
            .unwrap();
            fleet.state().agents.insert((*name).to_owned(), agent);
        }
        Arc::new(fleet)
    }

    /// An agent that takes jobs and begins none.
    pub(crate) fn deafen(&self, name: &str) {
        self.state().deaf.insert(name.to_owned());
    }

    /// From now on nobody can be reached.
    pub(crate) fn take_down(&self) {
        self.state().is_down = true;
    }

    /// The functions that were given to an agent.
    pub(crate) fn given(&self, name: &str) -> Vec<String> {
        self.state().agents[name].spec.jobs.values().map(|job| job.function.clone()).collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn is_up(&self) -> Result<(), FleetError> {
        let is_down = self.state().is_down;
        if is_down {
            Fleet::lazy("/nowhere/kubeconfig").agents().await?;
        }
        Ok(())
    }
}

/// What functions return.
fn carry_out(job: &Job, agent: &Agent) -> JobStatus {
    let value = match job.function.as_str() {
        "test.ping" => json!(true),
        "test.arg" | "state.sls" | "state.single" => json!(job.arguments),
        "grains.items" => agent.status.as_ref().unwrap().grains.clone(),
        _ => json!("done"),
    };
    let retcode = if job.function == "test.retcode" { 3 } else { 0 };
    JobStatus {
        state: JobState::Done,
        function: job.function.clone(),
        started: MOMENT.parse().unwrap(),
        finished: Some(MOMENT.parse().unwrap()),
        retcode: Some(retcode),
        result: Some(value.to_string()),
        outputter: None,
        error: None,
    }
}

fn tell<K: Clone>(followers: &mut Vec<Sender<Seen<K>>>, object: &K) {
    followers.retain(|follower| follower.try_send(Seen::There(Box::new(object.clone()))).is_ok());
}

fn follow<K: Clone>(followers: &mut Vec<Sender<Seen<K>>>, objects: &BTreeMap<String, K>) -> Follow<K> {
    let (sender, receiver) = channel(1024);
    for object in objects.values() {
        sender.try_send(Seen::There(Box::new(object.clone()))).unwrap();
    }
    sender.try_send(Seen::Complete).unwrap();
    followers.push(sender);
    receiver
}

#[async_trait]
impl Bus for FakeFleet {
    async fn agents(&self) -> Result<Vec<Agent>, FleetError> {
        self.is_up().await?;
        Ok(self.state().agents.values().cloned().collect())
    }

    async fn give_jobs(&self, node: &str, jobs: &BTreeMap<String, Option<Job>>) -> Result<Agent, FleetError> {
        self.is_up().await?;
        let mut state = self.state();
        let state = &mut *state;
        let agent = state.agents.get_mut(node).unwrap();
        for (jid, job) in jobs {
            let Some(job) = job else { continue };
            agent.spec.jobs.insert(jid.clone(), job.clone());
            tell(&mut state.agent_followers, agent);
            if !state.deaf.contains(node) {
                let status = carry_out(job, agent);
                agent.status.as_mut().unwrap().jobs.insert(jid.clone(), status);
                tell(&mut state.agent_followers, agent);
            }
        }
        Ok(agent.clone())
    }

    fn follow_agents(&self, node: Option<&str>) -> Follow<Agent> {
        let mut state = self.state();
        let state = &mut *state;
        let mut agents = state.agents.clone();
        agents.retain(|name, _| node.is_none_or(|node| node == name));
        follow(&mut state.agent_followers, &agents)
    }

    fn follow_agents_after(&self, node: Option<&str>, _version: String) -> Follow<Agent> {
        self.follow_agents(node)
    }

    async fn remove_agent(&self, node: &str) -> Result<bool, FleetError> {
        Ok(self.state().agents.remove(node).is_some())
    }

    async fn create_run(&self, name: &str, spec: &RunSpec) -> Result<Run, FleetError> {
        let mut state = self.state();
        let state = &mut *state;
        let mut run = Run::new(name, spec.clone());
        tell(&mut state.run_followers, &run);
        run.status = Some(RunStatus {
            phase: RunPhase::Succeeded,
            message: None,
            steps: vec![RunStep {
                name: "examine".into(),
                title: "Examining the machine".into(),
                state: StepState::Done,
                started: MOMENT.parse().unwrap(),
                finished: Some(MOMENT.parse().unwrap()),
                comment: "it is good".into(),
                changes: Vec::new(),
                error: Vec::new(),
            }],
            started: Some(MOMENT.parse().unwrap()),
            finished: Some(MOMENT.parse().unwrap()),
        });
        tell(&mut state.run_followers, &run);
        state.runs.insert(name.to_owned(), run.clone());
        Ok(run)
    }

    async fn runs(&self) -> Result<Vec<Run>, FleetError> {
        self.is_up().await?;
        Ok(self.state().runs.values().cloned().collect())
    }

    fn follow_runs(&self, run: Option<&str>) -> Follow<Run> {
        let mut state = self.state();
        let state = &mut *state;
        let mut runs = state.runs.clone();
        runs.retain(|name, _| run.is_none_or(|run| run == name));
        follow(&mut state.run_followers, &runs)
    }
}

/// People whose tokens are their names with `-token` behind; the reader may read agents, the writer change them.
pub(crate) struct FakePeople;

#[async_trait]
impl Reviews for FakePeople {
    async fn review_token(&self, token: &str) -> Result<Option<Identity>, FleetError> {
        let (username, groups): (&str, &[&str]) = match token {
            "admin-token" => ("oidc:admin", &["node-admins"]),
            "reader-token" => ("reader", &["system:authenticated"]),
            "writer-token" => ("writer", &["system:authenticated"]),
            "operator-token" => {
                ("system:serviceaccount:kube-system:storage-operator", &["system:serviceaccounts"])
            }
            "nobody-token" => ("nobody", &[]),
            _ => return Ok(None),
        };
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Ok(Some(Identity { username: username.to_owned(), groups }))
    }

    async fn may_with_agents(&self, who: &Identity, verb: &str) -> Result<bool, FleetError> {
        Ok(who.username == "writer" || (who.username == "reader" && verb != "patch"))
    }
}

/// A certificate of `localhost` and its key, PEM.
pub(crate) fn certificate() -> (String, String) {
    let made: rcgen::CertifiedKey<rcgen::KeyPair> =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}
