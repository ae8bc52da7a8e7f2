//! What hostile histories are made of: few values, so that everything meets everything.

use waybill::domain::Attribute;

const NOON: i64 = 1_710_072_000_000;
const MINUTE: i64 = 60_000;

/// Around the borders of an hour and of its quarters.
pub const TIMES: [i64; 16] = [
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
pub const RECEIVED: [i64; 4] = [NOON + 15 * MINUTE, NOON + 60 * MINUTE, NOON, NOON - 1];

pub const DELIVERIES: [&str; 4] = ["d1", "d2", "D1", "RKK4AwUAAYoeIC5PHMYd6"];

/// Texts whose order as bytes is not that of their kinds; the last ones only look like a ULID, a UUID, a hash.
pub const IDS: [&str; 15] = [
    "a",
    "pulled-1",
    "b",
    "pulled-2",
    "B",
    "01H8F21G9KK14JKX233RDFJCNM",
    "01H8F21G9KK14JKX233RDFJCNN",
    "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "derived-00112233445566778899aabbccddeeff",
    "é",
    "01h8f21g9kk14jkx233rdfjcnm",
    "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    "0F8FAD5B-d9cb-469f-a165-70867728950e",
    "derived-00112233445566778899AABBCCDDEEFF",
];

pub const METRICS: [&str; 19] = [
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
pub struct Theme {
    /// Empty: none.
    pub channel: &'static str,
    pub metrics: &'static [&'static str],
    /// All in one quarter of an hour (where much is decided without reading other events), or around a border.
    pub times: &'static [i64],
}

const ONE: &[i64] = &[NOON];
const CALM: &[i64] = &[NOON, NOON + 1, NOON + 15 * MINUTE - 1];
const BORDERS: &[i64] = &[NOON, NOON - 1, NOON + 15 * MINUTE - 1, NOON + 15 * MINUTE];

pub const THEMES: [Theme; 14] = [
    theme("email", &["sent", "delivered", "opened", "clicked", "bounced", "failed"], CALM),
    theme("email", &["sent", "delivered", "opened", "clicked", "bounced", "failed"], BORDERS),
    theme("email", &["clicked", "opened"], CALM),
    theme("email", &["clicked"], ONE),
    theme("email", &["failed", "sent"], ONE),
    theme("push", &["sent", "delivered", "bounced", "failed", "attempted", "opened"], CALM),
    theme("push", &["queued", "drafted", "bounced"], BORDERS),
    theme("sms", &["sent", "clicked", "failed"], CALM),
    theme("email", &["bounced", "delivered", "spammed", "suppressed"], CALM),
    theme("sms", &["bounced", "delivered", "suppressed"], BORDERS),
    theme("push", &["bounced", "delivered", "suppressed", "sent", "spammed"], CALM),
    theme("", &["bounced", "delivered", "spammed"], CALM),
    theme("", &["clicked", "sent", "opened"], CALM),
    theme("", &["clicked", "queued", "drafted"], BORDERS),
];

const fn theme(channel: &'static str, metrics: &'static [&'static str], times: &'static [i64]) -> Theme {
    Theme { channel, metrics, times }
}

/// The values that an attribute has.
pub fn values(attribute: Attribute) -> &'static [&'static str] {
    match attribute {
        Attribute::Channel => &["email", "push", "sms", "carrier_pigeon"],
        Attribute::CampaignId
        | Attribute::BroadcastId
        | Attribute::NewsletterId
        | Attribute::TransactionalMessageId => &["8", "10", "9", "0"],
        Attribute::ActionId | Attribute::ContentId | Attribute::ParentActionId => &["42", "7", " "],
        Attribute::Recipient => &["a@x.test", "B <b@x.test>", "A@X.test", "null"],
        Attribute::Email => &["a@x.test", "B@x.test", "null"],
        Attribute::Subject => &["Hello", "Hallo \"du\"", "{}"],
        _ => &["t1", "t2", "0"],
    }
}

pub const HREFS: [&str; 9] = [
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

/// What usually stands for the source, and what differs from it in one part.
pub const SOURCES: [&[(Attribute, &str)]; 5] = [
    &[],
    &[(Attribute::CampaignId, "8"), (Attribute::ActionId, "42")],
    &[(Attribute::CampaignId, "8")],
    &[(Attribute::CampaignId, "8"), (Attribute::ActionId, "42"), (Attribute::ContentId, "7")],
    &[(Attribute::ActionId, "42")],
];

pub fn usual(theme: Theme, source: usize, others: &[bool; 4]) -> Vec<(Attribute, &'static str)> {
    let parts = [
        (Attribute::Channel, theme.channel),
        (Attribute::TriggerId, "t1"),
        (Attribute::Recipient, "a@x.test"),
        (Attribute::Subject, "Hello"),
    ];
    let parts = parts.into_iter().zip(others).filter(|(_, said)| **said).map(|(part, _)| part);
    parts.chain(SOURCES[source].iter().copied()).collect()
}
