//! `/deliveries/{id}`: one delivery.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use rusqlite::Connection;

use super::delivery_data::OneDelivery;
use super::layout::{self, Layout, Pages};
use super::lines::{Line as LogLine, Lines, whom};
use super::log_query::{Chip, LogQuery};
use super::parts::{
    Badge, Moment, channel_icon, channel_title, devices_summary, log_of, person_address, source_address, source_title,
    with_times,
};
use super::story;
use super::suppressions::{Note, standing};
use super::timeline::{self, Day, Mark, class_of};
use super::twin::{self, Format, Twins};
use super::{PAGE_MS, budget};
use crate::domain::bounce::BounceClass;
use crate::domain::{Channel, Metric, Millis};
use crate::store;
use crate::store::query::delivery::{self, Delivery, EVENTS_MAX};
use crate::store::query::log::{self, At, Cursor, Filter, Neighbours, Recipient, SourceRef};
use crate::store::query::rows;
use crate::store::query::suppressions::{self, Listed};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Exact, Plural};

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    page: Layout,
    title: String,
    subject: Option<String>,
    badge: Badge,
    /// HTML.
    answer: String,
    /// That its address is not suppressed.
    suppression_status: Option<String>,
    ticket: String,
    channel: String,
    channel_icon: &'static str,
    facts: Vec<Fact>,
    outcome: Option<Line>,
    engagement: Option<Line>,
    devices: Vec<DeviceLine>,
    devices_summary: String,
    days: Vec<Day>,
    /// The legend of the marks on the timeline.
    marks: Vec<Mark>,
    events_summary: String,
    /// The list of all its events, if there are more than the page shows.
    all_events: Option<Address>,
    forgotten: bool,
    pruned: Option<Moment>,
    raw: Vec<Raw>,
    /// How many of them have their JSON.
    bodies: usize,
    twins: Twins,
    /// The entries of its address or devices on the suppression list.
    suppressions: Vec<Note>,
    /// The list that the reader came from, at this row.
    back: String,
    /// The filter of that list: "Bounced, Email".
    within: String,
    newer: Option<String>,
    older: Option<String>,
    others: Lines,
    all_others: Option<String>,
}

/// A named value with a link or a copy button.
struct Fact {
    name: &'static str,
    value: String,
    href: Option<String>,
    is_id: bool,
}

/// The outcome or the engagement, and the event that decided it.
struct Line {
    badge: Badge,
    at: Moment,
    reason: Option<String>,
    /// What a bounce means for the address.
    class: Option<BounceClass>,
    /// The ID of the event's element in the timeline.
    by: Option<String>,
}

struct DeviceLine {
    device_id: String,
    /// Its name, if a device event gave one.
    name: Option<String>,
    href: Option<String>,
    platform: String,
    badge: Option<Badge>,
    reason: String,
    class: Option<BounceClass>,
}

/// The JSON of an event; `None` once it is no longer kept.
struct Raw {
    title: String,
    body: Option<String>,
    id: String,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>, id: web::Path<String>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let asked = LogQuery::parse(&pages.base, &layout::pairs(request.query_string())?, now_ms)?;
    let list = if asked.address.query().is_empty() { LogQuery::came_from(&request, &pages.base, now_ms) } else { None };
    let query = list.unwrap_or(asked);
    let filter = query.filter.clone();
    let id = id.into_inner();
    let segment = id.clone();
    let found = pages
        .read(move |connection| {
            let known = twin::known(&segment, |id| delivery::by_id(connection, id))?;
            let Some((format, found)) = known else { return Ok(None) };
            if format == Format::Html {
                let context = Context {
                    listed: listed(connection, &found)?,
                    neighbours: log::neighbours(connection, &filter, cursor(&found, &filter), &budget(PAGE_MS))?,
                    others: others(connection, &found)?,
                };
                return Ok(Some((found, Shown::Page(Box::new(context)))));
            }
            let shown = rows::delivery_with_events(connection, &found.delivery_id)?;
            Ok::<_, store::Error>(shown.map(|shown| (found, Shown::Data(format, shown))))
        })
        .await?;
    match found
        .ok_or_else(|| Error::NotFound(format!("No events of delivery {id} were received, or it was pruned.")))?
    {
        (delivery, Shown::Page(context)) => {
            layout::html(&DeliveryPage::new(&pages, &delivery, *context, &query, now_ms))
        }
        (delivery, Shown::Data(format, shown)) => {
            let next = all_events(&pages.base, &delivery).map(|all| all.ending(format.ending()));
            twin::answer(format, OneDelivery::new(&delivery, shown, next), |_| Err(Error::Dropped))
        }
    }
}

/// The list of all events of a delivery, if it has more than its page shows.
fn all_events(base: &str, delivery: &Delivery) -> Option<Address> {
    let list = || Address::new(base, "/events").with("delivery_id", &delivery.delivery_id);
    delivery.more.map(|_| list())
}

/// What the format asked for needs beyond the delivery.
enum Shown {
    Page(Box<Context>),
    Data(Format, rows::WithEvents),
}

