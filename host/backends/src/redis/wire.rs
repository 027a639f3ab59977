//! A connection that is kept: made before it is needed, made again when it is lost.
//!
//! One task a wire makes connections; callers only look at what it has. So a server that is down costs a caller
//! nothing but the message, however many callers there are, and is used again as soon as it is back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::fault;
use super::line::{Dial, Line};
use contract::Fault;

/// The pause before the first attempt to connect again; it doubles from there.
const PAUSE_FIRST: Duration = Duration::from_millis(20);

/// A kept connection. Dropping it ends the connection and the task that keeps it.
pub(super) struct Wire {
    state: watch::Receiver<State>,
    doubts: Arc<Notify>,
    keeper: JoinHandle<()>,
}

#[derive(Clone)]
enum State {
    /// The first attempt, or the first since the connection was lost, is under way.
    Connecting,
    /// Usable, as far as is known.
    Ready(Line),
    /// The last attempt failed, and another one follows.
    Failed(Fault),
}

impl Wire {
    /// Begins to connect. Must be called within a runtime.
    pub(super) fn new(dial: Dial, patience: Duration, pause_max: Duration) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let doubts = Arc::new(Notify::new());
        let keeper = Keeper {
            dial,
            patience,
            pause_max: pause_max.max(PAUSE_FIRST),
            state: sender,
            doubts: Arc::clone(&doubts),
        };
        Self {
            state,
            doubts,
            keeper: tokio::spawn(keeper.run()),
        }
    }

    /// The connection. Waits only for an attempt of which nothing is known yet.
    pub(super) async fn line(&self) -> Result<Line, Fault> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match known.as_deref() {
            Ok(State::Ready(line)) => Ok(line.clone()),
            Ok(State::Failed(fault)) => Err(fault.clone()),
            Ok(State::Connecting) | Err(_) => Err(Fault::Unavailable("the connection is closed".to_owned())),
        }
    }

    /// Whether a call would be sent now.
    pub(super) fn is_ready(&self) -> bool {
        matches!(*self.state.borrow(), State::Ready(_))
    }

    /// Has the connection looked after: a call on it failed or was not answered.
    pub(super) fn doubt(&self) {
        self.doubts.notify_one();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

struct Keeper {
    dial: Dial,
    patience: Duration,
    pause_max: Duration,
    state: watch::Sender<State>,
    doubts: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        loop {
            let line = self.connect().await;
            self.state.send_replace(State::Ready(line.clone()));
            self.watch(line).await;
            tracing::warn!(server = self.dial.server, "connection lost");
            self.state.send_replace(State::Connecting);
        }
    }

    /// Connects, however often that takes.
    async fn connect(&self) -> Line {
        let mut pause = PAUSE_FIRST;
        loop {
            let doubts = Arc::clone(&self.doubts);
            match self.dial.line(move || doubts.notify_one()).await {
                Ok(line) => return line,
                Err(error) => {
                    let fault = match fault::of(&error, &self.dial.server) {
                        // Nothing was asked yet, so nothing is uncertain.
                        Fault::Timeout(what) => Fault::Unavailable(what),
                        fault => fault,
                    };
                    tracing::debug!(%fault, "no connection");
                    self.state.send_replace(State::Failed(fault));
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.pause_max);
        }
    }

    /// Until the connection is lost.
    async fn watch(&self, mut line: Line) {
        loop {
            self.doubts.notified().await;
            if !matches!(tokio::time::timeout(self.patience, line.ping()).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}
