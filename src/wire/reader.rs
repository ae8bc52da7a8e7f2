//! From a body to its items: whole bodies, arrays, batches, lines. What one object says is its format's to read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::domain::Text;

use super::body::{self, Body};
use super::fields::{Fields, ID_BYTES_MAX};
use super::reason::{Quarantined, Reason, Refusal, Unreadable};
use super::{
    Bounds, CallType, Context, Format, Item, TrackRequest, fields, json, line, people, pipelines, residual, track_api,
    waybill, webhook,
};

#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub format: Format,
    /// What the path says of a Data Pipelines body.
    pub call: Option<CallType>,
    pub bounds: Bounds,
    pub context: &'a Context<'a>,
}

impl Reader<'_> {
    pub fn read(self, body: &[u8]) -> Result<Vec<Item>, Unreadable> {
        match Body::read(body) {
            Ok(Body::One(raw)) => self.one(raw),
            Ok(Body::Many(raws)) => {
                let raws = self.not_too_many(raws)?;
                // an array sent as a batch is one already
                let call = self.call.filter(|call| *call != CallType::Batch);
                let reader = Reader { call, ..self };
                let mut items = Vec::with_capacity(raws.len());
                raws.into_iter().for_each(|raw| reader.one_of_many(raw, &mut items));
                Ok(items)
            }
            Err(error) if self.format == Format::Waybill => {
                let lines = self.not_too_many(body::lines(body).ok_or(error)?)?;
                let is_end = |line: &[u8]| {
                    body::Body::read(line).is_ok_and(|body| match body {
                        Body::One(raw) => waybill::is_end(&body::keys(raw).unwrap_or_default()),
                        Body::Many(_) => false,
                    })
                };
                // the last line of an export is no event
                let last = lines.last().is_some_and(|(_, line)| is_end(line)).then(|| lines.len() - 1);
                let mut items = Vec::with_capacity(lines.len());
                let lines = lines.into_iter().take(last.unwrap_or(usize::MAX));
                lines.for_each(|(number, line)| self.line(number, line, &mut items));
                Ok(items)
            }
            Err(error) => Err(error),
        }
    }

    fn line(self, number: usize, line: &[u8], items: &mut Vec<Item>) {
        let read = match Body::read(line) {
            Ok(Body::One(raw)) => self.item(raw, None, items),
            Ok(Body::Many(_)) => Err(Unreadable::NoUse { found: "an array" }),
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            let refusal = Refusal::new(error.reason(), format!("line {number} of the body: {error}"));
            items.push(Item::Quarantined(refusal.quarantine(self.format, line)));
        }
    }

    /// An item of an array. Arrays and batches within are not opened: they could be as deep and as many as the body
    /// is long.
    fn one_of_many(self, raw: &RawValue, items: &mut Vec<Item>) {
        if self.format == Format::Line && raw.get().starts_with('{') {
            let aside = |error: Unreadable| Item::Quarantined(error.quarantine(self.format, raw.get().as_bytes()));
            items.extend(self.by_keys(raw).unwrap_or_else(|error| vec![aside(error)]));
            return;
        }
        self.item_or_aside(raw, None, items);
    }

    /// An object, which may be a batch or an import line around others.
    fn one(self, raw: &RawValue) -> Result<Vec<Item>, Unreadable> {
        match self.format {
            Format::Webhook | Format::Waybill => self.item_alone(raw),
            Format::Pipelines => self.call_or_batch(raw),
            Format::Line => self.by_keys(raw),
        }
    }

    fn call_or_batch(self, raw: &RawValue) -> Result<Vec<Item>, Unreadable> {
        let keys = body::keys(raw).unwrap_or_default();
        let is_call = ["type", "action", "event"].into_iter().any(|key| keys.contains_key(key));
        if self.call != Some(CallType::Batch) && (is_call || !keys.contains_key("batch")) {
            return self.item_alone(raw);
        }
        let items = keys.get("batch").and_then(|batch| serde_json::from_str::<Vec<&RawValue>>(batch.get()).ok());
        let Some(batch) = items else {
            let refusal = Refusal::at(Reason::BadField, "batch", "is missing or not an array");
            let (_, raw) = self.open(raw, None)?;
            return Ok(vec![Item::Quarantined(refusal.quarantine(self.format, raw.get().as_bytes()))]);
        };
        let lent = match keys.get("context") {
            Some(context) => Some(Lent::of(&json::parse(context.get())?)),
            None => None,
        };
        let reader = Reader { call: None, ..self };
        let batch = self.not_too_many(batch)?;
        let mut items = Vec::with_capacity(batch.len());
        batch.into_iter().for_each(|raw| reader.item_or_aside(raw, lent.as_ref(), &mut items));
        Ok(items)
    }

    fn by_keys(self, raw: &RawValue) -> Result<Vec<Item>, Unreadable> {
        let keys = body::keys(raw).unwrap_or_default();
        if let Some(path) = keys.get("path").map(|path| json::parse(path.get())).transpose()?
            && (keys.contains_key("body") || keys.contains_key("method"))
        {
            return self.recorded(raw, &keys, path.as_str().unwrap_or_default());
        }
        match line::format_of(&keys) {
            None if waybill::is_end(&keys) => Ok(Vec::new()),
            Some(format) => Reader { format, ..self }.one(raw),
            None => Ok(vec![self.unknown(raw, "its keys are those of no known format")]),
        }
    }

    /// A request that was recorded. Some recorders take bodies for text; of a request without one there is none.
    fn recorded(self, raw: &RawValue, keys: &BTreeMap<String, &RawValue>, path: &str) -> Result<Vec<Item>, Unreadable> {
        let text = |key: &str| -> Result<Option<Text>, Unreadable> {
            let Some(value) = keys.get(key) else { return Ok(None) };
            Ok(fields::text_of(&json::parse(value.get())?))
        };
        let sent = match keys.get("body").map(|body| body.get()) {
            None | Some("null") => Cow::Borrowed(""),
            Some(body) if body.starts_with('"') => Cow::Owned(text("body")?.unwrap_or_default().into()),
            Some(body) => Cow::Borrowed(body),
        };
        if track_api::is_one(path) {
            let method = text("method")?.unwrap_or_default();
            let request = TrackRequest { method: &method, path };
            return track_api::read(request, sent.as_bytes(), self.bounds, self.context);
        }
        let Some((format, call)) = line::format_by_path(path) else {
            return Ok(vec![self.unknown(raw, "no event is read from this path")]);
        };
        Reader { format, call, ..self }.read(sent.as_bytes())
    }

    fn unknown(self, raw: &RawValue, detail: &str) -> Item {
        Item::Quarantined(Refusal::new(Reason::UnknownKind, detail).quarantine(self.format, raw.get().as_bytes()))
    }

    fn item_alone(self, raw: &RawValue) -> Result<Vec<Item>, Unreadable> {
        let mut items = Vec::with_capacity(1);
        self.item(raw, None, &mut items)?;
        Ok(items)
    }

    fn item_or_aside(self, raw: &RawValue, lent: Option<&Lent>, items: &mut Vec<Item>) {
        let aside = if !raw.get().starts_with('{') {
            let refusal = Refusal::new(Reason::NotAnObject, "an item of the array is not an object");
            refusal.quarantine(self.format, raw.get().as_bytes())
        } else if raw.get().len() > self.bounds.item_bytes {
            self.too_large(raw)
        } else {
            match self.item(raw, lent, items) {
                Ok(()) => return,
                Err(error) => error.quarantine(self.format, raw.get().as_bytes()),
            }
        };
        items.push(Item::Quarantined(aside));
    }

    /// An item that is not read: a tree of it could take many times the memory of its text.
    fn too_large(self, raw: &RawValue) -> Quarantined {
        let mut keys = body::keys(raw).unwrap_or_default();
        let had_key = keys.remove("writeKey").is_some();
        let without_key = if had_key { to_raw_value(&keys).ok() } else { None };
        let kept = without_key.as_deref().unwrap_or(raw).get().as_bytes();
        let detail = format!("the call has {} bytes, more than {}", raw.get().len(), self.bounds.item_bytes);
        Refusal::new(Reason::TooLarge, detail).quarantine(self.format, kept)
    }

    /// One call's object; `lent` is from the context of its batch.
    fn item(self, raw: &RawValue, lent: Option<&Lent>, items: &mut Vec<Item>) -> Result<(), Unreadable> {
        let (object, raw) = self.open(raw, lent)?;
        let outcome = match self.format {
            Format::Webhook => webhook::read(&object, self.context),
            Format::Waybill => waybill::read(&object, self.context),
            Format::Pipelines | Format::Line => pipelines::read(&object, self.call, self.context),
        };
        match outcome {
            Ok(outcome) => outcome.push_to(items, self.format, |event| residual::of(raw.get(), object, event)),
            Err(refusal) => items.push(Item::Quarantined(refusal.quarantine(self.format, raw.get().as_bytes()))),
        }
        Ok(())
    }

    /// The object, and its JSON as it is to be kept. A call is kept as it would be by itself, with what the context
    /// of its batch says of the person. The key of a sender is kept nowhere in plain text.
    fn open(self, raw: &RawValue, lent: Option<&Lent>) -> Result<(Map<String, Value>, Box<RawValue>), Unreadable> {
        let mut object = match json::parse(raw.get())? {
            Value::Object(object) => object,
            other => return Err(Unreadable::NoUse { found: json::kind(&other) }),
        };
        if !matches!(self.format, Format::Pipelines | Format::Waybill) {
            return Ok((object, raw.to_owned()));
        }
        let had_key = object.remove("writeKey").is_some();
        let lent = lent.filter(|_| object.get("context").is_none_or(Value::is_null));
        let lent = lent.and_then(|lent| lent.to(&object));
        let has_lent = lent.is_some();
        if let Some(context) = lent {
            object.insert("context".to_owned(), context);
        }
        let raw = if had_key || has_lent { to_raw_value(&object)? } else { raw.to_owned() };
        Ok((object, raw))
    }

    fn not_too_many<T>(self, items: Vec<T>) -> Result<Vec<T>, Unreadable> {
        let max = self.bounds.items;
        if items.len() > max { Err(Unreadable::TooMany { items: items.len(), max }) } else { Ok(items) }
    }
}

