//! An event in one readable line.

use waybill::domain::Event;

use super::model::iso;

pub fn event_as_text(event: &Event) -> String {
    let receipt = if event.time.from_receipt { " (receipt)" } else { "" };
    let mut out =
        format!("{} {} {:?} {}{receipt}", event.delivery_id, event.metric.as_str(), event.id, iso(event.time.ms));
    for (attribute, value) in event.attributes.iter() {
        out.push_str(&format!(" {}={value:?}", attribute.name()));
    }
    let texts = [
        ("href", &event.href),
        ("link_id", &event.link_id),
        ("action_value", &event.action_value),
        ("reason", &event.reason),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            out.push_str(&format!(" {name}={value:?}"));
        }
    }
    if let Some(class) = event.bounce_class {
        out.push_str(&format!(" bounce_class={}", class.name()));
    }
    let flags =
        [("machine", event.flags.machine), ("proxied", event.flags.proxied), ("synthetic", event.flags.synthetic)];
    for (name, value) in flags {
        if let Some(value) = value {
            out.push_str(&format!(" {name}={value}"));
        }
    }
    for device in &event.recipients {
        out.push_str(&format!(" [{}", device.device_id));
        for (name, value) in [("platform", &device.platform), ("reason", &device.reason)] {
            if let Some(value) = value {
                out.push_str(&format!(" {name}={value:?}"));
            }
        }
        out.push(']');
    }
    out
}
