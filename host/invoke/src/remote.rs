//! The endpoint of remote functions: on another node, or on another host that answers the same HTTP.
//!
//! Calls go out as those of the operator there, over connections that are kept. It knows neither what is called nor
//! what a caller is: it moves JSON, and turns whatever goes wrong on the way into the faults that a local call has. An
//! answer that never came may belong to a call that was done, as with any deadline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use call::{Context, Fault};
use config::RemoteSettings;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use wire::error::EdgeError;

use crate::parts::{Parts, Reply};
use crate::records::headers_of;
use crate::signature::Signature;

/// Where functions run, and the way there.
pub struct Remote {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
    deadline: Duration,
    answer_max_bytes: usize,
    /// Whether the last call failed, so that a row of failures is logged once.
    failing: AtomicBool,
    /// Whether this node's token was refused.
    mistrusted: AtomicBool,
    metrics: Metrics,
}

struct Metrics {
    seconds: metrics::Histogram,
    answered: metrics::Counter,
    failed: metrics::Counter,
}

/// What is wrong with the address or the token of remote functions.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address cannot be used.
    #[error("`{url}` is no address of functions: {reason}")]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be sent.
    #[error("the token for the remote functions must be visible ASCII, and not empty")]
    Token,
}

/// What came back of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// Its result, as JSON.
    Result(String),
    /// What was called, or the host there, said no.
    Refused(EdgeError),
    /// There, this node's token is not the operator's.
    Mistrusted,
}

impl Remote {
    /// Functions at a URL, called with the operator's token of there. Nothing is connected yet.
    pub fn new(
        url: &str,
        token: &str,
        settings: &RemoteSettings,
        answer_max_bytes: usize,
    ) -> Result<Self, RemoteError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(settings.connect_within_ms)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(settings.idle_timeout_ms))
            .pool_max_idle_per_host(settings.in_flight_max)
            .http2_only(settings.http2)
            .build(connector);
        let outcome = |outcome| metrics::counter!("mpim_remote_calls_total", "outcome" => outcome);
        Ok(Self {
            client,
            base: base(url)?,
            authorization: authorization(token)?,
            deadline: Duration::from_millis(settings.deadline_ms),
            answer_max_bytes,
            failing: AtomicBool::new(false),
            mistrusted: AtomicBool::new(false),
            metrics: Metrics {
                seconds: metrics::histogram!("mpim_remote_seconds"),
                answered: outcome("answered"),
                failed: outcome("failed"),
            },
        })
    }

    /// Where the functions are.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Whether the token of this node was refused by the last call that told.
    pub(crate) fn is_mistrusted(&self) -> bool {
        self.mistrusted.load(Ordering::Relaxed)
    }

    /// Makes a call with its named arguments, on behalf of its caller.
    pub(crate) async fn call(&self, signature: &Signature, parts: Parts, context: Context) -> Result<Reply, Fault> {
        let (function, method) = (&*signature.function, signature.name.as_str());
        let name = signature.full_name();
        let Parts::Json(arguments) = parts else {
            return Err(Fault::Trapped(name));
        };
        // The names may be a client's, and become a part of a path: what no function is called is not sent.
        if !is_name(function) || !is_name(method) {
            return Ok(Reply::Json(Err(EdgeError::unknown_method(function, method))));
        }
        let request = self.request(function, method, arguments.to_string(), &context)?;
        let begun = Instant::now();
        let outcome = match timeout_at(context.deadline.into(), self.exchange(request)).await {
            Ok(outcome) => outcome,
            // Others took its time, where it had little of it: that says nothing of the functions.
            Err(_) if begun.elapsed() < self.deadline / 2 => return Err(Fault::DeadlineExceeded(name)),
            Err(_) => Err(Broken::Late),
        };
        self.metrics.seconds.record(begun.elapsed());
        self.note(&outcome);
        let said = outcome.map_err(|broken| broken.fault(name))?.read();
        Ok(Reply::Json(self.tell(said)))
    }

    /// A client can do nothing about a token of this node; its operator can, and is told in the log.
    fn mistrust(&self) -> EdgeError {
        self.mistrusted.store(true, Ordering::Relaxed);
        tracing::error!("the remote functions refuse this node: its token is not that of their operator");
        EdgeError::passing("unavailable", "the functions cannot be called by this node")
    }

    /// What came of a call that the host made of its own. It has no caller, and is not asked for one by what it calls: then it
    /// was not heard as the operator.
    pub(crate) fn told_the_host(&self, error: EdgeError) -> EdgeError {
        match error.code.as_str() {
            "unauthenticated" => self.mistrust(),
            _ => error,
        }
    }

    fn tell(&self, said: Said) -> Result<String, EdgeError> {
        let trusted = match said {
            Said::Result(text) => Ok(text),
            Said::Refused(error) => Err(error),
            Said::Mistrusted => return Err(self.mistrust()),
        };
        if self.is_mistrusted() {
            self.mistrusted.store(false, Ordering::Relaxed);
        }
        trusted
    }

    fn request(
        &self,
        function: &str,
        method: &str,
        arguments: String,
        context: &Context,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/v1/{function}/{method}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, self.authorization.clone());
        for (name, value) in headers_of(context) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(arguments)));
        request.map_err(|error| Fault::InvalidArguments(error.to_string()))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, Broken> {
        let response = self.client.request(request).await.map_err(|error| {
            let reason = chain(&error);
            match error.is_connect() {
                true => Broken::Unreachable(reason),
                false => Broken::Lost(reason),
            }
        })?;
        let status = response.status();
        let body = match Limited::new(response.into_body(), self.answer_max_bytes)
            .collect()
            .await
        {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let error = EdgeError::answer_too_large(self.answer_max_bytes);
                return Ok(Answer::Problem(status, error));
            }
            Err(error) => return Err(Broken::Lost(error.to_string())),
        };
        Answer::of(status, &body)
    }

    /// Tells the measures and the log how a call ended.
    fn note(&self, outcome: &Result<Answer, Broken>) {
        match outcome {
            Ok(_) => {
                self.metrics.answered.increment(1);
                if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(url = self.base, "the remote functions answer again");
                }
            }
            Err(error) => {
                self.metrics.failed.increment(1);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(url = self.base, %error, "the remote functions do not answer");
                }
            }
        }
    }
}

