//! Customer.io's Track API: reports on deliveries, and calls about people and objects.
//!
//! Part of what a call says stands in its path. So what is kept of it is a line of an import file,
//! `{"path": ..., "method": ..., "body": ...}`, which is read by the same code again.
//!
//! <https://docs.customer.io/integrations/api/track/>

mod people;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::domain::people::{Change, Said, Standing};
use crate::domain::{Attribute, Channel, Device, Event, Identifiers, Metric, MetricName, Text};

use super::fields::{Fields, ID_BYTES_MAX};
use super::json::{self, Body, Document, Object};
use super::message::{self, Head};
use super::reason::{Reason, Refusal, Unreadable};
use super::{Bounds, Context, Format, Item, Outcome, statement, time};

/// What the request line of a call says.
#[derive(Clone, Copy, Debug)]
pub struct TrackRequest<'a> {
    /// Decides only where one path takes several: unless it is `DELETE`, a person is set, not deleted.
    pub method: &'a str,
    /// As sent, percent-encoded, with or without a query.
    pub path: &'a str,
}

/// What is called, with the segments of the path that matter, as sent.
#[derive(Clone, Copy)]
enum Call<'a> {
    Metric,
    Push,
    InApp,
    Unsubscribe {
        delivery_id: &'a str,
    },
    Entity,
    Batch,
    Identify {
        person: &'a str,
    },
    Delete {
        person: &'a str,
    },
    Device {
        person: &'a str,
    },
    NoDevice {
        person: &'a str,
        device_id: &'a str,
    },
    Suppress {
        person: &'a str,
    },
    Unsuppress {
        person: &'a str,
    },
    Event,
    Merge,
    /// Neither about messages nor about what is known of people; counted under this name.
    Other(&'static str),
}

impl<'a> Call<'a> {
    fn of(request: TrackRequest<'a>) -> Option<Call<'a>> {
        let mut segments = bare(request.path).split('/');
        // what stands before the first slash
        segments.next().filter(|before| before.is_empty())?;
        let segments: Vec<&str> = segments.collect();
        Some(match *segments.as_slice() {
            ["api", "v1", "metrics"] => Call::Metric,
            ["api", "v1", "push", "events"] | ["push", "events"] => Call::Push,
            ["api", "v1", "cio_deliveries", "events"] => Call::InApp,
            ["unsubscribe", delivery_id] => Call::Unsubscribe { delivery_id },
            ["api", "v2", "entity"] => Call::Entity,
            ["api", "v2", "batch"] => Call::Batch,
            ["api", "v1", "customers", person] if request.method.eq_ignore_ascii_case("DELETE") => {
                Call::Delete { person }
            }
            ["api", "v1", "customers", person] => Call::Identify { person },
            ["api", "v1", "customers", person, "devices"] => Call::Device { person },
            ["api", "v1", "customers", person, "devices", device_id] => Call::NoDevice { person, device_id },
            ["api", "v1", "customers", person, "suppress"] => Call::Suppress { person },
            ["api", "v1", "customers", person, "unsuppress"] => Call::Unsuppress { person },
            ["api", "v1", "customers", _, "events"] | ["api", "v1", "events"] => Call::Event,
            ["api", "v1", "merge_customers"] => Call::Merge,
            ["api", "v1", "forms", _, "submit"] => Call::Other("form submit"),
            ["api", "v1", "segments", _, "add_customers"] => Call::Other("segment add_customers"),
            ["api", "v1", "segments", _, "remove_customers"] => Call::Other("segment remove_customers"),
            _ => return None,
        })
    }

    fn method(self) -> &'static str {
        match self {
            Call::Identify { .. } | Call::Device { .. } => "PUT",
            Call::Delete { .. } | Call::NoDevice { .. } => "DELETE",
            _ => "POST",
        }
    }

    /// Whether the path says it all: some clients send no body then, some `{}`.
    fn may_be_empty(self) -> bool {
        use Call::*;
        matches!(self, Delete { .. } | NoDevice { .. } | Suppress { .. } | Unsuppress { .. })
    }

    fn read(self, object: &Object, context: &Context) -> Result<Outcome, Refusal> {
        let top = Fields::new(object);
        match self {
            Call::Metric => metric(top, context),
            Call::Push => push(top, context),
            Call::InApp => in_app(top, context),
            Call::Unsubscribe { delivery_id } => unsubscribe(delivery_id, top, context),
            Call::Entity | Call::Batch => match top.word(&["type"], "type")?.as_deref() {
                Some("delivery") => delivery(top, context),
                kind => people::entity(kind, top, context),
            },
            Call::Identify { person } => people::identify(of_path(person)?, object, context),
            Call::Delete { person } => people::standing(of_path(person)?, Standing::Deleted, top, context),
            Call::Device { person } => people::device(of_path(person)?, top, context),
            Call::NoDevice { person, device_id } => {
                people::no_device(of_path(person)?, decoded(device_id, "device_id")?, top, context)
            }
            Call::Suppress { person } => people::standing(of_path(person)?, Standing::Suppressed, top, context),
            Call::Unsuppress { person } => people::standing(of_path(person)?, Standing::Unsuppressed, top, context),
            Call::Event => Ok(people::event(top)),
            Call::Merge => people::merge(top, context),
            Call::Other(name) => Ok(Outcome::Ignored(name.into())),
        }
    }
}

