//! `/people/{id}`: what is known of whoever has an identifier, and what was sent to them.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};
use askama::Template;
use rusqlite::Connection;
use serde_json::{Map, Value, json};

use super::layout::{self, Layout, Pages};
use super::lines::{Line, Lines};
use super::parts::{Badge, Linked, Moment, channel_title, log_of, person_address, source_address, source_title};
use super::sheet::Sheet;
use super::suppressions::Note;
use super::twin::{self, Format, Twins};
use crate::domain::people::Change;
use crate::domain::{Channel, Metric, Millis};
use crate::store::query::log::SourceRef;
use crate::store::query::person::{self, ErasureRequest, Person, ROWS_MAX, SubscriptionChange};
use crate::store::query::rows::{self, Row};
use crate::store::query::suppressions::Listed;
use crate::store::{self, Entry};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Exact, Iso, Plural};
use crate::web::ingest::Ingest;

/// How many filters of the log are offered.
const LOGS_MAX: usize = 6;

/// Of somebody with very many addresses the first are looked up on the suppression list.
const LISTED_MAX: usize = 50;

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    page: Layout,
    now_ms: Millis,
    asked: String,
    person: Person,
    /// The email address where one is known.
    title: String,
    /// Entries of the suppression list; since when one of them stands, and what is said where none does.
    suppressions: Vec<Note>,
    suppressed: Option<(&'static str, Moment)>,
    unsuppressed: Option<&'static str>,
    here: Address,
    preferences: String,
    lines: Lines,
    statuses: Vec<(Badge, Linked)>,
    /// The log by each name and address.
    logs: Vec<(Address, String)>,
    twins: Twins,
}

/// What was read of the file, at one moment.
struct Read {
    /// The identifier, without the ending of a format.
    asked: String,
    person: Person,
    /// For programs: rows of the views.
    suppressions: Vec<Row>,
    deliveries: Vec<Row>,
    columns: Vec<String>,
}

impl Read {
    /// `None`: nothing is known.
    fn new(connection: &Connection, asked: &str) -> Result<Option<Read>, store::Error> {
        let Some(person) = person::by_identifier(connection, asked)? else { return Ok(None) };
        let deliveries = person.deliveries.iter().map(|row| rows::delivery(connection, row.cursor));
        let suppressions = person.suppressions.iter().map(|listed| rows::suppression(connection, listed.cursor));
        Ok(Some(Read {
            deliveries: deliveries.collect::<Result<_, _>>()?,
            suppressions: suppressions.collect::<Result<_, _>>()?,
            columns: rows::delivery_columns(connection)?,
            asked: asked.to_owned(),
            person,
        }))
    }
}

/// The addresses and devices of a person, and the identifier that was asked for, unless it is an ID.
fn addresses<'a>(person: &'a Person, asked: &'a str) -> Vec<&'a str> {
    let is_address = |kind: &str| ["email", "phone", "device"].contains(&kind);
    let is_id = person.names.iter().any(|name| name == asked)
        || person.identifiers.iter().any(|it| it.value == asked && !is_address(&it.kind));
    let known = person.identifiers.iter().filter(|it| is_address(&it.kind)).map(|it| it.value.as_str());
    let mut addresses: Vec<&str> = known.take(LISTED_MAX).collect();
    if !is_id && !addresses.contains(&asked) {
        addresses.push(asked);
    }
    addresses
}

pub async fn page(pages: web::Data<Pages>, id: web::Path<String>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let asked = id.into_inner();
    let path = asked.clone();
    let found = pages.read(move |connection| twin::known(&path, |id| Read::new(connection, id))).await?;
    let (format, read) = found.ok_or_else(|| {
        Error::NotFound(format!(
            "No person found: no event names {asked} as an ID, address, phone number or device, and it is not suppressed."
        ))
    })?;
    if format == Format::Html {
        return layout::html(&PersonPage::new(&pages, read, now_ms));
    }
    data(&pages.base, read, format).answer(format)
}

/// Revokes a deletion of this person that is due later.
pub async fn keep(
    id: web::Path<String>,
    pages: web::Data<Pages>,
    ingest: web::Data<Ingest>,
) -> Result<HttpResponse, Error> {
    let asked = id.into_inner();
    let identifier = asked.clone();
    let person = pages.read(move |connection| person::by_identifier(connection, &identifier)).await?;
    let names = person.map(|person| person.names).unwrap_or_default();
    let revoked = |identifier: String| Entry::DeletionRevoked { identifier: identifier.into() };
    let entries = names.into_iter().chain([asked.clone()]).map(revoked).collect();
    ingest.writer.write(entries, layout::now_ms()).await.map_err(|_| Error::Dropped)?;
    let back = person_address(&pages.base, &asked).to_string();
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, back)).finish())
}

