use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::client::Client;

#[tokio::test]
async fn minions_tell_their_facts() {
    let client = Client::of("reader").await;
    let all = client.get("/minions").await.json();
    assert_eq!(all["return"][0].as_object().unwrap().len(), 3);
    let one = client.get("/minions/node-1").await.json();
    assert_eq!(one, json!({"return": [{"node-1": {"id": "node-1", "os": "Debian"}}]}));
    assert_eq!(client.get("/minions/nobody").await.json(), json!({"return": [{}]}));
}

#[tokio::test]
async fn what_is_begun_has_a_link_to_its_job() {
    let client = Client::of("admin").await;
    let answer = client.post("/minions", &json!([{"tgt": "node-1", "fun": "test.ping"}])).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let told = answer.json();
    let jid = told["return"][0]["jid"].as_str().unwrap();
    let link = told["_links"]["jobs"][0]["href"].as_str().unwrap();
    assert_eq!(link, format!("/jobs/{jid}"));
    let job = client.get(link).await.json();
    assert_eq!(job["return"], json!([{"node-1": true}]));
    assert_eq!((&job["info"][0]["jid"], &job["info"][0]["Function"]), (&json!(jid), &json!("test.ping")));
    let all = client.get("/jobs").await.json();
    assert_eq!(all["return"][0][jid]["Function"], "test.ping");
    let unknown = client.get("/jobs/20200101000000000000").await.json();
    assert_eq!(unknown["return"], json!([{}]));
    assert_eq!(client.get("/jobs/x").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn keys_and_numbers_are_told() {
    let client = Client::of("admin").await;
    assert_eq!(client.get("/keys").await.json()["return"]["minions"], json!(["node-1", "node-2", "node-3"]));
    assert_eq!(client.get("/keys/node-1").await.json(), json!({"return": {"minions": {"node-1": ""}}}));
    let stats = client.get("/stats").await.json();
    assert_eq!(stats["CherryPy Applications"]["Current Requests"], 1);
    assert_eq!(stats["MetalK8s"]["Sessions"], 1);
    assert_eq!(stats["MetalK8s"]["Logins"], 1);
}

#[tokio::test]
async fn answers_are_yaml_for_whoever_asks_for_it() {
    let client = Client::new().header("accept", "application/x-yaml");
    let answer = client.get("/").await;
    assert_eq!(answer.header("content-type"), "application/x-yaml");
    assert!(answer.text.starts_with("return: Welcome\nclients:\n"), "{}", answer.text);
    let refused = client.get("/keys").await;
    assert!(refused.text.contains("status: 401\n"), "{}", refused.text);
    let browser = Client::new().header("accept", "text/html").get("/").await;
    assert_eq!(browser.header("content-type"), "application/json");
}

#[tokio::test]
async fn paths_and_methods_that_there_are_not_are_told_as_data() {
    let client = Client::new();
    let told: Value = client.get("/hook").await.json();
    assert_eq!(told, json!({"status": 404, "return": "Not Found"}));
    assert_eq!(client.post("/jobs", &json!({})).await.json()["status"], 405);
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_is_said_to_be() {
    let client = Client::of("admin").await;
    client.fleet.take_down();
    let answer = client.post("/", &json!({"client": "local", "tgt": "*", "fun": "test.ping"})).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.json()["return"].as_str().unwrap().starts_with("could not list the agents"));
}
