//! One message to one recipient, as its events make it.
//!
//! A delivery is a function of the set of its events. [`Delivery::of`] is that function, and the definition that
//! `verify` and the property tests hold everything against. A [`Delivery`] is also the state of a join: with
//! [`Delivery::apply`] one more event is taken in without the others. Only where what the delivery counts under would
//! move does it ask for the history ([`Applied::ReadHistory`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::supply::{Group, Supplier, Suppliers};
use super::suppression::is_mark;
use super::{Attributes, Channel, Counted, Event, Metric, Millis, Phase, Text, rollup};

/// A metric that decides a status, and when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusAt {
    pub metric: Metric,
    pub at_ms: Millis,
}

impl StatusAt {
    fn of(event: &Event) -> Option<StatusAt> {
        Some(StatusAt { metric: event.metric.known()?, at_ms: event.time.ms })
    }

    /// Its key in the join of law 2: in hand-off and outcome the time counts before the rank, elsewhere after it.
    fn key(self) -> (Phase, i64, i64) {
        let rank = i64::from(self.metric.rank());
        match self.metric.phase() {
            phase @ (Phase::Preparation | Phase::Engagement) => (phase, rank, self.at_ms),
            phase @ (Phase::HandOff | Phase::Outcome) => (phase, self.at_ms, rank),
        }
    }
}

/// A status of the sending, with the event that decided it and the reason that the event gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub status: StatusAt,
    pub event_id: Text,
    pub reason: Option<Text>,
}

impl Decision {
    /// What an event decides of the sending, as one of a delivery on this channel.
    fn of(event: &Event, channel: Option<Channel>) -> Option<Decision> {
        let status = StatusAt::of(event).filter(|status| status.metric.phase() != Phase::Engagement)?;
        Some(Decision { status, event_id: event.id.clone(), reason: event.reason_on(channel).map(Into::into) })
    }

    /// The greater key decides; of equal keys the smaller event id.
    fn join(a: Option<Decision>, b: Option<Decision>) -> Option<Decision> {
        let (Some(left), Some(right)) = (&a, &b) else { return a.or(b) };
        let order = left.status.key().cmp(&right.status.key());
        if order.then_with(|| right.event_id.as_bytes().cmp(left.event_id.as_bytes())).is_lt() { b } else { a }
    }
}

/// When each counted thing first happened, implied opens included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstTimes([Option<Millis>; Counted::COUNT]);

impl FirstTimes {
    pub fn get(&self, counted: Counted) -> Option<Millis> {
        self.0[counted.index()]
    }

    pub fn has(&self, counted: Counted) -> bool {
        self.get(counted).is_some()
    }

    pub fn set(&mut self, counted: Counted, at_ms: Option<Millis>) {
        self.0[counted.index()] = at_ms;
    }

    fn happened(&mut self, counted: Counted, at_ms: Millis) {
        let first = &mut self.0[counted.index()];
        *first = Some(first.map_or(at_ms, |known| known.min(at_ms)));
    }

    /// The indexes of what has happened.
    pub(super) fn reached(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, at_ms)| at_ms.is_some()).map(|(index, _)| index)
    }
}

/// What the events of a push that name a device say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceState {
    /// The smallest that an event names.
    pub platform: Option<Text>,
    pub decision: Option<Decision>,
}

/// Who followed a link of a delivery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    pub by_human: bool,
    pub by_machine: bool,
}

/// What is known of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Each from the earliest event that carries it; the source as one value, from the earliest that has a kind.
    pub attributes: Attributes,
    /// The events that supplied them.
    pub suppliers: Suppliers,
    /// The time of its earliest event.
    pub created_at_ms: Millis,
    /// The time of its latest event.
    pub updated_at_ms: Millis,
    /// What the person did.
    pub engagement: Option<StatusAt>,
    pub first: FirstTimes,
    /// How many distinct events it has, of any metric.
    pub events: u32,
    /// What its events say of the sending; of a push, those that name no device, which speak for all.
    pub sending: Option<Decision>,
    /// A push's devices; empty on other channels.
    pub devices: BTreeMap<Text, DeviceState>,
    /// The links that were followed. One that is to be joined with more events may hold just theirs.
    pub links: BTreeMap<Text, Followed>,
}

/// What came of [`Delivery::apply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Applied {
    /// The delivery now includes the event.
    Done,
    /// What the delivery counts under moves, and the events that move with it are not at hand. Nothing was changed.
    ReadHistory,
}

