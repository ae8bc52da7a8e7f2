//! A stretch of time in an address: a preset, or days or times of UTC.

use chrono::{DateTime, NaiveDate};

use crate::domain::Millis;
use crate::domain::rollup::QUARTER_MS;
use crate::store::sources::Range;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Day, Exact, Iso};

const DAY_MS: Millis = 24 * 60 * 60 * 1000;

/// The presets: as written in an address, as read by people, in days.
const PRESETS: [(&str, &str, Millis); 3] = [("24h", "24 hours", 1), ("7d", "7 days", 7), ("30d", "30 days", 30)];

/// From when, until when (exclusive); open where `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    pub since_ms: Option<Millis>,
    pub until_ms: Option<Millis>,
    preset: Option<&'static str>,
    /// As written in the fields of the form: whole days.
    pub since_day: String,
    pub until_day: String,
    in_address: Vec<(&'static str, String)>,
}

/// A way to another span.
pub struct Choice {
    pub title: &'static str,
    pub href: String,
    pub is_current: bool,
}

impl Span {
    /// Reads `since` and `until`. A preset begins at the start of a quarter hour, as counts do, so that the log
    /// finds exactly what was counted.
    pub fn parse(pairs: &[(String, String)], now_ms: Millis) -> Result<Span, Error> {
        let value = |key: &str| pairs.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, value)| value.as_str());
        let mut span = Span::default();
        if let Some(since) = value("since") {
            span.in_address.push(("since", since.into()));
            match PRESETS.iter().find(|(name, ..)| *name == since) {
                Some((name, _, days)) => {
                    span.preset = Some(name);
                    span.since_ms = Some((now_ms - days * DAY_MS).div_euclid(QUARTER_MS) * QUARTER_MS);
                }
                None => {
                    let (ms, is_day) = time(since, "since")?;
                    span.since_ms = Some(ms);
                    span.since_day = if is_day { since.into() } else { String::new() };
                }
            }
        }
        if let Some(until) = value("until") {
            span.in_address.push(("until", until.into()));
            let (ms, is_day) = time(until, "until")?;
            // a day is meant whole
            span.until_ms = Some(if is_day { ms + DAY_MS } else { ms });
            span.until_day = if is_day { until.into() } else { String::new() };
        }
        if let (Some(since), Some(until)) = (span.since_ms, span.until_ms)
            && since >= until
        {
            return Err(Error::BadRequest("The range ends before it begins: `since` must be before `until`.".into()));
        }
        Ok(span)
    }

    pub fn is_all(&self) -> bool {
        self.since_ms.is_none() && self.until_ms.is_none()
    }

    /// The range of creation for counts; `None` for all time.
    pub fn range(&self) -> Option<Range> {
        (!self.is_all()).then(|| Range {
            since_ms: self.since_ms.unwrap_or(0),
            until_ms: self.until_ms.unwrap_or(253_402_300_800_000),
        })
    }

    /// This span on another address.
    pub fn on(&self, mut address: Address) -> Address {
        for (key, value) in &self.in_address {
            address = address.with(key, value);
        }
        address
    }

    /// The same with its beginning as a time, so that the address names exactly what was counted.
    pub fn fixed_on(&self, address: Address) -> Address {
        match (self.preset, self.since_ms) {
            (Some(_), Some(since)) => address.with("since", Iso(since)),
            _ => self.on(address),
        }
    }

    /// In words.
    pub fn title(&self) -> String {
        if let Some((_, title, _)) = PRESETS.iter().find(|(name, ..)| Some(*name) == self.preset) {
            return format!("last {title}");
        }
        let said = |ms: Millis, day: &str, last: bool| {
            if day.is_empty() { Exact(ms).to_string() } else { Day(ms - if last { 1 } else { 0 }).to_string() }
        };
        match (self.since_ms, self.until_ms) {
            (None, None) => "all time".into(),
            (Some(since), None) => format!("since {}", said(since, &self.since_day, false)),
            (None, Some(until)) => format!("until {}", said(until, &self.until_day, true)),
            (Some(since), Some(until)) => {
                format!("{} to {}", said(since, &self.since_day, false), said(until, &self.until_day, true))
            }
        }
    }

    /// The presets as links from an address.
    pub fn choices(&self, from: &Address) -> Vec<Choice> {
        let bare = from.clone().without("since").without("until");
        let all = Choice { title: "All time", href: bare.to_string(), is_current: self.is_all() };
        let preset = |(name, title, _): &(&'static str, &'static str, Millis)| Choice {
            title,
            href: bare.clone().with("since", name).to_string(),
            is_current: self.preset == Some(name) && self.until_ms.is_none(),
        };
        PRESETS.iter().map(preset).chain([all]).collect()
    }
}

/// A day, or a time; whether it is a day.
fn time(text: &str, key: &str) -> Result<(Millis, bool), Error> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok((day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis(), true));
    }
    DateTime::parse_from_rfc3339(text).map(|time| (time.timestamp_millis(), false)).map_err(|_| {
        Error::BadRequest(format!(
            "`{key}={text}` is no time. It can be 24h, 7d or 30d, a day such as 2026-11-21, or a time such as \
            2026-11-21T14:00:00Z."
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
    fn days_are_whole() {
        let span = span("2026-11-01", "2026-11-02").unwrap();
        assert_eq!(span.until_ms.unwrap() - span.since_ms.unwrap(), 2 * DAY_MS);
        assert_eq!(span.title(), "1 Nov 2026 to 2 Nov 2026");
    }

    #[test]
    fn what_is_no_time_is_refused_by_name() {
        assert!(span("yesterday", "").unwrap_err().to_string().contains("since=yesterday"));
        assert!(span("2026-11-03", "2026-11-01").is_err());
    }
}
