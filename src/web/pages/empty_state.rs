//! Shown where a filter finds no delivery: what there is instead.

use askama::Template;
use askama::filters::HtmlSafe;

use super::layout::Pages;
use super::parts::{Moment, log_of};
use super::silence::Silence;
use crate::domain::Millis;
use crate::store;
use crate::store::query::log::{Filter, Recipient};
use crate::store::query::{near, overview, suppressions};
use crate::store::retention;
use crate::web::error::Error;
use crate::web::format::Gap;

#[derive(Template)]
#[template(path = "parts/empty_state.html")]
pub struct EmptyState {
    /// When the first and the last delivery were created.
    span: Option<(Moment, Moment)>,
    /// The filter asks for a time without any delivery.
    is_outside: bool,
    /// It asks for a time of which deliveries were pruned: those created before, and when that was done last.
    pruned: Option<(Moment, Moment)>,
    /// Similar addresses, and their log.
    near: Vec<(String, String)>,
    is_recipient: bool,
    /// The address is or was on the suppression list; the page has a note of it.
    is_listed: bool,
    silence: Option<Silence>,
    /// The longest times without any event within the time asked for: from, to, duration.
    gaps: Vec<(Moment, Moment, Gap)>,
    /// How far back gaps were looked for.
    looked_since: Moment,
}

impl HtmlSafe for EmptyState {}

impl EmptyState {
    pub async fn of(pages: &Pages, filter: &Filter, now_ms: Millis) -> Result<EmptyState, Error> {
        let address = match &filter.recipient {
            Some(Recipient::Exactly(address)) => Some(address.clone()),
            Some(Recipient::StartingWith(_) | Recipient::With(_)) | None => None,
        };
        let is_recipient = address.is_some();
        let since_ms = filter.since_ms.unwrap_or(Millis::MIN);
        let until_ms = filter.until_ms.unwrap_or(Millis::MAX).min(now_ms);
        let (span, pruned, near, feed, is_listed, (gaps, looked_since_ms)) = pages
            .read(move |connection| {
                let listed = address.as_deref().map(|address| suppressions::of_address(connection, address));
                let near = address.map(|address| near::addresses(connection, &address)).transpose()?;
                Ok::<_, store::Error>((
                    near::span(connection)?,
                    retention::of_deliveries(connection)?,
                    near.unwrap_or_default(),
                    overview::feed(connection, now_ms)?,
                    listed.transpose()?.is_some_and(|listed| !listed.is_empty()),
                    near::gaps(connection, since_ms, until_ms)?,
                ))
            })
            .await?;
        let is_outside = span.is_some_and(|(first, last)| {
            filter.since_ms.is_some_and(|since| since > last) || filter.until_ms.is_some_and(|until| until <= first)
        });
        let log = |address: String| {
            let href = log_of(&pages.base, "recipient", &address).to_string();
            (address, href)
        };
        Ok(EmptyState {
            span: span.map(|(first, last)| (Moment::exact(first, now_ms), Moment::exact(last, now_ms))),
            is_outside,
            pruned: pruned
                .filter(|(before_ms, _)| until_ms <= *before_ms)
                .map(|(before_ms, at_ms)| (Moment::exact(before_ms, now_ms), Moment::exact(at_ms, now_ms))),
            near: near.into_iter().map(log).collect(),
            is_recipient,
            is_listed,
            silence: Silence::of(&feed, now_ms),
            gaps: gaps
                .into_iter()
                .map(|(from, to)| (Moment::exact(from, now_ms), Moment::exact(to, now_ms), Gap(to - from)))
                .collect(),
            looked_since: Moment::exact(looked_since_ms, now_ms),
        })
    }
}
