//! The packed columns of an event's row: `at`, `received_after` and `marks`, as the migration says.
//!
//! Most events happen at a whole second, carry what the others of their delivery carry, and are marked by nothing; these
//! are to take no bytes for saying so. The view `events_read` unpacks the same.

use super::raw::DICTIONARY_ID;
use crate::domain::{Attribute, Attributes, EventTime, Flags, Millis};

const RECEIVED_LATE: i64 = 1;
const AT_IN_MS: i64 = 1 << 1;
const FLAGS_FROM: u32 = 2;
const DIFFERS_FROM: u32 = 9;
const DICTIONARY_FROM: u32 = 25;

/// What an update of a row must leave as it is: how `raw` is packed.
pub const OF_RAW: i64 = -1 << DICTIONARY_FROM;

/// A day: what comes in later is of an import, of which nobody asks for the milliseconds.
const LATE_MS: Millis = 86_400_000;

const HOUR_MS: Millis = 3_600_000;

/// 97 days: about here seconds take four bytes, where hours take two.
const LATE_HOURS: i64 = 97 * 24;

/// What most events of a delivery carry: bit n stands for attribute n. It is written with the delivery and never changed,
/// so that no event's row has to be written again as the delivery becomes known better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said(pub i64);

impl Said {
    /// Of a new delivery that shows these.
    pub fn of(shown: &Attributes) -> Said {
        Said(bits(shown))
    }
}

/// The attributes that are known: bit n stands for attribute n.
pub fn bits(attributes: &Attributes) -> i64 {
    attributes.iter().fold(0, |bits, (attribute, _)| bits | 1 << attribute as i64)
}

/// What a delivery shows, against which the rows of its events are written.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub attributes: &'a Attributes,
    pub said: Said,
}

/// The packed columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    pub at: i64,
    pub received_after: i64,
    pub marks: i64,
}

/// What they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    pub time: EventTime,
    pub received_at_ms: Millis,
    pub flags: Flags,
    /// Bit n: it says the same as the delivery of attribute n.
    pub carried: i64,
}

impl Packed {
    /// Of an event whose id gives this [origin](super::eid::Eid::origin_ms).
    pub fn of(event: Unpacked, said: Said, origin_ms: Millis) -> Packed {
        let Unpacked { time, received_at_ms, flags, carried } = event;
        let mut marks = flags_as_bits(time, flags) << FLAGS_FROM | (carried ^ said.0) << DIFFERS_FROM;
        let mut at = time.ms / 1_000 - origin_ms / 1_000;
        if time.ms % 1_000 != 0 {
            at = time.ms - origin_ms;
            marks |= AT_IN_MS;
        }
        let mut received_after = received_at_ms - time.ms;
        if received_after >= LATE_MS {
            let received_s = (received_at_ms + 999) / 1_000;
            received_after = match received_s / 3_600 - time.ms / HOUR_MS {
                hours @ LATE_HOURS.. => -hours,
                _ => received_s - time.ms / 1_000,
            };
            marks |= RECEIVED_LATE;
        }
        Packed { at, received_after, marks }
    }

    pub fn unpack(self, said: Said, origin_ms: Millis) -> Unpacked {
        let Packed { at, received_after, marks } = self;
        let ms = if marks & AT_IN_MS == 0 { (origin_ms / 1_000 + at) * 1_000 } else { origin_ms + at };
        let received_at_ms = match marks & RECEIVED_LATE {
            0 => ms + received_after,
            _ if received_after < 0 => (ms / HOUR_MS - received_after) * HOUR_MS,
            _ => (ms / 1_000 + received_after) * 1_000,
        };
        let (time, flags) = time_and_flags(ms, marks >> FLAGS_FROM);
        let carried = (marks >> DIFFERS_FROM & 0xffff) ^ said.0;
        Unpacked { time, received_at_ms, flags, carried }
    }
}

const _: () = assert!(Attribute::RecipientRaw as u32 == DICTIONARY_FROM - DIFFERS_FROM);

/// The mark of what is packed with a dictionary.
pub fn of_dictionary(id: i64) -> i64 {
    (id - DICTIONARY_ID).max(0) << DICTIONARY_FROM
}

/// The dictionary of a row whose `raw` is a blob.
pub fn dictionary(marks: i64) -> i64 {
    (marks >> DICTIONARY_FROM) + 1
}

/// Two bits each (0 not said, 1 no, 2 yes): machine, proxied, synthetic; then one: time taken from receipt.
pub fn flags_as_bits(time: EventTime, flags: Flags) -> i64 {
    let bits = |flag: Option<bool>| flag.map_or(0, |yes| 1 + i64::from(yes));
    bits(flags.machine) | bits(flags.proxied) << 2 | bits(flags.synthetic) << 4 | i64::from(time.from_receipt) << 6
}

