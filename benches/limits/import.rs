//! `waybill import`, beside raw SQLite with the import's own statements, which ends with the same indexes.
//!
//! The import takes a transaction in piece by piece, to save memory, and writes what several pieces move once for each.
//! Taken in whole it would be fewer statements: raw SQLite runs these too, to show what the memory costs.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use waybill::cli::import::TAKEN_IN_BYTES;

use super::raw::{self, Size, Until};
use super::server::{counted, memory_kb};
use super::table::{Goal, Table};

/// Events a transaction of the import.
const TRANSACTION: usize = 100_000;

pub fn measure(events: usize, table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (lines, db) = (folder.path().join("events.ndjson"), folder.path().join("waybill.db"));
    let mut out = BufWriter::new(File::create(&lines)?);
    for line in super::webhooks(events) {
        writeln!(out, "{}", line.body)?;
    }
    out.into_inner()?.sync_all()?;

    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_waybill"))
        .arg("import")
        .arg(&lines)
        .arg("--db")
        .arg(&db)
        .stdout(Stdio::null())
        .spawn()?;
    let mut peak_kb = 0;
    let ended = loop {
        peak_kb = memory_kb(child.id(), "VmHWM").unwrap_or(peak_kb);
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let took = begun.elapsed();
    ensure!(ended.success(), "the import failed");
    let counted = counted(&db, events)?;
    let rate = events as f64 / took.as_secs_f64();
    let name = format!("Waybill, import of {events}");
    table.transactions(&name, rate, &[]);
    table.group(&name, TRANSACTION);
    table.memory(peak_kb);

    let at_once = (TAKEN_IN_BYTES as f64 * events as f64 / lines.metadata()?.len() as f64) as usize;
    let in_pieces = Size { at_once: at_once.clamp(1, TRANSACTION), ..Size::whole(TRANSACTION) };
    for (how, size, wanted) in
        [("", in_pieces, Some(Goal::AtLeast(0.7))), (", taken in whole", Size::whole(TRANSACTION), None)]
    {
        let bodies = BufReader::new(File::open(&lines)?).lines().map_while(Result::ok);
        let raw = raw::measure(bodies, size, Until::Tidied)?;
        ensure!(raw.stored == counted.events, "the import stored {} events, raw SQLite {}", counted.events, raw.stored);
        let name = format!("raw SQLite, import of {events}{how}");
        // the import leaves no log behind
        let raw_rate = events as f64 / (raw.took + raw.end).as_secs_f64();
        table.transactions(&name, raw_rate, &raw.transactions);
        table.group(&name, TRANSACTION);
        table.goal(&format!("import / raw SQLite{how}"), rate / raw_rate, wanted);
    }

    let each = |bytes: i64| bytes as f64 / counted.events as f64;
    table.goal("bytes an event, raw JSON included", each(counted.bytes), Some(Goal::AtMost(170.0)));
    table.goal("bytes an event without it", each(counted.bytes - counted.raw_bytes), Some(Goal::AtMost(130.0)));
    Ok(())
}
