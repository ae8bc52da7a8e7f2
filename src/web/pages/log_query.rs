//! The filter of the delivery log: parsed from an address, and shown as chips.

use actix_web::HttpRequest;
use actix_web::http::Uri;
use actix_web::http::header::REFERER;

use super::layout;
use super::parts::{channel_title, source_title};
use super::span::Span;
use crate::domain::{Counted, Metric, Millis, Phase, SourceKind, address};
use crate::store::query::log::{At, By, Cursor, Filter, Link, Reason, Recipient, SourceRef};
use crate::web::address::Address;
use crate::web::error::Error;

/// More filters than anybody chooses; each is a chip whose link holds all the others.
const FILTERS_MAX: usize = 64;

/// In characters. Stored text is no longer than this.
const VALUE_MAX: usize = 2_000;

/// The keys of a filter, the titles of their chips, and of those that exclude: `-channel=sms`.
const KEYS: [(&str, &str, Option<&str>); 19] = [
    ("status", "Status", None),
    ("outcome", "Outcome", None),
    ("engagement", "Engagement", None),
    ("ever", "Ever", Some("Never")),
    ("channel", "Channel", Some("Not channel")),
    ("source", "Campaign", Some("Not campaign")),
    ("action_id", "Action", None),
    ("content_id", "Content", None),
    ("trigger_id", "Trigger", None),
    ("recipient", "To", Some("Not to")),
    ("domain", "Domain", Some("Not domain")),
    ("person", "Person", Some("Not person")),
    ("delivery_id", "Delivery", None),
    ("reason", "Reason", None),
    ("link", "Link", None),
    ("subject", "Subject", Some("Not subject")),
    ("words", "Contains", Some("Not containing")),
    ("since", "Created", None),
    ("until", "Created", None),
];

/// The query parameters of the log.
pub fn parameters() -> Vec<String> {
    filters(&["by", SORT, "before", "after", "all"])
}

/// The filters of deliveries, those that exclude too, and `more`.
pub(super) fn filters(more: &[&str]) -> Vec<String> {
    let excluding = KEYS.into_iter().filter(|(.., not)| not.is_some()).map(|(key, ..)| format!("-{key}"));
    let more = more.iter().map(|key| (*key).to_owned());
    KEYS.into_iter().map(|(key, ..)| key.to_owned()).chain(excluding).chain(more).collect()
}

/// The title of a key's chip. `None`: not a key of a filter.
fn title_of(key: &str) -> Option<&'static str> {
    let name = key.strip_prefix('-');
    let (_, title, not) = KEYS.iter().find(|(known, ..)| *known == name.unwrap_or(key))?;
    if name.is_some() { *not } else { Some(title) }
}

/// Whether a key may have several values. Of others a second one would replace the first.
fn may_repeat(key: &str) -> bool {
    let many = ["status", "outcome", "engagement", "ever", "channel", "subject", "words", "metric"];
    key.starts_with('-') || many.contains(&key)
}

/// Keys whose empty value means "without one".
const MAY_BE_EMPTY: [&str; 2] = ["action_id", "content_id"];

/// The order of the log: `sort=latest`, else by creation.
pub const SORT: &str = "sort";
pub const LATEST: &str = "latest";

/// A filter of the log, and which page of it.
pub struct LogQuery {
    pub filter: Filter,
    pub at: At,
    pub span: Span,
    /// The filter alone, without the place.
    pub address: Address,
}

/// One active filter, and the address without it.
pub struct Chip {
    pub key: &'static str,
    pub value: String,
    pub without: Address,
}

impl Chip {
    /// For the title of a page: the value, with what negates it.
    pub fn title(&self) -> String {
        match self.key.starts_with("Not ") || self.key == "Never" {
            true => format!("{} {}", self.key, self.value),
            false => self.value.clone(),
        }
    }
}

