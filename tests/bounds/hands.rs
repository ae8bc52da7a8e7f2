//! The file in the hands of other programs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;

use super::files::{EVENTS, events, own};
use super::support::file::rows;
use super::support::process::Process;
use super::support::server::{Server, waybill};
use super::wait_until;

fn beside(db: &Path, end: &str) -> PathBuf {
    format!("{}{end}", db.display()).into()
}

#[track_caller]
fn assert_clean(db: &Path) {
    let (status, said) = Process::run(waybill().args(["verify", "--db"]).arg(db));
    assert!(status.success(), "{said}");
    assert_eq!(rows(db, "PRAGMA integrity_check"), ["ok"]);
}

#[test]
fn a_reader_that_does_not_end_is_shown_and_does_not_fill_the_disk() {
    const MAX: u64 = 2 << 20;
    let server = Server::start_with(&[("WAYBILL_WAL_MAX", &MAX.to_string())]);
    let client = server.client();
    assert_eq!(client.post(EVENTS, &[], own(0)).status, 200);
    let reader = Connection::open(server.db()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events_v1").unwrap();

    let log_bytes = || fs::metadata(beside(&server.db(), "-wal")).unwrap().len();
    let refused = (1..1_000).find(|n| client.post(EVENTS, &[], events(100 * n..100 * n + 100)).status != 200);
    assert!(refused.is_some(), "{} bytes", log_bytes());
    assert!(log_bytes() < 2 * MAX, "{} bytes", log_bytes());
    let health = client.get("/healthz");
    assert!(health.status == 503 && health.text.contains("a reader holds it"), "{}", health.text);
    let (_, health) = server.get("/health");
    assert!(health.contains("The write-ahead log has grown to"), "{health}");
    assert_eq!(client.get("/deliveries").status, 200, "reading goes on");

    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(client.post(EVENTS, &[], own(1_000_000)).status, 200);
    assert!(log_bytes() <= MAX, "{} bytes", log_bytes());
    assert_eq!(client.get("/healthz").status, 200);
}

#[test]
fn another_program_may_not_take_the_write_ahead_log_away() {
    let server = Server::start();
    assert_eq!(server.client().post(EVENTS, &[], own(1)).status, 200);
    let other = Connection::open(server.db()).unwrap();
    let changed = other.query_row("PRAGMA journal_mode = delete", [], |row| row.get::<_, String>(0));
    assert!(changed.is_err(), "{changed:?}");
    assert_eq!(server.client().post(EVENTS, &[], own(2)).status, 200);
    assert_eq!(rows(&server.db(), "PRAGMA journal_mode"), ["wal"]);
}

#[test]
fn the_file_may_be_vacuumed_while_events_come_in() {
    let server = Server::start();
    let (client, is_over) = (server.client(), AtomicBool::new(false));
    let numbered = "SELECT id, event_id FROM events ORDER BY id LIMIT 200";
    assert_eq!(client.post(EVENTS, &[], events(0..200)).status, 200);
    let before = rows(&server.db(), numbered);
    let copy = server.folder().join("copy.db");
    let taken = std::thread::scope(|scope| {
        let posting = scope.spawn(|| {
            let mut taken = 200;
            while !is_over.load(Ordering::Relaxed) {
                // a vacuum may hold the lock for longer than an event may wait
                taken += usize::from(client.post(EVENTS, &[], own(taken)).status == 200);
            }
            taken
        });
        let other = Connection::open(server.db()).unwrap();
        other.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        for _ in 0..5 {
            other.execute_batch("VACUUM").unwrap();
        }
        other.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        is_over.store(true, Ordering::Relaxed);
        posting.join().unwrap()
    });
    let stored: usize = rows(&server.db(), "SELECT count(*) FROM events_v1")[0].parse().unwrap();
    assert!(stored >= taken && taken > 200, "{taken} of {stored}");
    assert_eq!(rows(&server.db(), numbered), before);
    assert_eq!(rows(&copy, numbered), before);
    assert_clean(&copy);
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");
    assert_clean(&folder.path().join("waybill.db"));
}

/// On POSIX, whoever closes a file gives up all locks of his process on it.
#[cfg(target_os = "linux")]
#[test]
fn no_page_and_no_download_lets_go_of_the_locks() {
    let backups = tempfile::tempdir().unwrap();
    let server = Server::start_with(&[("WAYBILL_BACKUP_TO", backups.path().to_str().unwrap())]);
    let client = server.client();
    assert_eq!(client.post(EVENTS, &[], events(0..50)).status, 200);
    let pid = server.pid().to_string();
    let is_held = |end: &str| {
        let inode = format!(":{}", fs::metadata(beside(&server.db(), end)).unwrap().ino());
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|lock| {
            let words: Vec<&str> = lock.split_whitespace().collect();
            words.get(1) == Some(&"POSIX") && words.contains(&&*pid) && words.iter().any(|word| word.ends_with(&inode))
        })
    };
    let both = || [is_held(""), is_held("-shm")];
    assert_eq!(both(), [true; 2], "before");
    wait_until("a backup", || fs::read_dir(&backups).unwrap().next().is_some());
    for path in [
        "/",
        "/deliveries",
        "/deliveries.json",
        "/deliveries.csv?all=1",
        "/deliveries.ndjson",
        "/events",
        "/events.ndjson",
        "/deliveries/d1",
        "/campaigns",
        "/suppressions",
        "/quarantine",
        "/health",
        "/health.json",
        "/schema",
        "/healthz",
    ] {
        assert_eq!(client.get(path).status, 200, "{path}");
        assert_eq!(both(), [true; 2], "after {path}");
    }
}

#[test]
fn a_flipped_bit_in_the_log_costs_what_follows_it_and_halves_nothing() {
    const BATCH: usize = 7;
    let server = Server::start();
    let batches = 30;
    for n in 0..batches {
        assert_eq!(server.client().post(EVENTS, &[], events(BATCH * n..BATCH * n + BATCH)).status, 200);
    }
    let folder = server.kill();
    let db = folder.path().join("waybill.db");
    let log = fs::read(beside(&db, "-wal")).unwrap();
    let aside = tempfile::tempdir().unwrap();
    let mut stored_ever = Vec::new();
    for n in 0..50 {
        let copy = aside.path().join(format!("{n}.db"));
        fs::copy(&db, &copy).unwrap();
        let mut log = log.clone();
        // the later half, so that the file has its tables
        let at = log.len() / 2 + n * 7_919 % (log.len() / 2);
        log[at] ^= 1 << (n % 8);
        fs::write(beside(&copy, "-wal"), log).unwrap();
        assert_eq!(rows(&copy, "PRAGMA integrity_check"), ["ok"], "{at}");
        let stored: usize = rows(&copy, "SELECT count(*) FROM events")[0].parse().unwrap();
        assert!(stored.is_multiple_of(BATCH) && stored <= BATCH * batches, "{at}: {stored}");
        stored_ever.push(stored);
    }
    assert!(stored_ever.iter().any(|stored| *stored < BATCH * batches));
}
