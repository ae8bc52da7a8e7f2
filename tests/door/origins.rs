//! What pages of other sites make a browser send changes nothing, and is not answered.

use super::support::client::Client;
use super::support::file::rows;
use super::support::server::Server;
use super::{OPERATE, TOKENS, served, session};

/// Every route of a page that changes something, with a form that would.
const CHANGES: [(&str, &str); 6] = [
    ("/people/ann", ""),
    ("/campaigns/names", "kind=campaign&id=3&name=Changed"),
    ("/campaigns/names/file", "kind,id,name\ncampaign,3,Changed\n"),
    ("/quarantine/replay", "all=1"),
    ("/quarantine/dismiss", "reason=no_delivery_id"),
    ("/sign-out", "everywhere=1"),
];

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const EVIL: (&str, &str) = ("Origin", "https://evil.example");
const REBOUND: [(&str, &str); 3] =
    [("Host", "evil.example:8787"), ("Origin", "http://evil.example:8787"), ("Sec-Fetch-Site", "same-origin")];

/// Something to delete from quarantine.
fn with_quarantine(settings: &[(&str, &str)]) -> Server {
    let server = served(settings);
    let answer =
        server.client().post("/v1/events", &[("Authorization", "Bearer an-ingest-key")], "{\"metric\":\"sent\"}");
    assert_eq!(answer.json()["quarantined"], 1, "{}", answer.text);
    server
}

#[track_caller]
fn assert_unchanged(server: &Server) {
    let sql = "SELECT (SELECT count(*) FROM source_names), (SELECT count(*) FROM quarantine), (SELECT count(*) FROM _ended_sessions)";
    assert_eq!(rows(&server.db(), sql), ["0|1|0"]);
}

fn refused(client: &Client, headers: &[(&str, &str)]) {
    for (path, form) in CHANGES {
        for form_type in [FORM, ("Content-Type", "text/plain")] {
            let answer = client.post(path, &[headers, &[form_type]].concat(), form);
            assert_eq!(answer.status, 403, "{path} {headers:?}: {}", answer.text);
        }
    }
}

