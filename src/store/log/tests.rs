use rusqlite::Connection;

use super::total::Total;
use super::*;
use crate::domain::{Attribute, Event, EventTime, MetricName};
use crate::store::{Entry, Tracker, delivery_keys, events, rows};

mod indexes;
mod plans;

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
        let (action, trigger) = (["", "7", "8"][dice.roll(3) as usize], ["t1", "t2"][dice.roll(2) as usize]);
        for step in 0..=dice.roll(4) {
            let metric = ["sent", "delivered", "opened", "clicked", "bounced", "converted"][dice.roll(6) as usize];
            let name = MetricName::parse(metric);
            let mut event = Event::new(&id, name, &format!("{i}-{step}"), EventTime::given(at_ms), at_ms);
            if is_known {
                event.attributes = std::mem::take(&mut event.attributes)
                    .with(Attribute::Channel, channel)
                    .with(source, &source_id)
                    .with(Attribute::ActionId, action)
                    .with(Attribute::TriggerId, trigger)
                    .with(Attribute::PersonId, &person)
                    .with(Attribute::Recipient, &address)
                    .with(Attribute::Subject, ["Spring sale", "ÉTÉ for Ann", ""][i % 3]);
            }
            event.flags.machine = (dice.roll(4) == 0).then_some(true);
            event.flags.synthetic = (metric == "opened" && dice.roll(5) == 0).then_some(true);
            if metric == "clicked" && dice.roll(5) > 0 {
                event.href = Some(format!("https://x.example/{}?to={i}#top", dice.roll(2)).into());
                event.link_id = (dice.roll(4) == 0).then(|| "9".into());
            }
            event.reason = (metric == "bounced").then(|| ["full", "gone"][dice.roll(2) as usize].into());
            events.push(event);
            at_ms += 1_000;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let entries: Vec<Entry> = events.into_iter().map(|event| Entry::event(event, "{}")).collect();
    let mut tracker = Tracker::open(&path).unwrap();
    tracker.record(&entries.iter().collect::<Vec<_>>(), 1_795_100_000_000).unwrap();
    drop(tracker);
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "UPDATE deliveries SET own_subject = 'Personal ' || id % 7, subject = NULL WHERE id % 9 = 0;
            UPDATE messages SET own_subjects = 1 WHERE id IN (SELECT message FROM deliveries WHERE id % 9 = 0);",
        )
        .unwrap();
    (dir, connection)
}

/// Spreads the deliveries over several blocks, a hundred in each, in some order.
fn spread(connection: &Connection, order: &str) {
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF;
            CREATE TEMP TABLE moved AS SELECT id, ((row_number() OVER (ORDER BY {order}) - 1) / 100 << 17) + id AS to_id
                FROM deliveries;
            CREATE UNIQUE INDEX temp.moved_by_id ON moved (id);
            UPDATE events SET delivery = (SELECT to_id FROM moved WHERE id = delivery);
            UPDATE link_clicks SET delivery = (SELECT to_id FROM moved WHERE id = delivery);
            UPDATE deliveries SET id = (SELECT to_id FROM moved WHERE moved.id = deliveries.id);
            INSERT INTO delivery_spans SELECT block, min(created_at_ms), max(created_at_ms), max(updated_at_ms)
                FROM deliveries_read WHERE block < 3 GROUP BY block;"
        ))
        .unwrap();
    delivery_keys::rebuild(connection).unwrap();
}

