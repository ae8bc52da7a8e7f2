//! The file as people open it, beside whoever writes it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// Every view that is promised, row by row as text.
pub type Views = BTreeMap<String, Vec<String>>;

pub fn open(db: &Path) -> Connection {
    let connection = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    connection
}

/// What a query finds: a row a line, its columns parted by bars.
pub fn rows(db: &Path, sql: &str) -> Vec<String> {
    read(&open(db), sql, &[])
}

/// All rows of all views, in no order, but for what law 1 leaves open: receipt times, arrival numbers, raw bodies and
/// the counting of repeats.
pub fn views(db: &Path) -> Views {
    let connection = open(db);
    let names = read(&connection, "SELECT name FROM sqlite_schema WHERE type = 'view' AND name GLOB '*_v1'", &[]);
    assert!(names.len() > 12, "{names:?}");
    let view = |name: String| {
        let left_out: &[&str] = match &*name {
            "events_raw_v1" => &["id", "delivery", "received_at", "received_at_ms", "format", "body"],
            _ => &["id", "delivery", "received_at", "received_at_ms", "quarantine_id", "repeats"],
        };
        let mut lines = read(&connection, &format!("SELECT * FROM {name}"), left_out);
        lines.sort_unstable();
        (name, lines)
    };
    names.into_iter().map(view).collect()
}

/// Fails with the first differences.
pub fn assert_same(expected: &Views, found: &Views, when: &str) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{when}");
    for (view, lines) in expected {
        if *lines == found[view] {
            continue;
        }
        let only_in = |one: &[String], other: &[String]| -> Vec<String> {
            one.iter().filter(|line| other.binary_search(line).is_err()).take(3).cloned().collect()
        };
        let (missing, surplus) = (only_in(lines, &found[view]), only_in(&found[view], lines));
        let (wanted, has) = (lines.len(), found[view].len());
        panic!("{when}: {view} has {has} rows, wanted {wanted}\nmissing: {missing:#?}\nsurplus: {surplus:#?}");
    }
}

fn read(connection: &Connection, sql: &str, left_out: &[&str]) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns: Vec<usize> = statement
        .column_names()
        .iter()
        .enumerate()
        .filter(|(_, name)| !left_out.contains(name))
        .map(|(place, _)| place)
        .collect();
    let mut rows = statement.query([]).unwrap();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells = columns.iter().map(|place| match row.get_ref(*place).unwrap() {
            ValueRef::Null => "-".into(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => number.to_string(),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        });
        lines.push(cells.collect::<Vec<_>>().join("|"));
    }
    lines
}
