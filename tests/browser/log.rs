//! The delivery log, and the way to a delivery and back.

use super::support::browser::{Browser, Key};
use super::support::server::Server;
use super::{message, messages, send, served};

const FOCUSED: &str = "return document.activeElement.textContent";

fn mixed() -> Vec<String> {
    [
        message(1, "email", "ann@example.com", "Spring sale", &["sent", "delivered", "opened"]),
        message(2, "sms", "+15550001", "", &["sent", "bounced"]),
        message(3, "email", "bob@example.com", "Spring news", &["sent", "bounced"]),
        message(4, "email", "cy@example.com", "Receipt", &["sent"]),
    ]
    .concat()
}

/// A click in the message of that id.
fn clicked(n: u32, id: &str) -> Vec<String> {
    let click = message(n, "email", "", "", &["clicked"]);
    click.iter().map(|it| it.replace(&format!("\"d{n}\""), &format!("\"{id}\""))).collect()
}

fn rows(browser: &Browser) -> Vec<String> {
    browser.texts("a.row")
}

fn search(browser: &Browser, words: &str) {
    browser.run("document.documentElement.dataset.old = 1; document.getElementById('q').value = ''");
    browser.type_into("#q", words);
    browser.press(Key::Enter.into());
    browser.wait_for("html:not([data-old])");
}

#[test]
fn a_filter_is_built_by_links_and_by_words() {
    let (server, browser) = (served(&mixed()), Browser::start());
    browser.resize(1280, 800);
    browser.goto(&server.url("/deliveries"));
    browser.click(".choices [href$=\"?status=bounced\"]");
    browser.wait_for(".chips");
    assert_eq!(rows(&browser), ["bob@example.com", "+15550001"]);
    // the search box holds the filter as words, to go on from there
    assert_eq!(browser.run("return document.getElementById('q').value"), "status:bounced");

    search(&browser, "status:bounced -channel:sms");
    assert_eq!(rows(&browser), ["bob@example.com"]);
    assert_eq!(browser.texts(".chips a bdi"), ["Bounced", "SMS"]);
    browser.click(".chips li:nth-child(2) a");
    browser.wait_for(".chips li:nth-child(2) .clear");
    assert_eq!(rows(&browser), ["bob@example.com", "+15550001"]);
    browser.click(".chips .clear");
    browser.wait_for("a.row[href$=d1]");
    assert_eq!(rows(&browser).len(), 4);

    search(&browser, "SPRING -subject:news");
    assert_eq!(rows(&browser), ["ann@example.com"]);
    search(&browser, "ever:delivered -status:delivered");
    assert_eq!(rows(&browser), ["ann@example.com"]);
    search(&browser, "staus:bounced");
    assert!(browser.text(".empty").contains("Did you mean “status:”"));
    assert_eq!(browser.run("return document.getElementById('q').value"), "staus:bounced");
}

#[test]
fn the_log_is_in_the_order_of_creation_or_of_the_latest_event() {
    let (server, browser) = (served(&mixed()), Browser::start());
    browser.resize(1280, 800);
    send(&server, "", &clicked(9, "d1"));
    browser.goto(&server.url("/deliveries?status=bounced&status=clicked&status=sent"));
    let by_creation = ["cy@example.com", "bob@example.com", "+15550001", "ann@example.com"];
    let by_latest = ["ann@example.com", "cy@example.com", "bob@example.com", "+15550001"];
    assert_eq!(rows(&browser), by_creation);
    assert_eq!(browser.text("th[aria-sort=descending]"), "Created");
    browser.click("th a[href$='sort=latest']");
    browser.wait_for("th[aria-sort=descending] a[href$='sort=latest']");
    assert_eq!(rows(&browser), by_latest);
    assert_eq!(browser.count(".chips bdi"), 3, "an order is no filter");
    // what changes is what is new here
    send(&server, "", &clicked(10, "d3"));
    browser.wait_until("return document.querySelector('[role=status]').textContent", "Show 1 updated delivery");
    browser.click("[data-newer]");
    browser.wait_for("tr:first-child a.row[href$=d3]");
    // from one to the next, and back
    browser.click("a.row[href$=d3]");
    browser.wait_for("a[rel=next]");
    for next in &by_latest[..1] {
        browser.press(']');
        browser.wait_until("return document.querySelector('h1').textContent", *next);
    }
    browser.press('u');
    browser.wait_for("th[aria-sort=descending] a[href$='sort=latest']");
    browser.click("th a[href$='status=sent']");
    browser.wait_for("th[aria-sort=descending] a[href$='status=sent']");
    assert_eq!(rows(&browser), by_creation);
}

