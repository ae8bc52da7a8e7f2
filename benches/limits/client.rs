//! Sends bodies over keep-alive connections, each as soon as the one before it is answered.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Requests that are made before the clock runs.
pub struct Load {
    requests: Arc<[Box<[u8]>]>,
    connections: usize,
}

/// What came of a load.
pub struct Sent {
    /// The first so many were sent, and answered.
    pub requests: usize,
    pub took: Duration,
    /// Of each request, in order of length.
    pub times: Vec<Duration>,
}

impl Sent {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

impl Load {
    pub fn new(path: &str, bodies: impl Iterator<Item = String>, connections: usize) -> Load {
        Load::of("POST", path, "", bodies, connections)
    }

    /// With another method, and a header where it is not empty.
    pub fn of(
        method: &str,
        path: &str,
        header: &str,
        bodies: impl Iterator<Item = String>,
        connections: usize,
    ) -> Load {
        let more = if header.is_empty() { "" } else { "\r\n" };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{header}{more}");
        let request = |body: String| format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes().into();
        Load { requests: bodies.map(request).collect(), connections }
    }

    /// # Errors
    /// Any answer that is no success.
    pub fn send(&self, port: u16) -> anyhow::Result<Sent> {
        self.send_within(port, Duration::MAX)
    }

    /// Sends no more once so long has passed.
    pub fn send_within(&self, port: u16, limit: Duration) -> anyhow::Result<Sent> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut streams = Vec::new();
            for _ in 0..self.connections {
                let stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            let next = Arc::new(AtomicUsize::new(0));
            let begun = Instant::now();
            let sending = |stream| one(stream, self.requests.clone(), next.clone(), begun, limit);
            let tasks: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(sending(stream))).collect();
            let mut times = Vec::with_capacity(self.requests.len());
            for task in tasks {
                times.extend(task.await??);
            }
            let took = begun.elapsed();
            times.sort_unstable();
            Ok(Sent { requests: times.len(), took, times })
        })
    }
}

/// A connection that is kept, to post one body after the other.
pub struct Connection {
    stream: std::net::TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(port: u16) -> anyhow::Result<Connection> {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: vec![0; 64 << 10] })
    }

    /// # Errors
    /// Any answer but 200.
    pub fn post(&mut self, path: &str, body: &str) -> anyhow::Result<()> {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        self.stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes())?;
        let mut have = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[have..])?;
            ensure!(read > 0, "the server closed the connection");
            have += read;
            let answer = &self.buffer[..have];
            let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&answer[..end])?.to_ascii_lowercase();
            ensure!(head.starts_with("http/1.1 200"), "answered {}", String::from_utf8_lossy(answer));
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).context("no length")?;
            if have >= end + 4 + length.trim().parse::<usize>()? {
                return Ok(());
            }
        }
    }
}

/// The body of a page.
pub fn get(port: u16, path: &str) -> anyhow::Result<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path} answered {}", head.lines().next().unwrap_or_default());
    Ok(body.to_owned())
}

async fn one(
    mut stream: TcpStream,
    requests: Arc<[Box<[u8]>]>,
    next: Arc<AtomicUsize>,
    since: Instant,
    limit: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let begun = Instant::now();
        if begun - since >= limit {
            return Ok(times);
        }
        let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(times) };
        stream.write_all(request).await?;
        answered(&mut stream, &mut buffer).await?;
        times.push(begun.elapsed());
    }
}

/// Reads an answer to its end, and keeps none of it.
async fn answered(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut have = 0;
    let end = loop {
        have += some(stream, &mut buffer[have..]).await?;
        if let Some(end) = buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
    if !head.starts_with("http/1.1 20") {
        bail!("answered {}", String::from_utf8_lossy(&buffer[..have]));
    }
    let body = end + 4;
    match head.lines().find_map(|line| line.strip_prefix("content-length:")) {
        Some(length) => {
            let mut left = length.trim().parse::<usize>()?.saturating_sub(have - body);
            while left > 0 {
                left = left.saturating_sub(some(stream, buffer).await?);
            }
        }
        // in chunks: short enough for the buffer
        None => {
            while !buffer[body..have].ends_with(b"0\r\n\r\n") {
                have += some(stream, &mut buffer[have..]).await?;
            }
        }
    }
    Ok(())
}

async fn some(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<usize> {
    let read = stream.read(buffer).await?;
    ensure!(read > 0, "the server closed the connection");
    Ok(read)
}
