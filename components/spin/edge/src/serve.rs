//! HTTP, as the platform carries it.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use spin_sdk::variables;
use wire::error::{EdgeError, PROBLEM_TYPE};
use wire::request::{CALLER, path};

use crate::answer::Answer;
use crate::function::{Function, answer, body_max_bytes};
use crate::request::Parts;

/// A request as the platform gives it.
pub type Request = spin_sdk::http::Request;
/// The body of an answer: known at once, so that its length is said and nothing is sent in pieces.
pub type Body = Full<Bytes>;
/// An answer.
pub type Response = http::Response<Body>;

/// The variable that has the operator's token; nobody is the operator where it is absent or empty.
const OPERATOR_TOKEN: &str = "operator_token";

/// Answers a request.
pub async fn serve<F: Function>(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Some(names) = path(head.uri.path()) else {
        return failure(&EdgeError::no_such_path());
    };
    if head.method != http::Method::POST {
        return failure(&EdgeError::method_not_allowed());
    }
    let text = |name| {
        head.headers
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap_or_default())
    };
    let callers: Vec<&[u8]> = head.headers.get_all(CALLER).iter().map(HeaderValue::as_bytes).collect();
    let parts = Parts {
        names,
        content_type: text(header::CONTENT_TYPE),
        authorization: text(header::AUTHORIZATION),
        callers: &callers,
        body: &[],
    };
    let operator_token = match parts.authorization {
        Some(_) => variables::get(OPERATOR_TOKEN).await.unwrap_or_default(),
        None => String::new(),
    };
    let most = body_max_bytes::<F>(&parts, &operator_token);
    let body = match Limited::new(body, most).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return failure(&EdgeError::body_too_large(most));
        }
        Err(_) => return failure(&EdgeError::permanent("invalid", "the body cannot be read")),
    };
    let parts = Parts { body: &body, ..parts };
    respond(answer::<F>(parts, &operator_token).await)
}

fn respond(answer: Answer) -> Response {
    match answer {
        Ok(text) => response(StatusCode::OK, "application/json", text.into()),
        Err(error) => failure(&error),
    }
}

fn failure(error: &EdgeError) -> Response {
    response(error.status(), PROBLEM_TYPE, error.problem().into())
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, length);
    response
}
