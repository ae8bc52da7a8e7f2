//! Three years in a small file: steady traffic through the real code, with what is old dropped all the while.
//!
//! `WAYBILL_THREE_YEARS=1000000 cargo test --release --test three_years -- --nocapture` does it with more deliveries.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use support::server::Server;
use waybill::intake::entries_of_line;
use waybill::store::retention::{Keep, KeepBodies};
use waybill::store::{Entry, Options, Tracker, disk, verify};
use waybill::wire::{self, IdKey};
use waybill_traffic::{Format, Traffic};

const DAY_MS: i64 = 86_400_000;
const DAYS: u16 = 1_095;
const MONTHS: usize = 36;

/// Everything that is dropped has been for a while after the first year.
const KEEP: Keep = Keep {
    bodies: KeepBodies::For(Duration::from_secs(30 * 86_400)),
    events: Some(Duration::from_secs(120 * 86_400)),
    deliveries: Some(Duration::from_secs(240 * 86_400)),
    max_bytes: None,
};

/// How many bytes the tables of deliveries and events take with their indexes, and all the others: counts and people.
fn bytes(connection: &Connection) -> (i64, i64) {
    let sql = "SELECT sum(d.pgsize) FILTER (WHERE is_detail), sum(d.pgsize) FILTER (WHERE NOT is_detail)
        FROM (SELECT s.pgsize, coalesce(m.tbl_name, '') GLOB 'deliver*' OR coalesce(m.tbl_name, '') GLOB 'event*' AS is_detail
            FROM dbstat('main', 1) s LEFT JOIN sqlite_schema m ON m.name = s.name) d";
    connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

fn drop_old(tracker: &mut Tracker, keep: Keep, now_ms: i64) {
    tracker.set_options(Options { keep, ..Options::default() });
    while tracker.drop_old(now_ms).unwrap() {}
}

fn assert_clean(tracker: &mut Tracker) -> (u64, u64) {
    let report = verify::verify(tracker.connection(), |_| {}).unwrap();
    assert!(report.is_clean(), "{:#?}", report.first);
    (report.deliveries, report.events)
}

#[test]
fn a_file_stays_as_large_as_what_is_kept() {
    let deliveries = std::env::var("WAYBILL_THREE_YEARS").map_or(11_000, |many| many.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let now_ms = chrono::Utc::now().timestamp_millis();
    let traffic = Traffic::new(7, deliveries, now_ms).over_days(DAYS).with_people(2_000);
    let months = fill(&db, &traffic, now_ms);
    let mut tracker = Tracker::open(&db).unwrap();

    // broadcasts come in waves: the largest of the last year is no larger than that of the year before
    let largest = |months: &[(i64, i64)]| months.iter().map(|(detail, _)| *detail).max().unwrap();
    let (second_year, third_year) = (largest(&months[13..25]), largest(&months[25..]));
    assert!(third_year < second_year + second_year / 8, "{months:?}");
    // and the counts are those of three years
    let expected = traffic.expected();
    let counted = "SELECT sum(created), sum(sent_events) FROM campaign_metrics";
    let (created, sent): (i64, i64) =
        tracker.connection().query_row(counted, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(created, i64::from(deliveries), "{} expected", expected.deliveries);
    let (kept, events) = assert_clean(&mut tracker);
    assert!(kept < u64::from(deliveries) / 3, "{kept}");
    println!("{created} deliveries counted with {sent} sent events; {kept} deliveries and {events} events are here");
    tracker.checkpoint().unwrap();

    let server = Server::start_in(folder, &[]);
    for path in
        ["/", "/deliveries", "/deliveries?status=bounced", "/campaigns", "/health", "/deliveries?until=2000-01-02"]
    {
        let begun = Instant::now();
        assert_eq!(server.get(path).0, 200, "{path}");
        println!("{path}: {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
    }
    let (status, folder) = server.stop();
    assert!(status.success());

    // and below a size, however small
    let mut tracker = Tracker::open(&folder.path().join("waybill.db")).unwrap();
    for percent in [85, 75, 85] {
        let used = disk::used_bytes(tracker.connection()).unwrap();
        let max_bytes = used * percent / 100;
        drop_old(&mut tracker, Keep { max_bytes: Some(max_bytes), ..KEEP }, now_ms);
        let now = disk::used_bytes(tracker.connection()).unwrap();
        let rows = |table: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM {table}");
            Connection::open(tracker.path()).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        let left = (rows("event_bodies"), rows("events"), rows("deliveries"));
        println!("at most {max_bytes}: {used} before, {now} now; bodies, events and deliveries: {left:?}");
        assert!(now <= max_bytes, "{now} of {max_bytes}: {left:?}");
        assert_clean(&mut tracker);
    }
}

/// Every month: how many bytes deliveries and events take, and all else.
fn fill(db: &Path, traffic: &Traffic, now_ms: i64) -> Vec<(i64, i64)> {
    let mut tracker = Tracker::open(db).unwrap();
    // nobody pulls the plug here
    tracker.connection().pragma_update(None, "synchronous", "OFF").unwrap();
    tracker.set_options(Options { keep: KEEP, ..Options::default() });
    let id_key = IdKey::new(&tracker.id_key().unwrap());
    let mut lines = traffic.lines(&Format::ALL).peekable();
    let mut months = Vec::new();
    for day in 0..=i64::from(DAYS) {
        let today_ms = now_ms - (i64::from(DAYS) - day) * DAY_MS;
        let mut entries: Vec<Entry> = Vec::new();
        while let Some(line) = lines.next_if(|line| line.arrives_at_ms <= today_ms || day == i64::from(DAYS)) {
            let context = wire::Context {
                received_at_ms: line.arrives_at_ms.min(today_ms),
                id_key: &id_key,
                live: false,
                source_from: &wire::SourceFrom::Provider,
            };
            entries.extend(entries_of_line(line.with_path().as_bytes(), &context));
        }
        for entries in entries.chunks(2_000) {
            tracker.record(&entries.iter().collect::<Vec<_>>(), today_ms).unwrap();
        }
        while tracker.drop_old(today_ms).unwrap() {}
        if day % (i64::from(DAYS) / MONTHS as i64) == 0 {
            tracker.checkpoint().unwrap();
            months.push(bytes(tracker.connection()));
            let (detail, counts) = months[months.len() - 1];
            let file = std::fs::metadata(db).unwrap().len();
            println!("month {}: detail {detail}, counts and people {counts}, file {file}", months.len() - 1);
        }
    }
    months
}
