//! `waybill demo`: some weeks of traffic in a file that is deleted in the end, and more arriving while one looks.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use waybill_traffic::{Format, Line, SOURCES, Traffic};

use super::serve::Serve;
use crate::domain::rollup::bucket_of;
use crate::domain::{Millis, Source, SourceKind};
use crate::intake;
use crate::store::{Entry, Tracker};
use crate::web;
use crate::web::ingest::Ingest;
use crate::wire::{self, IdKey};

#[derive(Args)]
pub struct Demo {
    /// How many weeks of traffic there are to look at
    #[arg(long, env = "WAYBILL_WEEKS", default_value_t = 3, value_name = "WEEKS", value_parser = clap::value_parser!(u16).range(1..=52))]
    weeks: u16,
}

/// Some two events a minute: every page has something to show, and the file is filled within seconds.
const DELIVERIES_PER_DAY: u32 = 1_000;
const DAY_MS: Millis = 86_400_000;

/// How many lines are recorded in a transaction: at least so many, up to the end of their quarter of an hour, since what was
/// received is counted by those.
const TRANSACTION_LINES: usize = 250;

/// Bodies that cannot be understood, for the quarantine.
const NOT_UNDERSTOOD: [&str; 3] = [
    r#"{"path":"/webhooks/customerio","body":{"event_id":"01HZZZZZZZZZZZZZZZZZZZZZZ1","object_type":"email","metric":"sent","timestamp":1790000000,"data":{"recipient":"nobody@example.com"}}}"#,
    r#"{"path":"/webhooks/customerio","body":{"event_id":"01HZZZZZZZZZZZZZZZZZZZZZZ2","object_type":"customer","metric":"promoted","timestamp":1790000000,"data":{}}}"#,
    r#"{"path":"/v1/track","body":{"type":"track","event":"Email Opened","userId":"p1","timestamp":"yesterday","properties":{"delivery_id":"demo"}}}"#,
];

impl Demo {
    pub fn run(self, serve: Serve) -> anyhow::Result<ExitCode> {
        let folder = tempfile::tempdir().context("cannot create a folder for the demo's file")?;
        let config = serve.config(folder.path().join("demo.db"))?;
        let now_ms = chrono::Utc::now().timestamp_millis();
        eprintln!("generating {} weeks of traffic; it is deleted when the demo stops", self.weeks);
        // the last day is still to come
        let days = 7 * self.weeks + 1;
        let traffic = Traffic::new(7, DELIVERIES_PER_DAY * u32::from(days), now_ms + DAY_MS).over_days(days);
        let mut lines = traffic.lines(&Format::ALL).peekable();
        record(&config.db, std::iter::from_fn(|| lines.next_if(|line| line.arrives_at_ms <= now_ms)), now_ms)?;
        web::serve_with(config, move |ingest| trickle(ingest, lines))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Records what has arrived by now.
fn record(db: &Path, lines: impl Iterator<Item = Line>, now_ms: Millis) -> anyhow::Result<()> {
    let mut tracker = Tracker::open(db)?;
    let id_key = IdKey::new(&tracker.id_key()?);
    let lines = lines.map(|line| (line.arrives_at_ms, line.with_path()));
    let mut lines = lines.chain(NOT_UNDERSTOOD.map(|line| (now_ms, line.to_owned()))).peekable();
    while let Some((first_ms, _)) = lines.peek() {
        let (mut received_at_ms, mut entries) = (*first_ms, Vec::new());
        while let Some((at_ms, line)) = lines
            .next_if(|(at_ms, _)| entries.len() < TRANSACTION_LINES || bucket_of(*at_ms) == bucket_of(received_at_ms))
        {
            received_at_ms = at_ms;
            let context = wire::Context {
                received_at_ms,
                id_key: &id_key,
                live: false,
                source_from: &wire::SourceFrom::Provider,
            };
            entries.extend(intake::entries_of_line(line.as_bytes(), &context));
        }
        tracker.record(&entries.iter().collect::<Vec<_>>(), received_at_ms)?;
    }
    for source in &SOURCES {
        let kind = SourceKind::parse(source.kind).context("invariant: the generator's kinds are known")?;
        tracker.name_source(&Source { kind, id: source.id.to_string().into() }, Some(source.name))?;
    }
    Ok(tracker.checkpoint()?)
}

/// Ingests each remaining line when its time has come.
async fn trickle(ingest: Ingest, lines: impl Iterator<Item = Line>) {
    for line in lines {
        let wait_ms = line.arrives_at_ms - chrono::Utc::now().timestamp_millis();
        tokio::time::sleep(Duration::from_millis(wait_ms.max(0) as u64)).await;
        let context = wire::Context {
            received_at_ms: line.arrives_at_ms,
            id_key: &ingest.id_key,
            live: false,
            source_from: &wire::SourceFrom::Provider,
        };
        let entries: Vec<Entry> = intake::entries_of_line(line.with_path().as_bytes(), &context).collect();
        if let Err(refused) = ingest.writer.write(entries, line.arrives_at_ms).await {
            tracing::warn!(%refused, "an event of the demo was not stored");
        }
    }
}
