//! Components that several pages share: badges, times, figures with their rates.

use std::fmt::Display;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::rollup::{self, ChannelCounts};
use crate::domain::{Channel, Counted, FirstTimes, Metric, Millis, SourceKind};
use crate::store::query::log::SourceRef;
use crate::store::query::totals::Total;
use crate::web::address::Address;
use crate::web::format::{Ago, Clock, Count, Exact, Iso, Percent, Plural};

/// The log by one filter.
pub fn log_of(base: &str, key: &str, value: &str) -> Address {
    Address::new(base, "/deliveries").with(key, value)
}

/// A source as written in an address.
pub fn source_value(source: &SourceRef) -> String {
    if source.id.is_empty() { source.kind.clone() } else { format!("{}:{}", source.kind, source.id) }
}

/// A status: a shape, a word and a colour.
#[derive(Template, Clone, Debug, PartialEq)]
#[template(path = "parts/badge.html")]
pub struct Badge {
    pub name: &'static str,
    pub word: &'static str,
    pub meaning: &'static str,
}

impl HtmlSafe for Badge {}

impl Badge {
    pub fn of(status: Option<Metric>) -> Badge {
        match status {
            Some(metric) => Badge { name: metric.name(), word: metric.title(), meaning: metric.meaning() },
            None => Badge { name: "unknown", word: "Unknown", meaning: "no event reports a result" },
        }
    }
}

/// A time relative to now, with the exact one in its tooltip, or the other way round.
#[derive(Template, Clone, Debug)]
#[template(
    source = r#"<time{% if is_ago %} class="ago"{% endif %} datetime="{{ iso }}" title="{{ exact }}">{{ text }}</time>"#,
    ext = "html"
)]
pub struct Moment {
    pub iso: String,
    pub exact: String,
    pub text: String,
    /// Its text is relative to now; the style sheet prints the exact time instead.
    is_ago: bool,
}

impl HtmlSafe for Moment {}

impl Moment {
    pub fn ago(at_ms: Millis, now_ms: Millis) -> Moment {
        let text = Ago { at_ms, now_ms }.to_string();
        Moment { iso: Iso(at_ms).to_string(), exact: Exact(at_ms).to_string(), text, is_ago: true }
    }

    /// The exact time as text, its age in the tooltip.
    pub fn exact(at_ms: Millis, now_ms: Millis) -> Moment {
        let exact = Ago { at_ms, now_ms }.to_string();
        Moment { iso: Iso(at_ms).to_string(), exact, text: Exact(at_ms).to_string(), is_ago: false }
    }

    /// The time of day at which a page was made.
    pub fn now(now_ms: Millis) -> Moment {
        let text = format!("{} UTC", Clock(now_ms / 1_000 * 1_000));
        Moment { iso: Iso(now_ms).to_string(), exact: Exact(now_ms).to_string(), text, is_ago: false }
    }
}

/// How many were found, as far as it is known.
pub fn total_text(total: Total, one: &'static str, many: &'static str) -> String {
    match total {
        Total::Exactly(n) => Plural(n, one, many).to_string(),
        Total::MoreThan(n) => format!("more than {} {many}", Count(n)),
        Total::AtLeast(0) => "no matches yet".into(),
        Total::AtLeast(n) => format!("{}+ {many}", Count(n)),
    }
}

/// A text as HTML, with an element for each of these times that it names as [`Exact`] writes them.
pub fn with_times(text: &str, times: impl IntoIterator<Item = Millis>) -> String {
    let html =
        askama::filters::escape(text, askama::filters::Html).map_or_else(|never| match never {}, |it| it.to_string());
    let times: std::collections::BTreeSet<Millis> = times.into_iter().collect();
    times.into_iter().fold(html, |html, ms| {
        let exact = Exact(ms).to_string();
        html.replace(&exact, &format!("<time datetime=\"{}\">{exact}</time>", Iso(ms)))
    })
}

/// The milestones that a delivery reached, in fixed order.
pub fn milestones(reached: FirstTimes) -> Vec<Milestone> {
    use Metric::*;
    let order = [
        Sent,
        Delivered,
        Opened,
        Clicked,
        Replied,
        Converted,
        Deferred,
        Bounced,
        Suppressed,
        Failed,
        Undeliverable,
        Unsubscribed,
        Spammed,
    ];
    let milestone = |metric: Metric| {
        let by_machine = match metric {
            Opened => reached.has(Counted::MachineOpened) && !reached.has(Counted::HumanOpened),
            Clicked => reached.has(Counted::MachineClicked) && !reached.has(Counted::HumanClicked),
            _ => false,
        };
        Milestone { name: metric.name(), title: metric.title(), by_machine }
    };
    order.into_iter().filter(|metric| reached.has(Counted::Metric(*metric))).map(milestone).collect()
}

#[derive(PartialEq)]
pub struct Milestone {
    pub name: &'static str,
    pub title: &'static str,
    /// FirstTimes by machines only.
    pub by_machine: bool,
}

/// Links from figures to the rows that they count: deliveries in the log and events in their list, by one filter.
#[derive(Clone)]
pub struct Behind {
    pub log: Address,
    events: Address,
}

impl Behind {
    pub fn new(base: &str) -> Behind {
        Behind { log: Address::new(base, "/deliveries"), events: Address::new(base, "/events") }
    }

    /// All deliveries of a source.
    pub fn source(base: &str, source: &SourceRef) -> Behind {
        Behind::new(base).with("source", source_value(source))
    }

    pub fn with(self, key: &str, value: impl Display) -> Behind {
        let value = value.to_string();
        self.on(|address| address.with(key, &value))
    }