/// What its page shows around it.
struct Context {
    /// The entries of its addresses on the suppression list.
    listed: Vec<Listed>,
    /// In the list that the reader came from.
    neighbours: Neighbours,
    /// Other deliveries to the same person, newest first.
    others: Vec<log::Row>,
}

const OTHERS_SHOWN: usize = 5;

/// Its place in the list that the reader came from.
fn cursor(delivery: &Delivery, list: &Filter) -> Cursor {
    let at_ms = if list.by_latest { delivery.updated_at_ms } else { delivery.created_at_ms };
    Cursor { at_ms, id: delivery.id }
}

/// The person it was sent to, else the address, as a filter of the log. `None` once they are erased.
fn to_whom(delivery: &Delivery) -> Option<(&'static str, &str)> {
    let person = delivery.person.as_deref().map(|person| ("person", person));
    let recipient = delivery.recipient.as_deref().map(|recipient| ("recipient", recipient));
    person.or(recipient).filter(|_| !delivery.forgotten)
}

fn others(connection: &Connection, delivery: &Delivery) -> Result<Vec<log::Row>, store::Error> {
    let filter = match to_whom(delivery) {
        Some(("person", name)) => Filter { person: Some(name.into()), ..Filter::default() },
        Some((_, address)) => Filter { recipient: Some(Recipient::Exactly(address.into())), ..Filter::default() },
        None => return Ok(Vec::new()),
    };
    let mut rows = log::page(connection, &filter, At::Newest, OTHERS_SHOWN + 1, &budget(PAGE_MS))?.rows;
    rows.retain(|row| row.cursor.id != delivery.id);
    rows.truncate(OTHERS_SHOWN);
    Ok(rows)
}

/// Of a push to more devices than this, only the first are looked up.
const DEVICES_MAX: usize = 100;

/// Its address, or its devices. None once the person is erased.
fn addresses(delivery: &Delivery) -> Vec<&str> {
    if delivery.forgotten {
        return Vec::new();
    }
    let mut addresses: Vec<&str> = if delivery.channel.as_deref() == Some(Channel::Push.name()) {
        delivery.events.iter().flat_map(|event| &event.devices).map(|device| device.device_id.as_str()).collect()
    } else {
        delivery.recipient.as_deref().into_iter().collect()
    };
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(DEVICES_MAX);
    addresses
}

/// The entries of its address, or of its devices, on the suppression list.
fn listed(connection: &Connection, delivery: &Delivery) -> Result<Vec<Listed>, store::Error> {
    let Some(channel) = delivery.channel.as_deref() else { return Ok(Vec::new()) };
    let mut listed = Vec::new();
    for address in addresses(delivery) {
        listed.extend(suppressions::of(connection, address, channel)?);
    }
    Ok(listed)
}

