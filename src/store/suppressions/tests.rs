use super::*;
use crate::domain::Metric;
use crate::store::testing;

/// A file with email deliveries to Ann, the last of which names her in its events only.
fn file() -> Connection {
    let connection = testing::file();
    connection
        .execute_batch(
            "INSERT INTO deliveries (id, delivery_id, channel, recipient, status, created_at_ms, updated_at_ms, events,
                delivered_at_ms) VALUES
                (1, 'a', 'email', 'ann@x.org', 'delivered', 1, 10, 2, 3),
                (2, 'b', 'email', 'ann@x.org', 'bounced', 1, 30, 1, NULL),
                (3, 'c', 'sms', 'ann@x.org', 'delivered', 1, 40, 1, 40),
                (4, 'd', 'email', 'ann@x.org', 'delivered', 1, 8, 1, 8);
            INSERT INTO events (delivery, metric, event_id, occurred_at_ms, received_at_ms) VALUES
                (1, 'delivered', 'e3', 3, 0), (1, 'delivered', 'e10', 10, 0), (3, 'delivered', 'e40', 40, 0),
                (4, 'delivered', 'e8', 8, 0), (2, 'bounced', 'e30', 30, 0)",
        )
        .unwrap();
    connection
}

fn mark(delivery_id: &str, metric: Metric, at_ms: Millis) -> Mark {
    Mark {
        address: "ann@x.org".into(),
        channel: Channel::Email,
        at_ms,
        delivery_id: delivery_id.into(),
        metric,
        event_id: format!("e{at_ms}").into(),
    }
}

fn move_causes(connection: &Connection, marks: &[(Millis, i64)]) {
    let mut delta = Delta::default();
    for (at_ms, n) in marks {
        delta.causes.insert(mark("b", Metric::Bounced, *at_ms), *n);
    }
    write(connection, &delta).unwrap();
}

fn lifts(connection: &Connection) -> Vec<Millis> {
    let mut statement = connection.prepare("SELECT occurred_at_ms FROM suppression_lifts ORDER BY 1").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn lifts_are_stored_from_the_first_cause_on() {
    let connection = file();
    // (what comes or goes, and the lifts then)
    for (causes, expected) in [
        (&[(20, 1)][..], &[][..]),
        (&[(9, 1)], &[10]),
        (&[(2, 1)], &[3, 8, 10]),
        (&[(3, 1)], &[3, 8, 10]),
        (&[(2, -1)], &[8, 10]),
        (&[(3, -1), (9, -1), (8, 1)], &[10]),
        (&[(8, -1), (20, -1)], &[]),
    ] {
        move_causes(&connection, causes);
        assert_eq!(lifts(&connection), expected, "{causes:?}");
        let stored = lifts(&connection);
        rewrite_lifts(&connection).unwrap();
        assert_eq!(lifts(&connection), stored, "rewritten after {causes:?}");
    }
}

#[test]
fn what_is_delivered_to_an_address_that_is_not_listed_lifts_nothing() {
    let connection = file();
    let deliver = |at_ms, n| {
        let mut delta = Delta::default();
        delta.lifts.insert(mark("a", Metric::Delivered, at_ms), n);
        write(&connection, &delta).unwrap();
    };
    deliver(10, 1);
    assert_eq!(lifts(&connection), [0; 0]);
    move_causes(&connection, &[(9, 1)]);
    deliver(10, 1);
    deliver(12, 1);
    deliver(9, 1);
    assert_eq!(lifts(&connection), [10, 12], "as late as the cause is no lift");
    deliver(12, -1);
    assert_eq!(lifts(&connection), [10]);
    clear(&connection).unwrap();
    assert_eq!(lifts(&connection), [0; 0]);
}

#[test]
fn a_delivery_whose_events_name_the_address_lifts_it() {
    let connection = file();
    connection
        .execute_batch(
            "INSERT INTO deliveries (id, delivery_id, channel, recipient, status, created_at_ms, updated_at_ms, events,
                delivered_at_ms) VALUES (5, 'p', 'email', 'else@x.org', 'delivered', 1, 50, 1, 50);
            INSERT INTO events (delivery, metric, event_id, occurred_at_ms, received_at_ms, recipient, attributes)
                VALUES (5, 'delivered', 'e50', 50, 0, 'ann@x.org', '{\"recipient\":\"ann@x.org\"}');
            INSERT INTO delivery_identifiers VALUES ('ann@x.org', 5)",
        )
        .unwrap();
    move_causes(&connection, &[(20, 1)]);
    assert_eq!(lifts(&connection), [50]);
}

#[test]
fn what_grows_is_read_by_index() {
    let connection = testing::file();
    for sql in DELIVERED.into_iter().chain([FIRST_CAUSE]) {
        testing::assert_searches(&connection, sql);
    }
}
