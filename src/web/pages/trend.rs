//! The overview's chart, sent deliveries as bars and the share of problems as a line, and the small lines of its tiles.

use askama::Template;
use askama::filters::HtmlSafe;

use super::chart::Series;
use super::parts::Linked;
use crate::web::format::{Count, Percent};

/// A line without axes, of values between 0 and their greatest. Gaps where there is none.
pub fn sparkline(values: &[Option<f64>]) -> String {
    let top = values.iter().flatten().fold(0.0_f64, |top, value| top.max(*value));
    line(values, if top > 0.0 { top } else { 1.0 }, 0.0)
}

/// A path through the middles of equal slices, in a box as wide as there are slices and 100 high.
fn line(values: &[Option<f64>], top: f64, shift: f64) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for (i, value) in values.iter().enumerate() {
        if let Some(value) = value {
            let (pen, x, y) = (if is_drawing { 'L' } else { 'M' }, i as f64 + shift, 100.0 - value * 100.0 / top);
            path.push_str(&format!("{pen}{x} {y:.1}"));
        }
        is_drawing = value.is_some();
    }
    path
}

#[derive(Template)]
#[template(path = "parts/trend.html")]
pub struct Trend {
    /// What a slice of time is: "hour", "6 hours", "day".
    slice: &'static str,
    bars: String,
    problem_line: String,
    top: Count,
    half: Count,
    share_top: Percent,
    rows: Vec<Row>,
    totals: [Linked; 2],
    /// At a share of the width, in percent, and what is there.
    ticks: Vec<(String, String)>,
}

impl HtmlSafe for Trend {}

struct Row {
    label: String,
    x: String,
    sent: Linked,
    problems: Linked,
    share: String,
}

impl Trend {
    /// `created`: of each slice, what problems are a share of.
    pub fn new(
        slice: &'static str,
        [sent, problems]: [Series; 2],
        created: &[i64],
        labels: Vec<String>,
        ticks: Vec<(f64, String)>,
    ) -> Trend {
        let top = nice(sent.cells.iter().map(|cell| cell.count).max().unwrap_or(0) as f64);
        let share = |(cell, created): (&Linked, &i64)| (*created > 0).then(|| cell.count as f64 / *created as f64);
        let shares: Vec<Option<f64>> = problems.cells.iter().zip(created).map(share).collect();
        let share_top = nice(shares.iter().flatten().fold(0.01_f64, |top, share| top.max(*share)) * 100.0) / 100.0;
        let n = labels.len().max(1);
        let bar = |(i, cell): (usize, &Linked)| {
            let height = (cell.count as f64 * 100.0 / top).max(1.0);
            (cell.count > 0).then(|| format!("M{i}.14 100v-{height:.1}h.72V100z"))
        };
        let row = |(i, label): (usize, String)| Row {
            label,
            x: format!("{:.3}%", i as f64 * 100.0 / n as f64),
            sent: sent.cells[i].clone(),
            problems: problems.cells[i].clone(),
            share: shares[i].map_or("–".into(), |share| Percent(share).to_string()),
        };
        Trend {
            slice,
            bars: sent.cells.iter().enumerate().filter_map(bar).collect(),
            problem_line: line(&shares, share_top, 0.5),
            top: Count(top as i64),
            half: Count((top / 2.0) as i64),
            share_top: Percent(share_top),
            rows: labels.into_iter().enumerate().map(row).collect(),
            totals: [sent.total, problems.total],
            ticks: ticks.into_iter().map(|(at, text)| (format!("{:.3}%", at * 100.0), text)).collect(),
        }
    }

    fn width(&self) -> String {
        format!("{:.3}%", 100.0 / self.rows.len().max(1) as f64)
    }
}

/// The next round number that has a half: 2, 4, 6, 8, 10, 12, 16, 20, 30 and so on.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf((value.max(1.0) / 10.0).log10().floor().max(0.0));
    let steps = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 20.0, 30.0, 40.0, 60.0, 80.0, 100.0];
    steps.map(|step| step * power).into_iter().find(|it| *it >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let pairs = [
            (0.0, 2.0),
            (3.0, 4.0),
            (43.0, 60.0),
            (99.0, 100.0),
            (101.0, 120.0),
            (1_350.0, 1_600.0),
            (10_001.0, 12_000.0),
        ];
        for (value, end) in pairs {
            assert_eq!(nice(value), end, "{value}");
        }
    }

    #[test]
    fn a_line_is_broken_where_there_is_no_value() {
        assert_eq!(sparkline(&[Some(1.0), Some(2.0), None, Some(0.0)]), "M0 50.0L1 0.0M3 100.0");
        assert_eq!(sparkline(&[Some(0.0)]), "M0 100.0");
    }
}
