//! What pages say of time: in which zone it is, and how old they are.

#![allow(clippy::disallowed_methods, reason = "the overview shows the last days as they are when the test runs")]

use std::time::{SystemTime, UNIX_EPOCH};

use super::support::browser::Browser;
use super::{message, send, served};

#[test]
fn times_are_in_utc_or_in_the_zone_of_the_browser() {
    // 2026-09-21 13:33:20 UTC, and again late in the evening of New York
    let late =
        message(50_000, "email", "ann@example.com", "Spring sale", &["clicked"]).concat().replace("d50000", "d1");
    let (server, browser) =
        (served(&message(1, "email", "ann@example.com", "Spring sale", &["sent"])), Browser::start());
    send(&server, "", &[late]);
    browser.live_in("America/New_York");
    let times = || {
        (
            browser.text(".answer"),
            browser.texts(".standing .at"),
            browser.texts(".timeline time"),
            browser.text("h2 .utc"),
        )
    };
    browser.goto(&server.url("/deliveries/d1"));
    let utc = times();
    assert!(
        utc.0.starts_with("Accepted by the provider at 2026-09-21 14:13:21 UTC; clicked 13 h 53 min later"),
        "{}",
        utc.0
    );
    assert_eq!(utc.1, ["2026-09-21 14:13:21 UTC", "2026-09-22 04:06:40 UTC"]);
    assert_eq!(utc.2, ["14:13:21", "04:06:40"]);
    assert_eq!(utc.3, "UTC");
    browser.click(".menu summary");
    browser.click(".times");
    assert_eq!(browser.text(".times"), "Times: local (America/New_York)");
    assert_eq!(browser.text(".menu small"), "Days, charts and filters are in UTC");
    let local = times();
    assert!(local.0.starts_with("Accepted by the provider at 2026-09-21 10:13:21 EDT; clicked"), "{}", local.0);
    assert_eq!(local.1, ["2026-09-21 10:13:21 EDT", "2026-09-22 00:06:40 EDT"]);
    assert_eq!(local.2, ["10:13:21", "00:06:40"]);
    assert_eq!(local.3, "America/New_York");
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('.day'), '::after').content"), "\" UTC\"");
    // a ticket is read elsewhere
    assert!(browser.run("return document.getElementById('ticket').value").as_str().unwrap().contains("14:13:21 UTC"));
    assert!(browser.accessibility_faults().is_empty());
    // it is remembered, also of a day that is another one there
    browser.live_in("Asia/Kolkata");
    browser.goto(&server.url("/events"));
    assert_eq!(browser.texts(".lines time"), ["2026-09-22 09:36:40 GMT+5:30", "2026-09-21 19:43:21 GMT+5:30"]);
    browser.live_in("Pacific/Auckland");
    browser.goto(&server.url("/deliveries/d1"));
    assert_eq!(browser.texts(".timeline time"), ["22 Sep 02:13:21", "16:06:40"]);
    browser.click(".menu summary");
    browser.click(".times");
    assert_eq!(times(), utc);
    // without scripts it is UTC
    browser.allow_scripts(false);
    browser.goto(&server.url("/deliveries/d1"));
    assert_eq!((times(), browser.text(".menu small")), (utc, String::new()), "the menu is closed");
    browser.click(".menu summary");
    assert_eq!(browser.text(".menu small"), "All times are in UTC");
}

/// Deliveries of this moment, each sent.
fn now(from: u32, to: u32) -> Vec<String> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let sent = |n| {
        serde_json::json!({"id": format!("now{n}"), "delivery_id": format!("now{n}"), "channel": "email", "metric": "sent",
        "recipient": format!("ann{n}@example.com"), "timestamp": now_ms, "source": {"kind": "campaign", "id": "3"}})
    };
    (from..to).map(|n| sent(n).to_string()).collect()
}

#[test]
fn a_tab_left_open_shows_nothing_older_than_it_says() {
    let (server, browser) = (served(&now(0, 3)), Browser::start());
    browser.resize(1280, 800);
    let pages = [
        ("/", "document.querySelector('.kpis .figure').textContent"),
        ("/health", "document.querySelector('.tiles time').dateTime"),
        ("/campaigns", "document.querySelector('.figures').textContent"),
        ("/campaigns/campaign/3", "document.querySelector('.funnel').textContent"),
    ];
    let as_of = "return document.querySelector('.as-of time, .state .muted time').dateTime";
    let come_back = "document.dispatchEvent(new Event('visibilitychange'))";
    for (i, (page, figure)) in (3..).step_by(2).zip(pages) {
        browser.goto(&server.url(page));
        let read = || (browser.run(&format!("return {figure}")), browser.run(as_of));
        let shown = read();
        send(&server, "", &now(i, i + 1));
        // who is at something is not disturbed, though another page was fetched meanwhile
        browser.run("document.querySelector('main a').focus()");
        browser.run(come_back);
        browser.run_until_called("fetch(location.href).then((it) => it.text()).then(arguments[0])");
        assert_eq!(read(), shown, "{page} says when it was made");
        browser.run("document.activeElement.blur()");
        // the first is looked at until it is fetched by itself; the others by somebody who comes back to the tab
        if page != "/" {
            browser.run(come_back);
        }
        browser.wait_until(&format!("return {figure} !== {}", shown.0), true);
        assert!(read().1.as_str() > shown.1.as_str(), "{page}");
    }
}
