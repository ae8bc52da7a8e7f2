//! Waybill's own event: what `export` writes, and `import` and `POST /v1/events` read.

use serde_json::Value;
use std::borrow::Cow;

use crate::domain::event::devices_as_json;
use crate::domain::{Attribute, Attributes, BounceClass, Event, SourceKind, Text};

use super::fields::Fields;
use super::json::{self, Object};
use super::message::{self, Head};
use super::reason::{Reason, Refusal};
use super::{Context, Outcome, time};

/// The attributes that stand at the top under names of their own, beside those that all formats share.
const NAMED: [(Attribute, &str); 3] =
    [(Attribute::PersonId, "person_id"), (Attribute::Email, "email"), (Attribute::CioId, "cio_id")];

/// Keys of a line that are not those of attributes.
const KEYS: [&str; 18] = [
    "id",
    "delivery_id",
    "metric",
    "time",
    "time_from_receipt",
    "clock_skew_ms",
    "source",
    "machine",
    "proxied",
    "synthetic",
    "href",
    "link_id",
    "action_value",
    "reason",
    "bounce_class",
    "recipients",
    "extra",
    "timestamp",
];

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
            Some(given) => time::read(Some(given), "time", context.received_at_ms),
            // lines of Track API traffic look alike and say this
            None => time::read(top.value("timestamp"), "timestamp", context.received_at_ms),
        },
    };
    let mut event = head.draft(context)?;
    // written by `line`, for an event that came without a time, or by a wrong clock
    event.time.from_receipt |= top.flag(&["time_from_receipt"]) == Some(true);
    event.time.clock_skew_ms = top.value("clock_skew_ms").and_then(Value::as_i64).unwrap_or_default();
    message::describe(&mut event, top);
    event.bounce_class = top.text(&["bounce_class"]).and_then(|name| BounceClass::parse(&name));
    if let Some(written) = top.borrowed(&["recipient_raw"]) {
        event.attributes.set(Attribute::RecipientRaw, Some(&written));
    }
    for (attribute, key) in NAMED {
        event.attributes.set(attribute, top.borrowed(&[key]).as_deref());
    }
    message::set_channel(&mut event.attributes, top.borrowed(&["channel"]).as_deref());
    set_source(&mut event.attributes, top).map_err(attach)?;
    Ok(Outcome::Event(message::seal(event, context)))
}

