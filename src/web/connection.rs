//! What one connection, and all together, may take.
//!
//! The framework reads ahead: 128 KB of a connection whose requests it has decoded by thousands, and whose answers it keeps
//! while nobody reads them. Here a connection is read in small slices, and only when something waits for what comes: while a
//! request is answered, its body and nothing after it; while an answer cannot be sent, nothing. What begins and does not go
//! on is ended.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_http::ConnectionType;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage};
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::peer::network;
use super::refusals::Refusals;

/// In the place of a route.
const CONNECTION: &str = "connection";

/// How much is read at a time where the client may send heads: the shortest requests have 18 bytes, and each takes half a
/// kilobyte once it is decoded.
const HEAD_SLICE: usize = 512;

/// The same of a body whose length is known.
const BODY_SLICE: usize = 8 << 10;

/// How long the head of a request may take after its first byte, a body, and the sending of a part of an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many connections may be open. The kernel lets more wait.
pub const OPEN_MAX: usize = 16_000;

/// How many of one address. A client that sends and does not read takes some 150 KB of memory with each.
const OPEN_OF_ADDRESS_MAX: usize = 1_000;

/// How many of this machine, where a proxy may be.
const OPEN_OF_LOOPBACK_MAX: usize = 10_000;

/// How many connections are open, by address. Copies share it.
#[derive(Clone)]
pub struct Connections {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    is_ending: Arc<AtomicBool>,
    refusals: Refusals,
}

impl Connections {
    pub fn new(refusals: Refusals) -> Connections {
        Connections { open: Arc::default(), is_ending: Arc::default(), refusals }
    }

    /// From now on each connection ends with its next answer.
    pub fn end(&self) {
        self.is_ending.store(true, Relaxed);
    }

    /// A place for one more. `None`: its address has as many as it may.
    pub fn place(&self, peer: Option<IpAddr>) -> Option<Place> {
        let address = network(peer.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        let mut open = self.open.lock().ok()?;
        let of_address = open.entry(address).or_default();
        let max = if address.is_loopback() { OPEN_OF_LOOPBACK_MAX } else { OPEN_OF_ADDRESS_MAX };
        if *of_address >= max {
            self.refusals.count("connections_of_address", CONNECTION);
            return None;
        }
        *of_address += 1;
        Some(Place { connections: self.clone(), address })
    }
}

/// One of the connections of an address, until it is dropped.
pub struct Place {
    connections: Connections,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(mut open) = self.connections.open.lock()
            && let Some(count) = open.get_mut(&self.address)
        {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// Whose turn it is on a connection: the client's to send, or ours to answer. Copies share it.
#[derive(Clone, Default)]
pub struct Turn(Rc<State>);

#[derive(Default)]
struct State {
    is_answering: Cell<bool>,
    wants_body: Cell<bool>,
    /// What is left of the body, at most; 0 where its length is not known.
    body_left: Cell<usize>,
    /// A part of a request has come.
    has_begun: Cell<bool>,
    reader: Cell<Option<Waker>>,
}

impl Turn {
    fn set(&self, is_answering: bool, wants_body: bool) {
        self.0.is_answering.set(is_answering);
        self.0.wants_body.set(wants_body);
        if (wants_body || !is_answering)
            && let Some(reader) = self.0.reader.take()
        {
            reader.wake();
        }
    }
}

/// A stream that is read and written within bounds.
pub struct Bounded<S> {
    io: S,
    turn: Turn,
    /// A slice was given: the dispatcher decodes it before it gets the next.
    has_given: bool,
    /// What was written last waits for the client to read.
    writes_wait: bool,
    /// Runs while the client is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    place: Place,
}

impl<S> Bounded<S> {
    pub fn new(io: S, place: Place) -> Bounded<S> {
        Bounded { io, turn: Turn::default(), has_given: false, writes_wait: false, timer: None, place }
    }

    pub fn turn(&self) -> Turn {
        self.turn.clone()
    }

    /// Fails once the client was waited for too long.
    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        timer.as_mut().poll(context).map(|()| {
            self.place.connections.refusals.count("stalled", CONNECTION);
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.has_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        // whoever polls writes too, and is woken when that goes on
        if this.writes_wait {
            return Poll::Pending;
        }
        let state = this.turn.0.clone();
        if state.is_answering.get() && !state.wants_body.get() {
            state.reader.set(Some(context.waker().clone()));
            this.timer = None;
            return Poll::Pending;
        }
        let size = state.body_left.get().clamp(HEAD_SLICE, BODY_SLICE).min(into.remaining());
        let mut slice = ReadBuf::new(into.initialize_unfilled_to(size));
        let read = Pin::new(&mut this.io).poll_read(context, &mut slice);
        let count = slice.filled().len();
        if read.is_pending() {
            return if state.has_begun.get() { this.wait(context) } else { Poll::Pending };
        }
        into.advance(count);
        state.body_left.update(|left| left.saturating_sub(count));
        state.has_begun.set(true);
        this.has_given = count > 0;
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        this.writes_wait = written.is_pending();
        if this.writes_wait {
            return this.wait(context);
        }
        this.timer = None;
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

/// Reads the connection of a request no further than its answer needs.
pub async fn take_turns<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let Some(turn) = request.conn_data::<Turn>().cloned() else { return next.call(request).await };
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    turn.0.body_left.set(length.unwrap_or(0));
    turn.set(true, false);
    let answering = Answering(turn.clone());
    if !matches!(request.parts().1, Payload::None) {
        let body = Body { body: request.take_payload(), turn: turn.clone() };
        request.set_payload(Payload::Stream { payload: Box::pin(body) });
    }
    let mut answer = next.call(request).await?;
    drop(answering);
    // what is streamed may pause; else the client is to send its next request or, by the framework's clock, is let go sooner
    turn.0.has_begun.set(answer.response().body().size() != BodySize::Stream);
    let is_ending = answer.request().app_data::<Data<Connections>>().is_some_and(|all| all.is_ending.load(Relaxed));
    // whoever is refused and has sent more already takes another connection for it
    if is_ending || answer.status().is_client_error() {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(answer)
}

/// Lets the client send the next request when it is dropped.
struct Answering(Turn);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.set(false, false);
    }
}

/// A body, which is read while somebody waits for it.
struct Body {
    body: Payload,
    turn: Turn,
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = Pin::new(&mut self.body).poll_next(context);
        self.turn.set(true, chunk.is_pending());
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_so_many_connections_and_gives_them_back() {
        let connections = Connections::new(Refusals::default());
        let take = |address: &str| connections.place(Some(address.parse().unwrap()));
        let held: Vec<_> = (0..OPEN_OF_ADDRESS_MAX).map_while(|_| take("2001:db8::1")).collect();
        assert_eq!(held.len(), OPEN_OF_ADDRESS_MAX);
        assert!(take("2001:db8::2").is_none(), "an address of the same network");
        assert!(take("192.0.2.1").is_some());
        drop(held);
        assert!(take("2001:db8::2").is_some());
        let held: Vec<_> = (0..OPEN_MAX).map_while(|_| take("127.0.0.1")).collect();
        assert_eq!(held.len(), OPEN_OF_LOOPBACK_MAX);
    }
}
