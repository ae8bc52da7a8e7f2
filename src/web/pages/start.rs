//! Shown until the first event: where to send events, and one to try.

use actix_web::{HttpRequest, web};
use askama::Template;
use askama::filters::HtmlSafe;

use super::layout::Pages;
use super::parts::{Linked, Moment};
use crate::domain::Millis;
use crate::store::query::overview;
use crate::web::access::Access;
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::format::Count;

#[derive(Template)]
#[template(path = "parts/start.html")]
pub struct Start {
    /// Scheme, host and base path of the request.
    root: String,
    address: String,
    connect: Address,
    /// The address that the script polls until something arrives.
    feed: String,
    /// What was received about no delivery: when the last of it came, how many are in quarantine, how many ignored.
    came: Option<Moment>,
    last_at: String,
    quarantined: Linked,
    ignored: Count,
}

impl HtmlSafe for Start {}

impl Start {
    pub async fn of(request: &HttpRequest, pages: &Pages, now_ms: Millis) -> Result<Start, Error> {
        let feed = pages.read(move |connection| overview::feed(connection, now_ms)).await?;
        let origin = request.app_data::<web::Data<Access>>().map(|access| access.peer(request).origin());
        let came = feed.last_at_ms.map(|ms| Moment::ago(ms, now_ms));
        Ok(Start {
            root: format!("{}{}", origin.unwrap_or_default(), pages.base),
            connect: pages.address("/connect"),
            address: request.uri().to_string(),
            feed: pages.address("/overview").ending(".json").to_string(),
            last_at: came.as_ref().map_or_else(String::new, |at| at.iso.clone()),
            came,
            quarantined: Linked::new(feed.quarantined, pages.address("/quarantine").to_string()),
            ignored: Count(feed.ignored),
        })
    }
}
