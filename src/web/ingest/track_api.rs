//! Customer.io's Track API.

use actix_web::web::{Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::answer::{self, Refusal, Stored};
use super::calls::{self, Taken, Without};
use super::{CALL_ITEMS_MAX, Ingest, cors, post, taking};
use crate::wire::{self, Bounds, Item, Reason, TrackRequest};

/// Whoever has a message may report on it, also a page or its service worker.
const OPEN: [&str; 5] = [
    "/api/v1/metrics",
    "/api/v1/push/events",
    "/push/events",
    "/api/v1/cio_deliveries/events",
    "/unsubscribe/{delivery_id}",
];

/// The paths that need a key, with the methods that they take.
const KEYED: [(&str, &str); 12] = [
    ("/api/v1/customers/{identifier}", "PUT, DELETE"),
    ("/api/v1/customers/{identifier}/devices", "PUT"),
    ("/api/v1/customers/{identifier}/devices/{device_id}", "DELETE"),
    ("/api/v1/customers/{identifier}/suppress", "POST"),
    ("/api/v1/customers/{identifier}/unsuppress", "POST"),
    ("/api/v1/customers/{identifier}/events", "POST"),
    ("/api/v1/events", "POST"),
    ("/api/v1/merge_customers", "POST"),
    ("/api/v1/forms/{form_id}/submit", "POST"),
    ("/api/v1/segments/{segment_id}/add_customers", "POST"),
    ("/api/v1/segments/{segment_id}/remove_customers", "POST"),
    ("/api/v2/entity", "POST"),
];

const BATCH: &str = "/api/v2/batch";
const REGION: &str = "/api/v1/accounts/region";

pub fn routes(config: &mut ServiceConfig) {
    for path in OPEN {
        let handler = move |request, payload, ingest| call(path, Without::Public, request, payload, ingest);
        config.service(cors::open_to_pages(post(path, handler)));
    }
    for (path, methods) in KEYED {
        let handler = move |request, payload, ingest| call(path, Without::Refused, request, payload, ingest);
        config.service(taking(methods, path, handler));
    }
    config.service(post(BATCH, batch)).service(taking("GET", REGION, region));
}

async fn call(
    pattern: &'static str,
    without: Without,
    request: HttpRequest,
    payload: Payload,
    ingest: Data<Ingest>,
) -> HttpResponse {
    receive_call(pattern, without, &request, payload, &ingest).await.unwrap_or_else(Refusal::respond)
}

async fn receive_call(
    pattern: &str,
    without: Without,
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
) -> Result<HttpResponse, Refusal> {
    let taken = calls::take(request, payload, ingest, ingest.limits.call_bytes, without).await?;
    let mut items = read(pattern, request, &taken, ingest)?;
    // law 4: only for its time is a call kept aside; for what else is wrong the sender is told
    let wrong = |item: &Item| matches!(item, Item::Quarantined(aside) if !is_of_time(aside.reason));
    if let Some(at) = items.iter().position(wrong)
        && let Item::Quarantined(aside) = items.swap_remove(at)
    {
        return Err(Refusal::Invalid(aside));
    }
    Ok(answer::success(&store(taken, items, ingest).await?, false))
}

fn is_of_time(reason: Reason) -> bool {
    matches!(reason, Reason::BadTime | Reason::TimeTooEarly | Reason::TimeInTheFuture)
}

async fn batch(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    receive_batch(&request, payload, &ingest).await.unwrap_or_else(Refusal::respond)
}

/// One bad call costs no other: it is kept aside, and named in the answer as upstream names it.
async fn receive_batch(request: &HttpRequest, payload: Payload, ingest: &Ingest) -> Result<HttpResponse, Refusal> {
    let taken = calls::take(request, payload, ingest, ingest.limits.batch_bytes, Without::Refused).await?;
    let items = read(BATCH, request, &taken, ingest)?;
    let mut stored = store(taken, items, ingest).await?;
    for error in &mut stored.errors {
        let [index, code, field, message] = ["index", "code", "field", "message"].map(|key| error[key].take());
        *error = json!({ "batch_index": index, "reason": code, "field": field, "message": message });
    }
    Ok(answer::success(&stored, false))
}

fn read(pattern: &str, request: &HttpRequest, taken: &Taken, ingest: &Ingest) -> Result<Vec<Item>, Refusal> {
    let bounds = Bounds { items: CALL_ITEMS_MAX, item_bytes: ingest.limits.call_bytes };
    let path = below_base(request.uri().path(), pattern);
    let track = TrackRequest { method: request.method().as_str(), path };
    wire::read_track(track, &taken.plain, bounds, &ingest.context(&taken.started)).map_err(calls::unreadable)
}

async fn store(taken: Taken, items: Vec<Item>, ingest: &Ingest) -> Result<Stored, Refusal> {
    let Taken { started, scope, plain, body } = taken;
    // only what was made of it waits for the writer
    drop(plain);
    ingest.store(&started, scope, items, body).await
}

/// The path as it was sent, without the prefix of a proxy: as many segments as the pattern has.
fn below_base<'p>(path: &'p str, pattern: &str) -> &'p str {
    let segments = pattern.matches('/').count();
    path.rmatch_indices('/').nth(segments - 1).map_or(path, |(start, _)| &path[start..])
}

/// Where the account is: here. SDKs ask to know which host to send to.
async fn region(request: HttpRequest, ingest: Data<Ingest>) -> HttpResponse {
    match ingest.keys.by_header(&request) {
        Ok(None) if !ingest.keys.is_open() => return Refusal::WrongKey.respond(),
        Err(refusal) => return refusal.respond(),
        Ok(_) => {}
    }
    let connection = request.connection_info();
    let base = request.path().strip_suffix(REGION).unwrap_or_default();
    let url = format!("{}://{}{base}", connection.scheme(), connection.host());
    // the key was `region` once, and older clients read that
    HttpResponse::Ok().json(json!({ "url": url, "region": "us", "data_center": "us", "environment_id": 1 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_a_proxy_is_no_part_of_a_call() {
        for (path, pattern, below) in [
            ("/api/v1/metrics", "/api/v1/metrics", "/api/v1/metrics"),
            ("/api/api/v1/metrics", "/api/v1/metrics", "/api/v1/metrics"),
            ("/a/b/unsubscribe/d%2F1", "/unsubscribe/{delivery_id}", "/unsubscribe/d%2F1"),
            ("/push/events", "/push/events", "/push/events"),
        ] {
            assert_eq!(below_base(path, pattern), below);
        }
    }
}
