//! The load generator. Requests are made before the clock runs, and one thread sends them over all connections, each as soon
//! as the one before it is answered: on two cores that it shares with the server, its share must be small, so it is measured.

use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PATH: &str = "/webhooks/customerio";

/// What became of a load.
pub struct Sent {
    /// Events a second.
    pub rate: f64,
    /// How long each request took, in order of length.
    pub latencies: Vec<Duration>,
    /// When each was answered, from the beginning, in order.
    pub answered: Vec<Duration>,
    /// The load generator's processor time, of the time that the load took.
    pub load_share: f64,
}

fn post(body: &str) -> String {
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Posts events, so many a request.
pub fn send(port: u16, events: &[String], batch: usize, connections: usize) -> anyhow::Result<Sent> {
    let requests: Arc<[String]> = match batch {
        1 => events.iter().map(|event| post(event)).collect(),
        _ => events.chunks(batch).map(|events| post(&format!("[{}]", events.join(",")))).collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let (begun, processor) = (Instant::now(), processor_time()?);
        let sending = |stream| tokio::spawn(send_over(stream, requests.clone(), next.clone(), begun));
        let tasks: Vec<_> = streams.into_iter().map(sending).collect();
        let mut times = Vec::with_capacity(requests.len());
        for task in tasks {
            times.extend(task.await??);
        }
        let (took, processor) = (begun.elapsed(), processor_time()? - processor);
        let (mut latencies, mut answered): (Vec<_>, Vec<_>) = times.into_iter().unzip();
        latencies.sort_unstable();
        answered.sort_unstable();
        let (rate, load_share) =
            (events.len() as f64 / took.as_secs_f64(), processor.as_secs_f64() / took.as_secs_f64());
        Ok(Sent { rate, latencies, answered, load_share })
    })
}

async fn send_over(
    mut stream: TcpStream,
    requests: Arc<[String]>,
    next: Arc<AtomicUsize>,
    begun: Instant,
) -> anyhow::Result<Vec<(Duration, Duration)>> {
    let (mut times, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let mut have = 0;
        while !is_complete(&buffer[..have])? {
            let read = stream.read(&mut buffer[have..]).await?;
            ensure!(read > 0, "the server closed the connection");
            have += read;
        }
        times.push((sent.elapsed(), begun.elapsed()));
    }
    Ok(times)
}

/// Whether an answer, which must be 200, has come to its end.
fn is_complete(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
    let head = std::str::from_utf8(&answer[..end])?;
    ensure!(head.starts_with("HTTP/1.1 200"), "answered {}", String::from_utf8_lossy(answer));
    let mut headers = head.lines().filter_map(|line| line.split_once(": "));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length")).context("no length")?.1;
    Ok(answer.len() >= end + 4 + length.parse::<usize>()?)
}

/// The body of a page, over a connection of its own.
pub fn get(port: u16, path: &str) -> anyhow::Result<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path} answered {}", head.lines().next().unwrap_or_default());
    Ok(body.to_owned())
}

/// Of this thread.
fn processor_time() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(stat.split(' ').next().context("no schedstat")?.parse()?))
}