/// Whether a recorded request was one of the Track API.
pub(super) fn is_one(path: &str) -> bool {
    Call::of(TrackRequest { method: "", path }).is_some()
}

/// What each call of a body became, in their order.
pub(super) fn read(
    request: TrackRequest,
    body: &[u8],
    bounds: Bounds,
    context: &Context,
) -> Result<Vec<Item>, Unreadable> {
    let path = bare(request.path);
    let Some(call) = Call::of(request) else {
        let refusal = Refusal::new(Reason::UnknownKind, "no event is read from this path");
        return Ok(vec![Item::Quarantined(refusal.quarantine(Format::Line, body))]);
    };
    let reader = Reader { call, path, bounds, context };
    let body = if call.may_be_empty() && body.trim_ascii().is_empty() { b"{}" } else { body };
    let mut items = Vec::new();
    match (call, Body::read(body)?) {
        (Call::Batch, Body::Many(texts)) => reader.batch(texts, &mut items)?,
        (Call::Batch, Body::One(text)) => {
            Document::around_calls(text)?;
            match json::members(text).get("batch") {
                Some(batch) if batch.starts_with('[') => reader.batch(json::parts(batch).collect(), &mut items)?,
                Some(_) => {
                    let refusal = Refusal::at(Reason::BadField, "batch", "is not an array");
                    items.push(reader.quarantine(refusal, text.trim()));
                }
                // a single call
                None => reader.batch(vec![text.trim()], &mut items)?,
            }
        }
        (_, Body::One(text)) => {
            // where it stops being JSON is for the sender to know: not as a part of the line that it is read as
            json::check(text)?;
            reader.call(text.trim(), &mut items)?;
        }
        (_, Body::Many(_)) => return Err(Unreadable::NoUse { found: "an array" }),
    }
    Ok(items)
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    call: Call<'a>,
    path: &'a str,
    bounds: Bounds,
    context: &'a Context<'a>,
}

impl Reader<'_> {
    fn batch(self, texts: Vec<&str>, items: &mut Vec<Item>) -> Result<(), Unreadable> {
        if texts.len() > self.bounds.items {
            return Err(Unreadable::TooMany { items: texts.len(), max: self.bounds.items });
        }
        // each is stored as the call that it would be alone
        let reader = Reader { call: Call::Entity, path: "/api/v2/entity", ..self };
        texts.into_iter().for_each(|text| reader.call_of_batch(text, items));
        Ok(())
    }

    fn call_of_batch(self, text: &str, items: &mut Vec<Item>) {
        let bytes = text.len();
        let refusal = if !text.starts_with('{') {
            let refusal = Refusal::new(Reason::NotAnObject, "an item of the batch is not an object");
            // as the body of a line it would be read as something else: text as JSON, null as no body
            return items.push(Item::Quarantined(refusal.quarantine(Format::Line, text.as_bytes())));
        } else if bytes > self.bounds.item_bytes {
            let detail = format!("the call has {bytes} bytes, more than {}", self.bounds.item_bytes);
            Refusal::new(Reason::TooLarge, detail)
        } else {
            match self.call(text, items) {
                Ok(()) => return,
                Err(error) => Refusal::new(error.reason(), error.to_string()),
            }
        };
        items.push(self.quarantine(refusal, text));
    }

    fn call(self, text: &str, items: &mut Vec<Item>) -> Result<(), Unreadable> {
        // read as it would be stored: a body that is just not too deep would be, one level further down
        let line = self.line(text);
        let document = Document::read(&line)?;
        let outcome = match document.object.get("body") {
            Some(Value::Object(object)) => self.call.read(object, self.context),
            other => return Err(Unreadable::NoUse { found: json::kind(other.unwrap_or(&Value::Null)) }),
        };
        match outcome {
            Ok(outcome) => outcome.push_to(items, Format::Line, document.text),
            Err(refusal) => items.push(self.quarantine(refusal, text)),
        }
        Ok(())
    }

    fn quarantine(self, refusal: Refusal, text: &str) -> Item {
        Item::Quarantined(refusal.quarantine(Format::Line, self.line(text).as_bytes()))
    }

    /// The call as a line of an import file.
    fn line(self, text: &str) -> String {
        format!(r#"{{"path":{},"method":"{}","body":{text}}}"#, Value::from(self.path), self.call.method())
    }
}

