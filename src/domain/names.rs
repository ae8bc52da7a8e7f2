//! The one table of channels, metrics and event names.
//!
//! Everything that must know a channel or a metric reads it here: the parsers, the store, the pages.
//! The file holds the names, so a row may be added or moved, and a name never changes.
//!
//! Names as Customer.io's reporting webhooks and Data Pipelines documentation give them; the spellings of
//! RudderStack's Customer.io source beside them.

use std::fmt;

/// A channel that Waybill knows. Others are kept as they came, as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    Email,
    Push,
    Sms,
    InApp,
    Webhook,
    Slack,
    Whatsapp,
}

struct ChannelRow {
    channel: Channel,
    /// In SQL, URLs, JSON and reporting webhooks (`object_type`).
    name: &'static str,
    /// The first word of its Data Pipelines event names, and its label on pages.
    title: &'static str,
    /// RudderStack writes "Slack Message Sent" for some channels.
    says_message: bool,
    /// What the channel can report at all; a metric outside it is "not tracked" there, not 0.
    reports: &'static [Metric],
}

use Metric::*;

const CHANNELS: [ChannelRow; 7] = [
    ChannelRow {
        channel: Channel::Email,
        name: "email",
        title: "Email",
        says_message: false,
        reports: &[
            Queued,
            Drafted,
            Attempted,
            Deferred,
            Sent,
            Delivered,
            Opened,
            Clicked,
            Converted,
            Unsubscribed,
            Bounced,
            Suppressed,
            Spammed,
            Failed,
            Undeliverable,
        ],
    },
    ChannelRow {
        channel: Channel::Push,
        name: "push",
        title: "Push",
        says_message: false,
        reports: &[
            Queued,
            Drafted,
            Attempted,
            Sent,
            Delivered,
            Opened,
            Clicked,
            Converted,
            Bounced,
            Suppressed,
            Failed,
            Undeliverable,
        ],
    },
    ChannelRow {
        channel: Channel::Sms,
        name: "sms",
        title: "SMS",
        says_message: false,
        reports: &[
            Queued,
            Drafted,
            Attempted,
            Sent,
            Delivered,
            Clicked,
            Replied,
            Converted,
            Bounced,
            Suppressed,
            Failed,
            Undeliverable,
        ],
    },
    ChannelRow {
        channel: Channel::InApp,
        name: "in_app",
        title: "In-App",
        says_message: false,
        reports: &[Queued, Drafted, Attempted, Sent, Opened, Clicked, Converted, Failed, Undeliverable],
    },
    ChannelRow {
        channel: Channel::Webhook,
        name: "webhook",
        title: "Webhook",
        says_message: true,
        reports: &[Queued, Drafted, Attempted, Sent, Clicked, Converted, Failed, Undeliverable],
    },
    ChannelRow {
        channel: Channel::Slack,
        name: "slack",
        title: "Slack",
        says_message: true,
        reports: &[Queued, Drafted, Attempted, Sent, Clicked, Converted, Failed, Undeliverable],
    },
    ChannelRow {
        channel: Channel::Whatsapp,
        name: "whatsapp",
        title: "WhatsApp",
        says_message: false,
        reports: &[
            Queued,
            Drafted,
            Attempted,
            Sent,
            Delivered,
            Opened,
            Clicked,
            Replied,
            Converted,
            Bounced,
            Suppressed,
            Failed,
            Undeliverable,
        ],
    },
];

impl Channel {
    pub const ALL: [Channel; 7] = [
        Channel::Email,
        Channel::Push,
        Channel::Sms,
        Channel::InApp,
        Channel::Webhook,
        Channel::Slack,
        Channel::Whatsapp,
    ];

    fn row(self) -> &'static ChannelRow {
        &CHANNELS[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// As events name it: "In-App".
    pub fn title(self) -> &'static str {
        self.row().title
    }

    pub fn parse(name: &str) -> Option<Channel> {
        CHANNELS.iter().find(|row| row.name == name).map(|row| row.channel)
    }

    /// Whether the channel can report the metric at all.
    pub fn reports(self, metric: Metric) -> bool {
        self.row().reports.contains(&metric)
    }

    /// In e-mail and push a click implies an open (law 3).
    pub fn click_implies_open(self) -> bool {
        matches!(self, Channel::Email | Channel::Push)
    }
}

/// How a metric takes part in a delivery's status (law 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// The higher rank wins.
    Preparation,
    /// The later time wins, then the rank.
    HandOff,
    /// The later time wins, then the rank.
    Outcome,
    /// The higher rank wins.
    Engagement,
}

/// A metric that has a status, a rollup and a column. Others are kept as text and shown in the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    Queued,
    Drafted,
    Attempted,
    Deferred,
    Sent,
    Delivered,
    Opened,
    Clicked,
    Replied,
    Converted,
    Unsubscribed,
    Bounced,
    Suppressed,
    Spammed,
    Failed,
    Undeliverable,
}

