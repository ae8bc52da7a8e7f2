//! How far deliveries came: a bar for each metric, with its rate.

use askama::Template;
use askama::filters::HtmlSafe;

use super::automated::Automated;
use super::parts::{Badge, Behind, Figure, Linked, tracked};
use crate::domain::rollup::{self, ChannelCounts};
use crate::domain::{Channel, Counted, Metric};
use crate::web::address::Address;
use crate::web::format::Percent;

#[derive(Template)]
#[template(path = "parts/funnel.html")]
pub struct Funnel {
    pub title: &'static str,
    steps: Vec<Step>,
    /// Of a bar.
    height: usize,
}

impl HtmlSafe for Funnel {}

struct Step {
    badge: Badge,
    deliveries: Figure,
    rates: String,
    events: Linked,
    /// Of a hundred of all created.
    width: i64,
}

/// The way of a message.
const STEPS: [Metric; 5] = [Metric::Sent, Metric::Delivered, Metric::Opened, Metric::Clicked, Metric::Converted];

const PROBLEMS: [Metric; 6] =
    [Metric::Bounced, Metric::Suppressed, Metric::Failed, Metric::Undeliverable, Metric::Unsubscribed, Metric::Spammed];

const DETAILS: [Metric; 4] = [Metric::Drafted, Metric::Attempted, Metric::Deferred, Metric::Replied];

/// The funnel, the problems, and what is between.
pub fn all(channels: &[ChannelCounts], behind: &Behind, automated: Automated) -> [Funnel; 3] {
    [
        ("Funnel", &STEPS[..], 8), //
        ("Problems", &PROBLEMS[..], 4),
        ("Details", &DETAILS[..], 4),
    ]
    .map(|(title, metrics, height)| Funnel {
        title,
        height,
        steps: metrics.iter().map(|metric| Step::new(*metric, channels, behind, automated)).collect(),
    })
}

fn deliveries(channels: &[ChannelCounts], counted: Counted) -> i64 {
    channels.iter().map(|counts| counts.shown.deliveries(counted)).sum()
}

/// What a metric counts as.
fn counted(metric: Metric, automated: Automated) -> Counted {
    match metric {
        Metric::Opened => automated.opened(),
        Metric::Clicked => automated.clicked(),
        metric => Counted::Metric(metric),
    }
}

/// The channels that can report it.
fn reporting(channels: &[ChannelCounts], counted: Counted) -> Vec<ChannelCounts> {
    channels.iter().filter(|it| rollup::rate(counted, std::slice::from_ref(it)).is_some()).cloned().collect()
}

impl Step {
    fn new(metric: Metric, channels: &[ChannelCounts], behind: &Behind, automated: Automated) -> Step {
        let of = counted(metric, automated);
        let rate = rollup::rate(of, channels);
        let share = rate.and_then(|rate| Some(format!("{} of {}", Percent(rate.share()?), rate.of.name())));
        // beside the usual rate, that of the step before
        let before = match metric {
            Metric::Clicked => Some((automated.opened(), "click-to-open")),
            Metric::Converted => Some((automated.clicked(), "of clicked")),
            _ => None,
        };
        let step = before.and_then(|(before, words)| {
            let both = reporting(&reporting(channels, before), of);
            let n = deliveries(&both, before);
            (n > 0).then(|| format!("{} {words}", Percent(deliveries(&both, of) as f64 / n as f64)))
        });
        let count = rate.map_or(0, |rate| rate.numerator);
        let created = deliveries(channels, Counted::Created).max(1);
        let events = channels.iter().map(|counts| counts.shown.events(of)).sum();
        Step {
            badge: Badge::of(Some(metric)),
            deliveries: tracked(of, channels, Some(behind.deliveries(of))),
            rates: share.into_iter().chain(step).collect::<Vec<_>>().join(" · "),
            events: Linked::new(events, behind.events(of.name())),
            width: if count == 0 { 0 } else { (count * 100 / created).clamp(1, 100) },
        }
    }
}

/// Deliveries that came so far and no further: only of channels that can report what was not done.
pub fn segments(channels: &[ChannelCounts], behind: &Behind, automated: Automated) -> Vec<(&'static str, Address)> {
    let list = |(title, did, did_not): (&'static str, Metric, Metric)| {
        let (did, did_not) = (counted(did, automated), counted(did_not, automated));
        let reporting = reporting(channels, did_not);
        if deliveries(&reporting, did) == 0 {
            return None;
        }
        let mut log = behind.log.clone().with("ever", did.name()).with("-ever", did_not.name());
        if reporting.len() < channels.len() {
            let names = reporting.iter().map(|counts| counts.channel.map_or("unknown", Channel::name));
            log = names.fold(log.without("channel"), |log, name| log.with("channel", name));
        }
        Some((title, log))
    };
    let lists = [
        ("delivered, not opened", Metric::Delivered, Metric::Opened),
        ("opened, not clicked", Metric::Opened, Metric::Clicked),
        ("clicked, not converted", Metric::Clicked, Metric::Converted),
    ];
    lists.into_iter().filter_map(list).collect()
}
