//! `waybill import`, for what its files hold and for what it does to a server beside it.

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use support::file::rows;
use support::server::{Server, waybill};

fn import(db: &Path, file: &Path) -> Command {
    let mut command = waybill();
    command.arg("import").arg("--db").arg(db).arg(file);
    command
}

fn line(n: usize) -> String {
    format!(r#"{{"delivery_id":"d{n}","metric":"sent","id":"e{n}","time":1700000000,"recipient":"a{n}@example.com"}}"#)
}

fn lines(many: usize) -> String {
    (0..many).map(|n| line(n) + "\n").collect()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn of_a_file_that_breaks_off_the_lines_before_are_taken_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (db, file) = (folder.path().join("waybill.db"), folder.path().join("half.ndjson.gz"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(lines(3_000).as_bytes()).unwrap();
    let whole = gzip.finish().unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();

    let output = import(&db, &file).output().unwrap();
    assert!(!output.status.success());
    let taken: usize = rows(&db, "SELECT count(*) FROM events_v1")[0].parse().unwrap();
    assert!((1_000..2_000).contains(&taken), "{taken}");
    assert_eq!(rows(&db, "SELECT count(*) FROM quarantine"), ["0"]);
    let said = said(&output);
    assert!(said.contains(&format!("{taken} accepted")) && said.contains("half.ndjson.gz"), "{said}");
}

#[test]
fn a_line_that_is_too_long_is_kept_aside_with_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let (db, file) = (folder.path().join("waybill.db"), folder.path().join("long.ndjson"));
    let long = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    let limit = 8 << 20;
    let text = [line(1), long(limit), long(limit + 1), line(2), long(9_000_000), line(3)].join("\r\n");
    std::fs::write(&file, text).unwrap();

    assert!(import(&db, &file).status().unwrap().success());
    let kept = "SELECT reason, body_bytes, length(body), repeats FROM quarantine ORDER BY id";
    // with its end of line
    let long = |bytes: usize| format!("too_large|{}|65536|0", bytes + 2);
    assert_eq!(rows(&db, kept), [long(limit), long(limit + 1), long(9_000_000)]);
    assert_eq!(rows(&db, "SELECT count(*) FROM events_v1"), ["3"]);
}

#[test]
fn a_server_answers_its_senders_while_a_file_is_imported() {
    let server = Server::start();
    let file = server.folder().join("many.ndjson");
    std::fs::write(&file, lines(60_000)).unwrap();
    let mut running = import(&server.db(), &file).spawn().unwrap();
    let mut answers = 0;
    while running.try_wait().unwrap().is_none() {
        let event = format!(r#"{{"delivery_id":"s{answers}","metric":"sent","id":"s{answers}"}}"#);
        let (status, answer) = server.post("/v1/events", &[], event);
        assert_eq!(status, 200, "{answer}");
        answers += 1;
    }
    assert!(running.wait().unwrap().success());
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_v1"), [(60_000 + answers).to_string()]);
}

#[test]
fn a_pipe_that_brings_nothing_for_a_while_holds_up_no_server() {
    let server = Server::start();
    let mut running = import(&server.db(), Path::new("-")).stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = running.stdin.take().unwrap();
    pipe.write_all(lines(30_000).as_bytes()).unwrap();
    for n in 0..100 {
        let event = format!(r#"{{"delivery_id":"s{n}","metric":"sent","id":"s{n}"}}"#);
        let (status, answer) = server.post("/v1/events", &[], event);
        assert_eq!(status, 200, "{answer}");
    }
    drop(pipe);
    assert!(running.wait().unwrap().success());
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events_v1"), ["30100"]);
}

#[test]
fn an_import_that_cannot_write_ends_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (db, file) = (folder.path().join("waybill.db"), folder.path().join("many.ndjson"));
    std::fs::write(&file, line(0)).unwrap();
    assert!(import(&db, &file).status().unwrap().success());
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON deliveries BEGIN SELECT raise(ABORT, 'poison'); END";
    rusqlite::Connection::open(&db).unwrap().execute_batch(poison).unwrap();
    // more than is read ahead
    std::fs::write(&file, lines(200_000)).unwrap();
    let output = import(&db, &file).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("poison"), "{}", said(&output));
    assert_eq!(rows(&db, "SELECT count(*) FROM events_v1"), ["1"]);
}

/// Whatever tool wrote them.
#[test]
fn events_in_an_array_or_indented_are_read() {
    let values: Vec<serde_json::Value> = (0..500).map(|n| serde_json::from_str(&line(n)).unwrap()).collect();
    let indented: Vec<String> = values.iter().map(|value| format!("{value:#}")).collect();
    let array = serde_json::to_string(&values).unwrap();
    for text in [
        array.clone(),
        format!("\u{FEFF}{array}\r\n"),
        serde_json::to_string_pretty(&values).unwrap(),
        indented.join("\n"),
        // more than one array takes a line of its own
        format!("{array}\n{array}"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (db, file) = (folder.path().join("waybill.db"), folder.path().join("events.json"));
        std::fs::write(&file, &text).unwrap();
        let output = import(&db, &file).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("500 accepted"), "{} of {}", said(&output), &text[..40]);
        assert_eq!(rows(&db, "SELECT count(*) FROM quarantine"), ["0"]);
    }
}

#[test]
fn a_file_of_which_no_event_is_understood_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (db, file) = (folder.path().join("waybill.db"), folder.path().join("events.csv"));
    for (text, is_success, message) in [
        ("id,name\n1,Ada\n", false, "no event was understood"),
        ("{\"a\":1}\n", false, "events.csv (its keys are those of no known format)"),
        ("", true, "0 accepted"),
        ("{\"type\":\"page\"}\nnot JSON\n", true, "1 ignored, 1 quarantined"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = import(&db, &file).output().unwrap();
        assert_eq!(output.status.code(), Some(if is_success { 0 } else { 1 }), "{text}: {}", said(&output));
        assert!(said(&output).contains(message), "{text}: {}", said(&output));
    }
    // one that is understood beside it does not hide it
    let good = folder.path().join("good.ndjson");
    std::fs::write(&good, line(1)).unwrap();
    std::fs::write(&file, "id,name\n1,Ada\n").unwrap();
    let output = import(&db, &good).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(rows(&db, "SELECT count(*) FROM events_v1"), ["1"]);
}

#[test]
fn a_file_in_utf_16_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (db, file) = (folder.path().join("waybill.db"), folder.path().join("events.json"));
    let units = || format!("\u{FEFF}{}", line(1)).encode_utf16().collect::<Vec<_>>();
    let little: Vec<u8> = units().into_iter().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = units().into_iter().flat_map(u16::to_be_bytes).collect();
    for bytes in [little, big] {
        std::fs::write(&file, bytes).unwrap();
        let output = import(&db, &file).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("iconv -f UTF-16 -t UTF-8"), "{}", said(&output));
        assert_eq!(rows(&db, "SELECT count(*) FROM quarantine"), ["0"]);
    }
}

#[test]
fn a_clock_is_not_corrected_by_what_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let (db, file) = (folder.path().join("waybill.db"), folder.path().join("calls.ndjson"));
    let call = r#"{"type":"track","event":"Email Opened","messageId":"m","timestamp":"2024-05-01T00:00:00Z",
        "sentAt":"2024-05-01T00:00:05Z","properties":{"delivery_id":"d"}}"#;
    std::fs::write(&file, format!(r#"{{"path":"/v1/track","body":{}}}"#, call.replace('\n', ""))).unwrap();
    assert!(import(&db, &file).status().unwrap().success());
    assert_eq!(rows(&db, "SELECT occurred_at_ms FROM events_v1"), ["1714521600000"]);
}

/// With those of a file that has one event, SQLite scans tables once there are many: imports were twenty times slower.
#[test]
fn no_statistics_are_gathered_for_the_planner() {
    let folder = tempfile::tempdir().unwrap();
    let (db, file) = (folder.path().join("waybill.db"), folder.path().join("one.ndjson"));
    std::fs::write(&file, line(1)).unwrap();
    assert!(import(&db, &file).status().unwrap().success());
    assert_eq!(rows(&db, "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'sqlite_stat*'"), ["0"]);
}
