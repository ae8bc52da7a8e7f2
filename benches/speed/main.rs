//! How quick Waybill is, beside what it can fairly be compared with, in one run on one machine:
//! `cargo bench -- [PART...] [--events N] [--import-events N] [--deliveries N] [--file FILE] [--beside N]`
//!
//! What each part compares is in `docs/performance.md`. Sides that are compared take turns within a run, so that the machine's
//! moods fall on both; ratios are of one run, and the median of the runs is shown. Every answer is given after the commit, raw
//! JSON is stored, and every load ends by counting what is in the file.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod load;
mod pages;
mod raw;
mod servers;
mod shapes;
mod table;

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use waybill::intake::entries_of_line;
use waybill::store::{Entry, Tracker};
use waybill::wire::{self, IdKey};
use waybill_traffic::Format;

use load::Sent;
use servers::{Served, ensure_stored, serve_naively};
use table::{Bound, Table, machine, percentile};

/// When the traffic ends: always the same, so that every run writes the same bytes.
const ENDS_AT_MS: i64 = 1_790_000_000_000;
/// Of the traffic in the large file.
const FILE_SEED: u64 = 7;

const SINGLE: (usize, usize) = (1, 64);
/// Events a request, and connections.
const BATCHES: (usize, usize) = (500, 8);
/// What `waybill import` writes in a transaction.
const IMPORT_TRANSACTION: usize = 100_000;
/// What the growth of a file is measured with.
const GROWTH_TRANSACTION: usize = 1_000;

#[derive(Parser)]
struct Args {
    /// All of them, where none is named
    parts: Vec<Part>,
    /// Events in posts, and those that are written into the large file
    #[arg(long, default_value_t = 100_000)]
    events: usize,
    /// Events in the file that is imported
    #[arg(long, default_value_t = 500_000)]
    import_events: usize,
    /// Deliveries in the large file
    #[arg(long, default_value_t = 300_000)]
    deliveries: u32,
    /// The large file: made if it is not there, and not deleted
    #[arg(long)]
    file: Option<PathBuf>,
    /// Events a second while pages are read
    #[arg(long, default_value_t = 1_000.0)]
    beside: f64,
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Set by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Singles,
    Batches,
    Import,
    Hot,
    Shape,
    Pages,
    Growth,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runs = |part| args.parts.is_empty() || args.parts.contains(&part);
    println!("{}\n", machine()?);
    let mut table = Table::default();
    let events: Vec<String> = shapes::webhooks(1, args.events).collect();
    for run in 1..=args.runs {
        eprintln!("run {run} of {}", args.runs);
        if runs(Part::Singles) {
            singles(&events, &mut table)?;
        }
        if runs(Part::Batches) {
            batches(&events, &mut table)?;
        }
        if runs(Part::Import) {
            import(args.import_events, &mut table)?;
        }
        if runs(Part::Hot) {
            hot(&events, &mut table)?;
        }
        if runs(Part::Shape) {
            shape(&events, &mut table)?;
        }
    }
    if runs(Part::Pages) || runs(Part::Growth) {
        let folder = tempfile::tempdir()?;
        let file = args.file.clone().unwrap_or_else(|| folder.path().join("large.db"));
        fill(&file, args.deliveries)?;
        for _ in 0..if runs(Part::Growth) { args.runs } else { 0 } {
            growth(&file, folder.path(), args.events, &mut table)?;
        }
        if runs(Part::Pages) {
            pages::measure(&file, args.beside, &mut table)?;
        }
    }
    println!("{table}");
    Ok(())
}

/// Sends a load to a server on a new file. Also how many events its mean transaction had.
fn serve(events: &[String], (batch, connections): (usize, usize)) -> anyhow::Result<(Sent, usize)> {
    let folder = tempfile::tempdir()?;
    let db = folder.path().join("waybill.db");
    let served = Served::start(&db)?;
    let sent = load::send(served.port, events, batch, connections)?;
    let events_a_commit = served.events_a_commit()?;
    served.stop()?;
    ensure_stored(&db, events.len())?;
    Ok((sent, events_a_commit))
}

