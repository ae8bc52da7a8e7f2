//! What of an event's JSON its columns do not hold.
//!
//! Most of what an event says stands in columns. So that it is not stored twice, its JSON is kept as
//! `[format, mask]` or `[format, mask, rest]`: bit n of the mask says that the n-th path of the format's table held
//! just what the columns make of it, and `rest` is the JSON without those. [`whole`] puts it together again: every key,
//! value and digit; white space and key order may differ. What would not come out the same is kept as it came.
//!
//! The tables are stored in masks: append, never reorder.

use serde_json::{Map, Value};

use super::json;
use crate::domain::{Attribute, Event, Metric, MetricName, Millis};

use Attribute::*;
use Column::*;

/// A column, and how a format writes it.
#[derive(Clone, Copy)]
enum Column {
    Id,
    DeliveryId,
    /// `dropped` for suppressed, as webhooks say.
    WebhookMetric,
    Name,
    /// The newest generation: `Email Link Clicked`.
    EventName,
    Seconds,
    Iso,
    /// A constant.
    Is(&'static str),
    Text(Attribute),
    /// A number where the text is one.
    Scalar(Attribute),
    Href,
    LinkId,
    LinkText,
    Reason,
    ActionValue,
    Machine,
    Proxied,
    Synthetic,
    Recipients,
    SourceKind,
    SourceId,
}

type Path = &'static [&'static str];

struct Shape {
    columns: &'static [(Path, Column)],
    /// Times that lie near the event's: kept as milliseconds from it.
    near: &'static [Path],
}

/// In the order of their numbers in the file, from 0.
static SHAPES: [Shape; 3] = [
    Shape { columns: WEBHOOK, near: &[] },
    Shape { columns: PIPELINES, near: &[&["timestamp"], &["sentAt"], &["receivedAt"]] },
    Shape { columns: WAYBILL, near: &[] },
];

const WEBHOOK: &[(Path, Column)] = &[
    (&["event_id"], Id),
    (&["object_type"], Text(Channel)),
    (&["metric"], WebhookMetric),
    (&["timestamp"], Seconds),
    (&["data", "delivery_id"], DeliveryId),
    (&["data", "customer_id"], Text(PersonId)),
    (&["data", "identifiers", "id"], Text(PersonId)),
    (&["data", "identifiers", "email"], Text(Email)),
    (&["data", "identifiers", "cio_id"], Text(CioId)),
    (&["data", "recipient"], Text(Recipient)),
    (&["data", "subject"], Text(Subject)),
    (&["data", "campaign_id"], Scalar(CampaignId)),
    (&["data", "broadcast_id"], Scalar(BroadcastId)),
    (&["data", "newsletter_id"], Scalar(NewsletterId)),
    (&["data", "transactional_message_id"], Scalar(TransactionalMessageId)),
    (&["data", "action_id"], Scalar(ActionId)),
    (&["data", "content_id"], Scalar(ContentId)),
    (&["data", "parent_action_id"], Scalar(ParentActionId)),
    (&["data", "journey_id"], Scalar(JourneyId)),
    (&["data", "trigger_id"], Scalar(TriggerId)),
    (&["data", "trigger_event_id"], Text(TriggerEventId)),
    (&["data", "href"], Href),
    (&["data", "link_id"], LinkId),
    (&["data", "failure_message"], Reason),
    (&["data", "prefetched"], Machine),
    (&["data", "machine"], Machine),
    (&["data", "proxied"], Proxied),
    (&["data", "synthetic"], Synthetic),
    (&["data", "recipients"], Recipients),
    (&["data", "tracked_response"], ActionValue),
];

