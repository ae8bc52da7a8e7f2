//! What the README and the documentation have people type works.

mod support;

use rusqlite::Connection;
use serde_json::Value;
use support::server::Server;

const README: &str = include_str!("../README.md");
const SENDING: &str = include_str!("../docs/sending.md");
const SQL: &str = include_str!("../docs/sql.md");

/// Each page, with where it is.
const PAGES: [(&str, &str); 8] = [
    ("README.md", README),
    ("docs/sending.md", SENDING),
    ("docs/sql.md", SQL),
    ("docs/reading.md", include_str!("../docs/reading.md")),
    ("docs/operating.md", include_str!("../docs/operating.md")),
    ("SECURITY.md", include_str!("../SECURITY.md")),
    ("docs/security.md", include_str!("../docs/security.md")),
    ("docs/performance.md", include_str!("../docs/performance.md")),
];

/// The fenced blocks of a language.
fn blocks(page: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    page.split(&*fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The statements of a page, each with its title: `-- messages to one person`.
fn statements(page: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let statements = blocks(page, "sql").into_iter().flat_map(|block| block.split(";\n"));
    let statements = statements.map(str::trim).filter(|statement| !statement.is_empty());
    statements.map(|statement| (statement.lines().next().unwrap().trim_start_matches("-- "), statement))
}

/// How many rows a statement finds; a value that it asks for is 0.
fn rows(connection: &Connection, sql: &str) -> usize {
    let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error} in {sql}"));
    for place in 1..=statement.parameter_count() {
        statement.raw_bind_parameter(place, 0).unwrap();
    }
    let mut rows = statement.raw_query();
    let mut n = 0;
    while rows.next().unwrap_or_else(|error| panic!("{error} in {sql}")).is_some() {
        n += 1;
    }
    n
}

#[test]
fn examples_of_events_are_accepted_and_those_of_sql_find_them() {
    let server = Server::start();
    let curl = blocks(README, "sh").into_iter().find(|block| block.starts_with("curl")).expect("a curl");
    let (path, body) = curl.split_once(" -d '").unwrap();
    let path = path.split("8787").nth(1).unwrap();
    let (status, answer) = server.post(path, &[], body.trim_end().trim_end_matches('\'').as_bytes());
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["accepted"], 1);

    let event = blocks(SENDING, "json").into_iter().find(|block| block.contains("\"metric\"")).expect("an event");
    let (status, answer) = server.post("/v1/events", &[], event.as_bytes());
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["accepted"], 1);

    let connection = Connection::open(server.db()).unwrap();
    let found = |title: &str| {
        let mut all = PAGES.into_iter().flat_map(|(_, page)| statements(page));
        let (_, sql) = all.find(|(it, _)| it.starts_with(title)).unwrap_or_else(|| panic!("no query: {title}"));
        rows(&connection, sql)
    };
    for (title, expected) in [
        ("messages to one person", 2),
        ("the history of one delivery", 1),
        ("everything new since the last sync", 2),
        ("the newest deliveries", 2),
        ("deliveries that those events changed", 2),
        ("open and click rate", 1),
    ] {
        assert_eq!(found(title), expected, "{title}");
    }
    for (name, page) in PAGES {
        for (title, sql) in statements(page) {
            assert!(sql.starts_with("-- "), "{name}: a query without a title: {sql}");
            rows(&connection, sql);
            assert!(title.len() < 120, "{name}: {title}");
        }
    }
    assert_eq!(statements(README).count(), 4);
    assert!(statements(SQL).count() >= 12);
}

#[test]
fn every_public_view_is_documented() {
    let server = Server::start();
    let connection = Connection::open(server.db()).unwrap();
    let mut views =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view' AND name NOT GLOB '_*'").unwrap();
    let names: Vec<String> = views.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(names.len() > 20);
    for name in names {
        assert!(SQL.contains(&format!("`{name}`")), "{name} is not in docs/sql.md");
    }
}

/// The names of the views and tables that pages write as code.
#[test]
fn what_is_documented_is_in_the_file() {
    let server = Server::start();
    let connection = Connection::open(server.db()).unwrap();
    let mut names = connection.prepare("SELECT count(*) FROM sqlite_schema WHERE name = ?1").unwrap();
    for (page, text) in PAGES {
        let words = text.split('`').skip(1).step_by(2).flat_map(|code| code.split(|c: char| !is_of_name(c)));
        for name in words.filter(|word| word.ends_with("_v1") && !word.starts_with('_')) {
            let found: i64 = names.query_row([name], |row| row.get(0)).unwrap();
            assert_eq!(found, 1, "{page} names {name}");
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Links between the pages lead to a heading that is there.
#[test]
fn links_lead_somewhere() {
    for (name, page) in PAGES {
        let links = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for link in links.filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let folder = std::path::Path::new(name).parent().unwrap();
            let target = if file.is_empty() { name.into() } else { folder.join(file) };
            let found = std::fs::read(&target).unwrap_or_else(|error| panic!("{name} links to {link}: {error}"));
            let text = String::from_utf8_lossy(&found);
            let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
            assert!(heading.is_empty() || headings.any(|it| it == heading), "{name}: no heading for {link}");
        }
    }
}

/// As GitHub makes it of a heading.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words.chars().filter(|c| is_of_name(*c) || *c == ' ' || *c == '-').collect::<String>().replace(' ', "-")
}

/// Code that a row of the table of SDKs has people write, which the drivers in tests/sdk must hold.
#[test]
fn sdks_are_set_as_documented() {
    let table = SENDING.split("## SDKs").nth(1).unwrap().split("## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| npm") || line.starts_with("| PyPI"));
    let settings: Vec<&str> = rows.flat_map(|row| row.split('|').nth(2).unwrap().split("<br>")).collect();
    assert!(settings.len() >= 10);
    let drivers = std::fs::read_dir("tests/sdk/drivers").unwrap();
    let drivers: String = drivers.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    for code in settings {
        let code = code.trim().trim_matches('`');
        assert!(drivers.contains(code), "no driver in tests/sdk says {code}");
    }
}

#[test]
fn the_sqlite_that_is_built_in_resets_its_log_safely() {
    // a race in resetting the write-ahead log could damage files before 3.51.3
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}
