//! JSON in, domain events out: one file a format.
//!
//! A body is taken apart into items ([`read`]); each becomes an event, or is counted and ignored, or is quarantined with
//! the reason. One bad item never costs its neighbours, and nothing that is JSON is lost: what a later version may
//! understand comes back as [`Item::Quarantined`] with its JSON, to be read again under its [`Format`].
//!
//! Pure: no clock (the receipt time is an argument), no IO. Nothing here panics, whatever the bytes.

mod fields;
mod identity;
mod json;
mod line;
mod message;
mod people;
mod pipelines;
pub mod providers;
pub mod pulled;
mod reader;
mod reason;
pub mod signature;
mod statement;
mod subscription;
#[cfg(test)]
mod testing;
mod time;
mod track_api;
pub mod waybill;
mod webhook;

use std::borrow::Cow;

use crate::domain::{Event, Millis, Statement, Text};

use reader::Reader;

pub use fields::{ID_BYTES_MAX, VALUE_BYTES_MAX};
pub use identity::IdKey;
pub use providers::SourceFrom;
pub use reason::{Quarantined, Reason, Unreadable};
pub use time::{AHEAD_MAX_MS, EARLIEST_MS};
pub use track_api::TrackRequest;

/// Raised whenever the formats understand more than before: what is in quarantine is then read again.
pub const GENERATION: u32 = 3;

/// The most items of one body. Senders stop at 4,000; a few megabytes of `[0,0,0,...]` would become a gigabyte of
/// items in quarantine.
pub const ITEMS_MAX: usize = 100_000;

/// How much of a body is read.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// More items refuse the body; at most [`ITEMS_MAX`].
    pub items: usize,
    /// A longer item is quarantined without being read.
    pub item_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { items: ITEMS_MAX, item_bytes: usize::MAX }
    }
}

/// What a parser needs besides the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub received_at_ms: Millis,
    /// Makes the ids of events that come without one.
    pub id_key: &'a IdKey,
    /// A call that an SDK has just sent: its `sentAt` tells how far the clock of its sender is off. False for webhooks,
    /// imports and whatever is read again.
    pub live: bool,
    /// From which field of a provider's event its source is taken.
    pub source_from: &'a SourceFrom,
}

/// What an item of a body became.
#[derive(Clone, Debug)]
pub enum Item {
    /// An event.
    Event {
        event: Box<Event>,
        /// Its JSON as it came. A `writeKey` is left out, but for webhooks; what the batch of a Data Pipelines call says
        /// for all of its calls is put in, and either writes the call again.
        body: Text,
        /// The format under which that JSON can be read again.
        format: Format,
        /// A report on a delivery: a public sender may report on deliveries that are known, and only on those.
        report: bool,
    },
    /// About a person or an object.
    Statement(Box<Statement>),
    /// A further statement of the call that the item before it is of; it stands in the same place of the body.
    Also(Box<Statement>),
    /// Not about messages; counted under this name: an event's ("Order Completed"), a call's ("page"), or what
    /// happened to a customer ("customer subscribed"). At most 64 bytes.
    Ignored {
        name: Text,
    },
    Quarantined(Quarantined),
}

impl Item {
    /// Whether it stands for a call of its body: all do but further statements.
    pub fn is_call(&self) -> bool {
        !matches!(self, Item::Also(_))
    }
}

/// What a format's parser makes of one object.
enum Outcome {
    Event(Box<Event>),
    /// Of several deliveries.
    Events(Vec<Event>),
    /// A report on a delivery, with what it says of the person besides.
    Report(Box<Event>, Option<Statement>),
    /// A message's first event, which has its JSON, and what else happened to it.
    Message(Box<Event>, Vec<Event>),
    /// One or more.
    Statements(Vec<Statement>),
    Ignored(Text),
}

impl Outcome {
    /// `body` is the JSON of the object.
    fn push_to(self, items: &mut Vec<Item>, format: Format, body: Cow<str>) {
        match self {
            Outcome::Event(event) => items.push(Item::Event { event, body: body.into(), format, report: false }),
            Outcome::Events(events) => {
                let body = Text::from(body);
                let item = |event| Item::Event { event: Box::new(event), body: body.clone(), format, report: false };
                items.extend(events.into_iter().map(item));
            }
            Outcome::Report(event, also) => {
                items.push(Item::Event { event, body: body.into(), format, report: true });
                items.extend(also.map(|statement| Item::Also(Box::new(statement))));
            }
            Outcome::Message(event, others) => {
                items.push(Item::Event { event, body: body.into(), format, report: false });
                items.extend(others.into_iter().map(|event| {
                    let body = waybill::line(&event, None).into();
                    Item::Event { event: Box::new(event), body, format: Format::Waybill, report: false }
                }));
            }
            Outcome::Statements(statements) => {
                let mut statements = statements.into_iter().map(Box::new);
                items.extend(statements.next().map(Item::Statement));
                items.extend(statements.map(Item::Also));
            }
            Outcome::Ignored(name) => items.push(Item::Ignored { name }),
        }
    }
}

