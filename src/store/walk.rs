//! Walks deliveries newest or oldest first, within a budget.
//!
//! There is no index of all deliveries by time. Those by facet, by source, and of what failed end in the time of
//! creation, so a stretch of one is in order, and several are merged: all facets together are all deliveries. The index
//! alone says where a delivery stands; its row is read only where the rest of a filter asks for more.
//!
//! The deliveries of a person or an address are found by block. A block is opened when the walk comes to the time in
//! which its deliveries were created ([`spans`]), and not before.

mod wanted;

use std::collections::{HashSet, VecDeque};

use rusqlite::{CachedStatement, Connection, params};

use super::Error;
use super::paging::{Cursor, Direction, Walked};
use super::spans::{self, Span};
pub(super) use wanted::LINK;
#[cfg(test)]
pub(super) use wanted::{BY_FACET, BY_FAILURE, BY_SOURCE, FOLLOWED, ROW, ROW_THAT_FITS};
pub use wanted::{Rest, Word};

/// What gives the order.
#[derive(Clone, Debug, PartialEq)]
pub enum Lead {
    /// Channel and status.
    Facets(Vec<i64>),
    Sources(Vec<i64>),
    /// All that have a reason why they failed.
    Failed,
    /// All of these people or addresses. The other where there are so many that a walk meets them soon.
    Of(Whose, Vec<i64>, Box<Lead>),
    /// Just these.
    Rows(Vec<i64>),
}

/// More ranges than this cost more to merge than the walk they save.
pub const RANGES_MAX: usize = 160;

/// More deliveries of one block than this are not gathered, but met on the way.
const GATHERED_MAX: usize = 5_000;

/// Which of the two indexes that are led by a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Recipient,
    Person,
}

impl Whose {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Whose::Recipient => "SELECT id FROM deliveries WHERE block = ?1 AND recipient = ?2 LIMIT ?3",
            Whose::Person => "SELECT id FROM deliveries WHERE block = ?1 AND person = ?2 LIMIT ?3",
        }
    }
}

/// Walks from `from` until `size` deliveries are found, the order ends, or the budget does: each delivery costs one,
/// and so does each look for one. What several leads find is found once.
pub fn walk(
    connection: &Connection,
    leads: &[Lead],
    rest: &Rest,
    direction: Direction,
    from: Option<Cursor>,
    size: usize,
    budget: usize,
) -> Result<Walked<Cursor>, Error> {
    let end = match direction {
        Direction::Older => Cursor { at_ms: rest.until_ms, id: i64::MIN },
        Direction::Newer => Cursor { at_ms: rest.since_ms.saturating_sub(1), id: i64::MAX },
    };
    let from = from.map_or(end, |from| if direction.is_sooner(end, from) { from } else { end });
    let mut merge = Merge::new(connection, leads, rest, direction, from)?;
    let mut wanted = rest.wanted(connection, leads)?;
    let mut walked = Walked::default();
    let (mut work, mut last) = (0, None);
    loop {
        match merge.next(&mut work, budget)? {
            Next::End => return Ok(walked),
            Next::TooMany => {
                let otherwise: Vec<Lead> = leads.iter().map(Lead::otherwise).collect();
                return walk(connection, &otherwise, rest, direction, Some(from), size, budget);
            }
            Next::Beyond(place) => {
                walked.stopped = Some(place);
                return Ok(walked);
            }
            Next::At(cursor, _) if last == Some(cursor) => {}
            Next::At(cursor, key) => {
                last = Some(cursor);
                walked.visited += 1;
                work += 1;
                if wanted.wants(cursor, key, &mut work)? {
                    walked.found.push(cursor);
                }
                if walked.found.len() == size {
                    return Ok(walked);
                }
                if work >= budget {
                    walked.stopped = Some(cursor);
                    return Ok(walked);
                }
            }
        }
    }
}

impl Lead {
    fn otherwise(&self) -> Lead {
        match self {
            Lead::Of(_, _, otherwise) => (**otherwise).clone(),
            lead => lead.clone(),
        }
    }
}

impl Direction {
    /// Whether a walk comes to `a` before it comes to `b`.
    fn is_sooner(self, a: Cursor, b: Cursor) -> bool {
        match self {
            Direction::Older => a > b,
            Direction::Newer => a < b,
        }
    }
}

enum Next {
    /// With the key under which it stands.
    At(Cursor, Option<i64>),
    /// The budget ended on the way to what lies beyond this.
    Beyond(Cursor),
    /// A block holds more of somebody than are gathered.
    TooMany,
    End,
}

