//! Reads request bodies by hand.
//!
//! The framework's own extractors look at a limit only after decompressing, and have no deadline. Here a body has a
//! cap, a deadline, a share of a budget that all requests draw on, and, where it is compressed, a cap on what it
//! inflates to.

use std::borrow::Cow;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Bytes, Payload};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a body may take. A webhook must be answered within four seconds.
const DEADLINE: Duration = Duration::from_secs(3);

/// What all bodies under way may hold together. More is told to come again.
const BUDGET_BYTES: usize = 64 << 20;

/// Bytes that may be held, shared by all requests.
#[derive(Clone)]
pub struct Budget(Arc<Semaphore>);

impl Default for Budget {
    fn default() -> Self {
        Budget(Arc::new(Semaphore::new(BUDGET_BYTES)))
    }
}

#[cfg(test)]
impl Budget {
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// More than `max` bytes, as sent or inflated.
    TooLarge {
        max: usize,
    },
    /// The budget is spent.
    Busy,
    TooSlow,
    /// The connection broke, or its framing did.
    Broken,
    /// `Content-Encoding` is something else than gzip.
    UnknownEncoding,
    /// Said to be gzip, and is not.
    NotGzip,
}

/// A body that was read, and its share of the budget until it is dropped.
#[derive(Default)]
pub struct Body {
    /// The first `keep` bytes.
    pub bytes: Vec<u8>,
    /// The length of all.
    pub length: usize,
    share: Option<OwnedSemaphorePermit>,
}

impl Body {
    pub fn is_whole(&self) -> bool {
        self.bytes.len() == self.length
    }

    /// Takes a further share: for a chunk, or for what the body inflated to.
    pub fn draw(&mut self, budget: &Budget, bytes: usize) -> Result<(), Unread> {
        let more = budget.0.clone().try_acquire_many_owned(bytes as u32).map_err(|_| Unread::Busy)?;
        match &mut self.share {
            Some(share) => share.merge(more),
            None => self.share = Some(more),
        }
        Ok(())
    }
}

/// How much of a body is read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A body up to this is kept whole.
    pub keep: usize,
    /// Of a longer one only so much is kept.
    pub keep_of_longer: usize,
    /// A body beyond this is refused.
    pub max: usize,
}

/// Reads a body; `each` sees every chunk as it comes, also of what is not kept.
pub async fn read(
    mut payload: Payload,
    budget: &Budget,
    limits: Limits,
    mut each: impl FnMut(&[u8]),
) -> Result<Body, Unread> {
    let mut body = Body::default();
    let reading = async {
        while let Some(chunk) = payload.next().await {
            let chunk: Bytes = chunk.map_err(|_| Unread::Broken)?;
            each(&chunk);
            body.length += chunk.len();
            if body.length > limits.max {
                return Err(Unread::TooLarge { max: limits.max });
            }
            if body.length > limits.keep {
                body.bytes.truncate(limits.keep_of_longer);
                body.bytes.shrink_to_fit();
                let room = limits.keep_of_longer - body.bytes.len();
                body.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
                continue;
            }
            body.draw(budget, chunk.len())?;
            body.bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    tokio::time::timeout(DEADLINE, reading).await.map_err(|_| Unread::TooSlow)??;
    Ok(body)
}

/// The body without its compression: gzip, whether a header says so or only its first bytes do.
pub fn inflate<'a>(body: &'a [u8], encoding: Option<&str>, max: usize) -> Result<Cow<'a, [u8]>, Unread> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    match encoding.map(str::trim) {
        None | Some("" | "identity") if !body.starts_with(&GZIP) => return Ok(Cow::Borrowed(body)),
        None | Some("" | "identity" | "gzip" | "x-gzip") => {}
        Some(_) => return Err(Unread::UnknownEncoding),
    }
    // all the room at once: pages that are not written take no memory, and growing would copy
    let mut out = Vec::with_capacity(max + 1);
    let inflated = MultiGzDecoder::new(body).take(max as u64 + 1).read_to_end(&mut out);
    match inflated {
        Ok(_) if out.len() > max => Err(Unread::TooLarge { max }),
        Ok(_) => Ok(Cow::Owned(out)),
        Err(_) => Err(Unread::NotGzip),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes_too() {
        for encoding in [Some("gzip"), Some(" gzip "), Some("x-gzip"), Some("identity"), None] {
            assert_eq!(inflate(&gzip(b"{}"), encoding, 10).as_deref(), Ok(&b"{}"[..]));
        }
        assert_eq!(inflate(b"{}", None, 10).as_deref(), Ok(&b"{}"[..]));
    }

    #[test]
    fn a_bomb_is_cut_off() {
        let bomb = gzip(&vec![b' '; 50 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(inflate(&bomb, Some("gzip"), 1 << 20), Err(Unread::TooLarge { max: 1 << 20 }));
    }

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let budget = Budget::default();
        let drawing = || {
            let mut body = Body::default();
            body.draw(&budget, 1 << 20)?;
            body.draw(&budget, BUDGET_BYTES / 2 - (1 << 20)).map(|()| body)
        };
        let (one, _two) = (drawing().ok(), drawing().ok());
        assert_eq!(drawing().err(), Some(Unread::Busy));
        drop(one);
        assert!(drawing().is_ok());
    }

    #[test]
    fn what_is_not_gzip_says_so() {
        assert_eq!(inflate(b"{}", Some("gzip"), 10), Err(Unread::NotGzip));
        assert_eq!(inflate(&gzip(b"{}")[..10], Some("gzip"), 10), Err(Unread::NotGzip));
        assert_eq!(inflate(b"{}", Some("br"), 10), Err(Unread::UnknownEncoding));
        assert_eq!(inflate(b"{}", Some("gzip, gzip"), 10), Err(Unread::UnknownEncoding));
    }
}
