use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use metalk8s_kube::fleet::{Follow, Seen};
use metalk8s_types::fleet::{Agent, Job, Run, RunSpec};
use serde_json::json;
use tokio::sync::mpsc;

use super::*;

/// What the only agent there is makes of the jobs that are no pings.
#[derive(Debug, Clone, Copy)]
enum Manner {
    /// It hears nothing.
    Deaf,
    /// It tells that it has begun, and after this time of the end. It answers pings as long as `until` says.
    Works { time: Duration, until: Duration },
}

#[derive(Clone)]
struct FakeBus {
    manner: Manner,
    begun: Instant,
    state: Arc<Mutex<State>>,
}

struct State {
    agent: Agent,
    followers: Vec<mpsc::Sender<Seen<Agent>>>,
    pings: usize,
}

impl FakeBus {
    fn new(manner: Manner) -> Self {
        let agent = serde_json::from_value(json!({
            "apiVersion": "fleet.metalk8s.scality.com/v1alpha1", "kind": "Agent", "metadata": {"name": "n"},
            "spec": {"version": "1", "addresses": {"controlPlane": "10.0.0.1", "workloadPlane": "10.0.0.1"}},
            "status": {"version": "1"},
        }));
        let state = State { agent: agent.unwrap(), followers: Vec::new(), pings: 0 };
        Self { manner, begun: Instant::now(), state: Arc::new(Mutex::new(state)) }
    }

    fn pings(&self) -> usize {
        self.state.lock().unwrap().pings
    }

    fn tell(&self, name: &str, state: JobState) {
        let mut guard = self.state.lock().unwrap();
        let is_done = state == JobState::Done;
        let status = JobStatus {
            state,
            function: "x".into(),
            started: Timestamp::UNIX_EPOCH,
            finished: is_done.then_some(Timestamp::UNIX_EPOCH),
            retcode: is_done.then_some(0),
            result: is_done.then(|| "true".to_owned()),
            outputter: None,
            error: None,
        };
        guard.agent.status.as_mut().unwrap().jobs.insert(name.to_owned(), status);
        let seen = Seen::There(Box::new(guard.agent.clone()));
        guard.followers.retain(|follower| follower.try_send(seen.clone()).is_ok());
    }
}

#[async_trait]
impl Bus for FakeBus {
    async fn agents(&self) -> Result<Vec<Agent>, FleetError> {
        Ok(vec![self.state.lock().unwrap().agent.clone()])
    }

    async fn give_jobs(&self, _: &str, jobs: &BTreeMap<String, Option<Job>>) -> Result<Agent, FleetError> {
        for (name, job) in jobs.iter().filter_map(|(name, job)| Some((name.clone(), job.as_ref()?))) {
            match self.manner {
                Manner::Deaf => {}
                Manner::Works { until, .. } if job.function == "test.ping" => {
                    self.state.lock().unwrap().pings += 1;
                    if self.begun.elapsed() < until {
                        self.tell(&name, JobState::Done);
                    }
                }
                Manner::Works { time, .. } => {
                    self.tell(&name, JobState::Running);
                    let bus = self.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(time).await;
                        bus.tell(&name, JobState::Done);
                    });
                }
            }
        }
        Ok(self.state.lock().unwrap().agent.clone())
    }

    fn follow_agents(&self, _: Option<&str>) -> Follow<Agent> {
        let (sender, receiver) = mpsc::channel(64);
        let mut state = self.state.lock().unwrap();
        sender.try_send(Seen::There(Box::new(state.agent.clone()))).unwrap();
        state.followers.push(sender);
        receiver
    }

    fn follow_agents_after(&self, _: Option<&str>, _: String) -> Follow<Agent> {
        unreachable!("a fake agent has no version")
    }

    async fn remove_agent(&self, _: &str) -> Result<bool, FleetError> {
        unreachable!("jobs remove no agents")
    }

    async fn create_run(&self, _: &str, _: &RunSpec) -> Result<Run, FleetError> {
        unreachable!("jobs are no runs")
    }

    async fn runs(&self) -> Result<Vec<Run>, FleetError> {
        unreachable!("jobs are no runs")
    }

    fn follow_runs(&self, _: Option<&str>) -> Follow<Run> {
        unreachable!("jobs are no runs")
    }
}

const MINUTE: Duration = Duration::from_secs(60);

async fn carry_out(bus: &FakeBus) -> (Result<(u8, serde_json::Value), JobError>, Duration) {
    let began = Instant::now();
    let answer = job(bus, "n", &Call::new("state.apply", [""; 0], 20 * MINUTE)).await;
    (answer, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn who_does_not_begin_is_not_waited_for() {
    let (answer, waited) = carry_out(&FakeBus::new(Manner::Deaf)).await;
    assert!(matches!(answer, Err(JobError::NoAnswer { seconds: 35, .. })), "{answer:?}");
    assert!(waited < MINUTE, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn who_works_and_is_there_is_waited_for() {
    let bus = FakeBus::new(Manner::Works { time: 15 * MINUTE, until: 60 * MINUTE });
    let (answer, waited) = carry_out(&bus).await;
    assert_eq!(answer.unwrap(), (0, true.into()));
    assert_eq!(waited.as_secs() / 60, 15);
    assert!((10..=15).contains(&bus.pings()), "{}", bus.pings());
}

#[tokio::test(start_paused = true)]
async fn who_falls_silent_while_it_works_is_given_up() {
    let bus = FakeBus::new(Manner::Works { time: 60 * MINUTE, until: 3 * MINUTE });
    let (answer, waited) = carry_out(&bus).await;
    assert!(matches!(answer, Err(JobError::Silent { .. })), "{answer:?}");
    assert!((7 * MINUTE..10 * MINUTE).contains(&waited), "{waited:?}");
    assert!(answer.unwrap_err().to_string().contains("not been heard of for"));
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_for_a_while_is_waited_for() {
    let bus = FakeBus::new(Manner::Works { time: 4 * MINUTE, until: Duration::ZERO });
    assert_eq!(carry_out(&bus).await.0.unwrap(), (0, true.into()));
}

#[tokio::test(start_paused = true)]
async fn nobody_has_longer_than_the_call() {
    let bus = FakeBus::new(Manner::Works { time: 60 * MINUTE, until: 60 * MINUTE });
    let (answer, waited) = carry_out(&bus).await;
    assert!(matches!(answer, Err(JobError::NoAnswer { seconds: 1240, .. })), "{answer:?}");
    assert!(waited < 22 * MINUTE, "{waited:?}");
}
