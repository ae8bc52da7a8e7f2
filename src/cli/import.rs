//! `waybill import`
//!
//! Three at work: one reads and cuts the input into lines, one parses, one writes, in transactions larger than what
//! is held in memory. Stopped at any moment, what was committed stays; run again, it is known by its ids and counts
//! once.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::one_per_line::{self, OnePerLine};
use crate::config::Secret;
use crate::intake;
use crate::store::erasure::Left;
use crate::store::lock::is_served;
use crate::store::{BODY_BYTES_KEPT, Entry, Options, Outcome, Quarantined, Tracker};
use crate::wire::{self, IdKey, SourceFrom};

#[derive(Args)]
#[command(
    after_help = "Events may be reporting webhooks, webhooks of other providers, Data Pipelines calls, Waybill's own events, or
{\"path\": ..., \"body\": ...} with the path they would be posted to: one a line, in one array, or
indented.

Examples:
  waybill import events.ndjson
  waybill import 2025-*.ndjson.gz --db brand.db
  zcat dump.gz | waybill import -"
)]
pub struct Import {
    /// JSON or NDJSON files, plain, .gz or .zst; - reads the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// How much is read and parsed at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// How many of these are taken in at once: the more there are, the fewer rows are written again and again. Of 3.5 MB
/// memory stays below 200 MB.
const CHUNKS_AT_ONCE: usize = 14;
/// How much is taken in at once.
pub const TAKEN_IN_BYTES: usize = CHUNKS_AT_ONCE * CHUNK_BYTES;
/// A longer line is quarantined as too large.
const LINE_BYTES_MAX: usize = 8 << 20;
/// Larger transactions write each page less often.
const TRANSACTION_ENTRIES: usize = 100_000;
/// Beside a server, which waits 2 s for the file and then refuses its senders, they are shorter, taken in
/// by smaller parts, and followed by a pause in which whoever waits looks at the lock at least once.
const TRANSACTION_BESIDE: Duration = Duration::from_millis(400);
const PAUSE_BESIDE: Duration = Duration::from_millis(120);

/// Lines, and how far into the input they reach.
#[derive(Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// A line that was too long and comes after them: its beginning, and its length.
    cut_off: Option<(Vec<u8>, u64)>,
    read_bytes: u64,
}

struct Parsed {
    entries: Vec<Entry>,
    read_bytes: u64,
}

#[derive(Default)]
struct Summary {
    accepted: u64,
    duplicate: u64,
    ignored: u64,
    quarantined: u64,
    pruned: u64,
    /// What was wrong with the first that is in quarantine.
    problem: Option<String>,
}

impl Import {
    pub fn run(
        self,
        db: &Path,
        id_key: Option<&Secret>,
        source_from: &SourceFrom,
        options: Options,
    ) -> anyhow::Result<ExitCode> {
        let mut tracker = super::open(db)?;
        tracker.set_options(options);
        if let Some(key) = id_key {
            tracker.set_id_key(key.as_bytes())?;
        }
        let id_key = IdKey::new(&tracker.id_key()?);
        let received_at_ms = chrono::Utc::now().timestamp_millis();
        let total = self.files.iter().map(|file| file.metadata().map(|meta| meta.len())).sum::<io::Result<u64>>().ok();
        let bar = bar(total)?;
        let mut summary = Summary::default();
        let mut not_understood = Vec::new();
        let imported = self.files.iter().try_for_each(|file| {
            let (before, understood_before) = (bar.position(), summary.understood());
            let (chunks, to_parse) = sync_channel(1);
            let (parsed, to_write) = sync_channel(CHUNKS_AT_ONCE);
            let (written, to_free) = channel();
            thread::scope(|scope| -> anyhow::Result<()> {
                let reader = scope.spawn(move || read(file, &chunks));
                let id_key = &id_key;
                scope.spawn(move || {
                    parse(
                        &to_parse,
                        &parsed,
                        &to_free,
                        &wire::Context { received_at_ms, id_key, live: false, source_from },
                    )
                });
                let progress = |read_bytes| bar.set_position(before + read_bytes);
                let beside = || is_served(db);
                let written = write(&mut tracker, to_write, &written, received_at_ms, &mut summary, beside, progress);
                let read = reader.join().map_err(|_| anyhow::anyhow!("the reading thread panicked"))?;
                written.and(read)
            })
            .with_context(|| format!("importing {}", file.display()))?;
            if let Some(problem) = summary.problem.take().filter(|_| summary.understood() == understood_before) {
                not_understood.push(format!("{} ({problem})", file.display()));
            }
            Ok::<_, anyhow::Error>(())
        });
        while tracker.left_to_erase()? == Left::Steps {
            tracker.erase_some()?;
        }
        tracker.checkpoint()?;
        bar.finish_and_clear();
        let Summary { accepted, duplicate, ignored, quarantined, pruned, problem: _ } = summary;
        let seconds = bar.elapsed().as_secs_f64();
        let pruned = if pruned > 0 { format!(", {pruned} pruned") } else { String::new() };
        let rate = (accepted + duplicate) as f64 / seconds.max(0.001);
        println!(
            "{accepted} accepted, {duplicate} duplicate, {ignored} ignored, {quarantined} quarantined{pruned} in {seconds:.1} s ({rate:.0} events a second)"
        );
        imported?;
        let files = not_understood.join(", ");
        anyhow::ensure!(not_understood.is_empty(), "no event was understood, all are in quarantine: {files}");
        Ok(ExitCode::SUCCESS)
    }
}

