//! What is not the sender's fault: 503, come again, and nothing half done.

use std::fs::rename;
use std::time::Duration;

use rusqlite::Connection;

use super::support::aside::until;
use super::support::client::Answer;
use super::support::file::rows;
use super::support::server::Server;
use super::{EVENTS, PIPELINES, TRACK, WEBHOOK, assert_refused, assert_taken, own, track, webhook};

/// Customer.io's patience.
const PATIENCE: Duration = Duration::from_secs(4);

#[track_caller]
fn assert_come_again(answer: &Answer, what: &str) {
    assert_refused(answer, 503, "unavailable", what);
    assert!(answer.retry_after.as_ref().is_some_and(|seconds| seconds.parse::<u32>().unwrap() > 0), "{what}");
    assert!(answer.took < PATIENCE, "{what} took {:?}", answer.took);
}

#[track_caller]
fn assert_not_healthy(answer: &Answer, what: &str) {
    assert_refused(answer, 503, "unavailable", what);
}

#[test]
fn a_corrupt_file_is_not_healthy() {
    let server = Server::start();
    let client = server.client();
    assert_taken(&client.post(WEBHOOK, &[], webhook("c1")), [1, 0, 0, 0], "sound");
    assert_eq!(client.get("/healthz").status, 200);
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");
    // all but the first page, which says what the file is
    let server = Server::start_in(folder, &[]);
    let length = std::fs::metadata(server.db()).unwrap().len() as usize;
    let file = std::fs::File::options().write(true).open(server.db()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![0xA7; length - 4096], 4096).unwrap();
    assert_not_healthy(&server.client().get("/healthz"), "corrupt");
    assert_come_again(&server.client().post(EVENTS, &[], own("c2")), "corrupt");
    assert_not_healthy(&server.client().get("/healthz"), "corrupt");
}

#[test]
fn a_lock_is_waited_for_and_then_all_are_told_to_come_again() {
    let server = Server::start();
    let client = server.client();
    let bodies = [(WEBHOOK, webhook("l1")), (PIPELINES, track("l2")), (TRACK, track("l3")), (EVENTS, own("l4"))];
    let other = Connection::open(server.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let posting: Vec<_> = bodies
            .iter()
            .map(|(path, body)| (path, body, client.clone()))
            .map(|(path, body, client)| scope.spawn(move || client.post(path, &[], body)))
            .collect();
        for ((path, _), answer) in bodies.iter().zip(posting) {
            assert_come_again(&answer.join().unwrap(), path);
        }
    });
    // the writer may still wait for the lock when the senders have been answered
    until("not healthy", || client.get("/healthz").status == 503);
    assert_not_healthy(&client.get("/readyz"), "locked");
    assert_eq!(client.get("/deliveries").status, 200, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    for (path, body) in &bodies {
        let answer = client.post(path, &[], body);
        // one that waited behind another may have been written after it was given up
        let json = answer.json();
        let taken = ["accepted", "duplicate"].map(|name| json[name].as_u64().unwrap());
        assert_eq!((answer.status, taken.iter().sum()), (200, 1), "{path}: {json}");
    }
    assert_eq!(rows(&server.db(), "SELECT count(*), sum(events) FROM deliveries_v1"), ["4|4"]);
}

#[test]
fn whether_events_can_be_stored_is_known_before_any_comes() {
    let server = Server::start();
    let client = server.client();
    assert_eq!(client.get("/readyz").status, 200);
    let other = Connection::open(server.db()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // what was tried within the last second is answered again
    until("not ready", || client.get("/readyz").status == 503);
    assert_not_healthy(&client.get("/readyz"), "locked");
    assert_eq!(client.get("/deliveries").status, 200, "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    until("ready", || client.get("/readyz").status == 200);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events"), ["0"]);
}