/// Single posts, against the naive design.
fn singles(events: &[String], table: &mut Table) -> anyhow::Result<()> {
    let (ours, events_a_commit) = serve(events, SINGLE)?;
    let folder = tempfile::tempdir()?;
    let db = folder.path().join("naive.db");
    let naive = serve_naively(&db, |port| load::send(port, events, SINGLE.0, SINGLE.1))?;
    ensure_stored(&db, events.len())?;
    table.load("single posts", &ours);
    table.add("single posts, p99 ms", percentile(&ours.latencies, 99), Bound::AtMost(40.0));
    table.add("single posts, events a transaction", events_a_commit as f64, Bound::None);
    table.load("naive design", &naive);
    table.add("single posts / naive design", ours.rate / naive.rate, Bound::AtLeast(3.0));
    Ok(())
}

/// Batches, against raw SQLite in transactions of the size that the writer came to.
fn batches(events: &[String], table: &mut Table) -> anyhow::Result<()> {
    let (ours, events_a_commit) = serve(events, BATCHES)?;
    let raw = raw::replay(events, events_a_commit.max(1))?;
    table.load("batches of 500", &ours);
    table.add("batches of 500, events a transaction", events_a_commit as f64, Bound::None);
    table.add("raw SQLite, same transactions, events/s", raw, Bound::None);
    table.add("batches of 500 / raw SQLite", ours.rate / raw, Bound::AtLeast(0.7));
    Ok(())
}

/// `waybill import`, parsing included, against raw SQLite in transactions as large.
fn import(events: usize, table: &mut Table) -> anyhow::Result<()> {
    let bodies: Vec<String> = shapes::webhooks(1, events).collect();
    let folder = tempfile::tempdir()?;
    let (file, db) = (folder.path().join("events.ndjson"), folder.path().join("waybill.db"));
    std::fs::write(&file, bodies.join("\n"))?;
    let begun = Instant::now();
    let mut import = Command::new(env!("CARGO_BIN_EXE_waybill"));
    let import = import.arg("import").arg(&file).arg("--db").arg(&db).stdout(Stdio::null()).status()?;
    let ours = events as f64 / begun.elapsed().as_secs_f64();
    ensure!(import.success(), "the import failed");
    ensure_stored(&db, events)?;
    let raw = raw::replay(&bodies, IMPORT_TRANSACTION)?;
    table.add("import, events/s", ours, Bound::None);
    table.add("raw SQLite, as large transactions, events/s", raw, Bound::None);
    table.add("import / raw SQLite", ours / raw, Bound::AtLeast(0.6));
    table.add("import, bytes an event", db.metadata()?.len() as f64 / events as f64, Bound::None);
    Ok(())
}

/// A third of the events to one delivery, against even traffic: altogether, and tenth by tenth.
fn hot(events: &[String], table: &mut Table) -> anyhow::Result<()> {
    let (even, _) = serve(events, SINGLE)?;
    let (hot, _) = serve(&shapes::with_hot_delivery(events), SINGLE)?;
    let tenths = |sent: &Sent| -> Vec<f64> {
        let ends = (0..=10).map(|nth| (sent.answered.len() * nth / 10).checked_sub(1));
        let ends: Vec<f64> = ends.map(|place| place.map_or(0.0, |place| sent.answered[place].as_secs_f64())).collect();
        ends.windows(2).map(|ends| ends[1] - ends[0]).collect()
    };
    let slowest = tenths(&even).iter().zip(tenths(&hot)).map(|(even, hot)| even / hot).fold(f64::MAX, f64::min);
    table.load("one hot delivery", &hot);
    table.add("one hot delivery / even traffic", hot.rate / even.rate, Bound::AtLeast(0.7));
    table.add("one hot delivery / even traffic, slowest tenth", slowest, Bound::AtLeast(0.7));
    Ok(())
}

