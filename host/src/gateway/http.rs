//! The HTTP edge: `POST /v1/FUNCTION/METHOD`, the WebSocket upgrade, what describes the node, and
//! what its operator asks.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Router, extract};
use serde_json::Value;
use tokio::net::TcpListener;

use super::error::EdgeError;
use super::records::By;
use super::socket::Socket;
use super::{Gateway, Guard, calls};
use crate::remote::ON_BEHALF;
use crate::{admin, openapi};

type Shared = State<Arc<Gateway>>;

/// All routes of the edge.
pub(super) fn router(gateway: Arc<Gateway>) -> Router {
    let limit = DefaultBodyLimit::max(gateway.settings.frame_max_bytes);
    Router::new()
        .route("/v1/{function}/{method}", post(call))
        .route("/ws", get(upgrade))
        .route("/openapi.json", get(describe))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/admin/functions", get(functions))
        .route("/admin/metrics", get(metrics))
        .fallback(|| async { EdgeError::permanent("not_found", "no such path") })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(limit)
        .with_state(gateway)
}

/// Serves until told to stop; answers without delay.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a socket keeps its delay");
        }
    });
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn method_not_allowed() -> Response {
    EdgeError::permanent("invalid", "this path takes another HTTP method").with_status(StatusCode::METHOD_NOT_ALLOWED)
}

async fn call(
    State(gateway): Shared,
    path: Result<Path<(String, String)>, extract::rejection::PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Result<Response, EdgeError> {
    let Path((function, method)) = path.map_err(|error| EdgeError::permanent("invalid", error.body_text()))?;
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => EdgeError::permanent("too_large", error.body_text()),
        _ => EdgeError::permanent("invalid", error.body_text()),
    })?;
    json_only(&headers)?;
    let params = match body.as_ref() {
        b"" => Value::Object(serde_json::Map::new()),
        bytes => {
            serde_json::from_slice(bytes).map_err(|error| EdgeError::permanent("parse_error", error.to_string()))?
        }
    };
    let by = match by(&gateway, &headers).await? {
        Ok(by) => by,
        Err(refusal) => return Ok(refusal),
    };
    let called = calls::call(&gateway, &function, &method, params, by).await?;
    Ok(json(called.text))
}

/// Who makes a call: the operator, in person or on behalf of somebody, or a client with or without a token.
///
/// Whoever else names a caller is refused rather than heard without it: an edge whose token is wrong would otherwise
/// make calls of nobody, and learn of it from answers that look like those to its clients. The status tells it apart
/// from arguments that are invalid.
async fn by(gateway: &Gateway, headers: &HeaderMap) -> Result<Result<By, Response>, EdgeError> {
    if is_operator(gateway, headers) {
        return By::read(headers).map(Ok);
    }
    if headers.contains_key(ON_BEHALF) {
        let refusal = EdgeError::permanent("invalid", format!("the header `{ON_BEHALF}` is for the operator"));
        return Ok(Err(refusal.with_status(StatusCode::FORBIDDEN)));
    }
    let caller = match bearer(headers) {
        Some(token) => Some(gateway.lifecycle.verify(token).await?.caller()),
        None => None,
    };
    Ok(Ok(By::Client(caller)))
}

fn json(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

/// A body that says that it is something else than JSON is refused before it is read.
fn json_only(headers: &HeaderMap) -> Result<(), EdgeError> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = kind
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(EdgeError::permanent(
        "unsupported_media_type",
        "the body must be application/json",
    ))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

async fn upgrade(
    State(gateway): Shared,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, EdgeError> {
    let upgrade = upgrade.map_err(|error| EdgeError::permanent("invalid", error.body_text()))?;
    let guard = Guard::enter(&gateway).ok_or_else(|| EdgeError {
        code: "overloaded".to_owned(),
        message: "the node has no room for another connection".to_owned(),
        retryable: true,
    })?;
    let id = gateway.node.ids.next().map_err(|error| EdgeError {
        code: "unavailable".to_owned(),
        message: error.to_string(),
        retryable: true,
    })?;
    let identity = match bearer(&headers) {
        Some(token) => Some(gateway.lifecycle.verify(token).await?),
        None => None,
    };
    let settings = &gateway.settings;
    let upgrade = upgrade
        .read_buffer_size(settings.read_buffer_bytes)
        // Frames that wait together are written together; the buffer is made when it is first used.
        .write_buffer_size(settings.write_buffer_bytes)
        .max_message_size(settings.frame_max_bytes)
        .max_frame_size(settings.frame_max_bytes);
    Ok(upgrade.on_upgrade(move |socket| Socket::new(gateway, socket, id, guard).run(identity)))
}

async fn describe(State(gateway): Shared) -> Response {
    json(openapi::document(gateway.functions.here()))
}

async fn functions(State(gateway): Shared, headers: HeaderMap) -> Result<Response, EdgeError> {
    operator(&gateway, &headers)?;
    let functions = &gateway.functions;
    let text = serde_json::to_string(&admin::functions(functions.here(), functions.elsewhere()));
    Ok(json(text.map_err(|error| {
        EdgeError::permanent("internal", error.to_string())
    })?))
}

async fn metrics(State(gateway): Shared, headers: HeaderMap) -> Result<String, EdgeError> {
    operator(&gateway, &headers)?;
    Ok(crate::telemetry::prometheus())
}

fn operator(gateway: &Gateway, headers: &HeaderMap) -> Result<(), EdgeError> {
    if is_operator(gateway, headers) {
        return Ok(());
    }
    Err(EdgeError::permanent(
        "unauthenticated",
        "this path is for the operator, with the token in DATA/operator.token",
    ))
}

/// Compares in constant time: the length of a token is no secret, its content is.
fn is_operator(gateway: &Gateway, headers: &HeaderMap) -> bool {
    let Some(given) = bearer(headers) else { return false };
    let (given, expected) = (given.as_bytes(), gateway.operator_token.as_bytes());
    let differences = given
        .iter()
        .zip(expected)
        .fold(0, |all, (one, other)| all | (one ^ other));
    given.len() == expected.len() && differences == 0
}
