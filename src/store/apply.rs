//! Takes a batch in: the one way by which events become rows.
//!
//! Within one transaction: load the deliveries that the batch names, join their new events to them in memory, write the
//! rows that changed, and the movement of the counts as a sum. Event, delivery and counts commit together or not at all,
//! so a repeat, which stops at the events table, can never count twice.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::deliveries::{self, DeliveryRow};
use super::entry::{Entry, Incoming, Outcome, Report};
use super::erasure::{self, Forgotten, Graces, Target, traces};
use super::events;
use super::merged::{Arrival, Fresh, Merged, adds_to, key};
use super::quarantine::{self, OF_THE_FORGOTTEN, Receipts};
use super::{Error, exact, keys, registers, retention, rollups, sources, sqlite};
use crate::domain::delivery::Applied;
use crate::domain::forgetting::{self, identifiers};
use crate::domain::people::Said;
use crate::domain::{Attribute, Channel, Delivery, Delta, Event, Millis, Statement, Text, pulled};

/// What a transaction needs beside its entries.
pub struct Context<'t> {
    pub connection: &'t Connection,
    pub forgotten: &'t mut Forgotten,
    pub graces: Graces,
    /// Whether the JSON of events is kept.
    pub keep_bodies: bool,
}

impl Context<'_> {
    /// Takes entries in. The outcomes are in their order.
    pub fn apply(&mut self, entries: &[&Entry], received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        self.forgotten.refresh(self.connection)?;
        let mut batch = Batch {
            outcomes: vec![Outcome::Accepted; entries.len()],
            received_at_ms,
            arrivals: Vec::with_capacity(entries.len()),
            places: HashMap::with_capacity(entries.len()),
            receipts: Receipts::default(),
            delta: Delta::default(),
            reports_wait: quarantine::has_waiting(self.connection)?,
            changes_wait: false,
            context: self,
        };
        for (place, entry) in entries.iter().enumerate() {
            batch.sort(place, entry)?;
        }
        batch.changes_wait = registers::any_by_delivery(batch.context.connection)?;
        batch.write_events()?;
        rollups::write(batch.context.connection, &batch.delta)?;
        let Batch { mut outcomes, receipts, .. } = batch;
        receipts.write(self.connection, &outcomes, received_at_ms)?;
        if self.forgotten.is_erasing {
            self.erase()?;
        }
        // those beyond are of what was in quarantine and came out of it
        outcomes.truncate(entries.len());
        Ok(outcomes)
    }

    /// Erases some of what is left of forgotten people, with bounded work.
    pub fn erase(&mut self) -> Result<(), Error> {
        let ids = erasure::step(self.connection, self.forgotten)?;
        self.rewrite(&ids)
    }

    /// Looks at deliveries again whose people may be forgotten since.
    fn rewrite(&mut self, ids: &[i64]) -> Result<(), Error> {
        let mut batch = Batch {
            outcomes: Vec::new(),
            received_at_ms: 0,
            arrivals: Vec::new(),
            places: HashMap::new(),
            receipts: Receipts::default(),
            delta: Delta::default(),
            reports_wait: false,
            changes_wait: registers::any_by_delivery(self.connection)?,
            context: self,
        };
        for id in ids {
            match deliveries::by_row(batch.context.connection, *id)? {
                Some(row) if row.is_pruned => {
                    erasure::pruned::rewrite(batch.context.connection, batch.context.forgotten, &row)?;
                }
                Some(row) => batch.join_with_history(&row, &[])?,
                None => {}
            }
        }
        rollups::write(batch.context.connection, &batch.delta)
    }
}

/// The entries of a transaction, sorted, and what they move.
struct Batch<'b, 'c, 'a> {
    context: &'b mut Context<'c>,
    received_at_ms: Millis,
    outcomes: Vec<Outcome>,
    /// The events of each delivery, in the order in which the deliveries first come.
    arrivals: Vec<Vec<Arrival<'a>>>,
    places: HashMap<&'a str, usize>,
    receipts: Receipts,
    delta: Delta,
    reports_wait: bool,
    /// Changes of subscriptions name deliveries and no person.
    changes_wait: bool,
}