/// A report on a delivery, without what it says besides. Each part comes with its path for people; there is no id.
fn report(
    delivery_id: (Option<Text>, &'static str),
    metric: (Option<MetricName>, &'static str),
    (fields, path): (Fields, &'static str),
    context: &Context,
) -> Result<Box<Event>, Refusal> {
    let time = time::read(fields.value("timestamp"), path, context.received_at_ms);
    Head { delivery_id, metric, id: Ok(None), time }.draft(context)
}

fn sealed(event: Box<Event>, context: &Context) -> Result<Outcome, Refusal> {
    Ok(Outcome::Report(message::seal(event, context), None))
}

/// `POST /api/v1/metrics`: the channel is not named; it follows from the delivery.
fn metric(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let delivery_id = (top.id(&["delivery_id"], "delivery_id")?, "delivery_id");
    let metric = (message::metric(top, "metric", "metric")?, "metric");
    let mut event = report(delivery_id, metric, (top, "timestamp"), context)?;
    message::interact(&mut event, top);
    sealed(event, context)
}

/// `POST /api/v1/push/events`, from an app or the service worker of a page.
fn push(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let delivery_id = (top.id(&["delivery_id"], "delivery_id")?, "delivery_id");
    let metric = (message::metric(top, "event", "event")?, "event");
    let mut event = report(delivery_id, metric, (top, "timestamp"), context)?;
    event.attributes.set(Attribute::Channel, Some(Channel::Push.name()));
    event.recipients.extend(device_of(top.text(&["device_id"])));
    sealed(event, context)
}

/// `POST /api/v1/cio_deliveries/events`, from the SDKs of older apps.
fn in_app(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    let payload = top.object("payload")?;
    let delivery_id = (payload.id(&["delivery_id"], "payload.delivery_id")?, "payload.delivery_id");
    let metric = (message::metric(payload, "event", "payload.event")?, "payload.event");
    let mut event = report(delivery_id, metric, (payload, "payload.timestamp"), context)?;
    message::set_channel(&mut event.attributes, top.borrowed(&["type"]).as_deref());
    event.action_value = message::action_value(payload.inside("metadata"));
    sealed(event, context)
}

/// `POST /unsubscribe/{delivery_id}`: of the message, and of the person to whom that went.
fn unsubscribe(delivery_id: &str, top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    if top.flag(&["unsubscribe"]) != Some(true) {
        return Ok(Outcome::Ignored("unsubscribe that is not true".into()));
    }
    let delivery_id = decoded(delivery_id, "delivery_id")?;
    let metric = (Some(MetricName::Known(Metric::Unsubscribed)), "unsubscribe");
    let event = report((Some(delivery_id.clone()), "delivery_id"), metric, (top, "timestamp"), context)?;
    // who it is follows from the delivery
    let change = Said::Subscription(Box::new(statement::subscription(Change::Unsubscribed, Some(delivery_id))));
    let statement = statement::statement("Unsubscribed", Identifiers::default(), change, None, event.time, context);
    Ok(Outcome::Report(message::seal(event, context), Some(statement)))
}

/// `{"type": "delivery", "action": "event"}`.
fn delivery(top: Fields, context: &Context) -> Result<Outcome, Refusal> {
    match people::action(top)? {
        action if &*action == "event" => {}
        action => return Ok(Outcome::Ignored(message::short(&format!("delivery {action}")))),
    }
    let identifiers = top.object("identifiers")?;
    let attributes = top.object("attributes")?;
    let delivery_id = (identifiers.id(&["id"], "identifiers.id")?, "identifiers.id");
    let metric = (message::metric(top, "name", "name")?, "name");
    let mut event = report(delivery_id, metric, (top, "timestamp"), context)?;
    message::interact(&mut event, attributes);
    event.recipients.extend(device_of(attributes.text(&["device_token", "device_id"])));
    sealed(event, context)
}

fn device_of(device_id: Option<Text>) -> Option<Device> {
    Some(Device { device_id: device_id?, platform: None, reason: None })
}

/// Whom a segment of the path means: the shape of the value tells its kind.
fn of_path(segment: &str) -> Result<Identifiers, Refusal> {
    let value = decoded(segment, "identifier")?;
    let mut who = Identifiers::default();
    match value.strip_prefix("cio_") {
        Some(cio_id) if !cio_id.is_empty() => who.cio_id = Some(cio_id.into()),
        _ if value.contains('@') => who.email = Some(value),
        _ => who.person_id = Some(value),
    }
    Ok(who.normalized())
}

/// An id in the path, decoded once.
fn decoded(segment: &str, field: &'static str) -> Result<Text, Refusal> {
    let id = percent_decode_str(segment).decode_utf8_lossy().replace('\0', "\u{FFFD}");
    match id.len() {
        0 => Err(Refusal::at(Reason::NoIdentifier, field, "is missing in the path")),
        1..=ID_BYTES_MAX => Ok(id.into()),
        bytes => Err(Refusal::at(Reason::IdTooLong, field, &format!("has {bytes} bytes, more than {ID_BYTES_MAX}"))),
    }
}

/// The path without a query, and without a slash at its end.
fn bare(path: &str) -> &str {
    path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/')
}

#[cfg(test)]
mod tests;
