//! Walks the deliveries in the order of one index, newest or oldest first, within a budget.

use std::collections::{HashSet, VecDeque};
use std::sync::LazyLock;

use rusqlite::{Connection, Row, named_params, params};

use super::Error;
use super::blocks::{self, Table};
use super::log::{By, Link, Reason, Recipient};
use super::paging::{Cursor, Direction, Walked};
use crate::domain::{Metric, Millis};

/// A delivery on the way: what the rest of a filter asks about.
pub struct Candidate {
    pub id: i64,
    pub created_at_ms: Millis,
    facet: i64,
    source: i64,
    message: i64,
    outcome: u8,
    engagement: u8,
    reached: u32,
    recipient: Option<i64>,
    person: Option<i64>,
    updated_at_ms: Millis,
    /// Whether its texts are those that were asked for.
    fits_texts: bool,
}

/// The index that gives the order.
#[derive(Debug, PartialEq)]
pub enum Lead {
    Created,
    /// The ranges are merged.
    Sources(Vec<i64>),
    /// Channel and status: the ranges are merged.
    Facets(Vec<i64>),
    /// The deliveries of a few people or addresses, gathered from all blocks.
    Rows(Vec<i64>),
}

/// More ranges than this cost more to merge than the walk they save.
pub const RANGES_MAX: usize = 160;

/// More deliveries than this of one person or address are found by walking all by creation: there are so many
/// that the walk meets them soon.
const GATHERED_MAX: usize = 5_000;

/// More addresses than this with one beginning, likewise.
const ADDRESSES_MAX: usize = 200;

/// What is asked of each delivery beside its place in the order.
#[derive(Debug, Default)]
pub struct Rest {
    /// Bit n: status n.
    pub statuses: u32,
    /// Bit n: metric n; bit 0: none.
    pub outcomes: u32,
    pub engagements: u32,
    /// Any, where empty.
    pub channels: Vec<i64>,
    pub sources: Option<HashSet<i64>>,
    pub messages: Option<HashSet<i64>>,
    pub trigger_id: Option<String>,
    pub reason: Option<Reason>,
    pub link: Option<Link>,
    /// Bits that must all be set.
    pub reached: u32,
    pub recipients: Option<HashSet<i64>>,
    /// Where the addresses are too many to list.
    pub recipient: Option<Recipient>,
    pub people: Option<HashSet<i64>>,
    pub since_ms: Millis,
    pub until_ms: Millis,
    /// Its latest event is not earlier.
    pub updated_since_ms: Millis,
    /// In its subject, all of them; in lower case.
    pub subjects: Vec<String>,
    /// Each in its recipient or subject; in lower case.
    pub words: Vec<String>,
    /// Wanted by none of these.
    pub without: Vec<Rest>,
}

impl Rest {
    pub fn wants_facet(&self, facet: i64) -> bool {
        let (channel, status) = (facet >> 5, facet & 31);
        self.statuses >> status & 1 == 1 && (self.channels.is_empty() || self.channels.contains(&channel))
    }

    fn reasons(&self) -> (Option<&str>, bool) {
        match &self.reason {
            Some(Reason::Exactly(reason)) => (Some(reason), false),
            Some(Reason::Any) => (None, true),
            None => (None, false),
        }
    }

