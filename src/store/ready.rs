//! An event made ready to be stored: what follows from it alone is worked out where it is read, beside the writer.

use super::eid::Eid;
use super::fingerprint::Fingerprint;
use super::raw::{self, Packed};
use crate::domain::{Attribute, Event, Millis};

/// An event, with its JSON.
#[derive(Clone, Debug)]
pub struct Ready {
    event: Event,
    raw: Packed,
    eid: Eid,
    /// Of its delivery's id.
    delivery: Fingerprint,
}

impl Ready {
    /// Of an event, and what its columns do not hold of its JSON.
    pub fn of(event: Event, residual: &str) -> Ready {
        Ready::packed(event, raw::pack(residual))
    }

    /// The same, of what is packed already.
    pub(super) fn packed(mut event: Event, raw: Packed) -> Ready {
        // has no column yet
        event.attributes.set(Attribute::RecipientRaw, None);
        Ready { eid: Eid::pack(&event.id), delivery: Fingerprint::of(&event.delivery_id), event, raw }
    }

    pub fn event(&self) -> &Event {
        &self.event
    }

    pub fn raw(&self) -> &Packed {
        &self.raw
    }

    /// When it was received, of one that is read again.
    pub fn set_received_at_ms(&mut self, received_at_ms: Millis) {
        self.event.received_at_ms = received_at_ms;
    }

    pub(super) fn eid(&self) -> &Eid {
        &self.eid
    }

    pub(super) fn delivery(&self) -> Fingerprint {
        self.delivery
    }
}
