//! What of an event's JSON its columns do not hold.
//!
//! Most of what an event says stands in columns. So that it is not stored twice, its JSON is kept as `[format, mask]` or
//! `[format, mask, rest]`: bit n of the mask says that the n-th path of the format's table ([`columns`](super::columns))
//! held just what the columns make of it, and `rest` is the JSON without those. [`whole`] puts it together again: every
//! key, value and digit; white space and key order may differ. What would not come out the same is kept as it came.

use std::cmp::Ordering;
use std::sync::LazyLock;

use serde_json::value::RawValue;

use super::columns::{Column, SHAPES, Shape};
use super::document::Document;
use super::json::{self, Object, Tree, order, write_text};
use super::time::{from_iso, iso};
use crate::domain::Event;

/// What is kept of an event's JSON.
pub(super) fn of(document: &Document, event: &Event) -> String {
    let shortened = if document.is_plain { shortened(document, event) } else { None };
    shortened.unwrap_or_else(|| document.text.as_ref().to_owned())
}

/// The event's JSON again, from what [`of`] kept of it and the event as it was then.
pub fn whole(kept: &str, event: &Event) -> String {
    // an event is an object; what was shortened is an array
    if !kept.starts_with('[') {
        return kept.to_owned();
    }
    restored(kept, event).unwrap_or_else(|| kept.to_owned())
}

fn shortened(document: &Document, event: &Event) -> Option<String> {
    let number = shape_of(&document.object);
    let mut rest = Rest { event, mask: 0, json: String::with_capacity(document.text.len()) };
    rest.object(&document.object, &PLACES[number])?;
    let (number, mask, json) = (number.to_string(), rest.mask.to_string(), rest.json);
    // this costs a third of what `format!` does
    Some(if json == "{}" {
        ["[", &number, ",", &mask, "]"].concat()
    } else {
        ["[", &number, ",", &mask, ",", &json, "]"].concat()
    })
}

/// The paths of each shape as a tree, to be walked along with an object.
static PLACES: LazyLock<Vec<Places>> = LazyLock::new(|| SHAPES.iter().map(Places::of).collect());

