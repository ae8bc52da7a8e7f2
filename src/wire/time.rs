//! When something happened, in the ways that senders write it.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use serde_json::Value;

use crate::domain::{EventTime, Millis};

use super::json;
use super::reason::{Reason, Refusal};

/// 2000-01-01T00:00:00Z. Nothing was delivered before it: an earlier time is a mistake in units or a clock at zero.
pub const EARLIEST_MS: Millis = 946_684_800_000;

/// How far ahead of its receipt a time may lie.
pub const AHEAD_MAX_MS: Millis = 24 * 60 * 60 * 1000;

/// 9999-12-31T23:59:59.999Z. What lies later is no time that will come.
const LATEST_MS: Millis = 253_402_300_799_999;

/// From here on (the year 5138, in seconds) a number means milliseconds.
const MILLISECONDS_FROM: f64 = 1e11;

/// The time of an event: what the field holds, or the receipt where it holds nothing. `path` names the field.
pub(super) fn read(value: Option<&Value>, path: &'static str, received_at_ms: Millis) -> Result<EventTime, Refusal> {
    read_by_clock(value, path, received_at_ms, 0)
}

/// The same by a clock that is so far ahead of the receiver's, which is taken off.
pub(super) fn read_by_clock(
    value: Option<&Value>,
    path: &'static str,
    received_at_ms: Millis,
    clock_skew_ms: Millis,
) -> Result<EventTime, Refusal> {
    let Some(value) = value else { return Ok(EventTime::from_receipt(received_at_ms)) };
    if matches!(value, Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) {
        return Err(Refusal::at(Reason::BadTime, path, &format!("is {}, not a time", json::kind(value))));
    }
    let ms = instant(value).map(|ms| ms.saturating_sub(clock_skew_ms));
    let Some(ms) = ms.filter(|ms| *ms <= LATEST_MS) else {
        return Err(Refusal::at(Reason::BadTime, path, "is not a time: ISO 8601 or unix seconds are understood"));
    };
    if ms < EARLIEST_MS {
        return Err(Refusal::at(Reason::TimeTooEarly, path, "is before 2000-01-01"));
    }
    if ms.saturating_sub(received_at_ms) > AHEAD_MAX_MS {
        let refusal = Refusal::at(Reason::TimeInTheFuture, path, "is more than 24 hours after the receipt");
        return Err(Refusal { due_at_ms: Some(ms), ..refusal });
    }
    Ok(EventTime { clock_skew_ms, ..EventTime::given(ms) })
}

/// The time that a value is, in whichever way it is written.
pub(super) fn instant(value: &Value) -> Option<Millis> {
    match value {
        Value::Number(number) => unix(number.as_f64()?),
        Value::String(text) => unix_text(text.trim()).or_else(|| iso_8601(text.trim())),
        _ => None,
    }
}

fn unix_text(text: &str) -> Option<Millis> {
    // f64 also reads "inf" and "nan"
    if !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E')) {
        return None;
    }
    unix(text.parse().ok()?)
}

/// Unix seconds, with or without a fraction; a number from [`MILLISECONDS_FROM`] on is milliseconds.
fn unix(number: f64) -> Option<Millis> {
    // by way of microseconds, since 0.003 s is a little less than 3 ms as a float
    let micros = if number.abs() >= MILLISECONDS_FROM { number * 1e3 } else { number * 1e6 }.round();
    // the cast saturates, and what it saturates to is beyond LATEST_MS
    number.is_finite().then_some((micros as i64).div_euclid(1000))
}

/// What RFC 3339 leaves out and senders write: no seconds, `+0200` or `+02` for `+02:00`, a space before it.
const ZONED: [&str; 4] =
    ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z", "%Y-%m-%dT%H:%M%#z", "%Y-%m-%d %H:%M%#z"];

/// Without a zone, which is UTC then.
const PLAIN: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

/// `2024-05-01T00:05:18.003Z` and its kin; a date alone is its midnight. What is finer than a millisecond is dropped.
fn iso_8601(text: &str) -> Option<Millis> {
    // as BigQuery exports it
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let zoned = || ZONED.into_iter().find_map(|form| DateTime::parse_from_str(text, form).ok());
    let plain = || PLAIN.into_iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(NaiveTime::MIN));
    zoned()
        .map(|time| time.timestamp_millis())
        .or_else(|| plain().or_else(date).map(|time| time.and_utc().timestamp_millis()))
}