impl LogQuery {
    /// # Errors
    /// [`Error::BadRequest`] with the parameter that is unknown or invalid.
    pub fn parse(base: &str, pairs: &[(String, String)], now_ms: Millis) -> Result<LogQuery, Error> {
        let address = Address::new(base, "/deliveries");
        let mut query = LogQuery::of(address, pairs, &["by", SORT], &["before", "after"], now_ms)?;
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "before" => query.at = At::OlderThan(cursor(key, value)?),
                "after" => query.at = At::NewerThan(cursor(key, value)?),
                SORT => match value.as_str() {
                    LATEST => query.filter.by_latest = true,
                    _ => return Err(unknown(SORT, value, &["created", LATEST])),
                },
                "by" if query.filter.link.is_none() => {
                    let what = "`by` says who followed a `link`, which is missing. For opens and clicks by people, use \
                        `ever=human_opened` or `ever=human_clicked`.";
                    return Err(Error::BadRequest(what.into()));
                }
                _ => {}
            }
        }
        Ok(query)
    }

    /// The filter of deliveries in the address of a list, which may have `more` filters and `places` of its own.
    ///
    /// # Errors
    /// As [`LogQuery::parse`].
    pub fn of(
        mut address: Address,
        pairs: &[(String, String)],
        more: &[&str],
        places: &[&str],
        now_ms: Millis,
    ) -> Result<LogQuery, Error> {
        let is_filter = |key: &str| title_of(key).is_some() || more.contains(&key);
        let others: Vec<_> = pairs.iter().filter(|(key, _)| !is_filter(key)).cloned().collect();
        layout::refuse_unknown(&others, &[&KEYS.map(|(key, ..)| key), more, places, &["all"]].concat())?;
        layout::is_set(pairs, "all", "1")?;
        let mut filter = Filter::default();
        let (mut excluded, mut by) = (Vec::new(), None);
        for (key, value) in pairs.iter().filter(|(key, _)| is_filter(key)) {
            if value.is_empty() && !MAY_BE_EMPTY.contains(&key.as_str()) {
                continue;
            }
            let value = value.trim();
            if value.chars().count() > VALUE_MAX {
                return Err(Error::BadRequest(format!("`{key}` is longer than {VALUE_MAX} characters.")));
            }
            if !may_repeat(key) && address.value(key).is_some_and(|other| other != value) {
                return Err(Error::BadRequest(format!("`{key}` can have one value only.")));
            }
            match (key.as_str(), key.strip_prefix('-'), value.strip_prefix('-')) {
                ("status", _, Some(name)) => excluded.push(status(name)?),
                ("by", ..) => by = Some(self::by(value)?),
                (_, Some(key), _) => {
                    let mut without = Filter::default();
                    add(&mut without, key, value)?;
                    filter.without.push(without);
                }
                (key, ..) => add(&mut filter, key, value)?,
            }
            address = address.without_pair(key, value).with(key, value);
            if address.query().len() > FILTERS_MAX {
                return Err(Error::BadRequest(format!("The address has more than {FILTERS_MAX} filters.")));
            }
        }
        if let Some(link) = &mut filter.link {
            link.by = by;
        }
        if !excluded.is_empty() {
            if filter.statuses.is_empty() {
                filter.statuses = [None].into_iter().chain(Metric::ALL.map(Some)).collect();
            }
            filter.statuses.retain(|status| !excluded.contains(status));
            if filter.statuses.is_empty() {
                let what = "No status is left: the address excludes every one that it includes (`status=-...`).";
                return Err(Error::BadRequest(what.into()));
            }
        }
        let span = Span::parse(pairs, now_ms)?;
        (filter.since_ms, filter.until_ms) = (span.since_ms, span.until_ms);
        Ok(LogQuery { filter, at: At::Newest, span, address })
    }

    /// The list that the `Referer` names, so that a long filter need not be repeated in each row. A forged one changes
    /// only the links to the list and to the previous and next delivery.
    pub fn came_from(request: &HttpRequest, base: &str, now_ms: Millis) -> Option<LogQuery> {
        let from: Uri = request.headers().get(REFERER)?.to_str().ok()?.parse().ok()?;
        let is_log = from.path().strip_prefix(base) == Some("/deliveries");
        let pairs = layout::pairs(from.query().filter(|_| is_log)?).ok()?;
        LogQuery::parse(base, &pairs, now_ms).ok()
    }

    /// Whether the stored counts by channel and status are those of this filter.
    pub fn is_counted(&self) -> bool {
        self.is_of_all() && self.filter.ever.is_empty()
    }

    /// Whether the stored counts of the metrics ever reached are those of this filter.
    pub fn is_counted_ever(&self) -> bool {
        self.is_of_all() && self.filter.statuses.is_empty() && self.filter.ever.len() <= 1
    }

    /// Whether there is no other condition than those that counts are stored by.
    fn is_of_all(&self) -> bool {
        let more = ["status", "channel", "source", "ever", SORT];
        self.address.query().iter().all(|(key, _)| more.contains(&key.as_str()))
    }

    /// Another page of it: `key` is `before` or `after`.
    pub fn place(&self, key: &str, cursor: Cursor) -> Address {
        self.address.clone().with(key, cursor)
    }

    /// This page of it.
    pub fn here(&self) -> Address {
        match self.at {
            At::Newest => self.address.clone(),
            At::OlderThan(cursor) => self.place("before", cursor),
            At::NewerThan(cursor) => self.place("after", cursor),
        }
    }

    pub fn chips(&self, source_name: Option<&str>) -> Vec<Chip> {
        let chip = |key: &str, value: &str| {
            let without = self.address.clone().without_pair(key, value);
            let title = title_of(key)?;
            let value = match key.trim_start_matches('-') {
                "since" | "until" => return None,
                "status" | "outcome" | "engagement" => status_title(value),
                "channel" => channel_title(Some(value).filter(|name| *name != "unknown")),
                "source" => {
                    let name = source_name.filter(|_| !key.starts_with('-'));
                    source_title(&source(value).ok()?, name)
                }
                "recipient" => match recipient(value) {
                    _ if value.starts_with("*@") && !value.ends_with('*') => value.trim_start_matches('*').to_owned(),
                    Recipient::Exactly(text) => text,
                    Recipient::StartingWith(text) => format!("{text}…"),
                    Recipient::With(text) => format!("…{text}…"),
                },
                "ever" => counted(value).map_or_else(|| value.to_owned(), |counted| counted.title().into()),
                "reason" => match reason(value) {
                    Reason::Any => "any".into(),
                    Reason::With(part) => format!("…{part}…"),
                    Reason::Exactly(reason) => reason,
                },
                "link" => match self.filter.link.as_ref().and_then(|link| link.by) {
                    Some(by) => format!("{value}, {}", by_title(by)),
                    None => value.to_owned(),
                },
                _ if value.is_empty() => "none".into(),
                _ => value.to_owned(),
            };
            Some(Chip { key: title, value, without })
        };
        let mut chips: Vec<Chip> = self.address.query().iter().filter_map(|(key, value)| chip(key, value)).collect();
        if !self.span.is_all() {
            let without = self.address.clone().without("since").without("until");
            chips.push(Chip { key: "Created", value: self.span.title(), without });
        }
        chips
    }
}

