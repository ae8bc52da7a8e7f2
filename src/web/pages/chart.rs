//! Charts as rows of bars that share one axis of time: SVG made here, sized by attributes, with the same as a table.

use askama::Template;
use askama::filters::HtmlSafe;

use super::parts::{Behind, Linked, PROBLEMS};
use super::span::Keys;
use crate::domain::{Counted, Counts};
use crate::web::format::Count;

/// In pixels: a row of bars, the space for its title, and the axis.
const ROW: usize = 56;
const TOP: usize = 18;
const AXIS: usize = 20;

#[derive(Template)]
#[template(path = "parts/chart.html")]
pub struct Chart {
    title: String,
    /// What is counted, by which time.
    what: String,
    /// "hour", "day", "week".
    bucket: &'static str,
    zone: &'static str,
    rows: Vec<Row>,
    ticks: Vec<Tick>,
    columns: Vec<Column>,
    height: usize,
    plot_bottom: usize,
}

impl HtmlSafe for Chart {}

/// A row of bars.
struct Row {
    title: &'static str,
    /// The class that gives it its colour.
    name: &'static str,
    total: Linked,
    peak: Count,
    text_y: usize,
    plot_y: usize,
    bars: String,
}

/// A label below the axis, at a share of its width.
struct Tick {
    at: String,
    text: String,
}

/// One bucket: its place, and its tooltip.
struct Column {
    x: String,
    width: String,
    title: String,
    label: String,
    cells: Vec<Linked>,
    is_empty: bool,
}

/// A stretch of time, and what is counted in it.
pub struct Bucket {
    pub label: String,
    /// Its label on the axis, if it has one.
    pub tick: Option<String>,
    /// As two ends of a span in an address.
    pub begin: String,
    pub end: String,
    pub counts: Counts,
}

/// A row of bars, already counted, with a cell for each bucket.
pub struct Series {
    pub title: &'static str,
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

/// A title, a class, and what is counted. `None`: all problems, summed.
pub type Line = (&'static str, &'static str, Option<Counted>);

impl Of {
    fn read(self, counts: &Counts, counted: Option<Counted>) -> i64 {
        let read = |counted: Counted| match self {
            Of::Deliveries => counts.deliveries(counted),
            Of::Events => counts.events(counted),
        };
        counted.map_or_else(|| PROBLEMS.iter().map(|metric| read(Counted::Metric(*metric))).sum(), read)
    }

    /// The rows of a number, from the beginning of a bucket to the end of another.
    fn href(self, counted: Option<Counted>, behind: &Behind, begin: &str, end: &str) -> String {
        let keys = if self == Of::Deliveries { Keys::Created } else { Keys::Happened };
        let (since, until) = keys.names();
        let behind = behind.clone().with(since, begin).with(until, end);
        match (self, counted) {
            (Of::Deliveries, Some(counted)) => behind.deliveries(counted),
            (Of::Deliveries, None) => behind.problems(),
            (Of::Events, counted) => behind.events(counted.map_or("problem", Counted::name)),
        }
    }

    /// Lines over buckets, which are in order of time, none missing. `behind`: the rows of all time.
    pub fn series(self, lines: &[Line], buckets: &[Bucket], behind: &Behind) -> Vec<Series> {
        let begin = buckets.first().map_or("", |bucket| &bucket.begin);
        let end = buckets.last().map_or("", |bucket| &bucket.end);
        let series = |&(title, name, counted): &Line| {
            let href = |begin: &str, end: &str| self.href(counted, behind, begin, end);
            let cell = |it: &Bucket| Linked::new(self.read(&it.counts, counted), href(&it.begin, &it.end));
            let cells: Vec<Linked> = buckets.iter().map(cell).collect();
            let total = Linked::new(cells.iter().map(|cell| cell.count).sum(), href(begin, end));
            Series { title, name, total, cells }
        };
        lines.iter().map(series).collect()
    }
}

impl Chart {
    /// `labels`: of each bucket, and its tick on the axis. `bucket` is its width, by the clock of `zone`.
    pub fn new(
        (title, what): (&str, String),
        (bucket, zone): (&'static str, &'static str),
        series: &[Series],
        labels: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Chart {
        let labels: Vec<_> = labels.into_iter().collect();
        let n = labels.len().max(1);
        let percent = |i: usize| format!("{:.3}%", i as f64 * 100.0 / n as f64);
        let row = |(i, series): (usize, &Series)| {
            let peak = series.cells.iter().map(|cell| cell.count).max().unwrap_or(0);
            Row {
                title: series.title,
                name: series.name,
                total: series.total.clone(),
                peak: Count(peak),
                text_y: i * ROW + 13,
                plot_y: i * ROW + TOP,
                bars: bars(&series.cells, peak),
            }
        };
        // there is no room for a word at the very end
        let fits = |i: usize| i * 20 < labels.len() * 19;
        let ticks = labels.iter().enumerate().filter(|(i, _)| fits(*i));
        let ticks = ticks.filter_map(|(i, (_, text))| Some(Tick { at: percent(i), text: text.clone()? })).collect();
        let column = |(i, (label, _)): (usize, (String, Option<String>))| {
            let cells: Vec<Linked> = series.iter().filter_map(|series| series.cells.get(i)).cloned().collect();
            let counts = series.iter().zip(&cells).map(|(of, cell)| format!("{} {}", of.title, cell.count()));
            Column {
                x: percent(i),
                width: percent(1),
                title: format!("{label}: {}", counts.collect::<Vec<_>>().join(", ")),
                label,
                is_empty: cells.iter().all(|cell| cell.count == 0),
                cells,
            }
        };
        Chart {
            title: title.into(),
            what,
            bucket,
            zone,
            rows: series.iter().enumerate().map(row).collect(),
            ticks,
            columns: labels.into_iter().enumerate().map(column).collect(),
            height: series.len() * ROW + AXIS,
            plot_bottom: series.len() * ROW - 4,
        }
    }

    fn plot_height(&self) -> usize {
        ROW - TOP - 4
    }
}

/// One path for all bars, in a box as wide as there are buckets and 100 high. What is not 0 can be seen.
fn bars(cells: &[Linked], peak: i64) -> String {
    let bar = |(i, cell): (usize, &Linked)| {
        let height = (cell.count as f64 * 100.0 / peak.max(1) as f64).max(4.0);
        format!("M{i}.1 100v-{height:.1}h.8V100z")
    };
    cells.iter().enumerate().filter(|(_, cell)| cell.count > 0).map(bar).collect()
}
