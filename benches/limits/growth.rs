//! What a large file costs: 10 million deliveries are imported, and then ingest into that file is compared with ingest
//! into an empty one.
//!
//! The file stays where it was asked for: stopped, the import goes on where it was, and a later run ingests what comes
//! next. Traffic is made and parsed on one thread and written on another; rates are of the writer's time, since the other
//! may be slower.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use waybill::intake;
use waybill::store::{Entry, Tracker};
use waybill::traffic::{Format, Line, Traffic};
use waybill::wire::{Context, IdKey};

use super::client::Load;
use super::table::median;
use super::{ENDS_AT_MS, RUNS, server};

/// What `waybill import` writes in a transaction.
const IMPORT: usize = 100_000;
/// How many lines are ingested each time, and how many in a transaction.
const INGESTED: usize = 300_000;
const INGEST: usize = 1_000;
/// Over HTTP: events, and how many in a request.
const POSTED: usize = 100_000;
const BATCH: usize = 500;
/// How long an idle server is looked at.
const IDLE: Duration = Duration::from_secs(10);

pub fn measure(file: &Path, deliveries: u32) -> anyhow::Result<()> {
    // an eleventh of it comes after the import; a person gets five messages
    let traffic =
        Traffic::new(7, deliveries + deliveries / 10, ENDS_AT_MS).with_people(u64::from(deliveries / 5).max(1_000));
    let mut lines = traffic.lines(&[Format::Webhook]);
    let all = lines.len();
    let imported = all / 11 * 10;
    let ingested = INGESTED.min((all - imported) / 6);
    // kept for the empty files
    let first: Vec<Line> = lines.by_ref().take(ingested).collect();
    let mut lines = first.clone().into_iter().chain(lines);
    let mut taken = taken(file)?;
    if taken > 0 {
        lines.nth(taken - 1);
    }

    let tenth = imported / 10;
    let mut tenths = Vec::new();
    while taken < imported {
        let piece = (tenth - taken % tenth).min(imported - taken);
        let written = write(file, lines.by_ref().take(piece), IMPORT)?;
        taken += piece;
        let deliveries: i64 =
            rusqlite::Connection::open(file)?.query_row("SELECT max(id) FROM deliveries", [], |row| row.get(0))?;
        let gb = fs::metadata(file)?.len() as f64 / 1e9;
        println!("import to line {taken}, {deliveries} deliveries, {gb:.2} GB: {written}");
        tenths.push(written.rate());
    }
    if let [first, .., last] = &tenths[..] {
        println!("import, the last tenth / the first of this run: {:.2}", last / first);
    }

    ensure!(all - taken >= 5 * ingested, "what this traffic has was ingested by earlier runs: begin with a new file");
    let folder = tempfile::tempdir()?;
    let (mut large, mut empty) = (Vec::new(), Vec::new());
    for run in 1..=RUNS {
        let new = folder.path().join(format!("{run}.db"));
        let (at_first, later) =
            (write(&new, first.iter().cloned(), INGEST)?, write(file, lines.by_ref().take(ingested), INGEST)?);
        fs::remove_file(new)?;
        println!("ingest of {ingested} lines by {INGEST}: empty {at_first}; large {later}");
        empty.push(at_first.rate());
        large.push(later.rate());
    }
    if let (Some((large, ..)), Some((empty, ..))) = (median(&large), median(&empty)) {
        println!("ingest, large / empty, medians of {RUNS}: {:.2}", large / empty);
    }

    import_by_the_binary(file, lines.by_ref().take(ingested))?;
    let posts: Vec<String> =
        lines.filter(|line| line.path == Format::Webhook.path()).take(POSTED).map(|line| line.body).collect();
    serve(file, &posts)
}

/// How many lines the file has taken in.
fn taken(file: &Path) -> anyhow::Result<usize> {
    let sum = "SELECT coalesce(sum(accepted + duplicate + ignored + quarantined), 0) FROM receipts";
    Ok(Tracker::open(file)?.connection().query_row(sum, [], |row| row.get::<_, i64>(0))? as usize)
}

#[derive(Default)]
struct Written {
    lines: usize,
    writing: Duration,
    /// Of that, what the writer was on a processor: the same on a busy machine.
    processor: Duration,
    wall: Duration,
    longest: Duration,
}

impl Written {
    fn rate(&self) -> f64 {
        self.lines as f64 / self.writing.as_secs_f64()
    }
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let share = self.writing.as_secs_f64() / self.wall.as_secs_f64();
        write!(
            f,
            "{:.0} lines/s ({:.1} µs of processor each, {:.0} % of {:.1} s, the longest transaction {:.0} ms)",
            self.rate(),
            self.processor.as_secs_f64() * 1e6 / self.lines as f64,
            share * 100.0,
            self.wall.as_secs_f64(),
            self.longest.as_secs_f64() * 1e3
        )
    }
}

