//! The style sheet, the script and the icon, in the binary. Their names hold a hash of what they are, so a browser
//! may keep them for a year and still gets the new ones at once.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use sha2::{Digest, Sha256};

/// One file and the name under which it is served.
pub struct Asset {
    pub name: String,
    content_type: &'static str,
    body: &'static [u8],
}

pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| asset("waybill", "css", "text/css; charset=utf-8", include_bytes!("../../static/waybill.css")));

pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    asset("waybill", "js", "text/javascript; charset=utf-8", include_bytes!("../../static/waybill.js"))
});

pub static FAVICON: LazyLock<Asset> =
    LazyLock::new(|| asset("favicon", "svg", "image/svg+xml", include_bytes!("../../static/favicon.svg")));

fn asset(name: &str, extension: &str, content_type: &'static str, body: &'static [u8]) -> Asset {
    let hash: String = Sha256::digest(body)[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    Asset { name: format!("{name}.{hash}.{extension}"), content_type, body }
}

/// The icon where browsers look for it unasked, as beside JSON.
pub async fn favicon() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, FAVICON.content_type))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .body(FAVICON.body)
}

/// An asset by its name; any other hash than ours is not found.
pub async fn serve(name: web::Path<String>) -> HttpResponse {
    let Some(asset) = [&*STYLE, &*SCRIPT, &*FAVICON].into_iter().find(|asset| asset.name == *name) else {
        return HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("no such asset\n");
    };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.content_type))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .body(asset.body)
}
