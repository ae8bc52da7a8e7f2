//! One delivery as programs get it.

use serde::Serialize;
use serde_json::Value;

use super::twin::{Data, Table};
use crate::store::delivery::{self, Delivery};
use crate::store::rows::{self, Row};

/// Its row and its events.
#[derive(Serialize)]
pub struct OneDelivery {
    #[serde(flatten)]
    delivery: Row,
    timeline: Vec<OneEvent>,
    #[serde(skip)]
    columns: Vec<String>,
}

#[derive(Serialize)]
struct OneEvent {
    #[serde(flatten)]
    event: Row,
    repeats: i64,
    /// Its JSON as it came: every key and value.
    raw: Option<Value>,
}

impl OneDelivery {
    pub fn new(delivery: &Delivery, shown: rows::WithEvents) -> OneDelivery {
        let event = |(event, told): (Row, &delivery::Event)| OneEvent {
            event,
            repeats: told.repeats,
            raw: told.raw.as_ref().and_then(|kept| serde_json::from_str(&kept.residual).ok()),
        };
        OneDelivery {
            delivery: shown.delivery,
            timeline: shown.events.into_iter().zip(&delivery.events).map(event).collect(),
            columns: shown.event_columns,
        }
    }
}

/// Its events.
impl Data for OneDelivery {
    fn table(&self) -> Table {
        Table {
            columns: self.columns.clone(),
            rows: self.timeline.iter().map(|event| event.event.values().cloned().collect()).collect(),
        }
    }
}
