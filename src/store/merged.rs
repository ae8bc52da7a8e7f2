//! The events of a delivery with those that arrive: each identity once, its copies merged.

use std::collections::{HashMap, HashSet};

use super::entry::{Incoming, Report};
use super::erasure::Forgotten;
use super::events::EventRow;
use crate::domain::forgetting::{IDENTIFYING, identifiers};
use crate::domain::{Event, Text};

/// An event of the batch, with the place of its outcome.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub place: usize,
    pub incoming: &'a Incoming,
    pub report: Option<&'a Report>,
}

/// An event that is new, with its place in the batch and those of its copies.
pub struct Fresh<'a> {
    pub incoming: &'a Incoming,
    pub place: usize,
    pub repeats: Vec<usize>,
}

/// The stored events of a delivery and those that arrive, each identity once.
pub struct Merged<'a> {
    pub history: Vec<EventRow>,
    /// Pulled events that did not stand.
    pub absorbed: Vec<Event>,
    /// Those of the history and the absorbed ones, as copies have changed them, then those of `fresh`.
    pub events: Vec<Event>,
    pub fresh: Vec<Fresh<'a>>,
    /// The place of a copy, and which of `events` it is.
    pub repeated: Vec<(usize, usize)>,
    /// Identifiers that copies carry and the events that they made do not.
    pub lost: Vec<Text>,
    places: HashMap<(Text, Text), usize>,
    is_forgotten: bool,
}

impl<'a> Merged<'a> {
    pub fn new(history: Vec<EventRow>, absorbed: Vec<Event>, is_forgotten: bool) -> Merged<'a> {
        let events: Vec<Event> = history.iter().map(|row| &row.event).chain(&absorbed).cloned().collect();
        let places = events.iter().enumerate().map(|(n, event)| (key(event), n)).collect();
        let (fresh, repeated, lost) = (Vec::new(), Vec::new(), Vec::new());
        Merged { history, absorbed, events, fresh, repeated, lost, places, is_forgotten }
    }

    pub fn add(&mut self, forgotten: &Forgotten, arrival: &Arrival<'a>) {
        let event = &arrival.incoming.event;
        // compared with its like: pseudonyms with pseudonyms
        let event = if self.is_forgotten { forgotten.pseudonymize(event) } else { event.clone() };
        let next = self.events.len();
        let n = *self.places.entry(key(&event)).or_insert(next);
        if n == next {
            self.events.push(event);
            self.fresh.push(Fresh { incoming: arrival.incoming, place: arrival.place, repeats: Vec::new() });
            return;
        }
        let known = self.events[n].clone();
        self.events[n].merge(&event);
        let carried: HashSet<&str> = identifiers(&self.events[n]).map(|(_, text)| text).collect();
        let both = [&known, &event].into_iter().flat_map(identifiers).map(|(_, text)| text);
        self.lost.extend(both.filter(|text| !carried.contains(text)).map(Text::from));
        match n.checked_sub(self.history.len() + self.absorbed.len()) {
            Some(n) => self.fresh[n].repeats.push(arrival.place),
            None => self.repeated.push((arrival.place, n)),
        }
    }
}

pub fn key(event: &Event) -> (Text, Text) {
    (event.id.clone(), event.metric.as_str().into())
}

/// Whether a copy would change an event, or carries identifiers that the event does not.
pub fn adds_to(copy: &Event, event: &Event) -> bool {
    let differs =
        |attribute| copy.attributes.get(attribute).is_some_and(|value| event.attributes.get(attribute) != Some(value));
    IDENTIFYING.into_iter().any(differs)
        || (!copy.recipients.is_empty() && copy.recipients != event.recipients)
        || event.clone().merge(copy)
}
