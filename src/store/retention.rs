//! Drops what is old: the JSON of events, the events of deliveries, and deliveries. All counts stay.
//!
//! Each step is a small transaction, so that the feed never waits long. What was dropped, and of which time, stands in the
//! table `retention`. A delivery whose events were dropped keeps its row and is marked (`pruned_at_ms`): what comes for it
//! later changes nothing, since nobody could tell whether it was counted. So it is with events of deliveries that are gone.
//! A delivery that lists an address for suppression, or is the first to lift it, keeps its row.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::Error;
use crate::domain::Millis;

/// How long the JSON of an event is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepBodies {
    #[default]
    Forever,
    For(Duration),
    /// It is not stored at all.
    Never,
}

/// A number of bytes such as `20GB`, `500MB` or `1.5TB`; without a unit, bytes.
///
/// # Errors
/// What to write instead.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: f64 = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "K" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "T" | "TB" => 1e12,
        _ => return Err("use a size such as 20GB or 500MB".into()),
    };
    let number = digits.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.map(|number| (number * unit) as u64).ok_or_else(|| "use a size such as 20GB or 500MB".into())
}

impl FromStr for KeepBodies {
    type Err = String;

    /// `forever`, `none`, or a time such as `90d`.
    fn from_str(text: &str) -> Result<KeepBodies, String> {
        match text {
            "forever" => Ok(KeepBodies::Forever),
            "none" => Ok(KeepBodies::Never),
            text => humantime::parse_duration(text)
                .map(KeepBodies::For)
                .map_err(|error| format!("use a time such as 90d, or forever, or none ({error})")),
        }
    }
}

impl fmt::Display for KeepBodies {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            KeepBodies::Forever => f.write_str("forever"),
            KeepBodies::Never => f.write_str("none"),
            KeepBodies::For(time) => humantime::format_duration(*time).fmt(f),
        }
    }
}

/// How long things are kept. `None`: forever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub bodies: KeepBodies,
    /// The events of a delivery, from its creation on.
    pub events: Option<Duration>,
    /// Deliveries, likewise.
    pub deliveries: Option<Duration>,
    /// How many bytes of the file may be in use, without its write-ahead log.
    pub max_bytes: Option<u64>,
}

/// What is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The JSON of events as it came.
    Bodies,
    /// The events of deliveries, which stay with their status and times.
    Events,
    /// Deliveries and their events.
    Deliveries,
}

impl What {
    pub const ALL: [What; 3] = [What::Bodies, What::Events, What::Deliveries];

    /// Its name in SQL and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            What::Bodies => "bodies",
            What::Events => "events",
            What::Deliveries => "deliveries",
        }
    }

    pub fn parse(name: &str) -> Option<What> {
        What::ALL.into_iter().find(|what| what.name() == name)
    }
}

impl Keep {
    /// What is old by now: bodies received, or deliveries created, before a time.
    pub fn due(self, now_ms: Millis) -> impl Iterator<Item = (What, Millis)> {
        let before = |time: Duration| now_ms.saturating_sub(Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX));
        let bodies = match self.bodies {
            KeepBodies::Forever => None,
            KeepBodies::Never => Some(Millis::MAX),
            KeepBodies::For(time) => Some(before(time)),
        };
        let ages = [bodies, self.events.map(before), self.deliveries.map(before)];
        What::ALL.into_iter().zip(ages).filter_map(|(what, before_ms)| Some((what, before_ms?)))
    }
}

/// What goes first where the file is too large, oldest first, and how young it must not be: the last week is what people
/// look at, and what events still come for.
pub const FOR_ROOM: [(What, Millis); 6] = [
    (What::Bodies, 7 * DAY_MS),
    (What::Events, 30 * DAY_MS),
    (What::Deliveries, 90 * DAY_MS),
    (What::Bodies, 0),
    (What::Events, 7 * DAY_MS),
    (What::Deliveries, 7 * DAY_MS),
];

/// How many bodies, events or deliveries one step drops, about.
const STEP: i64 = 500;

/// How far a pass through old deliveries has come. Those that stay for a suppression are passed by until the next begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass {
    /// The day on which it began, since 1970.
    day: i64,
    created_at_ms: Millis,
    id: i64,
}

/// What a step has dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    pub bodies: u64,
    pub events: u64,
    /// Deliveries whose events were dropped, or that are gone.
    pub deliveries: u64,
    /// There may be more.
    pub more: bool,
    /// Of which time the newest is.
    newest_ms: Millis,
}

