//! Customer.io's SDK for web pages, in a real Chromium, on a page of another origin.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use super::driver::driver;
use super::support::browser::Browser;
use super::support::installed::installed;
use super::support::{file, server::Server};
use super::{BROWSER_KEY, WRITE_KEY, server};

/// Serves the page and the SDK to browsers until the tests end; gives its address.
fn site() -> String {
    let script = installed("javascript/node_modules/@customerio/cdp-analytics-browser/dist/umd/index.js");
    let script = std::fs::read_to_string(script).unwrap();
    let page = std::fs::read_to_string(driver("cdp-analytics-browser.html")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let (page, script) = (page.clone(), script.clone());
            thread::spawn(move || answer(connection?, &page, &script));
        }
    });
    address
}

fn answer(mut connection: TcpStream, page: &str, script: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines().map_while(Result::ok);
    let asked = lines.next().unwrap_or_default();
    // the rest of the head: to close before it is read would break the connection
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let (kind, body) = match asked.contains(" /analytics.js ") {
        true => ("text/javascript", script),
        false => ("text/html", page),
    };
    let length = body.len();
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    connection.write_all(body.as_bytes())
}

/// Opens the page anew, sends by it, and comes back when so many calls have been answered with 200.
fn send(browser: &Browser, site: &str, server: &Server, key: &str, calls: &Value) {
    open(browser, site, server, key, calls);
    taken(browser, calls);
}

fn open(browser: &Browser, site: &str, server: &Server, key: &str, calls: &Value) {
    let host = server.url("").trim_start_matches("http://").to_owned();
    browser.goto(&format!("{site}/?host={host}&key={key}"));
    browser.run(&format!("send({calls})"));
}

fn taken(browser: &Browser, calls: &Value) {
    browser.wait_for(&format!("html[data-taken='{}']", calls.as_array().unwrap().len()));
}

/// What a page reports of messages, and what else it says by itself.
fn calls() -> Value {
    let report = |id: &str, metric: &str, second: u32| {
        json!({"type": "track", "id": id, "timestamp": format!("2026-03-01T08:00:{second}.250Z"),
               "given": ["Report Delivery Event", {"deliveryId": "note-1", "metric": metric, "href": "https://example.org/a"}]})
    };
    json!([
        {"type": "page", "id": "v1", "timestamp": "2026-03-01T08:00:10.250Z", "given": ["Home", {"path": "/"}]},
        {"type": "identify", "id": "i1", "timestamp": "2026-03-01T08:00:10.500Z",
         "given": ["p1", {"email": "ada@example.org", "plan": "pro"}]},
        {"type": "group", "id": "g1", "timestamp": "2026-03-01T08:00:10.750Z", "given": ["acme", {"name": "Acme"}]},
        report("r1", "opened", 11),
        report("r2", "clicked", 12),
    ])
}

/// A server that knows the message.
fn with_message() -> Server {
    let server = server();
    let sent = json!({"event_id": "s1", "object_type": "in_app", "metric": "sent", "timestamp": 1772352000,
                      "data": {"delivery_id": "note-1", "campaign_id": 8, "customer_id": "p1"}});
    server.webhook(sent.to_string());
    server
}

#[test]
fn cdp_analytics_browser() {
    let (site, calls, browser) = (site(), calls(), Browser::start());
    let (plain, locked) = (with_message(), with_message());

    send(&browser, &site, &plain, BROWSER_KEY, &calls);
    let events = "SELECT event_id, channel, metric, occurred_at FROM events_v1 ORDER BY event_id";
    let expected = [
        "r1|in_app|opened|2026-03-01T08:00:11.250Z",
        "r2|in_app|clicked|2026-03-01T08:00:12.250Z",
        "s1|in_app|sent|2026-03-01T08:00:00.000Z",
    ];
    assert_eq!(file::rows(&plain.db(), events), expected);
    // a key that everybody can read is good for reports only
    assert_eq!(file::rows(&plain.db(), "SELECT * FROM traits_v1"), [""; 0]);
    let once = file::views(&plain.db());

    send(&browser, &site, &plain, BROWSER_KEY, &calls);
    file::assert_same(&once, &file::views(&plain.db()), "sent again");

    // the server itself says 503, as long as somebody else writes to the file
    let lock = rusqlite::Connection::open(locked.db()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    open(&browser, &site, &locked, BROWSER_KEY, &calls);
    browser.wait_for("html[data-refused]:not([data-refused='0']):not([data-refused='1'])");
    lock.execute_batch("ROLLBACK").unwrap();
    taken(&browser, &calls);
    file::assert_same(&once, &file::views(&locked.db()), "through an outage");
}

#[test]
fn cdp_analytics_browser_with_a_full_key() {
    let (site, calls, browser, server) = (site(), calls(), Browser::start(), with_message());
    send(&browser, &site, &server, WRITE_KEY, &calls);
    let events = "SELECT metric FROM events_v1 ORDER BY occurred_at_ms";
    assert_eq!(file::rows(&server.db(), events), ["sent", "opened", "clicked"]);
    let traits = "SELECT person, name, value FROM traits_v1 ORDER BY name";
    assert_eq!(file::rows(&server.db(), traits), ["p1|email|\"ada@example.org\"", "p1|plan|\"pro\""]);
    assert_eq!(file::rows(&server.db(), "SELECT object_id, person FROM relationships_v1"), ["acme|p1"]);
}
