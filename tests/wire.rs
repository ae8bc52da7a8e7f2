//! What every fixture becomes, and that nothing that comes over the wire makes a parser panic.

use std::fmt::Write;
use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use waybill::domain::people::{Said, Setting, Statement};
use waybill::domain::{Attribute, Channel, Event, Metric, names};
use waybill::wire::{
    Bounds, CallType, Context, Format, ITEMS_MAX, IdKey, Item, Reason, SourceFrom, TrackRequest, Unreadable,
    parse_json, read, read_call, read_line, read_track, write_key,
};

/// 2024-10-25T00:00:00Z
const RECEIVED: i64 = 1_729_814_400_000;

fn read_as(format: Format, body: &[u8]) -> Result<Vec<Item>, Unreadable> {
    let id_key = IdKey::new(b"a secret of the tests");
    read(
        format,
        body,
        &Context { received_at_ms: RECEIVED, id_key: &id_key, live: false, source_from: &SourceFrom::Provider },
    )
}

/// The fixtures, each with the format that its name begins with.
fn fixtures() -> Vec<(String, Format, Vec<u8>)> {
    let mut fixtures: Vec<_> = fs::read_dir("tests/fixtures/wire")
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let format = Format::parse(name.split('_').next().unwrap()).unwrap();
            (name, format, fs::read(path).unwrap())
        })
        .collect();
    fixtures.sort_by(|a, b| a.0.cmp(&b.0));
    fixtures
}

#[test]
fn every_fixture_becomes_what_it_became() {
    for (name, format, body) in fixtures() {
        let mut text = String::new();
        for item in read_as(format, &body).unwrap() {
            describe(&mut text, &item);
        }
        insta::assert_snapshot!(name, text);
    }
}

/// The events of a JSON that was kept.
fn read_again(format: Format, body: &str) -> Vec<Event> {
    let event = |item| match item {
        Item::Event { event, .. } => Some(*event),
        Item::Also(_) => None,
        other => panic!("{body}: {other:?}"),
    };
    read_as(format, body.as_bytes()).unwrap().into_iter().filter_map(event).collect()
}

fn describe(text: &mut String, item: &Item) {
    match item {
        Item::Event { event, body, format, report } => {
            // one object may speak of several deliveries
            assert!(read_again(*format, body).contains(event), "{body}");
            let Event { delivery_id, metric, id, time, received_at_ms, attributes, .. } = &**event;
            let Event { href, link_id, action_value, reason, recipients, flags, .. } = &**event;
            let kind = if *report { "report" } else { "event" };
            let receipt = if time.from_receipt { " (receipt)" } else { "" };
            assert_eq!(*received_at_ms, RECEIVED);
            writeln!(text, "{kind} {} of {delivery_id}, {id} at {}{receipt}", metric.as_str(), time.ms).unwrap();
            for (attribute, value) in attributes.iter() {
                writeln!(text, "  {}: {value}", attribute.name()).unwrap();
            }
            let more = [("href", href), ("link_id", link_id), ("action_value", action_value), ("reason", reason)];
            for (name, value) in more {
                if let Some(value) = value {
                    writeln!(text, "  {name}: {value}").unwrap();
                }
            }
            if let Some(class) = event.bounce_class {
                writeln!(text, "  bounce_class: {}", class.name()).unwrap();
            }
            for device in recipients {
                let [platform, reason] = [&device.platform, &device.reason].map(|text| text.as_deref().unwrap_or("-"));
                writeln!(text, "  device: {} on {platform}, reason {reason}", device.device_id).unwrap();
            }
            for (name, flag) in [("machine", flags.machine), ("proxied", flags.proxied), ("synthetic", flags.synthetic)]
            {
                if let Some(flag) = flag {
                    writeln!(text, "  {name}: {flag}").unwrap();
                }
            }
            assert!(body.starts_with('{') && body.ends_with('}'));
        }
        Item::Statement(statement) => describe_statement(text, "statement", statement),
        Item::Also(statement) => describe_statement(text, "also", statement),
        Item::Ignored { name } => writeln!(text, "ignored {name}").unwrap(),
        Item::Quarantined(aside) => {
            let id = aside.delivery_id.as_deref().unwrap_or("-");
            writeln!(text, "quarantined {} ({}), delivery {id}: {}", aside.reason, aside.format.name(), aside.detail)
                .unwrap();
            if let Some(due_at_ms) = aside.due_at_ms {
                writeln!(text, "  due: {due_at_ms}").unwrap();
            }
            writeln!(text, "  body: {}", String::from_utf8_lossy(&aside.body)).unwrap();
        }
    }
}

