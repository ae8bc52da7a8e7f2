//! What a delivery adds to the counts, and how a change of it moves them.
//!
//! A contribution is taken away before a change and added after it; the sum of all is what a recount would find.
//! Contributions of a [`Delivery`] are of two halves: what follows from the delivery itself (it counts once per
//! metric) and what follows from its events (each counts once). [`Delta::add`] takes both, so one more event is
//! `add(after, [event])` and `take(before, [])`, and a delivery read again is `add(after, all)` and
//! `take(before, all)`.

use std::hash::Hash;

use hashbrown::{DefaultHashBuilder, Equivalent, HashMap};
use indexmap::{IndexMap, IndexSet};

use super::message::{Feed, Message, MessageRef};
use super::suppression::{self, Mark};
use super::{Attribute, Attributes, Channel, Counted, Delivery, Event, Metric, Millis, Source, Text};

/// A quarter of an hour: every time zone in use is a multiple of it.
pub const QUARTER_MS: Millis = 15 * 60 * 1000;

/// The number of the UTC quarter hour that a time lies in, counted from 1970.
pub fn quarter_of(ms: Millis) -> i64 {
    ms.div_euclid(QUARTER_MS)
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
        for counted in delivery.reached.all() {
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

/// One click, under the link it followed: the rows behind a link's figures.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Click {
    pub link: Link,
    pub at_ms: Millis,
    pub delivery_id: Text,
    pub event_id: Text,
}

/// How the counts move. What moves is held by the place of its message or feed, so that a delivery's message is looked up
/// once, however many counts it moves, and without copying its names.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// With the place of each one's feed.
    messages: IndexMap<Message, usize, DefaultHashBuilder>,
    feeds: IndexSet<Feed, DefaultHashBuilder>,
    /// By message and the quarter hour of creation.
    cohorts: IndexMap<(usize, i64), Counts, DefaultHashBuilder>,
    /// Of each send of a broadcast, by feed.
    triggers: HashMap<usize, HashMap<Text, Counts>>,
    /// By feed and the quarter hour of the events themselves.
    activity: IndexMap<(usize, i64), [i64; Counted::COUNT], DefaultHashBuilder>,
    /// How many deliveries of a feed stand so now, by outcome and engagement.
    statuses: HashMap<(usize, Option<Metric>, Option<Metric>), i64>,
    pub links: HashMap<Link, LinkCounts>,
    /// Clicks that came (1) or went to another link (-1).
    pub clicks: HashMap<Click, i64>,
    /// What lists an address for suppression: came (1) or went (-1).
    pub causes: HashMap<Mark, i64>,
    /// What lifts such a listing, likewise; most are of addresses that are on no list.
    pub lifts: HashMap<Mark, i64>,
}

