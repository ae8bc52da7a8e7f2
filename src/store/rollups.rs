//! Writes how the counts moved: one wide row for each key, once a transaction.
//!
//! A row whose counts have all gone elsewhere is deleted, so that the tables follow from the deliveries alone.

use std::iter;
use std::sync::{LazyLock, OnceLock};

use hashbrown::HashMap;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params, params_from_iter};

use super::eid::Eid;
use super::names::Names;
use super::statements::Statements;
use super::{Error, days, delivery_rows, suppressions};
use crate::domain::rollup::{Click, Link, LinkCounts};
use crate::domain::{Counted, Counts, Delta, Metric};

/// A table of wide rows: its key columns and its count columns.
pub struct Wide {
    pub table: &'static str,
    pub keys: &'static [&'static str],
    /// Whether it counts deliveries beside events.
    deliveries: bool,
    sql: LazyLock<Sql>,
}

struct Sql {
    columns: Vec<String>,
    of_key: String,
    /// Names one column or two, and takes nothing away: what a single event moves. By their places.
    few: Vec<OnceLock<Addition>>,
    /// Names the columns of [`OFTEN`] alone, and takes nothing away from a count.
    often: Addition,
    all: Addition,
    delete_empty: String,
}

/// Adds to a row; what comes to 0 becomes null. Most rows are there, so that is tried first.
struct Addition {
    update: String,
    insert: String,
    /// Which of the counts its columns are, by their place in [`Wide::packed`].
    places: Vec<usize>,
}

/// What moves in most rows of a batch: a statement costs by the columns that it names.
const OFTEN: [&str; 13] = [
    "created",
    "sent",
    "drafted",
    "delivered",
    "opened",
    "human_opened",
    "machine_opened",
    "opened_extra",
    "human_opened_extra",
    "clicked",
    "human_clicked",
    "clicked_extra",
    "human_clicked_extra",
];

pub static COHORTS: Wide =
    Wide { table: "cohorts", keys: &["quarter", "message"], deliveries: true, sql: LazyLock::new(|| COHORTS.sql()) };
pub static TOTALS: Wide =
    Wide { table: "totals", keys: &["source", "channel"], deliveries: true, sql: LazyLock::new(|| TOTALS.sql()) };
pub static TRIGGERS: Wide = Wide {
    table: "triggers",
    keys: &["source", "trigger_id", "channel"],
    deliveries: true,
    sql: LazyLock::new(|| TRIGGERS.sql()),
};
pub static ACTIVITY: Wide = Wide {
    table: "activity",
    keys: &["quarter", "source", "channel"],
    deliveries: false,
    sql: LazyLock::new(|| ACTIVITY.sql()),
};

pub static COHORT_DAYS: Wide = Wide {
    table: "cohort_days",
    keys: &["day", "message"],
    deliveries: true,
    sql: LazyLock::new(|| COHORT_DAYS.sql()),
};
pub static ACTIVITY_DAYS: Wide = Wide {
    table: "activity_days",
    keys: &["day", "source", "channel"],
    deliveries: false,
    sql: LazyLock::new(|| ACTIVITY_DAYS.sql()),
};

/// Each thing counted by deliveries, and all but the creation by events.
const COLUMNS_MAX: usize = 2 * Counted::COUNT - 1;

impl Wide {
    /// The columns of the table, but for its keys, in the order of [`Wide::packed`].
    pub fn packed_columns(&self) -> Vec<String> {
        let events = Counted::ALL.into_iter().skip(1).map(Counted::name);
        if self.deliveries {
            let deliveries = Counted::ALL.into_iter().map(|counted| counted.name().to_owned());
            deliveries.chain(events.map(|name| format!("{name}_extra"))).collect()
        } else {
            events.map(str::to_owned).collect()
        }
    }

    fn sql(&self) -> Sql {
        let (table, columns) = (self.table, self.packed_columns());
        let keys: Vec<String> = self.keys.iter().enumerate().map(|(i, key)| format!("{key} = ?{}", i + 1)).collect();
        let often = (0..columns.len()).filter(|place| OFTEN.contains(&&*columns[*place])).collect();
        let of_key = keys.join(" AND ");
        let all = (0..columns.len()).collect();
        Sql {
            few: iter::repeat_with(OnceLock::new).take(columns.len() * columns.len()).collect(),
            often: self.addition(&columns, &of_key, often, |name, n| if_any(name, n, grown(name, n))),
            all: self.addition(&columns, &of_key, all, |name, n| if_any(name, n, moved(name, n))),
            delete_empty: format!("DELETE FROM {table} WHERE {of_key} AND coalesce({}) IS NULL", columns.join(", ")),
            columns,
            of_key,
        }
    }

