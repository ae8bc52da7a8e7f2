//! Who may send what. Once a key of any kind is set, every path that changes data needs one of its own kind, so that a
//! half-finished configuration refuses instead of standing open.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::answer::Refusal;
use crate::config::variable;
use crate::intake::Scope;
use crate::store::keys::Kind;
use crate::web::keys::{KeySet, Keys};
use crate::wire::providers::{SENDERS, Sender};

/// Which of the keys open which way in. An ingest key is one word, or `site:key` for a pair of the Track API.
#[derive(Clone)]
pub struct SenderKeys {
    pub keys: Keys,
    /// The pages need a proxy's sign-in. Then nothing is open, though there may be no key.
    pub is_closed: bool,
}

impl SenderKeys {
    /// No key of any kind is set: whoever reaches the server may send everything.
    pub fn is_open(&self) -> bool {
        !self.is_closed && !self.keys.now().is_any_set()
    }

    /// The keys that a sender's webhooks are signed with; `None` where they need no signature.
    ///
    /// # Errors
    /// Only keys of another kind, or of other senders, are set.
    pub fn signing(&self, sender: Option<&'static str>) -> Result<Option<Arc<KeySet>>, Refusal> {
        let keys = self.keys.now();
        match keys.signing(sender) {
            [] if self.is_open() => Ok(None),
            [] => Err(Refusal::NoKeySet { kind: Kind::Signing }),
            _ => Ok(Some(keys)),
        }
    }

    /// The keys with one of which a provider must have signed; `None` where an ingest key came, or none is needed.
    ///
    /// # Errors
    /// The provider does not sign, and no key came or a wrong one; or no key of its own is set.
    pub fn of_provider(&self, sender: &Sender, request: &HttpRequest) -> Result<Option<Arc<KeySet>>, Refusal> {
        let access_key = request.headers().get("X-Amz-Firehose-Access-Key").and_then(|key| key.to_str().ok());
        let scope = match access_key.map(|key| self.by_word(key)) {
            Some(scope) => scope.map(Some),
            None => self.by_header(request),
        };
        match (scope, sender.key_name()) {
            (Ok(Some(Scope::Full)), _) => Ok(None),
            (_, Some(name)) => self.signing(Some(name)),
            (Ok(None), None) if self.is_open() => Ok(None),
            (Err(refusal), None) => Err(refusal),
            (Ok(_), None) => Err(self.refusal()),
        }
    }

    /// What the `Authorization` header allows; `None` where there is none.
    ///
    /// # Errors
    /// It holds a wrong key.
    pub fn by_header(&self, request: &HttpRequest) -> Result<Option<Scope>, Refusal> {
        let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
        let words = value.to_str().map(credentials).unwrap_or_default();
        self.scope_of(&words).map(Some)
    }

    /// What a key in a body allows.
    ///
    /// # Errors
    /// It is wrong.
    pub fn by_word(&self, key: &str) -> Result<Scope, Refusal> {
        self.scope_of(&[key.to_owned()])
    }

    /// What a sender without a key may send to a path that needs none.
    pub fn without(&self) -> Scope {
        if self.is_open() { Scope::Full } else { Scope::Public }
    }

    /// The answer to a sender without a key, or with a wrong one.
    pub fn refusal(&self) -> Refusal {
        if self.has_ingest() { Refusal::WrongKey } else { Refusal::NoKeySet { kind: Kind::Ingest } }
    }

    /// Whether any key could open the paths that are not signed.
    pub fn has_ingest(&self) -> bool {
        let keys = self.keys.now();
        keys.has(Kind::Ingest) || keys.has(Kind::Browser)
    }

    fn scope_of(&self, words: &[String]) -> Result<Scope, Refusal> {
        let keys = self.keys.now();
        let is_among = |kind: Kind| words.iter().any(|word| keys.knows(kind, word));
        // with no key set any key is accepted: SDKs insist on sending one
        if self.is_open() || is_among(Kind::Ingest) {
            Ok(Scope::Full)
        } else if is_among(Kind::Browser) {
            Ok(Scope::Public)
        } else {
            Err(self.refusal())
        }
    }

