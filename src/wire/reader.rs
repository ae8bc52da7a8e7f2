//! From a body to its items: whole bodies, arrays, batches, lines. What one object says is its format's to read.

use std::borrow::Cow;

use serde_json::Value;

use crate::domain::Text;

use super::fields::{Fields, ID_BYTES_MAX};
use super::json::{self, Body, Document, Object};
use super::reason::{Quarantined, Reason, Refusal, Unreadable};
use super::{
    Bounds, CallType, Context, Format, Item, TrackRequest, fields, line, people, pipelines, providers, pulled,
    track_api, waybill,
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
        let form = providers::of_form(self.format, body);
        let body = form.as_deref().unwrap_or(body);
        let error = match Body::read(body) {
            Ok(Body::One(text)) => match Document::around_calls(text) {
                Ok(document) => return self.one(document),
                Err(error) => error,
            },
            Ok(Body::Many(texts)) => {
                self.not_too_many(&texts)?;
                // an array sent as a batch is one already
                let call = self.call.filter(|call| *call != CallType::Batch);
                let reader = Reader { call, ..self };
                let mut items = Vec::with_capacity(texts.len());
                texts.into_iter().for_each(|text| reader.one_of_many(text, &mut items));
                return Ok(items);
            }
            Err(error) => error,
        };
        if self.format != Format::Waybill {
            return Err(error);
        }
        let lines = json::lines(body).ok_or(error)?;
        self.not_too_many(&lines)?;
        let is_end = |line: &[u8]| match Body::read(line) {
            Ok(Body::One(text)) => Document::read(text).is_ok_and(|document| waybill::is_end(&document.object)),
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
            Ok(Body::One(text)) => Document::read(text).map(|document| self.item(document, None, items)),
            Ok(Body::Many(_)) => Err(Unreadable::NoUse { found: "an array" }),
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            let refusal = Refusal::new(error.reason(), format!("line {number} of the body: {error}"));
            items.push(Item::Quarantined(refusal.quarantine(self.format, line)));
        }
    }

    /// An item of an array. Arrays within are not opened: they could be as deep and as many as the body is long.
    fn one_of_many(self, text: &str, items: &mut Vec<Item>) {
        if self.format != Format::Line || !text.starts_with('{') {
            return self.item_or_quarantine(text, None, items);
        }
        match Document::around_calls(text).and_then(|document| self.by_keys(document)) {
            Ok(read) => items.extend(read),
            Err(error) => items.push(Item::Quarantined(error.quarantine(self.format, text.as_bytes()))),
        }
    }

    /// An object, which may be a batch or an import line around others.
    fn one(self, document: Document) -> Result<Vec<Item>, Unreadable> {
        match self.format {
            Format::Pipelines => self.call_or_batch(document),
            Format::Line => self.by_keys(document),
            _ => Ok(self.alone(document)),
        }
    }

    fn call_or_batch(self, document: Document) -> Result<Vec<Item>, Unreadable> {
        let object = &document.object;
        let is_call = ["type", "action", "event"].into_iter().any(|key| object.contains_key(key));
        if self.call != Some(CallType::Batch) && (is_call || !object.contains_key("batch")) {
            return Ok(self.alone(document));
        }
        let Some(batch) = json::members(&document.text).remove("batch").filter(|batch| batch.starts_with('[')) else {
            let refusal = Refusal::at(Reason::BadField, "batch", "is missing or not an array");
            let document = self.open(document, None);
            return Ok(vec![Item::Quarantined(refusal.quarantine(self.format, document.text.as_bytes()))]);
        };
        let inherited = Inherited::of(object, self.context);
        let reader = Reader { call: None, ..self };
        let texts: Vec<&str> = json::parts(batch).collect();
        self.not_too_many(&texts)?;
        let mut items = Vec::with_capacity(texts.len());
        texts.into_iter().for_each(|text| reader.item_or_quarantine(text, Some(&inherited), &mut items));
        Ok(items)
    }

    fn by_keys(self, document: Document) -> Result<Vec<Item>, Unreadable> {
        let object = &document.object;
        if let Some(path) = object.get("path")
            && (object.contains_key("body") || object.contains_key("method"))
        {
            return self.recorded(&document, path.as_str().unwrap_or_default());
        }
        match line::format_of(object) {
            None if waybill::is_end(object) => Ok(Vec::new()),
            Some(format) => Reader { format, ..self }.one(document),
            None => Ok(vec![self.unknown(&document, "its keys are those of no known format")]),
        }
    }

    /// A request that was recorded. Some recorders take bodies for text; of a request without one there is none.
    fn recorded(self, document: &Document, path: &str) -> Result<Vec<Item>, Unreadable> {
        let sent = match json::members(&document.text).remove("body") {
            None | Some("null") => Cow::Borrowed(""),
            Some(body) if body.starts_with('"') => {
                Cow::Owned(fields::text_of(&json::parse(body)?).unwrap_or_default().into_owned())
            }
            Some(body) => Cow::Borrowed(body),
        };
        if track_api::is_one(path) {
            let method = document.object.get("method").and_then(fields::text_of).unwrap_or_default();
            let request = TrackRequest { method: &method, path };
            return track_api::read(request, sent.as_bytes(), self.bounds, self.context);
        }
        let Some((format, call)) = line::format_by_path(path) else {
            return Ok(vec![self.unknown(document, "no event is read from this path")]);
        };
        Reader { format, call, ..self }.read(sent.as_bytes())
    }

    fn unknown(self, document: &Document, detail: &str) -> Item {
        let refusal = Refusal::new(Reason::UnknownKind, detail);
        Item::Quarantined(refusal.quarantine(self.format, document.text.as_bytes()))
    }

    fn alone(self, document: Document) -> Vec<Item> {
        let mut items = Vec::with_capacity(1);
        self.item(document, None, &mut items);
        items
    }

    fn item_or_quarantine(self, text: &str, inherited: Option<&Inherited>, items: &mut Vec<Item>) {
        let quarantined = if !text.starts_with('{') {
            let refusal = Refusal::new(Reason::NotAnObject, "an item of the array is not an object");
            refusal.quarantine(self.format, text.as_bytes())
        } else if text.len() > self.bounds.item_bytes {
            self.too_large(text)
        } else {
            match Document::read(text) {
                Ok(document) => return self.item(document, inherited, items),
                Err(error) => error.quarantine(self.format, text.as_bytes()),
            }
        };
        items.push(Item::Quarantined(quarantined));
    }

    /// An item that is not read: a tree of it could take many times the memory of its text.
    fn too_large(self, text: &str) -> Quarantined {
        let mut members = json::members(text);
        let without_key = members.remove("writeKey").map(|_| {
            let members = members.iter().map(|(key, value)| format!("{}:{value}", Value::from(&**key)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        });
        let detail = format!("the call has {} bytes, more than {}", text.len(), self.bounds.item_bytes);
        let body = without_key.as_deref().unwrap_or(text);
        Refusal::new(Reason::TooLarge, detail).quarantine(self.format, body.as_bytes())
    }

    /// One call's object; `inherited` is from its batch.
    fn item(self, document: Document, inherited: Option<&Inherited>, items: &mut Vec<Item>) {
        let Document { text, object } = self.open(document, inherited);
        if self.format == Format::Ses
            && let Some(texts) = providers::ses::unwrapped(&text, &object)
        {
            return texts.iter().for_each(|text| self.unwrapped(text, items));
        }
        let outcome = match self.format {
            Format::Waybill => waybill::read(&object, self.context),
            Format::Pulled => pulled::read(&object, self.context),
            Format::Pipelines | Format::Line => pipelines::read(&object, self.call, self.context),
            format => providers::read(format, &object, self.context),
        };
        match outcome {
            Ok(outcome) => outcome.push_to(items, self.format, text),
            Err(refusal) => items.push(Item::Quarantined(refusal.quarantine(self.format, text.as_bytes()))),
        }
    }

    /// What an envelope of Amazon's held, which is what is stored. It may be a second one; no more are opened.
    fn unwrapped(self, text: &str, items: &mut Vec<Item>) {
        let inner = Document::read(text).ok().and_then(|document| providers::ses::unwrapped(text, &document.object));
        for text in inner.as_deref().unwrap_or(&[text.to_owned()]) {
            match Document::read(text).map(|document| (providers::ses::read(&document.object, self.context), document))
            {
                Ok((Ok(outcome), document)) => outcome.push_to(items, self.format, document.text),
                Ok((Err(refusal), _)) => {
                    items.push(Item::Quarantined(refusal.quarantine(self.format, text.as_bytes())))
                }
                Err(_) if text.starts_with(providers::ses::GREETING) => {
                    items.push(Item::Ignored { name: "SNS topic validated".into() });
                }
                Err(error) => items.push(Item::Quarantined(error.quarantine(self.format, text.as_bytes()))),
            }
        }
    }

    /// The object as it is to be read and stored. A call is stored as it would be if it had come alone, with what its
    /// batch says for all of its calls. The key of a sender is stored nowhere in plain text.
    fn open<'t>(self, document: Document<'t>, inherited: Option<&Inherited>) -> Document<'t> {
        if !matches!(self.format, Format::Pipelines | Format::Waybill) {
            return document;
        }
        let Document { text, mut object } = document;
        let had_key = object.shift_remove("writeKey").is_some();
        let inherits = inherited.is_some_and(|inherited| inherited.add_to(&mut object));
        let text = if had_key || inherits { json::written(&object).into() } else { text };
        Document { text, object }
    }

    fn not_too_many<T>(self, items: &[T]) -> Result<(), Unreadable> {
        let (items, max) = (items.len(), self.bounds.items);
        if items > max { Err(Unreadable::TooMany { items, max }) } else { Ok(()) }
    }
}

