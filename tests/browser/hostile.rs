//! Whatever a sender writes is text: on every page, in every twin and export.

use serde_json::json;

use super::served;
use super::support::browser::Browser;
use super::support::server::Server;

/// Each with a word of its own by which it is found again.
fn strings() -> Vec<String> {
    let mut strings: Vec<String> = [
        r#"<img src=x onerror="top.ran=1">imgword"#,
        r#"'"><svg onload=top.ran=1>quoteword"#,
        r#"</title></textarea></script><script>top.ran=1</script>closeword"#,
        r#"--><meta http-equiv=refresh content="0;url=//elsewhere.example/"><!--commentword"#,
        "\";top.ran=1;//\u{2028}\u{2029}scriptword",
        "+ADw-script+AD4-top.ran=1+ADw-/script+AD4-utfword",
        "javascript:top.ran=1//urlword",
        "jAvA\tscRipt:top.ran=1//mixedword",
        "vbscript:MsgBox(1)visualword",
        "/\\elsewhere.example/slashword",
        "\\\\elsewhere.example\\C$\\..\\shareword",
        "//elsewhere.example/relativeword",
        "{{ 7 * 7 }}{% raw %}${7*7}templateword",
        "turned\u{202e}gpj.exeturnword",
        "isolate\u{2067}\u{202b}isolateword",
        "zero\u{200b}\u{feff}width\u{ad}zeroword",
        "nul\0\u{1b}[2J\u{9b}31m\u{7f}controlword",
        "first\r\nSet-Cookie: a=b\r\n\r\nlineword",
        "../../%2e%2e/%00?#&amp;pathword",
        "$(touch x);`touch y`|cat shellword",
        "' OR '1'='1'; DROP TABLE events; -- tableword",
        "=HYPERLINK(\"//x\",\"formulaword\")",
        "@SUM(1;2)sumword",
        "＝1+1;=1+1 wideword",
        "not\u{fffe}\u{ffff}\u{fdd0}characterword",
        "\t+1+1 tabword",
        "مرحبا بالعالم rightword",
        "100%_*[a-z]\" OR NEAR(a b) searchword",
    ]
    .map(String::from)
    .into();
    strings.push(format!("{}pileword", "e\u{301}\u{302}\u{303}\u{304}\u{316}\u{317}".repeat(60)));
    strings.push(format!("{}longword", "W".repeat(10_000)));
    strings
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// As much of it as fits where only so many bytes do.
fn first(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn lines(strings: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for (n, text) in strings.iter().enumerate() {
        for (step, metric) in ["sent", "bounced", "clicked"].into_iter().enumerate() {
            let at_ms = 1_790_000_000_000_i64 + n as i64 * 1_000 + step as i64;
            lines.push(json!({
                "id": format!("{n}-{step}"), "delivery_id": format!("d{n}"), "channel": "email", "metric": metric,
                "recipient": text, "subject": text, "reason": format!("550 5.1.1 {text}"), "timestamp": at_ms,
                "person_id": text, "email": text, "journey_id": text, "href": text, "link_id": first(text, 60),
                "source": {"kind": "campaign", "id": first(text, 200), "action_id": first(text, 100)},
            }));
        }
        lines.push(json!({"id": format!("{n}-odd"), "delivery_id": first(text, 150), "channel": first(text, 60), "metric": first(text, 60)}));
        lines.push(json!({"id": format!("{n}-push"), "delivery_id": format!("push{n}"), "channel": "push",
            "metric": "bounced", "person_id": "p", "recipients":
            [{"device_id": text, "device_platform": text, "failure_message": text}, {"device_id": "plain"}]}));
    }
    lines.iter().map(ToString::to_string).collect()
}

/// What only a page could tell: something ran, an element or an address is there that is not ours, a line is too long.
const FAULTS: &str = "const faults = [];
    for (const it of document.querySelectorAll('details')) it.open = true;
    if (window.ran) faults.push('it ran');
    for (const it of document.querySelectorAll('*')) {
        if (/^(img|iframe|object|embed|base|style|meta|script)$/.test(it.localName)
            && !it.matches('head > meta, head > script[src]')) faults.push(it.outerHTML);
        for (const { name, value } of it.attributes) {
            if (/^on|^style$|^srcdoc$/.test(name)) faults.push(name);
            const leads = /^(href|src|action)$/.test(name) && it.namespaceURI.endsWith('xhtml');
            if (leads && !/^([#?]|\\/(?![\\/\\\\])|https?:)/.test(value)) faults.push(value);
        }
    }
    if (/[\\0-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u202d\\u202e]/.test(document.documentElement.outerHTML)) faults.push('a control');
    const over = document.documentElement.scrollWidth - innerWidth;
    if (over > 0) faults.push(`${over} too wide`);
    return faults.join()";

#[test]
fn what_senders_write_is_text_everywhere() {
    let strings = strings();
    let (server, browser) = (served(&lines(&strings)), Browser::start());
    said_of_people(&server, &strings);
    browser.resize(320, 640);
    let whole: Vec<String> = [
        "/",
        "/deliveries",
        "/deliveries?status=bounced",
        "/events",
        "/campaigns",
        "/suppressions",
        "/quarantine",
        "/health",
        "/schema",
        "/meanings",
    ]
    .map(String::from)
    .into();
    let of_each = strings.iter().enumerate().flat_map(|(n, text)| {
        let (all, part) = (encoded(first(text, 1_500)), encoded(first(text, 200)));
        let paths = [
            format!("/deliveries/d{n}"),
            format!("/deliveries/push{n}"),
            format!("/deliveries/{}", encoded(first(text, 150))),
            format!("/people/{}", encoded(first(text, 12_000))),
            format!("/campaigns/campaign/{part}"),
            format!("/compare?source=campaign%3A{part}&source=campaign%3Anone"),
            format!("/deliveries?recipient={all}&words=zzz"),
            format!("/suppressions?address={all}"),
            format!("/search?q=zzz{part}"),
            format!("/deliveries?status={part}"),
            format!("/nowhere/{all}"),
        ];
        paths.into_iter().map(|path| path.replace("//", "/%2F"))
    });
    for path in whole.into_iter().chain(of_each) {
        browser.goto(&server.url(&path));
        // a row that one is at says more
        browser.press('j');
        assert_eq!(browser.run(FAULTS), "", "{}", first(&path, 200));
        assert_eq!(browser.count("h1"), 1, "{}", first(&path, 200));
    }
    // and it is there to read
    for (n, text) in strings.iter().enumerate() {
        let word = text.rsplit(|c: char| !c.is_ascii_alphabetic()).find(|word| word.ends_with("word")).unwrap();
        let word = &word[word.len().saturating_sub(9)..];
        let (status, page) = server.get(&format!("/deliveries/d{n}"));
        assert!(status == 200 && page.contains(word), "{word} is not on its page");
    }
}

/// Calls about people and objects, and bodies that nobody understands.
fn said_of_people(server: &Server, strings: &[String]) {
    for (n, text) in strings.iter().enumerate() {
        let calls = [
            json!({"type": "identify", "userId": text, "traits": {first(text, 60): text, "name": text, "phone": text}}),
            json!({"type": "group", "userId": text, "groupId": text, "objectTypeId": "1", "traits": {"name": text}}),
            json!({"type": "track", "userId": text, "event": first(text, 60)}),
        ];
        for (step, mut call) in calls.into_iter().enumerate() {
            call["messageId"] = json!(format!("call-{n}-{step}"));
            let (status, body) = server.post("/v1/track", &[("Content-Type", "application/json")], call.to_string());
            assert!(status < 500, "{body}");
        }
        let (status, body) = server.post("/webhooks/customerio", &[("Content-Type", "application/json")], text);
        assert_eq!(status, 200, "{body}");
    }
}

#[test]
fn no_cell_of_a_sheet_is_run() {
    let strings = strings();
    let server = served(&lines(&strings));
    said_of_people(&server, &strings);
    let lists = [
        "/deliveries.csv?all=1",
        "/events.csv?all=1",
        "/deliveries.csv",
        "/events.csv",
        "/campaigns.csv",
        "/suppressions.csv",
    ];
    let more =
        ["/quarantine.csv", "/health.csv", "/meanings.csv", "/schema.csv", "/overview.csv", "/deliveries/d0.csv"];
    for path in lists.into_iter().chain(more) {
        let (status, text) = server.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        for record in reader.records() {
            for cell in &record.unwrap() {
                let is_number = cell.parse::<f64>().is_ok();
                assert!(
                    is_number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']),
                    "{path}: {cell}"
                );
                let obeyed = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n');
                assert!(!cell.contains(obeyed), "{path}: {cell:?}");
            }
        }
    }
    // JSON says it as it came
    let (_, text) = server.get("/deliveries.ndjson");
    let known: Vec<serde_json::Value> = text.split('\n').filter_map(|line| serde_json::from_str(line).ok()).collect();
    // but for a very long one, which is cut
    for text in strings.iter().filter(|text| text.len() < 1_000) {
        // and for what SQLite ends a text with
        let kept = text.replace('\0', "\u{fffd}");
        assert!(known.iter().any(|row| row["subject"] == *kept), "{text:?} is not in the export");
    }
}