    fn wants(&self, connection: &Connection, it: &Candidate) -> Result<bool, Error> {
        let is_in = |set: &Option<HashSet<i64>>, id: Option<i64>| {
            set.as_ref().is_none_or(|set| id.is_some_and(|id| set.contains(&id)))
        };
        let fits = it.fits_texts
            && self.wants_facet(it.facet)
            && self.outcomes >> it.outcome & 1 == 1
            && self.engagements >> it.engagement & 1 == 1
            && is_in(&self.sources, Some(it.source))
            && is_in(&self.messages, Some(it.message))
            && it.updated_at_ms >= self.updated_since_ms
            && it.reached & self.reached == self.reached
            && is_in(&self.recipients, it.recipient)
            && is_in(&self.people, it.person)
            && (self.since_ms..self.until_ms).contains(&it.created_at_ms);
        if !(fits
            && self.wants_address(connection, it)?
            && self.wants_link(connection, it)?
            && self.wants_words(connection, it)?)
        {
            return Ok(false);
        }
        for without in &self.without {
            if without.wants(connection, it)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn wants_words(&self, connection: &Connection, it: &Candidate) -> Result<bool, Error> {
        if self.subjects.is_empty() && self.words.is_empty() {
            return Ok(true);
        }
        let mut statement = connection.prepare_cached(WORDS)?;
        let text = |text: Option<String>| text.unwrap_or_default().to_lowercase();
        let (subject, address) = statement.query_row([it.id], |row| Ok((text(row.get(0)?), text(row.get(1)?))))?;
        let has_word = |word: &String| subject.contains(word.as_str()) || address.contains(word.as_str());
        Ok(self.subjects.iter().all(|text| subject.contains(text.as_str())) && self.words.iter().all(has_word))
    }

    fn wants_link(&self, connection: &Connection, it: &Candidate) -> Result<bool, Error> {
        let Some(Link { link, by }) = &self.link else { return Ok(true) };
        let mut statement = connection.prepare_cached(&FOLLOWED)?;
        let wanted = by.map(|by| by == By::Machine);
        Ok(statement.query_row(params![it.id, link, wanted], |row| row.get(0))?)
    }

    fn wants_address(&self, connection: &Connection, it: &Candidate) -> Result<bool, Error> {
        let Some(recipient) = &self.recipient else { return Ok(true) };
        let Some(id) = it.recipient else { return Ok(false) };
        let mut statement = connection.prepare_cached("SELECT address FROM addresses WHERE id = ?1")?;
        let address: String = statement.query_row([id], |row| row.get(0))?;
        Ok(match recipient {
            Recipient::Exactly(text) => address == *text,
            Recipient::StartingWith(text) => address.starts_with(text.as_str()),
        })
    }
}

/// What words are looked for in.
pub(super) const WORDS: &str = "SELECT coalesce(d.own_subject, j.subject), a.address FROM deliveries d
    LEFT JOIN subjects j ON j.id = d.subject LEFT JOIN addresses a ON a.id = d.recipient WHERE d.id = ?1";

/// Walks from `from` until `size` deliveries are found, the order ends, or the budget does.
pub fn walk(
    connection: &Connection,
    lead: &Lead,
    rest: &Rest,
    direction: Direction,
    from: Option<Cursor>,
    size: usize,
    budget: usize,
) -> Result<Walked<Cursor>, Error> {
    let from = match direction {
        Direction::Older => {
            let end = Cursor { at_ms: rest.until_ms, id: i64::MIN };
            from.map_or(end, |from| from.min(end))
        }
        Direction::Newer => {
            let end = Cursor { at_ms: rest.since_ms.saturating_sub(1), id: i64::MAX };
            from.map_or(end, |from| from.max(end))
        }
    };
    let mut ranges: Vec<Range> = match lead {
        Lead::Created => vec![Range::new(None, from, 64)],
        Lead::Sources(keys) | Lead::Facets(keys) => {
            let piece = if keys.len() == 1 { 64 } else { 16 };
            keys.iter().map(|key| Range::new(Some(*key), from, piece)).collect()
        }
        Lead::Rows(ids) => vec![rows(connection, ids, rest, direction, from)?],
    };
    let sql = sql(lead, direction);
    let mut walked = Walked::default();
    loop {
        for range in &mut ranges {
            range.fill(connection, &sql, rest, direction)?;
        }
        let heads = ranges.iter().enumerate().filter_map(|(i, range)| Some((i, range.ahead.front()?.cursor())));
        let next = match direction {
            Direction::Older => heads.max_by_key(|(_, cursor)| *cursor),
            Direction::Newer => heads.min_by_key(|(_, cursor)| *cursor),
        };
        let Some(candidate) = next.and_then(|(i, _)| ranges[i].ahead.pop_front()) else { return Ok(walked) };
        walked.visited += 1;
        if rest.wants(connection, &candidate)? {
            walked.found.push(candidate.cursor());
        }
        if walked.found.len() == size {
            return Ok(walked);
        }
        if walked.visited >= budget {
            walked.stopped = Some(candidate.cursor());
            return Ok(walked);
        }
    }
}

/// One stretch of the index, read in growing pieces.
struct Range {
    key: Option<i64>,
    from: Cursor,
    piece: i64,
    ended: bool,
    ahead: VecDeque<Candidate>,
}

impl Range {
    fn new(key: Option<i64>, from: Cursor, piece: i64) -> Range {
        Range { key, from, piece, ended: false, ahead: VecDeque::new() }
    }

    fn fill(&mut self, connection: &Connection, sql: &str, rest: &Rest, direction: Direction) -> Result<(), Error> {
        if self.ended || !self.ahead.is_empty() {
            return Ok(());
        }
        let end_ms = match direction {
            Direction::Older => rest.since_ms,
            Direction::Newer => rest.until_ms,
        };
        let (reason, any_reason) = rest.reasons();
        let mut statement = connection.prepare_cached(sql)?;
        let mut values: Vec<(&str, &dyn rusqlite::ToSql)> = vec![
            (":created", &self.from.at_ms),
            (":id", &self.from.id),
            (":end", &end_ms),
            (":limit", &self.piece),
            (":trigger", &rest.trigger_id),
            (":reason", &reason),
            (":any_reason", &any_reason),
        ];
        if let Some(key) = &self.key {
            values.push((":key", key));
        }
        let mut rows = statement.query(values.as_slice())?;
        while let Some(row) = rows.next()? {
            self.ahead.push_back(candidate(row)?);
        }
        self.ended = (self.ahead.len() as i64) < self.piece;
        self.piece = (self.piece * 2).min(1_024);
        if let Some(last) = self.ahead.back() {
            self.from = last.cursor();
        }
        Ok(())
    }
}

const CANDIDATE: &str = "SELECT id, created_at_ms, facet, source, message, coalesce(outcome, 0), \
    coalesce(engagement, 0), reached, recipient, person, updated_at_ms, \
    (:trigger IS NULL OR trigger_id IS :trigger) AND (:reason IS NULL OR failure_reason IS :reason) \
        AND (NOT :any_reason OR failure_reason IS NOT NULL) \
    FROM deliveries_read";

/// Whether a delivery followed a link; by a machine, by a person, or either.
pub(super) static FOLLOWED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT EXISTS (SELECT 1 FROM events_read WHERE delivery = ?1 AND metric = {} AND {LINK} = ?2
            AND (?3 IS NULL OR (flags & 3 = 2) = ?3))",
        Metric::Clicked.code()
    )
});

