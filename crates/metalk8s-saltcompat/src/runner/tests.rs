use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    DEPLOY_NODE, Job, JobFilter, Minions, NodeSettings, Orchestrate, REMOVE_NODE, RUNNERS, RunnerCall,
    RunnerError, active, docs, last_run, list_job, list_jobs, lookup, parse, print_job, synced, versions,
};
use crate::{
    Returned, TargetKind,
    output::{Answer, Form, bare},
};

const JID: &str = "20261125225233123456";

fn read(line: &str) -> Result<RunnerCall, RunnerError> {
    let words: Vec<String> = line.split(' ').map(|word| word.replace('~', " ")).collect();
    parse(&words[0], &words[1..])
}

fn orchestrate(words: &[&str]) -> Result<Orchestrate, Vec<(String, String)>> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    match parse("state.orchestrate", &words) {
        Ok(RunnerCall::Orchestrate(read)) => Ok(read),
        Ok(other) => panic!("{other:?}"),
        Err(RunnerError::Unknown { .. }) => panic!("it is known"),
        Err(RunnerError::Words { source, .. }) => Err(source
            .problems
            .into_iter()
            .map(|problem| (problem.key.unwrap_or_default(), problem.found.unwrap_or(problem.message)))
            .collect()),
    }
}

#[test]
fn the_documented_orchestrations_are_read() {
    let expect = |pillar: Value, saltenv: Option<&str>, name: &str| Orchestrate {
        name: name.into(),
        saltenv: saltenv.map(str::to_owned),
        pillar,
        test: false,
    };
    let name = "metalk8s.orchestrate.deploy_node";
    let pillar = json!({"orchestrate": {"node_name": "node-1"}});
    for words in [
        [name, "saltenv=metalk8s-2.5.1", r#"pillar={"orchestrate": {"node_name": "node-1"}}"#],
        [name, "saltenv=metalk8s-2.5.1", "pillar={'orchestrate': {'node_name': 'node-1'}}"],
    ] {
        assert_eq!(orchestrate(&words).unwrap(), expect(pillar.clone(), Some("metalk8s-2.5.1"), name));
    }
    assert_eq!(orchestrate(&[name]).unwrap(), expect(json!({}), None, name));
    assert!(orchestrate(&[name, "test=True"]).unwrap().test);
    assert!(matches!(read("state.orch x"), Ok(RunnerCall::Orchestrate(_))));
    assert!(matches!(read("state.sls x saltenv=y"), Ok(RunnerCall::Orchestrate(_))));
}

#[test]
fn all_mistakes_in_an_orchestration_are_told_at_once() {
    let mistakes = orchestrate(&["saltenv=5", "pillar={broken", "test=maybe", "x=1"]).unwrap_err();
    let expect = [
        ("", "an orchestration does not take `x=`"),
        ("NAME", "nothing"),
        ("saltenv", "`5`"),
        ("pillar", "`{broken`"),
        ("test", "`maybe`"),
    ];
    assert_eq!(mistakes, expect.map(|(key, found)| (key.to_owned(), found.to_owned())));
}

#[test]
fn formulas_are_states_of_the_masters_machine_and_procedures_are_not() {
    let typed = ["metalk8s.deployed, metalk8s.repo", "saltenv=metalk8s-9.9.9", "pillar={a: 1}", "test=True"];
    let states = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match parse("state.sls", &words).unwrap() {
            RunnerCall::States(states) => Some(states),
            _ => None,
        }
    };
    let read = states(&typed).unwrap();
    assert_eq!((read.function, &read.words[..]), ("state.sls", &typed.map(str::to_owned)[..]));
    // Another version may have it.
    assert!(states(&["metalk8s.addons.ui.deployed"]).is_some());
    assert_eq!(states(&["mods=metalk8s.deployed"]).unwrap().words, ["mods=metalk8s.deployed"]);
    for name in [DEPLOY_NODE, "metalk8s.orchestrate.nothing", "web", "web,metalk8s.repo", "metalk8s.repo,"] {
        assert_eq!(states(&[name]), None, "{name}");
    }
    assert!(orchestrate(&["metalk8s.deployed", "test=maybe"]).is_err());
}

