//! Sessions of browsers: a cookie that says when it was made, with a MAC over that and the hash of the token it was made
//! for. Nothing is stored: a session ends with its token, 30 days after it began, or when its holder signs out everywhere.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::COOKIE;
use constant_time_eq::constant_time_eq;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Role;
use crate::domain::Millis;
use crate::store::keys::Hash;
use crate::web::keys::{Key, KeySet};

const DAYS: i64 = 30;

/// Makes the cookies of one file, and reads them.
pub struct Sessions {
    secret: Vec<u8>,
    /// Of its own for each file: browsers send the cookies of a host to all of its ports.
    cookie: String,
    path: String,
}

impl Sessions {
    /// `secret`: of the file. `base`: the path below which its pages are.
    pub fn new(secret: Vec<u8>, base: &str) -> Sessions {
        let cookie = format!("waybill_{}", &hex(&mac(&secret, &[b"cookie"]))[..8]);
        let path = if base.is_empty() { "/" } else { base };
        Sessions { secret, cookie, path: path.to_owned() }
    }

    /// The cookie of a session that begins now.
    pub fn begin(&self, keys: &KeySet, token: &Hash, now_ms: Millis, is_tls: bool) -> Cookie<'static> {
        // a clock that was set back does not keep anybody out
        let began_ms = now_ms.max(keys.sessions_ended_at_ms(token).saturating_add(1));
        let value = format!("{began_ms}.{}", hex(&self.mac(token, began_ms)));
        self.cookie(value, Duration::days(DAYS), is_tls)
    }

    /// The cookie that takes it away.
    pub fn end(&self, is_tls: bool) -> Cookie<'static> {
        self.cookie(String::new(), Duration::ZERO, is_tls)
    }

    /// The token that the session of a request was made for, where there is one. Of cookies that others of this host have
    /// set none is in the way, whatever it holds and is called.
    pub fn of<'k>(&self, request: &HttpRequest, keys: &'k KeySet, now_ms: Millis) -> Option<(Role, &'k Key)> {
        let headers = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
        let pairs = headers.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == self.cookie).find_map(|(_, value)| self.read(value, keys, now_ms))
    }

    fn read<'k>(&self, value: &str, keys: &'k KeySet, now_ms: Millis) -> Option<(Role, &'k Key)> {
        let (began, mac) = value.split_once('.')?;
        let began_ms: Millis = began.parse().ok()?;
        if now_ms.saturating_sub(began_ms) > DAYS * 86_400_000 {
            return None;
        }
        keys.token_where(|token| {
            let is_made = constant_time_eq(hex(&self.mac(token, began_ms)).as_bytes(), mac.as_bytes());
            is_made && began_ms > keys.sessions_ended_at_ms(token)
        })
    }

    fn mac(&self, token: &Hash, began_ms: Millis) -> [u8; 32] {
        mac(&self.secret, &[b"session", token, &began_ms.to_be_bytes()])
    }

    fn cookie(&self, value: String, age: Duration, is_tls: bool) -> Cookie<'static> {
        Cookie::build(self.cookie.clone(), value)
            .path(self.path.clone())
            .max_age(age)
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(is_tls)
            .finish()
    }
}

/// Every part but the last of them has a length of its own.
fn mac(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("invariant: HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
