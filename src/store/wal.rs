//! How the write-ahead log is handed to the system: in large pieces.
//!
//! SQLite hands over each page of a transaction by itself, and the 24 bytes that stand before it by themselves. That is
//! two calls a page, of which the system spends more on finding the place than on copying. Here what follows each other
//! is gathered and handed over at once. All else, locks above all, is SQLite's own: this is a VFS that is a copy of the
//! system's but for how it opens a log, whose file is the system's but for the six methods below. Measured: 14 % of the
//! writer's cycles where single events come by 64 connections, 7 % in batches of 500.
//!
//! Nothing is told earlier or kept less for it. What was gathered is handed over with the last page of a transaction,
//! which is before others are told of it, and before the log is flushed, read, cut or closed. So all that is gathered is
//! of a transaction that is not over, and where the system refuses it, it is given up and SQLite, being told, rolls that
//! back. What is written once more (the sums of frames that a transaction wrote twice, after its last page) goes straight
//! to the system.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::LazyLock;

use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

/// How much is gathered: SQLite's VFS for Unix takes no more in one write. Pieces of 64 KiB to 1 MiB were measured to be
/// alike.
const PIECE: usize = (128 << 10) - 1;

/// What stands before each page. Its second four bytes are zero but before the last page of a transaction
/// (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).
const FRAME_HEADER: usize = 24;

const NAME: &CStr = c"waybill";

type Open = unsafe extern "C" fn(*mut sqlite3_vfs, *const c_char, *mut sqlite3_file, c_int, *mut c_int) -> c_int;
type Close = unsafe extern "C" fn(*mut sqlite3_file) -> c_int;
type Read = unsafe extern "C" fn(*mut sqlite3_file, *mut c_void, c_int, sqlite3_int64) -> c_int;
type Write = unsafe extern "C" fn(*mut sqlite3_file, *const c_void, c_int, sqlite3_int64) -> c_int;
type Truncate = unsafe extern "C" fn(*mut sqlite3_file, sqlite3_int64) -> c_int;
type Sync = unsafe extern "C" fn(*mut sqlite3_file, c_int) -> c_int;
type FileSize = unsafe extern "C" fn(*mut sqlite3_file, *mut sqlite3_int64) -> c_int;

/// How the system's VFS opens a file. Ours is registered once this is known.
static OPEN: LazyLock<Option<Open>> = LazyLock::new(|| {
    // SAFETY: it is either null or lives as long as the process
    let mut vfs = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()).as_ref() }.copied()?;
    let below = vfs.xOpen.replace(open)?;
    vfs.zName = NAME.as_ptr();
    vfs.pNext = std::ptr::null_mut();
    // SAFETY: a whole VFS, which is never freed; its methods take it for the one that it is a copy of, as both look alike
    let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) };
    (registered == ffi::SQLITE_OK).then_some(below)
});

/// The VFS that opens logs so; `None` where SQLite knows none for this system.
pub fn vfs() -> Option<&'static CStr> {
    OPEN.map(|_| NAME)
}

/// The log of one connection.
#[repr(C)]
struct Log {
    /// What its file has for methods. It is first, so that the way from the file to these leads to the log.
    methods: sqlite3_io_methods,
    below: Below,
    gathered: Vec<u8>,
    /// Where in the file that belongs.
    place: sqlite3_int64,
    /// Where the last write ended.
    end: sqlite3_int64,
    /// Whether the page that comes next is the last of its transaction.
    ends: bool,
}

/// The system's own methods.
struct Below {
    close: Close,
    read: Read,
    write: Write,
    truncate: Truncate,
    sync: Sync,
    file_size: FileSize,
}

impl Below {
    fn of(methods: &sqlite3_io_methods) -> Option<Below> {
        Some(Below {
            close: methods.xClose?,
            read: methods.xRead?,
            write: methods.xWrite?,
            truncate: methods.xTruncate?,
            sync: methods.xSync?,
            file_size: methods.xFileSize?,
        })
    }
}