impl DeliveryPage {
    fn new(pages: &Pages, delivery: &Delivery, context: Context, query: &LogQuery, now_ms: Millis) -> DeliveryPage {
        let Context { listed, neighbours, others } = context;
        // each link names the page of the list that begins with its row, so that "back" leads there
        let link = |row: &log::Row, above: Option<Cursor>| {
            let list = above.map_or_else(|| query.address.clone(), |above| query.place("before", above));
            LogLine::new(&pages.base, row.clone(), now_ms).within(&list).href.to_string()
        };
        let second = neighbours.newer.get(1).map(|row| row.cursor);
        let status = delivery.engagement.or(delivery.outcome);
        let badge = Badge::of(status.map(|(metric, _)| metric));
        let answer = story::answer(delivery);
        let to = whom(delivery.recipient.clone(), delivery.email.clone().or_else(|| delivery.person.clone()));
        let suppression_status = standing(delivery.channel.as_deref(), &addresses(delivery), &listed);
        let ticket = format!(
            "{} to {}{}\n{}{}\nDelivery ID: {}",
            channel_title(delivery.channel.as_deref()),
            to.as_deref().unwrap_or("an unknown recipient"),
            delivery.subject.as_ref().map_or(String::new(), |subject| format!(", \"{subject}\"")),
            answer,
            suppression_status.iter().map(|status| format!("\n{status}")).collect::<String>(),
            delivery.delivery_id,
        );
        let line = |status: Option<(Metric, Millis)>, reason: Option<String>| {
            let (metric, at_ms) = status?;
            let is_it = |event: &&delivery::Event| event.at_ms == at_ms && Metric::parse(&event.metric) == Some(metric);
            let event = delivery.events.iter().find(is_it);
            Some(Line {
                badge: Badge::of(Some(metric)),
                at: Moment::exact(at_ms, now_ms),
                class: class_of(metric, event.and_then(|event| event.bounce_class), reason.as_deref()),
                reason,
                by: event.map(|event| format!("event-{}", event.number)),
            })
        };
        let device_page = |id: &str| person_address(&pages.base, id).to_string();
        let days = timeline::days(delivery);
        DeliveryPage {
            page: pages.layout("deliveries"),
            title: to.unwrap_or_else(|| delivery.delivery_id.clone()),
            subject: delivery.subject.clone(),
            badge,
            answer: with_times(&answer, delivery.events.iter().map(|event| event.at_ms)),
            suppression_status: suppression_status.filter(|_| !listed.iter().any(Listed::is_active)),
            ticket,
            channel: channel_title(delivery.channel.as_deref()),
            channel_icon: channel_icon(delivery.channel.as_deref()),
            facts: facts(&pages.base, delivery),
            outcome: line(delivery.outcome, delivery.failure_reason.clone()),
            engagement: line(delivery.engagement, None),
            devices_summary: devices_summary(delivery.devices, delivery.devices_bounced),
            devices: story::devices(delivery)
                .into_iter()
                .map(|device| DeviceLine {
                    name: delivery.known_devices.get(&device.device_id).cloned().flatten(),
                    href: delivery.known_devices.get(&device.device_id).map(|_| device_page(&device.device_id)),
                    device_id: device.device_id,
                    platform: device.platform.unwrap_or_default(),
                    badge: device.outcome.map(|outcome| Badge::of(Some(outcome))),
                    class: device.outcome.and_then(|outcome| class_of(outcome, None, device.reason.as_deref())),
                    reason: device.reason.unwrap_or_default(),
                })
                .collect(),
            marks: timeline::legend(&days),
            days,
            events_summary: match (Plural(delivery.events_total, "event", "events"), delivery.more) {
                (all, None) => all.to_string(),
                (all, Some(_)) => format!("the first {EVENTS_MAX} of {all}"),
            },
            all_events: all_events(&pages.base, delivery),
            forgotten: delivery.forgotten,
            pruned: delivery.pruned_at_ms.map(|at_ms| Moment::exact(at_ms, now_ms)),
            bodies: delivery.events.iter().filter(|event| event.body.is_some()).count(),
            raw: raw(delivery),
            twins: Twins::of(&pages.address("/deliveries").segment(&delivery.delivery_id)),
            back: format!("{}#r{}", query.here(), delivery.id),
            within: query.chips(None).iter().map(Chip::title).collect::<Vec<_>>().join(", "),
            newer: neighbours.newer.first().map(|row| link(row, second)),
            older: neighbours.older.as_ref().map(|row| link(row, Some(cursor(delivery, &query.filter)))),
            others: Lines::new(others.into_iter().map(|row| LogLine::new(&pages.base, row, now_ms)).collect()),
            all_others: to_whom(delivery).map(|(key, value)| log_of(&pages.base, key, value).to_string()),
            suppressions: listed
                .iter()
                .map(|listed| Note::new(&pages.base, listed, Some(&delivery.delivery_id), now_ms))
                .collect(),
        }
    }
}

fn facts(base: &str, delivery: &Delivery) -> Vec<Fact> {
    let source = SourceRef { kind: delivery.source_kind.clone(), id: delivery.source_id.clone().unwrap_or_default() };
    let mut facts = vec![Fact {
        name: "Campaign",
        value: source_title(&source, delivery.source_name.as_deref()),
        href: Some(source_address(base, &source).to_string()),
        is_id: false,
    }];
    for (name, value) in [("Recipient", &delivery.recipient), ("Person", &delivery.person)] {
        if let Some(value) = value {
            let href = (!delivery.forgotten).then(|| person_address(base, value).to_string());
            facts.push(Fact { name, value: value.clone(), href, is_id: true });
        }
    }
    if let Some(written) = &delivery.recipient_raw {
        facts.push(Fact { name: "Recipient as written", value: written.clone(), href: None, is_id: true });
    }
    // not shown twice
    let further = |value: &Option<String>| value.clone().filter(|value| Some(value) != delivery.person.as_ref());
    let email = further(&delivery.email).filter(|email| Some(email) != delivery.recipient.as_ref());
    let delivery_id = Some(delivery.delivery_id.clone());
    let source_id =
        delivery.source_name.as_ref().and(delivery.source_id.as_ref()).map(|id| format!("{} {id}", source.kind));
    let named = |name: &Option<String>, id: &Option<String>| match (name, id) {
        (Some(name), Some(id)) => Some(format!("{name} ({id})")),
        (_, id) => id.clone(),
    };
    for (name, value) in [
        ("Email", email),
        ("cio_id", further(&delivery.cio_id)),
        ("Delivery ID", delivery_id),
        ("Campaign ID", source_id),
        ("Action", named(&delivery.action_name, &delivery.action_id)),
        ("Content", named(&delivery.content_name, &delivery.content_id)),
        ("Journey", delivery.journey_id.clone()),
        ("Parent action", delivery.parent_action_id.clone()),
        ("Trigger", delivery.trigger_id.clone()),
        ("Trigger event", delivery.trigger_event_id.clone()),
    ] {
        if let Some(value) = value {
            facts.push(Fact { name, value, href: None, is_id: true });
        }
    }
    facts
}

fn raw(delivery: &Delivery) -> Vec<Raw> {
    let raw = |event: &delivery::Event| Raw {
        title: format!("{} at {}", event.metric, Exact(event.at_ms)),
        body: event.body.clone(),
        id: format!("raw-{}", event.number),
    };
    delivery.events.iter().map(raw).collect()
}
