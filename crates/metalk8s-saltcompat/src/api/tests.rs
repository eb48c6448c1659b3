use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Asked, CLIENTS, Chunk, Credentials, Event, KeysCall, MinionsCall, Rights, Way, credentials,
    event::Called, from_form,
};
use crate::{Returned, batch::BatchSize, parse_words, runner::RunnerCall};

fn one(chunk: Value) -> Chunk {
    Chunk::parse_all(&chunk).unwrap().remove(0)
}

fn refused(chunk: Value) -> String {
    Chunk::parse_all(&chunk).unwrap_err().to_string()
}

fn minions(chunk: Value) -> MinionsCall {
    match one(chunk).asked {
        Asked::Minions(call) => call,
        other => panic!("{other:?}"),
    }
}

#[test]
fn arguments_of_any_type_become_words_that_are_read_as_them() {
    let call = minions(json!({
        "client": "local", "tgt": "*", "fun": "test.arg",
        "arg": ["a b", 5, true, null, {"k": [1, "x: y"]}, ["1"]],
        "kwarg": {"pillar": {"a": null}, "test": true, "name": "=x", "text": "plain"},
    }));
    let words = parse_words(&call.words);
    assert_eq!(
        words.positional,
        [json!("a b"), json!(5), json!(true), json!(null), json!({"k": [1, "x: y"]}), json!(["1"])]
    );
    assert_eq!(
        Value::from(words.named),
        json!({"pillar": {"a": null}, "test": true, "name": "=x", "text": "plain"})
    );
    assert_eq!(minions(json!({"client": "local", "tgt": "*", "fun": "f.g", "arg": "one"})).words, ["one"]);
}

#[test]
fn targets_have_two_names_for_their_kind_and_may_be_lists() {
    for chunk in [
        json!({"client": "local", "fun": "f.g", "tgt": "a,b", "expr_form": "list"}),
        json!({"client": "local", "fun": "f.g", "tgt": "a,b", "tgt_type": "list", "expr_form": null}),
        json!({"client": "local", "fun": "f.g", "tgt": ["a", "b"]}),
    ] {
        let target = minions(chunk).target;
        assert!(target.is_for("a", None) && target.is_for("b", None) && !target.is_for("c", None));
    }
}

