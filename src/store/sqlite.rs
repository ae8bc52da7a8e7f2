//! Opens the file: checks that it is ours, migrates it, sets the pragmas. A file with a newer `user_version` is refused
//! untouched.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::{Error, Lock, disk, migrations};

/// "WAYB": marks the file as ours.
const APPLICATION_ID: i64 = 0x5741_5942;

/// How long a statement waits for a lock that another process holds: some 2 s, less than the time in which a webhook must
/// be answered, also on a busy machine.
const LOOKS: i32 = 400;

/// How often it looks. SQLite's own way of waiting does so every 100 ms in the end, and misses who lets go for less.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

/// The number of prepared statements a connection keeps.
const STATEMENTS: usize = 256;

/// Opens the file for writing, creating and migrating it as needed.
///
/// # Errors
/// Also where it needs to be migrated and a server has it.
pub fn open(path: &Path) -> Result<Connection, Error> {
    open_with(path, false, migrations::STEPS).map(|(connection, _)| connection)
}

/// The same, with the lock that keeps servers away; it is taken before anything is written.
pub fn open_alone(path: &Path) -> Result<(Connection, Lock), Error> {
    let (connection, lock) = open_with(path, true, migrations::STEPS)?;
    lock.map(|lock| (connection, lock)).ok_or(Error::Served)
}

/// The same, with the steps that make the schema.
pub(super) fn open_with(path: &Path, alone: bool, steps: &[&'static str]) -> Result<(Connection, Option<Lock>), Error> {
    let opened = |error: rusqlite::Error| Error::Open { path: path.into(), reason: error.to_string() };
    let is_new = fs::metadata(path).map(|meta| meta.len() == 0).unwrap_or(true);
    if is_new {
        create(path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut connection = Connection::open_with_flags(path, flags).map_err(opened)?;
    wait_for_locks(&connection, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let has_key = || connection.prepare("SELECT 1 FROM _settings WHERE key = 'id_key'")?.exists([]);
    let is_current = check(&connection, path, steps.len())? && has_key()?;
    let lock = if alone || !is_current { Some(Lock::take(path)?) } else { None };
    if is_new {
        // must be set before the first table
        connection.pragma_update(None, "page_size", 4096).map_err(opened)?;
    }
    if !is_current {
        connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(opened)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(opened)?;
    if !is_current {
        migrations::run(&mut connection, path, steps)?;
        complete(&mut connection)?;
    }
    write_pragmas(&connection)?;
    Ok((connection, lock.filter(|_| alone)))
}

/// Opens a file of ours to read it, and changes nothing about it.
pub fn open_to_read(path: &Path) -> Result<Connection, Error> {
    let opened = |error: rusqlite::Error| Error::Open { path: path.into(), reason: error.to_string() };
    let connection = Connection::open_with_flags(path, READ_ONLY).map_err(opened)?;
    wait_for_locks(&connection, true)?;
    check(&connection, path, migrations::STEPS.len())?;
    Ok(connection)
}

/// Whether statements wait for locks that others hold, or fail at once.
pub(super) fn wait_for_locks(connection: &Connection, wait: bool) -> rusqlite::Result<()> {
    connection.busy_handler(wait.then_some(look_again as fn(i32) -> bool))
}

fn look_again(looks: i32) -> bool {
    if looks < LOOKS {
        thread::sleep(LOOKS_EVERY);
    }
    looks < LOOKS
}

/// The file holds addresses: its owner alone may read it.
fn create(path: &Path) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| Error::Open { path: path.into(), reason: error.to_string() })
}

/// Refuses what is not a Waybill file, or one from a newer version, before anything is written. Whether the file needs no
/// migration.
fn check(connection: &Connection, path: &Path, steps: usize) -> Result<bool, Error> {
    let not_ours = |reason: String| Error::NotOurs { path: path.into(), reason };
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application_id = number("application_id").map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => not_ours("it is no SQLite database".into()),
        _ => Error::Open { path: path.into(), reason: error.to_string() },
    })?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id != APPLICATION_ID && (application_id != 0 || tables > 0) {
        return Err(not_ours("it is a database of another program".into()));
    }
    let (found, known) = (migrations::version(connection)?, steps as i64);
    if found > known {
        return Err(Error::Newer { path: path.into(), found, known });
    }
    Ok(found == known)
}

/// What each file has of its own, and what explains it.
fn complete(connection: &mut Connection) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for name in ["id_key", "session_key"] {
        let sql = "INSERT OR IGNORE INTO _settings (key, value) VALUES (?1, ?2)";
        transaction.execute(sql, (name, &random()?[..]))?;
    }
    super::query::schema::fill_about(&transaction)?;
    Ok(transaction.commit()?)
}

/// A new secret of 256 bits.
pub fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(bytes)
}

/// A plan is made once, whatever is bound: else SQLite makes it again for each value of a `LIMIT`, which costs several
/// times what it takes to run most statements.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn write_pragmas(connection: &Connection) -> Result<(), Error> {
    keep_plans(connection)?;
    // an acknowledged event must survive a power cut: NORMAL alone lost some in every one that was tried
    connection.pragma_update(None, "synchronous", "FULL")?;
    // 80 MB of WAL: rarer checkpoints write a hot page once instead of twenty times
    connection.pragma_update(None, "wal_autocheckpoint", 20_000)?;
    connection.pragma_update(None, "journal_size_limit", 128 << 20)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // freed cells hold addresses
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    // so that INSERT OR REPLACE fires the triggers of `replicate` for the row that goes
    connection.pragma_update(None, "recursive_triggers", "ON")?;
    // references are right by construction, and `verify` proves more than this would check at every insert
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    Ok(())
}

