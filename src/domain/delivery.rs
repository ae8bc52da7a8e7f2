//! One message to one recipient: what became of it.
//!
//! A delivery is a function of the set of its events. [`Delivery::of`] is that function, and the definition that
//! `verify` and the property tests hold everything against. [`Delivery::apply`] is the short cut by which one more
//! event is taken in without reading the others; it answers [`Applied::ReadHistory`] whenever the result would
//! depend on an event that it cannot see.

use std::collections::BTreeMap;

use super::suppression::is_mark;
use super::{Attribute, Attributes, Channel, Counted, Event, Metric, Millis, Phase, Text, rollup};

/// A metric that decides a status, and when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub metric: Metric,
    pub at_ms: Millis,
}

impl Standing {
    /// Its key in the join of law 2: in hand-off and outcome the time counts before the rank, elsewhere after it.
    fn key(self) -> (Phase, i64, i64) {
        let rank = i64::from(self.metric.rank());
        match self.metric.phase() {
            phase @ (Phase::Preparation | Phase::Engagement) => (phase, rank, self.at_ms),
            phase @ (Phase::HandOff | Phase::Outcome) => (phase, self.at_ms, rank),
        }
    }
}

/// Which of the counted things a delivery has reached, one bit each, implied opens included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached(pub u32);

impl Reached {
    pub fn has(self, counted: Counted) -> bool {
        self.0 & (1 << counted.index()) != 0
    }

    /// The indexes of what it has reached.
    pub(super) fn all(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let index = left.trailing_zeros();
            left &= left.checked_sub(1)?;
            Some(index as usize)
        })
    }

    fn add(&mut self, counted: Counted) {
        self.0 |= 1 << counted.index();
    }
}

/// What is known of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Each from the earliest event that carries it; the source whole, from the earliest that has a kind.
    pub attributes: Attributes,
    /// The time of its earliest event.
    pub created_at_ms: Millis,
    /// The time of its latest event.
    pub updated_at_ms: Millis,
    /// What became of the sending.
    pub outcome: Option<Standing>,
    /// The reason of the event that decided `outcome`.
    pub failure_reason: Option<Text>,
    /// What the person did.
    pub engagement: Option<Standing>,
    pub reached: Reached,
    /// How many distinct events it has, of any metric.
    pub events: u32,
    /// A push's devices; 0 on other channels.
    pub devices: u32,
    pub devices_bounced: u32,
}

/// What came of [`Delivery::apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Applied {
    /// The delivery now includes the event.
    Done,
    /// The result depends on events that are not at hand; nothing was changed.
    ReadHistory,
}

impl Delivery {
    /// The delivery that these events make. They are of one delivery, each identity once, in any order.
    /// `None` where there are none.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Option<Delivery> {
        let mut ordered: Vec<&Event> = events.into_iter().collect();
        ordered.sort_by(|a, b| a.order(b));
        let (first, last) = (ordered.first()?, ordered.last()?);

