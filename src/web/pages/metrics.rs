//! `/metrics`: what an operator watches, in the text format of Prometheus.

use std::fmt::{Display, Write};

use actix_web::{HttpResponse, web};

use super::layout::{self, Pages};
use crate::domain::Millis;
use crate::store::query::{health, overview};
use crate::store::stats::Histogram;
use crate::store::writer;
use crate::web::checks::{Check, INCIDENTS};
use crate::web::error::Error;

pub const PATH: &str = "/metrics";

/// Of the buckets of durations, in microseconds.
const BOUNDS_US: [u64; 12] =
    [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000];

/// What is asked of the file; also where that cannot be read the server answers with what it has counted.
struct OfFile {
    file: health::File,
    last_at_ms: Option<Millis>,
    quarantined: Vec<(String, i64)>,
}

pub async fn page(pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let (path, wal_max) = (pages.readers.path().to_owned(), pages.store.wal_max);
    let of_file = pages.read(move |connection| {
        Ok::<_, crate::store::Error>(OfFile {
            file: health::file(connection, &path, wal_max, layout::now_ms())?,
            last_at_ms: overview::last_at_ms(connection)?,
            quarantined: health::quarantined(connection)?,
        })
    });
    let of_file = of_file.await.ok();
    let failed = super::health::failed(&pages, layout::now_ms()).await;
    let text = text(&pages, &failed, of_file.as_ref());
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

fn text(pages: &Pages, failed: &[Check], of_file: Option<&OfFile>) -> String {
    let state = pages.writer.state();
    let mut text = Exposition::default();
    text.family("waybill_build_info", "gauge", "Always 1; the version is the label.");
    text.sample("", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.gauge(
        "process_start_time_seconds",
        "When the server started, in seconds since 1970.",
        seconds(pages.started_at_ms),
    );

    text.family("waybill_events_total", "counter", "Events received since the start, by route and outcome.");
    for (route, counts) in pages.counts.by_route() {
        for (outcome, count) in ["accepted", "duplicate", "ignored", "quarantined", "pruned"].iter().zip(counts) {
            text.sample("", &[("route", &route), ("outcome", outcome)], count);
        }
    }
    text.family("waybill_requests_refused_total", "counter", "Requests refused since the start, by reason.");
    for (reason, count) in pages.refusals.counts() {
        text.sample("", &[("reason", reason)], count);
    }

    text.gauge("waybill_writable", "Whether the last transaction was stored.", u8::from(state.trouble.is_none()));
    text.gauge("waybill_queue_requests", "Requests that wait to be written.", state.waiting.max(0));
    text.gauge(
        "waybill_queue_limit_requests",
        "How many may wait; beyond it senders are asked to retry.",
        writer::WAITING_MAX,
    );
    text.counter("waybill_commits_total", "Transactions since the start.", state.commits);
    text.counter("waybill_entries_total", "Events, statements and the like in them.", state.entries);
    let [commit, answer] = pages.writer.durations();
    text.histogram("waybill_commit_duration_seconds", "How long a transaction took.", commit);
    let help = "From the time that a request was handed to the writer until it was on disk.";
    text.histogram("waybill_write_duration_seconds", help, answer);
    text.gauge("waybill_clock_ahead_seconds", "By how much the clock has jumped ahead.", seconds(state.clock_ahead_ms));

    text.family("waybill_incident", "gauge", "Whether this is wrong now; alerts report the same.");
    for kind in INCIDENTS {
        let is_so = failed.iter().any(|check| check.kind == kind);
        text.sample("", &[("kind", kind)], u8::from(is_so));
    }

    text.gauge("waybill_readable", "Whether the file could be read for this answer.", u8::from(of_file.is_some()));
    let Some(OfFile { file, last_at_ms, quarantined }) = of_file else { return text.0 };
    text.gauge("waybill_file_bytes", "Size of the database file.", file.bytes);
    text.gauge("waybill_file_free_bytes", "Unused space within it.", file.free_pages * file.page_bytes);
    text.gauge("waybill_wal_bytes", "Size of the write-ahead log.", file.wal_bytes);
    text.gauge("waybill_wal_limit_bytes", "Where events are refused until a reader ends.", file.wal_bytes_max);
    text.gauge("waybill_wal_held", "Whether a reader keeps the log from being reset.", u8::from(file.is_wal_held));
    if let Some(free) = file.disk_free_bytes {
        text.gauge("waybill_disk_free_bytes", "Free space on the disk of the file.", free);
    }
    if let Some(at_ms) = last_at_ms {
        let help = "When the last event was received, in seconds since 1970.";
        text.gauge("waybill_last_event_timestamp_seconds", help, seconds(*at_ms));
    }
    text.family("waybill_quarantined_events", "gauge", "Events in quarantine, by reason.");
    for (reason, count) in quarantined {
        text.sample("", &[("reason", reason)], count);
    }
    text.0
}

fn seconds(ms: Millis) -> f64 {
    ms as f64 / 1_000.0
}

/// Metrics as text. A family's line with its help comes before its samples.
#[derive(Default)]
struct Exposition(String, &'static str);

impl Exposition {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) {
        self.1 = name;
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample("", &[], value);
    }

    fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample("", &[], value);
    }

    fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let (counts, count, sum_us) = histogram.cumulative(&BOUNDS_US);
        for (bound_us, count) in BOUNDS_US.iter().zip(counts) {
            self.sample("_bucket", &[("le", &(*bound_us as f64 / 1e6).to_string())], count);
        }
        self.sample("_bucket", &[("le", "+Inf")], count);
        self.sample("_sum", &[], sum_us as f64 / 1e6);
        self.sample("_count", &[], count);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let name = self.1;
        self.line(format_args!("{name}{suffix}{labels} {value}"));
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        // writing to a string does not fail
        let _ = writeln!(self.0, "{line}");
    }
}
