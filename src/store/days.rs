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

/// The first day that is not summed and may be: its first quarter hour that counts anything, and up to which day. By what
/// happened last, and by the clock of what was received, as a time that is told may be of the future.
fn next(connection: &Connection) -> Result<Option<(i64, i64)>, Error> {
    let newest = |sql: &str| -> Result<Option<i64>, Error> {
        Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    };
    let newest = newest("SELECT max(quarter) FROM receipts")?.zip(newest(HAPPENED)?);
    let Some(end) = newest.map(|(received, happened)| day_of(received.min(happened)) - LATE) else { return Ok(None) };
    let done = until(connection)?;
    if done.is_some_and(|done| done >= end) {
        return Ok(None);
    }
    let from = done.map_or(i64::MIN, |done| done * QUARTERS);
    let mut statement = connection.prepare_cached(FIRST)?;
    let first: Option<i64> = statement.query_row([from], |row| row.get(0))?;
    Ok(Some((first.map_or(end, |quarter| day_of(quarter).min(end)), end)))
}

const HAPPENED: &str = "SELECT max((SELECT max(quarter) FROM activity WHERE source = s.id)) FROM sources s";

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

    /// Hands over what is read: the quarter hour under which it is filed, another from which it is to be taken away
    /// where its day is filed there, and the row. Both queries take the range as their first parameters, and give the
    /// quarter hour or the day first.
    pub fn each(
        &self,
        connection: &Connection,
        [by_quarter, by_day]: [&str; 2],
        more: &[&dyn ToSql],
        mut each: impl FnMut(i64, Option<i64>, &Row) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let mut statement = connection.prepare_cached(by_quarter)?;
        for (from, to, less) in &self.quarters {
            let range: [&dyn ToSql; 2] = [from, to];
            let values: Vec<&dyn ToSql> = range.into_iter().chain(more.iter().copied()).collect();
            let mut rows = statement.query(&values[..])?;
            while let Some(row) = rows.next()? {
                each(row.get(0)?, *less, row)?;
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
                each(quarter, None, row)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::rollup::QUARTER_MS;
    use crate::domain::{Attribute, Event, EventTime, Metric, MetricName, Millis, SourceKind};
    use crate::store::log::{Filter, SourceRef, total};
    use crate::store::sources::{self, Range};
    use crate::store::{Entry, Tracker, events, source, upkeep};

    /// Where the days begin that are looked at.
    const FIRST: Millis = 20_000 * QUARTERS * QUARTER_MS;

    /// An event of one of a few deliveries: which, what, and at which quarter hour; or some tidying.
    fn step() -> impl Strategy<Value = Option<(u8, u8, i64)>> {
        prop_oneof![3 => (0..12u8, 0..4u8, 0..8 * QUARTERS).prop_map(Some), 1 => Just(None)]
    }

    fn entry((delivery, metric, quarter): (u8, u8, i64)) -> Entry {
        let name = MetricName::parse(["sent", "opened", "clicked", "bounced"][metric as usize]);
        let time = EventTime::given(FIRST + quarter * QUARTER_MS + i64::from(delivery));
        let id = format!("{delivery} {metric} {quarter}");
        let mut event = Event::new(&format!("d{delivery}"), name, &id, time, time.ms);
        event.attributes = std::mem::take(&mut event.attributes)
            .with(Attribute::Channel, ["email", "sms"][usize::from(delivery % 2)])
            .with(Attribute::ActionId, ["1", "2"][usize::from(delivery / 2 % 2)])
            .with(SourceKind::Campaign.attribute(), ["3", "4"][usize::from(delivery / 4 % 2)]);
        Entry::event(event, "{}")
    }

    /// All that is read by [`Reading`], said in words.
    fn said(connection: &Connection, from: i64, to: i64, bounds: &[i64]) -> String {
        let ms = |quarter: i64| FIRST + quarter * QUARTER_MS;
        let range = Range { since_ms: ms(from), until_ms: ms(to) };
        let starts: Vec<Millis> = [from].iter().chain(bounds).map(|quarter| ms(*quarter)).collect();
        let (first, _) = range.quarters();
        let quarters: Vec<i64> = starts.iter().map(|at| first + (at - range.since_ms) / QUARTER_MS).collect();
        let mut said = String::new();
        for id in [1, 2] {
            let cohorts = source::cohorts(connection, id, range, &quarters).unwrap();
            let created = source::created_in(&cohorts, &starts, range.until_ms);
            let happened = source::happened_in(connection, id, &starts, range.until_ms).unwrap();
            for series in [created, happened] {
                let series: BTreeMap<_, _> = series.into_iter().filter(|(_, counts)| !counts.is_zero()).collect();
                said += &format!("{id} {series:?}\n");
            }
            said += &format!(
                "{:?}\n",
                source::messages(connection, &cohorts, range)
                    .unwrap()
                    .iter()
                    .filter(|it| !it.counts.is_zero())
                    .collect::<Vec<_>>()
            );
        }
        let shown: BTreeMap<_, _> = sources::shown(connection, range).unwrap().into_iter().collect();
        let source = Some(SourceRef { kind: "campaign".into(), id: "3".into() });
        let filter = Filter { source, since_ms: Some(ms(from)), until_ms: Some(ms(to)), ..Filter::default() };
        let of_events = events::Filter {
            kinds: vec![events::Kind::Counted(crate::domain::Counted::Metric(Metric::Opened))],
            from_ms: Some(ms(from)),
            to_ms: Some(ms(to)),
            ..events::Filter::default()
        };
        said + &format!(
            "{shown:?} {:?} {:?}",
            total::of_deliveries(connection, &filter).unwrap(),
            total::of_events(connection, &of_events).unwrap()
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn days_say_what_their_quarter_hours_do(
            batches in vec(vec(step(), 1..12), 1..12),
            ranges in vec((0..7 * QUARTERS, 0..7 * QUARTERS, vec(0..7 * QUARTERS, 0..9)), 12),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut tracker = Tracker::open(&folder.path().join("days.db")).unwrap();
            for (place, steps) in batches.iter().enumerate() {
                let entries: Vec<Entry> = steps.iter().copied().flatten().map(entry).collect();
                // received later and later, so that some days are summed, and events come for them after that
                let received_at_ms = FIRST + place as i64 * QUARTERS / 2 * QUARTER_MS;
                tracker.record(&entries.iter().collect::<Vec<_>>(), received_at_ms).unwrap();
                if steps.contains(&None) {
                    while tracker.tidy().unwrap() {}
                }
            }
            prop_assert_eq!(upkeep::verify(tracker.connection(), |_| {}).unwrap().told, [""; 0]);
            let read = |tracker: &mut Tracker| -> Vec<String> {
                let connection = tracker.connection();
                let one = |(a, b, bounds): &(i64, i64, Vec<i64>)| {
                    let (from, to) = (*a.min(b), *a.max(b));
                    let mut bounds: Vec<i64> = bounds.iter().copied().filter(|at| (from + 1..to).contains(at)).collect();
                    bounds.sort_unstable();
                    bounds.dedup();
                    said(connection, from, to, &bounds)
                };
                ranges.iter().map(one).collect()
            };
            let with_days = read(&mut tracker);
            clear(tracker.connection()).unwrap();
            prop_assert_eq!(with_days, read(&mut tracker));
        }
    }

    #[test]
    fn a_day_that_is_not_the_sum_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracker = Tracker::open(&folder.path().join("days.db")).unwrap();
        let entries = [(1, 0, 0), (1, 1, 500), (2, 0, 9 * QUARTERS)].map(entry);
        tracker.record(&entries.iter().collect::<Vec<_>>(), FIRST + 20 * QUARTERS * QUARTER_MS).unwrap();
        while tracker.tidy().unwrap() {}
        let connection = tracker.connection();
        let days = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(days("SELECT count(*) FROM cohort_days"), 1);
        assert_eq!(days("SELECT count(*) FROM activity_days"), 2);
        assert_eq!((until(connection).unwrap(), wrong(connection).unwrap()), (Some(20_007), 0));
        for damage in ["UPDATE cohort_days SET opened = 2", "DELETE FROM activity_days WHERE opened IS NOT NULL"] {
            connection.execute_batch(damage).unwrap();
            assert!(wrong(connection).unwrap() > 0, "{damage}");
        }
        upkeep::rebuild(connection, |_| {}).unwrap();
        assert_eq!((until(connection).unwrap(), wrong(connection).unwrap()), (None, 0));
    }
}