/// Traffic that the project's generator did not write, against its own; and against raw SQLite, which says how much of a
/// difference is the rows' and the indexes'.
fn shape(events: &[String], table: &mut Table) -> anyhow::Result<()> {
    let other = shapes::other_shape(events.len());
    for (name, load) in [("single posts", SINGLE), ("batches of 500", BATCHES)] {
        let ((ours, _), (theirs, events_a_commit)) = (serve(events, load)?, serve(&other, load)?);
        let raw = raw::replay(&other, events_a_commit.max(1))?;
        table.load(&format!("another shape, {name}"), &theirs);
        table.add(&format!("another shape / the project's, {name}"), theirs.rate / ours.rate, Bound::AtLeast(0.67));
        table.add(&format!("another shape / raw SQLite, {name}"), theirs.rate / raw, Bound::None);
    }
    Ok(())
}

/// Makes the large file, by an import of all formats, if it is not there.
fn fill(file: &Path, deliveries: u32) -> anyhow::Result<()> {
    if file.exists() {
        return Ok(());
    }
    eprintln!("importing {deliveries} deliveries");
    let mut import = Command::new(env!("CARGO_BIN_EXE_waybill"));
    let mut import = import.args(["import", "-", "--db"]).arg(file).stdin(Stdio::piped()).spawn()?;
    let mut input = BufWriter::new(import.stdin.take().context("no stdin")?);
    for line in shapes::traffic(FILE_SEED, deliveries).lines(&Format::ALL) {
        writeln!(input, "{}", line.with_path())?;
    }
    drop(input);
    ensure!(import.wait()?.success(), "the import failed");
    Ok(())
}

/// The store alone, 1,000 events a transaction: into the large file, against an empty one. New traffic comes at the end of the
/// file's time, late traffic is spread over all of it.
fn growth(file: &Path, folder: &Path, events: usize, table: &mut Table) -> anyhow::Result<()> {
    let empty = folder.join("empty.db");
    let new: Vec<String> = shapes::webhooks_of(shapes::traffic_after(new_seed(), events), events).collect();
    let late: Vec<String> = shapes::webhooks(new_seed(), events).collect();
    let (at_first, later, spread) = (record(&empty, &new)?, record(file, &new)?, record(file, &late)?);
    std::fs::remove_file(empty)?;
    let deliveries: i64 =
        rusqlite::Connection::open(file)?.query_row("SELECT max(id) FROM deliveries", [], |row| row.get(0))?;
    table.add("growth, deliveries in the large file", deliveries as f64, Bound::None);
    table.add("1,000 a transaction into an empty file, events/s", at_first, Bound::None);
    table.add("1,000 a transaction into the large file, events/s", later, Bound::None);
    table.add("1,000 a transaction, large / empty", later / at_first, Bound::None);
    table.add("1,000 a transaction of late events into the large file, events/s", spread, Bound::None);
    Ok(())
}

/// Events a second; they are parsed before the clock runs.
fn record(db: &Path, bodies: &[String]) -> anyhow::Result<f64> {
    let mut tracker = Tracker::open(db)?;
    let id_key = IdKey::new(&tracker.id_key()?);
    let received_at_ms = ENDS_AT_MS + shapes::DAY_MS;
    let context =
        wire::Context { received_at_ms, id_key: &id_key, live: false, source_from: &wire::SourceFrom::Provider };
    let entries: Vec<Entry> = bodies.iter().flat_map(|body| entries_of_line(body.as_bytes(), &context)).collect();
    let begun = Instant::now();
    for entries in entries.chunks(GROWTH_TRANSACTION) {
        tracker.record(&entries.iter().collect::<Vec<_>>(), received_at_ms)?;
    }
    Ok(bodies.len() as f64 / begun.elapsed().as_secs_f64())
}

/// Of traffic that no file has yet, in however many runs.
fn new_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as u64)
}
