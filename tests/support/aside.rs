//! What an earlier version of the program did not understand, and kept aside.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::params;
use tempfile::TempDir;
use waybill::store::sqlite;

use super::file::rows;
use super::server::Server;

/// The version that last read all that is kept aside; another one reads it again when it starts.
pub const READ_BY: &str = "SELECT value FROM _settings WHERE key = 'replayed_by'";

/// Puts a body aside in a file that nobody serves.
pub fn put_aside(db: &Path, reason: &str, body: &str) {
    let connection = sqlite::open(db).unwrap();
    connection
        .execute(
            "INSERT INTO quarantine (received_at_ms, format, reason, detail, body, body_bytes, fingerprint)
             VALUES (1763600000000, 'webhook', ?1, '', ?2, length(?2), randomblob(16))",
            params![reason, body.as_bytes()],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO _quarantine_counts (reason, entries) VALUES (?1, 1) ON CONFLICT DO UPDATE SET entries = entries + 1",
            [reason],
        )
        .unwrap();
}

/// Its file, once this version has read what is kept aside in it.
pub fn read_by_this_version(server: Server) -> TempDir {
    wait_until(&server, &format!("SELECT count(*) FROM ({READ_BY})"), "1");
    server.stop().1
}

/// Serves the file of a server again, with these kept aside in it.
pub fn with(server: Server, settings: &[(&str, &str)], bodies: &[(&str, String)]) -> Server {
    let folder = read_by_this_version(server);
    for (reason, body) in bodies {
        put_aside(&folder.path().join("waybill.db"), reason, body);
    }
    Server::start_in(folder, settings)
}

pub fn wait_until(server: &Server, sql: &str, wanted: &str) {
    until(sql, || rows(&server.db(), sql) == [wanted]);
}

/// Looks until something holds.
#[track_caller]
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::yield_now();
    }
}