impl Delta {
    /// The messages whose counts move, in the order of their places.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.keys()
    }

    /// The feeds, likewise.
    pub fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.feeds.iter()
    }

    /// By the place of the message and the quarter hour of creation.
    pub fn cohorts(&self) -> impl Iterator<Item = (usize, i64, &Counts)> {
        let moved = self.cohorts.iter().filter(|(_, counts)| !counts.is_zero());
        moved.map(|((message, quarter), counts)| (*message, *quarter, counts))
    }

    /// Of the whole life, by the place of the feed.
    pub fn totals(&self) -> impl Iterator<Item = (usize, Counts)> {
        let mut totals = vec![Counts::default(); self.feeds.len()];
        for (message, _, counts) in self.cohorts() {
            totals[self.messages[message]].add(counts, 1);
        }
        totals.into_iter().enumerate().filter(|(_, counts)| !counts.is_zero())
    }

    /// Of each send of a broadcast, by the place of the feed.
    pub fn triggers(&self) -> impl Iterator<Item = (usize, &Text, &Counts)> {
        let of_feed = self.triggers.iter();
        let all = of_feed.flat_map(|(feed, moved)| moved.iter().map(|(trigger, counts)| (*feed, trigger, counts)));
        all.filter(|(_, _, counts)| !counts.is_zero())
    }

    /// By the place of the feed and the quarter hour of the events themselves.
    pub fn activity(&self) -> impl Iterator<Item = (usize, i64, &[i64; Counted::COUNT])> {
        let moved = self.activity.iter().filter(|(_, events)| events.iter().any(|n| *n != 0));
        moved.map(|((feed, quarter), events)| (*feed, *quarter, events))
    }

    /// How many deliveries stand so now, by the place of the feed, the outcome and the engagement.
    pub fn statuses(&self) -> impl Iterator<Item = (usize, Option<Metric>, Option<Metric>, i64)> {
        let moved = self.statuses.iter().filter(|(_, n)| **n != 0);
        moved.map(|((feed, outcome, engagement), n)| (*feed, *outcome, *engagement, *n))
    }

    /// Adds what a delivery and these of its events contribute.
    pub fn add<'a>(&mut self, delivery: &Delivery, events: impl IntoIterator<Item = &'a Event> + Clone) {
        self.shift(&[(delivery, 1)], delivery, events, 1);
    }

    /// Takes away what a delivery and these of its events contribute.
    pub fn take<'a>(&mut self, delivery: &Delivery, events: impl IntoIterator<Item = &'a Event> + Clone) {
        self.shift(&[(delivery, -1)], delivery, events, -1);
    }

    /// What a delivery contributes that was one thing and is another by these events.
    pub fn change<'a>(
        &mut self,
        before: &Delivery,
        after: &Delivery,
        events: impl IntoIterator<Item = &'a Event> + Clone,
    ) {
        let cohort = |delivery: &Delivery| quarter_of(delivery.created_at_ms);
        if cohort(before) == cohort(after) && before.attributes == after.attributes {
            self.shift(&[(before, -1), (after, 1)], after, events, 1);
        } else {
            self.take(before, []);
            self.add(after, events);
        }
    }

    /// Adds deliveries, and events of the last, which stands where they all do.
    fn shift<'a>(
        &mut self,
        deliveries: &[(&Delivery, i64)],
        last: &Delivery,
        events: impl IntoIterator<Item = &'a Event> + Clone,
        sign: i64,
    ) {
        self.shift_links(last, events.clone(), sign);
        suppression::marks(last, events.clone(), |mark| {
            let marks = if mark.is_lift() { &mut self.lifts } else { &mut self.causes };
            *marks.entry(mark).or_default() += sign;
        });

        let (message, feed) = self.places(&last.attributes);
        let add_to = |counts: &mut Counts| {
            deliveries.iter().for_each(|(delivery, sign)| counts.add_delivery(delivery, *sign));
            counts.add_events(events.clone(), sign);
        };
        add_to(self.cohorts.entry((message, quarter_of(last.created_at_ms))).or_default());
        if let (Some(trigger), Some(_)) = (last.attributes.get(Attribute::TriggerId), last.attributes.source_ref()) {
            add_to(value_of(self.triggers.entry(feed).or_default(), trigger));
        }
        for event in events {
            let mut kinds = kinds_of(event).peekable();
            if kinds.peek().is_some() {
                let row = self.activity.entry((feed, quarter_of(event.time.ms))).or_default();
                kinds.for_each(|counted| row[counted.index()] += sign);
            }
        }
        for (delivery, sign) in deliveries {
            let [outcome, engagement] =
                [delivery.outcome, delivery.engagement].map(|standing| standing.map(|it| it.metric));
            *self.statuses.entry((feed, outcome, engagement)).or_default() += sign;
        }
    }

    /// The places of a message and of its feed.
    fn places(&mut self, attributes: &Attributes) -> (usize, usize) {
        let message = MessageRef::of(attributes);
        if let Some((place, _, feed)) = self.messages.get_full(&message) {
            return (place, *feed);
        }
        let message = Message::from(&message);
        let (feed, _) = self.feeds.insert_full(message.feed.clone());
        let (place, _) = self.messages.insert_full(message, feed);
        (place, feed)
    }

    fn shift_links<'a>(&mut self, delivery: &Delivery, events: impl IntoIterator<Item = &'a Event>, sign: i64) {
        let mut links: HashMap<&str, (i64, bool, bool)> = HashMap::new();
        for event in events {
            let Some(link) = event.link() else { continue };
            let (clicks, human, machine) = links.entry(link).or_default();
            *clicks += 1;
            *human |= event.is_human_click();
            *machine |= event.is_machine_click();
            let click = Click {
                link: link_of(delivery, link),
                at_ms: event.time.ms,
                delivery_id: event.delivery_id.clone(),
                event_id: event.id.clone(),
            };
            *self.clicks.entry(click).or_default() += sign;
        }
        for (link, (clicks, human, machine)) in links {
            let counts = self.links.entry(link_of(delivery, link)).or_default();
            counts.events += sign * clicks;
            counts.deliveries += sign;
            counts.human_deliveries += sign * i64::from(human);
            counts.machine_deliveries += sign * i64::from(machine);
        }
    }

    /// Drops of links, clicks and addresses what came to nothing.
    pub fn settle(&mut self) {
        self.links.retain(|_, counts| *counts != LinkCounts::default());
        self.clicks.retain(|_, n| *n != 0);
        self.causes.retain(|_, n| *n != 0);
        self.lifts.retain(|_, n| *n != 0);
    }
}

/// The value of a key, which is copied only where it is new.
fn value_of<'m, K, Q, V>(map: &'m mut HashMap<K, V>, key: &Q) -> &'m mut V
where
    K: Eq + Hash + for<'q> From<&'q Q>,
    Q: Hash + Equivalent<K> + ?Sized,
    V: Default,
{
    if !map.contains_key(key) {
        map.insert(K::from(key), V::default());
    }
    map.get_mut(key).expect("invariant: it was put there if it was not")
}

fn link_of(delivery: &Delivery, link: &str) -> Link {
    let action_id = delivery.attributes.get(Attribute::ActionId).map(Text::from);
    Link { source: delivery.attributes.source(), action_id, link: link.into() }
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
