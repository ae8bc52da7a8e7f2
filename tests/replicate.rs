//! `waybill replicate`: the tables of a real PostgreSQL are those of the file, row by row, whatever happens on the way.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use support::client::Client;
use support::file::rows;
use support::postgres::{Postgres, assert_same, tables_of};
use support::process::Process;
use support::server::{Server, waybill};
use waybill_traffic::{Format, Line, Traffic};

/// Rows of it are in every table.
fn traffic(seed: u64) -> impl Iterator<Item = Line> {
    Traffic::new(seed, 150, 1_767_225_600_000).lines(&Format::ALL)
}

fn send(client: &Client, lines: impl Iterator<Item = Line>) {
    for line in lines {
        let answer = client.post(line.path, &[], &line.body);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

/// The same into a file that nobody serves.
fn send_to(db: &Path, lines: impl Iterator<Item = Line>) {
    let file = db.with_extension("ndjson");
    std::fs::write(&file, lines.map(|line| line.with_path() + "\n").collect::<String>()).unwrap();
    run(db, &["import", file.to_str().unwrap()]);
}

fn replicate(db: &Path, url: &str) -> Command {
    let mut command = waybill();
    command.args(["replicate", "--to", url, "--db"]).arg(db);
    command
}

/// Runs it until the target has all, and compares. Returns what it logged.
#[track_caller]
fn replicate_once(db: &Path, postgres: &Postgres, instance: &str, when: &str) -> String {
    let (status, said) =
        Process::run(replicate(db, &postgres.url("postgres")).args(["--once", "--instance", instance]));
    assert!(status.success(), "{when}: {said}");
    assert_same(&tables_of(db), &postgres.tables(instance), when);
    said
}

#[track_caller]
fn run(db: &Path, arguments: &[&str]) {
    let (status, said) = Process::run(waybill().args(arguments).arg("--db").arg(db));
    assert!(status.success(), "{arguments:?}: {said}");
}

/// Waits until the follower has passed all that the file has.
fn wait_until_passed(db: &Path) {
    let left = "SELECT count(*) FROM _outbox UNION ALL
        SELECT 1 FROM _settings WHERE key = 'replica' AND value ->> '$.before' IS NOT NULL";
    while rows(db, left) != ["0"] {
        std::thread::yield_now();
    }
}

const STATE: &str = "SELECT count(*) FROM sqlite_schema WHERE name GLOB '_outbox*'";

#[test]
fn a_target_follows_ingest_erasure_and_pruning() {
    let postgres = Postgres::start();
    let server = Server::start();
    let db = server.db();
    assert_eq!(rows(&db, STATE), ["0"]);
    send_to(&db, traffic(1));
    let (mut follower, ready) = Process::start(&mut replicate(&db, &postgres.url("postgres")), " has all of ");
    assert_eq!(ready, db.to_str().unwrap());
    let found = postgres.tables("waybill");
    assert_same(&tables_of(&db), &found, "after the start");
    let filled = found.values().filter(|rows| !rows.is_empty()).count();
    assert!(filled >= 18, "{filled} of {} tables have rows", found.len());

    send(&server.client(), traffic(2).step_by(2));
    wait_until_passed(&db);
    assert_same(&tables_of(&db), &postgres.tables("waybill"), "after ingest");

    let sql = "SELECT recipient FROM deliveries JOIN delivery_links ON delivery = deliveries.id WHERE recipient LIKE '%@%' LIMIT 1";
    let person = rows(&db, sql).remove(0);
    let named = |postgres: &Postgres| format!("{:?}", postgres.tables("waybill")).contains(&person);
    assert!(named(&postgres));
    run(&db, &["forget", &person, "--yes"]);
    run(&db, &["name", "campaign", "8", "Eight"]);
    wait_until_passed(&db);
    assert_same(&tables_of(&db), &postgres.tables("waybill"), "after an erasure");
    assert!(!named(&postgres), "{person} is still there");

    for what in ["bodies", "events", "deliveries"] {
        run(&db, &["prune", "--older-than", "1d", "--what", what]);
    }
    send(&server.client(), traffic(2).skip(1).step_by(2));
    wait_until_passed(&db);
    let expected = tables_of(&db);
    assert_same(&expected, &postgres.tables("waybill"), "after pruning");

    // nobody else follows it meanwhile
    let (status, said) = Process::run(replicate(&db, &postgres.url("postgres")).arg("--once"));
    assert!(!status.success() && said.contains("another `waybill replicate` follows this file"), "{said}");
    assert!(follower.stop().success());
    replicate_once(&db, &postgres, "waybill", "by another process");
    run(&db, &["replicate", "--stop"]);
    assert_eq!(rows(&db, STATE), ["0"]);
    run(&db, &["verify"]);
    assert!(server.stop().0.success());
}

/// Each side is killed in turn, while events come in.
#[test]
fn either_side_may_be_killed_at_any_moment() {
    let rounds = std::env::var("REPLICATE_ROUNDS").map_or(4, |rounds| rounds.parse().unwrap());
    let mut postgres = Postgres::start();
    let server = Server::start();
    let (db, url) = (server.db(), postgres.url("postgres"));
    let client = server.client();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for seed in 10.. {
                send(&client, traffic(seed).take_while(|_| !is_over.load(Ordering::Relaxed)));
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let events = || rows(&db, "SELECT count(*) FROM events").remove(0).parse::<usize>().unwrap();
        let wait_for_more = |more| {
            let until = events() + more;
            while events() < until {
                std::thread::yield_now();
            }
        };
        wait_for_more(200);
        let start = || Process::start(replicate(&db, &url).stderr(Stdio::inherit()), " has all of ").0;
        let mut follower = start();
        for round in 0..rounds {
            // at a moment without a pattern
            wait_for_more(50 + round * 7_919 % 241);
            if round % 2 == 0 {
                follower.kill();
                wait_for_more(20);
                follower = start();
            } else {
                postgres.crash();
                wait_for_more(20);
                postgres.start_again();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        wait_until_passed(&db);
        assert!(follower.stop().success());
    });
    replicate_once(&db, &postgres, "waybill", "after all kills");
}

#[test]
fn documented_queries_run() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    send_to(&db, traffic(1).take(20));
    replicate_once(&db, &postgres, "waybill", "once");
    let mut client = postgres.client();
    let (_, queries) = include_str!("../docs/replicate.md").split_once("```pgsql\n").unwrap();
    for query in queries.split("```").next().unwrap().split(";\n") {
        client.simple_query(query).unwrap_or_else(|error| panic!("{error}: {query}"));
    }
}

/// `INSERT OR REPLACE` gives the row another number, and the one before must go from the target.
#[test]
fn a_row_that_is_replaced_is_there_once() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let file = folder.path().join("clicks.ndjson");
    for (n, machine) in [false, true].into_iter().enumerate() {
        let click = format!(
            r#"{{"id": "{n}", "delivery_id": "d", "metric": "clicked", "time": "2026-01-01T00:00:00Z", "href": "https://x.test/", "machine": {machine}}}"#
        );
        std::fs::write(&file, click).unwrap();
        run(&db, &["import", file.to_str().unwrap()]);
        replicate_once(&db, &postgres, "waybill", "after a click");
    }
    assert_eq!(rows(&db, "SELECT human, machine FROM delivery_links"), ["1|1"]);
}

#[test]
fn two_files_share_a_target() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one.db", "two.db"].map(|name| folder.path().join(name));
    send_to(&one, traffic(1));
    send_to(&two, traffic(2));
    replicate_once(&one, &postgres, "eu", "the first");
    let (status, said) = Process::run(replicate(&two, &postgres.url("postgres")).args(["--once", "--instance", "eu"]));
    assert!(!status.success() && said.contains("instance 'eu' in") && said.contains("--replace"), "{said}");
    replicate_once(&two, &postgres, "it's\tus", "the second");
    assert_same(&tables_of(&one), &postgres.tables("eu"), "the first is as it was");
    send_to(&one, traffic(3));
    send_to(&two, traffic(4));
    run(&one, &["rebuild"]);
    replicate_once(&one, &postgres, "eu", "the first, later");
    replicate_once(&two, &postgres, "it's\tus", "the second, later");
}

