//! `/people/{id}`: all that is known of whoever has an identifier, and all that was sent to them.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use rusqlite::Connection;

use super::deliveries::log_of;
use super::layout::{self, Layout, Pages};
use super::lines::{Line, Lines};
use super::parts::{Badge, Moment, channel_title, person_address, source_address, source_title};
use super::person_data::OnePerson;
use super::suppressions::Note;
use super::twin::{self, Format, Twins};
use crate::domain::people::Change;
use crate::domain::{Metric, Millis};
use crate::store::log::SourceRef;
use crate::store::person::{self, Person, Standing, SubscriptionChange};
use crate::store::suppression_list::{self, Listed};
use crate::store::{self, Entry, rows};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Count, Exact, Plural};
use crate::web::ingest::Ingest;
use crate::web::same_origin;

/// How many filters of the log are offered.
const LOGS_MAX: usize = 6;

#[derive(Template)]
#[template(path = "person.html")]
struct PersonPage {
    page: Layout,
    title: String,
    asked: String,
    /// The people whom one identifier leads to, where they are several.
    several: Vec<Link>,
    deleted: Option<Moment>,
    standing: Option<StandingLine>,
    /// That an address or device is on the suppression list.
    suppressions: Vec<Note>,
    /// That no address of theirs is on the suppression list now.
    unlisted: Option<&'static str>,
    /// Its own address.
    here: String,
    subscription: Option<ChangeLine>,
    preferences: String,
    devices: Vec<DeviceLine>,
    has_device_names: bool,
    relations: Vec<RelationLine>,
    changes: Vec<ChangeLine>,
    traits: Vec<TraitLine>,
    identifiers: Vec<IdentifierLine>,
    lines: Lines,
    sent_said: String,
    statuses: Vec<StatusLine>,
    /// The log by each name and address.
    logs: Vec<Link>,
    twins: Twins,
}

struct Link {
    href: String,
    value: String,
}

struct ChangeLine {
    title: &'static str,
    at: Moment,
    /// The delivery or source that is named beside it.
    by: Option<Link>,
    channel: String,
    content: String,
}

struct StandingLine {
    title: &'static str,
    at: Moment,
    then: String,
    /// It erases later, unless that is revoked.
    can_be_kept: bool,
}

struct DeviceLine {
    device_id: String,
    name: String,
    platform: String,
    at: Option<Moment>,
    deleted: bool,
}

struct RelationLine {
    type_id: String,
    id: String,
    name: Option<String>,
    value: String,
    deleted: bool,
    at: Moment,
}

struct TraitLine {
    name: String,
    value: String,
    at: String,
}

struct IdentifierLine {
    kind: &'static str,
    value: String,
}

struct StatusLine {
    badge: Badge,
    deliveries: Count,
    href: Option<String>,
}

pub async fn page(pages: web::Data<Pages>, id: web::Path<String>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let asked = id.into_inner();
    let wanted = asked.clone();
    let found = pages
        .read(move |connection| {
            let known = twin::known(&wanted, |id| person::by_identifier(connection, id))?;
            let Some((format, person)) = known else { return Ok(None) };
            let rows = person.deliveries.iter().filter(|_| format != Format::Html);
            let shown: Vec<_> = rows.map(|row| rows::delivery(connection, row.cursor)).collect::<Result<_, _>>()?;
            let listed = listed(connection, &person)?;
            Ok::<_, store::Error>(Some((format, person, listed, shown, rows::delivery_columns(connection)?)))
        })
        .await?;
    let (format, person, listed, shown, columns) = found.ok_or_else(|| {
        Error::NotFound(format!(
            "Nothing is known of {asked}: nothing was sent to it, and nothing was said of a person with this id, address, \
             phone number or device."
        ))
    })?;
    if format == Format::Html {
        return layout::html(&PersonPage::new(&pages, asked, person, &listed, now_ms));
    }
    twin::answer(format, OnePerson::new(person, shown, columns), |_| Err(Error::Dropped))
}

/// Of somebody with very many addresses the first are looked for.
const LISTED_MAX: usize = 50;

fn addresses(person: &Person) -> impl Iterator<Item = &str> {
    let is_address = |kind: &str| ["email", "phone", "device"].contains(&kind);
    person.identifiers.iter().filter(move |it| is_address(&it.kind)).map(|it| it.value.as_str()).take(LISTED_MAX)
}