        let mut attributes = Attributes::default();
        for event in &ordered {
            attributes.fill(&event.attributes);
        }
        let channel = attributes.channel();
        let mut delivery = Delivery {
            attributes,
            created_at_ms: first.time.ms,
            updated_at_ms: last.time.ms,
            outcome: None,
            failure_reason: None,
            engagement: None,
            reached: Reached::default(),
            events: ordered.len() as u32,
            devices: 0,
            devices_bounced: 0,
        };
        delivery.reached.add(Counted::Created);
        for event in &ordered {
            delivery.reach(event);
        }
        delivery.engagement = greatest(ordered.iter().copied(), is_engagement).map(|(standing, _)| standing);
        delivery.decide_outcome(&ordered, channel);
        Some(delivery)
    }

    /// Takes in an event that is not among those already applied.
    pub fn apply(&mut self, event: &Event) -> Applied {
        if self.needs_history_for(event) {
            return Applied::ReadHistory;
        }
        self.attributes.fill(&event.attributes);
        self.created_at_ms = self.created_at_ms.min(event.time.ms);
        self.updated_at_ms = self.updated_at_ms.max(event.time.ms);
        self.events += 1;
        self.reach(event);
        if let Some(standing) = standing_of(event) {
            if is_engagement(standing.metric) {
                self.engagement = later(self.engagement, standing);
            } else if self.outcome.is_none_or(|outcome| outcome.key() < standing.key()) {
                self.outcome = Some(standing);
                self.failure_reason = event.reason_on(self.attributes.channel()).map(Into::into);
            }
        }
        Applied::Done
    }

    fn needs_history_for(&self, event: &Event) -> bool {
        let standing = standing_of(event).filter(|standing| !is_engagement(standing.metric));
        let is_push = event.attributes.channel().or(self.attributes.channel()) == Some(Channel::Push);
        self.attributes.conflicts_with(&event.attributes)
            // every count moves with the quarter hour of creation
            || rollup::quarter_of(event.time.ms.min(self.created_at_ms)) != rollup::quarter_of(self.created_at_ms)
            // links count deliveries, and this one may have followed it before
            || event.link().is_some()
            || (is_push && (!event.recipients.is_empty() || (self.devices > 0 && (standing.is_some() || event.is(Metric::Spammed)))))
            // who was written to is learned late: what the events before it said is said of that address
            || (self.attributes.get(Attribute::Recipient).is_none()
                && event.attributes.get(Attribute::Recipient).is_some()
                && Metric::ALL.into_iter().any(|metric| is_mark(metric) && self.reached.has(Counted::Metric(metric))))
            // of equal keys the smaller event id says why, and the other's id is not at hand
            || standing.is_some_and(|standing| self.outcome == Some(standing))
    }

    /// The status that the log shows: the latest thing that the person did, else what became of the sending.
    pub fn status(&self) -> Option<Standing> {
        self.engagement.or(self.outcome)
    }

    fn reach(&mut self, event: &Event) {
        let Some(metric) = event.metric.known() else { return };
        self.reached.add(Counted::Metric(metric));
        let implies_open = self.attributes.channel().is_some_and(Channel::click_implies_open);
        if event.is_human_open() {
            self.reached.add(Counted::HumanOpened);
        }
        if event.is_machine_open() {
            self.reached.add(Counted::MachineOpened);
        }
        if event.is_human_click() {
            self.reached.add(Counted::HumanClicked);
            if implies_open {
                self.reached.add(Counted::HumanOpened);
            }
        }
        if event.is_machine_click() {
            self.reached.add(Counted::MachineClicked);
            if implies_open {
                self.reached.add(Counted::MachineOpened);
            }
        }
        if metric == Metric::Clicked && implies_open {
            self.reached.add(Counted::Metric(Metric::Opened));
        }
    }

    /// For a push whose devices are known, its outcome is that of the device that fared best; else the greatest
    /// key of all.
    fn decide_outcome(&mut self, ordered: &[&Event], channel: Option<Channel>) {
        let devices = if channel == Some(Channel::Push) { devices_of(ordered) } else { BTreeMap::new() };
        let decided = if devices.is_empty() {
            greatest(ordered.iter().copied(), is_sending)
        } else {
            self.devices = devices.len() as u32;
            let fared: Vec<_> = devices.into_values().flatten().collect();
            self.devices_bounced =
                fared.iter().filter(|(standing, _)| standing.metric == Metric::Bounced).count() as u32;
            let best = fared.iter().map(|(standing, _)| fare(standing.metric)).min();
            fared.into_iter().filter(|(standing, _)| Some(fare(standing.metric)) == best).reduce(greater)
        };
        if let Some((standing, event)) = decided {
            self.outcome = Some(standing);
            self.failure_reason = event.reason_on(channel).map(Into::into);
        }
    }
}

type Decided<'a> = (Standing, &'a Event);

