//! What can go wrong with a page, and what the reader is told. The cause is logged, not shown.

use actix_web::http::StatusCode;

use crate::store;

/// Why a page could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing at this address: what was looked for.
    #[error("{0}")]
    NotFound(String),
    /// The address asks for what cannot be: which part, and what it could be.
    #[error("{0}")]
    BadRequest(String),
    /// A form that was not sent by a page of this server.
    #[error("the form does not come from a page of this server")]
    Foreign,
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The thread of the query ended without an answer.
    #[error("the query was dropped")]
    Dropped,
    /// As many exports run as may.
    #[error("{0}")]
    Busy(&'static str),
    #[error("the data could not be written: {0}")]
    Unwritten(String),
    #[error("the page could not be written: {0}")]
    Template(#[from] askama::Error),
}

impl From<actix_web::error::BlockingError> for Error {
    fn from(_: actix_web::error::BlockingError) -> Error {
        Error::Dropped
    }
}

impl Error {
    pub fn status(&self) -> StatusCode {
        match self {
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            Error::BadRequest(_) => StatusCode::BAD_REQUEST,
            Error::Foreign => StatusCode::FORBIDDEN,
            Error::Store(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            Error::Store(_) | Error::Template(_) | Error::Unwritten(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Dropped | Error::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For programs.
    pub fn code(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::BAD_REQUEST => "bad_request",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            _ => "internal_error",
        }
    }

    /// The heading of its page.
    pub fn title(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::BAD_REQUEST => "That address cannot be read",
            StatusCode::FORBIDDEN => "Not from here",
            StatusCode::SERVICE_UNAVAILABLE => "Busy for a moment",
            _ => "Something broke",
        }
    }

    /// What happened, for the reader.
    pub fn public(&self) -> String {
        match self {
            Error::NotFound(what) | Error::BadRequest(what) => what.clone(),
            Error::Busy(what) => (*what).into(),
            Error::Foreign => {
                "What was sent does not say that it comes from a page of this server, so nothing was done.".into()
            }
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                "The file could not be read just now: it is locked, or its disk does not answer.".into()
            }
            _ => "The page could not be made. The cause is in the log of the server.".into(),
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => {
                "Search for an address, a delivery id, a person or a campaign, or go to the delivery log."
            }
            StatusCode::BAD_REQUEST => "Change the address as said above, or start again from the delivery log.",
            StatusCode::FORBIDDEN => {
                "Go to the page and press the button there. Behind a proxy without TLS, let it pass on the Host header as the browser sent it."
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                "Load the page again in a few seconds. Events that arrive meanwhile are not lost: senders try again."
            }
            _ => "Load the page again. If it stays so, run `waybill verify` and report what the log says.",
        }
    }
}
