//! Every route, by what it answers to each kind of credential.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::support::client::Answer;
use super::support::routes::patterns;
use super::{OPERATE, READ, TOKENS, bearer, served};

/// What a route asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// A page: any token.
    Token,
    /// The same for programs, which are not asked to sign in.
    Read,
    /// A page or form that changes something: an operate token.
    Operate,
    /// A key of senders, which no token is.
    Key,
    /// A report on a delivery: nothing, but not a wrong key.
    NoWrongKey,
    /// Nothing is there.
    Absent,
}

use Needs::{Absent, Key, NoWrongKey, Nothing, Operate, Read, Token};

/// The pattern as the application has it, the method, a path of it.
const ROUTES: &[(&str, &str, &str, Needs)] = &[
    ("/", "GET", "/", Token),
    ("/overview.json", "GET", "/overview.json", Token),
    ("/overview.csv", "GET", "/overview.csv", Token),
    ("/deliveries", "GET", "/deliveries", Token),
    ("/deliveries.json", "GET", "/deliveries.json", Token),
    ("/deliveries.csv", "GET", "/deliveries.csv", Token),
    ("/deliveries.ndjson", "GET", "/deliveries.ndjson", Token),
    ("/newer.json", "GET", "/newer.json", Token),
    ("/events", "GET", "/events", Token),
    ("/events.json", "GET", "/events.json", Token),
    ("/events.csv", "GET", "/events.csv", Token),
    ("/events.ndjson", "GET", "/events.ndjson", Token),
    ("/deliveries/{id:.+}", "GET", "/deliveries/d1", Token),
    ("/deliveries/{id:.+}", "GET", "/deliveries/sign-in", Token),
    ("/deliveries/{id:.+}", "GET", "/deliveries/d1.json", Token),
    ("/people/{id:.+}", "GET", "/people/ann", Token),
    ("/people/{id:.+}", "GET", "/people/ann.csv", Token),
    ("/people/{id:.+}", "POST", "/people/ann", Operate),
    ("/people/{id:.+}", "POST", "/people/x/sign-in", Operate),
    ("/campaigns", "GET", "/campaigns", Token),
    ("/campaigns.json", "GET", "/campaigns.json", Token),
    ("/campaigns.csv", "GET", "/campaigns.csv", Token),
    ("/campaigns/names", "POST", "/campaigns/names", Operate),
    ("/campaigns/names/file", "POST", "/campaigns/names/file", Operate),
    ("/campaigns/{kind}/{id:.+}", "GET", "/campaigns/campaign/3", Token),
    ("/campaigns/{kind}/{id:.+}", "GET", "/campaigns/campaign/3.json", Token),
    ("/compare", "GET", "/compare", Token),
    ("/compare.json", "GET", "/compare.json", Token),
    ("/compare.csv", "GET", "/compare.csv", Token),
    ("/suppressions", "GET", "/suppressions", Token),
    ("/suppressions.json", "GET", "/suppressions.json", Token),
    ("/suppressions.csv", "GET", "/suppressions.csv", Token),
    ("/suppressions.ndjson", "GET", "/suppressions.ndjson", Token),
    ("/quarantine", "GET", "/quarantine", Token),
    ("/quarantine.json", "GET", "/quarantine.json", Token),
    ("/quarantine.csv", "GET", "/quarantine.csv", Token),
    ("/quarantine/confirm", "GET", "/quarantine/confirm?act=dismiss&id=1", Operate),
    ("/quarantine/replay", "POST", "/quarantine/replay", Operate),
    ("/quarantine/dismiss", "POST", "/quarantine/dismiss", Operate),
    ("/meanings", "GET", "/meanings", Token),
    ("/meanings.json", "GET", "/meanings.json", Token),
    ("/meanings.csv", "GET", "/meanings.csv", Token),
    ("/health", "GET", "/health", Token),
    ("/health.json", "GET", "/health.json", Token),
    ("/health.csv", "GET", "/health.csv", Token),
    ("/metrics", "GET", "/metrics", Token),
    ("/openapi.json", "GET", "/openapi.json", Token),
    ("/connect", "GET", "/connect", Token),
    ("/schema", "GET", "/schema", Token),
    ("/schema.json", "GET", "/schema.json", Token),
    ("/schema.csv", "GET", "/schema.csv", Token),
    ("/search", "GET", "/search?q=ann", Token),
    ("", "GET", "/no/such/page", Token),
    ("", "POST", "/no/such/form", Operate),
    ("", "DELETE", "/deliveries/d1", Operate),
    ("/sign-in", "GET", "/sign-in", Nothing),
    ("/sign-out", "GET", "/sign-out", Token),
    ("/sign-out", "POST", "/sign-out", Token),
    ("/healthz", "GET", "/healthz", Nothing),
    ("/readyz", "GET", "/readyz", Nothing),
    ("/favicon.ico", "GET", "/favicon.ico", Nothing),
    ("/assets/{name}", "GET", "/assets/none.css", Nothing),
    ("/v1/messages", "GET", "/v1/messages", Read),
    ("/v1/messages/{message}/archived_message", "GET", "/v1/messages/d1/archived_message", Read),
    ("/v1/messages/{message:.+}", "GET", "/v1/messages/d1", Read),
    ("/v1/customers/{customer:.+}/messages", "GET", "/v1/customers/u/messages", Read),
    ("KINDS", "GET", "/v1/campaigns", Read),
    ("KINDS/{id}", "GET", "/v1/campaigns/3", Read),
    ("KINDS/{id}/messages", "GET", "/v1/newsletters/3/messages", Read),
    ("KINDS/{id}/journey_metrics", "GET", "/v1/campaigns/3/journey_metrics", Read),
    ("KINDS/{id}/metrics", "GET", "/v1/broadcasts/3/metrics", Read),
    ("KINDS/{id}/metrics/links", "GET", "/v1/transactional/3/metrics/links", Read),
    ("KINDS/{id}/PARTS", "GET", "/v1/campaigns/3/actions", Read),
    ("KINDS/{id}/PARTS/{part}", "GET", "/v1/newsletters/3/contents/4", Read),
    ("KINDS/{id}/PARTS/{part}/metrics", "GET", "/v1/campaigns/3/actions/4/metrics", Read),
    ("KINDS/{id}/PARTS/{part}/metrics/links", "GET", "/v1/campaigns/3/actions/4/metrics/links", Read),
    ("/webhooks/customerio", "POST", "/webhooks/customerio", Key),
    ("/webhooks/pipelines", "POST", "/webhooks/pipelines", Key),
    ("/webhooks/ses", "POST", "/webhooks/ses", Key),
    ("/webhooks/brevo", "POST", "/webhooks/brevo", Key),
    ("/webhooks/mailgun", "POST", "/webhooks/mailgun", Key),
    ("/webhooks/mandrill", "POST", "/webhooks/mandrill", Key),
    ("/webhooks/onesignal", "POST", "/webhooks/onesignal", Key),
    ("/webhooks/postmark", "POST", "/webhooks/postmark", Key),
    ("/webhooks/resend", "POST", "/webhooks/resend", Key),
    ("/webhooks/sendgrid", "POST", "/webhooks/sendgrid", Key),
    ("/webhooks/sparkpost", "POST", "/webhooks/sparkpost", Key),
    ("/webhooks/twilio", "POST", "/webhooks/twilio", Key),
    ("/webhooks/vonage", "POST", "/webhooks/vonage", Key),
    ("/v1/events", "POST", "/v1/events", Key),
    ("/v1/track", "POST", "/v1/track", Key),
    ("/v1/t", "POST", "/v1/t", Key),
    ("/v1/identify", "POST", "/v1/identify", Key),
    ("/v1/i", "POST", "/v1/i", Key),
    ("/v1/group", "POST", "/v1/group", Key),
    ("/v1/g", "POST", "/v1/g", Key),
    ("/v1/page", "POST", "/v1/page", Key),
    ("/v1/p", "POST", "/v1/p", Key),
    ("/v1/screen", "POST", "/v1/screen", Key),
    ("/v1/s", "POST", "/v1/s", Key),
    ("/v1/alias", "POST", "/v1/alias", Key),
    ("/v1/a", "POST", "/v1/a", Key),
    ("/v1/batch", "POST", "/v1/batch", Key),
    ("/v1/b", "POST", "/v1/b", Key),
    ("/api/v1/customers/{identifier}", "PUT", "/api/v1/customers/u", Key),
    ("/api/v1/customers/{identifier}", "DELETE", "/api/v1/customers/u", Key),
    ("/api/v1/customers/{identifier}/devices", "PUT", "/api/v1/customers/u/devices", Key),
    ("/api/v1/customers/{identifier}/devices/{device_id}", "DELETE", "/api/v1/customers/u/devices/d", Key),
    ("/api/v1/customers/{identifier}/suppress", "POST", "/api/v1/customers/u/suppress", Key),
    ("/api/v1/customers/{identifier}/unsuppress", "POST", "/api/v1/customers/u/unsuppress", Key),
    ("/api/v1/customers/{identifier}/events", "POST", "/api/v1/customers/u/events", Key),
    ("/api/v1/events", "POST", "/api/v1/events", Key),
    ("/api/v1/merge_customers", "POST", "/api/v1/merge_customers", Key),
    ("/api/v1/forms/{form_id}/submit", "POST", "/api/v1/forms/f/submit", Key),
    ("/api/v1/segments/{segment_id}/add_customers", "POST", "/api/v1/segments/1/add_customers", Key),
    ("/api/v1/segments/{segment_id}/remove_customers", "POST", "/api/v1/segments/1/remove_customers", Key),
    ("/api/v2/entity", "POST", "/api/v2/entity", Key),
    ("/api/v2/batch", "POST", "/api/v2/batch", Key),
    ("/api/v1/accounts/region", "GET", "/api/v1/accounts/region", Key),
    ("/api/v1/metrics", "POST", "/api/v1/metrics", NoWrongKey),
    ("/api/v1/push/events", "POST", "/api/v1/push/events", NoWrongKey),
    ("/push/events", "POST", "/push/events", NoWrongKey),
    ("/api/v1/cio_deliveries/events", "POST", "/api/v1/cio_deliveries/events", NoWrongKey),
    ("/unsubscribe/{delivery_id}", "POST", "/unsubscribe/d1", NoWrongKey),
    ("/v1/{path:.*}", "GET", "/v1/nothing", Absent),
    ("/api/{path:.*}", "POST", "/api/nothing", Absent),
    ("/webhooks/{path:.*}", "POST", "/webhooks/nothing", Absent),
];