const PIPELINES: &[(Path, Column)] = &[
    (&["type"], Is("track")),
    (&["event"], EventName),
    (&["messageId"], Id),
    (&["originalTimestamp"], Iso),
    (&["userId"], Text(PersonId)),
    (&["anonymousId"], Text(Email)),
    (&["context", "traits", "email"], Text(Email)),
    (&["properties", "delivery_id"], DeliveryId),
    (&["properties", "customer_id"], Text(PersonId)),
    (&["properties", "userId"], Text(PersonId)),
    (&["properties", "recipient"], Text(Recipient)),
    (&["properties", "subject"], Text(Subject)),
    (&["properties", "campaign_id"], Scalar(CampaignId)),
    (&["properties", "broadcast_id"], Scalar(BroadcastId)),
    (&["properties", "newsletter_id"], Scalar(NewsletterId)),
    (&["properties", "transactional_message_id"], Scalar(TransactionalMessageId)),
    (&["properties", "action_id"], Scalar(ActionId)),
    (&["properties", "content_id"], Scalar(ContentId)),
    (&["properties", "parent_action_id"], Scalar(ParentActionId)),
    (&["properties", "journey_id"], Scalar(JourneyId)),
    (&["properties", "trigger_id"], Scalar(TriggerId)),
    (&["properties", "trigger_event_id"], Text(TriggerEventId)),
    (&["properties", "href"], Href),
    (&["properties", "link_id"], LinkId),
    (&["properties", "failure_message"], Reason),
    (&["properties", "prefetched"], Machine),
    (&["properties", "machine"], Machine),
    (&["properties", "proxied"], Proxied),
    (&["properties", "synthetic"], Synthetic),
    (&["properties", "recipients"], Recipients),
    // RudderStack's dialect
    (&["properties", "eventId"], Id),
    (&["properties", "deliveryId"], DeliveryId),
    (&["properties", "emailSubject"], Text(Subject)),
    (&["properties", "campaignId"], Scalar(CampaignId)),
    (&["properties", "broadcastId"], Scalar(BroadcastId)),
    (&["properties", "newsletterId"], Scalar(NewsletterId)),
    (&["properties", "transactionalMessageId"], Scalar(TransactionalMessageId)),
    (&["properties", "actionId"], Scalar(ActionId)),
    (&["properties", "contentId"], Scalar(ContentId)),
    (&["properties", "journeyId"], Scalar(JourneyId)),
    (&["properties", "triggerId"], Scalar(TriggerId)),
    (&["properties", "triggerEventId"], Text(TriggerEventId)),
    (&["properties", "link", "url"], Href),
    (&["properties", "link", "id"], LinkId),
    (&["properties", "reason"], Reason),
    // reports on a delivery
    (&["properties", "metric"], Name),
    (&["properties", "actionValue"], ActionValue),
];

const WAYBILL: &[(Path, Column)] = &[
    (&["id"], Id),
    (&["delivery_id"], DeliveryId),
    (&["channel"], Text(Channel)),
    (&["metric"], Name),
    (&["time"], Iso),
    (&["source", "kind"], SourceKind),
    (&["source", "id"], SourceId),
    (&["source", "action_id"], Text(ActionId)),
    (&["source", "content_id"], Text(ContentId)),
    (&["person_id"], Text(PersonId)),
    (&["email"], Text(Email)),
    (&["cio_id"], Text(CioId)),
    (&["recipient"], Text(Recipient)),
    (&["subject"], Text(Subject)),
    (&["journey_id"], Text(JourneyId)),
    (&["parent_action_id"], Text(ParentActionId)),
    (&["trigger_id"], Text(TriggerId)),
    (&["trigger_event_id"], Text(TriggerEventId)),
    (&["machine"], Machine),
    (&["proxied"], Proxied),
    (&["synthetic"], Synthetic),
    (&["href"], Href),
    (&["link_id"], LinkText),
    (&["reason"], Reason),
    (&["action_value"], ActionValue),
];

/// What is kept of an event's JSON: `object` is the same, read.
pub(super) fn of(raw: &str, object: Map<String, Value>, event: &Event) -> String {
    shortened(raw, object, event).unwrap_or_else(|| raw.to_owned())
}

/// The event's JSON again, from what [`of`] kept of it and the event as it was then.
pub fn whole(kept: &str, event: &Event) -> String {
    // an event is an object; what was shortened is an array
    if !kept.starts_with('[') {
        return kept.to_owned();
    }
    restored(kept, event).map_or_else(|| kept.to_owned(), |value| value.to_string())
}

fn shortened(raw: &str, object: Map<String, Value>, event: &Event) -> Option<String> {
    let number = shape_of(&object);
    let shape = &SHAPES[number];
    let mut rest = Value::Object(object);
    if !is_plain(raw) || members(raw) != count_members(&rest) {
        return None;
    }
    let mut mask: u64 = 0;
    for (bit, (path, column)) in shape.columns.iter().enumerate() {
        if take(&mut rest, path, |value| column.write(event).as_ref() == Some(value)) {
            mask |= 1 << bit;
        }
    }
    for path in shape.near {
        let Some(place) = at_mut(&mut rest, path) else { continue };
        if place.is_i64() {
            // it would be read as a distance
            return None;
        }
        if let Some(ms) = place.as_str().and_then(read_iso) {
            *place = (ms - event.time.ms).into();
        }
    }
    let kept = if rest.as_object().is_some_and(Map::is_empty) {
        Value::from(vec![Value::from(number), Value::from(mask)])
    } else {
        Value::from(vec![Value::from(number), Value::from(mask), rest])
    };
    Some(kept.to_string())
}

