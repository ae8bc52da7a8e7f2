use super::*;
use crate::store::testing;

fn item(public: bool, body: &[u8]) -> Quarantined {
    Quarantined {
        format: "test".into(),
        reason: "bad_time".into(),
        detail: "".into(),
        delivery_id: None,
        due_at_ms: Some(5),
        public,
        body: body.into(),
        body_bytes: body.len() as i64,
    }
}

fn text(connection: &Connection, sql: &str) -> String {
    let sql = format!("SELECT coalesce(group_concat(x, ' '), '') FROM (SELECT {sql})");
    connection.query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn the_same_body_is_one_row_and_counts_follow_it() {
    let connection = testing::file();
    assert!(insert(&connection, &item(false, b""), 1).unwrap());
    assert!(!insert(&connection, &item(false, b""), 2).unwrap());
    assert!(insert(&connection, &item(true, b""), 3).unwrap(), "another sender");
    assert_eq!(text(&connection, "repeats || is_public || length(body) AS x FROM quarantine ORDER BY id"), "100 010");
    assert_eq!(count(&connection, "bad_time").unwrap(), 2);
    give_up(&connection, 1, "the disk says no").unwrap();
    give_up(&connection, 99, "").unwrap();
    assert_eq!(
        text(&connection, "reason || entries AS x FROM _quarantine_counts ORDER BY reason"),
        "bad_time1 not_stored1"
    );
    assert_eq!(text(&connection, "count(due_at_ms) AS x FROM quarantine"), "1");
    assert!(release(&connection, 1).unwrap() && !release(&connection, 1).unwrap());
    assert_eq!((count(&connection, NOT_STORED).unwrap(), count(&connection, "other").unwrap()), (0, 0));
}

#[test]
fn bodies_from_strangers_take_no_more_room_than_they_may() {
    let connection = testing::file();
    insert(&connection, &item(false, b"ours"), 1).unwrap();
    insert(&connection, &item(true, b"first"), 1).unwrap();
    connection.execute_batch(&format!("UPDATE _quarantine_counts SET entries = {PUBLIC_MAX}")).unwrap();
    insert(&connection, &item(true, b"second"), 1).unwrap();
    insert(&connection, &item(true, b"second"), 1).unwrap();
    let bodies = "CAST(body AS TEXT) AS x FROM quarantine ORDER BY id";
    assert_eq!(text(&connection, bodies), "ours second");
    assert_eq!(text(&connection, "dropped AS x FROM _quarantine_counts"), "1");
    insert(&connection, &item(false, b"ours too"), 1).unwrap();
    assert_eq!(text(&connection, bodies), "ours second ours too");
    testing::assert_searches(&connection, OLDEST_PUBLIC);

    // in bytes too, whatever their number
    let public_bytes = || text(&connection, "public_bytes AS x FROM _quarantine_counts");
    connection.execute_batch("UPDATE _quarantine_counts SET entries = 3").unwrap();
    assert_eq!(public_bytes(), "6");
    connection.execute_batch(&format!("UPDATE _quarantine_counts SET public_bytes = {PUBLIC_BYTES_MAX}")).unwrap();
    insert(&connection, &item(true, b"third"), 1).unwrap();
    assert_eq!(text(&connection, bodies), "ours ours too third");
    assert_eq!(public_bytes(), (PUBLIC_BYTES_MAX - 1).to_string());
    let third = text(&connection, "max(id) AS x FROM quarantine").parse().unwrap();
    give_up(&connection, third, "").unwrap();
    let moved = text(&connection, "public_bytes AS x FROM _quarantine_counts ORDER BY reason");
    assert_eq!(moved, format!("{} 5", PUBLIC_BYTES_MAX - 6));
    release(&connection, third).unwrap();
    assert!(text(&connection, "public_bytes AS x FROM _quarantine_counts ORDER BY reason").ends_with(" 0"));
}

#[test]
fn receipts_are_by_quarter_of_an_hour_and_names_of_ignored_events_are_bounded() {
    let connection = testing::file();
    let write = |names: &[&str], outcomes: &[Outcome], at_ms| {
        let mut receipts = Receipts::default();
        names.iter().for_each(|name| receipts.ignore((*name).into()));
        receipts.write(&connection, outcomes, at_ms).unwrap();
    };
    write(&["page"], &[Outcome::Released], 1);
    assert_eq!(text(&connection, "bucket_ms AS x FROM receipts"), "", "nothing came in");
    write(&["page", "page"], &[Outcome::Accepted, Outcome::Ignored, Outcome::Ignored], QUARTER_MS + 7);
    write(&["page"], &[Outcome::Ignored, Outcome::Duplicate, Outcome::Quarantined], QUARTER_MS + 5);
    let row =
        "bucket_ms || '/' || accepted || duplicate || ignored || quarantined || '/' || last_at_ms AS x FROM receipts";
    assert_eq!(text(&connection, row), "900000/1131/900007");
    assert_eq!(text(&connection, "name || events || '/' || last_at_ms AS x FROM ignored"), "page3/900007");
    for n in 0..NAMES_MAX + 5 {
        write_ignored(&connection, &format!("n{n}"), 1, 9).unwrap();
    }
    let others = format!("events AS x FROM ignored WHERE name = '{OTHER_NAMES}'");
    assert_eq!(text(&connection, &others), "6");
    ignore_under_another_name(&connection, "page").unwrap();
    assert_eq!(text(&connection, &others), "9");
}
