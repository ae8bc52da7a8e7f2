//! `waybill backup` and `waybill restore`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::store::{Lock, backup, sqlite, verify};
use crate::web::backups;

#[derive(clap::Args)]
#[command(
    after_help = "The copy is consistent, of one moment, and complete or not there at all; a server may go on writing. While it
runs, the write-ahead log of the file grows. Copying the .db file with cp misses what is in the log.

Examples:
  waybill backup /mnt/backup/waybill.db         replaces the last one
  waybill backup /mnt/backup/ --keep 7          a file with the time in its name; the latest seven stay
  waybill backup /mnt/backup/ --verify          recount everything in the copy before it counts as one

`waybill serve --backup-to FOLDER` does the same once a day."
)]
pub struct Backup {
    /// The file to write, or a folder
    to: PathBuf,

    /// Delete all backups in the folder but the latest
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,

    /// Recount everything in the copy, and leave no copy where anything differs
    #[arg(long)]
    verify: bool,
}

impl Backup {
    /// # Errors
    /// There is no such file, the copy cannot be written, or `--verify` finds a difference.
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        super::must_exist(db)?;
        let is_folder = self.to.is_dir();
        ensure!(is_folder || self.keep.is_none(), "--keep needs a folder that is there: {} is none", self.to.display());
        let to = if is_folder { backups::path_at(&self.to, chrono::Utc::now()) } else { self.to.clone() };
        let begun = Instant::now();
        backup::write(db, &to, |copy| if self.verify { check(copy) } else { Ok(()) })
            .with_context(|| format!("no backup was written to {}", to.display()))?;
        let (megabytes, seconds) = (to.metadata()?.len() as f64 / 1e6, begun.elapsed().as_secs_f64());
        let verified = if self.verify { ", verified" } else { "" };
        println!("{megabytes:.1} MB to {} in {seconds:.1} s{verified}", to.display());
        if let Some(keep) = self.keep {
            backups::rotate(&self.to, keep as usize).context("cannot delete older backups")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn check(copy: &Path) -> anyhow::Result<()> {
    let report = verify::verify(&mut sqlite::open(copy)?, |_| {})?;
    let first = report.first.first().map_or("", |first| first);
    ensure!(report.is_clean(), "{} differences, the first of them: {first}", report.differences);
    Ok(())
}

#[derive(clap::Args)]
#[command(
    after_help = "Writes the file of --db from a backup. It replaces nothing: move an earlier file away first, with
its -wal and -shm if there are such.

Example:
  waybill restore /mnt/backup/waybill-20260301T030000Z.db --db /var/lib/waybill/waybill.db"
)]
pub struct Restore {
    /// A backup
    from: PathBuf,
}

impl Restore {
    /// # Errors
    /// The backup is damaged or no Waybill file, or there is a file already.
    pub fn run(self, db: &Path) -> anyhow::Result<ExitCode> {
        let _lock = Lock::take(db)?;
        for suffix in ["", "-wal", "-shm"] {
            let path = PathBuf::from(format!("{}{suffix}", db.display()));
            ensure!(!path.exists(), "there is a file {} already; move it away first", path.display());
        }
        let found: String = sqlite::open_to_read(&self.from)?
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .with_context(|| format!("{} is damaged", self.from.display()))?;
        ensure!(found == "ok", "{} is damaged: {found}", self.from.display());
        backup::write(&self.from, db, |_| Ok::<_, crate::store::Error>(()))
            .with_context(|| format!("nothing was written to {}", db.display()))?;
        println!("{} restored from {}", db.display(), self.from.display());
        Ok(ExitCode::SUCCESS)
    }
}
