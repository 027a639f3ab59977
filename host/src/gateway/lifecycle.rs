//! The few calls that the gateway makes of its own: the manifest names the method for each.
//!
//! This is all that the host knows of functions by purpose, and it knows them by their types alone.

use std::sync::Arc;

use wasmtime::component::{Type, Val};

use super::calls;
use super::error::{self, EdgeError};
use crate::config::{GatewaySettings, MethodName};
use crate::deployments::{LoadError, Method};
use crate::dispatch::Dispatch;
use crate::identity::{Connection, Identity};
use crate::values::{self, ToRecord};

/// The methods that the manifest names, found and checked.
pub(super) struct Lifecycle {
    dispatch: Arc<Dispatch>,
    verify: Option<Arc<Method>>,
    login: Option<MethodName>,
    opened: Vec<Arc<Method>>,
    closed: Vec<Arc<Method>>,
    renewed: Vec<Arc<Method>>,
    topics: Option<Arc<Method>>,
    written: Option<Arc<Method>>,
    sweep: Option<Arc<Method>>,
}

/// A call failed, and that was logged.
struct Failed;

/// How many connections or ids one call takes.
const CHUNK: usize = 500;

impl Lifecycle {
    /// Finds every method that the settings name.
    pub(super) fn new(dispatch: Arc<Dispatch>, settings: &GatewaySettings) -> Result<Self, LoadError> {
        let one =
            |name: &Option<MethodName>, purpose| name.as_ref().map(|name| dispatch.named(name, purpose)).transpose();
        let many = |names: &[MethodName], purpose| {
            let found = names.iter().map(|name| dispatch.named(name, purpose));
            found.collect::<Result<Vec<_>, _>>()
        };
        if let Some(login) = &settings.login {
            let method = dispatch.named(login, "logging in")?;
            check_login(&method)?;
        }
        let lifecycle = Self {
            verify: one(&settings.verify, "verifying tokens")?,
            login: settings.login.clone(),
            opened: many(&settings.opened, "opened connections")?,
            closed: many(&settings.closed, "closed connections")?,
            renewed: many(&settings.renewed, "renewing connections")?,
            topics: one(&settings.topics, "topics of a connection")?,
            written: one(&settings.written, "written notifications")?,
            sweep: one(&settings.sweep, "sweeping connections")?,
            dispatch: dispatch.clone(),
        };
        lifecycle.check()?;
        Ok(lifecycle)
    }

    /// Parameters that the gateway cannot give are found at the start.
    fn check(&self) -> Result<(), LoadError> {
        let connection = Connection {
            id: 0,
            node: "".into(),
            identity: Identity {
                user: 0,
                session: 0,
                device: "".into(),
                device_class: "".into(),
                expires_at: 0,
            },
        };
        let mismatch = |method: &Method, purpose, reason: &str| LoadError::MethodMismatch {
            name: method.full_name(),
            purpose,
            reason: reason.to_owned(),
        };
        let takes_one = |ty: &Type| connection.to_val(ty).is_some();
        let takes_list = |ty: &Type| matches!(ty, Type::List(list) if takes_one(&list.ty()));
        for method in self.opened.iter().chain(&self.closed).chain(&self.topics) {
            if !matches!(method.parameters.as_slice(), [(_, ty)] if takes_one(ty)) {
                return Err(mismatch(
                    method,
                    "a connection came or went",
                    "it must take one `connection`",
                ));
            }
        }
        for method in &self.renewed {
            if !matches!(method.parameters.as_slice(), [(_, ty)] if takes_list(ty)) {
                return Err(mismatch(
                    method,
                    "renewing connections",
                    "it must take a list of `connection`",
                ));
            }
        }
        if let Some(method) = &self.verify
            && !matches!(method.parameters.as_slice(), [(_, Type::String)])
        {
            return Err(mismatch(method, "verifying tokens", "it must take one string"));
        }
        if let Some(method) = &self.written
            && !matches!(method.parameters.as_slice(), [(_, Type::List(list))] if list.ty() == Type::U64)
        {
            return Err(mismatch(method, "written notifications", "it must take a list of u64"));
        }
        if let Some(method) = &self.sweep
            && !matches!(method.parameters.as_slice(), [(_, Type::String), (_, Type::List(list))] if list.ty() == Type::U64)
        {
            return Err(mismatch(
                method,
                "sweeping connections",
                "it must take a string and a list of u64",
            ));
        }
        Ok(())
    }

    /// What a token stands for.
    pub(super) async fn verify(&self, token: &str) -> Result<Identity, EdgeError> {
        let Some(method) = &self.verify else {
            return Err(EdgeError::permanent(
                "unauthenticated",
                "this node has no way to verify tokens",
            ));
        };
        match self
            .dispatch
            .system(method, vec![Val::String(token.to_owned())])
            .await?
        {
            Ok(identity) => identity.as_ref().and_then(values::identity).ok_or_else(|| {
                tracing::error!(method = method.full_name(), "the answer is no identity");
                EdgeError::permanent("internal", "internal error")
            }),
            Err(error) => Err(error::answered(error.as_ref())),
        }
    }

