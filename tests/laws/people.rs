//! What is said about people: the set of statements decides, in whatever order, batches and repeats they come.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use waybill::domain::people::{Change, ObjectRef, Register, Said, Setting, Subscription};
use waybill::domain::{Attribute, Attributes, Event, EventTime, Identifiers, Statement};
use waybill::store::{Entry, Incoming, Outcome, Tracker, verify};

use super::history::history;
use super::model::{self, Tables};
use super::tables::{differences, rows};
use super::values::{IDS, TIMES};
use super::{RECORDED_AT, assert_clean, config, file, open};

const VIEWS: [&str; 8] = [
    "people_v1",
    "identifiers_v1",
    "traits_v1",
    "devices_v1",
    "objects_v1",
    "relationships_v1",
    "subscription_changes_v1",
    "subscriptions_v1",
];

const TABLES: [&str; 8] =
    ["people", "traits", "devices", "objects", "object_traits", "relationships", "identifiers", "subscription_changes"];

fn read(tracker: &mut Tracker, names: &[&'static str]) -> Tables {
    names.iter().map(|name| (*name, rows(tracker, name))).collect()
}

macro_rules! prop_assert_same {
    ($expected:expr, $found:expr, $when:expr) => {
        let different = differences(&$expected, &$found);
        prop_assert!(different.is_empty(), "{}:\n{different}", $when);
    };
}

/// An identifier may be of one kind for one person and of another for the next.
fn who() -> impl Strategy<Value = Identifiers> {
    let text = |likely, values: &'static [&'static str]| weighted(likely, select(values).prop_map(Into::into));
    (
        text(0.6, &["1", "2", "a@x.test"]),
        text(0.4, &["a@x.test", "b@x.test", "2"]),
        text(0.2, &["c1", "c2"]),
        text(0.1, &["+1555", "1"]),
        text(0.1, &["visitor"]),
    )
        .prop_map(|(person_id, email, cio_id, phone, anonymous_id)| Identifiers {
            person_id,
            email,
            cio_id,
            phone,
            anonymous_id,
        })
}

fn register() -> impl Strategy<Value = Register> {
    let person = || select(&["1", "2", "a@x.test"][..]).prop_map(Into::into);
    let name = || select(&["plan", "name", "é \"q\""][..]).prop_map(Into::into);
    let object = || {
        (select(&["1", "2"][..]), select(&["acme", "é"][..]))
            .prop_map(|(type_id, id)| ObjectRef { type_id: type_id.into(), id: id.into() })
    };
    prop_oneof![
        person().prop_map(|person| Register::Person { person }),
        (person(), name()).prop_map(|(person, name)| Register::Trait { person, name }),
        (person(), select(&["tok1", "tok2"][..]))
            .prop_map(|(person, device)| Register::Device { person, device_id: device.into() }),
        object().prop_map(|object| Register::Object { object }),
        (object(), name()).prop_map(|(object, name)| Register::ObjectTrait { object, name }),
        (object(), person()).prop_map(|(object, person)| Register::Relationship { object, person }),
    ]
}

fn setting() -> impl Strategy<Value = Setting> {
    let value =
        weighted(0.7, select(&["{}", "{\"platform\":\"ios\"}", "{\"name\":\"\\u00e9\",\"platform\":null}"][..]));
    (register(), value).prop_map(|(register, value)| Setting { register, value: value.map(Into::into) })
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let contents = [
        "{\"topics\":{\"t1\":true,\"t2\":false}}",
        "{\"topics\":{\"t1\":false}}",
        "{\"channels\":{\"email\":false,\"sms\":{\"b\":[1,null]}},\"topics\":{\"é \\\"\":\"yes\"}}",
        "{\"topics\":[true],\"other\":{\"t1\":1}}",
        "[1]",
    ];
    let beside = vec((select(&Attribute::ALL[..]), select(&["3", "7", "email"][..])), 0..4);
    let content = weighted(0.7, select(contents.to_vec()));
    (select(&Change::ALL[..]), weighted(0.4, select(&["d1", "d2"][..])), beside, content).prop_map(
        |(change, delivery_id, beside, content)| Subscription {
            change,
            delivery_id: delivery_id.map(Into::into),
            attributes: beside.into_iter().fold(Attributes::default(), |all, (key, value)| all.with(key, value)),
            content: content.map(Into::into),
        },
    )
}

