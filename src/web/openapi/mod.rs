//! `/openapi.json`: all paths of this server in OpenAPI 3.1.
//!
//! Each room lists its operations in a file `openapi.rs` beside its routes, from the tables of the routes where there are
//! any. Rows have the columns of the views, with their comments. The rest is in `components.json`. `tests/openapi.rs`
//! compares the document with the routes, and sends what it allows and forbids to a real server.

pub mod operation;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use super::error::Error;
use super::pages::Pages;
use super::{app_api, ingest, ops, pages};
use crate::store::query::schema::{self, View};
use operation::{Group, Operation, path_parameters};

pub const PATH: &str = "/openapi.json";

const COMPONENTS: &str = include_str!("components.json");

const ABOUT: &str = "Waybill takes delivery events, tracks the status of every message and counts results by campaign.

Until a key or token is made, no path needs one. Then every path needs its own kind; see `docs/security.md`.
Paths that take GET answer HEAD too. Every other method is answered 405 with `Allow`. Reports and Data Pipelines calls may come
from web pages of any origin (CORS), and their paths answer preflights.
Paths that take events accept any Content-Type, and gzip. They answer 200 once everything is on disk. What cannot be processed is
quarantined, not refused; the Track API refuses a call that its client must correct, and `/v1` does so with `X-Strict-Mode: 1`.";

/// Views whose rows are in answers, and the names of their schemas.
const ROWS: [(&str, &str); 4] = [
    ("deliveries_v1", "Delivery"),
    ("events_v1", "Event"),
    ("suppressions_v1", "Suppression"),
    ("quarantine_v1", "Quarantined"),
];

pub async fn page(pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let views = pages.read(schema::views).await?;
    let document = document(&pages.base, &views).map_err(|error| Error::Unwritten(error.to_string()))?;
    Ok(HttpResponse::Ok().json(document))
}

fn document(base: &str, views: &[View]) -> serde_json::Result<Value> {
    let mut components: Value = serde_json::from_str(COMPONENTS)?;
    for (view, name) in ROWS {
        if let Some(view) = views.iter().find(|it| it.name == view) {
            components["schemas"][name] = row(view);
            components["schemas"][format!("{name}List")] = list(name);
        }
    }
    let described = std::mem::take(&mut components["parameters"]);
    let (mut parameters, mut paths) = (Map::new(), Map::new());
    let this = Operation::get(Group::Data, PATH, "This document").json("OpenApi");
    let all = [ingest::openapi::operations(), app_api::openapi::operations(), pages::openapi::operations()];
    for mut operation in all.into_iter().flatten().chain(ops::operations()).chain([this]) {
        let (scope, names) = &operation.query;
        let of_path = path_parameters(&operation.path).map(|name| (format!("path.{name}"), name, "path"));
        let of_query = names.iter().map(|name| (format!("{scope}.{name}"), &**name, "query"));
        let refs = of_path.chain(of_query).map(|(key, name, place)| {
            let key = if described.get(&key).is_some() { key } else { name.to_owned() };
            parameters.entry(&key).or_insert_with(|| parameter(&described, &key, name, place));
            json!({ "$ref": format!("#/components/parameters/{key}") })
        });
        operation.value["parameters"] = refs.collect();
        paths.entry(operation.path).or_insert_with(|| json!({}))[operation.method] = operation.value;
    }
    components["parameters"] = parameters.into();
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Waybill", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": if base.is_empty() { "/" } else { base } }],
        "paths": paths,
        "components": components,
    }))
}

/// A parameter as `components.json` describes it. One whose name begins with a minus excludes.
fn parameter(described: &Value, key: &str, name: &str, place: &str) -> Value {
    let mut parameter = match (described.get(key), name.strip_prefix('-').and_then(|name| described.get(name))) {
        (Some(described), _) => described.clone(),
        (None, Some(included)) => json!({
            "description": format!("Excludes what `{}` includes.", &name[1..]), "schema": included["schema"],
        }),
        (None, None) => json!({}),
    };
    parameter["name"] = name.into();
    parameter["in"] = place.into();
    if place == "path" {
        parameter["required"] = true.into();
    }
    if parameter["schema"].is_null() {
        parameter["schema"] = json!({ "type": "string", "minLength": 1 });
    }
    // the forms of pages send empty fields, which ask for nothing
    let (is_required, schema) = (parameter.get("required").is_some(), &mut parameter["schema"]);
    let is_free = schema.get("pattern").is_none() && ["string", "array"].iter().any(|kind| schema["type"] == *kind);
    if !is_required && !is_free {
        *schema = json!({ "anyOf": [schema.take(), { "const": "" }] });
    }
    parameter
}

/// The schema of a view's rows.
fn row(view: &View) -> Value {
    let column = |column: &schema::Column| {
        let kind = match &*column.type_name.to_lowercase() {
            "int" | "integer" => "integer",
            "real" => "number",
            _ => "string",
        };
        (column.name.clone(), json!({ "type": [kind, "null"], "description": column.about }))
    };
    json!({
        "type": "object",
        "description": view.about,
        "required": view.columns.iter().map(|column| &*column.name).collect::<Vec<_>>(),
        "properties": view.columns.iter().map(column).collect::<Map<_, _>>(),
    })
}

fn list(row: &str) -> Value {
    let place = |about: &str| json!({ "type": ["string", "null"], "description": about });
    json!({
        "type": "object",
        "required": ["total", "rows", "newer", "older"],
        "properties": {
            "total": { "type": ["integer", "null"], "description": "Rows of all pages, if known." },
            "rows": { "type": "array", "items": { "$ref": format!("#/components/schemas/{row}") } },
            "newer": place("Address of the page before this one."),
            "older": place("Address of the next page."),
        },
    })
}
