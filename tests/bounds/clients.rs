//! Clients that send much, or nothing, or do not read.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use super::files::after;
use super::support::file::rows;
use super::support::process::Process;
use super::support::server::{SIGNING, Server, cio_signature, waybill};
use super::{refused, wait_until, webhook};

const MEMORY_MAX_MB: u64 = 256;

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(address(server)).unwrap()
}

fn address(server: &Server) -> String {
    server.url("").trim_start_matches("http://").to_owned()
}

/// The most memory that the process has had, in megabytes.
fn memory_mb(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

#[track_caller]
fn assert_serves(server: &Server, what: &str) {
    server.webhook(webhook(what));
    let found = memory_mb(server);
    assert!(found <= MEMORY_MAX_MB, "{what}: {found} MB");
}

/// Writes what the socket takes now. False: nothing.
fn push(mut socket: &TcpStream, bytes: &[u8]) -> bool {
    match socket.write(bytes) {
        Ok(count) => count > 0,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        // it was closed
        Err(_) => false,
    }
}

#[test]
fn requests_that_are_sent_ahead_take_no_memory() {
    let server = Server::start_with(&[SIGNING]);
    for (path, what) in [("/healthz", "ahead"), ("/nope", "refused ahead"), ("/", "pages ahead")] {
        let requests = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(8_000);
        let sockets: Vec<_> = (0..40).map(|_| connect(&server)).collect();
        sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
        let mut left = vec![requests.as_bytes(); sockets.len()];
        // as much as is taken while nobody reads an answer
        for _ in 0..200 {
            for (socket, left) in sockets.iter().zip(&mut left) {
                let (now, _) = left.split_at(left.len().min(8 << 10));
                if !now.is_empty() && push(socket, now) {
                    *left = &left[now.len()..];
                }
            }
        }
        drop(sockets);
        assert_serves(&server, what);
    }
}

#[test]
fn silent_and_half_open_connections_take_little_and_hold_up_nobody() {
    let server = Server::start_with(&[SIGNING]);
    // as many as a process may open everywhere
    for (begin, what) in [("", "silent"), ("POST /webhooks/customerio HTTP/1.1\r\nHost: x\r\n", "half open")] {
        let sockets: Vec<_> = (0..400).map(|_| connect(&server)).collect();
        for mut socket in &sockets {
            socket.write_all(begin.as_bytes()).unwrap();
        }
        assert_serves(&server, what);
    }
}

#[test]
fn few_descriptors_are_enough_for_the_file() {
    let server = Server::start_by(after("ulimit -n 200"), tempfile::tempdir().unwrap(), &[SIGNING]);
    for round in 0..2 {
        let sockets: Vec<_> = (0..400).map(|_| connect(&server)).collect();
        // it has its turn once silent ones are let go
        assert_serves(&server, &format!("crowded {round}"));
        assert_eq!(server.client().get("/deliveries").status, 200, "the file has descriptors of its own");
        assert_eq!(server.client().get("/healthz").status, 200);
        drop(sockets);
        assert_serves(&server, &format!("alone {round}"));
    }
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    const CLIENTS: usize = 1_000;
    let server = Server::start_with(&[SIGNING]);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    assert_serves(&server, "before");
    let before = descriptors();
    for n in 0..CLIENTS {
        let body = webhook(&n.to_string());
        let signature = cio_signature(SIGNING.1, "1700000000", &body);
        let request = format!(
            "POST /webhooks/customerio HTTP/1.1\r\nHost: localhost\r\nX-CIO-Timestamp: 1700000000\r\n\
             X-CIO-Signature: {signature}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut socket = connect(&server);
        // some before all was sent
        let sent = if n % 4 == 0 { request.len() - n % 200 } else { request.len() };
        socket.write_all(&request.as_bytes()[..sent]).unwrap();
    }
    wait_until("the end of all connections", || descriptors() <= before);
    // stored or not, and counted once when the sender comes again
    (0..CLIENTS).for_each(|n| drop(server.webhook(webhook(&n.to_string()))));
    assert_eq!(rows(&server.db(), "SELECT count(*), sum(events) FROM deliveries_v1"), ["1001|1001"]);
    let (status, said) = Process::run(waybill().args(["verify", "--db"]).arg(server.db()));
    assert!(status.success(), "{said}");
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::start_with(&[SIGNING]);
    let mut socket = connect(&server);
    let head = "POST /webhooks/customerio HTTP/1.1\r\nHost: localhost\r\nX-CIO-Timestamp: 1700000000\r\n\
        X-CIO-Signature: 00\r\nContent-Length: 100000\r\n\r\n{";
    socket.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("too_slow"), "{answer}");
    assert_eq!(refused(&server, "too_slow"), 1);
}

#[test]
fn a_client_that_stops_in_the_middle_is_let_go() {
    let server = Server::start_with(&[SIGNING]);
    // one that sends the half of its second request, and one that does not read
    let mut half = connect(&server);
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(half.read(&mut [0; 4096]).unwrap() > 0);
    half.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    let mut deaf = connect(&server);
    deaf.set_nonblocking(true).unwrap();
    let request = b"GET /schema HTTP/1.1\r\nHost: localhost\r\n\r\n";
    wait_until("the end of both", || {
        // more than the kernel holds of the answers
        while push(&deaf, request) {}
        refused(&server, "stalled") >= 2
    });
    // what the kernel still had, and then the end
    deaf.set_nonblocking(false).unwrap();
    let _ = half.read_to_end(&mut Vec::new());
    let _ = deaf.read_to_end(&mut Vec::new());
    assert_serves(&server, "after them");
}

#[test]
fn a_flood_of_bodies_without_a_key_leaves_room_for_webhooks() {
    let server = Server::start_with(&[SIGNING]);
    let is_over = AtomicBool::new(false);
    let address = address(&server);
    let forged = "POST /webhooks/customerio HTTP/1.1\r\nHost: localhost\r\nX-CIO-Timestamp: 1700000000\r\n\
        X-CIO-Signature: 00\r\nContent-Length: 8000000\r\n\r\n";
    let megabyte = vec![b' '; 1 << 20];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let sockets: Vec<_> = (0..100).filter_map(|_| TcpStream::connect(&address).ok()).collect();
                for mut socket in &sockets {
                    let _ = socket.write_all(forged.as_bytes());
                    socket.set_nonblocking(true).unwrap();
                }
                // what is not taken in so many tries, or comes after a refusal, is not sent
                for socket in (0..10).flat_map(|_| &sockets) {
                    push(socket, &megabyte);
                }
                // each is refused: when the budget is spent, or its time is
                for mut socket in &sockets {
                    socket.set_nonblocking(false).unwrap();
                    let _ = socket.read(&mut [0; 16]);
                }
            }
        });
        wait_until("a flood", || refused(&server, "busy") + refused(&server, "too_slow") > 0);
        let client = server.client();
        let taken = (0..100).filter(|n| {
            let body = webhook(&format!("flood-{n}"));
            let signature = cio_signature(SIGNING.1, "1700000000", &body);
            let headers = [("X-CIO-Timestamp", "1700000000"), ("X-CIO-Signature", &*signature)];
            client.try_post("/webhooks/customerio", &headers, body).is_some_and(|answer| answer.status == 200)
        });
        let taken = taken.count();
        is_over.store(true, Ordering::Relaxed);
        assert!(taken >= 95, "{taken} of 100 webhooks were taken");
    });
    assert_serves(&server, "after the flood");
}

#[test]
fn what_is_refused_is_counted_and_shown() {
    let server = Server::start_with(&[SIGNING]);
    for _ in 0..3 {
        assert_eq!(server.client().post("/webhooks/customerio", &[], webhook("x")).status, 401);
    }
    assert_eq!(server.client().post("/v1/track", &[], "{}").status, 401);
    assert_eq!((refused(&server, "wrong_signature"), refused(&server, "no_key_set")), (3, 1));
    let (_, health) = server.get("/health");
    let line = "<dt><code>wrong_signature</code></dt><dd>3</dd>";
    assert!(health.contains(line), "{health}");
}
