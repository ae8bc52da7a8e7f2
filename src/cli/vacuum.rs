//! `waybill vacuum`

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::store::Tracker;

/// Rewrites the file, so that its unused space is returned to the disk, and with it what was erased.
///
/// # Errors
/// Where there is no such file, a server has it, or another process writes to it.
pub fn run(db: &Path) -> anyhow::Result<ExitCode> {
    super::must_exist(db)?;
    run_on(&open(db)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the file and keeps servers away. A server could not store an event for as long as the file is rewritten, which
/// takes minutes where it has gigabytes.
pub fn open(db: &Path) -> anyhow::Result<Tracker> {
    Tracker::open_alone(db).context("the file can only be rewritten while no server has it")
}

/// The same of a file that is open alone.
pub fn run_on(tracker: &Tracker) -> anyhow::Result<()> {
    let megabytes = || fs::metadata(tracker.path()).map_or(0.0, |meta| meta.len() as f64 / 1e6);
    let before = megabytes();
    tracker.vacuum().context("the file was not rewritten; it is as it was")?;
    println!("Vacuumed: {before:.1} MB before, {:.1} MB now.", megabytes());
    Ok(())
}
