//! Functions that run elsewhere: on another node, or on another host that answers the same HTTP.
//!
//! Calls go out as those of the operator there, over connections that are kept. It knows neither what is called nor
//! what a caller is: it moves JSON, and turns whatever goes wrong on the way into the faults that a call here has. An
//! answer that never came may belong to a call that was done, as with any deadline.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::breakers::Breaker;
use crate::config::{BreakerSettings, RemoteSettings, ms};
use crate::fault::Fault;
use crate::places::Places;

/// Says on behalf of whom the operator makes a call; a call without it is one of the host itself.
pub const ON_BEHALF: &str = "mpim-caller";

/// Where functions run, and the way there.
pub struct Remote {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    authorization: HeaderValue,
    settings: RemoteSettings,
    answer_max_bytes: usize,
    breaker: Breaker,
    /// For the calls that are under way.
    lines: Places,
    /// Whether the last call failed, so that a row of failures is logged once.
    failing: AtomicBool,
    metrics: Metrics,
}

struct Metrics {
    seconds: metrics::Histogram,
    answered: metrics::Counter,
    failed: metrics::Counter,
}

/// What is wrong with the place or the token of functions elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address cannot be used.
    #[error("`{url}` is no place of functions: {reason}")]
    Address {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token cannot be sent.
    #[error("the token for the functions elsewhere must be visible ASCII, and not empty")]
    Token,
}

/// Why a call gave no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What was called, or the host there, said no.
    Refused {
        /// Stable, in snake case.
        code: String,
        /// For people.
        message: String,
        /// Whether the same call may succeed later.
        retryable: bool,
    },
    /// There was no answer.
    Fault(Fault),
    /// The answer has more than so many bytes.
    TooLarge(usize),
    /// There, this node's token is not the operator's.
    Mistrusted,
}

/// An error that came over HTTP: `application/problem+json`.
#[derive(Deserialize)]
struct Problem {
    detail: String,
    code: String,
    retryable: bool,
}

impl Remote {
    /// Functions at a URL, called with the operator's token of there. Nothing is connected yet.
    pub fn new(
        url: &str,
        token: &str,
        settings: RemoteSettings,
        breaker: BreakerSettings,
        answer_max_bytes: usize,
    ) -> Result<Self, RemoteError> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(ms(settings.connect_within_ms)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(ms(settings.idle_timeout_ms))
            .pool_max_idle_per_host(settings.in_flight_max)
            .build(connector);
        let outcome = |outcome| metrics::counter!("mpim_remote_calls_total", "outcome" => outcome);
        Ok(Self {
            client,
            base: base(url)?,
            authorization: authorization(token)?,
            answer_max_bytes,
            breaker: Breaker::new(breaker),
            lines: Places::new(settings.in_flight_max, settings.waiting_max),
            failing: AtomicBool::new(false),
            metrics: Metrics {
                seconds: metrics::histogram!("mpim_remote_seconds"),
                answered: outcome("answered"),
                failed: outcome("failed"),
            },
            settings,
        })
    }

    /// Where the functions are.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Makes a call with its named arguments as JSON, on behalf of whom a header says, or of the host itself. Gives the
    /// result as JSON text.
    pub async fn call(
        &self,
        function: &str,
        method: &str,
        arguments: String,
        on_behalf: Option<HeaderValue>,
    ) -> Result<String, Failure> {
        let name = full_name(function, method)?;
        let deadline = Instant::now() + ms(self.settings.deadline_ms);
        let overloaded = || Fault::Overloaded("too many calls of functions elsewhere are under way".to_owned());
        let _line = self.lines.take(deadline).await.ok_or_else(overloaded)?;
        if !self.breaker.allow() {
            return Err(Fault::BreakerOpen(name).into());
        }
        let request = self.request(function, method, arguments, on_behalf)?;
        let begun = Instant::now();
        let outcome = match timeout_at(deadline, self.exchange(request)).await {
            Ok(outcome) => outcome,
            // Others took its time, where it had little of it: that says nothing of the functions.
            Err(_) if begun.elapsed() < ms(self.settings.deadline_ms) / 2 => {
                return Err(Fault::DeadlineExceeded(name).into());
            }
            Err(_) => Err(Broken::Late),
        };
        self.metrics.seconds.record(begun.elapsed());
        self.note(&outcome);
        match outcome {
            Ok(answer) => answer.read(),
            Err(broken) => Err(broken.failure(name)),
        }
    }

