//! Which index leads a walk, and what is asked of each delivery on the way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, params};

use super::{Filter, Link, Recipient, SourceRef};
use crate::domain::{Counted, Metric, Millis, Phase};
use crate::store::walk::{self, Lead, Rest, Whose, Word};
use crate::store::{Error, addresses, spans};

/// `None`: the filter names what is not in the file, or the counts say that nothing is so.
pub fn plan(connection: &Connection, filter: &Filter) -> Result<Option<(Vec<Lead>, Rest)>, Error> {
    let Some(mut rest) = rest(connection, filter)? else { return Ok(None) };
    for without in &filter.without {
        rest.without.extend(self::rest(connection, without)?);
    }
    let Some((lead, most, facets)) = lead_by_counts(connection, &rest)? else { return Ok(None) };
    rest.facets = facets;
    if let Some(link) = &filter.link {
        let links = links(connection, filter, link, rest.sources.as_ref())?;
        if links.is_empty() {
            return Ok(None);
        }
        if let Some(ids) = walk::followers(connection, &links)? {
            return Ok(Some((vec![Lead::Rows(ids)], rest)));
        }
    }
    if let Some(id) = &filter.delivery_id {
        return Ok(super::super::delivery::find(connection, id)?.map(|row| (vec![Lead::Rows(vec![row])], rest)));
    }
    for whose in [Whose::Recipient, Whose::Person] {
        let ids = if whose == Whose::Recipient { &rest.recipients } else { &rest.people };
        if let Some(ids) = ids
            && is_soon_gathered(connection, ids.len())?
        {
            let lead = of(whose, ids, &lead);
            return Ok(Some((vec![lead], rest)));
        }
    }
    match lead_by_words(connection, &rest, &lead, most)? {
        Words::Nowhere => Ok(None),
        Words::In(leads) => Ok(Some((leads, rest))),
        Words::Anywhere => Ok(Some((vec![lead], rest))),
    }
}

/// Deliveries that are looked for in vain, before the first is known, at worst.
const LOOKS_MAX: usize = 10_000;

fn is_soon_gathered(connection: &Connection, keys: usize) -> Result<bool, Error> {
    Ok(keys * spans::depth(&spans::of(connection)?) <= LOOKS_MAX)
}

/// In order: neighbours in an index share its pages.
fn of(whose: Whose, ids: &HashSet<i64>, otherwise: &Lead) -> Lead {
    let mut ids: Vec<i64> = ids.iter().copied().collect();
    ids.sort_unstable();
    Lead::Of(whose, ids, Box::new(otherwise.clone()))
}

/// Where words can be.
enum Words {
    Nowhere,
    /// Nowhere else than what these find.
    In(Vec<Lead>),
    Anywhere,
}

/// Shared subjects beyond these are not looked through.
const SUBJECTS_MAX: i64 = 10_000;

/// By the first word that few addresses and few sources can have.
fn lead_by_words(connection: &Connection, rest: &Rest, otherwise: &Lead, most: i64) -> Result<Words, Error> {
    let in_subjects = rest.subjects.iter().map(|text| (text, None));
    let anywhere = rest.words.iter().filter_map(|word| Some((&word.text, Some(word.addresses.as_ref()?))));
    for (text, addresses) in in_subjects.chain(anywhere) {
        let Some(sources) = sources_with(connection, text)? else { return Ok(Words::Anywhere) };
        let addresses = addresses.filter(|ids| !ids.is_empty());
        if sources.is_empty() && addresses.is_none() {
            return Ok(Words::Nowhere);
        }
        if created(connection, &sources)? >= most || sources.len() > walk::RANGES_MAX {
            continue;
        }
        let mut leads = Vec::new();
        if !sources.is_empty() {
            leads.push(Lead::Sources(sources.into_iter().collect()));
        }
        if let Some(ids) = addresses {
            if !is_soon_gathered(connection, ids.len())? {
                continue;
            }
            leads.push(of(Whose::Recipient, ids, otherwise));
        }
        return Ok(Words::In(leads));
    }
    Ok(Words::Anywhere)
}

/// The sources of which a subject may hold a text: one that is shared does, or deliveries have some of their own.
/// `None`: there are too many subjects to tell.
fn sources_with(connection: &Connection, text: &str) -> Result<Option<BTreeSet<i64>>, Error> {
    let mut statement = connection.prepare_cached(SUBJECTS)?;
    let mut rows = statement.query([SUBJECTS_MAX + 1])?;
    let (mut subjects, mut messages) = (0, BTreeSet::new());
    while let Some(row) = rows.next()? {
        if row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?.to_lowercase().contains(text) {
            messages.insert(row.get::<_, i64>(0)?);
        }
        subjects += 1;
    }
    if subjects > SUBJECTS_MAX {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached("SELECT source FROM messages WHERE own_subjects = 1")?;
    let mut sources: BTreeSet<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached("SELECT source FROM messages WHERE id = ?1")?;
    for message in messages {
        sources.insert(statement.query_row([message], |row| row.get(0))?);
    }
    Ok(Some(sources))
}

pub(super) const SUBJECTS: &str = "SELECT message, subject FROM subjects LIMIT ?1";

/// How many deliveries these sources have.
fn created(connection: &Connection, sources: &BTreeSet<i64>) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT coalesce(sum(created), 0) FROM totals WHERE source = ?1")?;
    sources.iter().try_fold(0, |sum, source| Ok(sum + statement.query_row([source], |row| row.get::<_, i64>(0))?))
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
    // of its domain or of one that begins so: near enough for this store, which goes
    let domain = filter.domain.as_ref().map(|domain| Recipient::With(format!("@{domain}")));
    if let Some(recipient) = filter.recipient.as_ref().or(domain.as_ref()) {
        let recipient = recipient.in_lower_case();
        rest.recipients = addresses::fitting(connection, &recipient)?.map(HashSet::from_iter);
        rest.recipient = Some(recipient).filter(|_| rest.recipients.is_none());
    }
    if let Some(person) = &filter.person {
        rest.people = Some(addresses::people(connection, person)?);
    }
    for word in &filter.words {
        let text = word.to_lowercase();
        let addresses = addresses::fitting(connection, &Recipient::With(text.clone()))?.map(HashSet::from_iter);
        rest.words.push(Word { text, addresses });
    }
    let sets = [&rest.sources, &rest.messages, &rest.recipients, &rest.people];
    let is_nowhere = sets.into_iter().flatten().any(HashSet::is_empty);
    let is_of_none = rest.channels.is_empty() && !filter.channels.is_empty();
    Ok((!is_nowhere && !is_of_none).then_some(rest))
}

