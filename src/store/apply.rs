//! Takes a batch in: the one way by which events become rows.
//!
//! Order within the transaction: load the deliveries that the batch names, fold in memory, write the changed rows
//! and the summed movement of the counts. Event, delivery and counts commit together or not at all, so a repeat,
//! which stops at the events table, can never count twice.

use std::borrow::Cow;
use std::collections::{HashMap, hash_map};

use rusqlite::{Connection, params};

use super::Error;
use super::delivery_rows;
use super::event_rows::{self, EventRow, Stored};
use super::names::Names;
use super::people;
use super::raw::Packed;
use super::receipts::{self, Quarantined, Receipts};
use super::rollups::{self, Rows};
use super::{quarantine, registers, waiting};
use crate::domain::delivery::Applied;
use crate::domain::{Delivery, Delta, Event, MetricName, Statement, Text};

/// One thing that came in.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are events, and a box for each is what they would cost")]
pub enum Entry {
    /// An event, with its JSON.
    Event { event: Event, raw: Packed },
    /// A report by a sender who may speak only of deliveries that are known: an event where its delivery is, in the
    /// file or by an event of the same batch. Else it waits.
    Report(Box<Report>),
    /// About a person or an object.
    Statement(Box<Statement>),
    /// Not about messages: counted under its name.
    Ignored { name: Text },
    /// Not understood: kept aside.
    Quarantined(Quarantined),
    /// What was kept aside in this row was read again as these entries, which are stored as the row goes, all or none;
    /// without any it is dismissed. Nothing is done if the row has gone already.
    Released { quarantine_id: i64, entries: Vec<Entry> },
    /// All that is kept aside was read again by this version of the program.
    QuarantineRead { version: Text },
}

/// A report on a delivery, and how to keep it aside.
#[derive(Clone, Debug)]
pub struct Report {
    pub event: Event,
    pub raw: Packed,
    /// How to read the body again.
    pub format: Text,
    /// Its JSON, whole.
    pub body: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// The event was known already; what this copy added was taken in.
    Duplicate,
    Ignored,
    Quarantined,
    /// It was about what is kept aside.
    Released,
}

/// Takes entries in, within the transaction that `connection` is in. The outcomes are in their order.
pub fn apply(
    connection: &Connection,
    names: &mut Names,
    entries: &[&Entry],
    received_at_ms: i64,
) -> Result<Vec<Outcome>, Error> {
    let mut sorting = Sorting {
        connection,
        received_at_ms,
        outcomes: vec![Outcome::Accepted; entries.len()],
        groups: Vec::new(),
        group_of: HashMap::new(),
        receipts: Receipts::default(),
    };
    for (place, entry) in entries.iter().enumerate() {
        sorting.take_in(place, entry)?;
    }
    let Sorting { outcomes, groups, receipts, .. } = sorting;

    let mut batch = Batch { connection, names, delta: Delta::default(), rows: Rows::new(), outcomes, may_wait: None };
    batch.take_in(groups)?;
    let Batch { delta, rows, mut outcomes, .. } = batch;
    rollups::write(connection, names, delta, &rows)?;
    receipts.write(connection, &outcomes, received_at_ms)?;
    // those beyond are of what was kept aside and came out of it
    outcomes.truncate(entries.len());
    Ok(outcomes)
}

/// An event of the batch, with the place of its outcome.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    place: usize,
    event: &'a Event,
    raw: &'a Packed,
    /// Where it is no more than a report.
    report: Option<&'a Report>,
}

/// The events of a delivery.
struct Group<'a> {
    delivery_id: Text,
    arrivals: Vec<Arrival<'a>>,
}

/// Sorts events by delivery, and takes the rest in.
struct Sorting<'c, 'a> {
    connection: &'c Connection,
    received_at_ms: i64,
    outcomes: Vec<Outcome>,
    groups: Vec<Group<'a>>,
    group_of: HashMap<Text, usize>,
    receipts: Receipts,
}

