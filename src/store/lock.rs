//! Which process may serve the file, rewrite it, or migrate it: one at a time. Others may read and write beside it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::Error;

/// How often the lock is tried, and how far apart: a command that asks whether the file is served holds it for a moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// Held until it is dropped, or the process ends, however that ends.
pub struct Lock(#[allow(dead_code, reason = "closing it releases the lock")] File);

impl Lock {
    /// Locks a file that is there.
    ///
    /// # Errors
    /// [`Error::Served`] where another process has the lock.
    pub fn take(db: &Path) -> Result<Lock, Error> {
        Lock::of(path_of(db))?.ok_or(Error::Served)
    }

    /// Locks a file against others that replicate it, if none does. A server may have it.
    pub fn take_to_replicate(db: &Path) -> Result<Option<Lock>, Error> {
        Lock::of(path_of(db).with_extension("replicate-lock"))
    }

    fn of(path: PathBuf) -> Result<Option<Lock>, Error> {
        let failed = |error: std::io::Error| Error::Open { path: path.clone(), reason: error.to_string() };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            // whoever may lock it can keep the server from starting; and what a link names is not ours
            options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        }
        let lock = options.open(&path).map_err(failed)?;
        for _ in 0..TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok(Some(Lock(lock))),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Ok(None)
    }
}

/// Whether a server has the file now.
pub fn is_served(db: &Path) -> bool {
    File::open(path_of(db)).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Beside the file itself, also where `db` is a link to it: SQLite's own files lie there too.
fn path_of(db: &Path) -> PathBuf {
    fs::canonicalize(db).unwrap_or_else(|_| db.into()).with_added_extension("lock")
}
