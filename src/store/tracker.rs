//! A file that events are recorded in: what the writer, `import` and embedding programs hold.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::apply::Context;
use super::entry::{Entry, Outcome};
use super::erasure::{self, Erased, Forgotten, Graces, Left};
use super::pulls::{self, Position};
use super::retention::{self, Dropped, Keep, KeepBodies, Pass, What};
use super::sqlite::{self, LOG_BYTES_SMALL};
use super::{Error, Lock, disk, quarantine, sources};
use crate::domain::{Millis, Source, Text};

/// A file, open for writing. Several may be open on one file; SQLite lets one write at a time.
pub struct Tracker {
    connection: Connection,
    /// As of the last transaction that committed; read again after a rollback.
    forgotten: Forgotten,
    file: File,
    options: Options,
    /// Through old deliveries.
    pass: Pass,
    /// Keeps servers away.
    _lock: Option<Lock>,
}

/// How a file is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How long after erasure requests they take effect.
    pub graces: Graces,
    pub keep: Keep,
    /// How large the write-ahead log may grow, in bytes, while a reader holds it. `None`: a quarter of the free disk.
    pub wal_max: Option<u64>,
}

impl Tracker {
    /// Opens the file, creating and migrating it as needed.
    pub fn open(path: &Path) -> Result<Tracker, Error> {
        Tracker::on(sqlite::open(path)?, path, None)
    }

    /// The same, for whoever serves or rewrites the file, which one process may do at a time.
    ///
    /// # Errors
    /// [`Error::Served`] where another has it.
    pub fn open_alone(path: &Path) -> Result<Tracker, Error> {
        let (connection, lock) = sqlite::open_alone(path)?;
        Tracker::on(connection, path, Some(lock))
    }

    fn on(connection: Connection, path: &Path, lock: Option<Lock>) -> Result<Tracker, Error> {
        let (forgotten, file) = (Forgotten::default(), File::of(path)?);
        Ok(Tracker { connection, forgotten, file, options: Options::default(), pass: Pass::default(), _lock: lock })
    }

