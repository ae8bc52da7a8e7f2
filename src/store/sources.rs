//! All sources with their counts: over their whole life, or of the deliveries created in a range.

use std::collections::HashMap;

use rusqlite::Connection;

use super::counts::{self, COLUMNS, DELIVERIES};
use super::days::Reading;
use super::{Error, log::SourceRef};
use crate::domain::rollup::{ChannelCounts, Counts, quarter_of};
use crate::domain::{Channel, Millis};

/// One source; its counts by channel.
#[derive(Clone, Debug)]
pub struct Source {
    pub source: SourceRef,
    pub name: Option<String>,
    pub channels: Vec<ChannelRow>,
}

/// One channel within a source.
#[derive(Clone, Debug)]
pub struct ChannelRow {
    /// `None`: not known.
    pub channel: Option<String>,
    pub counts: ChannelCounts,
}

/// A range of creation, in whole quarters of an hour: as fine as counts are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub since_ms: Millis,
    pub until_ms: Millis,
}

impl Range {
    /// The part of it that lies within another; empty where none does.
    pub fn within(self, other: Range) -> Range {
        let since_ms = self.since_ms.max(other.since_ms);
        Range { since_ms, until_ms: self.until_ms.min(other.until_ms).max(since_ms) }
    }

    /// All that comes after it.
    fn after(self) -> Range {
        let (_, end) = self.quarters();
        Range { since_ms: end.saturating_mul(crate::domain::rollup::QUARTER_MS), until_ms: Millis::MAX }
    }

    /// Its first quarter hour, and the first after it.
    pub fn quarters(self) -> (i64, i64) {
        (quarter_of(self.since_ms), quarter_of(self.until_ms.saturating_add(crate::domain::rollup::QUARTER_MS - 1)))
    }
}

/// Every source that has deliveries (in the range), in order of kind and id.
pub fn all(connection: &Connection, range: Option<Range>) -> Result<Vec<Source>, Error> {
    let sql = format!(
        "SELECT t.source, s.source_kind, s.source_id, s.name, t.channel, c.channel, {} FROM totals_read t
        JOIN sources s ON s.id = t.source JOIN channels c ON c.id = t.channel
        ORDER BY s.source_kind, length(s.source_id), s.source_id, t.source, t.channel",
        prefixed(&COLUMNS)
    );
    // without a beginning, what was created later is taken from the whole: that is less to walk through
    let is_rest = range.is_some_and(|range| range.since_ms <= 0);
    let counted = range.map(|range| if is_rest { range.after() } else { range });
    let in_range = counted.map(|range| shown(connection, range)).transpose()?;
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut sources: Vec<(i64, Source)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, channel_id): (i64, i64) = (row.get(0)?, row.get(4)?);
        let channel: Option<String> = row.get(5)?;
        let whole_life = counts::read(row, 6)?;
        let shown = match &in_range {
            None => whole_life,
            Some(later) if is_rest => {
                let mut rest = Counts { deliveries: whole_life.deliveries, ..Counts::default() };
                later.get(&(id, channel_id)).into_iter().for_each(|later| rest.add(later, -1));
                rest
            }
            Some(shown) => shown.get(&(id, channel_id)).copied().unwrap_or_default(),
        };
        if range.is_some() && shown.is_zero() {
            continue;
        }
        let counts = ChannelCounts { channel: channel.as_deref().and_then(Channel::parse), shown, whole_life };
        if sources.last().is_none_or(|(last, _)| *last != id) {
            let source = SourceRef { kind: row.get(1)?, id: row.get::<_, Option<String>>(2)?.unwrap_or_default() };
            sources.push((id, Source { source, name: row.get(3)?, channels: Vec::new() }));
        }
        if let Some((_, source)) = sources.last_mut() {
            source.channels.push(ChannelRow { channel, counts });
        }
    }
    Ok(sources.into_iter().map(|(_, source)| source).collect())
}

pub(super) fn cohorts_sql(time: &str, table: &str) -> String {
    format!(
        "SELECT t.{time}, g.source, g.channel, {} FROM messages g CROSS JOIN {table} t ON t.message = g.id
        WHERE t.{time} >= ?1 AND t.{time} < ?2",
        &*DELIVERIES
    )
}

/// Deliveries created in a range, by the rows of source and channel. Summed here: to group them, SQLite would sort
/// whole wide rows first, which takes several times as long.
pub(super) fn shown(connection: &Connection, range: Range) -> Result<HashMap<(i64, i64), Counts>, Error> {
    let (from, to) = range.quarters();
    let mut shown: HashMap<(i64, i64), Counts> = HashMap::new();
    let sql = [cohorts_sql("quarter", "cohorts_read"), cohorts_sql("day", "cohort_days_read")];
    Reading::of(connection, from, to, &[])?.each(connection, [&sql[0], &sql[1]], &[], |_, _, row| {
        counts::add_deliveries(shown.entry((row.get(1)?, row.get(2)?)).or_default(), row, 3)
    })?;
    Ok(shown)
}

fn prefixed(columns: &str) -> String {
    columns.split(", ").map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", ")
}

/// Whether any open of the whole file was ever labelled a machine's. Where none was, "human" would claim too much.
pub fn labels_machines(sources: &[Source]) -> bool {
    use crate::domain::Counted::{MachineClicked, MachineOpened};
    let labelled = |row: &ChannelRow| {
        row.counts.whole_life.deliveries(MachineOpened) + row.counts.whole_life.deliveries(MachineClicked) > 0
    };
    sources.iter().flat_map(|source| &source.channels).any(labelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Attribute, Event, EventTime, MetricName, SourceKind};
    use crate::store::{Entry, Tracker, source};

    #[test]
    fn a_range_without_a_beginning_counts_what_one_with_it_does() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracker = Tracker::open(&folder.path().join("s.db")).unwrap();
        let first = 1_790_000_000_000;
        let entry = |n: i64| {
            let time = EventTime::given(first + n * 700_000);
            let mut event = Event::new(&format!("d{n}"), MetricName::parse("sent"), &format!("e{n}"), time, time.ms);
            event.attributes = std::mem::take(&mut event.attributes)
                .with(Attribute::Channel, ["email", "sms"][n as usize % 2])
                .with(SourceKind::Campaign.attribute(), ["3", "4", "5"][(n / 30) as usize]);
            Entry::event(event, "{}")
        };
        let entries: Vec<Entry> = (0..90).map(entry).collect();
        tracker.record(&entries.iter().collect::<Vec<_>>(), 0).unwrap();
        for until_ms in [0, 5_000_000, 21_000_000, 40_123_456, 63_000_000].map(|after| first + after) {
            let range = |since_ms| Some(Range { since_ms, until_ms });
            let open = all(tracker.connection(), range(0)).unwrap();
            assert_eq!(
                format!("{open:?}"),
                format!("{:?}", all(tracker.connection(), range(1)).unwrap()),
                "{until_ms}"
            );
            for one in open {
                let asked = source::one(tracker.connection(), &one.source, range(0)).unwrap().unwrap();
                let created =
                    |source: &Source| -> i64 { source.channels.iter().map(|it| it.counts.shown.deliveries[0]).sum() };
                assert_eq!(created(&one), created(&asked));
            }
        }
    }
}
