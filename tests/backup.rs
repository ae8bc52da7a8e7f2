//! Copies of a file that is written meanwhile, and what comes back from them.

mod support;

use std::fs;
use std::path::Path;

use support::file::rows;
use support::process::Process;
use support::server::{Server, waybill};

fn event(n: usize) -> String {
    format!(r#"{{"id":"e{n}","delivery_id":"d{n}","channel":"email","metric":"sent","recipient":"p{n}@example.org"}}"#)
}

fn post(server: &Server, n: usize) {
    let (status, text) = server.post("/v1/events", &[], event(n));
    assert_eq!(status, 200, "{text}");
}

/// Runs a command on a file; whether it succeeded, and what it wrote on stderr.
fn run(db: &Path, arguments: &[&str]) -> (bool, String) {
    let (status, text) = Process::run(waybill().args(arguments).arg("--db").arg(db));
    (status.success(), text)
}

fn events(db: &Path) -> Vec<String> {
    rows(db, "SELECT event_id FROM events_v1 ORDER BY event_id")
}

#[test]
fn a_backup_is_a_whole_file_while_the_server_writes() {
    let server = Server::start();
    (0..20).for_each(|n| post(&server, n));
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    for _ in 0..2 {
        let (succeeded, text) = run(&server.db(), &["backup", copy.to_str().unwrap(), "--verify"]);
        assert!(succeeded, "{text}");
    }
    post(&server, 20);
    assert_eq!(events(&copy).len(), 20);
    assert_eq!(run(&copy, &["verify"]), (true, String::new()));
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&copy.metadata().unwrap().permissions()) & 0o777, 0o600);
    // nothing else is left in the folder
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.filter(|name| !name.starts_with("copy.db")).collect::<Vec<_>>().is_empty());

    let restored = folder.path().join("restored.db");
    assert_eq!(run(&restored, &["restore", copy.to_str().unwrap()]), (true, String::new()));
    assert_eq!(events(&restored), events(&copy));
    assert_eq!(run(&restored, &["verify"]), (true, String::new()));
}

#[test]
fn a_backup_replaces_backups_and_nothing_else() {
    let server = Server::start();
    post(&server, 0);
    let db = server.db();
    let (status, folder) = server.stop();
    assert!(status.success());
    let text = folder.path().join("notes.txt");
    fs::write(&text, "not a database, and longer than the header of one: ".repeat(4)).unwrap();
    let (succeeded, said) = run(&db, &["backup", text.to_str().unwrap()]);
    assert!(!succeeded && said.contains("not a Waybill file"), "{said}");
    assert!(fs::read_to_string(&text).unwrap().starts_with("not a database"));
    let (succeeded, said) = run(&db, &["backup", db.to_str().unwrap()]);
    assert!(!succeeded && said.contains("its own backup"), "{said}");
    let (succeeded, said) = run(&db, &["backup", text.to_str().unwrap(), "--keep", "2"]);
    assert!(!succeeded && said.contains("--keep needs a folder"), "{said}");

    // a file that is there is never written over by a restore, nor is what a log of it could spoil
    let copy = folder.path().join("copy.db");
    assert!(run(&db, &["backup", copy.to_str().unwrap()]).0);
    let (succeeded, said) = run(&db, &["restore", copy.to_str().unwrap()]);
    assert!(!succeeded && said.contains("move it away first"), "{said}");
    let restored = folder.path().join("restored.db");
    fs::write(folder.path().join("restored.db-wal"), "of an earlier file").unwrap();
    let (succeeded, said) = run(&restored, &["restore", copy.to_str().unwrap()]);
    assert!(!succeeded && said.contains("restored.db-wal"), "{said}");

    let mut bytes = fs::read(&copy).unwrap();
    bytes[4096..12_288].fill(0xAA);
    let damaged = folder.path().join("damaged.db");
    fs::write(&damaged, bytes).unwrap();
    let new = folder.path().join("new.db");
    let (succeeded, said) = run(&new, &["restore", damaged.to_str().unwrap()]);
    assert!(!succeeded && said.contains("damaged"), "{said}");
    assert!(!new.exists());
}

#[test]
fn a_folder_of_backups_keeps_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backups");
    fs::create_dir(&to).unwrap();
    for name in ["waybill-20250101T030000Z.db", "waybill-20250102T030000Z.db", "waybill-19991231.db", "other.txt"] {
        fs::write(to.join(name), "").unwrap();
    }
    // the server writes one when the latest is older than a day
    let settings = [("WAYBILL_BACKUP_TO", to.to_str().unwrap()), ("WAYBILL_BACKUP_KEEP", "2")];
    let server = Server::start_with(&settings);
    let names = || {
        let mut names: Vec<String> =
            fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    support::aside::until("the oldest backup is deleted", || {
        !names().contains(&"waybill-20250101T030000Z.db".to_owned())
    });
    let found = names();
    assert_eq!(found.len(), 4, "{found:?}");
    for name in ["waybill-20250102T030000Z.db", "waybill-19991231.db", "other.txt"] {
        assert!(found.iter().any(|found| found == name), "{found:?}");
    }
    post(&server, 0);
    let (succeeded, said) = run(&server.db(), &["backup", to.to_str().unwrap(), "--keep", "1"]);
    assert!(succeeded, "{said}");
    let found = names();
    assert_eq!(found.len(), 3, "{found:?}");
    let latest = found.iter().find(|name| name.starts_with("waybill-20") && name.contains('T')).unwrap();
    assert_eq!(events(&to.join(latest)), ["e0"]);
}
