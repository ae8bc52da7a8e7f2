//! Settings by arguments, the environment and a file; and the log.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::aside::until;
use support::process::Process;
use support::server::{Server, waybill};

/// A folder with a file of settings.
fn settings(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("waybill.toml"), text).unwrap();
    folder
}

fn config(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = waybill();
    command.arg("config").args(arguments).envs(environment.iter().copied()).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn flags_are_stronger_than_the_environment_and_that_than_the_file() {
    let folder = settings(
        "listen = \"127.0.0.1:1\"\nbase = \"/file\"\n\nkeep-bodies = \"1d\"\nhost = [\"a.test\", \"b.test\"]\n",
    );
    let environment = [("WAYBILL_CONFIG", "waybill.toml"), ("WAYBILL_BASE", "/env"), ("WAYBILL_KEEP_BODIES", "2d")];
    let shown = config(folder.path(), &["--keep-bodies", "3d"], &environment);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    for line in [
        "keep-bodies = \"3d\"  # flag",
        "base = \"/env\"  # WAYBILL_BASE",
        "listen = \"127.0.0.1:1\"  # waybill.toml:1",
        "host = [\"a.test\", \"b.test\"]  # waybill.toml:5",
        "backup-keep = 7  # default",
        "allow-anonymous = false  # default",
        "# wal-max is not set",
    ] {
        assert!(shown.lines().any(|other| other == line), "no {line}:\n{shown}");
    }
    // what is printed may be given again
    fs::write(folder.path().join("again.toml"), shown).unwrap();
    let again = config(folder.path(), &["--config", "again.toml"], &[]);
    assert!(text(&again.stdout).contains("keep-bodies = \"3d\"  # again.toml:"), "{}", text(&again.stderr));
}

#[test]
fn the_server_goes_by_the_file() {
    let folder = settings("listen = \"127.0.0.1:0\"\nbase = \"/below\"\ndb = \"other.db\"\nlog-format = \"json\"\n");
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut command = waybill();
    command.args(["--config", "waybill.toml"]).current_dir(folder.path()).stderr(log);
    let (mut server, address) = Process::start(&mut command, "listening on ");
    let client = support::client::Client::new(address);
    assert!(client.get("/below/deliveries").text.contains("\"/below/"));
    assert!(server.stop().success());
    assert!(folder.path().join("other.db").exists());
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "INFO");
}

#[test]
fn what_no_option_takes_is_refused_with_its_line() {
    let folder = settings("base = \"/a\"\nlisen = \"127.0.0.1:1\"\n");
    let refused = config(folder.path(), &["--config", "waybill.toml"], &[]);
    assert!(!refused.status.success());
    let message = text(&refused.stderr);
    assert_eq!(message, "waybill: waybill.toml is refused: line 2: `lisen` is no setting; do you mean `listen`?\n");
    let refused = config(folder.path(), &["--config", "none.toml"], &[]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("cannot read none.toml"));
}

#[test]
fn secrets_are_not_printed() {
    let folder = settings("");
    let environment =
        [("WAYBILL_READ_TOKENS", "a-read-token-of-tests,another-of-the-tests"), ("WAYBILL_SIGNING_KEYS", "hush")];
    let shown = config(folder.path(), &[], &environment);
    let shown = text(&shown.stdout);
    assert!(shown.contains("# WAYBILL_READ_TOKENS: 2 secret") && !shown.contains("of-the-tests"), "{shown}");
    assert!(shown.contains("# WAYBILL_SIGNING_KEYS: 1 secret") && !shown.contains("hush"), "{shown}");
}

#[test]
fn the_example_is_a_file_of_settings() {
    let folder = settings("");
    let example = config(folder.path(), &["--example"], &[]);
    let example = text(&example.stdout);
    assert!(example.lines().all(|line| line.is_empty() || line.starts_with('#')), "{example}");
    // each setting with its default is what holds without it
    let set: Vec<_> =
        example.lines().filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' '))).collect();
    assert!(set.len() > 20 && set.contains(&"listen = \"127.0.0.1:8787\""), "{set:?}");
    let with_value: Vec<_> =
        set.into_iter().filter(|line| !line.ends_with("= \"\"") && !line.ends_with("= []")).collect();
    fs::write(folder.path().join("waybill.toml"), with_value.join("\n")).unwrap();
    let shown = config(folder.path(), &["--config", "waybill.toml"], &[]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
}