fn unlisted(person: &Person, listed: &[Listed]) -> Option<&'static str> {
    match addresses(person).count() {
        0 => None,
        _ if listed.iter().any(Listed::is_active) => None,
        1 => Some("The address is not on the suppression list."),
        2..LISTED_MAX => Some("None of these addresses and devices is on the suppression list."),
        _ => Some("None of the addresses and devices that were looked for is on the suppression list."),
    }
}

/// What is known of their addresses and devices.
fn listed(connection: &Connection, person: &Person) -> Result<Vec<Listed>, store::Error> {
    let mut listed = Vec::new();
    for address in addresses(person) {
        listed.extend(suppression_list::of_address(connection, address)?);
    }
    Ok(listed)
}

/// Revokes what is to erase this person later.
pub async fn keep(
    request: HttpRequest,
    id: web::Path<String>,
    pages: web::Data<Pages>,
    ingest: web::Data<Ingest>,
) -> Result<HttpResponse, Error> {
    same_origin::check(&request)?;
    let asked = id.into_inner();
    let wanted = asked.clone();
    let person = pages.read(move |connection| person::by_identifier(connection, &wanted)).await?;
    let names = person.map(|person| person.names).unwrap_or_default();
    let revoked = |identifier: String| Entry::DeletionRevoked { identifier: identifier.into() };
    let entries = names.into_iter().chain([asked.clone()]).map(revoked).collect();
    ingest.writer.write(entries, layout::now_ms()).await.map_err(|_| Error::Dropped)?;
    let back = person_address(&pages.base, &asked).to_string();
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, back)).finish())
}

impl PersonPage {
    fn new(pages: &Pages, asked: String, person: Person, listed: &[Listed], now_ms: Millis) -> PersonPage {
        let base = &pages.base;
        let several = |name: &String| Link { href: person_address(base, name).to_string(), value: name.clone() };
        let rows: Vec<Line> = person.deliveries.iter().map(|row| Line::new(base, row.clone(), now_ms)).collect();
        PersonPage {
            page: pages.layout("deliveries"),
            sent_said: sent_said(&person),
            twins: Twins::of(&person_address(base, &asked)),
            statuses: statuses(base, &person),
            logs: logs(base, &person),
            lines: Lines::new(rows),
            unlisted: unlisted(&person, listed),
            suppressions: listed.iter().map(|listed| Note::naming(base, listed, now_ms)).collect(),
            here: person_address(base, &asked).to_string(),
            title: person.name,
            asked,
            several: person.shared_by.iter().map(several).collect(),
            deleted: person.deleted_at_ms.map(|at_ms| Moment::exact(at_ms, now_ms)),
            standing: person.standing.as_ref().map(|standing| StandingLine::new(standing, now_ms)),
            subscription: person.subscription.as_ref().map(|change| ChangeLine::new(base, change, now_ms)),
            preferences: person
                .preferences
                .iter()
                .map(|it| format!("{} {}: {}", it.part.trim_end_matches('s'), it.name, it.says))
                .collect::<Vec<_>>()
                .join(", "),
            has_device_names: person.devices.iter().any(|device| device.name.is_some()),
            devices: person
                .devices
                .into_iter()
                .map(|device| DeviceLine {
                    device_id: device.device_id,
                    name: device.name.unwrap_or_default(),
                    platform: device.platform.unwrap_or_default(),
                    at: device.at_ms.map(|at_ms| Moment::ago(at_ms, now_ms)),
                    deleted: device.deleted,
                })
                .collect(),
            relations: person
                .relations
                .into_iter()
                .map(|it| RelationLine {
                    type_id: it.object_type_id,
                    id: it.object_id,
                    name: it.object_name,
                    value: it.value.filter(|value| value != "{}").unwrap_or_default(),
                    deleted: it.deleted,
                    at: Moment::ago(it.at_ms, now_ms),
                })
                .collect(),
            changes: person.changes.iter().map(|change| ChangeLine::new(base, change, now_ms)).collect(),
            traits: person
                .traits
                .into_iter()
                .map(|it| TraitLine { at: Moment::exact(it.at_ms, now_ms).text, name: it.name, value: it.value })
                .collect(),
            identifiers: person
                .identifiers
                .into_iter()
                .map(|it| IdentifierLine { kind: kind_title(&it.kind), value: it.value })
                .collect(),
        }
    }
}

