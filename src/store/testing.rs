//! An empty file for tests of single questions.

use rusqlite::Connection;

/// A file in memory with the schema and nothing in it.
pub fn file() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("../../migrations/0001_core.sql")).unwrap();
    connection
}

/// The steps by which SQLite answers a question.
pub fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values = vec![rusqlite::types::Value::Null; statement.parameter_count()];
    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| row.get("detail")).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// Fails where a question reads all of a table, rather than of a subquery or of a JSON value.
pub fn assert_searches(connection: &Connection, sql: &str) {
    let plan = plan(connection, sql);
    let is_subquery = |name: &str| {
        plan.iter().any(|step| step.split_once(' ').is_some_and(|(kind, of)| kind != "SCAN" && of == name))
            || name == "CONSTANT ROW"
            || name.contains("VIRTUAL TABLE")
    };
    let scan = plan.iter().find(|step| step.strip_prefix("SCAN ").is_some_and(|name| !is_subquery(name)));
    assert_eq!(scan, None, "{sql}\n{}", plan.join("\n"));
}
