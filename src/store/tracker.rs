//! A file that events are recorded in: what the writer, `import` and embedding programs hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::apply::{Entry, Outcome, apply};
use super::forgetting::{self, Erased, erasing};
use super::names::{self, Names};
use super::statements::Statements;
use super::{Error, addresses, days, receipts, sqlite, waiting};
use crate::domain::people::Standing;
use crate::domain::{Millis, Source, Text};

/// A file, open for writing. Several may be open on one file; SQLite lets one write at a time.
pub struct Tracker {
    connection: Connection,
    /// True only as far as the transactions that wrote it have committed: emptied after a rollback.
    names: Names,
    file: File,
    log_bytes_max: u64,
    deletion_grace_ms: Millis,
}

/// How long after a person is said to be deleted all is kept, and the deletion may be revoked: 30 days.
pub const DELETION_GRACE_MS: Millis = 30 * 24 * 60 * 60 * 1000;

/// How large the write-ahead log may grow. It cannot be reset while someone reads from before it, and would fill the
/// disk behind a reader that never ends.
const LOG_BYTES_MAX: u64 = 1 << 30;

impl Tracker {
    /// Opens the file, creating and migrating it as needed.
    pub fn open(path: &Path) -> Result<Tracker, Error> {
        let connection = sqlite::open_writer(path)?;
        Ok(Tracker {
            connection,
            names: Names::default(),
            file: File::of(path)?,
            log_bytes_max: LOG_BYTES_MAX,
            deletion_grace_ms: DELETION_GRACE_MS,
        })
    }

    /// How long after a person is said to be deleted that takes effect; 0: at once.
    pub fn set_deletion_grace(&mut self, grace: Duration) {
        self.deletion_grace_ms = Millis::try_from(grace.as_millis()).unwrap_or(Millis::MAX);
    }

    /// Takes entries in, in one transaction, which is on disk when this returns, or is [flushed apart](Tracker::flush_apart).
    /// The outcomes are in their order.
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

    /// From now on a transaction is on disk after what this gives has run, and not when it is committed.
    pub fn flush_apart(&mut self) -> Result<impl Fn() -> std::io::Result<()> + use<>, Error> {
        let log = self.file.open_log()?;
        // which leaves to us no more than that: SQLite flushes the log as it begins, and before it is moved into the file
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(move || log.sync_data())
    }

    /// Erases some of what is left of forgotten people, with bounded work. Says what is left to do then.
    pub fn erase_some(&mut self) -> Result<erasing::Left, Error> {
        let mut recording = self.begin()?;
        recording.with(|transaction, names| {
            forgetting::refresh(transaction, names)?;
            erasing::step(transaction, names)
        })?;
        recording.commit()?;
        self.empty_log_of_the_erased();
        let left = self.left_to_erase()?;
        self.names.forgotten.is_erasing = left != erasing::Left::Nothing;
        Ok(left)
    }

    /// Does some of what makes questions quick and can wait: sums a day, or indexes the parts of some addresses. False:
    /// there is nothing to do.
    pub fn tidy(&mut self) -> Result<bool, Error> {
        let work = if days::can_sum(&self.connection)? {
            days::sum_one
        } else if addresses::can_index(&self.connection)? {
            addresses::index_some
        } else {
            return Ok(false);
        };
        let mut recording = self.begin()?;
        recording.with(|transaction, _| work(transaction))?;
        recording.commit()?;
        Ok(true)
    }

    /// What is left of forgotten people to erase.
    pub fn left_to_erase(&self) -> Result<erasing::Left, Error> {
        erasing::left(&self.connection)
    }

    /// Whether something was left to erase when this last wrote.
    pub fn is_erasing(&self) -> bool {
        self.names.forgotten.is_erasing
    }

    /// How much this process has erased.
    pub fn erased(&self) -> Erased {
        self.names.forgotten.erased
    }

    /// Erases all that is known of a person by this identifier, and was created until now. The rest of the work is
    /// [`Tracker::erase_some`], until nothing is left.
    pub fn forget(&mut self, identifier: &str, now_ms: Millis) -> Result<(), Error> {
        let mut recording = self.begin()?;
        recording.with(|transaction, names| {
            forgetting::refresh(transaction, names)?;
            forgetting::forget(transaction, names, identifier, Standing::Deleted, now_ms)
        })?;
        recording.commit()
    }

    /// Revokes deletions of a person that have not taken effect; how many these are.
    pub fn revoke(&mut self, identifier: &str, now_ms: Millis) -> Result<usize, Error> {
        let mut recording = self.begin()?;
        let revoked = recording.with(|transaction, _| forgetting::revoke(transaction, identifier, now_ms))?;
        recording.commit()?;
        Ok(revoked)
    }

    /// What was erased is in the write-ahead log until that is emptied, which readers may hold up: then it is tried
    /// again, after each transaction and while there is none.
    fn empty_log_of_the_erased(&mut self) {
        if !self.names.forgotten.is_erasing || !matches!(self.left_to_erase(), Ok(erasing::Left::Log)) {
            return;
        }
        if self.begin_log_anew().is_ok() {
            // failing, it is done again
            let _ = erasing::done(&self.connection, &mut self.names);
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
        self.names.filters.begin();
        Ok(Recording {
            connection: &self.connection,
            names: &mut self.names,
            file: &self.file,
            deletion_grace_ms: self.deletion_grace_ms,
            is_committed: false,
        })
    }

    /// Says of a row of the quarantine that what was read from it could not be stored, and why.
    pub fn give_up(&mut self, quarantine_id: i64, detail: &str) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        receipts::give_up(&transaction, quarantine_id, detail)?;
        Ok(transaction.commit()?)
    }

