//! From a body to its items: whole bodies, arrays, batches, lines. What one object says is its format's to read.

use std::borrow::Cow;

use serde_json::value::{RawValue, to_raw_value};

use crate::domain::Text;

use super::body::{self, Body};
use super::document::{Document, Outer};
use super::fields::{Fields, ID_BYTES_MAX};
use super::json::{self, Object, Tree};
use super::reason::{Quarantined, Reason, Refusal, Unreadable};
use super::{
    Bounds, CallType, Context, Format, Item, TrackRequest, fields, line, people, pipelines, residual, track_api,
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
        let error = match Body::read(body) {
            Ok(Body::One(object)) => match Outer::read(object) {
                Ok(outer) => return self.one(outer),
                Err(error) => error,
            },
            Ok(Body::Many(raws)) => {
                let raws = self.not_too_many(raws)?;
                // an array sent as a batch is one already
                let call = self.call.filter(|call| *call != CallType::Batch);
                let reader = Reader { call, ..self };
                let mut items = Vec::with_capacity(raws.len());
                raws.into_iter().for_each(|raw| reader.one_of_many(raw, &mut items));
                return Ok(items);
            }
            Err(error) => error,
        };
        if self.format != Format::Waybill {
            return Err(error);
        }
        let lines = self.not_too_many(body::lines(body).ok_or(error)?)?;
        let is_end = |line: &[u8]| match Body::read(line) {
            Ok(Body::One(object)) => Outer::read(object).is_ok_and(|outer| waybill::is_end(&outer)),
            _ => false,
        };
        // the last line of an export is no event
        let last = lines.last().is_some_and(|(_, line)| is_end(line)).then(|| lines.len() - 1);
        let mut items = Vec::with_capacity(lines.len());
        let lines = lines.into_iter().take(last.unwrap_or(usize::MAX));
        lines.for_each(|(number, line)| self.line(number, line, &mut items));
        Ok(items)
    }

    fn line(self, number: usize, line: &[u8], items: &mut Vec<Item>) {
        let read = match Body::read(line) {
            Ok(Body::One(object)) => {
                Outer::read(object).and_then(Outer::document).map(|document| self.item(document, None, items))
            }
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
            let read = Outer::read(raw.get()).and_then(|outer| self.by_keys(outer));
            items.extend(read.unwrap_or_else(|error| vec![aside(error)]));
            return;
        }
        self.item_or_aside(raw, None, items);
    }

    /// An object, which may be a batch or an import line around others.
    fn one(self, outer: Outer) -> Result<Vec<Item>, Unreadable> {
        match self.format {
            Format::Webhook | Format::Waybill => self.item_alone(outer),
            Format::Pipelines => self.call_or_batch(outer),
            Format::Line => self.by_keys(outer),
        }
    }

    fn call_or_batch(self, outer: Outer) -> Result<Vec<Item>, Unreadable> {
        let is_call = ["type", "action", "event"].into_iter().any(|key| outer.contains_key(key));
        if self.call != Some(CallType::Batch) && (is_call || !outer.contains_key("batch")) {
            return self.item_alone(outer);
        }
        let items = outer.batch.and_then(|batch| serde_json::from_str::<Vec<&RawValue>>(batch.get()).ok());
        let Some(batch) = items else {
            let refusal = Refusal::at(Reason::BadField, "batch", "is missing or not an array");
            let document = self.open(outer.document()?, None);
            return Ok(vec![Item::Quarantined(refusal.quarantine(self.format, document.text.as_bytes()))]);
        };
        let lent = outer.object.get("context").map(Lent::of);
        let reader = Reader { call: None, ..self };
        let batch = self.not_too_many(batch)?;
        let mut items = Vec::with_capacity(batch.len());
        batch.into_iter().for_each(|raw| reader.item_or_aside(raw, lent.as_ref(), &mut items));
        Ok(items)
    }

    fn by_keys(self, outer: Outer) -> Result<Vec<Item>, Unreadable> {
        if let Some(path) = outer.object.get("path")
            && (outer.contains_key("body") || outer.contains_key("method"))
        {
            return self.recorded(&outer, path.as_str().unwrap_or_default());
        }
        match line::format_of(&outer) {
            None if waybill::is_end(&outer) => Ok(Vec::new()),
            Some(format) => Reader { format, ..self }.one(outer),
            None => Ok(vec![self.unknown(&outer, "its keys are those of no known format")]),
        }
    }

    /// A request that was recorded. Some recorders take bodies for text; of a request without one there is none.
    fn recorded(self, outer: &Outer, path: &str) -> Result<Vec<Item>, Unreadable> {
        let sent = match outer.body.map(|body| body.get()) {
            None | Some("null") => Cow::Borrowed(""),
            Some(body) if body.starts_with('"') => {
                Cow::Owned(fields::text_of(&json::parse(body)?).unwrap_or_default().into_owned())
            }
            Some(body) => Cow::Borrowed(body),
        };
        if track_api::is_one(path) {
            let method = outer.object.get("method").and_then(fields::text_of).unwrap_or_default();
            let request = TrackRequest { method: &method, path };
            return track_api::read(request, sent.as_bytes(), self.bounds, self.context);
        }
        let Some((format, call)) = line::format_by_path(path) else {
            return Ok(vec![self.unknown(outer, "no event is read from this path")]);
        };
        Reader { format, call, ..self }.read(sent.as_bytes())
    }

    fn unknown(self, outer: &Outer, detail: &str) -> Item {
        Item::Quarantined(Refusal::new(Reason::UnknownKind, detail).quarantine(self.format, outer.text.as_bytes()))
    }

    fn item_alone(self, outer: Outer) -> Result<Vec<Item>, Unreadable> {
        let mut items = Vec::with_capacity(1);
        self.item(outer.document()?, None, &mut items);
        Ok(items)
    }

    fn item_or_aside(self, raw: &RawValue, lent: Option<&Lent>, items: &mut Vec<Item>) {
        let aside = if !raw.get().starts_with('{') {
            let refusal = Refusal::new(Reason::NotAnObject, "an item of the array is not an object");
            refusal.quarantine(self.format, raw.get().as_bytes())
        } else if raw.get().len() > self.bounds.item_bytes {
            self.too_large(raw)
        } else {
            match Document::read(raw.get()) {
                Ok(document) => return self.item(document, lent, items),
                Err(error) => error.quarantine(self.format, raw.get().as_bytes()),
            }
        };
        items.push(Item::Quarantined(aside));
    }

    /// An item that is not read: a tree of it could take many times the memory of its text.
    fn too_large(self, raw: &RawValue) -> Quarantined {
        let mut keys = body::keys(raw.get()).unwrap_or_default();
        let had_key = keys.remove("writeKey").is_some();
        let without_key = if had_key { to_raw_value(&keys).ok() } else { None };
        let kept = without_key.as_deref().unwrap_or(raw).get().as_bytes();
        let detail = format!("the call has {} bytes, more than {}", raw.get().len(), self.bounds.item_bytes);
        Refusal::new(Reason::TooLarge, detail).quarantine(self.format, kept)
    }

    /// One call's object; `lent` is from the context of its batch.
    fn item(self, document: Document, lent: Option<&Lent>, items: &mut Vec<Item>) {
        let document = self.open(document, lent);
        let outcome = match self.format {
            Format::Webhook => webhook::read(&document.object, self.context),
            Format::Waybill => waybill::read(&document.object, self.context),
            Format::Pipelines | Format::Line => pipelines::read(&document.object, self.call, self.context),
        };
        match outcome {
            Ok(outcome) => outcome.push_to(items, self.format, |event| residual::of(&document, event)),
            Err(refusal) => items.push(Item::Quarantined(refusal.quarantine(self.format, document.text.as_bytes()))),
        }
    }

    /// The object as it is to be read and kept. A call is kept as it would be by itself, with what the context
    /// of its batch says of the person. The key of a sender is kept nowhere in plain text.
    fn open<'a>(self, document: Document<'a>, lent: Option<&'a Lent>) -> Document<'a> {
        let Document { text, mut object, is_plain } = document;
        if !matches!(self.format, Format::Pipelines | Format::Waybill) {
            return Document { text, object, is_plain };
        }
        let had_key = object.remove("writeKey").is_some();
        let lent = lent.filter(|_| object.get("context").is_none_or(|context| *context == Tree::Null));
        let lent = lent.and_then(|lent| lent.to(&object));
        let is_changed = had_key || lent.is_some();
        if let Some(context) = lent {
            object.insert("context", context);
        }
        if !is_changed {
            return Document { text, object, is_plain };
        }
        let mut changed = String::with_capacity(text.len());
        object.write(&mut changed);
        Document { text: changed.into(), object, is_plain }
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
    device: Vec<(&'static str, Text)>,
}

impl Lent {
    fn of(context: &Tree) -> Lent {
        let context = Fields::of(Some(context));
        let short = |fields: Fields, key| fields.text(&[key]).filter(|text| text.len() <= ID_BYTES_MAX);
        let device = context.inside("device");
        let device = ["token", "id", "type"].into_iter().filter_map(|key| Some((key, short(device, key)?)));
        Lent { email: short(context.inside("traits"), "email"), device: device.collect() }
    }

    /// The context that a call without one is read with.
    fn to(&self, call: &Object) -> Option<Tree<'_>> {
        let mut context = Object::default();
        if let Some(email) = &self.email {
            let traits = [("email", Tree::from(&**email))];
            context.insert("traits", Tree::Object(traits.into_iter().collect()));
        }
        if !self.device.is_empty() && call.get("event").and_then(Tree::as_str).is_some_and(people::is_of_device) {
            let device = self.device.iter().map(|(key, text)| (*key, Tree::from(&**text)));
            context.insert("device", Tree::Object(device.collect()));
        }
        (!context.is_empty()).then_some(Tree::Object(context))
    }
}
