//! `/deliveries/{id}`: one delivery.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use rusqlite::Connection;

use super::deliveries::log_of;
use super::delivery_data::OneDelivery;
use super::layout::{self, Layout, Pages};
use super::lines::{Line as LogLine, Lines};
use super::log_query::LogQuery;
use super::parts::{Badge, Moment, channel_icon, channel_title, person_address, source_address, source_title};
use super::story;
use super::suppressions::{self, Note};
use super::twin::{self, Format, Twins};
use crate::domain::bounce::{self, BounceClass};
use crate::domain::{Channel, Metric, Millis};
use crate::store;
use crate::store::delivery::{self, Delivery, EVENTS_MAX};
use crate::store::log::{self, At, Cursor, Filter, Neighbours, Recipient, SourceRef};
use crate::store::rows;
use crate::store::suppression_list::{self, Listed};
use crate::web::address::followable;
use crate::web::error::Error;
use crate::web::format::{Clock, Gap, Plural};

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    page: Layout,
    title: String,
    subject: Option<String>,
    badge: Badge,
    answer: String,
    /// That its address is on no suppression list now.
    standing: Option<String>,
    ticket: String,
    channel: String,
    channel_icon: &'static str,
    facts: Vec<Fact>,
    outcome: Option<Line>,
    engagement: Option<Line>,
    devices: Vec<DeviceLine>,
    devices_said: String,
    days: Vec<Day>,
    /// What the marks on the timeline say, each once.
    marks: Vec<Mark>,
    events_said: String,
    is_cut: bool,
    forgotten: bool,
    raw: Vec<Raw>,
    twins: Twins,
    /// That its address, or devices of it, are on the suppression list.
    suppressions: Vec<Note>,
    /// The list one came from, at this row.
    back: String,
    /// What that list is narrowed to: "Bounced, Email".
    within: String,
    newer: Option<String>,
    older: Option<String>,
    others: Lines,
    all_others: Option<String>,
}

/// A named value: with a link, or to copy.
struct Fact {
    name: &'static str,
    value: String,
    href: Option<String>,
    is_id: bool,
}

/// A status line, and the event that decided it.
struct Line {
    badge: Badge,
    at: Moment,
    reason: Option<String>,
    /// What a bounce says of the address.
    class: Option<BounceClass>,
    /// The element of the timeline.
    by: Option<String>,
}

struct DeviceLine {
    device_id: String,
    /// What statements call it, if any spoke of it.
    name: Option<String>,
    href: Option<String>,
    platform: String,
    badge: Option<Badge>,
    reason: String,
    class: Option<BounceClass>,
}

/// The events of one day, oldest first.
struct Day {
    title: String,
    events: Vec<Step>,
}

struct Step {
    number: i64,
    name: String,
    title: String,
    iso: String,
    clock: String,
    gap: Option<String>,
    marks: Vec<Mark>,
    reason: Option<String>,
    href: Option<String>,
    is_link: bool,
    action_value: Option<String>,
    devices: Vec<String>,
    received: String,
    unchanged: Option<String>,
    event_id: String,
}

#[derive(Clone)]
struct Mark {
    text: String,
    title: &'static str,
}

struct Raw {
    title: String,
    body: String,
    id: String,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>, id: web::Path<String>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let asked = LogQuery::parse(&pages.base, &layout::pairs(request.query_string())?, now_ms)?;
    let list = if asked.address.query().is_empty() { LogQuery::came_from(&request, &pages.base, now_ms) } else { None };
    let query = list.unwrap_or(asked);
    let filter = query.filter.clone();
    let wanted = id.into_inner();
    let asked = wanted.clone();
    let found = pages
        .read(move |connection| {
            let known = twin::known(&asked, |id| delivery::by_id(connection, id))?;
            let Some((format, found)) = known else { return Ok(None) };
            if format == Format::Html {
                let beside = Beside {
                    listed: listed(connection, &found)?,
                    neighbours: log::neighbours(connection, &filter, cursor(&found))?,
                    others: others(connection, &found)?,
                };
                return Ok(Some((found, Shown::Page(Box::new(beside)))));
            }
            let shown = rows::delivery_with_events(connection, &found.delivery_id)?;
            Ok::<_, store::Error>(shown.map(|shown| (found, Shown::Twin(format, shown))))
        })
        .await?;
    let nothing = || Error::NotFound(format!("No event of a delivery with the id {wanted} was received."));
    match found.ok_or_else(nothing)? {
        (delivery, Shown::Page(beside)) => layout::html(&DeliveryPage::new(&pages, &delivery, *beside, &query, now_ms)),
        (delivery, Shown::Twin(format, shown)) => {
            twin::answer(format, OneDelivery::new(&delivery, shown), |_| Err(Error::Dropped))
        }
    }
}

/// What is told of a delivery beyond itself.
enum Shown {
    Page(Box<Beside>),
    Twin(Format, rows::WithEvents),
}

/// What stands beside it.
struct Beside {
    /// That its addresses are on the suppression list.
    listed: Vec<Listed>,
    /// In the list one came from.
    neighbours: Neighbours,
    /// Other deliveries to the same person, newest first.
    others: Vec<log::Row>,
}

