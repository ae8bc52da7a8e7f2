//! The server: pages for people, paths for senders.

pub mod address;
pub mod assets;
pub mod error;
pub mod export;
pub mod format;
pub mod ingest;
pub mod names;
mod ops;
pub mod pages;
mod same_origin;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpServer};
use anyhow::Context as _;

use crate::config::Config;
use crate::store::{Readers, Tracker, Writer, quarantine};
use crate::wire::{IdKey, signature};
use export::Exports;
use ingest::Ingest;
use ingest::again::{Again, Desk};
use ingest::keys::Keys;
use pages::Pages;

/// One worker takes and parses; the other core is the writer's. Two were measured to be slower on two cores.
const WORKERS: usize = 1;

/// Readers at a time; each keeps 8 MB of pages.
const READERS: u32 = 4;

/// How often it is tried whether another server has the file.
const LOCK_TRIES: u32 = 5;

/// How long what is under way may take once the server stops.
const STOP_WITHIN_S: u64 = 5;

/// Serves until it is told to stop (SIGTERM, SIGINT): takes no more, finishes, commits, checkpoints.
pub fn serve(config: Config) -> anyhow::Result<()> {
    serve_with(config, |_| std::future::ready(()))
}

/// Serves, with a task beside it that ends with the server.
pub fn serve_with<F>(config: Config, beside: impl FnOnce(Ingest) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let file = config.db.clone();
    let served = actix_web::rt::System::new().block_on(run(config, beside));
    served.with_context(|| format!("cannot serve {}", file.display()))
}

async fn run<F>(config: Config, beside: impl FnOnce(Ingest) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let mut tracker = Tracker::open(&config.db)?;
    let _only = only_server(&config.db)?;
    if let Some(key) = &config.id_key {
        tracker.set_id_key(key.as_bytes())?;
    }
    tracker.set_erasure_graces(Graces::new(config.deletion_grace, config.suppression_grace));
    // what an earlier process left unfinished
    tracker.erase_some()?;
    let id_key = IdKey::new(&tracker.id_key()?);
    let readers = Readers::open(&config.db, READERS)?;
    let held = readers.held();
    let kept_before = quarantine::latest(&*readers.get()?)?;
    let (writer, writing) = Writer::start(tracker)?;
    let ingest = Ingest {
        writer: writer.clone(),
        id_key: Arc::new(id_key),
        signature_max_age: config.signature_max_age,
        signing_keys: config.signing_keys.iter().map(|key| signature::Key::new(key.as_bytes())).collect(),
        keys: Keys::new(config.ingest_keys, config.browser_keys),
        limits: config.limits,
        budget: ingest::body::Budget::default(),
    };
    let again = Again { writer: writer.clone(), id_key: ingest.id_key.clone(), readers: readers.clone() };
    let tasks = [
        actix_web::rt::spawn(ingest::due::apply_when_due(ingest.clone(), readers.clone())),
        actix_web::rt::spawn(ingest::again::after_an_upgrade(again.clone(), kept_before)),
        actix_web::rt::spawn(beside(ingest.clone())),
    ];
    let desk = Data::new(Desk::new(again));
    let names_to = Data::new(writer.clone());
    let base = config.base.clone();
    let pages = Data::new(Pages {
        readers: readers.clone(),
        writer: writer.clone(),
        base: config.base,
        exports: Exports::default(),
    });
    let server = HttpServer::new(move || {
        let app = App::new()
            .app_data(Data::new(ingest.clone()))
            .app_data(Data::new(readers.clone()))
            .app_data(pages.clone())
            .app_data(desk.clone())
            .app_data(names_to.clone());
        // a proxy may pass its prefix on, or strip it
        let below = web::scope(&base).configure(routes);
        app.configure(|app| {
            if !base.is_empty() {
                app.service(below);
            }
        })
        .configure(routes)
    })
    .workers(WORKERS)
    .shutdown_timeout(STOP_WITHIN_S)
    .client_request_timeout(Duration::from_secs(5))
    .bind(config.listen)
    .with_context(|| format!("cannot listen on {}", config.listen))?;
    let addresses = server.addrs();
    let server = server.disable_signals().run();
    // before the line that says it listens: whoever reads it may stop the server at once
    let stop = stop_signals()?;
    for address in addresses {
        println!("listening on http://{address}");
    }
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        stop.await;
        handle.stop(true).await;
    });
    server.await?;
    // readers go before the writer: the last connection to close takes the write-ahead log away, and only one that may
    // write can
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    // a question that was asked is answered on a thread of its own, whoever has gone meanwhile
    let mut tries = 0;
    while held.strong_count() > 0 && tries < STOP_WITHIN_S * 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        tries += 1;
    }
    writer.stop();
    writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))
}

/// Makes sure that no other server has the file: each would answer for what the other's queue still holds. Commands may
/// work beside a server. The lock ends with the process, however it ends.
pub fn only_server(db: &Path) -> anyhow::Result<File> {
    let path = lock_of(db);
    let lock = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // a command that asks whether the file is served has it for a moment
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    anyhow::bail!("another waybill serves it already; stop that one first")
}

/// Whether a server has the file now.
pub fn is_served(db: &Path) -> bool {
    File::open(lock_of(db)).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock_of(db: &Path) -> PathBuf {
    db.with_added_extension("lock")
}

/// The whole route table: `ingest` and `pages` list theirs. Pages take all addresses that are left, so they come last.
fn routes(config: &mut ServiceConfig) {
    config.configure(ingest::routes).configure(ops::routes).configure(pages::routes);
}

/// Waits for SIGTERM or SIGINT; they are caught from the call on.
#[cfg(unix)]
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signals() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // without a handler the process ends at once; what was acknowledged is on disk
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
