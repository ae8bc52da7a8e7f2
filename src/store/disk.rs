//! How much of the disk a file takes, and copies of it.

use std::fs::File;
use std::io;
use std::path::Path;

use rusqlite::Connection;

use super::Error;

/// How many bytes are free on the disk of a file. `None`: the system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder_of(path)).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

/// How many bytes of a file are in use: what was freed in it is filled again.
pub fn used_bytes(connection: &Connection) -> Result<u64, Error> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(u64::from(pages) * u64::from(number("page_size")?))
}

/// Writes a copy of a file to `to`, which appears complete or not at all, readable by its owner only, in the place of what is
/// there. `check` looks at the copy before it takes its name.
pub fn copy<E: From<Error>>(
    source: &Connection,
    to: &Path,
    check: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let folder = folder_of(to);
    // beside its place: a rename does not cross file systems. It vanishes where anything fails
    let copy = tempfile::Builder::new().prefix(".waybill-backup-").tempfile_in(folder).map_err(error(folder))?;
    source.execute("VACUUM INTO ?1", [copy.path().to_string_lossy()]).map_err(Error::from)?;
    check(copy.path())?;
    copy.as_file().sync_all().map_err(error(to))?;
    copy.persist(to).map_err(|failed| error(to)(failed.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(error(folder))?;
    Ok(())
}

/// By which it is known whether a file was replaced. `None`: there is none.
#[cfg(unix)]
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|_| (0, 0))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn error(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::Open { path: path.into(), reason: error.to_string() }
}
