//! Charts as rows of bars that share one axis of time: SVG made here, sized by attributes, with a table twin.

use askama::Template;
use askama::filters::HtmlSafe;

use super::parts::{Behind, Linked};
use super::span::Keys;
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
    /// By whose clock.
    pub zone: &'static str,
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
    /// The same, as a link.
    pub linked: Linked,
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
    pub cells: Vec<Linked>,
    pub is_empty: bool,
}

/// A stretch of time, and what is counted in it.
pub struct Bucket {
    pub label: String,
    /// Where a tick of the axis stands.
    pub tick: Option<String>,
    /// As two ends of a span in an address.
    pub begin: String,
    pub end: String,
    pub counts: Counts,
}

/// A row of bars, already counted.
pub struct Series {
    pub title: &'static str,
    /// The class that gives it its colour.
    pub name: &'static str,
    pub total: Linked,
    pub cells: Vec<Linked>,
}

/// Deliveries by when they were created, or events by when they happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Deliveries,
    Events,
}

/// A line of bars: a title, a class, and how to read it off a bucket.
pub struct Line {
    title: &'static str,
    name: &'static str,
    of: Of,
    /// `None`: all problems, summed.
    counted: Option<Counted>,
}

impl Line {
    pub fn deliveries(title: &'static str, name: &'static str, counted: Counted) -> Line {
        Line { title, name, of: Of::Deliveries, counted: Some(counted) }
    }

    pub fn events(title: &'static str, name: &'static str, counted: Counted) -> Line {
        Line { title, name, of: Of::Events, counted: Some(counted) }
    }

    pub fn problems(title: &'static str, name: &'static str, of: Of) -> Line {
        Line { title, name, of, counted: None }
    }

    fn read(&self, counts: &Counts) -> i64 {
        let read = match self.of {
            Of::Deliveries => Counts::deliveries,
            Of::Events => Counts::events,
        };
        match self.counted {
            Some(counted) => read(counts, counted),
            None => super::parts::PROBLEMS.iter().map(|metric| read(counts, Counted::Metric(*metric))).sum(),
        }
    }

    /// The rows behind a number of it, from the beginning of a bucket to the end of another.
    fn href(&self, behind: &Behind, begin: &str, end: &str) -> String {
        let (since, until) = match self.of {
            Of::Deliveries => Keys::Created.names(),
            Of::Events => Keys::Happened.names(),
        };
        let behind = behind.clone().with(since, begin).with(until, end);
        match (self.of, self.counted) {
            (Of::Deliveries, Some(counted)) => behind.deliveries(counted),
            (Of::Deliveries, None) => behind.problems(),
            (Of::Events, Some(counted)) => behind.events(counted.name()),
            (Of::Events, None) => behind.events("problem"),
        }
    }
}

impl Chart {
    /// `buckets`: in order of time, none missing. `behind`: the rows of all time.
    pub fn new(
        title: String,
        what: String,
        bucket: &'static str,
        lines: &[Line],
        buckets: &[Bucket],
        behind: &Behind,
    ) -> Chart {
        let (begin, end) = match buckets {
            [first, .., last] => (&*first.begin, &*last.end),
            [one] => (&*one.begin, &*one.end),
            [] => ("", ""),
        };
        let series = lines.iter().map(|line| {
            let values = buckets.iter().map(|bucket| (line.read(&bucket.counts), bucket));
            let cells: Vec<Linked> =
                values.map(|(n, bucket)| Linked::new(n, line.href(behind, &bucket.begin, &bucket.end))).collect();
            let total = cells.iter().map(|cell| cell.count).sum();
            Series {
                title: line.title,
                name: line.name,
                total: Linked::new(total, line.href(behind, begin, end)),
                cells,
            }
        });
        let labels = buckets.iter().map(|bucket| (bucket.label.clone(), bucket.tick.clone()));
        Chart::of(title, what, bucket, &series.collect::<Vec<_>>(), &labels.collect::<Vec<_>>())
    }

    /// `labels`: of each bucket, and its tick on the axis. Each series has a cell for each.
    pub fn of(
        title: String,
        what: String,
        bucket: &'static str,
        series: &[Series],
        labels: &[(String, Option<String>)],
    ) -> Chart {
        let n = labels.len().max(1);
        let percent = |i: usize| format!("{:.3}%", i as f64 * 100.0 / n as f64);
        let row = |(i, series): (usize, &Series)| {
            let values: Vec<i64> = series.cells.iter().map(|cell| cell.count).collect();
            let peak = values.iter().copied().max().unwrap_or(0);
            Row {
                title: series.title,
                name: series.name,
                total: Count(series.total.count),
                linked: series.total.clone(),
                peak: Count(peak),
                text_y: i * ROW + 13,
                plot_y: i * ROW + TOP,
                plot_height: ROW - TOP - 4,
                bars: bars(&values, peak),
            }
        };
        let column = |(i, (label, _)): (usize, &(String, Option<String>))| {
            let cells: Vec<Linked> = series.iter().filter_map(|series| series.cells.get(i)).cloned().collect();
            let said = series.iter().zip(&cells).map(|(of, cell)| format!("{} {}", of.title, Count(cell.count)));
            Column {
                x: percent(i),
                width: percent(1),
                title: format!("{label}: {}", said.collect::<Vec<_>>().join(", ")),
                label: label.clone(),
                is_empty: cells.iter().all(|cell| cell.count == 0),
                cells,
            }
        };
        // there is no room for a word at the very end
        let fits = |i: usize| i * 20 < labels.len() * 19;
        let tick = |(i, (_, text)): (usize, &(String, Option<String>))| {
            Some(Tick { at: percent(i), text: text.clone().filter(|_| fits(i))? })
        };
        Chart {
            title,
            what,
            bucket,
            zone: "UTC",
            rows: series.iter().enumerate().map(row).collect(),
            ticks: labels.iter().enumerate().filter_map(tick).collect(),
            columns: labels.iter().enumerate().map(column).collect(),
            height: series.len() * ROW + AXIS,
            plot_bottom: series.len() * ROW - 4,
            width: n,
        }
    }

    /// With buckets by the clock of this zone.
    pub fn in_zone(self, zone: &'static str) -> Chart {
        Chart { zone, ..self }
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
