//! `waybill demo`
//!
//! Weeks of traffic go into a file that is thrown away in the end; then more of it arrives while one looks.

use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::serve::Serve;
use crate::domain::rollup::quarter_of;
use crate::domain::{Millis, Source};
use crate::intake;
use crate::store::{Entry, Tracker};
use crate::traffic::{Format, Line, SOURCES, Traffic};
use crate::web;
use crate::web::ingest::Ingest;
use crate::wire::{self, IdKey};

/// Enough that every page has something to show, and few enough to be there within a second or two.
const WEEKS: Traffic = Traffic::new(7, 15_000, 0);
/// Yesterday, today and tomorrow are busier: some twenty events a minute.
const LATELY: Traffic = Traffic::new(11, 30_000, 0).over_days(3);
const DAY_MS: Millis = 86_400_000;

/// How many lines are read, and then written, at a time: at least so many, up to the end of their quarter of an hour,
/// since what was received is counted by those.
const TOGETHER: usize = 200;

pub fn run(serve: Serve) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir().context("cannot make a folder for the demo's file")?;
    let config = serve.config(folder.path().join("demo.db"))?;
    let now_ms = chrono::Utc::now().timestamp_millis();
    eprintln!("making some weeks of traffic up; everything is gone when you stop it");
    let to_come = fill(&config.db, now_ms)?;
    web::serve_with(config, move |ingest| trickle(ingest, to_come))?;
    Ok(ExitCode::SUCCESS)
}

/// Brings in what has arrived by now, and returns what has not.
fn fill(db: &Path, now_ms: Millis) -> anyhow::Result<impl Iterator<Item = Line> + use<>> {
    let mut tracker = Tracker::open(db)?;
    let id_key = IdKey::new(&tracker.id_key()?);
    let (read, to_write) = sync_channel::<(Millis, Vec<Entry>)>(4);
    // one thread makes up and reads, this one writes
    let to_come = thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let has_arrived = |line: &Line| line.arrives_at_ms <= now_ms;
            let weeks = WEEKS.ending(now_ms).lines(&Format::ALL).take_while(has_arrived);
            let mut lately = LATELY.ending(now_ms + DAY_MS).lines(&Format::ALL).peekable();
            let arrived = weeks.chain(std::iter::from_fn(|| lately.next_if(has_arrived)));
            let lines = arrived.map(|line| (line.arrives_at_ms, line.with_path()));
            let mut lines = lines.chain(ODD.map(|line| (now_ms, line.to_owned()))).peekable();
            loop {
                let mut chunk = (0, Vec::with_capacity(TOGETHER));
                while let Some((received_at_ms, line)) =
                    lines.next_if(|(at_ms, _)| chunk.1.len() < TOGETHER || quarter_of(*at_ms) == quarter_of(chunk.0))
                {
                    let context = wire::Context { received_at_ms, id_key: &id_key, live: false };
                    chunk.0 = received_at_ms;
                    chunk.1.extend(intake::entries_of_line(line.as_bytes(), &context));
                }
                if chunk.1.is_empty() || read.send(chunk).is_err() {
                    break;
                }
            }
            drop(lines);
            lately
        });
        for (received_at_ms, entries) in to_write {
            tracker.record(&entries.iter().collect::<Vec<_>>(), received_at_ms)?;
        }
        reader.join().map_err(|_| anyhow::anyhow!("the reading thread panicked"))
    })?;
    for source in &SOURCES {
        let named = Source { kind: source.kind, id: source.id.to_string().into() };
        tracker.name_source(&named, Some(source.name))?;
    }
    tracker.checkpoint()?;
    Ok(to_come)
}

/// What nobody understands, so that the quarantine has something to show too.
const ODD: [&str; 3] = [
    r#"{"path":"/webhooks/customerio","body":{"event_id":"01HZZZZZZZZZZZZZZZZZZZZZZ1","object_type":"email","metric":"sent","timestamp":1790000000,"data":{"recipient":"nobody@example.com"}}}"#,
    r#"{"path":"/webhooks/customerio","body":{"event_id":"01HZZZZZZZZZZZZZZZZZZZZZZ2","object_type":"customer","metric":"promoted","timestamp":1790000000,"data":{}}}"#,
    r#"{"path":"/v1/track","body":{"type":"track","event":"Email Opened","userId":"p1","timestamp":"yesterday","properties":{"delivery_id":"demo"}}}"#,
];

/// Lets what is still to come arrive at its time.
async fn trickle(ingest: Ingest, to_come: impl Iterator<Item = Line>) {
    for line in to_come {
        let wait_ms = line.arrives_at_ms - chrono::Utc::now().timestamp_millis();
        tokio::time::sleep(Duration::from_millis(wait_ms.max(0) as u64)).await;
        let context = wire::Context { received_at_ms: line.arrives_at_ms, id_key: &ingest.id_key, live: false };
        let entries: Vec<Entry> = intake::entries_of_line(line.with_path().as_bytes(), &context).collect();
        if let Err(refused) = ingest.writer.write(entries, line.arrives_at_ms).await {
            tracing::warn!(%refused, "an event of the demo was not stored");
        }
    }
}
