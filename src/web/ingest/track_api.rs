//! Customer.io's Track API.

use actix_web::web::{Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::answer::{self, Refusal, Stored};
use super::calls::{self, Authorized, MissingKey};
use super::{CALL_ITEMS_MAX, Ingest, cors, post, taking};
use crate::web::access::Access;
use crate::wire::{self, Bounds, Item, Reason, TrackRequest};

/// Paths that need no key: recipients report on their messages, also from a page or its service worker.
pub(super) const OPEN: [&str; 5] = [
    "/api/v1/metrics",
    "/api/v1/push/events",
    "/push/events",
    "/api/v1/cio_deliveries/events",
    "/unsubscribe/{delivery_id}",
];

/// The paths that need a key, with the methods that they take.
pub(super) const KEYED: [(&str, &str); 12] = [
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

pub(super) const BATCH: &str = "/api/v2/batch";
pub(super) const REGION: &str = "/api/v1/accounts/region";

pub fn routes(config: &mut ServiceConfig) {
    for path in OPEN {
        let handler = move |request, payload, ingest| call(path, MissingKey::ReportsOnly, request, payload, ingest);
        config.service(cors::open_to_pages(post(path, handler)));
    }
    for (path, methods) in KEYED {
        let handler = move |request, payload, ingest| call(path, MissingKey::Refused, request, payload, ingest);
        config.service(taking(methods, path, handler));
    }
    config.service(post(BATCH, batch)).service(taking("GET, HEAD", REGION, region));
}

async fn call(
    pattern: &'static str,
    missing: MissingKey,
    request: HttpRequest,
    payload: Payload,
    ingest: Data<Ingest>,
) -> HttpResponse {
    receive_call(pattern, missing, &request, payload, &ingest).await.unwrap_or_else(Refusal::respond)
}

async fn receive_call(
    pattern: &str,
    missing: MissingKey,
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
) -> Result<HttpResponse, Refusal> {
    let authorized = calls::authorize(request, payload, ingest, ingest.limits.call_bytes, missing).await?;
    let mut items = read(pattern, request, &authorized, ingest)?;
    // clients of this API correct what is answered with 400, but an event is too good to lose for its time
    let wrong = |item: &Item| matches!(item, Item::Quarantined(item) if !is_of_time(item.reason));
    if let Some(at) = items.iter().position(wrong)
        && let Item::Quarantined(item) = items.swap_remove(at)
    {
        return Err(Refusal::Invalid(item));
    }
    Ok(answer::success(&store(authorized, items, ingest).await?, false))
}

fn is_of_time(reason: Reason) -> bool {
    matches!(reason, Reason::BadTime | Reason::TimeTooEarly | Reason::TimeInTheFuture)
}

async fn batch(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    receive_batch(&request, payload, &ingest).await.unwrap_or_else(Refusal::respond)
}

/// A bad call of a batch is quarantined, and named in the answer as Customer.io names it; the others are stored.
async fn receive_batch(request: &HttpRequest, payload: Payload, ingest: &Ingest) -> Result<HttpResponse, Refusal> {
    let authorized = calls::authorize(request, payload, ingest, ingest.limits.batch_bytes, MissingKey::Refused).await?;
    let items = read(BATCH, request, &authorized, ingest)?;
    let mut stored = store(authorized, items, ingest).await?;
    for error in &mut stored.errors {
        let [index, code, field, message] = ["index", "code", "field", "message"].map(|key| error[key].take());
        *error = json!({ "batch_index": index, "reason": code, "field": field, "message": message });
    }
    Ok(answer::success(&stored, false))
}

fn read(pattern: &str, request: &HttpRequest, authorized: &Authorized, ingest: &Ingest) -> Result<Vec<Item>, Refusal> {
    let bounds = Bounds { items: CALL_ITEMS_MAX, item_bytes: ingest.limits.call_bytes };
    let path = below_base(request.uri().path(), pattern);
    let track = TrackRequest { method: request.method().as_str(), path };
    wire::read_track(track, &authorized.plain, bounds, &ingest.context(&authorized.started)).map_err(calls::unreadable)
}

async fn store(authorized: Authorized, items: Vec<Item>, ingest: &Ingest) -> Result<Stored, Refusal> {
    let Authorized { started, scope, plain, body } = authorized;
    // the writer needs the items only
    drop(plain);
    ingest.store(&started, scope, items, body).await
}

/// The path as it was sent, without the prefix of a proxy: as many segments as the pattern has.
fn below_base<'p>(path: &'p str, pattern: &str) -> &'p str {
    let segments = pattern.matches('/').count();
    path.rmatch_indices('/').nth(segments - 1).map_or(path, |(start, _)| &path[start..])
}

/// SDKs ask which host to send to: this one.
async fn region(request: HttpRequest, ingest: Data<Ingest>, access: Data<Access>) -> HttpResponse {
    match ingest.keys.by_header(&request) {
        Ok(None) if !ingest.keys.is_open() => return ingest.keys.refusal().respond(),
        Err(refusal) => return refusal.respond(),
        Ok(_) => {}
    }
    let base = request.path().strip_suffix(REGION).unwrap_or_default();
    let url = format!("{}{base}", access.peer(&request).origin());
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