fn restored(kept: &str, event: &Event) -> Option<Value> {
    let Value::Array(mut parts) = json::parse(kept).ok()? else { return None };
    let rest = if parts.len() > 2 { parts.pop()? } else { Value::Object(Map::new()) };
    let (number, mask) = (parts.first()?.as_u64()?, parts.get(1)?.as_u64()?);
    let shape = SHAPES.get(number as usize)?;
    let mut whole = rest;
    for path in shape.near {
        if let Some(place) = at_mut(&mut whole, path)
            && let Some(after_ms) = place.as_i64()
        {
            *place = iso(event.time.ms.checked_add(after_ms)?)?.into();
        }
    }
    for (bit, (path, column)) in shape.columns.iter().enumerate() {
        if mask >> bit & 1 == 1 {
            put(&mut whole, path, column.write(event)?)?;
        }
    }
    Some(whole)
}

/// Which table fits an object, by its keys.
fn shape_of(object: &Map<String, Value>) -> usize {
    let has = |key| object.contains_key(key);
    if has("object_type") || (has("data") && has("metric")) {
        0
    } else if has("event") || has("messageId") {
        1
    } else {
        2
    }
}

impl Column {
    /// The column's value as this format writes it; `None` where the event has none.
    fn write(self, event: &Event) -> Option<Value> {
        let text = |text: &Option<crate::domain::Text>| text.as_deref().map(Value::from);
        let attribute = |attribute| event.attributes.get(attribute);
        Some(match self {
            Id => (&*event.id).into(),
            DeliveryId => (&*event.delivery_id).into(),
            Name => event.metric.as_str().into(),
            WebhookMetric => match &event.metric {
                MetricName::Known(Metric::Suppressed) => "dropped".into(),
                other => other.as_str().into(),
            },
            EventName => {
                let channel = event.attributes.channel()?;
                let word = match event.metric.known()? {
                    Metric::Clicked if channel != crate::domain::Channel::InApp => "Link Clicked",
                    Metric::Spammed => "Marked as Spam",
                    metric => metric.title(),
                };
                format!("{} {word}", channel.title()).into()
            }
            Seconds if event.time.ms % 1000 == 0 => (event.time.ms / 1000).into(),
            Seconds => return None,
            Iso => iso(event.time.ms)?.into(),
            Is(constant) => constant.into(),
            Text(name) => attribute(name)?.into(),
            Scalar(name) => scalar(attribute(name)?),
            Href => text(&event.href)?,
            LinkId => scalar(event.link_id.as_deref()?),
            LinkText => text(&event.link_id)?,
            Reason => text(&event.reason)?,
            ActionValue => text(&event.action_value)?,
            Machine => event.flags.machine?.into(),
            Proxied => event.flags.proxied?.into(),
            Synthetic => event.flags.synthetic?.into(),
            Recipients if event.recipients.is_empty() => return None,
            Recipients => event.recipients.iter().map(device).collect(),
            SourceKind => event.attributes.source()?.kind.name().into(),
            SourceId => (&*event.attributes.source()?.id).into(),
        })
    }
}

fn device(device: &crate::domain::Device) -> Value {
    let mut json = Map::new();
    json.insert("device_id".into(), (&*device.device_id).into());
    for (key, value) in [("device_platform", &device.platform), ("failure_message", &device.reason)] {
        if let Some(value) = value {
            json.insert(key.into(), (&**value).into());
        }
    }
    Value::Object(json)
}

/// A number where the text is the canonical form of one.
fn scalar(text: &str) -> Value {
    match text.parse::<u64>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}

/// `2023-08-22T16:42:55.000Z`, the one way that all senders with milliseconds write.
fn iso(ms: Millis) -> Option<String> {
    Some(chrono::DateTime::from_timestamp_millis(ms)?.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}

fn read_iso(text: &str) -> Option<Millis> {
    let ms = chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis();
    (iso(ms)? == text).then_some(ms)
}

fn at_mut<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, key| value.as_object_mut()?.get_mut(*key))
}

