//! One delivery as JSON and CSV.

use serde::Serialize;
use serde_json::Value;

use super::twin::{Data, Table};
use crate::store::query::delivery::{self, Delivery};
use crate::store::query::rows::{self, Row};
use crate::web::address::Address;

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
    /// The JSON as it was received; null once it is no longer kept.
    raw: Option<Value>,
}

impl OneDelivery {
    pub fn new(delivery: &Delivery, shown: rows::WithEvents, next: Option<Address>) -> OneDelivery {
        let event = |(row, event): (Row, &delivery::Event)| {
            let raw = event.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
            OneEvent { row, raw }
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
