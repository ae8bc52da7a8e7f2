//! Migrates a file, which is copied beside it first as it was.
//!
//! Append a step, never edit one that was released. All that are missing run in one transaction: a crash leaves the file as it
//! was, or as it is to be.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::{Error, disk};

/// Their comments explain the file: see [`schema`](super::query::schema).
pub const STEPS: &[&str] = &[include_str!("../../migrations/0001_core.sql")];

/// Brings a file to the schema that these steps make. The caller holds the lock of the file.
///
/// # Errors
/// The file is as it was then. [`Error::NoRoom`]: the disk has none for the copy.
pub fn run(connection: &mut Connection, path: &Path, steps: &[&'static str]) -> Result<(), Error> {
    let (from, to) = (version(connection)?, steps.len() as i64);
    if from < to {
        if from > 0 {
            let copy = save(connection, path, to)?;
            tracing::warn!(copy = %copy.display(), "migrating {} from schema {from} to {to}; saved a copy as it was", path.display());
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        Migrations::new(steps.iter().map(|sql| M::up(sql)).collect()).to_latest(connection)?;
    }
    Ok(())
}

/// Which schema a file has: how many steps it went through. 0: it is new.
pub fn version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Copies the file beside itself.
fn save(connection: &Connection, path: &Path, to: i64) -> Result<PathBuf, Error> {
    let path = fs::canonicalize(path).map_err(|_| Error::Moved)?;
    let copy = path.with_added_extension(format!("before-v{to}"));
    let bytes = disk::used_bytes(connection)?;
    // the migration needs some too
    let needed = bytes + bytes / 10;
    match disk::free_bytes(&path) {
        Some(free) if free < needed => return Err(Error::NoRoom { copy, needed, free }),
        _ => {}
    }
    disk::copy(connection, &copy, |_| Ok::<_, Error>(()))?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::store::sqlite;

    const NEXT: &str = "CREATE TABLE next (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO next SELECT i, hex(zeroblob(200)) FROM n;";

    /// A file of today with something in it.
    fn file(folder: &Path) -> PathBuf {
        let path = folder.join("w.db");
        let connection = sqlite::open(&path).unwrap();
        connection
            .execute("INSERT INTO source_names (source_kind, source_id, name) VALUES ('campaign', '8', 'Eight')", [])
            .unwrap();
        path
    }

    fn state(path: &Path) -> (i64, Option<i64>) {
        let connection = Connection::open(path).unwrap();
        let name: String = connection.query_row("SELECT name FROM source_names", [], |row| row.get(0)).unwrap();
        assert_eq!(name, "Eight");
        let rows = connection.query_row("SELECT count(*) FROM next", [], |row| row.get(0)).ok();
        (version(&connection).unwrap(), rows)
    }

    #[test]
    fn a_file_is_copied_and_migrated_or_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let copy = folder.path().join("w.db.before-v2");
        let broken = [STEPS[0], "CREATE TABLE next (a); INSERT INTO nowhere VALUES (1)"];
        assert!(matches!(sqlite::open_with(&path, false, &broken), Err(Error::Migration(_))));
        assert_eq!((state(&path), state(&copy)), ((1, None), (1, None)));

        sqlite::open_with(&path, false, &[STEPS[0], NEXT]).unwrap();
        assert_eq!((state(&path), state(&copy)), ((2, Some(20_000)), (1, None)));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // it is newer than what this program knows, and stays untouched
        let before = fs::read(&path).unwrap();
        assert!(matches!(sqlite::open(&path), Err(Error::Newer { found: 2, known: 1, .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
        // nothing to migrate, nothing to copy
        fs::remove_file(&copy).unwrap();
        sqlite::open_with(&path, false, &[STEPS[0], NEXT]).unwrap();
        assert!(!copy.exists());
    }

    #[test]
    fn a_file_that_is_served_is_not_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path());
        let _server = sqlite::open_alone(&path).unwrap();
        assert!(matches!(sqlite::open_with(&path, false, &[STEPS[0], NEXT]), Err(Error::Served)));
        assert_eq!(state(&path), (1, None));
    }

    const CHILD: &str = "WAYBILL_TEST_MIGRATES";

    /// What the next test runs and kills.
    #[test]
    fn child() {
        if let Some(path) = std::env::var_os(CHILD) {
            sqlite::open_with(Path::new(&path), false, &[STEPS[0], NEXT]).unwrap();
        }
    }

    #[test]
    fn a_crash_in_a_migration_leaves_the_old_file_or_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        for kilobytes in [0, 30, 400, 2_000, 4_000, 8_000] {
            let path = file(tempfile::tempdir_in(&folder).unwrap().keep().as_path());
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "store::migrations::tests::child"])
                .env(CHILD, &path)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let log = path.with_file_name("w.db-wal");
            while child.try_wait().unwrap().is_none() {
                if fs::metadata(&log).is_ok_and(|log| log.len() >= kilobytes << 10) {
                    child.kill().unwrap();
                }
                std::thread::yield_now();
            }
            let found = state(&path);
            assert!([(1, None), (2, Some(20_000))].contains(&found), "{found:?}");
            seen.push(found.0);
            sqlite::open_with(&path, false, &[STEPS[0], NEXT]).unwrap();
            assert_eq!(state(&path), (2, Some(20_000)));
        }
        assert!(seen.contains(&1), "none was killed in time: {seen:?}");
    }
}
