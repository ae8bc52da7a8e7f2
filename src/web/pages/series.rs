//! A source over time: by which time, in buckets of which width, by the clock of which time zone.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Offset};
use chrono_tz::Tz;

use super::chart::Bucket;
use super::span::Choice;
use crate::domain::rollup::QUARTER_MS;
use crate::domain::{Counts, Millis};
use crate::store::query::campaigns::By;
use crate::store::query::campaigns::Range;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Day, Iso, IsoDay, IsoHour, Minute, Month, ShortDay};

const HOUR_MS: Millis = 3_600_000;
const DAY_MS: Millis = 24 * HOUR_MS;

/// More bars than this are too thin; the oldest are left out, and the page says so.
const BUCKETS_MAX: usize = 400;

/// Offered beside the field, separated by spaces; any other of the tz database can be typed.
pub const ZONES: &str = "UTC Africa/Johannesburg Africa/Lagos America/Chicago America/Denver America/Los_Angeles \
    America/Mexico_City America/New_York America/Sao_Paulo America/Toronto Asia/Dubai Asia/Hong_Kong Asia/Kolkata \
    Asia/Shanghai Asia/Singapore Asia/Tokyo Australia/Sydney Europe/Berlin Europe/Istanbul Europe/London \
    Europe/Madrid Europe/Paris Europe/Warsaw Pacific/Auckland";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Hour,
    Day,
    Week,
    Month,
}

impl Width {
    const ALL: [Width; 4] = [Width::Hour, Width::Day, Width::Week, Width::Month];

    pub fn name(self) -> &'static str {
        match self {
            Width::Hour => "hour",
            Width::Day => "day",
            Width::Week => "week",
            Width::Month => "month",
        }
    }

    /// What all times of one bucket have in common. Two hours of the same name differ by their offset.
    fn key(self, zone: Tz, ms: Millis) -> (i64, i64) {
        let local_ms = local(zone, ms);
        let day = utc(local_ms).date_naive();
        match self {
            Width::Hour => (local_ms.div_euclid(HOUR_MS), local_ms - ms),
            Width::Day => (day.num_days_from_ce().into(), 0),
            // weeks begin on Mondays
            Width::Week => (day.iso_week().year().into(), day.iso_week().week().into()),
            Width::Month => (day.year().into(), day.month().into()),
        }
    }

    /// The first or the last quarter hour of the bucket of a time: counts are stored by the quarter hour, and buckets are
    /// as long as daylight saving time makes them.
    fn edge(self, zone: Tz, ms: Millis, sign: Millis) -> Millis {
        let mut at = ms.div_euclid(QUARTER_MS) * QUARTER_MS;
        let key = self.key(zone, at);
        for step in [DAY_MS, HOUR_MS, QUARTER_MS].map(|step| sign * step) {
            while self.key(zone, at + step) == key {
                at += step;
            }
        }
        at
    }

    /// When the bucket of a time begins.
    pub fn start(self, zone: Tz, ms: Millis) -> Millis {
        self.edge(zone, ms, -1)
    }

    /// When the next one begins.
    pub fn end(self, zone: Tz, ms: Millis) -> Millis {
        self.edge(zone, ms, 1) + QUARTER_MS
    }
}

fn utc(ms: Millis) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// A time as the clock of the zone shows it, as if that were UTC.
pub fn local(zone: Tz, ms: Millis) -> Millis {
    ms + Millis::from(utc(ms).with_timezone(&zone).offset().fix().local_minus_utc()) * 1_000
}

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Series {
    pub by: By,
    /// `None`: one that fits.
    pub width: Option<Width>,
    pub zone: Tz,
}