#[test]
fn reasons_are_read_to_their_end() {
    let reason = format!("550 5.7.1 {}the end", "refused by the policy of the server; ".repeat(12));
    let event = serde_json::json!({"delivery_id": "long", "channel": "email", "metric": "bounced", "reason": reason,
        "recipient": "ann@example.com", "subject": "A subject", "source": {"kind": "campaign", "id": "3"}});
    let (server, browser) = (served(&[event.to_string()]), Browser::start());
    for (page, width) in [("/deliveries", 1280), ("/deliveries", 1000), ("/deliveries", 390), ("/", 1280), ("/", 390)] {
        browser.resize(width, 800);
        browser.goto(&server.url(page));
        assert_eq!(browser.text(".lines p"), reason, "{page} at {width}");
        // all of it is within the window and the row
        let cut = "const [p, tr] = ['.lines p', '.lines tbody tr'].map((it) => document.querySelector(it));
            const [inner, outer] = [p.getBoundingClientRect(), tr.getBoundingClientRect()];
            return p.scrollWidth > p.clientWidth || inner.bottom > outer.bottom || inner.right > outer.right + 1";
        assert_eq!(browser.run(cut), false, "{page} at {width}");
    }
}

#[test]
fn pages_stay_where_they_are_while_events_arrive_and_say_so() {
    let (server, browser) = (served(&messages(0, 120)), Browser::start());
    browser.goto(&server.url("/deliveries"));
    let newest = rows(&browser);
    browser.click(".pager a[rel=next]");
    browser.wait_for(".pager a[rel=prev]");
    let second = rows(&browser);
    assert_eq!((newest.len(), newest[0].as_str()), (50, "ann119@example.com"));
    assert_eq!(second[0], "ann69@example.com");
    assert_eq!(browser.count("[data-newer]"), 0);
    send(&server, "", &messages(120, 132));
    browser.run("document.documentElement.dataset.old = 1; location.reload()");
    browser.wait_for("html:not([data-old])");
    assert_eq!(rows(&browser), second, "twelve new ones move nothing");

    browser.goto(&server.url("/deliveries"));
    let shown = rows(&browser);
    send(&server, "", &messages(132, 144));
    // nothing is asked while nobody looks
    let asked = "return performance.getEntriesByType('resource').filter(it => it.name.includes('newer.json')).length";
    let look = |hidden: bool| {
        browser.run(&format!(
            "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});
            document.dispatchEvent(new Event('visibilitychange'))"
        ));
    };
    look(true);
    let before = browser.run(asked);
    look(true);
    assert_eq!(browser.run(asked), before);
    look(false);
    let said = "return document.querySelector('[role=status]').textContent";
    browser.wait_until(said, "Show 12 new deliveries");
    assert_eq!(rows(&browser), shown, "a bar says so, and no row moves");
    browser.click("[data-newer]");
    browser.wait_for("a.row[href$=d143]");
    assert_eq!(rows(&browser)[0], "ann143@example.com");
    assert_eq!(browser.text("[role=status]"), "Refresh");
    // and by itself, before long
    send(&server, "", &messages(144, 145));
    browser.wait_until(said, "Show 1 new delivery");
}

#[test]
fn the_keyboard_does_all() {
    let (server, browser) = (served(&messages(0, 60)), Browser::start());
    browser.goto(&server.url("/deliveries?channel=email"));
    for key in ['j', 'j', 'j', 'k'] {
        browser.press(key);
    }
    assert_eq!(browser.run(FOCUSED), "ann58@example.com");
    browser.press(Key::Enter.into());
    browser.wait_for(".timeline");
    assert_eq!(browser.text("h1"), "ann58@example.com");
    browser.press('u');
    browser.wait_for("a.row");
    browser.wait_until(FOCUSED, "ann58@example.com");
    // within the filter, from one to the next, and back to the list at that row
    browser.press(Key::Enter.into());
    browser.wait_for("a[rel=next]");
    browser.press(']');
    browser.wait_until("return document.querySelector('h1').textContent", "ann57@example.com");
    browser.press('[');
    browser.wait_until("return document.querySelector('h1').textContent", "ann58@example.com");
    browser.press('u');
    browser.wait_for("a.row");
    browser.wait_until(FOCUSED, "ann58@example.com");

    browser.goto(&server.url("/deliveries"));
    browser.press(']');
    browser.wait_for("a.row[href$='/d9']");
    browser.press('[');
    browser.wait_for("a.row[href$='/d59']");
    browser.press('/');
    assert_eq!(browser.run("return document.activeElement.id"), "q");
    browser.press(Key::Escape.into());

    browser.press('?');
    assert!(browser.text("dialog.keys").contains("back to the list"));
    browser.click("dialog.keys input");
    browser.press(Key::Escape.into());
    for page in ["/deliveries", "/campaigns"] {
        browser.goto(&server.url(page));
        browser.press('/');
        browser.press('?');
        assert_eq!(browser.run("return document.activeElement.id"), "", "keys are off on every page");
        assert_eq!(browser.count("dialog[open]"), 0);
    }
    browser.click(".menu summary");
    browser.click(".keys-open");
    browser.click("dialog.keys input");
    browser.click("dialog.keys button");
    browser.press('/');
    assert_eq!(browser.run("return document.activeElement.id"), "q");
}

