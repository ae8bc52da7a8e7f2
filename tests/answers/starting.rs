//! What a server does not start on.

use std::path::Path;
use std::process::Command;

use rusqlite::Connection;

use super::support::client::Client;
use super::support::process::Process;
use super::support::server::{Server, waybill};
use super::{TRACK, WEBHOOK, track, webhook};

/// Ends with an error, told in one line.
#[track_caller]
fn refusal(command: &mut Command) -> String {
    let (status, said) = Process::run(command);
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    said
}

#[test]
fn an_address_that_others_reach_must_be_allowed() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let db = folder.path().join("waybill.db");
        let said = refusal(waybill().args(["serve", "--listen", address, "--db"]).arg(&db));
        for word in ["--allow-anonymous", "WAYBILL_SIGNING_KEYS", "WAYBILL_INGEST_KEYS", address] {
            assert!(said.contains(word), "{said} says nothing of {word}");
        }
        assert!(!db.exists());
    }
    let server = Server::start_with(&[("WAYBILL_ALLOW_ANONYMOUS", "true")]);
    assert_eq!(server.client().get("/healthz").status, 200);
}

#[test]
fn a_limit_that_cannot_be_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value, words) in [
        ("--call-bytes-max", "32767", ["--call-bytes-max", "from 32768 to 4194304"]),
        ("--batch-bytes-max", "8388609", ["--batch-bytes-max", "from 512000 to 8388608"]),
        ("--call-bytes-max", "600000", ["--batch-bytes-max", "600000"]),
    ] {
        let said = refusal(waybill().args(["serve", flag, value, "--db"]).arg(folder.path().join("waybill.db")));
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

#[test]
fn a_file_that_is_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("garbage"), vec![0xA7; 100_000]).unwrap();
    std::fs::write(path("words"), "Dear diary").unwrap();
    Connection::open(path("foreign")).unwrap().execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    let marked = "CREATE TABLE t (a); PRAGMA application_id = 7; PRAGMA journal_mode = WAL";
    Connection::open(path("marked")).unwrap().execute_batch(marked).unwrap();
    let (_, own) = Server::start().stop();
    std::fs::copy(own.path().join("waybill.db"), path("newer")).unwrap();
    Connection::open(path("newer")).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();

    for (name, word) in [
        ("garbage", "not a Waybill file"),
        ("words", "not a Waybill file"),
        ("foreign", "another program"),
        ("marked", "another program"),
        ("newer", "version 99"),
    ] {
        let db = path(name);
        let before = std::fs::read(&db).unwrap();
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["verify"], &["rebuild"], &["import", "Cargo.toml"]]
        {
            let said = refusal(waybill().args(command).arg("--db").arg(&db));
            assert!(said.contains(word) && said.contains(name), "{said} says nothing of {word}");
            assert!(std::fs::read(&db).unwrap() == before, "{command:?} has changed {name}");
        }
    }
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["foreign", "garbage", "marked", "newer", "words"], "something was left behind");
}

#[test]
fn where_no_file_can_be_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no/such/folder.db");
    for db in [nowhere.as_path(), folder.path(), Path::new("/dev/null/x")] {
        let said = refusal(waybill().args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(db));
        assert!(said.contains(&*db.to_string_lossy()), "{said}");
    }
    refusal(waybill().args(["verify", "--db"]).arg(&nowhere));
}

#[test]
fn one_server_has_the_file() {
    let server = Server::start();
    let second = || refusal(waybill().args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(server.db()));
    assert!(second().contains("another waybill serves it"));
    // commands work beside it
    let (status, said) = Process::run(waybill().args(["verify", "--db"]).arg(server.db()));
    assert!(status.success(), "{said}");
    let folder = server.kill();
    assert_eq!(Server::start_in(folder, &[]).client().get("/healthz").status, 200, "a killed server leaves no lock");
}

#[test]
fn the_log_names_routes_and_no_people() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = waybill();
    command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(folder.path().join("waybill.db"));
    command.env("WAYBILL_INGEST_KEYS", "word").stderr(std::fs::File::create(&log).unwrap());
    let (mut process, address) = Process::start(&mut command, "listening on http://");
    let client = Client::new(format!("http://{}", address.trim()));
    let suppress = "/api/v1/customers/ann%40example.org/suppress";
    assert_eq!(client.post(suppress, &[], "{}").status, 401);
    for path in
        ["/people/ann%40example.org", "/deliveries?recipient=ann%40example.org&status=x", "/no/ann%40example.org"]
    {
        client.get(path);
    }
    assert!(process.stop().success());
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("/api/v1/customers/{identifier}/suppress"), "{log}");
    assert!(!log.contains("ann"), "{log}");
}

#[test]
fn no_secret_is_written_anywhere_even_when_all_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (log, db) = (folder.path().join("log"), folder.path().join("waybill.db"));
    let secrets = ["ingest-secret-of-one", "signing-secret-of-two", "read-secret-of-three", "wrong-secret-of-four"];
    let mut command = waybill();
    command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(&db).env("WAYBILL_LOG", "trace");
    command.env("WAYBILL_INGEST_KEYS", secrets[0]).env("WAYBILL_SIGNING_KEYS", secrets[1]);
    command.env("WAYBILL_READ_TOKENS", secrets[2]).stderr(std::fs::File::create(&log).unwrap());
    let (mut process, address) = Process::start(&mut command, "listening on http://");
    let client = Client::new(format!("http://{}", address.trim()));
    let mut answers = String::new();
    for secret in secrets {
        let bearer = format!("Bearer {secret}");
        let key = [("Authorization", &*bearer)];
        let body = track("s1").replacen('{', &format!(r#"{{"writeKey":"{secret}","#), 1);
        for answer in [
            client.post(TRACK, &key, track("s1")),
            client.post(TRACK, &[], body),
            client.post(TRACK, &key, "{ no json"),
            client.post(WEBHOOK, &[("X-CIO-Timestamp", "1"), ("X-CIO-Signature", secret)], webhook("s2")),
            client.ask("GET", "/deliveries", &key, ""),
            client.ask("GET", "/health", &key, ""),
            client.post(
                "/sign-in",
                &[("Content-Type", "application/x-www-form-urlencoded")],
                format!("token={secret}"),
            ),
        ] {
            answers += &answer.text;
        }
    }
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", process.id())).unwrap_or_default();
    assert!(process.stop().success());
    let log = std::fs::read_to_string(&log).unwrap();
    let file = String::from_utf8_lossy(&std::fs::read(&db).unwrap()).into_owned();
    assert!(log.lines().count() > 50, "{log}");
    for secret in secrets {
        for (what, text) in [("log", &log), ("file", &file), ("answers", &answers), ("command", &command)] {
            let line = text.lines().find(|line| line.contains(secret)).unwrap_or_default();
            assert!(line.is_empty(), "{secret} is in the {what}: {}", &line[..line.len().min(600)]);
        }
    }
}
