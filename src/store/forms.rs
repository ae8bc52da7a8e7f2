//! JSON that differs from event to event in numbers only, or not at all: the rest of it stands in the file once.
//!
//! What an event's columns `raw` and `own` hold is mostly one of a few hundred texts: the same kind of call by the same
//! sender, the same link, a list of devices. A text that comes again is split into its form, with marks where numbers
//! stood, and these numbers; the event's row has one integer below 0 for both. The migration says how it is put together,
//! and the views unpack it.
//!
//! A form may be of one person only. When events are erased, the forms that they had are looked at, and those that no
//! other event has go too ([`erasing`](super::forgetting::erasing)).

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap};
use rusqlite::{Connection, OptionalExtension, params};

use super::Error;
use super::names::Names;
use super::statements::Statements;

/// The lowest bits of what a row has are the form's number, counted from 0.
const ID_BITS: u32 = 12;

/// A longer text is not split.
const BYTES_MAX: usize = 1_000;

/// A text is taken for one of many when it has come so often.
const OFTEN: u8 = 8;

/// How many are counted at a time.
const COUNTED_MAX: usize = 8_192;

/// A number in a form: the second or only one; the first of several, which is the sum of the others or near the second;
/// the third.
const SECOND: char = '\u{1}';
const FIRST: char = '\u{2}';
const THIRD: char = '\u{3}';

/// A text without its numbers, and how many bits the smaller of these takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    text: Box<str>,
    bits: u8,
    /// Of both, within this process.
    hash: u64,
}

static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

impl Hash for Form {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A text as its form and its numbers. What came often shares its form with the others: whoever knows that one reads no
/// text.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    form: Arc<Form>,
    numbers: i64,
}

impl Split {
    /// Splits a JSON text, of which what stands before `from` belongs to the form.
    pub fn of(json: &str, from: usize) -> Option<Split> {
        let marks = [SECOND, FIRST, THIRD].map(|mark| mark as u8);
        if json.len() > BYTES_MAX || memchr::memchr3(marks[0], marks[1], marks[2], json.as_bytes()).is_some() {
            return None;
        }
        let (found, count) = numbers(json.as_bytes(), from)?;
        let found = &found[..count];
        let (second, third, marks) = match *found {
            [] => (0, 0, &[][..]),
            [(_, _, only)] => (only, 0, &[SECOND][..]),
            [(_, _, first), (_, _, second)] => (second, first - second, &[FIRST, SECOND][..]),
            [(_, _, first), (_, _, second), (_, _, third)] if first - second == third => {
                (second, third, &[FIRST, SECOND, THIRD][..])
            }
            _ => return None,
        };
        let bits = match count {
            0 | 1 => 0,
            _ => [4, 12].into_iter().find(|bits| (-half(*bits)..half(*bits)).contains(&third))?,
        };
        let numbers = ((second << 1 ^ second >> 63) << bits) | (third + half(bits));
        let mut text = String::with_capacity(json.len());
        let mut rest = 0;
        for ((start, end, _), mark) in found.iter().zip(marks) {
            text.push_str(&json[rest..*start]);
            text.push(*mark);
            rest = *end;
        }
        text.push_str(&json[rest..]);
        Some(Split { form: Arc::new(Form::of(text.into(), bits)), numbers })
    }

    /// The text.
    pub fn whole(&self) -> String {
        self.form.with(self.numbers)
    }

    /// What stands in an event's row.
    fn stored(&self, id: i64) -> i64 {
        !(self.numbers << ID_BITS | id)
    }
}

impl Form {
    fn of(text: Box<str>, bits: u8) -> Form {
        let hash = HASHER.hash_one((&text, bits));
        Form { text, bits, hash }
    }

    fn with(&self, numbers: i64) -> String {
        let third = (numbers & ((1 << self.bits) - 1)) - half(self.bits);
        let folded = numbers >> self.bits;
        let second = folded >> 1 ^ -(folded & 1);
        let mut json = String::with_capacity(self.text.len() + 16);
        for part in self.text.split_inclusive([FIRST, SECOND, THIRD]) {
            let end = part.chars().next_back();
            let number = match end {
                Some(FIRST) => second + third,
                Some(SECOND) => second,
                Some(THIRD) => third,
                _ => {
                    json.push_str(part);
                    continue;
                }
            };
            json.push_str(&part[..part.len() - 1]);
            // a string takes all
            let _ = write!(json, "{number}");
        }
        json
    }
}

fn half(bits: u8) -> i64 {
    1 << bits >> 1
}

/// Where a number stands in a text, and which.
type Number = (usize, usize, i64);

