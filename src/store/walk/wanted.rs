//! What is asked of each delivery beside its place in the order.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, ToSql, params};

use super::Lead;
use crate::domain::{Metric, Millis, Phase};
use crate::store::log::{By, Link, Reason, Recipient};
use crate::store::paging::Cursor;
use crate::store::statements::Statements;
use crate::store::{Error, addresses, progress};

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
    /// Those that what is wanted stands in, by the counts.
    pub facets: Vec<i64>,
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
        let probes = if let [lead] = leads { self.probes(connection, lead)? } else { Vec::new() };
        let known = if self.has_more() { Known::Row } else { self.known_by(leads, &probes) };
        let row = if known == Known::Place { None } else { Some(self.query(connection)?) };
        let statements = Statements::of(connection);
        Ok(Wanted {
            statements,
            rest: self,
            probes,
            is_known_by_outcome: known == Known::Facet,
            row,
            subjects: HashMap::new(),
        })
    }

    /// Whether only the row of a delivery can tell: more is asked for than facet, source, and whether it failed.
    fn has_more(&self) -> bool {
        let sets = [&self.messages, &self.recipients, &self.people];
        self.reached != 0
            || sets.into_iter().any(Option::is_some)
            || self.trigger_id.is_some()
            || matches!(self.reason, Some(Reason::Exactly(_)))
            || self.link.is_some()
            || self.recipient.is_some()
            || self.updated_since_ms != Millis::MIN
            || !self.subjects.is_empty()
            || !self.words.is_empty()
            || !self.without.is_empty()
    }

    fn is_any_facet(&self) -> bool {
        self.statuses == u32::MAX && self.channels.is_empty()
    }

    /// What tells of a delivery whether the rest is so, where all else is told by the lead and the probes.
    fn known_by(&self, leads: &[Lead], probes: &[Probe]) -> Known {
        let is_probed = |index: &str| probes.iter().any(|probe| probe.index == index);
        let knows = |lead: &Lead| {
            let by_facet = matches!(lead, Lead::Facets(_));
            let has_source = self.sources.is_none() || matches!(lead, Lead::Sources(_)) || is_probed(BY_SOURCE);
            let has_reason = self.reason.is_none() || *lead == Lead::Failed || is_probed(BY_FAILURE);
            let has_facet = self.is_any_facet() || by_facet || is_probed(BY_FACET);
            match lead {
                Lead::Of(..) | Lead::Rows(_) => Known::Row,
                _ if !(has_source && has_reason && has_facet) => Known::Row,
                // what the person did is the status, where there is any such thing
                _ if self.outcomes == u32::MAX => Known::Place,
                _ if by_facet => Known::Facet,
                _ => Known::Row,
            }
        };
        leads.iter().map(knows).max().unwrap_or(Known::Row)
    }

    /// Indexes that tell of a delivery whether it is of a source, in a facet, or failed: most are turned away so, for
    /// a fraction of what it costs to read their rows.
    fn probes<'c>(&self, connection: &'c Connection, lead: &Lead) -> Result<Vec<Probe<'c>>, Error> {
        let mut wanted: Vec<(&'static str, Vec<i64>)> = Vec::new();
        if !matches!(lead, Lead::Facets(_) | Lead::Sources(_) | Lead::Failed) {
            return Ok(Vec::new());
        }
        if self.reason.is_some() && *lead != Lead::Failed {
            wanted.push((BY_FAILURE, vec![0]));
        }
        if let Some(sources) = &self.sources
            && !matches!(lead, Lead::Sources(_))
        {
            wanted.push((BY_SOURCE, sources.iter().copied().collect()));
        }
        if !self.is_any_facet() && !matches!(lead, Lead::Facets(_)) {
            wanted.push((BY_FACET, self.facets.clone()));
        }
        wanted.retain(|(_, keys)| keys.len() <= PROBED_MAX);
        let probe = |(index, keys)| Ok(Probe { index, keys, statement: connection.prepare_cached(index)? });
        wanted.into_iter().map(probe).collect()
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
        let has_texts = self.trigger_id.is_some() || self.reason.is_some();
        let sql = match (reads_texts, has_texts) {
            (false, false) => ROW,
            (true, false) => ROW_WITH_SUBJECT,
            (false, true) => ROW_THAT_FITS,
            (true, true) => ROW_THAT_FITS_WITH_SUBJECT,
        };
        let mut statement = connection.prepare_cached(sql)?;
        if has_texts {
            let values: [&dyn ToSql; 3] = [&self.trigger_id, &reason, &is_any_reason];
            for (i, value) in values.into_iter().enumerate() {
                statement.raw_bind_parameter(i + 2, value)?;
            }
        }
        Ok(statement)
    }
}

