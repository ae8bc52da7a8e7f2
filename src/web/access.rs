//! Who may see the pages, and press their buttons. One place decides for every page, before its handler runs.
//!
//! | the request carries | who it is |
//! |---|---|
//! | the header of a trusted proxy | whom that has signed in |
//! | `Authorization: Bearer` and a token | the token's holder |
//! | the cookie of a session | the holder of the token that it was made for |
//! | nothing, where no token was ever set | anyone, if it comes from our own pages or from no page at all |

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::cookie::Cookie;
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HOST};
use actix_web::http::uri::Authority;
use actix_web::web::Data;

use super::error::Error;
use super::keys::Keys;
use super::peer::Peer;
use super::same_origin::Origin;
use super::session::Sessions;
use super::throttle::Throttle;
use crate::config::{self, Config, Role, Secret};
use crate::domain::Millis;
use crate::store::keys::{Hash, Kind};

pub struct Access {
    pub keys: Keys,
    /// Keys of the environment, to read those of the file again beside them.
    pub environment: Arc<[(Kind, Secret)]>,
    pub sessions: Sessions,
    settings: config::Access,
    /// Only this machine can connect, by itself.
    is_loopback: bool,
    is_tls: bool,
    throttle: Throttle,
}

/// Who sends a request to a page.
#[derive(Clone)]
pub struct Identity {
    pub role: Role,
    pub by: By,
}

/// How that is known.
#[derive(Clone)]
pub enum By {
    /// It need not be known.
    Nothing,
    /// The name that a proxy gives.
    Proxy(String),
    /// By a token in the request itself.
    Bearer,
    Session {
        token: Hash,
        name: String,
    },
}

impl Access {
    pub fn new(config: &Config, keys: Keys, session_key: Vec<u8>) -> Access {
        Access {
            keys,
            environment: config.keys.clone().into(),
            sessions: Sessions::new(session_key, &config.base),
            settings: config.access.clone(),
            is_loopback: config.listen.ip().is_loopback(),
            is_tls: config.tls.is_some(),
            throttle: Throttle::default(),
        }
    }

    pub fn peer(&self, request: &HttpRequest) -> Peer {
        let address = request.peer_addr().map(|address| address.ip());
        Peer::of(address, request.headers(), &self.settings.trust_proxy, self.is_tls)
    }

    /// Whether everything is: no key of any kind was ever set, and no proxy signs people in.
    pub fn is_open(&self) -> bool {
        self.settings.trust_header.is_none() && !self.keys.now().is_any_set()
    }

    /// Whether the pages need no token.
    pub fn are_pages_open(&self) -> bool {
        self.settings.trust_header.is_none() && !self.keys.now().has_token()
    }

    /// Who may see the pages, for the log.
    pub fn summary(&self) -> String {
        let tokens = "a token of `waybill keys`, WAYBILL_READ_TOKENS or WAYBILL_OPERATE_TOKENS";
        match &self.settings.trust_header {
            Some((header, _)) => format!("pages: with {header} from a trusted proxy, or {tokens}"),
            None if self.are_pages_open() => "pages: anyone".into(),
            None => format!("pages: with {tokens}"),
        }
    }

    /// What is open refuses what pages of other sites make a browser send: requests, and, by a name of theirs that they
    /// have made to point here (DNS rebinding), readable ones. With a token a foreign name does no harm: a browser sends
    /// neither the cookie of another host nor a token of its own accord.
    ///
    /// # Errors
    /// Which of the two it is.
    pub fn check_open(&self, request: &HttpRequest) -> Result<(), Error> {
        if !self.is_asked_by_own_name(request) {
            return Err(Error::UnknownHost);
        }
        // following a link to a page does no harm, and is what links are for
        let is_link = request.method() == Method::GET
            && request.headers().get("Sec-Fetch-Mode").is_some_and(|mode| mode == "navigate");
        let is_foreign = Origin::of(request.headers(), &self.peer(request).host) == Origin::Other;
        if is_foreign && !is_link { Err(Error::Foreign) } else { Ok(()) }
    }

    /// Whether no other site can have chosen the `Host`: it is a name of this machine, one that was given, or, where other
    /// machines connect, any address, since an address cannot be made to point elsewhere. What a proxy forwards as the name
    /// does not count: scripts can send that header, and cannot send `Host`.
    fn is_asked_by_own_name(&self, request: &HttpRequest) -> bool {
        // a program that embeds Waybill may listen on more than it says
        let is_far = request.peer_addr().is_some_and(|peer| !peer.ip().to_canonical().is_loopback());
        if self.is_loopback && is_far {
            return false;
        }
        let mut hosts = request.headers().get_all(HOST);
        let Some(host) = hosts.next() else { return true };
        // of two, a proxy might look at the first and pass on the second
        hosts.next().is_none() && host.to_str().is_ok_and(|host| self.is_own_name(host))
    }

