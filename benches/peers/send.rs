//! The load of `peers.py`: posts each line of a file, and says as JSON what came of it.
//!
//! `send PORT PATH CONNECTIONS SECONDS FILE [METHOD [HEADER]]`. After so many seconds it sends no more.

#![allow(clippy::disallowed_methods, reason = "it measures time")]

#[path = "../limits/client.rs"]
#[allow(dead_code, reason = "the other benchmark reads pages too")]
mod client;

use std::fs;
use std::time::Duration;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [port, path, connections, seconds, file, more @ ..] = &args[..] else {
        // what `cargo bench` and `cargo test` run by themselves
        return Ok(());
    };
    let (method, header) = (more.first().map_or("POST", |it| it), more.get(1).map_or("", |it| it));
    let bodies = fs::read_to_string(file).context("no bodies")?;
    let load = client::Load::of(method, path, header, bodies.lines().map(str::to_owned), connections.parse()?);
    let sent = load.send_within(port.parse()?, Duration::from_secs_f64(seconds.parse()?))?;
    let ms = |of_hundred: usize| {
        let place = (sent.times.len() * of_hundred / 100).min(sent.times.len().saturating_sub(1));
        sent.times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    println!(
        r#"{{"requests": {}, "seconds": {}, "p50": {}, "p99": {}}}"#,
        sent.requests,
        sent.took.as_secs_f64(),
        ms(50),
        ms(99)
    );
    Ok(())
}
