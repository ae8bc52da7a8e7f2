//! The file, its lock, its disk and its clock.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use super::support::disk::Disk;
use super::support::file::rows;
use super::support::process::Process;
use super::support::server::{SIGNING, Server, waybill};
use super::{wait_until, webhook};

pub const EVENTS: &str = "/v1/events";

/// `waybill` begun by a shell that runs these first.
pub fn after(shell: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_waybill")]);
    command
}

pub fn own(id: usize) -> String {
    format!(r#"{{"id":"e{id}","delivery_id":"d{id}","channel":"email","metric":"sent","recipient":"ann@example.org"}}"#)
}

pub fn events(ids: std::ops::Range<usize>) -> String {
    format!("[{}]", ids.map(own).collect::<Vec<_>>().join(","))
}

#[test]
fn the_files_are_for_their_owner_alone() {
    let server = Server::start_by(after("umask 000"), tempfile::tempdir().unwrap(), &[]);
    assert_eq!(server.client().post(EVENTS, &[], own(1)).status, 200);
    for end in ["", "-wal", "-shm", ".lock"] {
        let mode = fs::metadata(format!("{}{end}", server.db().display())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "waybill.db{end}");
    }
}

#[test]
fn the_lock_follows_no_link_and_empties_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    fs::write(&other, "of somebody else").unwrap();
    let lock = folder.path().join("waybill.db.lock");
    symlink(&other, &lock).unwrap();
    let serve = |db: &Path| Process::run(waybill().args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(db));
    let (status, said) = serve(&folder.path().join("waybill.db"));
    assert!(!status.success() && said.contains("waybill.db.lock"), "{said}");
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "kept").unwrap();
    let server = Server::start_in(folder, &[]);
    assert_eq!(fs::read_to_string(&lock).unwrap(), "kept");
    assert_eq!(fs::read_to_string(&other).unwrap(), "of somebody else");
    drop(server);
}

#[test]
fn a_file_that_is_opened_by_a_link_is_the_same_file() {
    let server = Server::start();
    let aside = tempfile::tempdir().unwrap();
    let link = aside.path().join("link.db");
    symlink(server.db(), &link).unwrap();
    assert_eq!(server.client().post("/webhooks/customerio", &[], webhook("1")).status, 200);

    let (status, said) = Process::run(waybill().args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(&link));
    assert!(!status.success() && said.contains("another waybill serves it"), "{said}");
    let said = waybill().args(["forget", "ann@example.org", "--yes", "--db"]).arg(&link).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("1 deliveries") && said.contains("with the server stopped"), "{said}");
    for end in ["", "-wal"] {
        let bytes = fs::read(format!("{}{end}", server.db().display())).unwrap();
        assert!(!bytes.windows(15).any(|part| part == b"ann@example.org"), "waybill.db{end}");
    }
    let left: Vec<_> = fs::read_dir(&aside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["link.db"]);
}

#[test]
fn a_file_that_is_served_is_not_migrated() {
    let server = Server::start();
    // as one of an older version
    Connection::open(server.db()).unwrap().execute_batch("PRAGMA user_version = 0").unwrap();
    for command in [&["verify"][..], &["export"], &["import", "Cargo.toml"], &["serve", "--listen", "127.0.0.1:0"]] {
        let (status, said) = Process::run(waybill().args(command).arg("--db").arg(server.db()));
        assert!(!status.success() && said.contains("another waybill serves it"), "{command:?}: {said}");
        assert_eq!(rows(&server.db(), "PRAGMA user_version"), ["0"], "{command:?}");
    }
}

#[test]
fn a_start_on_a_full_disk_serves_what_is_there() {
    let server = Server::start();
    assert_eq!(server.client().post(EVENTS, &[], events(0..400)).status, 200);
    // its write-ahead log stays, so that whatever is written next lies beyond the limit
    let folder = server.kill();
    // the limit is of its log too, where that goes to a file
    let server = Server::start_by(after("exec 2>/dev/null; ulimit -f 64"), folder, &[]);
    let client = server.client();
    assert!(fs::metadata(server.db().with_extension("db-wal")).unwrap().size() > 64 * 1024);
    let page = client.get("/deliveries");
    assert!(page.status == 200 && page.text.contains("ann@example.org"), "{}", page.text);
    assert_eq!(client.post(EVENTS, &[], own(401)).status, 503);
    assert_eq!(client.get("/healthz").status, 503);
}

