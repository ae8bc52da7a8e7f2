//! Waybill's own event: what `export` writes, and `import` and `POST /v1/events` read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::attributes::Gathered;
use crate::domain::event::devices_as_json;
use crate::domain::{Attribute, Event, SourceKind, Text};

use super::document::Outer;
use super::fields::Fields;
use super::json::{Object, Tree};
use super::message::{self, Head};
use super::reason::{Reason, Refusal};
use super::{Context, Outcome};

/// The attributes that stand at the top under names of their own, beside those that all formats share.
const NAMED: [(Attribute, &str); 3] =
    [(Attribute::PersonId, "person_id"), (Attribute::Email, "email"), (Attribute::CioId, "cio_id")];

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let delivery_id = top.id(&["delivery_id"], "delivery_id")?;
    let found = delivery_id.clone();
    let attach = |refusal: Refusal| Refusal { delivery_id: found.clone(), ..refusal };

    let head = Head {
        delivery_id: (delivery_id, "delivery_id"),
        metric: (message::metric(top, "metric", "metric").map_err(attach)?, "metric"),
        id: top.id(&["id"], "id"),
        time: match top.value("time") {
            Some(time) => (Some(time), "time"),
            // lines of Track API traffic look alike and say this
            None => (top.value("timestamp"), "timestamp"),
        },
    };
    let mut draft = head.draft(context)?;
    // written by `line`, for an event that came without a time
    draft.event.time.from_receipt |= top.flag(&["time_from_receipt"]) == Some(true);
    message::describe(&mut draft, top);
    for (attribute, key) in NAMED {
        draft.said.set(attribute, top.borrowed(&[key]));
    }
    message::set_channel(&mut draft.said, top.borrowed(&["channel"]).as_deref());
    set_source(&mut draft.said, top).map_err(attach)?;
    Ok(Outcome::Event { event: message::seal(draft, context), report: false })
}

/// `source` says kind and id in one; an event with the ids of several sources has them flat, and both may be there.
fn set_source(said: &mut Gathered, top: Fields) -> Result<(), Refusal> {
    let source = top.object("source")?;
    let mut set = |attribute, text: Option<Cow<str>>| {
        if text.is_some() {
            said.set(attribute, text);
        }
    };
    set(Attribute::ActionId, source.borrowed(&["action_id"]));
    set(Attribute::ContentId, source.borrowed(&["content_id"]));
    match source.word(&["kind"], "source.kind")?.as_deref() {
        None | Some("unknown") => Ok(()),
        Some(name) => match SourceKind::parse(name) {
            Some(kind) => {
                set(kind.attribute(), source.borrowed(&["id"]));
                Ok(())
            }
            None => {
                let problem = "is not campaign, broadcast, newsletter, transactional or unknown";
                Err(Refusal::at(Reason::BadField, "source.kind", problem))
            }
        },
    }
}

/// An event as `export` writes it: read again, it is the same. `raw` is its JSON as it came, which is kept in `extra` as far
/// as the event's own fields do not say it.
pub fn line(event: &Event, raw: Option<&str>) -> String {
    let text = |attribute| event.attributes.get(attribute).map(Value::from);
    let flag = |flag: Option<bool>| flag.map(Value::from);
    let own = |text: &Option<Text>| text.as_deref().map(Value::from);
    let source = event.attributes.source();
    let mut line = Line { text: String::from("{"), is_empty: true };
    line.push("id", Some((&*event.id).into()));
    line.push("delivery_id", Some((&*event.delivery_id).into()));
    line.push("channel", text(Attribute::Channel));
    line.push("metric", Some(event.metric.as_str().into()));
    line.push("time", super::time::iso(event.time.ms).map(Value::from));
    line.push("time_from_receipt", event.time.from_receipt.then(|| true.into()));
    let of_source = [
        ("kind", source.as_ref().map(|source| source.kind.name().into())),
        ("id", source.as_ref().map(|source| (&*source.id).into())),
        ("action_id", text(Attribute::ActionId)),
        ("content_id", text(Attribute::ContentId)),
    ];
    let of_source: Map<String, Value> =
        of_source.into_iter().filter_map(|(key, value): (&str, Option<Value>)| Some((key.into(), value?))).collect();
    line.push("source", (!of_source.is_empty()).then(|| of_source.into()));
    for kind in SourceKind::ALL.into_iter().filter(|kind| source.as_ref().is_none_or(|source| source.kind != *kind)) {
        line.push(kind.attribute().name(), text(kind.attribute()));
    }
    let last = [Attribute::JourneyId, Attribute::ParentActionId, Attribute::TriggerId, Attribute::TriggerEventId];
    let who = NAMED.map(|(attribute, _)| attribute).into_iter().chain([Attribute::Recipient, Attribute::Subject]);
    for attribute in who.chain(last) {
        line.push(attribute.name(), text(attribute));
    }
    line.push("machine", flag(event.flags.machine));
    line.push("proxied", flag(event.flags.proxied));
    line.push("synthetic", flag(event.flags.synthetic));
    line.push("href", own(&event.href));
    line.push("link_id", own(&event.link_id));
    line.push("action_value", own(&event.action_value));
    line.push("reason", own(&event.reason));
    // written as text: its keys are sorted already
    if !event.recipients.is_empty() {
        line.push_json("recipients", &devices_as_json(&event.recipients));
    }
    if let Some(extra) = raw.and_then(extra) {
        line.push_json("extra", &extra);
    }
    line.text.push('}');
    line.text
}

