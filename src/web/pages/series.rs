//! Which series of a source is shown: by which time, in buckets of which width.

use std::collections::BTreeMap;

use super::chart::Bucket;
use crate::domain::{Counts, Millis};
use crate::store::source::By;
use crate::store::sources::Range;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Day, IsoDay, IsoHour, Minute, ShortDay};

const HOUR_MS: Millis = 3_600_000;
const DAY_MS: Millis = 24 * HOUR_MS;

/// More bars than this cannot be told apart; the oldest are left out, and the page says so.
const BUCKETS_MAX: i64 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Hour,
    Day,
    Week,
}

impl Width {
    pub const ALL: [Width; 3] = [Width::Hour, Width::Day, Width::Week];

    pub fn name(self) -> &'static str {
        match self {
            Width::Hour => "hour",
            Width::Day => "day",
            Width::Week => "week",
        }
    }

    pub fn ms(self) -> Millis {
        match self {
            Width::Hour => HOUR_MS,
            Width::Day => DAY_MS,
            Width::Week => 7 * DAY_MS,
        }
    }

    /// 1970 began on a Thursday; weeks begin on Mondays.
    pub fn offset_ms(self) -> Millis {
        if self == Width::Week { 4 * DAY_MS } else { 0 }
    }

    fn number(self, ms: Millis) -> i64 {
        (ms - self.offset_ms()).div_euclid(self.ms())
    }

    pub fn start(self, number: i64) -> Millis {
        number * self.ms() + self.offset_ms()
    }
}

/// What was asked for, and the ways to ask otherwise.
pub struct Series {
    pub by: By,
    pub width: Option<Width>,
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
    /// Reads `time` (cohort, event) and `by` (hour, day, week).
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
            Width::ALL
                .into_iter()
                .find(|width| width.name() == name)
                .ok_or_else(|| Error::BadRequest(format!("`by={name}` is no width. It can be hour, day or week.")))
        });
        let mut series = Series { by, width: width.transpose()?, times: Vec::new(), widths: Vec::new(), note: None };
        series.times = [("By creation of the delivery", By::Cohort), ("By time of the event", By::Event)]
            .map(|(title, by)| Choice {
                title,
                href: Series::address(by, series.width, here.clone()).to_string(),
                is_current: by == series.by,
            })
            .into();
        Ok(series)
    }

    fn address(by: By, width: Option<Width>, address: Address) -> Address {
        let address = if by == By::Event { address.with("time", "event") } else { address };
        match width {
            Some(width) => address.with("by", width.name()),
            None => address,
        }
    }

    pub fn on(&self, address: Address) -> Address {
        Series::address(self.by, self.width, address)
    }

    pub fn what(&self) -> String {
        match self.by {
            By::Cohort => {
                "Deliveries by when they were created (UTC); what happened to them later is counted there too".into()
            }
            By::Event => "Events by when they happened (UTC)".into(),
        }
    }

    /// Takes over the width that was chosen, and what it left out.
    pub fn fitted(&mut self, fitted: &Fitted, here: &Address) {
        self.widths = Width::ALL
            .map(|width| Choice {
                title: width.name(),
                href: Series::address(self.by, Some(width), here.clone()).to_string(),
                is_current: width == fitted.width,
            })
            .into();
        self.width = Some(fitted.width);
        self.note = fitted.is_cut.then(|| {
            format!("Shown from {} on: earlier {}s do not fit.", Day(fitted.range.since_ms), fitted.width.name())
        });
    }
}

/// A series that fits the page.
#[derive(Clone, Copy)]
pub struct Fitted {
    pub width: Width,
    pub range: Range,
    is_cut: bool,
}

/// Chooses a width where none was asked for, and cuts what does not fit.
pub fn fit(wanted: Option<Width>, range: Range) -> Fitted {
    let days = (range.until_ms - range.since_ms) / DAY_MS;
    let width = wanted.unwrap_or(match days {
        ..4 => Width::Hour,
        4..200 => Width::Day,
        _ => Width::Week,
    });
    let last = width.number((range.until_ms - 1).max(range.since_ms));
    let first = width.number(range.since_ms);
    let from = first.max(last - BUCKETS_MAX + 1);
    Fitted {
        width,
        range: Range { since_ms: width.start(from), until_ms: width.start(last + 1) },
        is_cut: from > first,
    }
}

impl Fitted {
    /// Every bucket in order.
    pub fn buckets(&self, counts: &BTreeMap<i64, Counts>) -> Vec<Bucket> {
        let (first, end) = (self.width.number(self.range.since_ms), self.width.number(self.range.until_ms));
        let every = ((end - first) / 6).max(1);
        let bucket = |number: i64| {
            let ms = self.width.start(number);
            let label = match self.width {
                Width::Hour => format!("{} {}", ShortDay(ms), Minute(ms)),
                Width::Day => Day(ms).to_string(),
                Width::Week => format!("week of {}", Day(ms)),
            };
            let has_tick = match self.width {
                Width::Hour if end - first > 36 => ms % DAY_MS == 0 && ((ms / DAY_MS) % ((end - first) / 168 + 1)) == 0,
                _ => (number - first) % every == 0 && number + every <= end,
            };
            let tick = match self.width {
                Width::Hour if end - first <= 36 => Minute(ms).to_string(),
                _ => ShortDay(ms).to_string(),
            };
            // both ends of a span are meant whole
            let (begin, end) = match self.width {
                Width::Hour => (IsoHour(ms).to_string(), IsoHour(ms).to_string()),
                Width::Day | Width::Week => (IsoDay(ms).to_string(), IsoDay(ms + self.width.ms() - DAY_MS).to_string()),
            };
            let counts = counts.get(&number).copied().unwrap_or_default();
            Bucket { label, tick: has_tick.then_some(tick), begin, end, counts }
        };
        (first..end).map(bucket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weeks_begin_on_mondays() {
        // 2026-11-21 is a Saturday
        let saturday = 1_795_269_731_500;
        let start = Width::Week.start(Width::Week.number(saturday));
        assert_eq!(Day(start).to_string(), "16 Nov 2026");
    }

    #[test]
    fn a_long_range_by_hour_is_cut_at_its_beginning() {
        let range = Range { since_ms: 0, until_ms: 1_000 * HOUR_MS };
        let fitted = fit(Some(Width::Hour), range);
        assert!(fitted.is_cut);
        assert_eq!(fitted.range, Range { since_ms: 600 * HOUR_MS, until_ms: 1_000 * HOUR_MS });
        assert_eq!(fitted.buckets(&BTreeMap::new()).len(), 400);
        assert_eq!(fit(None, range).width, Width::Day);
    }
}
