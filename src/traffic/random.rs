//! Numbers that look random and are the same on every machine.
//!
//! SplitMix64: small, quick, and good enough for traffic. Everything is integer arithmetic or a comparison of
//! exactly represented floats, so that no maths library can make two machines differ.

/// What a number is drawn for. Each is a stream of its own, so that drawing one more number for the one does not
/// change what is drawn for the others.
#[derive(Clone, Copy)]
#[repr(u64)]
pub enum Purpose {
    Message = 1,
    Person = 2,
    Send = 3,
    Arrival = 4,
    Line = 5,
    Noise = 6,
}

pub struct Random(u64);

impl Random {
    /// The stream of one purpose and one number (of a delivery, a person, a send).
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

    /// Picks by weight.
    pub fn pick_weighted<'a, T>(&mut self, choices: &'a [T], weight: impl Fn(&T) -> u32) -> &'a T {
        let total: u64 = choices.iter().map(|choice| u64::from(weight(choice))).sum();
        let mut at = self.below(total);
        for choice in choices {
            let weight = u64::from(weight(choice));
            if at < weight {
                return choice;
            }
            at -= weight;
        }
        &choices[0]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, purpose, number| {
            let mut random = Random::of(seed, purpose, number);
            [random.next(), random.next()]
        };
        assert_eq!(draw(7, Purpose::Message, 3), draw(7, Purpose::Message, 3));
        assert_ne!(draw(7, Purpose::Message, 3), draw(8, Purpose::Message, 3));
        assert_ne!(draw(7, Purpose::Message, 3), draw(7, Purpose::Message, 4));
        assert_ne!(draw(7, Purpose::Message, 3), draw(7, Purpose::Arrival, 3));
    }

    #[test]
    fn chances_and_bounds_hold() {
        let mut random = Random::of(1, Purpose::Message, 1);
        let hits = (0..100_000).filter(|_| random.chance(0.25)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        for _ in 0..1_000 {
            assert!((3..=5).contains(&random.between(3, 5)));
            assert!(random.wait(10) >= 1);
        }
    }
}