impl Summary {
    fn understood(&self) -> u64 {
        self.accepted + self.duplicate + self.ignored + self.pruned
    }

    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Duplicate => self.duplicate += 1,
            Outcome::Ignored => self.ignored += 1,
            Outcome::Quarantined => self.quarantined += 1,
            Outcome::Pruned => self.pruned += 1,
            // only a server releases what is in quarantine
            Outcome::Released => {}
        }
    }
}

fn bar(total: Option<u64>) -> anyhow::Result<ProgressBar> {
    Ok(match total {
        Some(total) => ProgressBar::new(total).with_style(ProgressStyle::with_template(
            "{bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left {msg}",
        )?),
        None => ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{spinner} {bytes}, {bytes_per_sec} {msg}")?),
    })
}

/// Counts what is read from a file, before it is decompressed: that is what progress is measured in.
struct Counting<R> {
    input: R,
    read_bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(into)?;
        self.read_bytes.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Reads a file in chunks of whole lines, and tells how far into it they reach.
fn read(file: &Path, chunks: &SyncSender<Chunk>) -> anyhow::Result<()> {
    let read_bytes = Arc::new(AtomicU64::new(0));
    let input: Box<dyn Read> =
        if file == Path::new("-") { Box::new(io::stdin().lock()) } else { Box::new(File::open(file)?) };
    let mut input = BufReader::with_capacity(CHUNK_BYTES, Counting { input, read_bytes: read_bytes.clone() });
    let magic = input.fill_buf()?;
    let mut lines: Box<dyn BufRead> = if magic.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(CHUNK_BYTES, flate2::read::MultiGzDecoder::new(input)))
    } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(BufReader::with_capacity(CHUNK_BYTES, zstd::Decoder::with_buffer(input)?))
    } else {
        Box::new(input)
    };
    let head = lines.fill_buf()?;
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        anyhow::bail!(
            "the file is UTF-16, and only UTF-8 is read: convert it with `iconv -f UTF-16 -t UTF-8`, or in PowerShell with \
             `Get-Content FILE | Set-Content -Encoding utf8 NEW`"
        );
    }
    if one_per_line::is_spread(head) {
        lines = Box::new(BufReader::with_capacity(CHUNK_BYTES, OnePerLine::new(lines)));
    }
    loop {
        let mut chunk = Chunk { bytes: Vec::with_capacity(CHUNK_BYTES + 4096), ..Chunk::default() };
        let filled = fill(&mut lines, &mut chunk);
        if chunk.bytes.is_empty() && chunk.cut_off.is_none() {
            return Ok(filled?);
        }
        chunk.read_bytes = read_bytes.load(Ordering::Relaxed);
        if chunks.send(chunk).is_err() {
            // the writer has failed and says why
            return Ok(());
        }
        filled?;
    }
}

