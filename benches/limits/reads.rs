//! Whole pages over HTTP: a fixed list of questions, alone and while events come in at half of the rate that they can;
//! and how much one reader that never pauses slows what comes in.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rusqlite::Connection;
use serde_json::Value;
use waybill::traffic::{Format, Traffic};

use super::client;
use super::percentile;
use super::server::{self, Served};
use super::table::{Goal, Table};

/// How often each page is asked for.
const TIMES: usize = 200;

/// How long events come in, each time that their rate is taken.
const FEED: Duration = Duration::from_secs(5);

/// Events a post, and how many connections bring them.
const POST: usize = 100;
const CONNECTIONS: usize = 8;

/// On a file that is given, to which events are added; else on one of so many events.
pub fn measure(db: Option<&Path>, events: usize, table: &mut Table) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let own = folder.path().join("waybill.db");
    let db = match db {
        Some(db) => db,
        None => {
            fill(&own, folder.path(), events)?;
            &own
        }
    };
    let file = Connection::open(db)?;
    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0));
    let deliveries = number("SELECT max(id) FROM deliveries")?;
    let questions = questions(&file)?;
    let served = Served::on(db)?;
    server::wait_until_idle(served.pid())?;
    let port = served.port();
    let deep = deep(port)?;
    let asked = [("log, page 1,000", deep)].into_iter().chain(questions).collect::<Vec<_>>();
    // other deliveries than those in the file, and later
    let feed = Feed { port, seed: deliveries as u64 + 8, days: AtomicUsize::new(0) };

    eprintln!("pages alone");
    let idle = asked.iter().map(|(_, path)| ask(port, path)).collect::<anyhow::Result<Vec<_>>>()?;
    eprintln!("events alone, and beside a reader");
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..super::RUNS {
        alone.push(
            feed.run(None, || {
                thread::sleep(FEED);
                Ok(())
            })?
            .1,
        );
        let ends = Instant::now() + FEED;
        let read = || {
            for (_, path) in asked.iter().cycle().take_while(|_| Instant::now() < ends) {
                client::get(port, path).with_context(|| path.to_owned())?;
            }
            Ok(())
        };
        beside.push(feed.run(None, read)?.1);
    }
    alone.sort_by(f64::total_cmp);
    beside.sort_by(f64::total_cmp);
    let (alone, beside) = (alone[alone.len() / 2], beside[beside.len() / 2]);
    eprintln!("pages beside half of {alone:.0} events a second");
    let pages = || asked.iter().map(|(_, path)| ask(port, path)).collect::<anyhow::Result<Vec<_>>>();
    let (busy, rate) = feed.run(Some(alone / 2.0), pages)?;
    drop(served);

    let mut out = format!(
        "| page, {deliveries} deliveries | p50 ms | p99 ms | p50 beside {rate:.0} events/s | p99 |\n|---|---:|---:|---:|---:|\n"
    );
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    for (((what, _), idle), busy) in asked.iter().zip(&idle).zip(&busy) {
        let [idle, busy] = [idle, busy].map(|[p50, p99]| format!("{} | {}", ms(*p50), ms(*p99)));
        out += &format!("| {what} | {idle} | {busy} |\n");
    }
    let slowest = |pages: &[[Duration; 2]]| pages.iter().map(|[_, p99]| p99.as_secs_f64() * 1e3).fold(0.0, f64::max);
    table.goal("slowest page alone: p99 ms", slowest(&idle), Some(Goal::AtMost(10.0)));
    table.goal("slowest page beside half the rate: p99 ms", slowest(&busy), Some(Goal::AtMost(30.0)));
    table.goal("events beside a reader that never pauses / alone", beside / alone, Some(Goal::AtLeast(0.67)));
    Ok(out)
}

