//! Webhooks: an authentic one is always answered 200, as senders hold back all later events after a refusal.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web::{Data, Payload};
use serde_json::json;

use super::answer::{self, Refusal, Stored};
use super::body::{self, Body, BodyError, Limits};
use super::{Ingest, Started};
use crate::domain::Millis;
use crate::intake::Scope;
use crate::store::BODY_BYTES_KEPT;
use crate::wire::providers::{Sender, proof, sns};
use crate::wire::signature::{self, Verifier};
use crate::wire::{self, Format, Item, Quarantined, Reason};

/// A body up to 8 MiB is read; of one up to 64 MiB, hashed as it streams, the beginning is quarantined.
const LIMITS: Limits = Limits { complete: 8 << 20, beginning: BODY_BYTES_KEPT, max: 64 << 20 };

/// Customer.io's reporting webhooks, signed with `X-CIO-Signature` over `X-CIO-Timestamp` and the raw body.
pub async fn customerio(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    let timestamp = header(&request, "X-CIO-Timestamp");
    let signed = Signed { header: "X-CIO-Signature", at: Some(timestamp) };
    let verifier = |keys: &[signature::Key]| Verifier::webhook(keys, timestamp);
    receive(Format::Webhook, &request, payload, &ingest, signed, verifier).await.unwrap_or_else(Refusal::respond)
}

/// The webhook destinations of Customer.io Data Pipelines, Segment and RudderStack, signed with `X-Signature`.
pub async fn pipelines(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> HttpResponse {
    let signed = Signed { header: "X-Signature", at: None };
    receive(Format::Pipelines, &request, payload, &ingest, signed, Verifier::pipelines)
        .await
        .unwrap_or_else(Refusal::respond)
}

/// How a webhook is signed.
struct Signed<'a> {
    /// The header of the signature.
    header: &'static str,
    /// The time of signing in seconds since 1970, where that is signed too.
    at: Option<&'a str>,
}

impl Signed<'_> {
    /// Whether it was signed too far from now.
    fn is_stale(&self, max_age: Option<Duration>, now_ms: Millis) -> bool {
        let (Some(at), Some(max_age)) = (self.at, max_age) else { return false };
        let age_s = at.parse::<i64>().map_or(u64::MAX, |at| (now_ms / 1_000).abs_diff(at));
        age_s > max_age.as_secs()
    }
}

async fn receive(
    format: Format,
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
    signed: Signed<'_>,
    verifier: impl FnOnce(&[signature::Key]) -> Verifier,
) -> Result<HttpResponse, Refusal> {
    let started = Started::now(request, &ingest.lag);
    let keys = ingest.keys.signing(None)?;
    let mut verifier = keys.as_ref().map(|keys| verifier(keys.signing(None)));
    if verifier.is_some() && header(request, signed.header).is_empty() {
        // its body is not worth the memory
        return Err(Refusal::WrongSignature);
    }
    let body = body::read(payload, ingest.budget.body(request)?, LIMITS, |chunk| {
        if let Some(verifier) = &mut verifier {
            verifier.update(chunk);
        }
    })
    .await?;
    if let (Some(verifier), Some(keys)) = (verifier, keys) {
        let place = verifier.verify(header(request, signed.header)).ok_or(Refusal::WrongSignature)?;
        keys.signed_with(None, place);
        if signed.is_stale(ingest.signature_max_age, started.received_at_ms) {
            return Err(Refusal::StaleSignature);
        }
    }
    Ok(answer::success(&store(format, request, ingest, &started, body).await?, false))
}

/// The webhooks of a provider, with its signature or an ingest key.
pub async fn provider(
    sender: &'static Sender,
    request: HttpRequest,
    payload: Payload,
    ingest: Data<Ingest>,
) -> HttpResponse {
    from_provider(sender, &request, payload, &ingest).await.unwrap_or_else(Refusal::respond)
}

