//! Which format an item is of, where nothing else says it: the lines of an import file.

use super::json::Object;
use super::providers::{self, Sender};
use super::{CallType, Format};

/// By the keys of an object; `None` where they fit none.
pub(super) fn format_of(object: &Object) -> Option<Format> {
    let has = |key: &str| object.contains_key(key);
    if let Some(format) = providers::format_of(object) {
        Some(format)
    } else if ["object_type", "object_type_type", "event_type"].into_iter().any(has) || (has("metric") && has("data")) {
        Some(Format::Webhook)
    } else if has("deduplicate_id") && has("metrics") {
        Some(Format::Pulled)
    } else if has("delivery_id") || has("metric") {
        Some(Format::Waybill)
    } else if ["type", "event", "messageId", "batch", "action"].into_iter().any(has) {
        Some(Format::Pipelines)
    } else {
        None
    }
}

/// By the path that a body was sent to, with or without a query.
pub(super) fn format_by_path(path: &str) -> Option<(Format, Option<CallType>)> {
    let path = path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/');
    match path {
        "/v1/events" => Some((Format::Waybill, None)),
        _ => {
            if let Some(name) = path.strip_prefix("/webhooks/") {
                return Some((Sender::parse(name)?.format, None));
            }
            let name = path.strip_prefix("/v1/")?;
            let call = CallType::parse(name).or_else(|| CallType::by_letter(name))?;
            Some((Format::Pipelines, Some(call)))
        }
    }
}