/// The whole numbers of two digits and more, not in strings. `None` where there are more than three, or very large ones.
fn numbers(json: &[u8], from: usize) -> Option<([Number; 3], usize)> {
    let (mut found, mut count, mut at) = ([(0, 0, 0); 3], 0, from);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = after_string(json, at + 1)?,
            b'-' | b'0'..=b'9' => {
                let is_of_it = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let end = at + json[at..].iter().take_while(|byte| is_of_it(byte)).count();
                if let Some(number) = number(&json[at..end]) {
                    *found.get_mut(count)? = (at, end, number);
                    count += 1;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    // what is put together from them must not overflow
    found.iter().all(|(_, _, number)| number.abs() < 1 << 36).then_some((found, count))
}

fn after_string(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', &json[at..])?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
        if at > json.len() {
            return None;
        }
    }
}

/// A number of two digits and more, as it would be written again.
fn number(token: &[u8]) -> Option<i64> {
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    if digits.len() < 2 || digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(token).ok()?.parse().ok()
}

/// Counts what comes, to know what comes often. It may take one for another.
#[derive(Default)]
pub struct Often {
    seen: HashMap<u64, Seen>,
}

#[derive(Default)]
struct Seen {
    count: u8,
    /// Once it came often.
    form: Option<Arc<Form>>,
}

impl Often {
    /// Whether it comes often; then its form is that of those before it.
    pub fn share(&mut self, split: &mut Split) -> bool {
        if self.seen.len() >= COUNTED_MAX {
            self.seen.clear();
        }
        let seen = self.seen.entry(split.form.hash).or_default();
        seen.count = seen.count.saturating_add(1);
        if seen.count < OFTEN {
            return false;
        }
        let form = seen.form.get_or_insert_with(|| split.form.clone());
        if *form == split.form {
            split.form = form.clone();
        }
        true
    }
}

/// The forms that the file has, as far as they are known.
#[derive(Default)]
pub struct Forms {
    known: Option<HashMap<Arc<Form>, i64>>,
    by_id: HashMap<i64, Form>,
    often: Often,
}

/// What an event's row has in place of a text, if the text's form came often.
pub fn often(connection: &Statements, names: &mut Names, split: &mut Split) -> Result<Option<i64>, Error> {
    let known = names.forms.known.as_ref().and_then(|known| known.get(&split.form));
    match known.copied() {
        Some(id) => used(connection, names, split, id).map(Some),
        None if !names.forms.often.share(split) => Ok(None),
        None => number_of(connection, names, split),
    }
}

/// What an event's row has in place of a text. `None` if there are too many forms.
pub fn number_of(connection: &Statements, names: &mut Names, split: &Split) -> Result<Option<i64>, Error> {
    let known = match &mut names.forms.known {
        Some(known) => known,
        None => names.forms.known.insert(all(connection)?),
    };
    let id = match known.get(&split.form) {
        Some(id) => *id,
        None => {
            let Some(id) = add(connection, &split.form)? else { return Ok(None) };
            known.insert(split.form.clone(), id);
            id
        }
    };
    used(connection, names, split, id).map(Some)
}

fn used(connection: &Statements, names: &Names, split: &Split, id: i64) -> Result<i64, Error> {
    if names.forgotten.is_erasing {
        // whatever was found so far
        connection.prepare_cached("DELETE FROM erasing_forms WHERE form = ?1")?.execute([id])?;
    }
    Ok(split.stored(id))
}

fn all(connection: &Connection) -> Result<HashMap<Arc<Form>, i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT form, bits, id FROM forms")?;
    let rows = statement.query_map([], |row| Ok((Arc::new(Form::of(row.get(0)?, row.get(1)?)), row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn add(connection: &Statements, form: &Form) -> Result<Option<i64>, Error> {
    // another process may have added it meanwhile
    let known = connection
        .prepare_cached("SELECT id FROM forms WHERE form = ?1 AND bits = ?2")?
        .query_row(params![form.text, form.bits], |row| row.get(0))
        .optional()?;
    if known.is_some() {
        return Ok(known);
    }
    let next: i64 =
        connection.prepare_cached("SELECT coalesce(max(id) + 1, 0) FROM forms")?.query_row([], |row| row.get(0))?;
    if next >= 1 << ID_BITS {
        return Ok(None);
    }
    connection
        .prepare_cached("INSERT INTO forms (id, form, bits) VALUES (?1, ?2, ?3)")?
        .execute(params![next, form.text, form.bits])?;
    Ok(Some(next))
}

/// The text that stands in an event's row as a number.
pub fn text(connection: &Connection, stored: i64) -> Result<String, Error> {
    Ok(form(connection, !stored & ((1 << ID_BITS) - 1))?.with(!stored >> ID_BITS))
}

/// The same, for whoever reads many.
pub fn text_of(connection: &Connection, names: &mut Names, stored: i64) -> Result<String, Error> {
    let id = !stored & ((1 << ID_BITS) - 1);
    let form = match names.forms.by_id.entry(id) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => unknown.insert(form(connection, id)?),
    };
    Ok(form.with(!stored >> ID_BITS))
}

fn form(connection: &Connection, id: i64) -> Result<Form, Error> {
    let mut find = connection.prepare_cached("SELECT form, bits FROM forms WHERE id = ?1")?;
    find.query_row([id], |row| Ok(Form::of(row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or_else(|| Error::Row(format!("no form {id}")))
}

/// The forms that an event's row has, as a statement says.
macro_rules! forms_of_events {
    ($where:literal) => {
        concat!(
            "SELECT ~own & 4095 FROM events WHERE typeof(own) = 'integer' AND ",
            $where,
            " UNION SELECT ~raw & 4095 FROM events WHERE typeof(raw) = 'integer' AND raw < 0 AND ",
            $where
        )
    };
}

/// Notes the forms of a delivery's events, which are erased.
pub fn may_go(connection: &Connection, delivery: i64) -> Result<bool, Error> {
    let sql = concat!("INSERT OR IGNORE INTO erasing_forms ", forms_of_events!("delivery = ?1"));
    Ok(connection.prepare_cached(sql)?.execute([delivery])? > 0)
}

/// Those noted that the events of some deliveries have may stay.
pub fn stay(connection: &Connection, after: i64, until: i64) -> Result<(), Error> {
    let sql =
        concat!("DELETE FROM erasing_forms WHERE form IN (", forms_of_events!("delivery > ?1 AND delivery <= ?2"), ")");
    connection.prepare_cached(sql)?.execute([after, until])?;
    Ok(())
}

/// How many events have a form that is not there.
pub fn lost(connection: &Connection) -> Result<u64, Error> {
    let sql = "SELECT count(*) FROM events
         WHERE (typeof(own) = 'integer' AND NOT EXISTS (SELECT 1 FROM forms WHERE id = ~own & 4095))
            OR (typeof(raw) = 'integer' AND raw < 0 AND NOT EXISTS (SELECT 1 FROM forms WHERE id = ~raw & 4095))";
    Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))? as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Attribute, Event, EventTime, MetricName};
    use crate::store::forgetting::erasing::Left;
    use crate::store::{Entry, Tracker, sqlite, upkeep};

    /// What Rust and what SQL make of it again.
    fn back(connection: &Connection, json: &str) -> Option<[String; 2]> {
        let split = Split::of(json, 0)?;
        let statements = Statements::of(connection);
        let stored = number_of(&statements, &mut Names::default(), &split).unwrap().unwrap();
        assert!(stored < 0);
        let sql = "SELECT body FROM (SELECT own AS body FROM events_read WHERE delivery = 1)";
        connection.execute("DELETE FROM events", []).unwrap();
        let insert = "INSERT INTO events (delivery, metric, eid, at, received_after, marks, own) VALUES (1, 1, 'e', 0, 0, 0, ?1)";
        connection.execute(insert, [stored]).unwrap();
        Some([text(connection, stored).unwrap(), connection.query_row(sql, [], |row| row.get(0)).unwrap()])
    }

    fn file() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let connection = sqlite::open(&folder.path().join("forms.db")).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        (folder, connection)
    }

    #[test]
    fn a_text_comes_back_as_it_was() {
        let (_folder, connection) = file();
        for json in [
            "{}",
            r#"{"a":"12 \" 13 \\","b":14}"#,
            r#"{"to":[[107,1],[108,2]]}"#,
            r#"{"to":[[2111,1],[108,2]]}"#,
            r#"[1,7,{"receivedAt":443888,"sentAt":443885,"timestamp":3}]"#,
            r#"{"receivedAt":1200,"sentAt":900,"timestamp":300}"#,
            r#"{"receivedAt":-1200,"sentAt":-900,"timestamp":-300}"#,
            r#"{"a":-10,"b":0.25,"c":1e99,"d":00,"e":9}"#,
            r#"{"a":68719476735}"#,
            r#"{"a":-68719476735}"#,
        ] {
            assert_eq!(back(&connection, json), Some([json.into(), json.into()]));
        }
        for json in
            [r#"{"a":[10,5000]}"#, r#"{"a":[10,11,12,13]}"#, r#"{"a":[10,11,12]}"#, r#"{"a":68719476736}"#, "\u{2}"]
        {
            assert_eq!(Split::of(json, 0), None, "{json}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_numbers_come_back(second in -9_000_000_000i64..9_000_000_000, by in -4_000i64..4_000, shape in 0..3) {
            let (_folder, connection) = file();
            let first = second + by;
            let json = match shape {
                0 => format!(r#"{{"a":{second},"b":"{by}"}}"#),
                1 => format!(r#"{{"a":{first},"b":{second}}}"#),
                _ => format!(r#"{{"a":{first},"b":{second},"c":{by}}}"#),
            };
            if let Some(back) = back(&connection, &json) {
                prop_assert_eq!(&back[0], &json);
                prop_assert_eq!(&back[1], &json);
            }
        }
    }

    #[test]
    fn a_form_of_the_forgotten_goes_and_one_of_others_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracker = Tracker::open(&folder.path().join("forms.db")).unwrap();
        let at_ms = 1_790_000_000_000;
        let click = |n: usize, who: &str, href: &str| {
            let time = EventTime::given(at_ms);
            let mut event = Event::new(&format!("d{n}"), MetricName::parse("clicked"), "c", time, at_ms);
            event.attributes.set(Attribute::PersonId, Some(who));
            event.href = Some(href.into());
            Entry::event(event, &format!(r#"[1,{},{{"of":"{who}","at":{n}000}}]"#, who.len()))
        };
        let often = 2 * usize::from(OFTEN);
        let entries: Vec<Entry> = (1..=often)
            .map(|n| click(n, "ada-1815", "https://x.test/a?for-ada"))
            .chain((1..=often).map(|n| click(100 + n, "bob", "https://x.test/all")))
            .chain([click(200, "ada-1815", "https://x.test/all")])
            .collect();
        tracker.record(&entries.iter().collect::<Vec<_>>(), at_ms).unwrap();
        let forms = |tracker: &mut Tracker| -> Vec<String> {
            let connection = tracker.connection();
            let mut statement = connection.prepare("SELECT form FROM forms ORDER BY form").unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let count = |forms: &[String], part: &str| forms.iter().filter(|form| form.contains(part)).count();
        let all = forms(&mut tracker);
        let counts = ["for-ada", "ada-1815", "x.test/all", "bob"].map(|part| count(&all, part));
        assert_eq!(counts, [1, 1, 1, 1], "{all:?}");

        tracker.forget("ada-1815", at_ms + 1_000).unwrap();
        let late = click(1, "cy", "https://x.test/a?for-ada");
        while tracker.erase_some().unwrap() == Left::Steps {}
        let left = forms(&mut tracker);
        assert_eq!(["for-ada", "ada-1815"].map(|part| count(&left, part)), [0, 0], "{left:?}");
        assert_eq!(["x.test/all", "bob"].map(|part| count(&left, part)), [1, 1], "{left:?}");
        tracker.record(&[&late], at_ms).unwrap();
        assert_eq!(upkeep::verify(tracker.connection(), |_| {}).unwrap().told, [""; 0]);

        tracker.connection().execute("DELETE FROM forms WHERE form LIKE '%bob%'", []).unwrap();
        let told = upkeep::verify(tracker.connection(), |_| {}).unwrap().told;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with("events have a form that is not there"), "{told:?}");
    }

    #[test]
    fn a_form_that_comes_into_use_meanwhile_stays() {
        let (_folder, connection) = file();
        let (statements, mut names) = (Statements::of(&connection), Names::default());
        let mut split = Split::of(r#"{"reason":"full"}"#, 0).unwrap();
        number_of(&statements, &mut names, &split).unwrap();
        let noted =
            || -> i64 { connection.query_row("SELECT count(*) FROM erasing_forms", [], |row| row.get(0)).unwrap() };
        connection.execute("INSERT INTO erasing_forms VALUES (0)", []).unwrap();
        names.forgotten.is_erasing = true;
        often(&statements, &mut names, &mut split).unwrap();
        assert_eq!(noted(), 0);
    }

    #[test]
    fn what_is_rare_is_not_shared_and_there_are_not_too_many() {
        let (_folder, connection) = file();
        let (statements, mut names) = (Statements::of(&connection), Names::default());
        let mut split = Split::of(r#"{"reason":"full"}"#, 0).unwrap();
        for _ in 1..OFTEN {
            assert_eq!(often(&statements, &mut names, &mut split).unwrap(), None);
        }
        assert_eq!(often(&statements, &mut names, &mut split).unwrap(), Some(-1));
        connection.execute("INSERT INTO forms VALUES (4094, 'x', 0)", []).unwrap();
        let another = |text: &str| Split::of(text, 0).unwrap();
        assert_eq!(number_of(&statements, &mut names, &another(r#"{"a":"b"}"#)).unwrap(), Some(!4095));
        assert_eq!(number_of(&statements, &mut names, &another(r#"{"a":"c"}"#)).unwrap(), None);
        assert_eq!(number_of(&statements, &mut names, &split).unwrap(), Some(-1));
    }
}
