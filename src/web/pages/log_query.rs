//! The filter of the delivery log in an address, and as chips to take away.

use actix_web::HttpRequest;
use actix_web::http::Uri;
use actix_web::http::header::REFERER;

use super::layout;
use crate::domain::{Counted, Metric, Millis, Phase, SourceKind};
use crate::store::log::{At, By, Cursor, Filter, Link, Reason, Recipient, SourceRef};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::pages::parts::{channel_title, source_title};
use crate::web::pages::span::Span;

/// More filters than a person chooses; each is a chip whose link holds all the others.
const FILTERS_MAX: usize = 64;

/// Longer text is not in the file, where it is cut.
const VALUE_MAX: usize = 2_000;

/// The keys of a filter, and what a chip calls them.
const KEYS: [(&str, &str); 24] = [
    ("status", "Status"),
    ("outcome", "Outcome"),
    ("engagement", "Engagement"),
    ("ever", "Ever"),
    ("channel", "Channel"),
    ("source", "From"),
    ("action_id", "Action"),
    ("content_id", "Content"),
    ("trigger_id", "Trigger"),
    ("recipient", "To"),
    ("person", "Person"),
    ("reason", "Reason"),
    ("link", "Link"),
    ("subject", "Subject"),
    ("words", "With"),
    ("-recipient", "Not to"),
    ("-subject", "Subject without"),
    ("-words", "Without"),
    ("-channel", "Not by"),
    ("-source", "Not from"),
    ("-person", "Not to person"),
    ("-ever", "Never"),
    ("since", "Created"),
    ("until", "Created"),
];

/// Those that are asked for by being there, though empty: without one.
const MAY_BE_EMPTY: [&str; 2] = ["action_id", "content_id"];

/// A log asked for: what, and which page of it.
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