/// An object in the making.
struct Line {
    text: String,
    is_empty: bool,
}

impl Line {
    fn push(&mut self, key: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.push_json(key, &value.to_string());
        }
    }

    fn push_json(&mut self, key: &str, json: &str) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
        self.text.push_str(json);
    }
}

/// What an event's JSON said beyond its own fields: all of it, unless it was written by [`line`], or could have been.
fn extra(raw: &str) -> Option<String> {
    const KEYS: [&str; 21] = [
        "id",
        "delivery_id",
        "channel",
        "metric",
        "time",
        "time_from_receipt",
        "source",
        "recipient",
        "subject",
        "person_id",
        "email",
        "cio_id",
        "machine",
        "proxied",
        "synthetic",
        "href",
        "link_id",
        "action_value",
        "reason",
        "recipients",
        "extra",
    ];
    // one that lies deeper than what is read again is left out
    if depth(raw) + 1 > DEPTH_MAX {
        return None;
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
    let is_own = |key: &String| KEYS.contains(&key.as_str()) || Attribute::ALL.iter().any(|it| it.name() == key);
    if members.contains_key("delivery_id") && members.keys().all(is_own) {
        return members.get("extra").map(|extra| extra.get().to_owned());
    }
    // a line has no line ends
    Some(raw.replace(['\n', '\r'], " "))
}

/// What the reader goes down to.
const DEPTH_MAX: usize = 127;

fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut is_escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match (in_text, byte) {
            (true, _) if is_escaped => is_escaped = false,
            (true, b'\\') => is_escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The last line of an export: how many there are, so that a cut is seen. It is no event.
pub fn end(rows: u64) -> String {
    format!("{{\"end\":true,\"rows\":{rows}}}")
}

/// Whether the keys are those of [`end`].
pub(super) fn is_end(line: &Outer) -> bool {
    let is_more = line.object.len() != 2 || line.batch.is_some() || line.body.is_some();
    !is_more && line.object.get("end") == Some(&Tree::Bool(true)) && line.object.contains_key("rows")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::domain::{Attributes, Device, EventTime, Flags, Metric, MetricName};
    use crate::wire::testing::{RECEIVED, event, items, quarantined, with};
    use crate::wire::{Format::Waybill, Item};

    use super::*;

    fn open() -> Value {
        json!({"id": "e1", "delivery_id": "dl-1", "channel": "email", "metric": "opened",
               "time": "2024-05-01T00:05:18.000Z", "source": {"kind": "campaign", "id": "8", "action_id": "42"},
               "person_id": "p7", "machine": false, "href": null, "recipients": null, "extra": {}})
    }

    #[test]
    fn all_that_it_says_is_kept() {
        let more = json!({
            "email": "ada@example.org", "cio_id": "a1", "journey_id": 3, "parent_action_id": 4, "trigger_id": 5,
            "trigger_event_id": "t", "recipient": "ada@example.org", "subject": "Hi", "newsletter_id": 9,
            "proxied": true, "synthetic": false, "action_value": "yes", "href": "https://example.org", "link_id": 1,
            "reason": "why", "recipients": [{"device_id": "t1", "device_platform": "ios", "reason": "gone"}],
            "source": {"kind": "campaign", "id": 8, "action_id": 42, "content_id": 2}
        });
        let expected = Event {
            attributes: Attributes::default()
                .with(Attribute::Channel, "email")
                .with(Attribute::CampaignId, "8")
                .with(Attribute::NewsletterId, "9")
                .with(Attribute::ActionId, "42")
                .with(Attribute::ContentId, "2")
                .with(Attribute::PersonId, "p7")
                .with(Attribute::Email, "ada@example.org")
                .with(Attribute::CioId, "a1")
                .with(Attribute::Recipient, "ada@example.org")
                .with(Attribute::Subject, "Hi")
                .with(Attribute::JourneyId, "3")
                .with(Attribute::ParentActionId, "4")
                .with(Attribute::TriggerId, "5")
                .with(Attribute::TriggerEventId, "t"),
            href: Some("https://example.org".into()),
            link_id: Some("1".into()),
            action_value: Some("yes".into()),
            reason: Some("why".into()),
            recipients: vec![Device {
                device_id: "t1".into(),
                platform: Some("ios".into()),
                reason: Some("gone".into()),
            }],
            flags: Flags { machine: Some(false), proxied: Some(true), synthetic: Some(false) },
            ..Event::new("dl-1", MetricName::Known(Metric::Opened), "e1", EventTime::given(1_714_521_918_000), RECEIVED)
        };
        assert_eq!(event(Waybill, with(open(), more)), expected);
    }

    #[test]
    fn the_key_of_the_sender_is_not_kept() {
        let Item::Event { event, residual, .. } = items(Waybill, with(open(), json!({"writeKey": "k"}))).remove(0)
        else {
            panic!()
        };
        assert_eq!(serde_json::from_str::<Value>(&crate::wire::residual::whole(&residual, &event)).unwrap(), open());
        assert_eq!(quarantined(Waybill, json!({"metric": "sent", "writeKey": "k"})).body, b"{\"metric\":\"sent\"}");
    }

    #[test]
    fn two_fields_are_enough() {
        let bare = event(Waybill, json!({"delivery_id": "d", "metric": "Wiggled"}));
        assert_eq!(bare.metric, MetricName::Other("Wiggled".into()));
        assert_eq!(bare.attributes, Attributes::default());
        assert_eq!(bare.time, EventTime::from_receipt(RECEIVED));
        assert!(bare.id.starts_with("derived-"));
    }

    #[test]
    fn an_event_is_refused_for_what_it_lacks() {
        use Reason::*;
        let cases = [
            (json!({}), NoMetric, Some("metric"), None),
            (json!({"delivery_id": "d"}), NoMetric, Some("metric"), Some("d")),
            (json!({"metric": "sent"}), NoDeliveryId, Some("delivery_id"), None),
            (with(open(), json!({"metric": []})), BadField, Some("metric"), Some("dl-1")),
            (with(open(), json!({"id": {}})), BadField, Some("id"), Some("dl-1")),
            (with(open(), json!({"source": {"kind": "postcard"}})), BadField, Some("source.kind"), Some("dl-1")),
            (with(open(), json!({"source": "campaign"})), BadField, Some("source"), Some("dl-1")),
            (with(open(), json!({"time": "x"})), BadTime, Some("time"), Some("dl-1")),
            (with(open(), json!({"delivery_id": "d".repeat(257)})), IdTooLong, Some("delivery_id"), None),
        ];
        for (body, reason, field, delivery_id) in cases {
            let found = quarantined(Waybill, body.clone());
            assert_eq!(
                (found.reason, found.field, found.delivery_id.as_deref()),
                (reason, field, delivery_id),
                "{body}"
            );
        }
    }

    #[test]
    fn an_unknown_source_keeps_its_action() {
        let unknown = event(Waybill, with(open(), json!({"source": {"kind": "unknown", "id": "8"}})));
        assert_eq!((unknown.attributes.source(), unknown.attributes.get(Attribute::ActionId)), (None, Some("42")));
    }

    #[test]
    fn lines_are_read_one_by_one() {
        let body = "{\"delivery_id\":\"a\",\"metric\":\"sent\"}\r\n\n{\"delivery_id\":\"b\",\n[1]\n\
                    {\"delivery_id\":\"c\",\"metric\":\"sent\"}\n";
        let read: Vec<String> = items(Waybill, body)
            .iter()
            .map(|item| match item {
                Item::Event { event, .. } => event.delivery_id.to_string(),
                Item::Quarantined(quarantined) => quarantined.detail.clone(),
                Item::Statement(statement) | Item::Also(statement) => statement.name.to_string(),
                Item::Ignored { name } => name.to_string(),
            })
            .collect();
        assert_eq!(
            read,
            [
                "a",
                "line 3 of the body: not JSON: EOF while parsing an object at line 1 column 19",
                "line 4 of the body: expected an object, found an array",
                "c"
            ]
        );
    }
}
