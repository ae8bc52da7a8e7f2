use serde_json::{Value, json};

use crate::domain::people::{Change, Register, Said, Setting, Standing};
use crate::domain::{Attributes, EventTime, Statement};
use crate::wire::testing::{RECEIVED, one, with};
use crate::wire::{Format, IdKey, Quarantined, read as read_format};

use super::*;

const METRICS: &str = "/api/v1/metrics";
const PERSON: &str = "/api/v1/customers/p7";
const ENTITY: &str = "/api/v2/entity";
const BATCH: &str = "/api/v2/batch";

fn sent(method: &str, path: &str, body: &[u8], bounds: Bounds) -> Result<Vec<Item>, Unreadable> {
    let id_key = IdKey::new(b"a secret");
    read(
        TrackRequest { method, path },
        body,
        bounds,
        &Context {
            received_at_ms: RECEIVED,
            id_key: &id_key,
            live: false,
            source_from: &crate::wire::SourceFrom::Provider,
        },
    )
}

fn items_of_line(line: Value) -> Vec<Item> {
    crate::wire::testing::items(Format::Line, line)
}

fn items(method: &str, path: &str, body: impl ToString) -> Vec<Item> {
    let items = sent(method, path, body.to_string().as_bytes(), Bounds::default()).unwrap();
    assert_eq!(items.iter().filter(|item| item.is_call()).count(), 1, "{path}");
    items
}

#[track_caller]
fn report(path: &str, body: Value) -> Event {
    match items("POST", path, &body).remove(0) {
        Item::Event { event, body: line, report: true, .. } => {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&line["path"], &line["body"]), (&path.into(), &body));
            // what is kept is read as the same again, also from an import file
            match items_of_line(line).remove(0) {
                Item::Event { event: again, .. } => assert_eq!(again, event),
                other => panic!("{other:?}"),
            }
            *event
        }
        other => panic!("{body} became {other:?}"),
    }
}

#[track_caller]
fn said(method: &str, path: &str, body: Value) -> Vec<Statement> {
    let statements = items(method, path, &body).into_iter().map(|item| match item {
        Item::Statement(statement) | Item::Also(statement) => *statement,
        other => panic!("{body} became {other:?}"),
    });
    statements.collect()
}

#[track_caller]
fn entity(body: Value) -> Statement {
    let mut statements = said("POST", ENTITY, body);
    assert_eq!(statements.len(), 1);
    statements.remove(0)
}

#[track_caller]
fn refused(method: &str, path: &str, body: Value) -> Quarantined {
    match items(method, path, &body).remove(0) {
        Item::Quarantined(aside) => aside,
        other => panic!("{body} became {other:?}"),
    }
}

/// A statement's settings, as lines.
fn settings(statement: &Statement) -> Vec<String> {
    let Said::Set(settings) = &statement.said else { panic!("{statement:?}") };
    let line = |Setting { register, value }: &Setting| {
        let value = value.as_deref().unwrap_or("-");
        match register {
            Register::Person { person } => format!("{person} {value}"),
            Register::Trait { person, name } => format!("{person}.{name} {value}"),
            Register::Device { person, device_id } => format!("{person} has {device_id} {value}"),
            Register::Object { object } => format!("{}:{} {value}", object.type_id, object.id),
            Register::ObjectTrait { object, name } => format!("{}:{}.{name} {value}", object.type_id, object.id),
            Register::Relationship { object, person } => {
                format!("{person} in {}:{} {value}", object.type_id, object.id)
            }
        }
    };
    settings.iter().map(line).collect()
}

fn who(statement: &Statement) -> Vec<(&'static str, &str)> {
    statement.who.all().collect()
}

#[test]
fn a_metric_says_what_happened_and_little_else() {
    let body = json!({"delivery_id": "d1", "metric": "dropped", "timestamp": 1714521918, "recipient": 15550100,
                      "reason": "full", "href": "https://example.org/a", "subject": "not read"});
    let event = report(METRICS, body);
    assert_eq!((&*event.delivery_id, &event.metric), ("d1", &MetricName::Known(Metric::Suppressed)));
    assert_eq!(event.time, EventTime::given(1_714_521_918_000));
    assert_eq!(event.attributes, Attributes::default().with(Attribute::Recipient, "15550100"));
    assert_eq!((event.reason.as_deref(), event.href.as_deref()), (Some("full"), Some("https://example.org/a")));

    let other = report(METRICS, json!({"delivery_id": 7, "metric": "wiggled", "timestamp": "1714521918.5"}));
    assert_eq!((&*other.delivery_id, other.metric.as_str(), other.time.ms), ("7", "wiggled", 1_714_521_918_500));
    assert_eq!(
        report(METRICS, json!({"delivery_id": "d", "metric": "opened"})).time,
        EventTime::from_receipt(RECEIVED)
    );
}