    fn is_own_name(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_own_address = address.is_ok_and(|address| !self.is_loopback || address.is_loopback());
        is_own_address
            || self
                .settings
                .hosts
                .iter()
                .map(String::as_str)
                .chain(["localhost"])
                .any(|own| name.eq_ignore_ascii_case(own))
    }

    /// Who sends this request; `None`: it does not say.
    ///
    /// # Errors
    /// It carries a wrong token; or a proxy's header, and a `Host` that is no name of this server.
    pub fn identify(&self, request: &HttpRequest, now_ms: Millis) -> Result<Option<Identity>, Error> {
        if self.are_pages_open() {
            self.check_open(request)?;
            return Ok(Some(Identity { role: Role::Operate, by: By::Nothing }));
        }
        if let Some(identity) = self.signed_in_by_proxy(request) {
            // a browser beside the proxy could be made to send the header by a page of a name that points here
            return if self.is_asked_by_own_name(request) { Ok(Some(identity)) } else { Err(Error::UnknownHost) };
        }
        let keys = self.keys.now();
        if let Some(value) = request.headers().get(AUTHORIZATION) {
            let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
            let found = scheme.eq_ignore_ascii_case("bearer").then(|| keys.token(token.trim())).flatten();
            let (role, _) = found.ok_or_else(|| self.wrong(request))?;
            return Ok(Some(Identity { role, by: By::Bearer }));
        }
        let session = self.sessions.of(request, &keys, now_ms);
        Ok(session.map(|(role, key)| Identity { role, by: By::Session { token: key.hash, name: key.name.clone() } }))
    }

    fn signed_in_by_proxy(&self, request: &HttpRequest) -> Option<Identity> {
        let (header, role) = self.settings.trust_header.as_ref()?;
        let mut names = request.headers().get_all(header.as_str());
        let name = names.next()?.to_str().ok()?.trim();
        // a proxy that adds its own beside what the client sent would let the client choose
        let is_one = !name.is_empty() && names.next().is_none();
        (is_one && self.peer(request).is_proxied).then(|| Identity { role: *role, by: By::Proxy(name.to_owned()) })
    }

    /// Whether a form comes from a page of this server. A browser sends its cookie, and what a proxy adds, also with the
    /// forms of other sites.
    ///
    /// # Errors
    /// It comes from elsewhere, or does not say.
    pub fn check_form(&self, request: &HttpRequest) -> Result<(), Error> {
        let origin = Origin::of(request.headers(), &self.peer(request).host);
        if is_reading(request) || origin == Origin::Same { Ok(()) } else { Err(Error::Foreign) }
    }

    /// The cookie for a browser that has sent a token.
    ///
    /// # Errors
    /// The token is wrong.
    pub fn sign_in(&self, request: &HttpRequest, token: &str, now_ms: Millis) -> Result<Cookie<'static>, Error> {
        let keys = self.keys.now();
        let (_, key) = keys.token(token.trim()).ok_or_else(|| self.wrong(request))?;
        Ok(self.sessions.begin(&keys, &key.hash, now_ms, self.peer(request).is_tls))
    }

    fn wrong(&self, request: &HttpRequest) -> Error {
        match self.throttle.wrong(self.peer(request).address, Instant::now()) {
            Ok(()) => Error::WrongToken,
            Err(wait) => Error::TooManyTokens { retry_after_s: (wait + Duration::from_millis(999)).as_secs() },
        }
    }
}

/// The address that a request comes from, as far as trusted proxies say.
pub fn client(request: &HttpRequest) -> IpAddr {
    let peer = || request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
    request.app_data::<Data<Access>>().map_or_else(peer, |access| access.peer(request).address)
}

/// By its method. No page changes anything then.
pub fn is_reading(request: &HttpRequest) -> bool {
    [Method::GET, Method::HEAD].contains(request.method())
}

impl Identity {
    /// Whether this may change something: its role allows that, and no page of another site has made a browser send it.
    ///
    /// # Errors
    /// Which of the two it lacks.
    pub fn check_change(&self, request: &HttpRequest, access: &Access) -> Result<(), Error> {
        // a program that sends its token means it
        if !matches!(self.by, By::Bearer) {
            access.check_form(request)?;
        }
        if self.role == Role::Operate { Ok(()) } else { Err(Error::ReadOnly) }
    }
}