/// Bit n for metric n, bit 0 for none; all where nothing is asked for.
pub(super) fn bits(metrics: &[Option<Metric>]) -> u32 {
    match metrics {
        [] => u32::MAX,
        _ => metrics.iter().fold(0, |mask, metric| mask | 1 << metric.map_or(0, Metric::code)),
    }
}

/// A delivery's status is its engagement, where it has one, else its outcome: an exact narrowing of both.
fn statuses_of(outcomes: u32, engagements: u32) -> u32 {
    let without = if engagements & 1 == 1 { outcomes & !*ENGAGED } else { 0 };
    engagements & *ENGAGED | without
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

/// The index with the fewest deliveries to walk, how many these are, and the facets in which what is wanted stands: by
/// source, by what failed, or by facet. `None`: there are none.
fn lead_by_counts(connection: &Connection, rest: &Rest) -> Result<Option<(Lead, i64, Vec<i64>)>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT source, channel, outcome, engagement, deliveries FROM status_counts")?;
    let mut rows = statement.query([])?;
    let (mut facets, mut sources, mut both) = (HashMap::new(), BTreeSet::new(), BTreeSet::new());
    let (mut of_sources, mut failed) = (0i64, 0i64);
    while let Some(row) = rows.next()? {
        let (source, channel): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (outcome, engagement): (i64, i64) = (row.get(2)?, row.get(3)?);
        let deliveries: i64 = row.get(4)?;
        let facet = channel * 32 + if engagement == 0 { outcome } else { engagement };
        *facets.entry(facet).or_insert(0) += deliveries;
        if may_fail(outcome) {
            failed += deliveries;
        }
        if rest.sources.as_ref().is_none_or(|wanted| wanted.contains(&source)) {
            sources.insert(source);
            of_sources += deliveries;
            let can_be = rest.outcomes >> outcome & 1 == 1 && rest.engagements >> engagement & 1 == 1;
            if can_be && rest.wants_facet(facet) {
                both.insert(facet);
            }
        }
    }
    if both.is_empty() {
        return Ok(None);
    }
    let of_facets: i64 = both.iter().map(|facet| facets[facet]).sum();
    let facets: Vec<i64> = both.into_iter().collect();
    let mut lead = (Lead::Facets(facets.clone()), of_facets);
    if rest.sources.is_some() && sources.len() <= walk::RANGES_MAX && of_sources <= of_facets {
        lead = (Lead::Sources(sources.into_iter().collect()), of_sources);
    }
    // not all of these give a reason, and others may: it is only a guess at how many
    if rest.reason.is_some() && failed <= lead.1 {
        lead = (Lead::Failed, failed);
    }
    Ok(Some((lead.0, lead.1, facets)))
}

/// Bit n: metric n is something that a person does.
static ENGAGED: LazyLock<u32> = LazyLock::new(|| {
    Metric::ALL
        .iter()
        .filter(|metric| metric.phase() == Phase::Engagement)
        .fold(0, |mask, metric| mask | 1 << metric.code())
});

fn may_fail(outcome: i64) -> bool {
    use Metric::{Bounced, Deferred, Failed, Suppressed, Undeliverable};
    [Bounced, Deferred, Failed, Suppressed, Undeliverable].iter().any(|metric| i64::from(metric.code()) == outcome)
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

/// The rows of a link, one for each source and action in which it stands, and how many deliveries followed it there.
fn links(
    connection: &Connection,
    filter: &Filter,
    link: &Link,
    sources: Option<&HashSet<i64>>,
) -> Result<Vec<(i64, i64)>, Error> {
    let mut statement = connection.prepare_cached(LINKS)?;
    let mut links = Vec::new();
    for source in known(connection, sources)? {
        let mut rows = statement.query(params![source, filter.action_id, link.link])?;
        while let Some(row) = rows.next()? {
            links.push((row.get(0)?, row.get(1)?));
        }
    }
    Ok(links)
}

pub(super) const LINKS: &str =
    "SELECT id, deliveries FROM links WHERE source = ?1 AND (?2 IS NULL OR coalesce(action_id, '') = ?2) AND link = ?3";

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