#[test]
fn another_history_is_noticed() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let copies = |said: &str| said.contains("copying all rows");
    send_to(&db, traffic(1).take(100));
    assert!(copies(&replicate_once(&db, &postgres, "waybill", "at first")));
    let (backup, snapshot) = (db.with_file_name("backup.db"), db.with_file_name("snapshot.db"));
    run(&db, &["backup", backup.to_str().unwrap()]);
    send_to(&db, traffic(1).skip(100).take(100));
    assert!(!copies(&replicate_once(&db, &postgres, "waybill", "later")));
    send_to(&db, traffic(1).skip(200).take(100));
    std::fs::copy(&db, &snapshot).unwrap();
    // what the target has is what this copy had: it may go on
    send_to(&db, traffic(2).take(50));
    std::fs::copy(&snapshot, &db).unwrap();
    assert!(!copies(&replicate_once(&db, &postgres, "waybill", "with a copy that the target has not passed")));
    std::fs::rename(&snapshot, &db).unwrap();
    send_to(&db, traffic(3).take(50));
    assert!(copies(&replicate_once(&db, &postgres, "waybill", "with a copy that it has passed")));
    std::fs::rename(&backup, &db).unwrap();
    assert!(copies(&replicate_once(&db, &postgres, "waybill", "with a backup")));
    run(&db, &["vacuum"]);
    replicate_once(&db, &postgres, "waybill", "after VACUUM");
}

