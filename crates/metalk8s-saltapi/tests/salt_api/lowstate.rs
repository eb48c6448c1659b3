use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Client, login};

const DEPLOY: &str = "metalk8s.orchestrate.deploy_node";

fn deploy(client: &str) -> Value {
    let pillar = json!({"orchestrate": {"node_name": "node-9"}});
    json!({"client": client, "fun": "state.orchestrate", "arg": [DEPLOY], "kwarg": {"pillar": pillar}})
}

#[tokio::test]
async fn minions_return_under_their_names_in_json_and_in_forms() {
    let client = Client::of("admin").await;
    let ping = json!({"client": "local", "tgt": "*", "fun": "test.ping"});
    let all = json!({"node-1": true, "node-2": true, "node-3": true});
    assert_eq!(client.post("/", &ping).await.json(), json!({"return": [all]}));
    assert_eq!(client.post("/", &json!([ping, ping])).await.json(), json!({"return": [all, all]}));
    let form = "client=local&tgt=node-1,node-2&expr_form=list&fun=test.arg&arg=a&arg=b%3D1";
    let words = json!(["a", "b=1"]);
    assert_eq!(client.form("/", form).await.json(), json!({"return": [{"node-1": words, "node-2": words}]}));
}

#[tokio::test]
async fn the_status_comes_with_a_full_return() {
    let client = Client::of("admin").await;
    let chunk = json!({"client": "local", "tgt": "node-1", "fun": "test.retcode", "full_return": true});
    let told = client.low(chunk).await;
    assert_eq!((&told["node-1"]["ret"], &told["node-1"]["retcode"]), (&json!("done"), &json!(3)));
    assert_eq!(told["node-1"]["jid"].as_str().unwrap().len(), 20);
}

#[tokio::test]
async fn whoever_does_not_answer_is_false_and_nobody_is_nothing() {
    let client = Client::of("admin").await;
    client.fleet.deafen("node-2");
    let ping = |tgt: &str| json!({"client": "local", "tgt": tgt, "fun": "test.ping", "timeout": 1});
    assert_eq!(client.low(ping("*")).await, json!({"node-1": true, "node-2": false, "node-3": true}));
    assert_eq!(client.low(ping("web*")).await, json!({}));
}