/// Ranges in order, merged into one.
struct Merge<'c, 'l> {
    direction: Direction,
    from: Cursor,
    rest: &'l Rest,
    ranges: Vec<Range<'l>>,
    /// Of each lead.
    queries: Vec<Option<CachedStatement<'c>>>,
    created: CachedStatement<'c>,
}

/// A part of the order, read in growing pieces.
struct Range<'l> {
    of: Of<'l>,
    lead: usize,
    /// What is not read yet lies beyond this.
    from: Cursor,
    piece: i64,
    has_ended: bool,
    ahead: VecDeque<Cursor>,
}

impl Range<'_> {
    fn key(&self) -> Option<i64> {
        match self.of {
            Of::Stretch(key) => key,
            Of::Block(..) | Of::Rows(_) => None,
        }
    }
}

enum Of<'l> {
    /// A stretch of an index, of one key where it is led by one.
    Stretch(Option<i64>),
    Block(i64, &'l [i64]),
    Rows(&'l [i64]),
}

impl<'c, 'l> Merge<'c, 'l> {
    fn new(
        connection: &'c Connection,
        leads: &'l [Lead],
        rest: &'l Rest,
        direction: Direction,
        from: Cursor,
    ) -> Result<Merge<'c, 'l>, Error> {
        let mut ranges = Vec::new();
        for (lead, it) in leads.iter().enumerate() {
            let range = |of, from, piece| Range { of, lead, from, piece, has_ended: false, ahead: VecDeque::new() };
            match it {
                Lead::Facets(keys) | Lead::Sources(keys) => {
                    let piece = if keys.len() == 1 { 64 } else { 4 };
                    ranges.extend(keys.iter().map(|key| range(Of::Stretch(Some(*key)), from, piece)));
                }
                Lead::Failed => ranges.push(range(Of::Stretch(None), from, 64)),
                Lead::Of(_, keys, _) => {
                    let from_span = |span: &Span| match direction {
                        Direction::Older => from.min(Cursor { at_ms: span.last_ms, id: i64::MAX }),
                        Direction::Newer => from.max(Cursor { at_ms: span.first_ms, id: i64::MIN }),
                    };
                    let is_ahead = |span: &Span| match direction {
                        Direction::Older => span.first_ms <= from.at_ms && span.last_ms >= rest.since_ms,
                        Direction::Newer => span.last_ms >= from.at_ms && span.first_ms < rest.until_ms,
                    };
                    let spans = spans::of(connection)?;
                    let ahead = spans.iter().filter(|span| is_ahead(span));
                    ranges.extend(ahead.map(|span| range(Of::Block(span.block, keys), from_span(span), 0)));
                }
                Lead::Rows(ids) => ranges.push(range(Of::Rows(ids), from, 0)),
            }
        }
        let query = |lead: &Lead| sql(lead, direction).map(|sql| connection.prepare_cached(&sql)).transpose();
        let queries = leads.iter().map(query).collect::<Result<_, _>>()?;
        let created = connection.prepare_cached(CREATED)?;
        Ok(Merge { direction, from, rest, ranges, queries, created })
    }

    fn next(&mut self, work: &mut usize, budget: usize) -> Result<Next, Error> {
        loop {
            let mut head: Option<(usize, Cursor)> = None;
            let mut unread = None;
            for (i, range) in self.ranges.iter().enumerate() {
                let (best, place) = match range.ahead.front() {
                    Some(cursor) => (&mut head, *cursor),
                    None if range.has_ended => continue,
                    None => (&mut unread, range.from),
                };
                if best.is_none_or(|(_, best)| self.direction.is_sooner(place, best)) {
                    *best = Some((i, place));
                }
            }
            match (head, unread) {
                (None, None) => return Ok(Next::End),
                // what is not read lies beyond its place, so not before a head that is there
                (Some((i, cursor)), None) => {
                    self.ranges[i].ahead.pop_front();
                    return Ok(Next::At(cursor, self.ranges[i].key()));
                }
                (Some((i, cursor)), Some((_, place))) if !self.direction.is_sooner(place, cursor) => {
                    self.ranges[i].ahead.pop_front();
                    return Ok(Next::At(cursor, self.ranges[i].key()));
                }
                (_, Some((_, place))) if *work >= budget && self.direction.is_sooner(self.from, place) => {
                    return Ok(Next::Beyond(place));
                }
                (_, Some((i, _))) => {
                    if !self.read(i, work)? {
                        return Ok(Next::TooMany);
                    }
                }
            }
        }
    }

    /// Reads on in a range. False: its block holds too many.
    fn read(&mut self, i: usize, work: &mut usize) -> Result<bool, Error> {
        let range = &mut self.ranges[i];
        let query = &mut self.queries[range.lead];
        let mut found = Vec::new();
        match (&range.of, query) {
            (Of::Stretch(key), Some(query)) => {
                let end_ms = match self.direction {
                    Direction::Older => self.rest.since_ms,
                    Direction::Newer => self.rest.until_ms,
                };
                let mut rows = query.query(params![range.from.at_ms, range.from.id, end_ms, range.piece, key])?;
                while let Some(row) = rows.next()? {
                    range.ahead.push_back(Cursor { at_ms: row.get(0)?, id: row.get(1)? });
                }
                range.has_ended = (range.ahead.len() as i64) < range.piece;
                range.piece = (range.piece * 2).min(1_024);
                if let Some(last) = range.ahead.back() {
                    range.from = *last;
                }
                return Ok(true);
            }
            (Of::Block(block, keys), Some(query)) => {
                for key in *keys {
                    *work += 1;
                    let left = GATHERED_MAX + 1 - found.len();
                    let mut rows = query.query(params![block, key, left as i64])?;
                    while let Some(row) = rows.next()? {
                        found.push(row.get(0)?);
                    }
                    if found.len() > GATHERED_MAX {
                        return Ok(false);
                    }
                }
            }
            (Of::Rows(ids), _) => found.extend_from_slice(ids),
            // each stretch and block has a query
            (Of::Stretch(_) | Of::Block(..), None) => {}
        }
        range.has_ended = true;
        let mut cursors = Vec::with_capacity(found.len());
        for id in found {
            *work += 1;
            let cursor = Cursor { at_ms: self.created.query_row([id], |row| row.get(0))?, id };
            let is_in_time = (self.rest.since_ms..self.rest.until_ms).contains(&cursor.at_ms);
            if is_in_time && self.direction.is_sooner(self.from, cursor) {
                cursors.push(cursor);
            }
        }
        cursors.sort_unstable();
        if self.direction == Direction::Older {
            cursors.reverse();
        }
        range.ahead = cursors.into();
        Ok(true)
    }
}

pub(super) const CREATED: &str = "SELECT created_at_ms FROM deliveries WHERE id = ?1";

/// The query of a lead. The row id ends every index, so the pair is its order.
pub(super) fn sql(lead: &Lead, direction: Direction) -> Option<String> {
    let (index, which) = match lead {
        // nothing else is asked of the row, so that the index alone is read
        Lead::Facets(_) => ("deliveries_by_facet", "facet = ?5"),
        Lead::Sources(_) => ("deliveries_by_source", "source = ?5"),
        Lead::Failed => ("deliveries_by_failure", "failure_reason IS NOT NULL AND ?5 IS NULL"),
        Lead::Of(whose, ..) => return Some(whose.sql().into()),
        Lead::Rows(_) => return None,
    };
    let (beyond, end, order) = match direction {
        Direction::Older => ("<", ">=", "DESC"),
        Direction::Newer => (">", "<", "ASC"),
    };
    Some(format!(
        "SELECT created_at_ms, id FROM deliveries INDEXED BY {index}
        WHERE {which} AND (created_at_ms, id) {beyond} (?1, ?2) AND created_at_ms {end} ?3
        ORDER BY created_at_ms {order}, id {order} LIMIT ?4"
    ))
}

/// The deliveries that followed one of these links, of which so many did. `None`: there are too many to gather.
pub fn followers(connection: &Connection, links: &[(i64, i64)]) -> Result<Option<Vec<i64>>, Error> {
    if links.iter().map(|(_, deliveries)| deliveries).sum::<i64>() > GATHERED_MAX as i64 {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(FOLLOWERS)?;
    let mut found = HashSet::new();
    for (link, _) in links {
        let mut rows = statement.query(params![link, GATHERED_MAX as i64 * 2])?;
        let mut clicks = 0;
        while let Some(row) = rows.next()? {
            found.insert(row.get(0)?);
            clicks += 1;
        }
        if found.len() > GATHERED_MAX || clicks == GATHERED_MAX * 2 {
            return Ok(None);
        }
    }
    Ok(Some(found.into_iter().collect()))
}

pub(super) const FOLLOWERS: &str = "SELECT delivery FROM link_clicks WHERE link = ?1 LIMIT ?2";
