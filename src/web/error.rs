//! Errors of a page, and the message that people see. The cause is logged, not shown.

use actix_web::http::StatusCode;
use serde_json::{Value, json};

use crate::store;

/// The JSON of every error. `meta.error` is where Customer.io's client for Node.js looks for the message.
pub fn body(code: &str, message: &str) -> Value {
    json!({ "success": false, "code": code, "message": message, "meta": { "error": message } })
}

/// Why a page could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing exists at this address.
    #[error("{0}")]
    NotFound(String),
    /// A parameter is invalid: which one, and what it can be.
    #[error("{0}")]
    BadRequest(String),
    /// A form that no page of this server sent.
    #[error("the form does not come from a page of this server")]
    Foreign,
    /// The pages need a token, and the request has none.
    #[error("the request has no token")]
    NoToken,
    #[error("the token is wrong")]
    WrongToken,
    /// The address, or all together, sent too many wrong tokens.
    #[error("too many wrong tokens")]
    TooManyTokens { retry_after_s: u64 },
    /// The pages need no token, or a proxy signs people in, and the `Host` is no name of this server.
    #[error("the Host is no name of this server")]
    UnknownHost,
    /// A change, by a token that may only read.
    #[error("the token may only read")]
    ReadOnly,
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The thread of the query ended early.
    #[error("the query was dropped")]
    Dropped,
    /// As many exports run as are allowed.
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
            Error::Foreign | Error::ReadOnly | Error::UnknownHost => StatusCode::FORBIDDEN,
            Error::NoToken | Error::WrongToken => StatusCode::UNAUTHORIZED,
            Error::TooManyTokens { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Store(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            Error::Store(_) | Error::Template(_) | Error::Unwritten(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Dropped | Error::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The `code` in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Foreign => return "foreign_origin",
            Error::UnknownHost => return "foreign_host",
            Error::ReadOnly => return "read_only",
            Error::NoToken => return "no_token",
            Error::WrongToken => return "wrong_token",
            Error::TooManyTokens { .. } => return "too_many_tokens",
            _ => {}
        }
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
            _ if matches!(self, Error::ReadOnly) => "Not allowed",
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => "Not signed in",
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
            Error::NoToken => {
                "Sign in, or send a read or operate token as `Authorization: Bearer TOKEN`. `waybill keys add read NAME` makes one.".into()
            }
            Error::WrongToken => "This token is unknown or revoked.".into(),
            Error::TooManyTokens { retry_after_s } => format!(
                "Too many wrong tokens were tried. Wait {retry_after_s} s. The right token is accepted at any time."
            ),
            Error::UnknownHost => "This server does not know the Host name that was asked for.".into(),
            Error::ReadOnly => "This token may only read. Nothing was changed.".into(),
            Error::Foreign => "The request did not come from a page of this server, so it was not carried out.".into(),
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => {
                "The database could not be read: it is locked, or its disk does not respond.".into()
            }
            _ => "The page could not be loaded. The cause is in the server log.".into(),
        }
    }

    /// What people can do about it.
    pub fn advice(&self) -> &'static str {
        match self.status() {
            StatusCode::NOT_FOUND => {
                "Search for an address, delivery ID, person or campaign, or go to the delivery log."
            }
            StatusCode::BAD_REQUEST => "Change the address, or start again from the delivery log.",
            _ if matches!(self, Error::ReadOnly) => "Sign in with an operate token to make changes.",
            _ if matches!(self, Error::UnknownHost) => {
                "Use localhost or its address, or start the server with --host and this name."
            }
            StatusCode::FORBIDDEN => {
                "Open the page and use its button. A proxy must pass on the browser's Host header."
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                "Reload the page in a few seconds. No events are lost meanwhile: senders retry."
            }
            _ => "Reload the page. If the error persists, run `waybill verify` and report what the log says.",
        }
    }
}
