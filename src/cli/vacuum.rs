//! `waybill vacuum`

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::store::Tracker;
use crate::web;

/// Rewrites the file, so that its unused space is returned to the disk, and with it what was erased.
///
/// # Errors
/// Where there is no such file, a server has it, or another process writes to it.
pub fn run(db: &Path) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(db.exists(), "there is no file {}; name one with --db", db.display());
    let _lock = lock(db)?;
    let mut tracker = Tracker::open(db).context("the file cannot be used")?;
    run_on(&mut tracker, db)?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps servers away from the file until this is dropped. A server could not store an event for as long as the file is
/// rewritten, which takes minutes where it has gigabytes.
pub fn lock(db: &Path) -> anyhow::Result<File> {
    web::only_server(db).context("the file can only be rewritten while no server has it")
}

/// The same of a file that is open and locked.
pub fn run_on(tracker: &mut Tracker, db: &Path) -> anyhow::Result<()> {
    let megabytes = || fs::metadata(db).map_or(0.0, |meta| meta.len() as f64 / 1e6);
    let before = megabytes();
    tracker.vacuum().context("the file was not rewritten; it is as it was")?;
    println!("Vacuumed: {before:.1} MB before, {:.1} MB now.", megabytes());
    Ok(())
}
