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
use tokio::net::TcpListener;
use wire::request;

use super::error::{EdgeError, Refused};
use super::records::By;
use super::socket::Socket;
use super::{Gateway, Guard, calls};
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
        .fallback(|| async { Refused::from(EdgeError::no_such_path()) })
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

async fn method_not_allowed() -> Refused {
    EdgeError::method_not_allowed().into()
}

async fn call(
    State(gateway): Shared,
    path: Result<Path<(String, String)>, extract::rejection::PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Result<Response, Refused> {
    let Path((function, method)) = path.map_err(|error| EdgeError::permanent("invalid", error.body_text()))?;
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => EdgeError::body_too_large(gateway.settings.frame_max_bytes),
        _ => EdgeError::permanent("invalid", error.body_text()),
    })?;
    request::json_only(text(&headers, header::CONTENT_TYPE))?;
    let params = request::arguments(&body)?;
    let by = by(&gateway, &headers).await?;
    let called = calls::call(&gateway, &function, &method, params, by).await?;
    Ok(json(called.text))
}

/// Who makes a call: the operator, in person or on behalf of somebody, or a client with or without a token.
///
/// Whoever else names a caller is refused rather than heard without it: an edge whose token is wrong would otherwise
/// make calls of nobody, and learn of it from answers that look like those to its clients. The status tells it apart
/// from arguments that are invalid.
async fn by(gateway: &Gateway, headers: &HeaderMap) -> Result<By, Refused> {
    if is_operator(gateway, headers) {
        return Ok(By::read(headers)?);
    }
    if headers.contains_key(request::CALLER) {
        let message = format!("the header `{}` is for the operator", request::CALLER);
        return Err(EdgeError::not_the_operator(message).into());
    }
    let caller = match bearer(headers) {
        Some(token) => Some(gateway.lifecycle.verify(token).await?.caller()),
        None => None,
    };
    Ok(By::Client(caller))
}

fn json(text: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    request::bearer(text(headers, header::AUTHORIZATION))
}

/// A header; one that is no text is as good as an empty one.
fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

async fn upgrade(
    State(gateway): Shared,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Refused> {
    let upgrade = upgrade.map_err(|error| EdgeError::permanent("invalid", error.body_text()))?;
    let full = || EdgeError::passing("overloaded", "the node has no room for another connection");
    let guard = Guard::enter(&gateway).ok_or_else(full)?;
    let id = gateway.node.ids.next();
    let id = id.map_err(|error| EdgeError::passing("unavailable", error.to_string()))?;
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

async fn functions(State(gateway): Shared, headers: HeaderMap) -> Result<Response, Refused> {
    operator(&gateway, &headers)?;
    let functions = &gateway.functions;
    let text = serde_json::to_string(&admin::functions(functions.here(), functions.elsewhere()));
    Ok(json(text.map_err(|error| {
        EdgeError::permanent("internal", error.to_string())
    })?))
}

async fn metrics(State(gateway): Shared, headers: HeaderMap) -> Result<String, Refused> {
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

fn is_operator(gateway: &Gateway, headers: &HeaderMap) -> bool {
    request::is_secret(bearer(headers).unwrap_or_default(), &gateway.operator_token)
}