impl Log {
    fn of(methods: &sqlite3_io_methods) -> Option<Log> {
        let below = Below::of(methods)?;
        let methods = sqlite3_io_methods {
            xClose: Some(close),
            xRead: Some(read),
            xWrite: Some(write),
            xTruncate: Some(truncate),
            xSync: Some(sync),
            xFileSize: Some(file_size),
            ..*methods
        };
        Some(Log { methods, below, gathered: Vec::with_capacity(PIECE), place: 0, end: 0, ends: false })
    }

    /// Hands over what was gathered, and keeps none of it.
    ///
    /// # Safety
    /// The file is the one that this is the log of.
    unsafe fn hand_over(&mut self, file: *mut sqlite3_file) -> c_int {
        if self.gathered.is_empty() {
            return ffi::SQLITE_OK;
        }
        // SAFETY: as SQLite itself would call it
        let code = unsafe {
            (self.below.write)(file, self.gathered.as_ptr().cast(), self.gathered.len() as c_int, self.place)
        };
        self.gathered.clear();
        code
    }

    /// Whether a transaction ends with what is written.
    fn is_last(&mut self, data: &[u8]) -> bool {
        match data.len() {
            FRAME_HEADER => {
                self.ends = data[4..8] != [0; 4];
                false
            }
            _ => self.ends,
        }
    }
}

/// The log that a file is.
///
/// # Safety
/// [`open`] made it one, and one thread at a time uses it, as SQLite promises.
unsafe fn log_of<'f>(file: *mut sqlite3_file) -> &'f mut Log {
    // SAFETY: the methods of such a file are the first of its log, which lives until it is closed
    unsafe { &mut *(*file).pMethods.cast_mut().cast::<Log>() }
}

// SAFETY of all that follow: SQLite calls them as it would call the system's, with files that `open` opened, and what
// they call below is the system's

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    path: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    opened_as: *mut c_int,
) -> c_int {
    let Some(below) = *OPEN else { return ffi::SQLITE_CANTOPEN };
    unsafe {
        let code = below(vfs, path, file, flags, opened_as);
        if code == ffi::SQLITE_OK
            && flags & ffi::SQLITE_OPEN_WAL != 0
            && let Some(log) = (*file).pMethods.as_ref().and_then(Log::of)
        {
            (*file).pMethods = Box::into_raw(Box::new(log)).cast();
        }
        code
    }
}

