//! The counts by quarter hour, summed by day, so that a long range reads few rows.
//!
//! A day is summed by the writer while nothing waits, once little more is to come of it; what still comes is added to
//! the day as to the quarter hour. Until then, and at the edges of a range, the quarter hours are read.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::rollups::{self, Wide};
use super::{Error, statements::Statements};
use crate::domain::Counts;

/// A day has so many quarter hours.
const QUARTERS: i64 = 96;

/// What happens so many days later still is little: the days before are summed.
const LATE: i64 = 2;

/// The day of a quarter hour, counted from 1970.
pub fn day_of(quarter: i64) -> i64 {
    quarter.div_euclid(QUARTERS)
}

/// All days before this one are summed. `None`: none is.
pub fn until(connection: &Connection) -> Result<Option<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = 'days_until'")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?)
}

fn set_until(connection: &Connection, day: i64) -> Result<(), Error> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO settings (key, value) VALUES ('days_until', ?1)")?;
    statement.execute([day])?;
    Ok(())
}

/// The first day that is not summed and may be: its first quarter hour that counts anything, and up to which day. By the
/// clock of what was received, as a time that is told may be of the future.
fn next(connection: &Connection) -> Result<Option<(i64, i64)>, Error> {
    let newest: Option<i64> =
        connection.prepare_cached("SELECT max(quarter) FROM receipts")?.query_row([], |row| row.get(0))?;
    let Some(end) = newest.map(|quarter| day_of(quarter) - LATE) else { return Ok(None) };
    let done = until(connection)?;
    if done.is_some_and(|done| done >= end) {
        return Ok(None);
    }
    let from = done.map_or(i64::MIN, |done| done * QUARTERS);
    let mut statement = connection.prepare_cached(FIRST)?;
    let first: Option<i64> = statement.query_row([from], |row| row.get(0))?;
    Ok(Some((first.map_or(end, |quarter| day_of(quarter).min(end)), end)))
}

/// Messages and sources are few, and of each the first is known.
pub(super) const FIRST: &str = "SELECT min(first) FROM (
        SELECT (SELECT min(quarter) FROM cohorts WHERE message = g.id AND quarter >= ?1) AS first FROM messages g
        UNION ALL
        SELECT (SELECT min(quarter) FROM activity WHERE source = s.id AND quarter >= ?1) FROM sources s)";

pub fn can_sum(connection: &Connection) -> Result<bool, Error> {
    Ok(next(connection)?.is_some())
}

/// Sums the next day. Within a transaction.
pub fn sum_one(connection: &Connection) -> Result<(), Error> {
    let Some((day, end)) = next(connection)? else { return Ok(()) };
    if day == end {
        return set_until(connection, end);
    }
    for (wide, of, quarters) in [
        (&rollups::COHORT_DAYS, "message", "messages g CROSS JOIN cohorts t ON t.message = g.id"),
        (&rollups::ACTIVITY_DAYS, "source, channel", "sources s CROSS JOIN activity t ON t.source = s.id"),
    ] {
        let columns = wide.packed_columns();
        let sums: Vec<String> = columns.iter().map(|name| format!("nullif(sum(t.{name}), 0)")).collect();
        let of_row: Vec<String> = of.split(", ").map(|name| format!("t.{name}")).collect();
        let of_row = of_row.join(", ");
        let sql = format!(
            "INSERT INTO {} (day, {of}, {}) SELECT ?3, {of_row}, {} FROM {quarters}
            WHERE t.quarter >= ?1 AND t.quarter < ?2 GROUP BY {of_row}",
            wide.table,
            columns.join(", "),
            sums.join(", ")
        );
        connection.prepare_cached(&sql)?.execute(params![day * QUARTERS, (day + 1) * QUARTERS, day])?;
    }
    set_until(connection, day + 1)
}

/// Forgets the sums: the writer makes them again.
pub fn clear(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch(
        "DELETE FROM cohort_days; DELETE FROM activity_days; DELETE FROM settings WHERE key = 'days_until'",
    )?;
    Ok(())
}

/// How counts of quarter hours move, where their days are summed.
pub struct Moved {
    until: Option<i64>,
    days: HashMap<(&'static str, i64, i64, i64), Counts>,
}

impl Moved {
    pub fn new(connection: &Connection) -> Result<Moved, Error> {
        Ok(Moved { until: until(connection)?, days: HashMap::new() })
    }

    pub fn cohort(&mut self, quarter: i64, message: i64, counts: &Counts) {
        self.add(rollups::COHORT_DAYS.table, quarter, (message, 0), counts);
    }

    pub fn activity(&mut self, quarter: i64, source: i64, channel: i64, counts: &Counts) {
        self.add(rollups::ACTIVITY_DAYS.table, quarter, (source, channel), counts);
    }

    fn add(&mut self, table: &'static str, quarter: i64, (of, channel): (i64, i64), counts: &Counts) {
        if self.until.is_some_and(|until| day_of(quarter) < until) {
            self.days.entry((table, of, day_of(quarter), channel)).or_default().add(counts, 1);
        }
    }

