//! Kills at chosen writes and syncs, and power cuts. After a power cut a file has what was synced before, and nothing else.

use std::collections::HashSet;

use tempfile::TempDir;

use super::support::client::Client;
use super::support::disk::Disk;
use super::support::file::rows;
use super::support::process::Process;
use super::support::server::{Server, waybill};
use super::{event, start_posting};

const EVENTS: &str = "/v1/events";

/// A server whose files are on this disk.
pub fn start(disk: &Disk, settings: &[(&str, &str)]) -> Server {
    Server::start_by(disk.under(waybill()), tempfile::tempdir().unwrap(), settings)
}

/// The ids of three events, and a body that brings them together.
pub fn three(round: usize, n: usize) -> (Vec<String>, String) {
    let (ids, events): (Vec<_>, Vec<_>) = (3 * n..3 * n + 3).map(|n| event(round, 0, n)).unzip();
    (ids, format!("[{}]", events.join(",")))
}

/// Serves what is left, and gives what is missing. The file is whole, with all or nothing of each body of [`three`], and
/// takes events.
#[track_caller]
pub fn lost(folder: TempDir, acknowledged: &[String], what: &str) -> Vec<String> {
    let server = Server::start_in(folder, &[]);
    let stored: HashSet<String> = rows(&server.db(), "SELECT event_id FROM events_v1").into_iter().collect();
    let after = server.client().post(EVENTS, &[], event(999, 0, 0).1);
    assert_eq!(after.status, 200, "{what}: {}", after.text);
    let (status, folder) = server.stop();
    assert!(status.success(), "{what}: {status}");
    let db = folder.path().join("waybill.db");
    assert_eq!(rows(&db, "PRAGMA integrity_check"), ["ok"], "{what}");
    let (status, said) = Process::run(waybill().args(["verify", "--db"]).arg(&db));
    assert!(status.success(), "{what}: {said}");
    acknowledged.iter().filter(|id| !stored.contains(*id)).cloned().collect()
}

/// Posts bodies of [`three`] until one is not answered, or so many were.
fn post(client: &Client, bodies: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0..bodies {
        let (ids, body) = three(0, n);
        match client.try_post(EVENTS, &[], body) {
            Some(answer) if answer.status == 200 => acknowledged.extend(ids),
            _ => break,
        }
    }
    acknowledged
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    for round in 0..5 {
        let disk = Disk::new();
        let server = start(&disk, &[]);
        let (posting, acknowledged) = start_posting(&server, round);
        let mut ids: Vec<String> = acknowledged.iter().take(1 + round * 7_919 % 241).collect();
        drop(server.kill());
        posting.into_iter().for_each(|thread| thread.join().unwrap());
        ids.extend(acknowledged);
        let lost = lost(disk.after_power_cut(), &ids, "a power cut");
        assert!(lost.is_empty(), "round {round}: lost {} of {}: {lost:?}", lost.len(), ids.len());
    }
}

/// Or the test above would prove nothing.
#[test]
fn without_syncs_a_power_cut_loses_events() {
    let disk = Disk::new();
    let server = start(&disk, &[]);
    let mut ids = post(&server.client(), 5);
    disk.fails("fsync * ignore");
    ids.extend(three(0, 5).0);
    assert_eq!(server.client().post(EVENTS, &[], three(0, 5).1).status, 200);
    drop(server.kill());
    assert_eq!(lost(disk.after_power_cut(), &ids, "without syncs"), three(0, 5).0);
}

#[test]
fn a_server_that_stopped_needs_no_more_syncs() {
    let disk = Disk::new();
    let server = start(&disk, &[]);
    let ids = post(&server.client(), 20);
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");
    drop(folder);
    assert!(lost(disk.after_power_cut(), &ids, "stopped").is_empty());
}

#[test]
fn a_kill_at_any_write_or_sync_loses_nothing() {
    let points = [("pwrite", "-wal", [1, 2, 3, 5, 8, 40]), ("pwrite", ".db", [1, 2, 3, 5, 8, 13])];
    let points = points.iter().flat_map(|(call, end, points)| points.iter().map(move |n| (*call, *end, *n)));
    let syncs = [("fsync", "-wal", 1), ("fsync", "-wal", 2), ("fsync", "-wal", 7), ("fsync", ".db", 1)];
    let ends = [("ftruncate", "-wal", 1), ("unlink", "-wal", 1)];
    for (call, end, n) in points.chain(syncs).chain(ends) {
        let what = format!("killed at {call} {n} of {end}");
        let disk = Disk::new();
        let server = start(&disk, &[]);
        disk.fails(&format!("{call} {end} kill {n}"));
        let ids = post(&server.client(), 12);
        // what happens only at the end, happens now
        let (_, folder) = server.stop();
        disk.fails("");
        for left in [folder, disk.after_power_cut()] {
            assert!(lost(left, &ids, &what).is_empty(), "{what}");
        }
    }
}

#[test]
fn a_file_is_made_whole_or_not_at_all() {
    let beside = tempfile::tempdir().unwrap();
    let input = beside.path().join("events.ndjson");
    let (ids, lines): (Vec<_>, Vec<_>) = (0..30).map(|n| event(0, 0, n)).unzip();
    std::fs::write(&input, lines.join("\n")).unwrap();
    let mut was_killed = 0;
    let points = [1, 2, 3, 5, 8, 13, 21, 55, 144].map(|n| ("pwrite", n)).into_iter();
    for (call, n) in points.chain((1..=6).map(|n| ("fsync", n))).chain([("ftruncate", 1), ("unlink", 1)]) {
        let what = format!("killed at the first {call} {n}");
        let disk = Disk::new();
        disk.fails(&format!("{call} * kill {n}"));
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("waybill.db");
        let (status, said) = Process::run(disk.under(waybill()).arg("import").arg(&input).arg("--db").arg(&db));
        was_killed += usize::from(!status.success());
        let acknowledged = if said.contains("30 accepted") || status.success() { &ids[..] } else { &[] };
        for left in [folder, disk.after_power_cut()] {
            assert!(lost(left, acknowledged, &what).is_empty(), "{what}");
        }
    }
    assert!(was_killed > 10, "{was_killed}");
}
