//! From a body to its items: whole bodies, arrays, batches, lines. What one object says is its format's to read.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::domain::Text;

use super::body::{self, Body};
use super::fields::{Fields, ID_BYTES_MAX};
use super::reason::{Reason, Refusal, Unreadable};
use super::{
    CallType, Context, Format, ITEMS_MAX, Item, Outcome, fields, json, line, pipelines, residual, waybill, webhook,
};

#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub format: Format,
    /// What the path says of a Data Pipelines body.
    pub call: Option<CallType>,
    pub context: &'a Context<'a>,
}

impl Reader<'_> {
    pub fn read(self, body: &[u8]) -> Result<Vec<Item>, Unreadable> {
        match Body::read(body) {
            Ok(Body::One(raw)) => self.one(raw),
            Ok(Body::Many(raws)) => {
                let raws = not_too_many(raws)?;
                // an array sent as a batch is one already
                let call = self.call.filter(|call| *call != CallType::Batch);
                let reader = Reader { call, ..self };
                Ok(raws.into_iter().flat_map(|raw| reader.one_of_many(raw)).collect())
            }
            Err(error) if self.format == Format::Waybill => {
                let lines = not_too_many(body::lines(body).ok_or(error)?)?;
                let is_end = |line: &[u8]| {
                    body::Body::read(line).is_ok_and(|body| match body {
                        Body::One(raw) => waybill::is_end(&body::keys(raw).unwrap_or_default()),
                        Body::Many(_) => false,
                    })
                };
                // the last line of an export is no event
                let last = lines.last().is_some_and(|(_, line)| is_end(line)).then(|| lines.len() - 1);
                let lines = lines.into_iter().take(last.unwrap_or(usize::MAX));
                Ok(lines.map(|(number, line)| self.line(number, line)).collect())
            }
            Err(error) => Err(error),
        }
    }

    fn line(self, number: usize, line: &[u8]) -> Item {
        let item = match Body::read(line) {
            Ok(Body::One(raw)) => self.item(raw, None),
            Ok(Body::Many(_)) => Err(Unreadable::NoUse { found: "an array" }),
            Err(error) => Err(error),
        };
        item.unwrap_or_else(|error| {
            let refusal = Refusal::new(error.reason(), format!("line {number} of the body: {error}"));
            Item::Quarantined(refusal.quarantine(self.format, line))
        })
    }

    /// An item of an array. Arrays and batches within are not opened: they could be as deep and as many as the body
    /// is long.
    fn one_of_many(self, raw: &RawValue) -> Vec<Item> {
        if self.format == Format::Line && raw.get().starts_with('{') {
            let aside = |error: Unreadable| Item::Quarantined(error.quarantine(self.format, raw.get().as_bytes()));
            return self.by_keys(raw).unwrap_or_else(|error| vec![aside(error)]);
        }
        vec![self.item_or_aside(raw, None)]
    }

    /// An object, which may be a batch or an import line around others.
    fn one(self, raw: &RawValue) -> Result<Vec<Item>, Unreadable> {
        match self.format {
            Format::Webhook | Format::Waybill => Ok(vec![self.item(raw, None)?]),
            Format::Pipelines => self.call_or_batch(raw),
            Format::Line => self.by_keys(raw),
        }
    }

    fn call_or_batch(self, raw: &RawValue) -> Result<Vec<Item>, Unreadable> {
        let keys = body::keys(raw).unwrap_or_default();
        let is_call = ["type", "action", "event"].into_iter().any(|key| keys.contains_key(key));
        if self.call != Some(CallType::Batch) && (is_call || !keys.contains_key("batch")) {
            return Ok(vec![self.item(raw, None)?]);
        }
        let items = keys.get("batch").and_then(|batch| serde_json::from_str::<Vec<&RawValue>>(batch.get()).ok());
        let Some(batch) = items else {
            let refusal = Refusal::at(Reason::BadField, "batch", "is missing or not an array");
            let (_, raw) = self.open(raw, None)?;
            return Ok(vec![Item::Quarantined(refusal.quarantine(self.format, raw.get().as_bytes()))]);
        };
        let lent = match keys.get("context") {
            Some(context) => address_of(&json::parse(context.get())?),
            None => None,
        };
        let reader = Reader { call: None, ..self };
        Ok(not_too_many(batch)?.into_iter().map(|raw| reader.item_or_aside(raw, lent.as_deref())).collect())
    }

    fn by_keys(self, raw: &RawValue) -> Result<Vec<Item>, Unreadable> {
        let keys = body::keys(raw).unwrap_or_default();
        if let (Some(path), Some(sent)) = (keys.get("path"), keys.get("body")) {
            let path = json::parse(path.get())?;
            let Some((format, call)) = path.as_str().and_then(line::format_by_path) else {
                return Ok(vec![self.unknown(raw, "no event is read from this path")]);
            };
            let reader = Reader { format, call, ..self };
            // some recorders take bodies for text
            if sent.get().starts_with('"') {
                let text = fields::text_of(&json::parse(sent.get())?).unwrap_or_default();
                return reader.read(text.as_bytes());
            }
            return reader.read(sent.get().as_bytes());
        }
        match line::format_of(&keys) {
            None if waybill::is_end(&keys) => Ok(Vec::new()),
            Some(format) => Reader { format, ..self }.one(raw),
            None => Ok(vec![self.unknown(raw, "its keys are those of no known format")]),
        }
    }

    fn unknown(self, raw: &RawValue, detail: &str) -> Item {
        Item::Quarantined(Refusal::new(Reason::UnknownKind, detail).quarantine(self.format, raw.get().as_bytes()))
    }

    fn item_or_aside(self, raw: &RawValue, lent: Option<&str>) -> Item {
        if !raw.get().starts_with('{') {
            let refusal = Refusal::new(Reason::NotAnObject, "an item of the array is not an object");
            return Item::Quarantined(refusal.quarantine(self.format, raw.get().as_bytes()));
        }
        self.item(raw, lent)
            .unwrap_or_else(|error| Item::Quarantined(error.quarantine(self.format, raw.get().as_bytes())))
    }

    /// One event's object; `lent` is the address in the context of its batch.
    fn item(self, raw: &RawValue, lent: Option<&str>) -> Result<Item, Unreadable> {
        let (object, raw) = self.open(raw, lent)?;
        let outcome = match self.format {
            Format::Webhook => webhook::read(&object, self.context),
            Format::Waybill => waybill::read(&object, self.context),
            Format::Pipelines | Format::Line => pipelines::read(&object, self.call, self.context),
        };
        Ok(match outcome {
            Ok(Outcome::Event { event, report }) => {
                Item::Event { residual: residual::of(raw.get(), object, &event), event, report }
            }
            Ok(Outcome::Statement(statement)) => Item::Statement(statement),
            Ok(Outcome::Ignored(name)) => Item::Ignored { name },
            Err(refusal) => Item::Quarantined(refusal.quarantine(self.format, raw.get().as_bytes())),
        })
    }

    /// The object, and its JSON as it is to be kept. A call is kept as it would be by itself, with what the context
    /// of its batch says of the person. The key of a sender is kept nowhere in plain text.
    fn open(self, raw: &RawValue, lent: Option<&str>) -> Result<(Map<String, Value>, Box<RawValue>), Unreadable> {
        let mut object = match json::parse(raw.get())? {
            Value::Object(object) => object,
            other => return Err(Unreadable::NoUse { found: json::kind(&other) }),
        };
        if !matches!(self.format, Format::Pipelines | Format::Waybill) {
            return Ok((object, raw.to_owned()));
        }
        let had_key = object.remove("writeKey").is_some();
        let lent = lent.filter(|_| object.get("context").is_none_or(Value::is_null));
        if let Some(email) = lent {
            object.insert("context".to_owned(), json!({"traits": {"email": email}}));
        }
        let raw = if had_key || lent.is_some() { to_raw_value(&object)? } else { raw.to_owned() };
        Ok((object, raw))
    }
}

/// All of a batch's context that its calls are read for. No more is lent: a copy of megabytes for each of a hundred
/// thousand calls would fill the memory.
fn address_of(context: &Value) -> Option<Text> {
    let email = Fields::of(Some(context)).inside("traits").text(&["email"]);
    email.filter(|email| email.len() <= ID_BYTES_MAX)
}

fn not_too_many<T>(items: Vec<T>) -> Result<Vec<T>, Unreadable> {
    if items.len() > ITEMS_MAX { Err(Unreadable::TooMany { items: items.len() }) } else { Ok(items) }
}
