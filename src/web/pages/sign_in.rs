//! `/sign-in` and `/sign-out`: a browser exchanges a token for a session, and ends it.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::layout::{self, Layout, Pages};
use crate::store::{Entry, Writer};
use crate::web::access::{Access, By};
use crate::web::address::Address;
use crate::web::error::Error;
use crate::web::keys;

pub const SIGN_IN: &str = "/sign-in";
pub const SIGN_OUT: &str = "/sign-out";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    page: Layout,
    action: Address,
    next: String,
    wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOutPage {
    page: Layout,
    action: Address,
    name: String,
    may_change: bool,
}

type Form = Result<web::Form<Vec<(String, String)>>, actix_web::Error>;

pub async fn page(request: HttpRequest, pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    let query = layout::pairs(request.query_string())?;
    let next = local(field(&query, "next"));
    if layout::identity().is_some() {
        return Ok(go_to(&format!("{}{next}", pages.base)));
    }
    let action = pages.address(SIGN_IN);
    layout::html(&SignInPage { page: pages.layout(""), action, next: next.into(), wrong: None })
}

/// Begins a session.
pub async fn begin(
    request: HttpRequest,
    form: Form,
    pages: web::Data<Pages>,
    access: web::Data<Access>,
) -> Result<HttpResponse, Error> {
    let fields = fields(form)?;
    let next = local(field(&fields, "next"));
    let error = match access.sign_in(&request, field(&fields, "token"), layout::now_ms()) {
        Ok(cookie) => {
            let mut answer = go_to(&format!("{}{next}", pages.base));
            answer.add_cookie(&cookie).map_err(|error| Error::Unwritten(error.to_string()))?;
            return Ok(answer);
        }
        Err(error) => error,
    };
    let (page, action) = (pages.layout(""), pages.address(SIGN_IN));
    let mut answer = layout::html(&SignInPage { page, action, next: next.into(), wrong: Some(error.public()) })?;
    *answer.status_mut() = error.status();
    layout::slow_down(&error, &mut answer);
    Ok(answer)
}

/// Asks from where to sign out.
pub async fn leave(pages: web::Data<Pages>) -> Result<HttpResponse, Error> {
    match layout::identity() {
        Some(identity) => match identity.by {
            By::Session { name, .. } => {
                let (page, action) = (pages.layout(""), pages.address(SIGN_OUT));
                layout::html(&SignOutPage { may_change: page.may_operate(), page, action, name })
            }
            // there is no session to end
            _ => Ok(go_to(&pages.address("/").to_string())),
        },
        None => Err(Error::NoToken),
    }
}

/// Ends the session; where the form says so, all sessions of its token.
pub async fn end(
    request: HttpRequest,
    form: Form,
    pages: web::Data<Pages>,
    access: web::Data<Access>,
    writer: web::Data<Writer>,
) -> Result<HttpResponse, Error> {
    let fields = fields(form)?;
    if let Some(By::Session { token, .. }) = layout::identity().map(|identity| identity.by)
        && !field(&fields, "everywhere").is_empty()
    {
        let ended = writer.write(vec![Entry::SessionsEnded { token }], layout::now_ms()).await;
        ended.map_err(|_| Error::Busy("The database cannot be written now, so the sessions go on; try again."))?;
        keys::read_again(&access.keys, &access.environment, &pages.readers).await?;
    }
    let mut answer = go_to(&pages.address(SIGN_IN).to_string());
    let cookie = access.sessions.end(access.peer(&request).is_tls);
    answer.add_cookie(&cookie).map_err(|error| Error::Unwritten(error.to_string()))?;
    Ok(answer)
}

/// The address of the sign-in page, with a way back.
pub fn address(request: &HttpRequest, base: &str) -> Address {
    let address = Address::new(base, SIGN_IN);
    let asked = request.uri().path_and_query().map_or("", |asked| asked.as_str());
    // a proxy may have stripped the base or not
    let below = asked.strip_prefix(base).filter(|below| below.starts_with('/')).unwrap_or(asked);
    let is_page = request.method().is_safe() && local(below) == below && below != "/";
    if is_page { address.with("next", below) } else { address }
}

fn go_to(address: &str) -> HttpResponse {
    HttpResponse::build(StatusCode::SEE_OTHER).insert_header((LOCATION, address)).finish()
}

fn fields(form: Form) -> Result<Vec<(String, String)>, Error> {
    Ok(form.map_err(|error| Error::BadRequest(format!("Invalid form: {error}.")))?.into_inner())
}

fn field<'f>(fields: &'f [(String, String)], key: &str) -> &'f str {
    fields.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
}

/// A path of this server as it is, else its first page. A browser takes `//` and `/\` for another host, and skips control
/// characters.
fn local(next: &str) -> &str {
    let mut bytes = next.bytes();
    let is_path = bytes.next() == Some(b'/') && !next.starts_with("//");
    if is_path && bytes.all(|byte| byte.is_ascii_graphic() && byte != b'\\') { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_paths_are_gone_to() {
        for path in
            ["/", "/deliveries", "/deliveries?status=bounced&-channel=sms#x", "/people/a%2F%2Fb", "/a//b", "/%0d%0a"]
        {
            assert_eq!(local(path), path);
        }
        for path in [
            "",
            "deliveries",
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "https://evil.test",
            "https:evil.test",
            "/\t/evil.test",
            "/a\r\nSet-Cookie: a=b",
            " //evil.test",
            "javascript:alert(1)",
            "/é",
            "/a b",
            "\u{0}/",
        ] {
            assert_eq!(local(path), "/", "{path:?}");
        }
    }
}