#[test]
fn pushes_and_messages_in_apps_name_their_channel() {
    for path in ["/api/v1/push/events", "/push/events"] {
        let push = json!({"delivery_id": "d1", "event": "opened", "device_id": "t", "timestamp": 1714521918});
        let push = report(path, push);
        assert_eq!(push.attributes, Attributes::default().with(Attribute::Channel, "push"));
        assert_eq!(&*push.recipients[0].device_id, "t");
    }
    let clicked = report(
        "/api/v1/cio_deliveries/events",
        json!({"type": "in_app", "payload": {"delivery_id": "d1", "event": "clicked", "timestamp": 1714521918.25,
               "metadata": {"action_name": "score", "action_value": "3"}}}),
    );
    assert_eq!(clicked.attributes, Attributes::default().with(Attribute::Channel, "in_app"));
    assert_eq!((clicked.action_value.as_deref(), clicked.time.ms), (Some("3"), 1_714_521_918_250));
    let by_entity = report(
        ENTITY,
        json!({"type": "delivery", "action": "event", "identifiers": {"id": "d1"}, "name": "converted",
               "timestamp": 1714521918, "attributes": {"device_token": "t"}}),
    );
    assert_eq!((&*by_entity.delivery_id, by_entity.metric.as_str()), ("d1", "converted"));
    assert_eq!(&*by_entity.recipients[0].device_id, "t");
    assert_eq!(by_entity.attributes, Attributes::default());
}

#[test]
fn an_unsubscribe_must_be_meant() {
    let event = report("/unsubscribe/d%2F1%2541", json!({"unsubscribe": true}));
    assert_eq!((&*event.delivery_id, event.metric.as_str()), ("d/1%41", "unsubscribed"));
    // it is the person's subscription too, whoever that is
    let also = items("POST", "/unsubscribe/d1", json!({"unsubscribe": true, "timestamp": 1714521918})).remove(1);
    let Item::Also(also) = also else { panic!("{also:?}") };
    assert_eq!(crate::wire::testing::in_words(&also), "Unsubscribed [] unsubscribed, delivery=d1");
    assert_eq!(also.time, EventTime::given(1_714_521_918_000));
    for body in [json!({}), json!({"unsubscribe": false}), json!({"unsubscribe": null})] {
        let found = items("POST", "/unsubscribe/d1", &body).remove(0);
        assert!(matches!(found, Item::Ignored { .. }), "{body} became {found:?}");
    }
}

#[test]
fn repeats_without_an_id_are_one_and_others_are_not() {
    let body = json!({"delivery_id": "d1", "metric": "clicked", "timestamp": 1714521918, "recipient": "a@example.org"});
    let id = |changes| report(METRICS, with(body.clone(), changes)).id;
    assert_eq!(id(json!({})), id(json!({"reason": "is no part of it"})));
    for changes in [
        json!({"timestamp": 1714521919}),
        json!({"timestamp": null}),
        json!({"metric": "opened"}),
        json!({"recipient": "b@example.org"}),
        json!({"href": "https://example.org"}),
        json!({"delivery_id": "d2"}),
    ] {
        assert_ne!(id(json!({})), id(changes.clone()), "{changes}");
    }
}

#[test]
fn an_identifier_in_a_path_is_decoded_once_and_its_shape_tells_its_kind() {
    for (segment, kind, value) in [
        ("p7", "id", "p7"),
        ("a%2Fb", "id", "a/b"),
        ("100%2541", "id", "100%41"),
        ("a+b", "id", "a+b"),
        ("%zz", "id", "%zz"),
        ("%ff", "id", "\u{FFFD}"),
        ("a%00", "id", "a\u{FFFD}"),
        ("cio_", "id", "cio_"),
        ("cio_a1", "cio_id", "a1"),
        ("ada%40example.org", "email", "ada@example.org"),
    ] {
        let suppressed = said("POST", &format!("/api/v1/customers/{segment}/suppress"), json!({}));
        assert_eq!(who(&suppressed[0]), [(kind, value)], "{segment}");
    }
    let long = format!("/api/v1/customers/{}", "x".repeat(257));
    assert_eq!(refused("PUT", &long, json!({})).reason, Reason::IdTooLong);
    assert_eq!(refused("PUT", "/api/v1/customers/", json!({})).reason, Reason::UnknownKind);
}

