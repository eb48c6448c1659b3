use std::sync::Arc;

use metalk8s_types::fleet::{Agent, Run};
use serde_json::{Value, json};

use super::{Events, History};

fn agent(status: &Value, jobs: &Value) -> Agent {
    serde_json::from_value(json!({
        "apiVersion": "fleet.metalk8s.scality.com/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": "node-1"},
        "spec": {
            "version": "1",
            "addresses": {"controlPlane": "10.0.0.1", "workloadPlane": "10.0.0.1"},
            "jobs": jobs,
        },
        "status": status,
    }))
    .unwrap()
}

fn run(phase: &str) -> Run {
    serde_json::from_value(json!({
        "apiVersion": "fleet.metalk8s.scality.com/v1alpha1",
        "kind": "Run",
        "metadata": {"name": "20260101000000000009"},
        "spec": {"procedure": {"name": "DeployNode", "node": "node-2"}, "version": "1"},
        "status": {"phase": phase},
    }))
    .unwrap()
}

fn job() -> Value {
    json!({"function": "test.echo", "arguments": ["x"], "expires": "2026-01-01T00:00:00Z", "timeoutSeconds": 1})
}

fn told(state: &str) -> Value {
    let status = json!({"state": state, "function": "test.echo", "started": "2026-01-01T00:00:00Z", "retcode": 0, "result": "\"x\""});
    status.to_string().into()
}

/// The tags that come of the looks, the first of which is the beginning.
fn tags(looks: &[Agent], runs: &[Run]) -> Vec<String> {
    let events = Arc::new(Events::new(1));
    let mut receiver = events.sender.subscribe();
    let mut history = History::default();
    for (number, look) in looks.iter().enumerate() {
        history.agent(look, &events);
        if number == 0 {
            history.agents_complete();
        }
    }
    for (number, look) in runs.iter().enumerate() {
        history.run(look, &events);
        if number == 0 {
            history.runs_complete();
        }
    }
    let mut tags = Vec::new();
    while let Ok(line) = receiver.try_recv() {
        tags.push(line.lines().next().unwrap().to_owned());
    }
    tags
}

#[test]
fn a_job_is_told_when_it_is_given_and_when_it_ends_and_once() {
    let jid = "20260101000000000001";
    let none = json!({});
    let given = json!({ jid: job() });
    let looks = [
        agent(&none, &none),
        agent(&none, &given),
        agent(&json!({"jobs": {jid: told("Running")}}), &given),
        agent(&json!({"jobs": {jid: told("Done")}}), &given),
        agent(&json!({"jobs": {jid: told("Done")}}), &given),
        agent(&json!({"jobs": {jid: told("Done")}}), &none),
    ];
    let expected = [format!("tag: salt/job/{jid}/new"), format!("tag: salt/job/{jid}/ret/node-1")];
    assert_eq!(tags(&looks, &[]), expected);
}

#[test]
fn what_was_there_before_is_not_told() {
    let jid = "20260101000000000001";
    let old = agent(
        &json!({"started": "2026-01-01T00:00:00Z", "jobs": {jid: told("Done")}}),
        &json!({ jid: job() }),
    );
    assert!(tags(&[old.clone(), old], &[run("Succeeded"), run("Succeeded")]).is_empty());
}

#[test]
fn an_agent_that_starts_anew_is_told() {
    let at = |time: &str| agent(&json!({ "started": time }), &json!({}));
    let looks = [at("2026-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z"), at("2026-01-01T00:01:00Z")];
    assert_eq!(tags(&looks, &[]), ["tag: salt/minion/node-1/start"]);
}

#[test]
fn a_run_is_told_when_it_is_asked_for_and_when_it_ends() {
    let mut other = run("Pending");
    other.metadata.name = Some("20260101000000000010".to_owned());
    let mut over = other.clone();
    over.status = run("Failed").status;
    let looks = [run("Running"), run("Running"), run("Succeeded"), other, over];
    let expected = [
        "tag: salt/run/20260101000000000009/ret",
        "tag: salt/run/20260101000000000010/new",
        "tag: salt/run/20260101000000000010/ret",
    ];
    assert_eq!(tags(&[], &looks), expected);
}

#[test]
fn each_step_of_a_run_is_told_once_as_it_ends_and_before_the_run_does() {
    let steps = |phase: &str, states: &[&str]| {
        let step = |(number, state): (usize, &&str)| {
            let (name, title) = (format!("step-{number}"), format!("Step {number}"));
            json!({
                "name": name, "title": title, "state": state, "started": "2026-01-01T00:00:00Z",
                "finished": "2026-01-01T00:00:02Z", "comment": "as it should be",
            })
        };
        let steps: Vec<Value> = states.iter().enumerate().map(step).collect();
        let mut run = run(phase);
        run.metadata.name = Some("20260101000000000010".to_owned());
        run.status = serde_json::from_value(json!({"phase": phase, "steps": steps})).unwrap();
        run
    };
    let looks = [
        run("Succeeded"),
        steps("Pending", &[]),
        steps("Running", &["Running"]),
        steps("Running", &["Done", "Running"]),
        steps("Running", &["Done", "Running"]),
        steps("Failed", &["Done", "Done", "Failed"]),
        steps("Failed", &["Done", "Done", "Failed"]),
    ];
    let expected = [
        "tag: salt/run/20260101000000000010/new",
        "tag: salt/job/20260101000000000010/prog/bootstrap_master/0",
        "tag: salt/job/20260101000000000010/prog/bootstrap_master/1",
        "tag: salt/job/20260101000000000010/prog/bootstrap_master/2",
        "tag: salt/run/20260101000000000010/ret",
    ];
    assert_eq!(tags(&[], &looks), expected);
}

#[test]
fn a_step_is_told_with_its_name_result_comment_and_duration() {
    let events = Events::new(1);
    let mut receiver = events.sender.subscribe();
    let mut history = History::default();
    history.runs_complete();
    let mut run = run("Running");
    run.status = serde_json::from_value(json!({"phase": "Running", "steps": [{
        "name": "examine", "title": "Examining the machine", "state": "Failed",
        "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:02Z", "comment": "it is away",
        "error": ["it is away"],
    }]}))
    .unwrap();
    history.run(&run, &events);
    receiver.try_recv().expect("that it was begun");
    let line = receiver.try_recv().expect("that its step ended");
    let event: Value =
        serde_json::from_str(line.lines().nth(1).unwrap().strip_prefix("data: ").unwrap()).unwrap();
    let data = &event["data"];
    assert_eq!((&data["id"], &data["jid"]), (&json!("bootstrap_master"), &json!("20260101000000000009")));
    let step = &data["data"]["ret"];
    assert_eq!((&step["__id__"], &step["name"]), (&json!("Examining the machine"), &json!("node-2")));
    assert_eq!((&step["result"], &step["comment"]), (&json!(false), &json!("it is away")));
    assert_eq!(step["duration"], json!(2000.0));
}
