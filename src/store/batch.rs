//! Folds the events of a transaction into their deliveries, one delivery after the other: by the short cut where that
//! holds, else with all of the delivery's events at hand.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use rusqlite::{ToSql, params};
use smallvec::SmallVec;

use super::apply::{Outcome, Report};
use super::blocks::Table;
use super::delivery_rows::{self, DeliveryRow};
use super::eid::Eid;
use super::event_rows::{self, EventRow};
use super::forgetting::{self, Grave};
use super::marks::{Said, Shown};
use super::names::Names;
use super::ready::Ready;
use super::receipts::{OF_THE_FORGOTTEN, Receipts};
use super::rollups;
use super::statements::Statements;
use super::{Error, waiting};
use crate::domain::delivery::Applied;
use crate::domain::forgetting::{IDENTIFYING, identifiers};
use crate::domain::{Attributes, Delivery, Delta, Event, Text};

/// An event of the batch, with the place of its outcome.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub place: usize,
    /// The number of its delivery in the batch.
    pub group: usize,
    pub ready: &'a Ready,
    /// Where it is no more than a report.
    pub report: Option<&'a Report>,
}

impl<'a> Arrival<'a> {
    fn event(&self) -> &'a Event {
        self.ready.event()
    }

    fn delivery_id(&self) -> &'a str {
        &self.ready.event().delivery_id
    }
}

/// The events of a transaction, and what they move.
pub struct Batch<'b, 'c> {
    connection: &'b Statements<'c>,
    names: &'b mut Names,
    pub delta: Delta,
    pub outcomes: Vec<Outcome>,
    pub receipts: Receipts,
    /// Whether reports wait in the file; looked up once, when the first delivery is new.
    may_wait: Option<bool>,
}

impl<'b, 'c> Batch<'b, 'c> {
    pub fn new(
        connection: &'b Statements<'c>,
        names: &'b mut Names,
        outcomes: Vec<Outcome>,
        receipts: Receipts,
    ) -> Batch<'b, 'c> {
        Batch { connection, names, delta: Delta::default(), outcomes, receipts, may_wait: None }
    }