    pub fn write(self, connection: &Statements) -> Result<(), Error> {
        let mut days: Vec<_> = self.days.into_iter().collect();
        // sorted, so that neighbours in a tree are written one after the other
        days.sort_unstable_by_key(|(key, _)| *key);
        for ((table, of, day, channel), counts) in days {
            if table == rollups::COHORT_DAYS.table {
                rollups::COHORT_DAYS.add(connection, &[day.into(), of.into()], &counts)?;
            } else {
                rollups::ACTIVITY_DAYS.add(connection, &[day.into(), of.into(), channel.into()], &counts)?;
            }
        }
        Ok(())
    }
}

/// How many days are not the sum of their quarter hours.
pub fn wrong(connection: &Connection) -> Result<i64, Error> {
    let end = until(connection)?.map_or(i64::MIN, |day| day * QUARTERS);
    let wrong = |wide: &Wide, quarters: &str, of: &str| -> Result<i64, Error> {
        let columns = wide.packed_columns();
        let sums: Vec<String> = columns.iter().map(|name| format!("nullif(sum({name}), 0) AS {name}")).collect();
        let sql = format!(
            "WITH summed AS (
                SELECT (quarter - (quarter % {QUARTERS} + {QUARTERS}) % {QUARTERS}) / {QUARTERS} AS day, {of}, {}
                FROM {quarters} WHERE quarter < ?1 GROUP BY 1, {of}),
            stands AS (SELECT day, {of}, {} FROM {})
            SELECT (SELECT count(*) FROM (SELECT * FROM summed EXCEPT SELECT * FROM stands))
                + (SELECT count(*) FROM (SELECT * FROM stands EXCEPT SELECT * FROM summed))",
            sums.join(", "),
            columns.join(", "),
            wide.table
        );
        Ok(connection.query_row(&sql, [end], |row| row.get(0))?)
    };
    Ok(wrong(&rollups::COHORT_DAYS, "cohorts", "message")?
        + wrong(&rollups::ACTIVITY_DAYS, "activity", "source, channel")?)
}

/// How a range of quarter hours is read: its whole days from their sums, the rest one by one.
pub struct Reading {
    days: Option<(i64, i64)>,
    /// Days that are not read, or are filed under another quarter hour than their first.
    filed: HashMap<i64, Option<i64>>,
    /// From and to, and where the day is filed that they are taken from.
    quarters: Vec<(i64, i64, Option<i64>)>,
}

impl Reading {
    /// Of a range, where what lies on either side of each bound (in order) is told apart: whatever is read stands in
    /// the quarter hour where it is filed, or beyond no bound from it.
    pub fn of(connection: &Connection, from: i64, to: i64, bounds: &[i64]) -> Result<Reading, Error> {
        let first = day_of(from.saturating_add(QUARTERS - 1));
        let end = until(connection)?.map_or(i64::MIN, |until| until.min(day_of(to)));
        if first >= end {
            return Ok(Reading { days: None, filed: HashMap::new(), quarters: vec![(from, to, None)] });
        }
        let (begin, finish) = (first * QUARTERS, end * QUARTERS);
        let edges = [(from, begin, None), (finish, to, None)];
        let mut quarters: Vec<_> = edges.into_iter().filter(|(from, to, _)| from < to).collect();
        let mut filed = HashMap::new();
        let mut inner =
            bounds.iter().copied().filter(|at| (begin..finish).contains(at) && at % QUARTERS != 0).peekable();
        while let Some(at) = inner.next() {
            let day = day_of(at);
            let (starts, ends) = (day * QUARTERS, (day + 1) * QUARTERS);
            if inner.peek().is_some_and(|next| day_of(*next) == day) {
                while inner.next_if(|next| day_of(*next) == day).is_some() {}
                filed.insert(day, None);
                quarters.push((starts, ends, None));
            } else if at - starts <= ends - at {
                // the shorter side is read, and taken from the day
                filed.insert(day, Some(at));
                quarters.push((starts, at, Some(at)));
            } else {
                quarters.push((at, ends, Some(starts)));
            }
        }
        Ok(Reading { days: Some((first, end)), filed, quarters })
    }

    /// Hands over what is read: the quarter hour under which it is filed, whether it is to be added (1) or taken away
    /// (-1), and the row. Both queries take the range as their first parameters, and give the quarter hour or the day
    /// first.
    pub fn each(
        &self,
        connection: &Connection,
        [by_quarter, by_day]: [&str; 2],
        more: &[&dyn ToSql],
        mut each: impl FnMut(i64, i64, &Row) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let mut statement = connection.prepare_cached(by_quarter)?;
        for (from, to, less) in &self.quarters {
            let range: [&dyn ToSql; 2] = [from, to];
            let values: Vec<&dyn ToSql> = range.into_iter().chain(more.iter().copied()).collect();
            let mut rows = statement.query(&values[..])?;
            while let Some(row) = rows.next()? {
                each(row.get(0)?, 1, row)?;
                if let Some(filed) = less {
                    each(*filed, -1, row)?;
                }
            }
        }
        let Some((from, to)) = self.days else { return Ok(()) };
        let mut statement = connection.prepare_cached(by_day)?;
        let range: [&dyn ToSql; 2] = [&from, &to];
        let values: Vec<&dyn ToSql> = range.into_iter().chain(more.iter().copied()).collect();
        let mut rows = statement.query(&values[..])?;
        while let Some(row) = rows.next()? {
            let day: i64 = row.get(0)?;
            if let Some(quarter) = self.filed.get(&day).copied().unwrap_or(Some(day * QUARTERS)) {
                each(quarter, 1, row)?;
            }
        }
        Ok(())
    }
}