    /// Where the file lies, also where it was opened by a link.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    pub fn set_options(&mut self, options: Options) {
        self.options = options;
    }

    /// How long after requests to erase a person they take effect; 0: at once.
    pub fn set_erasure_graces(&mut self, graces: Graces) {
        self.options.graces = graces;
    }

    /// Takes entries in, in one transaction, which is on disk when this returns. The outcomes are in their order.
    ///
    /// # Errors
    /// Nothing is stored in the file then; one that was moved meanwhile may have it. [`Error::is_transient`] says
    /// whether the same may succeed later.
    pub fn record(&mut self, entries: &[&Entry], received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        let mut recording = self.begin()?;
        let outcomes = recording.record(entries, received_at_ms)?;
        recording.commit()?;
        self.empty_log_of_the_erased();
        Ok(outcomes)
    }

    /// Erases some of what is left of forgotten people, with bounded work. Says what is left to do then.
    pub fn erase_some(&mut self) -> Result<Left, Error> {
        let mut recording = self.begin()?;
        recording.with(|context| {
            context.forgotten.refresh(context.connection)?;
            context.erase()
        })?;
        recording.commit()?;
        self.empty_log_of_the_erased();
        let left = self.left_to_erase()?;
        self.forgotten.is_erasing = left != Left::Nothing;
        Ok(left)
    }

    /// Drops some of what is older than it is kept, or for which there is no room. False: there is nothing more.
    pub fn drop_old(&mut self, now_ms: Millis) -> Result<bool, Error> {
        let keep = self.options.keep;
        for (what, before_ms) in keep.due(now_ms) {
            if self.prune(what, before_ms, now_ms)?.more {
                return Ok(true);
            }
        }
        let Some(max_bytes) = keep.max_bytes else { return Ok(false) };
        for (what, age_ms) in retention::FOR_ROOM {
            if disk::used_bytes(&self.connection)? <= max_bytes {
                break;
            }
            let dropped = self.prune_some((what, now_ms - age_ms), true, now_ms)?;
            if dropped.more || dropped.bodies > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Drops some of what is older than a time, with bounded work.
    pub fn prune(&mut self, what: What, before_ms: Millis, now_ms: Millis) -> Result<Dropped, Error> {
        self.prune_some((what, before_ms), false, now_ms)
    }

    fn prune_some(&mut self, old: (What, Millis), for_room: bool, now_ms: Millis) -> Result<Dropped, Error> {
        let mut pass = self.pass;
        let mut recording = self.begin()?;
        let dropped = recording.with(|it| retention::drop_some(it.connection, &mut pass, old, for_room, now_ms))?;
        recording.commit()?;
        self.pass = pass;
        Ok(dropped)
    }

    /// Notes what time it is, by which it is known too whether the file can be written. Requests to erase people whose
    /// grace has ended take effect.
    pub fn note_time(&mut self, now_ms: Millis) -> Result<(), Error> {
        let mut recording = self.begin()?;
        let sql = "INSERT OR REPLACE INTO _settings (key, value) VALUES ('time_ms', ?1)";
        recording.connection.prepare_cached(sql)?.execute([now_ms])?;
        let sql = "INSERT OR IGNORE INTO _sizes (day, bytes) VALUES (?1, ?2)";
        let bytes = disk::used_bytes(recording.connection)? as i64;
        recording.connection.prepare_cached(sql)?.execute([now_ms.div_euclid(retention::DAY_MS), bytes])?;
        recording.with(|context| {
            context.forgotten.refresh(context.connection)?;
            erasure::take_effect(context.connection, context.forgotten, now_ms)
        })?;
        recording.commit()
    }

    /// The time that was noted last.
    pub fn noted_time(&self) -> Result<Option<Millis>, Error> {
        let mut statement = self.connection.prepare("SELECT value FROM _settings WHERE key = 'time_ms'")?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?)
    }

    /// When something was received last.
    pub fn last_receipt(&self) -> Result<Option<Millis>, Error> {
        Ok(self.connection.query_row("SELECT max(last_at_ms) FROM receipts", [], |row| row.get(0))?)
    }

    /// What is left of forgotten people to erase.
    pub fn left_to_erase(&self) -> Result<Left, Error> {
        erasure::left(&self.connection)
    }

    /// Whether something was left to erase when this last wrote.
    pub fn is_erasing(&self) -> bool {
        self.forgotten.is_erasing
    }

    /// How much this process has erased.
    pub fn erased(&self) -> Erased {
        self.forgotten.erased
    }

    /// Erases all that is known of a person by this identifier, and was created until now. The rest of the work is
    /// [`Tracker::erase_some`], until nothing is left.
    pub fn forget(&mut self, identifier: &str, now_ms: Millis) -> Result<(), Error> {
        let mut recording = self.begin()?;
        recording.with(|context| {
            context.forgotten.refresh(context.connection)?;
            erasure::forget(context.connection, context.forgotten, identifier, now_ms)
        })?;
        recording.commit()
    }

    /// Revokes erasure requests that have not taken effect; how many these are.
    pub fn revoke(&mut self, identifier: &str, now_ms: Millis) -> Result<usize, Error> {
        let mut recording = self.begin()?;
        let revoked = recording.with(|context| erasure::revoke(context.connection, identifier, now_ms))?;
        recording.commit()?;
        Ok(revoked)
    }

    /// What was erased is in the write-ahead log until that is emptied, which readers may hold up: then it is tried
    /// again, after each transaction and while there is none.
    fn empty_log_of_the_erased(&mut self) {
        if !self.forgotten.is_erasing || !matches!(self.left_to_erase(), Ok(Left::Log)) {
            return;
        }
        if self.empty_log_at_once().is_ok() && self.file.log_bytes() == 0 {
            // failing, it is done again
            let _ = self.forgotten.done(&self.connection);
        }
    }

    /// Begins a transaction that takes several batches: what `import` does, whose transactions are larger than what
    /// it holds in memory.
    ///
    /// # Errors
    /// Also where the file is not in its place any more: a commit into a deleted file is lost; and where a reader that
    /// does not end has let the write-ahead log grow to its limit.
    pub fn begin(&mut self) -> Result<Recording<'_>, Error> {
        if !self.file.is_in_place() {
            return Err(Error::Moved);
        }
        self.bound_log()?;
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Recording {
            connection: &self.connection,
            forgotten: &mut self.forgotten,
            file: &self.file,
            options: self.options,
            is_committed: false,
        })
    }

    /// Notes of a row of the quarantine that what was read from it could not be stored, and why.
    pub fn give_up(&mut self, quarantine_id: i64, detail: &str) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        quarantine::give_up(&transaction, quarantine_id, detail)?;
        Ok(transaction.commit()?)
    }

    /// The same of all reports that wait for a delivery. How many there were.
    pub fn give_up_waiting(&mut self, delivery_id: &str, detail: &str) -> Result<usize, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let given_up = quarantine::give_up_waiting(&transaction, delivery_id, detail)?;
        transaction.commit()?;
        Ok(given_up)
    }

    /// Moves the write-ahead log into the file and empties it.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Writes the file again without its free pages and fragments, which may hold what was erased. Nobody else can
    /// write meanwhile.
    ///
    /// # Errors
    /// Where another connection writes, or reads so that the write-ahead log, which holds the old pages, stays.
    pub fn vacuum(&self) -> Result<(), Error> {
        // the copy that SQLite makes is as large as the file
        let vacuumed = self.connection.execute_batch("PRAGMA temp_store = FILE; VACUUM");
        self.connection.execute_batch("PRAGMA temp_store = MEMORY")?;
        vacuumed?;
        self.checkpoint()?;
        if self.file.log_bytes() == 0 { Ok(()) } else { Err(Error::LogFull) }
    }

    fn bound_log(&self) -> Result<(), Error> {
        let bytes = self.file.log_bytes();
        if bytes <= LOG_BYTES_SMALL.min(self.options.wal_max.unwrap_or(LOG_BYTES_SMALL)) {
            return Ok(());
        }
        let max = self.options.wal_max.unwrap_or_else(|| sqlite::log_bytes_max(self.path(), bytes));
        if bytes <= max {
            return Ok(());
        }
        let emptied = self.empty_log_at_once();
        if self.file.log_bytes() <= max { Ok(()) } else { emptied.and(Err(Error::LogFull)) }
    }

    /// At once or not at all: waiting for a reader would hold up the answers.
    fn empty_log_at_once(&self) -> Result<(), Error> {
        sqlite::wait_for_locks(&self.connection, false)?;
        let emptied = self.checkpoint();
        sqlite::wait_for_locks(&self.connection, true)?;
        emptied
    }

    /// The secret that makes the ids of events that come without one.
    pub fn id_key(&self) -> Result<Vec<u8>, Error> {
        sqlite::id_key(&self.connection)
    }

    /// Sets that secret.
    ///
    /// # Errors
    /// Where the file has events that were made with another.
    pub fn set_id_key(&mut self, key: &[u8]) -> Result<(), Error> {
        sqlite::set_id_key(&mut self.connection, key)
    }

    /// Gives a source its name, or takes it away.
    pub fn name_source(&mut self, source: &Source, name: Option<&str>) -> Result<(), Error> {
        sources::set_name(&self.connection, source, name)
    }

    /// The same of several, all or none.
    pub fn name_sources(&mut self, named: &[(Source, Option<Text>)]) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        named.iter().try_for_each(|(source, name)| sources::set_name(&transaction, source, name.as_deref()))?;
        Ok(transaction.commit()?)
    }

    /// Takes what Customer.io calls sources, all or none.
    pub fn set_pulled_names(&mut self, pulled: &[sources::Pulled]) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        pulled.iter().try_for_each(|pulled| sources::set_pulled(&transaction, pulled))?;
        Ok(transaction.commit()?)
    }

    /// The connection, for questions and upkeep.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A transaction that is under way. Dropped without [`Recording::commit`], nothing of it is stored.
