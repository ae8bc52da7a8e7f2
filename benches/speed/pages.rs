//! Whole pages over HTTP, of a large file: idle, and while events come in.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::servers::Served;
use super::table::{Bound, Table, percentile};
use super::{ENDS_AT_MS, FILE_SEED, load, shapes};

/// How often each page is asked for.
const TIMES: usize = 100;
/// Events a post beside them.
const POST: usize = 50;

pub fn measure(db: &Path, beside: f64, table: &mut Table) -> anyhow::Result<()> {
    let begun = Instant::now();
    let served = Served::start(db)?;
    table.add("start on the large file, ms", begun.elapsed().as_secs_f64() * 1e3, Bound::AtMost(200.0));
    let port = served.port;
    let pages = pages(port)?;
    let idle = ask_all(port, &pages)?;
    let busy = {
        let ends = AtomicBool::new(false);
        thread::scope(|scope| {
            let feeding = scope.spawn(|| feed(port, beside, &ends));
            let busy = ask_all(port, &pages);
            ends.store(true, Ordering::Relaxed);
            feeding.join().map_err(|_| anyhow::anyhow!("the feed panicked"))??;
            busy
        })?
    };
    println!("| page | p50 ms | p99 ms | p50 beside {beside} events/s | p99 |\n|---|---:|---:|---:|---:|");
    for (((what, _), idle), busy) in pages.iter().zip(&idle).zip(&busy) {
        println!("| {what} | {:.1} | {:.1} | {:.1} | {:.1} |", idle.0, idle.1, busy.0, busy.1);
    }
    println!();
    let slowest = |times: &[(f64, f64)]| times.iter().map(|(_, p99)| *p99).fold(0.0, f64::max);
    table.add("slowest page, idle, p99 ms", slowest(&idle), Bound::AtMost(50.0));
    table.add("slowest page, beside ingest, p99 ms", slowest(&busy), Bound::AtMost(100.0));
    table.add("peak memory on the large file, MB", served.peak_memory_mb()?, Bound::AtMost(256.0));
    served.stop()
}

/// The median and the 99th percentile of each page, in milliseconds.
fn ask_all(port: u16, pages: &[(&str, String)]) -> anyhow::Result<Vec<(f64, f64)>> {
    let ask = |(_, path): &(&str, String)| {
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let begun = Instant::now();
            load::get(port, path)?;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        Ok((percentile(&times, 50), percentile(&times, 99)))
    };
    pages.iter().map(ask).collect()
}

/// Posts events of other deliveries at a steady rate, generated as they are sent.
fn feed(port: u16, rate: f64, ends: &AtomicBool) -> anyhow::Result<()> {
    let mut events = shapes::webhooks(super::new_seed(), 300_000);
    let (begun, mut sent) = (Instant::now(), 0);
    while !ends.load(Ordering::Relaxed) {
        load::send(port, &events.by_ref().take(POST).collect::<Vec<_>>(), POST, 1)?;
        sent += POST;
        thread::sleep((begun + Duration::from_secs_f64(sent as f64 / rate)).saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Each filter of the list, with values that are common, rare, or of one delivery of the file.
fn pages(port: u16) -> anyhow::Result<Vec<(&'static str, String)>> {
    let messages = shapes::traffic(FILE_SEED, 200);
    let Some(message) = messages.messages().find(|message| message.channel == "email" && message.subject.is_some())
    else {
        anyhow::bail!("no email in the traffic")
    };
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let address = message.recipient.as_deref().unwrap_or_default();
    let (name, domain) = address.split_once('@').unwrap_or_default();
    let (id, person) = (escaped(&message.delivery_id), escaped(&message.person.id));
    let day = |days: i64| {
        let at = chrono::DateTime::from_timestamp_millis(ENDS_AT_MS - days * 86_400_000).unwrap_or_default();
        at.format("%Y-%m-%d").to_string()
    };
    // page by page, as people come there
    let mut deep = "/deliveries.json".to_owned();
    for _ in 1..100 {
        let page: Value = load::get(port, &deep)?.parse()?;
        let Some(older) = page["older"].as_str() else { break };
        older.clone_into(&mut deep);
    }
    let list = |what, filter: String| (what, format!("/deliveries?{filter}"));
    Ok(vec![
        list("list, newest", String::new()),
        ("list, page 100", deep.replace(".json", "")),
        list("status, common", "status=delivered".into()),
        list("status, rare", "status=spammed".into()),
        list("outcome", "outcome=bounced".into()),
        list("engagement", "engagement=clicked".into()),
        list("ever", "ever=converted".into()),
        list("channel and status", "channel=push&status=bounced".into()),
        list("source", "source=campaign:4".into()),
        list("source and status", "source=campaign:4&status=bounced".into()),
        list("ever and not ever in a source", "source=campaign:1&ever=opened&-ever=clicked".into()),
        list("recipient", format!("recipient={}", escaped(address))),
        list("beginning of an address, common", format!("recipient={}*", escaped(&name[..3]))),
        list("part of an address, rare", format!("recipient=*{}*", escaped(&name[2..]))),
        list("part of an address, common", format!("recipient=*{}*", escaped(domain))),
        list("words that are nowhere", "words=zebrastripe".into()),
        list("person", format!("person={person}")),
        list("a day in the middle, and a status", format!("since={}&until={}&status=opened", day(28), day(28))),
        list("with a reason", "reason=*".into()),
        ("one delivery", format!("/deliveries/{id}")),
        ("one campaign", "/campaigns/campaign/4".into()),
        ("one person", format!("/people/{person}")),
    ])
}
