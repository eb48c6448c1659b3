use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    http::StatusCode,
};
use futures::StreamExt;
use metalk8s_saltapi::Limits;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::client::Client;

/// A stream of events that is open.
async fn open(client: &Client, path: &str) -> BodyDataStream {
    let response = client.open("GET", path, "", Body::empty()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    assert_eq!(next(&mut stream).await.as_deref(), Some("retry: 400\n"));
    stream
}

/// What comes next; nothing where the stream has ended.
async fn next(stream: &mut BodyDataStream) -> Option<String> {
    let bytes = timeout(Duration::from_secs(5), stream.next()).await.expect("something comes")?;
    Some(String::from_utf8(bytes.unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn a_job_is_told_to_whoever_listens() {
    let client = Client::of("admin").await;
    let mut stream = open(&client, "/events").await;
    let begun = client.low(json!({"client": "local_async", "tgt": "*", "fun": "test.ping"})).await;
    let jid = begun["jid"].as_str().unwrap();
    let first = next(&mut stream).await.unwrap();
    assert!(first.starts_with(&format!("tag: salt/job/{jid}/new\ndata: ")), "{first}");
    let data = first.lines().nth(1).unwrap().strip_prefix("data: ").unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!(event["tag"], format!("salt/job/{jid}/new"));
    assert_eq!(event["data"]["minions"], json!(["node-1", "node-2", "node-3"]));
    for _ in 0..3 {
        let event = next(&mut stream).await.unwrap();
        assert!(event.starts_with(&format!("tag: salt/job/{jid}/ret/node-")), "{event}");
        assert!(event.contains("\"return\":true") && event.ends_with("\n\n"), "{event}");
    }
}

#[tokio::test]
async fn a_procedure_and_a_function_of_the_master_are_told() {
    let client = Client::of("admin").await;
    let mut stream = open(&client, &format!("/events?token={}", client.token())).await;
    let pillar = json!({"orchestrate": {"node_name": "node-9"}});
    let deploy = json!({
        "client": "runner_async", "fun": "state.orchestrate", "pillar": pillar,
        "arg": "metalk8s.orchestrate.deploy_node",
    });
    let present = json!({"client": "runner_async", "fun": "manage.present"});
    for (chunk, steps) in [(deploy, 1), (present, 0)] {
        let begun = client.low(chunk).await;
        let (tag, jid) = (begun["tag"].as_str().unwrap(), begun["jid"].as_str().unwrap());
        let mut expected = vec![format!("{tag}/new")];
        expected.extend((0..steps).map(|step| format!("salt/job/{jid}/prog/bootstrap_master/{step}")));
        expected.push(format!("{tag}/ret"));
        for tag in expected {
            let event = next(&mut stream).await.unwrap();
            assert!(event.starts_with(&format!("tag: {tag}\n")), "{event}");
        }
    }
}

#[tokio::test]
async fn states_of_the_masters_machine_are_told_as_a_job_and_as_what_the_master_returned() {
    let client = Client::of("admin").await;
    let mut stream = open(&client, "/events").await;
    let chunk = json!({"client": "runner_async", "fun": "state.sls", "arg": ["metalk8s.deployed"]});
    let begun = client.low(chunk).await;
    let tag = begun["tag"].as_str().unwrap();
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(next(&mut stream).await.unwrap());
    }
    let begins = |start: &str| told.iter().filter(|event| event.starts_with(start)).count();
    assert_eq!(
        (begins(&format!("tag: {tag}/new\n")), begins(&format!("tag: {tag}/ret\n"))),
        (1, 1),
        "{told:?}"
    );
    assert_eq!(begins("tag: salt/job/"), 2, "{told:?}");
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let client = Client::of("admin").await;
    let mut stream = open(&client, &format!("/events?salt_token={}", client.token())).await;
    client.post("/logout", &json!({})).await;
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test]
async fn streams_are_counted_and_say_that_they_are_there() {
    let limits = Limits { streams: 1, keep_alive: Duration::from_millis(20), ..Limits::default() };
    let client = Client::with(limits).log_in("admin").await;
    let mut stream = open(&client, "/events").await;
    assert_eq!(next(&mut stream).await.as_deref(), Some(": still here\n\n"));
    assert_eq!(client.get("/events").await.status, StatusCode::TOO_MANY_REQUESTS);
    drop(stream);
    drop(open(&client, "/events").await);
}
