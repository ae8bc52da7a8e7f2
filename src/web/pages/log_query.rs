//! The filter of the delivery log in an address, and as chips to take away.

use crate::domain::{Counted, Metric, Millis, SourceKind};
use crate::store::log::{At, Cursor, Filter, Recipient, SourceRef};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::pages::parts::channel_title;
use crate::web::pages::span::Span;

/// More filters than a person chooses; each is a chip whose link holds all the others.
const FILTERS_MAX: usize = 64;

/// Longer text is not in the file, where it is cut.
const VALUE_MAX: usize = 2_000;

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
    pub without: String,
}

impl LogQuery {
    pub fn parse(base: &str, pairs: &[(String, String)], now_ms: Millis) -> Result<LogQuery, Error> {
        let mut filter = Filter::default();
        let (mut at, mut address) = (At::Newest, Address::new(base, "/deliveries"));
        let mut unwanted = Vec::new();
        for (key, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            let value = value.trim();
            if value.chars().count() > VALUE_MAX {
                return Err(Error::BadRequest(format!("`{key}` is longer than {VALUE_MAX} characters.")));
            }
            match key.as_str() {
                "status" => match value.strip_prefix('-') {
                    Some(name) => unwanted.push(status(name)?),
                    None => filter.statuses.push(status(value)?),
                },
                "channel" => filter.channels.push(value.into()),
                "source" => filter.source = Some(source(value)?),
                "recipient" => filter.recipient = Some(recipient(value)),
                "person" => filter.person = Some(value.into()),
                "ever" => filter.ever.push(ever(value)?),
                "before" => at = At::OlderThan(cursor(key, value)?),
                "after" => at = At::NewerThan(cursor(key, value)?),
                _ => {}
            }
            if matches!(
                key.as_str(),
                "status" | "channel" | "source" | "recipient" | "person" | "ever" | "since" | "until"
            ) {
                address = address.without_pair(key, value).with(key, value);
            }
            if address.query().len() > FILTERS_MAX {
                return Err(Error::BadRequest(format!(
                    "The address has more than {FILTERS_MAX} filters. Take some out."
                )));
            }
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
        Ok(LogQuery { filter, at, span, address })
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

    fn is_of_all(&self) -> bool {
        self.filter.recipient.is_none() && self.filter.person.is_none() && self.span.is_all()
    }

    pub fn page_address(&self, key: &str, cursor: Cursor) -> String {
        self.address.clone().with(key, format!("{}.{}", cursor.created_at_ms, cursor.id)).to_string()
    }

    pub fn chips(&self, source_title: Option<&str>) -> Vec<Chip> {
        let chip = |key: &str, value: &str| {
            let without = self.address.clone().without_pair(key, value).to_string();
            let (key, value) = match key {
                "status" => ("Status", status_title(value)),
                "channel" => ("Channel", channel_title(Some(value).filter(|name| *name != "unknown"))),
                "source" => ("From", source_title.unwrap_or(value).to_owned()),
                "recipient" => ("To", value.strip_suffix('*').map_or(value.to_owned(), |start| format!("{start}…"))),
                "person" => ("Person", value.to_owned()),
                _ => ("Ever", ever_title(value)),
            };
            Chip { key, value, without }
        };
        let of_time = |(key, _): &&(String, String)| key != "since" && key != "until";
        let mut chips: Vec<Chip> =
            self.address.query().iter().filter(of_time).map(|(key, value)| chip(key, value)).collect();
        if !self.span.is_all() {
            let without = self.address.clone().without("since").without("until").to_string();
            chips.push(Chip { key: "Created", value: self.span.title(), without });
        }
        chips
    }
}

fn status_title(name: &str) -> String {
    if let Some(name) = name.strip_prefix('-') {
        return format!("not {}", status_title(name));
    }
    Metric::parse(name).map_or("Unknown", Metric::title).to_owned()
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

fn source(value: &str) -> Result<SourceRef, Error> {
    let (kind, id) = value.split_once(':').unwrap_or((value, ""));
    let is_known = match SourceKind::parse(kind) {
        Some(_) => !id.is_empty(),
        None => kind == "unknown",
    };
    if !is_known {
        return Err(Error::BadRequest(format!(
            "`source={value}` names no source. It is a kind and an id, such as campaign:3; kinds are campaign, \
            broadcast, newsletter, transactional and unknown."
        )));
    }
    Ok(SourceRef { kind: kind.into(), id: id.into() })
}

/// A source as it stands in an address.
pub fn source_value(source: &SourceRef) -> String {
    if source.id.is_empty() { source.kind.clone() } else { format!("{}:{}", source.kind, source.id) }
}

fn recipient(value: &str) -> Recipient {
    match value.strip_suffix('*') {
        Some(start) if !start.is_empty() => Recipient::StartingWith(start.into()),
        _ => Recipient::Exactly(value.into()),
    }
}

fn cursor(key: &str, value: &str) -> Result<Cursor, Error> {
    let parts = value.split_once('.').and_then(|(created, id)| Some((created.parse().ok()?, id.parse().ok()?)));
    parts.map(|(created_at_ms, id)| Cursor { created_at_ms, id }).ok_or_else(|| {
        Error::BadRequest(format!("`{key}={value}` is no place in the log. Take it out of the address to start anew."))
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
    fn a_place_is_no_filter() {
        let read = parse("before=1795269731500.42").unwrap();
        assert_eq!(read.at, At::OlderThan(Cursor { created_at_ms: 1_795_269_731_500, id: 42 }));
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
