//! `/search?q=`: redirects to the page that fits best, or shows why nothing was found.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::log_query::LogQuery;
use super::parts::{person_address, source_address, source_value};
use super::search_words::{self, Asked};
use super::{PAGE_MS, budget};
use crate::store;
use crate::store::query::log::{self, At, SourceRef};
use crate::store::query::search::{self, Found};
use crate::web::address::Address;
use crate::web::error::Error;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    page: Layout,
    words: String,
    wrong: Option<String>,
}

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let pairs = layout::pairs(request.query_string())?;
    let words = pairs.iter().find(|(key, _)| key == "q").map_or("", |(_, value)| value.trim()).to_owned();
    if words.is_empty() {
        return Ok(redirect(&pages.address("/deliveries")));
    }
    let log = |pairs: &[(String, String)]| {
        let place = |address: Address, (key, value): &(String, String)| address.with(key, value);
        pairs.iter().fold(pages.address("/deliveries"), place)
    };
    let wrong = match search_words::parse(&words) {
        Asked::Delivery(id) => return Ok(redirect(&pages.address("/deliveries").segment(&id))),
        Asked::Source(kind, written) => match source(&pages, kind, written).await? {
            Ok(source) => return Ok(redirect(&source_address(&pages.base, &source))),
            Err(wrong) => Some(wrong),
        },
        Asked::Log(pairs) => match named(&pages, pairs).await? {
            Ok(pairs) => match LogQuery::parse(&pages.base, &pairs, layout::now_ms()) {
                Ok(_) => return Ok(redirect(&log(&pairs))),
                Err(Error::BadRequest(wrong)) => Some(wrong),
                Err(error) => return Err(error),
            },
            Err(wrong) => Some(wrong),
        },
        Asked::Wrong(wrong) => Some(wrong),
        Asked::Plain(near) => {
            let asked = words.clone();
            let pairs = search_words::plain(&words);
            let query = LogQuery::parse(&pages.base, &pairs, layout::now_ms())?;
            let (found, is_written) = pages
                .read(move |connection| {
                    let spent = budget(PAGE_MS);
                    let found = search::find(connection, &asked, &spent)?;
                    // the log redirect is worth it only if the words occur, or may
                    let is_written = found == Found::Nothing && {
                        let page = log::page(connection, &query.filter, At::Newest, 1, &spent)?;
                        !page.rows.is_empty() || page.looked.is_some()
                    };
                    Ok((found, is_written))
                })
                .await?;
            let is_unknown_address = found == Found::Nothing && is_address(&words);
            let is_written = is_written || found == Found::Written;
            if let Some(address) = address_of(&pages.base, found) {
                return Ok(redirect(&address));
            }
            if is_unknown_address {
                // the empty log says what is near, and whether the address is suppressed
                return Ok(redirect(&pages.address("/deliveries").with("recipient", &words)));
            }
            if is_written && near.is_none() {
                return Ok(redirect(&log(&pairs)));
            }
            near
        }
    };
    let page = Layout { words: words.clone(), ..pages.layout("") };
    layout::html(&SearchPage { page, words, wrong })
}

/// Whether the words are one whole email address.
fn is_address(words: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.contains(['@', '*', ':']);
    !words.contains(char::is_whitespace)
        && words.split_once('@').is_some_and(|(name, host)| is_part(name) && is_part(host))
}

/// A source by its id or name, else what is wrong with it.
async fn source(pages: &Pages, kind: String, written: String) -> Result<Result<SourceRef, String>, Error> {
    pages
        .read(move |connection| {
            if let Some(source) = search::source(connection, &kind, &written)? {
                return Ok(Ok(source));
            }
            let near = search::names_with(connection, &written, 3)?;
            let near: Vec<String> = near.iter().map(|(kind, name)| format!("`{kind}:\"{name}\"`")).collect();
            let hint = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(" or ")) };
            Ok::<_, store::Error>(Err(format!("No {kind} has the ID or name “{written}”.{hint}")))
        })
        .await
}

type Pairs = Vec<(String, String)>;

/// Sources that are written by name, by their ids.
async fn named(pages: &Pages, mut pairs: Pairs) -> Result<Result<Pairs, String>, Error> {
    for (_, value) in pairs.iter_mut().filter(|(key, _)| key.trim_start_matches('-') == "source") {
        let Some((kind, written)) = value.split_once(':') else { continue };
        // an id may be that of a source to come
        if written.chars().all(|c| c.is_ascii_digit()) {
            continue;
        }
        match source(pages, kind.into(), written.into()).await? {
            Ok(source) => *value = source_value(&source),
            Err(wrong) => return Ok(Err(wrong)),
        }
    }
    Ok(Ok(pairs))
}

fn redirect(address: &Address) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, address.to_string())).finish()
}

fn address_of(base: &str, found: Found) -> Option<Address> {
    let log = Address::new(base, "/deliveries");
    Some(match found {
        Found::Delivery(id) => log.segment(&id),
        Found::Person(identifier) => person_address(base, &identifier),
        Found::Beginning(start) => log.with("recipient", format!("{start}*")),
        Found::Source(source) => source_address(base, &source),
        Found::Written | Found::Nothing => return None,
    })
}
