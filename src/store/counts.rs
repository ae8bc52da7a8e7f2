//! Reads the wide rows of counts: the same columns in each table that holds them.

use std::sync::LazyLock;

use rusqlite::Row;

use crate::domain::{Counted, Counts};

/// The columns of a wide row, deliveries first, then events: 41, as `created` has no events.
pub static COLUMNS: LazyLock<String> = LazyLock::new(|| listed(|name| name.into()));

/// The columns of deliveries alone.
pub static DELIVERIES: LazyLock<String> = LazyLock::new(|| Counted::ALL.map(Counted::name).join(", "));

/// All of them, summed.
pub static SUMS: LazyLock<String> = LazyLock::new(|| listed(|name| format!("coalesce(sum({name}), 0)")));

/// The columns of `activity`: events only.
pub static EVENTS: LazyLock<String> =
    LazyLock::new(|| Counted::ALL[1..].iter().map(|it| it.name()).collect::<Vec<_>>().join(", "));

/// The same, summed.
pub static EVENT_SUMS: LazyLock<String> = LazyLock::new(|| {
    let columns = Counted::ALL[1..].iter().map(|counted| format!("coalesce(sum({}), 0)", counted.name()));
    columns.collect::<Vec<_>>().join(", ")
});

fn listed(column: impl Fn(&str) -> String) -> String {
    let deliveries = Counted::ALL.iter().map(|counted| column(counted.name()));
    let events = Counted::ALL[1..].iter().map(|counted| column(&format!("{}_events", counted.name())));
    deliveries.chain(events).collect::<Vec<_>>().join(", ")
}

/// The counts that start at column `first`, selected by [`COLUMNS`] or [`SUMS`].
pub fn read(row: &Row, first: usize) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    for i in 0..Counted::COUNT {
        counts.deliveries[i] = row.get(first + i)?;
    }
    for i in 1..Counted::COUNT {
        counts.events[i] = row.get(first + Counted::COUNT - 1 + i)?;
    }
    Ok(counts)
}

/// Adds the deliveries that start at column `first`, selected by [`DELIVERIES`].
pub fn add_deliveries(counts: &mut Counts, row: &Row, first: usize) -> rusqlite::Result<()> {
    for i in 0..Counted::COUNT {
        counts.deliveries[i] += row.get::<_, i64>(first + i)?;
    }
    Ok(())
}

/// The events that start at column `first`, selected by [`EVENTS`] or [`EVENT_SUMS`].
pub fn read_events(row: &Row, first: usize) -> rusqlite::Result<Counts> {
    let mut counts = Counts::default();
    for i in 1..Counted::COUNT {
        counts.events[i] = row.get(first + i - 1)?;
    }
    Ok(counts)
}
