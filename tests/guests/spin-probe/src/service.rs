//! The steps as an HTTP service.

use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use spin_sdk::http::{FullBody, IntoResponse, Request};
use spin_sdk::http_service;

use crate::steps::{Connections, Running, Step};

/// Runs the steps of a request one after another. With the header `x-length` the answer says how long it is.
#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let _running = Running::begin();
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return told(StatusCode::BAD_REQUEST, "a body that ends early", false);
    };
    let steps: Vec<Step> = match serde_json::from_slice(&body.to_bytes()) {
        Ok(steps) => steps,
        Err(error) => return told(StatusCode::BAD_REQUEST, &error.to_string(), false),
    };
    let mut connections = Connections::default();
    let mut given = Vec::new();
    for step in steps {
        given.push(connections.run(step, &parts.headers).await);
    }
    let given = serde_json::to_string(&given).unwrap_or_default();
    told(StatusCode::OK, &given, parts.headers.contains_key("x-length"))
}

fn told(status: StatusCode, text: &str, with_length: bool) -> Response<FullBody<bytes::Bytes>> {
    let mut response = Response::new(FullBody::new(bytes::Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    if with_length {
        response.headers_mut().insert("content-length", text.len().into());
    }
    response
}
