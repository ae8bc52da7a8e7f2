//! Where events come in. Each handler: read the body, check who sent it, read its items, store them, answer.

pub mod again;
pub mod answer;
pub mod body;
mod calls;
mod cors;
pub mod due;
pub mod keys;
mod track_api;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, Resource, Responder, guard};
use serde_json::{Value, json};

use crate::config::Limits;
use crate::domain::Millis;
use crate::intake::{self, Scope};
use crate::store::{Entry, Outcome, Refused, Writer};
use crate::wire::{self, CallType, IdKey, Item, Reason, signature};

use answer::{Refusal, Stored};
use body::{Body, Budget};
use keys::Keys;

/// The most items that a call may bring, and the most errors that an answer tells one by one. A webhook may bring all
/// that a body has room for, up to [`wire::ITEMS_MAX`]: what it brings beyond could only be lost.
const CALL_ITEMS_MAX: usize = 5_000;

/// How long the writer may take. With the body's three seconds this would pass the four in which a webhook must be
/// answered, so what is left of them counts.
const ANSWER_WITHIN: Duration = Duration::from_millis(3_500);

/// What the handlers share.
#[derive(Clone)]
pub struct Ingest {
    pub writer: Writer,
    pub id_key: Arc<IdKey>,
    pub signing_keys: Arc<[signature::Key]>,
    /// How far the time that a webhook was signed at may lie from now, if that matters.
    pub signature_max_age: Option<Duration>,
    /// Who may send by the paths that are not signed.
    pub keys: Keys,
    pub limits: Limits,
    pub budget: Budget,
}

/// The paths of `interfaces.md` that this version serves.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(post("/webhooks/customerio", webhooks::customerio))
        .service(post("/webhooks/pipelines", webhooks::pipelines))
        .service(post("/v1/events", calls::events))
        .configure(track_api::routes);
    for call in CallType::ALL {
        let handler = move |request, payload, ingest| calls::call(call, request, payload, ingest);
        // browser SDKs shorten it to its letter, and some send to the whole name
        for name in [call.name(), &call.name()[..1]] {
            config.service(cors::open_to_pages(post(&format!("/v1/{name}"), handler)));
        }
    }
}

/// A path that takes POST, and says so to whoever comes with something else.
fn post<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    taking("POST", path, handler)
}

/// A path that takes these methods, written as in an `Allow` header.
fn taking<F, A>(methods: &'static str, path: &str, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let otherwise = web::to(move || async move { answer::wrong_method(methods) });
    let is_taken = guard::fn_guard(move |asked| methods.split(", ").any(|method| asked.head().method == method));
    web::resource(path).route(web::route().guard(is_taken).to(handler)).default_service(otherwise)
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
        wire::Context { received_at_ms: started.received_at_ms, id_key: &self.id_key, live: false }
    }

    /// Stores what a body was read as; what became of it is known once it is on disk. The body's share of the budget is
    /// held until the writer is done with it, also where the sender has gone or was told to come again: what waits takes
    /// memory.
    async fn store(&self, started: &Started, scope: Scope, items: Vec<Item>, body: Body) -> Result<Stored, Refusal> {
        if items.is_empty() {
            return Ok(Stored::default());
        }
        let mut errors = Vec::new();
        let mut entries = Vec::with_capacity(items.len());
        let mut reports = Vec::new();
        // the entry that each call begins with: what became of that is what became of the call
        let mut calls = Vec::with_capacity(items.len());
        for item in items {
            if item.is_call() {
                calls.push(entries.len());
            }
            let index = calls.len().saturating_sub(1);
            let mut error = error_of(index, &item);
            let is_noise = matches!(item, Item::Ignored { .. });
            let entry = intake::entry(item, scope);
            match entry {
                Entry::Ignored { .. } if !is_noise && calls.last() == Some(&entries.len()) => {
                    let message = "with this key, or none, only reports on deliveries that are known are taken";
                    error = Some(told(index, "needs_full_key", None, message));
                }
                Entry::Report(_) => reports.push(index),
                _ => {}
            }
            errors.extend(error.filter(|_| errors.len() < CALL_ITEMS_MAX));
            entries.push(entry);
        }
        let left = ANSWER_WITHIN.saturating_sub(started.at.elapsed());
        let (writer, received_at_ms) = (self.writer.clone(), started.received_at_ms);
        // a task of its own: the entries wait on when nobody waits for the answer any more
        let writing = actix_web::rt::spawn(async move {
            let outcomes = writer.write(entries, received_at_ms).await;
            drop(body);
            outcomes
        });
        let written = match tokio::time::timeout(left, writing).await {
            Ok(Ok(outcomes)) => outcomes,
            Ok(Err(_)) | Err(_) => Err(Refused::Unwritable),
        };
        let written = written.map_err(Refusal::Writer)?;
        let outcomes: Vec<Outcome> = calls.into_iter().filter_map(|entry| written.get(entry).copied()).collect();
        let reason = Reason::UnknownDelivery;
        reports.retain(|index| outcomes.get(*index) == Some(&Outcome::Quarantined));
        errors.extend(reports.into_iter().map(|index| told(index, reason.name(), None, reason.explanation())));
        Ok(Stored { outcomes, errors })
    }
}

fn error_of(index: usize, item: &Item) -> Option<Value> {
    let Item::Quarantined(aside) = item else { return None };
    Some(told(index, aside.reason.name(), aside.field, &aside.detail))
}

fn told(index: usize, code: &str, field: Option<&str>, message: &str) -> Value {
    json!({ "index": index, "code": code, "field": field, "message": message })
}

#[cfg(test)]
mod tests {
    use crate::store::Tracker;

    use super::*;

    #[actix_web::test]
    async fn what_waits_for_the_writer_keeps_its_share_when_the_sender_goes() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("waybill.db");
        let (writer, writing) = Writer::start(Tracker::open(&db).unwrap()).unwrap();
        let budget = Budget::default();
        let ingest = Ingest {
            writer: writer.clone(),
            id_key: Arc::new(IdKey::new(b"test")),
            signing_keys: Arc::new([]),
            signature_max_age: None,
            keys: Keys::default(),
            limits: Limits::LEAST,
            budget: budget.clone(),
        };
        let lock = rusqlite::Connection::open(&db).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();

        let free = budget.free();
        let mut body = Body::default();
        body.draw(&budget, 1_000).unwrap();
        let started = Started::now();
        let read = wire::read(wire::Format::Webhook, b"{}", &ingest.context(&started)).unwrap();
        let gone =
            tokio::time::timeout(Duration::from_millis(50), ingest.store(&started, Scope::Full, read, body)).await;
        assert!(gone.is_err());
        assert_eq!(budget.free(), free - 1_000, "its entries wait for the writer");

        lock.execute_batch("ROLLBACK").unwrap();
        while budget.free() < free {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writer.stop();
        writing.join().unwrap();
        let kept: i64 = lock.query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 1);
    }
}