impl<'a> Sorting<'_, 'a> {
    fn take_in(&mut self, place: usize, entry: &'a Entry) -> Result<(), Error> {
        match entry {
            Entry::Event { event, raw } => self.add(Arrival { place, event, raw, report: None }),
            Entry::Report(report) => {
                self.add(Arrival { place, event: &report.event, raw: &report.raw, report: Some(report) });
            }
            Entry::Statement(statement) => self.outcomes[place] = registers::take_in(self.connection, statement)?,
            Entry::Ignored { name } => {
                self.outcomes[place] = Outcome::Ignored;
                self.receipts.ignore(name.clone());
            }
            Entry::Quarantined(quarantined) => {
                self.outcomes[place] = Outcome::Quarantined;
                receipts::quarantine(self.connection, quarantined, self.received_at_ms)?;
            }
            Entry::Released { quarantine_id, entries } => {
                self.outcomes[place] = Outcome::Released;
                if receipts::release(self.connection, *quarantine_id)? {
                    for entry in entries {
                        self.outcomes.push(Outcome::Accepted);
                        self.take_in(self.outcomes.len() - 1, entry)?;
                    }
                }
            }
            Entry::QuarantineRead { version } => {
                self.outcomes[place] = Outcome::Released;
                quarantine::set_read_by(self.connection, version)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, arrival: Arrival<'a>) {
        let delivery_id = &arrival.event.delivery_id;
        let group = *self.group_of.entry(delivery_id.clone()).or_insert_with(|| {
            self.groups.push(Group { delivery_id: delivery_id.clone(), arrivals: Vec::new() });
            self.groups.len() - 1
        });
        self.groups[group].arrivals.push(arrival);
    }
}

struct Batch<'c> {
    connection: &'c Connection,
    names: &'c mut Names,
    delta: Delta,
    rows: Rows,
    outcomes: Vec<Outcome>,
    /// Whether reports wait in the file; looked up once, when the first delivery is new.
    may_wait: Option<bool>,
}

