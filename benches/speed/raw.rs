//! What SQLite itself takes for the same work: the statements that Waybill's store runs, with their values, recorded by
//! SQLite's trace and replayed on a copy of the empty file, by a connection that is set up alike, in transactions of the same
//! size. No HTTP, no JSON, no folding: each statement is prepared once, and of a query no more rows are read than Waybill
//! read. In the end both files are compared. It knows nothing of the schema.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement, params_from_iter};
use waybill::intake::entries_of_line;
use waybill::store::{Entry, Tracker};
use waybill::wire::{Context, IdKey};

use super::ENDS_AT_MS;

/// How many events are recorded before they are replayed, so that the values of millions need not fit the memory.
const PIECE: usize = 50_000;

/// A statement that was run.
struct Call {
    statement: usize,
    values: Vec<Value>,
    rows: usize,
}

#[derive(Default)]
struct Recorded {
    numbers: HashMap<String, usize>,
    statements: Vec<String>,
    calls: Vec<Call>,
    /// The place of each statement's last call.
    last: HashMap<usize, usize>,
}

/// What the trace callback, which takes no state, writes to.
static RECORDED: Mutex<Option<Recorded>> = Mutex::new(None);

fn recorded<T>(with: impl FnOnce(&mut Recorded) -> T) -> T {
    with(RECORDED.lock().expect("invariant: no holder panics").get_or_insert_default())
}

