//! Every figure that counts deliveries or events leads to as many of them.

mod support;

use std::collections::HashMap;
use std::fs;

use scraper::{ElementRef, Html, Selector};
use support::client::Client;
use support::server::{Server, waybill};
use tempfile::TempDir;
use waybill_traffic::{Format, Traffic};

/// A file of lifelike traffic that ends now, so that the overview has something to show.
#[allow(clippy::disallowed_methods, reason = "the overview shows the last days as they are when the test runs")]
fn traffic() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let traffic = Traffic::new(5, 700, now_ms - 60_000).over_days(9);
    let lines: String = traffic.lines(&Format::ALL).map(|line| line.with_path() + "\n").collect();
    // two of each, alike but for what the generator has none of
    let more = r#"
{"id":"o1","delivery_id":"odd-1","metric":"sent","time":"T"}
{"id":"o2","delivery_id":"odd-2","metric":"opened","time":"T","channel":"fax","source":{"kind":"campaign","id":"a&b=c/d.json"}}
{"id":"o3","delivery_id":"odd-3","metric":"clicked","time":"T","channel":"email","href":"https://x.example/?t=1","source":{"kind":"campaign","id":"a&b=c/d.json","action_id":"é?"}}
{"id":"o4","delivery_id":"odd-3","metric":"clicked","time":"T","href":"https://x.example/?t=2","machine":true}
{"id":"o5","delivery_id":"odd-3","metric":"bounced","time":"T"}
{"id":"o6","delivery_id":"odd-3","metric":"bounced","time":"T"}
{"id":"o7","delivery_id":"odd-3","metric":"spammed","time":"T"}
"#;
    let at = chrono::DateTime::from_timestamp_millis(now_ms - 90_000).unwrap().to_rfc3339();
    let file = folder.path().join("traffic.ndjson");
    fs::write(&file, lines + more.trim().replace("\"T\"", &format!("\"{at}\"")).as_str() + "\n").unwrap();
    let mut import = waybill();
    import.arg("import").arg("--db").arg(folder.path().join("waybill.db")).arg(&file);
    assert!(import.status().unwrap().success());
    folder
}

