//! The style sheets, scripts and icon, compiled into the binary. Their names hold a hash of the content, so browsers may
//! cache them for a year and still load a new version at once.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use sha2::{Digest, Sha256};

/// A file, and the name under which it is served.
pub struct Asset {
    pub name: String,
    content_type: &'static str,
    body: &'static str,
}

pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| asset("waybill", "css", "text/css; charset=utf-8", include_str!("../../static/waybill.css")));

pub static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| asset("waybill", "js", "text/javascript; charset=utf-8", include_str!("../../static/waybill.js")));

/// What the script loads on demand.
pub static MORE_SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| asset("more", "js", "text/javascript; charset=utf-8", include_str!("../../static/more.js")));

pub static FAVICON: LazyLock<Asset> =
    LazyLock::new(|| asset("favicon", "svg", "image/svg+xml", include_str!("../../static/favicon.svg")));

fn asset(name: &str, extension: &str, content_type: &'static str, body: &'static str) -> Asset {
    let hash: String = Sha256::digest(body)[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    Asset { name: format!("{name}.{hash}.{extension}"), content_type, body }
}

/// The icon at the path where browsers look without being told, as beside JSON.
pub async fn favicon() -> HttpResponse {
    respond(&FAVICON, "public, max-age=86400")
}

/// An asset by its name. Another hash than the current one is not found.
pub async fn serve(name: web::Path<String>) -> HttpResponse {
    match [&*STYLE, &*SCRIPT, &*MORE_SCRIPT, &*FAVICON].into_iter().find(|asset| asset.name == *name) {
        Some(asset) => respond(asset, "public, max-age=31536000, immutable"),
        None => HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("no such asset\n"),
    }
}

fn respond(asset: &'static Asset, caching: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.content_type))
        .insert_header((CACHE_CONTROL, caching))
        .body(asset.body)
}
