//! What a delivery adds to the counts, and how a change of it moves them.
//!
//! A contribution is taken away before a change and added after it; the sum of all is what a recount would find.
//! Contributions of a [`Delivery`] are of two halves: what follows from the delivery itself (it counts once per
//! metric) and what follows from its events (each counts once). [`Delta::change`] takes a delivery with the events that
//! are new; one that counts elsewhere now is [`Delta::take`] of all and [`Delta::add`] of all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::message::{Feed, Message};
use super::suppression::{self, Mark};
use super::{Attribute, Channel, Counted, Delivery, Event, Metric, Millis, Source, Text};

/// A quarter of an hour: every time zone in use is a multiple of it.
pub const QUARTER_MS: Millis = 15 * 60 * 1000;

/// When the UTC quarter hour begins that a time lies in.
pub fn bucket_of(ms: Millis) -> Millis {
    ms.div_euclid(QUARTER_MS) * QUARTER_MS
}

/// How many deliveries and how many events, for each counted thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    pub deliveries: [i64; Counted::COUNT],
    pub events: [i64; Counted::COUNT],
}

impl Default for Counts {
    fn default() -> Self {
        Counts { deliveries: [0; Counted::COUNT], events: [0; Counted::COUNT] }
    }
}

impl Counts {
    pub fn is_zero(&self) -> bool {
        self.deliveries.iter().chain(&self.events).all(|n| *n == 0)
    }

    pub fn deliveries(&self, counted: Counted) -> i64 {
        self.deliveries[counted.index()]
    }

    pub fn events(&self, counted: Counted) -> i64 {
        self.events[counted.index()]
    }

    pub fn add(&mut self, other: &Counts, sign: i64) {
        for (n, other) in self.deliveries.iter_mut().zip(other.deliveries) {
            *n += sign * other;
        }
        for (n, other) in self.events.iter_mut().zip(other.events) {
            *n += sign * other;
        }
    }

    /// Adds what follows from a delivery itself.
    fn add_delivery(&mut self, delivery: &Delivery, sign: i64) {
        for counted in delivery.first.reached() {
            self.deliveries[counted] += sign;
        }
    }

    /// Adds what follows from events.
    fn add_events<'a>(&mut self, events: impl IntoIterator<Item = &'a Event>, sign: i64) {
        for counted in events.into_iter().flat_map(kinds_of) {
            self.events[counted.index()] += sign;
        }
    }
}

/// What one event counts as. An implied open is no event; an unknown metric has no rollup.
fn kinds_of(event: &Event) -> impl Iterator<Item = Counted> {
    let halves = [
        (event.is_human_open(), Counted::HumanOpened),
        (event.is_machine_open(), Counted::MachineOpened),
        (event.is_human_click(), Counted::HumanClicked),
        (event.is_machine_click(), Counted::MachineClicked),
    ];
    let halves = halves.into_iter().filter(|(is, _)| *is).map(|(_, counted)| counted);
    event.metric.known().map(Counted::Metric).into_iter().chain(halves)
}

/// A link within a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Link {
    pub source: Option<Source>,
    pub action_id: Option<Text>,
    /// The link id, else the address.
    pub link: Text,
}

/// How often a link was followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounts {
    pub events: i64,
    pub deliveries: i64,
    pub human_deliveries: i64,
    pub machine_deliveries: i64,
}

/// The latest click of a link that shows where the link leads: its time, its event id and the address.
pub type AddressSeen = (Millis, Text, Text);

/// Whether one was seen after another; of two clicks with one id at one moment the smaller address counts as later.
fn is_later(seen: &AddressSeen, other: &AddressSeen) -> bool {
    let order = (seen.0, seen.1.as_bytes()).cmp(&(other.0, other.1.as_bytes()));
    order.then_with(|| other.2.cmp(&seen.2)).is_gt()
}

/// How a link's figures move.
#[derive(Clone, Debug, Default)]
pub struct LinkDelta {
    pub counts: LinkCounts,
    /// The latest click among those that came.
    pub came: Option<AddressSeen>,
    /// The latest among those that went: where it shows the address, another must.
    pub went: Option<AddressSeen>,
}

