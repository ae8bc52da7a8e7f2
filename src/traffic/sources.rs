//! The workspace: 25 sources, what they send by which channel, and what it says.
//!
//! Ids overlap between kinds on purpose (campaign 3 is not newsletter 3), as they do in a real workspace.

use crate::domain::Channel::{self, Email, InApp, Push, Slack, Sms, Webhook, Whatsapp};
use crate::domain::SourceKind::{self, Broadcast, Campaign, Newsletter, Transactional};

pub struct Source {
    pub kind: SourceKind,
    pub id: u32,
    /// Events carry ids only; this is what a person would name it.
    pub name: &'static str,
    /// Its share of all deliveries.
    pub weight: u32,
    /// How often a broadcast was triggered over the span; 1 for a newsletter; 0 where messages go out all the time.
    pub sends: u32,
    pub steps: &'static [Step],
}

/// One message of a source: an action of a campaign or broadcast, a content of a newsletter.
pub struct Step {
    /// Its action or content id; a transactional message has none.
    pub id: u32,
    pub parent_action_id: Option<u32>,
    pub channel: Channel,
    /// What e-mail subjects say; `{name}` and `{n}` are filled in.
    pub subjects: &'static [&'static str],
    pub links: &'static [&'static str],
}

const fn step(id: u32, channel: Channel, subjects: &'static [&'static str], links: &'static [&'static str]) -> Step {
    Step { id, parent_action_id: None, channel, subjects, links }
}

const fn split(id: u32, parent: u32, subjects: &'static [&'static str], links: &'static [&'static str]) -> Step {
    Step { id, parent_action_id: Some(parent), channel: Email, subjects, links }
}

const fn source(
    kind: SourceKind,
    id: u32,
    name: &'static str,
    weight: u32,
    sends: u32,
    steps: &'static [Step],
) -> Source {
    Source { kind, id, name, weight, sends, steps }
}

/// Links as the template has them; `{token}` is personal, `{n}` an order or a basket.
const SHOP: &[&str] = &[
    "https://shop.example.com/new?utm_source=customer.io&utm_medium=email&cio_token={token}",
    "https://shop.example.com/sale/summer?utm_source=customer.io&cio_token={token}#top",
    "https://shop.example.com/account/preferences?token={token}",
];
const ORDER: &[&str] =
    &["https://shop.example.com/orders/track?order={n}&sig={token}", "https://help.example.org/returns?ref={token}"];
const APP: &[&str] = &["https://app.example.net/welcome?next=%2Fprojects&t={token}", "https://docs.example.net/start"];
const RESET: &[&str] = &["https://app.example.net/reset?code={token}&lang=en"];
const SHORT: &[&str] = &["https://exmpl.example.com/s/offer?u={token}"];
const DEEP: &[&str] = &["exampleshop://basket/{n}", "exampleshop://orders"];
const IN_APP: &[&str] = &["https://app.example.net/upgrade?seat={token}", "https://app.example.net/tour"];
const DESK: &[&str] = &["https://crm.example.org/deals/{n}"];

const WELCOME: &[&str] =
    &["Welcome, {name} 👋", "{name}, здравствуйте! С чего начать", "Your first \"project\" in 3 steps"];
const BASKET: &[&str] = &["You left something behind, {name}", "Still thinking about it? 🛒", "Ваша корзина ждёт вас"];

