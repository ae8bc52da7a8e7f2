//! Disks that refuse to sync or to write, or take their time.

use std::time::Duration;

use super::EIO;
use super::power::{lost, start, three};
use super::support::client::Answer;
use super::support::disk::Disk;
use super::support::file::rows;
use super::support::process::Process;
use super::support::server::{Server, waybill};

const EVENTS: &str = "/v1/events";

/// A full disk.
const ENOSPC: i32 = 28;

/// A file system that can only be read.
const EROFS: i32 = 30;

/// How long senders of webhooks wait.
const PATIENCE: Duration = Duration::from_secs(4);

#[track_caller]
fn assert_come_again(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text);
    assert!(answer.retry_after.is_some(), "{what}");
    assert!(answer.took < PATIENCE, "{what} took {:?}", answer.took);
}

/// The ids of three events that were taken.
#[track_caller]
fn take(server: &Server, n: usize) -> Vec<String> {
    let (ids, body) = three(0, n);
    let answer = server.client().post(EVENTS, &[], body);
    assert_eq!(answer.status, 200, "{}", answer.text);
    ids
}

#[test]
fn what_could_not_be_synced_is_not_answered_for_and_written_again() {
    let disk = Disk::new();
    let server = start(&disk, &[]);
    let mut ids = take(&server, 0);
    for n in 1..6 {
        disk.fails(&format!("fsync * {EIO}"));
        assert_come_again(&server.client().post(EVENTS, &[], three(1, n).1), "no sync");
        assert_eq!(server.client().get("/healthz").status, 503);
        disk.fails("");
        // without a restart; what was dropped with the failure must be written again
        ids.extend(take(&server, n));
        // sometimes the sender comes again
        if n % 2 == 0 {
            let (again, body) = three(1, n);
            assert_eq!(server.client().post(EVENTS, &[], body).status, 200);
            ids.extend(again);
        }
    }
    assert_eq!(server.client().get("/healthz").status, 200);
    disk.fails(&format!("fsync * {EIO}"));
    for n in 10..15 {
        assert_come_again(&server.client().post(EVENTS, &[], three(0, n).1), "never again");
    }
    drop(server.kill());
    let lost = lost(disk.after_power_cut(), &ids, "after syncs that failed");
    assert!(lost.is_empty(), "lost {lost:?}");
}

#[test]
fn a_checkpoint_that_could_not_be_synced_is_done_again() {
    for (rule, what) in [("1 1", "once"), ("", "for ever")] {
        let disk = Disk::new();
        let server = start(&disk, &[]);
        let ids: Vec<String> = (0..20).flat_map(|n| take(&server, n)).collect();
        disk.fails(&format!("fsync .db {EIO} {rule}"));
        drop(server.stop());
        let lost = lost(disk.after_power_cut(), &ids, what);
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
    }
}

#[test]
fn nothing_is_answered_before_it_is_synced() {
    const SYNC: Duration = Duration::from_millis(300);
    let disk = Disk::new();
    let server = start(&disk, &[]);
    take(&server, 0);
    disk.fails("fsync -wal wait:300");
    std::thread::scope(|scope| {
        for n in 1..9 {
            let client = server.client();
            scope.spawn(move || {
                let answer = client.post(EVENTS, &[], three(0, n).1);
                assert_eq!(answer.status, 200, "{}", answer.text);
                assert!(answer.took >= SYNC, "answered after {:?}", answer.took);
            });
        }
    });
}

#[test]
fn on_a_stuck_disk_all_are_told_in_time_to_come_again_and_counted_once() {
    let disk = Disk::new();
    let server = start(&disk, &[]);
    take(&server, 0);
    disk.fails("fsync -wal wait:600000");
    std::thread::scope(|scope| {
        for n in 1..33 {
            let client = server.client();
            scope.spawn(move || assert_come_again(&client.post(EVENTS, &[], three(0, n).1), "stuck"));
        }
    });
    assert_eq!(server.client().get("/deliveries").status, 200, "reading goes on");
    disk.fails("");
    (1..33).for_each(|n| drop(take(&server, n)));
    let sql = "SELECT count(*), count(DISTINCT event_id), (SELECT sum(events) FROM deliveries_v1) FROM events_v1";
    assert_eq!(rows(&server.db(), sql), ["99|99|99"]);
}

#[test]
fn a_disk_may_be_full_at_any_write() {
    let disk = Disk::new();
    let server = start(&disk, &[]);
    let mut ids = take(&server, 0);
    let mut refused = 0;
    for n in 1..25 {
        disk.fails(&format!("pwrite * {ENOSPC} {n}"));
        let (these, body) = three(0, n);
        let answer = server.client().post(EVENTS, &[], &body);
        if answer.status != 200 {
            assert_come_again(&answer, "full");
            refused += 1;
            disk.fails("");
            assert_eq!(server.client().post(EVENTS, &[], body).status, 200, "with room, after write {n}");
        }
        ids.extend(these);
    }
    assert!(refused > 5, "{refused}");
    let folder = server.kill();
    for left in [folder, disk.after_power_cut()] {
        assert!(lost(left, &ids, "a full disk").is_empty());
    }
}

#[test]
fn where_only_reading_is_possible_it_does_not_start_and_a_server_refuses_events() {
    let disk = Disk::new();
    let server = start(&disk, &[]);
    take(&server, 0);
    disk.fails(&format!("pwrite * {EROFS}\nftruncate * {EROFS}\nunlink * {EROFS}\nopen * {EROFS}"));
    assert_come_again(&server.client().post(EVENTS, &[], three(0, 1).1), "read-only");
    assert_eq!(server.client().get("/healthz").status, 503);
    assert_eq!(server.client().get("/deliveries").status, 200, "reading goes on");
    disk.fails("");
    take(&server, 1);
    let (_, folder) = server.stop();

    disk.fails(&format!("open * {EROFS}\npwrite * {EROFS}"));
    let mut serve = disk.under(waybill());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(folder.path().join("waybill.db"));
    let (status, said) = Process::run(&mut serve);
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {said}");
    assert!(said.trim().lines().count() == 1 && said.contains("waybill.db"), "{said}");
}
