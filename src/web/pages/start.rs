//! What is shown while nothing was ever received: where to send events, and one to try.

use actix_web::HttpRequest;
use askama::Template;
use askama::filters::HtmlSafe;

use super::layout::Pages;
use super::parts::{Linked, Moment};
use crate::domain::Millis;
use crate::store::overview;
use crate::web::error::Error;
use crate::web::format::Count;

#[derive(Template)]
#[template(path = "parts/start.html")]
pub struct Start {
    /// Scheme, host and base path by which the reader came here.
    root: String,
    address: String,
    /// What changes once anything comes: the script asks for it, and looks again.
    feed: String,
    /// What came and is about no delivery: when the last of it came, how much is kept aside, and how much ignored.
    came: Option<Moment>,
    last_at: String,
    quarantined: Linked,
    ignored: Count,
}

impl HtmlSafe for Start {}

impl Start {
    pub async fn of(request: &HttpRequest, pages: &Pages, now_ms: Millis) -> Result<Start, Error> {
        let feed = pages.read(move |connection| overview::feed(connection, now_ms)).await?;
        let info = request.connection_info();
        let came = feed.last_at_ms.map(|ms| Moment::ago(ms, now_ms));
        Ok(Start {
            root: format!("{}://{}{}", info.scheme(), info.host(), pages.base),
            address: request.uri().to_string(),
            feed: pages.address("/overview").ending(".json").to_string(),
            last_at: came.as_ref().map_or_else(String::new, |at| at.iso.clone()),
            came,
            quarantined: Linked::new(feed.quarantined, pages.address("/quarantine").to_string()),
            ignored: Count(feed.ignored),
        })
    }
}
