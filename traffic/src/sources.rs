//! The workspace: its campaigns, broadcasts, newsletters and transactional messages. Ids overlap between kinds on purpose
//! (campaign 3 is not newsletter 3), as they do in a real workspace.

/// Every channel, as webhooks name it.
pub const CHANNELS: [&str; 7] = ["email", "push", "sms", "in_app", "webhook", "slack", "whatsapp"];

/// What messages come from.
pub struct Source {
    /// `campaign`, `broadcast`, `newsletter` or `transactional`.
    pub kind: &'static str,
    pub id: u32,
    /// Events carry ids only; this is what a person would call it.
    pub name: &'static str,
    /// Its share of all deliveries, of the sum of all weights.
    pub(crate) weight: u32,
    /// In how many sends it goes out: several for a broadcast, 1 for a newsletter, 0 where messages go out all the time.
    pub(crate) sends: u32,
    pub steps: &'static [Step],
}

/// One message of a source: an action of a campaign or broadcast, a content of a newsletter.
pub struct Step {
    /// Its action or content id; 0: none, as of a transactional message.
    pub id: u32,
    pub channel: &'static str,
    /// The subjects of an email; `{name}` and `{n}` are filled in.
    pub(crate) subjects: Subjects,
    pub(crate) links: Links,
}

impl Step {
    /// The split test that it is a part of.
    pub(crate) fn parent(&self) -> Option<u32> {
        matches!(self.id, 122 | 123).then_some(121)
    }

    /// The id of its nth link. Text messages carry short links without one.
    pub(crate) fn link_id(&self, nth: usize) -> Option<u32> {
        (!matches!(self.channel, "sms" | "whatsapp")).then(|| self.id * 10 + nth as u32 + 1)
    }
}

type Links = &'static [&'static str];

/// Links as the template has them; `{token}` is personal, `{n}` an order or a basket.
const SHOP: Links = &[
    "https://shop.example.com/new?utm_source=customer.io&utm_medium=email&cio_token={token}",
    "https://shop.example.com/sale/summer?utm_source=customer.io&cio_token={token}#top",
    "https://shop.example.com/account/preferences?token={token}",
];
const ORDER: Links =
    &["https://shop.example.com/orders/track?order={n}&sig={token}", "https://help.example.org/returns?ref={token}"];
const APP: Links = &["https://app.example.net/welcome?next=%2Fprojects&t={token}", "https://docs.example.net/start"];
const RESET: Links = &["https://app.example.net/reset?code={token}&lang=en"];
const SHORT: Links = &["https://exmpl.example.com/s/offer?u={token}"];
const DEEP: Links = &["exampleshop://basket/{n}", "exampleshop://orders"];
const IN_APP: Links = &["https://app.example.net/upgrade?seat={token}", "https://app.example.net/tour"];
const DESK: Links = &["https://crm.example.org/deals/{n}"];

type Subjects = &'static [&'static str];

const WELCOME: Subjects = &["Welcome, {name} 👋", "Your first \"project\" in 3 steps"];
const TRIAL: Subjects = &["{name}, 3 days left — don't lose your work"];
const BASKET: Subjects = &["You left something behind, {name}", "Still thinking about it? 🛒", "Ваша корзина ждёт вас"];
const FREE: Subjects = &["Free delivery ends at midnight ⏰"];
const SENT: Subjects = &["Order {n} is on its way 🚚", "Заказ № {n} отправлен"];
const SURVEY: Subjects = &["{name}, how did we do? <2 minutes>"];
const PRICES: Subjects = &["📉 Now cheaper: what you saved, {name}"];
const SPRING: Subjects = &["What's new: exports, roles & \"quiet hours\"", "{name}, here's what we built for you 🌱"];

const fn email(id: u32, subjects: Subjects, links: Links) -> Step {
    Step { id, channel: "email", subjects, links }
}

const fn other(id: u32, channel: &'static str, links: Links) -> Step {
    Step { id, channel, subjects: &[], links }
}

const fn source(kind: &'static str, id: u32, name: &'static str, share: (u32, u32), steps: &'static [Step]) -> Source {
    Source { kind, id, name, weight: share.0, sends: share.1, steps }
}

/// All of them, each with its weight and its sends.
pub const SOURCES: [Source; 20] = [
    source("campaign", 1, "Welcome series", (90, 0), &[email(101, WELCOME, APP), other(103, "push", DEEP)]),
    source("campaign", 2, "Trial is ending", (40, 0), &[email(111, TRIAL, APP), other(113, "slack", DESK)]),
    source("campaign", 3, "Abandoned basket", (80, 0), &[email(122, BASKET, SHOP), email(123, FREE, SHOP)]),
    source("campaign", 4, "Order updates", (110, 0), &[email(131, SENT, ORDER), other(132, "sms", SHORT)]),
    source("campaign", 5, "Win back", (40, 0), &[email(141, &["We miss you, {name}"], SHOP), other(142, "push", DEEP)]),
    source("campaign", 7, "How was it?", (50, 0), &[email(161, SURVEY, ORDER), other(162, "whatsapp", SHORT)]),
    source("campaign", 8, "Onboarding checklist", (60, 0), &[other(171, "in_app", IN_APP)]),
    source("campaign", 9, "Sync to the CRM", (30, 0), &[other(181, "webhook", DESK)]),
    source("broadcast", 1, "Price drop", (60, 8), &[email(201, PRICES, SHOP), other(202, "push", DEEP)]),
    source("broadcast", 2, "Back in stock", (35, 6), &[email(211, &["It's back, {name}!"], SHOP)]),
    source("broadcast", 7, "Courier is near", (30, 12), &[other(231, "sms", SHORT), other(232, "whatsapp", SHORT)]),
    source("newsletter", 1, "What's new, spring", (55, 1), &[email(301, SPRING, SHOP), email(302, SPRING, SHOP)]),
    source("newsletter", 2, "Summer release", (55, 1), &[email(303, &["Summer release ☀️: faster everything"], SHOP)]),
    source("newsletter", 3, "Holiday hours", (50, 1), &[email(305, &["Our hours over the holidays"], SHOP)]),
    source("newsletter", 4, "Flash sale", (45, 1), &[other(306, "push", DEEP)]),
    source("newsletter", 5, "Community digest", (55, 1), &[email(307, &["5 things people made this month ✨"], SHOP)]),
    source("newsletter", 6, "Text club", (30, 1), &[other(308, "sms", SHORT)]),
    source("transactional", 1, "Password reset", (40, 0), &[email(0, &["Reset your password"], RESET)]),
    source("transactional", 2, "Order confirmation", (90, 0), &[email(0, &["Thank you, {name}: order {n}"], ORDER)]),
    source("transactional", 4, "Sign-in code", (30, 0), &[other(0, "sms", &[])]),
];
