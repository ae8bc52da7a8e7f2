//! What people come for, by keyboard alone: with the page's own keys, and again without scripts. Few presses are
//! needed, and where the focus is can always be seen.

#![allow(clippy::disallowed_methods, reason = "how long a task takes is told, and a download is waited for")]

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::served;
use super::support::aside;
use super::support::browser::{Browser, Key};
use super::support::server::Server;

const FORMER_MS: i64 = 1_790_000_000_000;

/// A delivery of a source, and what became of it, a minute after the one before.
fn delivery(n: i64, channel: &str, to: &str, source: (&str, &str), metrics: &[&str]) -> Vec<String> {
    let event = |(step, metric): (i64, &&str)| {
        json!({
            "id": format!("{n}-{step}"), "delivery_id": format!("delivery-{n}"), "channel": channel, "metric": metric,
            "recipient": to, "subject": "Spring sale", "timestamp": FORMER_MS + n * 60_000 + step * 1_000,
            "person_id": format!("p{n}"), "source": {"kind": source.0, "id": source.1},
            "reason": (*metric == "bounced").then_some("550 5.1.1 no such user"),
        })
        .to_string()
    };
    (0..).zip(metrics).map(event).collect()
}

const OPENED: &[&str] = &["sent", "delivered", "opened"];
const CLICKED: &[&str] = &["sent", "delivered", "opened", "clicked"];
const DELIVERED: &[&str] = &["sent", "delivered"];

fn spring() -> Vec<String> {
    let three = ("campaign", "3");
    let mut events = [
        delivery(1, "email", "ann@example.com", three, OPENED),
        delivery(2, "sms", "+15550001", three, DELIVERED),
        delivery(3, "email", "bob@example.com", three, &["sent", "bounced"]),
    ]
    .concat();
    for n in 10..70 {
        let became = [OPENED, CLICKED, DELIVERED, DELIVERED][n as usize % 4];
        events.extend(delivery(n, "email", &format!("many{n}@example.com"), three, became));
    }
    // noon of yesterday
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let noon_ms = now_ms / 86_400_000 * 86_400_000 - 43_200_000;
    let five = ("campaign", "5");
    events.extend(delivery(
        (noon_ms - FORMER_MS) / 60_000,
        "email",
        "eve@refusing.example",
        five,
        &["sent", "bounced"],
    ));
    for n in 70..130 {
        let became = if n % 3 == 0 { DELIVERED } else { OPENED };
        events.extend(delivery(n, "email", &format!("more{n}@example.com"), ("campaign", "4"), became));
    }
    events
}

/// Those of campaign 3 who opened and did not click.
fn opened_only() -> Vec<String> {
    let mut ids: Vec<String> =
        [1].into_iter().chain((10..70).filter(|n| n % 4 == 0)).map(|n| format!("delivery-{n}")).collect();
    ids.sort();
    ids
}

/// Two hands on a keyboard, counted.
struct Hands<'b> {
    browser: &'b Browser,
    presses: Cell<u32>,
    letters: Cell<u32>,
}

/// Empty where the focus can be seen: it is in the window, nothing lies over it, and a line is drawn around it.
const HIDDEN: &str = "const at = document.activeElement;
    if (!at || at === document.body) return '';
    const box = at.getClientRects()[0];
    if (!box) return 'nowhere: ' + at.outerHTML;
    const lines = [getComputedStyle(at), getComputedStyle(at, '::after')];
    if (!lines.some((it) => it.outlineStyle !== 'none' && parseFloat(it.outlineWidth) >= 2)) return 'no line: ' + at.outerHTML;
    const seen = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return at.contains(seen) || seen?.contains(at) ? '' : 'covered: ' + at.outerHTML;";

impl Hands<'_> {
    fn press(&self, key: impl Into<char>) {
        self.browser.press(key.into());
        self.pressed(true);
    }

    fn press_with(&self, held: Key, key: char) {
        self.browser.press_with(held, key);
        self.pressed(true);
    }

    fn pressed(&self, stays: bool) {
        self.presses.set(self.presses.get() + 1);
        if stays {
            assert_eq!(self.browser.run(HIDDEN), "", "the focus is seen");
        }
    }

    /// Enter, which leads to another page.
    fn enter(&self) {
        self.browser.run("document.documentElement.dataset.old = 1");
        self.browser.press(Key::Enter.into());
        self.pressed(false);
        self.browser.wait_for("html:not([data-old])");
    }

    fn letters(&self, text: &str) {
        for letter in text.chars() {
            self.browser.press(letter);
            self.letters.set(self.letters.get() + 1);
        }
    }

    fn tab(&self, times: u32) {
        for _ in 0..times {
            self.press(Key::Tab);
        }
    }

    /// Tabs on until the focus is there, which is a way that somebody who sees the page goes too.
    fn tab_to(&self, css: &str) {
        for _ in 0..40 {
            self.press(Key::Tab);
            if self.browser.run(&format!("return document.activeElement.matches(\"{css}\")")) == true {
                return;
            }
        }
        panic!("{css} is more than 40 presses away");
    }

    /// The first two stops of every page skip to what it is about, and to the search.
    fn skip_to_content(&self) {
        self.tab(1);
        self.follow();
    }

    /// Enter, which leads to another place of the page.
    fn follow(&self) {
        self.browser.press(Key::Enter.into());
        self.pressed(false);
    }

    fn search(&self, with_scripts: bool, words: &str) {
        if with_scripts {
            self.press('/');
        } else {
            self.tab(2);
            self.press(Key::Enter);
        }
        assert_eq!(self.browser.run("return document.activeElement.id"), "q");
        self.letters(words);
        self.enter();
    }
}

