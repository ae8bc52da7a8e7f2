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
    body: String,
}

/// What every page needs, and the log.
pub static STYLE: LazyLock<Asset> =
    LazyLock::new(|| asset("waybill", "css", "text/css; charset=utf-8", small_css(&parts_of_style().0)));

/// The rest. It stands before the other in a page, so that what is said there for small windows holds for it too.
pub static MORE_STYLE: LazyLock<Asset> =
    LazyLock::new(|| asset("more", "css", "text/css; charset=utf-8", small_css(&parts_of_style().1)));

pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| script("waybill", include_str!("../../static/waybill.js")));

/// What the script loads where it is needed.
pub static MORE_SCRIPT: LazyLock<Asset> = LazyLock::new(|| script("more", include_str!("../../static/more.js")));

/// Without comments of their own line and the spaces that are there for who reads it.
fn script(name: &str, text: &str) -> Asset {
    let lines = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    asset(name, "js", "text/javascript; charset=utf-8", lines.collect::<Vec<_>>().join("\n"))
}

/// One file to write, two to load: the style sheet, parted by what stands between its two marks.
fn parts_of_style() -> (String, String) {
    let text = include_str!("../../static/waybill.css");
    let (before, rest) = text.split_once(MORE).unwrap_or((text, ""));
    let (more, after) = rest.split_once(MORE_ENDS).unwrap_or((rest, ""));
    (format!("{before}{after}"), more.to_owned())
}

const MORE: &str = "/* more: not in the log */";
const MORE_ENDS: &str = "/* more ends */";

/// Without comments and the spaces that are there for who reads it. No string of ours holds any of these.
fn small_css(text: &str) -> String {
    let mut small = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        small.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    small.push_str(rest);
    let small = small.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let spaces = [": ", "; ", ", ", " {", "{ ", " }", "} ", " > "].map(|it| (it, it.trim()));
    spaces.into_iter().fold(small, |small, (from, to)| small.replace(from, to)).replace(";}", "}").trim().to_owned()
}

pub static FAVICON: LazyLock<Asset> =
    LazyLock::new(|| asset("favicon", "svg", "image/svg+xml", include_str!("../../static/favicon.svg").into()));

fn asset(name: &str, extension: &str, content_type: &'static str, body: String) -> Asset {
    let hash: String = Sha256::digest(&body)[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    Asset { name: format!("{name}.{hash}.{extension}"), content_type, body }
}

/// The icon where browsers look for it unasked, as beside JSON.
pub async fn favicon() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, FAVICON.content_type))
        .insert_header((CACHE_CONTROL, "public, max-age=86400"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .body(FAVICON.body.as_str())
}

/// An asset by its name; any other hash than ours is not found.
pub async fn serve(name: web::Path<String>) -> HttpResponse {
    let assets = [&*STYLE, &*MORE_STYLE, &*SCRIPT, &*MORE_SCRIPT, &*FAVICON];
    let Some(asset) = assets.into_iter().find(|asset| asset.name == *name) else {
        return HttpResponse::NotFound().content_type("text/plain; charset=utf-8").body("no such asset\n");
    };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.content_type))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .body(asset.body.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_sheet_is_parted_and_small() {
        let whole = include_str!("../../static/waybill.css");
        let (style, more) = (&STYLE.body, &MORE_STYLE.body);
        assert!(style.contains(".lines") && style.contains("@media print") && !style.contains(".timeline{"));
        assert!(more.contains(".timeline{"));
        let count = |text: &str, c: char| text.matches(c).count();
        for c in ['{', '}'] {
            assert_eq!(count(style, c) + count(more, c), count(whole, c));
        }
        assert!(!style.contains("/*") && !more.contains("/*"));
        assert_eq!(small_css("/* a */\na > b, c {\n  margin: 0 auto;\n}\n"), "a>b,c{margin:0 auto}");
    }
}