#[test]
fn one_state_is_made_on_the_masters_machine() {
    let single = |line: &str| match read(&format!("state.orchestrate_single {line}")) {
        Ok(RunnerCall::States(states)) => Ok(states),
        Err(RunnerError::Words { source, .. }) => Err(source.problems),
        other => panic!("{other:?}"),
    };
    for line in ["test.nop a test=True", "fun=test.nop a test=True"] {
        let states = single(line).unwrap();
        assert_eq!(
            (states.function, states.words.join(" ").as_str()),
            ("state.single", "test.nop a test=True")
        );
    }
    assert_eq!(single("name=a fun=test.nop").unwrap().words, ["test.nop", "name=a"]);
    let unknown = single("fun=salt.wheel name=key.list_all").unwrap_err();
    assert!(unknown[0].message.contains("`salt.wheel`"), "{unknown:?}");
    let keys =
        |line: &str| single(line).unwrap_err().into_iter().map(|problem| problem.key).collect::<Vec<_>>();
    assert_eq!(keys("test=maybe"), ["FUNCTION", "NAME", "test"].map(|key| Some(key.to_owned())));
    assert_eq!(keys("test.nop"), [Some("NAME".to_owned())]);
}

#[test]
fn settings_of_a_deployment_are_read() {
    let read = |pillar: Value| NodeSettings::from_pillar(DEPLOY_NODE, &pillar).unwrap();
    let plain =
        NodeSettings { node_name: "node-1".into(), skip_draining: false, drain_timeout: None, force: false };
    assert_eq!(read(json!({"orchestrate": {"node_name": "node-1"}})), plain);
    assert!(
        read(json!({"orchestrate": {"node_name": "a.example.com", "skip_draining": true}})).skip_draining
    );
    let timed = read(json!({"orchestrate": {"node_name": "node-1", "drain_timeout": 60}}));
    assert_eq!(timed, NodeSettings { drain_timeout: Some(60), ..plain });
}

#[test]
fn each_procedure_has_settings_of_its_own() {
    let pillar = json!({"orchestrate": {"node_name": "node-1", "force": true}});
    assert!(NodeSettings::from_pillar(REMOVE_NODE, &pillar).unwrap().force);
    let refused = NodeSettings::from_pillar(DEPLOY_NODE, &pillar).unwrap_err();
    assert_eq!(refused.problems[0].key.as_deref(), Some("orchestrate.force"));
    let endless = json!({"orchestrate": {"node_name": "node-1", "drain_timeout": -1}});
    let refused = NodeSettings::from_pillar(REMOVE_NODE, &endless).unwrap_err();
    assert_eq!(refused.problems[0].key.as_deref(), Some("orchestrate.drain_timeout"));
}

#[test]
fn all_mistakes_in_the_settings_of_a_deployment_are_told_at_once() {
    let keys = |pillar: Value| -> Vec<(String, Option<String>)> {
        let problems = NodeSettings::from_pillar(DEPLOY_NODE, &pillar).unwrap_err().problems;
        problems.into_iter().map(|problem| (problem.key.unwrap(), problem.accepted)).collect()
    };
    let found = keys(json!({
        "other": 1,
        "orchestrate": {"node_nam": "x", "node_name": "Node_1", "skip_draining": "yes"},
    }));
    let names: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        names,
        ["other", "orchestrate.node_nam", "orchestrate.node_name", "orchestrate.skip_draining"]
    );
    assert_eq!(found[1].1.as_deref(), Some("`node_name`"));
    assert_eq!(keys(json!({}))[0].0, "orchestrate");
    assert_eq!(keys(json!({"orchestrate": {}}))[0].0, "orchestrate.node_name");
    assert_eq!(keys(json!({"orchestrate": {"node_name": "../etc"}}))[0].0, "orchestrate.node_name");
}

#[test]
fn an_unknown_function_names_its_neighbours() {
    let told = |line: &str| match read(line) {
        Err(err @ RunnerError::Unknown { .. }) => err.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        told("state.orchestrat x"),
        "the runner function `state.orchestrat` is not known; it may be `state.orchestrate`, \
         `state.orchestrate_single`, `state.orch`"
    );
    assert!(told("manage.version").contains("`manage.versions`"));
    assert!(told("nope.nope").contains("`doc.runner`"));
}