pub struct Recording<'t> {
    connection: &'t Connection,
    forgotten: &'t mut Forgotten,
    file: &'t File,
    options: Options,
    is_committed: bool,
}

impl Recording<'_> {
    pub fn record(&mut self, entries: &[&Entry], received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        self.with(|context| context.apply(entries, received_at_ms))
    }

    /// Notes how far a list was pulled, with what was recorded of it.
    pub fn set_pull_position(&mut self, path: &str, position: &Position) -> Result<(), Error> {
        pulls::set_position(self.connection, path, position)
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Context) -> Result<T, Error>) -> Result<T, Error> {
        work(&mut Context {
            connection: self.connection,
            forgotten: self.forgotten,
            graces: self.options.graces,
            keep_bodies: self.options.keep.bodies != KeepBodies::Never,
        })
    }

    /// # Errors
    /// Also where the file was moved meanwhile, since a transaction may wait for a lock: what was committed lies in
    /// another place then, and must not be answered for.
    pub fn commit(mut self) -> Result<(), Error> {
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        self.is_committed = true;
        if self.file.is_in_place() { Ok(()) } else { Err(Error::Moved) }
    }
}

impl Drop for Recording<'_> {
    /// What was not committed is rolled back, and what was known of the forgotten with it.
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        *self.forgotten = Forgotten::default();
        // SQLite has done so itself after some errors
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

