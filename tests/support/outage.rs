//! A way to a server that is out of order for its first requests, as a proxy answers while the server behind it starts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Listens until the tests end.
pub struct Outage {
    url: String,
    left: Arc<AtomicUsize>,
}

impl Outage {
    /// Before a server at an address such as `http://127.0.0.1:8787`: answers the first `requests` that bring something
    /// with 503, and passes on all later ones as they are.
    pub fn before(server: &str, requests: usize) -> Outage {
        let server = server.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let left = Arc::new(AtomicUsize::new(requests));
        let refusals = left.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (server, refusals) = (server.clone(), refusals.clone());
                // a client that goes away in the middle is its own affair
                thread::spawn(move || pass(connection?, &server, &refusals));
            }
        });
        Outage { url, left }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether all the refusals were given.
    pub fn is_over(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

/// Refuses the connection's first request and closes, or hands the whole connection on.
fn pass(client: TcpStream, server: &str, refusals: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let brings_something = !(head.starts_with("GET ") || head.starts_with("OPTIONS "));
    let refuse = || refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    if brings_something && refuse() {
        // read to its end: closing before that would reset the connection
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(length));
        std::io::copy(&mut reader.take(length.unwrap_or(0)), &mut std::io::sink())?;
        let answer =
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return (&client).write_all(answer.as_bytes());
    }
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(head.as_bytes())?;
    upstream.write_all(reader.buffer())?;
    let (mut from_server, mut to_client) = (upstream.try_clone()?, client.try_clone()?);
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        to_client.shutdown(Shutdown::Write)
    });
    let mut from_client = reader.into_inner();
    std::io::copy(&mut from_client, &mut upstream)?;
    upstream.shutdown(Shutdown::Write)?;
    let _ = back.join();
    Ok(())
}

fn length(text: &str) -> u64 {
    text.trim().parse().unwrap()
}
