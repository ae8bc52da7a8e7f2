//! What is printed in the end.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::client::Sent;
use super::percentile;

/// The figures of all runs, by what was measured, in order.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    goals: Vec<(String, Option<Goal>, Vec<f64>)>,
    peak_memory_kb: u64,
}

#[derive(Default)]
struct Row {
    name: String,
    /// Of each run: events a second, and how long a request or transaction took, in milliseconds.
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Events a transaction.
    group: Vec<f64>,
}

/// What is wanted of a figure.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Table {
    /// What came of requests of `events` each.
    pub fn sent(&mut self, name: &str, sent: &Sent, events: usize) {
        self.transactions(name, sent.rate() * events as f64, &sent.times);
    }

    /// Events a second, and how long each request or transaction took, in order of length.
    pub fn transactions(&mut self, name: &str, rate: f64, times: &[Duration]) {
        let row = self.row(name);
        row.rates.push(rate);
        if !times.is_empty() {
            row.p50.push(percentile(times, 50).as_secs_f64() * 1e3);
            row.p99.push(percentile(times, 99).as_secs_f64() * 1e3);
        }
    }

    /// Events a transaction.
    pub fn group(&mut self, name: &str, events: usize) {
        self.row(name).group.push(events as f64);
    }

    /// A figure of a run, and what is wanted of it.
    pub fn goal(&mut self, name: &str, value: f64, goal: Option<Goal>) {
        match self.goals.iter_mut().find(|(known, ..)| known == name) {
            Some((_, _, values)) => values.push(value),
            None => self.goals.push((name.to_owned(), goal, vec![value])),
        }
    }

    pub fn memory(&mut self, peak_kb: u64) {
        self.peak_memory_kb = self.peak_memory_kb.max(peak_kb);
    }

    fn row(&mut self, name: &str) -> &mut Row {
        let place = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name: name.to_owned(), ..Row::default() });
            self.rows.len() - 1
        });
        &mut self.rows[place]
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() && self.goals.is_empty() {
            return Ok(());
        }
        writeln!(f, "| what | events/s | p50 ms | p99 ms | events a transaction |\n|---|---:|---:|---:|---:|")?;
        for Row { name, rates, p50, p99, group } in &self.rows {
            let [rate, p50, p99, group] = [(rates, 0), (p50, 1), (p99, 1), (group, 0)].map(|(values, decimals)| {
                median(values).map_or(String::new(), |(value, ..)| format!("{value:.decimals$}"))
            });
            writeln!(f, "| {name} | {rate} | {p50} | {p99} | {group} |")?;
        }
        if self.goals.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n| goal | median | of runs | wanted | met |\n|---|---:|---:|---:|---|")?;
        let memory: Vec<f64> = Some(self.peak_memory_kb as f64 / 1024.0).filter(|mb| *mb > 0.0).into_iter().collect();
        let memory = ("peak memory of Waybill while writing, MB", Some(Goal::AtMost(200.0)), &memory[..]);
        let goals = self.goals.iter().map(|(name, goal, values)| (name.as_str(), *goal, values.as_slice()));
        for (name, goal, values) in goals.chain((self.peak_memory_kb > 0).then_some(memory)) {
            let Some((value, least, most)) = median(values) else { continue };
            let decimals = if value < 10.0 { 2 } else { 0 };
            let (wanted, met) = match goal {
                Some(Goal::AtLeast(floor)) => (format!("≥ {floor}"), if value >= floor { "yes" } else { "no" }),
                Some(Goal::AtMost(limit)) => (format!("≤ {limit}"), if value <= limit { "yes" } else { "no" }),
                None => (String::new(), ""),
            };
            writeln!(f, "| {name} | {value:.decimals$} | {least:.decimals$}–{most:.decimals$} | {wanted} | {met} |")?;
        }
        Ok(())
    }
}

/// The middle one, the least and the greatest.
pub fn median(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    Some((*values.get(values.len() / 2)?, *values.first()?, *values.last()?))
}

/// What it was measured on.
pub fn machine() -> anyhow::Result<String> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    let kernel = read("/proc/sys/kernel/osrelease");
    let folder = std::env::temp_dir().canonicalize()?;
    let mounts = read("/proc/mounts");
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?))
    });
    // of several on one place, the last is seen
    let (_, file_system) =
        mounts.filter(|(place, _)| folder.starts_with(place)).max_by_key(|(place, _)| place.as_os_str().len()).unzip();
    Ok(format!(
        "{model}, {} cores shared by the server and its load; Linux {}, {}; SQLite {}",
        std::thread::available_parallelism()?,
        kernel.trim(),
        file_system.unwrap_or("an unknown file system"),
        rusqlite::version()
    ))
}
