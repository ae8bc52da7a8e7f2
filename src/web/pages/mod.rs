//! The pages: one file each, and this table of them.
//!
//! A handler parses its query into a filter, runs one or two queries of `store`, fills the struct of its template and
//! renders it. Templates hold no logic.

mod around;
mod automated;
mod campaign;
mod campaigns;
mod chart;
mod compare;
mod connect;
mod deliveries;
mod delivery;
mod delivery_data;
mod domains;
mod empty_state;
pub(super) mod event_query;
mod event_rail;
mod events;
mod figures;
mod funnel;
pub(super) mod health;
pub mod layout;
mod lines;
pub(super) mod log_query;
mod meanings;
mod metrics;
mod one_channel;
pub(super) mod openapi;
mod overview;
mod parts;
mod people;
mod quarantine;
mod quarantine_acts;
mod quarantine_notice;
mod rail;
mod schema;
mod search;
pub mod search_words;
pub(super) mod series;
mod sheet;
mod sign_in;
mod silence;
mod source_names;
mod span;
mod start;
mod story;
pub(super) mod suppression_query;
mod suppressions;
mod timeline;
mod trend;
pub(super) mod twin;
mod why;

use std::time::{Duration, Instant};

use actix_web::http::Method;
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::{self, PayloadConfig, ServiceConfig, resource};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard};

use super::assets;
use super::error::Error;
use super::ingest::answer::{self, takes_only};
pub(super) use around::page_middleware;
pub use layout::Pages;
use sign_in::{SIGN_IN, SIGN_OUT};
use twin::{paths, paths_of_list};

/// How long the questions of a page may search, in milliseconds. One that needs longer shows how far it came and goes on
/// from there.
pub const PAGE_MS: u64 = 50;

/// Says whether so many milliseconds are over, for [`Spent`](crate::store::query::paging::Spent).
pub fn budget(ms: u64) -> impl Fn() -> bool {
    let (begin, limit) = (Instant::now(), Duration::from_millis(ms));
    move || begin.elapsed() >= limit
}

/// Every page. They match all remaining paths, so the routes that receive events are configured before them.
pub fn routes(config: &mut ServiceConfig) {
    config.service(page(resource("/favicon.ico"), assets::favicon));
    config.service(page(resource("/assets/{name}"), assets::serve).wrap(Compress::default()));
    config.service(
        web::scope("")
            .wrap(from_fn(page_middleware))
            .wrap(Compress::default())
            .service(page(resource(["/", "/overview.json", "/overview.csv"]), overview::page))
            .service(page(resource(paths_of_list("/deliveries")), deliveries::page))
            .service(page(resource("/newer.json"), deliveries::newer))
            .service(page(resource(paths_of_list("/events")), events::page))
            // IDs may contain slashes
            .service(page(resource("/deliveries/{id:.+}"), delivery::page))
            .service(page_with_form("/people/{id:.+}", people::page, people::keep))
            .service(page(resource(paths("/campaigns")), campaigns::page))
            .service(form("/campaigns/names", source_names::one))
            .service(
                form("/campaigns/names/file", source_names::file)
                    .app_data(PayloadConfig::new(source_names::FILE_BYTES_MAX)),
            )
            .service(page(resource("/campaigns/{kind}/{id:.+}"), campaign::page))
            .service(page(resource(paths("/compare")), compare::page))
            .service(page(resource(paths_of_list("/suppressions")), suppressions::page))
            .service(page(resource(paths("/quarantine")), quarantine::page))
            .service(page(resource("/quarantine/confirm"), quarantine_acts::confirm))
            .service(form("/quarantine/replay", quarantine_acts::replay))
            .service(form("/quarantine/dismiss", quarantine_acts::dismiss))
            .service(page(resource(paths("/meanings")), meanings::page))
            .service(page(resource(paths("/health")), health::page))
            .service(page(resource(metrics::PATH), metrics::page))
            .service(page(resource(paths("/schema")), schema::page))
            .service(page(resource("/connect"), connect::page))
            .service(page(resource("/search"), search::page))
            .service(page_with_form(SIGN_IN, sign_in::page, sign_in::begin))
            .service(page_with_form(SIGN_OUT, sign_in::leave, sign_in::end))
            .default_service(web::to(not_found)),
    );
}

/// A page for GET and HEAD; another method is answered with 405.
pub(super) fn page<A: FromRequest + 'static>(at: Resource, handler: impl Handler<A, Output: Responder>) -> Resource {
    at.route(get_or_head().to(handler)).default_service(takes_only("GET, HEAD"))
}

/// A page whose form posts to the same path.
fn page_with_form<A: FromRequest + 'static, B: FromRequest + 'static>(
    path: &str,
    handler: impl Handler<A, Output: Responder>,
    form: impl Handler<B, Output: Responder>,
) -> Resource {
    let at = resource(path).route(get_or_head().to(handler)).route(web::post().to(form));
    at.default_service(takes_only("GET, HEAD, POST"))
}

/// The target of a form, without a page of its own.
fn form<A: FromRequest + 'static>(path: &str, handler: impl Handler<A, Output: Responder>) -> Resource {
    resource(path).route(web::post().to(handler)).default_service(takes_only("POST"))
}

/// GET, and HEAD for probes.
pub(super) fn get_or_head() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// 404: a page for a browser, JSON for what is sent to no page.
async fn not_found(request: HttpRequest) -> Result<HttpResponse, Error> {
    if request.method() == Method::GET || request.method() == Method::HEAD {
        return Err(Error::NotFound(format!("There is no page at {}.", request.path())));
    }
    Ok(answer::not_found(request).await)
}
