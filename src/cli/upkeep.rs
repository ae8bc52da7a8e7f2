//! `waybill verify` and `waybill rebuild`

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use super::one_line;
use crate::domain::Millis;
use crate::store::query::health::Verified;
use crate::store::{migrations, retention, sqlite, verify};
use crate::web::format::Iso;

/// Options of `verify`.
#[derive(clap::Args)]
pub struct Verify {
    /// Print the queries that it runs, to run by hand: each returns the rows that differ
    #[arg(long)]
    sql: bool,
}

impl Verify {
    pub fn run(&self, db: &Path) -> anyhow::Result<ExitCode> {
        if !self.sql {
            return verify(db);
        }
        for check in verify::checks() {
            // whoever reads them may have seen enough
            if writeln!(std::io::stdout(), "-- {}: {}\n{};\n", check.name, check.meaning, check.sql).is_err() {
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Recounts and compares while others may write. The result is saved in the file, for the health page.
fn verify(db: &Path) -> anyhow::Result<ExitCode> {
    let mut connection = open(db)?;
    let bar = bar(&connection)?;
    let begun_ms = chrono::Utc::now().timestamp_millis();
    let report = verify::verify(&mut connection, |done| bar.set_position(done))?;
    bar.finish_and_clear();
    let (deliveries, events, differences) = (report.deliveries, report.events, report.differences);
    let verified = Verified { at_ms: begun_ms, deliveries, events, differences };
    if let Err(error) = verified.save(&connection) {
        eprintln!("cannot save the result in the file: {error}");
    }
    for difference in &report.first {
        println!("{}", one_line(difference));
    }
    let more = differences - report.first.len() as u64;
    if more > 0 {
        println!("and {more} more");
    }
    print_compared(report.pruned, retention::cuts(&connection)?);
    if report.is_clean() {
        println!(
            "clean: {deliveries} deliveries and {events} events recounted, no differences (schema {})",
            migrations::version(&connection)?
        );
        Ok(ExitCode::SUCCESS)
    } else {
        println!(
            "{differences} differences in {deliveries} deliveries and {events} events; `waybill rebuild` mends them"
        );
        Ok(ExitCode::FAILURE)
    }
}

/// What was compared in which way, where events were dropped for their age.
fn print_compared(pruned: u64, (events, deliveries): (Option<Millis>, Option<Millis>)) {
    let Some(events_ms) = events else { return };
    println!(
        "{pruned} deliveries are pruned: their rows are taken as they are. Exactly: what was created since {}, and that quarter \
         hours, activity and statuses add up to whole lives",
        Iso(events_ms)
    );
    println!("As lower bounds: events created before, of whole lives and of links");
    if let Some(deliveries_ms) = deliveries {
        println!("As lower bounds: deliveries created before {}, of whole lives and of links", Iso(deliveries_ms));
    }
}

/// Writes everything derived again, in one transaction.
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
    super::must_exist(db)?;
    sqlite::open(db).context("the file cannot be used")
}

fn bar(connection: &rusqlite::Connection) -> anyhow::Result<ProgressBar> {
    let deliveries: i64 = connection.query_row("SELECT coalesce(max(id), 0) FROM deliveries", [], |row| row.get(0))?;
    let style = "{bar:40} {pos}/{len} deliveries, {per_sec}, {eta} left";
    Ok(ProgressBar::new(deliveries as u64).with_style(ProgressStyle::with_template(style)?))
}
