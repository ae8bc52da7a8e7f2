//! For whatever asks whether the server is well: load balancers, supervisors, `waybill healthcheck`.

use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;
use tokio::sync::Mutex;

use super::error;
use super::ingest::Ingest;
use super::ingest::answer::takes_only;
use super::openapi::operation::{Group, Operation};
use super::pages::get_or_head;
use super::refusals::Refusals;
use super::request_log::Code;
use crate::store::{self, Readers};

/// How long an answer may take, also while the disk is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

pub fn routes(config: &mut ServiceConfig) {
    for (path, route) in [("/healthz", get_or_head().to(healthz)), ("/readyz", get_or_head().to(readyz))] {
        config.service(web::resource(path).route(route).default_service(takes_only("GET, HEAD")));
    }
}

/// For the OpenAPI document.
pub fn operations() -> [Operation; 2] {
    let get = |path: &str, summary: &str| Operation::get(Group::Operating, path, summary);
    [
        get("/healthz", "Whether the file can be read and written").json("Alive"),
        get("/readyz", "Whether events can be stored, as tried now").json("Ready"),
    ]
}

/// The last answers to what is asked here.
#[derive(Default)]
pub struct Probes {
    readable: Shared,
    writable: Shared,
}

/// When a question was last asked, and its answer: why not, if so.
#[derive(Default)]
struct Shared(Mutex<Option<(Instant, Option<String>)>>);

#[derive(Debug, thiserror::Error)]
#[error("no answer within 3 seconds; the disk may be stuck")]
struct Late;

impl Shared {
    /// An answer to the question that is no older than this call. Of many that wait, one asks for all. `Err`: it takes too
    /// long.
    async fn ask(&self, question: impl Future<Output = Option<String>>) -> Result<Option<String>, Late> {
        let asked_at = Instant::now();
        let answer = async {
            let mut last = self.0.lock().await;
            if let Some((begun_at, answer)) = &*last
                && *begun_at >= asked_at
            {
                return answer.clone();
            }
            let begun_at = Instant::now();
            let answer = question.await;
            *last = Some((begun_at, answer.clone()));
            answer
        };
        tokio::time::timeout(ANSWER_WITHIN, answer).await.map_err(|_| Late)
    }
}

/// 200 while the file can be read and, as far as is known, written, with counts since the start; else 503 with the reason.
async fn healthz(
    readers: Data<Readers>,
    ingest: Data<Ingest>,
    refusals: Data<Refusals>,
    probes: Data<Probes>,
) -> HttpResponse {
    let reading = async {
        let read = move || {
            // a new connection: the pooled ones read from their caches, which outlive the file
            let connection = readers.open_one()?;
            connection.query_row("SELECT 1 FROM _settings LIMIT 1", [], |_| Ok(()))?;
            Ok::<_, store::Error>(())
        };
        match web::block(read).await {
            Err(_) => Some("the server is stopping".into()),
            Ok(read) => read.err().map(|error| format!("the database cannot be read: {error}")),
        }
    };
    let unreadable = probes.readable.ask(reading).await.unwrap_or_else(|late| Some(late.to_string()));
    let trouble = unreadable.or_else(|| unstored(ingest.writer.trouble()));
    let (commits, entries) = ingest.writer.written();
    let writer = json!({ "commits": commits, "entries": entries });
    answer(trouble, || json!({ "status": "ok", "writer": writer, "refused": refusals.counts() }))
}

/// 200 if events can be stored, as tried within the last second; else 503 with the reason.
async fn readyz(ingest: Data<Ingest>, probes: Data<Probes>) -> HttpResponse {
    let tried = probes.writable.ask(ingest.writer.probe()).await;
    let trouble = tried.unwrap_or_else(|late| Some(ingest.writer.trouble().unwrap_or(late.to_string())));
    answer(unstored(trouble), || json!({ "status": "ready" }))
}

fn unstored(trouble: Option<String>) -> Option<String> {
    trouble.map(|trouble| format!("events cannot be stored: {trouble}"))
}

fn answer(trouble: Option<String>, well: impl FnOnce() -> serde_json::Value) -> HttpResponse {
    let Some(reason) = trouble else { return HttpResponse::Ok().json(well()) };
    let mut body = error::body("unavailable", &reason);
    body["status"] = "unavailable".into();
    let mut response = HttpResponse::ServiceUnavailable().json(body);
    response.extensions_mut().insert(Code("unavailable"));
    response
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[actix_web::test]
    async fn one_asks_for_all_who_wait_and_nobody_is_given_an_older_answer() {
        let (shared, asked) = (Shared::default(), Cell::new(0));
        let ask = || {
            shared.ask(async {
                asked.set(asked.get() + 1);
                tokio::task::yield_now().await;
                Some(asked.get().to_string())
            })
        };
        let answers = futures_util::future::join_all((0..1_000).map(|_| ask())).await;
        // those who came while the first was asked share the next
        assert_eq!(asked.get(), 2);
        assert_eq!(answers.iter().filter(|answer| answer.as_ref().unwrap().as_deref() == Some("2")).count(), 999);
        assert_eq!(ask().await.unwrap().as_deref(), Some("3"));
    }
}
