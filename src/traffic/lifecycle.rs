//! What happens to a message, from its making to what the person does about it.
//!
//! One table of odds, one walk through it. A message need not go the straight way: it fails and is sent after all,
//! bounces and is delivered after all, is opened though nobody reported it delivered.

use super::engagement;
use super::ids::ulid;
use super::people::PushDevice;
use super::random::Random;
use super::reasons::{UNDELIVERABLE, reasons};
use super::sources::Step;
use super::time::SECOND_MS;
use crate::domain::Metric::{self, *};
use crate::domain::{Channel, Millis};

/// One event of a message. Which fields it has depends on the metric; its message says the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// A ULID whose time is a moment after `at_ms`: upstream mints it on processing.
    pub id: String,
    pub metric: Metric,
    /// On a whole second.
    pub at_ms: Millis,
    /// An open that was prefetched, or a click made by a machine.
    pub machine: Option<bool>,
    pub proxied: Option<bool>,
    pub synthetic: Option<bool>,
    pub href: Option<String>,
    pub link_id: Option<u32>,
    /// Which button of an in-app message was pressed.
    pub action_value: Option<&'static str>,
    pub reason: Option<String>,
    pub devices: Vec<Named>,
}

/// A device that a push event names: its place among the person's, and why it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    pub device: usize,
    pub reason: Option<&'static str>,
}

/// How likely each turn is on a channel, of the messages that come to it.
pub struct Odds {
    pub drafted: f64,
    pub suppressed: f64,
    pub undeliverable: f64,
    pub failed: f64,
    /// Failed, and yet sent later.
    pub retried: f64,
    pub attempted: f64,
    pub deferred: f64,
    pub hard_bounce: f64,
    pub soft_bounce: f64,
    /// Of those that did not bounce; 0 where the channel cannot tell.
    pub delivered: f64,
    /// Of those that arrived.
    pub prefetched: f64,
    pub opened: f64,
    /// Of those opened, or of those that arrived where nothing is opened.
    pub clicked: f64,
    /// A link checker follows the links of an unopened message.
    pub checked: f64,
    pub replied: f64,
}

const ODDS: Odds = Odds {
    drafted: 0.92,
    suppressed: 0.0,
    undeliverable: 0.004,
    failed: 0.006,
    retried: 0.004,
    attempted: 0.02,
    deferred: 0.0,
    hard_bounce: 0.0,
    soft_bounce: 0.0,
    delivered: 0.0,
    prefetched: 0.0,
    opened: 0.0,
    clicked: 0.0,
    checked: 0.0,
    replied: 0.0,
};

const EMAIL: Odds = Odds {
    suppressed: 0.012,
    deferred: 0.03,
    hard_bounce: 0.012,
    soft_bounce: 0.006,
    delivered: 0.996,
    prefetched: 0.22,
    opened: 0.33,
    clicked: 0.3,
    checked: 0.015,
    ..ODDS
};
const PUSH: Odds = Odds { suppressed: 0.008, delivered: 0.6, opened: 0.12, clicked: 0.5, ..ODDS };
const SMS: Odds = Odds { hard_bounce: 0.015, soft_bounce: 0.01, delivered: 0.96, clicked: 0.09, replied: 0.03, ..ODDS };
const WHATSAPP: Odds = Odds { suppressed: 0.004, opened: 0.7, clicked: 0.15, replied: 0.06, ..SMS };
const IN_APP: Odds = Odds { opened: 0.55, clicked: 0.22, ..ODDS };
const CALL: Odds = Odds { failed: 0.02, attempted: 0.05, clicked: 0.08, ..ODDS };

pub fn odds(channel: Channel) -> &'static Odds {
    match channel {
        Channel::Email => &EMAIL,
        Channel::Push => &PUSH,
        Channel::Sms => &SMS,
        Channel::Whatsapp => &WHATSAPP,
        Channel::InApp => &IN_APP,
        Channel::Slack | Channel::Webhook => &CALL,
    }
}

/// A message on its way.
pub struct Life<'a> {
    pub channel: Channel,
    pub odds: &'static Odds,
    pub step: &'static Step,
    pub email: &'a str,
    pub devices: &'a [PushDevice],
    pub now_ms: Millis,
    pub random: &'a mut Random,
    pub events: Vec<Event>,
}

