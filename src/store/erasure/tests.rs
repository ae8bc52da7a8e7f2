use std::collections::HashMap;

use super::*;
use crate::domain::people::{Said, Standing};
use crate::domain::{Attribute, EventTime, Identifiers, MetricName, Statement};
use crate::store::Outcome;

const AT: Millis = 1_790_000_000_000;
const HOUR: Millis = 60 * 60 * 1000;
const AT_ONCE: Graces = Graces { deleted_ms: 0, suppressed_ms: 0 };

/// A file with deliveries whose events are in memory.
struct File {
    connection: Connection,
    forgotten: Forgotten,
    events: HashMap<i64, Vec<Event>>,
}

fn write(
    connection: &Connection,
    forgotten: &mut Forgotten,
    id: i64,
    events: &mut [Event],
    lost: &[Text],
) -> Result<bool, Error> {
    let delivery = Delivery::of(events.iter()).expect("events");
    let was_forgotten =
        connection.query_row("SELECT forgotten FROM deliveries WHERE id = ?1", [id], |row| row.get(0)).optional()?;
    let target = Target {
        id: if was_forgotten.is_some() { id } else { 0 },
        is_stored: was_forgotten.is_some(),
        was_forgotten: was_forgotten.unwrap_or(false),
        lost,
    };
    let is_forgotten = pseudonymize_if_forgotten(connection, forgotten, &target, &delivery, events)?;
    let delivery = Delivery::of(events.iter()).expect("events");
    let get = |attribute| delivery.attributes.get(attribute);
    connection.execute(
        "INSERT INTO deliveries (id, delivery_id, status, created_at_ms, updated_at_ms, events, person_id, recipient, forgotten)
         VALUES (?1, ?1, 'sent', ?2, ?2, 1, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET person_id = ?3, recipient = ?4, forgotten = ?5",
        params![id, delivery.created_at_ms, get(Attribute::PersonId), get(Attribute::Recipient), is_forgotten],
    )?;
    let lost = lost.iter().map(|text| match is_forgotten {
        true => forgetting::pseudonym(&forgotten.hash(text)),
        false => text.clone(),
    });
    for text in events.iter().flat_map(forgetting::identifiers).map(|(_, text)| text.into()).chain(lost) {
        event_rows::insert_identifier(connection, id, &forgetting::normalized(&text))?;
    }
    Ok(is_forgotten)
}

impl File {
    fn new() -> File {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../migrations/0001_core.sql")).unwrap();
        connection.execute("INSERT OR REPLACE INTO _settings VALUES ('id_key', x'01')", []).unwrap();
        File { connection, forgotten: Forgotten::default(), events: HashMap::new() }
    }

    /// One event, created at a time, that carries these.
    fn deliver(&mut self, id: i64, at_ms: Millis, carried: &[(Attribute, &str)], lost: &[&str]) -> bool {
        let mut event = Event::new(&id.to_string(), MetricName::parse("sent"), "e", EventTime::given(at_ms), at_ms);
        for (attribute, text) in carried {
            event.attributes.set(*attribute, Some(text));
        }
        let lost: Vec<Text> = lost.iter().map(|text| Text::from(*text)).collect();
        let mut events = vec![event];
        let is_forgotten = write(&self.connection, &mut self.forgotten, id, &mut events, &lost).unwrap();
        self.events.insert(id, events);
        is_forgotten
    }

    fn request(&mut self, standing: Standing, at_ms: Millis, who: Identifiers, graces: Graces) -> Outcome {
        let statement = Statement {
            name: "".into(),
            id: format!("{standing:?} {:?} {at_ms}", who.name()).into(),
            time: EventTime::given(at_ms),
            received_at_ms: at_ms,
            who,
            said: Said::Standing(standing),
        };
        request(&self.connection, &mut self.forgotten, &statement, standing, graces).unwrap()
    }

    fn erase(&mut self) -> usize {
        let File { connection, forgotten, events } = self;
        let mut steps = 0;
        while left(connection).unwrap() == Left::Steps {
            steps += 1;
            for id in step(connection, forgotten).unwrap() {
                write(connection, forgotten, id, events.get_mut(&id).expect("events"), &[]).unwrap();
            }
        }
        forgotten.done(connection).unwrap();
        assert_eq!(left(connection).unwrap(), Left::Nothing);
        steps
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let mut statement = self.connection.prepare(&format!("SELECT CAST(x AS TEXT) FROM (SELECT {sql})")).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn forgotten(&self) -> String {
        self.texts("id AS x FROM deliveries WHERE forgotten ORDER BY id").join(" ")
    }
}

fn person(id: &str) -> Identifiers {
    Identifiers { person_id: Some(id.into()), ..Identifiers::default() }
}

#[test]
fn requests_wait_for_their_grace_and_may_be_revoked_until_then() {
    let mut file = File::new();
    file.deliver(1, AT, &[(Attribute::PersonId, "ann")], &[]);
    let both = Identifiers { email: Some("ann@x.test".into()), ..person("ann") };
    for (standing, grace_ms) in [(Standing::Deleted, 30 * 24 * HOUR), (Standing::Suppressed, HOUR)] {
        for outcome in [Outcome::Accepted, Outcome::Duplicate] {
            assert_eq!(file.request(standing, AT, both.clone(), Graces::default()), outcome);
        }
        let due_at_ms = AT + grace_ms;
        assert_eq!(pending(&file.connection, "ann").unwrap(), Some(due_at_ms));
        assert_eq!(pending(&file.connection, "Ann@X.test").unwrap(), Some(due_at_ms));
        assert!(!due(&file.connection, due_at_ms - 1).unwrap() && due(&file.connection, due_at_ms).unwrap());
        assert_eq!(revoke(&file.connection, "ann@x.test", AT).unwrap(), 1);
        assert_eq!(revoke(&file.connection, "ann", AT).unwrap(), 0);
        assert_eq!(pending(&file.connection, "ann").unwrap(), None);
        assert!(!due(&file.connection, due_at_ms).unwrap());
    }
    assert_eq!((file.erase(), &*file.forgotten()), (0, ""));

    file.request(Standing::Suppressed, AT + 1, both, Graces::default());
    take_effect(&file.connection, &mut file.forgotten, AT + 1 + HOUR).unwrap();
    file.erase();
    assert_eq!(file.forgotten(), "1");
    assert!(file.texts("identifier AS x FROM erasure_requests").is_empty(), "nor are those that were revoked left");
    // the same again, and a deletion of someone who is suppressed already
    assert_eq!(file.request(Standing::Suppressed, AT + 1, person("ann"), Graces::default()), Outcome::Duplicate);
    assert_eq!(file.request(Standing::Deleted, AT + 2, person("ann"), Graces::default()), Outcome::Accepted);
    assert_eq!(pending(&file.connection, "ann").unwrap(), None);
}

#[test]
fn what_is_erased_by_hand_takes_the_waiting_requests_with_it() {
    let mut file = File::new();
    let both = Identifiers { email: Some("ann@x.test".into()), ..person("ann") };
    file.request(Standing::Deleted, AT, both, Graces::default());
    file.request(Standing::Deleted, AT, person("bob"), Graces::default());
    forget(&file.connection, &mut file.forgotten, "ANN@x.test", AT + 9).unwrap();
    file.erase();
    assert_eq!(file.texts("identifier AS x FROM erasure_requests"), ["bob"]);
    assert!(file.deliver(1, AT, &[(Attribute::PersonId, "ann")], &[]));
    assert!(file.deliver(2, AT + 9, &[(Attribute::Recipient, "ann@x.test")], &[]));
    assert!(!file.deliver(3, AT + 9, &[(Attribute::PersonId, "ann")], &[]), "only the deletion by wire names it");
    assert!(!file.deliver(4, AT, &[(Attribute::PersonId, "bob")], &[]));
}

#[test]
fn deliveries_are_found_by_all_that_they_carry_and_by_what_copies_carried() {
    let mut file = File::new();
    file.deliver(1, AT, &[(Attribute::PersonId, "Ann@X.test")], &[]);
    file.deliver(2, AT, &[(Attribute::Recipient, "ann@x.test"), (Attribute::PersonId, "7")], &[]);
    file.deliver(3, AT, &[(Attribute::CioId, "c"), (Attribute::Email, "ann@x.test")], &[]);
    file.deliver(4, AT, &[(Attribute::PersonId, "8")], &["ann@x.test", "d"]);
    file.deliver(5, AT, &[(Attribute::CioId, "c")], &[]);
    file.deliver(6, AT, &[(Attribute::PersonId, "7")], &[]);
    file.deliver(7, AT + 1, &[(Attribute::CioId, "c")], &[]);
    file.request(Standing::Deleted, AT, person("ANN@x.test"), AT_ONCE);
    file.erase();
    // the cio_id is forgotten with her, and the name of the person in 2 is not
    assert_eq!(file.forgotten(), "1 2 3 4 5");
    assert_eq!((file.forgotten.erased.deliveries, file.forgotten.erased.events), (5, 5));
    let shown = "identifier AS x FROM delivery_identifiers WHERE delivery < 6 AND identifier NOT LIKE 'forgotten-%'";
    assert_eq!(file.texts(shown), [""; 0]);
    assert!(file.deliver(8, AT, &[(Attribute::CioId, "d")], &[]), "a copy of 4 carried it");

    // what is forgotten already is found by its pseudonyms
    file.request(Standing::Suppressed, AT, person("d"), AT_ONCE);
    file.erase();
    assert!(file.deliver(9, AT + 1, &[(Attribute::CioId, "d")], &[]));
    assert!(file.deliver(10, AT + 1, &[(Attribute::Email, "ann@x.test")], &[]), "4 carried both");
    assert!(!file.deliver(11, AT + 1, &[(Attribute::CioId, "c")], &[]), "links lead one step");
}

#[test]
fn much_is_erased_in_several_steps() {
    let mut file = File::new();
    for id in 1..=1_200 {
        file.deliver(id, AT, &[(Attribute::PersonId, "ann")], &[]);
    }
    forget(&file.connection, &mut file.forgotten, "ann", AT).unwrap();
    assert!(file.erase() > 2);
    assert_eq!(file.texts("count(*) AS x FROM deliveries WHERE NOT forgotten"), ["0"]);
    // another process notices
    let mut other = Forgotten::default();
    other.refresh(&file.connection).unwrap();
    assert!(other.any() && other.knows(&file.connection, "ann").unwrap());
    assert!(!other.knows(&file.connection, "bob").unwrap() && !other.is_erasing);
}

#[test]
fn traits_bodies_and_names_of_ignored_events_are_erased() {
    let mut file = File::new();
    file.connection
        .execute_batch(
            "INSERT INTO people (person, at_ms, event_id, value) VALUES ('Ann@X.test', 1, 'e', '{}'), ('bob', 1, 'e', '{}');
             INSERT INTO traits (person, name, at_ms, event_id, value)
                VALUES ('Ann@X.test', 'n', 1, 'e', '1'), ('Ann@X.test', 'm', 9, 'e', '1'), ('bob', 'n', 1, 'e', '1');
             INSERT INTO identifiers VALUES ('Ann@X.test', 'id', 'Ann@X.test'), ('Ann@X.test', 'phone', '+15550100'),
                ('bob', 'id', 'bob');
             INSERT INTO ignored VALUES ('opened by ann@x.test', 1, 1), ('opened', 1, 1);
             INSERT INTO quarantine (received_at_ms, format, reason, detail, body, body_bytes, fingerprint)
                VALUES (1, 'f', 'r', '', CAST('{\"to\":\"ann\\u0040x.test\"}' AS BLOB), 1, x'01'),
                    (1, 'f', 'r', '', CAST('{\"to\":\"+1 (555) 0100\"}' AS BLOB), 1, x'02'),
                    (1, 'f', 'r', '', CAST('{\"to\":\"bob@x.test\"}' AS BLOB), 1, x'03');",
        )
        .unwrap();
    forget(&file.connection, &mut file.forgotten, "ann@x.test", 5).unwrap();
    file.erase();
    assert_eq!(file.texts("person AS x FROM people"), ["bob"]);
    assert_eq!(file.texts("person || name AS x FROM traits"), ["Ann@X.testm", "bobn"], "one was stated later");
    assert_eq!(file.texts("id AS x FROM quarantine"), ["3"]);
    assert_eq!(file.texts("name AS x FROM ignored"), ["(other names)", "opened"]);
    assert_eq!(file.forgotten.erased.quarantined, 2);

    let stated = |at_ms| Statement {
        name: "identify".into(),
        id: "i".into(),
        time: EventTime::given(at_ms),
        received_at_ms: 9,
        who: Identifiers { email: Some("e@x.test".into()), ..person("ann@x.test") },
        said: Said::Set(Vec::new()),
    };
    let File { connection, forgotten, .. } = &mut file;
    assert!(registers::is_of_the_forgotten(connection, forgotten, &stated(5)).unwrap());
    assert!(!registers::is_of_the_forgotten(connection, forgotten, &stated(6)).unwrap());
    assert!(forgotten.knows(connection, "E@x.test").unwrap());
}