/// Takes a member away if it is wanted, and the objects that this leaves empty. False if it stays.
fn take(value: &mut Value, path: &[&str], wanted: impl FnOnce(&Value) -> bool) -> bool {
    let (Some(object), Some((key, below))) = (value.as_object_mut(), path.split_first()) else { return false };
    let Some(member) = object.get_mut(*key) else { return false };
    let taken = if below.is_empty() { wanted(member) } else { take(member, below, wanted) };
    if taken && (below.is_empty() || member.as_object().is_some_and(Map::is_empty)) {
        object.remove(*key);
    }
    taken
}

/// Puts a member in place. `None` where something that is no object stands in the way.
fn put(value: &mut Value, path: &[&str], member: Value) -> Option<()> {
    let (key, below) = path.split_first()?;
    let object = value.as_object_mut()?;
    if below.is_empty() {
        object.insert((*key).into(), member);
        return Some(());
    }
    put(object.entry(*key).or_insert_with(|| Value::Object(Map::new())), below, member)
}

/// Whether all of it will be written again as it is: serde_json spells exponents and -0 its own way, and half a
/// surrogate is mended by the reader.
fn is_plain(raw: &str) -> bool {
    if raw.contains("\\ud") || raw.contains("\\uD") {
        return false;
    }
    let mut outside = Outside::of(raw);
    let mut before = b' ';
    outside.all(|byte| {
        let odd = (before.is_ascii_digit() && matches!(byte, b'e' | b'E')) || (before == b'-' && byte == b'0');
        before = byte;
        !odd
    })
}

/// How many members the objects of a text have; a key that comes twice counts twice.
fn members(raw: &str) -> usize {
    Outside::of(raw).filter(|byte| *byte == b':').count()
}

fn count_members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(count_members).sum::<usize>(),
        Value::Array(items) => items.iter().map(count_members).sum(),
        _ => 0,
    }
}

/// The bytes of a JSON text that lie outside of its strings.
struct Outside<'t> {
    bytes: std::slice::Iter<'t, u8>,
}

impl<'t> Outside<'t> {
    fn of(raw: &'t str) -> Outside<'t> {
        Outside { bytes: raw.as_bytes().iter() }
    }
}

impl Iterator for Outside<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.next()?;
        if byte != b'"' {
            return Some(byte);
        }
        while let Some(inside) = self.bytes.next() {
            match inside {
                b'"' => break,
                b'\\' => _ = self.bytes.next(),
                _ => {}
            }
        }
        Some(b'"')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::wire::{Context, Format, IdKey, Item, read};

    const RECEIVED_AT_MS: Millis = 1_795_000_000_000;

    /// The event of a body, and what is kept of its JSON.
    fn read_one(format: Format, raw: &str) -> Option<(Event, String)> {
        let id_key = IdKey::new(b"test");
        let items = read(format, raw.as_bytes(), &Context { received_at_ms: RECEIVED_AT_MS, id_key: &id_key }).ok()?;
        items.into_iter().find_map(|item| match item {
            Item::Event { event, residual, .. } => Some((event, residual)),
            _ => None,
        })
    }

    #[track_caller]
    fn kept(format: Format, raw: &str) -> String {
        let (event, kept) = read_one(format, raw).unwrap();
        let whole: Value = serde_json::from_str(&whole(&kept, &event)).unwrap();
        assert_eq!(whole, serde_json::from_str::<Value>(raw).unwrap());
        kept
    }