fn describe_statement(text: &mut String, kind: &str, statement: &Statement) {
    let Statement { name, id, time, received_at_ms, who, said } = statement;
    let receipt = if time.from_receipt { " (receipt)" } else { "" };
    assert_eq!(*received_at_ms, RECEIVED);
    writeln!(text, "{kind} {name}, {id} at {}{receipt}", time.ms).unwrap();
    for (identifier, value) in who.all() {
        writeln!(text, "  {identifier}: {value}").unwrap();
    }
    match said {
        Said::Set(settings) => {
            for Setting { register, value } in settings {
                writeln!(text, "  {register:?} = {}", value.as_deref().unwrap_or("(deleted)")).unwrap();
            }
        }
        Said::Subscription(subscription) => {
            let delivery_id = subscription.delivery_id.as_deref().unwrap_or("-");
            writeln!(text, "  {}, delivery {delivery_id}", subscription.change.name()).unwrap();
            for (attribute, value) in subscription.attributes.iter() {
                writeln!(text, "  {}: {value}", attribute.name()).unwrap();
            }
            if let Some(content) = &subscription.content {
                writeln!(text, "  content: {content}").unwrap();
            }
        }
        Said::Standing(standing) => writeln!(text, "  {standing:?}").unwrap(),
    }
}

#[test]
fn an_event_keeps_the_text_of_its_json() {
    for (name, format, body) in fixtures() {
        let text = String::from_utf8_lossy(&body);
        let came: Vec<Value> = match parse_json(&text) {
            Ok(whole) => vec![whole],
            Err(_) => text.lines().filter_map(|line| parse_json(line).ok()).collect(),
        };
        for item in read_as(format, &body).unwrap() {
            let Item::Event { body, format: stored_as, .. } = item else { continue };
            // a pulled message is more events than one, and the first has its text
            if format == Format::Pulled && stored_as != format {
                continue;
            }
            let stored = parse_json(&body).unwrap();
            // calls inherit the context of their batch, and a recorder's line may hold its body as a string
            let is_changed =
                ["pipelines_batch", "pipelines_people", "line_by_path", "line_track_batch", "ses_envelopes"]
                    .contains(&&*name);
            assert!(is_changed || came.iter().any(|came| holds(came, &stored)), "{name}: {stored}");
            // what the path of a Track API call says is put beside its body, and half an emoji is replaced
            let is_rewritten = is_changed || name == "line_track_api" || body.contains("\\ufffd");
            assert!(is_rewritten || text.contains(&*body), "{name}: {body}");
        }
    }
}

fn holds(value: &Value, wanted: &Value) -> bool {
    value == wanted
        || match value {
            Value::Object(object) => object.values().any(|value| holds(value, wanted)),
            Value::Array(items) => items.iter().any(|value| holds(value, wanted)),
            _ => false,
        }
}

#[test]
fn no_truncation_panics_or_makes_an_event_up() {
    for (name, format, body) in fixtures() {
        let whole = read_as(format, &body).unwrap();
        let ids = |items: &[Item]| -> Vec<String> {
            items
                .iter()
                .filter_map(|item| match item {
                    Item::Event { event, .. } => Some(event.id.to_string()),
                    _ => None,
                })
                .collect()
        };
        let known = ids(&whole);
        // each cut reads all before it: of a long fixture not every one
        for end in (0..body.len()).step_by(1 + body.len() / 2_000) {
            for format in Format::all() {
                let _ = read_as(format, &body[..end]);
            }
            if let Ok(items) = read_as(format, &body[..end]) {
                for id in ids(&items) {
                    assert!(known.contains(&id), "{name} cut at {end}: {id}");
                }
            }
        }
    }
}

