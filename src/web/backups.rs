//! A folder of backups: their names, how many stay, and when the next is due.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::web;
use chrono::{DateTime, NaiveDateTime, Utc};

use crate::config::Backups;
use crate::store::backup;

/// Names sort by time, which is UTC.
const NAME: &str = "waybill-%Y%m%dT%H%M%SZ.db";

/// How long after a failure the next is tried.
const AGAIN: Duration = Duration::from_secs(600);

/// Where a backup of this moment goes.
pub fn path_at(folder: &Path, at: DateTime<Utc>) -> PathBuf {
    folder.join(at.format(NAME).to_string())
}

/// The backups in a folder with their times, oldest first.
fn list(folder: &Path) -> anyhow::Result<Vec<(DateTime<Utc>, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Ok(at) = NaiveDateTime::parse_from_str(&name, NAME) {
            found.push((at.and_utc(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// Deletes all backups of a folder but the latest so many. Other files stay.
///
/// # Errors
/// The folder cannot be read, or a backup not be deleted.
pub fn rotate(folder: &Path, keep: usize) -> anyhow::Result<()> {
    for (_, path) in list(folder)?.iter().rev().skip(keep) {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Writes a backup whenever the latest in the folder is old enough, while the server runs.
pub async fn run(db: PathBuf, backups: Option<Backups>) {
    let Some(backups) = backups else { return };
    loop {
        let now = Utc::now();
        let wait = match list(&backups.folder) {
            Ok(found) => {
                found.last().and_then(|(at, _)| backups.every.checked_sub((now - *at).to_std().unwrap_or_default()))
            }
            // made below, or reported
            Err(_) => None,
        };
        if let Some(wait) = wait {
            tokio::time::sleep(wait.min(AGAIN)).await;
            continue;
        }
        let (db, to) = (db.clone(), backups.clone());
        match web::block(move || write(&db, &to, now)).await {
            Ok(Ok(path)) => tracing::info!(path = %path.display(), "wrote a backup"),
            Ok(Err(error)) => {
                tracing::error!(error = format!("{error:#}"), "cannot write a backup");
                tokio::time::sleep(AGAIN).await;
            }
            // the server is stopping
            Err(_) => return,
        }
    }
}

fn write(db: &Path, backups: &Backups, now: DateTime<Utc>) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(&backups.folder)?;
    let path = path_at(&backups.folder, now);
    backup::write(db, &path, |_| Ok::<_, crate::store::Error>(()))?;
    rotate(&backups.folder, backups.keep)?;
    Ok(path)
}
