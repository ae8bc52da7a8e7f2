use rusqlite::Connection;

use super::*;
use crate::domain::{Attribute, Event, EventTime, MetricName};
use crate::store::{Entry, Tracker, person, raw};

/// Numbers that look like chance and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// 400 deliveries of a few sources, channels, people and addresses, some created at the same moment.
fn file() -> (tempfile::TempDir, Connection) {
    let (mut dice, mut events) = (Dice(7), Vec::new());
    for i in 0..400 {
        let id = format!("d{i}");
        let mut at_ms = 1_795_000_000_000 + dice.roll(300) as i64 * 60_000;
        let channel = ["email", "sms", "push", "pager"][dice.roll(4) as usize];
        let source = [Attribute::CampaignId, Attribute::NewsletterId][dice.roll(2) as usize];
        let (source_id, person) = (dice.roll(3).to_string(), format!("p{}", dice.roll(40)));
        let address = format!("{}{}@example.com", ["ann", "bob", "cy%"][dice.roll(3) as usize], dice.roll(20));
        let is_known = dice.roll(12) > 0;
        for step in 0..=dice.roll(4) {
            let metric = ["sent", "delivered", "opened", "clicked", "bounced", "converted"][dice.roll(6) as usize];
            let name = MetricName::parse(metric);
            let mut event = Event::new(&id, name, &format!("{i}-{step}"), EventTime::given(at_ms), at_ms);
            if is_known {
                event.attributes = std::mem::take(&mut event.attributes)
                    .with(Attribute::Channel, channel)
                    .with(source, &source_id)
                    .with(Attribute::PersonId, &person)
                    .with(Attribute::Recipient, &address);
            }
            event.flags.machine = (dice.roll(4) == 0).then_some(true);
            events.push(event);
            at_ms += 1_000;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let entries: Vec<Entry> = events.into_iter().map(|event| Entry::Event { event, raw: raw::pack("{}") }).collect();
    Tracker::open(&path).unwrap().record(&entries.iter().collect::<Vec<_>>(), 1_795_100_000_000).unwrap();
    (dir, Connection::open(path).unwrap())
}

/// What a filter finds by reading everything.
fn found_by_reading_all(connection: &Connection, filter: &Filter) -> Vec<String> {
    let mut statement = connection.prepare("SELECT id FROM deliveries ORDER BY created_at_ms DESC, id DESC").unwrap();
    let ids: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let fits = |row: &Row| {
        let channel = row.channel.as_deref().unwrap_or("unknown");
        let created = row.cursor.created_at_ms;
        let address = row.recipient.as_deref();
        (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
            && (filter.channels.is_empty() || filter.channels.iter().any(|wanted| wanted == channel))
            && filter.source.as_ref().is_none_or(|source| {
                source.kind == row.source_kind && source.id == row.source_id.as_deref().unwrap_or_default()
            })
            && match &filter.recipient {
                None => true,
                Some(Recipient::Exactly(text)) => address == Some(text),
                Some(Recipient::StartingWith(text)) => address.is_some_and(|address| address.starts_with(text)),
            }
            && filter.person.as_ref().is_none_or(|person| row.person.as_ref() == Some(person))
            && filter.since_ms.is_none_or(|since| created >= since)
            && filter.until_ms.is_none_or(|until| created < until)
            && filter.ever.iter().all(|counted| row.reached.has(*counted))
    };
    let rows = ids.into_iter().map(|id| row(connection, id).unwrap());
    rows.filter(fits).map(|row| row.delivery_id).collect()
}

/// Every page from the newest on, and back again.
fn found_by_paging(connection: &Connection, filter: &Filter, budget: usize) -> Vec<String> {
    let ids = |page: &Page| page.rows.iter().map(|row| row.delivery_id.clone()).collect::<Vec<_>>();
    let (mut found, mut at) = (Vec::new(), At::Newest);
    let mut pages = Vec::new();
    loop {
        let page = page_within(connection, filter, at, 7, budget).unwrap();
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
    if budget == BUDGET && pages.len() > 1 {
        let last = page_within(connection, filter, at, 7, budget).unwrap();
        let back = page_within(connection, filter, At::NewerThan(last.newer.unwrap()), 7, budget).unwrap();
        assert_eq!(ids(&back), pages[pages.len() - 2], "back from the last page");
    }
    found
}

fn filters() -> Vec<Filter> {
    let source = |kind: &str, id: &str| Some(SourceRef { kind: kind.into(), id: id.into() });
    let exactly = |text: &str| Some(Recipient::Exactly(text.into()));
    let starting = |text: &str| Some(Recipient::StartingWith(text.into()));
    let opened = Counted::Metric(Metric::Opened);
    let all = Filter::default;
    vec![
        all(),
        Filter { statuses: vec![Some(Metric::Bounced)], ..all() },
        Filter { statuses: vec![Some(Metric::Bounced), Some(Metric::Opened)], ..all() },
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
        Filter { person: Some("p7".into()), ..all() },
        Filter { person: Some("p7".into()), recipient: starting("ann"), ..all() },
        Filter { ever: vec![opened], ..all() },
        Filter { ever: vec![Counted::HumanOpened, Counted::Metric(Metric::Bounced)], ..all() },
        Filter { ever: vec![Counted::MachineClicked], ..all() },
        Filter { since_ms: Some(1_795_005_000_000), ..all() },
        Filter { since_ms: Some(1_795_005_000_000), until_ms: Some(1_795_010_000_000), ever: vec![opened], ..all() },
        Filter { until_ms: Some(1_795_010_000_000), source: source("campaign", "0"), ..all() },
    ]
}

#[test]
fn every_filter_finds_what_reading_all_finds() {
    let (_dir, connection) = file();
    for filter in filters() {
        let wanted = found_by_reading_all(&connection, &filter);
        for budget in [BUDGET, 11] {
            assert_eq!(found_by_paging(&connection, &filter, budget), wanted, "{filter:?} within {budget}");
        }
    }
}

#[test]
fn a_walk_that_finds_little_stops_and_says_where() {
    let (_dir, connection) = file();
    let filter = Filter { ever: vec![Counted::Metric(Metric::Bounced), Counted::MachineClicked], ..Filter::default() };
    let page = page_within(&connection, &filter, At::Newest, 50, 20).unwrap();
    let looked = page.looked.unwrap();
    assert_eq!(looked.deliveries, 20);
    assert_eq!(page.older.unwrap().created_at_ms, looked.at_ms);
}

#[test]
fn before_the_newest_page_stands_the_newest_page() {
    let (_dir, connection) = file();
    let newest = page(&connection, &Filter::default(), At::Newest, 7).unwrap();
    let third = newest.rows[2].cursor;
    let again = page(&connection, &Filter::default(), At::NewerThan(third), 7).unwrap();
    assert_eq!(again.rows[0].delivery_id, newest.rows[0].delivery_id);
    assert_eq!(again.newer, None);
}

/// The plan of each query that lists deliveries: a new SCAN shows here.
#[test]
fn plans_of_the_log() {
    let (_dir, connection) = file();
    let mut plans = String::new();
    let mut explain = |name: &str, sql: &str| {
        plans.push_str(&format!("{name}\n"));
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            plans.push_str(&format!("    {}\n", row.get::<_, String>(3).unwrap()));
        }
    };
    for lead in [Lead::Created, Lead::Source(1), Lead::Facets(vec![1])] {
        for direction in [Direction::Older, Direction::Newer] {
            explain(&format!("{lead:?} {direction:?}"), &walk::sql(&lead, direction));
        }
    }
    explain("by recipient", walk::By::Recipient.sql());
    explain("by person", walk::By::Person.sql());
    explain("addresses", walk::ADDRESSES);
    explain("people", walk::PEOPLE);
    for by in [person::By::Person, person::By::Recipient, person::By::Mention] {
        explain(&format!("a person's, by {by:?}"), by.sql());
    }
    for (name, sql) in [
        ("names", person::NAMES_SAID),
        ("identifiers", person::IDENTIFIERS),
        ("people by e-mail", person::BY_EMAIL),
        ("people by cio_id", person::BY_CIO_ID),
        ("traits", person::TRAITS),
        ("devices", person::DEVICES),
        ("relations", person::RELATIONS),
        ("changes", person::CHANGES),
        ("state", person::STATE),
        ("preferences", person::PREFERENCES),
        ("a device", crate::store::delivery::KNOWN_DEVICE),
    ] {
        explain(&format!("a person: {name}"), sql);
    }
    explain("newest block", "SELECT max(id) >> 17 FROM deliveries");
    explain("a delivery", crate::store::delivery::FIND);
    explain("its events", crate::store::delivery::EVENTS);
    explain("counts in a range", &crate::store::sources::cohorts_sql());
    for (by_reason, newer) in [(false, false), (true, false), (true, true)] {
        explain(
            &format!("quarantine, by reason: {by_reason}, newer: {newer}"),
            &crate::store::quarantine::sql(by_reason, newer),
        );
    }
    insta::assert_snapshot!(plans);
}
