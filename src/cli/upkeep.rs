//! `waybill verify` and `waybill rebuild`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::store::query::health::Verified;
use crate::store::{sqlite, verify};

/// Recounts and compares, from one point in time, while others may write. What it found is left in the file, for the page
/// that says how the file is.
pub fn verify(db: &Path) -> anyhow::Result<ExitCode> {
    let mut connection = open(db)?;
    let bar = bar(&connection)?;
    let begun_ms = chrono::Utc::now().timestamp_millis();
    let report = verify::verify(&mut connection, |done| bar.set_position(done))?;
    bar.finish_and_clear();
    if let Err(error) = Verified::new(&report, begun_ms).keep(&connection) {
        eprintln!("what it found could not be left in the file: {error}");
    }
    for difference in &report.told {
        println!("{difference}");
    }
    if report.differences as usize > report.told.len() {
        println!("and {} more", report.differences as usize - report.told.len());
    }
    let (deliveries, events) = (report.deliveries, report.events);
    if report.is_clean() {
        println!("clean: {deliveries} deliveries and {events} events recounted, nothing differs");
        Ok(ExitCode::SUCCESS)
    } else {
        println!(
            "{} differences in {deliveries} deliveries and {events} events; `waybill rebuild` writes them anew",
            report.differences
        );
        Ok(ExitCode::FAILURE)
    }
}

/// Writes everything derived anew, in one transaction.
pub fn rebuild(db: &Path) -> anyhow::Result<ExitCode> {
    let mut connection = open(db)?;
    let bar = bar(&connection)?;
    let report = verify::rebuild(&mut connection, |done| bar.set_position(done))?;
    bar.finish_and_clear();
    println!(
        "rebuilt: {} deliveries from {} events; {} deliveries had differed",
        report.deliveries, report.events, report.differences
    );
    Ok(ExitCode::SUCCESS)
}

fn open(db: &Path) -> anyhow::Result<rusqlite::Connection> {
    anyhow::ensure!(db.exists(), "there is no file {}; name one with --db", db.display());
    sqlite::open(db).context("the file cannot be used")
}

fn bar(connection: &rusqlite::Connection) -> anyhow::Result<ProgressBar> {
    let deliveries: i64 = connection.query_row("SELECT coalesce(max(id), 0) FROM deliveries", [], |row| row.get(0))?;
    let style = "{bar:40} {pos}/{len} deliveries, {per_sec}, {eta} left";
    Ok(ProgressBar::new(deliveries as u64).with_style(ProgressStyle::with_template(style)?))
}