/// Does a task from the first page on, and holds it to so many presses.
fn task<T>(browser: &Browser, server: &Server, what: &str, at_most: u32, work: impl FnOnce(&Hands) -> T) -> T {
    browser.goto(&server.url("/"));
    let hands = Hands { browser, presses: Cell::new(0), letters: Cell::new(0) };
    let began = Instant::now();
    let done = work(&hands);
    let (presses, letters) = (hands.presses.get(), hands.letters.get());
    eprintln!("{what}: {presses} presses, {letters} letters, {:.1} s", began.elapsed().as_secs_f64());
    assert!(presses <= at_most, "{what} takes {presses} presses, not {at_most}");
    done
}

/// A file, once all of it is there.
fn downloaded(folder: &Path, ending: &str) -> String {
    let began = Instant::now();
    loop {
        let files = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
        let found: Vec<_> = files.filter(|path| path.extension().is_some_and(|it| it == ending)).collect();
        if let [path] = found.as_slice()
            && let text = std::fs::read_to_string(path).unwrap()
            && text.ends_with('\n')
        {
            return text;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no {ending} came: {found:?}");
        std::thread::yield_now();
    }
}

fn ids_of_csv(text: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let id = reader.headers().unwrap().iter().position(|name| name == "delivery_id").unwrap();
    let mut ids: Vec<String> =
        reader.records().map(|row| row.unwrap()[id].to_owned()).filter(|id| !id.is_empty()).collect();
    ids.sort();
    ids
}

fn ids_of_ndjson(text: &str) -> Vec<String> {
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut ids: Vec<String> = rows.filter_map(|row| Some(row.get("delivery_id")?.as_str()?.to_owned())).collect();
    ids.sort();
    ids
}

/// Kept aside by an earlier version: two that this one understands, and one that nobody does.
fn kept_aside() -> [(&'static str, String); 3] {
    let webhook = |id: &str, delivery_id: Value| {
        json!({"event_id": id, "object_type": "email", "metric": "sent", "timestamp": 1_763_500_000,
            "data": {"delivery_id": delivery_id, "campaign_id": 9, "recipient": "late@example.com"}})
        .to_string()
    };
    [
        ("unknown_kind", webhook("late-1", json!("late-1"))),
        ("unknown_kind", webhook("late-2", json!("late-2"))),
        ("no_delivery_id", webhook("odd", Value::Null)),
    ]
}

fn all_tasks(with_scripts: bool) {
    let (server, browser) = (aside::with(served(&spring()), &[], &kept_aside()), Browser::start());
    let folder = tempfile::tempdir().unwrap();
    browser.resize(1280, 800);
    browser.allow_clipboard();
    browser.download_into(folder.path());
    browser.allow_scripts(with_scripts);
    let task = |what: &str, most: (u32, u32), work: &dyn Fn(&Hands)| {
        task(&browser, &server, what, if with_scripts { most.0 } else { most.1 }, work);
    };

    for words in ["ann@example.com", "p1"] {
        task(&format!("the message to {words}"), (4, 13), &|hands| {
            hands.search(with_scripts, words);
            browser.wait_for(".person");
            if with_scripts {
                hands.press('j');
            } else {
                hands.skip_to_content();
                hands.tab_to("a.row");
            }
            hands.enter();
            assert_eq!(browser.text("h1"), "ann@example.com");
            assert!(browser.text(".answer").starts_with("Accepted by the provider at "));
        });
    }
    task("the message to a phone number", (3, 10), &|hands| {
        hands.search(with_scripts, "+1 555 0001");
        assert_eq!(browser.text("h1"), "p2", "the person whose number it is");
        assert_eq!(browser.texts("a.row"), ["+15550001"]);
    });
    task("the message of a delivery id, and the answer for a ticket", (3, 15), &|hands| {
        hands.search(with_scripts, "delivery-3");
        assert_eq!(browser.text("h1"), "bob@example.com");
        if with_scripts {
            hands.press('c');
            browser.wait_until("return document.querySelector('[data-copy-from=ticket]').textContent", "Copied");
        } else {
            hands.skip_to_content();
            hands.tab_to(".ticket summary");
            hands.press(Key::Enter);
            hands.tab_to("#ticket");
            hands.press_with(Key::Control, 'a');
            hands.press_with(Key::Control, 'c');
        }
        let ticket = browser.clipboard();
        for part in [
            "Email to bob@example.com, \"Spring sale\"\n",
            "): 550 5.1.1 no such user.",
            "The address bob@example.com has been suppressed since ",
            "hard bounce (",
            "\nDelivery ID: delivery-3",
        ] {
            assert!(ticket.contains(part), "{part} is not in {ticket}");
        }
    });
    task("why it bounced, and whether the address is blocked", (2, 4), &|hands| {
        hands.search(with_scripts, "delivery-3");
        assert!(browser.text(".answer").starts_with("Bounced 1 s after sending ("));
        assert!(browser.text(".title .note").starts_with("Suppressed since "));
    });
    task("whether an address is blocked", (2, 4), &|hands| {
        hands.search(with_scripts, "bob@example.com");
        assert!(browser.text(".story .note").starts_with("bob@example.com: Suppressed since "));
    });
    task("whether an address is not blocked", (2, 4), &|hands| {
        hands.search(with_scripts, "ann@example.com");
        assert_eq!(browser.text(".title .line"), "Not suppressed");
    });

    let words = "campaign:3 ever:opened -ever:clicked";
    task("who opened and did not click, as files", (7, 16), &|hands| {
        hands.search(with_scripts, words);
        assert_eq!(browser.text(".head .total"), format!("{} deliveries", opened_only().len()));
        assert_eq!(browser.count("a.row"), opened_only().len());
        if with_scripts {
            hands.press('e');
        } else {
            hands.skip_to_content();
            hands.tab_to("a[download]");
        }
        hands.press(Key::Enter);
        assert_eq!(ids_of_csv(&downloaded(folder.path(), "csv")), opened_only());
        hands.tab(1);
        hands.press(Key::Enter);
        assert_eq!(ids_of_ndjson(&downloaded(folder.path(), "ndjson")), opened_only());
    });
    task("the same from the campaign, without a word of the language", (20, 22), &|hands| {
        hands.search(with_scripts, "campaign 3");
        hands.skip_to_content();
        hands.tab_to(".stopped a[href*='&ever=human_opened']");
        hands.enter();
        assert_eq!(browser.count("a.row"), opened_only().len());
    });
    task("the open rates of two campaigns", (7, 24), &|hands| {
        if with_scripts {
            for key in ['g', 'c'] {
                hands.press(key);
            }
            browser.wait_for(".named");
            for key in ['j', 'x', 'j', 'x'] {
                hands.press(key);
            }
        } else {
            hands.tab_to("nav a[href='/campaigns']");
            hands.enter();
            hands.skip_to_content();
            hands.skip_to_content();
            hands.tab_to("input[name=source]");
            hands.press(' ');
            hands.tab_to("input[name=source]");
            hands.press(' ');
        }
        hands.enter();
        browser.wait_for(".compare");
        let human = browser.texts(".compare tbody tr").into_iter().find(|row| row.starts_with("Opened")).unwrap();
        assert!(human.contains("50.8%") && human.contains("66.7%"), "{human}");
    });
    task("which domain refuses us", (0, 0), &|_| {
        assert_eq!(browser.text("[aria-label='Recipient domains'] tbody a"), "refusing.example");
    });
    task("whether the feed is healthy", (2, 9), &|hands| {
        if with_scripts {
            hands.press('g');
            hands.press('h');
        } else {
            hands.tab_to("nav a[href='/health']");
            hands.enter();
        }
        browser.wait_for(".tiles");
        assert!(browser.text(".state").starts_with("Needs attention"), "{}", browser.text(".state"));
    });
    task("yesterday's failures", (2, 4), &|hands| {
        hands.search(with_scripts, "status:bounced,failed after:yesterday before:today");
        assert_eq!(browser.texts("a.row"), ["eve@refusing.example"]);
    });
    task("all of the quarantine again", (4, 17), &|hands| {
        if with_scripts {
            for key in ['g', 'q'] {
                hands.press(key);
            }
            browser.wait_for(".cards");
            hands.press('j');
        } else {
            hands.tab_to("nav a[href='/quarantine']");
            hands.enter();
            hands.skip_to_content();
            hands.tab_to("button.row");
        }
        hands.enter();
        assert_eq!(browser.text(".note"), "Replayed 3: 2 succeeded, 1 still failing.");
    });
    browser.goto(&server.url("/deliveries?source=campaign:9"));
    assert_eq!(browser.texts("a.row"), ["late@example.com"; 2], "what was replayed is in the log");
}

#[test]
fn every_task_takes_few_keys() {
    all_tasks(true);
}

#[test]
fn every_task_is_done_without_scripts() {
    all_tasks(false);
}