impl Life<'_> {
    /// Everything that happens, in the order of time.
    pub fn live(mut self) -> Vec<Event> {
        if self.hand_over() && self.arrive() {
            engagement::engage(&mut self);
        }
        // a click and the open inferred from it share a second, and stay as they came
        self.events.sort_by_key(|event| event.at_ms);
        self.events
    }

    pub fn say(&mut self, metric: Metric) -> &mut Event {
        let minted_ms = self.now_ms + self.random.between(0, 1_500);
        let event = Event {
            id: ulid(minted_ms, self.random),
            metric,
            at_ms: self.now_ms,
            machine: None,
            proxied: None,
            synthetic: None,
            href: None,
            link_id: None,
            action_value: None,
            reason: None,
            devices: Vec::new(),
        };
        self.events.push(event);
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    pub fn wait(&mut self, low_s: i64, high_s: i64) {
        self.now_ms += self.random.between(low_s, high_s) * SECOND_MS;
    }

    /// Says that it went wrong, and why; where the failing is the devices', each says so.
    fn fail(&mut self, metric: Metric, choices: &'static [&'static str]) {
        let reason = *self.random.pick(choices);
        if metric == Suppressed && self.channel == Channel::Push {
            let named = (0..self.devices.len()).map(|device| Named { device, reason: Some(reason) }).collect();
            self.say(metric).devices = named;
        } else {
            let reason = reason.replace("{address}", self.email);
            self.say(metric).reason = Some(reason);
        }
    }

    /// Up to the provider's taking it: whether it did.
    fn hand_over(&mut self) -> bool {
        let (odds, reasons) = (self.odds, reasons(self.channel));
        if self.random.chance(odds.drafted) {
            self.say(Drafted);
            self.wait(1, 60);
        }
        if self.random.chance(odds.suppressed) {
            self.fail(Suppressed, reasons.suppressed);
            return false;
        }
        if self.random.chance(odds.undeliverable) {
            self.fail(Undeliverable, UNDELIVERABLE);
            return false;
        }
        if self.random.chance(odds.attempted) {
            self.fail(Attempted, reasons.temporary);
            self.wait(30, 900);
        }
        if self.random.chance(odds.failed) {
            self.fail(Failed, reasons.failed);
            return false;
        }
        if self.random.chance(odds.retried) {
            self.fail(Failed, reasons.temporary);
            self.wait(60, 7_200);
        }
        while self.random.chance(odds.deferred) {
            self.fail(Deferred, reasons.temporary);
            self.wait(300, 3_600);
        }
        let named = self.devices.iter().enumerate().map(|(device, _)| Named { device, reason: None }).collect();
        self.say(Sent).devices = named;
        true
    }

    /// From the provider to the recipient: whether it can have been seen.
    fn arrive(&mut self) -> bool {
        let (odds, reasons) = (self.odds, reasons(self.channel));
        if self.channel == Channel::Push {
            return self.reach_devices();
        }
        self.wait(1, 40);
        if self.random.chance(odds.hard_bounce) {
            self.fail(Bounced, reasons.hard_bounce);
            return false;
        }
        if self.random.chance(odds.soft_bounce) {
            self.fail(Bounced, reasons.soft_bounce);
            self.wait(600, 14_400);
            if self.random.chance(0.4) {
                return false;
            }
        }
        if self.random.chance(odds.delivered) {
            self.say(Delivered);
        }
        true
    }

    /// A push goes to each device by itself: some tokens are bad, some devices report that it came.
    fn reach_devices(&mut self) -> bool {
        let choices = reasons(Channel::Push).hard_bounce;
        let mut bad = Vec::new();
        for device in 0..self.devices.len() {
            if self.random.chance(0.04) {
                bad.push(Named { device, reason: Some(*self.random.pick(choices)) });
            }
        }
        let good: Vec<usize> =
            (0..self.devices.len()).filter(|device| bad.iter().all(|named| named.device != *device)).collect();
        if !bad.is_empty() {
            self.wait(1, 5);
            self.say(Bounced).devices = bad;
        }
        for device in &good {
            if self.random.chance(self.odds.delivered) {
                self.wait(1, 30);
                self.say(Delivered).devices = vec![Named { device: *device, reason: None }];
            }
        }
        !good.is_empty()
    }
}
