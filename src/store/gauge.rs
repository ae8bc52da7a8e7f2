//! How large many numbers were, kept in a few hundred bytes, to be added to from one thread while others read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Each power of two is split into so many steps: what is read is at most an eighth too large.
const STEPS: usize = 8;
const STEP_BITS: u32 = STEPS.ilog2();

/// Up to 2^40: eleven days, of microseconds.
const PLACES: usize = (40 - STEP_BITS as usize) * STEPS;

/// Numbers by their size.
#[derive(Debug)]
pub struct Gauge {
    places: [AtomicU64; PLACES],
    greatest: AtomicU64,
}

impl Default for Gauge {
    fn default() -> Gauge {
        Gauge { places: [const { AtomicU64::new(0) }; PLACES], greatest: AtomicU64::new(0) }
    }
}

/// What was recorded, in short: half were at most `p50`, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub count: u64,
    pub p50: u64,
    pub p99: u64,
    pub greatest: u64,
}

impl Gauge {
    pub fn record(&self, number: u128) {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        self.places[place(number)].fetch_add(1, Relaxed);
        self.greatest.fetch_max(number, Relaxed);
    }

    pub fn spread(&self) -> Spread {
        let counts: Vec<u64> = self.places.iter().map(|place| place.load(Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let greatest = self.greatest.load(Relaxed);
        let within = |percent: u64| {
            let (wanted, mut seen) = ((count * percent).div_ceil(100), 0);
            let reached = counts.iter().position(|n| {
                seen += n;
                seen >= wanted
            });
            reached.map_or(greatest, |place| last_of(place).min(greatest))
        };
        Spread { count, p50: within(50), p99: within(99), greatest }
    }
}

/// Small numbers have a place of their own.
fn place(number: u64) -> usize {
    if number < STEPS as u64 {
        return number as usize;
    }
    let power = number.ilog2() - STEP_BITS;
    let step = (number >> power) as usize - STEPS;
    ((power as usize + 1) * STEPS + step).min(PLACES - 1)
}

/// The greatest number of a place.
fn last_of(place: usize) -> u64 {
    let (power, step) = (place / STEPS, (place % STEPS) as u64);
    if power == 0 { step } else { ((STEPS as u64 + step + 1) << (power - 1)) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_at_most_an_eighth_too_large() {
        let gauge = Gauge::default();
        assert_eq!(gauge.spread(), Spread::default());
        for number in 1..=1_000 {
            gauge.record(number);
        }
        let spread = gauge.spread();
        assert!((500..=562).contains(&spread.p50) && (990..=1_000).contains(&spread.p99), "{spread:?}");
        assert_eq!((spread.count, spread.greatest), (1_000, 1_000));
        gauge.record(u128::MAX);
        assert_eq!(gauge.spread().greatest, u64::MAX);
    }

    #[test]
    fn places_follow_each_other_without_a_gap() {
        for number in 0..100_000 {
            let place = place(number);
            assert!(last_of(place) >= number && last_of(place) <= number + number / STEPS as u64, "{number}");
            assert!(place == 0 || last_of(place - 1) < number, "{number}");
        }
    }
}
