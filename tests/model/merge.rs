//! Law 1: what the copies of an event say together.

use std::collections::BTreeMap;

use waybill::domain::{Attribute, Device, Event};

/// An event, all of its copies taken together.
pub struct Merged {
    pub delivery_id: String,
    pub metric: String,
    pub id: String,
    pub at: i64,
    /// No copy gave a time.
    pub from_receipt: bool,
    pub received_at: i64,
    /// By name. Nothing empty.
    pub attributes: BTreeMap<&'static str, String>,
    pub href: Option<String>,
    pub link_id: Option<String>,
    pub action_value: Option<String>,
    pub reason: Option<String>,
    pub bounce_class: Option<&'static str>,
    pub recipients: Vec<Device>,
    pub machine: Option<bool>,
    pub proxied: Option<bool>,
    pub synthetic: Option<bool>,
}

/// The events among these copies, which stand in order of arrival.
pub fn merge(copies: &[&Event]) -> Vec<Merged> {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<&Event>> = BTreeMap::new();
    for &copy in copies {
        groups.entry((&copy.delivery_id, copy.metric.as_str(), &copy.id)).or_default().push(copy);
    }
    let merged: Vec<Merged> = groups.into_values().map(|group| merged(&group)).collect();
    let superfluous: Vec<bool> =
        merged.iter().map(|event| merged.iter().any(|other| makes_superfluous(other, event))).collect();
    merged.into_iter().zip(superfluous).filter(|(_, superfluous)| !superfluous).map(|(event, _)| event).collect()
}

/// Whether a pulled event is not needed beside another: one with an id of its own, of the same delivery and metric, within
/// a minute, or earlier; where the pulled one is the first by a person or by a machine, the earlier one has to be too.
fn makes_superfluous(other: &Merged, event: &Merged) -> bool {
    let is_pulled = |event: &Merged| event.id.starts_with("pulled-");
    if !is_pulled(event)
        || is_pulled(other)
        || (&other.delivery_id, &other.metric) != (&event.delivery_id, &event.metric)
    {
        return false;
    }
    let is_near = (other.at - event.at).abs() <= 60_000;
    let is_alike = match event.machine {
        None => true,
        Some(true) => other.machine == Some(true),
        Some(false) => other.machine != Some(true),
    };
    is_near || (other.at < event.at && is_alike)
}

fn merged(copies: &[&Event]) -> Merged {
    let first = copies[0];
    let given = copies.iter().filter(|copy| !copy.time.from_receipt).map(|copy| copy.time.ms).min();
    let mut attributes = BTreeMap::new();
    for attribute in Attribute::ALL {
        if let Some(value) = smallest(copies, |copy| copy.attributes.get(attribute)) {
            attributes.insert(attribute.name(), value);
        }
    }
    // of recipients the smallest as written, in the form in which addresses are compared on the event's channel
    if let Some(written) = smallest(copies, |copy| {
        copy.attributes.get(Attribute::RecipientRaw).or(copy.attributes.get(Attribute::Recipient))
    }) {
        let compared = compared(attributes.get("channel").map(String::as_str), &written);
        attributes.remove("recipient_raw");
        if compared != written {
            attributes.insert("recipient_raw", written);
        }
        attributes.insert("recipient", compared);
    }
    Merged {
        delivery_id: first.delivery_id.to_string(),
        metric: first.metric.as_str().to_owned(),
        id: first.id.to_string(),
        at: given.unwrap_or(first.time.ms),
        from_receipt: given.is_none(),
        received_at: first.received_at_ms,
        attributes,
        href: smallest(copies, |copy| copy.href.as_deref()),
        link_id: smallest(copies, |copy| copy.link_id.as_deref()),
        action_value: smallest(copies, |copy| copy.action_value.as_deref()),
        reason: smallest(copies, |copy| copy.reason.as_deref()),
        bounce_class: ["hard", "soft", "policy", "unknown"]
            .into_iter()
            .find(|class| copies.iter().any(|copy| copy.bounce_class.is_some_and(|it| it.name() == *class))),
        recipients: copies
            .iter()
            .map(|copy| &copy.recipients)
            .filter(|devices| !devices.is_empty())
            .min_by_key(|devices| json(devices))
            .cloned()
            .unwrap_or_default(),
        machine: copies.iter().filter_map(|copy| copy.flags.machine).min(),
        proxied: copies.iter().filter_map(|copy| copy.flags.proxied).min(),
        synthetic: copies.iter().filter_map(|copy| copy.flags.synthetic).min(),
    }
}

fn smallest<'e>(copies: &[&'e Event], field: impl Fn(&'e Event) -> Option<&'e str>) -> Option<String> {
    copies.iter().filter_map(|copy| field(copy)).min().map(str::to_owned)
}

/// An email without display name, in lower case; what is no email stays. The histories have no phone numbers.
pub fn compared(channel: Option<&str>, written: &str) -> String {
    if matches!(channel, Some("push" | "sms")) || !written.contains('@') {
        return written.to_owned();
    }
    let address = written.rsplit_once('<').map_or(written, |(_, address)| address.trim_end_matches('>'));
    address.to_lowercase()
}

/// Compact, with sorted keys.
fn json(devices: &[Device]) -> String {
    let objects: Vec<BTreeMap<&str, &str>> = devices
        .iter()
        .map(|device| {
            let mut object = BTreeMap::from([("device_id", &*device.device_id)]);
            if let Some(platform) = &device.platform {
                object.insert("device_platform", platform);
            }
            if let Some(reason) = &device.reason {
                object.insert("reason", reason);
            }
            object
        })
        .collect();
    serde_json::to_string(&objects).expect("plain text is JSON")
}
