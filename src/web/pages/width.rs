//! Buckets of time by the clock of a place: hours, days, weeks and months of a named zone.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;

use crate::domain::Millis;
use crate::domain::rollup::QUARTER_MS;

pub const HOUR_MS: Millis = 3_600_000;
pub const DAY_MS: Millis = 24 * HOUR_MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Hour,
    Day,
    Week,
    Month,
}

impl Width {
    pub const ALL: [Width; 4] = [Width::Hour, Width::Day, Width::Week, Width::Month];

    pub fn name(self) -> &'static str {
        match self {
            Width::Hour => "hour",
            Width::Day => "day",
            Width::Week => "week",
            Width::Month => "month",
        }
    }

    /// When the bucket begins that a time lies in: at a whole quarter of an hour, as counts are kept.
    pub fn start(self, zone: Tz, ms: Millis) -> Millis {
        let local_ms = local(zone, ms);
        if self == Width::Hour {
            let start = floor(ms - local_ms.rem_euclid(HOUR_MS));
            // where clocks are put back by half an hour, that may lie within an hour that began before
            let is_begun = local(zone, start) - start == local_ms - ms;
            return if is_begun || start >= ms { start } else { self.start(zone, start) };
        }
        let Some(day) = DateTime::from_timestamp_millis(local_ms).map(|time| time.date_naive()) else {
            return floor(ms);
        };
        let first = match self {
            Width::Hour | Width::Day => Some(day),
            // weeks begin on Mondays
            Width::Week => day.checked_sub_days(Days::new(u64::from(day.weekday().num_days_from_monday()))),
            Width::Month => day.with_day(1),
        };
        first.and_then(|day| midnight(zone, day)).filter(|start| *start <= ms).unwrap_or_else(|| floor(ms))
    }

    /// When the bucket ends that begins at `start_ms`.
    pub fn end(self, zone: Tz, start_ms: Millis) -> Millis {
        if self == Width::Hour {
            // where clocks are put by half an hour, it is as much longer or shorter
            let ends = (1..=8).map(|quarters| start_ms + quarters * QUARTER_MS);
            return ends.into_iter().find(|end| self.start(zone, *end) > start_ms).unwrap_or(start_ms + HOUR_MS);
        }
        let day = DateTime::from_timestamp_millis(local(zone, start_ms)).map(|time| time.date_naive());
        let next = day.and_then(|day| match self {
            Width::Hour | Width::Day => day.checked_add_days(Days::new(1)),
            Width::Week => day.checked_add_days(Days::new(7)),
            Width::Month => day.checked_add_months(Months::new(1)),
        });
        next.and_then(|day| midnight(zone, day)).filter(|end| *end > start_ms).unwrap_or(start_ms + DAY_MS)
    }
}

/// A time as the clock of the zone shows it, as if that were UTC.
pub fn local(zone: Tz, ms: Millis) -> Millis {
    let offset_s = DateTime::from_timestamp_millis(ms)
        .map_or(0, |time| zone.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc());
    ms + Millis::from(offset_s) * 1_000
}

/// When a day begins. Where clocks are put forward over midnight, that is later than 0:00; a day that was left out, as
/// at the date line, begins with the next.
fn midnight(zone: Tz, day: NaiveDate) -> Option<Millis> {
    let begin = day.and_time(NaiveTime::MIN);
    let quarters = (0..=2 * 96).map(|quarter| begin + TimeDelta::minutes(15 * quarter));
    let first = quarters.filter_map(|time| zone.from_local_datetime(&time).earliest()).next();
    first.map(|time| floor(time.timestamp_millis()))
}

/// Every zone in use is a multiple of a quarter of an hour from UTC; of old, some were not.
fn floor(ms: Millis) -> Millis {
    ms.div_euclid(QUARTER_MS) * QUARTER_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::format::Iso;

    fn ms(text: &str) -> Millis {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    /// The starts of the buckets from one time to another.
    fn starts(width: Width, zone: Tz, from: &str, to: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut at = width.start(zone, ms(from));
        while at <= ms(to) {
            found.push(Iso(at).to_string().replace(":00.000Z", ""));
            assert_eq!(width.start(zone, at), at, "{width:?} {zone} {}", Iso(at));
            let end = width.end(zone, at);
            assert!(end > at && width.start(zone, end - 1) == at, "{width:?} {zone} {} {}", Iso(at), Iso(end));
            at = end;
        }
        found
    }

    #[test]
    fn weeks_begin_on_mondays_and_months_on_the_first() {
        // 2026-11-21 is a Saturday
        let at = "2026-11-21T14:02:11Z";
        assert_eq!(starts(Width::Week, Tz::UTC, at, at), ["2026-11-16T00:00"]);
        assert_eq!(starts(Width::Month, Tz::UTC, at, "2026-12-01T00:00:00Z"), ["2026-11-01T00:00", "2026-12-01T00:00"]);
        assert_eq!(starts(Width::Hour, Tz::UTC, at, at), ["2026-11-21T14:00"]);
    }

    #[test]
    fn a_day_is_as_long_as_the_clock_of_the_place_makes_it() {
        // forward at 2:00 on the 29th: 23 hours; back at 3:00 on 25 October: 25 hours
        let days = starts(Width::Day, Tz::Europe__Berlin, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(days, ["2026-03-27T23:00", "2026-03-28T23:00", "2026-03-29T22:00"]);
        let days = starts(Width::Day, Tz::Europe__Berlin, "2026-10-25T12:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(days, ["2026-10-24T22:00", "2026-10-25T23:00"]);
        let months = starts(Width::Month, Tz::America__New_York, "2026-02-15T00:00:00Z", "2026-04-02T00:00:00Z");
        assert_eq!(months, ["2026-02-01T05:00", "2026-03-01T05:00", "2026-04-01T04:00"]);
    }

    #[test]
    fn hours_begin_when_the_clock_of_the_place_says_so() {
        let at = "2026-11-21T14:02:11Z";
        assert_eq!(starts(Width::Hour, Tz::Asia__Kolkata, at, at), ["2026-11-21T13:30"]);
        assert_eq!(starts(Width::Hour, Tz::Asia__Kathmandu, at, at), ["2026-11-21T13:15"]);
    }

    #[test]
    fn odd_changes_of_the_clock_leave_no_gap() {
        // half an hour forward and back
        for (from, to) in
            [("2026-04-04T12:00:00Z", "2026-04-04T18:00:00Z"), ("2026-10-03T12:00:00Z", "2026-10-03T18:00:00Z")]
        {
            starts(Width::Hour, Tz::Australia__Lord_Howe, from, to);
        }
        // a day that there was not; midnights that there were not, or twice
        starts(Width::Day, Tz::Pacific__Apia, "2011-12-28T12:00:00Z", "2012-01-02T12:00:00Z");
        starts(Width::Day, Tz::America__Sao_Paulo, "2018-11-01T12:00:00Z", "2018-11-08T12:00:00Z");
        starts(Width::Day, Tz::America__Havana, "2026-10-30T12:00:00Z", "2026-11-03T12:00:00Z");
    }
}
