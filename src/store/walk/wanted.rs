//! What is asked of each delivery beside its place in the order.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, ToSql, params};

use super::Lead;
use crate::domain::{Metric, Millis};
use crate::store::log::{By, Link, Reason, Recipient};
use crate::store::paging::Cursor;
use crate::store::statements::Statements;
use crate::store::{Error, addresses};

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
    /// Each in its recipient or subject.
    pub words: Vec<Word>,
    /// Wanted by none of these.
    pub without: Vec<Rest>,
}

/// A word, or a part of one, in lower case.
#[derive(Debug, Default)]
pub struct Word {
    pub text: String,
    /// The addresses that hold it, where they are few enough to list.
    pub addresses: Option<HashSet<i64>>,
}

impl Rest {
    pub fn wants_facet(&self, facet: i64) -> bool {
        let (channel, status) = (facet >> 5, facet & 31);
        self.statuses >> status & 1 == 1 && (self.channels.is_empty() || self.channels.contains(&channel))
    }

    /// Ready to be asked of deliveries that come by these leads.
    pub(super) fn wanted<'c>(&'c self, connection: &'c Connection, leads: &[Lead]) -> Result<Wanted<'c>, Error> {
        let row = if self.is_answered_by(leads) { None } else { Some(self.query(connection)?) };
        Ok(Wanted { statements: Statements::of(connection), rest: self, row, subjects: HashMap::new() })
    }

    /// Whether the leads find nothing that is not asked for.
    fn is_answered_by(&self, leads: &[Lead]) -> bool {
        let is_any_facet = self.statuses == u32::MAX && self.channels.is_empty();
        let is_led = leads.iter().all(|lead| match lead {
            Lead::Facets(_) => self.sources.is_none(),
            Lead::Sources(_) => is_any_facet,
            _ => false,
        });
        let sets = [&self.messages, &self.recipients, &self.people];
        is_led
            && (self.outcomes, self.engagements, self.reached) == (u32::MAX, u32::MAX, 0)
            && sets.into_iter().all(Option::is_none)
            && self.trigger_id.is_none()
            && self.reason.is_none()
            && self.link.is_none()
            && self.recipient.is_none()
            && self.updated_since_ms == Millis::MIN
            && self.subjects.is_empty()
            && self.words.is_empty()
            && self.without.is_empty()
    }

    /// With all bound but the row id.
    fn query<'c>(&self, connection: &'c Connection) -> Result<CachedStatement<'c>, Error> {
        let (reason, is_any_reason) = match &self.reason {
            Some(Reason::Exactly(reason)) => (Some(reason), false),
            Some(Reason::Any) => (None, true),
            None => (None, false),
        };
        let reads_texts = |rest: &Rest| !rest.subjects.is_empty() || !rest.words.is_empty();
        let reads_texts = reads_texts(self) || self.without.iter().any(reads_texts);
        let mut statement = connection.prepare_cached(ROW)?;
        let values: [&dyn ToSql; 4] = [&self.trigger_id, &reason, &is_any_reason, &reads_texts];
        for (i, value) in values.into_iter().enumerate() {
            statement.raw_bind_parameter(i + 2, value)?;
        }
        Ok(statement)
    }
}

/// A delivery's row, as far as filters ask about it.
pub(in crate::store) const ROW: &str =
    "SELECT facet, source, message, coalesce(outcome, 0), coalesce(engagement, 0), reached,
        recipient, person, updated_at_ms, subject, CASE WHEN ?5 THEN own_subject END,
        (?2 IS NULL OR trigger_id IS ?2) AND (?3 IS NULL OR failure_reason IS ?3)
            AND (NOT ?4 OR failure_reason IS NOT NULL)
    FROM deliveries_read WHERE id = ?1";

struct Candidate {
    id: i64,
    facet: i64,
    source: i64,
    message: i64,
    outcome: u8,
    engagement: u8,
    reached: u32,
    recipient: Option<i64>,
    person: Option<i64>,
    updated_at_ms: Millis,
    subject: Option<i64>,
    own_subject: Option<String>,
    /// Whether its texts are those that were asked for.
    fits_texts: bool,
}

impl Candidate {
    fn read(id: i64, row: &Row) -> rusqlite::Result<Candidate> {
        Ok(Candidate {
            id,
            facet: row.get(0)?,
            source: row.get(1)?,
            message: row.get(2)?,
            outcome: row.get(3)?,
            engagement: row.get(4)?,
            reached: row.get(5)?,
            recipient: row.get(6)?,
            person: row.get(7)?,
            updated_at_ms: row.get(8)?,
            subject: row.get(9)?,
            own_subject: row.get(10)?,
            fits_texts: row.get(11)?,
        })
    }
}

/// What is wanted, with what was read so far to tell.
pub(super) struct Wanted<'c> {
    statements: Statements<'c>,
    rest: &'c Rest,
    /// None where a delivery's place says that it is wanted.
    row: Option<CachedStatement<'c>>,
    /// Shared subjects, in lower case.
    subjects: HashMap<i64, String>,
}

/// More texts than this are not remembered.
const REMEMBERED: usize = 10_000;

