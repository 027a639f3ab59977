//! Serving the frames of one connection: what a request asks for, and how a connection is logged in.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use call::{Caller, Connection, Context, Identity};
use invoke::{Input, Route};
use serde::Deserialize;
use wire::error::EdgeError;

use crate::gateway::Gateway;
use crate::outbox::Outbox;
use crate::rpc::{self, Incoming, Request};

/// What serving a frame came to.
pub(crate) struct Served {
    pub(crate) answers: Vec<Utf8Bytes>,
    /// The connection, when the frame logged it in.
    pub(crate) connection: Option<Arc<Connection>>,
}

/// Serves the requests of one frame in their order.
pub(crate) async fn serve_frame(
    gateway: Arc<Gateway>,
    id: u64,
    outbox: Arc<Outbox>,
    mut connection: Option<Arc<Connection>>,
    incoming: Incoming,
    route: Option<Arc<Route>>,
) -> Served {
    let before = connection.is_some();
    let mut answers = Vec::new();
    let mut room = gateway.settings.answer_max_bytes;
    for request in incoming.requests {
        match request {
            Ok(request) => {
                let wants_answer = request.id.clone();
                let outcome = serve_request(&gateway, id, &outbox, &mut connection, request, &route).await;
                if let Some(id) = wants_answer {
                    let outcome = within(outcome, &mut room, &gateway);
                    answers.push(rpc::response(Some(&id), &outcome));
                }
            }
            Err((id, error)) => answers.push(rpc::response(id.as_ref(), &Err(error))),
        }
    }
    let text = match (incoming.batch, answers.is_empty()) {
        (_, true) => None,
        (false, _) => answers.pop(),
        (true, _) => Some([b"[".as_slice(), &answers.join(&b','), b"]"].concat()),
    };
    Served {
        answers: text.map(frame_of).into_iter().collect(),
        connection: connection.filter(|_| !before),
    }
}

/// Serves requests of one method in a batch, which those of other connections may be in.
pub(crate) async fn serve_batch(
    gateway: Arc<Gateway>,
    connection: Arc<Connection>,
    route: Arc<Route>,
    requests: Vec<Request>,
) -> Served {
    let (ids, params): (Vec<_>, _) = requests.into_iter().map(|request| (request.id, request.params)).unzip();
    let context = Context::begin(connection.caller(), route.deadline());
    let outcomes = gateway.invoke.call_many(&route, params, context).await;
    let most = gateway.settings.answer_max_bytes;
    let wanted = ids.iter().zip(outcomes).filter(|(id, _)| id.is_some());
    let answers = wanted.map(|(id, outcome)| {
        let outcome = outcome.and_then(|answer| answer.into_json(most));
        frame_of(rpc::response(id.as_ref(), &outcome))
    });
    Served {
        answers: answers.collect(),
        connection: None,
    }
}

/// A frame of a text that was written here, which is UTF-8.
fn frame_of(text: Vec<u8>) -> Utf8Bytes {
    Utf8Bytes::try_from(bytes::Bytes::from(text)).unwrap_or_default()
}

/// An answer for which there is room among those of its batch.
fn within(outcome: Result<Vec<u8>, EdgeError>, room: &mut usize, gateway: &Gateway) -> Result<Vec<u8>, EdgeError> {
    let answer = outcome?;
    *room = room
        .checked_sub(answer.len())
        .ok_or_else(|| EdgeError::answer_too_large(gateway.settings.answer_max_bytes))?;
    Ok(answer)
}

async fn serve_request(
    gateway: &Arc<Gateway>,
    id: u64,
    outbox: &Arc<Outbox>,
    connection: &mut Option<Arc<Connection>>,
    request: Request,
    route: &Option<Arc<Route>>,
) -> Result<Vec<u8>, EdgeError> {
    let Request {
        function,
        method,
        params,
        ..
    } = request;
    let resumes = function == "connection" && method == "resume";
    let logs_in = gateway.hooks.is_login(&function, &method);
    if (resumes || logs_in) && connection.is_some() {
        return Err(EdgeError::permanent(
            "invalid",
            "this connection is logged in already, open another one",
        ));
    }
    if resumes {
        let Resume { token } = serde_json::from_value(params)
            .map_err(|error| EdgeError::permanent("invalid", format!("params: {error}")))?;
        let identity = gateway.hooks.verify(&token).await?;
        let bound = bind(gateway, id, outbox, identity).await?;
        let text = welcome(&bound);
        *connection = Some(bound);
        return Ok(text);
    }
    let caller = connection
        .as_ref()
        .map_or(Caller::Anonymous, |connection| connection.caller());
    let route = match route {
        Some(route) => route.clone(),
        None => gateway.invoke.route(&function, &method)?,
    };
    let context = Context::begin(caller, route.deadline());
    let answer = gateway.invoke.call(&route, Input::Json(params), context).await?;
    let text = answer.into_json(gateway.settings.answer_max_bytes)?;
    if logs_in && let Some(token) = token(&text) {
        let identity = gateway.hooks.verify(&token).await?;
        *connection = Some(bind(gateway, id, outbox, identity).await?);
    }
    Ok(text)
}

/// The `token` of a result, where it is a record that has one.
fn token(result: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Granted {
        token: String,
    }
    serde_json::from_slice::<Granted>(result)
        .ok()
        .map(|granted| granted.token)
}

/// The parameters of `connection.resume`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    token: String,
}

fn welcome(connection: &Connection) -> Vec<u8> {
    let identity = &connection.identity;
    let welcome = serde_json::json!({
        "user": identity.user.to_string(),
        "session": identity.session.to_string(),
        "device": &*identity.device,
        "device_class": &*identity.device_class,
        "connection": connection.id.to_string(),
    });
    welcome.to_string().into_bytes()
}

/// Makes a socket the connection of an identity. It is registered here first, so that what is pushed
/// to its node from then on reaches it; then the functions are told.
pub(crate) async fn bind(
    gateway: &Gateway,
    id: u64,
    outbox: &Arc<Outbox>,
    identity: Identity,
) -> Result<Arc<Connection>, EdgeError> {
    let connection = Arc::new(Connection {
        id,
        node: gateway.services.name.clone(),
        identity,
    });
    gateway.registry.insert(connection.clone(), outbox.clone());
    match open(gateway, &connection).await {
        Ok(()) => Ok(connection),
        Err(error) => {
            gateway.registry.remove(id);
            gateway.hooks.closed(&connection).await;
            Err(error)
        }
    }
}

async fn open(gateway: &Gateway, connection: &Arc<Connection>) -> Result<(), EdgeError> {
    if !gateway.hooks.opened(connection).await? {
        gateway.note_missed();
    }
    let topics = gateway.hooks.topics(connection).await?;
    gateway.registry.subscribe_connection(connection.id, topics);
    Ok(())
}