/// `2023-08-22T16:42:55.000Z`.
pub(super) fn iso(ms: Millis) -> Option<String> {
    Some(DateTime::from_timestamp_millis(ms)?.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: Millis = 1_714_521_918_000;

    fn read_json(json: &str) -> Result<EventTime, Refusal> {
        read(Some(&json::parse(json).unwrap()), "time", RECEIVED)
    }

    #[test]
    fn times_are_read_in_every_way_they_are_written() {
        let cases = [
            ("1714435200", 1_714_435_200_000),
            ("1714435200.5", 1_714_435_200_500),
            ("1714435200.003", 1_714_435_200_003),
            ("1714435200.0039", 1_714_435_200_003),
            ("1.7144352e9", 1_714_435_200_000),
            ("\"1714435200\"", 1_714_435_200_000),
            ("\" 1714435200.25 \"", 1_714_435_200_250),
            ("1714435200003", 1_714_435_200_003),
            ("\"1714435200003\"", 1_714_435_200_003),
            ("\"2024-04-30T00:00:00Z\"", 1_714_435_200_000),
            ("\"2024-04-30T00:00:00.003Z\"", 1_714_435_200_003),
            ("\"2024-04-30T00:00:00.0039999999999Z\"", 1_714_435_200_003),
            ("\"2024-04-30t00:00:00z\"", 1_714_435_200_000),
            ("\"2024-04-30T02:00:00+02:00\"", 1_714_435_200_000),
            ("\"2024-04-30T02:00:00+0200\"", 1_714_435_200_000),
            ("\"2024-04-30T02:00+02\"", 1_714_435_200_000),
            ("\"2024-04-29 22:00:00.5-02:00\"", 1_714_435_200_500),
            ("\"2024-04-30T00:00:00\"", 1_714_435_200_000),
            ("\"2024-04-30 00:00:00.25\"", 1_714_435_200_250),
            ("\"2024-04-30 00:00Z\"", 1_714_435_200_000),
            ("\"2024-04-30T00:00\"", 1_714_435_200_000),
            ("\"2024-04-30\"", 1_714_435_200_000),
            ("946684800", EARLIEST_MS),
            // a day ahead is a clock or a zone that is off, more is not
            ("1714608318", RECEIVED + AHEAD_MAX_MS),
        ];
        for (json, ms) in cases {
            assert_eq!(read_json(json).unwrap(), EventTime::given(ms), "{json}");
        }
    }

    #[test]
    fn a_time_that_is_missing_is_that_of_the_receipt() {
        assert_eq!(read(None, "time", RECEIVED).unwrap(), EventTime::from_receipt(RECEIVED));
    }

    #[test]
    fn unusable_times_say_why() {
        use Reason::*;
        let cases = [
            ("\"abc\"", BadTime),
            ("\"inf\"", BadTime),
            ("\"NaN\"", BadTime),
            ("\"e\"", BadTime),
            ("\"2024-02-30T00:00:00Z\"", BadTime),
            ("\"2024-04-30T24:61:00Z\"", BadTime),
            ("\"9999999-01-01T00:00:00Z\"", BadTime),
            ("\"+262143-12-31T23:59:59Z\"", BadTime),
            ("\"2024-04-30T00:00:00Zoo\"", BadTime),
            ("true", BadTime),
            ("{}", BadTime),
            ("[1714435200]", BadTime),
            ("\"1e400\"", BadTime),
            ("1e300", BadTime),
            ("9223372036854775807", BadTime),
            ("99999999999999999999999999", BadTime),
            // nanoseconds
            ("1714435200000000000", BadTime),
            ("\"-1e400\"", BadTime),
            ("-1e300", TimeTooEarly),
            ("0", TimeTooEarly),
            ("-1", TimeTooEarly),
            ("946684799.999", TimeTooEarly),
            ("\"1999-12-31T23:59:59.999Z\"", TimeTooEarly),
            ("\"-0001-01-01T00:00:00Z\"", TimeTooEarly),
            ("1714608318.001", TimeInTheFuture),
            ("\"9999-12-31T23:59:59Z\"", TimeInTheFuture),
        ];
        for (json, reason) in cases {
            assert_eq!(read_json(json).unwrap_err().reason, reason, "{json}");
        }
    }

    #[test]
    fn a_time_to_come_says_when_it_will_have_come() {
        let refusal = read_json("1714700000").unwrap_err();
        assert_eq!(refusal.due_at_ms, Some(1_714_700_000_000));
        assert_eq!(refusal.field, Some("time"));
    }
}
