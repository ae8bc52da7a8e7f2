//! Reads request bodies by hand.
//!
//! The framework's extractors check a limit only after decompressing, and have no deadline. Here a body has a cap, a
//! deadline, a share of a budget that all requests draw on, and a cap on what it inflates to. The raw bytes are kept, as
//! signatures are made over them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use actix_web::web::Payload;
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use tokio::sync::Semaphore;

use crate::web::access::client;
use crate::web::peer::network;

/// How long a body may take. A webhook must be answered within four seconds.
const DEADLINE: Duration = Duration::from_secs(3);

/// Bytes that all requests may hold together, beyond the first of each.
const BUDGET_BYTES: usize = 48 << 20;

/// Bytes that all may hold of the first of each: a flood of large bodies leaves room for webhooks, which have a few KB.
const RESERVE_BYTES: usize = 16 << 20;

/// How much of a body the reserve takes.
const SMALL_BYTES: usize = 16 << 10;

/// Bytes that one address may hold of the budget.
const ADDRESS_BYTES: usize = BUDGET_BYTES / 2;

/// Bytes that may be held, shared by all requests.
#[derive(Clone)]
pub struct Budget {
    reserve: Arc<Semaphore>,
    rest: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Default for Budget {
    fn default() -> Self {
        let semaphore = |bytes| Arc::new(Semaphore::new(bytes));
        Budget { reserve: semaphore(RESERVE_BYTES), rest: semaphore(BUDGET_BYTES), by_address: Arc::default() }
    }
}

impl Budget {
    /// The body of a request, of which nothing has come.
    ///
    /// # Errors
    /// Its length says that there is no room for it: then nothing is read.
    pub fn body(&self, request: &HttpRequest) -> Result<Body, BodyError> {
        let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let body = self.empty(client(request));
        // of a longer one not all is kept
        body.share.check(length.unwrap_or(0).min(ADDRESS_BYTES / 4)).map(|()| body)
    }

    pub(super) fn empty(&self, client: IpAddr) -> Body {
        let share = Share { budget: self.clone(), client: network(client), reserved: 0, rest: 0 };
        Body { bytes: Vec::new(), length: 0, share }
    }

    #[cfg(test)]
    pub fn free(&self) -> usize {
        self.reserve.available_permits() + self.rest.available_permits()
    }
}

/// What a body holds of the budget.
struct Share {
    budget: Budget,
    client: IpAddr,
    reserved: usize,
    rest: usize,
}

impl Share {
    /// Whether a body of so many bytes could be held now.
    fn check(&self, bytes: usize) -> Result<(), BodyError> {
        let more = bytes.saturating_sub(SMALL_BYTES);
        let by_address = self.budget.by_address.lock().map_err(|_| BodyError::Busy)?;
        let held = by_address.get(&self.client).map_or(0, |held| *held);
        let has_room = more == 0 || held + more <= ADDRESS_BYTES && more <= self.budget.rest.available_permits();
        if has_room { Ok(()) } else { Err(BodyError::Busy) }
    }

    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let small = bytes.min(SMALL_BYTES - self.reserved);
        self.budget.reserve.try_acquire_many(small as u32).map_err(|_| BodyError::Busy)?.forget();
        self.reserved += small;
        let more = bytes - small;
        if more > 0 {
            let mut by_address = self.budget.by_address.lock().map_err(|_| BodyError::Busy)?;
            let held = by_address.get(&self.client).map_or(0, |held| *held) + more;
            if held > ADDRESS_BYTES {
                return Err(BodyError::Busy);
            }
            self.budget.rest.try_acquire_many(more as u32).map_err(|_| BodyError::Busy)?.forget();
            by_address.insert(self.client, held);
            self.rest += more;
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.reserve.add_permits(self.reserved);
        if self.rest > 0 {
            self.budget.rest.add_permits(self.rest);
            if let Ok(mut by_address) = self.budget.by_address.lock()
                && let Some(held) = by_address.get_mut(&self.client)
            {
                *held -= self.rest;
                if *held == 0 {
                    by_address.remove(&self.client);
                }
            }
        }
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More than `max` bytes, as sent or inflated.
    TooLarge {
        max: usize,
    },
    /// The budget is spent.
    Busy,
    TooSlow,
    /// The connection or its framing broke.
    Broken,
    /// `Content-Encoding` names something other than gzip.
    UnknownEncoding,
    /// `Content-Encoding` says gzip, and the body is not.
    NotGzip,
}

/// A body, and its share of the budget until it is dropped.
pub struct Body {
    /// The first bytes: all of them, or those that [`Limits`] keeps of a longer body.
    pub bytes: Vec<u8>,
    /// The length of the whole body.
    pub length: usize,
    share: Share,
}

impl Body {
    pub fn is_complete(&self) -> bool {
        self.bytes.len() == self.length
    }

    /// Takes a further share of the budget, in bytes.
    ///
    /// # Errors
    /// The budget is spent, or the part of it that one client may have.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.share.grow(bytes)
    }
}

/// How much of a body is read, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A body up to this is kept completely.
    pub complete: usize,
    /// Of a longer one only so much is kept.
    pub beginning: usize,
    /// A body beyond this is refused.
    pub max: usize,
}