/// The outcome and the engagement of a delivery.
pub type Statuses = (Option<Metric>, Option<Metric>);

/// How the counts move.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// By message and the quarter hour of creation.
    pub cohorts: BTreeMap<(Message, Millis), Counts>,
    /// Of each send of a broadcast.
    pub triggers: BTreeMap<(Arc<Feed>, Text), Counts>,
    /// By the quarter hour of the events themselves.
    pub activity: BTreeMap<(Arc<Feed>, Millis), [i64; Counted::COUNT]>,
    /// How many deliveries have this outcome and engagement now.
    pub statuses: BTreeMap<(Arc<Feed>, Statuses), i64>,
    pub links: BTreeMap<Link, LinkDelta>,
    /// What lists an address for suppression: came (1) or went (-1).
    pub causes: HashMap<Mark, i64>,
    /// What lifts such a listing, likewise; most are of addresses that are on no list.
    pub lifts: HashMap<Mark, i64>,
}

impl Delta {
    /// Of the whole life of each feed.
    pub fn totals(&self) -> BTreeMap<Arc<Feed>, Counts> {
        let mut totals: BTreeMap<Arc<Feed>, Counts> = BTreeMap::new();
        for ((message, _), counts) in &self.cohorts {
            totals.entry(message.feed.clone()).or_default().add(counts, 1);
        }
        totals
    }

    /// Adds what a delivery and all of its events contribute.
    pub fn add<'a>(&mut self, delivery: &Delivery, events: impl IntoIterator<Item = &'a Event> + Clone) {
        self.shift(&[(delivery, 1)], delivery, events, 1);
    }

    /// Takes away what a delivery and all of its events contribute.
    pub fn take<'a>(&mut self, delivery: &Delivery, events: impl IntoIterator<Item = &'a Event> + Clone) {
        self.shift(&[(delivery, -1)], delivery, events, -1);
    }

    /// What a delivery contributes that was one thing and is another by these events. It counts where it did.
    pub fn change<'a>(
        &mut self,
        before: &Delivery,
        after: &Delivery,
        events: impl IntoIterator<Item = &'a Event> + Clone,
    ) {
        self.shift(&[(before, -1), (after, 1)], after, events, 1);
    }

    /// Adds deliveries that count under the same message, and events of the last.
    fn shift<'a>(
        &mut self,
        deliveries: &[(&Delivery, i64)],
        last: &Delivery,
        events: impl IntoIterator<Item = &'a Event> + Clone,
        sign: i64,
    ) {
        suppression::marks(last, events.clone(), |mark| {
            let marks = if mark.is_lift() { &mut self.lifts } else { &mut self.causes };
            *marks.entry(mark).or_default() += sign;
        });
        let message = Message::of(&last.attributes);
        let feed = message.feed.clone();
        let add_to = |counts: &mut Counts| {
            deliveries.iter().for_each(|(delivery, sign)| counts.add_delivery(delivery, *sign));
            counts.add_events(events.clone(), sign);
        };
        self.shift_links(deliveries, &message, events.clone(), sign);
        add_to(self.cohorts.entry((message, bucket_of(last.created_at_ms))).or_default());
        if let (Some(trigger), Some(_)) = (last.attributes.get(Attribute::TriggerId), last.attributes.source_ref()) {
            add_to(self.triggers.entry((feed.clone(), trigger.into())).or_default());
        }
        for event in events {
            let mut kinds = kinds_of(event).peekable();
            if kinds.peek().is_some() {
                let row = self.activity.entry((feed.clone(), bucket_of(event.time.ms))).or_default();
                kinds.for_each(|counted| row[counted.index()] += sign);
            }
        }
        for (delivery, sign) in deliveries {
            let outcome = delivery.outcome().map(|outcome| outcome.status.metric);
            let engagement = delivery.engagement.map(|engagement| engagement.metric);
            *self.statuses.entry((feed.clone(), (outcome, engagement))).or_default() += sign;
        }
    }

    fn shift_links<'a>(
        &mut self,
        deliveries: &[(&Delivery, i64)],
        message: &Message,
        events: impl IntoIterator<Item = &'a Event>,
        sign: i64,
    ) {
        let key = |link: &str| Link {
            source: message.feed.source.clone(),
            action_id: message.action_id.clone(),
            link: link.into(),
        };
        for (delivery, sign) in deliveries {
            for (link, followed) in &delivery.links {
                let counts = &mut self.links.entry(key(link)).or_default().counts;
                counts.deliveries += sign;
                counts.human_deliveries += sign * i64::from(followed.by_human);
                counts.machine_deliveries += sign * i64::from(followed.by_machine);
            }
        }
        for event in events {
            let Some(link) = event.link() else { continue };
            let moved = self.links.entry(key(link)).or_default();
            moved.counts.events += sign;
            let latest = if sign > 0 { &mut moved.came } else { &mut moved.went };
            if let Some(address) = event.address() {
                let seen = (event.time.ms, event.id.clone(), address.into());
                if latest.as_ref().is_none_or(|latest| is_later(&seen, latest)) {
                    *latest = Some(seen);
                }
            }
        }
    }
}