/// The link of a click: its id, else its address less query and fragment.
pub(super) const LINK: &str = "coalesce(own ->> '$.link_id', substr(own ->> '$.href', 1, \
    min(instr((own ->> '$.href') || '?', '?'), instr((own ->> '$.href') || '#', '#')) - 1))";

fn candidate(row: &Row) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        id: row.get(0)?,
        created_at_ms: row.get(1)?,
        facet: row.get(2)?,
        source: row.get(3)?,
        message: row.get(4)?,
        outcome: row.get(5)?,
        engagement: row.get(6)?,
        reached: row.get(7)?,
        recipient: row.get(8)?,
        person: row.get(9)?,
        updated_at_ms: row.get(10)?,
        fits_texts: row.get(11)?,
    })
}

/// The query of a lead: three beginnings, two directions. The row id ends every index, so the pair is its order.
pub(super) fn sql(lead: &Lead, direction: Direction) -> String {
    let key = match lead {
        Lead::Created | Lead::Rows(_) => "",
        Lead::Sources(_) => "source = :key AND ",
        Lead::Facets(_) => "facet = :key AND ",
    };
    match direction {
        Direction::Older => format!(
            "{CANDIDATE} WHERE {key}(created_at_ms, id) < (:created, :id) AND created_at_ms >= :end
            ORDER BY created_at_ms DESC, id DESC LIMIT :limit"
        ),
        Direction::Newer => format!(
            "{CANDIDATE} WHERE {key}(created_at_ms, id) > (:created, :id) AND created_at_ms < :end
            ORDER BY created_at_ms, id LIMIT :limit"
        ),
    }
}