#[test]
fn a_file_that_is_not_in_its_place_is_not_written() {
    let server = Server::start();
    let client = server.client();
    let (db, aside) = (server.db(), server.folder().join("aside.db"));
    assert_taken(&client.post(WEBHOOK, &[], webhook("m1")), [1, 0, 0, 0], "in its place");

    rename(&db, &aside).unwrap();
    assert_come_again(&client.post(WEBHOOK, &[], webhook("m2")), "moved away");
    std::fs::write(&db, "").unwrap();
    assert_come_again(&client.post(TRACK, &[], track("m2")), "an empty one in its place");
    std::fs::copy(&aside, &db).unwrap();
    assert_come_again(&client.post(EVENTS, &[], own("m2")), "a copy in its place");
    std::fs::remove_file(&db).unwrap();
    assert_come_again(&client.post(WEBHOOK, &[], webhook("m2")), "deleted");

    rename(&aside, &db).unwrap();
    assert_taken(&client.post(WEBHOOK, &[], webhook("m2")), [1, 0, 0, 0], "back");
    assert_eq!(rows(&server.db(), "SELECT delivery_id FROM deliveries_v1 ORDER BY 1"), ["d-m1", "d-m2"]);
}

#[test]
fn a_file_that_is_moved_while_the_writer_waits_for_a_lock_is_not_answered_for() {
    let server = Server::start();
    let client = server.client();
    let (db, aside) = (server.db(), server.folder().join("aside.db"));
    let other = Connection::open(&db).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| client.post(EVENTS, &[], own("w1")));
        // the server answers on one thread, so that the writer has the event before these are answered, and has
        // found the file in its place; were it slower, the answer must be the same
        for _ in 0..200 {
            assert_eq!(client.get("/favicon.ico").status, 200);
        }
        rename(&db, &aside).unwrap();
        other.execute_batch("ROLLBACK").unwrap();
        assert_come_again(&posting.join().unwrap(), "moved meanwhile");
    });
}

#[test]
fn on_a_full_disk_all_are_told_to_come_again_and_what_was_answered_for_is_kept() {
    let server = Server::start();
    let client = server.client();
    let batch = |n: usize| format!("[{}]", (0..400).map(|i| own(&format!("f{n}-{i}"))).collect::<Vec<_>>().join(","));
    let log = server.folder().join("waybill.db-wal");
    let may_grow_by = |bytes: Option<u64>| {
        let size = bytes.map(|bytes| std::fs::metadata(&log).unwrap().len() + bytes);
        let pid = rustix::process::Pid::from_raw(server.pid() as i32);
        let limit = rustix::process::Rlimit { current: size, maximum: None };
        rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
    };
    let mut taken = 0;
    let mut take = |status| {
        let answer = client.post(EVENTS, &[], batch(taken));
        match status {
            200 => assert_taken(&answer, [400, 0, 0, 0], "with room"),
            _ => assert_come_again(&answer, "without room"),
        }
        taken += usize::from(status == 200);
    };
    take(200);
    // in the midst of a page, of what is written at once, and of a transaction
    for bytes in [0, 7, 30_000, 140_000] {
        may_grow_by(Some(bytes));
        take(503);
        take(503);
        assert_not_healthy(&client.get("/healthz"), "without room");
        assert_eq!(client.get("/deliveries").status, 200, "reading goes on");
        may_grow_by(None);
        take(200);
        assert_eq!(client.get("/healthz").status, 200, "with room");
        assert_eq!(client.get("/readyz").status, 200, "with room");
    }
    let folder = server.kill();
    let server = Server::start_in(folder, &[]);
    let all = 400 * taken;
    assert_eq!(rows(&server.db(), "SELECT count(*), sum(events) FROM deliveries_v1"), [format!("{all}|{all}")]);
}

#[test]
fn without_its_write_ahead_log_or_the_index_of_it_the_file_is_not_written() {
    for end in ["-wal", "-shm"] {
        let server = Server::start();
        let client = server.client();
        assert_taken(&client.post(WEBHOOK, &[], webhook("w1")), [1, 0, 0, 0], "whole");
        std::fs::remove_file(server.folder().join(format!("waybill.db{end}"))).unwrap();
        assert_come_again(&client.post(WEBHOOK, &[], webhook("w2")), "another process would take no notice of it");
        // what was acknowledged before is saved by a clean end, and the next start is whole again
        let (status, folder) = server.stop();
        assert!(status.success(), "{end}: {status}");
        let server = Server::start_in(folder, &[]);
        assert_taken(&server.client().post(WEBHOOK, &[], webhook("w2")), [1, 0, 0, 0], "started again");
        assert_eq!(rows(&server.db(), "SELECT delivery_id FROM deliveries_v1 ORDER BY 1"), ["d-w1", "d-w2"], "{end}");
    }
}
