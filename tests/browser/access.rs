//! What every page owes to everybody: nothing that axe finds, in both themes, and nothing wider than the window.

use super::support::browser::Browser;
use super::{message, messages, send, served};

const PAGES: [&str; 24] = [
    "/",
    "/deliveries",
    "/deliveries?status=bounced&-channel=sms&words=example&ever=sent&since=2020-01-01",
    "/deliveries?status=failed",
    "/deliveries/d1",
    "/deliveries/d2?status=bounced",
    "/deliveries/push",
    "/deliveries/none",
    "/events",
    "/campaigns",
    "/campaigns/campaign/3",
    "/compare?source=campaign:3&source=campaign:4",
    "/health",
    "/schema",
    "/connect",
    "/connect?from=events",
    "/quarantine/confirm?act=dismiss&reason=no_delivery_id",
    "/people/ann@example.com",
    "/people/p-ann@example.com",
    "/suppressions",
    "/quarantine",
    "/meanings",
    "/search?q=zzz",
    "/search?q=staus:sent",
];

fn lively() -> Vec<String> {
    let push = serde_json::json!({
        "id": "push-1", "delivery_id": "push", "channel": "push", "metric": "sent", "person_id": "p1",
        "recipients": [{"device_id": "one", "device_platform": "ios"}, {"device_id": "two"}],
    });
    let bounced = serde_json::json!({
        "id": "push-2", "delivery_id": "push", "metric": "bounced", "reason": "bad token",
        "recipients": [{"device_id": "two"}],
    });
    let mut events = [
        message(1, "email", "ann@example.com", "Spring sale", &["sent", "delivered", "opened", "clicked", "strange"]),
        message(2, "email", "bob@example.com", "Spring news", &["sent", "bounced"]),
        message(3, "sms", "+15550001", "", &["sent", "failed"]),
        message(4, "email", "ann@example.com", "Later", &["drafted"]),
        messages(10, 65),
    ]
    .concat();
    events.extend([push.to_string(), bounced.to_string()]);
    events
}

#[test]
fn axe_finds_nothing_on_any_page() {
    let (server, browser) = (served(&lively()), Browser::start());
    browser.resize(1280, 800);
    let mut faults = Vec::new();
    for page in PAGES {
        browser.goto(&server.url(page));
        for dark in [false, true] {
            browser.prefer_dark(dark);
            let found = browser.accessibility_faults();
            faults.extend(found.iter().map(|fault| format!("{page}, dark {dark}: {fault}")));
        }
    }
    // what opens
    browser.goto(&server.url("/deliveries"));
    browser.run("for (const it of document.querySelectorAll('details')) it.open = true");
    faults.extend(browser.accessibility_faults());
    browser.press('?');
    faults.extend(browser.accessibility_faults());
    assert_eq!(faults, [""; 0], "{}", faults.join("\n"));
}

#[test]
fn nothing_is_wider_than_the_window() {
    let (server, browser) = (served(&lively()), Browser::start());
    send(&server, "", &message(99, "email", &"x".repeat(300), &"y".repeat(500), &["sent", "bounced"]));
    // a small phone, and a window of 1280 by 800 at 200 %
    for (width, height) in [(320, 640), (640, 400)] {
        browser.resize(width, height);
        for page in PAGES.into_iter().chain(["/deliveries/d99"]) {
            browser.goto(&server.url(page));
            let over =
                browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert!(over.as_i64() <= Some(0), "{page} is {over} pixels too wide at {width}");
        }
    }
}

#[test]
fn colours_are_those_that_the_person_prefers() {
    let (server, browser) = (served(&lively()), Browser::start());
    browser.goto(&server.url("/deliveries?status=bounced"));
    let colours = "const of = (css) => getComputedStyle(document.querySelector(css)).color;
        return getComputedStyle(document.body).backgroundColor + of('td.st-bounced') + of('.lines p')";
    browser.prefer_dark(false);
    let light = browser.run(colours);
    browser.prefer_dark(true);
    let dark = browser.run(colours);
    assert!(light.as_str().unwrap().starts_with("rgb(255, 255, 255)"), "{light}");
    assert!(dark.as_str().unwrap().starts_with("rgb(17, 20, 23)"), "{dark}");
    assert_ne!(light.as_str().unwrap().split(')').nth(1), dark.as_str().unwrap().split(')').nth(1));
}
