//! The pages, for the OpenAPI document: for people, as JSON and CSV, and as exports.

use super::sign_in::{SIGN_IN, SIGN_OUT};
use super::{campaign, campaigns, compare, connect, event_query, log_query, metrics, overview, quarantine};
use super::{suppression_query, twin};
use crate::web::openapi::operation::{Group, Operation};

const FORM: &str = "application/x-www-form-urlencoded";

pub fn operations() -> Vec<Operation> {
    let (log, events) = (log_query::parameters(), event_query::parameters());
    let suppressions: Vec<String> = suppression_query::parameters().map(str::to_owned).into();
    let plain = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    // path, what it shows, its data, its parameters, whether all rows can be exported
    let pages = [
        ("/", "Overview", "Overview", "overview", plain(&overview::PARAMETERS), false),
        ("/deliveries", "Delivery log", "DeliveryList", "log", log.clone(), true),
        ("/events", "Events", "EventList", "events", events, true),
        ("/deliveries/{id}", "A delivery; it takes the filter of the log too", "OneDelivery", "", Vec::new(), false),
        ("/people/{id}", "A person, by any identifier", "Person", "", Vec::new(), false),
        ("/campaigns", "Campaigns", "Campaigns", "campaigns", plain(&campaigns::PARAMETERS), false),
        ("/campaigns/{kind}/{id}", "A campaign", "Campaign", "campaign", plain(&campaign::PARAMETERS), false),
        ("/compare", "Campaigns compared", "Comparison", "compare", plain(&compare::PARAMETERS), false),
        ("/suppressions", "Suppressions", "SuppressionList", "suppressions", suppressions, true),
        ("/quarantine", "Quarantine", "QuarantinedList", "quarantine", plain(&quarantine::PARAMETERS), false),
        ("/meanings", "Glossary", "Glossary", "", Vec::new(), false),
        ("/health", "Health", "HealthReport", "", Vec::new(), false),
        ("/schema", "SQL access", "Views", "", Vec::new(), false),
    ];
    let mut all = Vec::new();
    for (path, title, schema, scope, parameters, is_exported) in pages {
        let data = if path == "/" { "/overview" } else { path };
        let operation = |group, path: String, how: &str| {
            Operation::get(group, &path, &format!("{title}{how}")).query(scope, parameters.iter().cloned())
        };
        all.push(operation(Group::Page, path.into(), "").returns(&[("text/html", "")]).goes_on());
        all.push(operation(Group::Data, format!("{data}.json"), ", as JSON").json(schema));
        all.push(operation(Group::Data, format!("{data}.csv"), ", as CSV").returns(&[(twin::CSV_TYPE, "")]));
        if is_exported {
            let export = operation(Group::Data, format!("{data}.ndjson"), ": all that match, one a line");
            all.push(export.returns(&[("application/x-ndjson", "")]));
        }
    }
    let page =
        |path: &str, summary: &str| Operation::get(Group::Page, path, summary).returns(&[("text/html", "")]).goes_on();
    let form = |path: &str, summary: &str, schema: &str| {
        Operation::post(Group::Page, path, summary).body(&[(FORM, schema)]).goes_on()
    };
    let file = |path: &str, summary: &str, media: &str| {
        let mut file = Operation::get(Group::Operating, path, summary).returns(&[(media, "")]);
        file.value["responses"]["404"] = serde_json::json!({ "description": "There is no such file." });
        file
    };
    let newer = Operation::get(Group::Data, "/newer.json", "How many deliveries are above a place in the log");
    let prometheus = Operation::get(Group::Data, metrics::PATH, "Figures for Prometheus");
    all.extend([
        newer.json("Newer").query("log", log),
        prometheus.returns(&[("text/plain", "")]),
        page("/connect", "How to connect a sender").query("connect", connect::PARAMETERS),
        page("/search", "Finds a delivery, person, campaign or list").query("search", ["q"]),
        page("/quarantine/confirm", "Asks before events in quarantine are deleted or applied")
            .query("confirm", ["act", "id", "reason", "list"]),
        form("/quarantine/replay", "Replays events in quarantine", "QuarantineForm"),
        form("/quarantine/dismiss", "Deletes events in quarantine", "QuarantineForm"),
        form("/campaigns/names", "Names a campaign", "NameForm"),
        Operation::post(Group::Page, "/campaigns/names/file", "Names campaigns by a CSV file")
            .body(&[("multipart/form-data", "NamesForm")])
            .goes_on(),
        Operation::post(Group::Page, "/people/{id}", "Revokes a deletion that is due later").goes_on(),
        page(SIGN_IN, "Sign in").query("sign-in", ["next"]).open(),
        form(SIGN_IN, "Exchanges a token for a session", "SignInForm").open(),
        page(SIGN_OUT, "Sign out"),
        form(SIGN_OUT, "Ends the session", "SignOutForm"),
        file("/assets/{name}", "A style sheet, script or icon", "*/*"),
        file("/favicon.ico", "The icon", "image/svg+xml"),
    ]);
    all
}
