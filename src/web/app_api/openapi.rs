//! Reads by Customer.io's App API, for the OpenAPI document.

use super::ROUTES;
use crate::web::openapi::operation::{Group, Operation};

/// Of each of [`ROUTES`]: what it answers, its schema, and where its parameters are described.
const ANSWERS: [(&str, &str, &str); ROUTES.len()] = [
    ("Deliveries, newest created first", "Messages", "reading"),
    ("Always 404: content is not stored", "Error", ""),
    ("One delivery", "OneMessage", "reading"),
    ("Deliveries to a person or address", "Messages", "reading"),
    ("All campaigns, broadcasts, newsletters or transactional messages", "Sources", "list"),
    ("One of them", "OneSource", ""),
    ("Its deliveries", "Messages", "reading"),
    ("Always 404: events do not tell of journeys", "Error", "metrics"),
    ("Its counts over time, by when deliveries were created", "Series", "metrics"),
    ("Clicks on its links over time", "LinkSeries", "metrics"),
    ("Its actions or contents", "SourceParts", "parts"),
    ("One of them", "OneSourcePart", ""),
    ("Counts of an action or content over time", "Series", "metrics"),
    ("Clicks on links of an action or content over time", "LinkSeries", "metrics"),
];

pub fn operations() -> Vec<Operation> {
    let one = |((path, parameters, _), (summary, schema, scope)): (&super::Route, (&str, &str, &'static str))| {
        let operation = Operation::get(Group::Reading, &format!("/v1/{path}"), summary);
        operation.json(schema).query(scope, parameters.iter().copied())
    };
    ROUTES.iter().zip(ANSWERS).map(one).collect()
}
