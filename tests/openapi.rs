//! `/openapi.json` says what the server does: it has every route and method, is valid, and schemathesis finds no answer that
//! it does not describe.
//!
//! `./test` installs schemathesis beside the build, by the list in `tests/openapi/`.

mod support;

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use support::installed::installed;
use support::routes::patterns;
use support::server::Server;

const TOKEN: &str = "an-operate-token-of-the-tests";
const INGEST: &str = "an-ingest-key-of-the-tests";
const SIGNING: &str = "a-signing-key-of-the-tests";

/// What answers where nothing is.
const CATCH_ALL: [&str; 4] = ["", "/v1/{path}", "/api/{path}", "/webhooks/{path}"];

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

fn document(server: &Server) -> Value {
    server.client().get("/openapi.json").json()
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| (&**path, &**method, operation))
    })
}

/// The parameters of an operation.
fn parameters<'d>(document: &'d Value, operation: &'d Value) -> impl Iterator<Item = &'d Value> {
    let refs = operation["parameters"].as_array().unwrap().iter();
    refs.map(|it| document.pointer(&it["$ref"].as_str().unwrap()[1..]).unwrap())
}

/// A path with examples in place of its parameters.
fn filled(document: &Value, path: &str, operation: &Value) -> String {
    parameters(document, operation).filter(|it| it["in"] == "path").fold(path.to_owned(), |path, parameter| {
        let example = parameter["example"].as_str().or(parameter["schema"]["enum"][0].as_str()).unwrap_or("none.css");
        path.replace(&format!("{{{}}}", parameter["name"].as_str().unwrap()), example)
    })
}

/// `/people/{id:.+}` as `/people/{id}`.
fn without_expression(pattern: &str) -> String {
    let mut parts = pattern.split('{');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |path, part| {
        let (parameter, rest) = part.split_once('}').unwrap();
        format!("{path}{{{}}}{rest}", parameter.split(':').next().unwrap())
    })
}

#[actix_web::test]
async fn every_route_is_described_and_nothing_else() {
    let server = Server::start();
    let document = document(&server);
    let routes: BTreeSet<String> = patterns().await.iter().map(|pattern| without_expression(pattern)).collect();
    let routes: BTreeSet<&str> = routes.iter().map(|route| &**route).filter(|it| !CATCH_ALL.contains(it)).collect();
    let paths: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(|path| &**path).collect();
    let missing: Vec<_> = routes.difference(&paths).collect();
    assert!(routes.len() > 60 && missing.is_empty(), "describe in an `openapi.rs` {missing:?}");
    // the data of what an ID names have no route of their own
    let is_data = |path: &str| {
        [".json", ".csv"]
            .iter()
            .filter_map(|end| path.strip_suffix(end))
            .any(|path| path.ends_with("{id}") && routes.contains(path))
    };
    let gone: Vec<_> = paths.difference(&routes).filter(|path| !is_data(path)).collect();
    assert!(gone.is_empty(), "nothing is served at {gone:?}");
}

#[test]
fn every_path_takes_the_methods_that_are_described() {
    let server = Server::start();
    let document = document(&server);
    let client = server.client();
    for (path, item) in document["paths"].as_object().unwrap() {
        let described = |method: &str| item.get(method.to_lowercase()).is_some();
        let url = filled(&document, path, item.as_object().unwrap().values().next().unwrap());
        // these are also the pages of IDs that end so
        let has_form = path.starts_with("/people/{id}");
        for method in METHODS {
            let is_taken = described(method) || method == "HEAD" && described("GET") || method == "POST" && has_form;
            let body = if ["GET", "HEAD"].contains(&method) { "" } else { "{}" };
            let answer = client.ask(method, &url, &[("Sec-Fetch-Site", "same-origin")], body);
            assert_eq!(answer.status != 405, is_taken, "{method} {url}: {} {}", answer.status, answer.text);
            if !is_taken {
                let allowed: BTreeSet<&str> = answer.header("Allow").split(", ").collect();
                let named = METHODS.into_iter().filter(|it| allowed.contains(it)).collect::<Vec<_>>();
                assert!(!named.contains(&method) && named.len() == allowed.len(), "{method} {url}: {allowed:?}");
                assert!(method == "HEAD" || answer.json()["code"] == "wrong_method", "{method} {url}");
            }
        }
    }
}