    fn addition(
        &self,
        columns: &[String],
        of_key: &str,
        places: Vec<usize>,
        sum: fn(&str, &str) -> String,
    ) -> Addition {
        let names: Vec<&str> = places.iter().map(|place| &*columns[*place]).collect();
        let set =
            |(i, name): (usize, &&str)| format!("{name} = {}", sum(name, &format!("?{}", self.keys.len() + i + 1)));
        let sums: Vec<String> = names.iter().enumerate().map(set).collect();
        let values: Vec<String> = (1..=self.keys.len() + names.len()).map(|n| format!("?{n}")).collect();
        let (table, keys) = (self.table, self.keys.join(", "));
        Addition {
            update: format!("UPDATE {table} SET {} WHERE {of_key}", sums.join(", ")),
            insert: format!("INSERT INTO {table} ({keys}, {}) VALUES ({})", names.join(", "), values.join(", ")),
            places,
        }
    }

    /// As the columns of the table have it; the rest is 0.
    fn packed(&self, counts: &Counts) -> [i64; COLUMNS_MAX] {
        let mut packed = [0; COLUMNS_MAX];
        if self.deliveries {
            let (deliveries, extra) = packed.split_at_mut(Counted::COUNT);
            deliveries.copy_from_slice(&counts.deliveries);
            let both = counts.events.iter().zip(&counts.deliveries).skip(1);
            extra.iter_mut().zip(both).for_each(|(extra, (events, deliveries))| *extra = events - deliveries);
        } else {
            packed[..Counted::COUNT - 1].copy_from_slice(&counts.events[1..]);
        }
        packed
    }

