//! Charts as rows of bars that share one axis of time: SVG made here, sized by attributes, with a table twin.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::{Counted, Counts};
use crate::web::format::Count;

const ROW: usize = 56;
const TOP: usize = 18;
const AXIS: usize = 20;

#[derive(Template)]
#[template(path = "parts/chart.html")]
pub struct Chart {
    pub title: String,
    /// What is counted, by which time: "events by the hour in which they happened".
    pub what: String,
    /// "hour", "day", "week".
    pub bucket: &'static str,
    pub rows: Vec<Row>,
    pub ticks: Vec<Tick>,
    pub columns: Vec<Column>,
    pub height: usize,
    pub plot_bottom: usize,
    pub width: usize,
}

impl HtmlSafe for Chart {}

pub struct Row {
    pub title: &'static str,
    pub name: &'static str,
    pub total: Count,
    pub peak: Count,
    pub text_y: usize,
    pub plot_y: usize,
    pub plot_height: usize,
    pub bars: String,
}

/// A label below the axis, at a share of its width in percent.
pub struct Tick {
    pub at: String,
    pub text: String,
}

/// One bucket: its place, and what a pointer on it is told.
pub struct Column {
    pub x: String,
    pub width: String,
    pub title: String,
    pub label: String,
    pub cells: Vec<Count>,
    pub is_empty: bool,
}

/// A line of bars: a title, a class, and how to read it off a bucket.
pub struct Line {
    pub title: &'static str,
    pub name: &'static str,
    pub of: fn(&Counts) -> i64,
}

pub fn problems_of(read: fn(&Counts, Counted) -> i64, counts: &Counts) -> i64 {
    super::parts::PROBLEMS.iter().map(|metric| read(counts, Counted::Metric(*metric))).sum()
}

impl Chart {
    /// `buckets`: label, tick (where one stands), counts; in order of time, none missing.
    pub fn new(
        title: String,
        what: String,
        bucket: &'static str,
        lines: &[Line],
        buckets: &[(String, Option<String>, Counts)],
    ) -> Chart {
        let n = buckets.len().max(1);
        let percent = |i: usize| format!("{:.3}%", i as f64 * 100.0 / n as f64);
        let row = |(i, line): (usize, &Line)| {
            let values: Vec<i64> = buckets.iter().map(|(_, _, counts)| (line.of)(counts)).collect();
            let peak = values.iter().copied().max().unwrap_or(0);
            Row {
                title: line.title,
                name: line.name,
                total: Count(values.iter().sum()),
                peak: Count(peak),
                text_y: i * ROW + 13,
                plot_y: i * ROW + TOP,
                plot_height: ROW - TOP - 4,
                bars: bars(&values, peak),
            }
        };
        let column = |(i, (label, _, counts)): (usize, &(String, Option<String>, Counts))| {
            let values: Vec<i64> = lines.iter().map(|line| (line.of)(counts)).collect();
            let said = lines.iter().zip(&values).map(|(line, n)| format!("{} {}", line.title, Count(*n)));
            Column {
                x: percent(i),
                width: percent(1),
                title: format!("{label}: {}", said.collect::<Vec<_>>().join(", ")),
                label: label.clone(),
                is_empty: values.iter().all(|n| *n == 0),
                cells: values.into_iter().map(Count).collect(),
            }
        };
        let tick = |(i, (_, tick, _)): (usize, &(String, Option<String>, Counts))| {
            Some(Tick { at: percent(i), text: tick.clone()? })
        };
        Chart {
            title,
            what,
            bucket,
            rows: lines.iter().enumerate().map(row).collect(),
            ticks: buckets.iter().enumerate().filter_map(tick).collect(),
            columns: buckets.iter().enumerate().map(column).collect(),
            height: lines.len() * ROW + AXIS,
            plot_bottom: lines.len() * ROW - 4,
            width: n,
        }
    }
}

/// One path for all bars, in a box as wide as there are buckets and 100 high. What is not 0 can be seen.
fn bars(values: &[i64], peak: i64) -> String {
    let mut path = String::new();
    for (i, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
        let height = (*value as f64 * 100.0 / peak.max(1) as f64).max(4.0);
        path.push_str(&format!("M{i}.1 100v-{height:.1}h.8V100z"));
    }
    path
}