#[test]
fn every_parameter_is_explained_and_taken() {
    let server = Server::start();
    let document = document(&server);
    for (path, method, operation) in operations(&document) {
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 4), "{method} {path}");
        for parameter in parameters(&document, operation) {
            let (name, about) = (parameter["name"].as_str().unwrap(), &parameter["description"]);
            assert!(about.as_str().is_some_and(|about| about.len() > 10), "say what {name} of {path} is");
            if parameter["in"] == "query" {
                let url = filled(&document, path, operation);
                let answer = server.client().get(&format!("{url}?{name}="));
                assert!(!answer.text.contains("Unknown parameter"), "{name} of {path}: {}", answer.text);
            }
        }
    }
}

/// A bit of everything, under the IDs of the document's examples.
fn seeded() -> Server {
    let keys = [("WAYBILL_OPERATE_TOKENS", TOKEN), ("WAYBILL_INGEST_KEYS", INGEST), ("WAYBILL_SIGNING_KEYS", SIGNING)];
    let server = Server::start_with(&keys);
    let kinds = ["campaign", "broadcast", "newsletter", "transactional"];
    let channels = ["email", "push", "sms", "in_app"];
    let metrics = ["sent", "delivered", "opened", "clicked", "bounced", "spammed", "unsubscribed", "drafted"];
    let mut events: Vec<Value> = (0..200)
        .map(|n| {
            let delivery = n / 3;
            let id = if delivery == 0 { "RKK4AwUAAYoeIC5PHMYd6".to_owned() } else { format!("d{delivery}") };
            let (channel, metric) = (channels[delivery % 4], metrics[n % metrics.len()]);
            json!({
                "id": format!("e{n}"), "delivery_id": id, "metric": metric, "channel": channel,
                "time": format!("2026-08-{:02}T10:00:00Z", 1 + n % 28),
                "source": { "kind": kinds[delivery % 4], "id": "8", "action_id": "42", "content_id": "42" },
                "person_id": if delivery % 5 == 0 { "12345".to_owned() } else { format!("p{delivery}") },
                "recipient": (channel != "push").then(|| format!("p{delivery}@example.org")), "subject": "Your order",
                "href": (metric == "clicked").then_some("https://example.org/a"), "machine": n % 2 == 0,
                "reason": (metric == "bounced").then_some("550 5.1.1 no such user"),
                "recipients": (channel == "push").then(|| json!([{ "device_id": "CCC", "device_platform": "ios" }])),
            })
        })
        .collect();
    events.push(json!({ "metric": "sent" }));
    let people = json!({ "batch": [
        { "type": "identify", "userId": "12345", "messageId": "m1", "traits": { "email": "ana@example.com", "plan": "pro" } },
        { "type": "group", "userId": "12345", "groupId": "acme", "messageId": "m2", "traits": { "name": "Acme" } },
        { "type": "track", "userId": "12345", "messageId": "m3", "event": "Unsubscribed" },
    ] });
    let headers = [("Authorization", &*format!("Bearer {INGEST}"))];
    for (path, body) in [("/v1/events", json!(events)), ("/v1/batch", people)] {
        let (status, answer) = server.post(path, &headers, body.to_string());
        assert_eq!(status, 200, "{answer}");
    }
    server
}

#[test]
fn exported_events_have_the_fields_of_their_schema() {
    let server = seeded();
    let get = |path: &str| server.client().ask("GET", path, &[("Authorization", &*format!("Bearer {TOKEN}"))], "");
    let schema = &get("/openapi.json").json()["components"]["schemas"]["WaybillEvent"]["properties"];
    let export = get("/events.ndjson").text;
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 201);
    for (key, _) in lines[..200].iter().flat_map(|line| line.as_object().unwrap()) {
        assert!(schema[key].is_object(), "describe {key}");
    }
}

#[test]
fn no_answer_is_outside_the_document() {
    let server = seeded();
    let by_token = [("Authorization", &*format!("Bearer {TOKEN}"))];
    let file = server.folder().join("openapi.json");
    std::fs::write(&file, server.client().ask("GET", "/openapi.json", &by_token, "").text).unwrap();

    let validated = Command::new(installed("openapi/bin/openapi-spec-validator")).arg(&file).output().unwrap();
    assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stdout));

    let settings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/schemathesis.toml");
    let mut command = Command::new(installed("openapi/bin/schemathesis"));
    command.args(["--config-file", settings, "run", "--no-color", "--url", &server.url("")]).arg(&file);
    // where it also keeps what it remembers
    command.current_dir(server.folder()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("SCHEMATHESIS_HOOKS", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi/hooks.py"));
    command.envs([("OPERATE_TOKEN", TOKEN), ("INGEST_KEY", INGEST), ("SIGNING_KEY", SIGNING)]);
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    let health = server.client().get("/healthz");
    assert_eq!(health.status, 200, "{}", health.text);
    println!("{said}");
}