#[test]
fn a_session_is_of_no_use_to_other_sites() {
    let server = with_quarantine(&TOKENS);
    let client = server.client();
    let (cookie, here) = (session(&client, OPERATE), client.url(""));
    let cookie = ("Cookie", &*cookie);
    for headers in [
        &[cookie, EVIL][..],
        &[cookie, ("Origin", "null")],
        &[cookie],
        &[cookie, ("Sec-Fetch-Site", "cross-site"), ("Origin", &*here)],
        &[cookie, ("Sec-Fetch-Site", "same-site")],
        &[cookie, ("Host", "evil.example"), ("Origin", &*here)],
    ] {
        refused(&client, headers);
    }
    // a page of a rebound name has no cookie
    for (path, form) in CHANGES {
        let answer = client.post(path, &[&REBOUND[..], &[FORM]].concat(), form);
        assert_eq!((answer.status, answer.header("Location")), (303, "/sign-in"), "{path}");
    }
    let answer = client.ask("GET", "/deliveries.json", &REBOUND, "");
    assert_eq!(answer.status, 401);
    // another site cannot sign a browser in to a session of its own
    let form = format!("token={OPERATE}");
    for headers in [&[EVIL, FORM][..], &[FORM], &[("Sec-Fetch-Site", "cross-site"), FORM]] {
        assert_eq!(client.post("/sign-in", headers, &form).status, 403);
    }
    for (path, form) in CHANGES {
        for method in ["GET", "HEAD"] {
            let answer = client.ask(method, &format!("{path}?{}", form.replace('\n', "")), &[cookie, EVIL], "");
            assert!([200, 400, 404, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
        }
    }
    assert_unchanged(&server);
    let named = client.post(CHANGES[1].0, &[cookie, ("Origin", &*here), FORM], CHANGES[1].1);
    assert_eq!((named.status, rows(&server.db(), "SELECT name FROM source_names")), (303, vec!["Changed".to_owned()]));
}

#[test]
fn pages_that_need_no_token_are_for_this_machine() {
    let server = with_quarantine(&[]);
    let client = server.client();
    let here = client.url("");
    for headers in [
        &[EVIL][..],
        &[],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", &*here)],
        &[("Host", "evil.example")],
        &[("Host", "evil.example"), ("Origin", &*here)],
        &[("Host", "127.0.0.1.evil.example"), ("Origin", "http://127.0.0.1.evil.example")],
        &[("Host", "192.168.0.7"), ("Origin", "http://192.168.0.7")],
        &REBOUND,
    ] {
        refused(&client, headers);
    }
    for path in ["/", "/deliveries", "/deliveries.json", "/deliveries.ndjson", "/people/ann.json", "/sign-in"] {
        let rebound = client.ask("GET", path, &[("Host", "evil.example")], "");
        assert_eq!(rebound.status, 403, "{path}");
        let read = client.ask("GET", path, &[("Sec-Fetch-Site", "cross-site")], "");
        assert_eq!(read.status, 403, "{path}");
        for (answer, code) in [(&rebound, "foreign_host"), (&read, "foreign_origin")] {
            let said = if path.contains('.') { code } else { "<h1>Request blocked</h1>" };
            assert!(answer.text.contains(said) && !answer.text.contains("ann@"), "{path}: {}", answer.text);
        }
        let link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
        assert!(client.ask("GET", path, &link, "").status < 400, "a link to {path}");
    }
    assert_unchanged(&server);
}

#[test]
fn what_scripts_can_forward_is_no_name() {
    let server = served(&[("WAYBILL_TRUST_PROXY", "127.0.0.1")]);
    let forwarded =
        [("X-Forwarded-Host", "localhost"), ("X-Forwarded-Proto", "http"), ("Sec-Fetch-Site", "same-origin")];
    let rebound = [&forwarded[..], &[("Host", "evil.example")]].concat();
    assert_eq!(server.client().ask("GET", "/deliveries.json", &rebound, "").status, 403);
    assert_eq!(server.client().post("/campaigns/names", &[&rebound[..], &[FORM]].concat(), CHANGES[1].1).status, 403);
}

#[test]
fn a_name_that_was_given_is_served() {
    let server = served(&[("WAYBILL_HOST", "waybill.example,log.example")]);
    let client = server.client();
    for (host, status) in [
        ("waybill.example", 200),
        ("Waybill.Example:8787", 200),
        ("log.example", 200),
        ("localhost:1", 200),
        ("[::1]", 200),
        ("evil.example", 403),
        ("waybill.example.evil.example", 403),
        ("waybill.example@evil.example", 403),
    ] {
        assert_eq!(client.ask("GET", "/deliveries", &[("Host", host)], "").status, status, "{host}");
    }
}

#[test]
fn only_paths_of_sdks_may_be_read_by_other_sites() {
    let server = served(&[TOKENS[0], ("WAYBILL_BROWSER_KEYS", "public")]);
    let client = server.client();
    let preflight =
        [EVIL, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")];
    for (path, is_allowed) in [
        ("/v1/track", true),
        ("/v1/b", true),
        ("/api/v1/metrics", true),
        ("/unsubscribe/d1", true),
        ("/v1/events", false),
        ("/api/v1/customers/u", false),
        ("/webhooks/customerio", false),
        ("/deliveries.json", false),
        ("/sign-in", false),
        ("/healthz", false),
    ] {
        for answer in [client.preflight(path, &preflight), client.ask("GET", path, &[EVIL], "")] {
            assert_eq!(answer.header("Access-Control-Allow-Origin") == "*", is_allowed, "{path}");
            assert_eq!(answer.header("Access-Control-Allow-Credentials"), "", "{path}");
        }
    }
}
