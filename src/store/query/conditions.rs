//! Filters as SQL: a closed set of conditions with bound values, and the rules by which one of them leads the search.
//!
//! The rules are fixed, as SQLite without statistics cannot know how much a value finds: an address, a person or a link
//! where it finds few, then a domain, a reason, a source or the statuses (whichever the status counts say has fewer
//! deliveries), else the time of creation.

use rusqlite::{Connection, params_from_iter};

use super::filter::{By, Filter, Link, Reason, Recipient, SourceRef};
use super::paging::{List, Values};
use crate::domain::{Counted, Metric, Millis, Phase, address};
use crate::store::Error;

/// The deliveries of a filter in its order.
pub(super) fn list(connection: &Connection, filter: &Filter) -> Result<List, Error> {
    let mut values = Values::default();
    let leads = leads(connection, filter, &mut values)?;
    let leads = if filter.by_latest { few_or_all(connection, leads, &mut values)? } else { leads };
    let mut fits = of_delivery(filter, &mut values);
    let mut until_ms = filter.until_ms;
    if filter.by_latest {
        // no delivery is created after its latest event, so `since_ms` bounds the walk as well
        fits.extend(filter.since_ms.map(|ms| format!("d.created_at_ms >= {}", values.bind(ms))));
        fits.extend(until_ms.take().map(|ms| format!("d.created_at_ms < {}", values.bind(ms))));
    }
    Ok(List {
        from: "deliveries d",
        at: if filter.by_latest { "d.updated_at_ms" } else { "d.created_at_ms" },
        id: "d.id",
        leads,
        fits,
        values,
        since_ms: filter.since_ms.unwrap_or(Millis::MIN),
        until_ms: until_ms.unwrap_or(Millis::MAX),
    })
}

/// The leads if they find few rows, which can be sorted; else the index of the order alone.
fn few_or_all(connection: &Connection, leads: Vec<String>, values: &mut Values) -> Result<Vec<String>, Error> {
    if leads != ["1"] {
        let arms: Vec<String> = leads.iter().map(|lead| format!("SELECT 1 FROM deliveries d WHERE {lead}")).collect();
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM ({}) LIMIT {})", arms.join(" UNION ALL "), FEW + 1);
        let mut statement = connection.prepare_cached(&sql)?;
        let found: i64 = statement.query_row(params_from_iter(&values.0), |row| row.get(0))?;
        if found <= FEW {
            return Ok(leads);
        }
    }
    *values = Values::default();
    Ok(vec!["1".into()])
}

/// What is asked of a delivery `d`, but for the time of its creation.
pub(super) fn of_delivery(filter: &Filter, values: &mut Values) -> Vec<String> {
    let mut all = Vec::new();
    if !filter.statuses.is_empty() {
        all.push(format!("d.status IN ({})", values.list(filter.statuses.iter().map(|status| status_name(*status)))));
    }
    all.extend(of_metrics("d.outcome", &filter.outcomes, values));
    all.extend(of_metrics("d.engagement", &filter.engagements, values));
    all.extend(of_feed(filter, values));
    all.extend(of_message(filter, values));
    if let Some(trigger) = &filter.trigger_id {
        all.push(format!("d.trigger_id = {}", values.text(trigger)));
    }
    if let Some(delivery_id) = &filter.delivery_id {
        all.push(format!("d.delivery_id = {}", values.text(delivery_id)));
    }
    if let Some(recipient) = &filter.recipient {
        all.push(of_recipient(recipient, values));
    }
    if let Some(domain) = &filter.domain {
        all.push(format!("d.recipient_domain = {}", values.text(domain)));
    }
    if let Some(person) = &filter.person {
        let person = values.text(person);
        all.push(format!("(d.person_id = {person} OR d.email = {person} OR d.cio_id = {person})"));
    }
    let ever = filter.ever.iter().filter(|counted| **counted != Counted::Created);
    all.extend(ever.map(|counted| format!("d.{}_at_ms IS NOT NULL", counted.name())));
    match &filter.reason {
        None => {}
        Some(Reason::Any) => all.push("d.failure_reason IS NOT NULL".into()),
        Some(Reason::With(text)) => all.push(format!("d.failure_reason GLOB {}", values.bind(containing(text)))),
        Some(Reason::Exactly(reason)) => all.push(format!("d.failure_reason = {}", values.text(reason))),
    }
    if let Some(link) = &filter.link {
        all.push(of_link(link, values));
    }
    for text in &filter.subjects {
        all.push(format!("d.subject GLOB {}", values.bind(containing(text))));
    }
    for word in &filter.words {
        let word = values.bind(containing(word));
        all.push(format!("(d.recipient GLOB {word} OR d.subject GLOB {word})"));
    }
    for without in &filter.without {
        let conditions = of_delivery(without, values);
        let conditions = if conditions.is_empty() { "1".into() } else { conditions.join(" AND ") };
        // what is not known does not fit: NOT alone would leave it out too
        all.push(format!("({conditions}) IS NOT TRUE"));
    }
    all
}