/// A delivery's row, as far as filters ask about it: thousands are read for a page, so it is read as it is stored, and no
/// column more than is asked for.
macro_rules! row {
    ($own_subject:literal, $fits:literal) => {
        concat!(
            "SELECT facet, source, message, standing, updated_after, person, recipient, subject, ",
            $own_subject,
            ", ",
            $fits,
            " FROM deliveries WHERE id = ?1"
        )
    };
}
macro_rules! fits {
    ($own_subject:literal) => {
        row!(
            $own_subject,
            "(?2 IS NULL OR trigger_id IS ?2) AND (?3 IS NULL OR failure_reason IS ?3)
                AND (NOT ?4 OR failure_reason IS NOT NULL)"
        )
    };
}

pub(in crate::store) const ROW: &str = row!("NULL", "1");
const ROW_WITH_SUBJECT: &str = row!("own_subject", "1");
pub(in crate::store) const ROW_THAT_FITS: &str = fits!("NULL");
const ROW_THAT_FITS_WITH_SUBJECT: &str = fits!("own_subject");

/// What tells whether a delivery is wanted; the last costs most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Known {
    /// That it was come to.
    Place,
    /// Its facet, where the status is the outcome; else its row.
    Facet,
    Row,
}

/// Whether a delivery stands in an index under any of some keys.
struct Probe<'c> {
    index: &'static str,
    keys: Vec<i64>,
    statement: CachedStatement<'c>,
}

/// More keys than this cost more than the row.
const PROBED_MAX: usize = 3;

pub(in crate::store) const BY_SOURCE: &str = "SELECT 1 FROM deliveries INDEXED BY deliveries_by_source
    WHERE source = ?1 AND created_at_ms = ?2 AND id = ?3";
pub(in crate::store) const BY_FACET: &str = "SELECT 1 FROM deliveries INDEXED BY deliveries_by_facet
    WHERE facet = ?1 AND created_at_ms = ?2 AND id = ?3";
pub(in crate::store) const BY_FAILURE: &str = "SELECT 1 FROM deliveries INDEXED BY deliveries_by_failure
    WHERE failure_reason IS NOT NULL AND ?1 = 0 AND created_at_ms = ?2 AND id = ?3";

impl Probe<'_> {
    fn has(&mut self, cursor: Cursor) -> Result<bool, Error> {
        for key in &self.keys {
            if self.statement.exists(params![key, cursor.at_ms, cursor.id])? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

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
    fn read(cursor: Cursor, row: &Row) -> rusqlite::Result<Candidate> {
        let (reached, outcome, engagement) = progress::standing(row.get(3)?);
        Ok(Candidate {
            id: cursor.id,
            facet: row.get(0)?,
            source: row.get(1)?,
            message: row.get(2)?,
            outcome,
            engagement,
            reached,
            updated_at_ms: progress::updated_at_ms(cursor.at_ms, row.get(4)?),
            person: row.get(5)?,
            recipient: row.get(6)?,
            subject: row.get(7)?,
            own_subject: row.get(8)?,
            fits_texts: row.get(9)?,
        })
    }
}

/// What is wanted, with what was read so far to tell.
pub(super) struct Wanted<'c> {
    statements: Statements<'c>,
    rest: &'c Rest,
    probes: Vec<Probe<'c>>,
    /// Whether one whose status is its outcome is wanted, as it was come to by its facet.
    is_known_by_outcome: bool,
    /// None where that it was come to says that a delivery is wanted.
    row: Option<CachedStatement<'c>>,
    /// Shared subjects, in lower case.
    subjects: HashMap<i64, String>,
}

/// More texts than this are not remembered.
const REMEMBERED: usize = 10_000;

impl Wanted<'_> {
    /// Whether a delivery is wanted, which is created in time, and was come to by a key of its index. What is read of
    /// others than its row is work, too.
    pub fn wants(&mut self, cursor: Cursor, key: Option<i64>, work: &mut usize) -> Result<bool, Error> {
        for probe in &mut self.probes {
            if !probe.has(cursor)? {
                return Ok(false);
            }
        }
        if self.is_known_by_outcome && key.is_some_and(|facet| !is_engaged(facet & 31)) {
            return Ok(true);
        }
        let Some(statement) = &mut self.row else { return Ok(true) };
        statement.raw_bind_parameter(1, cursor.id)?;
        let it = {
            let mut rows = statement.raw_query();
            let Some(row) = rows.next()? else { return Ok(false) };
            Candidate::read(cursor, row)?
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
        // those of neighbours lie far apart
        *work += 2;
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

fn is_engaged(status: i64) -> bool {
    u8::try_from(status).ok().and_then(Metric::from_code).is_some_and(|metric| metric.phase() == Phase::Engagement)
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
