//! How the file and the feed are, for whoever operates them. Every question is bounded: the page opens at once on a
//! file of any size.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::log::Filter;
use super::overview::Received;
use super::paging::{Cursor, Spent};
use super::status_counts;
use super::totals::{self, Total};
use crate::domain::rollup::QUARTER_MS;
use crate::domain::{Counted, Metric, Millis};
use crate::store::{Error, disk, retention, sqlite};

/// So many of the newest deliveries that arrived are looked at.
pub const LOOKED_AT: usize = 5_000;

/// After this a delivery that was sent should have a result.
pub const SILENT_MS: Millis = 24 * 3_600_000;

/// So many of the deliveries without a sent event are listed for each channel.
const LISTED: usize = 5;

/// The file and what lies beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    pub bytes: u64,
    /// Of the write-ahead log; it is used again after a checkpoint, and need not shrink.
    pub wal_bytes: u64,
    /// Where it stops growing: what comes then is refused until it can be checkpointed.
    pub wal_bytes_max: u64,
    /// It has grown to 256 MB, or to half of that limit: checkpoints keep it smaller unless a reader holds it.
    pub is_wal_held: bool,
    /// On its disk. `None`: the system does not say.
    pub disk_free_bytes: Option<u64>,
    pub page_bytes: i64,
    /// Pages that nothing uses; what comes next fills them.
    pub free_pages: i64,
    pub schema_version: i64,
    /// In how many days the disk is full, if the file grows as in the last two weeks. `None`: it does not grow, or too little
    /// is known.
    pub disk_full_in_days: Option<i64>,
    /// When the file itself was last written to: in a checkpoint, and at no other time.
    pub checkpoint_at_ms: Option<Millis>,
}

/// Facts of the file at `path`, which `connection` has open. `wal_bytes_max` is the limit that the writer was given;
/// `None`: it goes by the free disk. Files are only looked at, never opened: closing one would drop SQLite's locks.
pub fn file(connection: &Connection, path: &Path, wal_bytes_max: Option<u64>, now_ms: Millis) -> Result<File, Error> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let main = std::fs::metadata(path).ok();
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    let wal_bytes = std::fs::metadata(wal).map_or(0, |wal| wal.len());
    let wal_bytes_max = wal_bytes_max.unwrap_or_else(|| sqlite::log_bytes_max(path, wal_bytes));
    let (page_bytes, free_pages) = (number("page_size")?, number("freelist_count")?);
    // free pages are filled before the file grows
    let free_disk = disk::free_bytes(path);
    let free = free_disk.map(|free| free as i64 + free_pages * page_bytes);
    let written = main.as_ref().and_then(|main| main.modified().ok()?.duration_since(UNIX_EPOCH).ok());
    Ok(File {
        bytes: main.map_or(0, |main| main.len()),
        wal_bytes,
        wal_bytes_max,
        is_wal_held: wal_bytes >= (wal_bytes_max / 2).min(sqlite::LOG_BYTES_SMALL),
        disk_free_bytes: free_disk,
        page_bytes,
        free_pages,
        schema_version: number("user_version")?,
        disk_full_in_days: disk_full_in_days(connection, free, now_ms)?,
        checkpoint_at_ms: written.and_then(|at| Millis::try_from(at.as_millis()).ok()),
    })
}

