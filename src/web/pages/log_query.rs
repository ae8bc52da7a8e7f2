//! The filter of the delivery log: parsed from an address, and shown as chips.

use actix_web::HttpRequest;
use actix_web::http::Uri;
use actix_web::http::header::REFERER;

use super::layout;
use super::parts::{channel_title, source_title};
use super::span::Span;
use crate::domain::{Counted, Metric, Millis, Phase, SourceKind};
use crate::store::log::{At, By, Cursor, Filter, Link, Reason, Recipient, SourceRef};
use crate::web::address::Address;
use crate::web::error::Error;

/// More filters than anybody chooses; each is a chip whose link holds all the others.
const FILTERS_MAX: usize = 64;

/// In characters. Stored text is no longer than this.
const VALUE_MAX: usize = 2_000;

/// The keys of a filter, and the titles of their chips. A minus leaves out what the rest of the key finds.
const KEYS: [(&str, &str); 27] = [
    ("status", "Status"),
    ("outcome", "Outcome"),
    ("engagement", "Engagement"),
    ("ever", "Ever"),
    ("channel", "Channel"),
    ("source", "Campaign"),
    ("action_id", "Action"),
    ("content_id", "Content"),
    ("trigger_id", "Trigger"),
    ("recipient", "To"),
    ("domain", "Domain"),
    ("person", "Person"),
    ("delivery_id", "Delivery"),
    ("reason", "Reason"),
    ("link", "Link"),
    ("subject", "Subject"),
    ("words", "Contains"),
    ("-recipient", "Not to"),
    ("-domain", "Not domain"),
    ("-subject", "Not subject"),
    ("-words", "Not containing"),
    ("-channel", "Not channel"),
    ("-source", "Not campaign"),
    ("-person", "Not person"),
    ("-ever", "Never"),
    ("since", "Created"),
    ("until", "Created"),
];

/// Keys with one value: a second one would replace the first.
const ONCE: [&str; 12] = [
    "source",
    "action_id",
    "content_id",
    "trigger_id",
    "recipient",
    "domain",
    "person",
    "delivery_id",
    "reason",
    "link",
    "since",
    "until",
];

