use std::cell::Cell;

use rusqlite::params_from_iter;

use super::super::fixture::{self, BEGIN_MS};
use super::super::{events, rows};
use super::*;
use crate::domain::Counted;
use crate::store::query::paging::List;

/// All that is in the file.
struct File {
    _dir: tempfile::TempDir,
    connection: Connection,
    /// Newest first, each with its events, oldest first.
    deliveries: Vec<(rows::Row, Vec<rows::Row>)>,
}

impl File {
    fn new() -> File {
        let (_dir, connection) = fixture::filled();
        let sql = "SELECT * FROM deliveries_v1 ORDER BY created_at_ms DESC, id DESC";
        let deliveries = rows::all(&connection, sql, []).unwrap().into_iter().map(|delivery| {
            let id = delivery.text("delivery_id").unwrap();
            let events = rows::delivery_with_events(&connection, id).unwrap().unwrap().events;
            (delivery, events)
        });
        File { deliveries: deliveries.collect(), connection, _dir }
    }

    /// What a filter finds by reading everything.
    fn fitting<'f>(&'f self, filter: &'f Filter) -> impl Iterator<Item = &'f (rows::Row, Vec<rows::Row>)> {
        let is_without =
            |row: &rows::Row, events: &[rows::Row]| !filter.without.iter().any(|without| fits(without, row, events));
        let fitting =
            self.deliveries.iter().filter(move |(row, events)| fits(filter, row, events) && is_without(row, events));
        let mut fitting: Vec<_> = fitting.collect();
        if filter.by_latest {
            fitting.sort_by_key(|(row, _)| std::cmp::Reverse((row.integer("updated_at_ms"), row.integer("id"))));
        }
        fitting.into_iter()
    }
}

fn fits(filter: &Filter, row: &rows::Row, events: &[rows::Row]) -> bool {
    let text = |column: &str| row.text(column);
    let created = row.integer("created_at_ms").unwrap();
    let contains =
        |column: &str, word: &str| text(column).is_some_and(|text| text.to_lowercase().contains(&word.to_lowercase()));
    let is_one_of = |asked: &[Option<Metric>], column: &str| {
        let value = text(column).filter(|status| *status != "unknown");
        asked.is_empty() || asked.iter().any(|metric| metric.map(Metric::name) == value)
    };
    let is = |asked: &Option<String>, column: &str| {
        asked.as_ref().is_none_or(|asked| asked == text(column).unwrap_or_default())
    };
    is_one_of(&filter.statuses, "status")
        && is_one_of(&filter.outcomes, "outcome")
        && is_one_of(&filter.engagements, "engagement")
        && (filter.channels.is_empty() || filter.channels.iter().any(|it| it == text("channel").unwrap_or("unknown")))
        && filter.source.as_ref().is_none_or(|source| {
            Some(&*source.kind) == text("source_kind")
                && (source.id.is_empty() || Some(&*source.id) == text("source_id"))
        })
        && is(&filter.action_id, "action_id")
        && is(&filter.content_id, "content_id")
        && is(&filter.trigger_id, "trigger_id")
        && is(&filter.domain, "recipient_domain")
        && match &filter.recipient {
            None => true,
            Some(Recipient::Exactly(address)) => text("recipient") == Some(address),
            Some(Recipient::StartingWith(start)) => text("recipient").is_some_and(|text| text.starts_with(start)),
            Some(Recipient::With(word)) => contains("recipient", word),
        }
        && filter
            .person
            .as_ref()
            .is_none_or(|person| ["person_id", "email", "cio_id"].iter().any(|column| text(column) == Some(person)))
        && filter.since_ms.is_none_or(|since| created >= since)
        && filter.until_ms.is_none_or(|until| created < until)
        && filter.ever.iter().all(|counted| row.integer(&format!("{}_at_ms", counted.name())).is_some())
        && match &filter.reason {
            None => true,
            Some(Reason::Any) => text("failure_reason").is_some(),
            Some(Reason::With(part)) => text("failure_reason").is_some_and(|it| it.contains(&**part)),
            Some(Reason::Exactly(reason)) => text("failure_reason") == Some(reason),
        }
        && filter.subjects.iter().all(|word| contains("subject", word))
        && filter.words.iter().all(|word| contains("subject", word) || contains("recipient", word))
        && filter.link.as_ref().is_none_or(|link| {
            events.iter().any(|event| follows(event, &link.link) && link.by.is_none_or(|by| who(event) == by))
        })
}