/// Takes whole lines until the chunk is full, a line is too long, or the input ends or breaks off.
fn fill(lines: &mut impl BufRead, chunk: &mut Chunk) -> io::Result<()> {
    while chunk.bytes.len() < CHUNK_BYTES {
        let before = chunk.bytes.len();
        let read = lines.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut chunk.bytes);
        if let Err(error) = read {
            // it broke off within a line; the lines before it are good
            chunk.bytes.truncate(before);
            return Err(error);
        }
        let read = chunk.bytes.len() - before;
        if read == 0 {
            return Ok(());
        }
        if read == LINE_BYTES_MAX && !chunk.bytes.ends_with(b"\n") {
            let mut line = chunk.bytes.split_off(before);
            line.truncate(BODY_BYTES_KEPT);
            let rest = lines.skip_until(b'\n');
            chunk.cut_off = Some((line, (read + rest.as_ref().map_or(0, |rest| *rest)) as u64));
            return rest.map(drop);
        }
    }
    Ok(())
}

/// Parses, and frees what was written: that is done sooner by the thread that allocated it, beside the writer.
fn parse(chunks: &Receiver<Chunk>, parsed: &SyncSender<Parsed>, to_free: &Receiver<Parsed>, context: &wire::Context) {
    for Chunk { bytes, cut_off, read_bytes } in chunks {
        to_free.try_iter().for_each(drop);
        let mut entries = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            entries.extend(intake::entries_of_line(line, context));
        }
        entries.extend(cut_off.map(|(line, length)| too_long(line, length)));
        entries.shrink_to_fit();
        if parsed.send(Parsed { entries, read_bytes }).is_err() {
            return;
        }
    }
}

fn too_long(line: Vec<u8>, length: u64) -> Entry {
    Entry::Quarantined(Box::new(Quarantined {
        format: wire::Format::Line.name().into(),
        reason: wire::Reason::TooLarge.name().into(),
        detail: format!("a line of more than {LINE_BYTES_MAX} bytes").into(),
        delivery_id: None,
        due_at_ms: None,
        public: false,
        body: line,
        body_bytes: length as i64,
    }))
}

fn write(
    tracker: &mut Tracker,
    parsed: Receiver<Parsed>,
    written: &Sender<Parsed>,
    received_at_ms: i64,
    summary: &mut Summary,
    is_served: impl Fn() -> bool,
    progress: impl Fn(u64),
) -> anyhow::Result<()> {
    // waited for while no transaction holds up others
    while let Ok(first) = parsed.recv() {
        let beside = is_served();
        let at_once = if beside { 1 } else { CHUNKS_AT_ONCE };
        let mut group: Vec<Parsed> = iter::once(first).chain(parsed.iter().take(at_once - 1)).collect();
        let mut recording = tracker.begin()?;
        let begun = Instant::now();
        let mut outcomes = Vec::new();
        while !group.is_empty() {
            let entries: Vec<&Entry> = group.iter().flat_map(|chunk| &chunk.entries).collect();
            if summary.problem.is_none() {
                summary.problem = entries.iter().find_map(|entry| match entry {
                    Entry::Quarantined(quarantined) => Some(quarantined.detail.to_string()),
                    _ => None,
                });
            }
            outcomes.extend(recording.record(&entries, received_at_ms)?);
            progress(group.last().map_or(0, |chunk| chunk.read_bytes));
            for chunk in group {
                // when all is parsed nobody frees it elsewhere
                let _ = written.send(chunk);
            }
            let goes_on = outcomes.len() < TRANSACTION_ENTRIES && !(beside && begun.elapsed() > TRANSACTION_BESIDE);
            group = parsed.try_iter().take(if goes_on { at_once } else { 0 }).collect();
        }
        recording.commit()?;
        if beside {
            thread::sleep(PAUSE_BESIDE);
        }
        outcomes.into_iter().for_each(|outcome| summary.add(outcome));
    }
    Ok(())
}