/// What a batch says for all of its calls, as far as they are read for it. No more is copied: megabytes of context for
/// each of a hundred thousand calls would fill the memory.
struct Inherited {
    email: Option<Text>,
    /// What a device is known by, for the calls about devices only.
    device: Vec<(&'static str, Text)>,
    /// Only of a sender whose clock is wrong.
    sent_at: Option<Text>,
}

impl Inherited {
    fn of(batch: &Object, context: &Context) -> Inherited {
        let batch = Fields::new(batch);
        let short = |fields: Fields, key| fields.text(&[key]).filter(|text| text.len() <= ID_BYTES_MAX);
        let device = batch.inside("context").inside("device");
        let device = ["token", "id", "type"].into_iter().filter_map(|key| Some((key, short(device, key)?)));
        Inherited {
            email: short(batch.inside("context").inside("traits"), "email"),
            device: device.collect(),
            sent_at: short(batch, "sentAt").filter(|_| pipelines::clock_skew_ms(batch, context) != 0),
        }
    }

    /// Gives a call what it does not say itself. True if that is anything.
    fn add_to(&self, call: &mut Object) -> bool {
        let mut added = Object::new();
        if let Some(sent_at) = &self.sent_at
            && call.get("sentAt").is_none_or(Value::is_null)
        {
            added.insert("sentAt".into(), (&**sent_at).into());
        }
        if call.get("context").is_none_or(Value::is_null) {
            let mut context = Object::new();
            if let Some(email) = &self.email {
                context.insert("traits".into(), serde_json::json!({ "email": &**email }));
            }
            if !self.device.is_empty() && call.get("event").and_then(Value::as_str).is_some_and(people::is_of_device) {
                let device = self.device.iter().map(|(key, text)| ((*key).to_owned(), Value::from(&**text)));
                context.insert("device".into(), Value::Object(device.collect()));
            }
            if !context.is_empty() {
                added.insert("context".into(), Value::Object(context));
            }
        }
        let is_any = !added.is_empty();
        call.extend(added);
        is_any
    }
}