#[test]
fn what_is_needed_elsewhere_is_copied() {
    let (server, browser) = (served(&mixed()), Browser::start());
    browser.resize(1280, 800);
    browser.allow_clipboard();
    browser.goto(&server.url("/deliveries/d3"));
    let copied = |button: &str| {
        browser.click(button);
        browser.wait_until(&format!("return document.querySelector(\"{button}\").textContent"), "Copied");
        browser.clipboard()
    };
    assert_eq!(copied("[aria-label='Copy Delivery ID']"), "d3");
    let ticket = copied("[data-copy-from=ticket]");
    assert_eq!(browser.run("return document.getElementById('ticket').value"), *ticket);
    assert!(ticket.starts_with("Email to bob@example.com, \"Spring news\"\nBounced "), "{ticket}");
    assert!(ticket.contains("550 no such user") && ticket.ends_with("Delivery ID: d3"), "{ticket}");
}

#[test]
fn without_scripts_nothing_is_missing() {
    let (server, browser) = (served(&mixed()), Browser::start());
    browser.resize(1280, 800);
    browser.allow_scripts(false);
    browser.goto(&server.url("/deliveries?channel=email"));
    send(&server, "", &message(9, "email", "dee@example.com", "Late", &["sent"]));
    browser.click(".live a");
    browser.wait_for("a.row[href$='/d9']");
    browser.click(".help summary");
    assert!(browser.text(".help").contains("-status:sent"));
    browser.click("a.row[href$='/d3']");
    browser.wait_for(".timeline");
    browser.click(".ticket summary");
    let ticket = browser.run("return document.getElementById('ticket').value");
    assert!(ticket.as_str().unwrap().contains("Delivery ID: d3"));
    browser.click(".raw summary");
    assert!(browser.text(".raw pre").contains("bob@example.com"));
    browser.run("scrollTo(0, 0)");
    browser.click("a[rel=next]");
    browser.wait_for("a[href*='/d3?']");
    assert_eq!(browser.text("h1"), "ann@example.com");
    browser.click("a[rel=up]");
    assert_eq!(rows(&browser), ["ann@example.com"], "the page begins with the row");
}

#[test]
fn it_is_whole_below_a_path_of_a_proxy() {
    let server = Server::start_with(&[("WAYBILL_BASE", "/below")]);
    send(&server, "/below", &messages(0, 60));
    let proxy = super::proxy::Proxy::start(&server.url(""), "/below/");
    let browser = Browser::start();
    browser.goto(&proxy.url("/below/"));
    browser.click(".top nav a[href='/below/deliveries']");
    browser.wait_for("a.row");
    assert_eq!(browser.run("return getComputedStyle(document.querySelector('.lines')).tableLayout"), "fixed");
    search(&browser, "hello ever:sent");
    assert_eq!(rows(&browser).len(), 50);
    send(&server, "/below", &messages(60, 61));
    browser.wait_until("return document.querySelector('[role=status]').textContent", "Show 1 new delivery");
    browser.press('j');
    browser.press(Key::Enter.into());
    browser.wait_for(".timeline");
    browser.press('u');
    browser.wait_for("a.row");
    assert!(browser.url().starts_with(&proxy.url("/below/deliveries?words=hello&ever=sent")), "{}", browser.url());
    // every link of a page leads below
    let elsewhere = "return [...document.querySelectorAll('[href], [action], [src]')].map(it => it.getAttribute('href')
        ?? it.getAttribute('action') ?? it.getAttribute('src')).filter(it => !/^([#?]|\\/below\\/)/.test(it)).join()";
    assert_eq!(browser.run(elsewhere), "");
    assert_eq!(proxy.refused(), 0, "nothing was asked for above the path");
}