impl PersonPage {
    fn new(pages: &Pages, read: Read, now_ms: Millis) -> PersonPage {
        let Read { asked, mut person, .. } = read;
        let listed = std::mem::take(&mut person.suppressions);
        let base = &pages.base;
        let here = person_address(base, &asked);
        // an address rather than a device
        let active = listed.iter().filter(|listed| listed.is_active());
        let active = active.map(|it| (it.channel == Channel::Push.name(), it.cursor.at_ms)).min();
        let unsuppressed = match addresses(&person, &asked).len() {
            0 => None,
            _ if listed.iter().any(Listed::is_active) => None,
            1..LISTED_MAX => Some("None of the addresses and devices is suppressed"),
            _ => Some("None of the first addresses and devices is suppressed"),
        };
        let preference =
            |it: &person::Preference| format!("{} {}: {}", it.part.trim_end_matches('s'), it.name, it.value);
        let deliveries = std::mem::take(&mut person.deliveries);
        PersonPage {
            page: pages.layout("deliveries"),
            now_ms,
            suppressions: listed.iter().map(|listed| Note::naming(base, listed, now_ms)).collect(),
            suppressed: active.map(|(is_device, ms)| {
                (if is_device { "Device suppressed" } else { "Suppressed" }, Moment::exact(ms, now_ms))
            }),
            unsuppressed,
            preferences: person.preferences.iter().map(preference).collect::<Vec<_>>().join(", "),
            lines: Lines::new(deliveries.into_iter().map(|row| Line::new(base, row, now_ms)).collect()),
            statuses: statuses(base, &person),
            logs: logs(base, &person, &asked),
            twins: Twins::of(&here),
            title: title(&person).to_owned(),
            here,
            asked,
            person,
        }
    }

    /// Whether there is more to tell than identifiers and deliveries.
    fn has_story(&self) -> bool {
        let Person { subscription, erasure, devices, relations, changes, traits, .. } = &self.person;
        let has_state = subscription.is_some() || erasure.is_some() || !self.preferences.is_empty();
        let has_lists = !devices.is_empty() || !relations.is_empty() || !changes.is_empty() || !traits.is_empty();
        has_state || has_lists || !self.suppressions.is_empty()
    }

    /// The subscription as a chip.
    fn subscription(&self) -> Option<Badge> {
        let metric = match self.person.subscription.as_ref()?.change {
            Change::Unsubscribed => Metric::Unsubscribed,
            _ => Metric::Delivered,
        };
        let word = change_title(self.person.subscription.as_ref()?);
        Some(Badge { word, meaning: "by the latest change of the subscription", ..Badge::of(Some(metric)) })
    }

    fn exact(&self, at_ms: &Millis) -> Moment {
        Moment::exact(*at_ms, self.now_ms)
    }

    fn ago(&self, at_ms: &Millis) -> Moment {
        Moment::ago(*at_ms, self.now_ms)
    }

    fn has_device_names(&self) -> bool {
        self.person.devices.iter().any(|device| device.name.is_some())
    }

    fn person_address(&self, name: &str) -> Address {
        person_address(&self.page.base, name)
    }

    /// "the newest 50 of 123 deliveries".
    fn sent(&self) -> String {
        let (sent, shown) = (&self.person.sent, self.lines.rows.len());
        let all = Plural(sent.deliveries as i64, "delivery", "deliveries");
        match (sent.is_cut, sent.deliveries > shown) {
            (true, _) => format!("the newest {shown} of more than {all}"),
            (false, true) => format!("the newest {shown} of {all}"),
            (false, false) => all.to_string(),
        }
    }

    /// The delivery or source that a change of the subscription names.
    fn because_of(&self, change: &SubscriptionChange) -> Option<(Address, String)> {
        let base = &self.page.base;
        let id = || change.source_id.clone().unwrap_or_default();
        let source = change.source_kind.as_ref().map(|kind| SourceRef { kind: kind.clone(), id: id() });
        match (&change.delivery_id, source) {
            (Some(id), source) => {
                let of = source.map_or_else(String::new, |source| format!(" of {}", source_title(&source, None)));
                Some((Address::new(base, "/deliveries").segment(id), format!("a delivery{of}")))
            }
            (None, Some(source)) => Some((source_address(base, &source), source_title(&source, None))),
            (None, None) => None,
        }
    }
}

/// The email address, unless it is several people's.
fn title(person: &Person) -> &str {
    let email = person.identifiers.iter().find(|it| it.kind == "email" && person.shared_by.is_empty());
    email.map_or(&person.name, |email| &email.value)
}

fn change_title(change: &SubscriptionChange) -> &'static str {
    match change.change {
        Change::Subscribed => "Subscribed",
        Change::Unsubscribed => "Unsubscribed",
        Change::Preferences => "Preferences changed",
    }
}

/// What a request to erase does, and what follows.
fn deletion(erasure: &ErasureRequest) -> (&'static str, String) {
    let title = match erasure.request.as_str() {
        "suppressed" => "Suppressed",
        "unsuppressed" => return ("Unsuppressed", "later data is stored".into()),
        _ => "Deleted",
    };
    let then = match erasure.due_at_ms {
        _ if erasure.is_revoked => "revoked: nothing is erased".into(),
        Some(due_at_ms) => format!("to be erased at {}", Exact(due_at_ms)),
        None => String::new(),
    };
    (title, then)
}

