//! `/suppressions`: the addresses and devices that should not be written to, and why.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use askama::filters::HtmlSafe;

use super::layout::{self, Layout, Pages};
use super::log_query::{Chip, cursor};
use super::parts::{Badge, Moment, channel_icon, channel_title};
use super::twin::{self, Format, List, Twins};
use crate::domain::suppression::{CHANNELS, Cause};
use crate::domain::{Channel, Millis};
use crate::store::paging::{At, Cursor};
use crate::store::suppression_list::{self, Filter, Listed};
use crate::store::{self, rows, suppression_list::Address as Wanted};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::{Ago, Exact, Plural};

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
    newer: Option<String>,
    older: Option<String>,
    looked: Option<String>,
    twins: Twins,
}

/// A filter with its choices.
struct Group {
    title: &'static str,
    choices: Vec<Choice>,
}

struct Choice {
    title: String,
    icon: String,
    /// A status, for its colour.
    name: &'static str,
    is_on: bool,
    href: String,
}

struct Line {
    badge: Badge,
    address: String,
    delivery: String,
    /// The log of the address; a device is no recipient.
    log: Option<String>,
    standing: String,
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
        Cause::HardBounce => "a server said that the address is dead",
        Cause::SpamComplaint => "the person marked a message as spam",
        Cause::Suppressed => "the sender held a message back: the address is on its own suppression list",
    }
}

pub fn sure(cause: Cause) -> &'static str {
    if cause.is_proven() { "Proven" } else { "Likely" }
}

impl Line {
    fn new(base: &str, listed: Listed, now_ms: Millis) -> Line {
        let is_device = listed.channel == Channel::Push.name();
        let standing = match listed.lifted_at_ms {
            None => sure(listed.cause).to_owned(),
            Some(at_ms) => format!("Lifted {}: {}", Ago { at_ms, now_ms }, lifted_by(&listed)),
        };
        let log = Address::new(base, "/deliveries").with("recipient", &listed.address).to_string();
        Line {
            badge: badge(listed.cause),
            delivery: Address::new(base, "/deliveries").segment(&listed.delivery_id).to_string(),
            log: (!is_device).then_some(log),
            standing,
            reason: listed.reason,
            channel: channel_title(Some(&listed.channel)),
            channel_icon: channel_icon(Some(&listed.channel)),
            since: Moment::ago(listed.cursor.at_ms, now_ms),
            address: listed.address,
        }
    }
}

fn lifted_by(listed: &Listed) -> &'static str {
    if listed.is_unsuppressed { "the person was unsuppressed" } else { "a later message was delivered" }
}

/// Whether addresses of a channel are listed now, in plain words. Nothing, where such addresses never are.
pub fn standing(channel: Option<&str>, addresses: &[&str], listed: &[Listed]) -> Option<String> {
    let channel = channel.and_then(Channel::parse).filter(|channel| CHANNELS.contains(channel))?;
    let active: Vec<&Listed> = listed.iter().filter(|listed| listed.is_active()).collect();
    let device = if channel == Channel::Push { "device" } else { "address" };
    Some(match (active.as_slice(), addresses) {
        (_, []) => return None,
        ([], [_]) => format!("The {device} is not on the suppression list."),
        ([], _) => format!("None of its {device}s is on the suppression list."),
        (active, _) => active.iter().map(|listed| listed_said(device, listed)).collect::<Vec<_>>().join("\n"),
    })
}

fn listed_said(device: &str, listed: &Listed) -> String {
    let reason = listed.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let (cause, sure) = (listed.cause.title().to_lowercase(), sure(listed.cause).to_lowercase());
    let since = Exact(listed.cursor.at_ms);
    format!("The {device} {} has been on the suppression list since {since}, {cause} ({sure}){reason}", listed.address)
}

