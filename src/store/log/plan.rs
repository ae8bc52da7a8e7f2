//! Which index leads a walk, and what is asked of each delivery on the way.

use std::collections::{BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::{Filter, Link, SourceRef};
use crate::domain::{Counted, Metric, Millis, Phase};
use crate::store::Error;
use crate::store::walk::{self, Lead, Rest};

/// `None`: the filter names what is not in the file, or the counts say that nothing is so.
pub fn plan(connection: &Connection, filter: &Filter) -> Result<Option<(Lead, Rest)>, Error> {
    let Some(mut rest) = rest(connection, filter)? else { return Ok(None) };
    for without in &filter.without {
        rest.without.extend(self::rest(connection, without)?);
    }

    let mut lead = lead_by_counts(connection, &rest)?;
    if let Some(link) = &filter.link {
        let links = links(connection, filter, link, rest.sources.as_ref())?;
        if links.is_empty() {
            return Ok(None);
        }
        lead = walk::followers(connection, &links)?.map(Lead::Rows).or(lead);
    }
    if let Some(ids) = &rest.recipients {
        lead = walk::gather(connection, walk::Whose::Recipient, ids)?.map(Lead::Rows).or(lead);
    }
    if let Some(ids) = &rest.people
        && !matches!(lead, Some(Lead::Rows(_)))
    {
        lead = walk::gather(connection, walk::Whose::Person, ids)?.map(Lead::Rows).or(lead);
    }
    Ok(lead.map(|lead| (lead, rest)))
}

/// What is asked of each delivery. `None`: the filter names what is not in the file.
fn rest(connection: &Connection, filter: &Filter) -> Result<Option<Rest>, Error> {
    let mut rest = Rest {
        since_ms: filter.since_ms.unwrap_or(Millis::MIN),
        until_ms: filter.until_ms.unwrap_or(Millis::MAX),
        updated_since_ms: Millis::MIN,
        statuses: bits(&filter.statuses),
        outcomes: bits(&filter.outcomes),
        engagements: bits(&filter.engagements),
        trigger_id: filter.trigger_id.clone(),
        reason: filter.reason.clone(),
        link: filter.link.clone(),
        subjects: filter.subjects.iter().map(|text| text.to_lowercase()).collect(),
        words: filter.words.iter().map(|text| text.to_lowercase()).collect(),
        ..Rest::default()
    };
    rest.statuses &= statuses_of(rest.outcomes, rest.engagements);
    if filter.link.is_some() {
        rest.reached |= 1 << Counted::Metric(Metric::Clicked).index();
    }
    for counted in &filter.ever {
        rest.reached |= 1 << counted.index();
        rest.statuses &= statuses_after(*counted);
    }
    if let Some(source) = &filter.source {
        rest.sources = Some(sources(connection, source)?);
    }
    for channel in &filter.channels {
        rest.channels.extend(channel_id(connection, channel)?);
    }
    rest.messages = messages(connection, filter, rest.sources.as_ref())?;
    if let Some(recipient) = &filter.recipient {
        rest.recipients = walk::recipients(connection, recipient)?;
        if rest.recipients.is_none() {
            rest.recipient = Some(recipient.clone());
        }
    }
    if let Some(person) = &filter.person {
        rest.people = Some(walk::people(connection, person)?);
    }
    let sets = [&rest.sources, &rest.messages, &rest.recipients, &rest.people];
    let is_nowhere = sets.into_iter().flatten().any(HashSet::is_empty);
    let is_of_none = rest.channels.is_empty() && !filter.channels.is_empty();
    Ok((!is_nowhere && !is_of_none).then_some(rest))
}

/// Bit n for metric n, bit 0 for none; all where nothing is asked for.
fn bits(metrics: &[Option<Metric>]) -> u32 {
    match metrics {
        [] => u32::MAX,
        _ => metrics.iter().fold(0, |mask, metric| mask | 1 << metric.map_or(0, Metric::code)),
    }
}

/// A delivery's status is its engagement, where it has one, else its outcome: an exact narrowing of both.
fn statuses_of(outcomes: u32, engagements: u32) -> u32 {
    let engaged = Metric::ALL
        .iter()
        .filter(|metric| metric.phase() == Phase::Engagement)
        .fold(0, |mask, metric| mask | 1 << metric.code());
    let without = if engagements & 1 == 1 { outcomes & !engaged } else { 0 };
    engagements & engaged | without
}

/// A thing that a person did stands in the status, or a later one does: an exact narrowing of `ever`.
fn statuses_after(counted: Counted) -> u32 {
    let metric = match counted {
        Counted::Metric(metric) => metric,
        Counted::HumanOpened | Counted::MachineOpened => Metric::Opened,
        Counted::HumanClicked | Counted::MachineClicked => Metric::Clicked,
        Counted::Created => return u32::MAX,
    };
    if metric.phase() != Phase::Engagement {
        return u32::MAX;
    }
    // a click that implies an open has no open of its own, and ranks above it
    let after = |other: &&Metric| other.phase() == Phase::Engagement && other.rank() >= metric.rank();
    Metric::ALL.iter().filter(after).fold(0, |mask, metric| mask | 1 << metric.code())
}

/// The index with the fewest deliveries to walk: by source, by facet, or all by creation. `None`: there are none.
fn lead_by_counts(connection: &Connection, rest: &Rest) -> Result<Option<Lead>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT source, channel, status, deliveries FROM status_counts WHERE kind = 1")?;
    let mut rows = statement.query([])?;
    let (mut all, mut of_facets, mut of_sources, mut of_both) = (0i64, 0i64, 0i64, 0i64);
    let (mut facets, mut sources) = (BTreeSet::new(), BTreeSet::new());
    while let Some(row) = rows.next()? {
        let (source, channel, status): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let deliveries: i64 = row.get(3)?;
        let facet = channel * 32 + status;
        let (is_facet, is_source) =
            (rest.wants_facet(facet), rest.sources.as_ref().is_none_or(|wanted| wanted.contains(&source)));
        all += deliveries;
        if is_facet {
            facets.insert(facet);
            of_facets += deliveries;
        }
        if is_source {
            sources.insert(source);
            of_sources += deliveries;
        }
        if is_facet && is_source {
            of_both += deliveries;
        }
    }
    if of_both == 0 {
        return Ok(None);
    }
    let by_source = of_sources < all && sources.len() <= walk::RANGES_MAX;
    let by_facet = of_facets < all && facets.len() <= walk::RANGES_MAX;
    Ok(Some(match (by_source, by_facet) {
        (true, by_facet) if !by_facet || of_sources <= of_facets => Lead::Sources(sources.into_iter().collect()),
        (_, true) => Lead::Facets(facets.into_iter().collect()),
        _ => Lead::Created,
    }))
}

