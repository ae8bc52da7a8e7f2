//! `/search?q=`: where a few words lead.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use super::parts::{person_address, source_address};
use crate::domain::SourceKind;
use crate::store::search::{self, Found};
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
        return Ok(see(&pages.address("/deliveries")));
    }
    let wrong = match operators(&pages.base, &words) {
        Asked::Log(address) => return Ok(see(&address)),
        Asked::Wrong(wrong) => Some(wrong),
        Asked::Plain => {
            let asked = words.clone();
            let found = pages.read(move |connection| search::find(connection, &asked)).await?;
            if let Some(address) = address_of(&pages.base, found) {
                return Ok(see(&address));
            }
            None
        }
    };
    let page = Layout { words: words.clone(), ..pages.layout("") };
    layout::html(&SearchPage { page, words, wrong })
}

fn see(address: &Address) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, address.to_string())).finish()
}

fn address_of(base: &str, found: Found) -> Option<Address> {
    let log = Address::new(base, "/deliveries");
    Some(match found {
        Found::Delivery(id) => log.segment(&id),
        Found::Person(identifier) => person_address(base, &identifier),
        Found::Beginning(start) => log.with("recipient", format!("{start}*")),
        Found::Source(source) => source_address(base, &source),
        Found::Nothing => return None,
    })
}

enum Asked {
    /// Only operators: a filter of the log.
    Log(Address),
    Wrong(String),
    Plain,
}

const OPERATORS: &str = "to:, person:, status:, ever:, channel:, campaign:, broadcast:, newsletter:, transactional:, \
    since:, until: and id:";

/// Words that all begin with an operator are a filter; `campaign:3` alone is the campaign, which plain search finds.
fn operators(base: &str, words: &str) -> Asked {
    let parts: Vec<&str> = words.split_whitespace().collect();
    let operator = |part: &str| part.split_once(':').map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let positive = |name: &str| name.strip_prefix('-').unwrap_or(name).to_owned();
    let split: Vec<Option<(String, String)>> = parts.iter().map(|part| operator(part)).collect();
    let is_known =
        |part: &Option<(String, String)>| part.as_ref().is_some_and(|(name, _)| key_of(&positive(name)).is_some());
    if !split.iter().any(is_known) {
        return Asked::Plain;
    }
    if let [Some((name, _))] = &split[..]
        && SourceKind::parse(name).is_some()
    {
        return Asked::Plain;
    }
    let mut address = Address::new(base, "/deliveries");
    for (part, split) in parts.iter().zip(&split) {
        let Some((name, value)) = split else {
            return Asked::Wrong(format!(
                "“{part}” stands beside operators and has none itself. There are {OPERATORS}."
            ));
        };
        if value.is_empty() {
            return Asked::Wrong(format!("“{name}:” has no value. Write it without a space after the colon."));
        }
        if name.starts_with('-') {
            if key_of(&positive(name)) != Some("status") {
                return Asked::Wrong(format!("“{name}:” cannot be left out; only a status can: -status:clicked."));
            }
            address = address.with("status", format!("-{value}"));
            continue;
        }
        address = match (name.as_str(), key_of(name)) {
            ("id", _) => return Asked::Log(Address::new(base, "/deliveries").segment(value)),
            (kind, Some("source")) => address.set("source", format!("{kind}:{value}")),
            (_, Some(key)) => address.with(key, value),
            (_, None) => return Asked::Wrong(format!("There is no operator “{name}:”. There are {OPERATORS}.")),
        };
    }
    Asked::Log(address)
}

/// The key in the log's address.
fn key_of(operator: &str) -> Option<&'static str> {
    Some(match operator {
        "to" | "recipient" => "recipient",
        "person" => "person",
        "status" => "status",
        "ever" => "ever",
        "channel" => "channel",
        "since" | "after" => "since",
        "until" | "before" => "until",
        "id" => "id",
        kind if SourceKind::parse(kind).is_some() => "source",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_make_a_filter() {
        let asked = |words| match operators("", words) {
            Asked::Log(address) => address.to_string(),
            Asked::Wrong(wrong) => wrong,
            Asked::Plain => "plain".into(),
        };
        assert_eq!(asked("status:bounced to:a@b.c"), "/deliveries?status=bounced&recipient=a@b.c");
        assert_eq!(asked("newsletter:3 ever:opened"), "/deliveries?source=newsletter:3&ever=opened");
        assert_eq!(asked("ever:opened -status:clicked"), "/deliveries?ever=opened&status=-clicked");
        assert!(asked("status:sent -channel:sms").contains("-status:clicked"));
        assert_eq!(asked("id:a/b="), "/deliveries/a%2Fb%3D");
        assert_eq!(asked("campaign:3"), "plain");
        assert_eq!(asked("campaign 3"), "plain");
        assert_eq!(asked("urn:x:y"), "plain");
        assert!(asked("status:bounced tom").contains("“tom”"));
        assert!(asked("status:bounced colour:red").contains("“colour:”"));
        assert!(asked("status:").contains("no value"));
    }
}
