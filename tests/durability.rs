//! What was acknowledged is there afterwards, and everything counted agrees with it: after SIGKILL at any moment, after power
//! cuts, on disks that fail, and after the transactions of another process on the same file were rolled back halfway.

mod support;

#[path = "durability/disks.rs"]
mod disks;
#[path = "durability/power.rs"]
mod power;

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use support::client::Client;
use support::disk::Disk;
use support::file::rows;
use support::process::Process;
use support::server::{Server, waybill};

/// A disk that fails.
const EIO: i32 = 5;

const ROUNDS: usize = 20;
const THREADS: usize = 4;

const METRICS: [&str; 5] = ["sent", "delivered", "opened", "clicked", "bounced"];

/// The round and the place in it give an event; deliveries are shared by all threads and rounds.
fn event(round: usize, thread: usize, n: usize) -> (String, String) {
    let id = format!("{round}-{thread}-{n}");
    let (delivery, metric, second) = (n % 40, METRICS[(n + thread) % METRICS.len()], n % 60);
    let href = if metric == "clicked" { r#","href":"https://example.org/a""# } else { "" };
    let json = format!(
        r#"{{"id":"{id}","delivery_id":"d{delivery}","channel":"email","metric":"{metric}","time":"2023-11-14T22:13:{second:02}.000Z","source":{{"kind":"campaign","id":"{}"}}{href}}}"#,
        delivery % 7
    );
    (id, json)
}

/// Posts until the server is gone, and tells every id that was acknowledged.
fn post(client: Client, round: usize, thread: usize, acknowledge: Sender<String>) {
    let mut n = 0usize;
    loop {
        // one event, or several, or one that was sent before and one that was not
        let size = 1 + n % 4;
        let from = if n.is_multiple_of(3) { n.saturating_sub(1) } else { n };
        let (ids, events): (Vec<_>, Vec<_>) = (from..n + size).map(|n| event(round, thread, n)).unzip();
        n += size;
        match client.try_post("/v1/events", &[], format!("[{}]", events.join(","))) {
            Some(answer) => {
                assert_eq!(answer.status, 200, "{}", answer.text);
                ids.into_iter().for_each(|id| acknowledge.send(id).unwrap());
            }
            None => return,
        }
    }
}

fn start_posting(server: &Server, round: usize) -> (Vec<JoinHandle<()>>, Receiver<String>) {
    let (acknowledge, acknowledged) = channel();
    let start = |thread| {
        let (client, acknowledge) = (server.client(), acknowledge.clone());
        std::thread::spawn(move || post(client, round, thread, acknowledge))
    };
    ((0..THREADS).map(start).collect(), acknowledged)
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut folder = tempfile::tempdir().unwrap();
    let mut acknowledged_ever = Vec::new();
    for round in 0..ROUNDS {
        let server = Server::start_in(folder, &[]);
        let (posting, acknowledged) = start_posting(&server, round);
        // from the first answer on, and later than that in steps without a pattern
        let kill_after = if round == 0 { 1 } else { 1 + round * 7_919 % 241 };
        acknowledged_ever.extend(acknowledged.iter().take(kill_after));
        folder = server.kill();
        posting.into_iter().for_each(|thread| thread.join().unwrap());
        acknowledged_ever.extend(acknowledged.iter());

        // started again on what is left, it serves and takes
        let server = Server::start_in(folder, &[]);
        let stored: HashSet<String> = rows(&server.db(), "SELECT event_id FROM events_v1").into_iter().collect();
        let lost: Vec<_> = acknowledged_ever.iter().filter(|id| !stored.contains(*id)).collect();
        assert!(lost.is_empty(), "round {round}, after {kill_after} answers: lost {lost:?}");
        let (id, again) = event(round, 0, 0);
        let (status, text) = server.post("/v1/events", &[], again);
        let became = if stored.contains(&id) { "\"duplicate\":1" } else { "\"accepted\":1" };
        assert!(status == 200 && text.contains(became), "round {round}: {status} {text}");
        folder = server.kill();

        let (status, said) = Process::run(waybill().args(["verify", "--db"]).arg(folder.path().join("waybill.db")));
        assert!(status.success(), "round {round}, after {kill_after} answers: {status} {said}");
    }
    assert!(acknowledged_ever.len() > ROUNDS * 50, "{} is too little to say anything", acknowledged_ever.len());
}

#[test]
fn what_was_acknowledged_survives_rollbacks_of_another_process() {
    let beside = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let input = beside.path().join("events.ndjson");
    let lines = |n: usize| {
        (0..n).map(|n| {
            event(ROUNDS, 0, n)
                .1
                .replace("\"channel\"", &format!("\"extra\":{{\"text\":\"{}\"}},\"channel\"", "x".repeat(20_000)))
                + "\n"
        })
    };
    std::fs::write(&input, lines(400).collect::<String>()).unwrap();

    let server = Server::start();
    let (posting, acknowledged) = start_posting(&server, 0);
    let mut acknowledged_ever: Vec<String> = acknowledged.iter().take(1).collect();
    // from the first read of the file to the middle of a transaction
    for (call, after) in [("pread", 3), ("pread", 20), ("pread", 60), ("pwrite", 1), ("pwrite", 900), ("pwrite", 2_500)]
    {
        disk.fails(&format!("{call} * {EIO} {}", after + 1));
        let mut import = disk.under(waybill());
        let (status, text) = Process::run(import.arg("import").arg(&input).arg("--db").arg(server.db()));
        assert!(!status.success(), "{call} {after}: {status} {text}");
        // the server goes on
        acknowledged_ever.extend(acknowledged.iter().take(10));
    }
    let (status, text) = Process::run(waybill().arg("import").arg(&input).arg("--db").arg(server.db()));
    assert!(status.success(), "{text}");

    let folder = server.kill();
    posting.into_iter().for_each(|thread| thread.join().unwrap());
    acknowledged_ever.extend(acknowledged.iter());
    let db = folder.path().join("waybill.db");
    let (status, text) = Process::run(waybill().args(["verify", "--db"]).arg(&db));
    assert!(status.success(), "{text}");
    assert_eq!(rows(&db, "PRAGMA integrity_check"), ["ok"]);
    let stored: HashSet<String> = rows(&db, "SELECT event_id FROM events_v1").into_iter().collect();
    let lost: Vec<_> = acknowledged_ever.iter().filter(|id| !stored.contains(*id)).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
    assert!((0..400).all(|n| stored.contains(&event(ROUNDS, 0, n).0)));
}