impl LogQuery {
    pub fn parse(base: &str, pairs: &[(String, String)], now_ms: Millis) -> Result<LogQuery, Error> {
        let mut at = At::Newest;
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "before" => at = At::OlderThan(cursor(key, value)?),
                "after" => at = At::NewerThan(cursor(key, value)?),
                _ => {}
            }
        }
        // whose a click was is said beside its link
        let query = LogQuery::of(Address::new(base, "/deliveries"), pairs, &["by"], now_ms)?;
        if query.filter.link.is_none() && pairs.iter().any(|(key, value)| key == "by" && !value.is_empty()) {
            let what = "`by` says who followed a link: name it by `link`, or ask for ever=human_opened and the like.";
            return Err(Error::BadRequest(what.into()));
        }
        Ok(LogQuery { at, ..query })
    }

    /// The filter of deliveries in the query of some page, which may have `more` keys of its own.
    pub fn of(
        mut address: Address,
        pairs: &[(String, String)],
        more: &[&str],
        now_ms: Millis,
    ) -> Result<LogQuery, Error> {
        let mut filter = Filter::default();
        let (mut unwanted, mut by) = (Vec::new(), None);
        for (key, value) in pairs {
            if value.is_empty() && !MAY_BE_EMPTY.contains(&key.as_str()) {
                continue;
            }
            let value = value.trim();
            if value.chars().count() > VALUE_MAX {
                return Err(Error::BadRequest(format!("`{key}` is longer than {VALUE_MAX} characters.")));
            }
            match key.as_str() {
                "status" => match value.strip_prefix('-') {
                    Some(name) => unwanted.push(status(name)?),
                    None => filter.statuses.push(status(value)?),
                },
                "outcome" => filter.outcomes.push(standing(key, value)?),
                "engagement" => filter.engagements.push(standing(key, value)?),
                "channel" => filter.channels.push(value.into()),
                "source" => filter.source = Some(source(value)?),
                "action_id" => filter.action_id = Some(value.into()),
                "content_id" => filter.content_id = Some(value.into()),
                "trigger_id" => filter.trigger_id = Some(value.into()),
                "recipient" => filter.recipient = Some(recipient(value)),
                "person" => filter.person = Some(value.into()),
                "ever" => filter.ever.push(ever(value)?),
                "reason" => {
                    filter.reason = Some(if value == "*" { Reason::Any } else { Reason::Exactly(value.into()) });
                }
                "link" => filter.link = Some(Link { link: value.into(), by: None }),
                "subject" => filter.subjects.push(value.into()),
                "words" => filter.words.push(value.into()),
                _ if key.starts_with('-') => filter.without.extend(without(key, value)?),
                "by" if more.contains(&"by") => by = Some(self::by(value)?),
                _ => {}
            }
            if more.contains(&key.as_str()) || KEYS.iter().any(|(name, _)| name == key) {
                address = address.without_pair(key, value).with(key, value);
            }
            if address.query().len() > FILTERS_MAX {
                return Err(Error::BadRequest(format!(
                    "The address has more than {FILTERS_MAX} filters. Take some out."
                )));
            }
        }
        if let Some(link) = &mut filter.link {
            link.by = by;
        }
        if !unwanted.is_empty() {
            if filter.statuses.is_empty() {
                filter.statuses = [None].into_iter().chain(Metric::ALL.map(Some)).collect();
            }
            filter.statuses.retain(|status| !unwanted.contains(status));
            if filter.statuses.is_empty() {
                return Err(Error::BadRequest(
                    "No status is left: the address asks for those that it leaves out (`status=-...`).".into(),
                ));
            }
        }
        let span = Span::parse(pairs, now_ms)?;
        (filter.since_ms, filter.until_ms) = (span.since_ms, span.until_ms);
        Ok(LogQuery { filter, at: At::Newest, span, address })
    }

    /// The list one came from, as a browser says it: a long filter is not repeated in each row of its list. Whoever else
    /// says so only chooses what stands beside.
    pub fn came_from(request: &HttpRequest, base: &str, now_ms: Millis) -> Option<LogQuery> {
        let from: Uri = request.headers().get(REFERER)?.to_str().ok()?.parse().ok()?;
        let is_log = from.path().strip_prefix(base) == Some("/deliveries");
        let pairs = layout::pairs(from.query().filter(|_| is_log)?).ok()?;
        LogQuery::parse(base, &pairs, now_ms).ok()
    }

    /// Whether the kept counts by channel and status are those of this filter.
    pub fn is_counted(&self) -> bool {
        self.is_of_all() && self.filter.ever.is_empty()
    }

    /// Whether the kept counts of what was ever reached are those of this filter.
    pub fn is_counted_ever(&self) -> bool {
        self.is_of_all() && self.filter.statuses.is_empty() && self.filter.ever.len() <= 1
    }

    /// Whether the address asks for the status by name, not only by leaving out others.
    pub fn is_chosen(&self, status: &str) -> bool {
        self.address.query().iter().any(|(key, value)| key == "status" && value == status)
    }

    /// Of all deliveries, or of those of a source or some channels, or in some status, or with one thing ever reached.
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
                "status" | "outcome" | "engagement" => status_title(value),
                "channel" | "-channel" => channel_title(Some(value).filter(|name| *name != "unknown")),
                "source" => self.filter.source.as_ref().map(|source| source_title(source, source_name))?,
                "-source" => source_title(&self::source(value).ok()?, None),
                "recipient" | "-recipient" => match recipient(value) {
                    Recipient::Exactly(text) => text,
                    Recipient::StartingWith(text) => format!("{text}…"),
                    Recipient::With(text) => format!("…{text}…"),
                },
                "ever" | "-ever" => ever_title(value),
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

/// What a filter leaves out by a key with a minus.
fn without(key: &str, value: &str) -> Result<Option<Filter>, Error> {
    let mut filter = Filter::default();
    match key {
        "-recipient" => filter.recipient = Some(recipient(value)),
        "-subject" => filter.subjects.push(value.into()),
        "-words" => filter.words.push(value.into()),
        "-channel" => filter.channels.push(value.into()),
        "-source" => filter.source = Some(source(value)?),
        "-person" => filter.person = Some(value.into()),
        "-ever" => filter.ever.push(ever(value)?),
        _ => return Ok(None),
    }
    Ok(Some(filter))
}

