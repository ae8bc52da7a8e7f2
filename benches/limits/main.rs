//! How near Waybill comes to what SQLite allows, in one run on one machine:
//! `cargo bench --bench limits [-- PART... --events N --import-events N]`
//!
//! - `singles`: single posts, beside an echo and beside the design that everyone writes first
//! - `batches`: posts of 100 and 500 events, beside raw SQLite in transactions of the size that the writer came to
//! - `import`: `waybill import`, beside raw SQLite in transactions of 100,000 events
//! - `reads`: whole pages, alone and while events come in, and how much reading slows these; of the file that
//!   `--file` names, to which events are added, or of one with `--events`
//! - `growth`: how a file of `--deliveries` slows what is written; only where it is named, since it takes half an hour, with
//!   `--file` to keep the file and go on from it
//!
//! Raw SQLite runs the statements that the product ran, with their values. What is compared takes turns, three times, so
//! that the machine's moods fall on both; the median is shown. The load generator shares the cores with the server that it
//! loads. Every answer is given after the commit, raw JSON is kept, and every run ends by counting what is in the file.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod client;
mod growth;
mod import;
mod naive;
mod raw;
mod reads;
mod server;
mod table;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::{Parser, ValueEnum};
use waybill::intake::{self, Scope};
use waybill::store::Entry;
use waybill::traffic::{Format, Line, Says, Traffic};
use waybill::wire::{self, Context, IdKey};

use client::Load;
use raw::{Size, Until};
use server::Served;
use table::{Goal, Table};

/// When the traffic ends: always the same, so that every run writes the same bytes.
const ENDS_AT_MS: i64 = 1_790_000_000_000;

const RUNS: usize = 3;

const PATH: &str = "/webhooks/customerio";

/// How many single posts each number of connections sends, and how long the naive design may take for as many: what it
/// has managed by then counts.
const SINGLES: [(usize, usize); 4] = [(1, 10_000), (16, 60_000), (64, 100_000), (256, 100_000)];
const NAIVE_WITHIN: Duration = Duration::from_secs(15);

/// What single posts are to reach.
struct Wanted {
    connections: usize,
    to_naive: f64,
    to_echo: Option<f64>,
    p99_ms: f64,
}

const WANTED: [Wanted; 2] = [
    Wanted { connections: 64, to_naive: 8.0, to_echo: None, p99_ms: 15.0 },
    Wanted { connections: 256, to_naive: 10.0, to_echo: Some(0.25), p99_ms: 40.0 },
];

/// Events a request, and how much of raw SQLite's rate is wanted; eight connections.
const BATCHES: [(usize, f64); 2] = [(100, 0.85), (500, 0.90)];
const BATCH_CONNECTIONS: usize = 8;

#[derive(Parser)]
struct Args {
    /// All but growth, where none is named
    parts: Vec<Part>,
    /// Events in posts
    #[arg(long, default_value_t = 300_000)]
    events: usize,
    /// Events in the file that is imported
    #[arg(long, default_value_t = 3_000_000)]
    import_events: usize,
    /// Deliveries in the file that grows
    #[arg(long, default_value_t = 10_000_000)]
    deliveries: u32,
    /// The file that grows, or is read from
    #[arg(long)]
    file: Option<PathBuf>,
    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Singles,
    Batches,
    Import,
    Reads,
    Growth,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let wants = |part| args.parts.is_empty() || args.parts.contains(&part);
    println!("{}\n", table::machine()?);

    let needs_lines = [Part::Singles, Part::Batches].into_iter().any(wants);
    let lines: Vec<Line> = webhooks(if needs_lines { args.events } else { 0 }).collect();
    let bodies: Vec<String> = lines.iter().map(|line| line.body.clone()).collect();
    let mut table = Table::default();
    for run in 1..=RUNS {
        if wants(Part::Singles) {
            eprintln!("single posts, run {run} of {RUNS}");
            singles(&lines, &mut table)?;
        }
        if wants(Part::Batches) {
            eprintln!("batches, run {run} of {RUNS}");
            batches(&lines, &bodies, &mut table)?;
        }
        if wants(Part::Import) {
            eprintln!("import of {} events, run {run} of {RUNS}", args.import_events);
            import::measure(args.import_events, &mut table)?;
        }
    }
    if wants(Part::Reads) {
        println!("{}", reads::measure(args.file.as_deref(), args.events, &mut table)?);
    }
    println!("{table}");
    if args.parts.contains(&Part::Growth) {
        let folder = tempfile::tempdir()?;
        growth::measure(&args.file.unwrap_or_else(|| folder.path().join("growth.db")), args.deliveries)?;
    }
    Ok(())
}