/// Drops some of what is older than `before_ms`, oldest first, and notes it: where it is all to go, as dropped up to then,
/// `for_room` as far as it went.
pub fn drop_some(
    connection: &Connection,
    pass: &mut Pass,
    (what, before_ms): (What, Millis),
    for_room: bool,
    now_ms: Millis,
) -> Result<Dropped, Error> {
    let dropped = match what {
        What::Bodies => drop_bodies(connection, before_ms)?,
        What::Events => drop_events(connection, before_ms, now_ms)?,
        What::Deliveries => drop_deliveries(connection, pass, before_ms, now_ms)?,
    };
    let n = match what {
        What::Bodies => dropped.bodies,
        What::Events => dropped.events,
        What::Deliveries => dropped.deliveries,
    };
    let before_ms = if for_room { dropped.newest_ms + 1 } else { before_ms.min(now_ms) };
    if n > 0 {
        note(connection, what, before_ms, n, now_ms)?;
    }
    // with deliveries go events, which may be of a time from which none were dropped before
    if what == What::Deliveries && dropped.events > 0 {
        note(connection, What::Events, before_ms, dropped.events, now_ms)?;
    }
    Ok(dropped)
}

fn note(connection: &Connection, what: What, before_ms: Millis, n: u64, now_ms: Millis) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO retention (what, before_ms, last_at_ms, dropped) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (what) DO UPDATE SET before_ms = max(before_ms, excluded.before_ms),
                last_at_ms = excluded.last_at_ms, dropped = dropped + excluded.dropped",
        )?
        .execute(params![what.name(), before_ms, now_ms, n as i64])?;
    Ok(())
}

fn drop_bodies(connection: &Connection, before_ms: Millis) -> Result<Dropped, Error> {
    // in order of arrival: those that follow one that is kept came later
    let received = connection
        .prepare_cached(
            "DELETE FROM event_bodies WHERE id IN (
                SELECT id FROM (SELECT id FROM event_bodies ORDER BY id LIMIT ?1) b
                WHERE (SELECT e.received_at_ms FROM events e WHERE e.id = b.id) < ?2)
             RETURNING (SELECT e.received_at_ms FROM events e WHERE e.id = event_bodies.id)",
        )?
        .query_map([STEP, before_ms], |row| row.get(0))?
        .collect::<Result<Vec<Millis>, _>>()?;
    let newest_ms = received.iter().copied().max().unwrap_or(Millis::MIN);
    let more = received.len() as i64 == STEP;
    Ok(Dropped { bodies: received.len() as u64, more, newest_ms, ..Dropped::default() })
}

/// The deliveries of the oldest events. A delivery is created with its first event, so that those created before a time are
/// those with an event before it; once these are gone, the index begins after it.
const WITH_OLD_EVENTS: &str = "SELECT DISTINCT delivery FROM (
    SELECT delivery FROM events WHERE occurred_at_ms < ?1 ORDER BY occurred_at_ms LIMIT ?2)";

fn drop_events(connection: &Connection, before_ms: Millis, now_ms: Millis) -> Result<Dropped, Error> {
    let ids = connection
        .prepare_cached(WITH_OLD_EVENTS)?
        .query_map([before_ms, STEP], |row| row.get(0))?
        .collect::<Result<Vec<i64>, _>>()?;
    let mut dropped = Dropped { deliveries: ids.len() as u64, more: !ids.is_empty(), ..Dropped::default() };
    for id in ids {
        let (events, created_at_ms) = drop_events_of(connection, id, now_ms)?;
        dropped.events += events;
        dropped.newest_ms = dropped.newest_ms.max(created_at_ms);
    }
    Ok(dropped)
}

/// Drops the events of a delivery and all that only they need; how many these were, and when the delivery was created.
fn drop_events_of(connection: &Connection, delivery: i64, now_ms: Millis) -> Result<(u64, Millis), Error> {
    for (table, column) in [("event_bodies", "id"), ("event_devices", "event")] {
        let sql = format!("DELETE FROM {table} WHERE {column} IN (SELECT id FROM events WHERE delivery = ?1)");
        connection.prepare_cached(&sql)?.execute([delivery])?;
    }
    let created_at_ms = connection
        .prepare_cached(
            "UPDATE deliveries SET pruned_at_ms = coalesce(pruned_at_ms, ?2), first_attributes = NULL, attributes_from = NULL, absorbed = NULL
             WHERE id = ?1 RETURNING created_at_ms",
        )?
        .query_row([delivery, now_ms], |row| row.get(0))?;
    let events = connection.prepare_cached("DELETE FROM events WHERE delivery = ?1")?.execute([delivery])?;
    Ok((events as u64, created_at_ms))
}

/// Whether a suppression needs the row of a delivery `d`: it lists an address, or is the first to lift a listing. What is
/// delivered to the address after that lifts nothing.
macro_rules! is_needed {
    () => {
        "(EXISTS (SELECT 1 FROM suppression_causes c WHERE c.delivery = d.id)
        OR EXISTS (SELECT 1 FROM suppression_lifts l JOIN suppression_causes c ON c.address = l.address
            AND c.channel = l.channel AND c.occurred_at_ms < l.occurred_at_ms AND c.occurred_at_ms >= coalesce(
                (SELECT max(o.occurred_at_ms) FROM suppression_lifts o WHERE o.address = l.address
                    AND o.channel = l.channel AND o.occurred_at_ms < l.occurred_at_ms), -9223372036854775807)
            WHERE l.delivery = d.id))"
    };
}

