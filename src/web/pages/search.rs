//! `/search?q=`: redirects to the page that fits best, or shows why nothing was found.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::log_query::LogQuery;
use super::parts::{person_address, source_address};
use super::search_words::{self, Asked};
use super::{PAGE_MS, budget};
use crate::store::query::log::{self, At};
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
        Asked::Log(pairs) => match LogQuery::parse(&pages.base, &pairs, layout::now_ms()) {
            Ok(_) => return Ok(redirect(&log(&pairs))),
            Err(Error::BadRequest(wrong)) => Some(wrong),
            Err(error) => return Err(error),
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
            let is_written = is_written || found == Found::Written;
            if let Some(address) = address_of(&pages.base, found) {
                return Ok(redirect(&address));
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
