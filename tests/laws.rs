//! The laws of the domain, tried on a real file against a model that reads them the long way.
//!
//! `PROPTEST_CASES=3000 cargo test --test laws` tries harder.

mod model;

#[path = "laws/describe.rs"]
mod describe;
#[path = "laws/forgetting.rs"]
mod forgetting;
#[path = "laws/history.rs"]
mod history;
#[path = "laws/people.rs"]
mod people;
#[path = "laws/pruning.rs"]
mod pruning;
#[path = "laws/scenarios.rs"]
mod scenarios;
#[path = "laws/senders.rs"]
mod senders;
#[path = "laws/suppressing.rs"]
mod suppressing;
#[path = "laws/tables.rs"]
mod tables;
#[path = "laws/tampering.rs"]
mod tampering;
#[path = "laws/values.rs"]
mod values;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;
use waybill::domain::{Attribute, Event, EventTime, MetricName};
use waybill::store::{Entry, Incoming, Outcome, Report, Tracker, verify};

use history::{History, history};
use model::Arrived;
use tables::differences;

const RECORDED_AT: i64 = 1_710_100_000_000;

fn config() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256);
    Config { cases, max_shrink_iters: 4000, failure_persistence: None, ..Config::default() }
}

/// An empty file that is copied for each case: making one takes longer than using it.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path()).checkpoint().expect("a whole file");
    std::fs::read(folder.path().join("waybill.db")).expect("its bytes")
});

fn file() -> (TempDir, Tracker) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("waybill.db"), &*EMPTY).expect("a copy");
    let tracker = open(folder.path());
    (folder, tracker)
}

fn open(folder: &Path) -> Tracker {
    let mut tracker = Tracker::open(&folder.join("waybill.db")).expect("a file");
    // nobody pulls the plug here
    tracker.connection().pragma_update(None, "synchronous", "OFF").expect("a setting");
    tracker
}

fn entry(copy: &Arrived) -> Entry {
    let event = copy.event.clone();
    let body = body(&event);
    let incoming = Incoming { event, format: "test".into(), body: body.as_str().into() };
    if copy.report {
        Entry::Report(Box::new(Report { incoming, format: "test".into(), body: body.into() }))
    } else {
        Entry::Event(Box::new(incoming))
    }
}

/// All that a copy says.
fn body(event: &Event) -> String {
    format!("{event:?}")
}

fn record(tracker: &mut Tracker, copies: &[Arrived]) -> Vec<Outcome> {
    let entries: Vec<Entry> = copies.iter().map(entry).collect();
    tracker.record(&entries.iter().collect::<Vec<_>>(), RECORDED_AT).expect("recorded")
}

/// What waits for its delivery: what is said, each once.
fn waiting(copies: &[Arrived]) -> BTreeSet<String> {
    let known = model::known(copies);
    copies.iter().filter(|copy| !known.contains(&*copy.event.delivery_id)).map(|copy| body(&copy.event)).collect()
}

/// The same in the file, and how many it counts.
fn waiting_in(tracker: &mut Tracker) -> (BTreeSet<String>, i64) {
    let connection = tracker.connection();
    let sql = "SELECT CAST(body AS TEXT) FROM quarantine WHERE event IS NOT NULL";
    let mut rows = connection.prepare_cached(sql).expect("a query");
    let bodies: Vec<String> =
        rows.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("bodies");
    let sql = "SELECT coalesce(sum(entries), 0) FROM _quarantine_counts";
    let counted = connection.query_row(sql, [], |row| row.get(0));
    let (many, bodies) = (bodies.len(), BTreeSet::from_iter(bodies));
    assert_eq!(many, bodies.len(), "the same waits once");
    (bodies, counted.expect("a count"))
}

/// Checks that what is derived is what a recount finds.
fn assert_clean(tracker: &mut Tracker) {
    let report = verify::verify(tracker.connection(), |_| {}).expect("verified");
    assert!(report.is_clean(), "verify: {:#?}", report.first);
}