/// Source and channel, of a delivery or of a row of counts `d`.
pub(super) fn of_feed(filter: &Filter, values: &mut Values) -> Vec<String> {
    let mut all: Vec<String> = filter.source.iter().map(|source| of_source(source, values)).collect();
    if !filter.channels.is_empty() {
        let known = values.list(filter.channels.iter().map(String::as_str).filter(|channel| *channel != UNKNOWN));
        let is_unknown = filter.channels.iter().any(|channel| channel == UNKNOWN);
        all.push(any_of("d.channel", &known, is_unknown));
    }
    all
}

/// Action and content, likewise.
pub(super) fn of_message(filter: &Filter, values: &mut Values) -> Vec<String> {
    let mut is = |column: &str, asked: &Option<String>| match asked.as_deref() {
        None => None,
        Some("") => Some(format!("{column} IS NULL")),
        Some(id) => Some(format!("{column} = {}", values.text(id))),
    };
    [is("d.action_id", &filter.action_id), is("d.content_id", &filter.content_id)].into_iter().flatten().collect()
}

/// Outcomes or engagements.
pub(super) fn of_metrics(column: &str, metrics: &[Option<Metric>], values: &mut Values) -> Option<String> {
    let known = values.list(metrics.iter().flatten().map(|metric| metric.name()));
    (!metrics.is_empty()).then(|| any_of(column, &known, metrics.contains(&None)))
}

/// How a status is written that no event gave.
pub(super) const UNKNOWN: &str = "unknown";

pub(super) fn status_name(status: Option<Metric>) -> &'static str {
    status.map_or(UNKNOWN, Metric::name)
}

fn any_of(column: &str, list: &str, or_null: bool) -> String {
    let null = if or_null { format!(" OR {column} IS NULL") } else { String::new() };
    format!("({column} IN ({list}){null})")
}

fn of_source(source: &SourceRef, values: &mut Values) -> String {
    let kind = values.text(&source.kind);
    match (source.kind.as_str(), source.id.as_str()) {
        (UNKNOWN, "") => format!("d.source_kind = {kind} AND d.source_id IS NULL"),
        (_, "") => format!("d.source_kind = {kind}"),
        (_, id) => format!("d.source_kind = {kind} AND d.source_id = {}", values.text(id)),
    }
}

fn of_recipient(recipient: &Recipient, values: &mut Values) -> String {
    match recipient {
        Recipient::Exactly(address) => match address::searched(address) {
            likely if likely == *address => format!("d.recipient = {}", values.text(address)),
            likely => format!("d.recipient IN ({}, {})", values.text(address), values.text(&likely)),
        },
        Recipient::StartingWith(start) => {
            // the greatest character ends every address that starts so
            let (from, to) = (values.text(start), values.bind(format!("{start}{}", char::MAX)));
            format!("d.recipient >= {from} AND d.recipient < {to}")
        }
        Recipient::With(text) => format!("d.recipient GLOB {}", values.bind(containing(text))),
    }
}

fn of_link(link: &Link, values: &mut Values) -> String {
    let by = match link.by {
        None => "",
        Some(By::Human) => " AND k.human = 1",
        Some(By::Machine) => " AND k.machine = 1",
        // nobody followed it
        Some(By::Implied) => " AND 0",
    };
    let link = values.text(&link.link);
    format!("EXISTS (SELECT 1 FROM delivery_links k WHERE k.delivery = d.id AND k.link = {link}{by})")
}

/// A pattern that finds a text anywhere, in any case of letters: LIKE and lower() know only those of ASCII.
fn containing(text: &str) -> String {
    let mut pattern = String::from("*");
    // SQLite refuses patterns above 50,000 bytes, and no subject is so long
    for letter in text.chars().take(1_000) {
        let mut class: Vec<char> =
            [letter].into_iter().chain(letter.to_lowercase()).chain(letter.to_uppercase()).collect();
        class.sort_unstable();
        class.dedup();
        match class[..] {
            [letter] if !"*?[".contains(letter) => pattern.push(letter),
            _ => pattern.extend(['['].into_iter().chain(class).chain([']'])),
        }
    }
    pattern.push('*');
    pattern
}