impl Delivery {
    /// The delivery that these events make. They are of one delivery, each identity once, in any order.
    /// `None` where there are none.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event, IntoIter: Clone>) -> Option<Delivery> {
        let events = events.into_iter();
        let first = events.clone().next()?;
        let mut delivery = Delivery {
            attributes: Attributes::default(),
            suppliers: Suppliers::default(),
            created_at_ms: first.time.ms,
            updated_at_ms: first.time.ms,
            engagement: None,
            first: FirstTimes::default(),
            events: 0,
            sending: None,
            devices: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        // first: what an event says may depend on the channel
        for event in events.clone() {
            delivery.supply(event);
        }
        for event in events {
            delivery.join(event);
        }
        Some(delivery)
    }

    /// Takes in an event that is not among those already applied.
    pub fn apply(&mut self, event: &Event) -> Applied {
        if self.moves_by(event) {
            return Applied::ReadHistory;
        }
        self.supply(event);
        self.join(event);
        Applied::Done
    }

    /// Whether counts of earlier events would move with this one: with their quarter hour, source, channel or trigger; or,
    /// for suppression, with the address that they speak of.
    fn moves_by(&self, event: &Event) -> bool {
        let changes = |group: Group| {
            group.is_in(&event.attributes)
                && self.suppliers.gives_way_to(group, event)
                && !group.is_same(&self.attributes, &event.attributes)
        };
        let has_mark = || Metric::ALL.into_iter().any(|metric| is_mark(metric) && self.has(metric));
        rollup::bucket_of(event.time.ms.min(self.created_at_ms)) != rollup::bucket_of(self.created_at_ms)
            || [Group::Channel, Group::Source, Group::TriggerId].into_iter().any(changes)
            || (changes(Group::Recipient) && has_mark())
            // an event that names no device speaks for the only one
            || (self.is_push() && self.devices.len() < 2 && self.names_a_new_device(event) && has_mark())
    }

    fn has(&self, metric: Metric) -> bool {
        self.first.has(Counted::Metric(metric))
    }

    fn is_push(&self) -> bool {
        self.attributes.channel() == Some(Channel::Push)
    }

    fn names_a_new_device(&self, event: &Event) -> bool {
        event.metric.known().is_some()
            && event.recipients.iter().any(|device| !self.devices.contains_key(&device.device_id))
    }

    /// Takes the attributes of which this event is the earliest.
    fn supply(&mut self, event: &Event) {
        let mut supplier = None;
        for group in Group::ALL {
            if group.is_in(&event.attributes) && self.suppliers.gives_way_to(group, event) {
                let supplier = supplier.get_or_insert_with(|| Arc::new(Supplier::of(event))).clone();
                self.suppliers.set(group, supplier);
                if !group.is_same(&self.attributes, &event.attributes) {
                    group.copy(&event.attributes, &mut self.attributes);
                }
            }
        }
    }

    /// Joins all else that an event says.
    fn join(&mut self, event: &Event) {
        self.created_at_ms = self.created_at_ms.min(event.time.ms);
        self.updated_at_ms = self.updated_at_ms.max(event.time.ms);
        self.first.set(Counted::Created, Some(self.created_at_ms));
        self.events += 1;
        let Some(status) = StatusAt::of(event) else { return };
        self.first_times(event, status);
        if status.metric.phase() == Phase::Engagement
            && self.engagement.is_none_or(|engagement| engagement.key() < status.key())
        {
            self.engagement = Some(status);
        }
        let channel = self.attributes.channel();
        let decision = Decision::of(event, channel);
        if channel == Some(Channel::Push) && !event.recipients.is_empty() {
            for named in &event.recipients {
                let device = self.devices.entry(named.device_id.clone()).or_default();
                super::attributes::smaller(&mut device.platform, named.platform.as_ref());
                device.decision = Decision::join(device.decision.take(), decision.clone());
            }
        } else {
            self.sending = Decision::join(self.sending.take(), decision);
        }
        if let Some(link) = event.link() {
            let followed = match self.links.get_mut(link) {
                Some(followed) => followed,
                None => self.links.entry(link.into()).or_default(),
            };
            followed.by_human |= event.is_human_click();
            followed.by_machine |= event.is_machine_click();
        }
    }

    fn first_times(&mut self, event: &Event, status: StatusAt) {
        let mut happened = |counted| self.first.happened(counted, status.at_ms);
        let implies_open = self.attributes.channel().is_some_and(Channel::click_implies_open);
        happened(Counted::Metric(status.metric));
        for (is, counted, implied) in [
            (event.is_human_open(), Counted::HumanOpened, None),
            (event.is_machine_open(), Counted::MachineOpened, None),
            (event.is_human_click(), Counted::HumanClicked, Some(Counted::HumanOpened)),
            (event.is_machine_click(), Counted::MachineClicked, Some(Counted::MachineOpened)),
        ] {
            if is {
                happened(counted);
                if let Some(implied) = implied.filter(|_| implies_open) {
                    happened(implied);
                    happened(Counted::Metric(Metric::Opened));
                }
            }
        }
    }

