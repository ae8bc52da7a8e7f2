//! What can go wrong with the file.

use std::path::PathBuf;

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
    #[error("cannot migrate the file: {0}")]
    Migration(#[from] rusqlite_migration::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("no connection to the file became free: {0}")]
    Pool(#[from] r2d2::Error),
    #[error("a row holds what this program cannot read: {0}")]
    Row(String),
    #[error("the system gave no random bytes: {0}")]
    Random(String),
    #[error("the system did not let the writer begin: {0}")]
    NotBegun(std::io::Error),
    #[error("the file or its -wal was moved, replaced or deleted while in use")]
    Moved,
    #[error("someone reads the file without an end, so that its -wal has grown to its limit; end that reader")]
    LogFull,
    #[error(
        "the disk failed to keep what was written, and someone who reads the file holds up that it is written anew"
    )]
    NotFlushed,
}

impl Error {
    /// Whether the same may succeed later (locked, full, stuck), as opposed to something that this input caused.
    pub fn is_transient(&self) -> bool {
        use rusqlite::ErrorCode::*;
        match self {
            Error::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    DatabaseBusy
                        | DatabaseLocked
                        | DiskFull
                        | SystemIoFailure
                        | OutOfMemory
                        | ReadOnly
                        | CannotOpen
                        | OperationInterrupted
                        | DatabaseCorrupt
                        | NotADatabase
                        | PermissionDenied
                        | FileLockingProtocolFailed
                        | SchemaChanged
                )
            ),
            Error::Pool(_) | Error::Moved | Error::LogFull | Error::NotFlushed => true,
            _ => false,
        }
    }
}
