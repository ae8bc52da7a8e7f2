//! Errors of pages, and their public texts. The cause is logged, not shown.

use actix_web::http::StatusCode;

use crate::store;

/// Why a page could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing exists at this address: what was looked for.
    #[error("{0}")]
    NotFound(String),
    /// A part of the address or the form is invalid: which, and what it may be.
    #[error("{0}")]
    BadRequest(String),
    /// A form that no page of this server sent.
    #[error("the form does not come from a page of this server")]
    Foreign,
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The thread of the query ended early.
    #[error("the query was dropped")]
    Dropped,
    /// The server is at a limit, such as the number of exports.
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
            StatusCode::BAD_REQUEST => "Invalid request",
            StatusCode::FORBIDDEN => "Request blocked",
            StatusCode::SERVICE_UNAVAILABLE => "Temporarily unavailable",
            _ => "Server error",
        }
    }

    /// What happened, for people.
    pub fn public(&self) -> String {
        match self {
            Error::NotFound(what) | Error::BadRequest(what) => what.clone(),
            Error::Busy(what) => (*what).into(),
            Error::Foreign => "This form was not sent from a page of this server, so nothing was changed.".into(),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                "The database cannot be read at the moment: it is locked, or its disk does not respond.".into()
            }
            _ => "The page could not be loaded. The cause is in the server log.".into(),
        }
    }

    /// What people can do about it.
    pub fn advice(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => {
                "Search for an address, a delivery id, a person or a campaign, or go to the delivery log."
            }
            StatusCode::BAD_REQUEST => "Correct the address, or start again from the delivery log.",
            StatusCode::FORBIDDEN => {
                "Open the page and use its button. A proxy without TLS must pass on the Host header unchanged."
            }
            StatusCode::SERVICE_UNAVAILABLE => "Reload in a few seconds. No events are lost: senders retry.",
            _ => "Reload. If this persists, run `waybill verify` and report the error in the server log.",
        }
    }
}
