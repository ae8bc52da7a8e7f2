//! Names of sources, given by people: events carry only IDs.

use std::convert::Infallible;

use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use multer::Multipart;

use super::layout::{self, Pages};
use super::parts::source_address;
use crate::store::query::log::SourceRef;
use crate::store::{Entry, Writer};
use crate::web::error::Error;
use crate::web::names::{self, Named};

/// The longest file of names.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// How many names are stored in one transaction, so that events do not wait for a long file.
const AT_ONCE: usize = 500;

type Form = Result<web::Form<Vec<(String, String)>>, actix_web::Error>;

/// Names one source, and returns to the page of the form.
pub async fn one(form: Form, pages: web::Data<Pages>, writer: web::Data<Writer>) -> Result<HttpResponse, Error> {
    let fields = form.map_err(|error| Error::BadRequest(format!("Invalid form: {error}.")))?.into_inner();
    let get = |key: &str| fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let field = |key: &str| get(key).unwrap_or_default();
    let named = names::named(field("kind"), field("id"), field("name")).map_err(wrong)?;
    let source = SourceRef { kind: named.0.kind.name().into(), id: named.0.id.to_string() };
    store(&writer, vec![named]).await?;
    let back = match get("list") {
        // the list as it was filtered and sorted
        Some(query) => {
            let pairs = layout::pairs(query)?;
            pairs.iter().fold(pages.address("/campaigns"), |address, (key, value)| address.with(key, value))
        }
        None => source_address(&pages.base, &source),
    };
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, back.to_string())).finish())
}

/// Names all sources of a CSV file, or none if a line is invalid.
pub async fn file(
    request: HttpRequest,
    body: Result<Bytes, actix_web::Error>,
    pages: web::Data<Pages>,
    writer: web::Data<Writer>,
) -> Result<HttpResponse, Error> {
    let unread = |what: &dyn std::fmt::Display| Error::BadRequest(format!("Invalid file: {what}."));
    let body = body.map_err(|error| unread(&error))?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|error| unread(&error))?;
    let mut parts = Multipart::new(stream::iter([Ok::<_, Infallible>(body)]), boundary);
    let mut csv = None;
    while let Some(part) = parts.next_field().await.map_err(|error| unread(&error))? {
        if part.name() == Some("file") {
            csv = Some(part.bytes().await.map_err(|error| unread(&error))?);
            break;
        }
    }
    let csv = csv.filter(|csv| !csv.is_empty());
    let csv = csv.ok_or_else(|| Error::BadRequest("No file was chosen. Go back and choose one.".into()))?;
    let named = names::read_csv(&csv).map_err(|what| wrong(format!("{what}; no names were imported")))?;
    let count = named.len();
    store(&writer, named).await?;
    let back = pages.address("/campaigns").with("named", count);
    Ok(HttpResponse::SeeOther().insert_header((LOCATION, back.to_string())).finish())
}

fn wrong(what: String) -> Error {
    let mut letters = what.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    Error::BadRequest(format!("{first}{}.", letters.as_str()))
}

/// Through the writer, in parts.
async fn store(writer: &Writer, named: Vec<Named>) -> Result<(), Error> {
    let now_ms = layout::now_ms();
    let mut named = named.into_iter();
    loop {
        let some: Vec<Entry> =
            named.by_ref().take(AT_ONCE).map(|(source, name)| Entry::Name { source, name }).collect();
        if some.is_empty() {
            return Ok(());
        }
        let stored = writer.write(some, now_ms).await;
        stored.map_err(|_| Error::Busy("The database cannot be written now. Some names may be stored; try again."))?;
    }
}