pub fn time_and_flags(ms: Millis, bits: i64) -> (EventTime, Flags) {
    let flag = |bits: i64| match bits & 3 {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    };
    let flags = Flags { machine: flag(bits), proxied: flag(bits >> 2), synthetic: flag(bits >> 4) };
    (EventTime { ms, from_receipt: bits >> 6 & 1 == 1, clock_skew_ms: 0 }, flags)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::eid::Eid;
    use super::*;

    /// What comes in earlier than this is told at least to the second.
    const TO_THE_SECOND_MS: Millis = (LATE_HOURS - 1) * HOUR_MS;

    fn flags() -> impl Strategy<Value = Flags> {
        any::<(Option<bool>, Option<bool>, Option<bool>)>().prop_map(|(machine, proxied, synthetic)| Flags {
            machine,
            proxied,
            synthetic,
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(
            ms in prop_oneof![0..1_000_000i64, (0..4_000_000_000i64).prop_map(|s| s * 1_000), 0..4_000_000_000_000i64],
            after in prop_oneof![-86_400_000i64..86_400_000, 86_400_000..99_999_999_999i64],
            from_receipt in any::<bool>(), flags in flags(), carried in 0..65_536i64, said in 0..65_536i64,
            origin_ms in prop_oneof![Just(0), 0..4_000_000_000_000i64],
        ) {
            let time = EventTime { ms, from_receipt, clock_skew_ms: 0 };
            let event = Unpacked { time, received_at_ms: ms + after, flags, carried };
            let packed = Packed::of(event, Said(said), origin_ms);
            let again = packed.unpack(Said(said), origin_ms);
            let rounded_by = again.received_at_ms - event.received_at_ms;
            let is_near = match after {
                ..LATE_MS => rounded_by == 0,
                LATE_MS..TO_THE_SECOND_MS => (0..1_000).contains(&rounded_by),
                _ => (1 - HOUR_MS..1_000).contains(&rounded_by),
            };
            prop_assert!(is_near);
            prop_assert_eq!(Unpacked { received_at_ms: event.received_at_ms, ..again }, event);
            prop_assert_eq!(Packed::of(again, Said(said), origin_ms), packed);
            prop_assert_eq!(packed.marks & OF_RAW, 0);
        }
    }

    #[test]
    fn an_ordinary_event_takes_no_byte_for_its_marks() {
        let time = EventTime::given(1_790_000_000_000);
        let event = Unpacked { time, received_at_ms: time.ms + 700, flags: Flags::default(), carried: 3_985 };
        let packed = Packed::of(event, Said(3_985), 0);
        assert_eq!(packed, Packed { at: 1_790_000_000, received_after: 700, marks: 0 });
        let packed = Packed::of(event, Said(3_985), 1_789_999_999_872);
        assert_eq!(packed, Packed { at: 1, received_after: 700, marks: 0 });
    }

    #[test]
    fn the_later_it_came_in_the_less_is_kept_of_when() {
        let said = |received_after: &str| {
            let time = EventTime::given(1_790_001_000_000);
            let received_at_ms = time.ms + humantime::parse_duration(received_after).unwrap().as_millis() as Millis;
            Packed::of(Unpacked { time, received_at_ms, flags: Flags::default(), carried: 0 }, Said(0), 0)
        };
        let rows = ["23h 59m 59s 999ms", "1day 1ms", "96days 22h", "97days", "2years"]
            .map(said)
            .map(|row| (row.received_after, row.marks));
        assert_eq!(rows, [(86_399_999, 0), (86_401, 1), (8_373_600, 1), (-2_328, 1), (-17_532, 1)]);
    }

    #[test]
    fn the_view_unpacks_as_we_do() {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::store::sqlite::open(&folder.path().join("marks.db")).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        let ids = prop_oneof![
            "0[0-2][0-9A-HJKMNP-TV-Z]{24}",
            "01[H-K][0-9A-HJKMNP-TV-Z]{23}",
            "[a-z]{15}",
            "derived-[0-9a-f]{32}"
        ];
        let times = prop_oneof![
            (1_600_000_000..2_100_000_000i64).prop_map(|s| s * 1_000),
            946_684_800_000..4_000_000_000_000i64
        ];
        let afters = prop_oneof![-86_400_000..86_400_000i64, 0..99_999_999_999i64];
        proptest!(|(id in ids, ms in times, after in afters, flags in flags(), from_receipt in any::<bool>())| {
            let (eid, time) = (Eid::pack(&id), EventTime { ms, from_receipt, clock_skew_ms: 0 });
            let event = Unpacked { time, received_at_ms: ms + after, flags, carried: 0 };
            let packed = Packed::of(event, Said(0), eid.origin_ms());
            connection.execute("DELETE FROM events", []).unwrap();
            connection.execute(
                "INSERT INTO events (delivery, metric, eid, at, received_after, marks) VALUES (1, 1, ?1, ?2, ?3, ?4)",
                rusqlite::params![eid, packed.at, packed.received_after, packed.marks],
            ).unwrap();
            let sql = "SELECT at_ms, received_at_ms, flags, occurred_at FROM events_read";
            let seen = connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
            let iso = chrono::DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            let ours = packed.unpack(Said(0), eid.origin_ms());
            prop_assert_eq!(ours.time, time);
            prop_assert_eq!(seen, (ms, ours.received_at_ms, flags_as_bits(time, flags), iso));
        });
    }
}