/// What a filter finds by reading everything.
fn found_by_reading_all(connection: &Connection, filter: &Filter) -> Vec<String> {
    let mut statement = connection.prepare("SELECT id FROM deliveries ORDER BY created_at_ms DESC, id DESC").unwrap();
    let ids: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let fits = |row: &Row| {
        let channel = row.channel.as_deref().unwrap_or("unknown");
        let created = row.cursor.at_ms;
        let address = row.recipient.as_deref();
        (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
            && (filter.channels.is_empty() || filter.channels.iter().any(|wanted| wanted == channel))
            && filter.source.as_ref().is_none_or(|source| {
                source.kind == row.source_kind && (source.id.is_empty() || Some(&source.id) == row.source_id.as_ref())
            })
            && match &filter.recipient {
                None => true,
                Some(Recipient::Exactly(text)) => address == Some(text),
                Some(Recipient::StartingWith(text)) => address.is_some_and(|address| address.starts_with(text)),
                Some(Recipient::With(text)) => {
                    address.is_some_and(|address| address.to_lowercase().contains(&text.to_lowercase()))
                }
            }
            && filter.person.as_ref().is_none_or(|person| row.person.as_ref() == Some(person))
            && filter.since_ms.is_none_or(|since| created >= since)
            && filter.until_ms.is_none_or(|until| created < until)
            && filter.ever.iter().all(|counted| row.reached.has(*counted))
            && has_words(filter, row)
    };
    let without: Vec<String> =
        filter.without.iter().flat_map(|without| found_by_reading_all(connection, without)).collect();
    let rows = ids.into_iter().map(|id| row(connection, id).unwrap());
    rows.filter(fits)
        .filter(|row| fits_whole(connection, filter, row.cursor) && !without.contains(&row.delivery_id))
        .map(|row| row.delivery_id)
        .collect()
}

fn has_words(filter: &Filter, row: &Row) -> bool {
    let holds = |text: &Option<String>, word: &String| {
        text.as_ref().is_some_and(|text| text.to_lowercase().contains(&word.to_lowercase()))
    };
    filter.subjects.iter().all(|word| holds(&row.subject, word))
        && filter.words.iter().all(|word| holds(&row.subject, word) || holds(&row.recipient, word))
}

/// What a row of the log does not show, read off the views.
fn fits_whole(connection: &Connection, filter: &Filter, cursor: Cursor) -> bool {
    let whole = rows::delivery(connection, cursor).unwrap();
    let is_one_of = |asked: &[Option<Metric>], column: &str| {
        asked.is_empty() || asked.iter().any(|metric| metric.map(Metric::name) == whole.text(column))
    };
    let is = |asked: &Option<String>, column: &str| {
        asked.as_ref().is_none_or(|asked| asked == whole.text(column).unwrap_or_default())
    };
    is_one_of(&filter.outcomes, "outcome")
        && is_one_of(&filter.engagements, "engagement")
        && is(&filter.action_id, "action_id")
        && is(&filter.content_id, "content_id")
        && is(&filter.trigger_id, "trigger_id")
        && match &filter.reason {
            None => true,
            Some(Reason::Any) => whole.text("failure_reason").is_some(),
            Some(Reason::Exactly(reason)) => whole.text("failure_reason") == Some(reason),
        }
        && filter.link.as_ref().is_none_or(|link| {
            let events = all_events(connection, whole.text("delivery_id").unwrap());
            events.iter().any(|event| follows(event, &link.link) && link.by.is_none_or(|by| who(event) == by))
        })
}

fn all_events(connection: &Connection, delivery_id: &str) -> Vec<rows::Row> {
    rows::delivery_with_events(connection, delivery_id).unwrap().unwrap().events
}

fn follows(event: &rows::Row, link: &str) -> bool {
    let address = event.text("href").map(|href| href.split('?').next().unwrap());
    event.text("metric") == Some("clicked") && event.text("link_id").or(address) == Some(link)
}

fn who(event: &rows::Row) -> By {
    match (event.integer("machine"), event.integer("implied")) {
        (Some(1), _) => By::Machine,
        (_, Some(1)) => By::Implied,
        _ => By::Human,
    }
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
    let with = |text: &str| Some(Recipient::With(text.into()));
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
        Filter { recipient: with("B1"), ..all() },
        Filter { recipient: with("2@ex"), statuses: vec![Some(Metric::Sent)], ..all() },
        Filter { recipient: with("13@example.com"), ..all() },
        Filter { recipient: with("no such"), ..all() },
        Filter { person: Some("p7".into()), ..all() },
        Filter { person: Some("p7".into()), recipient: starting("ann"), ..all() },
        Filter { ever: vec![opened], ..all() },
        Filter { ever: vec![Counted::HumanOpened, Counted::Metric(Metric::Bounced)], ..all() },
        Filter { ever: vec![Counted::MachineClicked], ..all() },
        Filter { since_ms: Some(1_795_005_000_000), ..all() },
        Filter { since_ms: Some(1_795_005_000_000), until_ms: Some(1_795_010_000_000), ever: vec![opened], ..all() },
        Filter { until_ms: Some(1_795_010_000_000), source: source("campaign", "0"), ..all() },
        Filter { source: source("newsletter", ""), ..all() },
        Filter { source: source("newsletter", ""), ever: vec![opened], channels: vec!["sms".into()], ..all() },
        Filter { outcomes: vec![Some(Metric::Bounced)], ..all() },
        Filter { outcomes: vec![None, Some(Metric::Sent)], ..all() },
        Filter { engagements: vec![Some(Metric::Clicked)], outcomes: vec![Some(Metric::Delivered)], ..all() },
        Filter { engagements: vec![None], channels: vec!["email".into()], ..all() },
        Filter { source: source("campaign", "1"), action_id: text("7"), ..all() },
        Filter { source: source("campaign", "1"), action_id: text(""), content_id: text(""), ..all() },
        Filter { source: source("campaign", "1"), action_id: text("none such"), ..all() },
        Filter { source: source("campaign", "2"), action_id: text("8"), ever: vec![opened], ..all() },
        Filter { action_id: text("8"), since_ms: Some(1_795_005_000_000), ..all() },
        Filter { source: source("newsletter", "1"), trigger_id: text("t2"), ever: vec![opened], ..all() },
        Filter { trigger_id: text("t1"), ..all() },
        Filter { reason: Some(Reason::Any), ..all() },
        Filter { reason: Some(Reason::Exactly("gone".into())), statuses: vec![Some(Metric::Bounced)], ..all() },
        Filter { link: link("https://x.example/1", None), ..all() },
        Filter { link: link("https://x.example/0", Some(By::Human)), source: source("campaign", "1"), ..all() },
        Filter { link: link("9", Some(By::Machine)), action_id: text("7"), source: source("newsletter", ""), ..all() },
        Filter { link: link("https://nowhere.example", None), ..all() },
        Filter { since_ms: Some(1_794_999_600_000), until_ms: Some(1_795_006_800_000), ..all() },
        Filter { since_ms: Some(1_794_999_600_000), until_ms: Some(1_795_006_800_000), ever: vec![opened], ..all() },
        Filter { subjects: vec!["spring".into(), "SALE".into()], ..all() },
        Filter { subjects: vec!["été".into()], words: vec!["ann1".into()], ..all() },
        Filter { words: vec!["Ann".into()], channels: vec!["sms".into()], ..all() },
        Filter { words: vec!["nowhere".into()], ..all() },
        Filter { words: vec!["bob1".into()], ..all() },
        Filter { words: vec!["sale".into(), "cy%".into()], ..all() },
        Filter { words: vec!["personal".into()], ..all() },
        Filter { subjects: vec!["personal 3".into()], ..all() },
        Filter { without: vec![Filter { words: vec!["ann".into()], ..all() }], ..all() },
        Filter {
            without: vec![
                Filter { channels: vec!["sms".into()], ..all() },
                Filter { recipient: starting("bob"), ..all() },
                Filter { recipient: exactly("nobody@example.com"), ..all() },
                Filter { person: Some("p7".into()), ..all() },
                Filter { ever: vec![Counted::Metric(Metric::Clicked)], ..all() },
            ],
            source: source("campaign", ""),
            ..all()
        },
        Filter { without: vec![Filter { source: source("newsletter", "2"), ..all() }], ever: vec![opened], ..all() },
    ]
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

fn link(link: &str, by: Option<By>) -> Option<Link> {
    Some(Link { link: link.into(), by })
}

#[test]
fn every_filter_finds_what_reading_all_finds() {
    let (_dir, connection) = file();
    for filter in filters() {
        let wanted = found_by_reading_all(&connection, &filter);
        for budget in [BUDGET, 11] {
            assert_eq!(found_by_paging(&connection, &filter, budget), wanted, "{filter:?} within {budget}");
        }
        let total = total::of_deliveries(&connection, &filter).unwrap();
        assert_eq!(total, Total::Exactly(wanted.len() as i64), "{filter:?}");
        let mut streamed = Vec::new();
        each(&connection, &filter, |cursor| {
            streamed.push(row(&connection, cursor.id)?.delivery_id);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(streamed, wanted, "{filter:?}");
    }
}

/// The deliveries of one person or address lie in several blocks, whose times overlap or do not.
#[test]
fn every_filter_finds_what_reading_all_finds_in_several_blocks() {
    for order in ["id", "created_at_ms, id"] {
        let (_dir, connection) = file();
        spread(&connection, order);
        let is_gathered = |filter: &&Filter| {
            filter.recipient.is_some() || filter.person.is_some() || filter.link.is_some() || !filter.words.is_empty()
        };
        for filter in filters().iter().filter(is_gathered) {
            let wanted = found_by_reading_all(&connection, filter);
            for budget in [BUDGET, 11] {
                assert_eq!(found_by_paging(&connection, filter, budget), wanted, "{filter:?} within {budget}, {order}");
            }
        }
    }
}

#[test]
fn what_stands_beside_a_delivery_is_found() {
    let (_dir, connection) = file();
    for filter in [Filter::default(), Filter { channels: vec!["sms".into()], ..Filter::default() }] {
        let all = page(&connection, &filter, At::Newest, 400).unwrap().rows;
        let ids = |rows: &[Row]| rows.iter().map(|row| row.delivery_id.clone()).collect::<Vec<_>>();
        for (i, row) in all.iter().enumerate() {
            let beside = neighbours(&connection, &filter, row.cursor).unwrap();
            let mut above = ids(&all[i.saturating_sub(2)..i]);
            above.reverse();
            assert_eq!(ids(&beside.newer), above);
            assert_eq!(beside.older.map(|row| row.delivery_id), all.get(i + 1).map(|row| row.delivery_id.clone()));
            assert_eq!(newer(&connection, &filter, Some(row.cursor), 20).unwrap(), (i.min(20), i > 20));
        }
        assert_eq!(newer(&connection, &filter, None, 1_000).unwrap(), (all.len(), false));
    }
}

/// What a filter of events finds by reading everything: delivery, metric and event id, sorted.
fn events_by_reading_all(connection: &Connection, filter: &events::Filter) -> Vec<String> {
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
    for delivery in found_by_reading_all(connection, &filter.deliveries) {
        let mut events: Vec<rows::Row> = all_events(connection, &delivery).into_iter().filter(of_kind).collect();
        if filter.once {
            let mut seen = std::collections::HashSet::new();
            events.retain(|event| seen.insert(event.text("metric").unwrap().to_owned()));
        }
        let (from, to) = (filter.from_ms.unwrap_or(0), filter.to_ms.unwrap_or(Millis::MAX));
        events.retain(|event| (from..to).contains(&event.integer("occurred_at_ms").unwrap()));
        found.extend(events.iter().map(name_of));
    }
    found.sort();
    found
}

fn name_of(event: &rows::Row) -> String {
    ["delivery_id", "metric", "event_id"].map(|column| event.text(column).unwrap()).join(" ")
}

#[test]
fn every_filter_finds_the_events_that_reading_all_finds() {
    let (_dir, connection) = file();
    let metric = |metric| events::Kind::Counted(Counted::Metric(metric));
    let all = events::Filter::default;
    let of = |deliveries: Filter| events::Filter { deliveries, ..all() };
    let mut asked: Vec<events::Filter> = filters().into_iter().map(of).collect();
    let source = Some(SourceRef { kind: "campaign".into(), id: "1".into() });
    let (from_ms, to_ms) = (Some(1_795_001_400_000), Some(1_795_010_400_000));
    asked.extend([
        events::Filter { kinds: vec![metric(Metric::Opened)], ..all() },
        events::Filter { kinds: vec![metric(Metric::Opened)], by: Some(By::Implied), ..all() },
        events::Filter { kinds: vec![events::Kind::Counted(Counted::HumanOpened)], from_ms, to_ms, ..all() },
        events::Filter { kinds: vec![metric(Metric::Bounced), metric(Metric::Sent)], once: true, ..all() },
        events::Filter { kinds: vec![metric(Metric::Clicked)], once: true, by: Some(By::Machine), ..all() },
        events::Filter { kinds: vec![metric(Metric::Opened)], once: true, from_ms, ..all() },
        events::Filter { kinds: vec![events::Kind::Other("none".into())], ..all() },
        events::Filter { by: Some(By::Machine), to_ms, ..all() },
        events::Filter {
            kinds: vec![metric(Metric::Sent)],
            from_ms,
            to_ms,
            ..of(Filter { source, ..Filter::default() })
        },
    ]);
    for filter in asked {
        let wanted = events_by_reading_all(&connection, &filter);
        let total = total::of_events(&connection, &filter).unwrap();
        let n = wanted.len() as i64;
        let is_right = total == Total::Exactly(n) || (n > 1_000 && total == Total::MoreThan(1_000));
        assert!(is_right, "{n} but {total:?}: {filter:?}");
        for budget in [BUDGET, 23] {
            let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let left = total.exactly().filter(|_| budget == BUDGET).map(|n| n - found.len() as i64);
                let page = events::page_within(&connection, &filter, after.as_ref(), 7, left, budget).unwrap();
                assert!(page.rows.len() <= 7);
                found.extend(page.rows.iter().map(name_of));
                after = page.older.map(|place| place.to_string().parse().unwrap());
                pages += 1;
                assert!(pages < 2_000, "paging does not end: {filter:?}");
                if after.is_none() {
                    break;
                }
            }
            found.sort();
            assert_eq!(found, wanted, "{filter:?} within {budget}");
        }
    }
}

#[test]
fn a_walk_that_finds_little_stops_and_says_where() {
    let (_dir, connection) = file();
    let filter = Filter { ever: vec![Counted::Metric(Metric::Bounced), Counted::MachineClicked], ..Filter::default() };
    let page = page_within(&connection, &filter, At::Newest, 50, 20).unwrap();
    let looked = page.looked.unwrap();
    assert_eq!(looked.rows, 20);
    assert_eq!(page.older.unwrap().at_ms, looked.at_ms);
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
