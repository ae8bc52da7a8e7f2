//! A listening socket that outlives the server, as systemd holds one.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::support::aside::until;
use super::support::client::Client;
use super::support::file::rows;
use super::support::process::Process;
use super::support::server::waybill;
use super::{WEBHOOK, webhook};

/// How many times the server is stopped and started again.
const RESTARTS: usize = 3;
/// How many posts are answered between.
const BETWEEN: usize = 300;

#[test]
fn a_restart_refuses_no_connection_and_loses_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = waybill();
    command.arg("--db").arg(&db);
    let start = || {
        let server = Process::activate(&socket, &command);
        server.wait_for("listening on http://");
        server
    };
    let client = Client::new(format!("http://{}", socket.local_addr().unwrap()));
    let (answered, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));

    let mut server = start();
    // some take a new connection for each post, and some keep theirs
    let kept: [&[(&str, &str)]; 2] = [&[("Connection", "close")], &[]];
    let (sent, slowest) = std::thread::scope(|scope| {
        let post_on = |thread: usize| {
            let (client, answered, is_over) = (client.clone(), &answered, &is_over);
            scope.spawn(move || {
                let (mut ids, mut slowest) = (Vec::new(), std::time::Duration::ZERO);
                while !is_over.load(SeqCst) {
                    let id = format!("{thread}-{}", ids.len());
                    let answer = client.post(WEBHOOK, kept[thread % 2], webhook(&id));
                    assert_eq!(answer.status, 200, "{}", answer.text);
                    slowest = slowest.max(answer.took);
                    ids.push(id);
                    answered.fetch_add(1, SeqCst);
                }
                (ids, slowest)
            })
        };
        let posting: Vec<_> = (0..6).map(post_on).collect();
        let is_failed = || posting.iter().any(|thread| thread.is_finished());
        for _ in 0..RESTARTS {
            let before = answered.load(SeqCst);
            until("posts are answered", || answered.load(SeqCst) >= before + BETWEEN || is_failed());
            assert!(server.stop().success());
            server = start();
        }
        let before = answered.load(SeqCst);
        until("posts are answered", || answered.load(SeqCst) >= before + BETWEEN || is_failed());
        is_over.store(true, SeqCst);
        let all: Vec<_> = posting.into_iter().map(|thread| thread.join().unwrap()).collect();
        let slowest = all.iter().map(|(_, slowest)| *slowest).max().unwrap();
        (all.into_iter().flat_map(|(ids, _)| ids).collect::<Vec<_>>(), slowest)
    });
    assert!(server.stop().success());

    println!("{RESTARTS} restarts, {} posts, 0 refused; the slowest answer took {slowest:?}", sent.len());
    let stored = rows(&db, "SELECT event_id FROM events_v1 ORDER BY 1");
    let lost: Vec<_> = sent.iter().filter(|id| stored.binary_search(id).is_err()).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}