/// How many other deliveries are shown.
const OTHERS: usize = 5;

fn cursor(delivery: &Delivery) -> Cursor {
    Cursor { at_ms: delivery.created_at_ms, id: delivery.id }
}

/// Who it was to: the person, else the address. Nobody, where they are forgotten.
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
    let mut rows = log::page(connection, &filter, At::Newest, OTHERS + 1)?.rows;
    rows.retain(|row| row.cursor.id != delivery.id);
    rows.truncate(OTHERS);
    Ok(rows)
}

/// Of a push to very many devices the first are looked for.
const DEVICES_MAX: usize = 100;

/// Its address, or its devices. Nobody's, where they are forgotten.
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

/// What is known of its address, or of its devices.
fn listed(connection: &Connection, delivery: &Delivery) -> Result<Vec<Listed>, store::Error> {
    let Some(channel) = delivery.channel.as_deref() else { return Ok(Vec::new()) };
    let mut listed = Vec::new();
    for address in addresses(delivery) {
        listed.extend(suppression_list::of(connection, address, channel)?);
    }
    Ok(listed)
}

/// What the reason of a bounce says; nothing of what is none.
fn class_of(metric: Metric, reason: Option<&str>) -> Option<BounceClass> {
    (metric == Metric::Bounced).then(|| bounce::classify(reason))
}