fn follows(event: &rows::Row, link: &str) -> bool {
    let address = event.text("href").map(|href| href.split('?').next().unwrap());
    event.text("link_id").or(address) == Some(link)
}

fn who(event: &rows::Row) -> By {
    match (event.integer("machine"), event.integer("implied")) {
        (Some(1), _) => By::Machine,
        (_, Some(1)) => By::Implied,
        _ => By::Human,
    }
}

/// Whether the time is spent, as of the so-manieth time that it is asked.
fn after(asks: usize) -> impl Fn() -> bool {
    let asked = Cell::new(0);
    move || asked.replace(asked.get() + 1) >= asks
}

const UNSPENT: Spent = &|| false;

/// Every page from the newest on, and back again. `asks`: how often the clock lets a page look on.
fn found_by_paging(connection: &Connection, filter: &Filter, asks: usize) -> Vec<String> {
    let ids = |page: &Page| page.rows.iter().map(|row| row.delivery_id.clone()).collect::<Vec<_>>();
    let (mut found, mut at, mut pages) = (Vec::new(), At::Newest, Vec::new());
    loop {
        let page = page(connection, filter, at, 7, &after(asks)).unwrap();
        assert!(page.rows.len() <= 7);
        assert_eq!(page.newer.is_some(), at != At::Newest);
        found.extend(ids(&page));
        pages.push(ids(&page));
        match page.older {
            Some(cursor) => at = At::OlderThan(cursor),
            None => break,
        }
        assert!(pages.len() < 1_000, "paging does not end");
    }
    if asks == usize::MAX && pages.len() > 1 {
        let last = page(connection, filter, at, 7, UNSPENT).unwrap();
        let back = page(connection, filter, At::NewerThan(last.newer.unwrap()), 7, UNSPENT).unwrap();
        assert_eq!(ids(&back), pages[pages.len() - 2], "back from the last page");
    }
    found
}

/// Each in both orders.
fn filters() -> Vec<Filter> {
    let latest = |filter: &Filter| Filter { by_latest: true, ..filter.clone() };
    filters_by_creation().iter().flat_map(|filter| [filter.clone(), latest(filter)]).collect()
}

