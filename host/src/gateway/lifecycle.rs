//! The few calls that the gateway makes of its own: the manifest names the method for each.
//!
//! This is all that the host knows of functions by purpose, and it knows them by their types alone.

use std::sync::Arc;

use wasmtime::component::Type;

use super::calls;
use super::error;
use super::error::EdgeError;
use super::functions::{Answer, Argument, Arguments, Functions, Unfit};
use super::records::By;
use super::together::{Pair, Together};
use crate::config::{GatewaySettings, MethodName};
use crate::deployments::{LoadError, Method};
use crate::identity::{Connection, Identity};

/// The methods that the manifest names, found and checked where they run here.
pub(super) struct Lifecycle {
    functions: Arc<Functions>,
    verify: Option<Asked>,
    login: Option<MethodName>,
    opened: Vec<Asked>,
    closed: Vec<Asked>,
    renewed: Vec<MethodName>,
    topics: Option<Asked>,
    written: Option<MethodName>,
    sweep: Option<MethodName>,
}

/// A method that is asked for one connection or token, and for many at once where the manifest pairs it.
struct Asked {
    name: MethodName,
    together: Option<Arc<Pair>>,
}

type Answered = Result<Answer, EdgeError>;

/// What a method is asked about.
enum Subject {
    Token(Arc<str>),
    Connection(Arc<Connection>),
}

impl Subject {
    fn argument(&self) -> (&'static str, Argument<'_>) {
        match self {
            Self::Token(token) => (TOKEN, Argument::Text(token)),
            Self::Connection(connection) => (CONNECTION, Argument::Connection(connection)),
        }
    }
}

/// A call failed, and that was logged.
struct Failed;

/// How many connections or ids one call takes.
const CHUNK: usize = 500;

/// What the parameters are called: functions elsewhere are called by these names.
const TOKEN: &str = "token";
const CONNECTION: &str = "connection";
const CONNECTIONS: &str = "connections";
const MESSAGES: &str = "messages";
const NODE: &str = "node";
const ALIVE: &str = "alive";

