//! The pages: one file each, and this table of them.
//!
//! A handler reads its query into a filter, asks the file one or two questions, fills its page and renders it.
//! Templates hold no logic; what is shown is decided here, what is known in `store`.

mod campaign;
mod campaigns;
mod chart;
mod compare;
mod deliveries;
mod delivery;
mod delivery_data;
pub(super) mod event_query;
mod event_rail;
mod events;
mod figures;
mod health;
pub mod layout;
mod lines;
pub(super) mod log_query;
mod meanings;
mod nothing;
mod overview;
mod parts;
mod people;
mod quarantine;
mod quarantine_acts;
mod rail;
mod schema;
mod search;
mod search_words;
mod series;
mod sheet;
mod source_names;
mod span;
mod start;
mod story;
mod suppressions;
#[cfg(test)]
mod tests;
pub(super) mod twin;
mod why;

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig, ServiceConfig, resource};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, guard};

use super::assets;
use super::error::Error;
use super::ingest::answer;
pub use layout::Pages;
use twin::{paths, paths_of_list};

/// Every page. They take all addresses that are left: configure what receives events before them.
pub fn routes(config: &mut ServiceConfig) {
    config.route("/favicon.ico", seen().to(assets::favicon));
    config.route("/assets/{name}", seen().to(assets::serve));
    config.service(
        web::scope("")
            .wrap(from_fn(layout::dress))
            .service(page(resource(["/", "/overview.json", "/overview.csv"]), overview::page))
            .service(page(resource(paths_of_list("/deliveries")), deliveries::page))
            .service(page(resource("/newer.json"), deliveries::newer))
            .service(page(resource(paths_of_list("/events")), events::page))
            // ids hold slashes
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
            .service(page(resource(paths("/suppressions")), suppressions::page))
            .service(page(resource(paths("/quarantine")), quarantine::page))
            .service(page(resource("/quarantine/confirm"), quarantine_acts::confirm))
            .service(form("/quarantine/replay").route(web::post().to(quarantine_acts::replay)))
            .service(form("/quarantine/dismiss").route(web::post().to(quarantine_acts::dismiss)))
            .service(page(resource(paths("/meanings")), meanings::page))
            .service(page(resource(paths("/health")), health::page))
            .service(page(resource(paths("/schema")), schema::page))
            .service(page(resource("/search"), search::page))
            .default_service(web::to(nothing)),
    );
}

/// What is looked at, and says so to a program that sends to it.
fn page<F, A>(at: Resource, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let otherwise = web::to(|| async { answer::wrong_method("GET, HEAD") });
    at.route(seen().to(handler)).default_service(otherwise)
}

/// Where a page's form is sent to; there is nothing to see.
fn form(path: &str) -> Resource {
    resource(path).default_service(web::to(nothing))
}

/// For GET, and for HEAD, by which probes ask.
pub(super) fn seen() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A page for who looks, JSON for a program that sends.
async fn nothing(request: HttpRequest) -> Result<HttpResponse, Error> {
    let path = request.path();
    let is_looking = request.method() == Method::GET || request.method() == Method::HEAD;
    if is_looking && !path.starts_with("/v1/") && !path.starts_with("/api/") {
        return Err(Error::NotFound(format!("There is no page at {path}.")));
    }
    let message = format!("Nothing is served at {} {path}.", request.method());
    Ok(HttpResponse::NotFound().json(serde_json::json!({ "code": "not_found", "message": message })))
}