#[test]
fn words_that_would_be_ignored_are_refused() {
    for line in [
        "manage.versions x",
        "manage.status x",
        "manage.present tgt=x",
        "jobs.active x",
        "jobs.list_jobs x=1",
        "jobs.list_job",
        "jobs.list_job 5",
        "jobs.lookup_jid ../etc",
        "manage.up tgt_type=range",
        "manage.up tgt=( tgt_type=compound",
        "metalk8s_saltutil.wait_minions retry=0",
        "jobs.list_jobs search_metadata=x",
    ] {
        assert!(matches!(read(line), Err(RunnerError::Words { .. })), "{line}");
    }
}

#[test]
fn every_function_is_read() {
    for function in RUNNERS {
        let line = match function.words.split_whitespace().next().unwrap_or_default() {
            "JID" => format!("{} {JID}", function.name),
            "NAME" => format!("{} x", function.name),
            "FUNCTION" => format!("{} test.nop x", function.name),
            _ => function.name.to_owned(),
        };
        read(&line).unwrap();
    }
}

#[test]
fn words_become_what_is_asked() {
    match read("manage.down tgt=node-* ").unwrap_err() {
        RunnerError::Words { source, .. } => assert_eq!(source.problems.len(), 1),
        other @ RunnerError::Unknown { .. } => panic!("{other}"),
    }
    match read("manage.up tgt=os:Debian tgt_type=grain timeout=5").unwrap() {
        RunnerCall::Minions(Minions::Up, target) => assert_eq!(target.kind(), TargetKind::Grain),
        other => panic!("{other:?}"),
    }
    match read(&format!("jobs.lookup_jid {JID} missing=True")).unwrap() {
        RunnerCall::Lookup { jid, missing } => assert_eq!((jid.as_str(), missing), (JID, true)),
        other => panic!("{other:?}"),
    }
    match read("test.arg a 1 x=[y]").unwrap() {
        RunnerCall::Answer(answer) => assert_eq!(answer, json!({"args": ["a", 1], "kwargs": {"x": ["y"]}})),
        other => panic!("{other:?}"),
    }
}

#[test]
fn docs_are_of_all_functions_or_of_some() {
    assert_eq!(docs(&[]).as_object().unwrap().len(), RUNNERS.len());
    let of_test = docs(&["test".into()]);
    assert_eq!(
        of_test,
        json!({"test.arg": "shows its words as they are read\nsalt-run test.arg [WORD...] [NAME=VALUE...]"})
    );
}

#[test]
fn versions_are_grouped_as_salt_groups_them() {
    let tree = versions(
        "2.5.1",
        [
            ("a", Some("2.5.1")),
            ("b", Some("2.10.0")),
            ("c", Some("2.5.1-dev")),
            ("d", None),
            ("e", Some("2.4")),
        ],
    );
    assert_eq!(
        bare(&tree, &Form::default()).unwrap(),
        "\
Master:
    2.5.1
Minion newer than master:
    ----------
    b:
        2.10.0
Minion offline:
    ----------
    d:
        False
Minion requires update:
    ----------
    c:
        2.5.1-dev
    e:
        2.4
Up to date:
    ----------
    a:
        2.5.1
"
    );
    assert_eq!(versions("1.0.0", []), json!({"Master": "1.0.0"}));
}

fn job() -> Job {
    Job {
        jid: JID.into(),
        function: "test.ping".into(),
        arguments: vec![json!("x")],
        target: "node-*".into(),
        target_kind: TargetKind::Glob,
        user: "root".into(),
        minions: vec!["node-1".into(), "node-2".into()],
        metadata: None,
        returned: BTreeMap::from([("node-1".to_owned(), Returned::Value(json!(true)))]),
        running: BTreeMap::from([("node-2".to_owned(), Some(42))]),
    }
}

