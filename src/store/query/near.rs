//! Where a filter finds no delivery: what there is instead.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use crate::domain::Millis;
use crate::domain::rollup::QUARTER_MS;
use crate::store::Error;

/// So many addresses or gaps are given.
const SHOWN: usize = 5;

/// When the first and the last delivery were created. `None`: there is none.
pub fn span(connection: &Connection) -> Result<Option<(Millis, Millis)>, Error> {
    // two searches: of both in one query SQLite would read the index from end to end
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT min(created_at_ms) FROM deliveries), (SELECT max(created_at_ms) FROM deliveries)",
    )?;
    let (first, last): (Option<Millis>, Option<Millis>) =
        statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(first.zip(last))
}

/// A stretch of time without any event: from its beginning to its end.
pub type Gap = (Millis, Millis);

/// Shorter pauses are usual.
const GAP_MS: Millis = 3_600_000;
/// How far back from the last event of a range is looked: a week.
const LOOKED_MS: Millis = 7 * 24 * 3_600_000;

/// The longest stretches within a range in which no event happened, in order of time, and since when was looked at.
/// Before the first event and after the last there is no gap.
pub fn gaps(connection: &Connection, since_ms: Millis, until_ms: Millis) -> Result<(Vec<Gap>, Millis), Error> {
    let find = |sql: &str, ms: Millis| -> Result<Option<Millis>, Error> {
        Ok(connection.prepare_cached(sql)?.query_row([ms], |row| row.get(0)).optional()?.flatten())
    };
    const BEFORE: &str = "SELECT max(bucket_ms) FROM activity_quarter_hourly WHERE bucket_ms < ?1";
    const AFTER: &str = "SELECT min(bucket_ms) FROM activity_quarter_hourly WHERE bucket_ms >= ?1";
    let Some(newest) = find(BEFORE, until_ms)? else { return Ok((Vec::new(), since_ms.max(until_ms))) };
    let begin = since_ms.max(newest - LOOKED_MS).min(newest);
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT bucket_ms FROM activity_quarter_hourly WHERE bucket_ms >= ?1 AND bucket_ms < ?2",
    )?;
    let within = statement.query_map([begin, until_ms], |row| row.get(0))?;
    let mut active = within.collect::<Result<BTreeSet<Millis>, _>>()?;
    // a gap in which the range begins or ends reaches beyond it
    active.extend(find(BEFORE, begin)?);
    active.extend(find(AFTER, until_ms)?);
    let pairs = active.iter().zip(active.iter().skip(1)).map(|(bucket, next)| (bucket + QUARTER_MS, *next));
    let mut gaps: Vec<Gap> = pairs.filter(|(from, to)| *to > since_ms && to - from >= GAP_MS).collect();
    gaps.sort_unstable_by_key(|(from, to)| from - to);
    gaps.truncate(SHOWN);
    gaps.sort_unstable();
    Ok((gaps, begin))
}

/// How many recipients are compared with one that is asked for.
const COMPARED: usize = 300;

/// Recipients that are spelled like one that has no deliveries: the same name at another domain, or up to two letters
/// away. Those that share the longest beginning are compared first.
pub fn addresses(connection: &Connection, asked: &str) -> Result<Vec<String>, Error> {
    let Some((name, _)) = asked.rsplit_once('@').filter(|(name, _)| !name.is_empty()) else { return Ok(Vec::new()) };
    let mut next = connection.prepare_cached(
        "SELECT recipient FROM deliveries WHERE recipient > ?1 AND recipient < ?2 ORDER BY recipient LIMIT 1",
    )?;
    let (mut near, mut compared) = (Vec::new(), 0);
    let shorter = name.char_indices().rev().map(|(end, _)| name[..end].to_owned()).filter(|it| !it.is_empty());
    for beginning in std::iter::once(format!("{name}@")).chain(shorter) {
        let (mut last, end) = (beginning.clone(), format!("{beginning}{}", char::MAX));
        while near.len() < SHOWN
            && compared < COMPARED
            && let Some(address) = next.query_row([&last, &end], |row| row.get::<_, String>(0)).optional()?
        {
            last.clone_from(&address);
            compared += 1;
            let is_near = beginning.ends_with('@') || strsim::osa_distance(asked, &address) <= 2;
            if is_near && address != asked && !near.contains(&address) {
                near.push(address);
            }
        }
    }
    Ok(near)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn gaps_are_given_within_what_is_known() {
        let connection = fixture::empty();
        let gaps = |since: i64, until: i64| {
            let (gaps, _) = gaps(&connection, since * QUARTER_MS, until * QUARTER_MS).unwrap();
            gaps.into_iter().map(|(from, to)| (from / QUARTER_MS, to / QUARTER_MS)).collect::<Vec<_>>()
        };
        assert_eq!(gaps(0, 1_000), []);
        for quarter in [10, 11, 14, 30, 31, 50] {
            for channel in ["email", "sms"] {
                let sql =
                    "INSERT INTO activity_quarter_hourly (source_kind, source_id, bucket_ms, channel, sent_events)
                    VALUES ('campaign', '3', ?1, ?2, 1)";
                connection.execute(sql, (quarter * QUARTER_MS, channel)).unwrap();
            }
        }
        // two quarters are no gap, and neither is what comes before the first or after the last
        assert_eq!(gaps(0, 1_000), [(15, 30), (32, 50)]);
        assert_eq!(gaps(0, 31), [(15, 30)]);
        // of a range within a gap all of it is given
        assert_eq!(gaps(35, 40), [(32, 50)]);
        assert_eq!(gaps(60, 70), []);
    }

    #[test]
    fn the_same_name_elsewhere_and_a_typo_are_near() {
        let connection = fixture::empty();
        assert_eq!(span(&connection).unwrap(), None);
        for (n, address) in ["ann@example.com", "ann@example.com", "ann@example.org", "anna@example.com", "+15550001"]
            .iter()
            .enumerate()
        {
            let sql = "INSERT INTO deliveries (delivery_id, status, created_at_ms, updated_at_ms, events, recipient)
                VALUES (?1, 'sent', ?2, ?2, 1, ?3)";
            connection.execute(sql, (format!("d{n}"), n as i64 + 5, address)).unwrap();
        }
        let found = |asked| addresses(&connection, asked).unwrap();
        assert_eq!(found("ann@exmaple.com"), ["ann@example.com", "ann@example.org", "anna@example.com"]);
        assert_eq!(found("anm@example.com"), ["ann@example.com", "anna@example.com"]);
        assert_eq!(found("ann@example.org"), ["ann@example.com"]);
        assert!(found("zoe@example.com").is_empty() && found("").is_empty() && found("@x").is_empty());
        assert_eq!(span(&connection).unwrap(), Some((5, 9)));
    }
}
