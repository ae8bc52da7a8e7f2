use super::fault::not_stored;
use super::*;
use crate::domain::people::{Identifiers, Said};
use crate::domain::{Event, EventTime, MetricName, Source, SourceKind, Statement};
use crate::store::quarantine::{NOT_STORED, Quarantined};
use crate::store::{Incoming, Report};

const POISON: &str = "CREATE TRIGGER poison BEFORE INSERT ON deliveries WHEN new.delivery_id GLOB 'poison*'
    BEGIN SELECT raise(ABORT, 'poison'); END;
    CREATE TRIGGER poison_event BEFORE INSERT ON events WHEN new.event_id = 'poison'
    BEGIN SELECT raise(ABORT, 'poison'); END;";

fn work(folder: &tempfile::TempDir) -> Work {
    let mut work = Work::new(Tracker::open(&folder.path().join("w.db")).unwrap(), Arc::default());
    work.tracker.connection().execute_batch(POISON).unwrap();
    work
}

impl Work {
    /// Stores what one request brings, of which each part is answered.
    fn store(&mut self, entries: Vec<Entry>) -> Vec<Outcome> {
        let (reply, answer) = oneshot::channel();
        self.settle(vec![Request { entries, received_at_ms: 0, since: Instant::now(), reply }]);
        answer.blocking_recv().unwrap().unwrap().0
    }

    fn rows(&mut self, sql: &str) -> Vec<String> {
        let mut statement = self.tracker.connection().prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }
}

fn event(delivery_id: &str, id: &str) -> Event {
    Event::new(delivery_id, MetricName::parse("sent"), id, EventTime::given(1_790_000_000_000), 1_790_000_000_000)
}

fn incoming(delivery_id: &str, id: &str, body: &str) -> Incoming {
    Incoming { event: event(delivery_id, id), format: "pipelines".into(), body: body.into() }
}

fn full(delivery_id: &str, id: &str) -> Entry {
    Entry::Event(Box::new(incoming(delivery_id, id, "{}")))
}

fn report(delivery_id: &str, id: &str) -> Entry {
    let incoming = incoming(delivery_id, id, "{}");
    Entry::Report(Box::new(Report { incoming, format: "pipelines".into(), body: format!("the report {id}").into() }))
}

const ASIDE: &str = "SELECT reason || ' ' || format || ' ' || CAST(body AS TEXT) FROM quarantine ORDER BY id";

#[test]
fn one_entry_that_cannot_be_stored_costs_its_neighbours_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut work = work(&folder);
    let entry = |n: i64| match n {
        3 => full("poison 3", "e"),
        // of a delivery that is known
        9 => report("d0", "poison"),
        11 => full("poison 11", "e"),
        n => full(&format!("d{n}"), "e"),
    };
    let (mut group, mut answers) = (Vec::new(), Vec::new());
    for entries in [0..5, 5..6, 6..13] {
        let (reply, answer) = oneshot::channel();
        group.push(Request { entries: entries.map(entry).collect(), received_at_ms: 0, since: Instant::now(), reply });
        answers.push(answer);
    }
    work.settle(group);

    let outcomes: Vec<Outcome> =
        answers.into_iter().flat_map(|answer| answer.blocking_recv().unwrap().unwrap().0).collect();
    for (n, outcome) in outcomes.iter().enumerate() {
        let expected = if [3, 9, 11].contains(&n) { Outcome::Quarantined } else { Outcome::Accepted };
        assert_eq!(*outcome, expected, "entry {n}");
    }
    let aside = work.rows(ASIDE);
    assert_eq!(aside.len(), 3, "{aside:?}");
    assert!(aside[0].contains("\"poison 3\"") && aside[2].contains("\"poison 11\""), "{aside:?}");
    assert_eq!(aside[1], "not_stored pipelines the report poison");
}

#[test]
fn what_one_request_cannot_have_leaves_others_their_own_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut work = work(&folder);
    let trouble = "CREATE TRIGGER trouble BEFORE INSERT ON source_names WHEN new.name = 'poison'
        BEGIN SELECT raise(ABORT, 'trouble'); END";
    work.tracker.connection().execute_batch(trouble).unwrap();
    // nothing of it could be quarantined
    let name =
        Entry::Name { source: Source { kind: SourceKind::Campaign, id: "7".into() }, name: Some("poison".into()) };
    let answers = [vec![name, full("d1", "e")], vec![full("poison", "e")], vec![full("d2", "e")]].map(|entries| {
        let (reply, answer) = oneshot::channel();
        (Request { entries, received_at_ms: 0, since: Instant::now(), reply }, answer)
    });
    let (group, answers): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    work.settle(group);
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.blocking_recv().unwrap().map(|it| it.0)).collect();
    let own = [Err(Refused::Unwritable), Ok(vec![Outcome::Quarantined]), Ok(vec![Outcome::Accepted])];
    assert_eq!(answers, own);
}

#[test]
fn a_statement_that_cannot_be_stored_is_kept_for_people() {
    let statement = Statement {
        name: "identify".into(),
        id: "s".into(),
        time: EventTime::given(1_790_000_000_000),
        received_at_ms: 1_790_000_000_000,
        who: Identifiers { person_id: Some("p7".into()), ..Identifiers::default() },
        said: Said::Set(Vec::new()),
    };
    let aside = not_stored(&Entry::Statement(Box::new(statement)), "poison").unwrap();
    assert_eq!((&*aside.reason, &*aside.format), (NOT_STORED, "statement"));
    let body = String::from_utf8(aside.body).unwrap();
    assert!(body.contains("identify") && body.contains("p7"), "{body}");
}

#[test]
fn what_is_read_again_and_cannot_be_stored_keeps_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let mut work = work(&folder);
    let aside = Quarantined {
        format: "webhook".into(),
        reason: "bad_time".into(),
        detail: "".into(),
        delivery_id: None,
        due_at_ms: Some(1),
        public: false,
        body: b"the body".into(),
        body_bytes: 8,
    };
    work.store(vec![Entry::Quarantined(Box::new(aside))]);
    let again = || Entry::Released { quarantine_id: 1, entries: vec![full("d1", "e"), full("poison", "e")] };
    for _ in 0..2 {
        assert_eq!(work.store(vec![full("d2", "e"), again()])[1], Outcome::Quarantined);
        assert_eq!(work.rows(ASIDE), ["not_stored webhook the body"]);
        assert_eq!(work.rows("SELECT delivery_id FROM deliveries"), ["d2"], "all or none");
        assert_eq!(work.rows("SELECT reason || entries FROM _quarantine_counts WHERE entries > 0"), ["not_stored1"]);
        assert!(work.rows("SELECT 'due' FROM quarantine WHERE due_at_ms IS NOT NULL").is_empty());
    }
}

#[test]
fn a_report_that_waits_and_cannot_be_stored_does_not_hold_up_its_delivery() {
    let folder = tempfile::tempdir().unwrap();
    let mut work = work(&folder);
    assert_eq!(work.store(vec![report("d1", "poison")]), [Outcome::Quarantined]);
    assert_eq!(work.store(vec![full("d1", "e"), full("d2", "e")]), [Outcome::Accepted; 2]);
    assert_eq!(work.rows(ASIDE), ["not_stored pipelines the report poison"]);
}
