//! Whether bounces, complaints and unprocessed events have become more frequent: the last hour against the week before it.

use rusqlite::Connection;

use crate::domain::Millis;
use crate::domain::rollup::QUARTER_MS;
use crate::store::Error;

const HOUR_MS: Millis = 3_600_000;
const WEEK_MS: Millis = 7 * 24 * HOUR_MS;

/// So many times the rate of the week before is a jump.
const TIMES: f64 = 3.0;

/// Some of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub some: i64,
    pub of: i64,
}

impl Share {
    /// From 0 to 1; 0 of none.
    pub fn rate(self) -> f64 {
        self.some as f64 / self.of.max(1) as f64
    }
}

/// The last hour, which begins with a quarter of an hour, and the week before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    pub hour: Share,
    pub week: Share,
}

impl Compared {
    /// Whether the last hour is much worse. Fewer than `least` are chance, and a rate below `floor` is harmless.
    fn is_jump(self, least: i64, floor: f64) -> bool {
        let rate = self.hour.rate();
        self.hour.some >= least && rate >= floor && rate > TIMES * self.week.rate()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of the deliveries that were delivered or bounced, by the time of the event.
    pub bounced: Compared,
    pub complained: Compared,
    /// Of all that was received.
    pub quarantined: Compared,
}

impl Rates {
    pub fn read(connection: &Connection, now_ms: Millis) -> Result<Rates, Error> {
        let hour_ms = (now_ms - HOUR_MS).div_euclid(QUARTER_MS) * QUARTER_MS;
        let mut rates = Rates::default();
        for (sql, is_activity) in [(ACTIVITY, true), (RECEIPTS, false)] {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([hour_ms - WEEK_MS, hour_ms])?;
            while let Some(row) = rows.next()? {
                let is_hour: bool = row.get(0)?;
                let share = |column| Ok::<_, rusqlite::Error>(Share { some: row.get(column)?, of: row.get(1)? });
                let set = |compared: &mut Compared, share| {
                    *(if is_hour { &mut compared.hour } else { &mut compared.week }) = share;
                };
                if is_activity {
                    set(&mut rates.bounced, share(2)?);
                    set(&mut rates.complained, share(3)?);
                } else {
                    set(&mut rates.quarantined, share(2)?);
                }
            }
        }
        Ok(rates)
    }

    pub fn bounces_jump(&self) -> bool {
        self.bounced.is_jump(20, 0.02)
    }

    pub fn complaints_jump(&self) -> bool {
        self.complained.is_jump(5, 0.001)
    }

    pub fn quarantine_grows(&self) -> bool {
        self.quarantined.is_jump(10, 0.01)
    }
}

const ACTIVITY: &str =
    "SELECT bucket_ms >= ?2, sum(delivered_events + bounced_events), sum(bounced_events), sum(spammed_events)
    FROM activity_quarter_hourly WHERE bucket_ms >= ?1 GROUP BY 1";

const RECEIPTS: &str = "SELECT bucket_ms >= ?2, sum(accepted + duplicate + ignored + quarantined), sum(quarantined)
    FROM receipts WHERE bucket_ms >= ?1 GROUP BY 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    const NOW: Millis = 2_000_000 * QUARTER_MS;

    #[test]
    fn the_last_hour_is_compared_with_the_week_before() {
        let connection = testing::file();
        assert_eq!(Rates::read(&connection, NOW).unwrap(), Rates::default());
        connection
            .execute_batch(&format!(
                "INSERT INTO activity_quarter_hourly (source_kind, source_id, bucket_ms, channel, delivered_events, bounced_events,
                    spammed_events) VALUES ('campaign', '1', {NOW}, 'email', 280, 20, 0),
                    ('campaign', '2', {NOW} - 3600000, 'email', 100, 0, 5),
                    ('campaign', '1', {NOW} - 3600001 - 899999, 'email', 1000, 10, 9),
                    ('campaign', '1', {NOW} - 3600000 - 604800001 - 899999, 'email', 0, 999, 0);
                INSERT INTO receipts (bucket_ms, accepted, quarantined, last_at_ms) VALUES ({NOW}, 90, 10, {NOW})"
            ))
            .unwrap();
        let rates = Rates::read(&connection, NOW).unwrap();
        assert_eq!(rates.bounced, Compared { hour: Share { some: 20, of: 400 }, week: Share { some: 10, of: 1010 } });
        assert_eq!(rates.complained.hour, Share { some: 5, of: 400 });
        assert!(rates.bounces_jump() && !rates.complaints_jump() && rates.quarantine_grows());
    }

    #[test]
    fn small_numbers_and_harmless_rates_are_no_jump() {
        let compared = |some, of, week: (i64, i64)| Compared {
            hour: Share { some, of },
            week: Share { some: week.0, of: week.1 },
        };
        for (compared, is_jump) in [
            (compared(20, 400, (0, 0)), true),
            (compared(19, 20, (0, 1_000)), false),
            (compared(20, 2_000, (0, 1_000)), false),
            (compared(20, 400, (17, 1_000)), false),
            (compared(20, 400, (16, 1_000)), true),
        ] {
            assert_eq!(compared.is_jump(20, 0.02), is_jump, "{compared:?}");
        }
    }

    #[test]
    fn a_week_is_read_by_index() {
        let connection = testing::file();
        testing::assert_searches(&connection, ACTIVITY);
        testing::assert_searches(&connection, RECEIPTS);
    }
}
