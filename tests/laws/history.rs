//! Hostile histories: few deliveries, few ids and few times, so that everything meets everything.

use std::fmt;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use waybill::domain::{Attribute, Device, Event, EventTime, MetricName};

use super::describe::event_as_text;

/// Copies of events in order of arrival, and how they were posted.
#[derive(Clone)]
pub struct History(pub Vec<Posted>);

#[derive(Clone)]
pub struct Posted {
    pub event: Event,
    /// A batch ends before this one.
    pub cut: bool,
    /// The batch that begins here is recorded through another tracker.
    pub elsewhere: bool,
    /// Its place in another order of arrival.
    pub place: u8,
}

impl History {
    pub fn copies(&self) -> Vec<Event> {
        self.0.iter().map(|posted| posted.event.clone()).collect()
    }

    /// The batches, and whether each goes through the other tracker.
    pub fn batches(&self) -> Vec<(bool, Vec<Event>)> {
        let mut batches: Vec<(bool, Vec<Event>)> = Vec::new();
        for posted in &self.0 {
            match batches.last_mut() {
                Some((_, batch)) if !posted.cut => batch.push(posted.event.clone()),
                _ => batches.push((posted.elsewhere, vec![posted.event.clone()])),
            }
        }
        batches
    }

    /// All received at one moment: a time taken from receipt is then the same in any order.
    pub fn received_at_once(mut self) -> History {
        for Posted { event, .. } in &mut self.0 {
            event.received_at_ms = RECEIVED[0];
            if event.time.from_receipt {
                event.time = EventTime::from_receipt(RECEIVED[0]);
            }
        }
        self
    }

    /// The same copies in another order.
    pub fn shuffled(&self) -> History {
        let mut posted = self.0.clone();
        posted.sort_by_key(|posted| posted.place);
        // batches end elsewhere too
        for posted in &mut posted {
            posted.cut = posted.place & 1 == 0;
        }
        History(posted)
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "history:")?;
        for (i, posted) in self.0.iter().enumerate() {
            let batch = if i == 0 || posted.cut { "batch" } else { "     " };
            let tracker = if posted.elsewhere { '*' } else { ' ' };
            writeln!(f, "  {batch}{tracker} {:>3}  {}", posted.place, event_as_text(&posted.event))?;
        }
        Ok(())
    }
}

const NOON: i64 = 1_710_072_000_000;
const MINUTE: i64 = 60_000;

/// Around the borders of an hour and of its quarters. The first are drawn most.
const TIMES: [i64; 16] = [
    NOON,
    NOON + 1,
    NOON - 1,
    NOON + 15 * MINUTE,
    NOON + 15 * MINUTE - 1,
    NOON + 15 * MINUTE + 1,
    NOON + 1000,
    NOON + 30 * MINUTE,
    NOON + 60 * MINUTE - 1,
    NOON + 60 * MINUTE,
    NOON + 120 * MINUTE,
    NOON - 15 * MINUTE,
    NOON - 15 * MINUTE - 1,
    NOON - 60 * MINUTE,
    NOON + 24 * 60 * MINUTE,
    946_684_800_000,
];
const RECEIVED: [i64; 4] = [NOON + 15 * MINUTE, NOON + 60 * MINUTE, NOON, NOON - 1];

const DELIVERIES: [&str; 4] = ["d1", "d2", "D1", "RKK4AwUAAYoeIC5PHMYd6"];

/// Texts whose order as bytes is not that of their kinds; the last ones only look like a ULID, a UUID, a hash.
const IDS: [&str; 12] = [
    "a",
    "b",
    "B",
    "01H8F21G9KK14JKX233RDFJCNM",
    "01H8F21G9KK14JKX233RDFJCNN",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "derived-00112233445566778899aabbccddeeff",
    "é",
    "01h8f21g9kk14jkx233rdfjcnm",
    "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "0F8FAD5B-d9cb-469f-a165-70867728950e",
    "derived-00112233445566778899AABBCCDDEEFF",
];

const METRICS: [&str; 19] = [
    "sent",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "failed",
    "attempted",
    "queued",
    "drafted",
    "deferred",
    "replied",
    "converted",
    "unsubscribed",
    "suppressed",
    "spammed",
    "undeliverable",
    "viewed",
    "Sent twice",
    "clicked ",
];