    #[test]
    fn what_columns_hold_is_not_kept_twice() {
        let webhook = json!({
            "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ", "object_type": "email", "metric": "dropped", "timestamp": 1_790_000_000,
            "data": {
                "delivery_id": "RPILAgUBcRhIBqSfeiIwdIYJKxTY", "customer_id": "42", "campaign_id": 8, "journey_id": "01GW20GXAAXBKZD8J96M8FNV3R",
                "identifiers": { "id": "42", "email": "ana@example.com", "cio_id": "d9c1" },
                "recipient": "ana@example.com", "subject": "Hello", "failure_message": "bounced before",
            },
        });
        let short = kept(Format::Webhook, &webhook.to_string());
        assert!(short.starts_with("[0,") && short.len() < 16, "{short}");

        let mut more = webhook.clone();
        more["data"]["content"] = "Hi Ana".into();
        more["data"]["campaign_id"] = "8".into();
        let rest = kept(Format::Webhook, &more.to_string());
        assert!(rest.ends_with(r#",{"data":{"campaign_id":"8","content":"Hi Ana"}}]"#), "{rest}");

        let call = json!({
            "type": "track", "event": "Email Link Clicked", "userId": "42", "messageId": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
            "timestamp": "2026-09-21T14:13:20.003Z", "originalTimestamp": "2026-09-21T14:13:20.000Z",
            "sentAt": "2026-09-21T14:13:22.739Z", "context": { "traits": { "email": "ana@example.com" } },
            "properties": { "delivery_id": "d1", "customer_id": "42", "href": "https://example.com", "link_id": 3, "userId": "42" },
        });
        let short = kept(Format::Pipelines, &call.to_string());
        assert!(short.ends_with(r#",{"sentAt":2739,"timestamp":3}]"#), "{short}");

        let own = json!({ "delivery_id": "d1", "metric": "opened", "time": "2026-09-21T14:13:20.000Z", "machine": false,
            "source": { "kind": "campaign", "id": "8", "action_id": "42" }, "extra": {} });
        assert!(kept(Format::Waybill, &own.to_string()).ends_with(r#",{"extra":{}}]"#));
    }

    #[test]
    fn what_would_not_come_out_the_same_is_kept_as_it_came() {
        let with = |field: &str| {
            format!(
                r#"{{"event_id":"e","object_type":"email","metric":"sent","timestamp":1790000000,"data":{{"delivery_id":"d",{field}}}}}"#
            )
        };
        for field in
            [r#""a":1e5"#, r#""a":-0"#, r#""a":1,"a":2"#, r#""a":"\ud83d""#, r#""recipient":"x","recipient":"y""#]
        {
            let raw = with(field);
            assert_eq!(read_one(Format::Webhook, &raw).unwrap().1, raw);
        }
        for field in
            [r#""a":1.0"#, r#""a":9007199254740993"#, r#""a":123456789012345678901234567890"#, r#""a":{},"b":[]"#]
        {
            assert!(kept(Format::Webhook, &with(field)).starts_with('['), "{field}");
        }
    }

    #[test]
    fn all_formats_of_lifelike_traffic_are_shortened() {
        let traffic = crate::traffic::Traffic::new(3, 200, RECEIVED_AT_MS);
        let (mut before, mut after) = (0, 0);
        for line in traffic.lines(&crate::traffic::Format::ALL) {
            let format = match line.path {
                "/webhooks/customerio" => Format::Webhook,
                "/v1/events" => Format::Waybill,
                _ => Format::Pipelines,
            };
            if read_one(format, &line.body).is_some() {
                before += line.body.len();
                after += kept(format, &line.body).len();
            }
        }
        assert!(after * 4 < before, "{after} of {before} bytes are kept");
    }

    proptest! {
        #[test]
        fn every_key_value_and_digit_comes_back(
            path in 0..WEBHOOK.len() + PIPELINES.len(),
            value in prop_oneof![
                any::<i64>().prop_map(Value::from), any::<bool>().prop_map(Value::from), ".{0,12}".prop_map(Value::from),
                Just(Value::Null), Just(json!({})), Just(json!([])), Just(json!({"a": [1, {"b": "2"}]})),
                "[0-9]{1,20}".prop_map(Value::from), Just(json!("2026-09-21T14:13:20.000Z")), Just(json!("2026-09-21T14:13:20Z")),
            ],
            extra in ".{0,8}",
        ) {
            let (format, mut body) = if path < WEBHOOK.len() {
                (Format::Webhook, json!({ "object_type": "push", "metric": "sent", "data": { "delivery_id": "d" } }))
            } else {
                (Format::Pipelines, json!({ "event": "Push Sent", "properties": { "delivery_id": "d" } }))
            };
            let path = WEBHOOK.iter().chain(PIPELINES).nth(path).unwrap().0;
            put(&mut body, path, value.clone());
            put(&mut body, &["near"], value);
            put(&mut body, &["sentAt"], extra.into());
            let raw = body.to_string();
            if let Some((event, kept)) = read_one(format, &raw) {
                let again: Value = serde_json::from_str(&whole(&kept, &event)).unwrap();
                prop_assert_eq!(again, body);
            }
        }
    }
}
