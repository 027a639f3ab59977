//! The hooks of connections: the few calls that the gateway makes of its own. The manifest names the method for each.
//!
//! This is all that the host knows of functions by purpose, and it knows them by their types alone.

use std::sync::Arc;

use call::{Caller, Connection, Identity};
use config::{GatewaySettings, MethodName};
use invoke::{Answer, Argument, HostArguments, Invoke, LoadError, Unfit};
use wire::error::EdgeError;

/// The methods that the manifest names, checked where their types are known.
pub(crate) struct Hooks {
    invoke: Arc<Invoke>,
    verify: Option<MethodName>,
    login: Option<MethodName>,
    opened: Vec<MethodName>,
    closed: Vec<MethodName>,
    renewed: Vec<MethodName>,
    topics: Option<MethodName>,
    delivered: Option<MethodName>,
    sweep: Option<MethodName>,
}

/// A call failed, and that was logged.
struct Failed;

/// How many connections or ids one call takes.
const CHUNK: usize = 500;

/// What the parameters are called: remote functions are called by these names.
const TOKEN: &str = "token";
const CONNECTION: &str = "connection";
const CONNECTIONS: &str = "connections";
const MESSAGES: &str = "messages";
const NODE: &str = "node";
const ALIVE: &str = "alive";

impl Hooks {
    /// Checks every method that the settings name.
    pub(crate) fn new(invoke: Arc<Invoke>, settings: &GatewaySettings) -> Result<Self, LoadError> {
        let hooks = Self {
            verify: settings.verify.clone(),
            login: settings.login.clone(),
            opened: settings.opened.clone(),
            closed: settings.closed.clone(),
            renewed: settings.renewed.clone(),
            topics: settings.topics.clone(),
            delivered: settings.delivered.clone(),
            sweep: settings.sweep.clone(),
            invoke,
        };
        hooks.check()?;
        Ok(hooks)
    }