fn statement() -> impl Strategy<Value = Statement> {
    let said = prop_oneof![
        3 => vec(setting(), 0..4).prop_map(Said::Set),
        2 => subscription().prop_map(|said| Said::Subscription(Box::new(said))),
    ];
    // a time taken from receipt is the same in any order only where all are received at once
    let time = prop_oneof![
        6 => select(&TIMES[..5]).prop_map(EventTime::given),
        1 => Just(EventTime::from_receipt(RECORDED_AT)),
    ];
    (select(&IDS[..4]), time, who(), said).prop_map(|(id, time, who, said)| Statement {
        name: "a call".into(),
        id: id.into(),
        time,
        received_at_ms: RECORDED_AT,
        who,
        said,
    })
}

/// Statements among events, in an order of arrival, and where batches end.
fn told() -> impl Strategy<Value = (Vec<Statement>, Vec<Event>, Vec<usize>, Vec<bool>)> {
    (vec(statement(), 1..30), history()).prop_flat_map(|(statements, history)| {
        // by full senders: whose reports wait is another law
        let events: Vec<Event> = history.received_at_once().copies().into_iter().map(|copy| copy.event).collect();
        let many = statements.len() + events.len();
        let order = Just((0..many).collect::<Vec<_>>()).prop_shuffle();
        (Just(statements), Just(events), order, vec(any::<bool>(), many))
    })
}

fn entries(statements: &[Statement], events: &[Event]) -> Vec<Entry> {
    let event = |event: &Event| {
        Entry::Event(Box::new(Incoming { event: event.clone(), format: "test".into(), body: "{}".into() }))
    };
    let statement = |statement: &Statement| Entry::Statement(Box::new(statement.clone()));
    statements.iter().map(statement).chain(events.iter().map(event)).collect()
}

#[test]
fn registers_that_do_not_hold_together_are_seen() {
    let (_folder, mut tracker) = file();
    let connection = tracker.connection();
    for (table, key) in [("people", "person"), ("traits", "person, name"), ("devices", "person, device_id")] {
        let keys = key.split(", ").map(|_| "'1'").collect::<Vec<_>>().join(", ");
        let value = if table == "people" { "NULL" } else { "'{'" };
        let sql = format!("INSERT INTO {table} (at_ms, event_id, value, {key}) VALUES (1, 'e', {value}, {keys})");
        connection.execute(&sql, []).expect("a row");
        assert_eq!(verify::verify(connection, |_| {}).expect("verified").differences, 1, "{table}");
        connection.execute(&format!("DELETE FROM {table}"), []).expect("gone");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn people_are_what_was_said_of_them((statements, events, order, cuts) in told()) {
        let all = entries(&statements, &events);
        let (folder, mut one) = file();
        let mut other = open(folder.path());
        let mut batch: Vec<&Entry> = Vec::new();
        for (place, (entry, cut)) in all.iter().zip(&cuts).enumerate() {
            batch.push(entry);
            if *cut || place + 1 == all.len() {
                let through = if place % 3 == 0 { &mut other } else { &mut one };
                through.record(&batch, RECORDED_AT).expect("recorded");
                batch.clear();
            }
        }
        let expected = model::people::expected(&statements, &events);
        prop_assert_same!(expected, read(&mut one, &VIEWS), "in one order");

        // another order, and half of it twice
        let (_folder, mut two) = file();
        for place in order.iter().chain(order.iter().step_by(2)) {
            two.record(&[&all[*place]], RECORDED_AT).expect("recorded");
        }
        prop_assert_same!(expected, read(&mut two, &VIEWS), "in another order");
        prop_assert_same!(read(&mut one, &TABLES), read(&mut two, &TABLES), "the tables");
        for tracker in [&mut one, &mut two] {
            assert_clean(tracker);
        }
    }

    #[test]
    fn a_statement_that_changes_nothing_is_a_duplicate(statements in vec(statement(), 1..20)) {
        let (_folder, mut tracker) = file();
        let mut before = read(&mut tracker, &TABLES);
        for statement in statements.iter().chain(&statements) {
            let outcomes = tracker.record(&[&Entry::Statement(Box::new(statement.clone()))], RECORDED_AT);
            let after = read(&mut tracker, &TABLES);
            let expected = if after == before { Outcome::Duplicate } else { Outcome::Accepted };
            prop_assert_eq!(outcomes.expect("recorded"), [expected]);
            before = after;
        }
    }
}
