//! What can go wrong with the file.

use std::path::PathBuf;

use rusqlite::ErrorCode;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open {path}: {reason}")]
    Open { path: PathBuf, reason: String },
    #[error("{path} is not a Waybill file: {reason}")]
    NotOurs { path: PathBuf, reason: String },
    #[error(
        "{path} was written by a newer Waybill: its schema is version {found}, this program knows {known}. Use that version or a later one"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("another waybill serves it already, or rewrites it; stop that one first")]
    Served,
    #[error("cannot migrate the file: {0}")]
    Migration(#[from] rusqlite_migration::Error),
    #[error(
        "the file must be migrated, and the disk has no room for a copy of it as it is, {copy}: {needed} bytes are needed, {free} are free. Make room and start again"
    )]
    NoRoom { copy: PathBuf, needed: u64, free: u64 },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("no connection to the file became free: {0}")]
    Pool(#[from] r2d2::Error),
    #[error("a row holds what this program cannot read: {0}")]
    Row(String),
    #[error("the system gave no random bytes: {0}")]
    Random(String),
    #[error("the system did not start the writer's thread: {0}")]
    NoThread(std::io::Error),
    #[error("the file, its -wal or its -shm was moved, replaced or deleted while in use")]
    Moved,
    #[error(
        "events were pruned from the file, and rebuilding would lose what they counted. If counts differ, restore a backup that verifies, or import the events into a new file"
    )]
    Pruned,
    #[error("the write-ahead log has grown to its limit because a reader holds it; end that reader")]
    LogFull,
}

impl Error {
    /// Whether the trouble is the file's, not the input's: locked, full, stuck, moved, damaged. Nothing can be stored
    /// until it is over.
    pub fn is_of_the_file(&self) -> bool {
        self.is_transient() || self.is_damage()
    }

    /// Whether the file is damaged or no database: that does not pass.
    pub fn is_damage(&self) -> bool {
        matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        use ErrorCode::*;
        match self {
            Error::Pool(_) | Error::Moved | Error::LogFull => true,
            _ => matches!(
                self.code(),
                Some(
                    DatabaseBusy
                        | DatabaseLocked
                        | DiskFull
                        | SystemIoFailure
                        | OutOfMemory
                        | ReadOnly
                        | CannotOpen
                        | OperationInterrupted
                        | PermissionDenied
                        | FileLockingProtocolFailed
                        | SchemaChanged
                )
            ),
        }
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Error::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}
