//! Webhooks of email, SMS and push providers: one file each onto Waybill's own event.
//!
//! [`SENDERS`] lists everybody who may post to `/webhooks/{name}`: the routes, the keys, the import and the pages read it.
//! A provider's file has a table of its events with what they become, and one function from an object to an [`Outcome`].
//! A name that is not in the table is quarantined, so that a later version may read it; one that is about no message is
//! ignored and counted under its name.

mod brevo;
mod draft;
mod fcm;
mod mailgun;
mod mandrill;
mod onesignal;
mod postmark;
pub mod proof;
mod resend;
mod sendgrid;
pub(in crate::wire) mod ses;
pub mod sns;
mod source;
mod sparkpost;
mod twilio;
mod vonage;

use super::json::{self, Object};
use super::reason::Refusal;
use super::{Context, Format, Outcome, pipelines, webhook};

pub use source::SourceFrom;

/// Somebody who posts events to a path of its own.
pub struct Sender {
    /// In the path, on the command line and before a key in `WAYBILL_SIGNING_KEYS`.
    pub name: &'static str,
    pub title: &'static str,
    pub format: Format,
    pub proof: Proof,
    /// Where its console takes the address, and which events to choose, for people.
    pub setup: &'static str,
    /// A small event as it sends them, less its time, to try a server with: a body that a shell takes within single quotes.
    pub example: &'static str,
    read: fn(&Object, &Context) -> Result<Outcome, Refusal>,
    /// Whether an object without a path can only be its own.
    is_own: fn(&Object) -> bool,
}