/// Adds one condition to a filter. Times are a [`Span`], and other keys are no condition of a delivery.
fn add(filter: &mut Filter, key: &str, value: &str) -> Result<(), Error> {
    match key {
        "status" => filter.statuses.push(status(value)?),
        "outcome" | "engagement" => {
            let statuses = if key == "outcome" { &mut filter.outcomes } else { &mut filter.engagements };
            statuses.push(half(key, value)?);
        }
        "ever" => filter.ever.push(ever(value)?),
        "channel" => filter.channels.push(value.into()),
        "source" => filter.source = Some(source(value)?),
        "action_id" => filter.action_id = Some(value.into()),
        "content_id" => filter.content_id = Some(value.into()),
        "trigger_id" => filter.trigger_id = Some(value.into()),
        "domain" => set_domain(filter, value)?,
        "recipient" => match value.strip_prefix("*@").filter(|domain| !domain.contains('*')) {
            Some(domain) => set_domain(filter, domain)?,
            None => filter.recipient = Some(recipient(value)),
        },
        "person" => filter.person = Some(value.into()),
        "delivery_id" => filter.delivery_id = Some(value.into()),
        "reason" => filter.reason = Some(reason(value)),
        "link" => filter.link = Some(Link { link: value.into(), by: None }),
        "subject" => filter.subjects.push(value.into()),
        "words" => filter.words.push(value.into()),
        _ => {}
    }
    Ok(())
}

/// The domain of addresses: `example.net`, also written `@example.net`.
fn set_domain(filter: &mut Filter, value: &str) -> Result<(), Error> {
    let domain = value.trim_start_matches('@').to_lowercase();
    let other = filter.domain.replace(domain.clone());
    if domain.is_empty() || other.is_some_and(|other| other != domain) {
        return Err(Error::BadRequest("A filter can have one domain, as in `domain=example.net`.".into()));
    }
    Ok(())
}

