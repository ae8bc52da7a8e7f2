//! What SQLite itself takes for the same work: the product's own statements with the values that the product gave
//! them, on the same schema and indexes with the same pragmas, from a copy of the same empty file, in transactions of
//! the same size. No JSON, no HTTP, no folding, no caches: only the statements, each prepared once, and of a question
//! no more rows than the product read.
//!
//! In the end both files are compared, row by row: what was run again is what the product wrote.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement, params_from_iter};
use waybill::intake;
use waybill::store::{Entry, Tracker, sqlite};
use waybill::wire::{Context, IdKey};

pub struct Raw {
    pub events: usize,
    /// Each counted once.
    pub stored: i64,
    pub took: Duration,
    /// How long each transaction took, in order of length.
    pub transactions: Vec<Duration>,
    /// How long the rest took: tidying, and moving what is left of the log into the file.
    pub end: Duration,
}

impl Raw {
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }

    fn run<'c>(
        &mut self,
        connection: &'c Connection,
        statements: &mut Vec<Statement<'c>>,
        transactions: &[Vec<Call>],
    ) -> anyhow::Result<()> {
        for sql in recorded(|all| all.statements[statements.len()..].to_vec()) {
            statements.push(connection.prepare(&sql)?);
        }
        for calls in transactions {
            let begun = Instant::now();
            run(connection, statements, calls)?;
            self.transactions.push(begun.elapsed());
        }
        Ok(())
    }
}

/// A statement that was run.
struct Call {
    /// Which.
    number: usize,
    values: Vec<Value>,
    rows: usize,
}

#[derive(Default)]
struct Recorded {
    numbers: HashMap<String, usize>,
    statements: Vec<String>,
    transactions: Vec<Vec<Call>>,
    /// The place of each statement's last call in the transaction.
    last: HashMap<usize, usize>,
}

/// What the trace callback, which takes no state, writes to.
static RECORDED: Mutex<Option<Recorded>> = Mutex::new(None);

fn recorded<T>(with: impl FnOnce(&mut Recorded) -> T) -> T {
    with(RECORDED.lock().expect("invariant: no holder panics").get_or_insert_default())
}

/// How many events are recorded before they are run again, so that the values of millions fit the memory.
const PIECE: usize = 20_000;

/// How far the product goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The events are written.
    Written,
    /// What can wait is done too, as an import does in its end: parts of addresses are indexed, and days summed.
    Tidied,
}

/// How many events go together.
#[derive(Clone, Copy)]
pub struct Size {
    /// Into a transaction.
    pub transaction: usize,
    /// Are taken in at once, so that what they move of a row is written once.
    pub at_once: usize,
}

impl Size {
    /// Of transactions that are taken in whole, as a server does.
    pub fn whole(transaction: usize) -> Size {
        Size { transaction: transaction.max(1), at_once: transaction.max(1) }
    }
}

/// Runs what the product runs for these bodies.
pub fn measure(mut bodies: impl Iterator<Item = String>, size: Size, until: Until) -> anyhow::Result<Raw> {
    let group = size.transaction;
    let folder = tempfile::tempdir()?;
    let (product, raw) = (folder.path().join("product.db"), folder.path().join("raw.db"));
    drop(Tracker::open(&product)?);
    std::fs::copy(&product, &raw)?;
    recorded(|all| *all = Recorded::default());
    let mut product = Tracker::open(&product)?;
    // it is only listened to
    product.connection().pragma_update(None, "synchronous", "OFF")?;
    listen(&mut product, true);
    let connection = sqlite::open(&raw)?;
    let mut statements = Vec::new();
    let none = Duration::ZERO;
    let mut raw = Raw { events: 0, stored: 0, took: none, transactions: Vec::new(), end: none };
    loop {
        let piece: Vec<String> = bodies.by_ref().take(group * (PIECE / group).max(1)).collect();
        if piece.is_empty() {
            break;
        }
        raw.events += piece.len();
        let transactions = record(&mut product, &piece, size)?;
        raw.run(&connection, &mut statements, &transactions)?;
    }
    let of_events = raw.transactions.len();
    while until == Until::Tidied && product.tidy()? {
        raw.run(&connection, &mut statements, &recorded(|all| std::mem::take(&mut all.transactions)))?;
    }
    raw.end = raw.transactions.drain(of_events..).sum();
    listen(&mut product, false);
    drop(statements);
    let begun = Instant::now();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    raw.end += begun.elapsed();
    raw.took = raw.transactions.iter().sum();
    raw.transactions.sort_unstable();
    raw.stored = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    ensure_same(product.connection(), &connection)?;
    Ok(raw)
}

fn record(product: &mut Tracker, bodies: &[String], size: Size) -> anyhow::Result<Vec<Vec<Call>>> {
    let id_key = IdKey::new(&product.id_key()?);
    let context = Context { received_at_ms: super::ENDS_AT_MS, id_key: &id_key, live: false };
    for bodies in bodies.chunks(size.transaction) {
        let mut recording = product.begin()?;
        for bodies in bodies.chunks(size.at_once) {
            let entries: Vec<Entry> =
                bodies.iter().flat_map(|body| intake::entries_of_line(body.as_bytes(), &context)).collect();
            recording.record(&entries.iter().collect::<Vec<_>>(), super::ENDS_AT_MS)?;
        }
        recording.commit()?;
    }
    Ok(recorded(|all| std::mem::take(&mut all.transactions)))
}

