//! What the cluster has to say to whoever serves clients.

use tokio::sync::mpsc;

/// Something that this node found out of others, or of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The clients of this node may have missed something.
    Missed,
    /// A node is dead: its connections are gone. Said again while something of it may still come in.
    Died(String),
}

/// Tells it, and waits while too much waits to be heard. One that nobody hears any more is the end of the node.
pub(crate) async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    let _ = events.send(event).await;
}
