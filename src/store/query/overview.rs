//! The state of the mail, by slices of time and channel, and of the feed.

use rusqlite::{Connection, OptionalExtension};

use super::campaigns::{self, ChannelRow};
use super::status_counts;
use crate::domain::Millis;
use crate::domain::rollup::{Counts, QUARTER_MS};
use crate::store::Error;

const HOUR_MS: Millis = 3_600_000;

/// Deliveries of a channel by when they were created, in equal slices of time.
#[derive(Clone, Debug)]
pub struct ChannelSlices {
    /// `None`: not known.
    pub channel: Option<String>,
    /// Chooses denominators.
    whole_life: Counts,
    slices: Vec<Counts>,
}

impl ChannelSlices {
    /// What was created in some of the slices.
    pub fn sum(&self, slices: std::ops::Range<usize>) -> ChannelRow {
        let mut shown = Counts::default();
        self.slices[slices].iter().for_each(|counts| shown.add(counts, 1));
        ChannelRow::new(self.channel.clone(), shown, self.whole_life)
    }
}

/// The last of `many` slices takes what is created after it, too. `since_ms` and `width_ms` are of whole quarters of an hour.
pub fn slices(
    connection: &Connection,
    since_ms: Millis,
    width_ms: Millis,
    many: usize,
) -> Result<Vec<ChannelSlices>, Error> {
    let totals = status_counts::totals(connection, None)?;
    let channel = |(channel, whole_life)| ChannelSlices { channel, whole_life, slices: vec![Counts::default(); many] };
    let mut channels: Vec<ChannelSlices> = totals.into_iter().map(channel).collect();
    // a GROUP BY would sort rows of 23 columns
    let mut statement = connection.prepare_cached(&slices_sql())?;
    let mut rows = statement.query([since_ms])?;
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        let slice = usize::try_from((row.get::<_, Millis>(0)? - since_ms) / width_ms).unwrap_or(0).min(many - 1);
        if let Some(of) = channels.iter_mut().find(|it| it.channel.as_deref() == name) {
            of.slices[slice].add(&campaigns::deliveries(row, 2)?, 1);
        }
    }
    channels.sort_by_cached_key(|it| campaigns::order(it.channel.as_deref()));
    Ok(channels)
}

fn slices_sql() -> String {
    format!(
        "SELECT m.bucket_ms, m.channel, {} FROM campaign_metrics_quarter_hourly m WHERE m.bucket_ms >= ?1",
        &*campaigns::DELIVERIES
    )
}

/// When the first delivery was created, to the quarter of an hour.
pub fn begins_at_ms(connection: &Connection) -> Result<Option<Millis>, Error> {
    let sql = "SELECT min(bucket_ms) FROM campaign_metrics_quarter_hourly";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// What came in, and what of it was quarantined or ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feed {
    pub last_at_ms: Option<Millis>,
    /// The longest that nothing came in the week before the last event, in whole quarters of an hour.
    pub longest_pause_ms: Option<Millis>,
    /// Messages were sent in the last day, and no outcome of any was reported.
    pub has_no_outcome: bool,
    /// Since the start of the quarter of an hour in which the last hour, or day, began.
    pub hour: Received,
    pub day: Received,
    /// In quarantine now.
    pub quarantined: i64,
    /// Ever, and the most frequent names of them.
    pub ignored: i64,
    pub ignored_names: Vec<(String, i64)>,
}

/// How much was received, by what was done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Received {
    pub accepted: i64,
    pub duplicate: i64,
    pub ignored: i64,
    pub quarantined: i64,
    pub pruned: i64,
}