/// Finding more than these is no search: the time leads.
const FEW: i64 = 2_000;

/// How the deliveries `d` of a filter are searched: by any of these conditions.
pub(super) fn leads(connection: &Connection, filter: &Filter, values: &mut Values) -> Result<Vec<String>, Error> {
    if let (Some(Recipient::Exactly(address)), None) = (&filter.recipient, &filter.delivery_id) {
        let mut forms = vec![address.clone(), address::searched(address).into_owned()];
        forms.dedup();
        return Ok(forms.iter().map(|form| format!("d.recipient = {}", values.text(form))).collect());
    }
    if let Some(rows) = few(connection, filter, values)? {
        return Ok(vec![format!("d.id IN ({rows})")]);
    }
    if let Some(person) = &filter.person {
        let person = values.text(person);
        return Ok(vec![
            format!("d.person_id = {person}"),
            format!("d.recipient = {person}"),
            format!("d.id IN (SELECT delivery FROM delivery_identifiers WHERE identifier = {person})"),
        ]);
    }
    if let Some(domain) = &filter.domain {
        return Ok(vec![format!("d.recipient_domain = {}", values.text(domain))]);
    }
    if filter.reason.is_some() {
        return Ok(vec!["d.failure_reason IS NOT NULL".into()]);
    }
    let statuses = possible_statuses(filter);
    let by_source = match &filter.source {
        Some(source) => source_leads(connection, source)?,
        None => None,
    };
    if let Some(sources) = by_source
        && (statuses.len() > STATUSES_MAX || !are_fewer(connection, &statuses, &sources)?)
    {
        return Ok(sources.iter().map(|source| of_source(source, values)).collect());
    }
    Ok(match statuses.len() {
        // no delivery has it: the index shows that at once
        0 => vec!["d.status = ''".into()],
        1..=STATUSES_MAX => statuses.iter().map(|status| format!("d.status = {}", values.text(status))).collect(),
        _ => vec!["1".into()],
    })
}

/// A query of the rows of deliveries that an id, an address, a person or a link finds, where they are few. Others may be in it.
pub(super) fn few(connection: &Connection, filter: &Filter, values: &mut Values) -> Result<Option<String>, Error> {
    for rows in [rows_of_delivery, rows_of_recipient, rows_of_person, rows_of_link] {
        let mut probe = Values::default();
        let Some(query) = rows(filter, &mut probe) else { continue };
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM ({query}) LIMIT {})", FEW + 1);
        let found: i64 = connection.prepare_cached(&sql)?.query_row(params_from_iter(probe.0), |row| row.get(0))?;
        if found <= FEW {
            return Ok(rows(filter, values));
        }
    }
    Ok(None)
}

fn rows_of_delivery(filter: &Filter, values: &mut Values) -> Option<String> {
    Some(format!("SELECT id FROM deliveries WHERE delivery_id = {}", values.text(filter.delivery_id.as_ref()?)))
}

fn rows_of_recipient(filter: &Filter, values: &mut Values) -> Option<String> {
    let recipient = filter.recipient.as_ref().filter(|recipient| !matches!(recipient, Recipient::With(_)))?;
    Some(format!("SELECT d.id FROM deliveries d WHERE {}", of_recipient(recipient, values)))
}

fn rows_of_person(filter: &Filter, values: &mut Values) -> Option<String> {
    let person = values.text(filter.person.as_ref()?);
    Some(format!(
        "SELECT id FROM deliveries WHERE person_id = {person}
        UNION ALL SELECT id FROM deliveries WHERE recipient = {person}
        UNION ALL SELECT delivery FROM delivery_identifiers WHERE identifier = {person}"
    ))
}

fn rows_of_link(filter: &Filter, values: &mut Values) -> Option<String> {
    Some(format!("SELECT delivery FROM events WHERE link = {}", values.text(&filter.link.as_ref()?.link)))
}

/// A merge of more parts is slower than the order of time.
const STATUSES_MAX: usize = 8;
const SOURCES_MAX: usize = 20;

