//! Timers: methods that a node calls by itself, again and again, on one node of the cluster at a time.
//!
//! Knows when and where a call is made, and nothing of what it does. A node that stops calls each once more, after its
//! sockets are closed: what components have put off until the next time is done by then.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::cluster::Member;
use crate::config::{MethodName, Timer, ms};
use crate::deployments::LoadError;
use crate::gateway::Functions;

/// How long a node that stops waits for the last call of a timer.
const LAST_CALL: Duration = Duration::from_secs(2);

/// The timers of an application on this node.
#[derive(Clone)]
pub struct Timers {
    timers: Arc<[(MethodName, Duration)]>,
    functions: Arc<Functions>,
    member: Arc<Member>,
}

/// Checks that what timers call is there, and takes no parameters.
pub fn check(timers: &[Timer], functions: &Functions) -> Result<(), LoadError> {
    timers.iter().try_for_each(|timer| functions.check_timer(&timer.call))
}

impl Timers {
    /// Timers that do not run yet.
    pub fn new(timers: &[Timer], functions: Arc<Functions>, member: Arc<Member>) -> Self {
        let timers = timers.iter().map(|timer| (timer.call.clone(), ms(timer.every_ms)));
        Self {
            timers: timers.collect(),
            functions,
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
                tracing::warn!(%method, "a timer's last call did not end in time");
            }
        }
    }

    /// A node whose call fails gives its turn away: where functions run elsewhere, others may reach them.
    async fn call(&self, method: &MethodName, every: Duration) {
        let name = method.to_string();
        if self.member.runs_timer(&name, every).await && !self.functions.tick(method).await {
            self.member.passes_timer(&name).await;
        }
    }
}
