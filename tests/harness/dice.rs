//! Chance that can be had again: the same seed gives the same numbers.

/// A source of numbers that look random (SplitMix64, by Steele, Lea and Flood).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The seed of `MPIM_SEED`, or else a new one; it is printed, so that a failure can be had again.
    pub fn thrown(what: &str) -> Self {
        let seed = Self::seed();
        eprintln!("{what}: MPIM_SEED={seed}");
        Self::new(seed)
    }

    /// The seed of `MPIM_SEED`, or else a new one.
    pub fn seed() -> u64 {
        let given = std::env::var("MPIM_SEED")
            .ok()
            .map(|seed| seed.parse().expect("MPIM_SEED is a number"));
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970");
        given.unwrap_or(u64::from(now.subsec_nanos()))
    }

    /// The numbers of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number from the first up to, and without, the last.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % (last - first)
    }
}