const OLD_DELIVERIES: &str = concat!(
    "SELECT created_at_ms, id, ",
    is_needed!(),
    ", pruned_at_ms IS NULL
    FROM deliveries d WHERE (created_at_ms, id) > (?1, ?2) AND created_at_ms < ?3
    ORDER BY created_at_ms, id LIMIT ?4"
);

fn drop_deliveries(
    connection: &Connection,
    pass: &mut Pass,
    before_ms: Millis,
    now_ms: Millis,
) -> Result<Dropped, Error> {
    let day = now_ms.div_euclid(DAY_MS);
    if pass.day != day {
        *pass = Pass { day, created_at_ms: Millis::MIN, id: 0 };
    }
    let old = connection
        .prepare_cached(OLD_DELIVERIES)?
        .query_map(params![pass.created_at_ms, pass.id, before_ms, STEP / 2], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<Vec<(Millis, i64, bool, bool)>, _>>()?;
    let mut dropped = Dropped { more: !old.is_empty(), ..Dropped::default() };
    for (created_at_ms, id, is_needed, is_whole) in old {
        (pass.created_at_ms, pass.id) = (created_at_ms, id);
        if is_whole {
            dropped.events += drop_events_of(connection, id, now_ms)?.0;
        }
        dropped.newest_ms = created_at_ms;
        if is_needed {
            continue;
        }
        for table in ["delivery_devices", "delivery_links", "delivery_identifiers", "suppression_lifts"] {
            connection.prepare_cached(&format!("DELETE FROM {table} WHERE delivery = ?1"))?.execute([id])?;
        }
        connection.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute([id])?;
        dropped.deliveries += 1;
    }
    Ok(dropped)
}

/// A day.
pub const DAY_MS: Millis = 24 * 3_600_000;

/// How many bodies, or events and deliveries, are older than a time. It reads them all.
pub fn count(connection: &Connection, what: What, before_ms: Millis) -> Result<(i64, i64), Error> {
    let sql = match what {
        What::Bodies => {
            "SELECT count(*), 0 FROM event_bodies b JOIN events e ON e.id = b.id WHERE e.received_at_ms < ?1"
        }
        What::Events => {
            "SELECT coalesce(sum(events), 0), count(*) FROM deliveries WHERE created_at_ms < ?1 AND pruned_at_ms IS NULL"
        }
        What::Deliveries => {
            concat!(
                "SELECT coalesce(sum(d.events) FILTER (WHERE d.pruned_at_ms IS NULL), 0), count(*) FILTER (WHERE NOT ",
                is_needed!(),
                ") FROM deliveries d WHERE d.created_at_ms < ?1"
            )
        }
    };
    Ok(connection.query_row(sql, [before_ms], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Of deliveries created before a time some are gone; with when that was done last.
pub fn of_deliveries(connection: &Connection) -> Result<Option<(Millis, Millis)>, Error> {
    let sql = "SELECT before_ms, last_at_ms FROM retention WHERE what = 'deliveries'";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// From when on an event may begin a delivery.
pub fn gone_before_ms(connection: &Connection) -> Result<Millis, Error> {
    Ok(of_deliveries(connection)?.map_or(Millis::MIN, |(before_ms, _)| before_ms))
}

/// A row of `retention`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Noted {
    pub what: String,
    pub before_ms: Millis,
    pub last_at_ms: Millis,
    pub dropped: i64,
}

/// What was dropped, and of which time.
pub fn noted(connection: &Connection) -> Result<Vec<Noted>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT what, before_ms, last_at_ms, dropped FROM retention ORDER BY what")?;
    let noted = |row: &rusqlite::Row| {
        Ok(Noted { what: row.get(0)?, before_ms: row.get(1)?, last_at_ms: row.get(2)?, dropped: row.get(3)? })
    };
    Ok(statement.query_map([], noted)?.collect::<Result<_, _>>()?)
}

/// Of deliveries created before when events were dropped, and deliveries too. `None`: none were.
pub fn cuts(connection: &Connection) -> Result<(Option<Millis>, Option<Millis>), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT max(before_ms), max(before_ms) FILTER (WHERE what = 'deliveries') FROM retention WHERE what <> 'bodies'",
    )?;
    Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [("20GB", 20_000_000_000), ("1.5 g", 1_500_000_000), ("500mb", 500_000_000), ("7", 7)] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "0", "-1GB", "20 QB", "inf", "nan", "1e400"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
