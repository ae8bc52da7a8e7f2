//! `/suppressions`: addresses and devices that should not be messaged, and why.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use askama::filters::HtmlSafe;

use super::layout::{self, Layout, Pages};
use super::log_query::Chip;
use super::parts::{Badge, Moment, channel_icon, channel_title, total_text};
use super::rail;
use super::suppression_query::{Group, Query};
use super::twin::{self, Format, List, Twins};
use crate::domain::suppression::{CHANNELS, Cause};
use crate::domain::{Channel, Millis};
use crate::store;
use crate::store::query::paging::{At, Cursor};
use crate::store::query::rows;
use crate::store::query::suppressions::{self, Listed};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::export::{self, What};
use crate::web::format::{Ago, Exact, Plural, ToMinute};

const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "suppressions.html")]
struct SuppressionsPage {
    page: Layout,
    groups: Vec<Group>,
    /// The other filters, as fields of the form that asks for an address.
    hidden: Vec<(String, String)>,
    address: String,
    chips: Vec<Chip>,
    clear: String,
    rows: Vec<Line>,
    was_any_listed: bool,
    total: String,
    /// One address was asked for, and nothing else: since when it is suppressed.
    checked: Option<Option<Moment>>,
    newer: Option<Address>,
    older: Option<Address>,
    looked: Option<String>,
    twins: Twins,
}

struct Line {
    badge: Badge,
    address: String,
    delivery: Address,
    /// The log of the address; a device is no recipient.
    log: Option<Address>,
    state: String,
    reason: Option<String>,
    channel: String,
    channel_icon: &'static str,
    since: Moment,
}

/// The badge of a cause: the shape and colour of the event that it is.
fn badge(cause: Cause) -> Badge {
    Badge { word: cause.title(), meaning: meaning(cause), ..Badge::of(Some(cause.metric())) }
}

pub fn meaning(cause: Cause) -> &'static str {
    match cause {
        Cause::HardBounce => "a server reported that the address does not exist",
        Cause::SpamComplaint => "the person marked a message as spam",
        Cause::Suppressed => "the sender did not send: the address is on its own suppression list",
    }
}

pub fn sure(cause: Cause) -> &'static str {
    if cause.is_proven() { "Confirmed" } else { "Likely" }
}

impl Line {
    fn new(base: &str, listed: Listed, now_ms: Millis) -> Line {
        let is_device = listed.channel == Channel::Push.name();
        let log = || Address::new(base, "/deliveries").with("recipient", &listed.address);
        Line {
            badge: badge(listed.cause),
            delivery: Address::new(base, "/deliveries").segment(&listed.delivery_id),
            log: (!is_device).then(log),
            state: match listed.lifted_at_ms {
                None => sure(listed.cause).into(),
                Some(at_ms) => format!("Removed {}: {}", Ago { at_ms, now_ms }, lifted_by(&listed)),
            },
            channel: channel_title(Some(&listed.channel)),
            channel_icon: channel_icon(Some(&listed.channel)),
            since: Moment::ago(listed.cursor.at_ms, now_ms),
            reason: listed.reason,
            address: listed.address,
        }
    }
}

fn lifted_by(listed: &Listed) -> &'static str {
    if listed.is_unsuppressed { "person unsuppressed" } else { "later message delivered" }
}

/// Whether addresses of a channel are suppressed now, in plain words. `None` where such addresses never are.
pub fn standing(channel: Option<&str>, addresses: &[&str], listed: &[Listed]) -> Option<String> {
    let channel = channel.and_then(Channel::parse).filter(|channel| CHANNELS.contains(channel))?;
    let device = if channel == Channel::Push { "device" } else { "address" };
    let text = |listed: &Listed| {
        let reason = listed.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let (cause, sure) = (listed.cause.title().to_lowercase(), sure(listed.cause).to_lowercase());
        format!(
            "The {device} {} has been suppressed since {}, {cause} ({sure}){reason}",
            listed.address,
            Exact(listed.cursor.at_ms)
        )
    };
    let active: Vec<String> = listed.iter().filter(|listed| listed.is_active()).map(text).collect();
    match (active.is_empty(), addresses) {
        (_, []) => None,
        (true, [_]) => Some(format!("The {device} is not suppressed.")),
        (true, _) => Some(format!("None of its {device}s is suppressed.")),
        (false, _) => Some(active.join("\n")),
    }
}