impl DeliveryPage {
    fn new(pages: &Pages, delivery: &Delivery, beside: Beside, query: &LogQuery, now_ms: Millis) -> DeliveryPage {
        let Beside { listed, neighbours, others } = beside;
        // each link names the page of the list that begins with its row, for the way back
        let link = |row: &log::Row, above: Option<Cursor>| {
            let list = above.map_or_else(|| query.address.clone(), |above| query.place("before", above));
            LogLine::new(&pages.base, row.clone(), now_ms).within(&list).href.to_string()
        };
        let second = neighbours.newer.get(1).map(|row| row.cursor);
        let status = delivery.engagement.or(delivery.outcome);
        let badge = Badge::of(status.map(|(metric, _)| metric));
        let answer = story::answer(delivery);
        let to =
            delivery.recipient.clone().or_else(|| delivery.person.as_ref().map(|person| format!("person {person}")));
        let standing = suppressions::standing(delivery.channel.as_deref(), &addresses(delivery), &listed);
        let ticket = format!(
            "{} to {}{}\n{}{}\nDelivery id: {}",
            channel_title(delivery.channel.as_deref()),
            to.as_deref().unwrap_or("an unknown recipient"),
            delivery.subject.as_ref().map_or(String::new(), |subject| format!(", \"{subject}\"")),
            answer,
            standing.iter().map(|standing| format!("\n{standing}")).collect::<String>(),
            delivery.delivery_id,
        );
        let line = |standing: Option<(Metric, Millis)>, reason: Option<String>| {
            standing.map(|(metric, at_ms)| Line {
                badge: Badge::of(Some(metric)),
                at: Moment::exact(at_ms, now_ms),
                class: class_of(metric, reason.as_deref()),
                reason,
                by: delivery
                    .events
                    .iter()
                    .find(|event| event.at_ms == at_ms && Metric::parse(&event.metric) == Some(metric))
                    .map(|event| format!("event-{}", event.number)),
            })
        };
        let devices = story::devices(delivery);
        let days = days(delivery);
        DeliveryPage {
            page: pages.layout("deliveries"),
            title: to.unwrap_or_else(|| delivery.delivery_id.clone()),
            subject: delivery.subject.clone(),
            badge,
            answer,
            standing: standing.filter(|_| !listed.iter().any(Listed::is_active)),
            ticket,
            channel: channel_title(delivery.channel.as_deref()),
            channel_icon: channel_icon(delivery.channel.as_deref()),
            facts: facts(&pages.base, delivery),
            outcome: line(delivery.outcome, delivery.failure_reason.clone()),
            engagement: line(delivery.engagement, None),
            devices_said: match (delivery.devices_bounced, delivery.devices) {
                (0, n) | (_, n @ 1) => Plural(n, "device", "devices").to_string(),
                (bounced, n) => format!("{bounced} of {} bounced", Plural(n, "device", "devices")),
            },
            devices: devices
                .into_iter()
                .map(|device| DeviceLine {
                    name: delivery.known_devices.get(&device.device_id).cloned().flatten(),
                    href: delivery
                        .known_devices
                        .contains_key(&device.device_id)
                        .then(|| person_address(&pages.base, &device.device_id).to_string()),
                    device_id: device.device_id,
                    platform: device.platform.unwrap_or_default(),
                    badge: device.outcome.map(|outcome| Badge::of(Some(outcome))),
                    class: device.outcome.and_then(|outcome| class_of(outcome, device.reason.as_deref())),
                    reason: device.reason.unwrap_or_default(),
                })
                .collect(),
            marks: marks(&days),
            days,
            events_said: Plural(delivery.events.len().min(EVENTS_MAX) as i64, "event", "events").to_string(),
            is_cut: delivery.events.len() > EVENTS_MAX,
            forgotten: delivery.forgotten,
            raw: raw(delivery),
            twins: Twins::of(&pages.address("/deliveries").segment(&delivery.delivery_id)),
            back: format!("{}#r{}", query.here(), delivery.id),
            within: query.chips(None).into_iter().map(|chip| chip.value).collect::<Vec<_>>().join(", "),
            newer: neighbours.newer.first().map(|row| link(row, second)),
            older: neighbours.older.as_ref().map(|row| link(row, Some(cursor(delivery)))),
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
        name: "Source",
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
    let own = |value: &Option<String>| value.clone().filter(|value| Some(value) != delivery.person.as_ref());
    let own_email = own(&delivery.email).filter(|email| Some(email) != delivery.recipient.as_ref());
    let delivery_id = Some(delivery.delivery_id.clone());
    let source_id =
        delivery.source_name.as_ref().and(delivery.source_id.as_ref()).map(|id| format!("{} {id}", source.kind));
    for (name, value) in [
        ("E-mail", own_email),
        ("cio_id", own(&delivery.cio_id)),
        ("Delivery id", delivery_id),
        ("Source id", source_id),
        ("Action", delivery.action_id.clone()),
        ("Content", delivery.content_id.clone()),
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

fn days(delivery: &Delivery) -> Vec<Day> {
    let unchanged = story::unchanged(delivery);
    let mut days: Vec<Day> = Vec::new();
    let mut before: Option<Millis> = None;
    for (event, unchanged) in delivery.events.iter().take(EVENTS_MAX).zip(unchanged) {
        let known = Metric::parse(&event.metric);
        let mut marks = Vec::new();
        let mut mark = |is: bool, text: &str, title: &'static str| {
            if is {
                marks.push(Mark { text: text.into(), title });
            }
        };
        mark(event.machine == Some(true), "machine", "Made by a machine: a prefetched open, or a click of a scanner");
        mark(
            event.proxied == Some(true),
            "proxied",
            "Through a proxy that hides the person; says nothing of human or machine",
        );
        mark(event.synthetic == Some(true), "implied", "An open that was inferred from a click, not seen");
        mark(event.at_from_receipt, "time of receipt", "It came without a time of its own");
        if event.repeats > 0 {
            marks
                .push(Mark {
                    text: format!("came again ×{}", event.repeats), title: "Copies of one event count once"
                });
        }
        let reason = event.reason.clone().or_else(|| push_reason(delivery, event));
        if let Some(class) = known.and_then(|metric| class_of(metric, reason.as_deref())) {
            marks.push(Mark { text: class.title().into(), title: class.meaning() });
        }
        let step = Step {
            number: event.number,
            name: known.map_or("other", Metric::name).into(),
            title: known.map_or_else(|| event.metric.clone(), |metric| metric.title().into()),
            iso: crate::web::format::Iso(event.at_ms).to_string(),
            clock: Clock(event.at_ms).to_string(),
            gap: before.map(|before| format!("+{}", Gap(event.at_ms - before))),
            marks,
            reason,
            is_link: event.href.as_deref().is_some_and(followable),
            href: event.href.clone().or_else(|| event.link_id.as_ref().map(|id| format!("link {id}"))),
            action_value: event.action_value.clone(),
            devices: if event.devices.len() > 1 {
                event.devices.iter().map(|device| device.device_id.clone()).collect()
            } else {
                Vec::new()
            },
            received: match event.received_at_ms - event.at_ms {
                late if late >= 0 => format!("received {} later", Gap(late)),
                early => format!("received {} before its time", Gap(-early)),
            },
            unchanged,
            event_id: event.event_id.clone(),
        };
        before = Some(event.at_ms);
        let title = crate::web::format::Day(event.at_ms).to_string();
        match days.last_mut() {
            Some(day) if day.title == title => day.events.push(step),
            _ => days.push(Day { title, events: vec![step] }),
        }
    }
    days
}

/// The marks that stand on the timeline, each once; how often a copy came is no part of what the mark says.
fn marks(days: &[Day]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for mark in days.iter().flat_map(|day| &day.events).flat_map(|step| &step.marks) {
        if !marks.iter().any(|known| known.title == mark.title) {
            let text = mark.text.split(" ×").next().unwrap_or_default().into();
            marks.push(Mark { text, title: mark.title });
        }
    }
    marks
}

/// A push event without a reason of its own has the first of its devices'.
fn push_reason(delivery: &Delivery, event: &delivery::Event) -> Option<String> {
    let is_push = delivery.channel.as_deref() == Some(Channel::Push.name());
    event.devices.iter().filter(|_| is_push).find_map(|device| device.reason.clone())
}

fn raw(delivery: &Delivery) -> Vec<Raw> {
    let raw = |event: &delivery::Event| {
        Some(Raw {
            title: format!("{} at {}", event.metric, crate::web::format::Exact(event.at_ms)),
            body: event.raw.as_ref().map(|kept| kept.residual.clone())?,
            id: format!("raw-{}", event.number),
        })
    };
    delivery.events.iter().take(EVENTS_MAX).filter_map(raw).collect()
}