impl<'a> Batch<'_, '_, 'a> {
    /// Sorts events by delivery, and takes the rest in.
    fn sort(&mut self, place: usize, entry: &'a Entry) -> Result<(), Error> {
        let (connection, received_at_ms) = (self.context.connection, self.received_at_ms);
        let outcome = match entry {
            // their outcome is known once their delivery is at hand
            Entry::Event(incoming) => {
                self.add(place, incoming, None);
                return Ok(());
            }
            Entry::Report(report) => {
                self.add(place, &report.incoming, Some(report));
                return Ok(());
            }
            Entry::Statement(statement) => self.take_in_statement(statement)?,
            Entry::Ignored { name } => {
                self.receipts.ignore(name.clone());
                Outcome::Ignored
            }
            Entry::Quarantined(item) => {
                if traces::is_of_the_forgotten(connection, self.context.forgotten, item, received_at_ms)? {
                    self.receipts.ignore(OF_THE_FORGOTTEN.into());
                    Outcome::Ignored
                } else {
                    quarantine::insert(connection, item, received_at_ms)?;
                    Outcome::Quarantined
                }
            }
            Entry::Released { quarantine_id, entries } => {
                if quarantine::release(connection, *quarantine_id)? {
                    for entry in entries {
                        self.outcomes.push(Outcome::Accepted);
                        self.sort(self.outcomes.len() - 1, entry)?;
                    }
                }
                Outcome::Released
            }
            Entry::Setting { key, value } => {
                sqlite::set_setting(connection, key, value)?;
                Outcome::Released
            }
            Entry::DeletionRevoked { identifier } => {
                erasure::revoke(connection, identifier, received_at_ms)?;
                Outcome::Released
            }
            Entry::Name { source, name } => {
                sources::set_name(connection, source, name.as_deref())?;
                Outcome::Released
            }
            Entry::KeyUsed { id, at_ms } => {
                keys::set_used(connection, *id, *at_ms)?;
                Outcome::Released
            }
            Entry::SessionsEnded { token } => {
                keys::end_sessions(connection, token, received_at_ms)?;
                Outcome::Released
            }
        };
        self.outcomes[place] = outcome;
        Ok(())
    }

    fn take_in_statement(&mut self, statement: &Statement) -> Result<Outcome, Error> {
        let Context { connection, forgotten, graces, .. } = &mut *self.context;
        match statement.said {
            Said::Standing(standing) => erasure::request(connection, forgotten, statement, standing, *graces),
            Said::Set(_) | Said::Subscription(_)
                if erasure::registers::is_of_the_forgotten(connection, forgotten, statement)? =>
            {
                self.receipts.ignore(OF_THE_FORGOTTEN.into());
                Ok(Outcome::Ignored)
            }
            Said::Set(_) | Said::Subscription(_) => registers::take_in(connection, statement),
        }
    }

    fn add(&mut self, place: usize, incoming: &'a Incoming, report: Option<&'a Report>) {
        let next = self.arrivals.len();
        let group = *self.places.entry(&incoming.event.delivery_id).or_insert(next);
        if group == next {
            self.arrivals.push(Vec::new());
        }
        self.arrivals[group].push(Arrival { place, incoming, report });
    }