    /// Which ways in are open to whom, in one line for the log.
    pub fn summary(&self, listen: SocketAddr) -> String {
        if self.is_open() {
            let host = if listen.ip().is_loopback() { " and Host names other than localhost" } else { "" };
            return format!(
                "no key is set: any program that reaches {listen} may send everything; web pages of other origins{host} \
                 are refused"
            );
        }
        let keys = self.keys.now();
        let unset =
            |kind: Kind| format!("until there is a key of `waybill keys add {}` or {}", kind.name(), variable(kind));
        let customerio = match keys.signing(None) {
            [] => format!("refused {}", unset(Kind::Signing)),
            _ => "signed".into(),
        };
        let names = SENDERS.iter().filter_map(Sender::key_name).filter(|name| !keys.signing(Some(name)).is_empty());
        let names = names.map(|name| format!("of {name}: signed; ")).collect::<String>();
        let others = if keys.has(Kind::Ingest) { "with an ingest key" } else { "refused" };
        let calls = match (keys.has(Kind::Ingest), keys.has(Kind::Browser)) {
            (false, false) => format!("refused {}", unset(Kind::Ingest)),
            (false, true) => format!("reports only, with a browser key, {}", unset(Kind::Ingest)),
            (true, false) => "with an ingest key".into(),
            (true, true) => "with an ingest key; reports also with a browser key".into(),
        };
        let webhooks = format!("webhooks of Customer.io: {customerio}; {names}of other providers: {others}");
        format!("{webhooks}; /v1 and Track API: {calls}; Track API reports on known deliveries: anyone")
    }
}

/// The words of a header that may be a key: a Bearer token; of a Basic pair the user name (Data Pipelines), both with
/// the colon (a pair of the Track API), and the password (its API key). Schemes are written in any letter case, and some
/// clients leave out the colon, both of which actix-web-httpauth refuses.
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

    fn keys(signing: &str, full: &str, browser: &str) -> SenderKeys {
        let kinds = [(Kind::Signing, signing), (Kind::Ingest, full), (Kind::Browser, browser)];
        let all = kinds.iter().flat_map(|(kind, text)| secrets(text).into_iter().map(|secret| (*kind, secret)));
        let folder = tempfile::tempdir().unwrap();
        let connection = crate::store::sqlite::open(&folder.path().join("keys.db")).unwrap();
        let keys = Keys::load(&all.collect::<Vec<_>>(), &connection).unwrap();
        SenderKeys { keys, is_closed: false }
    }

    fn by(header: &str) -> Option<Scope> {
        let request = TestRequest::default().insert_header((header::AUTHORIZATION, header)).to_http_request();
        keys("", "one, site:two", "public").by_header(&request).unwrap_or_default()
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", BASE64.encode(pair))
    }

    #[test]
    fn a_key_may_come_in_each_of_the_ways_that_sdks_use() {
        for header in ["Bearer one".into(), basic("one:"), basic("one"), basic("any:one"), basic("site:two")] {
            assert_eq!(by(&header), Some(Scope::Full), "{header}");
        }
        for header in ["bearer public".into(), basic("public:"), basic("site:public")] {
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
    fn the_summary_names_whose_webhooks_are_signed() {
        let summary = keys("sendgrid:s,ses:arn", "f", "").summary(SocketAddr::from(([127, 0, 0, 1], 80)));
        assert!(summary.starts_with("webhooks of Customer.io: refused until there is a key"), "{summary}");
        assert!(summary.contains("; of ses: signed; of sendgrid: signed; of other providers: with an ingest key; /v1"));
    }

    #[test]
    fn any_key_closes_every_way_in() {
        let open = keys("", "", "");
        assert_eq!(open.by_word("whatever").ok(), Some(Scope::Full));
        assert!(open.is_open() && open.without() == Scope::Full && matches!(open.signing(None), Ok(None)));
        let closed = SenderKeys { is_closed: true, ..open };
        assert!(!closed.is_open() && closed.without() == Scope::Public && closed.signing(None).is_err());
        for (keys, webhooks, calls) in [
            (keys("s", "", ""), None, Some(Kind::Ingest)),
            (keys("", "f", ""), Some(Kind::Signing), None),
            (keys("", "", "b"), Some(Kind::Signing), None),
            (keys("s", "f", "b"), None, None),
        ] {
            assert!(!keys.is_open() && keys.without() == Scope::Public);
            let missing = |refusal| match refusal {
                Some(Refusal::NoKeySet { kind }) => Some(kind),
                _ => None,
            };
            assert_eq!(missing(keys.signing(None).err()), webhooks);
            assert_eq!(missing(keys.by_word("whatever").err()), calls);
            let summary = keys.summary(SocketAddr::from(([127, 0, 0, 1], 80)));
            assert_eq!(summary.contains("WAYBILL_SIGNING_KEYS"), webhooks.is_some(), "{summary}");
            let others = if keys.keys.now().has(Kind::Ingest) { "with an ingest key" } else { "refused" };
            let others = format!("of other providers: {others}");
            assert!(summary.contains(&others), "{summary}");
            assert_eq!(
                summary.contains("refused until there is a key of `waybill keys add ingest`"),
                calls.is_some(),
                "{summary}"
            );
        }
    }
}