struct MetricRow {
    metric: Metric,
    /// In SQL, URLs, JSON.
    name: &'static str,
    /// For people, and the word of its Data Pipelines event names.
    title: &'static str,
    /// Further words in Data Pipelines event names.
    words: &'static [&'static str],
    /// What webhooks, the Track API or the App API call it where they differ.
    aliases: &'static [&'static str],
    phase: Phase,
    /// Its place within the phase.
    rank: u8,
    /// In plain words, for the pages.
    meaning: &'static str,
}

const fn row(metric: Metric, name: &'static str, title: &'static str, phase: Phase, rank: u8) -> MetricRow {
    MetricRow { metric, name, title, words: &[], aliases: &[], phase, rank, meaning: "" }
}

const METRICS: [MetricRow; 16] = [
    MetricRow {
        aliases: &["created"],
        meaning: "being prepared; nothing was attempted yet",
        ..row(Queued, "queued", "Queued", Phase::Preparation, 0)
    },
    MetricRow {
        meaning: "rendered, and waiting to be sent",
        ..row(Drafted, "drafted", "Drafted", Phase::Preparation, 1)
    },
    MetricRow {
        words: &["Attempted"],
        meaning: "handed to the provider; with a reason: that failed and will be tried again",
        ..row(Attempted, "attempted", "Retrying", Phase::HandOff, 0)
    },
    MetricRow {
        meaning: "the provider could not send it yet and will try again",
        ..row(Deferred, "deferred", "Deferred", Phase::HandOff, 1)
    },
    MetricRow { meaning: "accepted by the provider", ..row(Sent, "sent", "Sent", Phase::HandOff, 2) },
    MetricRow {
        meaning: "the recipient's server, carrier or device took it",
        ..row(Delivered, "delivered", "Delivered", Phase::Outcome, 0)
    },
    MetricRow { meaning: "opened, or its images were loaded", ..row(Opened, "opened", "Opened", Phase::Engagement, 0) },
    MetricRow {
        words: &["Link Clicked"],
        meaning: "a tracked link in it was followed",
        ..row(Clicked, "clicked", "Clicked", Phase::Engagement, 1)
    },
    MetricRow { meaning: "the person answered", ..row(Replied, "replied", "Replied", Phase::Engagement, 2) },
    MetricRow {
        meaning: "the person reached the campaign's goal",
        ..row(Converted, "converted", "Converted", Phase::Engagement, 3)
    },
    MetricRow {
        meaning: "the person unsubscribed by it",
        ..row(Unsubscribed, "unsubscribed", "Unsubscribed", Phase::Engagement, 4)
    },
    MetricRow {
        meaning: "the recipient's server, carrier or device refused it",
        ..row(Bounced, "bounced", "Bounced", Phase::Outcome, 1)
    },
    MetricRow {
        words: &["Dropped"],
        aliases: &["dropped"],
        meaning: "not sent: the address bounced or complained before, or the person is suppressed",
        ..row(Suppressed, "suppressed", "Suppressed", Phase::HandOff, 4)
    },
    MetricRow {
        words: &["Marked as Spam", "Spammed"],
        meaning: "the person marked it as spam",
        ..row(Spammed, "spammed", "Marked as spam", Phase::Engagement, 5)
    },
    MetricRow {
        meaning: "could not be handed to the provider, and will not be tried again",
        ..row(Failed, "failed", "Failed", Phase::HandOff, 5)
    },
    MetricRow {
        meaning: "not sent: limit reached, cancelled, or sending off",
        ..row(Undeliverable, "undeliverable", "Undeliverable", Phase::HandOff, 3)
    },
];

impl Metric {
    pub const ALL: [Metric; 16] = [
        Queued,
        Drafted,
        Attempted,
        Deferred,
        Sent,
        Delivered,
        Opened,
        Clicked,
        Replied,
        Converted,
        Unsubscribed,
        Bounced,
        Suppressed,
        Spammed,
        Failed,
        Undeliverable,
    ];

    fn row(self) -> &'static MetricRow {
        &METRICS[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// For people: "Opened".
    pub fn title(self) -> &'static str {
        self.row().title
    }

    /// What it says of a message, in plain words.
    pub fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// By its name or an alias, in any letter case.
    pub fn parse(name: &str) -> Option<Metric> {
        METRICS
            .iter()
            .find(|row| {
                row.name.eq_ignore_ascii_case(name) || row.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
            })
            .map(|row| row.metric)
    }

    pub fn phase(self) -> Phase {
        self.row().phase
    }

