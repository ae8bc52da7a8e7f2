//! What a person does with the pages, in a real Chromium.

mod support;

use support::browser::{Browser, Key};
use support::server::Server;

const EVENTS: &str = r#"
{"id": "e1", "delivery_id": "one=/", "channel": "email", "metric": "sent", "recipient": "ann@example.com", "subject": "Hello", "source": {"kind": "campaign", "id": "3"}}
{"id": "e2", "delivery_id": "one=/", "metric": "opened"}
{"id": "e3", "delivery_id": "two", "channel": "sms", "metric": "failed", "recipient": "+15550001", "reason": "no route", "source": {"kind": "campaign", "id": "3"}}
"#;

fn served() -> Server {
    let server = Server::start();
    let (status, body) = server.post("/v1/events", &[("Content-Type", "application/x-ndjson")], EVENTS.trim());
    assert_eq!(status, 200, "{body}");
    server
}

#[test]
fn a_person_is_found_and_her_message_told() {
    let (server, browser) = (served(), Browser::start());
    browser.goto(&server.url("/"));
    browser.press('/');
    browser.type_into("#q", "ann@example.com");
    browser.press(Key::Enter.into());
    browser.wait_for(".person");
    assert_eq!(browser.text("h1"), "ann@example.com");
    assert_eq!(browser.texts("a.row"), ["ann@example.com"]);
    browser.press('j');
    browser.press(Key::Enter.into());
    browser.wait_for(".timeline");
    assert_eq!(browser.text("h1"), "ann@example.com");
    assert!(browser.text(".answer").starts_with("Accepted by the provider at "));
    assert_eq!(browser.texts(".timeline strong"), ["Sent", "Opened"]);
}

#[test]
fn the_log_is_whole_without_scripts() {
    let (server, browser) = (served(), Browser::start());
    browser.resize(1280, 800);
    browser.allow_scripts(false);
    browser.goto(&server.url("/deliveries"));
    assert_eq!(browser.count("a.row"), 2);
    browser.click(".choices [href*=\"=failed\"]");
    browser.wait_for(".chips");
    assert_eq!(browser.texts("a.row"), ["+15550001"]);
    assert_eq!(browser.text(".lines p"), "no route");
    browser.click(".chips .clear");
    assert_eq!(browser.count("a.row"), 2);
}

#[test]
fn nothing_is_wider_than_the_window() {
    let (server, browser) = (served(), Browser::start());
    let long = |text: &str, times: usize| text.repeat(times);
    let odd = format!(
        r#"{{"id": "e9", "delivery_id": "{}", "channel": "email", "metric": "bounced", "recipient": "{}@example.com", "subject": "{}", "reason": "{}", "source": {{"kind": "campaign", "id": "{}"}}}}"#,
        long("D", 250),
        long("local", 40),
        long("مرحبا", 80),
        long("x", 900),
        long("S", 240)
    );
    let (status, body) = server.post("/v1/events", &[("Content-Type", "application/x-ndjson")], &odd);
    assert_eq!(status, 200, "{body}");
    let odd = [
        format!("/deliveries/{}", long("D", 250)),
        format!("/campaigns/campaign/{}", long("S", 240)),
        format!("/deliveries?recipient={}", long("x", 2_000)),
        format!("/search?q={}", long("x", 2_000)),
        format!("/people/{}@example.com", long("local", 40)),
        "/people/ann%40example.com".into(),
    ];
    for path in [
        "/",
        "/deliveries",
        "/deliveries/one%3D%2F",
        "/campaigns",
        "/campaigns/campaign/3",
        "/compare?source=campaign:3&age=0",
        "/suppressions",
        "/quarantine",
        "/meanings",
        "/health",
        "/schema",
        "/connect?from=ses",
    ]
    .into_iter()
    .chain(odd.iter().map(String::as_str))
    {
        browser.goto(&server.url(path));
        for width in [320, 390, 480, 600, 768, 860, 861, 960, 1_030, 1_080, 1_081, 1_280, 1_920] {
            browser.resize(width, 800);
            let over =
                browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert!(over.as_i64() <= Some(0), "{path} is {over} pixels too wide at {width}");
        }
    }
}

#[test]
fn the_filters_can_be_skipped_by_keyboard_without_scripts() {
    let (server, browser) = (served(), Browser::start());
    browser.resize(1280, 800);
    browser.allow_scripts(false);
    browser.goto(&server.url("/deliveries"));
    let tab = || browser.press(Key::Tab.into());
    // to the content, past the filters, to the first row
    tab();
    browser.press(Key::Enter.into());
    tab();
    browser.press(Key::Enter.into());
    tab();
    browser.press(Key::Enter.into());
    browser.wait_for(".timeline");
    assert_eq!(browser.text("h1"), "+15550001");
}

#[test]
fn the_first_event_is_waited_for() {
    let (server, browser) = (Server::start(), Browser::start());
    browser.goto(&server.url("/deliveries"));
    browser.wait_for(".waits:not([hidden])");
    let (status, body) = server.post("/v1/events", &[("Content-Type", "application/x-ndjson")], EVENTS.trim());
    assert_eq!(status, 200, "{body}");
    browser.wait_for("a.row");
}