/// What a person is known by, in what is sent below.
const PERSON: [&str; 3] = ["secretperson", "hush", "zq7delivery"];

#[test]
fn the_log_of_requests_names_routes_and_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>\"$LOG\"", env!("CARGO_BIN_EXE_waybill")]).env("LOG", &log);
    let settings = [("WAYBILL_LOG_FORMAT", "json"), ("WAYBILL_LOG_REQUESTS", "true")];
    let server = Server::start_by(command, folder, &settings);
    let client = server.client();
    let event = r#"{"id":"hush1","delivery_id":"zq7delivery","metric":"sent","recipient":"secretperson@example.org","person_id":"hush"}"#;
    assert_eq!(client.post("/v1/events", &[], event).status, 200);
    for path in [
        "/deliveries/zq7delivery",
        "/people/secretperson@example.org",
        "/search?q=secretperson",
        "/deliveries?recipient=secretperson@example.org",
        "/hush/secretperson",
        "/campaigns/hush/secretperson",
    ] {
        client.get(path);
    }
    client.post("/unsubscribe/zq7delivery", &[], "{}");
    client.post("/v1/identify?hush", &[], r#"{"userId":"secretperson"}"#);
    client.post("/v1/events", &[], r#"{"metric":"secretperson""#);
    client.ask("PUT", "/api/v1/customers/secretperson", &[("Authorization", "Basic aHVzaDpodXNo")], "{}");
    let (status, _folder) = server.stop();
    assert!(status.success());

    let log = fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = lines.iter().filter(|line| line["message"] == "request answered").collect();
    assert_eq!(requests.len(), 11, "{log}");
    let delivery = requests.iter().find(|line| line["route"] == "/deliveries/{id:.+}").unwrap();
    assert_eq!((&delivery["method"], &delivery["status"]), (&"GET".into(), &200.into()));
    assert!(delivery["ms"].as_f64().unwrap() >= 0.0);
    for name in PERSON {
        assert!(!log.contains(name), "{name}: {log}");
    }
}

#[test]
fn a_fault_that_lasts_has_one_line_in_half_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>\"$LOG\"", env!("CARGO_BIN_EXE_waybill")]).env("LOG", &log);
    let server = Server::start_by(command, folder, &[]);
    let client = server.client();
    let event = |n: usize| format!(r#"{{"id":"e{n}","delivery_id":"d{n}","metric":"sent"}}"#);
    assert_eq!(client.post("/v1/events", &[], event(0)).status, 200);
    // as a full disk; with 0, the log cannot be written either
    let files_end_at = |bytes: Option<u64>| {
        let pid = rustix::process::Pid::from_raw(server.pid() as i32);
        let limit = rustix::process::Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(pid, rustix::process::Resource::Fsize, limit).unwrap();
    };
    let wal = fs::metadata(server.folder().join("waybill.db-wal")).unwrap().len();
    for (bytes, many) in [(0, 10), (wal, 300)] {
        files_end_at(Some(bytes));
        for n in 1..many {
            assert_eq!(client.post("/v1/events", &[], event(n)).status, 503);
            assert_eq!(client.get("/healthz").status, 503);
        }
        files_end_at(None);
        until("it recovers without a restart", || client.post("/v1/events", &[], event(many)).status == 200);
    }
    let (_, _folder) = server.stop();
    let log = fs::read_to_string(&log).unwrap();
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert!((1..=4).contains(&count("the file cannot be written ")), "{log}");
    assert!(log.lines().count() < 30, "{log}");
    assert_eq!(count("the file can be written again"), 2, "{log}");
}