/// How a request proves where it comes from. An ingest key proves it at every path but Customer.io's two: as the user name or
/// the password of Basic credentials, also within the URL, or as a Bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is signed; where the sender shows the key, for people.
    Signature { key: &'static str },
    /// Only by an ingest key; where the sender takes it, for people.
    IngestKey { put: &'static str },
    /// It posts nothing: its events come by `waybill import`.
    Import,
}

/// Those whose paths are older than the others', and who share keys.
const CUSTOMERIO: [&str; 2] = ["customerio", "pipelines"];

/// All senders, Customer.io first, then by name.
pub const SENDERS: [Sender; 14] = [
    Sender {
        name: "customerio",
        title: "Customer.io",
        format: Format::Webhook,
        proof: Proof::Signature { key: "On the page of the reporting webhook, under Signing Key" },
        setup: "Data & Integrations, Integrations, Reporting Webhooks: choose every event of every channel that you use",
        example: r#"{"event_id":"customerio-test","object_type":"email","metric":"sent","data":{"delivery_id":"customerio-test","recipient":"you@example.com"}}"#,
        read: webhook::read,
        is_own: |_| false,
    },
    Sender {
        name: "pipelines",
        title: "Customer.io Data Pipelines, Segment, RudderStack",
        format: Format::Pipelines,
        proof: Proof::Signature { key: "The shared secret that you enter at the webhook destination" },
        setup: "Add a webhook destination to the source and enter the address and a shared secret",
        example: r#"{"type":"track","userId":"7","event":"Email Sent","properties":{"delivery_id":"pipelines-test","recipient":"you@example.com"}}"#,
        read: |object, context| pipelines::read(object, None, context),
        is_own: |_| false,
    },
    Sender {
        name: "ses",
        title: "Amazon SES",
        format: Format::Ses,
        proof: Proof::Signature {
            key: "The ARN of the topic, whose messages SNS signs. EventBridge, Firehose and raw messages are not signed: \
                  put an ingest key in the address, https://KEY@HOST/webhooks/ses, or for Firehose as the access key",
        },
        setup: "Configuration set, Event destinations: choose all event types and an Amazon SNS topic (or EventBridge, or \
                Firehose); subscribe the address to the topic by HTTPS, then open the link that the Quarantine page shows",
        example: r#"{"eventType":"Send","mail":{"messageId":"ses-test","destination":["you@example.com"]},"send":{}}"#,
        read: ses::read,
        is_own: ses::is_own,
    },
    Sender {
        name: "brevo",
        title: "Brevo",
        format: Format::Brevo,
        proof: Proof::IngestKey {
            put: "Authentication method of the webhook: token, or the user name of basic authentication",
        },
        setup: "Transactional, Settings, Webhook (and Campaigns, Settings, Webhooks for marketing): choose all email and SMS events",
        example: r#"{"event":"request","email":"you@example.com","message-id":"<brevo-test@example.com>"}"#,
        read: brevo::read,
        is_own: brevo::is_own,
    },
    Sender {
        name: "fcm",
        title: "Firebase Cloud Messaging",
        format: Format::Fcm,
        proof: Proof::Import,
        setup: "Project settings, Integrations, BigQuery: link Cloud Messaging; export the table's rows as JSON lines and import them",
        example: r#"{"project_number":"1","message_id":"fcm-test","instance_id":"fcm-test","event":"MESSAGE_ACCEPTED"}"#,
        read: fcm::read,
        is_own: fcm::is_own,
    },
    Sender {
        name: "mailgun",
        title: "Mailgun",
        format: Format::Mailgun,
        proof: Proof::Signature { key: "Settings, API security: HTTP webhook signing key" },
        setup: "Send, Webhooks: add the address for every event type",
        example: r#"{"event-data":{"event":"accepted","id":"mailgun-test","recipient":"you@example.com","message":{"headers":{"message-id":"mailgun-test"}}}}"#,
        read: mailgun::read,
        is_own: |object| object.contains_key("event-data"),
    },
    Sender {
        name: "mandrill",
        title: "Mailchimp Transactional",
        format: Format::Mandrill,
        proof: Proof::Signature {
            key: "Settings, Webhooks: the key of the webhook; set --public-url to this server's address too",
        },
        setup: "Settings, Webhooks, Add a webhook: choose all message events",
        example: r#"mandrill_events=[{"event":"send","_id":"mandrill-test","msg":{"email":"you@example.com"}}]"#,
        read: mandrill::read,
        is_own: |object| ["_id", "event", "msg"].iter().all(|key| object.contains_key(*key)),
    },
    Sender {
        name: "onesignal",
        title: "OneSignal",
        format: Format::Onesignal,
        proof: Proof::IngestKey { put: "Custom headers of the event stream: Authorization, with the value Bearer KEY" },
        setup: "Data, Event Streams, New: choose all message events; the body must have `event` and `message` as OneSignal names them",
        example: r#"{"event":{"id":"onesignal-test","kind":"message.email.sent"},"message":{"id":"onesignal-test"}}"#,
        read: onesignal::read,
        is_own: onesignal::is_own,
    },
    Sender {
        name: "postmark",
        title: "Postmark",
        format: Format::Postmark,
        proof: Proof::IngestKey { put: "Basic auth credentials of the webhook: the key as the user name" },
        setup: "Server, message stream, Webhooks: choose Delivery, Bounce, Spam complaint, Open, Link click and Subscription change",
        example: r#"{"RecordType":"Delivery","MessageID":"postmark-test","Recipient":"you@example.com"}"#,
        read: postmark::read,
        is_own: |object| object.contains_key("RecordType"),
    },
    Sender {
        name: "resend",
        title: "Resend",
        format: Format::Resend,
        proof: Proof::Signature { key: "On the page of the webhook: Signing secret, whsec_..." },
        setup: "Webhooks, Add webhook: choose all email events",
        example: r#"{"type":"email.sent","data":{"email_id":"resend-test","to":["you@example.com"]}}"#,
        read: resend::read,
        is_own: resend::is_own,
    },
    Sender {
        name: "sendgrid",
        title: "SendGrid",
        format: Format::Sendgrid,
        proof: Proof::Signature { key: "Signed Event Webhook, once it is on: Verification key" },
        setup: "Settings, Mail settings, Event webhooks: choose all deliverability and engagement events, and turn on Signed \
                Event Webhook",
        example: r#"[{"event":"processed","email":"you@example.com","sg_event_id":"sendgrid-test","sg_message_id":"sendgrid-test"}]"#,
        read: sendgrid::read,
        is_own: |object| object.contains_key("sg_event_id"),
    },
    Sender {
        name: "sparkpost",
        title: "SparkPost",
        format: Format::Sparkpost,
        proof: Proof::IngestKey { put: "Authentication of the webhook: Basic Auth, the key as the user name" },
        setup: "Configuration, Webhooks, Create webhook: choose all message, engagement, generation and unsubscribe events",
        example: r#"[{"msys":{"message_event":{"type":"injection","event_id":"sparkpost-test","message_id":"sparkpost-test","rcpt_to":"you@example.com"}}}]"#,
        read: sparkpost::read,
        is_own: |object| object.contains_key("msys"),
    },
    Sender {
        name: "twilio",
        title: "Twilio",
        format: Format::Twilio,
        proof: Proof::Signature {
            key: "Account, API keys and tokens: the auth token; set --public-url to this server's address too",
        },
        setup: "Messaging, Services, Integration: Delivery status callback (or StatusCallback of each message)",
        example: "MessageSid=twilio-test&MessageStatus=sent&To=%2B15550100",
        read: twilio::read,
        is_own: twilio::is_own,
    },
    Sender {
        name: "vonage",
        title: "Vonage",
        format: Format::Vonage,
        proof: Proof::Signature { key: "Settings, Signature secret (HMAC SHA-256)" },
        setup: "Applications, Messages: Status URL; for the SMS API Settings, Delivery receipts webhook, by POST",
        example: r#"{"message_uuid":"vonage-test","to":"15550100","status":"submitted","channel":"sms"}"#,
        read: vonage::read,
        is_own: vonage::is_own,
    },
];

impl Sender {
    pub fn parse(name: &str) -> Option<&'static Sender> {
        SENDERS.iter().find(|sender| sender.name == name)
    }

    /// The sender of a format of webhooks.
    pub fn of(format: Format) -> Option<&'static Sender> {
        SENDERS.iter().find(|sender| sender.format == format)
    }

    /// Where it posts to.
    pub fn path(&self) -> String {
        format!("/webhooks/{}", self.name)
    }

    /// Whether it posts to a path that takes its signature or an ingest key; Customer.io's have their own rules.
    pub fn is_provider(&self) -> bool {
        self.proof != Proof::Import && !CUSTOMERIO.contains(&self.name)
    }

    /// Its name where it signs with keys of its own; Customer.io's two formats share theirs.
    pub fn key_name(&self) -> Option<&'static str> {
        (matches!(self.proof, Proof::Signature { .. }) && self.is_provider()).then_some(self.name)
    }

    /// Whether the address that it posts to is part of what it signs.
    pub fn signs_url(&self) -> bool {
        matches!(self.format, Format::Mandrill | Format::Twilio)
    }

    /// The command that sets its key; `None` where none is needed.
    pub fn command(&self) -> Option<String> {
        let Sender { name, title, .. } = self;
        Some(match self.proof {
            Proof::Signature { .. } => format!("waybill keys add signing \"{title}\" --for {name} --stdin"),
            Proof::IngestKey { .. } => format!("waybill keys add ingest \"{title}\""),
            Proof::Import => return None,
        })
    }
}

/// What an object is in a format of webhooks.
pub(super) fn read(format: Format, object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    match Sender::of(format) {
        Some(sender) => (sender.read)(object, context),
        None => pipelines::read(object, None, context),
    }
}

/// A form as JSON, where the format's sender posts forms: its fields as an object, or the array that Mandrill puts in one.
pub(super) fn of_form(format: Format, body: &[u8]) -> Option<Vec<u8>> {
    let is_form = matches!(format, Format::Mandrill | Format::Twilio | Format::Vonage)
        && !body.trim_ascii_start().starts_with(b"{")
        && !body.trim_ascii_start().starts_with(b"[")
        && body.contains(&b'=');
    let fields = || form_urlencoded::parse(body);
    if format == Format::Mandrill && is_form {
        return fields().find(|(name, _)| name == "mandrill_events").map(|(_, events)| events.into_owned().into());
    }
    let object = || fields().map(|(name, value)| (name.into_owned(), value.into())).collect();
    is_form.then(|| json::written(&object()).into())
}

/// The format of an object that only one sender makes.
pub(super) fn format_of(object: &Object) -> Option<Format> {
    SENDERS.iter().find(|sender| (sender.is_own)(object)).map(|sender| sender.format)
}