#[test]
fn what_is_wrong_is_said_without_the_password() {
    let postgres = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    send_to(&db, traffic(1).take(5));
    let mut client = postgres.client();
    client.batch_execute("CREATE ROLE secret LOGIN PASSWORD 'right-one'; CREATE SCHEMA theirs; CREATE TABLE theirs.events (id bigint)").unwrap();
    client.batch_execute("GRANT CREATE ON DATABASE postgres TO secret").unwrap();
    let secret = postgres.url("postgres").replace("waybill@", "secret@");
    let refused = |command: &mut Command| {
        let (status, said) = Process::run(command.arg("--once"));
        assert!(!status.success() && !said.contains("wrong-one"), "{said}");
        said
    };
    for (url, problem) in [
        (secret.replace("secret@", "secret:wrong-one@"), "password authentication failed"),
        (postgres.url("nowhere"), "database \"nowhere\" does not exist"),
        ("postgres://secret:wrong-one@/x?sslmode=verify".into(), "--to is no address"),
        ("postgres://secret:wrong-one@127.0.0.1:1/x".into(), "Connection refused"),
    ] {
        let said = refused(&mut replicate(&db, &url));
        assert!(said.contains(problem), "{said}");
    }
    let said = refused(replicate(&db, &secret).env("PGPASSWORD", "wrong-one"));
    assert!(said.contains("password authentication failed"), "{said}");
    let said = refused(replicate(&db, &postgres.url("postgres")).args(["--schema", "theirs"]));
    assert!(said.contains("events in the schema theirs") && said.contains("choose another --schema"), "{said}");

    let (status, said) = Process::run(replicate(&db, &secret).env("PGPASSWORD", "right-one").arg("--once"));
    assert!(status.success(), "{said}");
    assert_same(&tables_of(&db), &postgres.tables("waybill"), "with a password");
    // an older version made the tables: what is new is added, and copied
    client
        .batch_execute("ALTER TABLE waybill.deliveries DROP COLUMN subject CASCADE; DELETE FROM waybill.replicas")
        .unwrap();
    let (status, said) = Process::run(replicate(&db, &postgres.url("postgres")).arg("--once"));
    assert!(status.success(), "{said}");
    let subjects: i64 = client.query_one("SELECT count(subject) FROM waybill.deliveries", &[]).unwrap().get(0);
    assert_eq!(rows(&db, "SELECT count(subject) FROM deliveries"), [subjects.to_string()]);
}