#[test]
fn a_form_is_a_chunk_and_repeated_names_are_lists() {
    let pairs = [
        ("client", "local_subset"),
        ("tgt", "*"),
        ("fun", "f.g"),
        ("arg", "a"),
        ("arg", "b=1"),
        ("sub", "2"),
    ];
    let form = from_form(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let call = minions(form);
    assert_eq!(call.words, ["a", "b=1"]);
    assert_eq!(call.way, Way::Subset(2));
}

#[test]
fn a_batch_is_a_number_or_a_part_and_a_tenth_where_nothing_is_said() {
    let way = |batch: Value| {
        minions(
            json!({"client": "local_batch", "tgt": "*", "fun": "f.g", "batch": batch, "failhard": "True"}),
        )
        .way
    };
    let batch = |size| Way::Batch { size, fail_hard: true };
    assert_eq!(way(json!(3)), batch(BatchSize::Count(3)));
    assert_eq!(way(json!("25%")), batch(BatchSize::Percent(25.0)));
    assert_eq!(way(Value::Null), batch(BatchSize::Percent(10.0)));
}

#[test]
fn functions_of_the_master_take_names_beside_the_others() {
    let jid = "20190612071130203596";
    for chunk in [
        json!({"client": "runner", "fun": "jobs.lookup_jid", "jid": jid, "timeout": "9", "token": "secret"}),
        json!({"client": "runner", "fun": "jobs.lookup_jid", "kwarg": {"jid": jid}}),
        json!({"client": "runner", "fun": "jobs.lookup_jid", "arg": [format!("jid={jid}")]}),
        json!({"client": "runner", "fun": "jobs.lookup_jid", "arg": jid}),
    ] {
        let Asked::Master(call) = one(chunk).asked else { panic!() };
        assert!(matches!(call.call, RunnerCall::Lookup { jid: found, .. } if found == jid));
    }
}

#[test]
fn what_is_wrong_is_said_with_the_number_of_its_chunk() {
    let good = json!({"client": "local", "tgt": "*", "fun": "test.ping"});
    for (chunk, says) in [
        (json!([good, {"client": "ssh", "fun": "f.g"}]), "chunk 2: `client` is `ssh`"),
        (json!([]), "a lowstate is"),
        (json!("x"), "a lowstate is"),
        (json!({"client": "local", "fun": "f.g"}), "`tgt` is missing"),
        (json!({"client": "local", "tgt": "*"}), "`fun` is missing"),
        (json!({"client": "local", "tgt": "*", "fun": ["a.b"]}), "`fun` is a text"),
        (json!({"client": "local", "tgt": "*", "fun": "f.g", "kwarg": {"a b": 1}}), "`a b` is not the name"),
        (json!({"client": "local", "tgt": "*", "fun": "f.g", "timeout": 0}), "`timeout` is a number"),
        (
            json!({"client": "local_batch", "tgt": "*", "fun": "f.g", "batch": "0%"}),
            "`batch`: `0%` is neither",
        ),
        (json!({"client": "local", "tgt": "os", "tgt_type": "grain", "fun": "f.g"}), "`tgt`: "),
        (json!({"client": "runner", "fun": "manage.upp"}), "`manage.up`"),
        (json!({"client": "runner", "fun": "manage.up", "arg": "x"}), "does not take the word `x`"),
        (json!({"client": "wheel", "fun": "key.delete"}), "`match` is missing"),
        (json!({"client": "wheel", "fun": "config.values"}), "none of key.list_all"),
    ] {
        let said = refused(chunk);
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn keys_are_asked_for_by_the_word_or_by_its_name() {
    for chunk in [
        json!({"client": "wheel", "fun": "key.delete", "match": "node-*"}),
        json!({"client": "wheel", "fun": "key.delete", "arg": ["node-*"]}),
    ] {
        assert!(matches!(one(chunk).asked, Asked::Keys(KeysCall::Delete(pattern)) if pattern == "node-*"));
    }
}

#[test]
fn a_login_has_its_secret_under_two_names_and_shows_it_under_none() {
    let wanted = Credentials {
        eauth: Some("kubernetes_rbac".into()),
        username: Some("admin".into()),
        token: Some("secret".to_owned().into()),
    };
    for body in [
        json!({"eauth": "kubernetes_rbac", "username": "admin", "token": "secret"}),
        json!([{"eauth": "kubernetes_rbac", "username": "admin", "password": "secret"}]),
    ] {
        assert_eq!(credentials(&body).unwrap(), wanted);
    }
    assert!(!format!("{wanted:?}").contains("secret"));
    assert!(credentials(&json!({"token": 1})).is_err());
}

#[test]
fn administrators_may_everything_and_strangers_nothing() {
    let delete = one(json!({"client": "wheel", "fun": "key.delete", "match": "*"})).asked;
    let command = one(json!({"client": "local", "tgt": "*", "fun": "cmd.run", "arg": "id"})).asked;
    assert_eq!(Rights::known("anybody", &["node-admins"]), Some(Rights::All));
    assert_eq!(Rights::known("anybody", &["system:masters"]), Some(Rights::All));
    assert_eq!(Rights::known("node-admins", &["x"]), None);
    assert_eq!(Rights::of_agents(true, true), Rights::All);
    assert_eq!(Rights::of_agents(false, true), Rights::Reading);
    assert_eq!(Rights::of_agents(false, false), Rights::Nothing);
    for asked in [&delete, &command] {
        assert!(Rights::All.allow(asked));
        for rights in [Rights::Nothing, Rights::Reading, Rights::Volumes] {
            assert!(!rights.allow(asked), "{rights:?} {asked:?}");
        }
    }
}

#[test]
fn who_reads_may_ask_what_changes_nothing() {
    for (client, function, allowed) in [
        ("local", "test.ping", true),
        ("local", "grains.items", true),
        ("local", "grains.setval", false),
        ("local", "state.apply", false),
        ("runner", "jobs.list_jobs", true),
        ("runner", "manage.status", true),
        ("runner", "saltutil.sync_all", false),
    ] {
        let chunk = json!({"client": client, "tgt": "*", "fun": function});
        let chunk = match client {
            "runner" => json!({"client": client, "fun": function}),
            _ => chunk,
        };
        assert_eq!(Rights::Reading.allow(&one(chunk).asked), allowed, "{function}");
    }
}

#[test]
fn the_storage_operator_may_apply_states_of_volumes_alone() {
    let rights =
        Rights::known("system:serviceaccount:kube-system:storage-operator", &["system:authenticated"]);
    assert_eq!(rights, Some(Rights::Volumes));
    let may = |arg: Value, kwarg: Value| {
        let chunk =
            json!({"client": "local_async", "tgt": "n", "fun": "state.sls", "arg": arg, "kwarg": kwarg});
        Rights::Volumes.allow(&one(chunk).asked)
    };
    let none = json!({});
    assert!(may(json!(["metalk8s.volumes"]), json!({"pillar": {"volume": "v"}, "saltenv": "metalk8s-1"})));
    assert!(may(json!([]), json!({"mods": "metalk8s.volumes.prepared"})));
    assert!(may(json!(["metalk8s.volumes,metalk8s.volumes.unprepared"]), none.clone()));
    assert!(may(json!([["metalk8s.volumes"]]), none.clone()));
    for (arg, kwarg) in [
        (json!(["metalk8s.roles.master"]), none.clone()),
        (json!(["metalk8s.volumesx"]), none.clone()),
        (json!(["metalk8s.volumes,x"]), none.clone()),
        (json!(["metalk8s.volumes", "x"]), none.clone()),
        (json!(["metalk8s.volumes"]), json!({"mods": "x"})),
        (json!(["metalk8s.volumes"]), json!({"localconfig": "x"})),
        (json!([["metalk8s.volumes", "x"]]), none.clone()),
        (json!([[]]), none.clone()),
        (json!([]), none.clone()),
    ] {
        assert!(!may(arg.clone(), kwarg.clone()), "{arg} {kwarg}");
    }
    let chunk = |client: &str, fun: &str| match client {
        "local" => json!({"client": client, "tgt": "n", "fun": fun}),
        _ => json!({"client": client, "fun": fun, "arg": "20190612071130203596"}),
    };
    assert!(Rights::Volumes.allow(&one(chunk("local", "disk.dump")).asked));
    assert!(Rights::Volumes.allow(&one(chunk("local", "metalk8s_volumes.device_name")).asked));
    assert!(Rights::Volumes.allow(&one(chunk("runner", "jobs.print_job")).asked));
    assert!(
        !Rights::Volumes
            .allow(&one(json!({"client": "runner", "fun": "state.sls", "arg": "metalk8s.volumes"})).asked)
    );
}

#[test]
fn an_event_is_one_tag_and_one_line_of_data() {
    let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let called = Called { jid: "1", function: "test.ping", words: &[], at };
    let event = Event::job_returned(called, "node-1", &Returned::Value(json!("a\nb")));
    let line = event.line();
    assert!(
        line.starts_with("tag: salt/job/1/ret/node-1\ndata: {\"tag\":\"salt/job/1/ret/node-1\",\"data\":{")
    );
    assert_eq!(line.matches('\n').count(), 3);
    assert_eq!(event.data["_stamp"], "2026-01-02T03:04:05.678000");
    assert_eq!((&event.data["success"], &event.data["return"]), (&json!(true), &json!("a\nb")));
}

#[test]
fn each_step_is_told_by_its_number_as_salt_tells_of_states() {
    let at: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let called = Called { jid: "1", function: "state.orchestrate", words: &[], at };
    let step = |number: u64, id: &str| json!({"__run_num__": number, "__id__": id, "result": true});
    let returned = json!({"data": {"bootstrap_master": {"z": step(0, "Cordon"), "a": step(1, "Drain")}}});
    let tags = |told: usize| -> Vec<String> {
        Event::steps_ended(called, &returned, told).into_iter().map(|event| event.tag).collect()
    };
    assert_eq!(tags(0), ["salt/job/1/prog/bootstrap_master/0", "salt/job/1/prog/bootstrap_master/1"]);
    assert_eq!(tags(1), ["salt/job/1/prog/bootstrap_master/1"]);
    assert_eq!(tags(2), [""; 0]);
    let data = Event::steps_ended(called, &returned, 0).remove(0).data;
    assert_eq!(data["data"]["ret"], step(0, "Cordon"));
    assert_eq!((&data["id"], &data["jid"]), (&json!("bootstrap_master"), &json!("1")));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ -~é\\n=,*:{}\\[\\]]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_ =]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_body_is_chunks_or_a_mistake(
        client in prop::sample::select(&CLIENTS),
        function in prop::sample::select(vec!["state.sls", "state.orchestrate", "jobs.lookup_jid", "manage.up", "key.list", "key.delete", "x"]),
        rest in prop::collection::btree_map(
            prop::sample::select(vec!["tgt", "tgt_type", "arg", "kwarg", "timeout", "full_return", "subset", "batch", "failhard", "match", "token", "x"]),
            any_json(), 0..6),
        other in any_json(),
    ) {
        let mut chunk: serde_json::Map<String, Value> =
            rest.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        chunk.insert("client".into(), client.into());
        chunk.insert("fun".into(), function.into());
        for body in [Value::Object(chunk.clone()), json!([chunk, other]), other] {
            let _ = credentials(&body);
            if let Ok(chunks) = Chunk::parse_all(&body) {
                for chunk in chunks {
                    prop_assert!(Rights::All.allow(&chunk.asked));
                    prop_assert!(!Rights::Nothing.allow(&chunk.asked));
                    let _ = Rights::Volumes.allow(&chunk.asked);
                }
            }
        }
    }
}