/// Every name by which an event of this channel and metric goes, with what a webhook calls the metric.
fn generations(channel: Channel, metric: Metric) -> (Vec<String>, &'static str) {
    let (title, word) = (channel.title(), metric.title());
    let webhook_metric = if metric == Metric::Suppressed { "dropped" } else { metric.name() };
    let new_word = match metric {
        Metric::Clicked if channel != Channel::InApp => "Link Clicked",
        Metric::Spammed => "Marked as Spam",
        _ => word,
    };
    let old_word = if metric == Metric::Suppressed { "Dropped" } else { word };
    let mut names = vec![
        format!("{}_{webhook_metric}", channel.name()),
        format!("{title} {old_word}"),
        format!("{title} {new_word}"),
    ];
    if matches!(channel, Channel::Slack | Channel::Webhook) {
        names.push(format!("{title} Message {new_word}"));
    }
    (names, webhook_metric)
}

#[test]
fn every_channel_and_metric_is_one_event_by_every_way() {
    let event = |format, body: Value| match read_as(format, body.to_string().as_bytes()).unwrap().remove(0) {
        Item::Event { event, .. } => *event,
        other => panic!("{body} became {other:?}"),
    };
    for channel in Channel::ALL {
        for metric in Metric::ALL {
            let (names, webhook_metric) = generations(channel, metric);
            let webhook = event(
                Format::Webhook,
                json!({
                    "event_id": "e", "object_type": channel.name(), "metric": webhook_metric, "timestamp": 1729767845,
                    "data": {"delivery_id": "d", "customer_id": "p", "campaign_id": 3, "action_id": 4,
                             "recipient": "r@example.org", "href": "https://example.org", "link_id": 5,
                             "failure_message": "why", "identifiers": {"id": "p", "email": "r@example.org"}}
                }),
            );
            assert_eq!(webhook.metric.known(), Some(metric));
            assert_eq!(webhook.attributes.get(Attribute::Channel), Some(channel.name()));

            let own = event(
                Format::Waybill,
                json!({
                    "id": "e", "delivery_id": "d", "channel": channel.name(), "metric": metric.name(),
                    "time": "2024-10-24T11:04:05Z", "source": {"kind": "campaign", "id": "3", "action_id": "4"},
                    "person_id": "p", "email": "r@example.org", "recipient": "r@example.org",
                    "href": "https://example.org", "link_id": "5", "reason": "why"
                }),
            );
            assert_eq!(own, webhook);

            for name in names {
                assert_eq!(names::message_event(&name), Some((channel, metric)), "{name}");
                let call = |properties: Value| {
                    json!({
                        "type": "track", "event": name, "userId": "p", "messageId": "e",
                        "originalTimestamp": "2024-10-24T11:04:05.000Z", "timestamp": "2024-10-24T11:04:05.007Z",
                        "context": {"traits": {"email": "r@example.org"}}, "properties": properties
                    })
                };
                let customer_io = call(json!({
                    "customer_id": "p", "delivery_id": "d", "campaign_id": 3, "action_id": 4,
                    "recipient": "r@example.org", "href": "https://example.org", "link_id": 5, "failure_message": "why"
                }));
                let rudderstack = call(json!({
                    "eventId": "e", "deliveryId": "d", "campaignId": 3, "actionId": 4,
                    "link": {"url": "https://example.org", "id": 5}, "reason": "why"
                }));
                assert_eq!(event(Format::Pipelines, customer_io), webhook, "{name}");
                // where others write the person's address it has the recipient
                let mut webhook = webhook.clone();
                webhook.attributes.set(Attribute::Email, None);
                assert_eq!(event(Format::Pipelines, rudderstack), webhook, "{name}");
            }
        }
    }
}

