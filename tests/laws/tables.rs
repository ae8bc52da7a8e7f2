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

/// The columns that number rows in order of arrival, and how often a copy came again.
const ARRIVAL: [&str; 3] = ["id", "delivery", "repeats"];

/// The same, and when something came.
const RECEIPTS: [&str; 7] =
    ["id", "delivery", "repeats", "received_at", "received_at_ms", "first_attributes", "attributes"];

/// The tables that follow from the events, by queries that name deliveries by their id. A delivery may be found by more
/// identifiers than its columns do not show, so these are taken together.
const TABLES: [(&str, &str); 14] = [
    ("deliveries", "SELECT * FROM deliveries"),
    (
        "events",
        "SELECT d.delivery_id, coalesce(e.attributes, d.first_attributes) AS says, e.* FROM events e JOIN deliveries d ON d.id = e.delivery",
    ),
    (
        "event_devices",
        "SELECT d.delivery_id, e.metric, e.event_id, v.position, v.device_id, v.platform, v.reason
        FROM event_devices v JOIN events e ON e.id = v.event JOIN deliveries d ON d.id = e.delivery",
    ),
    ("delivery_devices", "SELECT d.delivery_id, t.* FROM delivery_devices t JOIN deliveries d ON d.id = t.delivery"),
    ("delivery_links", "SELECT d.delivery_id, t.* FROM delivery_links t JOIN deliveries d ON d.id = t.delivery"),
    (
        "delivery_identifiers",
        "SELECT d.delivery_id, t.identifier FROM delivery_identifiers t JOIN deliveries d ON d.id = t.delivery
        UNION SELECT delivery_id, person_id FROM deliveries WHERE person_id IS NOT NULL
        UNION SELECT delivery_id, recipient FROM deliveries WHERE recipient IS NOT NULL",
    ),
    ("campaign_metrics", "SELECT * FROM campaign_metrics"),
    ("campaign_metrics_quarter_hourly", "SELECT * FROM campaign_metrics_quarter_hourly"),
    ("trigger_metrics", "SELECT * FROM trigger_metrics"),
    ("activity_quarter_hourly", "SELECT * FROM activity_quarter_hourly"),
    ("status_counts", "SELECT * FROM status_counts"),
    ("link_metrics", "SELECT * FROM link_metrics"),
    (
        "suppression_causes",
        "SELECT d.delivery_id, t.* FROM suppression_causes t JOIN deliveries d ON d.id = t.delivery",
    ),
    ("suppression_lifts", "SELECT d.delivery_id, t.* FROM suppression_lifts t JOIN deliveries d ON d.id = t.delivery"),
];

/// All rows of all views.
pub fn read(tracker: &mut Tracker) -> Tables {
    VIEWS.into_iter().map(|view| (view, rows_but(tracker, view, &ARRIVAL))).collect()
}

/// The same, but what law 1 leaves open.
pub fn read_without_receipts(tracker: &mut Tracker) -> Tables {
    VIEWS.into_iter().map(|view| (view, rows_but(tracker, view, &RECEIPTS))).collect()
}

/// All rows of the tables behind them, but what law 1 leaves open.
pub fn read_tables(tracker: &mut Tracker) -> Tables {
    TABLES.into_iter().map(|(table, sql)| (table, rows_but(tracker, &format!("({sql})"), &RECEIPTS))).collect()
}

/// The rows of a view or table as the model writes them.
pub fn rows(tracker: &mut Tracker, view: &str) -> Vec<String> {
    rows_but(tracker, view, &[])
}

/// The same, but some columns.
pub fn rows_but(tracker: &mut Tracker, view: &str, left_out: &[&str]) -> Vec<String> {
    let connection = tracker.connection();
    let mut statement = connection.prepare_cached(&format!("SELECT * FROM {view}")).expect("a view");
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([]).expect("rows");
    let mut lines = Vec::new();
    while let Some(row) = rows.next().expect("a row") {
        let mut line = Line::default();
        for (i, column) in columns.iter().enumerate().filter(|(_, column)| !left_out.contains(&&***column)) {
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
