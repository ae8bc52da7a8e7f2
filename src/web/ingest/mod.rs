//! Where events come in. Each handler: read the body, check who sent it, read its items, store them, answer.

pub mod answer;
pub mod body;
mod calls;
pub mod due;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpResponse, Resource, Responder};
use serde_json::{Value, json};

use crate::domain::Millis;
use crate::intake;
use crate::store::{Entry, Refused, Writer};
use crate::wire::{self, CallType, IdKey, Item, signature};

use answer::Refusal;
use body::{Body, Budget};

/// The most items that one request may bring; Segment's webhook destination sends up to 4,000.
const ITEMS_MAX: usize = 5_000;

/// How long the writer may take. With the body's three seconds this would pass the four in which a webhook must be
/// answered, so what is left of them counts.
const ANSWER_WITHIN: Duration = Duration::from_millis(3_500);

/// What the handlers share.
#[derive(Clone)]
pub struct Ingest {
    pub writer: Writer,
    pub id_key: Arc<IdKey>,
    pub signing_keys: Arc<[signature::Key]>,
    /// Who may send by Data Pipelines and Waybill's own format; none: everyone.
    pub ingest_keys: Arc<[crate::config::Secret]>,
    pub budget: Budget,
}

/// The paths of `interfaces.md` that this version serves.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(post("/webhooks/customerio", webhooks::customerio))
        .service(post("/webhooks/pipelines", webhooks::pipelines))
        .service(post("/v1/events", calls::events));
    for call in CallType::ALL {
        let handler = move |request, payload, ingest| calls::call(call, request, payload, ingest);
        config.service(post(&format!("/v1/{}", call.name()), handler));
    }
}

/// A path that takes POST, and says so to whoever comes with something else.
fn post<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let otherwise = web::to(|| async { answer::wrong_method("POST") });
    web::resource(path).route(web::post().to(handler)).default_service(otherwise)
}

/// A request under way: when it came, on both clocks.
struct Started {
    at: std::time::Instant,
    received_at_ms: Millis,
}

impl Started {
    fn now() -> Started {
        Started { at: std::time::Instant::now(), received_at_ms: chrono::Utc::now().timestamp_millis() }
    }
}

impl Ingest {
    fn context(&self, started: &Started) -> wire::Context<'_> {
        wire::Context { received_at_ms: started.received_at_ms, id_key: &self.id_key }
    }

    /// Stores what a body was read as, and answers once it is on disk. The body's share of the budget is held until
    /// then: what waits for the writer takes memory too.
    async fn store(&self, started: &Started, items: Vec<Item>, body: Body) -> Result<HttpResponse, Refusal> {
        let errors = items.iter().enumerate().filter_map(|(index, item)| error_of(index, item)).collect();
        let entries: Vec<Entry> = items.into_iter().map(intake::entry).collect();
        if entries.is_empty() {
            return Ok(answer::success(&[], errors));
        }
        let left = ANSWER_WITHIN.saturating_sub(started.at.elapsed());
        let writing = self.writer.write(entries, started.received_at_ms);
        let outcomes = tokio::time::timeout(left, writing).await.unwrap_or(Err(Refused::Unwritable));
        drop(body);
        Ok(answer::success(&outcomes.map_err(Refusal::Writer)?, errors))
    }
}

fn error_of(index: usize, item: &Item) -> Option<Value> {
    let Item::Quarantined(aside) = item else { return None };
    Some(json!({ "index": index, "code": aside.reason.name(), "field": aside.field, "message": aside.detail }))
}
