//! What the README and the documentation have people type works.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rusqlite::Connection;
use serde_json::Value;
use support::postgres::Postgres;
use support::process::Process;
use support::server::{Server, waybill};

const README: &str = include_str!("../README.md");
const SENDING: &str = include_str!("../docs/sending.md");
const SQL: &str = include_str!("../docs/sql.md");

/// Each page, with where it is.
static PAGES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let docs = std::fs::read_dir("docs").unwrap().map(|file| file.unwrap().path());
    let mut paths: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
    paths.extend(["README.md".into(), "SECURITY.md".into()]);
    paths.sort();
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
});

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
        let mut all = PAGES.iter().flat_map(|(_, page)| statements(page));
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
    for (name, page) in PAGES.iter() {
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
    for (page, text) in PAGES.iter() {
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

/// Each command of a page in turn, in a folder of that page with what they name.
#[test]
fn commands_run_as_documented() {
    let mut ran = 0;
    let postgres = Postgres::start();
    let target = postgres.url("postgres");
    for (name, page) in PAGES.iter() {
        let blocks = blocks(page, "sh");
        let lines = blocks.iter().flat_map(|block| block.lines());
        let commands: Vec<&str> =
            lines.map(|line| line.split("  ").next().unwrap()).filter(|line| line.starts_with("waybill ")).collect();
        if commands.is_empty() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        for documented in commands {
            // folders of a machine, fixed ports, and a question that is asked at a terminal
            let mut command = documented.replace(" /mnt/", " ").replace("/var/lib/waybill/", "").replace(":8787", ":0");
            command = command.replace("postgres://waybill@db.example.com/analytics", &target);
            if command.starts_with("waybill forget") && !command.contains("--yes") {
                command.push_str(" --yes");
            }
            let mut shell = waybill();
            let binaries = Path::new(shell.get_program()).parent().unwrap().to_owned();
            let path = format!("{}:{}", binaries.display(), std::env::var("PATH").unwrap());
            shell = Command::new("sh");
            shell.args(["-c", &format!("exec {command}")]).current_dir(folder.path()).env("PATH", path);
            shell.env("WAYBILL_LISTEN", "127.0.0.1:0");
            let ready = if command.starts_with("waybill serve") { "listening on " } else { " has all of " };
            let (status, said) = if command.starts_with("waybill serve") || command.ends_with(&target) {
                let (mut process, _) = Process::start(&mut shell, ready);
                (process.stop(), String::new())
            } else {
                Process::run(&mut shell)
            };
            assert!(status.success(), "{name}: {documented}: {said}");
            ran += 1;
        }
    }
    assert!(ran >= 15, "{ran}");
}

/// What the commands of the documentation name: a file with an event, history to import, keys, a list of names.
fn prepare(folder: &Path) {
    let event =
        br#"{"delivery_id": "d1", "metric": "sent", "time": "2026-01-01T00:00:00Z", "recipient": "ada@example.org"}"#;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(event).unwrap();
    std::fs::write(folder.join("2025-01.ndjson.gz"), gzip.finish().unwrap()).unwrap();
    std::fs::write(folder.join("key.txt"), "a-signing-key").unwrap();
    std::fs::create_dir(folder.join("backup")).unwrap();
    let (status, said) = Process::run(waybill().args(["import", "2025-01.ndjson.gz"]).current_dir(folder));
    assert!(status.success(), "{said}");
}

/// Links between the pages lead to a heading that is there.
#[test]
fn links_lead_somewhere() {
    for (name, page) in PAGES.iter() {
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
