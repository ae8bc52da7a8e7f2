//! What every page shares: the frame, access to the file, and who looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, web};
use askama::Template;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::parts::Moment;
use crate::config::Role;
use crate::domain::Millis;
use crate::store;
use crate::store::query::overview;
use crate::web::access::{By, Identity};
use crate::web::error::Error;
use crate::web::format::printable;
use crate::web::ingest::Counts;
use crate::web::nearest::nearest;
use crate::web::refusals::Refusals;
use crate::web::{address::Address, assets};

/// What the pages need, as application data.
pub struct Pages {
    pub readers: store::Readers,
    /// For its metrics.
    pub writer: store::Writer,
    /// The path below which a proxy serves Waybill, without a trailing slash: "" or "/waybill".
    pub base: String,
    /// For as many exports at the same time as are allowed.
    pub exports: Arc<Semaphore>,
    pub refusals: Refusals,
    pub counts: Counts,
    pub started_at_ms: Millis,
    /// How the file is kept.
    pub store: store::Options,
    /// Events in quarantine when a page last read the file, for the navigation.
    pub quarantined: Arc<AtomicI64>,
}

impl Pages {
    /// Runs a query on a thread that may block, in one read transaction.
    pub async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (readers, quarantined) = (self.readers.clone(), self.quarantined.clone());
        let answer = web::block(move || {
            let connection = readers.get()?;
            let moment = connection.unchecked_transaction().map_err(store::Error::from)?;
            quarantined.store(overview::quarantined(&moment)?, Ordering::Relaxed);
            question(&moment)
        });
        Ok(answer.await??)
    }

    pub fn layout(&self, section: &'static str) -> Layout {
        let quarantined = self.quarantined.load(Ordering::Relaxed);
        Layout { base: self.base.clone(), section, words: String::new(), quarantined, identity: identity() }
    }

    pub fn address(&self, path: &str) -> Address {
        Address::new(&self.base, path)
    }
}

/// The frame of a page.
pub struct Layout {
    pub base: String,
    /// The current entry of the navigation.
    pub section: &'static str,
    /// The text of the search box.
    pub words: String,
    /// Events in quarantine.
    pub quarantined: i64,
    /// Who looks at it; `None`: somebody who has not signed in.
    pub identity: Option<Identity>,
}

impl Layout {
    /// Whether to show what changes something.
    pub fn may_operate(&self) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.role == Role::Operate)
    }

    pub fn has_session(&self) -> bool {
        self.identity.as_ref().is_some_and(|identity| matches!(identity.by, By::Session { .. }))
    }

    /// When the page was made.
    pub fn as_of(&self) -> Moment {
        Moment::now(now_ms())
    }

    pub fn style(&self) -> &'static str {
        &assets::STYLE.name
    }

    pub fn script(&self) -> &'static str {
        &assets::SCRIPT.name
    }

    pub fn more_script(&self) -> &'static str {
        &assets::MORE_SCRIPT.name
    }

    pub fn favicon(&self) -> &'static str {
        &assets::FAVICON.name
    }
}

tokio::task_local! {
    /// Who sends the request that a task answers.
    pub(super) static IDENTITY: Option<Identity>;
}

/// Who sends the request that is being answered; `None`: somebody who has not signed in.
pub fn identity() -> Option<Identity> {
    IDENTITY.try_with(Clone::clone).ok().flatten()
}

/// Now; the one place where the pages read the clock.
pub fn now_ms() -> Millis {
    chrono::Utc::now().timestamp_millis()
}

/// Renders a page.
pub fn html(page: &impl Template) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(sanitize(&page.render()?)))
}

/// Replaces control characters, and the marks that override the direction of text, with which one name can be made to
/// look like another.
pub fn sanitize(page: &str) -> String {
    printable(page).replace(['\u{202d}', '\u{202e}'], "\u{fffd}")
}

/// The query of an address as pairs, in order.
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, Error> {
    web::Query::<Vec<(String, String)>>::from_query(query)
        .map(web::Query::into_inner)
        .map_err(|error| Error::BadRequest(format!("The query of the address is invalid: {error}.")))
}

/// Refuses parameters that a page does not have: a misspelled filter would find everything.
///
/// # Errors
/// [`Error::BadRequest`] with the unknown key and the known one that is spelled most like it.
pub fn refuse_unknown(pairs: &[(String, String)], known: &[&str]) -> Result<(), Error> {
    let Some((key, _)) = pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) else { return Ok(()) };
    let hint = nearest(key, known).map_or(String::new(), |known| format!(" Did you mean `{known}`?"));
    Err(Error::BadRequest(format!("Unknown parameter `{key}`.{hint}")))
}

/// Whether a parameter is there that has one value only.
///
/// # Errors
/// [`Error::BadRequest`] for another value.
pub fn is_set(pairs: &[(String, String)], key: &str, only: &str) -> Result<bool, Error> {
    match pairs.iter().find(|(known, value)| known == key && !value.is_empty()) {
        Some((_, value)) if value != only => {
            Err(Error::BadRequest(format!("Invalid `{key}={value}`. It can only be `{key}={only}`.")))
        }
        found => Ok(found.is_some()),
    }
}

/// Says when to try another token, and makes who goes on at once connect again.
pub fn slow_down(error: &Error, answer: &mut HttpResponse) {
    if let Error::TooManyTokens { retry_after_s } = error {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*retry_after_s));
        answer.head_mut().set_connection_type(ConnectionType::Close);
    }
}