/// Remembers something under a key.
pub fn set_setting(connection: &Connection, key: &str, value: &str) -> Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO _settings (key, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute([key, value])?;
    Ok(())
}

/// The secret that keys the hash of events without an id. Law 1 compares files of one key.
pub fn id_key(connection: &Connection) -> Result<Vec<u8>, Error> {
    Ok(connection.query_row("SELECT value FROM _settings WHERE key = 'id_key'", [], |row| row.get(0))?)
}

/// Sets that secret, from configuration. Only a file without events may change it: their ids depend on it.
pub fn set_id_key(connection: &mut Connection, key: &[u8]) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let same: bool =
        transaction.query_row("SELECT value = ?1 FROM _settings WHERE key = 'id_key'", [key], |row| row.get(0))?;
    let has_events: bool = transaction.query_row("SELECT EXISTS (SELECT 1 FROM deliveries)", [], |row| row.get(0))?;
    if !same && has_events {
        return Err(Error::Row("the file has events already, made with another WAYBILL_ID_KEY".into()));
    }
    transaction.execute("UPDATE _settings SET value = ?1 WHERE key = 'id_key'", [key])?;
    transaction.commit()?;
    Ok(())
}

/// A write-ahead log up to here is never in the way, in bytes.
pub const LOG_BYTES_SMALL: u64 = 256 << 20;

/// How large the write-ahead log beside this file may grow, in bytes: to a quarter of what is free with it. It cannot be
/// reset while someone reads from before it, and would fill the disk beside a reader that never ends.
pub fn log_bytes_max(path: &Path, log_bytes: u64) -> u64 {
    disk::free_bytes(path).map_or(u64::MAX, |free| ((free + log_bytes) / 4).max(LOG_BYTES_SMALL))
}

/// A pool of connections that can only read.
#[derive(Clone)]
pub struct Readers {
    pool: r2d2::Pool<SqliteConnectionManager>,
    path: PathBuf,
    /// One for all copies.
    held: Arc<()>,
    /// What each connection begins with.
    begin: Begin,
}

type Begin = fn(&Connection) -> rusqlite::Result<()>;

/// One of them; it goes back when dropped.
pub type Reader = r2d2::PooledConnection<SqliteConnectionManager>;

impl Readers {
    /// Opens `size` connections on a file that [`open`] has opened before.
    pub fn open(path: &Path, size: u32) -> Result<Readers, Error> {
        Readers::beginning_with(path, size, read_pragmas)
    }

    /// The same with a function of your own that prepares each connection, as to trace its statements.
    pub fn traced(path: &Path, size: u32, begin: Begin) -> Result<Readers, Error> {
        Readers::beginning_with(path, size, begin)
    }

    fn beginning_with(path: &Path, size: u32, begin: Begin) -> Result<Readers, Error> {
        let manager = SqliteConnectionManager::file(path).with_flags(READ_ONLY).with_init(move |it| begin(it));
        let pool = r2d2::Pool::builder()
            .max_size(size)
            .min_idle(Some(0))
            .connection_timeout(Duration::from_secs(2))
            // a read-only connection on a file that is there does not go bad
            .test_on_check_out(false)
            .build(manager)?;
        Ok(Readers { pool, path: path.into(), held: Arc::new(()), begin })
    }

    /// A connection, once one is free.
    pub fn get(&self) -> Result<Reader, Error> {
        Ok(self.pool.get()?)
    }

    /// One beside the pool, for what takes long.
    pub fn open_one(&self) -> Result<Connection, Error> {
        let connection = Connection::open_with_flags(&self.path, READ_ONLY)?;
        (self.begin)(&connection)?;
        Ok(connection)
    }

    /// By which it is known whether anybody still has the pool, whose connections are open until then.
    pub fn held(&self) -> Weak<()> {
        Arc::downgrade(&self.held)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

const READ_ONLY: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

fn read_pragmas(connection: &Connection) -> rusqlite::Result<()> {
    keep_plans(connection)?;
    wait_for_locks(connection, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -8_192)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", "OFF")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_sound() {
        let steps = migrations::STEPS.iter().map(|sql| rusqlite_migration::M::up(sql)).collect();
        rusqlite_migration::Migrations::new(steps).validate().unwrap();
    }

    #[test]
    fn a_new_file_has_typed_views() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&dir.path().join("new.db")).unwrap();
        let mut views =
            connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view' AND name GLOB '*_v1'").unwrap();
        let names: Vec<String> = views.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(names.len() >= 15);
        for name in names {
            let mut columns =
                connection.prepare(&format!("SELECT name, type FROM pragma_table_info('{name}')")).unwrap();
            let columns =
                columns.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
            for column in columns {
                let (column, declared) = column.unwrap();
                assert!(
                    ["TEXT", "INTEGER", "INT", "NUM", "BLOB"].contains(&&*declared),
                    "{name}.{column} has type {declared:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let garbage = dir.path().join("garbage.db");
        fs::write(&garbage, vec![7u8; 10_000]).unwrap();
        assert!(matches!(open(&garbage), Err(Error::NotOurs { .. })));
        assert_eq!(fs::read(&garbage).unwrap(), vec![7u8; 10_000]);

        let other = dir.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let before = fs::read(&other).unwrap();
        assert!(matches!(open(&other), Err(Error::NotOurs { .. })));
        assert_eq!(fs::read(&other).unwrap(), before);

        let newer = dir.path().join("newer.db");
        open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let before = fs::read(&newer).unwrap();
        assert!(matches!(open(&newer), Err(Error::Newer { found: 99, .. })));
        assert_eq!(fs::read(&newer).unwrap(), before);
    }
}
