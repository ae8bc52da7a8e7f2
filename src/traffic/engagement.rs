//! What people, and the machines before them, do with a message that came.

use super::lifecycle::{Event, Life, Named};
use super::time::{DAY_MS, SECOND_MS};
use crate::domain::Channel;
use crate::domain::Metric::{self, *};
use crate::domain::Millis;

/// Opens, clicks, answers and the rest, from now on.
pub fn engage(life: &mut Life) {
    let arrived_ms = life.now_ms;
    look_first(life);
    let opened = open(life, arrived_ms);
    let counts_opens = life.odds.opened > 0.0;
    // images off: read and clicked without an open
    let unseen_click = counts_opens && !opened && life.random.chance(0.012);
    let clicked = (opened || !counts_opens || unseen_click) && {
        let odds = if unseen_click { 1.0 } else { life.odds.clicked };
        !life.step.links.is_empty() && life.random.chance(odds)
    };
    if clicked {
        click(life, opened);
    }
    aftermath(life, opened, clicked);
}

/// Privacy proxies load the images and link checkers follow the links, within seconds and before anybody looks.
fn look_first(life: &mut Life) {
    if life.random.chance(life.odds.prefetched) {
        life.wait(1, 120);
        let proxied = life.random.chance(0.7);
        let open = say(life, Opened);
        (open.machine, open.proxied) = (Some(true), Some(proxied));
    }
    if life.random.chance(life.odds.checked) && !life.step.links.is_empty() {
        life.wait(1, 10);
        for nth in 0..life.step.links.len() {
            follow(life, nth, Some(true));
        }
        if life.random.chance(0.3) {
            say(life, Opened).synthetic = Some(true);
        }
    }
}

/// Whether a person opened it; some do again and again.
fn open(life: &mut Life, arrived_ms: Millis) -> bool {
    if !life.random.chance(life.odds.opened) {
        return false;
    }
    let typical_s = match life.channel {
        Channel::Email => 5_400,
        Channel::InApp => 20_000,
        _ => 300,
    };
    life.now_ms = life.now_ms.max(arrived_ms) + life.random.wait(typical_s) * SECOND_MS;
    let first_ms = life.now_ms;
    for nth in 0..6 {
        let labelled = life.channel == Channel::Email && life.random.chance(0.9);
        let proxied = life.random.chance(0.35);
        let open = say(life, Opened);
        if labelled {
            (open.machine, open.proxied) = (Some(false), Some(proxied));
        }
        if life.channel == Channel::Push || !life.random.chance(if nth == 0 { 0.3 } else { 0.45 }) {
            break;
        }
        life.now_ms += life.random.wait(10_000) * SECOND_MS;
    }
    life.now_ms = first_ms;
    true
}

/// A person follows links, most of them one.
fn click(life: &mut Life, opened: bool) {
    life.now_ms += life.random.wait(if opened { 45 } else { 3_600 }) * SECOND_MS;
    if !opened && life.channel.click_implies_open() && life.random.chance(0.5) {
        let open = say(life, Opened);
        open.synthetic = Some(true);
    }
    loop {
        let nth = life.random.below(life.step.links.len() as u64) as usize;
        let labelled = life.channel == Channel::Email && life.random.chance(0.9);
        follow(life, nth, labelled.then_some(false));
        if !life.random.chance(0.2) {
            break;
        }
        life.now_ms += life.random.wait(240) * SECOND_MS;
    }
}

fn follow(life: &mut Life, nth: usize, machine: Option<bool>) {
    let (token, number) = (life.random.next(), life.random.between(10_000, 99_999));
    let href = life.step.links[nth].replace("{token}", &format!("{token:016x}")).replace("{n}", &number.to_string());
    let link_id = life.step.link_id(nth);
    let action_value = (life.channel == Channel::InApp).then(|| *life.random.pick(&["upgrade", "later", "tour"]));
    let click = say(life, Clicked);
    click.href = Some(href);
    click.link_id = link_id;
    click.machine = machine;
    click.action_value = action_value;
}

/// Answers, goals, and going away.
fn aftermath(life: &mut Life, opened: bool, clicked: bool) {
    if life.random.chance(life.odds.replied) {
        later(life, Replied, 1_800);
    }
    if life.random.chance(if clicked { 0.16 } else { 0.003 }) {
        later(life, Converted, 7_200);
    }
    if life.channel == Channel::Email && opened {
        if life.random.chance(0.012) {
            later(life, Unsubscribed, 60);
        }
        if life.random.chance(0.003) {
            later(life, Spammed, 120);
        }
    }
}

fn later(life: &mut Life, metric: Metric, typical_s: i64) {
    let wait_ms = (life.random.wait(typical_s) * SECOND_MS).min(5 * DAY_MS);
    life.now_ms += wait_ms;
    say(life, metric);
}

/// A push's event comes from the one device that was picked up.
fn say<'a>(life: &'a mut Life, metric: Metric) -> &'a mut Event {
    let bounced: Vec<usize> = life
        .events
        .iter()
        .filter(|event| event.metric == Bounced)
        .flat_map(|event| event.devices.iter().map(|named| named.device))
        .collect();
    let device = (0..life.devices.len()).find(|device| !bounced.contains(device));
    let event = life.say(metric);
    event.devices = device.map(|device| Named { device, reason: None }).into_iter().collect();
    event
}
