//! Finds the entry at fault where several could not be stored together, and puts it in quarantine.

use super::{Refused, Work};
use crate::domain::{Millis, Text};
use crate::store::entry::{Entry, Outcome};
use crate::store::quarantine::{NOT_STORED, Quarantined};
use crate::store::{Error, events};

impl Work {
    /// Finds what cannot be stored by halving: one entry at fault among thousands costs a few commits, not thousands.
    pub(super) fn record_in_halves(
        &mut self,
        entries: &[&Entry],
        received_at_ms: Millis,
    ) -> Vec<Result<Outcome, Refused>> {
        let (left, right) = entries.split_at(entries.len() / 2);
        let mut outcomes = Vec::with_capacity(entries.len());
        for half in [left, right] {
            match half {
                [] => {}
                [entry] => outcomes.push(self.commit_alone(entry, received_at_ms)),
                half => match self.record(half, received_at_ms) {
                    Ok(stored) => outcomes.extend(stored.into_iter().map(Ok)),
                    Err(error) if error.is_of_the_file() => {
                        outcomes.extend(half.iter().map(|_| Err(Refused::Unwritable)));
                    }
                    Err(_) => outcomes.extend(self.record_in_halves(half, received_at_ms)),
                },
            }
        }
        outcomes
    }

    /// Records what may be at fault. If it is, it is quarantined, so that its sender need not retry.
    fn commit_alone(&mut self, entry: &Entry, received_at_ms: Millis) -> Result<Outcome, Refused> {
        let first = |outcomes: Vec<Outcome>| outcomes.into_iter().next().ok_or(Refused::Unwritable);
        let error = match self.record(&[entry], received_at_ms) {
            Ok(outcomes) => return first(outcomes),
            Err(error) if error.is_of_the_file() => return Err(Refused::Unwritable),
            Err(error) => error,
        };
        tracing::error!(%error, "an entry could not be stored and is put in quarantine");
        let detail = error.to_string();
        let stored = match entry {
            // it may be at fault, or what waits for its delivery
            Entry::Event(incoming) => match self.tracker.give_up_waiting(&incoming.event.delivery_id, &detail) {
                Ok(0) => self.quarantine(entry, &detail, received_at_ms),
                Ok(_) => return self.commit_alone(entry, received_at_ms),
                Err(error) => Err(error),
            },
            Entry::Released { quarantine_id, .. } => {
                self.tracker.give_up(*quarantine_id, &detail).map(|()| vec![Outcome::Quarantined])
            }
            entry => self.quarantine(entry, &detail, received_at_ms),
        };
        stored
            .map_err(|error| tracing::error!(%error, "the quarantine did not take it either"))
            .map_or(Err(Refused::Unwritable), first)
    }

    fn quarantine(&mut self, entry: &Entry, detail: &str, received_at_ms: Millis) -> Result<Vec<Outcome>, Error> {
        match not_stored(entry, detail) {
            Some(item) => self.record(&[&Entry::Quarantined(Box::new(item))], received_at_ms),
            None => Err(Error::Row("the entry has no body to put in quarantine".into())),
        }
    }
}

/// What the quarantine holds of an entry that the file does not take; `None` for one that has no body.
pub(super) fn not_stored(entry: &Entry, detail: &str) -> Option<Quarantined> {
    let (format, delivery_id, body): (Text, Option<&Text>, Vec<u8>) = match entry {
        Entry::Event(incoming) => {
            let event = &incoming.event;
            ("waybill".into(), Some(&event.delivery_id), events::as_json(event).to_string().into_bytes())
        }
        Entry::Report(report) => {
            (report.format.clone(), Some(&report.incoming.event.delivery_id), report.body.as_bytes().to_vec())
        }
        // its body is not here; what is kept of it is for people
        Entry::Statement(statement) => ("statement".into(), None, format!("{statement:#?}").into_bytes()),
        Entry::Ignored { .. }
        | Entry::Quarantined(_)
        | Entry::Released { .. }
        | Entry::Setting { .. }
        | Entry::DeletionRevoked { .. }
        | Entry::Name { .. }
        | Entry::KeyUsed { .. }
        | Entry::SessionsEnded { .. } => {
            return None;
        }
    };
    Some(Quarantined {
        format,
        reason: NOT_STORED.into(),
        detail: detail.into(),
        delivery_id: delivery_id.cloned(),
        due_at_ms: None,
        public: matches!(entry, Entry::Report(_)),
        body_bytes: body.len() as i64,
        body,
    })
}
