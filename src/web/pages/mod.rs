//! The pages: one file each, and this table of them.
//!
//! A handler reads its query into a filter, asks the file one or two questions, fills its page and renders it.
//! Templates hold no logic; what is shown is decided here, what is known in `store`.

mod campaign;
mod campaign_data;
mod campaigns;
mod chart;
mod compare;
mod compare_data;
mod deliveries;
mod delivery;
pub(super) mod event_query;
mod events;
mod health;
pub mod layout;
pub(super) mod log_query;
mod meanings;
mod nothing;
mod overview;
mod parts;
mod people;
mod person_data;
mod quarantine;
mod quarantine_acts;
mod schema;
mod search;
mod series;
mod source_names;
mod span;
mod start;
mod story;
mod suppressions;
#[cfg(test)]
mod tests;
pub(super) mod twin;
mod width;

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PayloadConfig, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse, Resource, Route, guard};

use super::assets;
use super::error::Error;
pub use layout::Pages;
use twin::{paths, paths_of_list};

/// Every page. They take all addresses that are left: configure what receives events before them.
pub fn routes(config: &mut ServiceConfig) {
    config.route("/favicon.ico", seen().to(assets::favicon));
    config.route("/assets/{name}", seen().to(assets::serve));
    config.service(
        web::scope("")
            .wrap(from_fn(layout::dress))
            .service(resource(["/", "/overview.json", "/overview.csv"]).route(seen().to(overview::page)))
            .service(resource(paths_of_list("/deliveries")).route(seen().to(deliveries::page)))
            .service(resource(paths_of_list("/events")).route(seen().to(events::page)))
            // ids hold slashes
            .service(resource("/deliveries/{id:.+}").route(seen().to(delivery::page)))
            .service(resource("/people/{id:.+}").route(seen().to(people::page)).route(web::post().to(people::keep)))
            .service(resource(paths("/campaigns")).route(seen().to(campaigns::page)))
            .service(form("/campaigns/names").route(web::post().to(source_names::one)))
            .service(
                form("/campaigns/names/file")
                    .app_data(PayloadConfig::new(source_names::FILE_BYTES_MAX))
                    .route(web::post().to(source_names::file)),
            )
            .service(resource("/campaigns/{kind}/{id:.+}").route(seen().to(campaign::page)))
            .service(resource(paths("/compare")).route(seen().to(compare::page)))
            .service(resource(paths("/suppressions")).route(seen().to(suppressions::page)))
            .service(resource(paths("/quarantine")).route(seen().to(quarantine::page)))
            .service(resource("/quarantine/confirm").route(seen().to(quarantine_acts::confirm)))
            .service(form("/quarantine/replay").route(web::post().to(quarantine_acts::replay)))
            .service(form("/quarantine/dismiss").route(web::post().to(quarantine_acts::dismiss)))
            .service(resource(paths("/meanings")).route(seen().to(meanings::page)))
            .service(resource(paths("/health")).route(seen().to(health::page)))
            .service(resource(paths("/schema")).route(seen().to(schema::page)))
            .service(resource("/search").route(seen().to(search::page)))
            .default_service(web::to(nothing)),
    );
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