#[test]
fn a_person_is_set_with_all_that_is_said() {
    let body = json!({
        "_timestamp": 1714521918, "_update": true, "email": "ada@example.org", "phone": "+15550100", "plan": null, "age": 36,
        "cio_relationships": {"action": "add_relationships", "relationships": [
            {"identifiers": {"object_type_id": 2, "object_id": "acme"}, "relationship_attributes": {"role": "admin"}},
            {"identifiers": {"object_id": "b"}}
        ]},
        "cio_subscription_preferences": {"topics": {"topic_1": true}}
    });
    let statements = said("PUT", PERSON, body.clone());
    let [set, preferences] = statements.as_slice() else { panic!("{statements:?}") };
    assert_eq!(who(set), [("id", "p7"), ("email", "ada@example.org"), ("phone", "+15550100")]);
    assert_eq!((&*set.name, set.time), ("identify", EventTime::given(1_714_521_918_000)));
    assert_eq!(
        settings(set),
        [
            "p7 {}",
            "p7.age 36",
            "p7.email \"ada@example.org\"",
            "p7.phone \"+15550100\"",
            "p7.plan -",
            "2:acme {}",
            "p7 in 2:acme {\"role\":\"admin\"}",
            "1:b {}",
            "p7 in 1:b {}"
        ]
    );
    let Said::Subscription(subscription) = &preferences.said else { panic!("{preferences:?}") };
    assert_eq!(subscription.change, Change::Preferences);
    assert_eq!(subscription.content.as_deref(), Some(r#"{"topics":{"topic_1":true}}"#));
    assert_eq!((&preferences.who, preferences.time), (&set.who, set.time));
    assert_ne!(preferences.id, set.id);

    // the same by the other version of the API
    let entity = json!({"type": "person", "action": "identify", "identifiers": {"id": "p7"}, "attributes": body});
    assert_eq!(said("POST", ENTITY, entity), statements);

    for (value, change) in [(json!(true), Change::Unsubscribed), (json!(false), Change::Subscribed)] {
        let statements = said("PUT", PERSON, json!({"unsubscribed": value}));
        assert_eq!(settings(&statements[0]), ["p7 {}".to_owned(), format!("p7.unsubscribed {value}")]);
        assert_eq!(statements[1].said, Said::Subscription(Box::new(statement::subscription(change, None))));
        assert_eq!(statements[1].who, statements[0].who);
        let entity = json!({"type": "person", "action": "identify", "identifiers": {"id": "p7"},
                            "attributes": {"unsubscribed": value}});
        assert_eq!(said("POST", ENTITY, entity), statements);
    }

    let ended = json!({"cio_relationships": {"action": "delete_relationships", "relationships": [
        {"identifiers": {"cio_object_id": "o1"}}]}});
    assert_eq!(settings(&said("PUT", PERSON, ended)[0]), ["p7 {}", "p7 in cio_object_id:o1 -"]);
    // what a call is addressed to stands before what it says beside it
    let moved = json!({"email": "new@example.org", "id": 8});
    let moved = said("PUT", "/api/v1/customers/cio_a1", moved);
    assert_eq!(who(&moved[0]), [("id", "8"), ("email", "new@example.org"), ("cio_id", "a1")]);
    let kept = said("PUT", PERSON, json!({"id": "other", "email": "no address"}));
    assert_eq!(who(&kept[0]), [("id", "p7")]);
}

#[test]
fn devices_come_and_go() {
    let told = json!({"device": {"id": "t/1", "platform": "ios", "last_used": 5, "attributes": {"a": 1}}});
    let by_path = said("PUT", &format!("{PERSON}/devices"), told).remove(0);
    assert_eq!(&*by_path.name, "Device Created or Updated");
    assert_eq!(settings(&by_path), [r#"p7 has t/1 {"attributes":{"a":1},"last_used":5,"platform":"ios"}"#]);
    let by_entity = entity(json!({"type": "person", "action": "add_device", "identifiers": {"id": "p7"},
        "device": {"token": "t/1", "platform": "ios", "last_used": 5, "attributes": {"a": 1}}}));
    assert_eq!(by_entity, by_path);

    let gone = said("DELETE", &format!("{PERSON}/devices/t%2F1"), json!({})).remove(0);
    assert_eq!((&*gone.name, settings(&gone)), ("Device Deleted", vec!["p7 has t/1 -".to_owned()]));
    let by_entity = entity(json!({"type": "person", "action": "delete_device", "identifiers": {"id": "p7"},
        "device": {"token": "t/1"}}));
    assert_eq!(by_entity, gone);
}

#[test]
fn standings_are_the_same_by_both_versions_and_need_no_body() {
    for (method, tail, action, standing, name) in [
        ("DELETE", "", "delete", Standing::Deleted, "User Deleted"),
        ("POST", "/suppress", "suppress", Standing::Suppressed, "User Suppressed"),
        ("POST", "/unsuppress", "unsuppress", Standing::Unsuppressed, "User Unsuppressed"),
    ] {
        let path = format!("{PERSON}{tail}");
        let by_path = said(method, &path, json!({})).remove(0);
        assert_eq!((&*by_path.name, &by_path.said), (name, &Said::Standing(standing)));
        assert_eq!(entity(json!({"type": "person", "action": action, "identifiers": {"id": "p7"}})), by_path);
        for empty in ["", " \n"] {
            let calls = sent(method, &path, empty.as_bytes(), Bounds::default()).unwrap();
            assert!(matches!(&calls[..], [Item::Statement(found)] if **found == by_path));
        }
        assert!(sent(method, &path, b"nothing", Bounds::default()).is_err());
    }
    assert!(sent("PUT", PERSON, b"", Bounds::default()).is_err());
}

#[test]
fn objects_and_relations_are_set_and_deleted() {
    let acme = json!({"type": "object", "identifiers": {"object_type_id": "2", "object_id": "acme"},
                      "attributes": {"seats": 5}, "timestamp": 1714521918,
                      "cio_relationships": [{"identifiers": {"email": "ada@example.org"}}]});
    for (action, name, wanted) in [
        (
            "identify",
            "group",
            vec!["2:acme {}", "2:acme.seats 5", "ada@example.org {}", "ada@example.org in 2:acme {}"],
        ),
        (
            "identify_anonymous",
            "group",
            vec!["2:acme {}", "2:acme.seats 5", "ada@example.org {}", "ada@example.org in 2:acme {}"],
        ),
        ("add_relationships", "group", vec!["ada@example.org {}", "ada@example.org in 2:acme {}"]),
        ("delete_relationships", "Relationship Deleted", vec!["ada@example.org in 2:acme -"]),
        ("delete", "Object Deleted", vec!["2:acme -"]),
    ] {
        let statement = entity(with(acme.clone(), json!({"action": action})));
        assert_eq!((&*statement.name, settings(&statement)), (name, wanted.into_iter().map(str::to_owned).collect()));
        assert_eq!((statement.who.name(), statement.time.ms), (None, 1_714_521_918_000));
    }
    let person = json!({"type": "person", "identifiers": {"id": "p7"},
                        "cio_relationships": [{"identifiers": {"object_type_id": null, "object_id": "b"}}]});
    let change = |action| settings(&entity(with(person.clone(), json!({"action": action}))));
    assert_eq!(change("add_relationships"), ["1:b {}", "p7 in 1:b {}"]);
    assert_eq!(change("delete_relationships"), ["p7 in 1:b -"]);
}

#[test]
fn two_that_are_merged_are_known_together() {
    for (primary, secondary, together) in [
        (json!({"id": "p7"}), json!({"email": "a@example.org"}), vec![("id", "p7"), ("email", "a@example.org")]),
        (
            json!({"email": "a@example.org"}),
            json!({"email": "b@example.org"}),
            vec![("email", "a@example.org"), ("anonymous_id", "b@example.org")],
        ),
    ] {
        let body = json!({"primary": primary, "secondary": secondary});
        let merged = said("POST", "/api/v1/merge_customers", body.clone()).remove(0);
        assert_eq!((&*merged.name, who(&merged), &merged.said), ("alias", together, &Said::Set(Vec::new())));
        assert_eq!(entity(with(body, json!({"type": "person", "action": "merge"}))), merged);
    }
}

#[test]
fn what_is_of_no_concern_is_named() {
    let event = json!({"type": "event", "name": "Order Completed", "data": {}});
    let person = json!({"type": "person", "identifiers": {"id": "p7"}});
    for (path, body, name) in [
        ("/api/v1/customers/p7/events", event.clone(), "Order Completed"),
        ("/api/v1/customers/p7/events", json!({"type": "page", "name": "#home"}), "page"),
        ("/api/v1/customers/p7/events", json!({}), "event"),
        ("/api/v1/events", with(event, json!({"anonymous_id": "a"})), "Order Completed"),
        ("/api/v1/forms/7/submit", json!({"data": {}}), "form submit"),
        ("/api/v1/segments/7/add_customers", json!({"ids": []}), "segment add_customers"),
        ("/api/v1/segments/7/remove_customers", json!({"ids": []}), "segment remove_customers"),
        (ENTITY, with(person.clone(), json!({"action": "event", "name": "signup"})), "signup"),
        (ENTITY, with(person.clone(), json!({"action": "screen", "name": "Home"})), "screen"),
        (ENTITY, with(person, json!({"action": "wave"})), "person wave"),
        (ENTITY, json!({"type": "object", "action": "wave"}), "object wave"),
        (ENTITY, json!({"type": "delivery", "action": "wave"}), "delivery wave"),
    ] {
        match items("POST", path, &body).remove(0) {
            Item::Ignored { name: found } => assert_eq!(&*found, name),
            other => panic!("{body} became {other:?}"),
        }
    }
}

#[test]
fn a_call_is_refused_for_what_it_lacks_and_can_be_read_again() {
    use Reason::*;
    let push = "/api/v1/push/events";
    let in_app = "/api/v1/cio_deliveries/events";
    let person = |body| with(json!({"type": "person", "action": "identify"}), body);
    for (path, body, reason, field) in [
        (METRICS, json!({}), NoMetric, "metric"),
        (METRICS, json!({"metric": "opened"}), NoDeliveryId, "delivery_id"),
        (METRICS, json!({"metric": "opened", "delivery_id": {}}), BadField, "delivery_id"),
        (METRICS, json!({"metric": "opened", "delivery_id": "x".repeat(257)}), IdTooLong, "delivery_id"),
        (METRICS, json!({"metric": "x".repeat(65), "delivery_id": "d"}), MetricTooLong, "metric"),
        (METRICS, json!({"metric": "opened", "delivery_id": "d", "timestamp": "soon"}), BadTime, "timestamp"),
        (push, json!({}), NoMetric, "event"),
        (push, json!({"event": "opened"}), NoDeliveryId, "delivery_id"),
        (in_app, json!({}), NoMetric, "payload.event"),
        (in_app, json!({"payload": []}), BadField, "payload"),
        (in_app, json!({"payload": {"event": "opened"}}), NoDeliveryId, "payload.delivery_id"),
        (ENTITY, json!({"action": "identify"}), UnknownKind, "type"),
        (ENTITY, json!({"type": "person"}), UnknownKind, "action"),
        (ENTITY, json!({"type": "company", "action": "identify"}), UnknownKind, "type"),
        (ENTITY, json!({"type": "delivery", "action": "event", "name": "opened"}), NoDeliveryId, "identifiers.id"),
        (ENTITY, person(json!({})), NoIdentifier, "identifiers"),
        (ENTITY, person(json!({"identifiers": {"id": "p"}, "attributes": 5})), BadField, "attributes"),
        (ENTITY, person(json!({"identifiers": {"id": "p"}, "cio_relationships": {}})), BadField, "cio_relationships"),
        (
            ENTITY,
            person(json!({"identifiers": {"id": "p"}, "cio_relationships": [5]})),
            NoIdentifier,
            "cio_relationships",
        ),
        (ENTITY, json!({"type": "object", "action": "delete"}), NoIdentifier, "identifiers.object_id"),
        ("/api/v1/customers/p7/devices", json!({}), NoIdentifier, "device.id"),
        ("/api/v1/merge_customers", json!({"primary": {"id": "p"}}), NoIdentifier, "secondary"),
        ("/unsubscribe/", json!({"unsubscribe": true}), UnknownKind, ""),
    ] {
        let aside = refused("POST", path, body.clone());
        assert_eq!((aside.reason, aside.field.unwrap_or_default()), (reason, field), "{path} {body}");
        if !field.is_empty() {
            let again = one(Format::Line, serde_json::from_slice(&aside.body).unwrap());
            assert!(matches!(again, Item::Quarantined(again) if again == aside), "{path} {body}");
        }
    }
    let early = refused("DELETE", PERSON, json!({"timestamp": 1_900_000_000}));
    let again = one(Format::Line, serde_json::from_slice(&early.body).unwrap());
    assert_eq!(early.due_at_ms, Some(1_900_000_000_000));
    assert!(matches!(again, Item::Quarantined(again) if again == early), "the method is kept");
}

#[test]
fn a_batch_is_read_call_by_call() {
    let delivery = json!({"type": "delivery", "action": "event", "identifiers": {"id": "d1"}, "name": "opened"});
    let identify = json!({"type": "person", "action": "identify", "identifiers": {"id": "p7"},
                          "attributes": {"cio_subscription_preferences": {"topics": {"topic_1": true}}}});
    let batch = json!({"batch": [delivery, identify, {"type": "person"}, 7, {"type": "person", "action": "x"}]});
    let bounds = Bounds { items: 5, item_bytes: 150 };
    let kinds = |body: &Value, bounds| -> Vec<String> {
        let kind = |item: &Item| match item {
            Item::Event { .. } => "event",
            Item::Statement(_) => "statement",
            Item::Also(_) => "also",
            Item::Ignored { .. } => "ignored",
            Item::Quarantined(aside) => aside.reason.name(),
        };
        let calls = sent("POST", BATCH, body.to_string().as_bytes(), bounds).unwrap();
        calls.iter().map(|item| kind(item).to_owned()).collect()
    };
    assert_eq!(
        kinds(&batch, Bounds::default()),
        ["event", "statement", "also", "unknown_kind", "not_an_object", "ignored"]
    );
    assert_eq!(kinds(&batch, Bounds { item_bytes: 100, ..bounds })[1], "too_large");
    assert_eq!(kinds(&batch["batch"], Bounds::default()).len(), 6);
    assert_eq!(kinds(&delivery, bounds), ["event"]);
    assert_eq!(kinds(&json!({"batch": 5}), bounds), ["bad_field"]);
    let error = sent("POST", BATCH, batch.to_string().as_bytes(), Bounds { items: 4, ..bounds }).unwrap_err();
    assert_eq!(error, Unreadable::TooMany { items: 5, max: 4 });
    // a call by itself is no batch
    assert!(sent("POST", METRICS, b"[]", bounds).is_err());
}

#[test]
fn recorded_requests_are_read_in_all_the_ways_they_are_written() {
    let id_key = IdKey::new(b"a secret");
    let context = Context {
        received_at_ms: RECEIVED,
        id_key: &id_key,
        live: false,
        source_from: &crate::wire::SourceFrom::Provider,
    };
    let read_line = |line: Value| read_format(Format::Line, line.to_string().as_bytes(), &context).unwrap();
    let deleted = said("DELETE", PERSON, json!({})).remove(0);
    for line in [
        json!({"method": "DELETE", "path": PERSON}),
        json!({"method": "delete", "path": format!("{PERSON}?a=1"), "body": null}),
        json!({"method": "DELETE", "path": PERSON, "body": ""}),
        json!({"method": "DELETE", "path": PERSON, "body": "{}"}),
    ] {
        let items = read_line(line.clone());
        assert!(matches!(&items[..], [Item::Statement(found)] if **found == deleted), "{line} became {items:?}");
    }
    // without a method a person is set
    let items = read_line(json!({"path": PERSON, "body": {"age": 1}}));
    assert!(matches!(&items[..], [Item::Statement(found)] if &*found.name == "identify"), "{items:?}");
    let nested = format!("{}{}", "[".repeat(125), "]".repeat(125));
    let deep = format!(r#"{{"delivery_id":"d","metric":"opened","timestamp":1900000000,"a":{nested}}}"#);
    let calls = sent("POST", METRICS, deep.as_bytes(), Bounds::default()).unwrap();
    let Item::Quarantined(aside) = &calls[0] else { panic!("{calls:?}") };
    assert!(read_format(Format::Line, &aside.body, &context).is_ok(), "what is kept is not too deep to be read again");
    let deeper = deep.replace(&nested, &format!("[{nested}]"));
    assert!(sent("POST", METRICS, deeper.as_bytes(), Bounds::default()).is_err());
}