/// The sources that a filter names, each a range of the index. `None`: too many of the kind.
fn source_leads(connection: &Connection, source: &SourceRef) -> Result<Option<Vec<SourceRef>>, Error> {
    if !source.id.is_empty() || source.kind == UNKNOWN {
        return Ok(Some(vec![source.clone()]));
    }
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT source_id FROM campaign_metrics WHERE source_kind = ?1 AND source_id IS NOT NULL LIMIT ?2",
    )?;
    let of_kind = |row: &rusqlite::Row| Ok(SourceRef { kind: source.kind.clone(), id: row.get(0)? });
    let sources =
        statement.query_map((&source.kind, SOURCES_MAX as i64 + 1), of_kind)?.collect::<Result<Vec<_>, _>>()?;
    Ok(Some(sources).filter(|sources| (1..=SOURCES_MAX).contains(&sources.len())))
}

/// Whether fewer deliveries have one of these statuses than are of these sources.
fn are_fewer(connection: &Connection, statuses: &[&str], sources: &[SourceRef]) -> Result<bool, Error> {
    let mut values = Values::default();
    let sources: Vec<String> = sources.iter().map(|source| format!("({})", of_source(source, &mut values))).collect();
    let statuses = values.list(statuses.iter().copied());
    let sql = format!(
        "SELECT (SELECT coalesce(sum(deliveries), 0) FROM status_counts d
                WHERE coalesce(engagement, outcome, 'unknown') IN ({statuses}))
            < (SELECT coalesce(sum(deliveries), 0) FROM status_counts d WHERE {})",
        sources.join(" OR ")
    );
    Ok(connection.prepare_cached(&sql)?.query_row(params_from_iter(values.0), |row| row.get(0))?)
}

/// The statuses that deliveries of a filter can have. A status is the engagement, where there is one, else the outcome; and
/// what a person once did is the status still, unless something of a higher rank is.
fn possible_statuses(filter: &Filter) -> Vec<&'static str> {
    let is_engagement = |metric: &Metric| metric.phase() == Phase::Engagement;
    let allows = |asked: &[Option<Metric>], metric| asked.is_empty() || asked.contains(&metric);
    let least = filter.ever.iter().filter_map(|counted| match counted {
        Counted::Metric(metric) => Some(*metric),
        Counted::HumanOpened | Counted::MachineOpened => Some(Metric::Opened),
        Counted::HumanClicked | Counted::MachineClicked => Some(Metric::Clicked),
        Counted::Created => None,
    });
    let least = least.filter(is_engagement).map(Metric::rank).max();
    let is_possible = |status: &Option<Metric>| {
        let fits = match status.filter(is_engagement) {
            Some(engagement) => {
                allows(&filter.engagements, Some(engagement)) && least.is_none_or(|least| engagement.rank() >= least)
            }
            None => allows(&filter.engagements, None) && allows(&filter.outcomes, *status) && least.is_none(),
        };
        fits && allows(&filter.statuses, *status)
    };
    let all = Metric::ALL.iter().copied().map(Some).chain([None]);
    all.filter(is_possible).map(status_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_any_case_of_letters() {
        let connection = Connection::open_in_memory().unwrap();
        for (text, inside, is_found) in [
            ("sale", "Spring SALE", true),
            ("été", "ÉTÉ for Ann", true),
            ("СКИДКА", "скидка 10%", true),
            ("50%*?", "now 50%*? off", true),
            ("a*b", "aXb", false),
            ("[a]", "x[A]y", true),
            ("]", "x[A]y", true),
            ("nowhere", "Spring SALE", false),
        ] {
            let found: bool =
                connection.query_row("SELECT ?1 GLOB ?2", (inside, containing(text)), |row| row.get(0)).unwrap();
            assert_eq!(found, is_found, "{text} in {inside}");
        }
    }

    #[test]
    fn statuses_narrow_to_what_is_possible() {
        let ever = |counted| possible_statuses(&Filter { ever: vec![counted], ..Filter::default() });
        assert_eq!(ever(Counted::Metric(Metric::Unsubscribed)), ["unsubscribed", "spammed"]);
        assert_eq!(ever(Counted::HumanClicked).len(), 5);
        assert_eq!(ever(Counted::Metric(Metric::Bounced)).len(), 17);
        let engaged = Filter { engagements: vec![Some(Metric::Clicked)], ..Filter::default() };
        assert_eq!(possible_statuses(&engaged), ["clicked"]);
        let failed = Filter { outcomes: vec![Some(Metric::Failed)], engagements: vec![None], ..Filter::default() };
        assert_eq!(possible_statuses(&failed), ["failed"]);
        let never = Filter { engagements: vec![None], ever: vec![Counted::HumanOpened], ..Filter::default() };
        assert!(possible_statuses(&never).is_empty());
    }
}