    /// The same of all reports that wait for a delivery. How many there were.
    pub fn give_up_waiting(&mut self, delivery_id: &str, detail: &str) -> Result<usize, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let given_up = waiting::give_up(&transaction, delivery_id, detail)?;
        transaction.commit()?;
        Ok(given_up)
    }

    /// Moves the write-ahead log into the file and empties it.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// Moves all that was committed into the file, at once and whole, so that the log is empty.
    pub fn begin_log_anew(&self) -> Result<(), Error> {
        self.empty_log_at_once()?;
        if self.file.log_bytes() == 0 { Ok(()) } else { Err(Error::NotFlushed) }
    }

    fn bound_log(&self) -> Result<(), Error> {
        if self.file.log_bytes() <= self.log_bytes_max {
            return Ok(());
        }
        let emptied = self.empty_log_at_once();
        match emptied {
            _ if self.file.log_bytes() <= self.log_bytes_max => Ok(()),
            Ok(()) => Err(Error::LogFull),
            Err(error) => Err(error),
        }
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
        names::name_source(&Statements::of(&self.connection), source, name)
    }

    /// The same of several, all or none.
    pub fn name_sources(&mut self, named: &[(Source, Option<Text>)]) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let statements = Statements::of(&transaction);
        named.iter().try_for_each(|(source, name)| names::name_source(&statements, source, name.as_deref()))?;
        drop(statements);
        Ok(transaction.commit()?)
    }

    /// The connection, for questions and upkeep.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A transaction that is under way. Dropped without [`Recording::commit`], nothing of it is stored.
///
/// It begins and ends by statements that are kept: rusqlite's own transaction prepares two, which took a hundredth of the
/// writer's time in small ones.
pub struct Recording<'t> {
    connection: &'t Connection,
    names: &'t mut Names,
    file: &'t File,
    deletion_grace_ms: Millis,
    is_committed: bool,
}

impl Recording<'_> {
    pub fn record(&mut self, entries: &[&Entry], received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        let deletion_grace_ms = self.deletion_grace_ms;
        self.with(|connection, names| apply(connection, names, entries, received_at_ms, deletion_grace_ms))
    }

    fn with<T>(&mut self, work: impl FnOnce(&Connection, &mut Names) -> Result<T, Error>) -> Result<T, Error> {
        work(self.connection, self.names)
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
    /// Nothing of what was not committed is remembered, and it is rolled back.
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        self.names.forget();
        // SQLite has done so itself after some errors
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "what was not stored could not be rolled back");
        }
    }
}

/// The file that was opened and its write-ahead log, to notice when they were taken away: a commit into a deleted
/// file is lost. The log is there, and the same, for as long as a connection is open.
struct File {
    parts: Vec<(PathBuf, (u64, u64))>,
}

impl File {
    fn of(path: &Path) -> Result<File, Error> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let mut parts = vec![(path.to_owned(), identity(path).ok_or(Error::Moved)?)];
        parts.extend(identity(Path::new(&log)).map(|identity| (log.into(), identity)));
        Ok(File { parts })
    }

    fn open_log(&self) -> Result<fs::File, Error> {
        let (log, _) = self.parts.get(1).ok_or(Error::Moved)?;
        let opened = fs::File::open(log).map_err(|_| Error::Moved)?;
        if self.is_in_place() { Ok(opened) } else { Err(Error::Moved) }
    }

    fn log_bytes(&self) -> u64 {
        self.parts.get(1).and_then(|(log, _)| fs::metadata(log).ok()).map_or(0, |meta| meta.len())
    }

    fn is_in_place(&self) -> bool {
        self.parts.iter().all(|(path, opened)| identity(path) == Some(*opened))
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|_| (0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Event, EventTime, MetricName};

    fn entry(n: i64) -> Entry {
        let time = EventTime::given(1_790_000_000_000 + n);
        let event = Event::new(&format!("d{n}"), MetricName::parse("sent"), &format!("e{n}"), time, time.ms);
        Entry::event(event, "{}")
    }

    #[test]
    fn erasing_that_failed_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracker = Tracker::open(&folder.path().join("erasing.db")).unwrap();
        tracker.record(&[&entry(0)], 0).unwrap();
        tracker.forget("ann", 0).unwrap();
        let trouble = "CREATE TEMP TRIGGER trouble BEFORE UPDATE ON erasing BEGIN SELECT raise(ABORT, 'trouble'); END";
        tracker.connection().execute_batch(trouble).unwrap();
        for _ in 0..2 {
            tracker.erase_some().unwrap_err();
            assert!(tracker.is_erasing(), "it is tried again");
        }
        tracker.connection().execute_batch("DROP TRIGGER trouble").unwrap();
        while tracker.erase_some().unwrap() != erasing::Left::Nothing {}
        assert!(!tracker.is_erasing());
    }

    #[test]
    fn a_reader_that_does_not_end_does_not_fill_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.db");
        let mut tracker = Tracker { log_bytes_max: 1 << 20, ..Tracker::open(&path).unwrap() };
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
}
