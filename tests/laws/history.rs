//! Hostile histories: few deliveries, few ids and few times, so that everything meets everything.

use std::fmt;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use waybill::domain::{Attribute, BounceClass, Device, Event, EventTime, MetricName};

use super::describe::event_as_text;
use super::model::Arrived;
use super::values::{DELIVERIES, HREFS, IDS, METRICS, RECEIVED, SOURCES, THEMES, TIMES, Theme, usual, values};

/// Copies of events in order of arrival, and how they were posted.
#[derive(Clone)]
pub struct History(pub Vec<Posted>);

#[derive(Clone)]
pub struct Posted {
    pub event: Event,
    /// By a sender who may only report on deliveries that are known.
    pub report: bool,
    /// A batch ends before this one.
    pub cut: bool,
    /// The batch that begins here is recorded through another tracker.
    pub elsewhere: bool,
    /// Its place in another order of arrival.
    pub place: u8,
}

impl History {
    pub fn copies(&self) -> Vec<Arrived> {
        self.0.iter().map(Posted::copy).collect()
    }

    /// The batches, and whether each goes through the other tracker.
    pub fn batches(&self) -> Vec<(bool, Vec<Arrived>)> {
        let mut batches: Vec<(bool, Vec<Arrived>)> = Vec::new();
        for posted in &self.0 {
            match batches.last_mut() {
                Some((_, batch)) if !posted.cut => batch.push(posted.copy()),
                _ => batches.push((posted.elsewhere, vec![posted.copy()])),
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

impl Posted {
    fn copy(&self) -> Arrived {
        Arrived { event: self.event.clone(), report: self.report }
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "history:")?;
        for (i, posted) in self.0.iter().enumerate() {
            let batch = if i == 0 || posted.cut { "batch" } else { "     " };
            let tracker = if posted.elsewhere { '*' } else { ' ' };
            let report = if posted.report { "report " } else { "" };
            writeln!(f, "  {batch}{tracker} {:>3}  {report}{}", posted.place, event_as_text(&posted.event))?;
        }
        Ok(())
    }
}

fn attribute() -> impl Strategy<Value = (Attribute, &'static str)> {
    // what was written of a recipient comes with the recipient
    let alone: Vec<_> = Attribute::ALL.into_iter().filter(|it| *it != Attribute::RecipientRaw).collect();
    (select(alone), any::<Index>()).prop_map(|(attribute, value)| (attribute, *value.get(values(attribute))))
}

#[derive(Clone, Debug)]
enum Carried {
    Nothing,
    /// Some of what is the same in most events of the history, so that it is learned bit by bit and not contradicted.
    Usual {
        source: usize,
        others: [bool; 4],
    },
    These(Vec<(Attribute, &'static str)>),
}

fn carried() -> impl Strategy<Value = Carried> {
    prop_oneof![
        5 => Just(Carried::Nothing),
        5 => usual_carried(),
        3 => vec(attribute(), 1..3).prop_map(Carried::These),
        1 => vec(attribute(), 3..9).prop_map(Carried::These),
    ]
}

fn usual_carried() -> impl Strategy<Value = Carried> {
    let source = prop_oneof![4 => Just(0), 4 => Just(1), 3 => 2..SOURCES.len()];
    (source, any::<[bool; 4]>()).prop_map(|(source, others)| Carried::Usual { source, others })
}

fn device() -> impl Strategy<Value = Device> {
    let reason = weighted(0.4, select(&["Unregistered", "busy", "a \"quoted\" \\ one"][..]));
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
    /// One of the theme's times, or any; where there is none, that of receipt.
    time: Option<Result<Index, i64>>,
    received: i64,
    carried: Carried,
    href: Option<&'static str>,
    link_id: Option<&'static str>,
    action_value: Option<&'static str>,
    reason: Option<&'static str>,
    bounce_class: Option<BounceClass>,
    recipients: Vec<Device>,
    machine: Option<bool>,
    proxied: Option<bool>,
    synthetic: Option<bool>,
}

fn said() -> impl Strategy<Value = Said> {
    let time = prop_oneof![6 => any::<Index>().prop_map(Ok), 3 => select(&TIMES[..]).prop_map(Err)];
    let texts = (
        weighted(0.5, prop_oneof![select(&HREFS[..2]), select(&HREFS[..])]),
        weighted(0.4, prop_oneof![Just("1"), select(&["1", "2", "https://x.test/a", " "][..])]),
        weighted(0.1, select(&["yes", "no"][..])),
        weighted(0.4, select(&["late", "full", "550 5.1.1 <a@x.test>", "Unregistered"][..])),
        weighted(0.15, select(&BounceClass::ALL[..])),
    );
    let flags = (weighted(0.3, any::<bool>()), weighted(0.15, any::<bool>()), weighted(0.25, any::<bool>()));
    let recipients = prop_oneof![3 => Just(Vec::new()), 3 => vec(device(), 1..2), 1 => vec(device(), 2..6)];
    (weighted(0.9, time), select(&RECEIVED[..]), carried(), texts, recipients, flags).prop_map(
        |(time, received, carried, (href, link_id, action_value, reason, bounce_class), recipients, flags)| {
            let (machine, proxied, synthetic) = flags;
            Said {
                time,
                received,
                carried,
                href,
                link_id,
                action_value,
                reason,
                bounce_class,
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
        let attributes = match &self.carried {
            Carried::Nothing => Vec::new(),
            Carried::Usual { source, others } => usual(theme, *source, others),
            Carried::These(these) => these.clone(),
        };
        for (attribute, value) in attributes {
            event.attributes.set(attribute, Some(value));
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
        event.bounce_class = self.bounce_class.or(event.bounce_class);
        event.flags.machine = self.machine.or(event.flags.machine);
        event.flags.proxied = self.proxied.or(event.flags.proxied);
        event.flags.synthetic = self.synthetic.or(event.flags.synthetic);
        event.received_at_ms = self.received;
    }

    fn time(&self, theme: Theme) -> EventTime {
        match self.time {
            Some(Ok(index)) => EventTime::given(*index.get(theme.times)),
            Some(Err(ms)) => EventTime::given(ms),
            None => EventTime::from_receipt(self.received),
        }
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
    let id = prop_oneof![4 => select(&IDS[..5]), 2 => select(&IDS[..])];
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
    let step = (origin(), said(), cut, elsewhere, prop::bool::weighted(0.3), any::<u8>());
    (select(&THEMES[..]), vec(step, 1..14)).prop_map(|(theme, steps)| {
        let mut posted: Vec<Posted> = Vec::new();
        for (origin, said, cut, elsewhere, report, place) in steps {
            let event = match origin {
                Origin::Repeat(of) if !posted.is_empty() => of.get(&posted).event.clone(),
                Origin::Differing(of, timed) if !posted.is_empty() => {
                    let mut event = of.get(&posted).event.clone();
                    said.put_into(&mut event, theme);
                    if timed {
                        event.time = said.time(theme);
                    } else if event.time.from_receipt {
                        event.time = EventTime::from_receipt(said.received);
                    }
                    event
                }
                Origin::New { delivery, id, metric } => {
                    let metric = metric.unwrap_or_else(|index| *index.get(theme.metrics));
                    let mut event =
                        Event::new(delivery, MetricName::parse(metric), id, said.time(theme), said.received);
                    said.put_into(&mut event, theme);
                    event
                }
                _ => continue,
            };
            posted.push(Posted { event, report, cut, elsewhere, place });
        }
        History(posted)
    })
}