/// The denominator of a rate, named where the rate is shown (law 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub numerator: i64,
    pub denominator: i64,
    pub of: Denominator,
}

/// What a rate divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denominator {
    /// On channels that ever reported it there.
    Delivered,
    /// On the others.
    Sent,
    /// Some channels by the one, some by the other.
    DeliveredOrSent,
    Created,
    Opened,
}

impl Denominator {
    pub fn name(self) -> &'static str {
        match self {
            Denominator::Delivered => "delivered",
            Denominator::Sent => "sent",
            Denominator::DeliveredOrSent => "delivered or sent",
            Denominator::Created => "created",
            Denominator::Opened => "opened",
        }
    }
}

impl Rate {
    /// A share between 0 and 1, or more where counts allow it: it is never capped. `None` without a denominator.
    pub fn share(self) -> Option<f64> {
        (self.denominator > 0).then(|| self.numerator as f64 / self.denominator as f64)
    }
}

/// One channel's counts within a source: those shown, and those of its whole life, which choose the denominator.
#[derive(Clone, Debug)]
pub struct ChannelCounts {
    pub channel: Option<Channel>,
    pub shown: Counts,
    pub whole_life: Counts,
}

/// The rate of a counted thing over some channels: numerators and denominators are summed over the channels that
/// can report it. `None` where no channel can.
pub fn rate(counted: Counted, channels: &[ChannelCounts]) -> Option<Rate> {
    let base = match counted {
        Counted::Created => return None,
        Counted::HumanOpened | Counted::MachineOpened => Metric::Opened,
        Counted::HumanClicked | Counted::MachineClicked => Metric::Clicked,
        Counted::Metric(metric) => metric,
    };
    let mut sum: Option<Rate> = None;
    for counts in channels {
        let can = counts.channel.is_none_or(|channel| channel.reports(base));
        let did = counts.whole_life.deliveries(Counted::Metric(base)) > 0;
        if !can && !did {
            continue;
        }
        let of = denominator(base, &counts.whole_life);
        let by = match of {
            Denominator::Created => Counted::Created,
            Denominator::Delivered => Counted::Metric(Metric::Delivered),
            _ => Counted::Metric(Metric::Sent),
        };
        let (numerator, denominator) = (counts.shown.deliveries(counted), counts.shown.deliveries(by));
        sum = Some(match sum {
            None => Rate { numerator, denominator, of },
            Some(sum) => Rate {
                numerator: sum.numerator + numerator,
                denominator: sum.denominator + denominator,
                of: if sum.of == of { of } else { Denominator::DeliveredOrSent },
            },
        });
    }
    sum
}

fn denominator(metric: Metric, whole_life: &Counts) -> Denominator {
    use Metric::*;
    match metric {
        Suppressed | Failed | Undeliverable | Queued | Drafted | Attempted | Deferred | Sent => Denominator::Created,
        Delivered | Bounced => Denominator::Sent,
        _ if whole_life.deliveries(Counted::Metric(Delivered)) > 0 => Denominator::Delivered,
        _ => Denominator::Sent,
    }
}