    /// Whether a call logs its connection in.
    pub(super) fn is_login(&self, function: &str, method: &str) -> bool {
        self.login
            .as_ref()
            .is_some_and(|login| login.function == function && login.method == method)
    }

    /// Tells that a connection is there. False: somebody could not be told, and is when the leases are renewed; until
    /// then the connection serves its client all the same.
    pub(super) async fn opened(&self, connection: &Connection) -> Result<bool, EdgeError> {
        let mut complete = true;
        for method in &self.opened {
            match self.tell(method, connection).await {
                Ok(_) => {}
                Err(error) if error.retryable => {
                    complete = false;
                    metrics::counter!("mpim_gateway_unreported_connections_total").increment(1);
                    tracing::debug!(
                        method = method.full_name(),
                        error = error.message,
                        "a new connection was not reported"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        Ok(complete)
    }

    /// The topics of a connection.
    pub(super) async fn topics(&self, connection: &Connection) -> Result<Vec<String>, EdgeError> {
        let Some(method) = &self.topics else {
            return Ok(Vec::new());
        };
        let topics = self.tell(method, connection).await?;
        let text = |topic: &Val| values::text(topic).map(str::to_owned);
        Ok(topics
            .and_then(|topics| values::list(&topics, text))
            .unwrap_or_default())
    }

    /// Tells that a connection is gone. What fails is left to the end of the leases.
    pub(super) async fn closed(&self, connection: &Connection) {
        for method in &self.closed {
            if let Err(error) = self.tell(method, connection).await {
                tracing::warn!(
                    method = method.full_name(),
                    error = error.message,
                    "a closed connection was not reported"
                );
            }
        }
    }

    /// Tells that connections are still there; gives the ids of those that must be closed, and whether everybody
    /// could be told.
    pub(super) async fn renewed(&self, connections: &[Arc<Connection>]) -> (Vec<u64>, bool) {
        let (mut close, mut complete) = (Vec::new(), true);
        for method in &self.renewed {
            let Some((_, Type::List(list))) = method.parameters.first() else {
                continue;
            };
            for chunk in connections.chunks(CHUNK) {
                let records = chunk
                    .iter()
                    .filter_map(|connection| connection.to_val(&list.ty()))
                    .collect();
                let Ok(answer) = self.say(method, vec![Val::List(records)]).await else {
                    complete = false;
                    continue;
                };
                let ids = answer.and_then(|ids| values::list(&ids, values::number));
                close.extend(ids.unwrap_or_default());
            }
        }
        (close, complete)
    }

    /// Tells that sockets took notifications.
    pub(super) async fn written(&self, ids: &[u64]) {
        let Some(method) = &self.written else { return };
        for chunk in ids.chunks(CHUNK) {
            // What was not reported is pushed again, and reported then.
            let _ = self
                .say(method, vec![Val::List(chunk.iter().copied().map(Val::U64).collect())])
                .await;
        }
    }

    /// Tells which connections of this node there are, so that those of its former life can end.
    pub(super) async fn sweep(&self, node: &str, alive: &[u64]) {
        let Some(method) = &self.sweep else { return };
        let alive = Val::List(alive.iter().copied().map(Val::U64).collect());
        // The leases end by themselves.
        let _ = self.say(method, vec![Val::String(node.to_owned()), alive]).await;
    }

    async fn tell(&self, method: &Method, connection: &Connection) -> Result<Option<Val>, EdgeError> {
        // Whether the record fits was checked at the start.
        let record = method.parameters.first().and_then(|(_, ty)| connection.to_val(ty));
        let answer = self.dispatch.system(method, record.into_iter().collect()).await?;
        answer.map_err(|error| error::answered(error.as_ref()))
    }

    /// A call whose failure is logged, and made good by a later one.
    async fn say(&self, method: &Method, arguments: Vec<Val>) -> Result<Option<Val>, Failed> {
        let error = match self.dispatch.system(method, arguments).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error::answered(error.as_ref()),
            Err(fault) => fault.into(),
        };
        tracing::warn!(
            method = method.full_name(),
            error = error.message,
            "a call of the gateway failed"
        );
        Err(Failed)
    }
}

/// The connection that calls it is logged in with the token of its result.
fn check_login(method: &Method) -> Result<(), LoadError> {
    let gives_token = match calls::result_type(method) {
        Some(Type::Record(record)) => record
            .fields()
            .any(|field| field.name == "token" && field.ty == Type::String),
        _ => false,
    };
    if gives_token {
        return Ok(());
    }
    Err(LoadError::MethodMismatch {
        name: method.full_name(),
        purpose: "logging in",
        reason: "it must give a record with a `token` of type string".to_owned(),
    })
}