/// That an address is or was listed, as other pages say it.
#[derive(Template)]
#[template(path = "parts/suppression.html")]
pub struct Note {
    /// "This address", "The device abc".
    what: String,
    is_active: bool,
    since: Moment,
    badge: Badge,
    sure: &'static str,
    reason: Option<String>,
    /// The delivery that is the cause, unless the page is about that one.
    delivery: Option<String>,
    lifted: Option<(Moment, &'static str)>,
    list: String,
}

impl HtmlSafe for Note {}

impl Note {
    /// On a page that is about no address in particular.
    pub fn naming(base: &str, listed: &Listed, now_ms: Millis) -> Note {
        let mut note = Note::new(base, listed, None, now_ms);
        if listed.channel != Channel::Push.name() {
            note.what = listed.address.clone();
        }
        note
    }

    /// `on` is the delivery that the page is about.
    pub fn new(base: &str, listed: &Listed, on: Option<&str>, now_ms: Millis) -> Note {
        let what = if listed.channel == Channel::Push.name() {
            format!("The device {}", listed.address)
        } else {
            "This address".into()
        };
        Note {
            what,
            is_active: listed.is_active(),
            since: Moment::exact(listed.cursor.at_ms, now_ms),
            badge: badge(listed.cause),
            sure: if listed.cause.is_proven() { "proven" } else { "likely" },
            // a page of the message that is the reason says it already
            reason: listed.reason.clone().filter(|_| on != Some(listed.delivery_id.as_str())),
            delivery: (on != Some(listed.delivery_id.as_str()))
                .then(|| Address::new(base, "/deliveries").segment(&listed.delivery_id).to_string()),
            lifted: listed.lifted_at_ms.map(|at_ms| (Moment::exact(at_ms, now_ms), lifted_by(listed))),
            list: Address::new(base, "/suppressions").with("address", &listed.address).to_string(),
        }
    }
}

/// What the address of the page asks for.
struct Query {
    filter: Filter,
    at: At,
    /// The filter alone, without the place.
    address: Address,
}

impl Query {
    fn parse(base: &str, pairs: &[(String, String)]) -> Result<Query, Error> {
        let mut query =
            Query { filter: Filter::default(), at: At::Newest, address: Address::new(base, "/suppressions") };
        for (key, value) in pairs {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let filter = &mut query.filter;
            match key.as_str() {
                "state" => filter.active = Some(one_of(key, value, &[("listed", true), ("lifted", false)])?),
                "class" => filter.proven = Some(one_of(key, value, &[("proven", true), ("likely", false)])?),
                "cause" => filter.cause = Some(one_of(key, value, &Cause::ALL.map(|it| (it.name(), it)))?),
                "channel" => filter.channel = Some(one_of(key, value, &CHANNELS.map(|it| (it.name(), it)))?),
                "address" => {
                    filter.address = Some(match value.strip_suffix('*') {
                        Some(start) if !start.is_empty() => Wanted::StartingWith(start.into()),
                        _ => Wanted::Exactly(value.into()),
                    });
                }
                "before" => query.at = At::OlderThan(cursor(key, value)?),
                "after" => query.at = At::NewerThan(cursor(key, value)?),
                _ => {}
            }
            if matches!(key.as_str(), "state" | "class" | "cause" | "channel" | "address") {
                query.address = query.address.set(key, value);
            }
        }
        Ok(query)
    }

    fn group(&self, title: &'static str, key: &str, choices: Vec<(&str, String, String, &'static str)>) -> Group {
        let choice = |(value, title, icon, name): (&str, String, String, &'static str)| {
            let is_on = self.address.query().iter().any(|(k, v)| k == key && v == value);
            let address = self.address.clone();
            let href = if is_on { address.without(key) } else { address.set(key, value) }.to_string();
            Choice { title, icon, name, is_on, href }
        };
        Group { title, choices: choices.into_iter().map(choice).collect() }
    }

    fn groups(&self) -> Vec<Group> {
        let plain = |value: &'static str, title: &str, icon: &str| (value, title.into(), icon.into(), "other");
        let causes = Cause::ALL.map(|cause| {
            let name = cause.metric().name();
            (cause.name(), cause.title().to_owned(), name.to_owned(), name)
        });
        let channels =
            CHANNELS.map(|channel| (channel.name(), channel.title().to_owned(), channel.name().to_owned(), "other"));
        vec![
            self.group(
                "State",
                "state",
                vec![plain("listed", "Listed now", "suppressed"), plain("lifted", "Lifted", "delivered")],
            ),
            self.group(
                "How sure",
                "class",
                vec![plain("proven", "Proven", "spammed"), plain("likely", "Likely", "bounced")],
            ),
            self.group("Cause", "cause", causes.into()),
            self.group("Channel", "channel", channels.into()),
        ]
    }