/// What came back, and can be read.
#[derive(Debug)]
enum Answer {
    Result(String),
    Problem(StatusCode, EdgeError),
}

impl Answer {
    fn of(status: StatusCode, body: &[u8]) -> Result<Self, Broken> {
        if status != StatusCode::OK {
            let error = EdgeError::of_problem(body).ok_or(Broken::Nonsense(status))?;
            return Ok(Self::Problem(status, error));
        }
        let text = std::str::from_utf8(body).map_err(|_| Broken::Nonsense(status))?;
        // It goes into the middle of a frame: what is no JSON would break what is around it.
        serde_json::from_str::<&RawValue>(text).map_err(|_| Broken::Nonsense(status))?;
        Ok(Self::Result(text.trim().to_owned()))
    }

    /// A call on behalf of somebody that is forbidden for that was not heard as the operator's.
    fn read(self) -> Said {
        match self {
            Self::Result(text) => Said::Result(text),
            Self::Problem(StatusCode::FORBIDDEN, error) if error.code == "invalid" => Said::Mistrusted,
            Self::Problem(_, error) => Said::Refused(error),
        }
    }
}

/// Why nothing came back that can be read.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("cannot connect: {0}")]
    Unreachable(String),
    #[error("the connection ended: {0}")]
    Lost(String),
    #[error("no answer in time")]
    Late,
    #[error("the answer, with the status {0}, is not one of functions")]
    Nonsense(StatusCode),
}

impl Broken {
    /// What the caller is told: where the functions are is not for clients.
    fn fault(self, name: String) -> Fault {
        let unavailable = |what: &str| Fault::Unavailable(format!("{name}: {what}"));
        match self {
            Self::Late => Fault::DeadlineExceeded(name),
            Self::Unreachable(_) => unavailable("the functions cannot be reached"),
            Self::Lost(_) => unavailable("the functions went away before they answered"),
            // What a proxy says before functions that are not there, or are too many.
            Self::Nonsense(status) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                unavailable("the functions cannot be reached")
            }
            Self::Nonsense(_) => Fault::Trapped(name),
        }
    }
}

/// Whether a text may be the name of a function or a method.
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.bytes().all(allowed)
}

/// Scheme, host, port and path, without a slash at the end.
fn base(url: &str) -> Result<String, RemoteError> {
    let wrong = |reason: String| RemoteError::Address {
        url: url.to_owned(),
        reason,
    };
    let uri: Uri = url.parse().map_err(|error| wrong(format!("{error}")))?;
    if uri.scheme_str() != Some("http") {
        return Err(wrong("it must begin with http://, TLS is left to a proxy".to_owned()));
    }
    let authority = uri.authority().ok_or_else(|| wrong("it names no host".to_owned()))?;
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err(wrong("it has more than a host, a port and a path".to_owned()));
    }
    Ok(format!("http://{authority}{}", uri.path().trim_end_matches('/')))
}

fn authorization(token: &str) -> Result<HeaderValue, RemoteError> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RemoteError::Token);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| RemoteError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error with its causes: the outermost says only that something went wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
