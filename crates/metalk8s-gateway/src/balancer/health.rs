use std::fmt::Write as _;
use std::sync::Arc;

use http::StatusCode;

use super::backends::Pool;
use crate::http::{Handler, Method, Request, Response, method_not_allowed};

/// Answers on the health address.
pub(super) struct Health {
    pub(super) pool: Arc<Pool>,
}

impl Handler for Health {
    async fn answer(&self, request: &Request) -> Response {
        if request.method == Method::Other {
            return method_not_allowed();
        }
        match request.raw_path.as_str() {
            // Whether this program lives. An API server that is away is no reason to restart it.
            "/healthz" => Response::text(StatusCode::OK, "ok"),
            "/readyz" if self.pool.all().iter().any(|backend| backend.is_up()) => {
                Response::text(StatusCode::OK, "ok")
            }
            "/readyz" => Response::text(StatusCode::SERVICE_UNAVAILABLE, "no API server answers\n"),
            "/metrics" => {
                Response::bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics())
            }
            _ => Response::not_found(),
        }
    }
}

impl Health {
    fn metrics(&self) -> String {
        let backends = self.pool.all();
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, value: &dyn Fn(&super::backends::Backend) -> u64| {
            writeln!(text, "# TYPE metalk8s_balancer_{name} {kind}").expect("a string takes all");
            for backend in &backends {
                let (address, value) = (backend.address, value(backend));
                writeln!(text, "metalk8s_balancer_{name}{{backend=\"{address}\"}} {value}")
                    .expect("a string takes all");
            }
        };
        family("backend_up", "gauge", &|backend| u64::from(backend.is_up()));
        family("backend_connections", "gauge", &|backend| backend.connections() as u64);
        family("backend_failures_total", "counter", &|backend| backend.failures());
        text
    }
}
