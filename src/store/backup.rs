//! Consistent copies of a file that is written meanwhile.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::{Error, sqlite};

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
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // beside its place: a rename does not cross file systems. It vanishes where anything fails
    let copy = tempfile::Builder::new().prefix(".waybill-backup-").tempfile_in(folder).map_err(error(folder))?;
    source.execute("VACUUM INTO ?1", [copy.path().to_string_lossy()]).map_err(Error::from)?;
    drop(source);
    check(copy.path())?;
    copy.as_file().sync_all().map_err(error(to))?;
    copy.persist(to).map_err(|failed| error(to)(failed.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error(folder))?;
    Ok(())
}

fn error(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::Open { path: path.into(), reason: error.to_string() }
}