/// The file that was opened, its write-ahead log and the index of that, to notice when they were taken away: a commit into a
/// deleted file is lost, and without the index other processes take no notice of ours. Both are there, and the same, for as
/// long as a connection is open.
struct File {
    path: PathBuf,
    parts: Vec<(PathBuf, (u64, u64))>,
}

impl File {
    fn of(path: &Path) -> Result<File, Error> {
        let mut parts = vec![(path.to_owned(), disk::identity(path).ok_or(Error::Moved)?)];
        let path = fs::canonicalize(path).map_err(|_| Error::Moved)?;
        for end in ["-wal", "-shm"] {
            let mut part = path.clone().into_os_string();
            part.push(end);
            parts.extend(disk::identity(Path::new(&part)).map(|identity| (part.into(), identity)));
        }
        Ok(File { path, parts })
    }

    fn log_bytes(&self) -> u64 {
        self.parts.get(1).and_then(|(log, _)| fs::metadata(log).ok()).map_or(0, |meta| meta.len())
    }

    fn is_in_place(&self) -> bool {
        self.parts.iter().all(|(path, opened)| disk::identity(path) == Some(*opened))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Event, EventTime, MetricName};
    use crate::store::Incoming;

    fn entry(n: i64) -> Entry {
        let time = EventTime::given(1_790_000_000_000 + n);
        let event = Event::new(&format!("d{n}"), MetricName::parse("sent"), &format!("e{n}"), time, time.ms);
        Entry::Event(Box::new(Incoming { event, format: "test".into(), body: "{}".into() }))
    }

    #[test]
    fn a_reader_that_does_not_end_does_not_fill_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let mut tracker = Tracker::open(&path).unwrap();
        tracker.set_options(Options { wal_max: Some(1 << 20), ..Options::default() });
        tracker.record(&[&entry(0)], 0).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();

        let refused = (1..10_000).find_map(|n| tracker.record(&[&entry(n)], 0).err()).expect("a limit");
        assert!(matches!(refused, Error::LogFull) && refused.is_transient(), "{refused}");
        assert!(tracker.file.log_bytes() < 2 << 20);

        reader.execute_batch("COMMIT").unwrap();
        tracker.record(&[&entry(10_000)], 0).unwrap();
        assert!(tracker.file.log_bytes() < 1 << 20);
    }

    #[test]
    fn old_bodies_are_dropped_and_their_events_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracker = Tracker::open(&folder.path().join("bodies.db")).unwrap();
        let keep = Keep { bodies: KeepBodies::For(Duration::from_secs(60)), ..Keep::default() };
        tracker.set_options(Options { keep, ..Options::default() });
        tracker.record(&[&entry(0), &entry(100_000)], 0).unwrap();
        assert!(!tracker.drop_old(1_790_000_000_000 + 100_000).unwrap());
        let count = |tracker: &mut Tracker, sql: &str| {
            tracker.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(count(&mut tracker, "SELECT count(*) FROM event_bodies"), 1);
        assert_eq!(count(&mut tracker, "SELECT count(*) FROM events_raw_v1 WHERE body IS NULL"), 1);
    }
}
