//! What is printed in the end: each figure by the median of the runs, with the least and the greatest.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::time::Duration;

use super::load::Sent;

/// What a figure is to reach.
#[derive(Clone, Copy)]
pub enum Bound {
    None,
    AtLeast(f64),
    AtMost(f64),
}

/// Figures by name, each of all runs, in the order in which they were first added.
#[derive(Default)]
pub struct Table(Vec<(String, Bound, Vec<f64>)>);

impl Table {
    /// The rate of a load, and what the load generator took of a core.
    pub fn load(&mut self, name: &str, sent: &Sent) {
        self.add(&format!("{name}, events/s"), sent.rate, Bound::None);
        self.add(&format!("{name}, load generator's share of a core"), sent.load_share, Bound::None);
    }

    pub fn add(&mut self, name: &str, value: f64, bound: Bound) {
        match self.0.iter_mut().find(|(known, ..)| known == name) {
            Some((.., values)) => values.push(value),
            None => self.0.push((name.to_owned(), bound, vec![value])),
        }
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | median | of runs | wanted | met |\n|---|---:|---:|---:|---|")?;
        for (name, bound, values) in &self.0 {
            let mut values = values.clone();
            values.sort_by(f64::total_cmp);
            let (median, least, most) = (values[values.len() / 2], values[0], values[values.len() - 1]);
            let digits = if median < 10.0 { 2 } else { 0 };
            let (wanted, met) = match bound {
                Bound::None => (String::new(), ""),
                Bound::AtLeast(bound) => (format!("≥ {bound}"), if median >= *bound { "yes" } else { "no" }),
                Bound::AtMost(bound) => (format!("≤ {bound}"), if median <= *bound { "yes" } else { "no" }),
            };
            writeln!(f, "| {name} | {median:.digits$} | {least:.digits$}–{most:.digits$} | {wanted} | {met} |")?;
        }
        Ok(())
    }
}

/// The time within which so many of a hundred were answered, in milliseconds, of times in order.
pub fn percentile(sorted: &[Duration], of_hundred: usize) -> f64 {
    let place = (sorted.len() * of_hundred / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// What it was measured on.
pub fn machine() -> anyhow::Result<String> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let (model, kernel) = (model.trim_start_matches(['\t', ' ', ':']), read("/proc/sys/kernel/osrelease"));
    let cores = std::thread::available_parallelism()?;
    Ok(format!("{model}, {cores} cores, Linux {}, SQLite {}", kernel.trim(), rusqlite::version()))
}
