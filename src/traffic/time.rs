//! When things happen: the rhythm of days and weeks, and times as text.

use super::random::Random;

pub const SECOND_MS: i64 = 1000;
pub const HOUR_MS: i64 = 3600 * SECOND_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// How busy each UTC hour is, from midnight, the busiest 100.
const HOURS: [u8; 24] = [10, 7, 5, 5, 8, 15, 32, 55, 78, 95, 100, 96, 84, 80, 86, 90, 88, 80, 74, 70, 62, 48, 32, 18];

/// How busy each day is, from Thursday: 1970 began with one.
const DAYS: [u8; 7] = [98, 90, 55, 48, 92, 100, 97];

/// A time from `start` up to `end`, on a whole second, likelier in busy hours.
pub fn busy_time(start_ms: i64, end_ms: i64, random: &mut Random) -> i64 {
    let mut at = start_ms;
    // the quietest hour is taken once in forty tries, so a bound is only there to have one
    for _ in 0..64 {
        at = random.between(start_ms, end_ms);
        let hour = HOURS[(at.rem_euclid(DAY_MS) / HOUR_MS) as usize];
        let day = DAYS[at.div_euclid(DAY_MS).rem_euclid(7) as usize];
        if random.below(10_000) < u64::from(hour) * u64::from(day) {
            break;
        }
    }
    whole_second(at).max(start_ms)
}

/// Reporting webhooks know whole seconds only, so every event is on one.
pub fn whole_second(ms: i64) -> i64 {
    ms - ms.rem_euclid(SECOND_MS)
}

/// ISO 8601, UTC, milliseconds: `2023-08-22T16:42:55.003Z`.
pub fn iso(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil(days);
    let (hour, minute) = (of_day / HOUR_MS, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The Gregorian date of a day counted from 1970, by eras of 400 years that begin on the first of March, so that
/// the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::random::Purpose;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_692_722_575_003, "2023-08-22T16:42:55.003Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso(ms), text);
        }
    }

    #[test]
    fn noon_is_busier_than_night() {
        let mut random = Random::of(1, Purpose::Message, 1);
        let times: Vec<i64> = (0..20_000).map(|_| busy_time(0, 56 * DAY_MS, &mut random)).collect();
        let at_hour = |hour| times.iter().filter(|ms| **ms / HOUR_MS % 24 == hour).count();
        assert!(at_hour(11) > 5 * at_hour(3));
        assert!(times.iter().all(|ms| ms % SECOND_MS == 0 && (0..=56 * DAY_MS).contains(ms)));
    }
}
