//! A PostgreSQL server of this machine, on a socket in a folder of its own.

use std::collections::BTreeMap;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use postgres::{Client, Config, NoTls, SimpleQueryMessage};
use rusqlite::types::ValueRef;
use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use super::file;
use super::process::Process;

pub struct Postgres {
    process: Process,
    folder: TempDir,
}

/// The views that the target has too.
const VIEWS: &str = "('deliveries_v1', 'events_v1', 'events_raw_v1', 'event_devices_v1', 'campaign_metrics_v1', 'trigger_metrics_v1', 'link_metrics_v1', 'subscription_changes_v1')";

/// Rows of each table and view as text, in no order.
pub type Tables = BTreeMap<String, Vec<Vec<Option<String>>>>;

impl Postgres {
    pub fn start() -> Postgres {
        let folder = tempfile::tempdir().unwrap();
        if let Some((user, group)) = substitute() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        let mut command = program("initdb");
        command.args(["--auth=trust", "--username=waybill", "--encoding=UTF8", "--no-sync", "--pgdata"]).arg(&data);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        // the first line that fits counts
        let logins = "local all secret scram-sha-256\nlocal all all trust\n";
        std::fs::write(data.join("pg_hba.conf"), logins).unwrap();
        Postgres { process: serve(folder.path()), folder }
    }

    /// The address of a database.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://waybill@{folder}/{database}")
    }

    pub fn client(&self) -> Client {
        self.url("postgres").parse::<Config>().unwrap().connect(NoTls).unwrap()
    }

    /// Ends it as a crash would, connections and all.
    pub fn crash(&mut self) {
        let pid = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::QUIT).unwrap();
        self.process.ended();
    }

    /// Starts it again on what is left.
    pub fn start_again(&mut self) {
        self.process = serve(self.folder.path());
    }

    /// What the target has of an instance.
    pub fn tables(&self, instance: &str) -> Tables {
        let mut client = self.client();
        let names = "SELECT table_name::text FROM information_schema.tables
            WHERE table_schema = 'waybill' AND table_name <> 'replicas'";
        let names: Vec<String> = client.query(names, &[]).unwrap().iter().map(|row| row.get(0)).collect();
        let mut tables = Tables::new();
        for name in names {
            let sql = format!("SELECT * FROM waybill.{name} WHERE instance = '{}'", instance.replace('\'', "''"));
            let found = client.simple_query(&sql).unwrap();
            let rows = found.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some((1..row.len()).map(|n| row.get(n).map(str::to_owned)).collect()),
                _ => None,
            });
            let mut rows: Vec<_> = rows.collect();
            rows.sort_unstable();
            tables.insert(name, rows);
        }
        tables
    }
}

/// The public tables of a file as the target is to have them.
pub fn tables_of(db: &Path) -> Tables {
    let connection = file::open(db);
    // one moment
    connection.execute_batch("BEGIN").unwrap();
    let names = format!(
        "SELECT name FROM sqlite_schema WHERE name IN {VIEWS}
            OR (type = 'table' AND name NOT GLOB '_*' AND name NOT GLOB 'sqlite_*' AND name <> 'about')"
    );
    let mut names = connection.prepare(&names).unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let table = |name: String| {
        // the only column of the primary key
        let sql = "SELECT count(*) = 1 AND max(type) = 'INTEGER' FROM pragma_table_info(?1) WHERE pk > 0";
        let has_number = connection.query_row(sql, [&name], |row| row.get::<_, Option<bool>>(0)).unwrap() == Some(true);
        let columns = if has_number || name.ends_with("_v1") { "*" } else { "rowid, *" };
        let mut statement = connection.prepare(&format!("SELECT {columns} FROM {name}")).unwrap();
        let n = statement.column_count();
        let mut found = statement.query([]).unwrap();
        let mut rows = Vec::new();
        while let Some(row) = found.next().unwrap() {
            rows.push((0..n).map(|n| text(row.get_ref(n).unwrap())).collect::<Vec<_>>());
        }
        rows.sort_unstable();
        (name, rows)
    };
    names.into_iter().map(table).collect()
}

fn text(value: ValueRef) -> Option<String> {
    Some(match value {
        ValueRef::Null => return None,
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        ValueRef::Blob(bytes) => bytes.iter().fold("\\x".into(), |text, byte| format!("{text}{byte:02x}")),
    })
}

/// Fails with the first differences.
#[track_caller]
pub fn assert_same(expected: &Tables, found: &Tables, when: &str) {
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{when}");
    for (table, rows) in expected {
        let only = |one: &[Vec<_>], other: &[Vec<_>]| -> Vec<Vec<Option<String>>> {
            one.iter().filter(|row| other.binary_search(row).is_err()).take(3).cloned().collect()
        };
        let (missing, surplus) = (only(rows, &found[table]), only(&found[table], rows));
        assert!(
            *rows == found[table],
            "{when}: {table} has {} rows, wanted {}\nmissing: {missing:#?}\nsurplus: {surplus:#?}",
            found[table].len(),
            rows.len()
        );
    }
}

fn serve(folder: &Path) -> Process {
    let mut postgres = program("postgres");
    postgres.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-k"]).arg(folder);
    postgres.arg("-D").arg(folder.join("data"));
    // it logs to stderr
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(postgres.get_program()).args(postgres.get_args());
    Process::start(as_substitute(&mut shell), "ready to accept connections").0
}

/// One of its programs. Debian has them in a folder for each version.
fn program(name: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut paths: Vec<PathBuf> = versions.map(|version| version.unwrap().path().join("bin").join(name)).collect();
    paths.sort();
    let mut command = Command::new(paths.pop().unwrap_or_else(|| name.into()));
    as_substitute(&mut command);
    command
}

fn as_substitute(command: &mut Command) -> &mut Command {
    if let Some((user, group)) = substitute() {
        command.uid(user).gid(group).current_dir("/");
    }
    command
}

/// PostgreSQL refuses to run as root: the user that its package makes.
fn substitute() -> Option<(u32, u32)> {
    if !getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let user =
        users.lines().find_map(|line| line.strip_prefix("postgres:")).expect("a user postgres; ./test installs it");
    let mut numbers = user.split(':').skip(1).map(|number| number.parse().unwrap());
    Some((numbers.next().unwrap(), numbers.next().unwrap()))
}
