//! Failures of Redis in the words of Spin, whose library for Redis is an older one and words them otherwise. It refuses
//! to know the command.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use wasmtime::component::{ComponentType, Lift, Lower};

/// `error`.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum Failure {
    #[component(name = "invalid-address")]
    InvalidAddress,
    #[component(name = "too-many-connections")]
    TooManyConnections,
    #[component(name = "type-error")]
    TypeError,
    #[component(name = "other")]
    Other(String),
}

/// How an answer of the wrong type begins.
const WRONG_TYPE: &str = "Response was of incompatible type - TypeError";

impl Failure {
    /// The one function for which Spin tells that the type of an answer is wrong. That of a key is no such thing: this
    /// is an error of the server.
    pub(super) fn of_sadd(self) -> Self {
        match self {
            Self::Other(text) if text.starts_with(WRONG_TYPE) => Self::TypeError,
            failure => failure,
        }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::Other(words(&error))
    }
}

fn words(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Extension | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            let detail = error.detail().unwrap_or("Unknown extension error encountered");
            format!("{}: {detail}", error.code().unwrap_or_default())
        }
        ErrorKind::Server(kind) => described(
            "An error was signalled by the server",
            server_kind(kind),
            error.detail(),
        ),
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse => match error.detail() {
            Some(detail) => format!("{WRONG_TYPE}: {detail}"),
            None => WRONG_TYPE.to_owned(),
        },
        kind => match error.to_string().split_once(&format!(" - {kind:?}")) {
            Some((description, detail)) => described(description, own_kind(kind), detail.strip_prefix(": ")),
            None => error.to_string(),
        },
    }
}

fn described(description: &str, kind: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => format!("{description} - {kind}: {detail}"),
        None => format!("{description}- {kind}"),
    }
}

fn server_kind(kind: ServerErrorKind) -> &'static str {
    match kind {
        ServerErrorKind::ExecAbort => "ExecAbortError",
        ServerErrorKind::BusyLoading => "BusyLoadingError",
        ServerErrorKind::NoScript => "NoScriptError",
        ServerErrorKind::Moved => "Moved",
        ServerErrorKind::Ask => "Ask",
        ServerErrorKind::TryAgain => "TryAgain",
        ServerErrorKind::ClusterDown => "ClusterDown",
        ServerErrorKind::CrossSlot => "CrossSlot",
        ServerErrorKind::MasterDown => "MasterDown",
        ServerErrorKind::ReadOnly => "ReadOnly",
        ServerErrorKind::NotBusy => "NotBusy",
        ServerErrorKind::NoSub => "NoSub",
        _ => "ResponseError",
    }
}

fn own_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::AuthenticationFailed => "AuthenticationFailed",
        ErrorKind::InvalidClientConfig => "InvalidClientConfig",
        ErrorKind::Io => "IoError",
        ErrorKind::RESP3NotSupported => "RESP3NotSupported",
        _ => "ClientError",
    }
}