fn singles(lines: &[Line], table: &mut Table) -> anyhow::Result<()> {
    for (connections, posts) in SINGLES {
        let posts = &lines[..posts.min(lines.len())];
        let load = Load::new(PATH, posts.iter().map(|line| line.body.clone()), connections);

        let echo = naive::echo(|port| load.send(port))?;
        table.sent(&format!("echo, {connections} connections"), &echo, 1);

        let served = Served::start()?;
        let ours = load.send(served.port())?;
        let ended = served.end(posts.len())?;
        ensure_stored(ended.events, posts)?;
        let name = format!("Waybill, single events, {connections} connections");
        table.sent(&name, &ours, 1);
        table.group(&name, ended.events_a_commit);
        table.memory(ended.peak_memory_kb);

        let (naive, stored) = naive::serve(|port| load.send_within(port, NAIVE_WITHIN))?;
        // it takes whatever names a delivery, of which the generator makes a little more than there are events
        let events = events_of(&posts[..naive.requests]);
        ensure!(
            (events..=naive.requests).contains(&(stored as usize)),
            "{events} events were sent to the naive design and {stored} stored"
        );
        table.sent(&format!("naive, single events, {connections} connections"), &naive, 1);

        let of = format!("single events, {connections} connections");
        let (to_naive, to_echo) = (ours.rate() / naive.rate(), ours.rate() / echo.rate());
        let p99_ms = percentile(&ours.times, 99).as_secs_f64() * 1e3;
        let wanted = WANTED.iter().find(|wanted| wanted.connections == connections);
        table.goal(&format!("{of} / naive"), to_naive, wanted.map(|wanted| Goal::AtLeast(wanted.to_naive)));
        table.goal(&format!("{of} / echo"), to_echo, wanted.and_then(|wanted| wanted.to_echo).map(Goal::AtLeast));
        table.goal(&format!("{of}: p99 ms"), p99_ms, wanted.map(|wanted| Goal::AtMost(wanted.p99_ms)));
    }
    Ok(())
}

fn batches(lines: &[Line], bodies: &[String], table: &mut Table) -> anyhow::Result<()> {
    for (size, wanted) in BATCHES {
        let posts = bodies.chunks(size).map(|chunk| format!("[{}]", chunk.join(",")));
        let load = Load::new(PATH, posts, BATCH_CONNECTIONS);
        let served = Served::start()?;
        let ours = load.send(served.port())?;
        let ended = served.end(bodies.len())?;
        ensure_stored(ended.events, lines)?;
        let name = format!("Waybill, batches of {size}");
        table.sent(&name, &ours, size);
        table.group(&name, ended.events_a_commit);
        table.memory(ended.peak_memory_kb);

        table.transactions(&format!("parsing alone, batches of {size}"), parsing(bodies, size)?, &[]);
        let raw = raw::measure(bodies.iter().cloned(), Size::whole(ended.events_a_commit), Until::Written)?;
        let name = format!("raw SQLite, batches of {size}");
        table.transactions(&name, raw.rate(), &raw.transactions);
        table.group(&name, ended.events_a_commit);
        let ratio = ours.rate() * size as f64 / raw.rate();
        table.goal(&format!("batches of {size} / raw SQLite"), ratio, Some(Goal::AtLeast(wanted)));
    }
    Ok(())
}

/// How many events a second one thread makes ready to be written.
fn parsing(bodies: &[String], size: usize) -> anyhow::Result<f64> {
    let id_key = IdKey::new(b"parsing");
    let context = Context { received_at_ms: ENDS_AT_MS, id_key: &id_key, live: false };
    let posts: Vec<String> = bodies.chunks(size).map(|chunk| format!("[{}]", chunk.join(","))).collect();
    let begun = Instant::now();
    for post in &posts {
        let items = wire::read(wire::Format::Webhook, post.as_bytes(), &context)?;
        let entries: Vec<Entry> = items.into_iter().map(|item| intake::entry(item, Scope::Full)).collect();
        std::hint::black_box(entries);
    }
    Ok(bodies.len() as f64 / begun.elapsed().as_secs_f64())
}

/// Webhooks only: their bodies can be sent one by one and as arrays.
fn webhooks(events: usize) -> impl Iterator<Item = Line> {
    let traffic = Traffic::new(7, 0, ENDS_AT_MS).with_events(events as u64);
    traffic.lines(&[Format::Webhook]).filter(|line| line.path == PATH).take(events)
}

fn events_of(lines: &[Line]) -> usize {
    lines.iter().filter(|line| line.says == Says::Event).count()
}

/// Each event that was sent is there once.
fn ensure_stored(stored: i64, sent: &[Line]) -> anyhow::Result<()> {
    let events = events_of(sent);
    ensure!(stored == events as i64, "{events} events were sent and {stored} stored");
    Ok(())
}

/// The time within which so many of a hundred were answered, of times in order.
fn percentile(sorted: &[Duration], of_hundred: usize) -> Duration {
    sorted.get((sorted.len() * of_hundred / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
