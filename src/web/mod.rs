//! The server: pages for people, paths for senders.

pub mod access;
pub mod address;
pub mod alerts;
mod app_api;
pub mod assets;
pub mod backups;
mod checks;
mod connection;
mod damage;
pub mod error;
pub mod export;
pub mod format;
pub mod guard;
pub mod ingest;
pub mod keys;
mod limits;
mod listen;
pub mod names;
pub mod nearest;
mod ops;
pub mod pages;
pub mod peer;
pub mod refusals;
mod request_log;
mod same_origin;
mod session;
mod throttle;
mod tls;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::App;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use anyhow::Context as _;
use tokio::sync::Semaphore;
use tracing_actix_web::TracingLogger;

use crate::config::{Config, Invalid};
use crate::pull::{self, Stop};
use crate::store::keys::session_key;
use crate::store::query::quarantine;
use crate::store::{Readers, Tracker, Writer};
use crate::wire::IdKey;
use access::Access;
use connection::Connections;
use ingest::Ingest;
use ingest::keys::SenderKeys;
use ingest::lag::Lag;
use ingest::replay::{ReplayQueue, Replayer};
use keys::Keys;
use pages::Pages;
use refusals::Refusals;
use request_log::RequestLog;
use tls::Certificate;

/// Read connections; each caches 8 MB of pages.
const READERS: u32 = 4;

/// Serves until SIGTERM, SIGINT or SIGHUP; then finishes open requests, commits, checkpoints and returns.
///
/// # Errors
/// The file cannot be opened, another server has it, or the address cannot be listened on.
pub fn serve(config: Config) -> anyhow::Result<()> {
    serve_with(config, |_| std::future::ready(()))
}

/// The same, with a task that ends with the server.
pub fn serve_with<F>(mut config: Config, beside: impl FnOnce(Ingest) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let file = config.db.clone();
    let inherited = listen::inherited()?;
    if let Some(socket) = &inherited {
        config.listen = socket.local_addr()?;
    }
    let served = actix_web::rt::System::new().block_on(run(config, inherited, beside));
    served.with_context(|| format!("cannot serve {}", file.display()))
}