/// What most of a history is about.
#[derive(Clone, Copy, Debug)]
struct Theme {
    channel: Option<&'static str>,
    metrics: &'static [&'static str],
}

const THEMES: [Theme; 6] = [
    Theme { channel: Some("email"), metrics: &["sent", "delivered", "opened", "clicked", "bounced", "failed"] },
    Theme { channel: Some("push"), metrics: &["sent", "delivered", "bounced", "failed", "attempted", "opened"] },
    Theme { channel: Some("email"), metrics: &["clicked", "opened"] },
    Theme { channel: None, metrics: &["clicked", "sent", "opened"] },
    Theme { channel: Some("sms"), metrics: &["sent", "clicked", "failed"] },
    Theme { channel: Some("push"), metrics: &["bounced", "delivered", "queued"] },
];

/// The values that an attribute has.
fn values(attribute: Attribute) -> &'static [&'static str] {
    match attribute {
        Attribute::Channel => &["email", "push", "sms", "carrier_pigeon"],
        Attribute::CampaignId
        | Attribute::BroadcastId
        | Attribute::NewsletterId
        | Attribute::TransactionalMessageId => &["8", "10", "9", "0"],
        Attribute::ActionId | Attribute::ContentId | Attribute::ParentActionId => &["42", "7", " "],
        Attribute::Recipient | Attribute::Email => &["a@x.test", "b@x.test", "null"],
        Attribute::Subject => &["Hello", "Hallo \"du\"", "{}"],
        _ => &["t1", "t2", "0"],
    }
}

fn attribute() -> impl Strategy<Value = (Attribute, &'static str)> {
    (select(&Attribute::ALL[..]), any::<Index>())
        .prop_map(|(attribute, value)| (attribute, *value.get(values(attribute))))
}

