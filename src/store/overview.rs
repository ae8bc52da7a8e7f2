//! What happens now: recent counts by channel, activity by hour, and the state of the feed.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::Error;
use super::counts::{self, EVENT_SUMS, SUMS};
use super::sources::{self, ChannelRow, Range};
use crate::domain::rollup::{ChannelCounts, Counts, QUARTER_MS, quarter_of};
use crate::domain::{Channel, Millis};

/// Deliveries created in the range, by channel; the whole life beside them chooses denominators.
pub fn by_channel(connection: &Connection, range: Range) -> Result<Vec<ChannelRow>, Error> {
    let mut rows: BTreeMap<i64, Counts> = BTreeMap::new();
    for ((_, channel), counts) in sources::shown(connection, range)? {
        rows.entry(channel).or_default().add(&counts, 1);
    }
    let whole_sql = format!("SELECT {} FROM totals_read WHERE channel = ?1", &*SUMS);
    let mut channels = Vec::new();
    for (id, shown) in rows {
        let channel: Option<String> = connection
            .prepare_cached("SELECT channel FROM channels WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let whole_life = connection.prepare_cached(&whole_sql)?.query_row([id], |row| counts::read(row, 0))?;
        let counts = ChannelCounts { channel: channel.as_deref().and_then(Channel::parse), shown, whole_life };
        channels.push(ChannelRow { channel, counts });
    }
    Ok(channels)
}

/// Events of all sources by the hour (numbered from 1970) in which they happened.
pub fn activity(connection: &Connection, range: Range) -> Result<Vec<(i64, Counts)>, Error> {
    let sql = format!(
        "SELECT quarter / 4, {} FROM sources s CROSS JOIN activity_read t ON t.source = s.id
        WHERE quarter >= ?1 AND quarter < ?2 GROUP BY quarter / 4",
        &*EVENT_SUMS
    );
    let (from, to) = range.quarters();
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![from, to], |row| Ok((row.get(0)?, counts::read_events(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What came in, and what of it was set aside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feed {
    pub last_at_ms: Option<Millis>,
    /// The longest that nothing came in the week before the last event, in whole quarter hours.
    pub longest_pause_ms: Option<Millis>,
    /// Since the start of the quarter hour in which the last hour, or day, began.
    pub hour: Received,
    pub day: Received,
    /// Waiting now.
    pub quarantined: i64,
    /// Ever, and the most frequent names of them.
    pub ignored: i64,
    pub ignored_names: Vec<(String, i64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Received {
    pub accepted: i64,
    pub duplicate: i64,
    pub ignored: i64,
    pub quarantined: i64,
}

pub fn feed(connection: &Connection, now_ms: Millis) -> Result<Feed, Error> {
    const HOUR_MS: Millis = 3_600_000;
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(sum(accepted), 0), coalesce(sum(duplicate), 0), coalesce(sum(ignored), 0),
            coalesce(sum(quarantined), 0) FROM receipts WHERE quarter >= ?1",
    )?;
    let mut since = |ms: Millis| {
        statement.query_row([quarter_of(ms)], |row| {
            Ok(Received {
                accepted: row.get(0)?,
                duplicate: row.get(1)?,
                ignored: row.get(2)?,
                quarantined: row.get(3)?,
            })
        })
    };
    let (hour, day) = (since(now_ms - HOUR_MS)?, since(now_ms - 24 * HOUR_MS)?);
    let number = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, Option<i64>>(0));
    let mut names =
        connection.prepare_cached("SELECT name, events FROM ignored ORDER BY events DESC, name LIMIT 20")?;
    let last_at_ms = number("SELECT last_at_ms FROM receipts ORDER BY quarter DESC LIMIT 1")
        .or_else(|error| if error == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(error) })?;
    let mut pause = connection.prepare_cached(
        "SELECT max(quarter - before) FROM (SELECT quarter, lag(quarter) OVER (ORDER BY quarter) AS before
            FROM receipts WHERE quarter >= ?1)",
    )?;
    let week = quarter_of(last_at_ms.unwrap_or(now_ms) - 7 * 24 * HOUR_MS);
    let longest_pause: Option<i64> = pause.query_row([week], |row| row.get(0))?;
    Ok(Feed {
        last_at_ms,
        longest_pause_ms: longest_pause.map(|quarters| quarters * QUARTER_MS),
        hour,
        day,
        quarantined: number("SELECT sum(rows) FROM quarantine_counts")?.unwrap_or(0),
        ignored: number("SELECT sum(events) FROM ignored")?.unwrap_or(0),
        ignored_names: names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?,
    })
}

impl Feed {
    /// Whether nothing came for longer than this feed pauses: twice the longest pause of its last week, and an hour at
    /// least. Of a feed that has just begun nothing is known but that a day is long.
    pub fn is_silent(&self, now_ms: Millis) -> bool {
        const HOUR_MS: Millis = 3_600_000;
        let usual = self.longest_pause_ms.map_or(24 * HOUR_MS, |pause| (2 * pause).max(HOUR_MS));
        self.last_at_ms.is_some_and(|last| now_ms - last > usual)
    }
}

/// Whether the file holds any delivery at all.
pub fn has_deliveries(connection: &Connection) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM deliveries)")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}
