//! The cursor of a device: its position in the inbox of its user. It only moves forward.

use guest::params;
use guest::sql::{Batch, Error};

/// How often a write is tried again that met another device's or another node's.
const ROUNDS: u32 = 4;

/// Adds the two statements that bring a device to a position, unless it is there or past it.
///
/// The caller MUST know that the inbox reaches that far: a cursor past the end would skip what comes.
/// Two first writes for one device at once may end in a unique violation; the batch is then run again.
#[must_use]
pub fn forward(batch: Batch, user: u64, device: &str, seq: u64, now: u64) -> Batch {
    batch
        .step(
            "UPDATE device_cursors SET seq = ?, updated_at = ? WHERE user_id = ? AND device = ? AND seq < ?",
            params![seq, now, user, device, seq],
        )
        .step(
            "INSERT INTO device_cursors (user_id, device, seq, updated_at) SELECT u.id, ?, ?, ? FROM users u \
             WHERE u.id = ? AND NOT EXISTS (SELECT 1 FROM device_cursors d WHERE d.user_id = ? AND d.device = ?)",
            params![device, seq, now, user, user, device],
        )
}

/// Adds the one statement that brings a device to a position, unless it is past it, where the cursor of the device is known;
/// where it is not, the batch is unmet here, and [`forward`] is called for. What [`forward`] demands of its caller holds.
#[must_use]
pub fn move_on(batch: Batch, user: u64, device: &str, seq: u64, now: u64) -> Batch {
    batch.need(
        "UPDATE device_cursors SET seq = CASE WHEN seq < ? THEN ? ELSE seq END, updated_at = ? \
         WHERE user_id = ? AND device = ?",
        params![seq, seq, now, user, device],
    )
}

/// Brings a device to a position in a write of its own.
pub async fn advance(user: u64, device: &str, seq: u64, now: u64) -> Result<(), guest::Error> {
    for _ in 0..ROUNDS {
        match forward(Batch::new(), user, device, seq, now).run().await {
            Ok(_) => return Ok(()),
            Err(Error::UniqueViolation(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Unavailable("the cursor of the device is contended".to_owned()).into())
}