fn listen(product: &mut Tracker, does: bool) {
    let codes = TraceEventCodes::SQLITE_TRACE_STMT | TraceEventCodes::SQLITE_TRACE_ROW;
    let codes = if does { codes } else { TraceEventCodes::empty() };
    product.connection().trace_v2(codes, does.then_some(traced as fn(TraceEvent<'_>)));
}

fn traced(event: TraceEvent<'_>) {
    match event {
        TraceEvent::Stmt(statement, _) => {
            let sql = statement.sql();
            recorded(|all| all.begun(&sql, &statement.expanded_sql().unwrap_or_default()));
        }
        TraceEvent::Row(statement) => {
            let sql = statement.sql();
            recorded(|all| all.gave_a_row(&sql));
        }
        _ => {}
    }
}

impl Recorded {
    fn begun(&mut self, sql: &str, expanded: &str) {
        if sql.starts_with("BEGIN") {
            self.transactions.push(Vec::new());
            self.last.clear();
            return;
        }
        // how a transaction begins and ends is not the product's, and pragmas are set when the file is opened
        if sql.starts_with("COMMIT") || sql.starts_with("PRAGMA") {
            return;
        }
        let number = self.numbers.get(sql).copied().unwrap_or_else(|| {
            self.numbers.insert(sql.to_owned(), self.statements.len());
            self.statements.push(sql.to_owned());
            self.statements.len() - 1
        });
        if let Some(transaction) = self.transactions.last_mut() {
            self.last.insert(number, transaction.len());
            transaction.push(Call { number, values: values(sql, expanded), rows: 0 });
        }
    }

    fn gave_a_row(&mut self, sql: &str) {
        let place = self.numbers.get(sql).and_then(|number| self.last.get(number));
        if let Some((place, transaction)) = place.zip(self.transactions.last_mut()) {
            transaction[*place].rows += 1;
        }
    }
}

fn run(connection: &Connection, statements: &mut [Statement], calls: &[Call]) -> anyhow::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for Call { number, values, rows } in calls {
        let mut answer = statements[*number].query(params_from_iter(values))?;
        for _ in 0..(*rows).max(1) {
            answer.next()?;
        }
    }
    Ok(connection.execute_batch("COMMIT")?)
}

/// Every table has the same rows in both.
fn ensure_same(product: &Connection, raw: &Connection) -> anyhow::Result<()> {
    let mut tables =
        product.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?;
    for table in tables.query_map([], |row| row.get::<_, String>(0))? {
        let sql = format!("SELECT * FROM {}", table?);
        let (mut product, mut raw) = (product.prepare(&sql)?, raw.prepare(&sql)?);
        let columns = product.column_count();
        let (mut product, mut raw) = (product.query([])?, raw.query([])?);
        loop {
            match (product.next()?, raw.next()?) {
                (None, None) => break,
                (Some(a), Some(b)) => {
                    for column in 0..columns {
                        ensure!(
                            a.get_ref(column)? == b.get_ref(column)?,
                            "{sql}: column {column} differs: {a:?} {b:?}"
                        );
                    }
                }
                _ => anyhow::bail!("{sql}: not as many rows"),
            }
        }
    }
    Ok(())
}

/// The values that were bound: where the template has `?3` or `:name`, the text in which they are filled in has a
/// literal.
fn values(template: &str, filled: &str) -> Vec<Value> {
    let mut bound: Vec<Option<Value>> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    let (mut template, mut filled) = (template, filled);
    while let Some(place) = template.find(['?', ':']) {
        let rest = &template[place + 1..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..length];
        filled = &filled[place..];
        template = &rest[length..];
        let (value, taken) = literal(filled);
        filled = &filled[taken..];
        let number = name.parse::<usize>().unwrap_or_else(|_| {
            named.iter().position(|known| *known == name).unwrap_or_else(|| {
                named.push(name);
                named.len() - 1
            }) + 1
        });
        bound.resize(bound.len().max(number), None);
        bound[number - 1] = Some(value);
    }
    bound.into_iter().map(|value| value.unwrap_or(Value::Null)).collect()
}

/// A literal of SQL at the beginning of a text, and its length.
fn literal(text: &str) -> (Value, usize) {
    if let Some(rest) = text.strip_prefix('\'') {
        let mut out = String::new();
        let mut rest_chars = rest.char_indices().peekable();
        while let Some((place, c)) = rest_chars.next() {
            if c == '\'' && rest_chars.next_if(|(_, next)| *next == '\'').is_none() {
                return (Value::Text(out), 1 + place + 1);
            }
            out.push(c);
        }
        return (Value::Text(out), text.len());
    }
    if let Some(rest) = text.strip_prefix("x'") {
        let hex = rest.split('\'').next().unwrap_or_default();
        let bytes = (0..hex.len() / 2).filter_map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()).collect();
        return (Value::Blob(bytes), hex.len() + 3);
    }
    let length = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c)).unwrap_or(text.len());
    let word = &text[..length];
    let value = match (word.parse::<i64>(), word.parse::<f64>()) {
        (Ok(number), _) => Value::Integer(number),
        (_, Ok(number)) => Value::Real(number),
        _ => Value::Null,
    };
    (value, length)
}