fn filters_by_creation() -> Vec<Filter> {
    let source = |kind: &str, id: &str| Some(SourceRef { kind: kind.into(), id: id.into() });
    let exactly = |text: &str| Some(Recipient::Exactly(text.into()));
    let starting = |text: &str| Some(Recipient::StartingWith(text.into()));
    let with = |text: &str| Some(Recipient::With(text.into()));
    let text = |text: &str| Some(text.to_owned());
    let link = |link: &str, by: Option<By>| Some(Link { link: link.into(), by });
    let opened = Counted::Metric(Metric::Opened);
    let (since_ms, until_ms) = (Some(BEGIN_MS + 5_400_000), Some(BEGIN_MS + 10_800_000));
    let all = Filter::default;
    vec![
        all(),
        Filter { statuses: vec![Some(Metric::Bounced)], ..all() },
        Filter { statuses: vec![Some(Metric::Bounced), Some(Metric::Opened), None], ..all() },
        Filter { channels: vec!["sms".into()], ..all() },
        Filter { channels: vec!["pager".into(), "unknown".into()], ..all() },
        Filter { channels: vec!["email".into()], statuses: vec![Some(Metric::Sent)], ..all() },
        Filter { channels: vec!["carrier pigeon".into()], ..all() },
        Filter { source: source("campaign", "1"), ..all() },
        Filter { source: source("unknown", ""), ..all() },
        Filter { source: source("campaign", "99"), ..all() },
        Filter { source: source("newsletter", "2"), statuses: vec![Some(Metric::Converted)], ..all() },
        Filter { source: source("newsletter", "2"), channels: vec!["push".into()], ever: vec![opened], ..all() },
        Filter { recipient: exactly("ann3@example.com"), ..all() },
        Filter { recipient: exactly("nobody@example.com"), ..all() },
        Filter { recipient: starting("bob1"), ..all() },
        Filter { recipient: starting("cy%"), statuses: vec![Some(Metric::Sent)], ..all() },
        Filter { recipient: with("B1"), ..all() },
        Filter { recipient: with("2@ex"), statuses: vec![Some(Metric::Sent)], ..all() },
        Filter { recipient: with("no such"), ..all() },
        Filter { domain: text("example.com"), channels: vec!["sms".into()], ..all() },
        Filter { person: text("p7"), ..all() },
        Filter { person: text("p7"), recipient: starting("ann"), ..all() },
        Filter { person: text("ann3@example.com"), ..all() },
        Filter { ever: vec![opened], ..all() },
        Filter { ever: vec![Counted::HumanOpened, Counted::Metric(Metric::Bounced)], ..all() },
        Filter { ever: vec![Counted::MachineClicked, Counted::Created], ..all() },
        Filter { since_ms: Some(BEGIN_MS + 5_000_000), ..all() },
        Filter { since_ms: Some(BEGIN_MS + 5_000_000), until_ms, ever: vec![opened], ..all() },
        Filter { until_ms, source: source("campaign", "0"), ..all() },
        Filter { since_ms, until_ms, channels: vec!["email".into()], ever: vec![opened], ..all() },
        Filter { source: source("newsletter", ""), ..all() },
        Filter { source: source("newsletter", ""), ever: vec![opened], channels: vec!["sms".into()], ..all() },
        Filter { outcomes: vec![Some(Metric::Bounced)], ..all() },
        Filter { outcomes: vec![None, Some(Metric::Sent)], ..all() },
        Filter { engagements: vec![Some(Metric::Clicked)], outcomes: vec![Some(Metric::Delivered)], ..all() },
        Filter { engagements: vec![None], channels: vec!["email".into()], ..all() },
        Filter { engagements: vec![None], ever: vec![opened], ..all() },
        Filter { source: source("campaign", "1"), action_id: text("7"), ..all() },
        Filter { source: source("campaign", "1"), action_id: text(""), content_id: text(""), ..all() },
        Filter { source: source("campaign", "2"), action_id: text("8"), ever: vec![opened], ..all() },
        Filter { action_id: text("8"), since_ms: Some(BEGIN_MS + 5_000_000), ..all() },
        Filter { source: source("newsletter", "1"), trigger_id: text("t2"), ever: vec![opened], ..all() },
        Filter { trigger_id: text("t1"), ..all() },
        Filter { reason: Some(Reason::Any), ..all() },
        Filter { reason: Some(Reason::With("on".into())), ..all() },
        Filter { reason: Some(Reason::Exactly("gone".into())), statuses: vec![Some(Metric::Bounced)], ..all() },
        Filter { link: link("https://x.example/1", None), ..all() },
        Filter { link: link("https://x.example/0", Some(By::Human)), source: source("campaign", "1"), ..all() },
        Filter { link: link("9", Some(By::Machine)), action_id: text("7"), source: source("newsletter", ""), ..all() },
        Filter { link: link("https://nowhere.example", None), ..all() },
        Filter { subjects: vec!["spring".into(), "SALE".into()], ..all() },
        Filter { subjects: vec!["été".into()], words: vec!["ann1".into()], ..all() },
        Filter { words: vec!["sale".into(), "cy%".into()], ..all() },
        Filter { words: vec!["nowhere".into()], ..all() },
        Filter { without: vec![Filter { words: vec!["ann".into()], ..all() }], ..all() },
        Filter {
            without: vec![
                Filter { channels: vec!["sms".into()], ..all() },
                Filter { recipient: starting("bob"), ..all() },
                Filter { person: text("p7"), ..all() },
                Filter { ever: vec![Counted::Metric(Metric::Clicked)], ..all() },
                Filter { reason: Some(Reason::Exactly("gone".into())), ..all() },
            ],
            source: source("campaign", ""),
            ..all()
        },
        Filter { without: vec![Filter { source: source("newsletter", "2"), ..all() }], ever: vec![opened], ..all() },
    ]
}

