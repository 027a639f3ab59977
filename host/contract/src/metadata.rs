//! What a cluster agrees on for a while: sets whose members are leases, and locks.
//!
//! - A member is alive until its lease ends; what has ended is never shown. `put` adds or renews all of its leases or
//!   none and is safe to repeat; it gives for each whether the member is new. A time to live of 0 is `Invalid`.
//! - `members` gives the live members of each set in the order asked, members in the order of their bytes.
//! - A lock has one owner at a time. Its number grows with every taking (a fencing token), also when the backend lost
//!   all it had; the owner that has the lock renews it and keeps the number. Only the owner gives it back.
//! - Names have a greatest size, a setting; one byte more is `Invalid`.

/// A member of a set, alive until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The name of the set.
    pub set: String,
    /// The member.
    pub member: String,
    /// For how long, in milliseconds from now; 0 is invalid.
    pub ttl_ms: u64,
}
