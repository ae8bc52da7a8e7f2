//! What happens to a message, from its making to what the person does about it: one table of odds, one walk through it.
//!
//! A message need not go the straight way: it fails and is sent after all, bounces and is delivered after all, is opened
//! though nobody reported it delivered.

use crate::message::ulid;
use crate::people::{OUTAGE_DOMAIN, Person};
use crate::random::Random;
use crate::reasons::{OUTAGE, Reasons, UNDELIVERABLE, reasons};
use crate::sources::Step;
use crate::{DAY_MS, Millis, SECOND_MS, Traffic};

/// One event of a message. Which fields it has depends on the metric; its message has the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// A ULID whose time is a moment after `at_ms`: Customer.io creates it on processing.
    pub id: String,
    /// As Waybill names it: `suppressed`, where webhooks say `dropped`.
    pub metric: &'static str,
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
    pub devices: Vec<Device>,
}

/// A device that a push event names: its place among the person's, and why it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    pub place: usize,
    pub reason: Option<&'static str>,
}

/// How likely each turn is on a channel, of the messages that come to it.
#[derive(Default)]
struct Odds {
    suppressed: f64,
    deferred: f64,
    hard_bounce: f64,
    soft_bounce: f64,
    /// Of those that did not bounce; 0 where the channel cannot tell.
    delivered: f64,
    /// Of those that arrived; the images are loaded by a proxy.
    prefetched: f64,
    opened: f64,
    /// Of those opened, or of those that arrived where nothing is opened.
    clicked: f64,
    replied: f64,
}

fn odds(channel: &str) -> Odds {
    let none = Odds::default();
    let (hard_bounce, soft_bounce, delivered) = (0.015, 0.01, 0.96);
    match channel {
        "email" => Odds {
            suppressed: 0.012,
            deferred: 0.03,
            hard_bounce: 0.012,
            soft_bounce: 0.006,
            delivered: 0.996,
            prefetched: 0.22,
            opened: 0.33,
            clicked: 0.3,
            ..none
        },
        "push" => Odds { suppressed: 0.008, delivered: 0.6, opened: 0.12, clicked: 0.5, ..none },
        "sms" => Odds { hard_bounce, soft_bounce, delivered, clicked: 0.09, replied: 0.03, ..none },
        "whatsapp" => Odds { hard_bounce, soft_bounce, delivered, opened: 0.7, clicked: 0.15, replied: 0.06, ..none },
        "in_app" => Odds { opened: 0.55, clicked: 0.22, ..none },
        _ => Odds { clicked: 0.08, ..none },
    }
}

/// A message on its way.
pub struct Life<'a> {
    traffic: &'a Traffic,
    step: &'static Step,
    odds: Odds,
    reasons: &'static Reasons,
    person: &'a Person,
    now_ms: Millis,
    random: &'a mut Random,
    events: Vec<Event>,
}

