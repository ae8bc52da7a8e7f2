//! The socket, and what stands between a connection and the application: bounds, and TLS where there is a certificate.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request, Response};
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use anyhow::Context as _;
use listenfd::ListenFd;
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::either::Either;

use super::connection::{Bounded, Connections};

/// One worker parses requests; the other core is the writer's. Two were measured to be slower on two cores.
const WORKERS: usize = 1;

/// How many questions may be asked of the file at once; more wait. Each takes a thread, and some a connection of their own.
const QUESTIONS_AT_ONCE: usize = 32;

/// How long a TLS handshake may take, and then the head of a connection's first request.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// How long open requests may take once the server stops.
pub const STOP_WITHIN_S: u64 = 5;

/// How many new connections wait while the server is busy.
const BACKLOG: u32 = 1024;

/// How long a server that is to stop still serves the connections that it has accepted, where others wait in a socket that
/// outlives it: a client that has just connected sends its request, and one that keeps its connection reads in the answer that it closes.
pub const HAND_OVER: Duration = Duration::from_secs(1);

/// The listening socket that the starter of this process passed on (systemd's socket activation). It stays open while one
/// server ends and the next starts, so that no connection is refused. To be called before there are threads, as it removes
/// variables of the environment.
///
/// # Errors
/// It is not one TCP socket.
pub fn inherited() -> anyhow::Result<Option<TcpListener>> {
    let mut sockets = ListenFd::from_env();
    anyhow::ensure!(sockets.len() <= 1, "{} listening sockets were passed on; Waybill takes one", sockets.len());
    sockets.take_tcp_listener(0).context("the socket that was passed on must be a listening TCP socket")
}

/// Listens on an address.
///
/// # Errors
/// The address is not to be had.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Serves the application to all who connect.
///
/// # Errors
/// The listener does not work.
pub fn start<F, I, S, B>(
    app: F,
    listener: TcpListener,
    connections: Connections,
    connections_max: usize,
    tls: Option<ServerConfig>,
) -> std::io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let builder = Server::build();
    let draining = builder.graceful_shutdown_signal();
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    let http = move || {
        let (connections, draining, acceptor) = (connections.clone(), draining.clone(), acceptor.clone());
        let bounded = fn_service(move |stream: TcpStream| {
            let (connections, acceptor) = (connections.clone(), acceptor.clone());
            async move {
                let peer = stream.peer_addr().ok();
                let place = connections.place(peer.map(|peer| peer.ip())).ok_or(DispatchError::DisconnectTimeout)?;
                let stream = match acceptor {
                    None => Either::Left(stream),
                    Some(acceptor) => {
                        let accepted = tokio::time::timeout(HEAD_WITHIN, acceptor.accept(stream)).await;
                        Either::Right(accepted.map_err(|_| DispatchError::SlowRequestTimeout)??)
                    }
                };
                Ok((Bounded::new(stream, place), peer))
            }
        });
        let app = app().into_factory().map_err(|error| error.into().error_response());
        let app = HttpService::build()
            .client_request_timeout(HEAD_WITHIN)
            .client_disconnect_timeout(Duration::from_secs(1))
            .graceful_shutdown_signal(move || {
                let draining = draining.clone();
                async move { draining.notified().await }
            })
            .on_connect_ext(|stream: &Bounded<_>, data| {
                data.insert(stream.turn());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        bounded.and_then(app)
    };
    let builder = builder
        .workers(WORKERS)
        .worker_max_blocking_threads(QUESTIONS_AT_ONCE)
        .shutdown_timeout(STOP_WITHIN_S)
        .max_concurrent_connections(connections_max);
    Ok(builder.listen("http", listener, http)?.disable_signals().run())
}
