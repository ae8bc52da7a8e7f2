//! A stretch of time in an address: a preset, or days or times of UTC.

use chrono::{DateTime, NaiveDate};

use crate::domain::Millis;
use crate::domain::rollup::QUARTER_MS;
use crate::store::query::campaigns::Range;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Day, Exact, Iso, IsoDay};

const HOUR_MS: Millis = 60 * 60 * 1000;
const DAY_MS: Millis = 24 * HOUR_MS;

/// The presets: as written in an address, as read by people, in days.
const PRESETS: [(&str, &str, Millis); 3] = [("24h", "24 hours", 1), ("7d", "7 days", 7), ("30d", "30 days", 30)];

/// Days by name: as written in an address, as read by people, how many days before today.
const DAYS: [(&str, &str, Millis); 2] = [("today", "Today", 0), ("yesterday", "Yesterday", 1)];

/// The names of the two ends of a span in an address.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Keys {
    /// `since` and `until`: when a delivery was created.
    #[default]
    Created,
    /// `from` and `to`: when an event happened.
    Happened,
}

impl Keys {
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Keys::Created => ("since", "until"),
            Keys::Happened => ("from", "to"),
        }
    }
}

/// From when, until when (exclusive); open where `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    pub since_ms: Option<Millis>,
    pub until_ms: Option<Millis>,
    /// The names of its two ends in an address.
    keys: Keys,
    preset: Option<&'static str>,
    /// As in the fields of the form, for days.
    pub since_day: String,
    pub until_day: String,
    in_address: Vec<(&'static str, String)>,
}

/// A link to another way to see a page.
pub struct Choice {
    pub title: String,
    pub href: Address,
    pub is_current: bool,
}

impl Span {
    /// Reads `since` and `until`. A preset begins at the start of a quarter hour, as counts do, so that the log
    /// finds exactly what was counted.
    pub fn parse(pairs: &[(String, String)], now_ms: Millis) -> Result<Span, Error> {
        Span::parse_by(Keys::Created, pairs, now_ms)
    }

    /// The same by the keys of another time.
    pub fn parse_by(keys: Keys, pairs: &[(String, String)], now_ms: Millis) -> Result<Span, Error> {
        let value = |key: &str| pairs.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, value)| value.as_str());
        let (begin, end) = keys.names();
        let mut span = Span { keys, ..Span::default() };
        if let Some(since) = value(begin) {
            span.in_address.push((begin, since.into()));
            match PRESETS.iter().find(|(name, ..)| *name == since) {
                Some((name, _, days)) => {
                    span.preset = Some(name);
                    span.since_ms = Some((now_ms - days * DAY_MS).div_euclid(QUARTER_MS) * QUARTER_MS);
                }
                None => {
                    let (ms, unit_ms) = time(since, begin, now_ms)?;
                    span.since_ms = Some(ms);
                    span.since_day = if unit_ms == DAY_MS { IsoDay(ms).to_string() } else { String::new() };
                }
            }
        }
        if let Some(until) = value(end) {
            span.in_address.push((end, until.into()));
            let (ms, unit_ms) = time(until, end, now_ms)?;
            // a day or an hour is inclusive
            span.until_ms = Some(ms + unit_ms);
            span.until_day = if unit_ms == DAY_MS { IsoDay(ms).to_string() } else { String::new() };
        }
        if let (Some(since), Some(until)) = (span.since_ms, span.until_ms)
            && since >= until
        {
            let what = format!("The range ends before it begins: `{begin}` must be before `{end}`.");
            return Err(Error::BadRequest(what));
        }
        Ok(span)
    }

    pub fn is_all(&self) -> bool {
        self.since_ms.is_none() && self.until_ms.is_none()
    }

    /// The range in quarter hours, by which counts are stored; `None` for all time.
    pub fn range(&self) -> Option<Range> {
        (!self.is_all()).then(|| Range {
            since_ms: floor(self.since_ms.unwrap_or(0)),
            until_ms: floor(self.until_ms.unwrap_or(253_402_300_800_000) + QUARTER_MS - 1),
        })
    }

    /// This span on another address.
    pub fn on(&self, mut address: Address) -> Address {
        for (key, value) in &self.in_address {
            address = address.with(key, value);
        }
        address
    }

    /// The same in quarter hours, so that the address finds exactly what was counted.
    pub fn fixed_on(&self, mut address: Address) -> Address {
        let range = self.range();
        let is_whole = |ms: Option<Millis>| ms.is_none_or(|ms| ms == floor(ms));
        if self.preset.is_none() && is_whole(self.since_ms) && is_whole(self.until_ms) {
            return self.on(address);
        }
        let (begin, end) = self.keys.names();
        if let Some(range) = range.filter(|_| self.since_ms.is_some()) {
            address = address.with(begin, Iso(range.since_ms));
        }
        if let Some(range) = range.filter(|_| self.until_ms.is_some()) {
            address = address.with(end, Iso(range.until_ms));
        }
        address
    }

    /// In words.
    pub fn title(&self) -> String {
        if let Some((_, title, _)) = PRESETS.iter().find(|(name, ..)| Some(*name) == self.preset) {
            return format!("last {title}");
        }
        let text = |ms: Millis, day: &str| if day.is_empty() { Exact(ms).to_string() } else { Day(ms).to_string() };
        let since = self.since_ms.map(|ms| text(ms, &self.since_day));
        // the last day is inclusive
        let last = Millis::from(!self.until_day.is_empty());
        let until = self.until_ms.map(|ms| text(ms - last, &self.until_day));
        match (since, until) {
            (None, None) => "all time".into(),
            (Some(since), None) => format!("since {since}"),
            (None, Some(until)) => format!("until {until}"),
            (Some(since), Some(until)) if since == until => since,
            (Some(since), Some(until)) => format!("{since} to {until}"),
        }
    }

    /// The presets as links from an address.
    pub fn choices(&self, from: &Address) -> Vec<Choice> {
        let (begin, end) = self.keys.names();
        let bare = from.clone().without(begin).without(end);
        let all = Choice { title: "All time".into(), href: bare.clone(), is_current: self.is_all() };
        let preset = |&(name, title, _): &(&'static str, &'static str, Millis)| Choice {
            title: title.into(),
            href: bare.clone().with(begin, name),
            is_current: self.preset == Some(name) && self.until_ms.is_none(),
        };
        let is_day = |name: &str| {
            let value = |key: &str| self.in_address.iter().find(|(known, _)| *known == key).map(|(_, value)| &**value);
            value(begin) == Some(name) && value(end).is_none_or(|end| end == name)
        };
        let day = |&(name, title, ago): &(&'static str, &'static str, Millis)| Choice {
            title: title.into(),
            href: match bare.clone().with(begin, name) {
                yesterday if ago > 0 => yesterday.with(end, name),
                today => today,
            },
            is_current: is_day(name),
        };
        DAYS.iter().map(day).chain(PRESETS.iter().skip(1).map(preset)).chain([all]).collect()
    }
}