/// Who opened or clicked.
pub fn by(value: &str) -> Result<By, Error> {
    match value {
        "human" => Ok(By::Human),
        "machine" => Ok(By::Machine),
        "implied" => Ok(By::Implied),
        _ => Err(unknown("by", value, &["human", "machine", "implied"])),
    }
}

fn unknown(key: &str, value: &str, known: &[&str]) -> Error {
    let (last, first) = known.split_last().unwrap_or((&"", &[]));
    Error::BadRequest(format!("Unknown value `{key}={value}`. It can be {} or {last}.", first.join(", ")))
}

pub fn by_title(by: By) -> &'static str {
    match by {
        By::Human => "by a person",
        By::Machine => "by a machine",
        By::Implied => "implied",
    }
}

fn status_title(name: &str) -> String {
    if let Some(name) = name.strip_prefix('-') {
        return format!("not {}", status_title(name));
    }
    match name {
        "none" => "None".into(),
        _ => Metric::parse(name).map_or("Unknown", Metric::title).to_owned(),
    }
}

/// The outcome or the engagement, which together make a status; `none` where there is none.
fn half(key: &str, value: &str) -> Result<Option<Metric>, Error> {
    let is_half = |metric: &Metric| (metric.phase() == Phase::Engagement) == (key == "engagement");
    if value == "none" {
        return Ok(None);
    }
    Metric::parse(value).filter(is_half).map(Some).ok_or_else(|| {
        let names = Metric::ALL.iter().filter(|metric| is_half(metric)).map(|it| it.name());
        unknown(key, value, &names.chain(["none"]).collect::<Vec<_>>())
    })
}

fn status(value: &str) -> Result<Option<Metric>, Error> {
    if value == "unknown" {
        return Ok(None);
    }
    Metric::parse(value).map(Some).ok_or_else(|| {
        let names = Metric::ALL.iter().map(|metric| metric.name());
        unknown("status", value, &names.chain(["unknown"]).collect::<Vec<_>>())
    })
}

fn counted(name: &str) -> Option<Counted> {
    Metric::parse(name).map(Counted::Metric).or_else(|| Counted::parse(name))
}

fn ever(value: &str) -> Result<Counted, Error> {
    counted(value).ok_or_else(|| unknown("ever", value, &Counted::ALL.map(|counted| counted.name())))
}

/// Parses a source as written in an address.
pub fn source(value: &str) -> Result<SourceRef, Error> {
    let (kind, id) = value.split_once(':').unwrap_or((value, ""));
    match SourceKind::parse(kind) {
        Some(_) => Ok(SourceRef { kind: kind.into(), id: id.into() }),
        None if kind == "unknown" => Ok(SourceRef { kind: kind.into(), id: String::new() }),
        None => Err(Error::BadRequest(format!(
            "`source={value}` is no source. Write a kind and an ID, such as `campaign:3`, or a kind alone: campaign, \
            broadcast, newsletter, transactional or unknown."
        ))),
    }
}

/// A whole reason, `*` for any, `*full*` for a part of one.
fn reason(value: &str) -> Reason {
    let part = value.strip_prefix('*').and_then(|rest| rest.strip_suffix('*')).filter(|part| !part.is_empty());
    match (value, part) {
        ("*", _) => Reason::Any,
        (_, Some(part)) => Reason::With(part.into()),
        _ => Reason::Exactly(value.into()),
    }
}

/// `ann@example.com`, `ann*` for a prefix, `*ann*` for a part.
fn recipient(value: &str) -> Recipient {
    match value.strip_suffix('*').map(|start| (start, start.strip_prefix('*'))) {
        Some((_, Some(part))) if !part.is_empty() => Recipient::With(part.into()),
        Some((start, None)) if !start.is_empty() => Recipient::StartingWith(start.into()),
        _ => Recipient::Exactly(address::normalize(None, value).into_owned()),
    }
}

/// A position in a list.
pub fn cursor(key: &str, value: &str) -> Result<Cursor, Error> {
    value.parse().map_err(|()| {
        Error::BadRequest(format!("`{key}={value}` is no position in the list. Remove it to start at the newest."))
    })
}
