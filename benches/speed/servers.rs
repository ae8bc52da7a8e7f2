//! What is measured: the real binary, and the design that one writes first.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::{Context, ensure};
use rusqlite::Connection;
use serde_json::{Value, json};
use waybill::intake::entries_of_line;
use waybill::store::{Entry, Tracker};
use waybill::wire::{self, IdKey};

use super::ENDS_AT_MS;
use super::load::{self, PATH, Sent};

/// Connections of the naive design.
const POOL: usize = 8;

/// `waybill serve` on a file. It ends with this.
pub struct Served {
    child: Child,
    pub port: u16,
}

impl Served {
    /// Returns once it listens.
    pub fn start(db: &Path) -> anyhow::Result<Served> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(db).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        Ok(Served { child, port: line.trim().rsplit(':').next().context("no port")?.parse()? })
    }

    /// Its greatest resident size.
    pub fn peak_memory_mb(&self) -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no such figure")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// How many events its mean transaction had.
    pub fn events_a_commit(&self) -> anyhow::Result<usize> {
        let health: Value = load::get(self.port, "/healthz")?.parse()?;
        let figure = |key: &str| health["writer"][key].as_u64().context("/healthz has no figures of the writer");
        Ok((figure("entries")? / figure("commits")?.max(1)) as usize)
    }

    /// Stops it as an operator does.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(self.child.wait()?.success(), "the server did not end well");
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Checks that a file has as many events as were sent.
pub fn ensure_stored(db: &Path, sent: usize) -> anyhow::Result<()> {
    let stored: i64 = Connection::open(db)?.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    ensure!(stored == sent as i64, "{sent} events were sent and {stored} are stored");
    Ok(())
}

/// The naive design: a pool of connections, and each request a transaction that it commits before it answers. It writes the
/// same tables by the same code as Waybill, so what it lacks is the one writer that commits for many requests together.
pub fn serve_naively(db: &Path, load: impl FnOnce(u16) -> anyhow::Result<Sent>) -> anyhow::Result<Sent> {
    let (back, free) = channel();
    for _ in 0..POOL {
        back.send(Tracker::open(db)?).ok().context("invariant: the receiver is there")?;
    }
    let id_key = IdKey::new(&Tracker::open(db)?.id_key()?);
    let data = Data::new(Naive { id_key, free: Mutex::new(free), back });
    let (ready, listens) = channel();
    let serving = thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = move || App::new().app_data(data.clone()).route(PATH, web::post().to(ingest_naively));
            let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0))?;
            let address = server.addrs()[0];
            let server = server.run();
            // whoever waits for it is there
            let _ = ready.send((address.port(), server.handle()));
            server.await
        })
    });
    let (port, handle) = listens.recv().context("the server did not start")?;
    let sent = load(port);
    // not awaited: the thread that joins below sees it end
    drop(handle.stop(false));
    serving.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
    sent
}

struct Naive {
    id_key: IdKey,
    /// The pool: whoever takes a connection out puts it back.
    free: Mutex<Receiver<Tracker>>,
    back: Sender<Tracker>,
}

async fn ingest_naively(body: Bytes, naive: Data<Naive>) -> HttpResponse {
    let stored = web::block(move || -> anyhow::Result<()> {
        let context = wire::Context {
            received_at_ms: ENDS_AT_MS,
            id_key: &naive.id_key,
            live: false,
            source_from: &wire::SourceFrom::Provider,
        };
        let entries: Vec<Entry> = entries_of_line(&body, &context).collect();
        let mut tracker = naive.free.lock().expect("invariant: no holder panics").recv()?;
        let recorded = tracker.record(&entries.iter().collect::<Vec<_>>(), ENDS_AT_MS);
        naive.back.send(tracker).ok().context("invariant: the receiver is there")?;
        Ok(recorded.map(drop)?)
    });
    match stored.await {
        Ok(Ok(())) => HttpResponse::Ok().json(json!({ "success": true })),
        _ => HttpResponse::ServiceUnavailable().finish(),
    }
}
