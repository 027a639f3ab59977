//! The trace that a call belongs to, in the terms of W3C Trace Context.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// Which trace a call belongs to, and which span of it called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The same for everything that one request of a client leads to; never 0.
    pub id: u128,
    /// The span that called; never 0.
    pub span: u64,
    /// Whether it is recorded.
    pub sampled: bool,
}

impl Trace {
    /// A trace that begins here and is not recorded. Costs some nanoseconds: its ids need to be unlikely to meet, not
    /// hard to guess.
    pub fn begin() -> Self {
        let id = (u128::from(random()) << 64) | u128::from(random());
        Self {
            id: id.max(1),
            span: random().max(1),
            sampled: false,
        }
    }

    /// Reads the header `traceparent` of version 00; none for anything else, whose trace begins anew.
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if version != "00" || parts.next().is_some() || !is_hex(id, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
            return None;
        }
        let trace = Self {
            id: u128::from_str_radix(id, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        };
        (trace.id != 0 && trace.span != 0).then_some(trace)
    }
}

impl fmt::Display for Trace {
    /// As the header `traceparent` says it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "00-{:032x}-{:016x}-{:02x}",
            self.id,
            self.span,
            u8::from(self.sampled)
        )
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), seeded for each thread by
/// the randomness of the system.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::thread::current().id()));
    }
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_as_it_was_written() {
        for sampled in [true, false] {
            let trace = Trace {
                sampled,
                ..Trace::begin()
            };
            assert_eq!(Trace::parse(&trace.to_string()), Some(trace));
        }
        assert_ne!(Trace::begin().id, Trace::begin().id);
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(Trace::parse(good).is_some());
        for (part, other) in [
            ("00-4", "01-4"),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            ("00f067aa0ba902b7", "0000000000000000"),
            ("4bf9", "4BF9"),
            ("-01", ""),
            ("-01", "-01-"),
            ("-01", "-+1"),
        ] {
            let wrong = good.replace(part, other);
            assert_eq!(Trace::parse(&wrong), None, "{wrong}");
        }
        assert_eq!(Trace::parse(""), None);
    }
}
