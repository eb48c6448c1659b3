//! Every path.

mod events;
mod jobs;
mod keys;
mod login;
mod lowstate;
mod minions;
mod stats;

use std::sync::Arc;

use axum::{Router, middleware, routing};

use crate::{answer::render, api::Api};

/// The paths of rest_cherrypy, but for web hooks and web sockets.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/", routing::get(lowstate::welcome).post(lowstate::root))
        .route("/run", routing::post(lowstate::run))
        .route("/login", routing::get(login::form).post(login::log_in))
        .route("/logout", routing::post(login::log_out))
        .route("/token", routing::post(login::token))
        .route("/minions", routing::get(minions::all).post(minions::begin))
        .route("/minions/{id}", routing::get(minions::one))
        .route("/jobs", routing::get(jobs::all))
        .route("/jobs/{jid}", routing::get(jobs::one))
        .route("/keys", routing::get(keys::all))
        .route("/keys/{id}", routing::get(keys::one))
        .route("/stats", routing::get(stats::told))
        .route("/events", routing::get(events::stream))
        .layer(middleware::from_fn_with_state(Arc::clone(&api), render))
        .with_state(api)
}