fn floor(ms: Millis) -> Millis {
    ms.div_euclid(QUARTER_MS) * QUARTER_MS
}

/// A day, an hour, or a time; and how long it is.
fn time(text: &str, key: &str, now_ms: Millis) -> Result<(Millis, Millis), Error> {
    if let Some((.., ago)) = DAYS.iter().find(|(name, ..)| *name == text) {
        return Ok((now_ms.div_euclid(DAY_MS) * DAY_MS - ago * DAY_MS, DAY_MS));
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok((day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis(), DAY_MS));
    }
    // `2026-11-21T14`: what the cells of a chart link to, several hundred on a page
    if let Some((day, hour)) = text.split_once('T')
        && let (2, Ok(hour @ 0..24), Ok(day)) = (hour.len(), hour.parse::<u32>(), day.parse::<NaiveDate>())
        && let Some(time) = day.and_hms_opt(hour, 0, 0)
    {
        return Ok((time.and_utc().timestamp_millis(), HOUR_MS));
    }
    DateTime::parse_from_rfc3339(text).map(|time| (time.timestamp_millis(), 0)).map_err(|_| {
        Error::BadRequest(format!(
            "Invalid `{key}={text}`. It must be 24h, 7d or 30d, today, yesterday, a day (2026-11-21), an hour (2026-11-21T14), or a time \
             (2026-11-21T14:00:00Z)."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_795_269_731_500;

    fn span(since: &str, until: &str) -> Result<Span, Error> {
        Span::parse(&[("since".into(), since.into()), ("until".into(), until.into())], NOW)
    }

    #[test]
    fn a_preset_begins_on_a_quarter_hour() {
        let span = span("24h", "").unwrap();
        assert_eq!(Iso(span.since_ms.unwrap()).to_string(), "2026-11-20T14:00:00.000Z");
        assert_eq!(span.title(), "last 24 hours");
    }

    #[test]
    fn the_last_day_or_hour_is_inclusive() {
        let span = span("2026-11-01", "2026-11-02").unwrap();
        assert_eq!(span.until_ms.unwrap() - span.since_ms.unwrap(), 2 * DAY_MS);
        assert_eq!(span.title(), "1 Nov 2026 to 2 Nov 2026");
        assert_eq!(self::span("2026-11-01", "2026-11-01").unwrap().title(), "1 Nov 2026");
        let span = self::span("2026-11-01T09", "2026-11-01T10").unwrap();
        assert_eq!(span.until_ms.unwrap() - span.since_ms.unwrap(), 2 * HOUR_MS);
        assert!(super::time("2026-11-01T24", "since", NOW).is_err());
        let yesterday = self::span("yesterday", "yesterday").unwrap();
        assert_eq!((yesterday.title(), yesterday.since_day), ("20 Nov 2026".into(), "2026-11-20".into()));
    }

    #[test]
    fn a_range_is_written_in_quarter_hours() {
        let fixed = |since: &str, until: &str| span(since, until).unwrap().fixed_on(Address::new("", "/d")).to_string();
        assert_eq!(fixed("2026-11-01", "2026-11-02"), "/d?since=2026-11-01&until=2026-11-02");
        assert_eq!(fixed("24h", ""), "/d?since=2026-11-20T14:00:00.000Z");
        assert_eq!(
            fixed("2026-11-01T10:07:00Z", "2026-11-01T10:20:00Z"),
            "/d?since=2026-11-01T10:00:00.000Z&until=2026-11-01T10:30:00.000Z"
        );
    }

    #[test]
    fn an_invalid_time_is_refused_by_name() {
        assert!(span("tomorrow", "").unwrap_err().to_string().contains("since=tomorrow"));
        assert!(span("2026-11-03", "2026-11-01").is_err());
    }
}
