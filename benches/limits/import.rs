//! `waybill import`, beside raw SQLite in transactions as large, which ends with the same indexes. Raw SQLite has it
//! easier: its transactions were recorded with all of their counts summed at once, where the import, to save memory, sums
//! them by eight megabytes of lines.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::raw::{self, Until};
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

    let bodies = BufReader::new(File::open(&lines)?).lines().map_while(Result::ok);
    let raw = raw::measure(bodies, TRANSACTION, Until::Tidied)?;
    ensure!(raw.stored == counted.events, "the import stored {} events, raw SQLite {}", counted.events, raw.stored);
    let name = format!("raw SQLite, import of {events}");
    // the import leaves no log behind
    let raw_rate = events as f64 / (raw.took + raw.end).as_secs_f64();
    table.transactions(&name, raw_rate, &raw.transactions);
    table.group(&name, TRANSACTION);
    table.goal("import / raw SQLite", rate / raw_rate, Some(Goal::AtLeast(0.7)));

    let each = |bytes: i64| bytes as f64 / counted.events as f64;
    table.goal("bytes an event, raw JSON included", each(counted.bytes), Some(Goal::AtMost(170.0)));
    table.goal("bytes an event without it", each(counted.bytes - counted.raw_bytes), Some(Goal::AtMost(130.0)));
    Ok(())
}
