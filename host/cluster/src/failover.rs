//! Failover: what a dead node leaves behind is taken over, a queue that nobody reads.
//!
//! Its entries are published anew to every node that lives, since nobody knows where its clients have gone; a client
//! that has one already drops it by its cursor.

use capabilities::Services;
use contract::Fault;
use contract::queue::Entry;
use metrics::counter;
use wire::push::{GROUP, Push};

/// The nodes that were alive a while ago.
pub(crate) const KNOWN: &str = "/cluster/known";

/// How many entries are taken over at once.
const AT_ONCE: u32 = 256;

/// Takes over what a dead node had in its queue: safe to repeat, and repeated while something may still come in. A node that comes
/// back meanwhile shares its queue with this one for a moment, which loses nothing.
pub(crate) async fn take_over(services: &Services, dead: &str) -> Result<(), Fault> {
    let topic = Push::topic(dead);
    let mut taken_over = 0_usize;
    loop {
        let entries = services.queue.drain(&topic, GROUP, AT_ONCE).await?;
        if entries.is_empty() {
            break;
        }
        for entry in &entries {
            publish_anew(services, entry).await?;
        }
        let ids: Vec<u64> = entries.iter().map(|entry| entry.id).collect();
        services.queue.ack(&topic, GROUP, &ids).await?;
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
pub(crate) async fn forget(services: &Services, dead: &str) -> Result<(), Fault> {
    services.queue.remove_topic(&Push::topic(dead)).await?;
    services.metadata.remove(KNOWN, dead).await?;
    tracing::info!(node = dead, "a dead node is forgotten");
    Ok(())
}

async fn publish_anew(services: &Services, entry: &Entry) -> Result<(), Fault> {
    match Push::decode(&entry.payload) {
        Ok(push) => capabilities::publish(&push, services).await,
        Err(error) => {
            counter!("mpim_gateway_undecodable_pushes_total").increment(1);
            tracing::error!(%error, id = entry.id, "a push of a dead node cannot be read and is set aside");
            Ok(())
        }
    }
}