#[test]
fn a_damaged_page_is_noticed_and_nothing_more_is_stored() {
    let server = Server::start();
    for n in 0..20 {
        assert_eq!(server.client().post(EVENTS, &[], events(200 * n..200 * n + 200)).status, 200);
    }
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");
    let db = folder.path().join("waybill.db");
    let page: u64 = rows(
        &db,
        "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY pageno DESC LIMIT 1 OFFSET 9",
    )[0]
    .parse()
    .unwrap();
    let file = fs::File::options().write(true).open(&db).unwrap();
    file.write_all_at(&[0xA7; 4096], (page - 1) * 4096).unwrap();

    let server = Server::start_in(folder, &[]);
    let client = server.client();
    wait_until("the damage", || client.get("/healthz").text.contains("the file is damaged"));
    assert_eq!(client.get("/healthz").status, 503);
    assert_eq!(client.post(EVENTS, &[], own(4_001)).status, 503);
    let (status, health) = server.get("/health");
    assert!(status == 200 && health.contains("New events are refused: the file is damaged"), "{health}");
}

#[test]
fn a_clock_that_has_jumped_ahead_erases_nobody() {
    const DAY_MS: i64 = 24 * 3_600_000;
    for (noted_days_ago, is_erased) in [(40, false), (0, true)] {
        let server = Server::start();
        assert_eq!(server.client().post("/webhooks/customerio", &[], webhook("1")).status, 200);
        let (_, folder) = server.stop();
        let db = folder.path().join("waybill.db");
        let connection = Connection::open(&db).unwrap();
        let noted = "SELECT value FROM _settings WHERE key = 'time_ms'";
        let now_ms: i64 = connection.query_row(noted, [], |row| row.get(0)).unwrap();
        let noted_ms = now_ms - noted_days_ago * DAY_MS;
        connection.execute("UPDATE _settings SET value = ?1 WHERE key = 'time_ms'", [noted_ms]).unwrap();
        // what fell due meanwhile
        let request = "INSERT INTO erasure_requests (identifier, request, at_ms, event_id, received_at_ms, due_at_ms)
            VALUES ('ann@example.org', 'deleted', ?1, 'r', ?1, ?1)";
        connection.execute(request, [now_ms - DAY_MS]).unwrap();
        drop(connection);

        let server = Server::start_in(folder, &[]);
        wait_until("the next time", || rows(&server.db(), noted) != [noted_ms.to_string()]);
        let pending = rows(&server.db(), "SELECT count(*) FROM erasure_requests");
        assert_eq!(pending, [if is_erased { "0" } else { "1" }], "noted {noted_days_ago} days ago");
        let (_, health) = server.get("/health");
        assert_eq!(health.contains("The clock is 40 d"), !is_erased, "{health}");
    }
}

#[test]
fn whatever_the_clock_says_events_are_taken_and_counted() {
    let disk = Disk::new();
    let server = Server::start_by(disk.under(waybill()), tempfile::tempdir().unwrap(), &[SIGNING]);
    // by a day, to 1970, where the events are of the future, and to 2106
    let shifts = ["0", "86400", "-86400", "-1790000000", "2500000000", "0"];
    for (n, shift) in shifts.iter().enumerate() {
        disk.fails(&format!("clock now {shift}"));
        let taken = server.webhook(webhook(&n.to_string())).json();
        let kept = if n == 3 { "quarantined" } else { "accepted" };
        assert_eq!(taken[kept], 1, "{shift}: {taken}");
        for path in ["/", "/deliveries?since=7d", "/health", "/healthz"] {
            assert_eq!(server.get(path).0, 200, "{path} at {shift}");
        }
    }
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");
    // what was of the future is looked for at once
    let server = Server::start_in(folder, &[SIGNING]);
    wait_until("all", || rows(&server.db(), "SELECT count(*) FROM deliveries_v1") == [shifts.len().to_string()]);
    let (status, said) = Process::run(waybill().args(["verify", "--db"]).arg(server.db()));
    assert!(status.success(), "{said}");
}

#[test]
fn what_is_printed_does_not_act_on_a_terminal() {
    let server = Server::start();
    let body = own(1).replace("\"d1\"", r#""d1\u001b[31m""#);
    assert_eq!(server.client().post(EVENTS, &[], body).status, 200);
    let (_, folder) = server.stop();
    let db = folder.path().join("waybill.db");
    Connection::open(&db).unwrap().execute_batch("UPDATE deliveries SET events = 9").unwrap();
    let verified = waybill().arg("verify").arg("--db").arg(&db).output().unwrap();
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(said.contains("d1␛[31m") && !said.contains('\u{1b}'), "{said:?}");
}