    /// Takes arrivals in, of which those of one delivery stand together.
    pub fn take_in(&mut self, arrivals: &[Arrival<'_>]) -> Result<(), Error> {
        let mut next = self.names.filters.last(self.connection, Table::Deliveries)?.unwrap_or(0) + 1;
        let mut known = Vec::with_capacity(arrivals.len());
        let mut new = Vec::with_capacity(arrivals.len());
        for group in arrivals.chunk_by(|a, b| a.group == b.group) {
            let first = &group[0];
            match delivery_rows::find_by(self.connection, self.names, first.ready.delivery(), first.delivery_id())? {
                Some(id) => known.push((id, group)),
                None if group.iter().all(|arrival| arrival.report.is_some()) => self.let_wait(group)?,
                None => new.push(group),
            }
        }
        // neighbours in the events' tree one after the other
        known.sort_unstable_by_key(|(id, _)| *id);
        for (id, group) in known {
            self.take_in_known(id, group)?;
        }
        for group in new {
            self.names.deliveries.insert(group[0].ready.delivery(), next);
            let waited = self.waited_for(group[0].delivery_id())?;
            // what waited came first
            let waited = waited.iter().map(|ready| {
                self.outcomes.push(Outcome::Accepted);
                Arrival { place: self.outcomes.len() - 1, ready, ..group[0] }
            });
            let all: SmallVec<[Arrival; 4]> = waited.chain(group.iter().copied()).collect();
            self.read_again(next, group[0].delivery_id(), None, &[], &all)?;
            next += 1;
        }
        Ok(())
    }

    /// Keeps aside reports on a delivery that neither the file nor the batch knows.
    fn let_wait(&mut self, arrivals: &[Arrival]) -> Result<(), Error> {
        for Arrival { place, report, .. } in arrivals {
            if let Some(report) = report {
                self.outcomes[*place] = if waiting::keep(self.connection, self.names, report)? {
                    Outcome::Quarantined
                } else {
                    self.receipts.ignore(OF_THE_FORGOTTEN.into());
                    Outcome::Ignored
                };
            }
        }
        Ok(())
    }

    /// The reports that waited for a delivery.
    fn waited_for(&mut self, delivery_id: &str) -> Result<Vec<Ready>, Error> {
        let may_wait = match self.may_wait {
            Some(known) => known,
            None => *self.may_wait.insert(waiting::count(self.connection)? > 0),
        };
        if may_wait { waiting::take(self.connection, delivery_id) } else { Ok(Vec::new()) }
    }

    fn take_in_known(&mut self, id: i64, arrivals: &[Arrival]) -> Result<(), Error> {
        let delivery_id = arrivals[0].delivery_id();
        let before = self.before(id, &arrivals[0].event().attributes)?;
        if !self.may_be_forgotten(id, &before.delivery, arrivals)?
            && self.try_short_cut(id, delivery_id, &before, arrivals)? == Applied::Done
        {
            return Ok(());
        }
        let history = event_rows::all(self.connection, self.names, id, delivery_id, before.shown())?;
        self.read_again(id, delivery_id, Some(&before), &history, arrivals)
    }

    fn before(&mut self, id: i64, likely: &Attributes) -> Result<DeliveryRow, Error> {
        delivery_rows::one_like(self.connection, self.names, id, likely)?
            .ok_or_else(|| Error::Row(format!("no delivery in row {id}")))
    }

    fn stored(&mut self, id: i64, delivery_id: &str) -> Result<(DeliveryRow, Vec<Event>), Error> {
        let before = self.before(id, &Attributes::default())?;
        let history = event_rows::all(self.connection, self.names, id, delivery_id, before.shown())?;
        Ok((before, history))
    }

    /// Whether the delivery is forgotten, or may come to be: by an identifier that arrives, or since it is older than
    /// was known.
    fn may_be_forgotten(&self, id: i64, before: &Delivery, arrivals: &[Arrival]) -> Result<bool, Error> {
        let forgotten = &self.names.forgotten;
        if !forgotten.any() {
            return Ok(false);
        }
        let mut carried = arrivals.iter().flat_map(|arrival| identifiers(arrival.event())).map(|(_, text)| text);
        Ok(arrivals.iter().any(|arrival| arrival.event().time.ms < before.created_at_ms)
            || forgotten.knows_any(self.connection, &mut carried)?
            || forgetting::is_forgotten(self.connection, id)?)
    }

    /// Takes the arrivals in without reading the delivery's other events. Does nothing where the result could
    /// depend on those.
    fn try_short_cut(
        &mut self,
        id: i64,
        delivery_id: &str,
        row: &DeliveryRow,
        arrivals: &[Arrival],
    ) -> Result<Applied, Error> {
        let before = &row.delivery;
        let mut after = before.clone();
        let mut repeats: Vec<(&Arrival, i64)> = Vec::new();
        let mut fresh: Vec<(&Arrival, i64)> = Vec::new();
        for arrival in arrivals {
            let event = arrival.event();
            let metric = self.names.metric(self.connection, &event.metric)?;
            let key = (metric, arrival.ready.eid() as &dyn ToSql);
            let stored = event_rows::by_key(self.connection, self.names, id, delivery_id, key, row.shown())?;
            match stored {
                Some(mut stored) => {
                    if stored.merge(event) || tells_of_others(event, &stored) {
                        return Ok(Applied::ReadHistory);
                    }
                    repeats.push((arrival, metric));
                }
                None => {
                    // devices are found by what is written beside the row
                    let devices = !event.recipients.is_empty();
                    let again = fresh.iter().any(|(earlier, _)| earlier.event().is_copy_of(event));
                    if devices || again || after.apply(event) == Applied::ReadHistory {
                        return Ok(Applied::ReadHistory);
                    }
                    fresh.push((arrival, metric));
                }
            }
        }
        for (Arrival { place, ready, .. }, metric) in repeats {
            self.outcomes[*place] = Outcome::Duplicate;
            self.count_repeat(id, metric, ready.eid())?;
        }
        if fresh.is_empty() {
            return Ok(Applied::Done);
        }
        let shown = Shown { attributes: &after.attributes, said: row.said };
        for (Arrival { ready, .. }, metric) in &fresh {
            let key = (*metric, ready.eid().clone());
            let row = EventRow::of(self.connection, self.names, ready.event(), key, shown)?;
            row.insert(self.connection, self.names, id, Some(ready.raw()))?;
        }
        self.delta.change(before, &after, fresh.iter().map(|(arrival, _)| arrival.event()));
        delivery_rows::update(self.connection, self.names, id, before, &after)?;
        Ok(Applied::Done)
    }

    /// Takes the arrivals in with all of the delivery's events at hand.
    fn read_again(
        &mut self,
        id: i64,
        delivery_id: &str,
        row: Option<&DeliveryRow>,
        history: &[Event],
        arrivals: &[Arrival],
    ) -> Result<(), Error> {
        let before = row.map(|row| &row.delivery);
        let may_be_forgotten = self.names.forgotten.any();
        let was_forgotten = may_be_forgotten && before.is_some() && forgetting::is_forgotten(self.connection, id)?;
        let mut events: Vec<Cow<Event>> = Vec::with_capacity(history.len() + arrivals.len());
        events.extend(history.iter().map(Cow::Borrowed));
        let mut places = Places::of(&events);
        let (mut fresh, mut bases, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for Arrival { place, ready, .. } in arrivals {
            // compared with its like: tombstones with tombstones
            let event = ready.event();
            let event =
                if was_forgotten { Cow::Owned(self.names.forgotten.entombed(event)) } else { Cow::Borrowed(event) };
            match places.find(&events, &event) {
                Some(known) => {
                    let known = &mut events[known];
                    let mut merged = known.clone().into_owned();
                    let changed = merged.merge(&event);
                    others.extend(lost(&merged, [&event, known]));
                    if changed {
                        bases.push(std::mem::replace(known, Cow::Owned(merged)));
                    }
                    self.outcomes[*place] = Outcome::Duplicate;
                    let metric = self.names.metric(self.connection, &event.metric)?;
                    self.count_repeat(id, metric, ready.eid())?;
                }
                None => {
                    events.push(event);
                    places.add(&events);
                    fresh.push(*ready);
                }
            }
        }
        let of = |events: &[Cow<Event>]| {
            Delivery::of(events.iter().map(|event| &**event))
                .ok_or_else(|| Error::Row(format!("delivery {delivery_id} has no events")))
        };
        let mut after = of(&events)?;
        let grave = Grave { id, is_stored: before.is_some(), was_forgotten, others: &others };
        let is_forgotten =
            may_be_forgotten && forgetting::bury(self.connection, self.names, &grave, &after, &mut events)?;
        if is_forgotten {
            after = of(&events)?;
        } else {
            for first in &bases {
                let metric = self.names.metric(self.connection, &first.metric)?;
                event_rows::keep_base(self.connection, id, metric, first)?;
            }
        }
        self.mention(id, &after, &events, &others, is_forgotten)?;
        if let Some(before) = before {
            self.delta.take(before, history);
        }
        self.delta.add(&after, events.iter().map(|event| &**event));

        let said = row.map_or_else(|| Said::of(&after.attributes), |row| row.said);
        let shown = Shown { attributes: &after.attributes, said };
        for (i, event) in events.iter().enumerate() {
            let metric = self.names.metric(self.connection, &event.metric)?;
            match history.get(i).zip(row) {
                None => {
                    let ready = fresh[i - history.len()];
                    let key = (metric, ready.eid().clone());
                    let row = EventRow::of(self.connection, self.names, event, key, shown)?;
                    row.insert(self.connection, self.names, id, Some(ready.raw()).filter(|_| !is_forgotten))?;
                }
                Some((stored, row)) => {
                    let key = (metric, Eid::pack(&event.id));
                    let was = EventRow::of(self.connection, self.names, stored, key.clone(), row.shown())?;
                    let is = EventRow::of(self.connection, self.names, event, key, shown)?;
                    if is != was {
                        is.update(self.connection, self.names, id)?;
                    }
                }
            }
        }
        match before {
            None => delivery_rows::insert(self.connection, self.names, id, delivery_id, &after, said)?,
            Some(before) if *before != after => delivery_rows::update(self.connection, self.names, id, before, &after)?,
            Some(_) => {}
        }
        if is_forgotten && !was_forgotten {
            forgetting::mark(self.connection, id)?;
        }
        Ok(())
    }

    /// Makes the delivery findable by what its events carry and its row does not show.
    fn mention(
        &mut self,
        id: i64,
        shown: &Delivery,
        events: &[Cow<Event>],
        others: &[Text],
        is_forgotten: bool,
    ) -> Result<(), Error> {
        // mostly all is shown
        let others_say = |event: &&Cow<Event>| !event.recipients.is_empty() || event.attributes != shown.attributes;
        let carried = events.iter().filter(others_say).flat_map(|event| identifiers(event));
        let hidden =
            carried.filter(|(attribute, text)| attribute.and_then(|at| shown.attributes.get(at)) != Some(*text));
        let mut hidden: Vec<&str> = hidden.map(|(_, text)| text).collect();
        hidden.sort_unstable();
        hidden.dedup();
        for text in hidden {
            forgetting::mention(self.connection, self.names, id, text)?;
        }
        for text in others.iter().filter(|_| !is_forgotten) {
            forgetting::mention_of_copy(self.connection, self.names, id, text)?;
        }
        Ok(())
    }

    fn count_repeat(&self, delivery: i64, metric: i64, eid: &Eid) -> Result<(), Error> {
        self.connection
            .prepare_cached(
                "INSERT INTO repeats (delivery, metric, eid, repeats) VALUES (?1, ?2, ?3, 1)
                 ON CONFLICT (delivery, metric, eid) DO UPDATE SET repeats = repeats + 1",
            )?
            .execute(params![delivery, metric, eid])?;
        Ok(())
    }
}

/// Where each of a delivery's events stands. A delivery may have any number of events, and a batch may bring thousands.
struct Places {
    /// Of a delivery of many events.
    table: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

/// So few are looked through one by one.
const FEW: usize = 8;

impl Places {
    fn of(events: &[Cow<Event>]) -> Places {
        let mut places = Places { table: HashTable::new(), hasher: DefaultHashBuilder::default() };
        places.add(events);
        places
    }

    fn hash(&self, event: &Event) -> u64 {
        self.hasher.hash_one((&event.metric, &event.id))
    }

    fn find(&self, events: &[Cow<Event>], event: &Event) -> Option<usize> {
        if self.table.is_empty() {
            return events.iter().position(|known| known.is_copy_of(event));
        }
        self.table.find(self.hash(event), |place| events[*place].is_copy_of(event)).copied()
    }

    /// Adds those of these that it does not have: the last.
    fn add(&mut self, events: &[Cow<Event>]) {
        if events.len() <= FEW {
            return;
        }
        for place in self.table.len()..events.len() {
            let hash = self.hash(&events[place]);
            let rehash = |place: &usize| self.hasher.hash_one((&events[*place].metric, &events[*place].id));
            self.table.insert_unique(hash, place, rehash);
        }
    }
}

/// Looks at deliveries again whose people may be forgotten since.
pub fn look_again(connection: &Statements, names: &mut Names, ids: impl Iterator<Item = i64>) -> Result<(), Error> {
    let mut batch = Batch::new(connection, names, Vec::new(), Receipts::default());
    for id in ids {
        let delivery_id: Text = connection
            .prepare_cached("SELECT delivery_id FROM deliveries WHERE id = ?1")?
            .query_row([id], |row| row.get(0))?;
        let (before, history) = batch.stored(id, &delivery_id)?;
        batch.read_again(id, &delivery_id, Some(&before), &history, &[])?;
    }
    let Batch { delta, .. } = batch;
    rollups::write(connection, names, delta)
}

/// The identifiers of two copies that the event which they make does not carry.
fn lost(merged: &Event, copies: [&Event; 2]) -> Vec<Text> {
    let kept: HashSet<&str> = identifiers(merged).map(|(_, text)| text).collect();
    let carried = copies.into_iter().flat_map(identifiers).map(|(_, text)| text);
    carried.filter(|text| !kept.contains(text)).map(Into::into).collect()
}

/// Whether a copy carries identifiers that the event does not.
fn tells_of_others(copy: &Event, event: &Event) -> bool {
    let differs =
        |attribute| copy.attributes.get(attribute).is_some_and(|said| event.attributes.get(attribute) != Some(said));
    IDENTIFYING.into_iter().any(differs) || (!copy.recipients.is_empty() && copy.recipients != event.recipients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventTime, MetricName};

    #[test]
    fn events_are_found_again_however_many_a_delivery_has() {
        let time = EventTime::given(1_790_000_000_000);
        let event = |metric: &str, id: usize| {
            let id = id.to_string();
            Cow::<Event>::Owned(Event::new("d", MetricName::parse(metric), &id, time, time.ms))
        };
        let mut events = Vec::new();
        let mut places = Places::of(&events);
        for n in 0..3 * FEW {
            assert_eq!(places.find(&events, &event("opened", n)), None);
            events.push(event("opened", n));
            places.add(&events);
            assert!((0..=n).all(|n| places.find(&events, &event("opened", n)) == Some(n)), "with {} of them", n + 1);
            assert_eq!(places.find(&events, &event("clicked", n)), None);
            assert_eq!(Places::of(&events).find(&events, &events[0]), Some(0));
        }
    }
}