async fn run<F>(config: Config, inherited: Option<TcpListener>, beside: impl FnOnce(Ingest) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + 'static,
{
    let connections_max = limits::raise().min(connection::OPEN_MAX);
    let refusals = Refusals::default();
    let mut tracker = Tracker::open_alone(&config.db)?;
    if let Some(key) = &config.id_key {
        tracker.set_id_key(key.as_bytes())?;
    }
    tracker.set_options(config.store);
    // what an earlier process left unfinished; the writer tries it again
    if let Err(error) = tracker.erase_some() {
        tracing::error!(%error, "cannot go on with erasing people");
    }
    let id_key = IdKey::new(&tracker.id_key()?);
    let keys = Keys::load(&config.keys, tracker.connection())?;
    if config.is_open_to_all(keys.now().has_token()) {
        return Err(Invalid::OpenToAll { listen: config.listen }.into());
    }
    let access = Data::new(Access::new(&config, keys.clone(), session_key(tracker.connection())?));
    let certificate = config.tls.as_ref().map(Certificate::load).transpose()?;
    let readers = Readers::open(tracker.path(), READERS)?;
    let held = readers.held();
    let quarantined_before = quarantine::latest(&*readers.get()?)?;
    let (writer, writing) = Writer::start(tracker)?;
    let stop_pulling = Arc::new(Stop::default());
    let pulling = config.pull.map(|pull| {
        let (db, stop, options) = (config.db.clone(), stop_pulling.clone(), config.store);
        // on a thread and a connection of its own: the feed waits for no more than its short transactions
        std::thread::spawn(move || pull::every(&db, &pull, options, &stop))
    });
    let ingest = Ingest {
        writer: writer.clone(),
        id_key: Arc::new(id_key),
        source_from: Arc::new(config.source_from),
        public_url: config.public_url.map(Into::into),
        signature_max_age: config.signature_max_age,
        keys: SenderKeys { keys: keys.clone(), is_closed: config.access.trust_header.is_some() },
        limits: config.limits,
        budget: ingest::body::Budget::default(),
        counts: ingest::Counts::default(),
        lag: Lag::default(),
    };
    let replayer = Replayer {
        writer: writer.clone(),
        id_key: ingest.id_key.clone(),
        source_from: ingest.source_from.clone(),
        readers: readers.clone(),
    };
    let mut tasks = vec![
        actix_web::rt::spawn(keys::follow(keys, access.environment.clone(), readers.clone(), writer.clone())),
        actix_web::rt::spawn(ingest::due::apply_when_due(ingest.clone(), readers.clone())),
        actix_web::rt::spawn(ingest::replay::after_upgrade(replayer.clone(), quarantined_before)),
        actix_web::rt::spawn(backups::run(config.db.clone(), config.backups)),
        actix_web::rt::spawn(damage::look_for(readers.clone(), writer.clone())),
        actix_web::rt::spawn(beside(ingest.clone())),
    ];
    let replays = Data::new(ReplayQueue::new(replayer));
    let writer_data = Data::new(writer.clone());
    let sender_keys = ingest.keys.clone();
    let door = access.clone();
    let base = config.base.clone();
    let pages = Data::new(Pages {
        quarantined: Default::default(),
        readers: readers.clone(),
        writer: writer.clone(),
        base: config.base,
        exports: Arc::new(Semaphore::new(export::AT_ONCE)),
        refusals: refusals.clone(),
        counts: ingest.counts.clone(),
        started_at_ms: pages::layout::now_ms(),
        store: config.store,
    });
    let is_inherited = inherited.is_some();
    tasks.push(actix_web::rt::spawn(alerts::run(pages.clone(), config.alerts)));
    let listener = inherited.map_or_else(|| listen::listen(config.listen), Ok);
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let connections = Connections::new(refusals.clone());
    let refusals = Data::new(refusals);
    let probes = Data::new(ops::Probes::default());
    let connections_data = Data::new(connections.clone());
    let ending = connections.clone();
    let app = move || {
        // once for each worker, on its thread
        actix_web::rt::spawn(ingest.lag.clone().measure());
        let app = App::new()
            .app_data(Data::new(ingest.clone()))
            .app_data(Data::new(readers.clone()))
            .app_data(pages.clone())
            .app_data(replays.clone())
            .app_data(refusals.clone())
            .app_data(connections_data.clone())
            .app_data(access.clone())
            .app_data(probes.clone())
            .app_data(writer_data.clone());
        // a proxy may pass its prefix on, or strip it
        let below = web::scope(&base).configure(routes);
        app.configure(|app| {
            if !base.is_empty() {
                app.service(below);
            }
        })
        .configure(routes)
        .wrap(from_fn(guard::guard))
        .wrap(TracingLogger::<RequestLog>::new())
        .wrap(from_fn(connection::take_turns))
    };
    let (scheme, tls) = match (certificate, config.tls) {
        (Some(certificate), Some(files)) => {
            let tls = certificate.config()?;
            tasks.push(actix_web::rt::spawn(certificate.follow(files)));
            ("https", Some(tls))
        }
        _ => ("http", None),
    };
    let server = listen::start(app, listener, connections, connections_max, tls)?;
    // before the ready line: whoever reads that may stop the server at once
    let stop = limits::stop_signals()?;
    if is_inherited {
        tracing::info!("the listening socket was passed on; --listen is not used");
    }
    tracing::info!("{}; {}", sender_keys.summary(address), door.summary());
    println!("listening on {scheme}://{address}");
    let handle = server.handle();
    actix_web::rt::spawn(async move {
        stop.await;
        if is_inherited {
            handle.pause().await;
            ending.end();
            tokio::time::sleep(listen::HAND_OVER).await;
        }
        handle.stop(true).await;
    });
    server.await?;
    stop_pulling.stop();
    if let Some(pulling) = pulling {
        let _ = pulling.join();
    }
    // readers go before the writer: the last connection to close takes the write-ahead log away, and only one that may
    // write can
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    // queries end on threads of their own, also where the client has gone
    let mut tries = 0;
    while held.strong_count() > 0 && tries < listen::STOP_WITHIN_S * 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        tries += 1;
    }
    writer.stop();
    writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))
}

/// All routes. Pages take every address that is left, so they come last.
pub fn routes(config: &mut ServiceConfig) {
    config.configure(app_api::routes).configure(ingest::routes).configure(ops::routes).configure(pages::routes);
}
