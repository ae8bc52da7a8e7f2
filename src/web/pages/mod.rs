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
use super::ingest::answer;
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
    config.route("/favicon.ico", get_or_head().to(assets::favicon));
    config.service(resource("/assets/{name}").wrap(Compress::default()).route(get_or_head().to(assets::serve)));
    config.service(
        web::scope("")
            .wrap(from_fn(around::page_middleware))
            .wrap(Compress::default())
            .service(page(resource(["/", "/overview.json", "/overview.csv"]), overview::page))
            .service(page(resource(paths_of_list("/deliveries")), deliveries::page))
            .service(page(resource("/newer.json"), deliveries::newer))
            .service(page(resource(paths_of_list("/events")), events::page))
            // IDs may contain slashes
            .service(page(resource("/deliveries/{id:.+}"), delivery::page))
            .service(page(resource("/people/{id:.+}"), people::page).route(web::post().to(people::keep)))
            .service(page(resource(paths("/campaigns")), campaigns::page))
            .service(form("/campaigns/names").route(web::post().to(source_names::one)))
            .service(
                form("/campaigns/names/file")
                    .app_data(PayloadConfig::new(source_names::FILE_BYTES_MAX))
                    .route(web::post().to(source_names::file)),
            )
            .service(page(resource("/campaigns/{kind}/{id:.+}"), campaign::page))
            .service(page(resource(paths("/compare")), compare::page))
            .service(page(resource(paths_of_list("/suppressions")), suppressions::page))
            .service(page(resource(paths("/quarantine")), quarantine::page))
            .service(page(resource("/quarantine/confirm"), quarantine_acts::confirm))
            .service(form("/quarantine/replay").route(web::post().to(quarantine_acts::replay)))
            .service(form("/quarantine/dismiss").route(web::post().to(quarantine_acts::dismiss)))
            .service(page(resource(paths("/meanings")), meanings::page))
            .service(page(resource(paths("/health")), health::page))
            .service(page(resource(metrics::PATH), metrics::page))
            .service(page(resource(paths("/schema")), schema::page))
            .service(page(resource("/connect"), connect::page))
            .service(page(resource("/search"), search::page))
            .service(page(resource(SIGN_IN), sign_in::page).route(web::post().to(sign_in::begin)))
            .service(page(resource(SIGN_OUT), sign_in::leave).route(web::post().to(sign_in::end)))
            .default_service(web::to(not_found)),
    );
}

/// A page for GET and HEAD; another method is answered with 405.
fn page<F, A>(at: Resource, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let otherwise = web::to(|| async { answer::wrong_method("GET, HEAD") });
    at.route(get_or_head().to(handler)).default_service(otherwise)
}

/// The target of a form, without a page of its own.
fn form(path: &str) -> Resource {
    resource(path).default_service(web::to(not_found))
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
