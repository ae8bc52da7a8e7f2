//! Who may send what, by the key that came along.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use constant_time_eq::constant_time_eq;

use super::answer::Refusal;
use crate::config::Secret;
use crate::intake::Scope;

/// The ingest keys. A key is one word, or `site:key` for a pair of the Track API.
#[derive(Clone, Default)]
pub struct Keys {
    full: Arc<[Secret]>,
    browser: Arc<[Secret]>,
}

impl Keys {
    pub fn new(full: Vec<Secret>, browser: Vec<Secret>) -> Keys {
        Keys { full: full.into(), browser: browser.into() }
    }

    /// With no key set, whoever comes may send all.
    pub fn is_open(&self) -> bool {
        self.full.is_empty() && self.browser.is_empty()
    }

    /// What the `Authorization` header allows; `None` where there is none.
    ///
    /// # Errors
    /// It holds a key, and a wrong one.
    pub fn by_header(&self, request: &HttpRequest) -> Result<Option<Scope>, Refusal> {
        let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
        let sent = value.to_str().map(credentials).unwrap_or_default();
        self.scope_of(&sent).map(Some)
    }

    /// What a key in a body allows.
    pub fn by_word(&self, key: &str) -> Result<Scope, Refusal> {
        self.scope_of(&[key.to_owned()])
    }

    /// What a sender without a key may send to a path that needs none.
    pub fn without(&self) -> Scope {
        if self.is_open() { Scope::Full } else { Scope::Public }
    }

    fn scope_of(&self, sent: &[String]) -> Result<Scope, Refusal> {
        // with no key set, whatever is sent is taken: SDKs insist on sending one
        if self.is_open() || knows(&self.full, sent) {
            Ok(Scope::Full)
        } else if knows(&self.browser, sent) {
            Ok(Scope::Public)
        } else {
            Err(Refusal::WrongKey)
        }
    }
}

/// Compares with all, so that the time tells nothing.
fn knows(keys: &[Secret], sent: &[String]) -> bool {
    let pairs = keys.iter().flat_map(|key| sent.iter().map(move |sent| (key, sent)));
    pairs.fold(false, |known, (key, sent)| known | constant_time_eq(key.as_bytes(), sent.as_bytes()))
}

/// The words of a header that may be a key: a Bearer token; of a Basic pair the user name (Data Pipelines), both with
/// the colon (a pair of the Track API), and the password (its API key).
fn credentials(header: &str) -> Vec<String> {
    let (scheme, credentials) = header.split_once(' ').unwrap_or((header, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        return vec![credentials.trim().to_owned()];
    }
    let decoded = BASE64.decode(credentials.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.unwrap_or_default();
    let (user, password) = pair.split_once(':').unwrap_or((&pair, ""));
    [user, password, &pair].into_iter().filter(|word| !word.is_empty()).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::config::secrets;

    fn keys() -> Keys {
        Keys::new(secrets("one, site:two"), secrets("public"))
    }

    fn by(header: &str) -> Option<Scope> {
        let request = TestRequest::default().insert_header((header::AUTHORIZATION, header)).to_http_request();
        keys().by_header(&request).unwrap_or_default()
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", BASE64.encode(pair))
    }

    #[test]
    fn a_key_may_come_in_each_of_the_ways_that_sdks_use() {
        for header in ["Bearer one".into(), basic("one:"), basic("one"), basic("any:one"), basic("site:two")] {
            assert_eq!(by(&header), Some(Scope::Full), "{header}");
        }
        for header in ["Bearer public".into(), basic("public:"), basic("site:public")] {
            assert_eq!(by(&header), Some(Scope::Public), "{header}");
        }
        for header in ["Bearer", "Bearer two", "Basic ???", "Basic ", "one", "Digest one"].map(String::from) {
            assert_eq!(by(&header), None, "{header}");
        }
        for pair in ["two:", "site:", ":", "", "other:two", "site:three"] {
            assert_eq!(by(&basic(pair)), None, "{pair}");
        }
    }

    #[test]
    fn with_no_key_set_all_may_send() {
        let open = Keys::default();
        assert_eq!(open.by_word("whatever").ok(), Some(Scope::Full));
        assert_eq!(open.without(), Scope::Full);
        assert_eq!(keys().without(), Scope::Public);
        assert!(matches!(keys().by_word("whatever"), Err(Refusal::WrongKey)));
    }
}