impl Lifecycle {
    /// Checks every method that the settings name.
    pub(super) fn new(
        functions: Arc<Functions>,
        together: &Together,
        settings: &GatewaySettings,
    ) -> Result<Self, LoadError> {
        let asked = |name: &MethodName| Asked {
            name: name.clone(),
            together: together.pair(&name.function, &name.method).cloned(),
        };
        let lifecycle = Self {
            verify: settings.verify.as_ref().map(asked),
            login: settings.login.clone(),
            opened: settings.opened.iter().map(asked).collect(),
            closed: settings.closed.iter().map(asked).collect(),
            renewed: settings.renewed.clone(),
            topics: settings.topics.as_ref().map(asked),
            written: settings.written.clone(),
            sweep: settings.sweep.clone(),
            functions,
        };
        lifecycle.check()?;
        Ok(lifecycle)
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
        let written = [(MESSAGES, Argument::Ids(&[]))];
        let sweep = [(NODE, Argument::Text("")), (ALIVE, Argument::Ids(&[]))];
        let check = |names: &[MethodName], purpose, arguments: &Arguments<'_>| {
            names
                .iter()
                .try_for_each(|name| self.functions.check(name, purpose, arguments))
        };
        let check_asked = |asked: &[Asked], purpose, arguments: &Arguments<'_>| {
            asked
                .iter()
                .try_for_each(|asked| self.functions.check(&asked.name, purpose, arguments))
        };
        check_asked(self.verify.as_slice(), "verifying tokens", &token)?;
        check_asked(&self.opened, "opened connections", &connection)?;
        check_asked(&self.closed, "closed connections", &connection)?;
        check(&self.renewed, "renewing connections", &connections)?;
        check_asked(self.topics.as_slice(), "topics of a connection", &connection)?;
        check(self.written.as_slice(), "written notifications", &written)?;
        check(self.sweep.as_slice(), "sweeping connections", &sweep)?;
        match (&self.login, self.functions.here()) {
            (Some(login), Some(dispatch)) => check_login(&*dispatch.named(login, "logging in")?),
            _ => Ok(()),
        }
    }

    /// Finds out whether functions elsewhere take the calls of this node.
    pub(super) async fn probe(&self) -> Result<(), Unfit> {
        match self.renewed.first() {
            Some(name) => self.functions.probe(name, CONNECTIONS).await,
            None => Ok(()),
        }
    }

    /// What a token stands for.
    pub(super) async fn verify(&self, token: &str) -> Result<Identity, EdgeError> {
        let Some(method) = &self.verify else {
            return Err(EdgeError::permanent(
                "unauthenticated",
                "this node has no way to verify tokens",
            ));
        };
        let answer = self.ask(method, Subject::Token(token.into())).await?;
        answer.identity().ok_or_else(|| {
            tracing::error!(method = %method.name, "the answer is no identity");
            EdgeError::permanent("internal", "internal error")
        })
    }

    /// Whether a call logs its connection in.
    pub(super) fn is_login(&self, function: &str, method: &str) -> bool {
        self.login
            .as_ref()
            .is_some_and(|login| login.function == function && login.method == method)
    }

    /// Tells that a connection is there. False: somebody could not be told, and is when the leases are renewed; until
    /// then the connection serves its client all the same.
    pub(super) async fn opened(&self, connection: &Arc<Connection>) -> Result<bool, EdgeError> {
        let mut complete = true;
        for method in &self.opened {
            match self.tell(method, connection).await {
                Ok(_) => {}
                Err(error) if error.retryable => {
                    complete = false;
                    metrics::counter!("mpim_gateway_unreported_connections_total").increment(1);
                    tracing::debug!(
                        method = %method.name,
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
    pub(super) async fn topics(&self, connection: &Arc<Connection>) -> Result<Vec<String>, EdgeError> {
        let Some(method) = &self.topics else {
            return Ok(Vec::new());
        };
        let topics = self.tell(method, connection).await?;
        Ok(topics.texts().unwrap_or_default())
    }

    /// Tells that a connection is gone. What fails is left to the end of the leases.
    pub(super) async fn closed(&self, connection: &Arc<Connection>) {
        for method in &self.closed {
            if let Err(error) = self.tell(method, connection).await {
                tracing::warn!(
                    method = %method.name,
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
    pub(super) async fn written(&self, ids: &[u64]) {
        let Some(method) = &self.written else { return };
        for chunk in ids.chunks(CHUNK) {
            // What was not reported is pushed again, and reported then.
            let _ = self.say(method, &[(MESSAGES, Argument::Ids(chunk))]).await;
        }
    }

    /// Tells which connections of this node there are, so that those of its former life can end.
    pub(super) async fn sweep(&self, node: &str, alive: &[u64]) {
        let Some(method) = &self.sweep else { return };
        let arguments = [(NODE, Argument::Text(node)), (ALIVE, Argument::Ids(alive))];
        // The leases end by themselves.
        let _ = self.say(method, &arguments).await;
    }

    async fn tell(&self, method: &Asked, connection: &Arc<Connection>) -> Result<Answer, EdgeError> {
        self.ask(method, Subject::Connection(connection.clone())).await
    }

    /// Asks a method about a subject, together with whoever else asks it now.
    async fn ask(&self, method: &Asked, subject: Subject) -> Answered {
        let arguments = [subject.argument()];
        let together = method.together.as_ref().zip(self.functions.here());
        // Whether it fits was checked at the start.
        let argument = together.and_then(|(pair, _)| arguments[0].1.to_val(pair.argument()?));
        if let (Some((pair, dispatch)), Some(argument)) = (together, argument) {
            let outcome = pair.ask(dispatch, By::System, vec![vec![argument]]).await.pop();
            return match outcome.unwrap_or_else(|| Err(EdgeError::permanent("internal", "internal error")))? {
                Ok(value) => Ok(Answer::Value(value)),
                Err(error) => Err(error::answered(error.as_ref())),
            };
        }
        match subject {
            Subject::Token(_) => self.functions.ask(&method.name, &arguments).await,
            Subject::Connection(_) => self.functions.system(&method.name, &arguments).await,
        }
    }

    /// A call whose failure is logged, and made good by a later one.
    async fn say(&self, method: &MethodName, arguments: &Arguments<'_>) -> Result<Answer, Failed> {
        self.functions.system(method, arguments).await.map_err(|error| {
            tracing::warn!(%method, error = error.message, "a call of the gateway failed");
            Failed
        })
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
