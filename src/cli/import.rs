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

use crate::config::Secret;
use crate::intake;
use crate::store::erasure::{Graces, Left};
use crate::store::{BODY_BYTES_KEPT, Entry, Outcome, Quarantined, Tracker};
use crate::web;
use crate::wire::{self, IdKey};

#[derive(Args)]
#[command(after_help = "Lines may be reporting webhooks, Data Pipelines calls, Waybill's own events, or
{\"path\": ..., \"body\": ...} with the path they would be posted to.

Examples:
  waybill import events.ndjson
  waybill import 2025-*.ndjson.gz --db brand.db
  zcat dump.gz | waybill import -")]
pub struct Import {
    /// NDJSON files, plain, .gz or .zst; - reads the standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// How much is read and parsed at a time.
const CHUNK_BYTES: usize = 512 << 10;
/// How many of these are taken in at once: the more there are, the fewer rows are written again and again. Of 7 MB the
/// writer takes a sixth fewer instructions than of one, and memory stays below 200 MB.
const CHUNKS_AT_ONCE: usize = 14;
/// How much is taken in at once.
pub const TAKEN_IN_BYTES: usize = CHUNKS_AT_ONCE * CHUNK_BYTES;
/// A longer line is kept aside as too large.
const LINE_BYTES_MAX: usize = 8 << 20;
/// Larger transactions write each page less often.
const TRANSACTION_ENTRIES: usize = 100_000;
/// Beside a server, which waits 2.5 s for the file and then tells its senders to come again, they are shorter, taken in
/// by smaller parts, and followed by a pause in which whoever waits looks at the lock at least once.
const TRANSACTION_BESIDE: Duration = Duration::from_millis(1_000);
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
}

impl Import {
    pub fn run(self, db: &Path, id_key: Option<&Secret>, erasure_graces: Graces) -> anyhow::Result<ExitCode> {
        let mut tracker = Tracker::open(db).context("the file cannot be used")?;
        tracker.set_erasure_graces(erasure_graces);
        if let Some(key) = id_key {
            tracker.set_id_key(key.as_bytes())?;
        }
        let id_key = IdKey::new(&tracker.id_key()?);
        let received_at_ms = chrono::Utc::now().timestamp_millis();
        let total = self.files.iter().map(|file| file.metadata().map(|meta| meta.len())).sum::<io::Result<u64>>().ok();
        let bar = bar(total)?;
        let mut summary = Summary::default();
        let imported = self.files.iter().try_for_each(|file| {
            let before = bar.position();
            let (chunks, to_parse) = sync_channel(1);
            let (parsed, to_write) = sync_channel(CHUNKS_AT_ONCE);
            let (written, to_free) = channel();
            thread::scope(|scope| -> anyhow::Result<()> {
                let reader = scope.spawn(move || read(file, &chunks));
                let id_key = &id_key;
                scope.spawn(move || parse(&to_parse, &parsed, &to_free, &wire::Context { received_at_ms, id_key }));
                let progress = |read_bytes| bar.set_position(before + read_bytes);
                let is_served = || web::is_served(db);
                let written =
                    write(&mut tracker, to_write, &written, received_at_ms, &mut summary, is_served, progress);
                let read = reader.join().map_err(|_| anyhow::anyhow!("the reading thread panicked"))?;
                written.and(read)
            })
            .with_context(|| format!("importing {}", file.display()))
        });
        while tracker.left_to_erase()? == Left::Steps {
            tracker.erase_some()?;
        }
        while tracker.tidy()? {}
        tracker.checkpoint()?;
        bar.finish_and_clear();
        let Summary { accepted, duplicate, ignored, quarantined } = summary;
        let seconds = bar.elapsed().as_secs_f64();
        let rate = (accepted + duplicate) as f64 / seconds.max(0.001);
        println!(
            "{accepted} accepted, {duplicate} duplicate, {ignored} ignored, {quarantined} quarantined in {seconds:.1} s ({rate:.0} events a second)"
        );
        imported.map(|()| ExitCode::SUCCESS)
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
        let (mut entries, mut begin) = (Vec::new(), 0);
        for end in memchr::memchr_iter(b'\n', &bytes).chain([bytes.len()]) {
            let line = &bytes[begin..end];
            begin = end + 1;
            if !line.trim_ascii().is_empty() {
                entries.extend(intake::entries_of_line(line, context));
            }
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
        for outcome in outcomes {
            match outcome {
                Outcome::Accepted => summary.accepted += 1,
                Outcome::Duplicate => summary.duplicate += 1,
                Outcome::Ignored => summary.ignored += 1,
                Outcome::Quarantined => summary.quarantined += 1,
                // only a server releases what was kept aside
                Outcome::Released => {}
            }
        }
    }
    Ok(())
}
