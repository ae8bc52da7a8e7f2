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
mod openapi;
mod ops;
pub mod pages;
pub mod peer;
pub mod refusals;
mod request_log;
mod same_origin;
mod session;
mod throttle;
mod tls;
pub mod waybill;

use std::net::TcpListener;

use actix_web::App;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, Data, ServiceConfig, resource};
use anyhow::Context as _;

use crate::config::Config;
use connection::Connections;
use ingest::Ingest;
pub use limits::stop_signals;
use tls::Certificate;
use waybill::Waybill;

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
    let (listen, tls, base) = (config.listen, config.tls.clone(), config.base.clone());
    let certificate = tls.as_ref().map(Certificate::load).transpose()?;
    let waybill = Waybill::start(config)?;
    let is_inherited = inherited.is_some();
    let listener = inherited.map_or_else(|| listen::listen(listen), Ok);
    let listener = listener.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let mut tasks = vec![actix_web::rt::spawn(beside(waybill.ingest().clone()))];
    let connections = Connections::new(waybill.refusals());
    let (served, connections_data, ending) = (waybill.clone(), Data::new(connections.clone()), connections.clone());
    let app = move || {
        let base = base.clone();
        // a proxy may pass its prefix on, or strip it
        let at_both = move |app: &mut ServiceConfig| {
            if !base.is_empty() {
                app.service(web::scope(&base).configure(routes));
            }
            app.configure(routes);
        };
        App::new()
            .app_data(connections_data.clone())
            .service(served.scope_at("", at_both))
            .wrap(from_fn(connection::take_turns))
    };
    let (scheme, tls) = match (certificate, tls) {
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
    tracing::info!("{}; {}", waybill.ingest().keys.summary(address), waybill.access().summary());
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
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
    Ok(waybill.close()?)
}

/// All routes. Pages take every address that is left, so they come last.
pub fn routes(config: &mut ServiceConfig) {
    let document = pages::page(resource(openapi::PATH), openapi::page);
    config.configure(app_api::routes).configure(ingest::routes).configure(ops::routes);
    config.service(document.wrap(from_fn(pages::page_middleware)).wrap(Compress::default()));
    config.configure(pages::routes);
}
