//! Lists in order of time and row, newest first: a place in a list, the walk from there, and a page with the places beside
//! it. No page is reached by counting rows from the top.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::domain::Millis;
use crate::store::Error;

/// Values that a statement binds, in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(pub Vec<Value>);

impl Values {
    /// Binds a value. Gives its place in the SQL.
    pub fn bind(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("?{}", self.0.len())
    }

    pub fn text(&mut self, text: &str) -> String {
        self.bind(text.to_owned())
    }

    pub fn list<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) -> String {
        texts.into_iter().map(|text| self.text(text)).collect::<Vec<_>>().join(", ")
    }
}

/// A place in a list: the time and the row of what is there. A page starts beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub at_ms: Millis,
    pub id: i64,
}

/// Which page.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum At {
    #[default]
    Newest,
    OlderThan(Cursor),
    NewerThan(Cursor),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Older,
    Newer,
}

/// Whether the time that a question may take is over. The caller reads the clock.
pub type Spent<'a> = &'a dyn Fn() -> bool;

/// Rows that a walk looks at before it asks the clock: each walk comes so far at least.
const ASK_EVERY: usize = 32;

#[derive(Debug)]
pub struct Page<T> {
    /// Newest first.
    pub rows: Vec<T>,
    pub newer: Option<Cursor>,
    pub older: Option<Cursor>,
    /// Set where the time was spent before the page was full: `older` (or `newer`) goes on from there.
    pub looked: Option<Looked>,
}

/// How far a walk came before its time was spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looked {
    /// How many rows it looked at.
    pub rows: usize,
    pub at_ms: Millis,
}

/// What a walk found.
#[derive(Debug)]
pub struct Walked<T> {
    /// In the order of the walk.
    pub found: Vec<T>,
    pub visited: usize,
    /// Where the time was spent, if it was.
    pub stopped: Option<Cursor>,
}

/// A list as SQL.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub from: &'static str,
    /// The columns of the time and the row.
    pub at: &'static str,
    pub id: &'static str,
    /// How rows are searched: by any of these, each of which an index serves, in the order of the list or finding few.
    pub leads: Vec<String>,
    /// What is asked of each row on the way.
    pub fits: Vec<String>,
    pub values: Values,
    /// At or after.
    pub since_ms: Millis,
    /// Before.
    pub until_ms: Millis,
}

impl List {
    /// Goes from a place, or from the end of the list, until `size` are found or the time is spent.
    ///
    /// The filter is a column of the result and not a condition, so that rows which do not fit are steps too: the clock
    /// can be asked between any two of them, and the plan depends on the lead alone.
    pub fn walk(
        &self,
        connection: &Connection,
        direction: Direction,
        from: Option<Cursor>,
        size: usize,
        spent: Spent,
    ) -> Result<Walked<Cursor>, Error> {
        let mut walked = Walked::default();
        if size == 0 || self.since_ms >= self.until_ms {
            return Ok(walked);
        }
        let (sql, values) = self.statement(direction, from);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let cursor = Cursor { at_ms: row.get(0)?, id: row.get(1)? };
            walked.visited += 1;
            if row.get::<_, Option<bool>>(2)? == Some(true) {
                walked.found.push(cursor);
                if walked.found.len() == size {
                    break;
                }
            }
            if walked.visited % ASK_EVERY == 0 && spent() {
                walked.stopped = Some(cursor);
                break;
            }
        }
        Ok(walked)
    }

    pub fn statement(&self, direction: Direction, from: Option<Cursor>) -> (String, Vec<Value>) {
        let List { from: tables, at, id, .. } = self;
        let mut values = self.values.clone();
        // the ends of the time are places too, so that one pair of bounds is enough
        let (beyond, bound, order, place, end) = match direction {
            Direction::Older => {
                let top = Cursor { at_ms: self.until_ms, id: i64::MIN };
                ("<", ">=", " DESC", from.map_or(top, |from| from.min(top)), self.since_ms)
            }
            Direction::Newer => {
                let bottom = Cursor { at_ms: self.since_ms.saturating_sub(1), id: i64::MAX };
                (">", "<", "", from.map_or(bottom, |from| from.max(bottom)), self.until_ms)
            }
        };
        let fits = if self.fits.is_empty() { "1".to_owned() } else { self.fits.join(" AND ") };
        let [at_ms, row, end] = [place.at_ms, place.id, end].map(|value| values.bind(value));
        let arm = |lead: &String| {
            format!(
                "SELECT {at}, {id}, ({fits}) FROM {tables} WHERE {lead} AND ({at}, {id}) {beyond} ({at_ms}, {row}) AND {at} {bound} {end}"
            )
        };
        // SQLite merges the parts of a UNION as it steps, where each is in order
        let arms: Vec<String> = self.leads.iter().map(arm).collect();
        (format!("{} ORDER BY 1{order}, 2{order}", arms.join(" UNION ")), values.0)
    }
}