    fn request(
        &self,
        function: &str,
        method: &str,
        arguments: String,
        on_behalf: Option<HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/v1/{function}/{method}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, self.authorization.clone());
        if let Some(caller) = on_behalf {
            request = request.header(ON_BEHALF, caller);
        }
        let request = request.body(Full::new(Bytes::from(arguments)));
        request.map_err(|error| Fault::InvalidArguments(error.to_string()).into())
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
            Err(error) if error.is::<LengthLimitError>() => return Ok(Answer::TooLarge(self.answer_max_bytes)),
            Err(error) => return Err(Broken::Lost(error.to_string())),
        };
        Answer::of(status, &body)
    }

    /// Tells the breaker and the log how a call ended.
    fn note(&self, outcome: &Result<Answer, Broken>) {
        self.breaker.report(outcome.is_ok());
        match outcome {
            Ok(_) => {
                self.metrics.answered.increment(1);
                if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(url = self.base, "the functions elsewhere answer again");
                }
            }
            Err(error) => {
                self.metrics.failed.increment(1);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(url = self.base, %error, "the functions elsewhere do not answer");
                }
            }
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What came back, and can be read.
#[derive(Debug)]
enum Answer {
    Result(String),
    Problem(StatusCode, String, String, bool),
    TooLarge(usize),
}

impl Answer {
    fn of(status: StatusCode, body: &[u8]) -> Result<Self, Broken> {
        let nonsense = || Broken::Nonsense(status);
        let text = std::str::from_utf8(body).map_err(|_| nonsense())?;
        if status == StatusCode::OK {
            // It goes into the middle of a frame: what is no JSON would break what is around it.
            serde_json::from_str::<&RawValue>(text).map_err(|_| nonsense())?;
            return Ok(Self::Result(text.trim().to_owned()));
        }
        let Problem {
            detail,
            code,
            retryable,
        } = serde_json::from_str(text).map_err(|_| nonsense())?;
        Ok(Self::Problem(status, code, detail, retryable))
    }

    /// A call on behalf of somebody that is forbidden for that was not heard as the operator's.
    fn read(self) -> Result<String, Failure> {
        match self {
            Self::Result(text) => Ok(text),
            Self::TooLarge(most) => Err(Failure::TooLarge(most)),
            Self::Problem(status, code, message, retryable) => match (status, code.as_str()) {
                (StatusCode::FORBIDDEN, "invalid") => Err(Failure::Mistrusted),
                _ => Err(Failure::Refused {
                    code,
                    message,
                    retryable,
                }),
            },
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
    fn failure(self, name: String) -> Failure {
        let unavailable = |what: &str| Fault::Unavailable(format!("{name}: {what}"));
        let fault = match self {
            Self::Late => Fault::DeadlineExceeded(name),
            Self::Unreachable(_) => unavailable("the functions cannot be reached"),
            Self::Lost(_) => unavailable("the functions went away before they answered"),
            // What a proxy says before functions that are not there, or are too many.
            Self::Nonsense(status) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                unavailable("the functions cannot be reached")
            }
            Self::Nonsense(_) => Fault::Trapped(name),
        };
        fault.into()
    }
}

/// `FUNCTION.METHOD`. The names may be a client's, and become a part of a path: what no function is called is not sent.
fn full_name(function: &str, method: &str) -> Result<String, Failure> {
    let is_name = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !text.is_empty() && text.bytes().all(allowed)
    };
    if is_name(function) && is_name(method) {
        return Ok(format!("{function}.{method}"));
    }
    let clip = |text: &str| text.chars().take(64).collect::<String>();
    Err(Fault::UnknownMethod(format!("{}.{}", clip(function), clip(method))).into())
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
