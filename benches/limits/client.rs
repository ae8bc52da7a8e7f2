//! Sends bodies over keep-alive connections, each as soon as the one before it is answered.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Requests that are made before the clock runs.
pub struct Load {
    requests: Vec<Arc<[u8]>>,
    connections: usize,
}

/// What came of a load.
pub struct Sent {
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
        let request = |body: String| {
            let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
            format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes().into()
        };
        Load { requests: bodies.map(request).collect(), connections }
    }

    /// # Errors
    /// Any answer but 200.
    pub fn send(&self, port: u16) -> anyhow::Result<Sent> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let waiting: Arc<Mutex<VecDeque<Arc<[u8]>>>> =
                Arc::new(Mutex::new(self.requests.iter().cloned().collect()));
            let mut streams = Vec::new();
            for _ in 0..self.connections {
                let stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            let begun = Instant::now();
            let tasks: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(one(stream, waiting.clone()))).collect();
            let mut times = Vec::with_capacity(self.requests.len());
            for task in tasks {
                times.extend(task.await??);
            }
            let took = begun.elapsed();
            times.sort_unstable();
            Ok(Sent { requests: self.requests.len(), took, times })
        })
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

async fn one(mut stream: TcpStream, waiting: Arc<Mutex<VecDeque<Arc<[u8]>>>>) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let next = waiting.lock().expect("invariant: no holder panics").pop_front();
        let Some(request) = next else { return Ok(times) };
        let begun = Instant::now();
        stream.write_all(&request).await?;
        answered(&mut stream, &mut buffer).await?;
        times.push(begun.elapsed());
    }
}

/// Reads an answer to its end.
async fn answered(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut have = 0;
    loop {
        let read = stream.read(&mut buffer[have..]).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        have += read;
        let text = &buffer[..have];
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&text[..end])?.to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            bail!("answered {}", head.lines().next().unwrap_or_default());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).context("no length")?;
        if have >= end + 4 + length.trim().parse::<usize>()? {
            return Ok(());
        }
    }
}
