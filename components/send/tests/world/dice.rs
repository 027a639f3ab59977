//! Chance that can be had again.

/// A xorshift generator: the same seed is the same run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Small numbers far more often than great ones.
    pub fn popular(&mut self, end: u64) -> u64 {
        let one = self.below(end);
        let other = self.below(one + 1);
        self.below(other + 1)
    }
}

/// The seed of this run, which is printed; `MPIM_TEST_SEED` sets it.
pub fn seed() -> u64 {
    let given = std::env::var("MPIM_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(guest::now_ms).max(1);
    println!("MPIM_TEST_SEED={seed}");
    seed
}