    fn write_events(&mut self) -> Result<(), Error> {
        let gone_before_ms = retention::gone_before_ms(self.context.connection)?;
        for mut arrivals in std::mem::take(&mut self.arrivals) {
            let delivery_id = &*arrivals[0].incoming.event.delivery_id;
            match deliveries::find(self.context.connection, delivery_id)? {
                Some(row) if row.is_pruned => self.refuse_pruned(&arrivals),
                Some(row) => {
                    let is_pulled = row.absorbed.is_some()
                        || arrivals.iter().any(|arrival| pulled::is_pulled(&arrival.incoming.event));
                    if is_pulled || self.may_be_forgotten(&row, &arrivals)? || !self.join(&row, &arrivals)? {
                        self.join_with_history(&row, &arrivals)?;
                    }
                }
                None => {
                    let is_old = |arrival: &mut Arrival| arrival.incoming.event.time.ms < gone_before_ms;
                    self.refuse_pruned(&arrivals.extract_if(.., is_old).collect::<Vec<_>>());
                    if arrivals.iter().all(|arrival| arrival.report.is_some()) {
                        self.let_wait(&arrivals)?;
                    } else {
                        self.create(delivery_id, &arrivals)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether these were counted before their delivery was pruned, nobody can tell.
    fn refuse_pruned(&mut self, arrivals: &[Arrival]) {
        arrivals.iter().for_each(|arrival| self.outcomes[arrival.place] = Outcome::Pruned);
    }

    /// Puts reports on a delivery in quarantine that neither the file nor the batch knows.
    fn let_wait(&mut self, arrivals: &[Arrival]) -> Result<(), Error> {
        for (place, report) in arrivals.iter().filter_map(|arrival| Some((arrival.place, arrival.report?))) {
            self.outcomes[place] =
                if quarantine::insert_waiting(self.context.connection, self.context.forgotten, report)? {
                    self.reports_wait = true;
                    Outcome::Quarantined
                } else {
                    self.receipts.ignore(OF_THE_FORGOTTEN.into());
                    Outcome::Ignored
                };
        }
        Ok(())
    }

    /// Whether the delivery is forgotten, or may come to be: by an identifier that arrives, or since it is older than
    /// was known.
    fn may_be_forgotten(&self, row: &DeliveryRow, arrivals: &[Arrival]) -> Result<bool, Error> {
        let Context { connection, forgotten, .. } = &*self.context;
        if !forgotten.any() {
            return Ok(false);
        }
        let events = || arrivals.iter().map(|arrival| &arrival.incoming.event);
        let mut carried = events().flat_map(identifiers).map(|(_, identifier)| identifier);
        Ok(row.forgotten
            || events().any(|event| event.time.ms < row.delivery.created_at_ms)
            || forgotten.knows_any(connection, &mut carried)?)
    }

    /// Joins arrivals to a delivery without reading its other events. False, and nothing is done, where that needs them.
    fn join(&mut self, row: &DeliveryRow, arrivals: &[Arrival]) -> Result<bool, Error> {
        let connection = self.context.connection;
        let mut before = row.delivery.clone();
        for link in arrivals.iter().filter_map(|arrival| arrival.incoming.event.link()) {
            if let Some(followed) = deliveries::followed(connection, row.id, link)? {
                before.links.insert(link.into(), followed);
            }
        }
        let mut after = before.clone();
        let mut fresh: Vec<Fresh> = Vec::new();
        let mut places: HashMap<(&str, &str), usize> = HashMap::new();
        let mut repeated: Vec<(usize, i64)> = Vec::new();
        for Arrival { place, incoming, .. } in arrivals {
            let event = &incoming.event;
            let key = (&*event.id, event.metric.as_str());
            if let Some(earlier) = places.get(&key).map(|n| &mut fresh[*n]) {
                if adds_to(event, &earlier.incoming.event) {
                    return Ok(false);
                }
                earlier.repeats.push(*place);
            } else if let Some(stored) = events::find(connection, row.id, &event.id, event.metric.as_str())? {
                if adds_to(event, &stored.event) {
                    return Ok(false);
                }
                repeated.push((*place, stored.id));
            } else {
                if after.apply(event) == Applied::ReadHistory {
                    return Ok(false);
                }
                places.insert(key, fresh.len());
                fresh.push(Fresh { incoming, place: *place, repeats: Vec::new() });
            }
        }
        for (place, id) in repeated {
            self.outcomes[place] = Outcome::Duplicate;
            events::count_repeats(connection, id, 1)?;
        }
        if fresh.is_empty() {
            return Ok(true);
        }
        let first_attributes = row.first_attributes.as_deref().unwrap_or_default();
        for Fresh { incoming, repeats, .. } in &fresh {
            self.insert_event(row.id, first_attributes, &incoming.event, Some(incoming), repeats)?;
        }
        self.delta.change(&before, &after, fresh.iter().map(|fresh| &fresh.incoming.event));
        deliveries::update(connection, row.id, &before, &after)?;
        self.name_changes(&row.delivery_id, Some(&before), &after)?;
        // what the columns do not show any more is found otherwise
        let hidden = [Attribute::PersonId, Attribute::Recipient].map(|attribute| before.attributes.get(attribute));
        let carried = fresh.iter().flat_map(|fresh| identifiers(&fresh.incoming.event)).map(|(_, text)| text);
        self.insert_identifiers(row.id, &after, carried.chain(hidden.into_iter().flatten()))?;
        Ok(true)
    }

    /// Creates a delivery, with the reports that waited for it.
    fn create(&mut self, delivery_id: &str, arrivals: &[Arrival]) -> Result<(), Error> {
        let waited = if self.reports_wait {
            quarantine::take_waiting(self.context.connection, delivery_id)?
        } else {
            Vec::new()
        };
        let mut merged = Merged::new(Vec::new(), Vec::new(), false);
        for incoming in &waited {
            self.outcomes.push(Outcome::Accepted);
            let place = self.outcomes.len() - 1;
            merged.add(self.context.forgotten, &Arrival { place, incoming, report: None });
        }
        arrivals.iter().for_each(|arrival| merged.add(self.context.forgotten, arrival));
        self.write(None, delivery_id, merged)
    }

    /// Joins arrivals to a delivery with all of its events at hand.
    fn join_with_history(&mut self, row: &DeliveryRow, arrivals: &[Arrival]) -> Result<(), Error> {
        let absorbed = match &row.absorbed {
            Some(json) => exact::all_from_json(&row.delivery_id, json)?,
            None => Vec::new(),
        };
        let mut merged = Merged::new(events::all(self.context.connection, row.id)?, absorbed, row.forgotten);
        arrivals.iter().for_each(|arrival| merged.add(self.context.forgotten, arrival));
        self.write(Some(row), &row.delivery_id, merged)
    }

    /// Writes a delivery with all of its events at hand.
    fn write(&mut self, row: Option<&DeliveryRow>, delivery_id: &str, merged: Merged) -> Result<(), Error> {
        let connection = self.context.connection;
        let Merged { history, mut events, absorbed, fresh, repeated, lost, .. } = merged;
        let is_absorbed = pulled::absorbed(&events);
        let standing = |events: &'_ [Event]| -> Vec<Event> {
            events
                .iter()
                .zip(&is_absorbed)
                .filter(|(_, absorbed)| !**absorbed)
                .map(|(event, _)| event.clone())
                .collect()
        };
        let of = |events: &[Event]| {
            let no_events = || Error::Row(format!("delivery {delivery_id} has no events"));
            Delivery::of(&standing(events)).ok_or_else(no_events)
        };
        let mut after = of(&events)?;
        let was_forgotten = row.is_some_and(|row| row.forgotten);
        let mut is_forgotten = false;
        if self.context.forgotten.any() {
            let id = row.map_or(0, |row| row.id);
            let target = Target { id, is_stored: row.is_some(), was_forgotten, lost: &lost };
            let forgotten = &mut *self.context.forgotten;
            is_forgotten = erasure::pseudonymize_if_forgotten(connection, forgotten, &target, &after, &mut events)?;
            if is_forgotten {
                after = of(&events)?;
            }
        }
        let before = Delivery::of(history.iter().map(|row| &row.event));
        if let Some(before) = &before {
            self.delta.take(before, history.iter().map(|row| &row.event));
        }
        let stand = standing(&events);
        self.delta.add(&after, &stand);

        let kept = row.filter(|_| was_forgotten || !is_forgotten).and_then(|row| row.first_attributes.clone());
        let first_attributes = kept.clone().unwrap_or_else(|| events::first_attributes(&stand[0].attributes));
        let id = match (row, &before) {
            (Some(row), Some(before)) => {
                deliveries::update(connection, row.id, before, &after)?;
                if kept.is_none() {
                    deliveries::set_first_attributes(connection, row.id, &first_attributes, is_forgotten)?;
                }
                row.id
            }
            _ => deliveries::insert(connection, delivery_id, &after, &first_attributes, is_forgotten)?,
        };
        self.name_changes(delivery_id, before.as_ref(), &after)?;
        for ((row, event), is_absorbed) in history.iter().zip(&events).zip(&is_absorbed) {
            if *is_absorbed {
                events::delete(connection, row.id)?;
            } else if row.event != *event || kept.is_none() {
                events::update(connection, row.id, Some(&first_attributes), event)?;
            }
        }
        for (place, n) in repeated {
            self.outcomes[place] = Outcome::Duplicate;
            if let Some(row) = history.get(n) {
                events::count_repeats(connection, row.id, 1)?;
            }
        }
        let came_back = absorbed.iter().map(|_| None);
        for (n, fresh) in came_back.chain(fresh.iter().map(Some)).enumerate() {
            let n = history.len() + n;
            if !is_absorbed[n] {
                let incoming = fresh.map(|fresh| fresh.incoming).filter(|_| !is_forgotten);
                let repeats = fresh.map_or(&[][..], |fresh| &fresh.repeats);
                self.insert_event(id, &first_attributes, &events[n], incoming, repeats)?;
            } else if let Some(Fresh { place, repeats, .. }) = fresh {
                repeats.iter().chain([place]).for_each(|place| self.outcomes[*place] = Outcome::Duplicate);
            }
        }
        if events.iter().any(pulled::is_pulled) {
            let mut absorbed: Vec<_> = events.iter().zip(&is_absorbed).filter(|(_, is)| **is).map(|it| it.0).collect();
            absorbed.sort_by_key(|event| key(event));
            let absorbed = exact::all_to_json(absorbed.into_iter())?;
            if row.and_then(|row| row.absorbed.as_ref()) != Some(&absorbed) {
                deliveries::set_absorbed(connection, id, &absorbed)?;
            }
        }
        let forgotten = &*self.context.forgotten;
        let lost: Vec<Text> = match is_forgotten {
            true => lost.iter().map(|text| forgetting::pseudonym(&forgotten.hash(text))).collect(),
            false => lost,
        };
        let carried = events.iter().flat_map(identifiers).map(|(_, text)| text);
        self.insert_identifiers(id, &after, carried.chain(lost.iter().map(|text| &**text)))
    }

    /// Gives changes of subscriptions that name the delivery and no person to whom it is for, where that moved.
    fn name_changes(&self, delivery_id: &str, before: Option<&Delivery>, after: &Delivery) -> Result<(), Error> {
        let whose = |delivery: &Delivery| {
            let of = |attribute| delivery.attributes.get(attribute);
            let address = || of(Attribute::Recipient).filter(|_| delivery.attributes.channel() == Some(Channel::Email));
            let known = [Attribute::PersonId, Attribute::Email, Attribute::CioId].into_iter().find_map(of);
            known.or_else(address).map(Text::from)
        };
        if self.changes_wait && before.and_then(whose) != whose(after) {
            registers::name_by_delivery(self.context.connection, delivery_id)?;
        }
        Ok(())
    }

    /// Inserts an event with its body, and counts the copies that came with it.
    fn insert_event(
        &mut self,
        delivery: i64,
        first_attributes: &str,
        event: &Event,
        body: Option<&Incoming>,
        repeats: &[usize],
    ) -> Result<(), Error> {
        let connection = self.context.connection;
        let id = events::insert(connection, delivery, first_attributes, event, repeats.len() as i64)?;
        if let Some(incoming) = body.filter(|_| self.context.keep_bodies) {
            events::insert_body(connection, id, &incoming.format, &incoming.body)?;
        }
        for place in repeats {
            self.outcomes[*place] = Outcome::Duplicate;
        }
        Ok(())
    }

    /// Makes the delivery findable by what its events carry, in the form that is compared, and its columns person_id and
    /// recipient do not show.
    fn insert_identifiers<'t>(
        &self,
        id: i64,
        delivery: &Delivery,
        carried: impl Iterator<Item = &'t str>,
    ) -> Result<(), Error> {
        let shown = [Attribute::PersonId, Attribute::Recipient].map(|attribute| delivery.attributes.get(attribute));
        let compared = carried.map(forgetting::normalized);
        let hidden: HashSet<Cow<str>> = compared.filter(|text| !shown.contains(&Some(&**text))).collect();
        hidden.iter().try_for_each(|text| events::insert_identifier(self.context.connection, id, text))
    }
}
