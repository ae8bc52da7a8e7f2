//! Messages: deliveries, with the time of each of their metrics.

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::{Asked, COUNTED, channel_type, id, invalid, seconds};
use crate::domain::{Counted, Metric, SourceKind};
use crate::store;
use crate::store::query::delivery::{self, Delivery};
use crate::store::query::log::{self, At, Filter, Recipient, SourceRef};
use crate::web::error::Error;
use crate::web::pages::budget;

pub const OF_ALL: &[&str] = &[
    "start",
    "limit",
    "type",
    "metric",
    "drafts",
    "campaign_id",
    "newsletter_id",
    "action_id",
    "start_ts",
    "end_ts",
    "get_tracked_responses",
];
/// `state` comes from older clients.
pub const OF_SOURCE: &[&str] =
    &["start", "limit", "type", "metric", "state", "drafts", "start_ts", "end_ts", "get_tracked_responses"];
pub const OF_CUSTOMER: &[&str] = &["id_type", "start", "limit", "start_ts", "end_ts", "get_tracked_responses"];

/// How long a list may search. One that needs longer is shorter than its limit, and `next` goes on from there.
const SEARCH_MS: u64 = 2_000;

pub fn list(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let source =
        |kind: SourceKind, key: &str| asked.value(key).map(|id| SourceRef { kind: kind.name().into(), id: id.into() });
    let campaign = source(SourceKind::Campaign, "campaign_id");
    let newsletter = source(SourceKind::Newsletter, "newsletter_id");
    if campaign.is_some() && newsletter.is_some() {
        return Err(Error::BadRequest("`campaign_id` and `newsletter_id` exclude each other.".into()));
    }
    let action_id = asked.value("action_id").map(Into::into);
    search(asked, connection, Filter { source: campaign.or(newsletter), action_id, ..Filter::default() })
}

pub fn of_source(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    search(asked, connection, Filter { source: Some(asked.source()?), ..Filter::default() })
}

pub fn of_customer(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let customer = asked.part("customer").unwrap_or_default().to_owned();
    let filter = match asked.value("id_type").unwrap_or("id") {
        "id" | "cio_id" => Filter { person: Some(customer), ..Filter::default() },
        "email" | "phone" => Filter { recipient: Some(Recipient::Exactly(customer)), ..Filter::default() },
        other => return Err(invalid("id_type", other, "id, email, phone or cio_id")),
    };
    search(asked, connection, filter)
}

pub fn one(asked: &Asked, connection: &Connection) -> Result<Value, Error> {
    let delivery_id = asked.part("message").unwrap_or_default();
    let row = delivery::find(connection, delivery_id)?
        .ok_or_else(|| Error::NotFound(format!("There is no message {delivery_id}.")))?;
    Ok(json!({ "message": message(connection, row, asked.is_true("get_tracked_responses")?)? }))
}

pub fn archived(_: &Asked, _: &Connection) -> Result<Value, Error> {
    Err(Error::NotFound("Waybill keeps the events of messages, and not their content.".into()))
}

fn search(asked: &Asked, connection: &Connection, filter: Filter) -> Result<Value, Error> {
    let size = asked.number("limit", 1, 1_000)?.unwrap_or(50);
    let at = match asked.value("start") {
        None => At::Newest,
        Some(place) => At::OlderThan(place.parse().map_err(|_| invalid("start", place, "the `next` of a page"))?),
    };
    let has_responses = asked.is_true("get_tracked_responses")?;
    let filter = Filter {
        channels: asked.channel().into_iter().collect(),
        ever: [metric(asked, "metric")?, metric(asked, "state")?].into_iter().flatten().collect(),
        since_ms: asked.time("start_ts")?,
        until_ms: asked.time("end_ts")?,
        ..filter
    };
    let drafts = Filter { outcomes: vec![Some(Metric::Drafted)], ..Filter::default() };
    let filter = if asked.is_true("drafts")? { filter } else { Filter { without: vec![drafts], ..filter } };
    let page = log::places(connection, &filter, at, size as usize, &budget(SEARCH_MS))?;
    let messages = page.rows.iter().map(|place| message(connection, place.id, has_responses));
    let messages: Vec<Value> = messages.collect::<Result<_, _>>()?;
    let next = page.older.map(|place| place.to_string()).unwrap_or_default();
    Ok(json!({ "messages": messages, "next": next }))
}

fn metric(asked: &Asked, key: &str) -> Result<Option<Counted>, Error> {
    let Some(name) = asked.value(key) else { return Ok(None) };
    let wanted = if name == "dropped" { "suppressed" } else { name };
    let found = COUNTED.into_iter().find(|(known, _)| *known == wanted).map(|(_, counted)| counted);
    found.map(Some).ok_or_else(|| invalid(key, name, "a metric, such as sent, delivered, opened or bounced"))
}

fn message(connection: &Connection, row: i64, has_responses: bool) -> Result<Value, store::Error> {
    let found = delivery::by_row(connection, row)?;
    let of =
        |kind: SourceKind| (found.source_kind == kind.name()).then_some(found.source_id.as_deref()).flatten().map(id);
    let known = |text: &Option<String>| text.as_deref().map(id);
    let updated = seconds(found.updated_at_ms);
    let mut message = json!({
        "id": found.delivery_id,
        "deduplicate_id": format!("{}:{updated}", found.delivery_id),
        "msg_template_id": null,
        "action_id": known(&found.action_id),
        "parent_action_id": known(&found.parent_action_id),
        "customer_id": found.person_id,
        "customer_identifiers": { "id": found.person_id, "email": found.email, "cio_id": found.cio_id },
        "recipient": found.recipient_raw.as_ref().or(found.recipient.as_ref()),
        "subject": found.subject,
        "metrics": metrics(&found),
        "created": seconds(found.created_at_ms),
        "failure_message": found.failure_reason,
        "campaign_id": of(SourceKind::Campaign),
        "broadcast_id": of(SourceKind::Broadcast),
        "newsletter_id": of(SourceKind::Newsletter),
        "transactional_message_id": of(SourceKind::Transactional),
        "content_id": known(&found.content_id),
        "trigger_event_id": found.trigger_event_id,
        "type": found.channel.as_deref().map(channel_type),
        "forgotten": found.forgotten,
    });
    if has_responses {
        message["tracked_responses"] = responses(connection, row)?.into();
    }
    Ok(message)
}

/// When each metric first happened.
fn metrics(delivery: &Delivery) -> Map<String, Value> {
    let is_listed = |name: &str| !["attempted", "deferred", "created"].contains(&name);
    let first = |(name, counted): (&str, Counted)| {
        let name = if name == "suppressed" { "dropped" } else { name };
        delivery.reached.get(counted).map(|at_ms| (name.to_owned(), seconds(at_ms).into()))
    };
    let listed = COUNTED.into_iter().filter(|(name, _)| is_listed(name)).filter_map(first);
    [("created".to_owned(), seconds(delivery.created_at_ms).into())].into_iter().chain(listed).collect()
}

/// What was pressed in an in-app message, with the first time of each.
fn responses(connection: &Connection, row: i64) -> Result<Map<String, Value>, store::Error> {
    let (events, _) = delivery::events(connection, row, None)?;
    let mut responses = Map::new();
    for event in events.into_iter().filter(|event| event.metric == Metric::Clicked.name()) {
        if let Some(name) = event.action_value {
            responses.entry(name).or_insert_with(|| json!({ "ts": seconds(event.at_ms) }));
        }
    }
    Ok(responses)
}
