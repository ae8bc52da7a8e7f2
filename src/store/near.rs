//! Why a filter may find nothing: what else is there. Bounded, as it is asked for comfort.

use std::collections::BTreeSet;

use rusqlite::{Connection, named_params};

use super::blocks::{self, Table};
use super::log::{self, Filter};
use super::paging::Direction;
use super::{Error, walk};
use crate::domain::Millis;
use crate::domain::rollup::{QUARTER_MS, quarter_of};

/// Addresses so near are told; a look ends after so many that begin alike.
const TOLD: usize = 5;
const LOOKED_AT: usize = 2_000;

/// How many letters may differ.
const FAR: usize = 2;

/// Letters with which near addresses begin alike.
const BEGINNING: usize = 2;

/// When the first and the last delivery were created.
pub fn span(connection: &Connection) -> Result<Option<(Millis, Millis)>, Error> {
    let Some((leads, rest)) = log::plan(connection, &Filter::default())? else { return Ok(None) };
    let end = |direction| walk::walk(connection, &leads, &rest, direction, None, 1, 1);
    let (first, last) = (end(Direction::Newer)?, end(Direction::Older)?);
    Ok(first.found.first().zip(last.found.first()).map(|(first, last)| (first.at_ms, last.at_ms)))
}

/// A stretch of time in which nothing happened: from its beginning to its end.
pub type Gap = (Millis, Millis);

/// Shorter pauses say nothing.
const GAP_MS: Millis = 3_600_000;
/// How far back from the last event of a range is looked: a week.
const QUARTERS: i64 = 7 * 96;

/// The longest stretches within a range in which no event happened, in order of time, and since when was looked at.
/// Outside of all that is known there is no gap: nothing had begun, or it has ended.
pub fn gaps(connection: &Connection, since_ms: Millis, until_ms: Millis) -> Result<(Vec<Gap>, Millis), Error> {
    let edge = |sql: &str, quarter: i64| -> Result<Option<i64>, Error> {
        Ok(connection.prepare_cached(sql)?.query_row([quarter], |row| row.get(0))?)
    };
    // the gap that the range begins or ends in may reach beyond it
    let end = quarter_of(until_ms.saturating_sub(1)).saturating_add(1);
    let Some(newest) = edge(BEFORE, end)? else {
        return Ok((Vec::new(), since_ms.max(end.saturating_mul(QUARTER_MS))));
    };
    let first = quarter_of(since_ms).max(newest.saturating_sub(QUARTERS)).min(newest);
    let mut statement = connection.prepare_cached(WITHIN)?;
    let within = statement.query_map([first, end], |row| row.get(0))?;
    let mut active = within.collect::<Result<BTreeSet<i64>, _>>()?;
    active.extend(edge(BEFORE, first)?);
    active.extend(edge(AFTER, end)?);

    let pairs = active.iter().zip(active.iter().skip(1));
    let long =
        pairs.filter(|(quarter, next)| **next > quarter_of(since_ms) && (*next - *quarter - 1) * QUARTER_MS >= GAP_MS);
    let mut gaps: Vec<Gap> = long.map(|(quarter, next)| ((quarter + 1) * QUARTER_MS, next * QUARTER_MS)).collect();
    gaps.sort_unstable_by_key(|(from, to)| from - to);
    gaps.truncate(TOLD);
    gaps.sort_unstable();
    Ok((gaps, since_ms.max(first.saturating_mul(QUARTER_MS))))
}

/// Each source's activity is in order of time, and sources are few.
const BEFORE: &str =
    "SELECT max((SELECT max(quarter) FROM activity WHERE source = s.id AND quarter < ?1)) FROM sources s";
const AFTER: &str =
    "SELECT min((SELECT min(quarter) FROM activity WHERE source = s.id AND quarter >= ?1)) FROM sources s";
const WITHIN: &str = "SELECT a.quarter FROM sources s CROSS JOIN activity a ON a.source = s.id
    WHERE a.quarter >= ?1 AND a.quarter < ?2";