#[test]
fn every_filter_finds_what_reading_all_finds() {
    let file = File::new();
    let connection = &file.connection;
    let (mut empty, filters) = (0, filters());
    for filter in &filters {
        let expected: Vec<&str> = file.fitting(filter).map(|(row, _)| row.text("delivery_id").unwrap()).collect();
        empty += usize::from(expected.is_empty());
        for asks in [usize::MAX, 0] {
            assert_eq!(found_by_paging(connection, filter, asks), expected, "{filter:?} within {asks}");
        }
        let exactly = Total::Exactly(expected.len() as i64);
        assert_eq!(totals::of_deliveries(connection, filter, UNSPENT).unwrap(), exactly, "{filter:?}");
        let listing = listing(connection, filter, At::Newest, 50, UNSPENT).unwrap();
        assert_eq!((listing.total, listing.page.rows.len()), (exactly, expected.len().min(50)), "{filter:?}");
        let mut streamed = Vec::new();
        each(connection, filter, |cursor| {
            streamed.push(row(connection, cursor)?.delivery_id);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(streamed, expected, "{filter:?}");
    }
    assert!(empty < 20, "{empty} of {} filters find nothing", filters.len());
}

#[test]
fn what_is_beside_a_delivery_is_found() {
    let (_dir, connection) = fixture::filled();
    let latest = Filter { by_latest: true, ..Filter::default() };
    for filter in [Filter::default(), latest, Filter { channels: vec!["sms".into()], ..Filter::default() }] {
        let all = page(&connection, &filter, At::Newest, 400, UNSPENT).unwrap().rows;
        let ids = |rows: &[Row]| rows.iter().map(|row| row.delivery_id.clone()).collect::<Vec<_>>();
        for (i, row) in all.iter().enumerate() {
            let beside = neighbours(&connection, &filter, row.cursor, UNSPENT).unwrap();
            let mut above = ids(&all[i.saturating_sub(2)..i]);
            above.reverse();
            assert_eq!(ids(&beside.newer), above);
            assert_eq!(beside.older.map(|row| row.delivery_id), all.get(i + 1).map(|row| row.delivery_id.clone()));
            assert_eq!(newer(&connection, &filter, Some(row.cursor), 20, UNSPENT).unwrap(), (i.min(20), i > 20));
        }
        assert_eq!(newer(&connection, &filter, None, 1_000, UNSPENT).unwrap(), (all.len(), false));
    }
}

#[test]
fn a_walk_that_finds_little_stops_and_gives_its_place() {
    let (_dir, connection) = fixture::filled();
    let filter = Filter { words: vec!["nowhere".into()], ..Filter::default() };
    let found = listing(&connection, &filter, At::Newest, 50, &after(2)).unwrap();
    let looked = found.page.looked.unwrap();
    assert_eq!((looked.rows, found.total), (96, Total::AtLeast(0)));
    assert_eq!(found.page.older.unwrap().at_ms, looked.at_ms);
}

#[test]
fn before_the_newest_page_is_the_newest_page() {
    let (_dir, connection) = fixture::filled();
    let newest = page(&connection, &Filter::default(), At::Newest, 7, UNSPENT).unwrap();
    let third = newest.rows[2].cursor;
    let again = page(&connection, &Filter::default(), At::NewerThan(third), 7, UNSPENT).unwrap();
    assert_eq!(again.rows[0].delivery_id, newest.rows[0].delivery_id);
    assert_eq!(again.newer, None);
}

/// What a filter of events finds by reading everything: their ids, latest first.
fn events_by_reading_all(file: &File, filter: &events::Filter) -> Vec<String> {
    let of_kind = |event: &rows::Row| {
        let metric = event.text("metric").unwrap();
        let is = |kind: &events::Kind| match kind {
            events::Kind::Counted(Counted::HumanOpened) => metric == "opened" && who(event) == By::Human,
            events::Kind::Counted(Counted::MachineOpened) => metric == "opened" && who(event) == By::Machine,
            events::Kind::Counted(Counted::HumanClicked) => metric == "clicked" && who(event) == By::Human,
            events::Kind::Counted(Counted::MachineClicked) => metric == "clicked" && who(event) == By::Machine,
            events::Kind::Counted(counted) => counted.name() == metric,
            events::Kind::Other(name) => name == metric,
        };
        let link = filter.deliveries.link.as_ref();
        (filter.kinds.is_empty() || filter.kinds.iter().any(is))
            && filter.by.is_none_or(|by| who(event) == by)
            && link.is_none_or(|link| follows(event, &link.link) && link.by.is_none_or(|by| who(event) == by))
    };
    let mut found = Vec::new();
    for (_, events) in file.fitting(&filter.deliveries) {
        let mut events: Vec<&rows::Row> = events.iter().filter(|event| of_kind(event)).collect();
        if filter.once {
            let mut seen = std::collections::HashSet::new();
            events.retain(|event| seen.insert(event.text("metric").unwrap().to_owned()));
        }
        let (from, to) = (filter.from_ms.unwrap_or(0), filter.to_ms.unwrap_or(Millis::MAX));
        events.retain(|event| (from..to).contains(&event.integer("occurred_at_ms").unwrap()));
        found.extend(events);
    }
    found.sort_by_key(|event| (event.integer("occurred_at_ms"), event.integer("id")));
    found.into_iter().rev().map(name_of).collect()
}

fn name_of(event: &rows::Row) -> String {
    event.text("event_id").unwrap().to_owned()
}

fn event_filters() -> Vec<events::Filter> {
    let metric = |metric| events::Kind::Counted(Counted::Metric(metric));
    let all = events::Filter::default;
    let of = |deliveries: Filter| events::Filter { deliveries, ..all() };
    let source = |id: &str| {
        of(Filter { source: Some(SourceRef { kind: "campaign".into(), id: id.into() }), ..Filter::default() })
    };
    let (from_ms, to_ms) = (Some(BEGIN_MS + 1_800_000), Some(BEGIN_MS + 10_800_000));
    let mut asked: Vec<events::Filter> = filters_by_creation().into_iter().map(of).collect();
    asked.extend([
        events::Filter { kinds: vec![metric(Metric::Opened)], ..all() },
        events::Filter { kinds: vec![metric(Metric::Opened)], by: Some(By::Implied), ..all() },
        events::Filter { kinds: vec![events::Kind::Counted(Counted::HumanOpened)], from_ms, to_ms, ..all() },
        events::Filter { kinds: vec![metric(Metric::Bounced), metric(Metric::Sent)], once: true, ..all() },
        events::Filter { kinds: vec![metric(Metric::Clicked)], once: true, by: Some(By::Machine), ..all() },
        events::Filter { kinds: vec![metric(Metric::Opened)], once: true, from_ms, ..all() },
        events::Filter { kinds: vec![events::Kind::Other("pondered".into())], ..all() },
        events::Filter { by: Some(By::Machine), to_ms, ..all() },
        events::Filter { kinds: vec![metric(Metric::Sent)], from_ms, to_ms, ..source("1") },
        events::Filter { kinds: vec![metric(Metric::Converted)], from_ms: Some(BEGIN_MS + 1_900_000), ..source("") },
    ]);
    asked
}

#[test]
fn every_filter_finds_the_events_that_reading_all_finds() {
    let file = File::new();
    let connection = &file.connection;
    for filter in event_filters() {
        let expected = events_by_reading_all(&file, &filter);
        let total = totals::of_events(connection, &filter, UNSPENT).unwrap();
        let n = expected.len() as i64;
        let is_right = total == Total::Exactly(n) || (n > 1_000 && total == Total::MoreThan(1_000));
        assert!(is_right, "{n} but {total:?}: {filter:?}");
        for asks in [usize::MAX, 0] {
            let (mut found, mut at, mut pages) = (Vec::new(), At::Newest, 0);
            loop {
                let page = events::page(connection, &filter, at, 7, &after(asks)).unwrap();
                assert!(page.rows.len() <= 7);
                found.extend(page.rows.iter().map(name_of));
                pages += 1;
                assert!(pages < 2_000, "paging does not end: {filter:?}");
                match page.older {
                    Some(cursor) => at = At::OlderThan(cursor.to_string().parse().unwrap()),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{filter:?} within {asks}");
            if asks == usize::MAX && expected.len() > 7 {
                let last = events::page(connection, &filter, at, 7, UNSPENT).unwrap();
                let back = events::page(connection, &filter, At::NewerThan(last.newer.unwrap()), 7, UNSPENT).unwrap();
                let end = expected.len() - last.rows.len();
                assert_eq!(back.rows.iter().map(name_of).collect::<Vec<_>>(), expected[end - 7..end], "{filter:?}");
            }
        }
    }
}

/// The plan of each kind of filter: a new SCAN or sort shows here.
#[test]
fn plans_of_lists() {
    let (_dir, connection) = fixture::filled();
    let (mut plans, mut seen) = (String::new(), std::collections::BTreeSet::new());
    let mut explain = |name: String, list: List| {
        let (sql, values) = list.statement(Direction::Older, None);
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        let mut steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        // the parts of a merge are alike
        let mut known = std::collections::HashSet::new();
        steps.retain(|step| !["LEFT", "RIGHT"].contains(&&**step) && known.insert(step.clone()));
        let plan: String = steps.iter().map(|step| format!("    {step}\n")).collect();
        assert!(!plan.contains("SCAN"), "{name}\n{plan}");
        if seen.insert(plan.clone()) {
            plans.push_str(&format!("{name}\n{plan}"));
        }
    };
    for filter in filters() {
        let list = list(&connection, &filter).unwrap();
        explain(format!("deliveries by {}, {}", list.leads[0], list.at), list);
    }
    for filter in event_filters() {
        let (list, _) = events::list(&connection, &filter).unwrap();
        explain(format!("events by {}", list.leads[0]), list);
    }
    insta::assert_snapshot!(plans);
}