#[derive(Clone, Debug)]
enum Carried {
    Nothing,
    Usual,
    These(Vec<(Attribute, &'static str)>),
}

fn carried() -> impl Strategy<Value = Carried> {
    prop_oneof![
        5 => Just(Carried::Nothing),
        4 => Just(Carried::Usual),
        4 => vec(attribute(), 1..3).prop_map(Carried::These),
        1 => vec(attribute(), 3..9).prop_map(Carried::These),
    ]
}

fn device() -> impl Strategy<Value = Device> {
    let reason = weighted(0.4, select(&["gone", "busy", "a \"quoted\" \\ one"][..]));
    (select(&["A", "B", "C"][..]), weighted(0.3, select(&["ios", "android"][..])), reason).prop_map(
        |(id, platform, reason)| Device {
            device_id: id.into(),
            platform: platform.map(Into::into),
            reason: reason.map(Into::into),
        },
    )
}

/// What a copy says, before the theme of its history is known.
#[derive(Clone, Debug)]
struct Said {
    time: Option<i64>,
    received: i64,
    carried: Carried,
    href: Option<&'static str>,
    link_id: Option<&'static str>,
    action_value: Option<&'static str>,
    reason: Option<&'static str>,
    recipients: Vec<Device>,
    machine: Option<bool>,
    proxied: Option<bool>,
    synthetic: Option<bool>,
}

const HREFS: [&str; 9] = [
    "https://x.test/a",
    "https://x.test/a?t=1",
    "https://x.test/b#f?t",
    "https://x.test/b?t#f",
    "https://x.test/b",
    "https://x.test/B",
    "?t=2",
    "#f",
    " ",
];

fn said() -> impl Strategy<Value = Said> {
    let time = prop_oneof![6 => select(&TIMES[..4]), 6 => select(&TIMES[..])];
    let texts = (
        weighted(0.4, select(&HREFS[..])),
        weighted(0.25, select(&["1", "2", "https://x.test/a", " "][..])),
        weighted(0.1, select(&["yes", "no"][..])),
        weighted(0.3, select(&["late", "full", "550 5.1.1 <a@x.test>"][..])),
    );
    let flags = (weighted(0.3, any::<bool>()), weighted(0.15, any::<bool>()), weighted(0.25, any::<bool>()));
    let recipients = prop_oneof![3 => Just(Vec::new()), 3 => vec(device(), 1..2), 1 => vec(device(), 2..6)];
    (weighted(0.93, time), select(&RECEIVED[..]), carried(), texts, recipients, flags).prop_map(
        |(time, received, carried, (href, link_id, action_value, reason), recipients, flags)| {
            let (machine, proxied, synthetic) = flags;
            Said {
                time,
                received,
                carried,
                href,
                link_id,
                action_value,
                reason,
                recipients,
                machine,
                proxied,
                synthetic,
            }
        },
    )
}

impl Said {
    /// Says it in an event, over what that says already.
    fn put_into(&self, event: &mut Event, theme: Theme) {
        let usual = [
            (Attribute::Channel, theme.channel.unwrap_or("")),
            (Attribute::CampaignId, "8"),
            (Attribute::ActionId, "42"),
            (Attribute::Recipient, "a@x.test"),
            (Attribute::TriggerId, "t1"),
        ];
        let attributes = match &self.carried {
            Carried::Nothing => &[][..],
            Carried::Usual => &usual[..],
            Carried::These(these) => these,
        };
        for (attribute, value) in attributes {
            event.attributes.set(*attribute, Some((*value).into()));
        }
        for (slot, value) in [
            (&mut event.href, self.href),
            (&mut event.link_id, self.link_id),
            (&mut event.action_value, self.action_value),
            (&mut event.reason, self.reason),
        ] {
            *slot = value.map(Into::into).or(slot.take());
        }
        if !self.recipients.is_empty() {
            event.recipients = self.recipients.clone();
        }
        event.flags.machine = self.machine.or(event.flags.machine);
        event.flags.proxied = self.proxied.or(event.flags.proxied);
        event.flags.synthetic = self.synthetic.or(event.flags.synthetic);
        event.received_at_ms = self.received;
    }

    fn time(&self) -> EventTime {
        self.time.map_or(EventTime::from_receipt(self.received), EventTime::given)
    }
}

/// How a copy comes to be.
#[derive(Clone, Copy, Debug)]
enum Origin {
    New {
        delivery: &'static str,
        id: &'static str,
        metric: Result<&'static str, Index>,
    },
    /// As an earlier one said, word for word.
    Repeat(Index),
    /// The same event, said otherwise; `true`: with a time of its own.
    Differing(Index, bool),
}

fn origin() -> impl Strategy<Value = Origin> {
    let delivery = prop_oneof![5 => Just(DELIVERIES[0]), 3 => select(&DELIVERIES[..])];
    let id = prop_oneof![4 => select(&IDS[..3]), 2 => select(&IDS[..])];
    let metric = prop_oneof![3 => any::<Index>().prop_map(Err), 2 => select(&METRICS[..]).prop_map(Ok)];
    prop_oneof![
        14 => (delivery, id, metric).prop_map(|(delivery, id, metric)| Origin::New { delivery, id, metric }),
        2 => any::<Index>().prop_map(Origin::Repeat),
        4 => (any::<Index>(), any::<bool>()).prop_map(|(of, timed)| Origin::Differing(of, timed)),
    ]
}

pub fn history() -> impl Strategy<Value = History> {
    let cut = prop::bool::weighted(0.6);
    let elsewhere = prop::bool::weighted(0.15);
    let step = (origin(), said(), cut, elsewhere, any::<u8>());
    (select(&THEMES[..]), vec(step, 1..14)).prop_map(|(theme, steps)| {
        let mut posted: Vec<Posted> = Vec::new();
        for (origin, said, cut, elsewhere, place) in steps {
            let event = match origin {
                Origin::Repeat(of) if !posted.is_empty() => of.get(&posted).event.clone(),
                Origin::Differing(of, timed) if !posted.is_empty() => {
                    let mut event = of.get(&posted).event.clone();
                    said.put_into(&mut event, theme);
                    if timed || event.time.from_receipt {
                        event.time = said.time();
                    }
                    event
                }
                Origin::New { delivery, id, metric } => {
                    let metric = metric.unwrap_or_else(|index| *index.get(theme.metrics));
                    let mut event = Event::new(delivery, MetricName::parse(metric), id, said.time(), said.received);
                    said.put_into(&mut event, theme);
                    event
                }
                _ => continue,
            };
            posted.push(Posted { event, cut, elsewhere, place });
        }
        History(posted)
    })
}