/// Equal, row for row.
macro_rules! prop_assert_tables {
    ($expected:expr, $found:expr, $when:expr) => {
        let different = differences(&$expected, &$found);
        prop_assert!(different.is_empty(), "{}:\n{different}", $when);
    };
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_view_is_what_the_laws_say(history in history()) {
        let (folder, mut tracker) = file();
        let mut other: Option<Tracker> = None;
        let batches = history.batches();
        let copies: Vec<Arrived> = batches.iter().flat_map(|(_, batch)| batch.clone()).collect();
        let firsts = model::firsts(&copies);
        let mut recorded = 0;
        for (elsewhere, batch) in batches {
            let through = if elsewhere { other.get_or_insert_with(|| open(folder.path())) } else { &mut tracker };
            let outcomes = record(through, &batch);
            let known = model::known(&copies[..recorded + batch.len()]);
            let expected: Vec<Outcome> = batch
                .iter()
                .zip(&firsts[recorded..])
                .map(|(copy, first)| match known.contains(&*copy.event.delivery_id) {
                    false => Outcome::Quarantined,
                    true if *first && model::stands(&copies[..recorded + batch.len()], &copy.event) => Outcome::Accepted,
                    true => Outcome::Duplicate,
                })
                .collect();
            prop_assert_eq!(outcomes, expected);
            recorded += batch.len();
            let waits = waiting(&copies[..recorded]);
            let counted = waits.len() as i64;
            prop_assert_eq!(waiting_in(&mut tracker), (waits, counted));
            let expected = model::expected(&copies[..recorded]);
            prop_assert_tables!(expected, tables::read(&mut tracker), format!("after {recorded} copies"));
        }

        let before = tables::read(&mut tracker);
        let repeats = record(&mut tracker, &copies);
        let known = model::known(&copies);
        for (copy, outcome) in copies.iter().zip(repeats) {
            let is_known = known.contains(&*copy.event.delivery_id);
            prop_assert_eq!(outcome, if is_known { Outcome::Duplicate } else { Outcome::Quarantined });
        }
        prop_assert_tables!(before, tables::read(&mut tracker), "all of it posted again");

        assert_clean(&mut tracker);
        let (before, stored) = (tables::read(&mut tracker), tables::read_tables(&mut tracker));
        let report = verify::rebuild(tracker.connection(), |_| {}).expect("rebuilt");
        prop_assert!(report.is_clean(), "rebuild: {:#?}", report.first);
        prop_assert_tables!(before, tables::read(&mut tracker), "rebuilt");
        prop_assert_tables!(stored, tables::read_tables(&mut tracker), "rebuilt tables");
    }

    #[test]
    fn order_and_batches_do_not_matter(history in history()) {
        let history = history.received_at_once();
        let (_one_folder, mut one) = file();
        let (_two_folder, mut two) = file();
        record_all(&mut one, &history);
        record_all(&mut two, &history.shuffled());
        prop_assert_tables!(
            tables::read_without_receipts(&mut one),
            tables::read_without_receipts(&mut two),
            "in another order"
        );
        prop_assert_tables!(tables::read_tables(&mut one), tables::read_tables(&mut two), "tables in another order");
    }
}

/// More deliveries than a batch holds.
#[test]
fn many_deliveries_add_up() {
    let mut runner = TestRunner::deterministic();
    let mut copies = Vec::new();
    for n in 0..150 {
        let history = history().new_tree(&mut runner).expect("a history").current();
        for Arrived { mut event, .. } in history.copies() {
            event.delivery_id = format!("{n}-{}", event.delivery_id).into();
            if event.attributes.get(Attribute::Subject) == Some("Hello") {
                event.attributes.set(Attribute::Subject, Some(&format!("Hello {}", event.delivery_id)));
            }
            copies.push(event);
        }
        let mut personal = Event::new(&format!("p{n}"), MetricName::parse("sent"), "a", EventTime::given(n), n);
        for half in ["morning", "evening"] {
            personal.delivery_id = format!("p{n} {half}").into();
            personal.attributes.set(Attribute::CampaignId, Some("8"));
            personal.attributes.set(Attribute::Subject, Some(&format!("Good {half}, {n}")));
            copies.push(personal.clone());
        }
    }
    // what is learned late moves a delivery, and its subject with it, to another message
    for copy in copies.clone().iter().filter(|copy| copy.delivery_id.starts_with('p')).step_by(3) {
        let mut late = Event::new(&copy.delivery_id, MetricName::parse("queued"), "b", EventTime::given(0), 0);
        late.attributes.set(Attribute::Channel, Some("email"));
        copies.push(late);
    }
    let copies: Vec<Arrived> = copies.into_iter().map(Arrived::from).collect();
    let (_folder, mut tracker) = file();
    for batch in copies.chunks(97) {
        record(&mut tracker, batch);
    }
    let different = differences(&model::expected(&copies), &tables::read(&mut tracker));
    assert!(different.is_empty(), "{different}");
    assert_clean(&mut tracker);
}

/// One id at one moment on two deliveries: the smaller address of the two.
#[test]
fn a_link_has_the_same_address_in_any_order() {
    let click = |delivery: &str, href: &str| {
        let mut event = Event::new(delivery, MetricName::parse("clicked"), "a", EventTime::given(1_000), 1_000);
        (event.link_id, event.href) = (Some("1".into()), Some(href.into()));
        Arrived::from(event)
    };
    let clicks = [click("d1", "https://x.test/a"), click("d2", "https://x.test/b")];
    let other_way = [clicks[1].clone(), clicks[0].clone()];
    for (copies, batch) in [(&clicks, 1), (&clicks, 2), (&other_way, 1), (&other_way, 2)] {
        let (_folder, mut tracker) = file();
        copies.chunks(batch).for_each(|batch| drop(record(&mut tracker, batch)));
        let different = differences(&model::expected(&clicks), &tables::read(&mut tracker));
        assert!(different.is_empty(), "{different}");
        assert_clean(&mut tracker);
    }
}

/// Events may come in while a file is verified.
#[test]
fn a_file_that_grows_is_verified() {
    let (folder, mut tracker) = file();
    let mut runner = TestRunner::deterministic();
    let histories: Vec<History> =
        (0..120).map(|_| history().new_tree(&mut runner).expect("a history").current()).collect();
    let recording = std::thread::spawn(move || {
        for (n, history) in histories.iter().enumerate() {
            for (_, mut batch) in history.batches() {
                // some deliveries grow, some are new
                batch
                    .iter_mut()
                    .for_each(|copy| copy.event.delivery_id = format!("{}-{}", n % 9, copy.event.delivery_id).into());
                record(&mut tracker, &batch);
            }
        }
    });
    let mut other = open(folder.path());
    while !recording.is_finished() {
        assert_clean(&mut other);
    }
    recording.join().expect("recorded");
    assert_clean(&mut other);
}

fn record_all(tracker: &mut Tracker, history: &History) {
    for (_, batch) in history.batches() {
        record(tracker, &batch);
    }
}
