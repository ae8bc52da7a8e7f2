//! Requests that a page of another site makes a browser send.
//!
//! A browser says where a request comes from, in two ways, and a page cannot change what it says. `Sec-Fetch-Site`
//! holds behind any proxy, and is sent where the connection can be trusted: by TLS, or on this machine. Elsewhere
//! `Origin` names the page's host, which is compared with `Host`.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::error::Error;
use super::ingest::answer::Refusal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A page of this server.
    Same,
    Other,
    /// No page: a program, or an address that a person typed.
    None,
}

impl Origin {
    fn of(headers: &HeaderMap) -> Origin {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        match (header("Sec-Fetch-Site"), header(ORIGIN.as_str())) {
            (Some("same-origin"), _) => Origin::Same,
            (None | Some("none"), None) => Origin::None,
            (None | Some("none"), Some(origin)) => {
                // `null` has no host
                let host = origin.split_once("://").map(|(_, host)| host);
                let is_same =
                    host.zip(header(HOST.as_str())).is_some_and(|(host, here)| here.eq_ignore_ascii_case(host));
                if is_same { Origin::Same } else { Origin::Other }
            }
            (Some(_), _) => Origin::Other,
        }
    }
}

/// For the forms of our pages: only pages of this server may send them.
///
/// # Errors
/// The request does not come from a page of this server, or does not say so.
pub fn check(request: &HttpRequest) -> Result<(), Error> {
    if Origin::of(request.headers()) == Origin::Same { Ok(()) } else { Err(Error::Foreign) }
}

/// What a server on which no key is set refuses on every path.
#[derive(Clone, Copy, Debug)]
pub struct OpenServer {
    /// It can be reached from this machine only. A foreign `Host` is then a name that was made to point here (DNS
    /// rebinding), by which a page of that name would read everything.
    pub is_loopback: bool,
}

impl OpenServer {
    fn check(self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.is_loopback && !headers.get_all(HOST).all(|host| host.to_str().is_ok_and(is_loopback)) {
            return Err(Refusal::ForeignHost);
        }
        // following a link to a page does no harm, and is what links are for
        let is_link = method == Method::GET && headers.get("Sec-Fetch-Mode").is_some_and(|mode| mode == "navigate");
        if Origin::of(headers) == Origin::Other && !is_link { Err(Refusal::ForeignOrigin) } else { Ok(()) }
    }
}

/// Whether a `Host` names this machine.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Guards a server on which no key is set; there is no [`OpenServer`] on any other.
pub async fn guard<B: MessageBody + 'static>(
    open: Option<Data<OpenServer>>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match open.map_or(Ok(()), |open| open.check(request.method(), request.headers())) {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(refusal) => Ok(request.into_response(refusal.respond()).map_into_right_body()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn request(headers: &[(&str, &str)]) -> HttpRequest {
        headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header)).to_http_request()
    }

    #[test]
    fn only_our_own_pages_may_send_forms() {
        let is_accepted = |headers: &[(&str, &str)]| check(&request(headers)).is_ok();
        let here = ("Host", "waybill.test:8787");
        assert!(is_accepted(&[here, ("Sec-Fetch-Site", "same-origin"), ("Origin", "https://behind.a.proxy")]));
        assert!(is_accepted(&[here, ("Origin", "http://Waybill.test:8787")]));
        for headers in [
            &[here][..],
            &[here, ("Sec-Fetch-Site", "cross-site"), ("Origin", "http://waybill.test:8787")],
            &[here, ("Sec-Fetch-Site", "same-site")],
            &[here, ("Sec-Fetch-Site", "none")],
            &[here, ("Sec-Fetch-Site", "")],
            &[here, ("Origin", "null")],
            &[here, ("Origin", "http://waybill.test")],
            &[here, ("Origin", "http://waybill.test:8787.evil.test")],
            &[here, ("Origin", "waybill.test:8787")],
            &[("Origin", "http://waybill.test:8787")],
        ] {
            assert!(!is_accepted(headers), "{headers:?}");
        }
    }

    #[test]
    fn an_open_server_refuses_pages_of_other_origins() {
        let local = OpenServer { is_loopback: true };
        let check = |method: Method, headers: &[(&str, &str)]| local.check(&method, request(headers).headers()).is_ok();
        let here = ("Host", "127.0.0.1:8787");
        for headers in [
            &[here][..],
            &[],
            &[here, ("Sec-Fetch-Site", "none")],
            &[here, ("Sec-Fetch-Site", "same-origin"), ("Origin", "http://127.0.0.1:8787")],
            &[here, ("Origin", "http://127.0.0.1:8787")],
        ] {
            assert!(check(Method::POST, headers), "{headers:?}");
        }
        for headers in [
            &[here, ("Origin", "https://evil.test")][..],
            &[here, ("Origin", "null")],
            &[here, ("Origin", "http://127.0.0.1:3000")],
            &[here, ("Sec-Fetch-Site", "cross-site")],
            &[here, ("Sec-Fetch-Site", "same-site"), ("Origin", "http://localhost:3000")],
            &[here, ("Sec-Fetch-Site", "none"), ("Origin", "https://evil.test")],
            &[here, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")],
        ] {
            assert!(!check(Method::POST, headers), "{headers:?}");
        }
        let link = [here, ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")];
        assert!(check(Method::GET, &link));
        assert!(!check(Method::GET, &link[..2]), "fetched by another page");
    }

    #[test]
    fn an_open_server_on_this_machine_has_no_other_name() {
        for (host, is_local) in [
            ("127.0.0.1:8787", true),
            ("127.8.0.1", true),
            ("[::1]:8787", true),
            ("LocalHost:8787", true),
            ("evil.test:8787", false),
            ("localhost.evil.test", false),
            ("127.0.0.1.evil.test", false),
            ("192.168.0.7:8787", false),
            ("0.0.0.0:8787", false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(is_loopback(host), is_local, "{host}");
            let check = |open: OpenServer| open.check(&Method::GET, request(&[("Host", host)]).headers()).is_ok();
            assert_eq!(check(OpenServer { is_loopback: true }), is_local, "{host}");
            assert!(check(OpenServer { is_loopback: false }), "{host}");
        }
    }
}
