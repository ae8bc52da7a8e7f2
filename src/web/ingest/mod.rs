//! Where events come in. Each handler authorizes the sender, reads the body and its items, stores them and answers.

pub mod answer;
pub mod body;
mod calls;
pub mod certificates;
mod cors;
pub mod due;
pub mod keys;
pub mod lag;
pub mod openapi;
pub mod replay;
mod track_api;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, guard};
use serde_json::{Value, json};

use crate::config::Limits;
use crate::domain::Millis;
use crate::intake::{self, Scope};
use crate::store::{Entry, Outcome, Refused, Writer};
use crate::wire::providers::SENDERS;
use crate::wire::{self, CallType, IdKey, Item, Reason, SourceFrom};

use answer::{Refusal, Stored};
use body::{Body, Budget};
use certificates::Certificates;
use keys::SenderKeys;
use lag::Lag;

/// The most items of a call, and the most errors that an answer lists. A webhook may bring up to [`wire::ITEMS_MAX`]:
/// its sender would not send the rest again.
pub const CALL_ITEMS_MAX: usize = 5_000;

/// How long a request may take until it is answered, from its arrival, body and writer together: senders of webhooks wait
/// four seconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(3_500);

/// What the handlers share.
#[derive(Clone)]
pub struct Ingest {
    pub writer: Writer,
    pub id_key: Arc<IdKey>,
    pub source_from: Arc<SourceFrom>,
    /// The address at which senders reach this server, where it is set.
    pub public_url: Option<Arc<str>>,
    /// How far the time that a webhook was signed at may lie from now, if that matters.
    pub signature_max_age: Option<Duration>,
    pub keys: SenderKeys,
    pub certificates: Certificates,
    pub limits: Limits,
    pub budget: Budget,
    pub counts: Counts,
    pub lag: Lag,
}

/// Events since the start: how many of each outcome came by each route. Copies share it.
#[derive(Clone, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<String, Outcomes>>>);

/// Accepted, duplicate, ignored, quarantined, pruned.
pub type Outcomes = [u64; 5];

impl Counts {
    pub fn count(&self, route: &str, outcomes: &[Outcome]) {
        let Ok(mut routes) = self.0.lock() else { return };
        if !routes.contains_key(route) {
            routes.insert(route.into(), Outcomes::default());
        }
        let Some(counts) = routes.get_mut(route) else { return };
        for outcome in outcomes {
            match outcome {
                Outcome::Accepted => counts[0] += 1,
                Outcome::Duplicate => counts[1] += 1,
                Outcome::Ignored => counts[2] += 1,
                Outcome::Quarantined => counts[3] += 1,
                Outcome::Pruned => counts[4] += 1,
                Outcome::Released => {}
            }
        }
    }

    /// By the pattern of the route.
    pub fn by_route(&self) -> BTreeMap<String, Outcomes> {
        self.0.lock().map(|routes| routes.clone()).unwrap_or_default()
    }
}

/// Every path that takes events.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(post("/webhooks/customerio", webhooks::customerio))
        .service(post("/webhooks/pipelines", webhooks::pipelines))
        .service(post("/v1/events", calls::events))
        .configure(track_api::routes);
    for sender in SENDERS.iter().filter(|sender| sender.is_provider()) {
        let handler = move |request, payload, ingest| webhooks::provider(sender, request, payload, ingest);
        // some ask whether the address is there before they take it
        config.service(post(&sender.path(), handler).route(web::head().to(HttpResponse::Ok)));
    }
    for call in CallType::ALL {
        let handler = move |request, payload, ingest| calls::call(call, request, payload, ingest);
        // browser SDKs shorten it to its letter, and some send to the whole name
        for name in [call.name(), &call.name()[..1]] {
            config.service(cors::open_to_pages(post(&format!("/v1/{name}"), handler)));
        }
    }
    // a sender with a wrong address is answered as a program, and not asked to sign in
    let unknown = web::resource(["/v1/{path:.*}", "/api/{path:.*}", "/webhooks/{path:.*}"]);
    config.service(unknown.default_service(web::to(answer::not_found)));
}

/// A path that takes POST, and answers other methods with 405.
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
    let is_taken = guard::fn_guard(move |asked| methods.split(", ").any(|method| asked.head().method == method));
    web::resource(path).route(web::route().guard(is_taken).to(handler)).default_service(answer::takes_only(methods))
}

/// When a request came, on both clocks.
struct Started {
    at: Instant,
    received_at_ms: Millis,
    /// The pattern of the route by which it came.
    route: String,
}

impl Started {
    /// `lag` before now, on the clock of answers.
    fn now(request: &HttpRequest, lag: &Lag) -> Started {
        let now = Instant::now();
        let route = request.match_pattern().unwrap_or_default();
        let received_at_ms = chrono::Utc::now().timestamp_millis();
        Started { at: now.checked_sub(lag.now()).unwrap_or(now), received_at_ms, route }
    }
}

