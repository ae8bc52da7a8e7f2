//! The real binary on a file of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::client;

pub struct Served {
    child: Child,
    port: u16,
    db: PathBuf,
    #[allow(dead_code, reason = "it is deleted with this")]
    folder: Option<TempDir>,
}

/// How a server stood in the end, and what is in its file.
pub struct Ended {
    pub peak_memory_kb: u64,
    /// Each counted once.
    pub events: i64,
    /// Of the mean transaction.
    pub events_a_commit: usize,
}

/// The binary serving a file, once it listens, and its port.
pub fn spawn(db: &Path) -> anyhow::Result<(Child, u16)> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_waybill"))
        .arg("serve")
        .arg("--db")
        .arg(db)
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
    Ok((child, line.trim().rsplit(':').next().context("no port")?.parse()?))
}

/// A figure in kilobytes of `/proc/PID/status`: VmHWM is the greatest resident size, VmRSS the present one.
pub fn memory_kb(pid: u32, figure: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).context("no such figure")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time of a process, in ticks of 10 ms.
pub fn cpu_ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().context("no stat")?.split(' ').collect();
    Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?)
}

/// Waits until a server has done what it does while nothing waits: it indexes what came, and sums days.
pub fn wait_until_idle(pid: u32) -> anyhow::Result<()> {
    loop {
        let before = cpu_ticks(pid)?;
        thread::sleep(Duration::from_millis(500));
        if cpu_ticks(pid)? - before <= 1 {
            return Ok(());
        }
    }
}

impl Served {
    pub fn start() -> anyhow::Result<Served> {
        let folder = tempfile::tempdir()?;
        let mut served = Served::on(&folder.path().join("waybill.db"))?;
        served.folder = Some(folder);
        Ok(served)
    }

    pub fn on(db: &Path) -> anyhow::Result<Served> {
        let (child, port) = spawn(db)?;
        Ok(Served { child, port, db: db.to_owned(), folder: None })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it, and makes sure that it stored all that was sent.
    pub fn end(mut self, sent: usize) -> anyhow::Result<Ended> {
        let health: Value = client::get(self.port, "/healthz")?.parse()?;
        let writer = |key: &str| health["writer"][key].as_u64().context("no figures of the writer");
        let (commits, entries) = (writer("commits")?, writer("entries")?);
        let peak_memory_kb = memory_kb(self.child.id(), "VmHWM")?;
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(self.child.wait()?.success(), "the server did not end well");
        let events = counted(&self.db, sent)?.events;
        Ok(Ended { peak_memory_kb, events, events_a_commit: (entries / commits.max(1)) as usize })
    }
}

/// What is in a file.
pub struct Counted {
    /// Each counted once.
    pub events: i64,
    pub bytes: i64,
    /// Of these, the raw JSON as it is packed.
    pub raw_bytes: i64,
}

/// What SQLite writes an integer in, or the length.
const RAW_BYTES: &str = "
    SELECT coalesce(sum(CASE WHEN typeof(raw) <> 'integer' THEN length(raw)
        WHEN abs(raw) < 1 << 7 THEN 1 WHEN abs(raw) < 1 << 15 THEN 2 WHEN abs(raw) < 1 << 23 THEN 3
        WHEN abs(raw) < 1 << 31 THEN 4 WHEN abs(raw) < 1 << 47 THEN 6 ELSE 8 END), 0) FROM events";

/// Makes sure that a file has taken all that was sent.
pub fn counted(db: &Path, sent: usize) -> anyhow::Result<Counted> {
    let file = Connection::open(db)?;
    let one = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0));
    let taken = one("SELECT sum(accepted + duplicate + ignored + quarantined) FROM receipts")?;
    ensure!(taken == sent as i64, "{sent} were sent and {taken} taken");
    Ok(Counted {
        events: one("SELECT count(*) FROM events")?,
        bytes: fs::metadata(db)?.len() as i64,
        raw_bytes: one(RAW_BYTES)?,
    })
}

impl Drop for Served {
    fn drop(&mut self) {
        // it has ended already, where all went well
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
