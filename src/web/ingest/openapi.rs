//! What takes events, for the OpenAPI document.

use serde_json::json;

use super::track_api::{BATCH, KEYED, OPEN, REGION};
use crate::web::openapi::operation::{Group, Operation};
use crate::wire::CallType;
use crate::wire::providers::{Proof, SENDERS};

/// Schemas of the bodies of [`OPEN`].
const REPORTS: [&str; OPEN.len()] = ["DeliveryReport", "PushReport", "PushReport", "InAppReport", "Unsubscribe"];

pub fn operations() -> Vec<Operation> {
    let post = |path: &str, summary: &str| Operation::post(Group::Sending, path, summary).json("Stored");
    let signed = |path: &str, summary: &str, key: &str, schema: &str| {
        post(path, summary).body(&[("application/json", schema)]).security(json!([{ key: [] }]))
    };
    let mut all = vec![
        signed("/webhooks/customerio", "Customer.io's reporting webhooks", "customerioSignature", "ReportingWebhook"),
        signed(
            "/webhooks/pipelines",
            "Webhook destinations of Data Pipelines, Segment and RudderStack",
            "pipelinesSignature",
            "PipelinesWebhook",
        ),
        post("/v1/events", "Waybill's own events")
            .body(&[("application/json", "WaybillEvents"), ("application/x-ndjson", "")]),
    ];
    for sender in SENDERS.iter().filter(|sender| sender.is_provider()) {
        let (path, summary) = (sender.path(), format!("Webhooks of {}", sender.title));
        let bodies = [("application/json", "ProviderEvents"), ("application/x-www-form-urlencoded", "ProviderForm")];
        let firehose = if sender.name == "ses" { "StoredOrFirehose" } else { "Stored" };
        let mut webhook = post(&path, &summary).body(&bodies).json(firehose);
        let proof = match sender.proof {
            Proof::Signature { key } => format!("Signed, else with an ingest key. The signing key is {key}."),
            Proof::IngestKey { put } => format!("With an ingest key: {put}."),
            Proof::Import => String::new(),
        };
        webhook.value["description"] = format!("{proof} {}.", sender.setup).into();
        all.push(webhook);
        let mut probe = Operation::new(Group::Operating, "head", &path, "Whether the address is there");
        probe.value["responses"] = json!({ "200": { "description": "It is." } });
        all.push(probe);
    }
    for call in CallType::ALL {
        let schema = if call == CallType::Batch { "PipelinesBatch" } else { "PipelinesCall" };
        for name in [call.name(), &call.name()[..1]] {
            let summary = format!("Data Pipelines, Segment and RudderStack: {}", call.name());
            all.push(post(&format!("/v1/{name}"), &summary).body(&[("application/json", schema)]));
        }
    }
    for (path, schema) in OPEN.into_iter().zip(REPORTS) {
        let report = Operation::post(Group::Reporting, path, "Track API: a report on a delivery").json("Stored");
        all.push(report.body(&[("application/json", schema)]));
    }
    for (path, methods) in KEYED {
        for method in methods.split(", ") {
            let method = ["put", "post", "delete"].into_iter().find(|name| name.eq_ignore_ascii_case(method));
            let method = method.unwrap_or("post");
            let call =
                Operation::new(Group::Sending, method, path, "Track API: about people and objects").json("Stored");
            // the path says it all
            let is_empty = method == "delete" || path.ends_with("suppress");
            all.push(if is_empty { call } else { call.body(&[("application/json", "TrackCall")]) });
        }
    }
    all.push(post(BATCH, "Track API: many calls").body(&[("application/json", "TrackBatch")]));
    all.push(Operation::get(Group::Sending, REGION, "Track API: the address to send to").json("Region"));
    all
}
