//! Requests that a page of another site makes a browser send.
//!
//! A browser says where a request comes from, in two ways, and a page cannot change what it says. `Sec-Fetch-Site`
//! holds behind any proxy, and is sent where the connection can be trusted: by TLS, or on this machine. Elsewhere
//! `Origin` names the page's host, which is compared with `Host`.

use actix_web::http::header::{HeaderMap, ORIGIN};

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A page of this server.
    Same,
    Other,
    /// No page: a program, or an address that a person typed.
    None,
}

impl Origin {
    /// `here`: the host that the request asks for.
    pub fn of(headers: &HeaderMap, here: &str) -> Origin {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        match (header("Sec-Fetch-Site"), header(ORIGIN.as_str())) {
            (Some("same-origin"), _) => Origin::Same,
            (None | Some("none"), None) => Origin::None,
            (None | Some("none"), Some(origin)) => {
                // `null` has no host
                let host = origin.split_once("://").map(|(_, host)| host);
                let is_same = host.is_some_and(|host| !host.is_empty() && host.eq_ignore_ascii_case(here));
                if is_same { Origin::Same } else { Origin::Other }
            }
            (Some(_), _) => Origin::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_browser_says_where_a_request_comes_from() {
        let origin = |headers: &[(&str, &str)]| {
            let request = headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
            Origin::of(request.to_http_request().headers(), "waybill.test:8787")
        };
        for headers in [
            &[("Sec-Fetch-Site", "same-origin"), ("Origin", "https://behind.a.proxy")][..],
            &[("Origin", "http://Waybill.test:8787")],
        ] {
            assert_eq!(origin(headers), Origin::Same, "{headers:?}");
        }
        for headers in [&[][..], &[("Sec-Fetch-Site", "none")]] {
            assert_eq!(origin(headers), Origin::None, "{headers:?}");
        }
        for headers in [
            &[("Sec-Fetch-Site", "cross-site"), ("Origin", "http://waybill.test:8787")][..],
            &[("Sec-Fetch-Site", "same-site")],
            &[("Sec-Fetch-Site", "")],
            &[("Sec-Fetch-Site", "none"), ("Origin", "https://evil.test")],
            &[("Origin", "null")],
            &[("Origin", "http://")],
            &[("Origin", "http://waybill.test")],
            &[("Origin", "http://waybill.test:8787.evil.test")],
            &[("Origin", "waybill.test:8787")],
        ] {
            assert_eq!(origin(headers), Origin::Other, "{headers:?}");
        }
    }
}