impl Batch<'_> {
    fn take_in(&mut self, groups: Vec<Group<'_>>) -> Result<(), Error> {
        let greatest: Option<i64> =
            self.connection.prepare_cached("SELECT max(id) FROM deliveries")?.query_row([], |row| row.get(0))?;
        let mut next = greatest.unwrap_or(0) + 1;
        let mut known = Vec::with_capacity(groups.len());
        let mut new = Vec::new();
        for Group { delivery_id, arrivals } in groups {
            match delivery_rows::find(self.connection, self.names, &delivery_id)? {
                Some(id) => known.push((id, delivery_id, arrivals)),
                None if arrivals.iter().all(|arrival| arrival.report.is_some()) => self.let_wait(&arrivals)?,
                None => new.push((delivery_id, arrivals)),
            }
        }
        // neighbours in the events' tree one after the other
        known.sort_unstable_by_key(|(id, ..)| *id);
        for (id, delivery_id, arrivals) in known {
            self.rows.insert(delivery_id.clone(), id);
            self.take_in_known(id, &delivery_id, &arrivals)?;
        }
        for (delivery_id, arrivals) in new {
            self.rows.insert(delivery_id.clone(), next);
            self.names.deliveries.put(delivery_id.clone(), next);
            let waited = self.waited_for(&delivery_id)?;
            let mut all = Vec::with_capacity(waited.len() + arrivals.len());
            // what waited came first
            for (event, raw) in &waited {
                self.outcomes.push(Outcome::Accepted);
                all.push(Arrival { place: self.outcomes.len() - 1, event, raw, report: None });
            }
            all.extend(arrivals);
            self.read_again(next, &delivery_id, None, &[], &all)?;
            next += 1;
        }
        Ok(())
    }

    /// Keeps aside reports on a delivery that neither the file nor the batch knows.
    fn let_wait(&mut self, arrivals: &[Arrival]) -> Result<(), Error> {
        for Arrival { place, report, .. } in arrivals {
            if let Some(report) = report {
                waiting::keep(self.connection, report)?;
                self.outcomes[*place] = Outcome::Quarantined;
            }
        }
        Ok(())
    }

    /// The reports that waited for a delivery.
    fn waited_for(&mut self, delivery_id: &str) -> Result<Vec<(Event, Packed)>, Error> {
        let may_wait = match self.may_wait {
            Some(known) => known,
            None => *self.may_wait.insert(waiting::count(self.connection)? > 0),
        };
        if may_wait { waiting::take(self.connection, delivery_id) } else { Ok(Vec::new()) }
    }

    fn take_in_known(&mut self, id: i64, delivery_id: &str, arrivals: &[Arrival]) -> Result<(), Error> {
        let before = delivery_rows::one(self.connection, self.names, id)?
            .ok_or_else(|| Error::Row(format!("no delivery in row {id}")))?;
        if self.try_short_cut(id, delivery_id, &before, arrivals)? == Applied::Done {
            return Ok(());
        }
        let history = event_rows::all(self.connection, self.names, id, delivery_id, &before.attributes)?;
        self.read_again(id, delivery_id, Some(&before), &history, arrivals)
    }

    /// Takes the arrivals in without reading the delivery's other events. Does nothing where the result could
    /// depend on those.
    fn try_short_cut(
        &mut self,
        id: i64,
        delivery_id: &str,
        before: &Delivery,
        arrivals: &[Arrival],
    ) -> Result<Applied, Error> {
        let mut after = before.clone();
        let mut repeats: Vec<(usize, i64)> = Vec::new();
        let mut fresh: Vec<(Arrival, i64)> = Vec::new();
        for arrival in arrivals {
            let event = arrival.event;
            let metric = self.names.metric(self.connection, &event.metric)?;
            let identity = (metric, &*event.id);
            let stored = event_rows::one(self.connection, self.names, id, delivery_id, identity, &before.attributes)?;
            match stored {
                Some(mut stored) => {
                    if stored.event.merge(event) {
                        return Ok(Applied::ReadHistory);
                    }
                    repeats.push((arrival.place, stored.number));
                }
                None => {
                    let again = fresh.iter().any(|(earlier, _)| earlier.event.is_copy_of(event));
                    if again || after.apply(event) == Applied::ReadHistory {
                        return Ok(Applied::ReadHistory);
                    }
                    fresh.push((*arrival, metric));
                }
            }
        }
        for (place, number) in repeats {
            self.outcomes[place] = Outcome::Duplicate;
            self.count_repeat(id, number)?;
        }
        if fresh.is_empty() {
            return Ok(Applied::Done);
        }
        for (number, (Arrival { event, raw, .. }, metric)) in (i64::from(before.events) + 1..).zip(&fresh) {
            EventRow::of(event, number, *metric, &after.attributes).insert(self.connection, id)?;
            self.write_raw(id, number, raw)?;
        }
        self.delta.take(before, &[]);
        self.delta.add(&after, fresh.iter().map(|(arrival, _)| arrival.event));
        delivery_rows::update(self.connection, self.names, id, before, &after)?;
        Ok(Applied::Done)
    }

    /// Takes the arrivals in with all of the delivery's events at hand.
    fn read_again(
        &mut self,
        id: i64,
        delivery_id: &str,
        before: Option<&Delivery>,
        history: &[Stored],
        arrivals: &[Arrival],
    ) -> Result<(), Error> {
        let mut events: Vec<(i64, Cow<Event>)> =
            history.iter().map(|stored| (stored.number, Cow::Borrowed(&stored.event))).collect();
        let mut next = history.iter().map(|stored| stored.number).max().unwrap_or(0) + 1;
        // a delivery may have any number of events, and a batch may bring thousands
        let identity = |event: &Event| (event.metric.clone(), event.id.clone());
        let mut places: HashMap<(MetricName, Text), usize> =
            events.iter().enumerate().map(|(i, (_, event))| (identity(event), i)).collect();
        for Arrival { place, event, raw, .. } in arrivals {
            match places.entry(identity(event)) {
                hash_map::Entry::Occupied(known) => {
                    let (number, known) = &mut events[*known.get()];
                    let mut merged = known.clone().into_owned();
                    if merged.merge(event) {
                        event_rows::keep_base(self.connection, id, *number, known)?;
                        *known = Cow::Owned(merged);
                    }
                    self.outcomes[*place] = Outcome::Duplicate;
                    self.count_repeat(id, *number)?;
                }
                hash_map::Entry::Vacant(vacant) => {
                    self.write_raw(id, next, raw)?;
                    vacant.insert(events.len());
                    events.push((next, Cow::Borrowed(event)));
                    next += 1;
                }
            }
        }
        let all = || events.iter().map(|(_, event)| &**event);
        let after = Delivery::of(all()).ok_or_else(|| Error::Row(format!("delivery {delivery_id} has no events")))?;
        if let Some(before) = before {
            self.delta.take(before, history.iter().map(|stored| &stored.event));
        }
        self.delta.add(&after, all());

        for (i, (number, event)) in events.iter().enumerate() {
            let metric = self.names.metric(self.connection, &event.metric)?;
            let row = EventRow::of(event, *number, metric, &after.attributes);
            match history.get(i).zip(before) {
                None => row.insert(self.connection, id)?,
                Some((stored, before)) => {
                    if row != EventRow::of(&stored.event, *number, metric, &before.attributes) {
                        row.update(self.connection, id)?;
                    }
                }
            }
        }
        match before {
            None => delivery_rows::insert(self.connection, self.names, id, delivery_id, &after)?,
            Some(before) if *before != after => delivery_rows::update(self.connection, self.names, id, before, &after)?,
            Some(_) => {}
        }
        self.mention_devices(id, all())
    }

    /// Files the delivery under the devices that its events name.
    fn mention_devices<'a>(&mut self, id: i64, events: impl Iterator<Item = &'a Event>) -> Result<(), Error> {
        for device in events.flat_map(|event| &event.recipients) {
            let address = people::address(self.connection, self.names, Some(&device.device_id))?;
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO mentions (delivery, address) VALUES (?1, ?2)")?
                .execute(params![id, address])?;
        }
        Ok(())
    }

    fn write_raw(&self, delivery: i64, number: i64, raw: &Packed) -> Result<(), Error> {
        self.connection
            .prepare_cached("INSERT INTO raw (delivery, number, encoding, body) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![delivery, number, raw.encoding, raw.body])?;
        Ok(())
    }

    fn count_repeat(&self, delivery: i64, number: i64) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "INSERT INTO repeats (delivery, number, repeats) VALUES (?1, ?2, 1)
                 ON CONFLICT (delivery, number) DO UPDATE SET repeats = repeats + 1",
            )?
            .execute([delivery, number])?;
        Ok(())
    }
}
