//! Random draws that can be repeated: the seed stands in every failure.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// `SplitMix64`: small, seeded, good enough to draw targets with.
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = u64::try_from(sides).unwrap();
        usize::try_from((word ^ (word >> 31)) % sides).unwrap()
    }

    /// One of these.
    pub fn pick<'a>(&mut self, from: &[&'a [u8]]) -> &'a [u8] {
        from[self.roll(from.len())]
    }
}

/// The seed of this run: `PORTCULLIS_TEST_SEED`, else another one each time.
pub fn seed() -> u64 {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    setting("PORTCULLIS_TEST_SEED").unwrap_or(u64::from(clock.subsec_nanos()))
}

/// A number from the environment.
pub fn setting(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}