    pub fn rank(self) -> u8 {
        self.row().rank
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a Data Pipelines event name says of a message, in any of the three name generations or RudderStack's
/// dialect: `Email Link Clicked`, `Email Clicked`, `email_clicked`, `Slack Message Sent`.
/// `None`: the event is not about a message (`Email Verified`, `Order Completed`).
pub fn message_event(name: &str) -> Option<(Channel, Metric)> {
    CHANNELS.iter().find_map(|row| titled(row, name).or_else(|| snake(row, name)).map(|metric| (row.channel, metric)))
}

fn titled(row: &ChannelRow, name: &str) -> Option<Metric> {
    let rest = name.strip_prefix(row.title)?.strip_prefix(' ')?;
    let word = if row.says_message { rest.strip_prefix("Message ").unwrap_or(rest) } else { rest };
    METRICS.iter().find(|metric| metric.title == word || metric.words.contains(&word)).map(|metric| metric.metric)
}

fn snake(row: &ChannelRow, name: &str) -> Option<Metric> {
    let word = name.strip_prefix(row.name)?.strip_prefix('_')?;
    METRICS
        .iter()
        .find(|metric| metric.name == word || (word == "dropped" && metric.metric == Suppressed))
        .map(|metric| metric.metric)
}

/// What is counted for a source: every metric, all deliveries (`created`), and the human and machine halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    Created,
    Metric(Metric),
    HumanOpened,
    MachineOpened,
    HumanClicked,
    MachineClicked,
}

impl Counted {
    /// How many there are; `index` is below it.
    pub const COUNT: usize = 21;

    pub const ALL: [Counted; Counted::COUNT] = {
        let mut all = [Counted::Created; Counted::COUNT];
        let mut i = 0;
        while i < Metric::ALL.len() {
            all[i + 1] = Counted::Metric(Metric::ALL[i]);
            i += 1;
        }
        all[17] = Counted::HumanOpened;
        all[18] = Counted::MachineOpened;
        all[19] = Counted::HumanClicked;
        all[20] = Counted::MachineClicked;
        all
    };

    pub fn index(self) -> usize {
        match self {
            Counted::Created => 0,
            Counted::Metric(metric) => metric as usize + 1,
            Counted::HumanOpened => 17,
            Counted::MachineOpened => 18,
            Counted::HumanClicked => 19,
            Counted::MachineClicked => 20,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Counted::Created => "created",
            Counted::Metric(metric) => metric.name(),
            Counted::HumanOpened => "human_opened",
            Counted::MachineOpened => "machine_opened",
            Counted::HumanClicked => "human_clicked",
            Counted::MachineClicked => "machine_clicked",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Counted::Created => "Created",
            Counted::Metric(metric) => metric.title(),
            Counted::HumanOpened => "Human opened",
            Counted::MachineOpened => "Machine opened",
            Counted::HumanClicked => "Human clicked",
            Counted::MachineClicked => "Machine clicked",
        }
    }

    pub fn parse(name: &str) -> Option<Counted> {
        Counted::ALL.into_iter().find(|counted| counted.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_enum() {
        for (i, row) in CHANNELS.iter().enumerate() {
            assert_eq!(row.channel as usize, i);
            assert_eq!(Channel::ALL[i], row.channel);
            assert_eq!(Channel::parse(row.name), Some(row.channel));
        }
        for (i, row) in METRICS.iter().enumerate() {
            assert_eq!(row.metric as usize, i);
            assert_eq!(Metric::ALL[i], row.metric);
            assert_eq!(Metric::parse(row.name), Some(row.metric));
            assert!(!row.meaning.is_empty());
        }
        for (i, counted) in Counted::ALL.into_iter().enumerate() {
            assert_eq!(counted.index(), i);
        }
    }

    #[test]
    fn every_generation_of_names_is_understood() {
        let cases = [
            ("Email Clicked", Channel::Email, Clicked),
            ("Email Link Clicked", Channel::Email, Clicked),
            ("email_clicked", Channel::Email, Clicked),
            ("Email Dropped", Channel::Email, Suppressed),
            ("Email Suppressed", Channel::Email, Suppressed),
            ("email_dropped", Channel::Email, Suppressed),
            ("Email Marked as Spam", Channel::Email, Spammed),
            ("Email Spammed", Channel::Email, Spammed),
            ("email_undeliverable", Channel::Email, Undeliverable),
            ("In-App Clicked", Channel::InApp, Clicked),
            ("in_app_opened", Channel::InApp, Opened),
            ("SMS Opened", Channel::Sms, Opened),
            ("Slack Message Sent", Channel::Slack, Sent),
            ("Webhook Message Link Clicked", Channel::Webhook, Clicked),
            ("Webhook Converted", Channel::Webhook, Converted),
            ("WhatsApp Replied", Channel::Whatsapp, Replied),
            ("Push Suppressed", Channel::Push, Suppressed),
        ];
        for (name, channel, metric) in cases {
            assert_eq!(message_event(name), Some((channel, metric)), "{name}");
        }
    }

    #[test]
    fn near_misses_are_not_about_messages() {
        for name in [
            "Email Verified",
            "Email",
            "Email ",
            "email_verified",
            "email_",
            "Push Notification Bounced",
            "Push Enabled",
            "Message Sent",
            "Email Message Sent",
            "Deep Link Clicked",
            "Order Completed",
            "Subscribed",
            "Unsubscribed",
            "customer_unsubscribed",
            "EmailOpened",
            "Emails Opened",
            "Email Opened ",
        ] {
            assert_eq!(message_event(name), None, "{name}");
        }
    }
}
