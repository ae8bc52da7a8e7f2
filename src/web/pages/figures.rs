//! Tables of figures: a row for each channel, message or source, with the same columns on every page.

use askama::Template;
use askama::filters::HtmlSafe;

use super::automated::Automated;
use super::parts::{Behind, Figure, channel_icon, channel_title, problems, tracked};
use crate::domain::rollup::ChannelCounts;
use crate::domain::{Counted, Metric};
use crate::store::query::campaigns::{ChannelRow, Source};

/// A column by its key in an address, its title, and what it counts.
pub type Column = (&'static str, &'static str, &'static str);

pub const COLUMNS: [Column; 8] = [
    ("sent", "Sent", "Deliveries that were sent"),
    ("delivered", "Delivered", "Of sent"),
    ("human_opened", "Opened", "Deliveries opened, of delivered; of sent where delivery is not reported"),
    ("human_clicked", "Clicked", "Deliveries clicked, of delivered; of sent where delivery is not reported"),
    (
        "converted",
        "Converted",
        "Deliveries that led to a conversion, of delivered; of sent where delivery is not reported",
    ),
    ("bounced", "Bounced", "Of sent"),
    ("spammed", "Complaints", "Marked as spam, of delivered"),
    ("problems", "Problems", "Bounced, suppressed, failed, undeliverable and marked as spam, summed"),
];

#[derive(Template)]
#[template(path = "parts/figures.html")]
pub struct Figures {
    caption: String,
    first: &'static str,
    columns: Vec<Column>,
    pub rows: Vec<Row>,
    automated: Automated,
    /// Only the numerator of a rate is shown.
    pub is_compact: bool,
}

impl HtmlSafe for Figures {}

pub struct Row {
    title: String,
    /// Empty for a row of totals.
    icon: &'static str,
    figures: Vec<Figure>,
}

impl Figures {
    /// Of some of the columns. `first` is the title of the column of names.
    pub fn new(caption: String, first: &'static str, keys: &[&str], automated: Automated) -> Figures {
        let columns = COLUMNS.into_iter().filter(|(key, ..)| keys.contains(key)).collect();
        Figures { caption, first, columns, rows: Vec::new(), automated, is_compact: false }
    }

    pub fn push(&mut self, title: String, icon: &'static str, counts: &[ChannelCounts], behind: &Behind) {
        let figures = self.columns.iter().map(|(key, ..)| figure(key, counts, behind, self.automated)).collect();
        self.rows.push(Row { title, icon, figures });
    }

    /// A row for each channel.
    pub fn push_channels(&mut self, channels: &[ChannelRow], behind: &Behind) {
        for row in channels {
            let name = row.channel.as_deref();
            let behind = behind.clone().with("channel", name.unwrap_or("unknown"));
            self.push(channel_title(name), channel_icon(name), std::slice::from_ref(&row.counts), &behind);
        }
    }
}

/// The figure of a column, as a link to its rows.
pub fn figure(key: &str, counts: &[ChannelCounts], behind: &Behind, automated: Automated) -> Figure {
    let counted = match Counted::parse(key) {
        Some(Counted::HumanOpened) => Some(automated.opened()),
        Some(Counted::HumanClicked) => Some(automated.clicked()),
        counted => counted,
    };
    match counted {
        None => Figure::plain(problems(counts), Some(behind.problems())),
        Some(counted @ Counted::Metric(Metric::Sent)) => tracked(counted, counts, Some(behind.deliveries(counted))),
        Some(counted) => Figure::rate(counted, counts, Some(behind.deliveries(counted))),
    }
}

/// The counts of a source, by channel.
pub fn counts(source: &Source) -> Vec<ChannelCounts> {
    source.channels.iter().map(|row| row.counts.clone()).collect()
}

/// How many deliveries, over all channels.
pub fn deliveries(counts: &[ChannelCounts], counted: Counted) -> i64 {
    counts.iter().map(|counts| counts.shown.deliveries(counted)).sum()
}

/// Whether no open or click was ever labelled as automated, though there were opens.
pub fn is_unlabelled(counts: &[ChannelCounts]) -> bool {
    let sum = |counted| -> i64 { counts.iter().map(|counts| counts.whole_life.deliveries(counted)).sum() };
    sum(Counted::Metric(Metric::Opened)) > 0 && sum(Counted::MachineOpened) + sum(Counted::MachineClicked) == 0
}
