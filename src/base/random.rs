//! Randomness as an argument: the operating system's generator, or dice that tests have loaded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random bytes.
#[derive(Clone)]
pub enum Random {
    /// The operating system's cryptographic generator.
    System,
    /// A counter spread by `SplitMix64`: repeatable, for tests only, never secret.
    Seeded(Arc<AtomicU64>),
}

/// The operating system gave no randomness; nothing secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no randomness: {0}")]
pub struct NoRandomness(getrandom::Error);

impl Random {
    /// Repeatable dice for tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(AtomicU64::new(seed)))
    }

    /// `N` random bytes.
    ///
    /// # Errors
    /// When the operating system refuses (very early at boot, or a sandbox without the call).
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        match self {
            Self::System => system_fill(&mut bytes)?,
            Self::Seeded(state) => bytes.chunks_mut(8).for_each(|chunk| {
                chunk.copy_from_slice(next(state).get(..chunk.len()).unwrap_or_default());
            }),
        }
        Ok(bytes)
    }
}

impl Random {
    /// `N` bytes from this thread's generator, seeded by the operating system: for ids, of which every
    /// request needs one, and which name things but open nothing.
    #[must_use]
    pub fn quick<const N: usize>(&self) -> [u8; N] {
        match self {
            Self::System => thread_fill(),
            Self::Seeded(_) => self.bytes().unwrap_or([0; N]),
        }
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "Random::System",
            Self::Seeded(_) => "Random::Seeded",
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the operating system for randomness"
)]
fn system_fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(NoRandomness)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the thread's generator"
)]
fn thread_fill<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::Rng::fill_bytes(&mut rand::rng(), &mut bytes);
    bytes
}

/// One step of `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
fn next(state: &AtomicU64) -> [u8; 8] {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut z = state
        .fetch_add(GOLDEN, Ordering::Relaxed)
        .wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn seeded_dice_repeat_and_do_not_stand_still() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        let first: [u8; 32] = a.bytes().unwrap();
        assert_eq!(first, b.bytes::<32>().unwrap());
        assert_ne!(first, a.bytes::<32>().unwrap());
    }

    #[test]
    fn c_09_a_million_ids_from_the_system_do_not_repeat() {
        let random = Random::System;
        let seen: HashSet<[u8; 16]> = (0..1_000_000).map(|_| random.bytes().unwrap()).collect();
        assert_eq!(seen.len(), 1_000_000);
    }
}