/// All of a batch's context that its calls are read for. No more is lent: a copy of megabytes for each of a hundred
/// thousand calls would fill the memory.
struct Lent {
    email: Option<Text>,
    /// What a device is known by, for the calls about devices only.
    device: Map<String, Value>,
}

impl Lent {
    fn of(context: &Value) -> Lent {
        let context = Fields::of(Some(context));
        let short = |fields: Fields, key| fields.text(&[key]).filter(|text| text.len() <= ID_BYTES_MAX);
        let device = context.inside("device");
        let device = ["token", "id", "type"].into_iter().filter_map(|key| Some((key, short(device, key)?)));
        Lent {
            email: short(context.inside("traits"), "email"),
            device: device.map(|(key, text)| (key.to_owned(), Value::from(&*text))).collect(),
        }
    }

    /// The context that a call without one is read with.
    fn to(&self, call: &Map<String, Value>) -> Option<Value> {
        let mut context = Map::new();
        if let Some(email) = &self.email {
            context.insert("traits".to_owned(), json!({ "email": email }));
        }
        if !self.device.is_empty() && call.get("event").and_then(Value::as_str).is_some_and(people::is_of_device) {
            context.insert("device".to_owned(), Value::Object(self.device.clone()));
        }
        (!context.is_empty()).then_some(Value::Object(context))
    }
}