    /// How the sending went: of a push whose devices are known, as for the device that fared best.
    pub fn outcome(&self) -> Option<Decision> {
        if self.devices.is_empty() {
            return self.sending.clone();
        }
        let best = self.device_decisions().map(|decision| fare(decision.status.metric)).min()?;
        self.device_decisions()
            .filter(|decision| fare(decision.status.metric) == best)
            .fold(None, |greatest, decision| Decision::join(greatest, Some(decision)))
    }

    /// On how many of a push's devices it bounced.
    pub fn devices_bounced(&self) -> usize {
        self.device_decisions().filter(|decision| decision.status.metric == Metric::Bounced).count()
    }

    /// How each device fared: by the events that name it, and those that name none.
    fn device_decisions(&self) -> impl Iterator<Item = Decision> {
        self.devices.values().filter_map(|device| Decision::join(device.decision.clone(), self.sending.clone()))
    }

    /// The status that the log shows: the latest thing that the person did, else how the sending went.
    pub fn status(&self) -> Option<StatusAt> {
        self.engagement.or_else(|| self.outcome().map(|outcome| outcome.status))
    }
}

/// How well a device fared, best first.
pub(crate) fn fare(metric: Metric) -> usize {
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
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::domain::{Attribute, Device, EventTime, Flags, MetricName};

    fn push(id: &str, metric: Metric, at_ms: Millis, devices: std::ops::Range<u32>) -> Event {
        let mut event = Event::new("d", MetricName::Known(metric), id, EventTime::given(at_ms), at_ms);
        event.attributes.set(Attribute::Channel, Some("push"));
        event.recipients =
            devices.map(|n| Device { device_id: n.to_string().into(), platform: None, reason: None }).collect();
        event
    }

    #[test]
    fn a_push_fares_as_its_best_device() {
        let many = 100_000;
        let sent = push("a", Metric::Sent, 1_000, 0..many);
        let bounced = push("b", Metric::Bounced, 2_000, 0..many - 1);
        let delivery = Delivery::of([&sent, &bounced]).unwrap();
        assert_eq!((delivery.devices.len(), delivery.devices_bounced()), (many as usize, many as usize - 1));
        assert_eq!(delivery.outcome().unwrap().status, StatusAt { metric: Metric::Sent, at_ms: 1_000 });
        let failed = push("c", Metric::Failed, 3_000, 0..0);
        assert_eq!(Delivery::of([&sent, &failed]).unwrap().status().map(|it| it.metric), Some(Metric::Failed));
    }

    prop_compose! {
        fn event()(
            metric in select(&Metric::ALL[..]),
            at_ms in 1_790_000_000_000i64..1_790_000_000_006,
            id in "[a-d]{1,2}",
            attributes in prop::collection::vec((select(&Attribute::ALL[..]), "[xy]"), 0..4),
            channel in prop::option::of(select(&["email", "push", "sms"][..])),
            devices in prop::collection::vec(("[AB]", prop::option::of("[rs]")), 0..3),
            (machine, synthetic) in (any::<Option<bool>>(), any::<Option<bool>>()),
            (reason, link_id) in (prop::option::of("[rs]"), prop::option::of("[lm]")),
        ) -> Event {
            let mut event = Event::new("d", MetricName::Known(metric), &id, EventTime::given(at_ms), at_ms);
            for (attribute, value) in &attributes {
                event.attributes.set(*attribute, Some(value));
            }
            event.attributes.set(Attribute::Channel, channel);
            event.recipients = devices
                .into_iter()
                .map(|(id, reason)| Device { device_id: id.into(), platform: None, reason: reason.map(Into::into) })
                .collect();
            event.flags = Flags { machine, proxied: None, synthetic };
            event.reason = reason.map(Into::into);
            event.link_id = link_id.map(Into::into);
            event
        }
    }

    proptest! {
        #[test]
        fn one_more_event_is_a_join(mut events in prop::collection::vec(event(), 1..8), cut in any::<Index>()) {
            events.sort_by(|a, b| (&a.id, a.metric.as_str()).cmp(&(&b.id, b.metric.as_str())));
            events.dedup_by(|a, b| a.is_copy_of(b));
            let all = Delivery::of(&events).unwrap();
            let last = events.remove(cut.index(events.len()));
            if let Some(mut before) = Delivery::of(&events)
                && before.apply(&last) == Applied::Done
            {
                prop_assert_eq!(before, all);
            }
        }
    }
}