/// Who did it, in an address.
pub fn by(value: &str) -> Result<By, Error> {
    match value {
        "human" => Ok(By::Human),
        "machine" => Ok(By::Machine),
        "implied" => Ok(By::Implied),
        _ => Err(Error::BadRequest(format!("`by={value}` is nobody. It can be human, machine or implied."))),
    }
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

/// One of the two halves of a status; `none` where there is none.
fn standing(key: &str, value: &str) -> Result<Option<Metric>, Error> {
    let is_half = |metric: &Metric| (metric.phase() == Phase::Engagement) == (key == "engagement");
    if value == "none" {
        return Ok(None);
    }
    Metric::parse(value).filter(is_half).map(Some).ok_or_else(|| {
        let names: Vec<&str> = Metric::ALL.iter().filter(|metric| is_half(metric)).map(|it| it.name()).collect();
        Error::BadRequest(format!("There is no {key} `{value}`. It can be {} or none.", names.join(", ")))
    })
}

fn ever_title(name: &str) -> String {
    let counted = Metric::parse(name).map(Counted::Metric).or_else(|| Counted::parse(name));
    counted.map_or_else(|| name.to_owned(), |counted| counted.title().to_owned())
}

fn status(value: &str) -> Result<Option<Metric>, Error> {
    if value == "unknown" {
        return Ok(None);
    }
    Metric::parse(value).map(Some).ok_or_else(|| {
        let names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        Error::BadRequest(format!("There is no status `{value}`. It can be {} or unknown.", names.join(", ")))
    })
}

fn ever(value: &str) -> Result<Counted, Error> {
    let counted = Metric::parse(value).map(Counted::Metric).or_else(|| Counted::parse(value));
    counted.ok_or_else(|| {
        let names: Vec<&str> = Counted::ALL.iter().map(|counted| counted.name()).collect();
        Error::BadRequest(format!("A delivery is never `{value}`. It can be {}.", names.join(", ")))
    })
}

/// A source as it stands in an address, read.
pub fn source(value: &str) -> Result<SourceRef, Error> {
    let (kind, id) = value.split_once(':').unwrap_or((value, ""));
    match SourceKind::parse(kind) {
        Some(_) => Ok(SourceRef { kind: kind.into(), id: id.into() }),
        None if kind == "unknown" => Ok(SourceRef { kind: kind.into(), id: String::new() }),
        None => Err(Error::BadRequest(format!(
            "`source={value}` names no source. It is a kind and an id, such as campaign:3, or a kind alone; kinds are \
            campaign, broadcast, newsletter, transactional and unknown."
        ))),
    }
}

/// A source as it stands in an address.
pub fn source_value(source: &SourceRef) -> String {
    if source.id.is_empty() { source.kind.clone() } else { format!("{}:{}", source.kind, source.id) }
}

/// `ann@example.com`, `ann*` for those that begin so, `*ann*` for those with it anywhere.
fn recipient(value: &str) -> Recipient {
    match value.strip_suffix('*').map(|start| (start, start.strip_prefix('*'))) {
        Some((_, Some(part))) if !part.is_empty() => Recipient::With(part.into()),
        Some((start, None)) if !start.is_empty() => Recipient::StartingWith(start.into()),
        _ => Recipient::Exactly(value.into()),
    }
}

/// A place in a list, in an address.
pub fn cursor(key: &str, value: &str) -> Result<Cursor, Error> {
    value.parse().map_err(|()| {
        Error::BadRequest(format!("`{key}={value}` is no place in the list. Take it out of the address to start anew."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<LogQuery, Error> {
        LogQuery::parse("", &super::super::layout::pairs(query)?, 1_795_269_731_500)
    }

    #[test]
    fn an_address_is_read_and_written_again() {
        let query = "status=bounced&status=failed&channel=email&source=campaign%3A3&recipient=a%2Bb@c.d&ever=opened";
        let read = parse(query).unwrap();
        assert_eq!(read.filter.statuses, [Some(Metric::Bounced), Some(Metric::Failed)]);
        assert_eq!(read.filter.source, Some(SourceRef { kind: "campaign".into(), id: "3".into() }));
        assert_eq!(read.filter.recipient, Some(Recipient::Exactly("a+b@c.d".into())));
        assert_eq!(read.address.to_string(), format!("/deliveries?{}", query.replace("%3A", ":")));
        assert_eq!(read.chips(None).len(), 6);
    }

    #[test]
    fn what_a_figure_counts_is_read_and_written_again() {
        let query = "source=broadcast&action_id=&content_id=7&trigger_id=9&outcome=bounced&outcome=none\
            &engagement=clicked&reason=*&link=https://x.example/a&by=human";
        let read = parse(query).unwrap();
        assert_eq!(read.filter.source, Some(SourceRef { kind: "broadcast".into(), id: String::new() }));
        assert_eq!((read.filter.action_id.as_deref(), read.filter.content_id.as_deref()), (Some(""), Some("7")));
        assert_eq!(read.filter.outcomes, [Some(Metric::Bounced), None]);
        assert_eq!(read.filter.reason, Some(Reason::Any));
        assert_eq!(read.filter.link.clone().unwrap().by, Some(By::Human));
        assert_eq!(read.address.to_string(), format!("/deliveries?{}", query.replace('/', "%2F")));
        let said: Vec<String> =
            read.chips(None).into_iter().map(|chip| format!("{} {}", chip.key, chip.value)).collect();
        assert_eq!(
            said,
            [
                "From Every broadcast",
                "Action none",
                "Content 7",
                "Trigger 9",
                "Outcome Bounced",
                "Outcome None",
                "Engagement Clicked",
                "Reason any",
                "Link https://x.example/a, by a person"
            ]
        );
        assert!(parse("outcome=clicked").is_err() && parse("engagement=sent").is_err() && parse("by=human").is_err());
    }

    #[test]
    fn a_status_can_be_left_out() {
        let read = parse("status=-clicked&ever=opened").unwrap();
        assert!(!read.filter.statuses.contains(&Some(Metric::Clicked)));
        assert_eq!(read.filter.statuses.len(), Metric::ALL.len());
        assert_eq!(read.address.to_string(), "/deliveries?status=-clicked&ever=opened");
        assert_eq!(read.chips(None)[0].value, "not Clicked");
        assert!(!read.is_chosen("opened"));
        assert_eq!(parse("status=sent&status=opened&status=-sent").unwrap().filter.statuses, [Some(Metric::Opened)]);
        assert!(parse("status=sent&status=-sent").err().unwrap().to_string().contains("No status is left"));
    }

    #[test]
    fn an_address_takes_no_more_filters_than_a_page_can_show() {
        let many: Vec<String> = (0..3_000).map(|i| format!("channel=c{i}")).collect();
        assert!(parse(&many.join("&")).err().unwrap().to_string().contains("more than 64 filters"));
        assert!(parse(&format!("recipient={}", "x".repeat(2_001))).is_err());
        assert_eq!(parse(&vec!["channel=email"; 3_000].join("&")).unwrap().address.query().len(), 1);
    }

    #[test]
    fn words_are_looked_for_and_much_can_be_left_out() {
        let read = parse("words=tom&subject=Sale&-channel=sms&-source=campaign:3&-ever=opened").unwrap();
        assert_eq!((read.filter.words.len(), read.filter.subjects.len(), read.filter.without.len()), (1, 1, 3));
        assert_eq!(read.filter.without[1].source, Some(SourceRef { kind: "campaign".into(), id: "3".into() }));
        let said: Vec<String> =
            read.chips(None).into_iter().map(|chip| format!("{} {}", chip.key, chip.value)).collect();
        assert_eq!(said, ["With tom", "Subject Sale", "Not by SMS", "Not from Campaign 3", "Never Opened"]);
        assert!(parse("-source=3").is_err() && parse("-ever=never").is_err());
    }

    #[test]
    fn a_place_is_no_filter() {
        let read = parse("before=1795269731500.42").unwrap();
        assert_eq!(read.at, At::OlderThan(Cursor { at_ms: 1_795_269_731_500, id: 42 }));
        assert_eq!(read.address.to_string(), "/deliveries");
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_could() {
        for (query, said) in [
            ("status=bouncy", "bounced"),
            ("source=3", "campaign:3"),
            ("ever=never", "human_opened"),
            ("before=x", "place"),
            ("since=soon", "24h"),
        ] {
            let error = parse(query).err().unwrap();
            assert!(error.to_string().contains(said), "{query}: {error}");
        }
    }
}
