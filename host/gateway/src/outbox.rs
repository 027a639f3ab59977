//! What waits to be written to one socket: bounded, by priority, closed with a reason.
//!
//! Whoever pushes never waits. A reader too slow for its bound loses the connection, not messages:
//! they are in its inbox.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::Notify;

/// A frame that waits, as text.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) text: Utf8Bytes,
    /// Reported once the socket took the frame.
    pub(crate) track: Option<u64>,
}

/// Why the server closes a connection: a WebSocket close code and a reason that stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Close {
    pub(crate) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

/// Close codes of the project, from the range that RFC 6455 leaves to applications, and those of the RFC.
pub(crate) mod code {
    pub(crate) const GOING_AWAY: u16 = 1001;
    pub(crate) const PROTOCOL: u16 = 1002;
    pub(crate) const UNSUPPORTED: u16 = 1003;
    pub(crate) const NOT_UTF8: u16 = 1007;
    pub(crate) const POLICY: u16 = 1008;
    pub(crate) const TOO_BIG: u16 = 1009;
    pub(crate) const KICKED: u16 = 4001;
    pub(crate) const SLOW: u16 = 4002;
    pub(crate) const SILENT: u16 = 4003;
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

/// The queue of one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    bounds: Bounds,
    waiting: Mutex<Waiting>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Low to urgent.
    lanes: [VecDeque<Frame>; 4],
    frames: usize,
    bytes: usize,
    close: Option<Close>,
}

/// Frames to write next.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) frames: Vec<Frame>,
    /// Set when nothing may follow the frames.
    pub(crate) close: Option<Close>,
}

impl Outbox {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: Mutex::default(),
            ready: Notify::new(),
        }
    }

    /// Lets a frame wait in a lane, 0 low to 3 urgent. A frame over the bounds drops all and closes.
    pub(crate) fn push(&self, frame: Frame, lane: u8) {
        let mut waiting = self.waiting();
        if waiting.close.is_some() {
            return;
        }
        waiting.frames += 1;
        waiting.bytes += frame.text.len();
        if waiting.frames > self.bounds.frames || waiting.bytes > self.bounds.bytes {
            let close = Some(Close::new(code::SLOW, "slow-consumer"));
            *waiting = Waiting {
                close,
                ..Waiting::default()
            };
            metrics::counter!("mpim_gateway_slow_consumers_total").increment(1);
        } else if let Some(lane) = waiting.lanes.get_mut(usize::from(lane)) {
            lane.push_back(frame);
        }
        drop(waiting);
        self.ready.notify_one();
    }

    /// Closes the connection after what waits. The first reason stays.
    pub(crate) fn close(&self, close: Close) {
        self.waiting().close.get_or_insert(close);
        self.ready.notify_one();
    }

    /// Whether the connection ends once what waits was written.
    pub(crate) fn is_closing(&self) -> bool {
        self.waiting().close.is_some()
    }

    /// Waits until there may be something to take.
    pub(crate) async fn ready(&self) {
        self.ready.notified().await;
    }

    /// What to write next: the most urgent first, and of each lane that waits at least one, so that none starves.
    pub(crate) fn take(&self, max: usize) -> Taken {
        let mut waiting = self.waiting();
        let mut frames = Vec::new();
        let below =
            |waiting: &Waiting, lane: usize| waiting.lanes.iter().take(lane).filter(|lane| !lane.is_empty()).count();
        for lane in (0..waiting.lanes.len()).rev() {
            let reserved = below(&waiting, lane);
            let room = max.saturating_sub(frames.len()).saturating_sub(reserved);
            let Some(queue) = waiting.lanes.get_mut(lane) else {
                continue;
            };
            let count = queue.len().min(room);
            frames.extend(queue.drain(..count));
            if queue.is_empty() {
                // A connection that is idle holds no buffers.
                *queue = VecDeque::new();
            }
        }
        waiting.frames -= frames.len();
        waiting.bytes -= frames.iter().map(|frame| frame.text.len()).sum::<usize>();
        let empty = waiting.frames == 0;
        if !empty {
            self.ready.notify_one();
        }
        let close = if empty { waiting.close.clone() } else { None };
        Taken { frames, close }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Frame {
        Frame {
            text: text.into(),
            track: None,
        }
    }

    fn texts(taken: &Taken) -> Vec<&str> {
        taken.frames.iter().map(|frame| frame.text.as_str()).collect()
    }

    #[test]
    fn urgent_overtakes_and_nobody_starves() {
        let outbox = Outbox::new(Bounds {
            frames: 100,
            bytes: 1000,
        });
        for (text, lane) in [("n1", 1), ("n2", 1), ("u1", 3), ("u2", 3), ("u3", 3), ("l1", 0)] {
            outbox.push(frame(text), lane);
        }
        assert_eq!(texts(&outbox.take(4)), ["u1", "u2", "n1", "l1"]);
        assert_eq!(texts(&outbox.take(4)), ["u3", "n2"]);
    }

    #[test]
    fn a_full_outbox_closes_instead_of_growing() {
        for bounds in [Bounds { frames: 2, bytes: 1000 }, Bounds { frames: 100, bytes: 5 }] {
            let outbox = Outbox::new(bounds);
            for _ in 0..3 {
                outbox.push(frame("xx"), 1);
            }
            let taken = outbox.take(10);
            assert!(taken.frames.is_empty());
            assert_eq!(taken.close.expect("closed").code, code::SLOW);
        }
    }

    #[test]
    fn a_close_waits_for_what_was_pushed_before() {
        let outbox = Outbox::new(Bounds {
            frames: 10,
            bytes: 1000,
        });
        outbox.push(frame("why"), 3);
        outbox.close(Close::new(code::KICKED, "kicked"));
        outbox.push(frame("late"), 3);
        let taken = outbox.take(10);
        assert_eq!(texts(&taken), ["why"]);
        assert_eq!(taken.close.expect("closed").reason, "kicked");
    }
}