/// How many events are in quarantine.
pub fn quarantined(connection: &Connection) -> Result<i64, Error> {
    let sql = "SELECT coalesce(sum(entries), 0) FROM _quarantine_counts";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// When the last event was received.
pub fn last_at_ms(connection: &Connection) -> Result<Option<Millis>, Error> {
    let sql = "SELECT last_at_ms FROM receipts ORDER BY bucket_ms DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?)
}

/// The state of the feed.
pub fn feed(connection: &Connection, now_ms: Millis) -> Result<Feed, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(sum(accepted), 0), coalesce(sum(duplicate), 0), coalesce(sum(ignored), 0),
            coalesce(sum(quarantined), 0), coalesce(sum(pruned), 0) FROM receipts WHERE bucket_ms >= ?1",
    )?;
    let mut since = |ms: Millis| {
        statement.query_row([ms.div_euclid(QUARTER_MS) * QUARTER_MS], |row| {
            Ok(Received {
                accepted: row.get(0)?,
                duplicate: row.get(1)?,
                ignored: row.get(2)?,
                quarantined: row.get(3)?,
                pruned: row.get(4)?,
            })
        })
    };
    let (hour, day) = (since(now_ms - HOUR_MS)?, since(now_ms - 24 * HOUR_MS)?);
    let last_at_ms = last_at_ms(connection)?;
    let longest_pause_ms = connection
        .prepare_cached(
            "SELECT max(bucket_ms - before) FROM (SELECT bucket_ms, lag(bucket_ms) OVER (ORDER BY bucket_ms) AS before
                FROM receipts WHERE bucket_ms >= ?1)",
        )?
        .query_row([last_at_ms.unwrap_or(now_ms) - 7 * 24 * HOUR_MS - QUARTER_MS], |row| row.get(0))?;
    let sum =
        |sql: &str| -> Result<i64, Error> { Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?) };
    let mut names =
        connection.prepare_cached("SELECT name, events FROM ignored ORDER BY events DESC, name LIMIT 20")?;
    let reported: (i64, i64) = connection
        .prepare_cached(REPORTED)?
        .query_row([now_ms - 24 * HOUR_MS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(Feed {
        last_at_ms,
        has_no_outcome: reported.0 > 0 && reported.1 == 0,
        longest_pause_ms,
        hour,
        day,
        quarantined: quarantined(connection)?,
        ignored: sum("SELECT coalesce(sum(events), 0) FROM ignored")?,
        ignored_names: names.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?,
    })
}

/// Sent, and with an outcome beyond that, in the last day; webhooks and the like report none.
const REPORTED: &str = "SELECT coalesce(sum(sent_events), 0),
        coalesce(sum(delivered_events + bounced_events + failed_events + deferred_events), 0)
    FROM activity_quarter_hourly WHERE bucket_ms >= ?1 AND channel IN ('email', 'push', 'sms', 'whatsapp')";

impl Feed {
    /// Whether nothing came for longer than this feed pauses: twice the longest pause of its last week, and an hour at
    /// least. Of a feed that has just begun nothing is known but that a day is long.
    pub fn is_silent(&self, now_ms: Millis) -> bool {
        let usual = self.longest_pause_ms.map_or(24 * HOUR_MS, |pause| (2 * pause).max(HOUR_MS));
        self.last_at_ms.is_some_and(|last| now_ms - last > usual)
    }
}

/// Whether the file holds any delivery at all.
pub fn has_deliveries(connection: &Connection) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM deliveries)")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    const NOW: Millis = 2_000_000 * QUARTER_MS;

    #[test]
    fn deliveries_are_counted_by_slice_and_channel() {
        let connection = testing::file();
        connection
            .execute_batch(&format!(
                "INSERT INTO campaign_metrics (source_kind, source_id, channel, created) VALUES
                    ('campaign', '1', 'sms', 9), ('campaign', '1', 'email', 5), ('campaign', '2', 'email', 1);
                 INSERT INTO campaign_metrics_quarter_hourly (source_kind, source_id, bucket_ms, channel, created)
                 VALUES ('campaign', '1', {NOW}, 'sms', 2), ('campaign', '1', {NOW}, 'email', 1),
                    ('campaign', '2', {NOW} + 7200000, 'email', 1), ('campaign', '1', 0, 'email', 4)"
            ))
            .unwrap();
        assert_eq!(begins_at_ms(&connection).unwrap(), Some(0));
        let found = slices(&connection, NOW, HOUR_MS, 2).unwrap();
        let created = |it: &ChannelSlices, of| {
            let counts = it.sum(of).counts;
            (counts.shown.deliveries[0], counts.whole_life.deliveries[0])
        };
        let shown: Vec<_> =
            found.iter().map(|it| (it.channel.as_deref().unwrap(), created(it, 0..1), created(it, 0..2))).collect();
        assert_eq!(shown, [("email", (1, 6), (2, 6)), ("sms", (2, 9), (2, 9))]);
    }

    #[test]
    fn a_feed_is_silent_when_it_pauses_for_longer_than_it_does() {
        let connection = testing::file();
        assert_eq!(feed(&connection, NOW).unwrap(), Feed::default());
        connection
            .execute_batch(&format!(
                "INSERT INTO receipts (bucket_ms, accepted, quarantined, last_at_ms)
                 VALUES ({NOW} - 7200000, 3, 1, {NOW} - 7100000), ({NOW}, 5, 0, {NOW} + 1000);
                 INSERT INTO _quarantine_counts (reason, entries) VALUES ('bad_time', 1), ('no_metric', 2);
                 INSERT INTO ignored VALUES ('page', 7, 1)"
            ))
            .unwrap();
        let feed = feed(&connection, NOW + 2_000).unwrap();
        assert_eq!((feed.hour.accepted, feed.day.accepted, feed.day.quarantined), (5, 8, 1));
        assert_eq!((feed.quarantined, feed.ignored, feed.longest_pause_ms), (3, 7, Some(7_200_000)));
        assert!(!feed.is_silent(NOW + 4 * HOUR_MS) && feed.is_silent(NOW + 4 * HOUR_MS + 1_001));
    }

    #[test]
    fn what_grows_is_read_by_index() {
        let connection = testing::file();
        testing::assert_searches(&connection, &slices_sql());
        testing::assert_searches(&connection, REPORTED);
    }
}
