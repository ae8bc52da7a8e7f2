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
