//! Pseudo-random numbers that are the same on every machine and with every version of a library: SplitMix64.

/// What a number is drawn for. Each is a stream of its own, so that drawing one number more for one of them does not
/// change the others.
#[derive(Clone, Copy)]
pub enum Purpose {
    Message = 1,
    Person = 2,
    Arrival = 3,
    Line = 4,
    Unrelated = 5,
}

pub struct Random(u64);

impl Random {
    /// The stream of one purpose and one number (of a delivery, a person, a line).
    pub fn of(seed: u64, purpose: Purpose, number: u64) -> Random {
        let mut random = Random(seed ^ (purpose as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let start = random.next() ^ number.wrapping_mul(0xA076_1D64_78BD_642F);
        Random(start)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, not including, `bound`; 0 where the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1).max(1) as u64) as i64
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }

    /// One of some words that spaces separate.
    pub fn word<'a>(&mut self, words: &'a str) -> &'a str {
        let count = words.split(' ').count() as u64;
        words.split(' ').nth(self.below(count) as usize).unwrap_or_default()
    }

    /// A wait around `typical`, mostly below twice that, now and then very much longer, as people's are.
    pub fn wait(&mut self, typical: i64) -> i64 {
        let mut wait = self.between(1, typical * 3 / 2);
        for _ in 0..8 {
            if !self.chance(0.32) {
                break;
            }
            wait *= 2;
        }
        wait
    }
}
