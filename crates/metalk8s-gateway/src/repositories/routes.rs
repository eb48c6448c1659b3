use std::fmt::Write as _;
use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

use super::archives::{Archives, Images};
use super::{packages, registry};
use crate::http::{
    Handler, Method, Request, Response, Traffic, TrafficFigures, decode_path, method_not_allowed,
};

/// Finds out who answers.
pub(super) struct Routes {
    pub(super) archives: Arc<Archives>,
    pub(super) traffic: Arc<Traffic>,
}

impl Handler for Routes {
    async fn answer(&self, request: &Request) -> Response {
        let path = match decode_path(&request.raw_path) {
            Ok(path) => path,
            Err(err) => return Response::text(StatusCode::BAD_REQUEST, format!("{err}\n")),
        };
        let (first, rest) = path.split_once('/').unwrap_or((&path, ""));
        if first == "v2" {
            return registry::answer(&self.archives, request, &path).await;
        }
        if request.method == Method::Other {
            return method_not_allowed();
        }
        match (first, rest) {
            ("", _) => self.overview().await,
            ("healthz", "") => Response::text(StatusCode::OK, "ok"),
            ("metrics", "") => self.metrics().await,
            (environment, rest) => packages::answer(&self.archives, request, environment, rest).await,
        }
    }
}

impl Routes {
    /// What is served here, for people.
    async fn overview(&self) -> Response {
        self.archives.look().await;
        let mut archives = Vec::new();
        for name in self.archives.names() {
            let (images, tags) = self.count(&name).await;
            archives.push(json!({
                "name": name, "packages": format!("/{name}/"), "images": images, "tags": tags,
            }));
        }
        let body = format!("{:#}\n", json!({ "archives": archives }));
        Response::bytes(StatusCode::OK, "application/json", body)
    }

    async fn count(&self, environment: &str) -> (usize, usize) {
        match self.archives.images(environment).await {
            Images::Layout(layout) => registry::count(&layout),
            Images::None | Images::Unreadable => (0, 0),
        }
    }

    async fn metrics(&self) -> Response {
        let mut images = String::new();
        let names = self.archives.names();
        for name in &names {
            let (count, _) = self.count(name).await;
            // The names of folders are not ours to trust; quotes would end the label.
            let label: String = name.chars().filter(|c| !matches!(c, '"' | '\\' | '\n')).collect();
            writeln!(images, "metalk8s_repositories_images{{archive=\"{label}\"}} {count}")
                .expect("a string takes all that is written to it");
        }
        let body = exposition(&self.traffic.figures(), names.len(), &images);
        Response::bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
    }
}

fn exposition(figures: &TrafficFigures, archives: usize, images: &str) -> String {
    let [_, success, redirection, client_error, server_error] = figures.answers;
    format!(
        "# TYPE metalk8s_repositories_archives gauge\n\
         metalk8s_repositories_archives {archives}\n\
         # TYPE metalk8s_repositories_images gauge\n\
         {images}\
         # TYPE metalk8s_repositories_connections gauge\n\
         metalk8s_repositories_connections {}\n\
         # TYPE metalk8s_repositories_connections_total counter\n\
         metalk8s_repositories_connections_total {}\n\
         # TYPE metalk8s_repositories_answers_total counter\n\
         metalk8s_repositories_answers_total{{class=\"2xx\"}} {success}\n\
         metalk8s_repositories_answers_total{{class=\"3xx\"}} {redirection}\n\
         metalk8s_repositories_answers_total{{class=\"4xx\"}} {client_error}\n\
         metalk8s_repositories_answers_total{{class=\"5xx\"}} {server_error}\n\
         # TYPE metalk8s_repositories_broken_answers_total counter\n\
         metalk8s_repositories_broken_answers_total {}\n\
         # TYPE metalk8s_repositories_sent_bytes_total counter\n\
         metalk8s_repositories_sent_bytes_total {}\n",
        figures.open, figures.accepted, figures.broken, figures.sent_bytes
    )
}