impl Series {
    /// Reads `time` (cohort, event), `by` (hour, day, week, month) and `zone`.
    pub fn parse(pairs: &[(String, String)]) -> Result<Series, Error> {
        let value = |key: &str| pairs.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, value)| value.as_str());
        let wrong = |key: &str, value: &str, known: &str| {
            Error::BadRequest(format!("Invalid `{key}={value}`. It must be {known}."))
        };
        let by = match value("time") {
            None | Some("cohort") => By::Cohort,
            Some("event") => By::Event,
            Some(other) => return Err(wrong("time", other, "cohort or event")),
        };
        let width = value("by").map(|name| {
            let known = Width::ALL.into_iter().find(|width| width.name() == name);
            known.ok_or_else(|| wrong("by", name, "hour, day, week or month"))
        });
        let zone = value("zone").map(|name| {
            let known = Tz::from_str_insensitive(name.trim());
            known.map_err(|_| wrong("zone", name, "a name of the tz database, such as Europe/Berlin or UTC"))
        });
        Ok(Series { by, width: width.transpose()?, zone: zone.transpose()?.unwrap_or(Tz::UTC) })
    }

    pub fn on(&self, mut address: Address) -> Address {
        if self.by == By::Event {
            address = address.with("time", "event");
        }
        if let Some(width) = self.width {
            address = address.with("by", width.name());
        }
        if self.zone == Tz::UTC { address } else { address.with("zone", self.zone.name()) }
    }

    pub fn what(&self) -> String {
        let zone = self.zone.name();
        match self.by {
            By::Cohort => format!("Grouped by send date ({zone}), including later opens and clicks"),
            By::Event => format!("Grouped by event date ({zone})"),
        }
    }

    pub fn times(&self, here: &Address) -> Vec<Choice> {
        let choice = |(title, by): (&str, By)| Choice {
            title: title.into(),
            href: Series { by, ..*self }.on(here.clone()),
            is_current: by == self.by,
        };
        [("By send date", By::Cohort), ("By event date", By::Event)].map(choice).into()
    }

    pub fn widths(&self, current: Width, here: &Address) -> Vec<Choice> {
        let choice = |width: Width| Choice {
            title: width.name().into(),
            href: Series { width: Some(width), ..*self }.on(here.clone()),
            is_current: width == current,
        };
        Width::ALL.map(choice).into()
    }

    /// Chooses a width where none was asked for, and leaves out the oldest buckets that do not fit.
    pub fn fit(&self, range: Range) -> Fitted {
        let zone = self.zone;
        let width = self.width.unwrap_or(match (range.until_ms - range.since_ms) / DAY_MS {
            ..4 => Width::Hour,
            4..200 => Width::Day,
            _ => Width::Week,
        });
        if range.until_ms <= range.since_ms {
            return Fitted { width, zone, starts: Vec::new(), until_ms: range.since_ms, is_cut: false };
        }
        let last = range.until_ms - 1;
        let mut start = width.start(zone, last);
        let mut starts = vec![start];
        while start > range.since_ms && starts.len() < BUCKETS_MAX {
            start = width.start(zone, start - 1);
            starts.push(start);
        }
        starts.reverse();
        Fitted { width, zone, is_cut: start > range.since_ms, starts, until_ms: width.end(zone, last) }
    }
}

/// A series that fits the page.
#[derive(Clone)]
pub struct Fitted {
    pub width: Width,
    zone: Tz,
    /// Of its buckets, in order.
    pub starts: Vec<Millis>,
    pub until_ms: Millis,
    is_cut: bool,
}

impl Fitted {
    /// Where it begins, if there is more before.
    pub fn cut_at_ms(&self) -> Option<Millis> {
        self.starts.first().copied().filter(|_| self.is_cut)
    }

    pub fn note(&self) -> Option<String> {
        let first = Day(local(self.zone, self.cut_at_ms()?));
        Some(format!("Only the last {} {}s are shown, from {first}.", self.starts.len(), self.width.name()))
    }

