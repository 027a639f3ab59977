//! The edge.

use serde::Deserialize;

use crate::method::MethodName;
use crate::positive::positive;

/// The edge.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySettings {
    /// Makes an identity of a token. Without it no method that takes a caller can be called.
    pub verify: Option<MethodName>,
    /// A call whose result carries the `token` that logs its connection in.
    pub login: Option<MethodName>,
    /// Told of each connection that was logged in, in this order.
    pub opened: Vec<MethodName>,
    /// Told of each connection that was logged in and is gone.
    pub closed: Vec<MethodName>,
    /// Told of all live connections again and again; those whose ids are answered are closed.
    pub renewed: Vec<MethodName>,
    /// Gives the topics of a new connection.
    pub topics: Option<MethodName>,
    /// Delivery reports: told the tracked ids whose notification a socket took.
    pub delivered: Option<MethodName>,
    /// Told the node and the ids of all its connections, as often as `renewed`.
    pub sweep: Option<MethodName>,
    /// The interface of notifications, without its version: the host implements it from its types.
    pub notify: Option<String>,
    /// How often leases are renewed.
    #[serde(deserialize_with = "positive")]
    pub renew_every_ms: u64,
    /// Largest frame and largest HTTP body, in bytes.
    pub frame_max_bytes: usize,
    /// Largest answer of a call, and of a batch of calls, as JSON, in bytes.
    pub answer_max_bytes: usize,
    /// A connection that has not logged in by then is closed.
    pub login_within_ms: u64,
    /// How long a connection may be silent before it is pinged.
    pub ping_after_ms: u64,
    /// How long a connection may be silent before it counts as half open, and is closed.
    pub silence_max_ms: u64,
    /// How long a write to a socket may take before the reader counts as gone.
    pub write_within_ms: u64,
    /// How many frames may wait for one connection; one more closes it.
    pub outbox_max_frames: usize,
    /// How many bytes may wait for one connection; more closes it.
    pub outbox_max_bytes: usize,
    /// How many sockets may be open at once.
    pub connections_max: usize,
    /// How many calls a JSON-RPC batch may hold.
    pub batch_max: usize,
    /// The read buffer of a socket, in bytes.
    pub read_buffer_bytes: usize,
    /// Frames that wait for one socket are gathered up to so many bytes before they are written.
    pub write_buffer_bytes: usize,
    /// How long tracked ids are collected before `delivered` is called.
    pub delivered_every_ms: u64,
    /// How long a shutdown waits for connections to drain.
    pub drain_within_ms: u64,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            verify: None,
            login: None,
            opened: Vec::new(),
            closed: Vec::new(),
            renewed: Vec::new(),
            topics: None,
            delivered: None,
            sweep: None,
            notify: None,
            renew_every_ms: 30_000,
            frame_max_bytes: 64 * 1024,
            answer_max_bytes: 16 * 1024 * 1024,
            login_within_ms: 30_000,
            ping_after_ms: 30_000,
            silence_max_ms: 75_000,
            write_within_ms: 10_000,
            outbox_max_frames: 4096,
            outbox_max_bytes: 4 * 1024 * 1024,
            connections_max: 200_000,
            batch_max: 64,
            read_buffer_bytes: 1024,
            write_buffer_bytes: 16 * 1024,
            delivered_every_ms: 100,
            drain_within_ms: 5_000,
        }
    }
}