/// By key, in the order of their bytes.
#[derive(Default)]
struct Places(Vec<(&'static str, Place)>);

#[derive(Default)]
struct Place {
    /// With their bits in the mask.
    columns: Vec<(usize, Column)>,
    is_near: bool,
    below: Places,
}

impl Places {
    fn of(shape: &Shape) -> Places {
        let mut places = Places::default();
        for (bit, (path, column)) in shape.columns.iter().enumerate() {
            places.at(path).columns.push((bit, *column));
        }
        for path in shape.near {
            places.at(path).is_near = true;
        }
        places
    }

    fn at(&mut self, path: &[&'static str]) -> &mut Place {
        let (last, before) = path.split_last().map_or(("", path), |(last, before)| (*last, before));
        before.iter().fold(self, |level, key| &mut level.place(key).below).place(last)
    }

    fn place(&mut self, key: &'static str) -> &mut Place {
        let place = self.0.binary_search_by_key(&key, |(key, _)| key).unwrap_or_else(|place| {
            self.0.insert(place, (key, Place::default()));
            place
        });
        &mut self.0[place].1
    }
}

/// What is left of an object, being written.
struct Rest<'e> {
    event: &'e Event,
    mask: u64,
    json: String,
}

impl Rest<'_> {
    /// `None` where it would not come out the same.
    fn object(&mut self, object: &Object, places: &Places) -> Option<()> {
        let mut places = &places.0[..];
        self.json.push('{');
        let begin = self.json.len();
        for (key, value) in object.iter() {
            let place = loop {
                let Some(((name, place), after)) = places.split_first() else { break None };
                match order(name, key) {
                    Ordering::Less => places = after,
                    Ordering::Equal => break Some(place),
                    Ordering::Greater => break None,
                }
            };
            let columns = place.map_or(&[][..], |place| &place.columns);
            if let Some((bit, _)) = columns.iter().find(|(_, column)| column.wrote(self.event, value)) {
                self.mask |= 1 << bit;
                continue;
            }
            let (before, mask_before) = (self.json.len(), self.mask);
            if before > begin {
                self.json.push(',');
            }
            write_text(key, &mut self.json);
            self.json.push(':');
            match (place, value) {
                (Some(place), Tree::Object(object)) => {
                    self.object(object, &place.below)?;
                    // of an object that this leaves empty nothing stays
                    if self.mask != mask_before && self.json.ends_with("{}") {
                        self.json.truncate(before);
                    }
                }
                (Some(Place { is_near: true, .. }), value) => self.near(value)?,
                (_, value) => value.write(&mut self.json),
            }
        }
        self.json.push('}');
        Some(())
    }

    /// A time that lies near the event's. `None` where it would be read as a distance.
    fn near(&mut self, value: &Tree) -> Option<()> {
        if as_i64(value).is_some() {
            return None;
        }
        match value.as_str().and_then(from_iso) {
            Some(ms) => self.json.push_str(&(ms - self.event.time.ms).to_string()),
            None => value.write(&mut self.json),
        }
        Some(())
    }
}

fn restored(kept: &str, event: &Event) -> Option<String> {
    // the rest is read by itself: it may be as deep as the reader goes, and within the array it would lie one deeper
    let parts: Vec<&RawValue> = serde_json::from_str(kept).ok()?;
    let number: usize = parts.first()?.get().parse().ok()?;
    let mask: u64 = parts.get(1)?.get().parse().ok()?;
    let shape = SHAPES.get(number)?;
    let mut whole = match parts.get(2) {
        Some(rest) => json::parse(rest.get()).ok()?,
        None => Tree::Object(Object::default()),
    };
    for path in shape.near {
        if let Some(place) = at_mut(&mut whole, path)
            && let Some(after_ms) = as_i64(place)
        {
            *place = Tree::Text(iso(event.time.ms.checked_add(after_ms)?)?.into());
        }
    }
    for (bit, (path, column)) in shape.columns.iter().enumerate() {
        // what was taken from the event after it was read, as from a stranger's report, is gone from its JSON too
        if mask >> bit & 1 == 1
            && let Some(member) = column.write(event)
        {
            put(&mut whole, path, member)?;
        }
    }
    Some(whole.to_string())
}

/// Which table fits an object, by its keys.
fn shape_of(object: &Object) -> usize {
    let has = |key| object.contains_key(key);
    if has("path") && has("body") {
        3
    } else if has("object_type") || (has("data") && has("metric")) {
        0
    } else if has("event") || has("messageId") {
        1
    } else {
        2
    }
}

fn as_i64(value: &Tree) -> Option<i64> {
    match value {
        Tree::Whole(number) => i64::try_from(*number).ok(),
        Tree::Number(number) => number.parse().ok(),
        _ => None,
    }
}

fn at_mut<'v, 'a>(value: &'v mut Tree<'a>, path: &[&str]) -> Option<&'v mut Tree<'a>> {
    path.iter().try_fold(value, |value, key| value.as_object_mut()?.get_mut(key))
}

/// Puts a member in place. `None` where something that is no object stands in the way.
fn put<'a>(value: &mut Tree<'a>, path: &[&'static str], member: Tree<'a>) -> Option<()> {
    let (key, below) = path.split_first()?;
    let object = value.as_object_mut()?;
    if below.is_empty() {
        object.insert(key, member);
        return Some(());
    }
    if !object.contains_key(key) {
        object.insert(key, Tree::Object(Object::default()));
    }
    put(object.get_mut(key)?, below, member)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::columns::{PIPELINES, WEBHOOK};
    use crate::wire::testing::anything;
    use crate::wire::{Context, Format, IdKey, Item, read};

    const RECEIVED_AT_MS: i64 = 1_795_000_000_000;

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

        // what is no number is written as text again
        for id in ["08", "+8", "0", "18446744073709551616"] {
            let mut other = webhook.clone();
            other["data"]["campaign_id"] = id.into();
            let short = kept(Format::Webhook, &other.to_string());
            assert_eq!(short.contains('{'), id == "0", "{short}");
        }

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

        for (path, body) in [
            (
                "/api/v1/metrics",
                json!({ "delivery_id": "d1", "metric": "dropped", "timestamp": 1_790_000_000, "recipient": 15550100,
                "reason": "full", "href": "https://example.com" }),
            ),
            ("/push/events", json!({ "delivery_id": "d1", "event": "opened", "timestamp": 1_790_000_000 })),
            (
                "/api/v1/cio_deliveries/events",
                json!({ "type": "in_app", "payload": { "delivery_id": "d1", "event": "clicked",
                "timestamp": 1_790_000_000, "metadata": { "action_value": "3" } } }),
            ),
            (
                "/api/v2/entity",
                json!({ "type": "delivery", "action": "event", "identifiers": { "id": "d1" }, "name": "opened" }),
            ),
        ] {
            let report = json!({ "path": path, "method": "POST", "body": body });
            let short = kept(Format::Line, &report.to_string());
            assert!(short.starts_with("[3,") && short.len() < 16, "{short}");
        }

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
        for field in [
            r#""a":1.0"#,
            r#""a":"\ud83d\ude00""#,
            r#""a":9007199254740993"#,
            r#""a":123456789012345678901234567890"#,
            r#""a":{},"b":[]"#,
        ] {
            assert!(kept(Format::Webhook, &with(field)).starts_with('['), "{field}");
        }
    }

    #[test]
    fn all_formats_of_lifelike_traffic_are_shortened() {
        let traffic = waybill_traffic::Traffic::new(3, 200, RECEIVED_AT_MS);
        let (mut before, mut after) = (0, 0);
        for line in traffic.lines(&waybill_traffic::Format::ALL) {
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

    #[test]
    fn an_event_as_deep_as_the_reader_goes_comes_back() {
        for (format, open, close) in [
            (Format::Webhook, r#"{"object_type":"push","metric":"sent","data":{"delivery_id":"d","a":"#, "}}"),
            (Format::Pipelines, r#"{"event":"Push Sent","properties":{"delivery_id":"d","a":"#, "}}"),
            (Format::Waybill, r#"{"delivery_id":"d","metric":"sent","source":{"a":"#, "}}"),
        ] {
            for depth in [100, 124, 125] {
                let raw = format!("{open}{}{}{close}", "[".repeat(depth), "]".repeat(depth));
                let (event, kept) = read_one(format, &raw).unwrap();
                assert_eq!(json::parse(&whole(&kept, &event)).unwrap(), json::parse(&raw).unwrap(), "{depth}");
            }
        }
    }

    /// Puts a member in place, unless something that is no object stands in the way.
    fn put(value: &mut Value, path: &[&str], member: Value) {
        let (Some(object), Some((key, below))) = (value.as_object_mut(), path.split_first()) else { return };
        if below.is_empty() {
            object.insert((*key).into(), member);
        } else {
            put(object.entry(*key).or_insert_with(|| json!({})), below, member);
        }
    }

    /// The paths that any format reads, and some that none does.
    fn any_path() -> impl Strategy<Value = Vec<&'static str>> {
        let known = SHAPES.iter().flat_map(|shape| shape.columns.iter().map(|(path, _)| path).chain(shape.near));
        let known: Vec<Vec<&str>> = known.map(|path| path.to_vec()).collect();
        let odd =
            ["", "__proto__", "data", "properties", "context", "source", "metric", "object_type", "messageId", "near"];
        prop_oneof![4 => proptest::sample::select(known), 1 => proptest::sample::select(odd.map(|key| vec![key]).to_vec())]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn whatever_else_an_event_says_comes_back(
            format in proptest::sample::select(vec![Format::Webhook, Format::Pipelines, Format::Waybill]),
            members in proptest::collection::vec((any_path(), anything()), 0..8),
            spread in any::<bool>(),
        ) {
            let mut body = match format {
                Format::Webhook => json!({ "object_type": "push", "metric": "sent", "data": { "delivery_id": "d" } }),
                Format::Pipelines => json!({ "event": "Push Sent", "properties": { "delivery_id": "d" } }),
                _ => json!({ "delivery_id": "d", "metric": "sent" }),
            };
            for (path, value) in members {
                put(&mut body, &path, value);
            }
            let raw = if spread { format!("{body:#}") } else { body.to_string() };
            if let Some((event, kept)) = read_one(format, &raw) {
                let whole = whole(&kept, &event);
                prop_assert_eq!(json::parse(&whole).unwrap(), json::parse(&raw).unwrap(), "{}", kept);
            }
        }
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
