//! What the cluster has to say to whoever serves clients.

use tokio::sync::{mpsc, oneshot};

/// Something that this node found out of others, or of itself.
#[derive(Debug)]
pub enum Event {
    /// The clients of this node may have missed something.
    Missed,
    /// A node is dead: its connections are gone. Said again while something of it may still come in.
    Died {
        /// Its name.
        node: String,
        /// To be told, or dropped, once that was acted on: it must not be late, since the node may come back.
        done: oneshot::Sender<()>,
    },
}

/// Tells it, and waits while too much waits to be heard. One that nobody hears any more is the end of the node.
pub(crate) async fn tell(events: &mpsc::Sender<Event>, event: Event) {
    let _ = events.send(event).await;
}

/// Tells that a node is dead, and waits until that was acted on.
pub(crate) async fn tell_death(events: &mpsc::Sender<Event>, node: &str) {
    let (done, acted_on) = oneshot::channel();
    let node = node.to_owned();
    tell(events, Event::Died { node, done }).await;
    // An error means that nobody acts on it any more.
    let _ = acted_on.await;
}