impl ChangeLine {
    fn new(base: &str, change: &SubscriptionChange, now_ms: Millis) -> ChangeLine {
        let source = change
            .source_kind
            .as_ref()
            .map(|kind| SourceRef { kind: kind.clone(), id: change.source_id.clone().unwrap_or_default() });
        let by = match (&change.delivery_id, &source) {
            (Some(id), source) => Some(Link {
                href: Address::new(base, "/deliveries").segment(id).to_string(),
                value: source.as_ref().map_or_else(
                    || "a delivery".into(),
                    |source| format!("a delivery of {}", source_title(source, None)),
                ),
            }),
            (None, Some(source)) => {
                Some(Link { href: source_address(base, source).to_string(), value: source_title(source, None) })
            }
            (None, None) => None,
        };
        ChangeLine {
            title: match change.change {
                Change::Subscribed => "Subscribed",
                Change::Unsubscribed => "Unsubscribed",
                Change::Preferences => "Preferences changed",
            },
            at: Moment::exact(change.at_ms, now_ms),
            by,
            channel: change.channel.as_deref().map_or_else(String::new, |channel| channel_title(Some(channel))),
            content: change.content.clone().unwrap_or_default(),
        }
    }
}

impl StandingLine {
    fn new(standing: &Standing, now_ms: Millis) -> StandingLine {
        let (title, then) = match (standing.said.as_str(), standing.due_at_ms) {
            ("suppressed", _) => ("Suppressed", "what is known of this person is erased".into()),
            ("unsuppressed", _) => ("Unsuppressed", "what came since is kept".into()),
            (_, _) if standing.is_revoked => ("Deleted", "revoked: nothing is erased".into()),
            (_, Some(due_at_ms)) => ("Deleted", format!("to be erased at {}", Exact(due_at_ms))),
            (_, None) => ("Deleted", String::new()),
        };
        let can_be_kept = standing.due_at_ms.is_some() && !standing.is_revoked;
        StandingLine { title, at: Moment::exact(standing.at_ms, now_ms), then, can_be_kept }
    }
}

fn kind_title(kind: &str) -> &'static str {
    match kind {
        "id" => "Id",
        "email" => "E-mail",
        "phone" => "Phone",
        "cio_id" => "cio_id",
        "anonymous_id" => "Anonymous id",
        _ => "Device",
    }
}

fn sent_said(person: &Person) -> String {
    let all = Plural(person.sent.deliveries as i64, "delivery", "deliveries").to_string();
    match (person.sent.is_cut, person.sent.deliveries > person.deliveries.len()) {
        (true, _) => format!("the newest {} of more than {all}", person.deliveries.len()),
        (false, true) => format!("the newest {} of {all}", person.deliveries.len()),
        (false, false) => all,
    }
}

/// By status now. A link to the log where it can find exactly those.
fn statuses(base: &str, person: &Person) -> Vec<StatusLine> {
    if person.sent.is_cut || person.sent.deliveries < 2 {
        return Vec::new();
    }
    let line = |(status, deliveries): &(Option<Metric>, usize)| StatusLine {
        badge: Badge::of(*status),
        deliveries: Count(*deliveries as i64),
        href: person.sent.of_one.as_ref().map(|name| {
            log_of(base, "person", name).with("status", status.map_or("unknown", Metric::name)).to_string()
        }),
    };
    person.sent.statuses.iter().map(line).collect()
}

fn logs(base: &str, person: &Person) -> Vec<Link> {
    if person.sent.deliveries == 0 {
        return Vec::new();
    }
    let link = |key: &str, value: &str, text: String| Link { href: log_of(base, key, value).to_string(), value: text };
    let of_people = person.names.iter().map(|name| link("person", name, format!("Log of {name}")));
    let is_address = |kind: &str| kind == "email" || kind == "phone";
    let addresses = person.identifiers.iter().filter(|it| is_address(&it.kind));
    let to_addresses = addresses.map(|it| link("recipient", &it.value, format!("Log to {}", it.value)));
    of_people.chain(to_addresses).take(LOGS_MAX).collect()
}
