//! Alerts, by a receiver on this machine.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use support::aside::until;
use support::server::{Server, waybill};
use tempfile::TempDir;

/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was posted: the signature, and the body.
type Posted = (String, String);

/// Answers each request with the next of these statuses, and at last always with 200.
fn receiver(statuses: &'static [u16]) -> (String, Receiver<Posted>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, posted) = channel();
    std::thread::spawn(move || {
        let mut statuses = statuses.iter().copied();
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut signature, mut length) = (String::new(), 0);
            for line in reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
                let (name, value) = line.split_once(": ").unwrap_or_default();
                match &*name.to_ascii_lowercase() {
                    "content-length" => length = value.parse().unwrap(),
                    "x-waybill-signature" => signature = value.to_owned(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let status = statuses.next().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            reader.into_inner().write_all(answer.as_bytes()).unwrap();
            let _ = sender.send((signature, String::from_utf8(body).unwrap()));
        }
    });
    (url, posted)
}

fn next(posted: &Receiver<Posted>) -> (Value, Posted) {
    let posted = posted.recv_timeout(PATIENCE).expect("an alert");
    (serde_json::from_str(&posted.1).unwrap(), posted)
}

/// A file in which the last recount found so many differences.
fn verified(folder: TempDir, differences: u64) -> TempDir {
    let connection = rusqlite::Connection::open(folder.path().join("waybill.db")).unwrap();
    let value = format!(r#"{{"at_ms":1,"deliveries":1,"events":1,"differences":{differences}}}"#);
    let sql = "INSERT OR REPLACE INTO _settings (key, value) VALUES ('verified', ?1)";
    connection.execute(sql, [value]).unwrap();
    folder
}

#[test]
fn an_incident_is_reported_when_it_begins_and_when_it_is_over_across_restarts() {
    let (url, posted) = receiver(&[500, 302]);
    let settings = [
        ("WAYBILL_ALERT_URL", &*url),
        ("WAYBILL_ALERT_KEY", "an-alert-key"),
        ("WAYBILL_PUBLIC_URL", "https://mail.test/waybill/"),
    ];
    let server = Server::start_in(verified(Server::start().stop().1, 3), &settings);
    // it fails twice
    let (alert, first) = next(&posted);
    assert_eq!((&alert["kind"], &alert["state"]), (&"verify_failed".into(), &"begun".into()));
    assert_eq!(alert["page"], "https://mail.test/waybill/health");
    let message = alert["message"].as_str().unwrap();
    assert!(message.starts_with("3 counts differed from a recount"), "{message}");
    assert_eq!(alert["text"], format!("Waybill: {message} https://mail.test/waybill/health"));
    let mut mac = Hmac::<Sha256>::new_from_slice(b"an-alert-key").unwrap();
    mac.update(first.1.as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(first.0, format!("sha256={expected}"));
    for _ in 0..2 {
        let (again, _) = next(&posted);
        assert_eq!((&again["state"], &again["since"]), (&"begun".into(), &alert["since"]));
    }
    assert!(server.get("/health").1.contains(message.split(';').next().unwrap()));
    assert!(server.get("/metrics").1.contains("waybill_incident{kind=\"verify_failed\"} 1\n"));
    assert!(server.get("/metrics").1.contains("waybill_incident{kind=\"feed_silent\"} 0\n"));
    let remembered = "SELECT count(*) FROM _settings WHERE key = 'incidents' AND value LIKE '%\"left\":[]%'";
    support::aside::wait_until(&server, remembered, "1");

    // what was reported is not reported again; it was seen an hour ago
    let folder = verified(server.stop().1, 0);
    let connection = rusqlite::Connection::open(folder.path().join("waybill.db")).unwrap();
    let sql = "UPDATE _settings SET value = json_set(value, '$.verify_failed.seen_ms', 1) WHERE key = 'incidents'";
    assert_eq!(connection.execute(sql, []).unwrap(), 1);
    drop(connection);
    let server = Server::start_in(folder, &settings);
    let (over, _) = next(&posted);
    assert_eq!((&over["kind"], &over["state"]), (&"verify_failed".into(), &"over".into()));
    assert_eq!((&over["since"], &over["message"]), (&alert["since"], &alert["message"]));
    assert!(server.get("/metrics").1.contains("waybill_incident{kind=\"verify_failed\"} 0\n"));
    support::aside::wait_until(&server, "SELECT value FROM _settings WHERE key = 'incidents'", "{}");
}

#[test]
fn a_receiver_that_does_not_answer_holds_up_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let folder = verified(Server::start().stop().1, 3);
    let server = Server::start_in(folder, &[("WAYBILL_ALERT_URL", &url)]);
    let _held: (TcpStream, _) = listener.accept().unwrap();
    let answer = server.client().post("/v1/events", &[], r#"{"delivery_id":"d","metric":"sent"}"#);
    assert_eq!(answer.status, 200);
    assert!(server.stop().0.success());
}

/// A program in a folder.
fn program(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("program");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn try_alert(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = waybill();
    command.arg("alert").args(arguments).envs(environment.iter().copied()).current_dir(folder.path());
    command.output().unwrap()
}

#[test]
fn a_command_gets_the_alert_and_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let heard = folder.path().join("heard");
    let text = format!("#!/bin/sh\n{{ cat; echo; env; }} >{0}.new; mv {0}.new {0}\n", heard.display());
    let program = program(folder.path(), &text);
    let program = program.to_str().unwrap();
    let file = verified(Server::start().stop().1, 1);
    let server =
        Server::start_in(file, &[("WAYBILL_ALERT_COMMAND", program), ("WAYBILL_INGEST_KEYS", "an-ingest-key")]);
    until("the command ran", || heard.exists());
    let text = fs::read_to_string(&heard).unwrap();
    let alert: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&alert["kind"], &alert["page"]), (&"verify_failed".into(), &Value::Null));
    assert!(!text.contains("an-ingest-key") && text.contains("PATH="), "{text}");
    drop(server);
}

#[test]
fn an_operator_tries_the_ways() {
    let (url, posted) = receiver(&[]);
    let folder = tempfile::tempdir().unwrap();
    let failing = program(folder.path(), "#!/bin/sh\nexit 3\n");
    assert!(try_alert(&["--alert-url", &url], &[]).status.success());
    let (alert, (signature, _)) = next(&posted);
    assert_eq!((&alert["state"], &*signature), (&"test".into(), ""));

    for (arguments, said) in [
        (&[][..], "set --alert-url or --alert-command"),
        (&["--alert-command", failing.to_str().unwrap()], "--alert-command: it ended with exit status: 3"),
        (&["--alert-command", "/no/such/program"], "--alert-command: No such file"),
        (&["--alert-url", "hooks.test/x"], "--alert-url must be an address such as https://"),
        (&["--public-url", "mail.test"], "--public-url must begin with https://"),
        (&["--alert-url", "http://127.0.0.1:1/secret"], "--alert-url: "),
    ] {
        let tried = try_alert(arguments, &[]);
        let message = String::from_utf8(tried.stderr).unwrap();
        assert!(!tried.status.success() && message.contains(said), "{arguments:?}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let shown = waybill().args(["config", "--alert-url", &url]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("# alert-url is set, and secret  # flag") && !shown.contains("/hook"), "{shown}");
}
