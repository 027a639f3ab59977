//! Pushes on their way into the queues of gateways. What they are is in [`wire::push`].

use contract::Fault;
use contract::queue::Priority;
use wire::push::{Encoded, Push};

use crate::services::Services;
use crate::verdict::guarded;

/// Puts a push into the queue of each node that it is for, all at once. A node whose queue does not take it is
/// noted as behind: it will be told that its clients may have missed something.
pub async fn publish(push: &Push, services: &Services) -> Result<(), Fault> {
    let Encoded {
        nodes,
        priority,
        payload,
    } = push.encode().map_err(|error| Fault::Invalid(error.to_string()))?;
    let alive = services.peers.alive();
    let names = if nodes.is_empty() { &alive[..] } else { &nodes[..] };
    if let [name] = names {
        return publish_to(services, name, lane(priority), payload).await;
    }
    let publishing = names
        .iter()
        .map(|name| publish_to(services, name, lane(priority), payload.clone()));
    let outcomes = futures_util::future::join_all(publishing).await;
    outcomes.into_iter().collect()
}

async fn publish_to(services: &Services, name: &str, priority: Priority, payload: Vec<u8>) -> Result<(), Fault> {
    // Noted when it is dropped, so that a caller that is given up in between counts as a failure too.
    let mut unsure = Unsure {
        services,
        name,
        sure: false,
    };
    let topic = Push::topic(name);
    let outcome = match &services.local_queue {
        Some(local) if *name == *services.name => local.publish(&topic, priority, payload).await,
        _ => guarded(&services.queue_calls, services.queue.publish(&topic, priority, payload)).await,
    };
    unsure.sure = outcome.is_ok();
    outcome.map(|_| ())
}

/// Notes a node as behind when it is dropped, unless it is sure that it is not.
struct Unsure<'a> {
    services: &'a Services,
    name: &'a str,
    sure: bool,
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if !self.sure {
            self.services.peers.note_behind(self.name);
        }
    }
}

/// The lane of a number, as [`Audience::priority`] holds it.
fn lane(priority: u8) -> Priority {
    match priority {
        0 => Priority::Low,
        1 => Priority::Normal,
        2 => Priority::High,
        _ => Priority::Urgent,
    }
}
