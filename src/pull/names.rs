//! What the App API calls campaigns, broadcasts, newsletters and transactional messages, and their actions and contents.

use serde_json::Value;

use super::api::{Api, encoded};
use crate::domain::{Source, SourceKind, Text};
use crate::store::sources::Pulled;

/// The path of a kind's list, and what each of its sources has.
fn paths(kind: SourceKind) -> (&'static str, &'static str) {
    match kind {
        SourceKind::Campaign => ("/v1/campaigns", "actions"),
        SourceKind::Broadcast => ("/v1/broadcasts", "actions"),
        SourceKind::Newsletter => ("/v1/newsletters", "contents"),
        SourceKind::Transactional => ("/v1/transactional", "contents"),
    }
}

/// All sources, with the names of their parts.
pub fn pull(api: &mut Api) -> anyhow::Result<Vec<Pulled>> {
    let mut sources = Vec::new();
    for kind in SourceKind::ALL {
        let (path, parts) = paths(kind);
        for listed in api.list(path)? {
            let Some(id) = text(&listed["id"]) else { continue };
            let actions = api.list(&format!("{path}/{}/{parts}", encoded(&id)))?;
            let tags: Vec<Text> = listed["tags"].as_array().into_iter().flatten().filter_map(text).collect();
            sources.push(Pulled {
                source: Source { kind, id },
                name: text(&listed["name"]),
                tags: (!tags.is_empty()).then(|| tags.join(", ").into()),
                actions: actions.iter().filter_map(|it| Some((text(&it["id"])?, text(&it["name"])?))).collect(),
                created_s: listed["created"].as_i64().or_else(|| listed["created_at"].as_i64()).filter(|at| *at > 0),
            });
        }
    }
    Ok(sources)
}

/// An id or a name. Ids are numbers or text.
fn text(value: &Value) -> Option<Text> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}