/// A wire format. The names are stored in the file: append, never rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Customer.io's reporting webhooks.
    Webhook,
    /// Calls of Customer.io Data Pipelines, Segment and RudderStack.
    Pipelines,
    /// Waybill's own.
    Waybill,
    /// A line of an import file, which shows by its keys what it is.
    Line,
    /// A message in a list of Customer.io's App API.
    Pulled,
    Ses,
    Mailgun,
    Postmark,
    Resend,
    Sendgrid,
    Mandrill,
    Brevo,
    Sparkpost,
    Twilio,
    Vonage,
    Onesignal,
    Fcm,
}

/// In the order of the enum.
const FORMATS: [(Format, &str); 17] = [
    (Format::Webhook, "webhook"),
    (Format::Pipelines, "pipelines"),
    (Format::Waybill, "waybill"),
    (Format::Line, "line"),
    (Format::Pulled, "pulled"),
    (Format::Ses, "ses"),
    (Format::Mailgun, "mailgun"),
    (Format::Postmark, "postmark"),
    (Format::Resend, "resend"),
    (Format::Sendgrid, "sendgrid"),
    (Format::Mandrill, "mandrill"),
    (Format::Brevo, "brevo"),
    (Format::Sparkpost, "sparkpost"),
    (Format::Twilio, "twilio"),
    (Format::Vonage, "vonage"),
    (Format::Onesignal, "onesignal"),
    (Format::Fcm, "fcm"),
];

impl Format {
    pub fn all() -> impl Iterator<Item = Format> {
        FORMATS.iter().map(|(format, _)| *format)
    }

    /// Its name in the file and in the names of fixtures.
    pub fn name(self) -> &'static str {
        FORMATS[self as usize].1
    }

    pub fn parse(name: &str) -> Option<Format> {
        Format::all().find(|format| format.name() == name)
    }
}

/// The type of a Data Pipelines call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallType {
    Track,
    Identify,
    Group,
    Page,
    Screen,
    Alias,
    Batch,
}

impl CallType {
    pub const ALL: [CallType; 7] = {
        use CallType::*;
        [Track, Identify, Group, Page, Screen, Alias, Batch]
    };

    /// Its name in paths and bodies.
    pub fn name(self) -> &'static str {
        ["track", "identify", "group", "page", "screen", "alias", "batch"][self as usize]
    }

    pub fn parse(name: &str) -> Option<CallType> {
        CallType::ALL.into_iter().find(|call| call.name() == name)
    }

    /// By its first letter, as in the paths of browser SDKs.
    pub fn by_letter(letter: &str) -> Option<CallType> {
        CallType::ALL.into_iter().find(|call| letter.len() == 1 && call.name().starts_with(letter))
    }
}

/// Reads any JSON as the formats do.
///
/// # Errors
///
/// Text that is not JSON, or nested more than 127 deep.
pub fn parse_json(text: &str) -> Result<serde_json::Value, Unreadable> {
    json::parse(text)
}

/// Reads a body: one object, or an array of objects; in the Data Pipelines formats also a batch; in Waybill's own
/// also one object a line.
///
/// # Errors
///
/// Only where the body as a whole is not JSON, or JSON of no use, such as a number, or has more than [`ITEMS_MAX`]
/// items.
pub fn read(format: Format, body: &[u8], context: &Context) -> Result<Vec<Item>, Unreadable> {
    Reader { format, call: None, bounds: Bounds::default(), context }.read(body)
}

/// Reads the body of a Data Pipelines call whose type the path names; a type in the body stands before it.
///
/// # Errors
///
/// As [`read`], with the items of `bounds`.
pub fn read_call(call: CallType, body: &[u8], bounds: Bounds, context: &Context) -> Result<Vec<Item>, Unreadable> {
    Reader { format: Format::Pipelines, call: Some(call), bounds, context }.read(body)
}

/// Reads the body of a Track API call; only a batch has several.
///
/// # Errors
///
/// As [`read`], with the items of `bounds`; and an array where the path is no batch's.
pub fn read_track(
    request: TrackRequest,
    body: &[u8],
    bounds: Bounds,
    context: &Context,
) -> Result<Vec<Item>, Unreadable> {
    track_api::read(request, body, bounds, context)
}

/// Reads a line of an import file: an item or an array of any known format, known by its keys, or
/// `{"path": ..., "method": ..., "body": ...}`, known by the path.
///
/// # Errors
///
/// As [`read`].
pub fn read_line(line: &[u8], context: &Context) -> Result<Vec<Item>, Unreadable> {
    read(Format::Line, line, context)
}

/// The `writeKey` of a Data Pipelines body, by which browser SDKs say who they are.
pub fn write_key(body: &[u8]) -> Option<Text> {
    let Ok(json::Body::One(text)) = json::Body::read(body) else { return None };
    fields::text_of(json::Document::around_calls(text).ok()?.object.get("writeKey")?).map(Text::from)
}
