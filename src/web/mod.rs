//! The server: pages for people, paths for senders.

pub mod address;
pub mod assets;
pub mod backups;
pub mod client;
mod connection;
mod damage;
pub mod error;
pub mod export;
pub mod format;
pub mod ingest;
mod limits;
pub mod names;
mod nearest;
mod ops;
pub mod pages;
pub mod refusals;
mod request_log;
mod same_origin;

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error};
use anyhow::Context as _;
use tokio::net::TcpSocket;
use tracing_actix_web::TracingLogger;

use crate::config::Config;
use crate::store::query::quarantine;
use crate::store::{Readers, Tracker, Writer};
use crate::wire::IdKey;
use connection::{Bounded, Connections};
use export::Exports;
use ingest::Ingest;
use ingest::keys::Keys;
use ingest::replay::{ReplayQueue, Replayer};
use pages::Pages;
use refusals::Refusals;
use request_log::RequestLog;
use same_origin::OpenServer;

/// One worker parses requests; the other core is the writer's. Two were measured to be slower on two cores.
const WORKERS: usize = 1;

/// Read connections; each caches 8 MB of pages.
const READERS: u32 = 4;

/// How long the head of a connection's first request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// How long open requests may take once the server stops.
const STOP_WITHIN_S: u64 = 5;

/// Serves until SIGTERM, SIGINT or SIGHUP; then finishes open requests, commits, checkpoints and returns.
///
/// # Errors
/// The file cannot be opened, another server has it, or the address cannot be listened on.
pub fn serve(config: Config) -> anyhow::Result<()> {
    serve_with(config, |_| std::future::ready(()))
}

/// The same, with a task that ends with the server.
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
    let open_max = limits::raise().min(connection::OPEN_MAX);
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
    let readers = Readers::open(tracker.path(), READERS)?;
    let held = readers.held();
    let quarantined_before = quarantine::latest(&*readers.get()?)?;
    let (writer, writing) = Writer::start(tracker)?;
    let ingest = Ingest {
        writer: writer.clone(),
        id_key: Arc::new(id_key),
        signature_max_age: config.signature_max_age,
        keys: Keys::new(&config.signing_keys, config.ingest_keys, config.browser_keys),
        limits: config.limits,
        budget: ingest::body::Budget::default(),
    };
    let replayer = Replayer { writer: writer.clone(), id_key: ingest.id_key.clone(), readers: readers.clone() };
    let tasks = [
        actix_web::rt::spawn(ingest::due::apply_when_due(ingest.clone(), readers.clone())),
        actix_web::rt::spawn(ingest::replay::after_upgrade(replayer.clone(), quarantined_before)),
        actix_web::rt::spawn(backups::run(config.db.clone(), config.backups)),
        actix_web::rt::spawn(damage::look_for(readers.clone(), writer.clone())),
        actix_web::rt::spawn(beside(ingest.clone())),
    ];
    let replays = Data::new(ReplayQueue::new(replayer));
    let writer_data = Data::new(writer.clone());
    let is_loopback = config.listen.ip().is_loopback();
    let open = ingest.keys.is_open().then(|| Data::new(OpenServer { is_loopback }));
    let keys = ingest.keys.clone();
    let base = config.base.clone();
    let pages = Data::new(Pages {
        readers: readers.clone(),
        writer: writer.clone(),
        base: config.base,
        exports: Exports::default(),
        refusals: refusals.clone(),
        wal_max: config.store.wal_max,
    });
    let listener = listen(config.listen).with_context(|| format!("cannot listen on {}", config.listen))?;
    let address = listener.local_addr()?;
    let server = Server::build();
    let draining = server.graceful_shutdown_signal();
    let connections = Connections::new(refusals.clone());
    let refusals = Data::new(refusals);
    let app = move || {
        let app = App::new()
            .app_data(Data::new(ingest.clone()))
            .app_data(Data::new(readers.clone()))
            .app_data(pages.clone())
            .app_data(replays.clone())
            .app_data(refusals.clone())
            .app_data(writer_data.clone());
        let app = match &open {
            Some(open) => app.app_data(open.clone()),
            None => app,
        };
        // a proxy may pass its prefix on, or strip it
        let below = web::scope(&base).configure(routes);
        app.configure(|app| {
            if !base.is_empty() {
                app.service(below);
            }
        })
        .configure(routes)
        .wrap(from_fn(same_origin::guard))
        .wrap(TracingLogger::<RequestLog>::new())
        .wrap(from_fn(connection::take_turns))
    };
    let http = move || {
        let (connections, draining) = (connections.clone(), draining.clone());
        let bounded = fn_service(move |io: TcpStream| {
            let peer = io.peer_addr().ok();
            let bounded = connections.bound(io, peer.map(|peer| peer.ip()));
            ready(bounded.map(|io| (io, peer)).ok_or(DispatchError::DisconnectTimeout))
        });
        let app = HttpService::build()
            .client_request_timeout(HEAD_WITHIN)
            .client_disconnect_timeout(Duration::from_secs(1))
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            .on_connect_ext(|io: &Bounded<TcpStream>, data| {
                data.insert(io.turn());
            })
            .h1(map_config(app().into_factory().map_err(|error: Error| error.error_response()), |()| {
                AppConfig::default()
            }));
        bounded.and_then(app)
    };
    let server = server
        .workers(WORKERS)
        .shutdown_timeout(STOP_WITHIN_S)
        .max_concurrent_connections(open_max)
        .listen("http", listener, http)?
        .disable_signals()
        .run();
    // before the ready line: whoever reads that may stop the server at once
    let stop = limits::stop_signals()?;
    tracing::info!("{}", keys.summary(address));
    println!("listening on http://{address}");
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
    // queries end on threads of their own, also where the client has gone
    let mut tries = 0;
    while held.strong_count() > 0 && tries < STOP_WITHIN_S * 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        tries += 1;
    }
    writer.stop();
    writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))
}

/// Listens with a queue for the connections of a busy moment.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)?.into_std()
}

/// All routes. Pages take every address that is left, so they come last.
fn routes(config: &mut ServiceConfig) {
    config.configure(ingest::routes).configure(ops::routes).configure(pages::routes);
}
