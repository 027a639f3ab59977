//! One request by HTTP and its answer. It refuses to know what is asked.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
pub use hyper::Method;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::Address;
use crate::error::{Close, Error, Problem};

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Asks, on a connection of its own. A status other than success is a refusal of `what`.
pub async fn ask(
    address: &Address,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: String,
    what: &str,
) -> Result<Bytes, Error> {
    let mut request = Request::builder()
        .method(method)
        .uri(address.path(path))
        .header(header::HOST, address.authority())
        .header(header::ACCEPT, "application/json");
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Error::Unreadable(format!("no request can be made for {what}: {error}")))?;
    timeout(REQUEST_TIMEOUT, exchange(address, request, what))
        .await
        .unwrap_or_else(|_| Err(Error::Late(what.to_owned())))
}

async fn exchange(address: &Address, request: Request<Full<Bytes>>, what: &str) -> Result<Bytes, Error> {
    let stream = TcpStream::connect(address.endpoint())
        .await
        .map_err(|error| Error::Unreachable {
            address: address.to_string(),
            reason: error.to_string(),
        })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
        match status.is_success() {
            true => Ok(body),
            false => Err(Error::Refused(Problem::refusal(what, status.as_u16(), &body))),
        }
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end together with its last answer, which is then there already.
        _ = connection => answer.await,
    }
}

fn broken(error: hyper::Error) -> Error {
    Error::Closed(Close::broken(error))
}
