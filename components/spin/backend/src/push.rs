//! What goes to the gateways of our own nodes: Spin has no sockets of its own, so notifications and subscriptions are put
//! into the queues of the nodes that have them. Where there is none, clients pull.

use contract::metadata::Lease;
use keyspace::Full;
use wire::json::Json;
use wire::push::{ALIVE, Audience, BEHIND, BEHIND_MS, Encoded, Push, Recipient};

use crate::Backend;
use crate::bindings::exports::mpim::host::gateway;
use crate::bindings::exports::mpim::host::subscriptions::{self, Error};
use crate::bindings::exports::mpim::im::notify;
use crate::metadata::metadata;
use crate::queue::topics;

impl notify::Guest for Backend {
    async fn message(to: gateway::Audience, body: notify::NewMessage) -> Result<(), Error> {
        tell("message", to, &body).await
    }

    async fn receipt(to: gateway::Audience, body: notify::StateChange) -> Result<(), Error> {
        tell("receipt", to, &body).await
    }

    async fn recalled(to: gateway::Audience, body: notify::Recall) -> Result<(), Error> {
        tell("recalled", to, &body).await
    }

    async fn presence(to: gateway::Audience, body: notify::PresenceChange) -> Result<(), Error> {
        tell("presence", to, &body).await
    }

    async fn kicked(to: gateway::Audience, body: notify::Kick) -> Result<(), Error> {
        tell("kicked", to, &body).await
    }

    async fn contact(to: gateway::Audience, body: notify::ContactChange) -> Result<(), Error> {
        tell("contact", to, &body).await
    }

    async fn group(to: gateway::Audience, body: notify::GroupChange) -> Result<(), Error> {
        tell("group", to, &body).await
    }

    async fn pending(to: gateway::Audience, body: notify::Waiting) -> Result<(), Error> {
        tell("pending", to, &body).await
    }
}

impl subscriptions::Guest for Backend {
    async fn subscribe(users: Vec<u64>, topic: String) -> Result<(), Error> {
        publish(&Push::Subscribe { users, topic }).await
    }

    async fn unsubscribe(users: Vec<u64>, topic: String) -> Result<(), Error> {
        publish(&Push::Unsubscribe { users, topic }).await
    }
}

async fn tell(name: &str, to: gateway::Audience, body: &impl Json) -> Result<(), Error> {
    let mut text = Vec::with_capacity(256);
    body.write(&mut text);
    let push = Push::notification(to.into(), name, text);
    let push = push.ok_or_else(|| Error::Invalid(format!("the notification `{name}` has a body that is no JSON")))?;
    publish(&push).await
}

/// Puts a push into the queue of each node that it is for. A node that it cannot be given to is noted as behind, so that
/// its clients are told that they may have missed something.
async fn publish(push: &Push) -> Result<(), Error> {
    let Encoded {
        nodes,
        priority,
        payload,
    } = push.encode().map_err(|error| Error::Invalid(error.to_string()))?;
    let nodes = match nodes.is_empty() {
        true => metadata().members(&[ALIVE.to_owned()]).await?.pop().unwrap_or_default(),
        false => nodes,
    };
    let lane = keyspace::topic::priority(usize::from(priority.min(3)));
    let topics = topics();
    let publishing = nodes.into_iter().map(async |node| {
        let published = topics.publish(&Push::topic(&node), lane, &payload, Full::Refuses).await;
        if published.is_err() {
            let behind = Lease {
                set: BEHIND.to_owned(),
                member: node,
                ttl_ms: BEHIND_MS,
            };
            // When that fails as well, clients find it by their next pull.
            let _ = metadata().put(vec![behind]).await;
        }
        published
    });
    let outcomes = futures_util::future::join_all(publishing).await;
    for outcome in outcomes {
        outcome?;
    }
    Ok(())
}

impl From<gateway::Audience> for Audience {
    fn from(audience: gateway::Audience) -> Self {
        Self {
            nodes: audience.nodes,
            recipients: audience.recipients.into_iter().map(Recipient::from).collect(),
            topics: audience.topics,
            sessions: audience.sessions,
            except_connection: audience.except_connection,
            priority: match audience.priority {
                gateway::Priority::Low => 0,
                gateway::Priority::Normal => 1,
                gateway::Priority::High => 2,
                gateway::Priority::Urgent => 3,
            },
            track: audience.track,
            close: audience.close,
        }
    }
}

impl From<gateway::Recipient> for Recipient {
    fn from(recipient: gateway::Recipient) -> Self {
        Self {
            user: recipient.user,
            cursor: recipient.cursor,
        }
    }
}