/// The rows of a source, or of all of a kind.
pub fn sources(connection: &Connection, source: &SourceRef) -> Result<HashSet<i64>, Error> {
    let mut statement = connection.prepare_cached(SOURCES)?;
    let rows = statement.query_map([&source.kind, &source.id], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) const SOURCES: &str = "SELECT id FROM sources WHERE source_kind = ?1 AND (?2 = '' OR source_id = ?2)";

/// The messages with this action and content, of these sources. `None`: none is asked for.
pub fn messages(
    connection: &Connection,
    filter: &Filter,
    sources: Option<&HashSet<i64>>,
) -> Result<Option<HashSet<i64>>, Error> {
    if filter.action_id.is_none() && filter.content_id.is_none() {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(MESSAGES)?;
    let mut messages = HashSet::new();
    for source in known(connection, sources)? {
        let mut rows = statement.query(params![source, filter.action_id, filter.content_id])?;
        while let Some(row) = rows.next()? {
            messages.insert(row.get(0)?);
        }
    }
    Ok(Some(messages))
}

pub(super) const MESSAGES: &str = "SELECT id FROM messages WHERE source = ?1
    AND (?2 IS NULL OR coalesce(action_id, '') = ?2) AND (?3 IS NULL OR coalesce(content_id, '') = ?3)";

/// The rows of a link: one for each source and action in which it stands.
fn links(
    connection: &Connection,
    filter: &Filter,
    link: &Link,
    sources: Option<&HashSet<i64>>,
) -> Result<Vec<i64>, Error> {
    let mut statement = connection.prepare_cached(LINKS)?;
    let mut links = Vec::new();
    for source in known(connection, sources)? {
        let mut rows = statement.query(params![source, filter.action_id, link.link])?;
        while let Some(row) = rows.next()? {
            links.push(row.get(0)?);
        }
    }
    Ok(links)
}

pub(super) const LINKS: &str =
    "SELECT id FROM links WHERE source = ?1 AND (?2 IS NULL OR coalesce(action_id, '') = ?2) AND link = ?3";

/// These sources, or all.
fn known(connection: &Connection, sources: Option<&HashSet<i64>>) -> Result<Vec<i64>, Error> {
    if let Some(sources) = sources {
        return Ok(sources.iter().copied().collect());
    }
    let mut statement = connection.prepare_cached("SELECT id FROM sources")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The row of a channel; `unknown` is row 0.
pub fn channel_id(connection: &Connection, channel: &str) -> Result<Option<i64>, Error> {
    if channel == "unknown" {
        return Ok(Some(0));
    }
    let mut statement = connection.prepare_cached("SELECT id FROM channels WHERE channel = ?1")?;
    Ok(statement.query_row([channel], |row| row.get(0)).optional()?)
}
