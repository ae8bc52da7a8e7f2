//! What the README tells people to type works.

mod support;

use rusqlite::Connection;
use serde_json::Value;
use support::server::Server;

const README: &str = include_str!("../README.md");

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(&*fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_examples_of_events_are_taken_and_those_of_sql_find_them() {
    let server = Server::start();
    let curl = blocks("sh").into_iter().find(|block| block.starts_with("curl")).expect("a curl");
    let (path, body) = curl.split_once(" -d '").unwrap();
    let path = path.split("8787").nth(1).unwrap();
    let (status, answer) = server.post(path, &[], body.trim_end().trim_end_matches('\'').as_bytes());
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["accepted"], 1);

    let own = blocks("json").into_iter().find(|block| block.contains("\"metric\"")).expect("an own event");
    let (status, answer) = server.post("/v1/events", &[], own.as_bytes());
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["accepted"], 1);

    let connection = Connection::open(server.db()).unwrap();
    let examples = blocks("sql");
    assert_eq!(examples.len(), 5);
    let found: Vec<usize> = examples
        .iter()
        .map(|sql| {
            let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{error} in {sql}"));
            let mut rows = statement.query([]).unwrap();
            let mut n = 0;
            while rows.next().unwrap().is_some() {
                n += 1;
            }
            n
        })
        .collect();
    assert_eq!(found[..2], [2, 1], "the deliveries of a person, and the events of one");
}

#[test]
fn every_public_view_is_told_of() {
    let server = Server::start();
    let connection = Connection::open(server.db()).unwrap();
    let mut views =
        connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view' AND name GLOB '*_v1'").unwrap();
    for name in views.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        let name = name.unwrap();
        assert!(README.contains(&name), "{name} is not in the README");
    }
}

/// Code that a row of the table of SDKs tells people to write, which the drivers in tests/sdk must hold.
#[test]
fn sdks_are_set_as_the_readme_says() {
    let table = README.split("### SDKs").nth(1).unwrap().split("###").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| npm") || line.starts_with("| PyPI"));
    let told: Vec<&str> = rows.flat_map(|row| row.split('|').nth(2).unwrap().split("<br>")).collect();
    assert!(told.len() >= 10);
    let drivers = std::fs::read_dir("tests/sdk/drivers").unwrap();
    let drivers: String = drivers.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    for code in told {
        let code = code.trim().trim_matches('`');
        assert!(drivers.contains(code), "no driver in tests/sdk says {code}");
    }
}

#[test]
fn the_sqlite_that_is_built_in_resets_its_log_safely() {
    // a race in resetting the write-ahead log could damage files before 3.51.3
    assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
}
