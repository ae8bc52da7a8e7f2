//! Writes what lists an address for suppression and what lifts it again.
//!
//! Causes are rare. Lifts are kept for the addresses only that have a cause, and from the first of these on: nothing
//! is lifted by what was before. When the first cause of an address comes, what was delivered to it since is looked up
//! once; from then on each `delivered` event to it adds its row. An ordinary event is to an address of which a filter says
//! that it has no cause.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Row, params};

use super::blocks::{self, Table};
use super::eid::Eid;
use super::names::Names;
use super::statements::Statements;
use super::{Error, delivery_rows, event_rows, people, spans};
use crate::domain::suppression::{self, Mark};
use crate::domain::{Channel, Counted, Delta, Metric, Millis, Text};

/// An address on a channel: what is listed.
pub type Listed = (Text, Channel);

/// Writes how causes and lifts moved. The rows of the deliveries and of their events are written already.
pub fn write(connection: &Statements, names: &mut Names, delta: &Delta) -> Result<(), Error> {
    let mut causes: BTreeMap<Listed, Vec<(&Mark, i64)>> = BTreeMap::new();
    for (mark, n) in &delta.causes {
        causes.entry((mark.address.clone(), mark.channel)).or_default().push((mark, *n));
    }
    // first: by these is found what was delivered since
    let newest = names.filters.last(connection, Table::Deliveries)?.map(blocks::block_of);
    for mark in delta.lifts.iter().filter(|(_, n)| **n > 0).map(|(mark, _)| mark) {
        let delivery = delivery_rows::written(connection, names, &mark.delivery_id)?;
        if Some(blocks::block_of(delivery)) != newest {
            spans::delivered(connection, delivery, mark.at_ms)?;
        }
    }
    for (listed, marks) in &causes {
        let (address, channel) = listed;
        let was = first_cause(connection, address, *channel)?;
        for (mark, n) in marks {
            write_cause(connection, names, mark, *n)?;
        }
        match (was, first_cause(connection, address, *channel)?) {
            (was, Some(first)) if was.is_none_or(|was| first < was) => {
                for lift in lifts_of(connection, names, listed, first)? {
                    write_lift(connection, lift.delivery, &lift.mark, 1)?;
                }
            }
            (Some(was), first) if first != Some(was) => {
                let sql = "DELETE FROM suppression_lifts WHERE address = ?1 AND channel = ?2 AND at_ms <= ?3";
                let until = first.unwrap_or(Millis::MAX);
                connection.prepare_cached(sql)?.execute(params![address, channel.code(), until])?;
            }
            _ => {}
        }
    }
    for (mark, n) in &delta.lifts {
        let hash = names.filters.hash(connection, &mark.address)?;
        if names.filters.blocks_with(connection, Table::Causes, hash)?.is_empty() {
            continue;
        }
        let first = first_cause(connection, &mark.address, mark.channel)?;
        if first.is_some_and(|first| mark.at_ms > first) {
            write_lift(connection, delivery_rows::written(connection, names, &mark.delivery_id)?, mark, *n)?;
        }
    }
    Ok(())
}

/// When an address was first listed; `None` where it never was.
fn first_cause(connection: &Statements, address: &str, channel: Channel) -> Result<Option<Millis>, Error> {
    let sql = "SELECT min(at_ms) FROM suppression_causes WHERE address = ?1 AND channel = ?2";
    Ok(connection.prepare_cached(sql)?.query_row(params![address, channel.code()], |row| row.get(0))?)
}

fn write_cause(connection: &Statements, names: &mut Names, mark: &Mark, n: i64) -> Result<(), Error> {
    let delivery = delivery_rows::written(connection, names, &mark.delivery_id)?;
    let sql = if n > 0 {
        "INSERT INTO suppression_causes (address, channel, at_ms, delivery, metric, eid)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    } else {
        "DELETE FROM suppression_causes
         WHERE address = ?1 AND channel = ?2 AND at_ms = ?3 AND delivery = ?4 AND metric = ?5 AND eid = ?6"
    };
    let Mark { address, channel, at_ms, metric, event_id, .. } = mark;
    connection.prepare_cached(sql)?.execute(params![
        address,
        channel.code(),
        at_ms,
        delivery,
        metric.code(),
        Eid::pack(event_id)
    ])?;
    if n > 0 {
        let hash = names.filters.hash(connection, address)?;
        names.filters.added(Table::Causes, connection.last_insert_rowid(), hash);
    } else {
        names.filters.rows_went(connection, Table::Causes)?;
    }
    Ok(())
}

