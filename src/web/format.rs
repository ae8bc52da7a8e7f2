//! Times, durations and numbers as people read them. All times are UTC, and say so where they stand alone.

use std::borrow::Cow;
use std::fmt::{Display, Formatter, Result};

use chrono::{DateTime, Datelike, Utc};

use crate::domain::Millis;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

fn utc(ms: Millis) -> DateTime<Utc> {
    // no event lies outside of the calendar
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// Times in UTC, each by a pattern of [`chrono::format::strftime`].
macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident $pattern:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name(pub Millis);

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                write!(f, "{}", utc(self.0).format($pattern))
            }
        }
    )*};
}

patterns! {
    /// `2026-11-21T14:02:11.500Z`
    Iso "%Y-%m-%dT%H:%M:%S%.3fZ";
    /// `2026-11-21T14:02:11Z`
    IsoSecond "%Y-%m-%dT%H:%M:%SZ";
    /// `2026-11-21 14:02 UTC`
    ToMinute "%Y-%m-%d %H:%M UTC";
    /// `2026-11-21T14`
    IsoHour "%Y-%m-%dT%H";
    /// `2026-11-21`
    IsoDay "%Y-%m-%d";
    /// `14:02`
    Minute "%H:%M";
    /// `21 Nov 2026`
    Day "%-d %b %Y";
    /// `21 Nov`
    ShortDay "%-d %b";
    /// `Nov 2026`
    Month "%b %Y";
}

/// `2026-11-21 14:02:11.500 UTC`, with milliseconds only where they are not zero.
pub struct Exact(pub Millis);

impl Display for Exact {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {} UTC", IsoDay(self.0), Clock(self.0))
    }
}

/// `14:02:11`, or `14:02:11.500`
pub struct Clock(pub Millis);

impl Display for Clock {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let format = if self.0.rem_euclid(SECOND) == 0 { "%H:%M:%S" } else { "%H:%M:%S%.3f" };
        write!(f, "{}", utc(self.0).format(format))
    }
}

/// `4 min ago`; after a week the date.
pub struct Ago {
    pub at_ms: Millis,
    pub now_ms: Millis,
}

impl Display for Ago {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let gap = self.now_ms - self.at_ms;
        match gap {
            ..0 => write!(f, "in {}", Gap(-gap)),
            0..SECOND => f.write_str("now"),
            SECOND..MINUTE => write!(f, "{} s ago", gap / SECOND),
            MINUTE..HOUR => write!(f, "{} min ago", gap / MINUTE),
            HOUR..DAY => write!(f, "{} h ago", gap / HOUR),
            _ if gap < 7 * DAY => write!(f, "{} d ago", gap / DAY),
            _ if utc(self.at_ms).year() == utc(self.now_ms).year() => write!(f, "{}", ShortDay(self.at_ms)),
            _ => write!(f, "{}", Day(self.at_ms)),
        }
    }
}

/// A duration: `0.3 s`, `45 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`.
pub struct Gap(pub Millis);

impl Display for Gap {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let ms = self.0.max(0);
        let two = |f: &mut Formatter<'_>, big: Millis, name: &str, small: Millis, small_name: &str| {
            write!(f, "{} {name}", ms / big)?;
            match ms % big / small {
                0 => Ok(()),
                rest => write!(f, " {rest} {small_name}"),
            }
        };
        match ms {
            0 => f.write_str("0 s"),
            1..100 => write!(f, "{ms} ms"),
            _ if ms < 10 * SECOND && ms % SECOND != 0 => write!(f, "{}.{} s", ms / SECOND, ms % SECOND / 100),
            _ if ms < MINUTE => write!(f, "{} s", ms / SECOND),
            _ if ms < HOUR => two(f, MINUTE, "min", SECOND, "s"),
            _ if ms < DAY => two(f, HOUR, "h", MINUTE, "min"),
            _ => two(f, DAY, "d", HOUR, "h"),
        }
    }
}

/// `12,345`.
pub struct Count(pub i64);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let digits = self.0.unsigned_abs().to_string();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A share: `36.1%`, `<0.1%`, `120.0%`.
pub struct Percent(pub f64);

impl Display for Percent {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 * 100.0 {
            0.0 => f.write_str("0%"),
            part if part < 0.05 => f.write_str("<0.1%"),
            part => write!(f, "{part:.1}%"),
        }
    }
}

