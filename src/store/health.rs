//! How the file and the feed are, for whoever operates them. Every question is bounded: the page opens at once on a
//! file of any size.

use std::path::Path;
use std::time::UNIX_EPOCH;

use rusqlite::{Connection, OptionalExtension, Statement, params};
use serde::{Deserialize, Serialize};

use super::eid::Eid;
use super::log::Filter;
use super::log::total::{self, Total};
use super::marks::{self, Said};
use super::overview::Received;
use super::paging::Cursor;
use super::{Error, progress, upkeep};
use crate::domain::rollup::quarter_of;
use crate::domain::{self, Counted, Metric, Millis, Reached};

/// Of each channel so many of the newest deliveries that arrived are looked at.
pub const LOOKED_AT: usize = 500;

/// After this a delivery that was sent should have been heard of.
pub const SILENT_MS: Millis = 24 * 3_600_000;

/// So many of the deliveries that were never sent are told one by one, of each channel.
const TOLD: usize = 5;

/// The file and what lies beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    pub bytes: u64,
    /// Of the write-ahead log; it is used again after a checkpoint, and need not shrink.
    pub wal_bytes: u64,
    pub page_bytes: i64,
    /// Pages that nothing uses; what comes next fills them.
    pub free_pages: i64,
    pub schema_version: i64,
    /// When the file itself was last written to: in a checkpoint, and at no other time.
    pub checkpoint_at_ms: Option<Millis>,
}

pub fn file(connection: &Connection, path: &Path) -> Result<File, Error> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let main = std::fs::metadata(path).ok();
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let written = main.as_ref().and_then(|main| main.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    Ok(File {
        bytes: main.map_or(0, |main| main.len()),
        wal_bytes: std::fs::metadata(wal).map_or(0, |wal| wal.len()),
        page_bytes: number("page_size")?,
        free_pages: number("freelist_count")?,
        schema_version: number("user_version")?,
        checkpoint_at_ms: written.and_then(|at| Millis::try_from(at.as_millis()).ok()),
    })
}

/// What the last `waybill verify` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// When it began: what it recounted is of this moment.
    pub at_ms: Millis,
    pub deliveries: u64,
    pub events: u64,
    pub differences: u64,
}

impl Verified {
    pub fn new(report: &upkeep::Report, at_ms: Millis) -> Verified {
        let upkeep::Report { deliveries, events, differences, .. } = *report;
        Verified { at_ms, deliveries, events, differences }
    }

    /// Leaves it in the file.
    pub fn keep(&self, connection: &Connection) -> Result<(), Error> {
        let text = serde_json::to_string(self).map_err(|error| Error::Row(error.to_string()))?;
        connection.execute("INSERT OR REPLACE INTO settings (key, value) VALUES ('verified', ?1)", [text])?;
        Ok(())
    }

    pub fn last(connection: &Connection) -> Result<Option<Verified>, Error> {
        let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = 'verified'")?;
        let text: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
        // one that another version wrote in another way says nothing
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

/// What was received, by quarter hour, from the one of `since_ms` on; quarters in which nothing was are left out.
pub fn receipts(connection: &Connection, since_ms: Millis) -> Result<Vec<(i64, Received)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT quarter, accepted, duplicate, ignored, quarantined FROM receipts WHERE quarter >= ?1 ORDER BY quarter",
    )?;
    let rows = statement.query_map([quarter_of(since_ms)], |row| {
        let received =
            Received { accepted: row.get(1)?, duplicate: row.get(2)?, ignored: row.get(3)?, quarantined: row.get(4)? };
        Ok((row.get(0)?, received))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How one channel does.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    pub channel: Option<String>,
    /// How many of its newest deliveries that arrived (were delivered, or answered by the person) were looked at.
    pub looked_at: usize,
    /// They are all that arrived of those created since then. `None`: of all there are.
    pub since_ms: Option<Millis>,
    /// Of these, from the first event of the delivery on.
    pub to_deliver: Times,
    pub to_open: Times,
    /// Of these, without an event that says that they were sent; and the newest of them, by id.
    pub never_sent: usize,
    pub never_sent_ids: Vec<String>,
    /// Sent more than a day ago, and nothing heard of since. `None` where the channel has never said that anything was
    /// delivered.
    pub unheard: Option<Total>,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    pub count: usize,
    pub p50_ms: Option<Millis>,
    pub p90_ms: Option<Millis>,
    pub p99_ms: Option<Millis>,
}

impl Times {
    fn of(mut times: Vec<Millis>) -> Times {
        times.sort_unstable();
        // the smallest that so many are not above
        let within = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Times { count: times.len(), p50_ms: within(50), p90_ms: within(90), p99_ms: within(99) }
    }
}

/// The statuses of a delivery that arrived.
pub const ARRIVED: [Metric; 7] = [
    Metric::Delivered,
    Metric::Opened,
    Metric::Clicked,
    Metric::Replied,
    Metric::Converted,
    Metric::Unsubscribed,
    Metric::Spammed,
];

pub fn channels(connection: &Connection, now_ms: Millis) -> Result<Vec<Channel>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT c.id, c.channel, sum(t.delivered) FROM totals_read t JOIN channels c ON c.id = t.channel
        WHERE t.created > 0 GROUP BY c.id",
    )?;
    let known = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let known: Vec<(i64, Option<String>, i64)> = known.collect::<Result<_, _>>()?;
    known.into_iter().map(|(id, name, delivered)| channel(connection, id, name, delivered > 0, now_ms)).collect()
}

