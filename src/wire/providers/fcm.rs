//! Firebase Cloud Messaging: rows of its export to BigQuery, as lines of JSON. It posts no webhooks.
//!
//! <https://firebase.google.com/docs/cloud-messaging/understand-delivery>. Its list of the names
//! could not be read yet: they are not checked

use super::draft::{Draft, Table, ignored, named};
use super::source::Source;
use crate::domain::Metric::*;
use crate::domain::{BounceClass, Channel, Device};
use crate::wire::fields::Fields;
use crate::wire::json::Object;
use crate::wire::reason::Refusal;
use crate::wire::{Context, Outcome};

const EVENTS: &Table = &[
    ("MESSAGE_ACCEPTED", Some(Sent)),
    ("MESSAGE_DELIVERED", Some(Delivered)),
    ("INVALID_REGISTRATION", Some(Bounced)),
    ("UNAUTHORIZED_REGISTRATION", Some(Bounced)),
    ("MISMATCH_SENDER_ID", Some(Bounced)),
    ("MISSING_REGISTRATIONS", Some(Failed)),
    ("MESSAGE_RECEIVED_INTERNAL_ERROR", Some(Failed)),
    ("QUOTA_EXCEEDED", Some(Failed)),
    ("INVALID_PACKAGE_NAME", Some(Failed)),
    ("INVALID_APNS_CREDENTIAL", Some(Failed)),
    ("INVALID_PARAMETERS", Some(Failed)),
    ("PAYLOAD_TOO_LARGE", Some(Failed)),
    ("AUTHENTICATION_ERROR", Some(Failed)),
    ("INVALID_TTL", Some(Failed)),
];

pub(super) fn is_own(object: &Object) -> bool {
    ["project_number", "message_id", "instance_id", "event"].iter().all(|key| object.contains_key(*key))
}

pub(super) fn read(object: &Object, context: &Context) -> Result<Outcome, Refusal> {
    let top = Fields::new(object);
    let (name, metric) = named(EVENTS, top, "event")?;
    let Some(metric) = metric else { return ignored(&name) };
    let device_id = top.text(&["instance_id"]);
    let platform = top.text(&["sdk_platform"]).map(|name| name.to_lowercase().into());
    Draft {
        message: (top.id(&["message_id"], "message_id"), "message_id"),
        of_several: true,
        devices: device_id.map(|device_id| Device { device_id, platform, reason: None }).into_iter().collect(),
        time: (top.value("event_timestamp"), "event_timestamp"),
        source: Source { own: None, tags: top.value("analytics_label").or_else(|| top.value("topic")), metadata: top },
        reason: matches!(metric, Bounced | Failed).then(|| name.clone()),
        bounce_class: Some(if &*name == "INVALID_REGISTRATION" { BounceClass::Hard } else { BounceClass::Policy }),
        ..Draft::new(Channel::Push, metric)
    }
    .outcome(context)
}