    fn chips(&self) -> Vec<Chip> {
        let title = |key: &str, value: &str| match key {
            "cause" => Cause::parse(value).map_or(value.to_owned(), |cause| cause.title().to_owned()),
            "channel" => channel_title(Some(value)),
            _ => value.to_owned(),
        };
        let name = |key: &str| match key {
            "state" => "State",
            "class" => "How sure",
            "cause" => "Cause",
            "channel" => "Channel",
            _ => "Address",
        };
        let chip = |(key, value): &(String, String)| Chip {
            key: name(key),
            value: title(key, value),
            without: self.address.clone().without(key),
        };
        self.address.query().iter().map(chip).collect()
    }
}

fn one_of<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Error> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Error::BadRequest(format!("`{key}={value}` is no choice. It can be {}.", names.join(", ")))
    })
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let now_ms = layout::now_ms();
    let query = Query::parse(&pages.base, &layout::pairs(request.query_string())?)?;
    let (filter, at) = (query.filter.clone(), query.at);
    let format = Format::of(&request);
    let (found, was_any_listed, shown, columns) = pages
        .read(move |connection| {
            let found = suppression_list::page(connection, &filter, at, ROWS)?;
            let rows = found.rows.iter().filter(|_| format != Format::Html);
            let shown = rows.map(|row| rows::suppression(connection, row.cursor)).collect::<Result<_, _>>()?;
            let columns = rows::suppression_columns(connection)?;
            Ok::<_, store::Error>((found, suppression_list::has_any(connection)?, shown, columns))
        })
        .await?;
    let place = |key: &str, cursor: Option<Cursor>| cursor.map(|cursor| query.address.clone().with(key, cursor));
    let ending = |address: Address| address.ending(format.ending());
    let list = List {
        total: None,
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
    let page = SuppressionsPage {
        page: pages.layout("suppressions"),
        groups: query.groups(),
        hidden: query.address.query().iter().filter(|(key, _)| key != "address").cloned().collect(),
        address: query.address.value("address").unwrap_or_default().to_owned(),
        chips: query.chips(),
        clear: pages.address("/suppressions").to_string(),
        newer: place("after", found.newer).map(|address| address.to_string()),
        older: place("before", found.older).map(|address| address.to_string()),
        twins: Twins::of(here.as_ref().unwrap_or(&query.address)),
        looked: found.looked.map(|looked| {
            let through = Plural(looked.rows as i64, "cause", "causes");
            format!("Looked through {through}, as far as {}.", Exact(looked.at_ms))
        }),
        rows: found.rows.into_iter().map(|listed| Line::new(&pages.base, listed, now_ms)).collect(),
        was_any_listed,
    };
    twin::answer(format, list, |_| layout::html(&page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written_again() {
        let text = "state=listed&class=likely&cause=hard_bounce&channel=email&address=a%2Bb@c.d";
        let query = Query::parse("", &layout::pairs(&format!("{text}&before=12.3")).unwrap()).unwrap();
        assert_eq!(query.filter.cause, Some(Cause::HardBounce));
        assert_eq!(query.filter.address, Some(Wanted::Exactly("a+b@c.d".into())));
        assert_eq!(query.at, At::OlderThan(Cursor { at_ms: 12, id: 3 }));
        assert_eq!(query.address.to_string(), format!("/suppressions?{text}"));
        assert_eq!(query.chips().len(), 5);
        assert_eq!(query.groups()[0].choices[0].href, format!("/suppressions?{}", text.replace("state=listed&", "")));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_could() {
        for (text, said) in [
            ("state=on", "listed"),
            ("class=1", "proven"),
            ("cause=x", "hard_bounce"),
            ("channel=slack", "whatsapp"),
            ("after=x", "place"),
        ] {
            let error = Query::parse("", &layout::pairs(text).unwrap()).err().unwrap();
            assert!(error.to_string().contains(said), "{text}: {error}");
        }
    }
}