/// A file of so many events, by import.
fn fill(db: &Path, folder: &Path, events: usize) -> anyhow::Result<()> {
    let lines = folder.join("traffic.ndjson");
    let mut out = BufWriter::new(File::create(&lines)?);
    let traffic = Traffic::new(7, 0, super::ENDS_AT_MS).with_events(events as u64);
    for line in traffic.lines(&Format::ALL) {
        writeln!(out, "{}", line.with_path())?;
    }
    out.into_inner()?.sync_all()?;
    let import = Command::new(env!("CARGO_BIN_EXE_waybill")).arg("import").arg(&lines).arg("--db").arg(db).output()?;
    ensure!(import.status.success(), "the import failed: {}", String::from_utf8_lossy(&import.stderr));
    Ok(std::fs::remove_file(&lines)?)
}

/// Events that come in: of day after day after what the file holds.
struct Feed {
    port: u16,
    seed: u64,
    days: AtomicUsize,
}

impl Feed {
    /// While `meanwhile` runs, as fast as they can or at a rate of events a second; which it was.
    fn run<T>(&self, rate: Option<f64>, meanwhile: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, f64)> {
        let (posts, waiting) = sync_channel::<String>(64);
        let (waiting, ended, sent) = (Arc::new(Mutex::new(waiting)), AtomicBool::new(false), AtomicUsize::new(0));
        let begun = Instant::now();
        let pace = rate.map(|rate| (begun, rate));
        thread::scope(|scope| {
            let ended = &ended;
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let day = self.days.fetch_add(1, Ordering::Relaxed) as i64 + 1;
                    let ends_at_ms = super::ENDS_AT_MS + day * 86_400_000;
                    let traffic = Traffic::new(self.seed + day as u64, 20_000, ends_at_ms).over_days(1);
                    let bodies: Vec<String> = traffic
                        .lines(&[Format::Webhook])
                        .filter(|line| line.path == super::PATH)
                        .map(|it| it.body)
                        .collect();
                    for post in bodies.chunks(POST) {
                        let ends = posts.send(format!("[{}]", post.join(","))).is_err();
                        if ends || ended.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                }
            });
            let sent = &sent;
            let sender = |waiting: Arc<_>| scope.spawn(move || self.send(&waiting, ended, sent, pace));
            let senders: Vec<_> = (0..CONNECTIONS).map(|_| sender(waiting.clone())).collect();
            let done = meanwhile();
            ended.store(true, Ordering::Relaxed);
            let rate = sent.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
            for sender in senders {
                sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
            }
            // who makes the posts ends when nobody takes them
            drop(waiting);
            Ok((done?, rate))
        })
    }

    fn send(
        &self,
        waiting: &Mutex<Receiver<String>>,
        ended: &AtomicBool,
        sent: &AtomicUsize,
        pace: Option<(Instant, f64)>,
    ) -> anyhow::Result<()> {
        let mut connection = client::Connection::open(self.port)?;
        while !ended.load(Ordering::Relaxed) {
            let next = waiting.lock().expect("invariant: no holder panics").recv();
            let Ok(post) = next else { return Ok(()) };
            if let Some((begun, rate)) = pace {
                let due = begun + Duration::from_secs_f64(sent.load(Ordering::Relaxed) as f64 / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            connection.post(super::PATH, &post)?;
            sent.fetch_add(POST, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The median and the 99th of a hundred.
fn ask(port: u16, path: &str) -> anyhow::Result<[Duration; 2]> {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        client::get(port, path).with_context(|| path.to_owned())?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok([percentile(&times, 50), percentile(&times, 99)])
}

/// The address of a page far down: as people come there, by page after page.
fn deep(port: u16) -> anyhow::Result<String> {
    let mut path = "/deliveries.json".to_owned();
    for _ in 1..1_000 {
        let page: Value = client::get(port, &path)?.parse()?;
        match page["older"].as_str() {
            Some(older) => older.clone_into(&mut path),
            None => break,
        }
    }
    Ok(path.replace(".json", ""))
}

/// Each filter and those that go together, with values that are common, rare, or of this file.
fn questions(file: &Connection) -> anyhow::Result<Vec<(&'static str, String)>> {
    let one = |sql: &str| file.query_row(sql, [], |row| row.get::<_, String>(0)).context(sql.to_owned());
    let source = |order: &str| {
        one(&format!(
            "SELECT source_kind || ':' || source_id FROM totals t JOIN sources s ON s.id = t.source
            WHERE source_id IS NOT NULL GROUP BY source ORDER BY sum(created) {order} LIMIT 1"
        ))
    };
    let (source, rare) = (source("DESC")?, source("ASC")?);
    let address = one("SELECT address FROM addresses WHERE address LIKE '%@%' ORDER BY id DESC LIMIT 1")?;
    let person = one("SELECT person_id FROM people WHERE person_id IS NOT NULL ORDER BY id DESC LIMIT 1")?;
    let delivery = one("SELECT delivery_id FROM deliveries ORDER BY id DESC LIMIT 1")?;
    let middle = one(
        "SELECT CAST(created_at_ms / 1000 AS TEXT) FROM deliveries WHERE id = (SELECT max(id) / 2 FROM deliveries)",
    )?;
    let middle: i64 = middle.parse()?;
    let link = one("SELECT link FROM links ORDER BY deliveries DESC LIMIT 1")?;
    let escaped =
        |text: &str| text.replace('%', "%25").replace('+', "%2B").replace('=', "%3D").replace(['/', '?', '&'], "%2F");
    // from its middle on, without what all have: of few; and its first letters: of many
    let name = address.split('@').next().unwrap_or_default();
    let (few, many) = (escaped(&name[name.len() / 3..]), escaped(&name[..name.len() / 2]));
    let (address, person, link) = (escaped(&address), escaped(&person), escaped(&link));
    let time = |seconds: i64| {
        chrono::DateTime::from_timestamp(seconds, 0).map_or(String::new(), |at| at.format("%FT%TZ").to_string())
    };
    let (since, until) = (time(middle), time(middle + 3_600));
    // by the clock of the file, which ends where its traffic does
    let newest =
        one("SELECT CAST(created_at_ms / 1000 AS TEXT) FROM deliveries WHERE id = (SELECT max(id) FROM deliveries)")?;
    let newest: i64 = newest.parse()?;
    let days = |from: i64| {
        let day = |seconds: i64| time(seconds)[..10].to_owned();
        format!("since={}&until={}", day(newest - (from - 1) * 86_400), day(newest))
    };
    let path = source.replace(':', "/");
    let page = |what, path: &str| (what, path.to_owned());
    let log = |what, filter: String| (what, format!("/deliveries?{filter}"));
    Ok(vec![
        page("log, newest", "/deliveries"),
        log("status, common", "status=delivered".into()),
        log("status, rare", "status=spammed".into()),
        log("outcome", "outcome=bounced".into()),
        log("engagement", "engagement=clicked".into()),
        log("ever", "ever=converted".into()),
        log("channel and status", "channel=push&status=bounced".into()),
        log("source", format!("source={source}")),
        log("source, rare", format!("source={rare}")),
        log("source and status", format!("source={source}&status=bounced")),
        log("source and ever", format!("source={source}&ever=clicked")),
        log("ever and not ever in a source", format!("source={source}&ever=opened&-ever=clicked")),
        log("recipient and status", format!("recipient={address}&status=delivered")),
        log("beginning of an address, common", format!("recipient={many}*")),
        log("part of an address, rare", format!("recipient=*{few}*")),
        log("part of an address, common", format!("recipient=*{many}*")),
        log("words, rare", format!("words={few}")),
        log("words that are nowhere", "words=zebrastripe".into()),
        log("person and time", format!("person={person}&{}", days(30))),
        log("an hour in the middle", format!("since={since}&until={until}&status=opened")),
        log("problems", "reason=*".into()),
        log("problems of a source", format!("source={rare}&reason=*")),
        log("a link followed by people", format!("link={link}&by=human")),
        page("events behind a figure", "/events?metric=bounced"),
        page("one delivery", &format!("/deliveries/{}", escaped(&delivery))),
        page("one campaign", &format!("/campaigns/{path}")),
        page(
            "one campaign, by the time of events elsewhere",
            &format!("/campaigns/{path}?time=event&zone=Europe/Berlin"),
        ),
        page("campaigns", "/campaigns"),
        page("campaigns of a week", &format!("/campaigns?{}", days(7))),
        page("people", &format!("/people/{person}")),
        page("health", "/health"),
        page("overview", "/"),
    ])
}