#[tokio::test]
async fn a_subset_is_some_of_them() {
    let client = Client::of("admin").await;
    let chunk = json!({"client": "local_subset", "tgt": "*", "fun": "test.ping", "subset": 2});
    assert_eq!(client.low(chunk).await.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn of_a_batch_each_minion_is_told_by_itself_and_a_failure_can_stop_it() {
    let client = Client::of("admin").await;
    let batch = json!({"client": "local_batch", "tgt": "*", "fun": "test.ping", "batch": "2"});
    let (mut told, ping) =
        (client.all_low(batch).await, json!({"client": "local", "tgt": "x", "fun": "test.ping"}));
    told.sort_by_key(Value::to_string);
    assert_eq!(told, [json!({"node-1": true}), json!({"node-2": true}), json!({"node-3": true})]);
    let nobody = json!({"client": "local_batch", "tgt": "web*", "fun": "test.ping"});
    assert_eq!(client.all_low(json!([nobody, ping])).await, [json!({})]);
    let failing =
        json!({"client": "local_batch", "tgt": "*", "fun": "test.retcode", "batch": 1, "failhard": true});
    assert_eq!(client.all_low(failing).await, [json!({"node-1": "done"})]);
    assert_eq!(client.fleet.given("node-3"), ["test.ping"], "it began after another had failed");
}

#[tokio::test]
async fn a_lowstate_in_yaml_is_read_as_one_in_json_and_aliases_do_not_fill_the_memory() {
    let client = Client::of("admin").await;
    let send = async |text: String| client.send("POST", "/", "application/x-yaml", text.into()).await;
    let good = send("- client: local\n  tgt: node-1\n  fun: test.ping\n".to_owned()).await;
    assert_eq!(good.json(), json!({"return": [{"node-1": true}]}));
    let mut laughs = "a: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 0..24 {
        let again = vec![format!("*a{level}"); 8].join(", ");
        laughs.push_str(&format!("b{level}: &a{} [{again}]\n", level + 1));
    }
    for (text, says) in
        [("client: local\n  fun: [", "line 2 of the body is not YAML"), (&laughs, "is not YAML")]
    {
        let refused = send(text.to_owned()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.text.contains(says), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_job_that_is_not_waited_for_is_looked_up_by_its_id() {
    let client = Client::of("admin").await;
    let begun = client.low(json!({"client": "local_async", "tgt": "node-*", "fun": "test.ping"})).await;
    assert_eq!(begun["minions"], json!(["node-1", "node-2", "node-3"]));
    let lookup = json!({"client": "runner", "fun": "jobs.lookup_jid", "kwarg": {"jid": begun["jid"]}});
    assert_eq!(client.low(lookup).await, json!({"node-1": true, "node-2": true, "node-3": true}));
}

#[tokio::test]
async fn functions_of_the_master_return_a_value() {
    let client = Client::of("admin").await;
    client.fleet.deafen("node-3");
    let status = json!({"client": "runner", "fun": "manage.status", "timeout": 1});
    assert_eq!(client.low(status).await, json!({"up": ["node-1", "node-2"], "down": ["node-3"]}));
    let begun = client.low(json!({"client": "runner_async", "fun": "manage.present"})).await;
    assert_eq!(begun["tag"], format!("salt/run/{}", begun["jid"].as_str().unwrap()));
}

#[tokio::test]
async fn a_procedure_is_waited_for_or_polled_by_its_id() {
    let client = Client::of("admin").await;
    let told = client.low(deploy("runner")).await;
    assert_eq!((&told["outputter"], &told["retcode"]), (&json!("highstate"), &json!(0)));
    assert_eq!(told["data"]["bootstrap_master"].as_object().unwrap().len(), 1);
    let begun = client.low(deploy("runner_async")).await;
    let jid = begun["jid"].as_str().unwrap();
    assert_eq!(begun["tag"], format!("salt/run/{jid}"));
    let printed = client.low(json!({"client": "runner", "fun": "jobs.print_job", "jid": jid})).await;
    let returned = &printed[jid]["Result"]["bootstrap_master"]["return"];
    assert_eq!(returned["success"], true);
    assert_eq!(returned["return"]["retcode"], 0);
    let mut wrong = deploy("runner_async");
    wrong["arg"] = json!(["metalk8s.orchestrate.nothing"]);
    let answer = client.post("/", &wrong).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text.contains(DEPLOY), "{}", answer.text);
}

#[tokio::test]
async fn formulas_that_the_master_is_asked_for_are_applied_by_the_bootstrap_nodes_agent() {
    let client = Client::of("admin").await;
    let chunk = json!({
        "client": "runner", "fun": "state.sls", "arg": ["metalk8s.deployed"], "kwarg": {"saltenv": "metalk8s-9.9.9"},
    });
    let words = json!(["metalk8s.deployed", "saltenv=metalk8s-9.9.9"]);
    let returned = json!({"data": {"bootstrap_master": words}, "outputter": "highstate", "retcode": 0});
    assert_eq!(client.low(chunk).await, returned);
    let single = json!({"client": "runner", "fun": "state.orchestrate_single", "arg": ["test.nop", "a"]});
    assert_eq!(client.low(single).await["data"]["bootstrap_master"], json!(["test.nop", "a"]));
    assert_eq!(client.fleet.given("node-1"), ["state.sls", "state.single"]);
    assert!(client.fleet.given("node-2").is_empty());
    let unknown = json!({"client": "runner", "fun": "state.orchestrate_single", "arg": ["salt.wheel", "a"]});
    let answer = client.post("/", &unknown).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text.contains("salt.wheel"), "{}", answer.text);
}

#[tokio::test]
async fn keys_are_listed_and_deleted_in_an_envelope() {
    let client = Client::of("admin").await;
    let listed = client.low(json!({"client": "wheel", "fun": "key.list_all"})).await;
    assert!(listed["tag"].as_str().unwrap().starts_with("salt/wheel/"));
    let data = &listed["data"];
    assert_eq!((&data["success"], &data["fun"]), (&json!(true), &json!("wheel.key.list_all")));
    assert_eq!(data["return"]["minions"], json!(["node-1", "node-2", "node-3"]));
    assert_eq!(data["return"]["minions_pre"], json!([]));
    client.low(json!({"client": "wheel", "fun": "key.accept", "match": "node-4"})).await;
    client.low(json!({"client": "wheel", "fun": "key.delete", "match": "node-[12]"})).await;
    let left = client.low(json!({"client": "wheel", "fun": "key.list", "match": "accepted"})).await;
    assert_eq!(left["data"]["return"], json!({"minions": ["node-3"]}));
}

#[tokio::test]
async fn a_chunk_may_say_by_itself_who_asks() {
    let client = Client::new();
    let mut chunk = login("admin");
    for (name, value) in [("client", "local"), ("tgt", "node-1"), ("fun", "test.ping")] {
        chunk[name] = value.into();
    }
    assert_eq!(client.post("/run", &json!([chunk])).await.json(), json!({"return": [{"node-1": true}]}));
    let token = client.post("/token", &login("admin")).await.json()[0]["token"].clone();
    let chunk = json!({"client": "local", "tgt": "node-1", "fun": "test.ping", "token": token});
    assert_eq!(client.post("/run", &chunk).await.json(), json!({"return": [{"node-1": true}]}));
    let mixed = json!([chunk, {"client": "local", "tgt": "node-1", "fun": "test.ping"}]);
    assert_eq!(client.post("/run", &mixed).await.status, StatusCode::UNAUTHORIZED);
}