/// Runs the statements for these bodies: events a second, a checkpoint in the end included.
pub fn replay(bodies: &[String], transaction: usize) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let (product_db, raw_db) = (folder.path().join("product.db"), folder.path().join("raw.db"));
    let id_key = IdKey::new(&Tracker::open(&product_db)?.id_key()?);
    std::fs::copy(&product_db, &raw_db)?;
    recorded(|all| *all = Recorded::default());
    let mut product = Tracker::open(&product_db)?;
    // it is only listened to
    product.connection().pragma_update(None, "synchronous", "OFF")?;
    let codes = TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_ROW;
    product.connection().trace_v2(codes, Some(traced as fn(TraceEvent<'_>)));
    let mut raw = Tracker::open(&raw_db)?;
    let raw: &Connection = raw.connection();
    let (mut statements, mut took) = (Vec::new(), Duration::ZERO);
    let context = Context {
        received_at_ms: ENDS_AT_MS,
        id_key: &id_key,
        live: false,
        source_from: &waybill::wire::SourceFrom::Provider,
    };
    for piece in bodies.chunks(transaction * (PIECE / transaction).max(1)) {
        let mut transactions = Vec::new();
        for bodies in piece.chunks(transaction) {
            let entries: Vec<Entry> =
                bodies.iter().flat_map(|body| entries_of_line(body.as_bytes(), &context)).collect();
            product.record(&entries.iter().collect::<Vec<_>>(), ENDS_AT_MS)?;
            transactions.push(recorded(|all| {
                all.last.clear();
                std::mem::take(&mut all.calls)
            }));
        }
        for sql in recorded(|all| all.statements[statements.len()..].to_vec()) {
            statements.push(raw.prepare(&sql)?);
        }
        let begun = Instant::now();
        for calls in &transactions {
            run(raw, &mut statements, calls)?;
        }
        took += begun.elapsed();
    }
    product.connection().trace_v2(TraceEventCodes::empty(), None);
    drop(statements);
    let begun = Instant::now();
    raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    took += begun.elapsed();
    ensure_same(product.connection(), &raw_db)?;
    Ok(bodies.len() as f64 / took.as_secs_f64())
}

fn run(raw: &Connection, statements: &mut [Statement], calls: &[Call]) -> anyhow::Result<()> {
    raw.execute_batch("BEGIN IMMEDIATE")?;
    for Call { statement, values, rows } in calls {
        let mut answer = statements[*statement].query(params_from_iter(values))?;
        for _ in 0..(*rows).max(1) {
            answer.next()?;
        }
    }
    Ok(raw.execute_batch("COMMIT")?)
}

fn traced(event: TraceEvent<'_>) {
    match event {
        TraceEvent::Stmt(statement, _) => {
            let sql = statement.sql();
            recorded(|all| all.begun(&sql, &statement.expanded_sql().unwrap_or_default()));
        }
        TraceEvent::Row(statement) => {
            let sql = statement.sql();
            recorded(|all| {
                if let Some(place) = all.numbers.get(&*sql).and_then(|number| all.last.get(number)) {
                    all.calls[*place].rows += 1;
                }
            });
        }
        _ => {}
    }
}

impl Recorded {
    fn begun(&mut self, sql: &str, expanded: &str) {
        // the replay begins and ends transactions itself, and a connection has its pragmas already
        if ["BEGIN", "COMMIT", "PRAGMA"].iter().any(|word| sql.starts_with(word)) {
            return;
        }
        let number = self.numbers.get(sql).copied().unwrap_or_else(|| {
            self.numbers.insert(sql.to_owned(), self.statements.len());
            self.statements.push(sql.to_owned());
            self.statements.len() - 1
        });
        self.last.insert(number, self.calls.len());
        self.calls.push(Call { statement: number, values: values(sql, expanded), rows: 0 });
    }
}

/// Every table has the same rows in both files.
fn ensure_same(product: &Connection, raw: &Path) -> anyhow::Result<()> {
    product.execute("ATTACH ?1 AS raw", [raw.to_string_lossy()])?;
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    for table in product.prepare(tables)?.query_map([], |row| row.get::<_, String>(0))? {
        let table = table?;
        for (one, other) in [("main", "raw"), ("raw", "main")] {
            let sql =
                format!("SELECT count(*) FROM (SELECT * FROM {one}.{table} EXCEPT SELECT * FROM {other}.{table})");
            let differing: i64 = product.query_row(&sql, [], |row| row.get(0))?;
            ensure!(differing == 0, "the replay is not what Waybill wrote: {differing} rows of {one}.{table} differ");
        }
    }
    Ok(())
}

/// The values that were bound: where the statement has `?3` or `:name`, its expanded text has a literal.
fn values(mut sql: &str, mut expanded: &str) -> Vec<Value> {
    let mut bound: Vec<Option<Value>> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    while let Some(place) = sql.find(['?', ':', '\'', '-']) {
        let rest = &sql[place..];
        expanded = &expanded[place..];
        // what stands within a string or a comment is no parameter
        let skipped = match rest.as_bytes() {
            [b'\'', ..] => literal(rest).1,
            [b'-', b'-', ..] => rest.find('\n').unwrap_or(rest.len()),
            [b'-', ..] => 1,
            _ => 0,
        };
        if skipped > 0 {
            (sql, expanded) = (&rest[skipped..], &expanded[skipped..]);
            continue;
        }
        let length = rest[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(rest.len(), |end| end + 1);
        let name = &rest[1..length];
        let (value, taken) = literal(expanded);
        (sql, expanded) = (&rest[length..], &expanded[taken..]);
        let number = match name.parse::<usize>() {
            Ok(number) => number,
            Err(_) if name.is_empty() => bound.len() + 1,
            Err(_) => {
                let known = named.iter().position(|known| *known == name);
                known.unwrap_or_else(|| {
                    named.push(name);
                    named.len() - 1
                }) + 1
            }
        };
        bound.resize(bound.len().max(number), None);
        bound[number - 1] = Some(value);
    }
    bound.into_iter().map(|value| value.unwrap_or(Value::Null)).collect()
}

/// A literal at the beginning of some SQL, and its length.
fn literal(sql: &str) -> (Value, usize) {
    let is_blob = sql.starts_with("x'");
    if is_blob || sql.starts_with('\'') {
        let begin = if is_blob { 2 } else { 1 };
        let (mut end, bytes) = (begin, sql.as_bytes());
        while end < bytes.len() && (bytes[end] != b'\'' || bytes.get(end + 1) == Some(&b'\'')) {
            end += if bytes[end] == b'\'' { 2 } else { 1 };
        }
        let text = &sql[begin..end];
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok();
        let value = match is_blob {
            true => Value::Blob((0..text.len() / 2).filter_map(byte).collect()),
            false => Value::Text(text.replace("''", "'")),
        };
        return (value, end + 1);
    }
    let length = sql.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(sql.len());
    let word = &sql[..length];
    let value = match (word.parse::<i64>(), word.parse::<f64>()) {
        (Ok(number), _) => Value::Integer(number),
        (_, Ok(number)) => Value::Real(number),
        _ => Value::Null,
    };
    (value, length)
}