/// The gathered deliveries in order, as one range that is read already.
fn rows(connection: &Connection, ids: &[i64], rest: &Rest, direction: Direction, from: Cursor) -> Result<Range, Error> {
    let (reason, any_reason) = rest.reasons();
    let mut statement = connection.prepare_cached(&format!("{CANDIDATE} WHERE id = :id"))?;
    let mut one = |id: &i64| {
        let values = named_params! {
            ":id": id, ":trigger": rest.trigger_id, ":reason": reason, ":any_reason": any_reason
        };
        statement.query_row(values, candidate)
    };
    let mut found = ids.iter().map(&mut one).collect::<Result<Vec<_>, _>>()?;
    match direction {
        Direction::Older => {
            found.retain(|candidate| candidate.cursor() < from);
            found.sort_by_key(|candidate| std::cmp::Reverse(candidate.cursor()));
        }
        Direction::Newer => {
            found.retain(|candidate| candidate.cursor() > from);
            found.sort_by_key(Candidate::cursor);
        }
    }
    Ok(Range { key: None, from, piece: 0, ended: true, ahead: found.into() })
}

/// Which of the two indexes that are led by a block.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    Recipient,
    Person,
}

impl Whose {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Whose::Recipient => {
                "SELECT id FROM deliveries WHERE block = ?1 AND recipient = ?2 ORDER BY id DESC LIMIT ?3"
            }
            Whose::Person => "SELECT id FROM deliveries WHERE block = ?1 AND person = ?2 ORDER BY id DESC LIMIT ?3",
        }
    }
}

/// The deliveries of these people or addresses, block by block. `None`: there are too many to gather.
pub fn gather(connection: &Connection, whose: Whose, keys: &HashSet<i64>) -> Result<Option<Vec<i64>>, Error> {
    let mut statement = connection.prepare_cached(whose.sql())?;
    let mut found = Vec::new();
    for block in blocks::of(connection, Table::Deliveries)? {
        for key in keys {
            let mut rows = statement.query(params![block, key, (GATHERED_MAX + 1 - found.len()) as i64])?;
            while let Some(row) = rows.next()? {
                found.push(row.get(0)?);
            }
            if found.len() > GATHERED_MAX {
                return Ok(None);
            }
        }
    }
    Ok(Some(found))
}

/// The deliveries that followed one of these links. `None`: there are too many to gather.
pub fn followers(connection: &Connection, links: &[i64]) -> Result<Option<Vec<i64>>, Error> {
    let mut statement = connection.prepare_cached(FOLLOWERS)?;
    let mut found = HashSet::new();
    for link in links {
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

/// The addresses that fit. `None`: there are too many to list.
pub fn recipients(connection: &Connection, recipient: &Recipient) -> Result<Option<HashSet<i64>>, Error> {
    let (from, to) = match recipient {
        Recipient::Exactly(text) => (text.as_str(), text.clone()),
        // the greatest character ends every address that starts so
        Recipient::StartingWith(text) => (text.as_str(), format!("{text}{}", char::MAX)),
    };
    let mut statement = connection.prepare_cached(ADDRESSES)?;
    let mut ids = HashSet::new();
    for block in blocks::of(connection, Table::Addresses)? {
        let mut rows = statement
            .query(named_params! {":block": block, ":from": from, ":to": to, ":limit": ADDRESSES_MAX as i64 + 1})?;
        while let Some(row) = rows.next()? {
            ids.insert(row.get(0)?);
        }
        if ids.len() > ADDRESSES_MAX {
            return Ok(None);
        }
    }
    Ok(Some(ids))
}

pub(super) const ADDRESSES: &str =
    "SELECT id FROM addresses WHERE block = :block AND address BETWEEN :from AND :to LIMIT :limit";

/// The rows of a person: one for each set of identifiers that deliveries carried together.
pub fn people(connection: &Connection, name: &str) -> Result<HashSet<i64>, Error> {
    let mut statement = connection.prepare_cached(PEOPLE)?;
    let mut ids = HashSet::new();
    for block in blocks::of(connection, Table::People)? {
        let mut rows = statement.query(params![block, name])?;
        while let Some(row) = rows.next()? {
            ids.insert(row.get(0)?);
        }
    }
    Ok(ids)
}

pub(super) const PEOPLE: &str = "SELECT id FROM people WHERE block = ?1 AND name = ?2";
