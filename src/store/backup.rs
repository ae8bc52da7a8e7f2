//! Consistent copies of a file that is written meanwhile.

use std::fs;
use std::path::Path;

use super::{Error, disk, sqlite};

/// Writes a copy of `db` to `to`, which appears complete or not at all, readable by its owner only. Replaces a backup that is
/// there, and nothing else. `check` looks at the copy before it takes its name.
///
/// The copy is of one moment: as long as it takes, the write-ahead log of `db` cannot be reset.
///
/// # Errors
/// `to` is `db`, or holds something else; either cannot be read or written; or what `check` says.
pub fn write<E: From<Error>>(db: &Path, to: &Path, check: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    let source = sqlite::open_to_read(db)?;
    if to.exists() {
        if fs::canonicalize(to).ok() == fs::canonicalize(db).ok() {
            return Err(Error::Open { path: to.into(), reason: "a file cannot be its own backup".into() }.into());
        }
        sqlite::open_to_read(to)?;
    }
    disk::copy(&source, to, check)
}
