//! Chance that can be had again: the same seed is the same run.

use std::cell::OnceCell;
use std::hash::{BuildHasher, Hasher, RandomState};

/// The seed of this test, which is printed once: that of `MPIM_SEED`, or another one each time.
pub fn seed() -> u64 {
    thread_local! {
        static SEED: OnceCell<u64> = const { OnceCell::new() };
    }
    SEED.with(|seed| *seed.get_or_init(choose))
}

fn choose() -> u64 {
    let given = std::env::var("MPIM_SEED").ok();
    let given = given.map(|seed| {
        seed.parse()
            .unwrap_or_else(|_| panic!("MPIM_SEED is no number: {seed}"))
    });
    // Where runs count their seeds up, there is room for that.
    let seed = given.unwrap_or_else(|| RandomState::new().build_hasher().finish() >> 16);
    println!("MPIM_SEED={seed}");
    seed
}

/// Numbers that look random (SplitMix64) and follow from a seed.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below the end, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Small numbers far more often than great ones.
    pub fn popular(&mut self, end: u64) -> u64 {
        let one = self.below(end);
        let other = self.below(one + 1);
        self.below(other + 1)
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// An index of something that is so long, and not empty.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    /// One of some, which are not none.
    pub fn pick<T: Clone>(&mut self, among: &[T]) -> T {
        let at = self.index(among.len());
        among.get(at).unwrap().clone()
    }

    /// Fills bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(self.next().to_le_bytes()) {
                *byte = random;
            }
        }
    }
}
