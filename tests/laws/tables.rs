//! The views of a real file as the model writes them.

use waybill::store::Tracker;

use rusqlite::types::ValueRef;

use super::model::{Line, Tables};

pub const VIEWS: [&str; 13] = [
    "deliveries_v1",
    "events_v1",
    "event_devices_v1",
    "sources_v1",
    "campaign_metrics_v1",
    "campaign_metrics_hourly_v1",
    "trigger_metrics_v1",
    "activity_hourly_v1",
    "status_counts_v1",
    "outcome_counts_v1",
    "engagement_counts_v1",
    "link_metrics_v1",
    "suppressions_v1",
];

/// All rows of all views.
pub fn read(tracker: &mut Tracker) -> Tables {
    VIEWS.into_iter().map(|view| (view, rows(tracker, view, ""))).collect()
}

/// The same, but what law 1 leaves open.
pub fn read_without_receipts(tracker: &mut Tracker) -> Tables {
    VIEWS.into_iter().map(|view| (view, rows(tracker, view, "received_at"))).collect()
}

/// The rows of a view or table as the model writes them.
pub fn rows(tracker: &mut Tracker, view: &str, left_out: &str) -> Vec<String> {
    let connection = tracker.connection();
    let mut statement = connection.prepare_cached(&format!("SELECT * FROM {view}")).expect("a view");
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([]).expect("rows");
    let mut lines = Vec::new();
    while let Some(row) = rows.next().expect("a row") {
        let mut line = Line::default();
        for (i, column) in columns.iter().enumerate().filter(|(_, column)| *column != left_out) {
            line = match row.get_ref(i).expect("a column") {
                ValueRef::Null => line,
                ValueRef::Integer(number) => line.number(column, number),
                ValueRef::Text(text) => line.text(column, Some(str::from_utf8(text).expect("UTF-8"))),
                other => panic!("{view}.{column} holds {other:?}"),
            };
        }
        lines.push(line.done());
    }
    lines.sort();
    lines
}

/// What only one of two has, line by line. Empty if they are equal.
pub fn differences(expected: &Tables, found: &Tables) -> String {
    assert!(VIEWS.iter().all(|view| expected.contains_key(view)), "the model knows all views");
    differences_of(expected, found)
}

/// The same, of the views that are expected.
pub fn differences_of(expected: &Tables, found: &Tables) -> String {
    let mut out = String::new();
    for (view, expected) in expected {
        let (mut missing, mut surplus) = (expected.clone(), Vec::new());
        for line in &found[view] {
            match missing.iter().position(|other| other == line) {
                Some(at) => drop(missing.remove(at)),
                None => surplus.push(line),
            }
        }
        if !missing.is_empty() || !surplus.is_empty() {
            out.push_str(&format!("{view}\n"));
            missing.iter().for_each(|line| out.push_str(&format!("  expected  {line}\n")));
            surplus.iter().for_each(|line| out.push_str(&format!("  found     {line}\n")));
        }
    }
    out
}
