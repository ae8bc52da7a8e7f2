//! Whether two shares differ, and how significant the difference is.

use super::rollup::Rate;

/// The difference of two shares with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// One share minus the other; between -1 and 1, as are the ends of the interval.
    pub by: f64,
    pub low: f64,
    pub high: f64,
    pub sureness: Sureness,
}

/// How significant the difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sureness {
    /// p < 0.01.
    VeryLikely,
    /// p < 0.05.
    Likely,
    /// Not significant.
    Chance,
}

impl Sureness {
    pub fn name(self) -> &'static str {
        match self {
            Sureness::VeryLikely => "very_likely",
            Sureness::Likely => "likely",
            Sureness::Chance => "chance",
        }
    }
}

/// The two-sided quantiles of the normal distribution.
const Z_95: f64 = 1.959_963_984_540_054;
const Z_99: f64 = 2.575_829_303_548_900_4;

/// From `other` to `rate`, by Newcombe's hybrid score interval (1998, method 10), which holds for small counts and for
/// shares near 0 and 1 too. Deliveries are treated as independent.
///
/// `None` where there is no interval: a denominator of 0, a numerator above it, or different denominators.
pub fn difference(rate: Rate, other: Rate) -> Option<Difference> {
    let is_share = |rate: Rate| rate.denominator > 0 && (0..=rate.denominator).contains(&rate.numerator);
    if rate.of != other.of || !is_share(rate) || !is_share(other) {
        return None;
    }
    let (share, than) = (rate.share()?, other.share()?);
    let by = share - than;
    let within = |z: f64| {
        let ((low, high), (other_low, other_high)) = (wilson(rate, z), wilson(other, z));
        (by - (share - low).hypot(other_high - than), by + (high - share).hypot(than - other_low))
    };
    let without_zero = |(low, high): (f64, f64)| low > 0.0 || high < 0.0;
    let (low, high) = within(Z_95);
    let sureness = match (without_zero(within(Z_99)), without_zero((low, high))) {
        (true, _) => Sureness::VeryLikely,
        (false, true) => Sureness::Likely,
        (false, false) => Sureness::Chance,
    };
    Some(Difference { by, low, high, sureness })
}

/// Wilson's score interval of a share.
fn wilson(rate: Rate, z: f64) -> (f64, f64) {
    let (hits, of) = (rate.numerator as f64, rate.denominator as f64);
    let share = hits / of;
    let middle = 2.0 * hits + z * z;
    let spread = z * (z * z + 4.0 * hits * (1.0 - share)).sqrt();
    let scale = 2.0 * (of + z * z);
    ((middle - spread) / scale, (middle + spread) / scale)
}

#[cfg(test)]
mod tests {
    use super::super::rollup::Denominator;
    use super::*;

    fn rate(numerator: i64, denominator: i64) -> Rate {
        Rate { numerator, denominator, of: Denominator::Delivered }
    }

    #[test]
    fn an_interval_of_a_difference_is_as_published() {
        // Newcombe, Statistics in Medicine 17 (1998), table II, method 10
        for (a, b, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((6, 7), (2, 7), 0.0582, 0.8062),
            ((5, 56), (0, 29), -0.0381, 0.1926),
            ((0, 10), (0, 20), -0.1611, 0.2775),
            ((0, 10), (0, 10), -0.2775, 0.2775),
            ((10, 10), (0, 20), 0.6791, 1.0),
            ((10, 10), (0, 10), 0.6075, 1.0),
        ] {
            let found = difference(rate(a.0, a.1), rate(b.0, b.1)).unwrap();
            let is_near = |x: f64, y: f64| (x - y).abs() < 0.000_051;
            assert!(is_near(found.low, low) && is_near(found.high, high), "{a:?} {b:?}: {found:?}");
            let turned = difference(rate(b.0, b.1), rate(a.0, a.1)).unwrap();
            assert!(is_near(turned.low, -high) && is_near(turned.high, -low), "{turned:?}");
        }
    }

    #[test]
    fn a_share_has_wilsons_interval() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        for (hits, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let found = wilson(rate(hits, of), Z_95);
            assert!((found.0 - low).abs() < 0.000_051 && (found.1 - high).abs() < 0.000_051, "{found:?}");
        }
    }

    #[test]
    fn significance_grows_with_the_deliveries() {
        let sure = |n: i64| difference(rate(36 * n, 100 * n), rate(30 * n, 100 * n)).unwrap().sureness;
        assert_eq!([1, 5, 10].map(sure), [Sureness::Chance, Sureness::Likely, Sureness::VeryLikely]);
    }

    #[test]
    fn invalid_shares_are_not_compared() {
        assert_eq!(difference(rate(1, 0), rate(1, 2)), None);
        assert_eq!(difference(rate(3, 2), rate(1, 2)), None);
        assert_eq!(difference(rate(1, 2), Rate { of: Denominator::Sent, ..rate(1, 2) }), None);
    }
}
