use super::*;
use crate::domain::people::{Change, ObjectRef};
use crate::domain::{Event, MetricName};
use crate::store::{Entry, Incoming, Tracker, testing};

fn statement(at_ms: i64, id: &str, who: &Identifiers, said: Said) -> Statement {
    let time = EventTime::given(at_ms);
    Statement { name: "identify".into(), id: id.into(), time, received_at_ms: at_ms, who: who.clone(), said }
}

fn ann() -> Identifiers {
    Identifiers { person_id: Some("p7".into()), email: Some("ann@x.org".into()), ..Identifiers::default() }
}

fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(&format!("SELECT group_concat(x, ' ') FROM (SELECT {sql})"), [], |row| row.get(0)).unwrap()
}

#[test]
fn the_greatest_stands_in_any_order_and_a_repeat_is_a_duplicate() {
    let register = Register::Trait { person: "p7".into(), name: "plan".into() };
    let set = |at_ms, id: &str, value: Option<&str>| {
        let setting = Setting { register: register.clone(), value: value.map(Into::into) };
        statement(at_ms, id, &ann(), Said::Set(vec![setting]))
    };
    let all = [set(1, "z", Some("1")), set(2, "a", None), set(2, "a", Some("2")), set(2, "a", Some("1"))];
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let connection = testing::file();
        for n in order {
            take_in(&connection, &all[n]).unwrap();
        }
        assert_eq!(text(&connection, "at_ms || event_id || value AS x FROM traits"), "2a2");
        assert_eq!(take_in(&connection, &all[2]).unwrap(), Outcome::Duplicate);
        assert_eq!(text(&connection, "kind || value AS x FROM identifiers ORDER BY kind"), "emailann@x.org idp7");
    }
}

#[test]
fn a_deletion_hides_what_was_stated_before_it() {
    let connection = testing::file();
    let object = ObjectRef { type_id: "1".into(), id: "acme".into() };
    let set = |at_ms, register, value: Option<&str>| {
        let setting = Setting { register, value: value.map(Into::into) };
        assert_eq!(
            take_in(&connection, &statement(at_ms, "e", &ann(), Said::Set(vec![setting]))).unwrap(),
            Outcome::Accepted
        );
    };
    let person = || Register::Person { person: "p7".into() };
    set(5, person(), None);
    set(9, person(), Some("{}"));
    set(4, Register::Trait { person: "p7".into(), name: "old".into() }, Some("1"));
    set(6, Register::Device { person: "p7".into(), device_id: "A".into() }, Some("{}"));
    set(3, Register::Device { person: "p7".into(), device_id: "B".into() }, Some("{}"));
    set(7, Register::Relationship { object: object.clone(), person: "p7".into() }, Some("{}"));
    set(8, Register::Object { object: object.clone() }, None);
    set(2, Register::ObjectTrait { object, name: "name".into() }, Some("\"Acme\""));
    assert_eq!(text(&connection, "deleted || coalesce(traits, '-') AS x FROM people_v1"), "0{}");
    assert_eq!(text(&connection, "device_id AS x FROM devices_v1"), "A");
    assert_eq!(text(&connection, "(SELECT count(*) FROM relationships_v1) || deleted AS x FROM objects_v1"), "01");
}

#[test]
fn a_change_of_subscription_stands_under_the_first_name_that_its_copies_give() {
    let connection = testing::file();
    let change = |who: &Identifiers, delivery_id: Option<&str>| {
        let attributes = Attributes::default().with(Attribute::Channel, "email").with(Attribute::CampaignId, "3");
        let attributes = attributes.with(Attribute::Subject, "has no column");
        let subscription = Subscription {
            change: Change::Unsubscribed,
            delivery_id: delivery_id.map(Into::into),
            attributes,
            content: None,
        };
        statement(7, "e", who, Said::Subscription(Box::new(subscription)))
    };
    let address = Identifiers { email: Some("ann@x.org".into()), ..Identifiers::default() };
    assert_eq!(take_in(&connection, &change(&address, None)).unwrap(), Outcome::Accepted);
    let row = "person || coalesce(delivery_id, '-') || time_is_receipt AS x FROM subscription_changes";
    assert_eq!(text(&connection, row), "ann@x.org-0");
    assert_eq!(take_in(&connection, &change(&ann(), Some("d"))).unwrap(), Outcome::Accepted);
    assert_eq!(text(&connection, row), "p7d0");
    assert_eq!(take_in(&connection, &change(&address, None)).unwrap(), Outcome::Duplicate);
    assert_eq!(
        text(&connection, "state || person || source_kind || source_id AS x FROM subscriptions_v1"),
        "unsubscribedp7campaign3"
    );
}

#[test]
fn a_change_that_names_a_delivery_alone_is_of_whom_that_is_for_whichever_comes_first() {
    let subscription = Subscription {
        change: Change::Unsubscribed,
        delivery_id: Some("d".into()),
        attributes: Attributes::default(),
        content: None,
    };
    let change = || {
        let said = Said::Subscription(Box::new(subscription.clone()));
        Entry::Statement(Box::new(statement(7, "e", &Identifiers::default(), said)))
    };
    let event = |id: &str, at_ms: i64, person: Option<&str>| {
        let time = EventTime::given(1_790_000_000_000 + at_ms);
        let mut event = Event::new("d", MetricName::parse("sent"), id, time, time.ms);
        event.attributes.set(Attribute::PersonId, person);
        Entry::Event(Box::new(Incoming { event, format: "test".into(), body: "{}".into() }))
    };
    let entries = [change(), event("a", 5, Some("p9")), event("b", 1, Some("p7")), event("c", 0, None)];
    for order in [[0, 1, 2, 3], [1, 0, 2, 3], [3, 1, 2, 0], [3, 0, 2, 1]] {
        let folder = tempfile::tempdir().unwrap();
        let mut tracker = Tracker::open(&folder.path().join("order.db")).unwrap();
        for n in order {
            tracker.record(&[&entries[n]], 1_790_000_000_000).unwrap();
        }
        let connection = tracker.connection();
        assert_eq!(text(connection, "person || state AS x FROM subscriptions_v1"), "p7unsubscribed", "{order:?}");
        assert!(crate::store::verify::verify(connection, |_| {}).unwrap().is_clean());
    }
}
