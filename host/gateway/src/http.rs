//! The HTTP edge: `POST /v1/FUNCTION/METHOD`, the WebSocket upgrade, and whatever stands beside them.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Router, extract};
use call::{Caller, Context};
use http_body_util::LengthLimitError;
use invoke::{Input, Route, caller_of, context_of};
use tokio::net::TcpListener;
use wire::error::EdgeError;
use wire::request;

use crate::error::Refused;
use crate::gateway::Gateway;
use crate::socket::Socket;

type Shared = State<Arc<Gateway>>;

/// All paths of the edge, and those that others answer.
fn router(gateway: Arc<Gateway>, beside: Router) -> Router {
    Router::new()
        .route("/v1/{function}/{method}", post(call))
        .route("/ws", get(upgrade))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(gateway)
        .merge(beside)
        .fallback(|| async { Refused::from(EdgeError::no_such_path()) })
        .method_not_allowed_fallback(method_not_allowed)
}

/// Serves the edge of a node until draining begins; then takes no more connections. Sockets that are open go on. `beside` are
/// paths that others answer.
pub async fn serve(gateway: Arc<Gateway>, listener: TcpListener, beside: Router) -> std::io::Result<()> {
    gateway.hooks.sweep(&gateway.services.name, &[]).await;
    let mut draining = gateway.draining.clone();
    let stop = async move {
        // An error means that nobody can start draining any more: the process ends.
        let _ = draining.wait_for(|draining| *draining).await;
    };
    let router = router(gateway, beside);
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
    body: Body,
) -> Result<Response, Refused> {
    let Path((function, method)) = path.map_err(|error| EdgeError::permanent("invalid", error.body_text()))?;
    let body = read(&gateway, &headers, body).await?;
    request::json_only(text(&headers, header::CONTENT_TYPE))?;
    let params = request::arguments(&body)?;
    let caller = caller(&gateway, &headers).await?;
    let route = match headers.contains_key(request::CONTEXT) && is_operator(&gateway, &headers) {
        true => gateway.invoke.own_route(&function, &method)?,
        false => gateway.invoke.route(&function, &method)?,
    };
    let context = context(&gateway, &headers, caller, &route)?;
    let answer = gateway.invoke.call(&route, Input::Json(params), context).await?;
    Ok(json(answer.into_json(gateway.settings.answer_max_bytes)?))
}

/// The body of a request. What the operator asks in person, or another host passes on, may be a batch, of as many bodies of
/// clients as it may have calls.
async fn read(gateway: &Gateway, headers: &HeaderMap, body: Body) -> Result<Bytes, EdgeError> {
    let is_of_client = headers.contains_key(request::CALLER) && !headers.contains_key(request::CONTEXT);
    let most = match is_operator(gateway, headers) && !is_of_client {
        true => gateway
            .settings
            .frame_max_bytes
            .saturating_mul(gateway.batch_calls_max.max(1)),
        false => gateway.settings.frame_max_bytes,
    };
    to_bytes(body, most).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        match source.is_some_and(|source| source.is::<LengthLimitError>()) {
            true => EdgeError::body_too_large(most),
            false => EdgeError::permanent("invalid", error.to_string()),
        }
    })
}

/// Who makes a call: the operator, in person or on behalf of somebody, or a client with or without a token.
///
/// Whoever else names a caller is refused rather than heard without it: an edge whose token is wrong would otherwise
/// make calls of nobody, and learn of it from answers that look like those to its clients. The status tells it apart
/// from arguments that are invalid.
async fn caller(gateway: &Gateway, headers: &HeaderMap) -> Result<Caller, Refused> {
    if is_operator(gateway, headers) {
        return Ok(caller_of(headers)?);
    }
    if headers.contains_key(request::CALLER) {
        let message = format!("the header `{}` is for the operator", request::CALLER);
        return Err(EdgeError::not_the_operator(message).into());
    }
    Ok(match bearer(headers) {
        Some(token) => gateway.hooks.verify(token).await?.caller(),
        None => Caller::Anonymous,
    })
}

/// A call of an operator may have begun on another host, and goes on here in its context.
fn context(gateway: &Gateway, headers: &HeaderMap, caller: Caller, route: &Route) -> Result<Context, EdgeError> {
    match is_operator(gateway, headers) {
        true => context_of(headers, caller, route.deadline()),
        false => Ok(Context::begin(caller, route.deadline())),
    }
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
    let guard = gateway.sockets.enter().ok_or_else(full)?;
    let id = gateway.services.ids.next();
    let id = id.map_err(|error| EdgeError::passing("unavailable", error.to_string()))?;
    let identity = match bearer(&headers) {
        Some(token) => Some(gateway.hooks.verify(token).await?),
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

fn is_operator(gateway: &Gateway, headers: &HeaderMap) -> bool {
    request::is_secret(bearer(headers).unwrap_or_default(), &gateway.operator_token)
}