/// Reads a body into one that is empty; `inspect` sees every chunk, also those that are not kept.
pub async fn read(
    mut payload: Payload,
    mut body: Body,
    limits: Limits,
    mut inspect: impl FnMut(&[u8]),
) -> Result<Body, BodyError> {
    let reading = async {
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| BodyError::Broken)?;
            inspect(&chunk);
            body.length += chunk.len();
            if body.length > limits.max {
                return Err(BodyError::TooLarge { max: limits.max });
            }
            if body.length <= limits.complete {
                body.reserve(chunk.len())?;
                body.bytes.extend_from_slice(&chunk);
            } else {
                body.bytes.truncate(limits.beginning);
                body.bytes.shrink_to_fit();
                let room = limits.beginning - body.bytes.len();
                body.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
        }
        Ok(())
    };
    tokio::time::timeout(DEADLINE, reading).await.map_err(|_| BodyError::TooSlow)??;
    Ok(body)
}

/// The body without its compression: gzip, whether a header says so or only its first bytes do, as some SDKs send it.
pub fn inflate<'a>(body: &'a [u8], headers: &HeaderMap, max: usize) -> Result<Cow<'a, [u8]>, BodyError> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    if !is_gzip(headers)? && !body.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(body));
    }
    // reserved at once: pages that are not written take no memory, and growing would copy
    let mut out = Vec::with_capacity(max + 1);
    match MultiGzDecoder::new(body).take(max as u64 + 1).read_to_end(&mut out) {
        Ok(_) if out.len() > max => Err(BodyError::TooLarge { max }),
        Ok(_) => Ok(Cow::Owned(out)),
        Err(_) => Err(BodyError::NotGzip),
    }
}

/// Whether `Content-Encoding` says gzip. Codings may be written in any letter case, and `identity` is none.
fn is_gzip(headers: &HeaderMap) -> Result<bool, BodyError> {
    let mut is_gzip = false;
    for value in headers.get_all(CONTENT_ENCODING) {
        for coding in value.to_str().map_err(|_| BodyError::UnknownEncoding)?.split(',') {
            match coding.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" if !is_gzip => is_gzip = true,
                _ => return Err(BodyError::UnknownEncoding),
            }
        }
    }
    Ok(is_gzip)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use actix_web::http::header::HeaderValue;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn encoded(codings: &[&'static str]) -> HeaderMap {
        codings.iter().map(|coding| (CONTENT_ENCODING, HeaderValue::from_static(coding))).collect()
    }

    #[test]
    fn gzip_is_known_in_any_letter_case_and_by_its_first_bytes() {
        for codings in [
            &["gzip"][..],
            &[" GZip "],
            &["X-GZIP"],
            &["Identity"],
            &["identity, gzip"],
            &["gzip", "identity"],
            &[""],
            &[],
        ] {
            assert_eq!(inflate(&gzip(b"{}"), &encoded(codings), 10).as_deref(), Ok(&b"{}"[..]), "{codings:?}");
        }
        for codings in [&["IDENTITY"][..], &[""], &[]] {
            assert_eq!(inflate(b"{}", &encoded(codings), 10).as_deref(), Ok(&b"{}"[..]), "{codings:?}");
        }
    }

    #[test]
    fn other_encodings_are_refused() {
        for codings in [&["br"][..], &["gzip, gzip"], &["gzip", "x-gzip"], &["gzip, br"], &["utf-8"]] {
            let inflated = inflate(b"{}", &encoded(codings), 10);
            assert_eq!(inflated, Err(BodyError::UnknownEncoding), "{codings:?}");
        }
        assert_eq!(inflate(b"{}", &encoded(&["gzip"]), 10), Err(BodyError::NotGzip));
        assert_eq!(inflate(&gzip(b"{}")[..10], &encoded(&["gzip"]), 10), Err(BodyError::NotGzip));
    }

    #[test]
    fn a_bomb_is_cut_off() {
        let bomb = gzip(&vec![b' '; 50 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(inflate(&bomb, &encoded(&["gzip"]), 1 << 20), Err(BodyError::TooLarge { max: 1 << 20 }));
    }

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let budget = Budget::default();
        let body = |last: u8, bytes: usize| {
            let mut body = budget.empty(IpAddr::from([192, 0, 2, last]));
            body.reserve(bytes).map(|()| body)
        };
        let all = budget.free();
        let flood: Vec<_> = (0..6).map_while(|_| body(1, 4 << 20).ok()).collect();
        assert_eq!(flood.len(), 6);
        assert_eq!(body(1, 4 << 20).err(), Some(BodyError::Busy), "an address has its share");
        let others: Vec<_> = (2..9).map_while(|other| body(other, 4 << 20).ok()).collect();
        assert_eq!(others.len(), 6);
        assert_eq!(body(9, 1 << 20).err(), Some(BodyError::Busy), "the budget is spent");
        assert!(body(1, SMALL_BYTES).is_ok() && body(9, SMALL_BYTES).is_ok(), "small ones have a reserve");
        drop((flood, others));
        assert_eq!(budget.free(), all);
        assert!(budget.by_address.lock().unwrap().is_empty());
    }
}
