//! Timers: methods that a node calls by itself, again and again, on one node of the cluster at a time.
//!
//! Knows when and where a call is made, and nothing of what it does. A node that stops calls each once more, after its
//! sockets are closed: what components have put off until the next time is done by then.

use std::sync::Arc;
use std::time::Duration;

use call::Caller;
use cluster::Member;
use config::{MethodName, Timer, ms};
use invoke::{Invoke, LoadError};
use tokio::task::JoinSet;

/// How long a node that stops waits for the last call of a timer.
const LAST_CALL: Duration = Duration::from_secs(2);

/// The timers of an application on this node.
#[derive(Clone)]
pub(crate) struct Timers {
    timers: Arc<[(MethodName, Duration)]>,
    invoke: Arc<Invoke>,
    member: Arc<Member>,
}

/// Checks that what timers call is there, and takes no parameters.
pub(crate) fn check(timers: &[Timer], invoke: &Invoke) -> Result<(), LoadError> {
    timers
        .iter()
        .try_for_each(|timer| invoke.check(&timer.call, "a timer", &[]))
}

impl Timers {
    /// Timers that do not run yet.
    pub(crate) fn new(timers: &[Timer], invoke: Arc<Invoke>, member: Arc<Member>) -> Self {
        let timers = timers.iter().map(|timer| (timer.call.clone(), ms(timer.every_ms)));
        Self {
            timers: timers.collect(),
            invoke,
            member,
        }
    }

    /// Runs each until its task ends.
    pub(crate) fn run(&self, tasks: &mut JoinSet<()>) {
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
    pub(crate) async fn run_last(&self) {
        for (method, every) in self.timers.iter() {
            if tokio::time::timeout(LAST_CALL, self.call(method, *every))
                .await
                .is_err()
            {
                tracing::warn!(%method, "a timer's last call did not end in time");
            }
        }
    }

    /// A node whose call fails gives its turn away: where functions are remote, others may reach them.
    async fn call(&self, method: &MethodName, every: Duration) {
        let name = method.to_string();
        if !self.member.runs_timer(&name, every).await {
            return;
        }
        if let Err(error) = self.invoke.ask(method, &[], Caller::System).await {
            tracing::warn!(%method, error = error.message, "a timer's call failed");
            self.member.passes_timer(&name).await;
        }
    }
}