impl Wanted<'_> {
    /// Whether a delivery is wanted, which is created in time. What is read of others than its row is work, too.
    pub fn wants(&mut self, cursor: Cursor, work: &mut usize) -> Result<bool, Error> {
        let Some(statement) = &mut self.row else { return Ok(true) };
        statement.raw_bind_parameter(1, cursor.id)?;
        let it = {
            let mut rows = statement.raw_query();
            let Some(row) = rows.next()? else { return Ok(false) };
            Candidate::read(cursor.id, row)?
        };
        self.fits(self.rest, &it, work)
    }

    fn fits(&mut self, rest: &Rest, it: &Candidate, work: &mut usize) -> Result<bool, Error> {
        let is_in = |set: &Option<HashSet<i64>>, id: Option<i64>| {
            set.as_ref().is_none_or(|set| id.is_some_and(|id| set.contains(&id)))
        };
        let fits = it.fits_texts
            && rest.wants_facet(it.facet)
            && rest.outcomes >> it.outcome & 1 == 1
            && rest.engagements >> it.engagement & 1 == 1
            && is_in(&rest.sources, Some(it.source))
            && is_in(&rest.messages, Some(it.message))
            && it.updated_at_ms >= rest.updated_since_ms
            && it.reached & rest.reached == rest.reached
            && is_in(&rest.recipients, it.recipient)
            && is_in(&rest.people, it.person);
        if !(fits
            && self.fits_recipient(rest, it, work)?
            && self.fits_words(rest, it, work)?
            && self.fits_link(rest, it, work)?)
        {
            return Ok(false);
        }
        for without in &rest.without {
            if self.fits(without, it, work)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fits_recipient(&self, rest: &Rest, it: &Candidate, work: &mut usize) -> Result<bool, Error> {
        let Some(recipient) = &rest.recipient else { return Ok(true) };
        Ok(self.address(it, work)?.is_some_and(|address| recipient.is(&address)))
    }

    fn address(&self, it: &Candidate, work: &mut usize) -> Result<Option<String>, Error> {
        let Some(id) = it.recipient else { return Ok(None) };
        *work += 1;
        let mut statement = self.statements.prepare_cached(ADDRESS)?;
        Ok(statement.query_row([id], |row| row.get(0)).optional()?)
    }

    fn fits_words(&mut self, rest: &Rest, it: &Candidate, work: &mut usize) -> Result<bool, Error> {
        if rest.subjects.is_empty() && rest.words.is_empty() {
            return Ok(true);
        }
        let own = it.own_subject.as_ref().map(|subject| subject.to_lowercase());
        let subject = match it.subject {
            _ if own.is_some() => own.as_deref().unwrap_or_default(),
            Some(id) => self.subject(id)?,
            None => "",
        };
        if !rest.subjects.iter().all(|text| subject.contains(text.as_str())) {
            return Ok(false);
        }
        let left: Vec<&Word> = rest.words.iter().filter(|word| !subject.contains(word.text.as_str())).collect();
        let mut unlisted = Vec::new();
        for word in left {
            match (&word.addresses, it.recipient) {
                (Some(addresses), Some(id)) if addresses.contains(&id) => {}
                (None, Some(_)) => unlisted.push(&word.text),
                _ => return Ok(false),
            }
        }
        if unlisted.is_empty() {
            return Ok(true);
        }
        let address = self.address(it, work)?.unwrap_or_default();
        Ok(unlisted.into_iter().all(|text| addresses::holds(&address, text)))
    }

    fn subject(&mut self, id: i64) -> Result<&str, Error> {
        if self.subjects.len() >= REMEMBERED {
            self.subjects.clear();
        }
        if !self.subjects.contains_key(&id) {
            let mut statement = self.statements.prepare_cached(SUBJECT)?;
            let text: String = statement.query_row([id], |row| row.get(0))?;
            self.subjects.insert(id, text.to_lowercase());
        }
        Ok(self.subjects.get(&id).map_or("", String::as_str))
    }

    fn fits_link(&self, rest: &Rest, it: &Candidate, work: &mut usize) -> Result<bool, Error> {
        let Some(Link { link, by }) = &rest.link else { return Ok(true) };
        *work += 1;
        let mut statement = self.statements.prepare_cached(&FOLLOWED)?;
        let by_machine = by.map(|by| by == By::Machine);
        Ok(statement.query_row(params![it.id, link, by_machine], |row| row.get(0))?)
    }
}

const ADDRESS: &str = "SELECT address FROM addresses WHERE id = ?1";
const SUBJECT: &str = "SELECT subject FROM subjects WHERE id = ?1";

impl Recipient {
    /// Whether an address is one of these.
    pub fn is(&self, address: &str) -> bool {
        match self {
            Recipient::Exactly(text) => address == text,
            Recipient::StartingWith(text) => address.starts_with(text.as_str()),
            Recipient::With(text) => addresses::holds(address, text),
        }
    }
}

/// Whether a delivery followed a link; by a machine, by a person, or either.
pub(in crate::store) static FOLLOWED: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT EXISTS (SELECT 1 FROM events_read WHERE delivery = ?1 AND metric = {} AND {LINK} = ?2
            AND (?3 IS NULL OR (flags & 3 = 2) = ?3))",
        Metric::Clicked.code()
    )
});

/// The link of a click: its id, else its address less query and fragment.
pub(in crate::store) const LINK: &str = "coalesce(own ->> '$.link_id', substr(own ->> '$.href', 1, \
    min(instr((own ->> '$.href') || '?', '?'), instr((own ->> '$.href') || '#', '#')) - 1))";