impl Ingest {
    fn context(&self, started: &Started) -> wire::Context<'_> {
        wire::Context {
            received_at_ms: started.received_at_ms,
            id_key: &self.id_key,
            live: false,
            source_from: &self.source_from,
        }
    }

    /// Stores the items of a body, and returns their outcomes once they are on disk. The body's share of the budget is
    /// held until the writer is done, also where the sender has gone or was asked to retry: what waits takes memory.
    async fn store(&self, started: &Started, scope: Scope, items: Vec<Item>, body: Body) -> Result<Stored, Refusal> {
        if items.is_empty() {
            return Ok(Stored::default());
        }
        let mut errors = Vec::new();
        let mut entries = Vec::with_capacity(items.len());
        let mut reports = Vec::new();
        // the first entry of each call, whose outcome is that of the call
        let mut calls = Vec::with_capacity(items.len());
        for item in items {
            if item.is_call() {
                calls.push(entries.len());
            }
            let index = calls.len().saturating_sub(1);
            let mut error = error_of_item(index, &item);
            let is_noise = matches!(item, Item::Ignored { .. });
            let entry = intake::entry(item, scope);
            match entry {
                Entry::Ignored { .. } if !is_noise && calls.last() == Some(&entries.len()) => {
                    let message = "this key, or no key, only allows reports on known deliveries";
                    error = Some(error_item(index, "needs_full_key", None, message));
                }
                Entry::Report(_) => reports.push(index),
                _ => {}
            }
            errors.extend(error.filter(|_| errors.len() < CALL_ITEMS_MAX));
            entries.push(entry);
        }
        // the answer waits for its turn as the request did
        let left = ANSWER_WITHIN.saturating_sub(started.at.elapsed() + self.lag.now());
        if left.is_zero() {
            return Err(Refusal::Writer(Refused::Busy));
        }
        let (writer, received_at_ms) = (self.writer.clone(), started.received_at_ms);
        // a task, which goes on when the sender has gone
        let writing = actix_web::rt::spawn(async move {
            let outcomes = writer.write(entries, received_at_ms).await;
            drop(body);
            outcomes
        });
        let written: Result<Vec<Outcome>, Refused> = match tokio::time::timeout(left, writing).await {
            Ok(Ok(outcomes)) => outcomes,
            Ok(Err(_)) | Err(_) => Err(Refused::Unwritable),
        };
        let written = written.map_err(Refusal::Writer)?;
        let outcomes: Vec<Outcome> = calls.into_iter().filter_map(|entry| written.get(entry).copied()).collect();
        self.counts.count(&started.route, &outcomes);
        let reason = Reason::UnknownDelivery;
        reports.retain(|index| outcomes.get(*index) == Some(&Outcome::Quarantined));
        errors.extend(reports.into_iter().map(|index| error_item(index, reason.name(), None, reason.explanation())));
        Ok(Stored { outcomes, errors })
    }
}

fn error_of_item(index: usize, item: &Item) -> Option<Value> {
    let Item::Quarantined(item) = item else { return None };
    Some(error_item(index, item.reason.name(), item.field, &item.detail))
}

/// An item of an answer's `errors`.
fn error_item(index: usize, code: &str, field: Option<&str>, message: &str) -> Value {
    json!({ "index": index, "code": code, "field": field, "message": message })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use crate::store::Tracker;
    use crate::web::keys::Keys;

    use super::*;

    #[actix_web::test]
    async fn a_body_that_waits_for_the_writer_holds_its_share_when_the_sender_goes() {
        let folder = tempfile::tempdir().unwrap();
        let db = folder.path().join("waybill.db");
        let (writer, writing) = Writer::start(Tracker::open(&db).unwrap()).unwrap();
        let budget = Budget::default();
        let ingest = Ingest {
            writer: writer.clone(),
            id_key: Arc::new(IdKey::new(b"test")),
            source_from: Arc::default(),
            public_url: None,
            signature_max_age: None,
            keys: SenderKeys { keys: Keys::default(), is_closed: false },
            certificates: Certificates::default(),
            limits: Limits::LEAST,
            budget: budget.clone(),
            counts: Counts::default(),
            lag: Lag::default(),
        };
        let lock = rusqlite::Connection::open(&db).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();

        let free = budget.free();
        let mut body = budget.empty(std::net::Ipv4Addr::LOCALHOST.into());
        body.reserve(1_000).unwrap();
        let started = Started::now(&TestRequest::default().to_http_request(), &ingest.lag);
        let read = |ingest: &Ingest| wire::read(wire::Format::Webhook, b"{}", &ingest.context(&started)).unwrap();
        let behind = Ingest { lag: Lag::of(ANSWER_WITHIN), ..ingest.clone() };
        let stored = behind.store(&started, Scope::Full, read(&behind), budget.empty([127, 0, 0, 1].into())).await;
        assert!(matches!(stored, Err(Refusal::Writer(Refused::Busy))), "could not be answered in time: {stored:?}");
        let sender_gone =
            tokio::time::timeout(Duration::from_millis(50), ingest.store(&started, Scope::Full, read(&ingest), body))
                .await;
        assert!(sender_gone.is_err());
        assert_eq!(budget.free(), free - 1_000, "its entries wait for the writer");

        lock.execute_batch("ROLLBACK").unwrap();
        while budget.free() < free {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        writer.stop();
        writing.join().unwrap();
        let quarantined: i64 = lock.query_row("SELECT count(*) FROM quarantine", [], |row| row.get(0)).unwrap();
        assert_eq!(quarantined, 1);
    }
}
