//! Forms of our own pages: a page of another site may make a browser post to us, and must not.
//!
//! A browser says where a request comes from, in two ways, and a page cannot change what it says. `Sec-Fetch-Site`
//! holds behind any proxy, and comes where the connection can be trusted: by TLS, or on this machine. Elsewhere
//! `Origin` names the page's host, which is compared with `Host`.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, ORIGIN};

use super::error::Error;

/// # Errors
/// The request does not come from a page of this server, or does not say so.
pub fn check(request: &HttpRequest) -> Result<(), Error> {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let is_ours = match (header("Sec-Fetch-Site"), header(ORIGIN.as_str())) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            // `null` has no host
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some_and(|host| header(HOST.as_str()).is_some_and(|here| here.eq_ignore_ascii_case(host)))
        }
        (None, None) => false,
    };
    if is_ours { Ok(()) } else { Err(Error::Foreign) }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn is_taken(headers: &[(&str, &str)]) -> bool {
        let request = headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
        check(&request.to_http_request()).is_ok()
    }

    #[test]
    fn only_our_own_pages_may_post() {
        let here = ("Host", "waybill.test:8787");
        assert!(is_taken(&[here, ("Sec-Fetch-Site", "same-origin"), ("Origin", "https://behind.a.proxy")]));
        assert!(is_taken(&[here, ("Origin", "http://Waybill.test:8787")]));
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
            assert!(!is_taken(headers), "{headers:?}");
        }
    }
}