/// A difference of shares in percentage points: `+3.1`, `-0.4`, `0.0`.
pub struct Points(pub f64);

impl Display for Points {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let tenths = (self.0 * 1_000.0).round() / 10.0;
        // neither +0.0 nor -0.0
        if tenths == 0.0 { f.write_str("0.0") } else { write!(f, "{tenths:+.1}") }
    }
}

/// `1 delivery`, `2 deliveries`.
pub struct Plural(pub i64, pub &'static str, pub &'static str);

impl Display for Plural {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} {}", Count(self.0), if self.0 == 1 { self.1 } else { self.2 })
    }
}

/// A size in bytes: `812 B`, `64.0 KiB`.
pub struct Bytes(pub i64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            ..1_024 => write!(f, "{} B", self.0),
            1_024..1_048_576 => write!(f, "{:.1} KiB", self.0 as f64 / 1_024.0),
            1_048_576..1_073_741_824 => write!(f, "{:.1} MiB", self.0 as f64 / 1_048_576.0),
            _ => write!(f, "{:.1} GiB", self.0 as f64 / 1_073_741_824.0),
        }
    }
}

/// A latency: `870 µs`, `4.2 ms`, `1.3 s`.
pub struct Micros(pub u64);

impl Display for Micros {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            ..1_000 => write!(f, "{} µs", self.0),
            1_000..100_000 => write!(f, "{:.1} ms", self.0 as f64 / 1_000.0),
            100_000..1_000_000 => write!(f, "{} ms", self.0 / 1_000),
            _ => write!(f, "{:.1} s", self.0 as f64 / 1_000_000.0),
        }
    }
}

/// Text with a picture (`␛`) for each control character that is no whitespace: a terminal would act on it.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\t' | '\n' | '\r') || !c.is_control();
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let picture = |c: char| match c {
        c if is_plain(c) => c,
        '\u{7f}' => '␡',
        // Unicode has a picture for each of the first 32, in the same order
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(picture).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_795_269_731_500;

    fn texts<T: Display>(values: impl IntoIterator<Item = T>) -> Vec<String> {
        values.into_iter().map(|value| value.to_string()).collect()
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(Iso(NOW).to_string(), "2026-11-21T14:02:11.500Z");
        assert_eq!(texts([NOW, NOW - 500].map(Exact)), ["2026-11-21 14:02:11.500 UTC", "2026-11-21 14:02:11 UTC"]);
        assert_eq!([Day(NOW).to_string(), Minute(NOW).to_string()], ["21 Nov 2026", "14:02"]);
    }

    #[test]
    fn ages_are_rounded_down() {
        for (gap, text) in [
            (0, "now"),
            (1_999, "1 s ago"),
            (MINUTE, "1 min ago"),
            (2 * HOUR - 1, "1 h ago"),
            (3 * DAY, "3 d ago"),
            (8 * DAY, "13 Nov"),
            (400 * DAY, "17 Oct 2025"),
            (-90 * SECOND, "in 1 min 30 s"),
        ] {
            assert_eq!(Ago { at_ms: NOW - gap, now_ms: NOW }.to_string(), text);
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let durations = [0, 12, 300, 2_740, 45_900, 192 * SECOND, 125 * MINUTE, 3 * DAY];
        let expected = ["0 s", "12 ms", "0.3 s", "2.7 s", "45 s", "3 min 12 s", "2 h 5 min", "3 d"];
        assert_eq!(texts(durations.map(Gap)), expected);
    }

    #[test]
    fn numbers_are_grouped_and_shares_are_not_capped() {
        assert_eq!(texts([0, 999, 1_234_567, -1_000].map(Count)), ["0", "999", "1,234,567", "-1,000"]);
        assert_eq!(texts([0.3609, 0.0001, 1.2].map(Percent)), ["36.1%", "<0.1%", "120.0%"]);
        assert_eq!(texts([0.0312, -0.004, 0.000_4, -0.000_4].map(Points)), ["+3.1", "-0.4", "0.0", "0.0"]);
        assert_eq!(texts([812, 65_536].map(Bytes)), ["812 B", "64.0 KiB"]);
    }

    #[test]
    fn control_characters_become_pictures() {
        assert_eq!(printable("a\tb\r\nc é"), "a\tb\r\nc é");
        assert_eq!(printable("\0\u{1b}[31m\u{7f}\u{9b}x"), "␀␛[31m␡\u{fffd}x");
    }
}