unsafe extern "C" fn write(file: *mut sqlite3_file, from: *const c_void, bytes: c_int, place: sqlite3_int64) -> c_int {
    unsafe {
        let log = log_of(file);
        let data = std::slice::from_raw_parts(from.cast::<u8>(), bytes as usize);
        let follows = place == log.end;
        log.end = place + sqlite3_int64::from(bytes);
        if !follows || log.gathered.len() + data.len() > PIECE {
            let code = log.hand_over(file);
            if code != ffi::SQLITE_OK {
                return code;
            }
        }
        let is_last = log.is_last(data);
        if !follows {
            return (log.below.write)(file, from, bytes, place);
        }
        if log.gathered.is_empty() {
            log.place = place;
        }
        log.gathered.extend_from_slice(data);
        if is_last { log.hand_over(file) } else { ffi::SQLITE_OK }
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    unsafe {
        let log = log_of(file);
        let written = log.hand_over(file);
        let closed = (log.below.close)(file);
        drop(Box::from_raw(log));
        if written == ffi::SQLITE_OK { closed } else { written }
    }
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, bytes: c_int, place: sqlite3_int64) -> c_int {
    match unsafe { handed_over(file, |below| (below.read)(file, into, bytes, place)) } {
        // by which no more than a statement would be rolled back
        ffi::SQLITE_FULL => ffi::SQLITE_IOERR_WRITE,
        code => code,
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, bytes: sqlite3_int64) -> c_int {
    unsafe { handed_over(file, |below| (below.truncate)(file, bytes)) }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    unsafe { handed_over(file, |below| (below.sync)(file, flags)) }
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, bytes: *mut sqlite3_int64) -> c_int {
    unsafe { handed_over(file, |below| (below.file_size)(file, bytes)) }
}

unsafe fn handed_over(file: *mut sqlite3_file, then: impl FnOnce(&Below) -> c_int) -> c_int {
    let log = unsafe { log_of(file) };
    match unsafe { log.hand_over(file) } {
        ffi::SQLITE_OK => then(&log.below),
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use rusqlite::{Connection, OpenFlags};

    use super::*;

    /// In the place of the system's file: remembers what it is told to do.
    #[repr(C)]
    struct Told {
        file: sqlite3_file,
        what: Vec<String>,
        refuses: bool,
    }

    fn tell(file: *mut sqlite3_file, what: String) -> c_int {
        // SAFETY: the file is the first of one
        let told = unsafe { &mut *file.cast::<Told>() };
        told.what.push(what);
        if told.refuses { ffi::SQLITE_FULL } else { ffi::SQLITE_OK }
    }

    unsafe extern "C" fn told_to_write(
        file: *mut sqlite3_file,
        data: *const c_void,
        bytes: c_int,
        place: sqlite3_int64,
    ) -> c_int {
        // SAFETY: so many were given
        let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), bytes as usize) };
        let data = std::str::from_utf8(data).unwrap().trim_end_matches('.');
        tell(file, format!("write {data} {bytes} at {place}"))
    }

    unsafe extern "C" fn told_to_read(
        file: *mut sqlite3_file,
        _: *mut c_void,
        bytes: c_int,
        place: sqlite3_int64,
    ) -> c_int {
        tell(file, format!("read {bytes} at {place}"))
    }

    unsafe extern "C" fn told_to_truncate(file: *mut sqlite3_file, bytes: sqlite3_int64) -> c_int {
        tell(file, format!("truncate to {bytes}"))
    }

    unsafe extern "C" fn told_to_sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
        tell(file, format!("sync {flags}"))
    }

    unsafe extern "C" fn told_the_size(file: *mut sqlite3_file, _: *mut sqlite3_int64) -> c_int {
        tell(file, "size".into())
    }

    unsafe extern "C" fn told_to_close(file: *mut sqlite3_file) -> c_int {
        tell(file, "close".into())
    }

    /// What the system is told for what SQLite does with a log, and what SQLite is answered.
    struct Trial {
        told: Box<Told>,
    }

    impl Trial {
        fn new() -> Trial {
            // SAFETY: of numbers and pointers that may be null
            let methods = sqlite3_io_methods {
                xClose: Some(told_to_close),
                xRead: Some(told_to_read),
                xWrite: Some(told_to_write),
                xTruncate: Some(told_to_truncate),
                xSync: Some(told_to_sync),
                xFileSize: Some(told_the_size),
                ..unsafe { std::mem::zeroed() }
            };
            let log = Box::new(Log::of(&methods).unwrap());
            let file = sqlite3_file { pMethods: Box::into_raw(log).cast() };
            Trial { told: Box::new(Told { file, what: Vec::new(), refuses: false }) }
        }

        fn file(&mut self) -> *mut sqlite3_file {
            (&raw mut *self.told).cast()
        }

        fn write(&mut self, data: &str, place: i64) -> c_int {
            unsafe { write(self.file(), data.as_ptr().cast(), data.len() as c_int, place) }
        }

        fn read(&mut self) -> c_int {
            unsafe { read(self.file(), std::ptr::null_mut(), 7, 3) }
        }

        fn sync(&mut self) -> c_int {
            unsafe { sync(self.file(), 2) }
        }

        fn refuses(&mut self, does: bool) {
            self.told.refuses = does;
        }

        /// Since it was asked last.
        fn told(&mut self) -> Vec<String> {
            std::mem::take(&mut self.told.what)
        }

        fn close(mut self) -> Vec<String> {
            unsafe { close(self.file()) };
            self.told()
        }
    }

    /// What stands before a page.
    const BEFORE_ONE: &str = "....\0\0\0\0before a page...";
    const BEFORE_THE_LAST: &str = "....\0\0\0\x07before the last.";

    #[test]
    fn what_follows_each_other_is_handed_over_at_once() {
        let mut trial = Trial::new();
        for (data, place) in [("ab", 0), ("c", 2), ("de", 3)] {
            assert_eq!(trial.write(data, place), ffi::SQLITE_OK);
        }
        assert!(trial.told().is_empty());
        trial.write("f", 6);
        assert_eq!(trial.told(), ["write abcde 5 at 0", "write f 1 at 6"], "it may be written once more");
        trial.write("g", 6);
        assert_eq!(trial.told(), ["write g 1 at 6"]);
        trial.write("h", 7);
        trial.sync();
        assert_eq!(trial.told(), ["write h 1 at 7", "sync 2"]);
        trial.sync();
        assert_eq!(trial.told(), ["sync 2"]);
        trial.write("i", 8);
        trial.read();
        assert_eq!(trial.told(), ["write i 1 at 8", "read 7 at 3"]);
        trial.write("j", 9);
        unsafe { truncate(trial.file(), 5) };
        assert_eq!(trial.told(), ["write j 1 at 9", "truncate to 5"]);
        trial.write("k", 10);
        unsafe { file_size(trial.file(), std::ptr::null_mut()) };
        assert_eq!(trial.told(), ["write k 1 at 10", "size"]);
        trial.write("l", 11);
        assert_eq!(trial.close(), ["write l 1 at 11", "close"]);
    }

    #[test]
    fn a_transaction_is_handed_over_with_its_last_page() {
        let mut trial = Trial::new();
        let mut place = 0;
        let mut told = |data: &str, again: bool| {
            place = if again { 0 } else { place };
            trial.write(data, place);
            place += data.len() as i64;
            trial.told().len()
        };
        let first = [BEFORE_ONE, "page", BEFORE_THE_LAST, "page"];
        assert_eq!(first.map(|data| told(data, false)), [0, 0, 0, 1]);
        let next = [BEFORE_THE_LAST, "page", BEFORE_ONE, "page"];
        assert_eq!(next.map(|data| told(data, false)), [0, 1, 0, 0]);
        // that one is given up, and the log begins again
        assert_eq!([told(BEFORE_THE_LAST, true), told("page", false)], [2, 1]);
    }

    #[test]
    fn no_piece_is_larger_than_one_write_takes() {
        let mut trial = Trial::new();
        let page = ".".repeat(4096);
        let pages = 3 * PIECE as i64 / 4096;
        for n in 0..pages {
            trial.write(&page, n * 4096);
        }
        trial.sync();
        let whole = PIECE / 4096 * 4096;
        assert_eq!(trial.told()[..2], [format!("write  {whole} at 0"), format!("write  {whole} at {whole}")]);
        assert!(whole < 1 << 17, "the VFS for Unix takes the length to have 17 bits");
    }

    #[test]
    fn what_is_refused_is_told_once_and_given_up() {
        let mut trial = Trial::new();
        let refused = |trial: &mut Trial, data: &str, place: i64| {
            trial.refuses(false);
            trial.write("before", place - 6);
            trial.write(data, place);
            trial.refuses(true);
            trial.told();
        };
        refused(&mut trial, "a", 10);
        assert_eq!(trial.write("b", 17), ffi::SQLITE_FULL);
        assert_eq!(trial.sync(), ffi::SQLITE_FULL);
        assert_eq!(trial.told(), ["write a 1 at 10", "sync 2"]);
        refused(&mut trial, "c", 20);
        assert_eq!(trial.sync(), ffi::SQLITE_FULL);
        refused(&mut trial, "d", 30);
        assert_eq!(trial.read(), ffi::SQLITE_IOERR_WRITE, "the transaction is rolled back, not the statement");
        refused(&mut trial, BEFORE_THE_LAST, 40);
        assert_eq!(trial.write("page", 64), ffi::SQLITE_FULL);
        trial.refuses(false);
        assert_eq!(trial.told().len(), 1);
        assert_eq!(trial.sync(), ffi::SQLITE_OK);
        assert_eq!(trial.told(), ["sync 2"]);
    }

    fn open_by(vfs: Option<&CStr>, path: &Path) -> Connection {
        let connection = match vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs).unwrap(),
            None => Connection::open(path).unwrap(),
        };
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        // pages go to the log before the transaction ends
        connection.pragma_update(None, "cache_size", 4).unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", 60).unwrap();
        // the log is not flushed by what is tried here
        connection.pragma_update(None, "synchronous", "NORMAL").unwrap();
        connection
    }

    const ROWS: &str = "SELECT coalesce(group_concat(a || ' ' || b, ','), '') FROM (SELECT * FROM t ORDER BY a)";

    fn rows_of(connection: &Connection) -> String {
        connection.query_row(ROWS, [], |row| row.get(0)).unwrap()
    }

    /// Moves many rows.
    fn rows() -> impl Strategy<Value = String> {
        (1..400, 0..900, any::<u16>()).prop_map(|(count, length, seed)| {
            format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                 INSERT OR REPLACE INTO t SELECT (i * 7919 + {seed}) % 1000, {seed} || hex(zeroblob({length})) FROM n"
            )
        })
    }

    /// What is done in transactions that hold savepoints or are given up.
    fn statements() -> impl Strategy<Value = Vec<String>> {
        let fewer = (1..9).prop_map(|part| format!("DELETE FROM t WHERE a % 9 < {part}"));
        let others = [
            "BEGIN",
            "BEGIN",
            "COMMIT",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT s",
            "SAVEPOINT s",
            "ROLLBACK TO s",
            "RELEASE s",
            "PRAGMA wal_checkpoint(PASSIVE)",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "VACUUM",
        ];
        let other = prop::sample::select(others.to_vec()).prop_map(str::to_owned);
        prop::collection::vec(prop_oneof![3 => rows(), 1 => fewer, 4 => other], 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_file_is_at_any_time_as_without(statements in statements(), last in [rows(), rows()]) {
            let folder = tempfile::tempdir().unwrap();
            let (with, without) = (folder.path().join("with.db"), folder.path().join("without.db"));
            let writers = [open_by(vfs(), &with), open_by(None, &without)];
            for writer in &writers {
                writer.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b); CREATE INDEX i ON t (b)").unwrap();
            }
            let readers = [&with, &without].map(|path| Connection::open(path).unwrap());
            let both = |statement: &str| {
                let did = writers.each_ref().map(|writer| writer.execute_batch(statement).map_err(|e| e.to_string()));
                assert_eq!(did[0], did[1], "{statement}");
            };
            for statement in statements {
                both(&statement);
                prop_assert!(rows_of(&writers[0]) == rows_of(&writers[1]), "to the writer after {statement}");
                prop_assert!(rows_of(&readers[0]) == rows_of(&readers[1]), "to others after {statement}");
            }
            // the process ends after a transaction that wrote pages twice, and nothing is read that makes it hand them over
            ["COMMIT", "PRAGMA wal_autocheckpoint = 0", "BEGIN", &last[0], &last[1], "COMMIT"].into_iter().for_each(both);
            let crashed = folder.path().join("crashed.db");
            for end in ["", "-wal"] {
                std::fs::copy(format!("{}{end}", with.display()), format!("{}{end}", crashed.display())).unwrap();
            }
            let crashed = Connection::open(&crashed).unwrap();
            prop_assert!(rows_of(&crashed) == rows_of(&readers[1]), "after a crash");
            let sound: String = crashed.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            prop_assert_eq!(sound, "ok");
        }
    }
}
