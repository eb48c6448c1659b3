use axum::http::StatusCode;
use serde_json::json;

use crate::client::{Client, login};

#[tokio::test]
async fn anybody_is_welcome_and_told_the_clients() {
    let answer = Client::new().get("/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json()["return"], "Welcome");
    assert!(answer.json()["clients"].as_array().unwrap().contains(&json!("local_async")));
}

#[tokio::test]
async fn a_login_gives_the_token_in_three_places() {
    let client = Client::new();
    for body in [login("admin"), json!([login("admin")])] {
        let answer = client.post("/login", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let told = &answer.json()["return"][0];
        let token = told["token"].as_str().unwrap();
        assert_eq!(token.len(), 40);
        assert_eq!(answer.header("x-auth-token"), token);
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with(&format!("session_id={token};")), "{cookie}");
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("Secure") && cookie.contains("SameSite=Strict")
        );
        assert_eq!(told["user"], "oidc:admin");
        assert_eq!(told["eauth"], "kubernetes_rbac");
        assert_eq!(told["perms"], json!([".*", "@runner", "@wheel", "@jobs"]));
        let lasts = told["expire"].as_f64().unwrap() - told["start"].as_f64().unwrap();
        assert!((lasts - 12.0 * 3600.0).abs() < 5.0, "{lasts}");
    }
    let form = client.form("/login", "eauth=kubernetes_rbac&username=admin&password=admin-token").await;
    assert_eq!(form.status, StatusCode::OK);
}

#[tokio::test]
async fn a_login_that_is_not_right_is_refused_with_the_reason() {
    let client = Client::new();
    for (body, reason) in [
        (
            json!({"eauth": "pam", "username": "admin", "token": "admin-token"}),
            "`eauth` must be `kubernetes_rbac`",
        ),
        (json!({"eauth": "kubernetes_rbac", "token": "admin-token"}), "`username` is missing"),
        (json!({"eauth": "kubernetes_rbac", "username": "admin"}), "`token` is missing"),
        (
            json!({"eauth": "kubernetes_rbac", "username": "admin", "token": "x"}),
            "the cluster does not accept this token",
        ),
        (
            json!({"eauth": "kubernetes_rbac", "username": "root", "token": "admin-token"}),
            "the token is not one of this user",
        ),
    ] {
        let answer = client.post("/login", &body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let told = answer.json();
        assert_eq!(told["return"], "Could not authenticate using provided credentials");
        assert_eq!((&told["status"], &told["reason"]), (&json!(401), &json!(reason)));
    }
    let nobody = client.post("/login", &login("nobody")).await;
    assert_eq!(nobody.status, StatusCode::FORBIDDEN, "{}", nobody.text);
}

#[tokio::test]
async fn without_a_session_there_is_nothing_but_the_way_to_one() {
    let client = Client::new();
    for path in ["/minions", "/minions/node-1", "/jobs", "/jobs/1", "/keys", "/keys/x", "/stats", "/events"] {
        let answer = client.get(path).await;
        let told = json!({"status": 401, "return": "No permission -- see authorization schemes"});
        assert_eq!((answer.status, answer.json()), (StatusCode::UNAUTHORIZED, told), "{path}");
    }
    let chunk = json!({"client": "local", "tgt": "*", "fun": "test.ping"});
    for path in ["/", "/run", "/minions", "/logout"] {
        assert_eq!(client.post(path, &chunk).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(client.get("/login").await.json()["return"], "Please log in");
    let guessed = Client::new().header("x-auth-token", &"0".repeat(40));
    assert_eq!(guessed.get("/keys").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_is_known_by_its_cookie_and_ends_by_a_logout() {
    let client = Client::of("admin").await;
    let token = client.token().to_owned();
    assert_eq!(client.get("/keys").await.status, StatusCode::OK);
    let answer = client.post("/logout", &json!({})).await;
    assert_eq!(answer.json(), json!({"return": "Your token has been cleared"}));
    assert_eq!(client.get("/keys").await.status, StatusCode::UNAUTHORIZED);
    let client = client.header("cookie", &format!("session_id={token}"));
    assert_eq!(client.get("/keys").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_of_the_cluster_needs_no_session() {
    let client = Client::new().header("authorization", "Bearer admin-token");
    assert_eq!(client.get("/keys").await.status, StatusCode::OK);
    let ping = json!({"client": "local", "tgt": "node-1", "fun": "test.ping"});
    assert_eq!(client.low(ping).await, json!({"node-1": true}));
    let stranger = Client::new().header("authorization", "Bearer x");
    assert_eq!(stranger.get("/keys").await.status, StatusCode::UNAUTHORIZED);
    let nobody = Client::new().header("authorization", "Bearer nobody-token");
    assert_eq!(nobody.get("/keys").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_one_may_not_do_is_not_even_begun() {
    let client = Client::of("reader").await;
    let ping = json!({"client": "local", "tgt": "*", "fun": "test.ping"});
    assert_eq!(client.low(ping.clone()).await.as_object().unwrap().len(), 3);
    let before = client.fleet.given("node-1");
    let both = json!([ping, {"client": "local", "tgt": "*", "fun": "cmd.run", "arg": "id"}]);
    let answer = client.post("/", &both).await;
    let told = json!({"status": 403, "return": "`reader` may not call `cmd.run`"});
    assert_eq!((answer.status, answer.json()), (StatusCode::FORBIDDEN, told));
    assert_eq!(client.fleet.given("node-1"), before);
    assert_eq!(client.get("/keys").await.status, StatusCode::FORBIDDEN);
    assert_eq!(client.get("/minions").await.status, StatusCode::OK);
    let writer = Client::of("writer").await;
    assert_eq!(writer.post("/", &both).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_storage_operator_works_with_volumes() {
    let body = json!({"eauth": "kubernetes_rbac", "username": "storage-operator", "token": "operator-token"});
    let answer = Client::new().post("/login", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let client = Client::new().header("authorization", "Bearer operator-token");
    let volumes =
        json!({"client": "local_async", "tgt": "node-1", "fun": "state.sls", "arg": ["metalk8s.volumes"]});
    assert_eq!(client.low(volumes).await["minions"], json!(["node-1"]));
    let roles =
        json!({"client": "local_async", "tgt": "node-1", "fun": "state.sls", "arg": ["metalk8s.roles"]});
    assert_eq!(client.post("/", &roles).await.status, StatusCode::FORBIDDEN);
}