/// Recipients that are spelled nearly so, nearest first: another case, or a letter or two apart.
pub fn addresses(connection: &Connection, asked: &str) -> Result<Vec<String>, Error> {
    let wanted = asked.to_lowercase();
    let beginning = |text: &str| text.chars().take(BEGINNING).collect::<String>();
    let first_upper = |text: &str| {
        let mut letters = text.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    };
    let mut beginnings =
        vec![beginning(asked), beginning(&wanted), beginning(&asked.to_uppercase()), first_upper(&beginning(&wanted))];
    beginnings.sort_unstable();
    beginnings.dedup();
    let mut statement = connection.prepare_cached(
        "SELECT address FROM addresses WHERE block = :block AND address BETWEEN :from AND :to LIMIT :limit",
    )?;
    let (mut near, mut left, letters) = (Vec::new(), LOOKED_AT, Letters::of(wanted));
    for block in blocks::of(connection, Table::Addresses)? {
        for from in beginnings.iter().filter(|from| !from.is_empty()) {
            // the greatest character ends every address that starts so
            let to = format!("{from}{}", char::MAX);
            let mut rows =
                statement.query(named_params! {":block": block, ":from": from, ":to": to, ":limit": left as i64})?;
            while let Some(row) = rows.next()? {
                let address: String = row.get(0)?;
                left -= 1;
                if let Some(apart) = letters.distance(&address)
                    && address != asked
                {
                    near.push((apart, address));
                }
            }
        }
        if left == 0 {
            break;
        }
    }
    near.sort_unstable();
    near.dedup();
    near.truncate(TOLD);
    Ok(near.into_iter().map(|(_, address)| address).collect())
}

/// A spelling in lower case, to be compared with many.
struct Letters {
    text: String,
    counts: [i32; 64],
}

/// How often each letter stands in a text: letters that share a place count as one.
fn counts(text: &str) -> [i32; 64] {
    let mut counts = [0; 64];
    text.bytes().for_each(|byte| counts[usize::from(byte) % 64] += 1);
    counts
}

impl Letters {
    fn of(text: String) -> Letters {
        Letters { counts: counts(&text), text }
    }

    /// How many letters must change, where it is not too far. A letter that is put in, left out or taken for another
    /// changes at most two of the counts by its bytes, and one that changes places none: most are told to be far
    /// by that alone.
    fn distance(&self, other: &str) -> Option<usize> {
        let other = other.to_lowercase();
        let differ: u32 = self.counts.iter().zip(counts(&other)).map(|(a, b)| a.abs_diff(b)).sum();
        // a letter has up to four bytes
        let most = if self.text.is_ascii() && other.is_ascii() { 2 * FAR } else { 8 * FAR };
        if differ as usize > most {
            return None;
        }
        Some(strsim::osa_distance(&self.text, &other)).filter(|apart| *apart <= FAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_told_within_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::store::sqlite::open(&folder.path().join("gaps.db")).unwrap();
        connection
            .execute_batch("INSERT INTO sources (id, source_kind, source_id) VALUES (9, 'campaign', '3')")
            .unwrap();
        let gaps = |since: i64, until: i64| {
            let (gaps, _) = gaps(&connection, since * QUARTER_MS, until * QUARTER_MS).unwrap();
            gaps.into_iter().map(|(from, to)| (from / QUARTER_MS, to / QUARTER_MS)).collect::<Vec<_>>()
        };
        assert_eq!(gaps(0, 1_000), []);
        for quarter in [10, 11, 14, 30, 31, 50] {
            for channel in [0, 1] {
                let sql = "INSERT INTO activity (quarter, source, channel, sent) VALUES (?1, 9, ?2, 1)";
                connection.execute(sql, [quarter, channel]).unwrap();
            }
        }
        // two quarters are no gap, and neither is what comes before the first or after the last
        assert_eq!(gaps(0, 1_000), [(15, 30), (32, 50)]);
        assert_eq!(gaps(0, 31), [(15, 30)]);
        // a range within a gap is told of all of it
        assert_eq!(gaps(35, 40), [(32, 50)]);
        assert_eq!(gaps(60, 70), []);
    }

    #[test]
    fn near_spellings_are_found_nearest_first() {
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::store::sqlite::open(&folder.path().join("near.db")).unwrap();
        for address in
            ["ann@example.com", "anne@example.com", "Anna@example.com", "bob@example.com", "an@x.y", "+15550001"]
        {
            connection.execute("INSERT INTO addresses (address) VALUES (?1)", [address]).unwrap();
        }
        let found = |asked| addresses(&connection, asked).unwrap();
        assert_eq!(found("ANN@example.com"), ["ann@example.com", "Anna@example.com", "anne@example.com"]);
        assert_eq!(found("anne@exmaple.com"), ["anne@example.com", "Anna@example.com", "ann@example.com"]);
        assert_eq!(found("+15550010"), ["+15550001"]);
        assert!(found("zoe@example.com").is_empty() && found("").is_empty());
        assert_eq!(span(&connection).unwrap(), None);
    }
}