/// `source` says kind and id in one; an event with the ids of several sources has them flat, and both may be there.
fn set_source(attributes: &mut Attributes, top: Fields) -> Result<(), Refusal> {
    let source = top.object("source")?;
    let mut set = |attribute, text: Option<Cow<str>>| {
        if text.is_some() {
            attributes.set(attribute, text.as_deref());
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

/// An event as `export` writes it: read again, it is the same. `raw` is its JSON as it came, which is written as `extra` as
/// far as the event's fields do not say it.
pub fn line(event: &Event, raw: Option<&str>) -> String {
    let mut line = Object::new();
    let mut push = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            line.insert(key.into(), value);
        }
    };
    let text = |attribute| event.attributes.get(attribute).map(Value::from);
    let field = |text: &Option<Text>| text.as_deref().map(Value::from);
    let source = event.attributes.source_ref();
    push("id", Some((&*event.id).into()));
    push("delivery_id", Some((&*event.delivery_id).into()));
    push("channel", text(Attribute::Channel));
    push("metric", Some(event.metric.as_str().into()));
    push("time", time::iso(event.time.ms).map(Value::from));
    push("time_from_receipt", event.time.from_receipt.then_some(Value::Bool(true)));
    push("clock_skew_ms", Some(event.time.clock_skew_ms).filter(|skew_ms| *skew_ms != 0).map(Value::from));
    let of_source = [
        ("kind", source.map(|(kind, _)| kind.name().into())),
        ("id", source.map(|(_, id)| id.into())),
        ("action_id", text(Attribute::ActionId)),
        ("content_id", text(Attribute::ContentId)),
    ];
    let of_source: Object =
        of_source.into_iter().filter_map(|(key, value): (&str, Option<Value>)| Some((key.into(), value?))).collect();
    push("source", (!of_source.is_empty()).then(|| of_source.into()));
    for kind in SourceKind::ALL.into_iter().filter(|kind| source.is_none_or(|(named, _)| named != *kind)) {
        push(kind.attribute().name(), text(kind.attribute()));
    }
    let who = [Attribute::PersonId, Attribute::Email, Attribute::CioId, Attribute::Recipient, Attribute::RecipientRaw];
    let last = [
        Attribute::Subject,
        Attribute::JourneyId,
        Attribute::ParentActionId,
        Attribute::TriggerId,
        Attribute::TriggerEventId,
    ];
    for attribute in who.into_iter().chain(last) {
        push(attribute.name(), text(attribute));
    }
    push("machine", event.flags.machine.map(Value::from));
    push("proxied", event.flags.proxied.map(Value::from));
    push("synthetic", event.flags.synthetic.map(Value::from));
    push("href", field(&event.href));
    push("link_id", field(&event.link_id));
    push("action_value", field(&event.action_value));
    push("reason", field(&event.reason));
    push("bounce_class", event.bounce_class.map(|class| class.name().into()));
    let mut line = json::written(&line);
    // JSON already, and not to be read for being written
    let devices = (!event.recipients.is_empty()).then(|| devices_as_json(&event.recipients));
    for (key, value) in [("recipients", devices), ("extra", raw.and_then(extra))] {
        if let Some(value) = value {
            line.truncate(line.len() - 1);
            line.push_str(&format!(",\"{key}\":{value}}}"));
        }
    }
    line
}

/// What an event's JSON said beyond its fields: all of it, unless it was written by [`line`], or could have been.
fn extra(raw: &str) -> Option<String> {
    // in a line it lies one deeper: what could not be read there is left out
    json::parse(&format!("[{raw}]")).ok()?;
    let members = json::members(raw);
    let is_field = |key: &String| KEYS.contains(&&**key) || Attribute::ALL.iter().any(|it| it.name() == key);
    if members.contains_key("delivery_id") && members.keys().all(is_field) {
        return members.get("extra").map(|extra| extra.replace(['\n', '\r'], " "));
    }
    // a line has no line ends
    Some(raw.replace(['\n', '\r'], " "))
}

/// The last line of an export: how many there are, so that a cut is seen. It is no event.
pub fn end(rows: u64) -> String {
    format!("{{\"end\":true,\"rows\":{rows}}}")
}

/// Whether the keys are those of [`end`].
pub(super) fn is_end(line: &Object) -> bool {
    line.len() == 2 && line.get("end") == Some(&Value::Bool(true)) && line.contains_key("rows")
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
            "reason": "why", "bounce_class": "soft", "recipients": [{"device_id": "t1", "device_platform": "ios", "reason": "gone"}],
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
            bounce_class: Some(BounceClass::Soft),
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
        let Item::Event { body, .. } = items(Waybill, with(open(), json!({"writeKey": "k"}))).remove(0) else {
            panic!()
        };
        assert_eq!(*body, *open().to_string());
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
                "line 3 of the body: not JSON: EOF while parsing a value at line 1 column 19",
                "line 4 of the body: expected an object, found an array",
                "c"
            ]
        );
    }

    #[test]
    fn a_line_is_read_as_the_event_that_it_was_written_of() {
        let more = json!({"recipient": "Ada <ADA@example.org>", "clock_skew_ms": -7200000, "newsletter_id": 9,
                          "recipients": [{"device_id": "t1"}], "note": {"a": [1, "\n"]}});
        let Item::Event { event: read, body, .. } = items(Waybill, with(open(), more)).remove(0) else { panic!() };
        assert_eq!(read.attributes.get(Attribute::Recipient), Some("ada@example.org"));
        assert_eq!(read.time.clock_skew_ms, -7_200_000);
        let line = line(&read, Some(&format!("{:#}", serde_json::from_str::<Value>(&body).unwrap())));
        assert!(!line.contains('\n'));
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event(Waybill, line.clone()), *read);
        assert_eq!(line["extra"]["note"], json!({"a": [1, "\n"]}));
        // as it is written once more
        assert_eq!(super::line(&read, Some(&line.to_string())), line.to_string());

        let deep = |depth| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(super::line(&read, Some(&deep(125))).contains("extra"));
        assert!(!super::line(&read, Some(&deep(126))).contains("extra"));
    }
}