/// Records lines as `waybill import` does, so many in a transaction.
fn write(file: &Path, lines: impl Iterator<Item = Line> + Send, together: usize) -> anyhow::Result<Written> {
    let mut tracker = Tracker::open(file)?;
    let before = taken(file)?;
    let id_key = IdKey::new(&tracker.id_key()?);
    let (made, to_write) = sync_channel::<Vec<Entry>>(64);
    let begun = Instant::now();
    let written = thread::scope(|scope| -> anyhow::Result<Written> {
        scope.spawn(move || {
            let context = Context { received_at_ms: ENDS_AT_MS, id_key: &id_key, live: false };
            let mut lines = lines.peekable();
            while lines.peek().is_some() {
                let lines = lines.by_ref().take(INGEST);
                let entries =
                    lines.flat_map(|line| intake::entries_of_line(line.with_path().as_bytes(), &context)).collect();
                if made.send(entries).is_err() {
                    return;
                }
            }
        });
        let mut written = Written::default();
        let mut pieces = to_write.into_iter().peekable();
        while pieces.peek().is_some() {
            let on_processor = processor_time()?;
            let begun = Instant::now();
            let mut waited = Duration::ZERO;
            let mut recording = tracker.begin()?;
            let mut entries_taken = 0;
            while entries_taken < together {
                let asked = Instant::now();
                let Some(entries) = pieces.next() else { break };
                waited += asked.elapsed();
                recording.record(&entries.iter().collect::<Vec<_>>(), ENDS_AT_MS)?;
                entries_taken += entries.len();
            }
            recording.commit()?;
            let transaction = begun.elapsed() - waited;
            written.lines += entries_taken;
            written.writing += transaction;
            written.processor += processor_time()? - on_processor;
            written.longest = written.longest.max(transaction);
        }
        Ok(written)
    })?;
    drop(tracker);
    let after = taken(file)?;
    ensure!(after - before == written.lines, "{} lines were written and {} taken", written.lines, after - before);
    Ok(Written { wall: begun.elapsed(), ..written })
}

/// Of this thread.
fn processor_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(stat.split(' ').next().context("no schedstat")?.parse()?))
}

/// Memory of the real import, whose parsing shares the cores.
fn import_by_the_binary(file: &Path, lines: impl Iterator<Item = Line>) -> anyhow::Result<()> {
    let lines: Vec<String> = lines.map(|line| line.with_path()).collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_waybill"))
        .args(["import", "-", "--db"])
        .arg(file)
        .stdin(Stdio::piped())
        .spawn()?;
    let begun = Instant::now();
    let mut input = child.stdin.take().context("no stdin")?;
    input.write_all(lines.join("\n").as_bytes())?;
    drop(input);
    let mut peak = 0;
    let ended = loop {
        peak = server::memory_kb(child.id(), "VmHWM").unwrap_or(peak);
        match child.try_wait()? {
            Some(ended) => break ended,
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    ensure!(ended.success(), "import failed");
    let rate = lines.len() as f64 / begun.elapsed().as_secs_f64();
    println!("`waybill import` into the large file: {rate:.0} lines/s, peak memory {} MB", peak / 1024);
    Ok(())
}

/// What a server costs that has the large file.
fn serve(file: &Path, events: &[String]) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (mut child, port) = server::spawn(file)?;
    let start = begun.elapsed();
    server::wait_until_idle(child.id())?;
    let before = server::cpu_ticks(child.id())?;
    thread::sleep(IDLE);
    let ticks = server::cpu_ticks(child.id())? - before;
    let idle_kb = server::memory_kb(child.id(), "VmRSS")?;
    println!(
        "`waybill serve` on the large file: listens after {:.0} ms; idle: {} MB, {ticks} ticks of 10 ms in {} s",
        start.as_secs_f64() * 1e3,
        idle_kb / 1024,
        IDLE.as_secs()
    );
    let posts = events.chunks(BATCH).map(|chunk| format!("[{}]", chunk.join(",")));
    let sent = Load::new(Format::Webhook.path(), posts, 8).send(port)?;
    let peak = server::memory_kb(child.id(), "VmHWM")?;
    let rate = events.len() as f64 / sent.took.as_secs_f64();
    println!("batches of {BATCH}: {rate:.0} events/s, peak memory {} MB", peak / 1024);
    Command::new("kill").arg(child.id().to_string()).status()?;
    ensure!(child.wait()?.success(), "the server did not end well");
    Ok(())
}