/// How many events are in quarantine, by reason.
pub fn quarantined(connection: &Connection) -> Result<Vec<(String, i64)>, Error> {
    let mut statement = connection.prepare_cached("SELECT reason, entries FROM _quarantine_counts ORDER BY reason")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Over so many days the growth is measured, and over no fewer than these.
const GROWTH_DAYS: i64 = 14;
const GROWTH_DAYS_MIN: i64 = 2;

fn disk_full_in_days(connection: &Connection, free: Option<i64>, now_ms: Millis) -> Result<Option<i64>, Error> {
    let today = now_ms.div_euclid(retention::DAY_MS);
    let mut statement = connection.prepare_cached("SELECT day, bytes FROM _sizes WHERE day >= ?1 ORDER BY day")?;
    let sizes = statement.query_map([today - GROWTH_DAYS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sizes = sizes.collect::<Result<Vec<(i64, i64)>, _>>()?;
    let (Some(first), Some(last), Some(free)) = (sizes.first(), sizes.last(), free) else { return Ok(None) };
    let (days, grown) = (last.0 - first.0, last.1 - first.1);
    // one that is not served does not grow
    let is_known = days >= GROWTH_DAYS_MIN && last.0 >= today - 1 && grown > 0;
    Ok(is_known.then(|| (i128::from(free) * i128::from(days) / i128::from(grown)).min(i128::from(i64::MAX)) as i64))
}

/// What is damaged in the file, if anything. Table by table: each is looked through in one statement, which holds the
/// write-ahead log as long.
///
/// # Errors
/// The file cannot be read for a reason that passes.
pub fn damage(connection: &Connection) -> Result<Option<String>, Error> {
    let found = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0")
        .and_then(|mut tables| tables.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>())
        .and_then(|tables| {
            tables.iter().map(|table| quick_check(connection, table)).find(|it| !matches!(it, Ok(None))).transpose()
        });
    match found.map(Option::flatten).map_err(Error::from) {
        Err(error) if error.is_damage() => Ok(Some(error.to_string())),
        found => found,
    }
}

fn quick_check(connection: &Connection, table: &str) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row("SELECT * FROM pragma_quick_check(?1)", [table], |row| row.get(0))?;
    // the first line is a heading
    Ok(found.lines().last().filter(|found| *found != "ok").map(str::to_owned))
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
    /// Leaves it in the file.
    pub fn save(&self, connection: &Connection) -> Result<(), Error> {
        let text = serde_json::to_string(self).map_err(|error| Error::Row(error.to_string()))?;
        connection.execute("INSERT OR REPLACE INTO _settings (key, value) VALUES ('verified', ?1)", [text])?;
        Ok(())
    }

    /// The last that was left. `None`: none was, or by a version that wrote it in another way.
    pub fn last(connection: &Connection) -> Result<Option<Verified>, Error> {
        let mut statement = connection.prepare_cached("SELECT value FROM _settings WHERE key = 'verified'")?;
        let text: Option<String> = statement.query_row([], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

/// What was received, by quarter of an hour (numbered from 1970), from the one of `since_ms` on; quarters in which nothing
/// came are absent.
pub fn receipts(connection: &Connection, since_ms: Millis) -> Result<Vec<(i64, Received)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT bucket_ms / ?2, accepted, duplicate, ignored, quarantined, pruned FROM receipts
        WHERE bucket_ms >= ?1 ORDER BY bucket_ms",
    )?;
    let from = since_ms.div_euclid(QUARTER_MS) * QUARTER_MS;
    let rows = statement.query_map([from, QUARTER_MS], |row| {
        let received = Received {
            accepted: row.get(1)?,
            duplicate: row.get(2)?,
            ignored: row.get(3)?,
            quarantined: row.get(4)?,
            pruned: row.get(5)?,
        };
        Ok((row.get(0)?, received))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How one channel does.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    pub channel: Option<String>,
    /// How many of the newest deliveries that arrived (were delivered, or answered by the person) are of this channel.
    pub looked_at: usize,
    /// They are all that arrived of those created since then. `None`: of all there are.
    pub since_ms: Option<Millis>,
    /// Of these, from the first event of the delivery on.
    pub to_deliver: Times,
    pub to_open: Times,
    /// Of these, without an event that says that they were sent; and the newest of them, by id.
    pub never_sent: usize,
    pub never_sent_ids: Vec<String>,
    /// Sent more than a day ago, without any result. `None` where the channel has never said that anything was
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

/// What the newest deliveries that arrived say of one channel.
#[derive(Default)]
struct Sample {
    looked_at: usize,
    to_deliver: Vec<Millis>,
    to_open: Vec<Millis>,
    never_sent: usize,
    never_sent_ids: Vec<String>,
}

/// Every channel that has deliveries. What `spent` bounds is the count of those without a result.
pub fn channels(connection: &Connection, now_ms: Millis, spent: Spent) -> Result<Vec<Channel>, Error> {
    let (newest, since_ms) = newest_arrived(connection, LOOKED_AT)?;
    let mut samples = samples(connection, &newest)?;
    let mut channels = Vec::new();
    for (name, counts) in status_counts::totals(connection, None)? {
        if counts.deliveries(Counted::Created) == 0 {
            continue;
        }
        let says_delivered = counts.deliveries(Counted::Metric(Metric::Delivered)) > 0;
        let unheard = says_delivered
            .then(|| totals::of_deliveries(connection, &unheard(name.as_deref(), now_ms), spent))
            .transpose()?;
        let sample = samples.remove(&name).unwrap_or_default();
        channels.push(Channel {
            channel: name,
            looked_at: sample.looked_at,
            since_ms,
            to_deliver: Times::of(sample.to_deliver),
            to_open: Times::of(sample.to_open),
            never_sent: sample.never_sent,
            never_sent_ids: sample.never_sent_ids,
            unheard,
        });
    }
    Ok(channels)
}

/// Sent more than a day ago, without any result.
pub fn unheard(channel: Option<&str>, now_ms: Millis) -> Filter {
    Filter {
        statuses: vec![Some(Metric::Sent)],
        channels: vec![channel.unwrap_or("unknown").into()],
        until_ms: Some(now_ms - SILENT_MS),
        ..Filter::default()
    }
}

fn samples(connection: &Connection, newest: &[Cursor]) -> Result<BTreeMap<Option<String>, Sample>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, created_at_ms, CASE outcome WHEN 'delivered' THEN outcome_at_ms END, human_opened_at_ms,
            sent_at_ms, delivery_id FROM deliveries WHERE id = ?1",
    )?;
    let mut samples: BTreeMap<Option<String>, Sample> = BTreeMap::new();
    for cursor in newest {
        let mut rows = statement.query([cursor.id])?;
        let Some(row) = rows.next()? else { continue };
        let sample = samples.entry(row.get(0)?).or_default();
        let created_at_ms: Millis = row.get(1)?;
        let (delivered, opened, sent): (Option<Millis>, Option<Millis>, Option<Millis>) =
            (row.get(2)?, row.get(3)?, row.get(4)?);
        sample.looked_at += 1;
        sample.to_deliver.extend(delivered.map(|at_ms| at_ms - created_at_ms));
        sample.to_open.extend(opened.map(|at_ms| at_ms - created_at_ms));
        if sent.is_none() {
            sample.never_sent += 1;
            if sample.never_sent_ids.len() < LISTED {
                sample.never_sent_ids.push(row.get(5)?);
            }
        }
    }
    Ok(samples)
}

/// The newest deliveries that arrived, and since when they are all of them. The index alone says which.
fn newest_arrived(connection: &Connection, size: usize) -> Result<(Vec<Cursor>, Option<Millis>), Error> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    let mut newest = Vec::new();
    for status in ARRIVED {
        let found = statement
            .query_map(params![status.name(), size as i64], |row| Ok(Cursor { at_ms: row.get(0)?, id: row.get(1)? }))?;
        for cursor in found {
            newest.push(cursor?);
        }
    }
    newest.sort_unstable_by(|a, b| b.cmp(a));
    if newest.len() < size {
        return Ok((newest, None));
    }
    newest.truncate(size);
    // more may have been created in the very millisecond of the last
    let since_ms = newest.pop().map(|last| last.at_ms + 1);
    newest.retain(|cursor| since_ms.is_none_or(|since_ms| cursor.at_ms >= since_ms));
    Ok((newest, since_ms))
}

const NEWEST: &str =
    "SELECT created_at_ms, id FROM deliveries WHERE status = ?1 ORDER BY created_at_ms DESC, id DESC LIMIT ?2";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn percentiles_are_times_that_were_taken() {
        assert_eq!(Times::of(Vec::new()), Times::default());
        assert_eq!(
            Times::of((1..=100).rev().collect()),
            Times { count: 100, p50_ms: Some(50), p90_ms: Some(90), p99_ms: Some(99) }
        );
        assert_eq!(Times::of(vec![7]), Times { count: 1, p50_ms: Some(7), p90_ms: Some(7), p99_ms: Some(7) });
    }

    #[test]
    fn delays_are_those_of_the_newest_that_arrived() {
        let connection = testing::file();
        connection
            .execute_batch(
                "INSERT INTO deliveries (id, delivery_id, channel, status, outcome, outcome_at_ms, created_at_ms,
                    updated_at_ms, events, sent_at_ms, human_opened_at_ms) VALUES
                    (1, 'a', 'email', 'opened', 'delivered', 150, 100, 300, 3, 110, 300),
                    (2, 'b', 'email', 'delivered', 'delivered', 230, 200, 230, 1, NULL, NULL),
                    (3, 'c', 'email', 'bounced', 'bounced', 330, 300, 330, 1, 310, NULL),
                    (4, 'd', NULL, 'clicked', 'sent', 410, 400, 410, 1, 410, NULL);
                INSERT INTO campaign_metrics (source_kind, channel, created) VALUES ('unknown', 'email', 3),
                    ('unknown', NULL, 1), ('unknown', 'sms', 0)",
            )
            .unwrap();
        let found = channels(&connection, 1_000, &|| false).unwrap();
        assert_eq!(found.len(), 2);
        let email = found.iter().find(|it| it.channel.as_deref() == Some("email")).unwrap();
        assert_eq!((email.looked_at, email.since_ms, email.unheard), (2, None, None));
        assert_eq!((email.to_deliver.count, email.to_deliver.p50_ms, email.to_deliver.p99_ms), (2, Some(30), Some(50)));
        assert_eq!((email.to_open.count, email.to_open.p50_ms), (1, Some(200)));
        assert_eq!((email.never_sent, &email.never_sent_ids[..]), (1, &["b".to_owned()][..]));

        // of more than are looked at, the last and what was created beside it are left out
        let (newest, since_ms) = newest_arrived(&connection, 2).unwrap();
        assert_eq!((newest.iter().map(|it| it.id).collect::<Vec<_>>(), since_ms), (vec![4], Some(201)));
        assert_eq!(
            testing::plan(&connection, NEWEST),
            ["SEARCH deliveries USING COVERING INDEX deliveries_status (status=?)"]
        );
    }

    #[test]
    fn a_log_that_has_grown_to_half_of_its_limit_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE _settings (key PRIMARY KEY, value ANY); CREATE TABLE _sizes (day INTEGER PRIMARY KEY, bytes INTEGER)")
            .unwrap();
        let verified = Verified { at_ms: 1, deliveries: 2, events: 3, differences: 0 };
        verified.save(&connection).unwrap();
        assert_eq!(Verified::last(&connection).unwrap(), Some(verified));
        let wal_bytes = file(&connection, &path, None, 0).unwrap().wal_bytes;
        assert!(wal_bytes > 0);
        assert!(!file(&connection, &path, None, 0).unwrap().is_wal_held);
        assert!(!file(&connection, &path, Some(2 * wal_bytes + 2), 0).unwrap().is_wal_held);
        assert!(file(&connection, &path, Some(2 * wal_bytes), 0).unwrap().is_wal_held);
    }

    #[test]
    fn the_disk_is_full_in_days_once_enough_is_known() {
        let connection = testing::file();
        let days = |now: i64| disk_full_in_days(&connection, Some(10_000), now * retention::DAY_MS).unwrap();
        let size = |day: i64, bytes: i64| {
            connection.execute("INSERT INTO _sizes VALUES (?1, ?2)", [day, bytes]).unwrap();
        };
        assert_eq!(days(20), None);
        size(1, 9_000);
        size(19, 1_000);
        size(20, 1_100);
        assert_eq!(days(20), None, "a day is too little, and what was weeks ago says nothing");
        size(21, 1_500);
        assert_eq!(days(21), Some(40));
        assert_eq!(days(23), None, "nobody serves it");
        size(22, 1_000);
        assert_eq!(days(22), None, "it does not grow");
    }
}