/// That an address is or was suppressed, as other pages show it.
#[derive(Template)]
#[template(path = "parts/suppression.html")]
pub struct Note {
    /// The address or device, where the page is not about that one.
    what: Option<String>,
    is_active: bool,
    since: Moment,
    badge: Badge,
    sure: String,
    reason: Option<String>,
    /// The delivery that is the cause, unless the page is about that one.
    delivery: Option<Address>,
    lifted: Option<(Moment, &'static str)>,
    list: Address,
}

impl HtmlSafe for Note {}

impl Note {
    /// On a page that is about no address in particular.
    pub fn naming(base: &str, listed: &Listed, now_ms: Millis) -> Note {
        Note { what: Some(listed.address.clone()), ..Note::new(base, listed, None, now_ms) }
    }

    /// `on` is the delivery that the page is about.
    pub fn new(base: &str, listed: &Listed, on: Option<&str>, now_ms: Millis) -> Note {
        let is_cause = on == Some(listed.delivery_id.as_str());
        Note {
            what: (listed.channel == Channel::Push.name()).then(|| format!("The device {}", listed.address)),
            is_active: listed.is_active(),
            since: Moment::exact(listed.cursor.at_ms, now_ms),
            badge: badge(listed.cause),
            sure: sure(listed.cause).to_lowercase(),
            // the page of the message that is the cause shows it already
            reason: listed.reason.clone().filter(|_| !is_cause),
            delivery: (!is_cause).then(|| Address::new(base, "/deliveries").segment(&listed.delivery_id)),
            lifted: listed.lifted_at_ms.map(|at_ms| (Moment::exact(at_ms, now_ms), lifted_by(listed))),
            list: Address::new(base, "/suppressions").with("address", &listed.address),
        }
    }
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let pairs = layout::pairs(request.query_string())?;
    let query = Query::parse(&pages.base, &pairs)?;
    if let Some(form) = export::Form::asked(&request, &pairs) {
        return export::stream(&pages, What::Suppressions(query.filter), form).await;
    }
    let (filter, at) = (query.filter.clone(), query.at);
    let format = Format::of(&request);
    let (found, total, was_any_listed, shown, columns) = pages
        .read(move |connection| {
            let found = suppressions::page(connection, &filter, at, ROWS)?;
            let rows = found.rows.iter().filter(|_| format != Format::Html);
            let shown = rows.map(|row| rows::suppression(connection, row.cursor)).collect::<Result<_, _>>()?;
            let columns = rows::suppression_columns(connection)?;
            let total = suppressions::total(connection, &filter)?;
            Ok::<_, store::Error>((found, total, suppressions::has_any(connection)?, shown, columns))
        })
        .await?;
    let place = |key: &str, cursor: Option<Cursor>| cursor.map(|cursor| query.address.clone().with(key, cursor));
    let ending = |address: Address| address.ending(format.ending());
    let list = List {
        total: total.exactly(),
        rows: shown,
        newer: place("after", found.newer).map(ending),
        older: place("before", found.older).map(ending),
        columns,
    };
    let here = match at {
        At::Newest => None,
        At::OlderThan(cursor) => place("before", Some(cursor)),
        At::NewerThan(cursor) => place("after", Some(cursor)),
    };
    let is_check = query.address.query().len() == 1
        && found.looked.is_none()
        && matches!(query.filter.address, Some(suppressions::Address::Exactly(_)));
    let since_ms = found.rows.iter().filter(|it| it.is_active()).map(|it| it.cursor.at_ms).min();
    let page = SuppressionsPage {
        page: pages.layout("suppressions"),
        checked: is_check.then(|| since_ms.map(|ms| Moment::exact(ms, now_ms))),
        total: total_text(total, "entry", "entries"),
        groups: query.groups(),
        hidden: rail::hidden(&query.address, &["address"]),
        address: query.address.value("address").unwrap_or_default().to_owned(),
        chips: query.chips(),
        clear: pages.address("/suppressions").to_string(),
        newer: place("after", found.newer),
        older: place("before", found.older),
        twins: Twins::of_list(here.as_ref().unwrap_or(&query.address), &query.address),
        looked: found.looked.map(|looked| {
            format!(
                "Searched the newest {}, back to {}.",
                Plural(looked.rows as i64, "entry", "entries"),
                ToMinute(looked.at_ms)
            )
        }),
        rows: found.rows.into_iter().map(|listed| Line::new(&pages.base, listed, now_ms)).collect(),
        was_any_listed,
    };
    twin::answer(format, list, |_| layout::html(&page))
}