    /// What adds these with the fewest columns.
    fn addition_of(&'static self, values: &[i64; COLUMNS_MAX]) -> &'static Addition {
        let Sql { columns, of_key, few, often, all, .. } = &*self.sql;
        let mut places = (0..COLUMNS_MAX).filter(|place| values[*place] != 0);
        let grew = |places: &[usize]| places.iter().filter(|place| values[**place] > 0).count();
        match (places.next(), places.next(), places.next()) {
            (Some(first), second, None) if values.iter().all(|n| *n >= 0) => {
                let last = second.unwrap_or(first);
                let places = || iter::once(first).chain(second).collect();
                few[first * columns.len() + last].get_or_init(|| self.addition(columns, of_key, places(), grown))
            }
            _ if values.iter().filter(|n| **n != 0).count() == grew(&often.places) => often,
            _ => all,
        }
    }

    pub fn add(&'static self, connection: &Statements, key: &[Value], counts: &Counts) -> Result<(), Error> {
        let values = self.packed(counts);
        let Addition { update, insert, places } = self.addition_of(&values);
        for sql in [update, insert] {
            let mut statement = connection.prepare_cached(sql)?;
            for (place, part) in key.iter().enumerate() {
                statement.raw_bind_parameter(place + 1, part)?;
            }
            for (place, value) in places.iter().map(|place| values[*place]).enumerate() {
                statement.raw_bind_parameter(key.len() + place + 1, Some(value).filter(|n| *n != 0))?;
            }
            if statement.raw_execute()? > 0 {
                break;
            }
        }
        if values.iter().any(|n| *n < 0) {
            connection.prepare_cached(&self.sql.delete_empty)?.execute(params_from_iter(key))?;
        }
        Ok(())
    }
}

/// A count that grew. What came more often than once may have been below 0.
fn grown(name: &str, n: &str) -> String {
    if name.ends_with("_extra") { moved(name, n) } else { format!("coalesce({name}, 0) + {n}") }
}

fn moved(name: &str, n: &str) -> String {
    format!("nullif(coalesce({name}, 0) + {n}, 0)")
}

fn if_any(name: &str, n: &str, sum: String) -> String {
    format!("CASE WHEN {n} IS NULL THEN {name} ELSE {sum} END")
}

/// Moves the counts. The rows of the deliveries and of their events are written already.
pub fn write(connection: &Statements, names: &mut Names, mut delta: Delta) -> Result<(), Error> {
    delta.settle();
    let messages = delta.messages().map(|message| names.message_id(connection, message));
    let messages: Vec<_> = messages.collect::<Result<_, _>>()?;
    let feeds: Vec<_> = delta.feeds().map(|feed| names.feed(connection, feed)).collect::<Result<_, _>>()?;
    // sorted, so that neighbours in a tree are written one after the other
    let mut cohorts: Vec<_> =
        delta.cohorts().map(|(message, quarter, counts)| (messages[message].0, quarter, counts)).collect();
    cohorts.sort_unstable_by_key(|(message, quarter, _)| (*message, *quarter));
    let mut days = days::Moved::new(connection)?;
    for (message, quarter, counts) in cohorts {
        days.cohort(quarter, message, counts);
        COHORTS.add(connection, &[quarter.into(), message.into()], counts)?;
    }
    for (feed, counts) in delta.totals() {
        let (source, channel) = feeds[feed];
        TOTALS.add(connection, &[source.into(), channel.into()], &counts)?;
    }
    for (feed, trigger, counts) in delta.triggers() {
        let (source, channel) = feeds[feed];
        TRIGGERS.add(connection, &[source.into(), trigger.to_string().into(), channel.into()], counts)?;
    }
    let mut activity: Vec<_> = delta.activity().map(|(feed, quarter, events)| (feeds[feed], quarter, events)).collect();
    activity.sort_unstable_by_key(|((source, channel), quarter, _)| (*source, *quarter, *channel));
    for ((source, channel), quarter, events) in activity {
        let counts = Counts { events: *events, ..Counts::default() };
        days.activity(quarter, source, channel, &counts);
        ACTIVITY.add(connection, &[quarter.into(), source.into(), channel.into()], &counts)?;
    }
    days.write(connection)?;
    write_statuses(connection, &feeds, &delta)?;
    write_links(connection, names, &delta)?;
    suppressions::write(connection, names, &delta)
}

fn write_statuses(connection: &Statements, feeds: &[(i64, i64)], delta: &Delta) -> Result<(), Error> {
    let code = |metric: Option<Metric>| metric.map_or(0, Metric::code);
    for (feed, outcome, engagement, n) in delta.statuses() {
        let (source, channel) = feeds[feed];
        let (outcome, engagement) = (code(outcome), code(engagement));
        for sql in [
            "UPDATE status_counts SET deliveries = deliveries + ?5
             WHERE source = ?1 AND channel = ?2 AND outcome = ?3 AND engagement = ?4",
            "INSERT INTO status_counts (source, channel, outcome, engagement, deliveries) VALUES (?1, ?2, ?3, ?4, ?5)",
        ] {
            if connection.prepare_cached(sql)?.execute(params![source, channel, outcome, engagement, n])? > 0 {
                break;
            }
        }
        if n < 0 {
            connection
                .prepare_cached(
                    "DELETE FROM status_counts
                     WHERE source = ?1 AND channel = ?2 AND outcome = ?3 AND engagement = ?4 AND deliveries = 0",
                )?
                .execute(params![source, channel, outcome, engagement])?;
        }
    }
    Ok(())
}

fn write_links(connection: &Statements, names: &mut Names, delta: &Delta) -> Result<(), Error> {
    let mut ids: HashMap<&Link, i64> = HashMap::new();
    for link in delta.links.keys().chain(delta.clicks.keys().map(|click| &click.link)) {
        if !ids.contains_key(link) {
            ids.insert(link, link_id(connection, names, link)?);
        }
    }
    for (link, counts) in &delta.links {
        let LinkCounts { events, deliveries, human_deliveries, machine_deliveries } = counts;
        connection
            .prepare_cached(
                "UPDATE links SET events = events + ?2, deliveries = deliveries + ?3,
                    human_deliveries = human_deliveries + ?4, machine_deliveries = machine_deliveries + ?5
                 WHERE id = ?1",
            )?
            .execute(params![ids[link], events, deliveries, human_deliveries, machine_deliveries])?;
    }
    for (click, n) in &delta.clicks {
        let delivery = delivery_rows::written(connection, names, &click.delivery_id)?;
        write_click(connection, ids[&click.link], delivery, click, *n)?;
    }
    for (link, counts) in &delta.links {
        if counts.deliveries < 0 {
            connection.prepare_cached("DELETE FROM links WHERE id = ?1 AND deliveries = 0")?.execute([ids[link]])?;
        }
    }
    Ok(())
}

fn write_click(connection: &Statements, link: i64, delivery: i64, click: &Click, n: i64) -> Result<(), Error> {
    let sql = if n > 0 {
        "INSERT INTO link_clicks (link, at_ms, delivery, eid) VALUES (?1, ?2, ?3, ?4)"
    } else {
        "DELETE FROM link_clicks WHERE link = ?1 AND at_ms = ?2 AND delivery = ?3 AND eid = ?4"
    };
    connection.prepare_cached(sql)?.execute(params![link, click.at_ms, delivery, Eid::pack(&click.event_id)])?;
    Ok(())
}

fn link_id(connection: &Statements, names: &mut Names, link: &Link) -> Result<i64, Error> {
    let source = names.source(connection, link.source.as_ref())?;
    let action = link.action_id.as_deref().unwrap_or_default();
    let found = connection
        .prepare_cached("SELECT id FROM links WHERE source = ?1 AND coalesce(action_id, '') = ?2 AND link = ?3")?
        .query_row(params![source, action, link.link], |row| row.get(0))
        .optional()?;
    match found {
        Some(id) => Ok(id),
        None => {
            connection
                .prepare_cached("INSERT INTO links (source, action_id, link) VALUES (?1, nullif(?2, ''), ?3)")?
                .execute(params![source, action, link.link])?;
            Ok(connection.last_insert_rowid())
        }
    }
}

/// Empties all counts, before they are written anew.
pub fn clear(connection: &Statements) -> Result<(), Error> {
    connection.execute_batch(
        "DELETE FROM cohorts; DELETE FROM totals; DELETE FROM triggers; DELETE FROM activity;
         DELETE FROM status_counts; DELETE FROM link_clicks; DELETE FROM links;",
    )?;
    days::clear(connection)?;
    suppressions::clear(connection)
}