/// Writes a lift of an address that is listed; it may stand there since the first cause came.
fn write_lift(connection: &Statements, delivery: i64, mark: &Mark, n: i64) -> Result<(), Error> {
    let sql = if n > 0 {
        "INSERT OR IGNORE INTO suppression_lifts (address, channel, at_ms, delivery, eid) VALUES (?1, ?2, ?3, ?4, ?5)"
    } else {
        "DELETE FROM suppression_lifts
         WHERE address = ?1 AND channel = ?2 AND at_ms = ?3 AND delivery = ?4 AND eid = ?5"
    };
    let Mark { address, channel, at_ms, event_id, .. } = mark;
    connection.prepare_cached(sql)?.execute(params![address, channel.code(), at_ms, delivery, Eid::pack(event_id)])?;
    Ok(())
}

/// A lift, and the row of its delivery.
struct Lift {
    delivery: i64,
    mark: Mark,
}

/// What was delivered to an address after a time, read from the deliveries to it.
fn lifts_of(
    connection: &Statements,
    names: &mut Names,
    (address, channel): &Listed,
    after_ms: Millis,
) -> Result<Vec<Lift>, Error> {
    let mut lifts = Vec::new();
    for id in deliveries_to(connection, names, address, after_ms)? {
        let Some(row) = delivery_rows::one(connection, names, id)? else { continue };
        let delivery = &row.delivery;
        if delivery.attributes.channel() != Some(*channel)
            || delivery.updated_at_ms <= after_ms
            || !delivery.reached.has(Counted::Metric(Metric::Delivered))
        {
            continue;
        }
        let delivery_id: String = connection
            .prepare_cached("SELECT delivery_id FROM deliveries WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let stored = event_rows::all(connection, names, id, &delivery_id, row.shown())?;
        suppression::marks(delivery, &stored, |mark| {
            if mark.is_lift() && mark.address == *address && mark.at_ms > after_ms {
                lifts.push(Lift { delivery: id, mark });
            }
        });
    }
    Ok(lifts)
}

/// The deliveries to an address of which something may have been delivered after a time: those that have it as their
/// recipient, and those whose events mention it.
fn deliveries_to(
    connection: &Statements,
    names: &mut Names,
    address: &str,
    after_ms: Millis,
) -> Result<BTreeSet<i64>, Error> {
    let mut ids = BTreeSet::new();
    let Some(address) = people::known_address(connection, names, address)? else { return Ok(ids) };
    let Some(last) = names.filters.last(connection, Table::Deliveries)? else { return Ok(ids) };
    let mut statement = connection.prepare_cached(
        "SELECT id FROM deliveries WHERE block = ?1 AND recipient = ?2
         UNION SELECT delivery FROM mentions WHERE block = ?1 AND address = ?2",
    )?;
    for block in spans::delivered_after(connection, blocks::block_of(last), after_ms)? {
        let rows = statement.query_map([block, address], |row| row.get(0))?;
        for id in rows {
            ids.insert(id?);
        }
    }
    Ok(ids)
}

/// Writes all lifts anew, of the addresses that have a cause.
pub fn rewrite_lifts(connection: &Statements, names: &mut Names) -> Result<(), Error> {
    connection.execute("DELETE FROM suppression_lifts", [])?;
    let (mut address, mut channel) = (String::new(), -1);
    loop {
        let mut statement = connection.prepare_cached(
            "SELECT address, channel, at_ms FROM suppression_causes WHERE (address, channel) > (?1, ?2)
             ORDER BY address, channel, at_ms LIMIT 1",
        )?;
        let read = |row: &Row| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let next = statement.query_row(params![address, channel], read).optional()?;
        drop(statement);
        let Some(next) = next else { return Ok(()) };
        let first;
        (address, channel, first) = next;
        let Some(listed) = Channel::ALL.into_iter().find(|known| i64::from(known.code()) == channel) else { continue };
        for lift in lifts_of(connection, names, &(address.as_str().into(), listed), first)? {
            write_lift(connection, lift.delivery, &lift.mark, 1)?;
        }
    }
}

/// Empties both tables, before they are written anew.
pub fn clear(connection: &Statements) -> Result<(), Error> {
    connection.execute_batch("DELETE FROM suppression_lifts; DELETE FROM suppression_causes;")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::{Attribute, Event, EventTime, MetricName};
    use crate::store::{Entry, Tracker, delivery_keys, upkeep};

    const T: Millis = 1_790_000_000_000;

    fn email(delivery_id: &str, metric: &str, at_ms: Millis, reason: Option<&str>) -> Entry {
        let time = EventTime::given(at_ms);
        let mut event = Event::new(delivery_id, MetricName::parse(metric), &format!("{metric} {at_ms}"), time, at_ms);
        event.attributes.set(Attribute::Channel, Some("email"));
        event.attributes.set(Attribute::Recipient, Some("ann@example.com"));
        event.reason = reason.map(Into::into);
        Entry::event(event, "{}")
    }

    #[test]
    fn a_cause_that_another_process_wrote_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lifts.db");
        let mut trackers = [0, 1].map(|_| Tracker::open(&path).unwrap());
        let to = |n: i64, metric: &str, at_ms: i64| {
            let mut entry = email(&format!("{metric} {n}"), metric, T + at_ms, Some("550 no such user"));
            if let Entry::Event(ready) = &mut entry {
                let mut event = ready.event().clone();
                event.attributes.set(Attribute::Recipient, Some(&format!("{n}@example.com")));
                entry = Entry::event(event, "{}");
            }
            entry
        };
        for n in 0..40 {
            let [one, other] = &mut trackers;
            let (one, other) = if n % 3 == 0 { (one, other) } else { (other, one) };
            one.record(&[&to(n, "bounced", 1)], T).unwrap();
            other.record(&[&to(n, "delivered", 2), &to(n + 1, "delivered", 2)], T).unwrap();
            let lifts = "SELECT count(*) FROM suppression_lifts";
            assert_eq!(one.connection().query_row(lifts, [], |row| row.get::<_, i64>(0)).unwrap(), n + 1);
        }
        assert_eq!(upkeep::verify(trackers[0].connection(), |_| {}).unwrap().told, [""; 0]);
    }

    fn take(tracker: &mut Tracker, entry: Entry) {
        tracker.record(&[&entry], T).unwrap();
    }

    /// A file whose first block ends with the delivery of this event.
    fn file_of_two_blocks(path: &Path, first: Entry) -> Tracker {
        let mut tracker = Tracker::open(path).unwrap();
        take(&mut tracker, first);
        delivery_keys::end_the_first_block(tracker.connection());
        let mut tracker = Tracker::open(path).unwrap();
        take(&mut tracker, email("b", "sent", T + 1, None));
        tracker
    }

    #[test]
    fn what_is_delivered_to_no_address_lifts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let to_nobody = |metric: &str, at_ms: Millis| match email("a", metric, at_ms, None) {
            Entry::Event(ready) => {
                let mut event = ready.event().clone();
                event.attributes.set(Attribute::Recipient, None);
                Entry::event(event, "{}")
            }
            entry => entry,
        };
        let mut tracker = file_of_two_blocks(&folder.path().join("lifts.db"), to_nobody("sent", T));
        take(&mut tracker, to_nobody("delivered", T + 10));
        assert_eq!(upkeep::verify(tracker.connection(), |_| {}).unwrap().told, [""; 0]);
        // until it is known to whom it was
        take(&mut tracker, email("a", "opened", T + 20, None));
        take(&mut tracker, email("b", "bounced", T + 5, Some("550 no such user")));
        let lifts = "SELECT count(*) FROM suppression_lifts";
        assert_eq!(tracker.connection().query_row(lifts, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        assert_eq!(upkeep::verify(tracker.connection(), |_| {}).unwrap().told, [""; 0]);
    }

    #[test]
    fn what_was_delivered_late_of_an_older_block_lifts() {
        let folder = tempfile::tempdir().unwrap();
        let mut tracker = file_of_two_blocks(&folder.path().join("lifts.db"), email("a", "sent", T, None));
        take(&mut tracker, email("a", "delivered", T + 10, None));
        take(&mut tracker, email("a", "delivered", T + 3, None));
        let lifts = |tracker: &mut Tracker| -> String {
            let sql = "SELECT coalesce(group_concat(at_ms - ?1, ' ' ORDER BY at_ms), '') FROM suppression_lifts";
            tracker.connection().query_row(sql, [T], |row| row.get(0)).unwrap()
        };
        for (cause_ms, kept) in [(T + 20, ""), (T + 5, "10"), (T + 10, "10"), (T + 2, "3 10")] {
            take(&mut tracker, email("b", "bounced", cause_ms, Some("550 no such user")));
            assert_eq!(lifts(&mut tracker), kept, "as of a cause at {}", cause_ms - T);
            assert_eq!(upkeep::verify(tracker.connection(), |_| {}).unwrap().told, [""; 0]);
        }
        tracker.connection().execute("UPDATE delivery_spans SET delivered_ms = ?1", [T]).unwrap();
        let told = upkeep::verify(tracker.connection(), |_| {}).unwrap().told;
        assert_eq!((told.len(), &*told[0]), (3, "delivery a: more was delivered of it than delivery_spans says"));
        upkeep::rebuild(tracker.connection(), |_| {}).unwrap();
        assert_eq!(lifts(&mut tracker), "3 10");
        assert_eq!(upkeep::verify(tracker.connection(), |_| {}).unwrap().told, [""; 0]);
    }
}
