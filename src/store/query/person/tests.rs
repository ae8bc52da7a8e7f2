use super::*;
use crate::domain::people::Change;
use crate::store::testing;

fn file() -> Connection {
    let connection = testing::file();
    connection
        .execute_batch(
            "INSERT INTO deliveries (id, delivery_id, channel, person_id, email, recipient, status, created_at_ms,
                updated_at_ms, events) VALUES
                (1, 'm1', 'email', 'p7', NULL, 'ann@x.org', 'delivered', 10, 10, 1),
                (2, 'm2', 'push', 'p7', NULL, NULL, 'opened', 20, 20, 1),
                (3, 'm3', 'email', NULL, NULL, 'ann@x.org', 'bounced', 30, 30, 1),
                (4, 'm4', 'email', 'p8', 'both@x.org', 'both@x.org', 'sent', 40, 40, 1),
                (5, 'm5', 'email', 'p9', 'both@x.org', 'other@x.org', 'sent', 50, 50, 1),
                (6, 'm6', 'email', NULL, NULL, 'nobody@x.org', 'bounced', 60, 60, 1);
            INSERT INTO delivery_identifiers VALUES ('both@x.org', 4), ('both@x.org', 5), ('Token', 2);
            INSERT INTO delivery_devices (delivery, device_id, platform) VALUES (2, '', NULL), (2, 'Token', 'ios');
            INSERT INTO identifiers VALUES ('p7', 'id', 'p7'), ('p7', 'email', 'ann@x.org'),
                ('ann@x.org', 'email', 'ann@x.org'), ('p7', 'phone', '+15550100');
            INSERT INTO people VALUES ('p7', 5, 'e', NULL, 5, 'e');
            INSERT INTO traits VALUES ('p7', 'plan', 6, 'e', '\"pro\"'), ('ann@x.org', 'plan', 7, 'e', '\"free\"'),
                ('p7', 'old', 4, 'e', '1');
            INSERT INTO devices VALUES ('p7', 'Tablet', 9, 'e', '{\"platform\":\"android\",\"name\":\"Tab\"}');
            INSERT INTO subscription_changes (event_id, change, at_ms, time_is_receipt, person, content) VALUES
                ('1', 'unsubscribed', 10, 0, 'p7', NULL), ('2', 'subscribed', 9, 0, 'ann@x.org', NULL),
                ('3', 'preferences', 11, 0, 'p7', '{\"topics\":{\"news\":true}}'),
                ('4', 'preferences', 12, 0, 'ann@x.org', '{\"topics\":{\"news\":false,\"x\":\"y\"}}');
            INSERT INTO erasure_requests (identifier, request, at_ms, event_id, received_at_ms, due_at_ms)
                VALUES ('ann@x.org', 'deleted', 70, 'e', 70, 99);
            INSERT INTO suppression_causes (address, channel, occurred_at_ms, metric, delivery, event_id) VALUES
                ('nobody@x.org', 'email', 60, 'bounced', 6, 'b'), ('ann@x.org', 'email', 30, 'bounced', 3, 'b'),
                ('Token', 'push', 30, 'suppressed', 2, 's'), ('elsewhere@x.org', 'email', 1, 'bounced', 6, 'b')",
        )
        .unwrap();
    connection
}

fn find(connection: &Connection, identifier: &str) -> Option<Person> {
    let person = by_identifier(connection, identifier).unwrap();
    assert_eq!(is_known(connection, identifier).unwrap(), person.is_some(), "{identifier}");
    person
}

fn ids(person: &Person) -> Vec<&str> {
    person.deliveries.iter().map(|row| &*row.delivery_id).collect()
}

#[test]
fn a_person_is_the_same_by_every_identifier() {
    let connection = file();
    for identifier in ["p7", "ann@x.org", " Ann@X.ORG", "Token", "Tablet", "+15550100"] {
        let person = find(&connection, identifier).unwrap();
        assert_eq!((&*person.name, person.shared_by.len()), ("p7", 0), "{identifier}");
        assert_eq!(ids(&person), ["m3", "m2", "m1"], "{identifier}");
        let known: Vec<_> = person.identifiers.iter().map(|it| format!("{} {}", it.kind, it.value)).collect();
        assert_eq!(
            known,
            ["id p7", "email ann@x.org", "phone +15550100", "device Tablet", "device Token"],
            "{identifier}"
        );
        let devices: Vec<_> = person.devices.iter().map(|it| (&*it.device_id, it.platform.as_deref())).collect();
        assert_eq!(devices, [("Tablet", Some("android")), ("Token", Some("ios"))]);
        let mut listed: Vec<_> = person.suppressions.iter().map(|it| &*it.address).collect();
        listed.sort();
        assert_eq!(listed, ["Token", "ann@x.org"], "{identifier}");
        assert_eq!(person.erasure.as_ref().map(|it| &*it.request), Some("deleted"));
    }
}

#[test]
fn of_what_was_stated_under_several_names_the_latest_stands() {
    let person = find(&file(), "p7").unwrap();
    let traits: Vec<_> = person.traits.iter().map(|it| (&*it.name, &*it.value)).collect();
    assert_eq!(traits, [("plan", "\"free\"")]);
    assert_eq!(person.subscription.map(|it| it.change), Some(Change::Unsubscribed));
    let preferences: Vec<_> = person.preferences.iter().map(|it| (&*it.name, &*it.value)).collect();
    assert_eq!(preferences, [("news", "false"), ("x", "\"y\"")]);
    assert_eq!((person.changes.len(), person.deleted_at_ms), (4, Some(5)));
    assert_eq!(person.sent.deliveries, 3);
    assert_eq!(person.sent.of_one, None, "one of them names nobody");
}

#[test]
fn an_address_of_two_people_names_both_and_shows_what_was_sent_to_it() {
    let connection = file();
    let person = find(&connection, "both@x.org").unwrap();
    assert_eq!((&*person.name, person.shared_by.len()), ("both@x.org", 2));
    assert_eq!(ids(&person), ["m5", "m4"]);
    assert_eq!(ids(&find(&connection, "p8").unwrap()), ["m4"]);
}

#[test]
fn suppression_is_shown_for_an_address_of_nobody() {
    let connection = file();
    let person = find(&connection, "Nobody@x.org").unwrap();
    assert_eq!((&*person.name, ids(&person)), ("Nobody@x.org", vec!["m6"]));
    assert_eq!(person.suppressions.len(), 1);
    assert_eq!(find(&connection, "elsewhere@x.org").unwrap().suppressions.len(), 1);
    assert!(find(&connection, "unknown@x.org").is_none());
}

#[test]
fn what_grows_is_read_by_index() {
    let connection = testing::file();
    for sql in DELIVERIES.into_iter().chain([NAMES_OF, IDENTIFIERS, SEEN_DEVICES]).chain(stated::QUESTIONS) {
        testing::assert_searches(&connection, sql);
    }
    for sql in &DELIVERIES[..2] {
        assert!(!testing::plan(&connection, sql).iter().any(|step| step.contains("TEMP B-TREE")), "{sql}");
    }
}