    /// Parameters that the gateway cannot give are found at the start.
    fn check(&self) -> Result<(), LoadError> {
        let nobody = Arc::new(Connection {
            id: 0,
            node: "".into(),
            identity: Identity {
                user: 0,
                session: 0,
                device: "".into(),
                device_class: "".into(),
                expires_at: 0,
            },
        });
        let nobodies = [nobody.clone()];
        let token = [(TOKEN, Argument::Text(""))];
        let connection = [(CONNECTION, Argument::Connection(&nobody))];
        let connections = [(CONNECTIONS, Argument::Connections(&nobodies))];
        let delivered = [(MESSAGES, Argument::Ids(&[]))];
        let sweep = [(NODE, Argument::Text("")), (ALIVE, Argument::Ids(&[]))];
        let check = |names: &[MethodName], purpose, arguments: &HostArguments<'_>| {
            names
                .iter()
                .try_for_each(|name| self.invoke.check(name, purpose, arguments))
        };
        check(self.verify.as_slice(), "verifying tokens", &token)?;
        check(&self.opened, "opened connections", &connection)?;
        check(&self.closed, "closed connections", &connection)?;
        check(&self.renewed, "renewing connections", &connections)?;
        check(self.topics.as_slice(), "topics of a connection", &connection)?;
        check(self.delivered.as_slice(), "delivery reports", &delivered)?;
        check(self.sweep.as_slice(), "sweeping connections", &sweep)?;
        self.login
            .as_ref()
            .map_or(Ok(()), |login| self.invoke.check_login(login))
    }

    /// Finds out whether remote functions take the calls of this node.
    pub(crate) async fn probe(&self) -> Result<(), Unfit> {
        // A list of no connections changes nothing.
        let arguments = [(CONNECTIONS, Argument::Connections(&[]))];
        for name in &self.renewed {
            self.invoke.probe(name, &arguments).await?;
        }
        Ok(())
    }

    /// What a token stands for.
    pub(crate) async fn verify(&self, token: &str) -> Result<Identity, EdgeError> {
        let Some(method) = &self.verify else {
            return Err(EdgeError::permanent(
                "unauthenticated",
                "this node has no way to verify tokens",
            ));
        };
        // It needs no right, and what is answered is about the token: made as if for a client that is not logged in, so that
        // a token of this node that remote functions refuse is not taken for one of a client's.
        let arguments = [(TOKEN, Argument::Text(token))];
        let answer = self.invoke.ask(method, &arguments, Caller::Anonymous).await?;
        answer.identity().ok_or_else(|| {
            tracing::error!(%method, "the answer is no identity");
            EdgeError::permanent("internal", "internal error")
        })
    }

    /// Whether a call logs its connection in.
    pub(crate) fn is_login(&self, function: &str, method: &str) -> bool {
        self.login
            .as_ref()
            .is_some_and(|login| login.function == function && login.method == method)
    }

    /// Tells that a connection is there. False: somebody could not be told, and is when the leases are renewed; until
    /// then the connection serves its client all the same.
    pub(crate) async fn opened(&self, connection: &Arc<Connection>) -> Result<bool, EdgeError> {
        let mut complete = true;
        for method in &self.opened {
            match self.tell(method, connection).await {
                Ok(_) => {}
                Err(error) if error.retryable => {
                    complete = false;
                    metrics::counter!("mpim_gateway_unreported_connections_total").increment(1);
                    tracing::debug!(
                        %method,
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
    pub(crate) async fn topics(&self, connection: &Arc<Connection>) -> Result<Vec<String>, EdgeError> {
        let Some(method) = &self.topics else {
            return Ok(Vec::new());
        };
        let topics = self.tell(method, connection).await?;
        Ok(topics.texts().unwrap_or_default())
    }

    /// Tells that a connection is gone. What fails is left to the end of the leases.
    pub(crate) async fn closed(&self, connection: &Arc<Connection>) {
        for method in &self.closed {
            if let Err(error) = self.tell(method, connection).await {
                tracing::warn!(
                    %method,
                    error = error.message,
                    "a closed connection was not reported"
                );
            }
        }
    }

    /// Tells that connections are still there; gives the ids of those that must be closed, and whether everybody
    /// could be told.
    pub(crate) async fn renewed(&self, connections: &[Arc<Connection>]) -> (Vec<u64>, bool) {
        let (mut close, mut complete) = (Vec::new(), true);
        for method in &self.renewed {
            for chunk in connections.chunks(CHUNK) {
                let arguments = [(CONNECTIONS, Argument::Connections(chunk))];
                match self.say(method, &arguments).await {
                    Ok(answer) => close.extend(answer.ids().unwrap_or_default()),
                    Err(Failed) => complete = false,
                }
            }
        }
        (close, complete)
    }

    /// Tells that sockets took notifications.
    pub(crate) async fn delivered(&self, ids: &[u64]) {
        let Some(method) = &self.delivered else { return };
        for chunk in ids.chunks(CHUNK) {
            // What was not reported is pushed again, and reported then.
            let _ = self.say(method, &[(MESSAGES, Argument::Ids(chunk))]).await;
        }
    }

    /// Tells which connections of this node there are, so that those of its former life can end.
    pub(crate) async fn sweep(&self, node: &str, alive: &[u64]) {
        let Some(method) = &self.sweep else { return };
        let arguments = [(NODE, Argument::Text(node)), (ALIVE, Argument::Ids(alive))];
        // The leases end by themselves.
        let _ = self.say(method, &arguments).await;
    }

    async fn tell(&self, method: &MethodName, connection: &Connection) -> Result<Answer, EdgeError> {
        let arguments = [(CONNECTION, Argument::Connection(connection))];
        self.invoke.ask(method, &arguments, Caller::System).await
    }

    /// A call whose failure is logged, and made good by a later one.
    async fn say(&self, method: &MethodName, arguments: &HostArguments<'_>) -> Result<Answer, Failed> {
        let said = self.invoke.ask(method, arguments, Caller::System).await;
        said.map_err(|error| {
            tracing::warn!(%method, error = error.message, "a call of the gateway failed");
            Failed
        })
    }
}