fn select(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

/// The numbers of a page that lead to rows, with where they lead.
fn figures(page: &Html) -> Vec<(i64, String)> {
    let link = select("main a[href]");
    let figure = |link: ElementRef| {
        let href = link.value().attr("href")?;
        let path = href.split('?').next()?;
        if !["/deliveries", "/events"].contains(&path) {
            return None;
        }
        let text: String = link.text().collect::<String>();
        // "36.1%" stands for its numerator, which follows it; "12 Sent" and "123 deliveries" begin or end with it
        let text = if text.contains('%') {
            let small = link.parent().and_then(ElementRef::wrap)?.select(&select("small")).next()?;
            small.text().collect::<String>()
        } else {
            text
        };
        let digits = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let words = text
            .split_whitespace()
            .find_map(|word| word.trim_start_matches(char::is_alphabetic).replace(',', "").parse().ok());
        let number: i64 = digits.map(|word| word.replace(',', "")).and_then(|word| word.parse().ok()).or(words)?;
        Some((number, href.to_owned()))
    };
    page.select(&link).filter_map(figure).collect()
}

/// What holds no figure of its own: pictures (their tables do), forms, heads, names, what a rate is of, and text that
/// explains.
const ELSEWHERE: &str = "a, svg, form, details.rename, time, th, caption, small, bdi, code, .crumbs, .switch, .foot, .lead, .said, \
    .untracked, .id, .lines, .head .total, .twins";

/// Numbers that lead nowhere, with what stands beside them: none but 0 may, wherever they stand.
fn unlinked(page: &Html) -> Vec<String> {
    let (main, elsewhere) = (select("main"), select(ELSEWHERE));
    let main = page.select(&main).next().unwrap();
    let mut found = Vec::new();
    for node in main.descendants() {
        let Some(text) = node.value().as_text() else { continue };
        let mut within = node.ancestors().filter_map(ElementRef::wrap);
        if within.any(|element| elsewhere.matches(&element)) {
            continue;
        }
        let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches(['(', ')', '.', ','])).collect();
        for (i, word) in words.iter().enumerate() {
            let is_number = word.replace(',', "").parse::<i64>().is_ok_and(|n| n != 0);
            // times, and how many campaigns there are
            let is_of = |word: &str| {
                let units = ["h", "d", "min", "s", "hours", "days", "campaigns", "campaign", "of"];
                units.contains(&word) || MONTHS.contains(&word)
            };
            let is_time = words.get(i + 1).is_some_and(|next| is_of(next)) || i > 0 && MONTHS.contains(&words[i - 1]);
            if is_number && !is_time {
                found.push(words[i.saturating_sub(3)..words.len().min(i + 3)].join(" "));
            }
        }
    }
    found
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How many rows there are, through all pages of the JSON twin.
fn rows(client: &Client, href: &str) -> (i64, Option<i64>) {
    let (path, query) = href.split_once('?').unwrap_or((href, ""));
    let (mut at, mut found, mut total) = (format!("{path}.json?{query}"), 0, None);
    for pages in 0.. {
        assert!(pages < 400, "{href} does not end");
        let answer = client.get(&at);
        assert_eq!(answer.status, 200, "{at}: {}", answer.text);
        let json = answer.json();
        found += json["rows"].as_array().unwrap().len() as i64;
        total = total.or(json["total"].as_i64());
        match json["older"].as_str() {
            Some(older) => at = older.to_owned(),
            None => break,
        }
    }
    (found, total)
}

#[test]
fn every_figure_leads_to_as_many_rows() {
    let server = Server::start_in(traffic(), &[]);
    let client = server.client();
    let get = |path: &str| {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        Html::parse_document(&answer.text)
    };
    let campaigns = get("/campaigns");
    let mut pages: Vec<String> = ["/", "/?since=24h", "/?automated=1", "/campaigns"].map(Into::into).into();
    let lists = ["?since=7d", "?kind=campaign", "?kind=newsletter&since=7d", "?channel=email&automated=1"];
    pages.extend(lists.map(|query| format!("/campaigns{query}")));
    let rows_of_sources = select("tbody a.row");
    let sources = campaigns.select(&rows_of_sources).map(|link| link.value().attr("href").unwrap().to_owned());
    for (i, source) in sources.enumerate() {
        pages.push(source.clone());
        // the other ways to look at it, a few each
        pages.push(format!("{source}?channel={}&automated=1", ["email", "sms", "push"][i % 3]));
        pages.push(format!("{source}?since=7d&time={}", ["event", "cohort"][i % 2]));
        pages.push(format!("{source}?time=event&by={}", ["hour", "day", "week"][i % 3]));
        let zone = ["Asia/Kathmandu", "America/New_York", "Europe/Berlin"][i % 3];
        pages.push(format!("{source}?by={}&zone={zone}", ["day", "week", "month"][i % 3]));
    }
    let boxes = select("tbody input[name=source]");
    let boxes: Vec<String> = campaigns
        .select(&boxes)
        .map(|it| {
            let value = url::form_urlencoded::byte_serialize(it.value().attr("value").unwrap().as_bytes());
            format!("source={}", value.collect::<String>())
        })
        .collect();
    for (i, chosen) in boxes.chunks(4).enumerate() {
        pages.push(format!("/compare?{}&age={}", chosen.join("&"), [0, 1, 3][i % 3]));
    }
    pages.push(format!("/compare?{}&since=7d&age=1", boxes[..2].join("&")));
    pages.push(format!("/compare?{}&channel=email&automated=1", boxes[..2].join("&")));
    assert!(pages.len() > 20, "{pages:?}");
    let (mut known, mut checked): (HashMap<String, i64>, usize) = (HashMap::new(), 0);
    for path in &pages {
        let page = get(path);
        assert_eq!(unlinked(&page), [""; 0], "{path}");
        let found = figures(&page);
        for (figure, href) in found {
            let behind = *known.entry(href.clone()).or_insert_with(|| {
                let (found, total) = rows(&client, &href);
                assert!(total.is_none_or(|total| total == found), "{href}: {found} rows, and a total of {total:?}");
                found
            });
            assert_eq!(figure, behind, "{path} says {figure}, and {href} finds {behind}");
            checked += 1;
        }
    }
    assert!(checked > 1_000 && known.len() > 500, "{checked} figures, {} addresses", known.len());
}
