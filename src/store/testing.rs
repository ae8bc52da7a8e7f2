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

/// Fails where a question reads all of a table.
pub fn assert_searches(connection: &Connection, sql: &str) {
    let plan = plan(connection, sql);
    let scan = plan.iter().find(|step| step.starts_with("SCAN") && !step.contains("json_each") && *step != "SCAN CONSTANT ROW");
    assert_eq!(scan, None, "{sql}\n{}", plan.join("\n"));
}