/// The page at `at`, of up to `size` rows. `walk` goes from a place, or from the end of the list, until so many are
/// found.
pub fn page<T>(
    at: At,
    size: usize,
    cursor: impl Fn(&T) -> Cursor,
    mut walk: impl FnMut(Direction, Option<Cursor>, usize) -> Result<Walked<T>, Error>,
) -> Result<Page<T>, Error> {
    let (mut direction, mut from) = match at {
        At::Newest => (Direction::Older, None),
        At::OlderThan(cursor) => (Direction::Older, Some(cursor)),
        At::NewerThan(cursor) => (Direction::Newer, Some(cursor)),
    };
    let mut walked = walk(direction, from, size + 1)?;
    if direction == Direction::Newer && walked.found.len() < size && walked.stopped.is_none() {
        // the top is reached: show a full newest page
        (direction, from) = (Direction::Older, None);
        walked = walk(direction, from, size + 1)?;
    }
    let Walked { found: mut rows, visited, stopped } = walked;
    let has_more = rows.len() > size;
    rows.truncate(size);
    if direction == Direction::Newer {
        rows.reverse();
    }
    let (first, last) = (rows.first().map(&cursor), rows.last().map(&cursor));
    let beyond = |end: Option<Cursor>| if has_more { end } else { stopped };
    let (newer, older) = match direction {
        Direction::Older => (from.and(first.or(from)), beyond(last)),
        Direction::Newer => (beyond(first), last.or(from)),
    };
    let looked = stopped.filter(|_| !has_more).map(|cursor| Looked { rows: visited, at_ms: cursor.at_ms });
    Ok(Page { rows, newer, older, looked })
}

/// Calls `each` with everything that `walk` finds from the newest on, in pieces, so that neither memory nor the time of
/// one statement grows with what there is. It ends early where `each` breaks.
pub(super) fn each(
    mut walk: impl FnMut(Option<Cursor>, usize, Spent) -> Result<Walked<Cursor>, Error>,
    mut each: impl FnMut(Cursor) -> Result<std::ops::ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let mut from = None;
    loop {
        let asked = std::cell::Cell::new(0);
        let spent = || asked.replace(asked.get() + 1) * ASK_EVERY >= LOOKED_AT;
        let walked = walk(from, PIECE, &spent)?;
        for cursor in &walked.found {
            if each(*cursor)?.is_break() {
                return Ok(());
            }
        }
        from = walked.stopped.or_else(|| walked.found.last().filter(|_| walked.found.len() == PIECE).copied());
        if from.is_none() {
            return Ok(());
        }
    }
}

/// How many rows are held at a time, and how many are looked at for them.
const PIECE: usize = 1_000;
const LOOKED_AT: usize = 100_000;

impl<T> Page<T> {
    /// The same page with what `row` makes of its rows.
    pub fn map<U>(self, row: impl FnMut(T) -> Result<U, Error>) -> Result<Page<U>, Error> {
        let rows = self.rows.into_iter().map(row).collect::<Result<_, _>>()?;
        Ok(Page { rows, newer: self.newer, older: self.older, looked: self.looked })
    }
}

impl<T> Default for Page<T> {
    fn default() -> Page<T> {
        Page { rows: Vec::new(), newer: None, older: None, looked: None }
    }
}

impl<T> Default for Walked<T> {
    fn default() -> Walked<T> {
        Walked { found: Vec::new(), visited: 0, stopped: None }
    }
}

/// As in an address: `1795269731500.42`.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at_ms, self.id)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Cursor, ()> {
        let (at_ms, id) = text.split_once('.').ok_or(())?;
        Ok(Cursor { at_ms: at_ms.parse().map_err(drop)?, id: id.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of the numbers 1 to 7, 7 the newest, of which a walk looks at up to `budget`.
    fn at(at: At, size: usize, budget: usize) -> (Vec<i64>, Option<i64>, Option<i64>, Option<usize>) {
        let cursor = |id: &i64| Cursor { at_ms: *id, id: *id };
        let page = page(at, size, cursor, |direction, from, size| {
            let beyond = |id: &i64| match direction {
                Direction::Older => from.is_none_or(|from| *id < from.id),
                Direction::Newer => from.is_none_or(|from| *id > from.id),
            };
            let mut list: Vec<i64> = (1..=7).filter(beyond).collect();
            if direction == Direction::Older {
                list.reverse();
            }
            let visited = list.len().min(size).min(budget);
            let is_stopped = visited == budget && visited < size;
            list.truncate(visited);
            let stopped = list.last().filter(|_| is_stopped).map(cursor);
            Ok(Walked { found: list, visited, stopped })
        });
        let page = page.unwrap();
        let id = |cursor: Option<Cursor>| cursor.map(|cursor| cursor.id);
        (page.rows, id(page.newer), id(page.older), page.looked.map(|looked| looked.rows))
    }

    #[test]
    fn pages_lead_to_those_beside_them() {
        let place = |id| Cursor { at_ms: id, id };
        assert_eq!(at(At::Newest, 3, 99), (vec![7, 6, 5], None, Some(5), None));
        assert_eq!(at(At::OlderThan(place(5)), 3, 99), (vec![4, 3, 2], Some(4), Some(2), None));
        assert_eq!(at(At::OlderThan(place(2)), 3, 99), (vec![1], Some(1), None, None));
        assert_eq!(at(At::OlderThan(place(1)), 3, 99), (vec![], Some(1), None, None));
        assert_eq!(at(At::NewerThan(place(1)), 3, 99), (vec![4, 3, 2], Some(4), Some(2), None));
        // fewer than a page above: the full newest page
        assert_eq!(at(At::NewerThan(place(5)), 3, 99), (vec![7, 6, 5], None, Some(5), None));
        // the budget ends first
        assert_eq!(at(At::Newest, 3, 2), (vec![7, 6], None, Some(6), Some(2)));
        assert_eq!(at(At::NewerThan(place(1)), 3, 2), (vec![3, 2], Some(3), Some(2), Some(2)));
    }

    #[test]
    fn a_place_is_written_and_read() {
        let place = Cursor { at_ms: -5, id: 42 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "5", "5.", "5.x", "5.4.3"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
