//! One delivery as JSON and CSV.

use serde::Serialize;
use serde_json::value::RawValue;

use super::twin::{Data, Table};
use crate::store::delivery::{self, Delivery};
use crate::store::rows::{self, Row};
use crate::web::address::Address;
use crate::wire::residual;

/// Its row and its first events, oldest first. The table is its events.
#[derive(Serialize)]
pub struct OneDelivery {
    #[serde(flatten)]
    delivery: Row,
    timeline: Vec<OneEvent>,
    /// The list of all its events, if the timeline is cut.
    next: Option<Address>,
    #[serde(skip)]
    columns: Vec<String>,
}

#[derive(Serialize)]
struct OneEvent {
    #[serde(flatten)]
    row: Row,
    repeats: i64,
    /// The JSON as it was received.
    raw: Option<Box<RawValue>>,
}

impl OneDelivery {
    pub fn new(delivery: &Delivery, shown: rows::WithEvents, next: Option<Address>) -> OneDelivery {
        let event = |(row, event): (Row, &delivery::Event)| {
            let raw = event.raw.as_ref().map(|kept| residual::whole(&kept.residual, &kept.event));
            OneEvent { row, repeats: event.repeats, raw: raw.and_then(|raw| RawValue::from_string(raw).ok()) }
        };
        let timeline = shown.events.into_iter().zip(&delivery.events).map(event).collect();
        OneDelivery { delivery: shown.delivery, timeline, next, columns: shown.event_columns }
    }
}

impl Data for OneDelivery {
    fn table(&self) -> Table {
        let rows = self.timeline.iter().map(|event| event.row.values().cloned().collect()).collect();
        Table { columns: self.columns.clone(), rows }
    }

    fn older(&self) -> Option<&Address> {
        self.next.as_ref()
    }
}
