//! What a dead node leaves behind: routes that lead nowhere, and a queue that nobody reads.
//!
//! Its entries are published anew to every node that lives, since nobody knows where its clients have gone; a client
//! that has one already drops it by its place.

use contract::Fault;
use contract::queue::Entry;
use metrics::counter;

use crate::capabilities::{self, Node};
use crate::gateway::{GROUP, Gateway};
use wire::push::Push;

use super::KNOWN;

/// How many entries are taken over at once.
const AT_ONCE: u32 = 256;

/// Sees to what a dead node left: safe to repeat, and repeated while something may still come in. A node that comes
/// back meanwhile shares its queue with this one for a moment, which loses nothing.
pub(super) async fn settle(node: &Node, gateway: &Gateway, dead: &str) -> Result<(), Fault> {
    gateway.sweep(dead).await;
    let topic = Push::topic(dead);
    let mut taken_over = 0_usize;
    loop {
        let entries = node.queue.drain(&topic, GROUP, AT_ONCE).await?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            publish_anew(node, entry).await?;
        }
        let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
        node.queue.ack(&topic, GROUP, &ids).await?;
        taken_over += entries.len();
    }
    if taken_over > 0 {
        tracing::warn!(
            node = dead,
            entries = taken_over,
            "took over what a dead node had in its queue"
        );
        counter!("mpim_cluster_taken_over_total").increment(taken_over as u64);
    }
    Ok(())
}

/// Forgets a node that was dead for so long that nothing comes in for it any more.
pub(super) async fn forget(node: &Node, dead: &str) -> Result<(), Fault> {
    node.queue.remove_topic(&Push::topic(dead)).await?;
    node.metadata.remove(KNOWN, dead).await?;
    tracing::info!(node = dead, "a dead node is forgotten");
    Ok(())
}

async fn publish_anew(node: &Node, entry: &Entry) -> Result<(), Fault> {
    match Push::decode(&entry.payload) {
        Ok(push) => capabilities::publish(&push, node).await,
        Err(error) => {
            counter!("mpim_gateway_undecodable_pushes_total").increment(1);
            tracing::error!(%error, id = entry.id, "a push of a dead node cannot be read and is set aside");
            Ok(())
        }
    }
}
