//! The paths that describe a node, and those of its operator.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use invoke::Invoke;
use wire::error::{EdgeError, PROBLEM_TYPE};
use wire::request;

use crate::functions::functions;
use crate::openapi::document;

/// What the paths read.
pub struct Admin {
    /// The functions.
    pub invoke: Arc<Invoke>,
    /// The secret by which the operator is known.
    pub operator_token: String,
}

/// `/openapi.json` for everybody; `/admin/functions` and `/admin/metrics` for the operator.
pub fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/openapi.json", get(describe))
        .route("/admin/functions", get(list))
        .route("/admin/metrics", get(metrics))
        .with_state(admin)
}

async fn describe(State(admin): State<Arc<Admin>>) -> Response {
    json(document(&admin.invoke.table()))
}

async fn list(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Result<Response, Refused> {
    admin.operator(&headers)?;
    let text = serde_json::to_string(&functions(&admin.invoke.table()));
    let text = text.map_err(|error| EdgeError::permanent("internal", error.to_string()))?;
    Ok(json(text))
}

async fn metrics(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Result<String, Refused> {
    admin.operator(&headers)?;
    Ok(telemetry::prometheus())
}

impl Admin {
    fn operator(&self, headers: &HeaderMap) -> Result<(), EdgeError> {
        let authorization = headers.get(header::AUTHORIZATION);
        let authorization = authorization.map(|value| value.to_str().unwrap_or_default());
        let token = request::bearer(authorization).unwrap_or_default();
        if request::is_secret(token, &self.operator_token) {
            return Ok(());
        }
        Err(EdgeError::permanent(
            "unauthenticated",
            "this path is for the operator, with the token in DATA/operator.token",
        ))
    }
}

fn json(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

/// The answer to a request that was refused.
struct Refused(EdgeError);

impl From<EdgeError> for Refused {
    fn from(error: EdgeError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, PROBLEM_TYPE)];
        (self.0.status(), headers, Body::from(self.0.problem())).into_response()
    }
}
