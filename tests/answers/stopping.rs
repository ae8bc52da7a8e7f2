//! SIGTERM: what is under way is finished, and the file is whole by itself.

use std::sync::mpsc::channel;

use super::support::file::rows;
use super::support::process::Process;
use super::support::server::{Server, waybill};
use super::{BATCH, WEBHOOK, assert_taken, track, webhook};

#[test]
fn it_stops_from_the_first_moment_on() {
    let (status, folder) = Server::start().stop();
    assert!(status.success(), "{status}");
    assert!(!folder.path().join("waybill.db-wal").exists());
    let (status, _) = Server::start_in(folder, &[]).stop();
    assert!(status.success(), "again: {status}");
}

#[test]
fn what_was_acknowledged_is_in_the_file_alone() {
    let server = Server::start();
    let client = server.client();
    let (acknowledge, acknowledged) = channel();
    let posting: Vec<_> = (0..6)
        .map(|thread| {
            let (client, acknowledge) = (client.clone(), acknowledge.clone());
            std::thread::spawn(move || {
                for n in 0.. {
                    let id = format!("{thread}-{n}");
                    let (path, body) =
                        if n % 2 == 0 { (WEBHOOK, webhook(&id)) } else { (BATCH, format!("[{}]", track(&id))) };
                    match client.try_post(path, &[], body) {
                        Some(answer) if answer.status == 200 => {
                            assert_taken(&answer, [1, 0, 0, 0], &id);
                            acknowledge.send(id).unwrap();
                        }
                        // no other answer but that it is stopping, or none at all
                        Some(answer) => return assert_eq!(answer.status, 503, "{}", answer.text),
                        None => return,
                    }
                }
            })
        })
        .collect();
    drop(acknowledge);
    let mut ids: Vec<String> = acknowledged.iter().take(100).collect();
    server.terminate();
    server.terminate();
    let (status, folder) = server.stop();
    assert!(status.success(), "{status}");
    ids.extend(acknowledged);
    posting.into_iter().for_each(|thread| thread.join().unwrap());

    let db = folder.path().join("waybill.db");
    for name in ["waybill.db-wal", "waybill.db-shm"] {
        assert!(!folder.path().join(name).exists(), "{name} is left");
    }
    let stored = rows(&db, "SELECT event_id FROM events_v1 ORDER BY 1");
    let lost: Vec<_> = ids.iter().filter(|id| stored.binary_search(id).is_err()).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let (status, said) = Process::run(waybill().args(["verify", "--db"]).arg(&db));
    assert!(status.success(), "{said}");
}