pub const SOURCES: [Source; 25] = [
    source(
        Campaign,
        1,
        "Welcome series",
        90,
        0,
        &[
            step(101, Email, WELCOME, APP),
            step(102, Email, &["Day 3: invite your team, {name}"], APP),
            step(103, Push, &[], DEEP),
            step(104, InApp, &[], IN_APP),
        ],
    ),
    source(
        Campaign,
        2,
        "Trial is ending",
        40,
        0,
        &[
            step(111, Email, &["{name}, 3 days left — don't lose your work"], APP),
            step(112, InApp, &[], IN_APP),
            step(113, Slack, &[], DESK),
        ],
    ),
    source(
        Campaign,
        3,
        "Abandoned basket",
        80,
        0,
        &[
            split(122, 121, BASKET, SHOP),
            split(123, 121, &["Free delivery ends at midnight ⏰"], SHOP),
            step(124, Push, &[], DEEP),
            step(125, Sms, &[], SHORT),
        ],
    ),
    source(
        Campaign,
        4,
        "Order updates",
        110,
        0,
        &[
            step(131, Email, &["Order {n} is on its way 🚚", "Заказ № {n} отправлен"], ORDER),
            step(132, Sms, &[], SHORT),
            step(133, Whatsapp, &[], SHORT),
            step(134, Push, &[], DEEP),
        ],
    ),
    source(
        Campaign,
        5,
        "Win back",
        35,
        0,
        &[
            step(141, Email, &["We miss you, {name}", "It's been a while… \"20% off\" inside"], SHOP),
            step(142, Push, &[], DEEP),
        ],
    ),
    source(Campaign, 6, "Birthday", 15, 0, &[step(151, Email, &["Happy birthday, {name}! 🎂🎉"], SHOP)]),
    source(
        Campaign,
        7,
        "How was it?",
        45,
        0,
        &[
            step(161, Email, &["{name}, how did we do? <2 minutes>", "Оцените заказ № {n}"], ORDER),
            step(162, Whatsapp, &[], SHORT),
            step(163, Sms, &[], SHORT),
        ],
    ),
    source(Campaign, 8, "Onboarding checklist", 60, 0, &[step(171, InApp, &[], IN_APP), step(172, InApp, &[], IN_APP)]),
    source(Campaign, 9, "Sync to the CRM", 30, 0, &[step(181, Webhook, &[], DESK)]),
    source(Campaign, 10, "Tell sales", 12, 0, &[step(191, Slack, &[], DESK)]),
    source(
        Broadcast,
        1,
        "Price drop",
        60,
        8,
        &[step(201, Email, &["📉 Now cheaper: what you saved, {name}"], SHOP), step(202, Push, &[], DEEP)],
    ),
    source(Broadcast, 2, "Back in stock", 35, 6, &[step(211, Email, &["It's back, {name}!"], SHOP)]),
    source(
        Broadcast,
        3,
        "Service notice",
        20,
        3,
        &[
            step(221, Email, &["Planned maintenance on Sunday", "Плановые работы в воскресенье"], APP),
            step(222, Slack, &[], DESK),
        ],
    ),
    source(Broadcast, 7, "Delivery is near", 30, 12, &[step(231, Sms, &[], SHORT), step(232, Whatsapp, &[], SHORT)]),
    source(
        Newsletter,
        1,
        "What is new, spring",
        70,
        1,
        &[
            step(301, Email, &["What's new: exports, roles & \"quiet hours\""], SHOP),
            step(302, Email, &["{name}, here's what we built for you 🌱"], SHOP),
        ],
    ),
    source(
        Newsletter,
        2,
        "What is new, summer",
        75,
        1,
        &[
            step(303, Email, &["Summer release ☀️: faster everything"], SHOP),
            step(304, Email, &["Новости лета: всё стало быстрее"], SHOP),
        ],
    ),
    source(Newsletter, 3, "Holiday hours", 50, 1, &[step(305, Email, &["Our hours over the holidays"], SHOP)]),
    source(Newsletter, 4, "Flash sale", 45, 1, &[step(306, Push, &[], DEEP)]),
    source(
        Newsletter,
        5,
        "Community digest",
        55,
        1,
        &[step(307, Email, &["5 things people made this month ✨"], SHOP)],
    ),
    source(Newsletter, 6, "Text club", 25, 1, &[step(308, Sms, &[], SHORT)]),
    source(Transactional, 1, "Password reset", 40, 0, &[step(0, Email, &["Reset your password"], RESET)]),
    source(Transactional, 2, "Order confirmation", 70, 0, &[step(0, Email, &["Thank you, {name}: order {n}"], ORDER)]),
    source(Transactional, 3, "Receipt", 50, 0, &[step(0, Email, &["Receipt № {n}", "Чек № {n}"], ORDER)]),
    source(Transactional, 4, "Sign-in code", 30, 0, &[step(0, Sms, &[], &[])]),
    source(Transactional, 5, "New sign-in", 25, 0, &[step(0, Push, &[], DEEP)]),
];

impl Step {
    /// The id of its nth link. Text messages carry short links without one.
    pub fn link_id(&self, nth: usize) -> Option<u32> {
        (!matches!(self.channel, Sms | Whatsapp)).then(|| self.id * 10 + nth as u32 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sources_and_steps_are_told_apart() {
        let sources: HashSet<_> = SOURCES.iter().map(|source| (source.kind, source.id)).collect();
        assert_eq!(sources.len(), SOURCES.len());
        let steps: Vec<u32> =
            SOURCES.iter().flat_map(|source| source.steps).map(|step| step.id).filter(|id| *id > 0).collect();
        assert_eq!(steps.iter().collect::<HashSet<_>>().len(), steps.len());
        for source in &SOURCES {
            assert_eq!(source.sends > 0, matches!(source.kind, Broadcast | Newsletter), "{}", source.name);
            for step in source.steps {
                assert_eq!(!step.subjects.is_empty(), step.channel == Email, "{}", source.name);
            }
        }
    }

    #[test]
    fn every_channel_is_used() {
        for channel in Channel::ALL {
            assert!(SOURCES.iter().any(|source| source.steps.iter().any(|step| step.channel == channel)));
        }
    }
}