#[test]
fn a_body_that_is_no_json_says_where() {
    let cases: [(&[u8], &str); 8] = [
        (b"", "not JSON: EOF while parsing a value at line 1 column 0"),
        (b"{\"a\":\n 1,}", "not JSON: key must be a string at line 2 column 4"),
        (b"object_type=email", "not JSON: expected value at line 1 column 1"),
        (b"{} {}", "not JSON: trailing characters at line 1 column 4"),
        (b"{\n\"a\": \"\xFF\"}", "not JSON: invalid UTF-8 at byte 8 at line 2 column 7"),
        (b"17", "expected an object or an array, found a number"),
        (b" null", "expected an object or an array, found null"),
        (b"\"x\"", "expected an object or an array, found a string"),
    ];
    for (body, message) in cases {
        let is_form = |format: &Format| [Format::Twilio, Format::Vonage].contains(format) && body.ends_with(b"=email");
        for format in Format::all().filter(|format| !is_form(format)) {
            assert_eq!(read_as(format, body).unwrap_err().to_string(), message);
        }
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
    assert!(read_as(Format::Webhook, deep.as_bytes()).unwrap_err().to_string().contains("recursion limit"));
    let among = format!("[{deep},{{\"metric\":\"opened\",\"data\":{{\"delivery_id\":\"d\"}}}}]");
    let items = read_as(Format::Webhook, among.as_bytes()).unwrap();
    assert!(matches!(items[..], [Item::Quarantined(_), Item::Event { .. }]));
}

#[test]
fn a_body_has_not_more_items_than_can_be_held() {
    let zeros = |n: usize| format!("[{}0]", "0,".repeat(n - 1));
    assert_eq!(read_as(Format::Webhook, zeros(ITEMS_MAX).as_bytes()).unwrap().len(), ITEMS_MAX);
    let bodies = [zeros(ITEMS_MAX + 1), format!("{{\"batch\":{}}}", zeros(ITEMS_MAX + 1))];
    for body in bodies {
        let error = read_as(Format::Pipelines, body.as_bytes()).unwrap_err();
        assert_eq!(error, Unreadable::TooMany { items: ITEMS_MAX + 1, max: ITEMS_MAX });
    }
    // nor may a few megabytes of context be copied for each of them
    let large = "c".repeat(1 << 20);
    let batch = format!(
        "{{\"batch\":[{}{{}}],\"context\":{{\"a\":\"{large}\",\"traits\":{{\"email\":\"{large}\"}}}}}}",
        "{},".repeat(50_000)
    );
    assert_eq!(read_as(Format::Pipelines, batch.as_bytes()).unwrap().len(), 50_001);
    // what is not opened cannot be deep
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    for format in Format::all() {
        let items = read_as(format, deep.as_bytes()).unwrap();
        assert!(matches!(&items[..], [Item::Quarantined(aside)] if aside.reason == Reason::NotAnObject));
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    let body = b"\xEF\xBB\xBF[{\"delivery_id\":\"d\",\"metric\":\"sent\"}]";
    assert!(matches!(read_as(Format::Waybill, body).unwrap()[..], [Item::Event { .. }]));
}

#[test]
fn browser_keys_are_read_from_the_body() {
    let read = |body: &[u8]| write_key(body).map(String::from);
    assert_eq!(read(br#"{"batch":[{}],"writeKey":"k-1"}"#).as_deref(), Some("k-1"));
    assert_eq!(read(br#"{"writeKey":null}"#), None);
    assert_eq!(read(br#"{"properties":{"writeKey":"k"}}"#), None);
    assert_eq!(read(b"[]"), None);
    assert_eq!(read(b"{"), None);
}

/// A path for each kind of call of the Track API.
const TRACK_PATHS: [&str; 10] = [
    "/api/v1/metrics",
    "/push/events",
    "/api/v1/cio_deliveries/events",
    "/unsubscribe/d%2F1",
    "/api/v2/entity",
    "/api/v2/batch",
    "/api/v1/customers/a%40b",
    "/api/v1/customers/cio_1/devices",
    "/api/v1/merge_customers",
    "/api/v1/customers/7/suppress",
];

/// Any JSON, with the keys that parsers look for more often than chance would have them.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("email".to_owned()),
        Just("opened".to_owned()),
        Just("unsubscribed".to_owned()),
        Just("track".to_owned()),
        Just("Email Opened".to_owned()),
        Just("Report Delivery Event".to_owned()),
        Just("Device Created or Updated".to_owned()),
        Just("Subscribed".to_owned()),
        Just("identify".to_owned()),
        Just("group".to_owned()),
        Just("2024-10-24T11:04:05Z".to_owned()),
        Just("/v1/batch".to_owned()),
        Just("/api/v2/entity".to_owned()),
        Just("person".to_owned()),
        Just("delivery".to_owned()),
        Just("identify".to_owned()),
        "\\PC{0,8}",
        "[0-9:TZ+. e-]{0,30}",
    ];
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?(e[+-]?[0-9]{1,4})?"
        .prop_map(|text| serde_json::from_str::<Value>(&text).unwrap_or(Value::Null));
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool), number, word.prop_map(Value::String)];
    let key = prop_oneof![
        8 => prop::sample::select(vec![
            "type", "event", "properties", "context", "traits", "email", "batch", "path", "body", "writeKey", "data",
            "object_type", "metric", "event_type", "delivery_id", "deliveryId", "timestamp", "originalTimestamp",
            "messageId", "event_id", "recipients", "device_id", "source", "kind", "id", "time", "link", "href",
            "identifiers", "machine", "userId", "anonymousId", "groupId", "device", "token", "content", "$serde_json::private::Number", "$serde_json::private::RawValue",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

/// The value with its `n`th node, counted depth first, replaced.
fn replace(value: &mut Value, n: &mut usize, by: &Value) {
    if *n == 0 {
        *value = by.clone();
    }
    *n = n.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, n, by)),
        Value::Object(entries) => entries.values_mut().for_each(|item| replace(item, n, by)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn no_change_of_a_fixture_panics(fixture in any::<prop::sample::Index>(), n in 0..60usize, by in any_json()) {
        let fixtures = fixtures();
        let (_, format, body) = &fixtures[fixture.index(fixtures.len())];
        let first_line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let parse = |bytes: &[u8]| parse_json(std::str::from_utf8(bytes).unwrap());
        let mut value = parse(body).or_else(|_| parse(first_line)).unwrap();
        replace(&mut value, &mut n.clone(), &by);
        if let Ok(items) = read_as(*format, value.to_string().as_bytes()) {
            for item in items {
                let mut text = String::new();
                describe(&mut text, &item);
                prop_assert!(!text.is_empty());
            }
        }
    }

    #[test]
    fn no_json_makes_a_parser_panic(body in any_json()) {
        let text = body.to_string();
        let id_key = IdKey::new(b"a secret of the tests");
        let context = Context { received_at_ms: RECEIVED, id_key: &id_key, live: false, source_from: &SourceFrom::Provider };
        for format in Format::all() {
            let items = read(format, text.as_bytes(), &context);
            // a line may say that the body of a path is a number
            prop_assert!(format == Format::Line || items.is_ok() == (body.is_object() || body.is_array()));
            for item in items.unwrap_or_default() {
                if let Item::Statement(statement) = &item {
                    prop_assert!((1..=256).contains(&statement.id.len()));
                    prop_assert!(statement.who.all().all(|(_, value)| (1..=256).contains(&value.len())));
                    let speaks_of_nobody = matches!(&statement.said, Said::Set(settings) if !settings.is_empty());
                    prop_assert!(statement.who.name().is_some() || speaks_of_nobody);
                }
                if let Item::Event { event, body, .. } = item {
                    prop_assert!(!event.id.is_empty() && !event.delivery_id.is_empty());
                    prop_assert!(event.delivery_id.len() <= 256 && event.metric.as_str().len() <= 64);
                    // what is kept can be read again, and says the same; of a line the path is gone
                    if format != Format::Line {
                        let again = read(format, body.as_bytes(), &context).unwrap().remove(0);
                        let Item::Event { event: again, .. } = again else { panic!("{body} became {again:?}") };
                        prop_assert_eq!(again, event);
                    }
                }
            }
        }
        for call in CallType::ALL {
            let _ = read_call(call, text.as_bytes(), Bounds::default(), &context);
        }
        for path in TRACK_PATHS {
            let request = TrackRequest { method: "PUT", path };
            for item in read_track(request, text.as_bytes(), Bounds::default(), &context).unwrap_or_default() {
                let kept = match &item {
                    Item::Event { body, .. } => body.as_bytes().to_vec(),
                    Item::Quarantined(aside) if aside.reason != Reason::NotAnObject => aside.body.clone(),
                    _ => continue,
                };
                // a line of an import file, which becomes the same
                let again = read_line(&kept, &context).unwrap().remove(0);
                let describe = |item| {
                    let mut text = String::new();
                    describe(&mut text, item);
                    text
                };
                prop_assert_eq!(describe(&again), describe(&item));
            }
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let id_key = IdKey::new(b"");
        let context = Context { received_at_ms: RECEIVED, id_key: &id_key, live: false, source_from: &SourceFrom::Provider };
        for format in Format::all() {
            let _ = read(format, &body, &context);
        }
        let _ = read_line(&body, &context);
    }
}
