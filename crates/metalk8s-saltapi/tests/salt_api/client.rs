use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, Response, StatusCode},
};
use http_body_util::BodyExt;
use metalk8s_saltapi::{Api, Limits, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::fake::{FakeFleet, FakePeople};

/// A client of an API that has three minions.
pub(crate) struct Client {
    pub(crate) fleet: Arc<FakeFleet>,
    router: Router,
    headers: Vec<(&'static str, String)>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        let fleet = FakeFleet::new(&["node-1", "node-2", "node-3"]);
        let api = Api::new(fleet.clone(), Arc::new(FakePeople), limits);
        Self { fleet, router: router(api), headers: Vec::new() }
    }

    /// Somebody who is logged in.
    pub(crate) async fn of(name: &str) -> Self {
        Self::new().log_in(name).await
    }

    pub(crate) async fn log_in(mut self, name: &str) -> Self {
        let answer = self.post("/login", &login(name)).await;
        let token = answer.json()["return"][0]["token"].as_str().unwrap().to_owned();
        self.headers = vec![("x-auth-token", token)];
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn token(&self) -> &str {
        &self.headers[0].1
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", body.to_string().into()).await
    }

    pub(crate) async fn form(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, "application/x-www-form-urlencoded", body.to_owned().into()).await
    }

    /// What the one chunk of a lowstate returned.
    pub(crate) async fn low(&self, chunk: Value) -> Value {
        self.all_low(json!([chunk])).await.swap_remove(0)
    }

    /// What a whole lowstate returned.
    pub(crate) async fn all_low(&self, lowstate: Value) -> Vec<Value> {
        let answer = self.post("/", &lowstate).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["return"].as_array().unwrap().clone()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, kind: &str, body: Body) -> Answer {
        let response = self.open(method, path, kind, body).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) async fn open(&self, method: &str, path: &str, kind: &str, body: Body) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        if !kind.is_empty() {
            request = request.header("content-type", kind);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) fn login(name: &str) -> Value {
    json!({"eauth": "kubernetes_rbac", "username": name, "token": format!("{name}-token")})
}