/// Keys whose empty value means "without one".
const MAY_BE_EMPTY: [&str; 2] = ["action_id", "content_id"];

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
        let mut query = LogQuery::of(address, pairs, &["by"], &["before", "after"], now_ms)?;
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "before" => query.at = At::OlderThan(cursor(key, value)?),
                "after" => query.at = At::NewerThan(cursor(key, value)?),
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
        let filters: Vec<&str> = KEYS.iter().map(|(key, _)| *key).chain(more.iter().copied()).collect();
        layout::refuse_unknown(pairs, &[&filters, places, &["all"]].concat())?;
        let mut filter = Filter::default();
        let (mut excluded, mut by) = (Vec::new(), None);
        for (key, value) in pairs.iter().filter(|(key, _)| filters.contains(&key.as_str())) {
            if value.is_empty() && !MAY_BE_EMPTY.contains(&key.as_str()) {
                continue;
            }
            let value = value.trim();
            if value.chars().count() > VALUE_MAX {
                return Err(Error::BadRequest(format!("`{key}` is longer than {VALUE_MAX} characters.")));
            }
            if ONCE.contains(&key.as_str()) && address.value(key).is_some_and(|other| other != value) {
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

    /// Whether the address names the status, rather than excluding others.
    pub fn is_chosen(&self, status: &str) -> bool {
        self.address.query().iter().any(|(key, value)| key == "status" && value == status)
    }

    /// Whether there is no other condition than those that counts are stored by.
    fn is_of_all(&self) -> bool {
        let more = ["status", "channel", "source", "ever"];
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
            let (_, title) = KEYS.iter().find(|(name, _)| *name == key)?;
            let value = match key {
                "since" | "until" => return None,
                "recipient" | "-recipient" if value.starts_with("*@") => value.trim_start_matches('*').to_owned(),
                "status" | "outcome" | "engagement" => status_title(value),
                "channel" | "-channel" => channel_title(Some(value).filter(|name| *name != "unknown")),
                "source" => self.filter.source.as_ref().map(|source| source_title(source, source_name))?,
                "-source" => source_title(&self::source(value).ok()?, None),
                "recipient" | "-recipient" => match recipient(value) {
                    Recipient::Exactly(text) => text,
                    Recipient::StartingWith(text) => format!("{text}…"),
                    Recipient::With(text) => format!("…{text}…"),
                },
                "ever" | "-ever" => counted(value).map_or_else(|| value.to_owned(), |counted| counted.title().into()),
                "reason" if value == "*" => "any".into(),
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
        "domain" => filter.domain = Some(domain(value)?),
        "recipient" => match value.strip_prefix("*@").filter(|domain| !domain.contains('*')) {
            Some(domain) => filter.domain = Some(self::domain(domain)?),
            None => filter.recipient = Some(recipient(value)),
        },
        "person" => filter.person = Some(value.into()),
        "delivery_id" => filter.delivery_id = Some(value.into()),
        "reason" => filter.reason = Some(if value == "*" { Reason::Any } else { Reason::Exactly(value.into()) }),
        "link" => filter.link = Some(Link { link: value.into(), by: None }),
        "subject" => filter.subjects.push(value.into()),
        "words" => filter.words.push(value.into()),
        _ => {}
    }
    Ok(())
}

/// The domain of an address: `example.net`, also written `@example.net`.
fn domain(value: &str) -> Result<String, Error> {
    match value.trim_start_matches('@') {
        "" => Err(Error::BadRequest("`domain` is empty; write it as in `domain=example.net`.".into())),
        domain => Ok(domain.to_lowercase()),
    }
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

/// A source as written in an address.
pub fn source_value(source: &SourceRef) -> String {
    if source.id.is_empty() { source.kind.clone() } else { format!("{}:{}", source.kind, source.id) }
}

/// `ann@example.com`, `ann*` for a prefix, `*ann*` for a part.
fn recipient(value: &str) -> Recipient {
    match value.strip_suffix('*').map(|start| (start, start.strip_prefix('*'))) {
        Some((_, Some(part))) if !part.is_empty() => Recipient::With(part.into()),
        Some((start, None)) if !start.is_empty() => Recipient::StartingWith(start.into()),
        _ => Recipient::Exactly(value.into()),
    }
}

/// A position in a list.
pub fn cursor(key: &str, value: &str) -> Result<Cursor, Error> {
    value.parse().map_err(|()| {
        Error::BadRequest(format!("`{key}={value}` is no position in the list. Remove it to start at the newest."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<LogQuery, Error> {
        LogQuery::parse("", &super::super::layout::pairs(query)?, 1_795_269_731_500)
    }

    fn chips(query: &LogQuery) -> Vec<String> {
        query.chips(None).into_iter().map(|chip| format!("{} {}", chip.key, chip.value)).collect()
    }

    #[test]
    fn a_filter_becomes_an_address_and_chips() {
        let query = "status=bounced&status=failed&channel=email&source=campaign:3&recipient=a%2Bb@c.d&ever=opened";
        let read = parse(query).unwrap();
        assert_eq!(read.filter.statuses, [Some(Metric::Bounced), Some(Metric::Failed)]);
        assert_eq!(read.filter.source, Some(SourceRef { kind: "campaign".into(), id: "3".into() }));
        assert_eq!(read.filter.recipient, Some(Recipient::Exactly("a+b@c.d".into())));
        assert_eq!(read.address.to_string(), format!("/deliveries?{query}"));
        assert_eq!(chips(&read).len(), 6);

        let query = "source=broadcast&action_id=&content_id=7&trigger_id=9&outcome=bounced&outcome=none\
            &engagement=clicked&reason=*&link=x.example&by=human&delivery_id=d";
        let read = parse(query).unwrap();
        assert_eq!((read.filter.action_id.as_deref(), read.filter.content_id.as_deref()), (Some(""), Some("7")));
        assert_eq!(read.filter.outcomes, [Some(Metric::Bounced), None]);
        assert_eq!(read.filter.link.clone().unwrap().by, Some(By::Human));
        assert_eq!(read.address.to_string(), format!("/deliveries?{query}"));
        assert_eq!(
            chips(&read).join(", "),
            "Campaign Every broadcast, Action none, Content 7, Trigger 9, Outcome Bounced, Outcome None, \
            Engagement Clicked, Reason any, Link x.example, by a person, Delivery d"
        );
    }

    #[test]
    fn a_minus_excludes() {
        let read = parse("status=-clicked&ever=opened").unwrap();
        assert_eq!(read.filter.statuses.len(), Metric::ALL.len());
        assert!(!read.filter.statuses.contains(&Some(Metric::Clicked)) && !read.is_chosen("opened"));
        assert_eq!(read.address.to_string(), "/deliveries?status=-clicked&ever=opened");
        assert_eq!(parse("status=sent&status=opened&status=-sent").unwrap().filter.statuses, [Some(Metric::Opened)]);

        let read = parse("words=tom&subject=Sale&-channel=sms&-source=campaign:3&-ever=opened&-domain=X.test").unwrap();
        assert_eq!((read.filter.words.len(), read.filter.subjects.len(), read.filter.without.len()), (1, 1, 4));
        assert_eq!(read.filter.without[3].domain.as_deref(), Some("x.test"));
        let titles: Vec<String> = read.chips(None).iter().map(Chip::title).collect();
        assert_eq!(titles[2..], ["Not channel SMS", "Not campaign Campaign 3", "Never Opened", "Not domain X.test"]);
    }

    #[test]
    fn a_domain_is_asked_for_in_two_ways() {
        for query in ["domain=Example.NET", "domain=@example.net", "recipient=*@example.net"] {
            let read = parse(query).unwrap();
            assert_eq!((read.filter.domain.as_deref(), &read.filter.recipient), (Some("example.net"), &None));
        }
        assert_eq!(chips(&parse("recipient=*@example.net").unwrap()), ["To @example.net"]);
        let part = parse("recipient=*@example*").unwrap().filter.recipient;
        assert_eq!(part, Some(Recipient::With("@example".into())));
    }

    #[test]
    fn a_position_is_no_filter() {
        let read = parse("before=1795269731500.42").unwrap();
        assert_eq!(read.at, At::OlderThan(Cursor { at_ms: 1_795_269_731_500, id: 42 }));
        assert_eq!(read.address.to_string(), "/deliveries");
    }

    #[test]
    fn errors_name_what_is_possible() {
        let many: Vec<String> = (0..3_000).map(|i| format!("channel=c{i}")).collect();
        let long = format!("recipient={}", "x".repeat(2_001));
        for (query, part) in [
            ("status=bouncy", "bounced"),
            ("source=3", "campaign:3"),
            ("-source=3", "campaign:3"),
            ("ever=never", "human_opened"),
            ("-ever=never", "human_opened"),
            ("outcome=clicked", "bounced"),
            ("engagement=sent", "clicked"),
            ("before=x", "position"),
            ("since=soon", "24h"),
            ("by=human", "`link`"),
            ("domain=@", "empty"),
            ("status=sent&status=-sent", "No status is left"),
            ("staus=bounced", "Unknown parameter `staus`. Did you mean `status`?"),
            ("-status=sent", "`-status`"),
            ("seen=3", "`seen`"),
            ("source=campaign:3&source=campaign:4", "one value only"),
            (&many.join("&"), "more than 64 filters"),
            (&long, "longer than"),
        ] {
            let error = parse(query).err().unwrap().to_string();
            assert!(error.contains(part), "{query}: {error}");
        }
        assert_eq!(parse(&vec!["channel=email"; 3_000].join("&")).unwrap().address.query().len(), 1);
    }
}
