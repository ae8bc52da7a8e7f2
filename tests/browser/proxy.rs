//! A proxy that passes on what lies below a path, and nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub struct Proxy {
    address: String,
    refused: Arc<AtomicUsize>,
}

impl Proxy {
    /// Passes requests to the server at `url` until the tests end.
    pub fn start(url: &str, below: &'static str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (server, refused) = (url.trim_start_matches("http://").to_owned(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&refused);
        thread::spawn(move || {
            for browser in listener.incoming() {
                let (server, counter) = (server.clone(), Arc::clone(&counter));
                thread::spawn(move || {
                    // a browser may go away at any time
                    let _ = browser.and_then(|browser| pass(&browser, &server, below, &counter));
                });
            }
        });
        Proxy { address, refused }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many requests were not for what lies below.
    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

/// One request a connection.
fn pass(mut browser: &TcpStream, server: &str, below: &str, refused: &AtomicUsize) -> std::io::Result<()> {
    let (mut head, mut reader) = (String::new(), BufReader::new(browser));
    while reader.read_line(&mut head)? > 2 {}
    let path = head.split(' ').nth(1).unwrap_or_default();
    if !path.starts_with(below) {
        // a browser asks for this icon unasked
        if !head.is_empty() && path != "/favicon.ico" {
            refused.fetch_add(1, Ordering::SeqCst);
        }
        return browser.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let mut onward = TcpStream::connect(server)?;
    let lines = head.lines().filter(|line| !line.to_lowercase().starts_with("connection:") && !line.is_empty());
    let head: String = lines.map(|line| format!("{line}\r\n")).collect();
    onward.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    onward.read_to_end(&mut answer)?;
    browser.write_all(&answer)
}
