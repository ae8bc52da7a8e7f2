//! What is printed in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::Sent;
use super::percentile;
use super::reads::Reads;

/// The figures of all runs, by what was measured, in order.
pub struct Table {
    events: usize,
    order: Vec<String>,
    rows: BTreeMap<String, Vec<Figures>>,
    peak_memory_kb: u64,
    file: Option<String>,
}

#[derive(Clone, Copy)]
struct Figures {
    rate: f64,
    p50: Option<Duration>,
    p99: Option<Duration>,
    /// Events a transaction.
    group: Option<usize>,
}

impl Table {
    pub fn new(events: usize) -> Table {
        Table { events, order: Vec::new(), rows: BTreeMap::new(), peak_memory_kb: 0, file: None }
    }

    /// `rate`: events a second.
    pub fn add(&mut self, name: &str, rate: f64, sent: Sent) {
        let (p50, p99) = (Some(percentile(&sent.times, 50)), Some(percentile(&sent.times, 99)));
        self.push(name, Figures { rate, p50, p99, group: None });
    }

    pub fn add_raw(&mut self, name: &str, rate: f64, group: usize, p99: Duration) {
        self.push(name, Figures { rate, p50: None, p99: Some(p99), group: Some(group) });
    }

    fn push(&mut self, name: &str, figures: Figures) {
        if !self.rows.contains_key(name) {
            self.order.push(name.to_owned());
        }
        self.rows.entry(name.to_owned()).or_default().push(figures);
    }

    pub fn memory(&mut self, peak_kb: u64) {
        self.peak_memory_kb = self.peak_memory_kb.max(peak_kb);
    }

    pub fn file(&mut self, name: &str, bytes: u64, events: u64) {
        let each = bytes / events.max(1);
        self.file = Some(format!("{each} bytes an event on disk, raw JSON and all indexes ({name}, {events} events)"));
    }

    /// The run in the middle by its rate.
    fn median(&self, name: &str) -> Option<Figures> {
        let mut runs = self.rows.get(name)?.clone();
        runs.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        runs.get(runs.len() / 2).copied()
    }

    fn ratio(&self, a: &str, b: &str) -> Option<f64> {
        Some(self.median(a)?.rate / self.median(b)?.rate)
    }

    pub fn finish(&self) -> String {
        let mut out =
            String::from("| what | events/s | p50 ms | p99 ms | events a transaction |\n|---|---:|---:|---:|---:|\n");
        let ms = |time: Option<Duration>| time.map_or("".into(), |time| format!("{:.1}", time.as_secs_f64() * 1e3));
        for name in &self.order {
            let Some(row) = self.median(name) else { continue };
            let group = row.group.map_or(String::new(), |group| group.to_string());
            out += &format!("| {name} | {:.0} | {} | {} | {group} |\n", row.rate, ms(row.p50), ms(row.p99));
        }
        out += "\n| ratio | |\n|---|---:|\n";
        for (a, b) in [
            ("Waybill, batches of 500", "raw SQLite, 500"),
            ("Waybill, batches of 100", "raw SQLite, 100"),
            ("Waybill, single events, 64 connections", "naive, single events, 64 connections"),
            ("Waybill, single events, 256 connections", "naive, single events, 256 connections"),
            ("Waybill, single events, 256 connections", "echo, 256 connections"),
        ] {
            if let Some(ratio) = self.ratio(a, b) {
                out += &format!("| {a} / {b} | {ratio:.2} |\n");
            }
        }
        let file = self.file.as_deref().unwrap_or_default();
        let peak = self.peak_memory_kb / 1024;
        out + &format!("\n{} events; {file}; peak memory {peak} MB. Medians of three.\n", self.events)
    }
}

/// What pages took.
pub fn of_reads(reads: &Reads) -> String {
    let rate = reads.import_rate;
    let mut out = format!("`waybill import`: {rate:.0} lines a second, parsing included.\n\n");
    out += &format!(
        "| page, {} deliveries | p50 ms | p99 ms | p50 beside ingest | p99 beside ingest |\n",
        reads.deliveries
    );
    out += "|---|---:|---:|---:|---:|\n";
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    for page in &reads.pages {
        let [idle, beside] = [page.idle, page.beside].map(|[p50, p99]| format!("{} | {}", ms(p50), ms(p99)));
        out += &format!("| {} | {idle} | {beside} |\n", page.what);
    }
    out
}
