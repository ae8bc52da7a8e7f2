//! How near Waybill comes to what SQLite allows, in one run: `cargo bench --bench limits [-- EVENTS] [reads]`, and how a large
//! file slows it: `cargo bench --bench limits -- growth FILE [DELIVERIES]`.
//!
//! One table: raw SQLite with the product's own statements, Waybill over HTTP with durable answers, the design that
//! everyone writes first, and an echo. Everything is taken three times in turns and the median is shown; the load
//! generator shares the cores with the server it loads. Every run ends by counting what is in the file.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod client;
mod growth;
mod naive;
mod raw;
mod reads;
mod server;
mod table;

use std::time::Duration;

use waybill::traffic::{Format, Traffic};

use client::Load;
use server::Served;
use table::Table;

/// When the traffic ends: always the same, so that every run writes the same bytes.
const ENDS_AT_MS: i64 = 1_790_000_000_000;

const RUNS: usize = 3;

/// How many single posts each number of connections sends.
const SINGLES: [(usize, usize); 4] = [(1, 8_000), (16, 60_000), (64, 100_000), (256, 100_000)];

/// Events a request; eight connections.
const BATCHES: [usize; 2] = [100, 500];
const BATCH_CONNECTIONS: usize = 8;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "growth").skip(1);
    if let Some(file) = arguments.next() {
        let deliveries = arguments.next().map_or(Ok(10_000_000), |number| number.parse())?;
        return growth::measure(file.as_ref(), deliveries);
    }
    let events = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(300_000);
    let bodies: Vec<String> = lines(events).map(|(_, body)| body).collect();
    let mut table = Table::new(events);

    if !std::env::args().any(|argument| argument == "reads") {
        write(&bodies, &mut table)?;
        println!("{}", table.finish());
    }
    let traffic = Traffic::new(7, 0, ENDS_AT_MS).with_events(events as u64);
    let reads =
        reads::measure(traffic.lines(&Format::ALL).map(|line| line.with_path()), &bodies[..bodies.len().min(20_000)])?;
    println!("{}", table::of_reads(&reads));
    Ok(())
}

/// What is written, three times in turns.
fn write(bodies: &[String], table: &mut Table) -> anyhow::Result<()> {
    for run in 1..=RUNS {
        eprintln!("run {run} of {RUNS}");
        for (connections, requests) in SINGLES {
            let posts = &bodies[..requests.min(bodies.len())];
            let load = Load::new("/webhooks/customerio", posts.iter().cloned(), connections);
            let echo = naive::echo(|port| load.send(port))?;
            table.add(&format!("echo, {connections} connections"), echo.rate(), echo);
            let served = Served::start()?;
            let sent = load.send(served.port())?;
            let ended = served.end(posts.len())?;
            table.add(&format!("Waybill, single events, {connections} connections"), sent.rate(), sent);
            table.memory(ended.peak_memory_kb);
            if connections >= 64 {
                let fewer = &posts[..posts.len() / 8];
                let load = Load::new("/webhooks/customerio", fewer.iter().cloned(), connections);
                let naive = naive::serve(|port| load.send(port), fewer.len())?;
                table.add(&format!("naive, single events, {connections} connections"), naive.rate(), naive);
            }
        }
        for size in BATCHES {
            let posts: Vec<String> = bodies.chunks(size).map(|chunk| format!("[{}]", chunk.join(","))).collect();
            let load = Load::new("/webhooks/customerio", posts.into_iter(), BATCH_CONNECTIONS);
            let served = Served::start()?;
            let sent = load.send(served.port())?;
            let ended = served.end(bodies.len())?;
            let rate = sent.rate() * size as f64;
            table.add(&format!("Waybill, batches of {size}"), rate, sent);
            table.memory(ended.peak_memory_kb);
            table.file(&format!("batches of {size}"), ended.bytes, ended.events);
            let group = ended.events_a_commit.max(1);
            let raw = raw::measure(bodies, group)?;
            table.add_raw(&format!("raw SQLite, {size}"), raw.rate(), group, raw.commit_p99);
        }
    }
    Ok(())
}

/// Webhooks only: their bodies can be sent one by one and as arrays.
fn lines(events: usize) -> impl Iterator<Item = (i64, String)> {
    let traffic = Traffic::new(7, 0, ENDS_AT_MS).with_events(events as u64);
    traffic
        .lines(&[Format::Webhook])
        .filter(|line| line.path == "/webhooks/customerio")
        .take(events)
        .map(|line| (line.arrives_at_ms, line.body))
}

/// The time within which 99 of 100 were answered, of times in order.
fn percentile(sorted: &[Duration], of_hundred: usize) -> Duration {
    sorted.get((sorted.len() * of_hundred / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
