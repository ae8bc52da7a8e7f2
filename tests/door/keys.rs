//! `waybill keys`, beside a server.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::support::client::Client;
use super::support::file::rows;
use super::support::process::Process;
use super::support::server::{Server, cio_signature, waybill};
use super::{EVENT, bearer, session};

fn keys(db: &Path, words: &[&str]) -> Output {
    command(db, words).stdin(Stdio::null()).output().unwrap()
}

fn command(db: &Path, words: &[&str]) -> Command {
    let mut command = waybill();
    command.arg("keys").args(words).arg("--db").arg(db);
    command
}

/// Makes a key.
fn add(db: &Path, kind: &str, name: &str) -> String {
    let made = keys(db, &["add", kind, name]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn add_from_stdin(db: &Path, kind: &str, name: &str, key: &str) -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), key).unwrap();
    let mut command = command(db, &["add", kind, name, "--stdin"]);
    command.stdin(file.reopen().unwrap()).stderr(Stdio::null()).status().unwrap().success()
}

/// Until a server has taken up a change of the file.
#[track_caller]
fn wait_for(what: impl Fn() -> u16, status: u16) {
    let begun = Instant::now();
    loop {
        let found = what();
        if found == status {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{found}, expected {status}");
        std::thread::yield_now();
    }
}

fn read(client: &Client, token: &str) -> u16 {
    client.ask("GET", "/deliveries.json", &[("Authorization", &bearer(token))], "").status
}

#[test]
fn keys_are_shown_once_and_stored_as_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let tokens: Vec<String> =
        ["read", "operate", "ingest", "browser", "signing"].map(|kind| add(&db, kind, &format!("my {kind}"))).into();
    assert!(tokens.iter().all(|token| token.len() > 64), "{tokens:?}");
    let mode = std::fs::metadata(&db).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes: Vec<u8> = std::fs::read_dir(folder.path())
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
        .collect();
    let holds = |token: &str| bytes.windows(token.len()).any(|part| part == token.as_bytes());
    assert_eq!(tokens.iter().map(|token| holds(token)).collect::<Vec<_>>(), [false, false, false, false, true]);

    let list = || String::from_utf8(keys(&db, &["list"]).stdout).unwrap();
    assert!(tokens.iter().all(|token| !list().contains(&**token)), "{}", list());
    assert!(list().contains("my browser") && list().contains("never"), "{}", list());

    assert!(keys(&db, &["revoke", "5", "1"]).status.success());
    for ids in [&["revoke", "1"][..], &["revoke", "2", "99"], &["revoke", "x"], &["revoke"]] {
        assert!(!keys(&db, ids).status.success(), "{ids:?}");
    }
    let left = "SELECT id, hash IS NULL, secret IS NULL, revoked_at_ms IS NULL FROM _keys";
    assert_eq!(rows(&db, left), ["1|1|1|0", "2|0|1|1", "3|0|1|1", "4|0|1|1", "5|1|1|0"]);

    for (kind, name) in [("write", "x"), ("read", ""), ("read", "  "), ("read", "a\u{1b}[2J")] {
        assert!(!keys(&db, &["add", kind, name]).status.success(), "{kind} {name:?}");
    }
    assert!(!add_from_stdin(&db, "ingest", "short", "short"), "can be guessed");
    assert!(!add_from_stdin(&db, "ingest", "two", "one-key-of-two-lines\nanother-key-of-them"));
    assert!(!add_from_stdin(&db, "signing", "none", "\n"));
    assert!(add_from_stdin(&db, "signing", "service", "short\n"), "as the service has it");
    assert!(!add_from_stdin(&db, "signing", "again", "short"), "it has it already");
    let missing = folder.path().join("none.db");
    assert!(!keys(&missing, &["list"]).status.success() && !missing.exists());
}

#[test]
fn a_running_server_takes_up_keys_and_lets_go_of_them() {
    let server = Server::start();
    let (client, db) = (server.client(), server.db());
    assert_eq!(read(&client, "anything"), 200, "no token is set");
    let (reader, sender) = (add(&db, "read", "ana"), add(&db, "ingest", "shop"));
    wait_for(|| read(&client, "anything").min(401), 401);
    assert_eq!(read(&client, &reader), 200);
    wait_for(|| client.post("/v1/events", &[("Authorization", &bearer(&sender))], EVENT).status, 200);
    assert_eq!(client.post("/v1/events", &[], EVENT).status, 401);

    // two signing keys at once, for a change
    let (old, new) = (add(&db, "signing", "old"), add(&db, "signing", "new"));
    let webhook = |key: &str| {
        let body = r#"{"event_id":"w","object_type":"email","metric":"sent","timestamp":1700000000,"data":{"delivery_id":"w"}}"#;
        let signature = cio_signature(key, "1700000000", body);
        let headers = [("X-CIO-Timestamp", "1700000000"), ("X-CIO-Signature", &*signature)];
        client.post("/webhooks/customerio", &headers, body).status
    };
    wait_for(|| webhook(&old), 200);
    wait_for(|| webhook(&new), 200);
    let used = "SELECT count(*) FROM _keys WHERE last_used_at_ms > created_at_ms";
    wait_for(|| rows(&db, used)[0].parse().unwrap(), 4);
    assert!(keys(&db, &["revoke", "3"]).status.success());
    wait_for(|| webhook(&old), 401);
    assert_eq!(webhook(&new), 200);

    let cookie = session(&client, &reader);
    let by_session = || client.ask("GET", "/deliveries.json", &[("Cookie", &cookie)], "").status;
    assert_eq!(by_session(), 200);
    assert!(keys(&db, &["revoke", "1", "2", "4"]).status.success());
    wait_for(by_session, 401);
    // all are gone, and nothing stands open
    assert!([401, 429].contains(&read(&client, &reader)));
    for (path, status) in [("/deliveries.json", 401), ("/deliveries", 303), ("/healthz", 200)] {
        assert_eq!(client.get(path).status, status, "{path}");
    }
    assert_eq!(client.post("/v1/events", &[], EVENT).status, 401);
    assert_eq!(webhook(&new), 401);
    let again = Server::start_in(server.stop().1, &[]);
    assert_eq!(again.client().get("/deliveries.json").status, 401);
}

#[test]
fn a_token_in_the_file_lets_a_server_listen_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    add(&db, "ingest", "shop");
    let serve = || {
        let mut command = waybill();
        command.args(["serve", "--listen", "0.0.0.0:0", "--db"]).arg(&db);
        command
    };
    let (status, said) = Process::run(&mut serve());
    assert!(!status.success() && said.contains("waybill keys add read"), "{said}");
    let token = add(&db, "operate", "ana");
    let (mut process, address) = Process::start(&mut serve(), "listening on http://0.0.0.0:");
    let client = Client::new(format!("http://127.0.0.1:{}", address.trim()));
    assert_eq!((client.get("/deliveries.json").status, read(&client, &token)), (401, 200));
    assert!(process.stop().success());
}

#[test]
fn keys_come_by_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, "first-token-of-the-file\nsecond-token-of-the-file\n").unwrap();
    let server = Server::start_with(&[("WAYBILL_READ_TOKENS_FILE", file.to_str().unwrap())]);
    let client = server.client();
    assert_eq!(read(&client, "first-token-of-the-file"), 200);
    assert_eq!(read(&client, "second-token-of-the-file"), 200);
    assert_eq!(read(&client, "third-token-of-the-file"), 401);
}
