use std::{convert::Infallible, time::Duration};

use axum::{body::Body, http::StatusCode};
use metalk8s_saltapi::Limits;
use serde_json::json;

use crate::client::{Client, login};

#[tokio::test]
async fn a_body_has_a_length_that_is_enough() {
    let client = Client::of("admin").await;
    let chunk = json!({"client": "local", "tgt": "*", "fun": "test.ping", "arg": "x".repeat(1 << 20)});
    let answer = client.post("/", &chunk).await;
    assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!(413)));
    // One that does not say how long it is.
    let chunks = futures::stream::repeat_with(|| Ok::<_, Infallible>(vec![b' '; 65536]));
    let answer = client.send("POST", "/", "application/json", Body::from_stream(chunks)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits { body_time: Duration::from_millis(50), ..Limits::default() };
    let client = Client::with(limits).log_in("admin").await;
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, Infallible>>());
    let answer = client.send("POST", "/", "application/json", never).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_body_that_is_nothing_known_is_refused_and_not_repeated() {
    let client = Client::of("admin").await;
    let answer = client.send("POST", "/", "application/json", "{\"token\": secret}".into()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(!answer.text.contains("secret"), "{}", answer.text);
    let answer = client.send("POST", "/", "image/png", "x".into()).await;
    assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let rate = metalk8s_saltapi::Rate { each_second: 0.5, at_once: 2.0 };
    let client = Client::with(Limits { session_rate: rate, ..Limits::default() }).log_in("admin").await;
    assert_eq!(client.get("/stats").await.status, StatusCode::OK);
    assert_eq!(client.get("/stats").await.status, StatusCode::OK);
    let answer = client.get("/stats").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), "2");
}

#[tokio::test]
async fn the_cluster_is_not_asked_about_any_number_of_tokens() {
    let rate = metalk8s_saltapi::Rate { each_second: 0.001, at_once: 2.0 };
    let client = Client::with(Limits { review_rate: rate, ..Limits::default() });
    for expected in [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        assert_eq!(client.post("/login", &login("admin")).await.status, expected);
    }
}