async fn from_provider(
    sender: &'static Sender,
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
) -> Result<HttpResponse, Refusal> {
    let started = Started::now(request, &ingest.lag);
    let keys = ingest.keys.of_provider(sender, request)?;
    let url = match (&ingest.public_url, &keys) {
        (None, Some(_)) if sender.signs_url() => return Err(Refusal::NoPublicUrl),
        (url, _) => url.as_deref().unwrap_or_default(),
    };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let url = format!("{url}{}{query}", sender.path());
    let body = body::read(payload, ingest.budget.body(request)?, LIMITS, |_| ()).await?;
    if let Some(keys) = keys {
        let name = sender.key_name();
        let keys_of_sender = keys.signing(name);
        let signed = proof::Request { header: &|name| header(request, name), url: &url, body: &body.bytes };
        let signature = match sender.format {
            Format::Ses => by_certificate(keys_of_sender, &body.bytes, ingest, &started).await?,
            _ => proof::verify(sender, keys_of_sender, &signed).ok_or(Refusal::WrongSignature)?,
        };
        // only the beginning is here
        if !body.is_complete() {
            return Err(Refusal::WrongSignature);
        }
        keys.signed_with(name, signature.place);
        let signed = Signed { header: "", at: signature.at_s.as_deref() };
        if signed.is_stale(ingest.signature_max_age, started.received_at_ms) {
            return Err(Refusal::StaleSignature);
        }
    }
    let stored = store(sender.format, request, ingest, &started, body).await?;
    // Firehose takes nothing else for a success
    Ok(match request.headers().get("X-Amz-Firehose-Request-Id").and_then(|id| id.to_str().ok()) {
        Some(id) => HttpResponse::Ok().json(json!({ "requestId": id, "timestamp": started.received_at_ms })),
        None => answer::success(&stored, false),
    })
}

/// The signature of Amazon SNS on a message of one of the topics.
async fn by_certificate(
    topics: &[signature::Key],
    body: &[u8],
    ingest: &Ingest,
    started: &Started,
) -> Result<proof::Signed, Refusal> {
    let message = sns::Message::read(body, topics).map_err(Refusal::NotBySns)?;
    let certificate = ingest.certificates.get(&message.certificate_url).await.ok_or(Refusal::NoCertificate)?;
    if !message.is_signed_by(&certificate, started.received_at_ms) {
        return Err(Refusal::NotBySns("the signature is wrong, or its certificate has expired"));
    }
    Ok(proof::Signed { place: message.place, at_s: Some(message.at_s.into()) })
}

/// Stores what a body says; what cannot be read is quarantined.
async fn store(
    format: Format,
    request: &HttpRequest,
    ingest: &Ingest,
    started: &Started,
    mut body: Body,
) -> Result<Stored, Refusal> {
    let plain = match plain(format, request, &body) {
        Ok(plain) => plain,
        Err(quarantined) => {
            return ingest.store(started, Scope::Full, vec![Item::Quarantined(quarantined)], body).await;
        }
    };
    let inflated = match &plain {
        Cow::Owned(inflated) => inflated.len(),
        Cow::Borrowed(_) => 0,
    };
    let items = match wire::read(format, &plain, &ingest.context(started)) {
        Ok(items) => items,
        Err(unreadable) => vec![Item::Quarantined(unreadable.quarantine(format, &plain))],
    };
    drop(plain);
    // the items take about as much memory as the inflated body
    body.reserve(inflated)?;
    ingest.store(started, Scope::Full, items, body).await
}

/// The body, inflated.
///
/// # Errors
/// It cannot be read, and is to be quarantined as it came.
fn plain<'b>(format: Format, request: &HttpRequest, body: &'b Body) -> Result<Cow<'b, [u8]>, Quarantined> {
    let quarantined = |reason: Reason, detail: String| Quarantined {
        reason,
        detail,
        field: None,
        format,
        delivery_id: None,
        body: body.bytes.clone(),
        body_bytes: body.length,
        due_at_ms: None,
    };
    if !body.is_complete() {
        let detail = format!("the body has {} bytes; only the first {BODY_BYTES_KEPT} were stored", body.length);
        return Err(quarantined(Reason::TooLarge, detail));
    }
    body::inflate(&body.bytes, request.headers(), LIMITS.complete).map_err(|error| match error {
        BodyError::TooLarge { max } => {
            quarantined(Reason::TooLarge, format!("it inflates to more than {max} bytes; stored as received"))
        }
        BodyError::NotGzip => quarantined(Reason::NotJson, "Content-Encoding is gzip, but the body is not".into()),
        _ => quarantined(Reason::NotJson, "its Content-Encoding is not supported; stored as received".into()),
    })
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
