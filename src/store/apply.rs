//! Takes a batch in: the one way by which events become rows.
//!
//! Order within the transaction: load the deliveries that the batch names, fold in memory, write the changed rows
//! and the summed movement of the counts. Event, delivery and counts commit together or not at all, so a repeat,
//! which stops at the events table, can never count twice.

use hashbrown::HashMap;
use rusqlite::Connection;

use super::Error;
use super::batch::{Arrival, Batch};
use super::fingerprint::Fingerprint;
use super::forgetting::{self, traces};
use super::names::{self, Names};
use super::ready::Ready;
use super::receipts::{self, OF_THE_FORGOTTEN, Quarantined, Receipts};
use super::statements::Statements;
use super::{quarantine, registers, rollups};
use crate::domain::people::Said;
use crate::domain::{Event, Millis, Source, Statement, Text};

/// One thing that came in.
#[derive(Clone, Debug)]
pub enum Entry {
    /// An event, with its JSON.
    Event(Box<Ready>),
    /// A report by a sender who may speak only of deliveries that are known: an event where its delivery is, in the
    /// file or by an event of the same batch. Else it waits.
    Report(Box<Report>),
    /// About a person or an object.
    Statement(Box<Statement>),
    /// Not about messages: counted under its name.
    Ignored { name: Text },
    /// Not understood: kept aside.
    Quarantined(Box<Quarantined>),
    /// What was kept aside in this row was read again as these entries, which are stored as the row goes, all or none;
    /// without any it is dismissed. Nothing is done if the row has gone already.
    Released { quarantine_id: i64, entries: Vec<Entry> },
    /// All that is kept aside was read again by this version of the program.
    QuarantineRead { version: Text },
    /// Deletions of people whose grace has ended take effect.
    DeletionsDue,
    /// Deletions of whoever has this identifier that have not taken effect do not.
    DeletionRevoked { identifier: Text },
    /// What people call a source; `None` takes the name away.
    Name { source: Source, name: Option<Text> },
}

impl Entry {
    /// An event, and what its columns do not hold of its JSON.
    pub fn event(event: Event, residual: &str) -> Entry {
        Entry::Event(Box::new(Ready::of(event, residual)))
    }
}

/// A report on a delivery, and how to keep it aside.
#[derive(Clone, Debug)]
pub struct Report {
    pub ready: Ready,
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
    /// Nothing that came in: it was about what is kept aside, or a name.
    Released,
}

/// Takes entries in, within the transaction that `connection` is in. The outcomes are in their order.
pub fn apply(
    connection: &Connection,
    names: &mut Names,
    entries: &[&Entry],
    received_at_ms: i64,
    deletion_grace_ms: Millis,
) -> Result<Vec<Outcome>, Error> {
    forgetting::refresh(connection, names)?;
    let mut sorting = Sorting {
        connection,
        names,
        received_at_ms,
        deletion_grace_ms,
        outcomes: vec![Outcome::Accepted; entries.len()],
        arrivals: Vec::with_capacity(entries.len()),
        groups: HashMap::with_capacity(entries.len()),
        receipts: Receipts::default(),
    };
    for (place, entry) in entries.iter().enumerate() {
        sorting.take_in(place, entry)?;
    }
    let Sorting { outcomes, mut arrivals, receipts, .. } = sorting;
    arrivals.sort_by_key(|arrival| arrival.group);

    let statements = Statements::of(connection);
    let mut batch = Batch::new(&statements, names, outcomes, receipts);
    batch.take_in(&arrivals)?;
    let Batch { delta, mut outcomes, receipts, .. } = batch;
    rollups::write(&statements, names, delta)?;
    receipts.write(connection, &outcomes, received_at_ms)?;
    if names.forgotten.is_erasing {
        forgetting::erasing::step(connection, names)?;
    }
    // those beyond are of what was kept aside and came out of it
    outcomes.truncate(entries.len());
    Ok(outcomes)
}

/// Sorts events by delivery, and takes the rest in.
struct Sorting<'c, 'a> {
    connection: &'c Connection,
    names: &'c mut Names,
    received_at_ms: Millis,
    deletion_grace_ms: Millis,
    outcomes: Vec<Outcome>,
    arrivals: Vec<Arrival<'a>>,
    /// The number of each delivery.
    groups: HashMap<Fingerprint, usize>,
    receipts: Receipts,
}

impl<'a> Sorting<'_, 'a> {
    fn take_in(&mut self, place: usize, entry: &'a Entry) -> Result<(), Error> {
        match entry {
            Entry::Event(ready) => self.add(place, ready, None),
            Entry::Report(report) => self.add(place, &report.ready, Some(report)),
            Entry::Statement(statement) => self.outcomes[place] = self.take_in_statement(statement)?,
            Entry::Ignored { name } => {
                self.outcomes[place] = Outcome::Ignored;
                self.receipts.ignore(name.clone());
            }
            Entry::Quarantined(quarantined) => {
                let received_at_ms = self.received_at_ms;
                if traces::is_of_the_forgotten(self.connection, self.names, quarantined, received_at_ms)? {
                    self.outcomes[place] = Outcome::Ignored;
                    self.receipts.ignore(OF_THE_FORGOTTEN.into());
                } else {
                    self.outcomes[place] = Outcome::Quarantined;
                    receipts::quarantine(self.connection, quarantined, received_at_ms)?;
                }
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
            Entry::DeletionRevoked { identifier } => {
                self.outcomes[place] = Outcome::Released;
                forgetting::revoke(self.connection, identifier, self.received_at_ms)?;
            }
            Entry::Name { source, name } => {
                self.outcomes[place] = Outcome::Released;
                names::name_source(&Statements::of(self.connection), source, name.as_deref())?;
            }
            Entry::DeletionsDue => {
                self.outcomes[place] = Outcome::Released;
                forgetting::take_effect(self.connection, self.names, self.received_at_ms)?;
            }
        }
        Ok(())
    }

    fn take_in_statement(&mut self, statement: &Statement) -> Result<Outcome, Error> {
        match statement.said {
            Said::Standing(standing) => {
                forgetting::say(self.connection, self.names, statement, standing, self.deletion_grace_ms)
            }
            Said::Set(_) | Said::Subscription(_)
                if forgetting::registers::is_of_the_forgotten(self.connection, self.names, statement)? =>
            {
                self.receipts.ignore(OF_THE_FORGOTTEN.into());
                Ok(Outcome::Ignored)
            }
            Said::Set(_) | Said::Subscription(_) => registers::take_in(self.connection, statement),
        }
    }

    fn add(&mut self, place: usize, ready: &'a Ready, report: Option<&'a Report>) {
        let next = self.groups.len();
        let group = *self.groups.entry(ready.delivery()).or_insert(next);
        self.arrivals.push(Arrival { place, group, ready, report });
    }
}
