//! Timers: methods that a node calls by itself, again and again, on one node of the cluster at a time.
//!
//! Knows when and where a call is made, and nothing of what it does. A node that stops calls each once more, after its
//! sockets are closed: what components have put off until the next time is done by then.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::cluster::Member;
use crate::config::{Timer, ms};
use crate::deployments::{LoadError, Method};
use crate::dispatch::Dispatch;

/// How long a node that stops waits for the last call of a timer.
const LAST_CALL: Duration = Duration::from_secs(2);

/// The timers of an application on this node.
#[derive(Clone)]
pub struct Timers {
    timers: Arc<[(Arc<Method>, Duration)]>,
    dispatch: Arc<Dispatch>,
    member: Arc<Member>,
}

/// The methods that timers call, and how often.
pub fn methods(timers: &[Timer], dispatch: &Dispatch) -> Result<Vec<(Arc<Method>, Duration)>, LoadError> {
    timers.iter().map(|timer| method(timer, dispatch)).collect()
}

fn method(timer: &Timer, dispatch: &Dispatch) -> Result<(Arc<Method>, Duration), LoadError> {
    let method = dispatch.named(&timer.call, "a timer")?;
    if method.parameters.is_empty() {
        return Ok((method, ms(timer.every_ms)));
    }
    Err(LoadError::MethodMismatch {
        name: method.full_name(),
        purpose: "a timer",
        reason: "it must take no parameters".to_owned(),
    })
}

impl Timers {
    /// Timers that do not run yet.
    pub fn new(methods: Vec<(Arc<Method>, Duration)>, dispatch: Arc<Dispatch>, member: Arc<Member>) -> Self {
        Self {
            timers: methods.into(),
            dispatch,
            member,
        }
    }

    /// Runs each until its task ends.
    pub fn run(&self, tasks: &mut JoinSet<()>) {
        for (method, every) in self.timers.iter() {
            let (timers, method, every) = (self.clone(), method.clone(), *every);
            tasks.spawn(async move {
                loop {
                    tokio::time::sleep(every).await;
                    timers.call(&method, every).await;
                }
            });
        }
    }

    /// Calls each a last time, where it is the turn of this node.
    pub async fn run_last(&self) {
        for (method, every) in self.timers.iter() {
            if tokio::time::timeout(LAST_CALL, self.call(method, *every))
                .await
                .is_err()
            {
                tracing::warn!(method = method.full_name(), "a timer's last call did not end in time");
            }
        }
    }

    async fn call(&self, method: &Arc<Method>, every: Duration) {
        let name = method.full_name();
        if !self.member.runs_timer(&name, every).await {
            return;
        }
        match self.dispatch.system(method, Vec::new()).await {
            Ok(Ok(_)) => {}
            failed => tracing::warn!(method = name, ?failed, "a timer's call failed"),
        }
    }
}