#[test]
fn jobs_have_salts_shapes() {
    let head = json!({
        "Function": "test.ping", "Arguments": ["x"], "Target": "node-*", "Target-type": "glob", "User": "root",
        "StartTime": "2026, Nov 25 22:52:33.123456",
    });
    let all = JobFilter::default();
    assert_eq!(list_jobs([&job()], &all), json!({ JID: head }));
    let mut running = head.clone();
    running["Running"] = json!([{"node-2": 42}]);
    running["Returned"] = json!(["node-1"]);
    assert_eq!(active([&job()]), json!({ JID: running }));
    let mut whole = head;
    whole["Minions"] = json!(["node-1", "node-2"]);
    whole["Result"] = json!({"node-1": {"return": true, "retcode": 0, "success": true}});
    assert_eq!(print_job(JID, Some(&job())), json!({ JID: whole }));
    assert_eq!(last_run([&job()], &all), json!({ JID: whole }));
    whole["jid"] = JID.into();
    assert_eq!(list_job(JID, Some(&job())), whole);
    assert_eq!(last_run([], &all), json!(false));
    assert_eq!(
        list_job(JID, None),
        json!({
            "jid": JID, "Error": "Cannot contact returner or no job with this jid",
            "StartTime": "2026, Nov 25 22:52:33.123456", "Result": {},
        })
    );
}

#[test]
fn states_that_were_returned_say_how_they_are_printed() {
    let states = json!({"test_|-a_|-a_|-nop": {"result": false}});
    let mut job = job();
    job.returned.insert("node-1".into(), Returned::States(states.as_object().unwrap().clone()));
    assert_eq!(
        list_job(JID, Some(&job))["Result"]["node-1"],
        json!({"return": states, "retcode": 2, "success": false, "out": "highstate"})
    );
}

#[test]
fn the_newest_job_that_is_asked_for_is_shown() {
    let mut older = job();
    older.jid = "20251125225233123456".into();
    older.metadata = json!({"a": 1}).as_object().cloned();
    let mut list = job();
    list.target_kind = TargetKind::List;
    list.target = "node-1,node-2".into();
    let jobs = [&older, &list];
    let newest =
        |filter: &JobFilter| last_run(jobs, filter).as_object().map(|map| map.keys().next().cloned());
    let of = |function: Value, target: Value| JobFilter::new(Some(&function), Some(&target), Map::new());
    assert_eq!(newest(&of(Value::Null, Value::Null)), Some(Some(JID.into())));
    assert_eq!(newest(&of(json!("cmd.*,test.*"), json!("node-2"))), Some(Some(JID.into())));
    assert_eq!(newest(&of(json!(["cmd.*"]), Value::Null)), None);
    let noted = JobFilter::new(None, None, json!({"a": 1}).as_object().unwrap().clone());
    assert_eq!(newest(&noted), Some(Some("20251125225233123456".into())));
}

#[test]
fn a_job_is_looked_up_with_or_without_those_that_are_missing() {
    let returned = |answer: Value| Answer::Returned(Returned::Value(answer));
    assert_eq!(lookup(Some(&job()), false), BTreeMap::from([("node-1".to_owned(), returned(json!(true)))]));
    assert_eq!(lookup(Some(&job()), true)["node-2"], returned(json!("Minion did not return")));
    assert!(lookup(None, true).is_empty());
}

#[test]
fn minions_that_are_there_and_away_are_told_in_order() {
    let told = |minions: Minions| minions.told(vec!["c".into(), "a".into()], vec!["b".into()]);
    assert_eq!(
        bare(&told(Minions::Status), &Form::default()).unwrap(),
        "down:\n    - b\nup:\n    - a\n    - c\n"
    );
    assert_eq!(told(Minions::Up), json!(["a", "c"]));
    assert_eq!(told(Minions::Present), json!(["a", "c"]));
    assert_eq!(told(Minions::Down), json!(["b"]));
    assert_eq!(told(Minions::NotPresent), json!(["b"]));
    assert!(Minions::Up.are_asked() && !Minions::Present.are_asked());
}

#[test]
fn nothing_is_synced() {
    assert_eq!(synced()["roster"], json!([]));
    assert_eq!(synced().as_object().unwrap().len(), 24);
}
