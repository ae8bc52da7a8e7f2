//! A warning that is shown where events are missed.

use askama::Template;
use askama::filters::HtmlSafe;

use super::parts::Moment;
use crate::domain::Millis;
use crate::store::query::overview::Feed;
use crate::web::format::Gap;

/// A warning that events have stopped.
#[derive(Template)]
#[template(path = "parts/silence.html")]
pub struct Silence {
    last: Moment,
    since: String,
    usual: Option<String>,
}

impl HtmlSafe for Silence {}

impl Silence {
    pub fn of(feed: &Feed, now_ms: Millis) -> Option<Silence> {
        let last_at_ms = feed.last_at_ms.filter(|_| feed.is_silent(now_ms))?;
        Some(Silence {
            last: Moment::exact(last_at_ms, now_ms),
            since: Gap(now_ms - last_at_ms).to_string(),
            usual: feed.longest_pause_ms.map(|ms| Gap(ms).to_string()),
        })
    }
}
