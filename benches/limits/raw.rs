//! What SQLite itself takes for the same work: the product's own statements with the values that the product gave
//! them, on the same schema and indexes, from the same empty file, in transactions of the same size. No JSON, no HTTP,
//! no folding, no caches: only the statements.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use waybill::intake;
use waybill::store::{Entry, Tracker, sqlite};
use waybill::wire::{Context, IdKey};

use super::percentile;

pub struct Raw {
    pub events: usize,
    pub took: Duration,
    pub commit_p99: Duration,
}

impl Raw {
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }
}

/// A statement by number, with its values.
type Call = (usize, Vec<Value>);

#[derive(Default)]
struct Recorded {
    numbers: HashMap<String, usize>,
    statements: Vec<String>,
    transactions: Vec<Vec<Call>>,
}

/// What the trace callback, which takes no state, writes to.
static RECORDED: Mutex<Option<Recorded>> = Mutex::new(None);

pub fn measure(bodies: &[String], group: usize) -> anyhow::Result<Raw> {
    let folder = tempfile::tempdir()?;
    let mut raw = Raw { events: bodies.len(), took: Duration::ZERO, commit_p99: Duration::ZERO };
    let file = folder.path().join("raw.db");
    let connection = sqlite::open(&file)?;
    let mut replay = Replay { connection, commits: Vec::new() };
    // recorded and replayed piece by piece, so that the values of hundreds of thousands of events fit the memory
    let mut product = Product::open(&folder.path().join("product.db"))?;
    for piece in bodies.chunks(group * (20_000 / group).max(1)) {
        let recorded = product.record(piece, group)?;
        let begun = Instant::now();
        replay.run(&recorded)?;
        raw.took += begun.elapsed();
    }
    let stored: i64 = replay.connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    let wanted: i64 = product.tracker.connection().query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    anyhow::ensure!(stored == wanted, "the replay stored {stored} of {wanted} events");
    replay.commits.sort_unstable();
    raw.commit_p99 = percentile(&replay.commits, 99);
    Ok(raw)
}

/// The product, recording in process.
struct Product {
    tracker: Tracker,
    id_key: IdKey,
}

impl Product {
    fn open(path: &Path) -> anyhow::Result<Product> {
        let tracker = Tracker::open(path)?;
        let id_key = IdKey::new(&tracker.id_key()?);
        Ok(Product { tracker, id_key })
    }

    fn record(&mut self, bodies: &[String], group: usize) -> anyhow::Result<Recorded> {
        let mut recorded = RECORDED.lock().expect("invariant: no holder panics").take().unwrap_or_default();
        recorded.transactions.clear();
        *RECORDED.lock().expect("invariant: no holder panics") = Some(recorded);
        self.tracker.connection().trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(traced));
        for chunk in bodies.chunks(group) {
            let context = Context { received_at_ms: super::ENDS_AT_MS, id_key: &self.id_key };
            let entries: Vec<Entry> =
                chunk.iter().flat_map(|body| intake::entries_of_line(body.as_bytes(), &context)).collect();
            self.tracker.record(&entries.iter().collect::<Vec<_>>(), super::ENDS_AT_MS)?;
        }
        self.tracker.connection().trace_v2(TraceEventCodes::empty(), None);
        let mut kept = RECORDED.lock().expect("invariant: no holder panics");
        let recorded = kept.take().unwrap_or_default();
        // the numbers of statements stay, so that the next piece uses the same
        *kept = Some(Recorded {
            numbers: recorded.numbers.clone(),
            statements: recorded.statements.clone(),
            transactions: Vec::new(),
        });
        Ok(recorded)
    }
}

fn traced(event: TraceEvent<'_>) {
    let TraceEvent::Stmt(statement, _) = event else { return };
    let sql = statement.sql();
    let mut guard = RECORDED.lock().expect("invariant: no holder panics");
    let Some(recorded) = guard.as_mut() else { return };
    if sql.starts_with("BEGIN") {
        recorded.transactions.push(Vec::new());
        return;
    }
    if sql.starts_with("COMMIT") || sql.starts_with("PRAGMA") {
        return;
    }
    let values = values(&sql, &statement.expanded_sql().unwrap_or_default());
    let next = recorded.statements.len();
    let number = *recorded.numbers.entry(sql.to_string()).or_insert(next);
    if number == next {
        recorded.statements.push(sql.to_string());
    }
    if let Some(transaction) = recorded.transactions.last_mut() {
        transaction.push((number, values));
    }
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

struct Replay {
    connection: Connection,
    commits: Vec<Duration>,
}

impl Replay {
    fn run(&mut self, recorded: &Recorded) -> anyhow::Result<()> {
        let connection = &self.connection;
        let mut statements =
            recorded.statements.iter().map(|sql| connection.prepare(sql)).collect::<Result<Vec<_>, _>>()?;
        for calls in &recorded.transactions {
            let begun = Instant::now();
            connection.execute_batch("BEGIN IMMEDIATE")?;
            for (number, values) in calls {
                let mut rows = statements[*number].query(params_from_iter(values))?;
                while rows.next()?.is_some() {}
            }
            connection.execute_batch("COMMIT")?;
            self.commits.push(begun.elapsed());
        }
        Ok(())
    }
}
