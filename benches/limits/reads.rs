//! Whole pages over HTTP, of a file that `waybill import` has just filled: a fixed list of questions, alone and while
//! events come in.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rusqlite::Connection;

use super::client::{self, Load};
use super::percentile;
use super::server::Served;

/// How often each page is asked for.
const TIMES: usize = 200;

/// What a page took.
pub struct Read {
    pub what: &'static str,
    pub idle: [Duration; 2],
    pub beside: [Duration; 2],
}

pub struct Reads {
    pub pages: Vec<Read>,
    pub deliveries: i64,
    /// Lines a second of the import, parsing included, and its peak memory.
    pub import_rate: f64,
}

/// Fills a file with `lines` and asks; `more` is what comes in meanwhile.
pub fn measure(lines: impl Iterator<Item = String>, more: &[String]) -> anyhow::Result<Reads> {
    let folder = tempfile::tempdir()?;
    let (traffic, db) = (folder.path().join("traffic.ndjson"), folder.path().join("waybill.db"));
    let mut out = BufWriter::new(File::create(&traffic)?);
    let mut many = 0;
    for line in lines {
        writeln!(out, "{line}")?;
        many += 1;
    }
    out.into_inner()?.sync_all()?;
    let begun = Instant::now();
    let status =
        Command::new(env!("CARGO_BIN_EXE_waybill")).arg("import").arg(&traffic).arg("--db").arg(&db).output()?;
    ensure!(status.status.success(), "the import failed: {}", String::from_utf8_lossy(&status.stderr));
    let import_rate = f64::from(many) / begun.elapsed().as_secs_f64();
    std::fs::remove_file(&traffic)?;

    let questions = questions(&Connection::open(&db)?)?;
    let deliveries = Connection::open(&db)?.query_row("SELECT count(*) FROM deliveries", [], |row| row.get(0))?;
    let served = Served::on(folder)?;
    let port = served.port();
    let mut pages = Vec::new();
    for (what, path) in &questions {
        pages.push(Read { what, idle: ask(port, path)?, beside: Default::default() });
    }
    let ended = AtomicBool::new(false);
    thread::scope(|scope| -> anyhow::Result<()> {
        let feeding = scope.spawn(|| -> anyhow::Result<()> {
            let load = Load::new("/webhooks/customerio", more.chunks(100).map(|all| format!("[{}]", all.join(","))), 1);
            while !ended.load(Ordering::Relaxed) {
                load.send(port)?;
            }
            Ok(())
        });
        let asked = questions.iter().zip(&mut pages).try_for_each(|((_, path), page)| -> anyhow::Result<()> {
            page.beside = ask(port, path)?;
            Ok(())
        });
        ended.store(true, Ordering::Relaxed);
        feeding.join().map_err(|_| anyhow::anyhow!("the feed panicked"))??;
        asked
    })?;
    Ok(Reads { pages, deliveries, import_rate })
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

/// Each filter and those that go together, with values that are common, rare, or of this file.
fn questions(file: &Connection) -> anyhow::Result<Vec<(&'static str, String)>> {
    let one = |sql: &str| file.query_row(sql, [], |row| row.get::<_, String>(0)).context(sql.to_owned());
    let source = one(
        "SELECT source_kind || ':' || source_id FROM campaign_metrics_v1 WHERE metric = 'created' AND source_id IS NOT NULL ORDER BY deliveries DESC LIMIT 1",
    )?;
    let rare = one(
        "SELECT source_kind || ':' || source_id FROM campaign_metrics_v1 WHERE metric = 'created' AND source_id IS NOT NULL ORDER BY deliveries LIMIT 1",
    )?;
    let address = one("SELECT address FROM addresses WHERE address LIKE '%@%' ORDER BY id DESC LIMIT 1")?;
    let person = one("SELECT person_id FROM people WHERE person_id IS NOT NULL ORDER BY id DESC LIMIT 1")?;
    let delivery = one("SELECT delivery_id FROM deliveries ORDER BY id DESC LIMIT 1")?;
    let deep = one(
        "SELECT created_at_ms || '.' || id FROM deliveries ORDER BY created_at_ms DESC, id DESC LIMIT 1 OFFSET (SELECT min(50000, count(*) / 2) FROM deliveries)",
    )?;
    let escaped = |text: &str| text.replace('%', "%25").replace('+', "%2B").replace('=', "%3D").replace('/', "%2F");
    let (address, beginning) = (escaped(&address), escaped(address.split_at(4).0));
    let path = source.replace(':', "/");
    Ok(vec![
        ("overview", "/".into()),
        ("log, newest", "/deliveries".into()),
        ("log, page 1,000", format!("/deliveries?before={deep}")),
        ("status, common", "/deliveries?status=delivered".into()),
        ("status, rare", "/deliveries?status=spammed".into()),
        ("outcome", "/deliveries?outcome=bounced".into()),
        ("engagement", "/deliveries?engagement=clicked".into()),
        ("ever", "/deliveries?ever=converted".into()),
        ("channel and status", "/deliveries?channel=push&status=bounced".into()),
        ("source", format!("/deliveries?source={source}")),
        ("source, rare", format!("/deliveries?source={rare}")),
        ("source and status", format!("/deliveries?source={source}&status=bounced")),
        ("source and ever", format!("/deliveries?source={source}&ever=clicked")),
        ("recipient and status", format!("/deliveries?recipient={address}&status=delivered")),
        ("beginning of an address", format!("/deliveries?recipient={beginning}*")),
        ("person and time", format!("/deliveries?person={person}&since=30d")),
        ("problems", "/deliveries?reason=*".into()),
        ("one delivery", format!("/deliveries/{}", escaped(&delivery))),
        ("one campaign", format!("/campaigns/{path}")),
        ("campaigns", "/campaigns".into()),
    ])
}