impl<'a> Life<'a> {
    pub fn new(
        traffic: &'a Traffic,
        step: &'static Step,
        person: &'a Person,
        now_ms: Millis,
        random: &'a mut Random,
    ) -> Life<'a> {
        let (odds, reasons) = (odds(step.channel), reasons(step.channel));
        Life { traffic, step, odds, reasons, person, now_ms, random, events: Vec::with_capacity(8) }
    }

    /// Everything that happens, in the order of time.
    pub fn live(mut self) -> Vec<Event> {
        if self.send() && self.arrive() {
            self.engage();
        }
        // a click and the open inferred from it share a second, and stay as they came
        self.events.sort_by_key(|event| event.at_ms);
        self.events
    }

    fn emit(&mut self, metric: &'static str) -> &mut Event {
        let id = ulid(self.now_ms + self.random.between(0, 1_500), self.random);
        self.events.push(Event { id, metric, at_ms: self.now_ms, ..Event::default() });
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    fn wait(&mut self, low_s: i64, high_s: i64) {
        self.now_ms += self.random.between(low_s, high_s) * SECOND_MS;
    }

    /// Goes wrong, with one of these reasons; where a push is suppressed, each device has it.
    fn fail(&mut self, metric: &'static str, choices: &'static [&'static str]) {
        let reason = *self.random.pick(choices);
        if metric == "suppressed" && self.step.channel == "push" {
            let devices = (0..self.person.devices.len()).map(|place| Device { place, reason: Some(reason) });
            self.emit(metric).devices = devices.collect();
        } else {
            self.emit(metric).reason = Some(reason.replace("{address}", &self.person.email));
        }
    }

    /// Up to its acceptance by the provider: whether it was.
    fn send(&mut self) -> bool {
        let reasons = self.reasons;
        if self.random.chance(0.92) {
            self.emit("drafted");
            self.wait(1, 60);
        }
        if self.random.chance(self.odds.suppressed) {
            self.fail("suppressed", reasons.suppressed);
            return false;
        }
        if self.random.chance(0.004) {
            self.fail("undeliverable", UNDELIVERABLE);
            return false;
        }
        if self.random.chance(0.02) {
            self.fail("attempted", reasons.temporary);
            self.wait(30, 900);
        }
        if self.random.chance(0.008) {
            self.fail("failed", reasons.failed);
            return false;
        }
        if self.random.chance(0.004) {
            self.fail("failed", reasons.temporary);
            self.wait(60, 7_200);
        }
        while self.random.chance(self.odds.deferred) {
            self.fail("deferred", reasons.temporary);
            self.wait(300, 3_600);
        }
        let devices = (0..self.person.devices.len()).map(|place| Device { place, reason: None }).collect();
        self.emit("sent").devices = devices;
        true
    }

    /// From the provider to the recipient: whether it can have been seen.
    fn arrive(&mut self) -> bool {
        let reasons = self.reasons;
        if self.step.channel == "push" {
            return self.reach_devices();
        }
        self.wait(1, 40);
        let domain = self.person.email.split('@').next_back();
        if self.step.channel == "email" && domain == Some(OUTAGE_DOMAIN) && self.traffic.outage().contains(&self.now_ms)
        {
            self.emit("bounced").reason = Some(OUTAGE.into());
            return false;
        }
        if self.random.chance(self.odds.hard_bounce) {
            self.fail("bounced", reasons.hard_bounce);
            return false;
        }
        if self.random.chance(self.odds.soft_bounce) {
            self.fail("bounced", reasons.soft_bounce);
            self.wait(600, 14_400);
            if self.random.chance(0.4) {
                return false;
            }
        }
        if self.random.chance(self.odds.delivered) {
            self.emit("delivered");
        }
        true
    }

    /// A push goes to each device: some tokens are bad, some devices report that it came.
    fn reach_devices(&mut self) -> bool {
        let (mut bad, mut good) = (Vec::new(), Vec::new());
        for place in 0..self.person.devices.len() {
            if self.random.chance(0.04) {
                bad.push(Device { place, reason: Some(*self.random.pick(self.reasons.hard_bounce)) });
            } else {
                good.push(Device { place, reason: None });
            }
        }
        if !bad.is_empty() {
            self.wait(1, 5);
            self.emit("bounced").devices = bad;
        }
        for device in &good {
            if self.random.chance(self.odds.delivered) {
                self.wait(1, 30);
                self.emit("delivered").devices = vec![*device];
            }
        }
        !good.is_empty()
    }

    /// Opens, clicks, replies and the rest, of machines first.
    fn engage(&mut self) {
        let arrived_ms = self.now_ms;
        self.prefetch();
        let opened = self.open(arrived_ms);
        let counts_opens = self.odds.opened > 0.0;
        // images off: read and clicked without an open
        let unseen_click = counts_opens && !opened && self.random.chance(0.012);
        let odds = if unseen_click { 1.0 } else { self.odds.clicked };
        let may_click = (opened || !counts_opens || unseen_click) && !self.step.links.is_empty();
        let clicked = may_click && self.random.chance(odds);
        if clicked {
            self.click(opened);
        }
        if self.random.chance(self.odds.replied) {
            self.later("replied", 1_800);
        }
        if self.random.chance(if clicked { 0.16 } else { 0.003 }) {
            self.later("converted", 7_200);
        }
        if self.step.channel == "email" && opened {
            if self.random.chance(0.012) {
                self.later("unsubscribed", 60);
            }
            if self.random.chance(0.003) {
                self.later("spammed", 120);
            }
        }
    }

    /// Privacy proxies load the images and link checkers follow the links, within seconds and before anybody looks.
    fn prefetch(&mut self) {
        if self.random.chance(self.odds.prefetched) {
            self.wait(1, 120);
            let proxied = self.random.chance(0.7);
            let open = self.emit("opened");
            (open.machine, open.proxied) = (Some(true), Some(proxied));
        }
        if self.step.channel == "email" && self.random.chance(0.015) {
            self.wait(1, 10);
            for nth in 0..self.step.links.len() {
                self.follow(nth, Some(true));
            }
            if self.random.chance(0.3) {
                self.emit("opened").synthetic = Some(true);
            }
        }
    }

    /// Whether a person opened it; some do again and again.
    fn open(&mut self, arrived_ms: Millis) -> bool {
        if !self.random.chance(self.odds.opened) {
            return false;
        }
        let typical_s = match self.step.channel {
            "email" => 5_400,
            "in_app" => 20_000,
            _ => 300,
        };
        self.now_ms = self.now_ms.max(arrived_ms) + self.random.wait(typical_s) * SECOND_MS;
        let first_ms = self.now_ms;
        for nth in 0..6 {
            let labelled = self.step.channel == "email" && self.random.chance(0.9);
            let proxied = self.random.chance(0.35);
            let open = self.by_person("opened");
            if labelled {
                (open.machine, open.proxied) = (Some(false), Some(proxied));
            }
            if self.step.channel == "push" || !self.random.chance(if nth == 0 { 0.3 } else { 0.45 }) {
                break;
            }
            self.now_ms += self.random.wait(10_000) * SECOND_MS;
        }
        self.now_ms = first_ms;
        true
    }

    /// A person follows links, most of them one.
    fn click(&mut self, opened: bool) {
        self.now_ms += self.random.wait(if opened { 45 } else { 3_600 }) * SECOND_MS;
        if !opened && self.step.channel == "email" && self.random.chance(0.5) {
            self.emit("opened").synthetic = Some(true);
        }
        loop {
            let nth = self.random.below(self.step.links.len() as u64) as usize;
            let labelled = self.step.channel == "email" && self.random.chance(0.9);
            self.follow(nth, labelled.then_some(false));
            if !self.random.chance(0.2) {
                break;
            }
            self.now_ms += self.random.wait(240) * SECOND_MS;
        }
    }

    fn follow(&mut self, nth: usize, machine: Option<bool>) {
        let (token, number) = (format!("{:016x}", self.random.next()), self.random.between(10_000, 99_999).to_string());
        let (href, link_id) = (self.step.links[nth].replace("{token}", &token), self.step.link_id(nth));
        let pressed = *self.random.pick(&["upgrade", "later", "tour"]);
        let action_value = (self.step.channel == "in_app").then_some(pressed);
        let click = self.by_person("clicked");
        (click.href, click.link_id) = (Some(href.replace("{n}", &number)), link_id);
        (click.machine, click.action_value) = (machine, action_value);
    }

    fn later(&mut self, metric: &'static str, typical_s: i64) {
        self.now_ms += (self.random.wait(typical_s) * SECOND_MS).min(5 * DAY_MS);
        self.by_person(metric);
    }

    /// The event of a push comes from the one device that was picked up: the first that did not bounce.
    fn by_person(&mut self, metric: &'static str) -> &mut Event {
        let bounced = self.events.iter().find(|event| event.metric == "bounced");
        let is_bounced = |place| bounced.is_some_and(|event| event.devices.iter().any(|device| device.place == place));
        let place = (0..self.person.devices.len()).find(|place| !is_bounced(*place));
        let event = self.emit(metric);
        event.devices = place.map(|place| Device { place, reason: None }).into_iter().collect();
        event
    }
}