fn kind_title(kind: &str) -> &'static str {
    match kind {
        "id" => "ID",
        "email" => "Email",
        "phone" => "Phone",
        "cio_id" => "cio_id",
        "anonymous_id" => "Anonymous ID",
        _ => "Device",
    }
}

/// By current status, as links to the log where it can find exactly those.
fn statuses(base: &str, person: &Person) -> Vec<(Badge, Linked)> {
    if person.sent.is_cut || person.sent.deliveries < 2 {
        return Vec::new();
    }
    let one = |(status, deliveries): &(Option<Metric>, usize)| {
        let badge = Badge::of(*status);
        let log = person.sent.of_one.as_ref().map(|name| log_of(base, "person", name).with("status", badge.name));
        (badge, Linked::new(*deliveries as i64, log.map_or_else(String::new, |log| log.to_string())))
    };
    person.sent.statuses.iter().map(one).collect()
}

/// Filters of the log that find what was sent: by person, and by address. Several may be needed to find all of it.
fn logs(base: &str, person: &Person, asked: &str) -> Vec<(Address, String)> {
    if person.sent.deliveries == 0 {
        return Vec::new();
    }
    let of = |key: &str, value: &str| (log_of(base, key, value), value.to_owned());
    let people = person.names.iter().map(|name| of("person", name));
    let is_address = |value: &str| !person.identifiers.iter().any(|it| it.kind == "device" && it.value == value);
    let addresses = addresses(person, asked).into_iter().filter(|it| is_address(it)).map(|it| of("recipient", it));
    people.chain(addresses).take(LOGS_MAX).collect()
}

/// The same as data; as CSV the newest deliveries.
fn data(base: &str, read: Read, format: Format) -> Sheet {
    let Read { asked, person, suppressions, deliveries, columns } = read;
    let iso = |ms: Millis| Iso(ms).to_string();
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    let change = |it: &SubscriptionChange| {
        json!({
            "change": it.change.name(), "changed_at": iso(it.at_ms), "delivery_id": it.delivery_id,
            "channel": it.channel, "source_kind": it.source_kind, "source_id": it.source_id, "content": it.content,
        })
    };
    let log = |(log, _): (Address, String)| log.at(base, &format!("/deliveries{}", format.ending()));
    let is_cut = person.sent.is_cut || person.sent.deliveries > deliveries.len();
    // the log by one name goes on after the last row
    let of_one = person.sent.of_one.as_ref().filter(|_| is_cut).zip(person.deliveries.last());
    let older =
        of_one.map(|(name, last)| log((log_of(base, "person", name).with("before", last.cursor), String::new())));
    let logs: Vec<Address> = logs(base, &person, &asked).into_iter().map(log).collect();
    let statuses = person.sent.statuses.iter();
    let json = json!({
        "person": person.name,
        "names": person.names,
        "shared_by": person.shared_by,
        "deleted_at": person.deleted_at_ms.map(iso),
        "erasure_request": person.erasure.as_ref().map(|it| json!({
            "request": it.request, "at": iso(it.at_ms), "due_at": it.due_at_ms.map(iso), "revoked": it.is_revoked,
        })),
        "suppressed": person.suppressions.iter().any(Listed::is_active),
        "suppressions": suppressions,
        "identifiers": each(&person.identifiers, |it| json!({ "kind": it.kind, "value": it.value })),
        "traits": each(&person.traits, |it| json!({
            "name": it.name, "value": parsed(&it.value), "changed_at": iso(it.at_ms),
        })),
        "devices": each(&person.devices, |it| json!({
            "device_id": it.device_id, "platform": it.platform, "name": it.name, "deleted": it.deleted,
            "changed_at": it.at_ms.map(iso),
        })),
        "relationships": each(&person.relations, |it| json!({
            "object_type_id": it.object_type_id, "object_id": it.object_id, "object_name": it.object_name,
            "relation": it.value.as_deref().and_then(parsed), "deleted": it.deleted, "changed_at": iso(it.at_ms),
        })),
        "subscription": person.subscription.as_ref().map(change),
        "preferences": each(&person.preferences, |it| json!({
            "part": it.part, "name": it.name, "value": parsed(&it.value),
        })),
        "subscription_changes": each(&person.changes, change),
        "subscription_changes_cut": person.changes.len() >= ROWS_MAX,
        "sent": {
            "deliveries": person.sent.deliveries, "more": person.sent.is_cut,
            "statuses": statuses
                .map(|(status, n)| (status.map_or("unknown", Metric::name).to_owned(), json!(n)))
                .collect::<Map<_, _>>(),
        },
        "deliveries": deliveries,
        "older": older,
        // together they find all that was sent
        "logs": logs,
    });
    let rows = deliveries.iter().map(|row| row.values().cloned().collect());
    Sheet::new(json, columns, rows).older(older.or_else(|| logs.into_iter().next().filter(|_| is_cut)))
}

fn each<T>(all: &[T], one: impl Fn(&T) -> Value) -> Vec<Value> {
    all.iter().map(one).collect()
}