/// What people may have done with a delivery.
const ACTS: &str = "SELECT metric, eid, at, received_after, marks FROM events WHERE delivery = ?1 AND metric IN (7, 8)";

/// When a person opened a delivery first, as the views tell it. Hundreds are asked about, so rows are read as they are
/// stored.
fn opened_at_ms(acts: &mut Statement, delivery: i64, click_implies_open: bool) -> Result<Option<Millis>, Error> {
    let mut first: Option<Millis> = None;
    let mut rows = acts.query([delivery])?;
    while let Some(row) = rows.next()? {
        let packed = marks::Packed { at: row.get(2)?, received_after: row.get(3)?, marks: row.get(4)? };
        let marks::Unpacked { time, flags, .. } = packed.unpack(Said::default(), Eid::origin_ms_of(row.get_ref(1)?));
        let is_click = row.get::<_, u8>(0)? == Metric::Clicked.code();
        let is_open = if is_click { click_implies_open } else { flags.synthetic != Some(true) };
        if is_open && flags.machine != Some(true) {
            first = Some(first.map_or(time.ms, |first| first.min(time.ms)));
        }
    }
    Ok(first)
}

fn channel(
    connection: &Connection,
    id: i64,
    name: Option<String>,
    says_delivered: bool,
    now_ms: Millis,
) -> Result<Channel, Error> {
    let (newest, since_ms) = newest_arrived(connection, id)?;
    // thousands of rows, so as they are stored
    let mut row = connection.prepare_cached("SELECT standing, outcome_after FROM deliveries WHERE id = ?1")?;
    let mut id_of = connection.prepare_cached("SELECT delivery_id FROM deliveries WHERE id = ?1")?;
    let mut acts = connection.prepare_cached(ACTS)?;
    let click_implies_open =
        domain::Channel::ALL.into_iter().any(|channel| i64::from(channel.code()) == id && channel.click_implies_open());
    let (mut to_deliver, mut to_open) = (Vec::new(), Vec::new());
    let (mut never_sent, mut never_sent_ids) = (0, Vec::new());
    for cursor in &newest {
        let (standing, after): (i64, i64) = row.query_row([cursor.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (reached, outcome, _) = progress::standing(standing);
        let reached = Reached(reached);
        if outcome == Metric::Delivered.code() {
            to_deliver.push(progress::after(after));
        }
        if reached.has(Counted::HumanOpened) {
            let opened_at_ms = opened_at_ms(&mut acts, cursor.id, click_implies_open)?;
            to_open.extend(opened_at_ms.map(|at_ms| at_ms - cursor.at_ms));
        }
        if !reached.has(Counted::Metric(Metric::Sent)) {
            never_sent += 1;
            if never_sent_ids.len() < TOLD {
                never_sent_ids.push(id_of.query_row([cursor.id], |row| row.get(0))?);
            }
        }
    }
    let unheard = says_delivered.then(|| total::of_deliveries(connection, &unheard(name.as_deref(), now_ms)));
    Ok(Channel {
        looked_at: newest.len(),
        since_ms,
        to_deliver: Times::of(to_deliver),
        to_open: Times::of(to_open),
        never_sent,
        never_sent_ids,
        unheard: unheard.transpose()?,
        channel: name,
    })
}

/// Sent, and not heard of for a day.
pub fn unheard(channel: Option<&str>, now_ms: Millis) -> Filter {
    Filter {
        statuses: vec![Some(Metric::Sent)],
        channels: vec![channel.unwrap_or("unknown").into()],
        until_ms: Some(now_ms - SILENT_MS),
        ..Filter::default()
    }
}

/// The newest deliveries of a channel that arrived, and since when they are all of them. The index alone says which.
fn newest_arrived(connection: &Connection, channel: i64) -> Result<(Vec<Cursor>, Option<Millis>), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT created_at_ms, id FROM deliveries WHERE facet = ?1 ORDER BY created_at_ms DESC, id DESC LIMIT ?2",
    )?;
    let mut newest = Vec::new();
    for status in ARRIVED {
        let facet = super::delivery_rows::facet(channel, i64::from(status.code()));
        let found = statement
            .query_map(params![facet, LOOKED_AT as i64], |row| Ok(Cursor { at_ms: row.get(0)?, id: row.get(1)? }))?;
        for cursor in found {
            newest.push(cursor?);
        }
    }
    newest.sort_unstable_by(|a, b| b.cmp(a));
    if newest.len() < LOOKED_AT {
        return Ok((newest, None));
    }
    newest.truncate(LOOKED_AT);
    // more may have been created in the very millisecond of the last
    let last = newest.pop();
    let since_ms = last.map(|last| last.at_ms + 1);
    newest.retain(|cursor| since_ms.is_none_or(|since_ms| cursor.at_ms >= since_ms));
    Ok((newest, since_ms))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Attribute, Event, EventTime, Flags, MetricName};
    use crate::store::{Entry, Tracker};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_first_open_is_the_one_that_the_views_tell(
            channel in 0..domain::Channel::ALL.len(),
            acts in vec((any::<bool>(), 0..2_000_000i64, any::<(Option<bool>, Option<bool>)>()), 1..6),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut tracker = Tracker::open(&folder.path().join("health.db")).unwrap();
            let channel = domain::Channel::ALL[channel];
            let acts = acts.into_iter().enumerate().map(|(n, (is_click, after_ms, (machine, synthetic)))| {
                let metric = MetricName::Known(if is_click { Metric::Clicked } else { Metric::Opened });
                let time = EventTime::given(1_790_000_000_000 + after_ms);
                let mut event = Event::new("d", metric, &format!("01M35{n:021}"), time, time.ms);
                event.attributes.set(Attribute::Channel, Some(channel.name()));
                event.flags = Flags { machine, synthetic, ..Flags::default() };
                Entry::event(event, "{}")
            });
            let acts: Vec<Entry> = acts.collect();
            tracker.record(&acts.iter().collect::<Vec<_>>(), 1_790_000_000_000).unwrap();
            let connection = tracker.connection();
            let told: Option<String> =
                connection.query_row("SELECT human_opened_at FROM deliveries_v1", [], |row| row.get(0)).unwrap();
            let told = told.map(|at| chrono::DateTime::parse_from_rfc3339(&at).unwrap().timestamp_millis());
            let mut acts = connection.prepare(ACTS).unwrap();
            prop_assert_eq!(opened_at_ms(&mut acts, 1, channel.click_implies_open()).unwrap(), told);
        }
    }

    #[test]
    fn percentiles_are_times_that_were_taken() {
        assert_eq!(Times::of(Vec::new()), Times::default());
        assert_eq!(
            Times::of((1..=100).rev().collect()),
            Times { count: 100, p50_ms: Some(50), p90_ms: Some(90), p99_ms: Some(99) }
        );
        assert_eq!(Times::of(vec![7]), Times { count: 1, p50_ms: Some(7), p90_ms: Some(7), p99_ms: Some(7) });
    }
}
