//! What a person does, in a real Chromium.

mod support;

#[path = "browser/access.rs"]
mod access;
#[path = "browser/hostile.rs"]
mod hostile;
#[path = "browser/log.rs"]
mod log;
#[path = "browser/proxy.rs"]
mod proxy;
#[path = "browser/tasks.rs"]
mod tasks;
#[path = "browser/times.rs"]
mod times;

use support::browser::{Browser, Key};

/// A server that was sent events, one a line of `waybill`'s own format.
fn served(events: &[String]) -> support::server::Server {
    let server = support::server::Server::start();
    send(&server, "", events);
    server
}

fn send(server: &support::server::Server, base: &str, events: &[String]) {
    let path = format!("{base}/v1/events");
    let (status, body) = server.post(&path, &[("Content-Type", "application/x-ndjson")], events.join("\n"));
    assert_eq!(status, 200, "{body}");
}

/// A message to somebody, and what became of it; a second after the one before.
fn message(n: u32, channel: &str, recipient: &str, subject: &str, metrics: &[&str]) -> Vec<String> {
    let event = |(step, metric): (usize, &&str)| {
        let at_ms = 1_790_000_000_000_i64 + i64::from(n) * 1_000 + step as i64 * 100;
        serde_json::json!({
            "id": format!("{n}-{step}"), "delivery_id": format!("d{n}"), "channel": channel, "metric": metric,
            "recipient": recipient, "subject": subject, "timestamp": at_ms, "person_id": format!("p-{recipient}"),
            "source": {"kind": "campaign", "id": "3"},
            "reason": (*metric == "bounced").then_some("550 no such user"),
        })
        .to_string()
    };
    metrics.iter().enumerate().map(event).collect()
}

/// So many plain messages, numbered from one on.
fn messages(from: u32, to: u32) -> Vec<String> {
    (from..to).flat_map(|n| message(n, "email", &format!("ann{n}@example.com"), "Hello", &["sent"])).collect()
}

/// A page that shows what the browser was told: who types, how wide it is, which colours it prefers, whether
/// scripts run.
const PAGE: &str = "data:text/html;charset=utf-8,<title>Page</title>\
    <style>b{color:white} @media (prefers-color-scheme: dark){b{color:black}}</style>\
    <p id=scripts>off</p><b>bold</b><input id=name><input id=next>\
    <script>document.getElementById('scripts').textContent='on'</script>";

#[test]
fn the_browser_does_as_it_is_told() {
    let browser = Browser::start();
    browser.goto(PAGE);
    assert_eq!((browser.title().as_str(), browser.text("#scripts").as_str()), ("Page", "on"));

    browser.type_into("#name", "Zoë");
    browser.press(Key::Tab.into());
    browser.press('x');
    assert_eq!(browser.run("return [...document.querySelectorAll('input')].map(i => i.value).join()"), "Zoë,x");

    browser.resize(390, 844);
    assert_eq!(browser.run("return innerWidth"), 390);
    assert!(browser.screenshot("harness-phone").starts_with(b"\x89PNG"));

    let colour = "return getComputedStyle(document.querySelector('b')).color";
    browser.prefer_dark(true);
    assert_eq!(browser.run(colour), "rgb(0, 0, 0)");
    browser.prefer_dark(false);
    assert_eq!(browser.run(colour), "rgb(255, 255, 255)");

    browser.allow_scripts(false);
    browser.goto(PAGE);
    assert_eq!(browser.text("#scripts"), "off");
    assert_eq!(browser.count("input"), 2);
    browser.allow_scripts(true);
    browser.goto(PAGE);
    assert_eq!(browser.text("#scripts"), "on");
}