/// For each device that an event of a known metric names, what became of the sending to it. An event that names
/// no device speaks for all. Each name is looked at once: an event may name as many as its body has room for.
fn devices_of<'a>(events: &[&'a Event]) -> BTreeMap<&'a str, Option<Decided<'a>>> {
    let mut devices: BTreeMap<&str, Option<Decided>> = BTreeMap::new();
    for event in events.iter().copied().filter(|event| event.metric.known().is_some()) {
        let decided = greatest(std::iter::once(event), is_sending);
        for device in &event.recipients {
            let stands = devices.entry(&device.device_id).or_default();
            *stands = (*stands).into_iter().chain(decided).reduce(greater);
        }
    }
    let of_all = greatest(events.iter().copied().filter(|event| event.recipients.is_empty()), is_sending);
    for stands in devices.values_mut() {
        *stands = (*stands).into_iter().chain(of_all).reduce(greater);
    }
    devices
}

/// The event with the greatest key among those whose metric is wanted; of equal keys the smallest event id.
fn greatest<'a>(events: impl Iterator<Item = &'a Event>, wanted: fn(Metric) -> bool) -> Option<Decided<'a>> {
    events
        .filter_map(|event| Some((standing_of(event)?, event)))
        .filter(|(standing, _)| wanted(standing.metric))
        .reduce(greater)
}

fn greater<'a>(a: Decided<'a>, b: Decided<'a>) -> Decided<'a> {
    let order = a.0.key().cmp(&b.0.key()).then_with(|| b.1.id.as_bytes().cmp(a.1.id.as_bytes()));
    if order.is_lt() { b } else { a }
}

fn later(have: Option<Standing>, standing: Standing) -> Option<Standing> {
    match have {
        Some(have) if have.key() >= standing.key() => Some(have),
        _ => Some(standing),
    }
}

fn standing_of(event: &Event) -> Option<Standing> {
    Some(Standing { metric: event.metric.known()?, at_ms: event.time.ms })
}

fn is_engagement(metric: Metric) -> bool {
    metric.phase() == Phase::Engagement
}

fn is_sending(metric: Metric) -> bool {
    !is_engagement(metric)
}

/// How well a device fared, best first.
fn fare(metric: Metric) -> usize {
    const BEST_FIRST: [Metric; 10] = [
        Metric::Delivered,
        Metric::Sent,
        Metric::Deferred,
        Metric::Attempted,
        Metric::Bounced,
        Metric::Suppressed,
        Metric::Undeliverable,
        Metric::Failed,
        Metric::Drafted,
        Metric::Queued,
    ];
    BEST_FIRST.iter().position(|best| *best == metric).unwrap_or(BEST_FIRST.len())
}

#[cfg(test)]
mod tests {
    use crate::domain::{Device, EventTime, MetricName};

    use super::*;

    #[test]
    fn a_push_to_very_many_devices_is_not_the_square_of_work() {
        let push = |id: &str, metric: Metric, at_ms: Millis, devices: std::ops::Range<u32>| {
            let mut event = Event::new("d", MetricName::Known(metric), id, EventTime::given(at_ms), at_ms);
            event.attributes.set(Attribute::Channel, Some("push"));
            event.recipients =
                devices.map(|n| Device { device_id: n.to_string().into(), platform: None, reason: None }).collect();
            event
        };
        // a body of 8 MiB names three times as many: in the square of them it would hold up the writer for minutes
        let many = 100_000;
        let sent = push("a", Metric::Sent, 1_000, 0..many);
        let bounced = push("b", Metric::Bounced, 2_000, 0..many - 1);
        let delivery = Delivery::of([&sent, &bounced]).unwrap();
        assert_eq!((delivery.devices, delivery.devices_bounced), (many, many - 1));
        assert_eq!(delivery.outcome, Some(Standing { metric: Metric::Sent, at_ms: 1_000 }));
        let failed = push("c", Metric::Failed, 3_000, 0..0);
        assert_eq!(Delivery::of([&sent, &failed]).unwrap().outcome.map(|o| o.metric), Some(Metric::Failed));
    }
}