    /// Changes both addresses alike.
    pub fn on(self, change: impl Fn(Address) -> Address) -> Behind {
        Behind { log: change(self.log), events: change(self.events) }
    }

    /// The deliveries that reached it.
    pub fn deliveries(&self, counted: Counted) -> String {
        match counted {
            Counted::Created => self.log.to_string(),
            counted => self.log.clone().with("ever", counted.name()).to_string(),
        }
    }

    /// The events of a metric, or of its human or machine part.
    pub fn events(&self, metric: &str) -> String {
        self.events.clone().with("metric", metric).to_string()
    }

    /// A row for each problem of each delivery.
    pub fn problems(&self) -> String {
        self.events.clone().with("metric", "problem").with("once", 1).to_string()
    }

    pub fn events_by(&self, metric: &str, by: &str) -> String {
        self.events.clone().with("metric", metric).with("by", by).to_string()
    }
}

/// A number that links to the rows that it counts. Zero links nowhere.
#[derive(Template, Clone, Debug)]
#[template(
    source = r#"{% if count.is_positive() && !href.is_empty() %}<a href="{{ href }}">{{ self.count() }}</a>{% else %}{{ self.count() }}{% endif %}"#,
    ext = "html"
)]
pub struct Linked {
    pub count: i64,
    pub href: String,
}

impl HtmlSafe for Linked {}

impl Linked {
    pub fn new(count: i64, href: String) -> Linked {
        Linked { count, href }
    }

    /// A number without rows to link to.
    pub fn plain(count: i64) -> Linked {
        Linked { count, href: String::new() }
    }

    pub fn count(&self) -> Count {
        Count(self.count)
    }
}

/// A count that links to its rows, and its share of a denominator.
#[derive(Template, Clone, Debug, Default)]
#[template(path = "parts/figure.html")]
pub struct Figure {
    /// `None`: no channel here can report it.
    pub count: Option<i64>,
    pub href: Option<String>,
    /// `36.1%`.
    pub share: Option<String>,
    /// A rate of nothing, which is shown as a dash.
    pub is_of_none: bool,
    /// `798`.
    pub total: String,
    /// `of 798 delivered`.
    pub of: String,
}

impl HtmlSafe for Figure {}

impl Figure {
    pub fn count(&self) -> Count {
        Count(self.count.unwrap_or(0))
    }

    pub fn plain(count: i64, href: Option<String>) -> Figure {
        Figure { count: Some(count), href: href.filter(|_| count > 0), ..Figure::default() }
    }

    /// The rate of a metric over some channels.
    pub fn rate(counted: Counted, channels: &[ChannelCounts], href: Option<String>) -> Figure {
        let Some(rate) = rollup::rate(counted, channels) else { return Figure::default() };
        Figure {
            count: Some(rate.numerator),
            href: href.filter(|_| rate.numerator > 0),
            share: rate.share().map(|share| Percent(share).to_string()),
            is_of_none: rate.numerator == 0 && rate.share().is_none(),
            total: Count(rate.denominator).to_string(),
            of: format!("of {} {}", Count(rate.denominator), rate.of.name()),
        }
    }
}

/// A count that says so where no channel can report it.
pub fn tracked(counted: Counted, channels: &[ChannelCounts], href: Option<String>) -> Figure {
    let mut figure = Figure::rate(counted, channels, href);
    (figure.share, figure.is_of_none) = (None, false);
    figure
}

/// The metrics of failed sendings and of complaints.
pub const PROBLEMS: [Metric; 5] =
    [Metric::Bounced, Metric::Suppressed, Metric::Failed, Metric::Undeliverable, Metric::Spammed];

/// The sum of their counts: a delivery with two of them counts twice.
pub fn problems(channels: &[ChannelCounts]) -> i64 {
    let of = |counts: &ChannelCounts| -> i64 {
        PROBLEMS.iter().map(|metric| counts.shown.deliveries(Counted::Metric(*metric))).sum()
    };
    channels.iter().map(of).sum()
}

/// A channel's title, or the name of one that is not in the table.
pub fn channel_title(channel: Option<&str>) -> String {
    match channel {
        None => "Unknown".into(),
        Some(name) => match Channel::parse(name) {
            Some(Channel::InApp) => "In-app".into(),
            Some(channel) => channel.title().into(),
            None => name.into(),
        },
    }
}

/// The ID of a channel's symbol in the sprite.
pub fn channel_icon(channel: Option<&str>) -> &'static str {
    channel.and_then(Channel::parse).map_or("channel", Channel::name)
}

/// `3 devices`, or `1 of 3 devices bounced`.
pub fn devices_summary(devices: i64, bounced: i64) -> String {
    match Plural(devices, "device", "devices") {
        all if bounced == 0 || devices == 1 => all.to_string(),
        all => format!("{bounced} of {all} bounced"),
    }
}

/// A source's name, else its kind and ID.
pub fn source_title(source: &SourceRef, name: Option<&str>) -> String {
    match (name, SourceKind::parse(&source.kind)) {
        (Some(name), _) => name.to_owned(),
        (None, Some(kind)) if source.id.is_empty() => format!("Every {}", kind.title().to_lowercase()),
        (None, Some(kind)) => format!("{} {}", kind.title(), source.id),
        (None, None) => "No source".into(),
    }
}

pub fn source_address(base: &str, source: &SourceRef) -> Address {
    let id = if source.id.is_empty() { "-" } else { &source.id };
    Address::new(base, "/campaigns").segment(&source.kind).segment(id)
}

/// The page of the person with this identifier.
pub fn person_address(base: &str, identifier: &str) -> Address {
    Address::new(base, "/people").segment(identifier)
}
