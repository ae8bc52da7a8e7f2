//! Which series of a source is shown: by which time, in buckets of which width, by the clock of which place.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::chart::Bucket;
use super::width::{DAY_MS, Width, local};
use crate::domain::{Counts, Millis};
use crate::store::source::By;
use crate::store::sources::Range;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Day, Iso, IsoDay, IsoHour, Minute, Month, ShortDay};

/// More bars than this cannot be told apart; the oldest are left out, and the page says so.
const BUCKETS_MAX: usize = 400;

/// Offered beside the field; any other of the tz database can be typed.
pub const ZONES: [&str; 24] = [
    "UTC",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Toronto",
    "Asia/Dubai",
    "Asia/Hong_Kong",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Istanbul",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Paris",
    "Europe/Warsaw",
    "Pacific/Auckland",
];

/// What was asked for, and the ways to ask otherwise.
pub struct Series {
    pub by: By,
    pub width: Option<Width>,
    pub zone: Tz,
    pub times: Vec<Choice>,
    pub widths: Vec<Choice>,
    /// What was left out.
    pub note: Option<String>,
}

pub struct Choice {
    pub title: &'static str,
    pub href: String,
    pub is_current: bool,
}

impl Series {
    /// Reads `time` (cohort, event), `by` (hour, day, week, month) and `zone`.
    pub fn parse(pairs: &[(String, String)], here: &Address) -> Result<Series, Error> {
        let value = |key: &str| pairs.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, value)| value.as_str());
        let by = match value("time") {
            None | Some("cohort") => By::Cohort,
            Some("event") => By::Event,
            Some(other) => {
                return Err(Error::BadRequest(format!(
                    "`time={other}` is no time to go by. It can be cohort or event."
                )));
            }
        };
        let width = value("by").map(|name| {
            Width::ALL.into_iter().find(|width| width.name() == name).ok_or_else(|| {
                Error::BadRequest(format!("`by={name}` is no width. It can be hour, day, week or month."))
            })
        });
        let zone = value("zone").map_or(Ok(Tz::UTC), |name| {
            Tz::from_str_insensitive(name.trim()).map_err(|_| {
                Error::BadRequest(format!(
                    "`zone={name}` is no time zone. It is a name of the tz database, such as Europe/Berlin or UTC."
                ))
            })
        });
        let mut series =
            Series { by, width: width.transpose()?, zone: zone?, times: Vec::new(), widths: Vec::new(), note: None };
        series.times = [("By creation of the delivery", By::Cohort), ("By time of the event", By::Event)]
            .map(|(title, by)| Choice {
                title,
                href: series.address(by, series.width, here.clone()).to_string(),
                is_current: by == series.by,
            })
            .into();
        Ok(series)
    }

    fn address(&self, by: By, width: Option<Width>, address: Address) -> Address {
        let address = if by == By::Event { address.with("time", "event") } else { address };
        let address = match width {
            Some(width) => address.with("by", width.name()),
            None => address,
        };
        if self.zone == Tz::UTC { address } else { address.with("zone", self.zone.name()) }
    }

    pub fn on(&self, address: Address) -> Address {
        self.address(self.by, self.width, address)
    }

    pub fn what(&self) -> String {
        let zone = self.zone.name();
        match self.by {
            By::Cohort => {
                format!(
                    "Deliveries by when they were created ({zone}); what happened to them later is counted there too"
                )
            }
            By::Event => format!("Events by when they happened ({zone})"),
        }
    }

    /// Takes over the width that was chosen, and what it left out.
    pub fn fitted(&mut self, fitted: &Fitted, here: &Address) {
        self.widths = Width::ALL
            .map(|width| Choice {
                title: width.name(),
                href: self.address(self.by, Some(width), here.clone()).to_string(),
                is_current: width == fitted.width,
            })
            .into();
        self.width = Some(fitted.width);
        let first = fitted.starts.first().filter(|_| fitted.is_cut);
        self.note = first.map(|first| {
            format!("Shown from {} on: earlier {}s do not fit.", Day(local(self.zone, *first)), fitted.width.name())
        });
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

/// Chooses a width where none was asked for, and cuts what does not fit.
pub fn fit(wanted: Option<Width>, zone: Tz, range: Range) -> Fitted {
    if range.until_ms <= range.since_ms {
        let width = wanted.unwrap_or(Width::Hour);
        return Fitted { width, zone, starts: Vec::new(), until_ms: range.since_ms, is_cut: false };
    }
    let days = (range.until_ms - range.since_ms) / DAY_MS;
    let width = wanted.unwrap_or(match days {
        ..4 => Width::Hour,
        4..200 => Width::Day,
        _ => Width::Week,
    });
    let last = width.start(zone, (range.until_ms - 1).max(range.since_ms));
    // from the newest: there may be many more before than fit
    let mut starts = vec![last];
    let mut start = last;
    while start > range.since_ms && starts.len() < BUCKETS_MAX {
        start = width.start(zone, start - 1);
        starts.push(start);
    }
    starts.reverse();
    Fitted { width, zone, is_cut: start > range.since_ms, starts, until_ms: width.end(zone, last) }
}

impl Fitted {
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
            // days and hours of UTC have short names, and both ends of a span are meant whole
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
    use super::super::width::HOUR_MS;
    use super::*;

    #[test]
    fn a_long_range_by_hour_is_cut_at_its_beginning() {
        let range = Range { since_ms: 0, until_ms: 1_000 * HOUR_MS };
        let fitted = fit(Some(Width::Hour), Tz::UTC, range);
        assert!(fitted.is_cut);
        assert_eq!((fitted.starts[0], fitted.until_ms), (600 * HOUR_MS, 1_000 * HOUR_MS));
        assert_eq!(fitted.buckets(&BTreeMap::new()).len(), 400);
        assert_eq!(fit(None, Tz::UTC, range).width, Width::Day);
        assert!(!fit(Some(Width::Hour), Tz::UTC, Range { since_ms: 600 * HOUR_MS, ..range }).is_cut);
    }

    #[test]
    fn buckets_are_named_by_the_clock_of_the_place() {
        // 2026-11-21T14:02:11.500Z
        let at = 1_795_269_731_500;
        let fitted = fit(Some(Width::Day), Tz::Asia__Kolkata, Range { since_ms: at, until_ms: at + 5 * HOUR_MS });
        let buckets = fitted.buckets(&BTreeMap::new());
        let said: Vec<_> = buckets.iter().map(|it| (&*it.label, &*it.begin, &*it.end)).collect();
        let (first, second, end) = ("2026-11-20T18:30:00.000Z", "2026-11-21T18:30:00.000Z", "2026-11-22T18:30:00.000Z");
        assert_eq!(said, [("21 Nov 2026", first, second), ("22 Nov 2026", second, end)]);
    }

    #[test]
    fn a_zone_is_known_by_its_name() {
        let parse = |zone: &str| Series::parse(&[("zone".into(), zone.into())], &Address::default());
        assert_eq!(parse("europe/berlin").unwrap().zone, Tz::Europe__Berlin);
        assert!(parse("Europe/Atlantis").err().unwrap().to_string().contains("Europe/Berlin"));
    }
}