    /// Every bucket in order.
    pub fn buckets(&self, counts: &BTreeMap<usize, Counts>) -> Vec<Bucket> {
        let many = self.starts.len();
        let every = (many / 6).max(1);
        let ends = self.starts.iter().skip(1).copied().chain([self.until_ms]);
        let bucket = |(place, (start, end)): (usize, (Millis, Millis))| {
            let at = local(self.zone, start);
            let label = match self.width {
                Width::Hour => format!("{} {}", ShortDay(at), Minute(at)),
                Width::Day => Day(at).to_string(),
                Width::Week => format!("week of {}", Day(at)),
                Width::Month => Month(at).to_string(),
            };
            let has_tick = match self.width {
                Width::Hour if many > 36 => {
                    at.rem_euclid(DAY_MS) == 0 && at.div_euclid(DAY_MS) % (many as i64 / 168 + 1) == 0
                }
                _ => place % every == 0 && place + every <= many,
            };
            let tick = match self.width {
                Width::Hour if many <= 36 => Minute(at).to_string(),
                Width::Month => Month(at).to_string(),
                _ => ShortDay(at).to_string(),
            };
            // days and hours of UTC have short names; both ends of a span are inclusive then
            let (begin, end) = match self.width {
                _ if self.zone != Tz::UTC => (Iso(start).to_string(), Iso(end).to_string()),
                Width::Hour => (IsoHour(start).to_string(), IsoHour(start).to_string()),
                _ => (IsoDay(start).to_string(), IsoDay(end - DAY_MS).to_string()),
            };
            let counts = counts.get(&place).copied().unwrap_or_default();
            Bucket { label, tick: has_tick.then_some(tick), begin, end, counts }
        };
        self.starts.iter().copied().zip(ends).enumerate().map(bucket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn buckets_begin_when_the_local_clock_says_so() {
        // 2026-11-21 is a Saturday
        let at = "2026-11-21T14:02:11Z";
        assert_eq!(starts(Width::Week, Tz::UTC, at, at), ["2026-11-16T00:00"]);
        assert_eq!(starts(Width::Month, Tz::UTC, at, "2026-12-01T00:00:00Z"), ["2026-11-01T00:00", "2026-12-01T00:00"]);
        assert_eq!(starts(Width::Hour, Tz::UTC, at, at), ["2026-11-21T14:00"]);
        assert_eq!(starts(Width::Hour, Tz::Asia__Kolkata, at, at), ["2026-11-21T13:30"]);
        assert_eq!(starts(Width::Hour, Tz::Asia__Kathmandu, at, at), ["2026-11-21T13:15"]);
    }

    #[test]
    fn a_day_is_23_or_25_hours_long_when_clocks_change() {
        let days = starts(Width::Day, Tz::Europe__Berlin, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(days, ["2026-03-27T23:00", "2026-03-28T23:00", "2026-03-29T22:00"]);
        let days = starts(Width::Day, Tz::Europe__Berlin, "2026-10-25T12:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(days, ["2026-10-24T22:00", "2026-10-25T23:00"]);
        let hours = starts(Width::Hour, Tz::Europe__Berlin, "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z");
        assert_eq!(hours, ["2026-10-24T23:00", "2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"]);
        let months = starts(Width::Month, Tz::America__New_York, "2026-02-15T00:00:00Z", "2026-04-02T00:00:00Z");
        assert_eq!(months, ["2026-02-01T05:00", "2026-03-01T05:00", "2026-04-01T04:00"]);
    }

    #[test]
    fn odd_changes_of_the_clock_leave_no_gap() {
        // by half an hour forward and back
        for (from, to) in
            [("2026-04-04T12:00:00Z", "2026-04-04T18:00:00Z"), ("2026-10-03T12:00:00Z", "2026-10-03T18:00:00Z")]
        {
            starts(Width::Hour, Tz::Australia__Lord_Howe, from, to);
        }
        // a day that was skipped; midnights that were skipped or came twice
        starts(Width::Day, Tz::Pacific__Apia, "2011-12-28T12:00:00Z", "2012-01-02T12:00:00Z");
        starts(Width::Day, Tz::America__Sao_Paulo, "2018-11-01T12:00:00Z", "2018-11-08T12:00:00Z");
        starts(Width::Day, Tz::America__Havana, "2026-10-30T12:00:00Z", "2026-11-03T12:00:00Z");
    }

    #[test]
    fn a_long_range_by_hour_is_cut_at_its_beginning() {
        let by_hour = Series { by: By::Cohort, width: Some(Width::Hour), zone: Tz::UTC };
        let range = Range { since_ms: 0, until_ms: 1_000 * HOUR_MS };
        let fitted = by_hour.fit(range);
        assert_eq!(fitted.cut_at_ms(), Some(600 * HOUR_MS));
        assert_eq!((fitted.until_ms, fitted.buckets(&BTreeMap::new()).len()), (1_000 * HOUR_MS, 400));
        assert_eq!(Series { width: None, ..by_hour }.fit(range).width, Width::Day);
        assert_eq!(by_hour.fit(Range { since_ms: 600 * HOUR_MS, ..range }).cut_at_ms(), None);
    }

    #[test]
    fn a_zone_is_known_by_its_name() {
        let parse = |zone: &str| Series::parse(&[("zone".into(), zone.into())]);
        assert_eq!(parse("europe/berlin").unwrap().zone, Tz::Europe__Berlin);
        assert!(parse("Europe/Atlantis").err().unwrap().to_string().contains("Europe/Berlin"));
    }
}