#[actix_web::test]
async fn every_route_is_in_the_table() {
    let whole = |pattern: &str| {
        let kinds = "/v1/{kinds:campaigns|broadcasts|newsletters|transactional}";
        pattern.replace("KINDS", kinds).replace("PARTS", "{parts:actions|contents}")
    };
    let listed: BTreeSet<String> = ROUTES.iter().map(|(pattern, ..)| whole(pattern)).collect();
    let found = patterns().await;
    assert!(found.len() > 60, "{found:?}");
    let missing: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(missing.is_empty() && gone.is_empty(), "say in the table who may use {missing:?}; take out {gone:?}");
}

/// What an answer says of the sender.
fn verdict(answer: &Answer, base: &str) -> &'static str {
    match answer.status {
        303 if answer.header("Location").starts_with(&format!("{base}/sign-in")) => "sign-in",
        401 | 429 => "401",
        403 => "403",
        _ => "in",
    }
}

#[test]
fn every_route_asks_for_what_it_should() {
    check("");
}

#[test]
fn below_a_path_too() {
    check("/waybill");
}

fn check(base: &str) {
    let settings = [("WAYBILL_SIGNING_KEYS", "a-signing-key"), ("WAYBILL_BASE", base)];
    let server = served(&[&TOKENS[..], &settings].concat());
    let client = server.client();
    let credentials = [None, Some("a-wrong-token-of-the-tests"), Some(READ), Some(OPERATE)];
    let (mut table, mut faults) = (String::new(), Vec::new());
    for (_, method, path, needs) in ROUTES {
        let is_data = [".json", ".csv", ".ndjson", "/metrics"].iter().any(|ending| path.ends_with(ending));
        let to_strangers = if is_data { "401" } else { "sign-in" };
        let expected = match needs {
            Nothing => ["in", "401", "in", "in"],
            Read => ["401", "401", "in", "in"],
            Token => [to_strangers, "401", "in", "in"],
            Operate => [to_strangers, "401", "403", "in"],
            Key => ["401"; 4],
            NoWrongKey => ["in", "401", "401", "401"],
            Absent => ["in"; 4],
        };
        // what is no page does not look at tokens
        let is_open = *needs == Nothing && *path != "/sign-in";
        let expected = if is_open { ["in"; 4] } else { expected };
        let answers = credentials.map(|token| {
            let header = token.map(bearer);
            let headers: Vec<_> = header.iter().map(|header| ("Authorization", &**header)).collect();
            let body = if *method == "GET" { "" } else { "{}" };
            client.ask(method, &format!("{base}{path}"), &headers, body)
        });
        let found = answers.each_ref().map(|answer| verdict(answer, base));
        writeln!(table, "{method:<7} {path:<45} {found:?}").unwrap();
        if *path == "/sign-out" {
            // who has no session goes to another page
            assert_eq!(found[..2], expected[..2], "{method} {path}");
        } else if found != expected {
            faults.push(format!("{method} {path}: {found:?}, expected {expected:?}"));
        }
        for answer in &answers {
            assert!(answer.status < 500, "{method} {path}: {}", answer.text);
            let is_absent = *needs == Absent;
            assert!(!is_absent || answer.status == 404, "{method} {path}: {}", answer.status);
            assert_eq!(answer.header("X-Content-Type-Options"), "nosniff", "{method} {path}");
            assert!(answer.header("Content-Security-Policy").contains("frame-ancestors 'none'"), "{method} {path}");
            let caching = answer.header("Cache-Control");
            // SDKs in pages do not read answers, and with `no-store` Chromium would hold the connection for them
            let expected = if [Key, NoWrongKey].contains(needs) && *method != "GET" { "" } else { "no-store" };
            let is_unknown = *needs == Absent && *method != "GET";
            assert!(caching == expected || *needs == Nothing || is_unknown, "{method} {path}: {caching}");
            if answer.status == 401 {
                assert!(!answer.header("WWW-Authenticate").is_empty(), "{method} {path}");
                assert!(answer.json()["code"].is_string() && answer.json()["message"].is_string(), "{method} {path}");
            }
        }
    }
    println!("{table}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let (_, health) = server.get("/healthz");
    assert!(!health.contains("ann") && !health.contains('@'), "{health}");
}

#[test]
fn no_spelling_of_a_path_gets_around_the_door() {
    let server = served(&[&TOKENS[..], &[("WAYBILL_BASE", "/waybill")]].concat());
    let client = server.client();
    for path in [
        "//deliveries",
        "/./deliveries",
        "/deliveries/",
        "/%64eliveries",
        "/deliveries%2ejson",
        "/DELIVERIES",
        "/deliveries;x",
        "/deliveries/d1/sign-in",
        "/deliveries/d1%2Fsign-in",
        "/people/ann/sign-in",
        "/people/ann%40example.org%2Fsign-in",
        "/campaigns/campaign/3/sign-in",
        "/sign-in/../deliveries",
        "/sign-in/%2e%2e/deliveries",
        "/sign-in%2f..%2fdeliveries",
        "/assets/..%2fdeliveries",
        "/healthz/deliveries",
        "/healthz/../deliveries",
        "/waybill/waybill/deliveries",
        "/waybill//deliveries",
        "/waybill/sign-in/deliveries",
        "/waybill%2fdeliveries",
        "/v1/../deliveries",
        "/v1%2f..%2fdeliveries",
        "/waybilldeliveries",
        "/deliveries?/sign-in",
        "/deliveries.json?x=/sign-in",
        "/search?q=ann&next=/sign-in",
    ] {
        for headers in
            [&[][..], &[("Cookie", "waybill_00000000=1.0")], &[("Authorization", "Bearer")], &[("Authorization", "")]]
        {
            let answer = client.ask("GET", path, headers, "");
            assert!([303, 401, 404, 429].contains(&answer.status), "{path}: {}", answer.status);
            assert!(!answer.text.contains("ann@example.org"), "{path}: {}", answer.text);
        }
    }
}

#[test]
fn a_reader_sees_no_button_that_would_be_refused() {
    let server = served(&TOKENS);
    let client = server.client();
    client.post("/v1/events", &[("Authorization", "Bearer an-ingest-key")], "{\"metric\":\"sent\"}");
    client.post("/v1/identify", &[("Authorization", "Bearer an-ingest-key")], "{\"userId\":\"ann\"}");
    let deleted = r#"{"type":"track","event":"User Deleted","userId":"ann","messageId":"m"}"#;
    client.post("/v1/track", &[("Authorization", "Bearer an-ingest-key")], deleted);
    for page in ["/quarantine", "/campaigns", "/campaigns/campaign/3", "/people/ann"] {
        let forms = |token: &str| {
            let answer = client.ask("GET", page, &[("Authorization", &bearer(token))], "");
            assert_eq!(answer.status, 200, "{page}");
            answer.text.matches("method=\"post\"").count() + answer.text.matches("/quarantine/confirm").count()
        };
        assert_eq!(forms(READ), 0, "{page}");
        assert!(forms(OPERATE) > 0, "{page}");
    }
}
