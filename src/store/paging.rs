//! Pages of a list that is walked by time and row, newest first: a place in it, and what stands on either side.
//! No page is reached by counting rows from the top.

use std::fmt;
use std::str::FromStr;

use super::Error;
use crate::domain::Millis;

/// A place in a list: the time and the row of what stands there. A page starts beyond it.
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

#[derive(Debug)]
pub struct Page<T> {
    /// Newest first.
    pub rows: Vec<T>,
    pub newer: Option<Cursor>,
    pub older: Option<Cursor>,
    /// Set where the walk ended by its budget: `older` (or `newer`) goes on from there.
    pub looked: Option<Looked>,
}

/// How far a walk came before its budget ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looked {
    /// How many rows it looked at.
    pub rows: usize,
    pub at_ms: Millis,
}

/// What a walk found.
#[derive(Debug)]
pub struct Walked<T> {
    /// In the order walked.
    pub found: Vec<T>,
    pub visited: usize,
    /// Where the budget ended, if it did.
    pub stopped: Option<Cursor>,
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
        // the newest page is reached: show it whole
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

/// As it stands in an address: `1795269731500.42`.
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
        // fewer than a page above: the newest page, whole
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
