//! Whether a webhook was signed by its sender. Every key is tried whatever the others said, and compared in constant time.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use constant_time_eq::constant_time_eq;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::Sender;
use crate::domain::Text;
use crate::wire::Format;
use crate::wire::fields::Fields;
use crate::wire::json;
use crate::wire::signature::Key;

/// What a sender signs, as it came over the wire.
pub struct Request<'a> {
    /// The value of a header, empty where there is none.
    pub header: &'a dyn Fn(&str) -> &'a str,
    /// The address that it posted to, as it knows it.
    pub url: &'a str,
    pub body: &'a [u8],
}

/// A signature that is right.
pub struct Signed {
    /// The place of the key that made it.
    pub place: usize,
    /// When it was made, in seconds since 1970, where that is signed too.
    pub at_s: Option<Text>,
}

/// Whether a key made the signature.
type Check<'a> = Box<dyn Fn(&Key) -> bool + 'a>;

/// The signature, if one of the keys made it.
pub fn verify(sender: &Sender, keys: &[Key], request: &Request) -> Option<Signed> {
    let Request { header, url, body } = request;
    let (at_s, is_right): (Option<Text>, Check) = match sender.format {
        Format::Sendgrid => {
            let at = header("X-Twilio-Email-Event-Webhook-Timestamp");
            let signature = BASE64.decode(header("X-Twilio-Email-Event-Webhook-Signature")).ok()?;
            let signed = [at.as_bytes(), body].concat();
            (Some(at.into()), Box::new(move |key| is_of_p256(key, &signed, &signature)))
        }
        Format::Mailgun => {
            let text = std::str::from_utf8(body).ok()?;
            json::check(text).ok()?;
            let signature = json::parse(json::members(text).get("signature")?).ok()?;
            let signature = Fields::of(Some(&signature));
            let [at, token, sent] = ["timestamp", "token", "signature"].map(|key| signature.text(&[key]));
            let (at, token, sent) = (at?, token?, sent?);
            let signed = format!("{at}{token}");
            (Some(at), Box::new(move |key| equal(hex(&hmac_sha256(key.bytes(), signed.as_bytes())), &sent)))
        }
        Format::Resend => {
            let [id, at, sent] = ["svix-id", "svix-timestamp", "svix-signature"].map(header);
            let signed = [format!("{id}.{at}.").as_bytes(), body].concat();
            let is_right = move |key: &Key| {
                let secret = key.bytes().strip_prefix(b"whsec_").unwrap_or(key.bytes());
                let Ok(secret) = BASE64.decode(secret) else { return false };
                let expected = BASE64.encode(hmac_sha256(&secret, &signed));
                let versioned = sent.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
                versioned.fold(false, |right, signature| right | equal(expected.clone(), signature))
            };
            (Some(at.into()), Box::new(is_right))
        }
        Format::Mandrill => by_form(url, body, header("X-Mandrill-Signature")),
        Format::Twilio => by_form(url, body, header("X-Twilio-Signature")),
        Format::Vonage => {
            let token = header("Authorization").strip_prefix("Bearer ")?;
            let (signed, sent) = token.rsplit_once('.')?;
            let part = |n| json_of(signed.split('.').nth(n)?);
            let (head, claims) = (part(0)?, part(1)?);
            let hash = hex(&Sha256::digest(body));
            let is_hashed = claims.get("payload_hash").and_then(Value::as_str).is_some_and(|it| equal(hash, it));
            if head.get("alg").and_then(Value::as_str) != Some("HS256") || !is_hashed {
                return None;
            }
            let at = Fields::of(Some(&claims)).text(&["iat"]);
            let is_right = move |key: &Key| equal(BASE64_URL.encode(hmac_sha256(key.bytes(), signed.as_bytes())), sent);
            (at, Box::new(is_right))
        }
        _ => return None,
    };
    let right = keys.iter().enumerate().fold(None, |found, (place, key)| is_right(key).then_some(place).or(found));
    right.map(|place| Signed { place, at_s })
}

/// HMAC-SHA1 of the address and the fields of the form, in the order of their names.
fn by_form<'a>(url: &str, body: &[u8], sent: &'a str) -> (Option<Text>, Check<'a>) {
    let fields: BTreeMap<_, _> = form_urlencoded::parse(body).collect();
    let signed = fields.iter().fold(url.to_owned(), |signed, (name, value)| signed + name + value);
    let is_right = move |key: &Key| match Hmac::<Sha1>::new_from_slice(key.bytes()) {
        Ok(mac) => equal(BASE64.encode(mac.chain_update(signed.as_bytes()).finalize().into_bytes()), sent),
        Err(_) => false,
    };
    (None, Box::new(is_right))
}

/// The key is a public one in DER, in base64; the point of the curve is its end.
fn is_of_p256(key: &Key, signed: &[u8], signature: &[u8]) -> bool {
    let der = BASE64.decode(key.bytes()).unwrap_or_default();
    let point = der.last_chunk::<65>();
    point.is_some_and(|point| UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(signed, signature).is_ok())
}

fn hmac_sha256(key: &[u8], signed: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key);
    mac.map(|mac| mac.chain_update(signed).finalize().into_bytes().to_vec()).unwrap_or_default()
}

fn json_of(part: &str) -> Option<Value> {
    json::parse(std::str::from_utf8(&BASE64_URL.decode(part).ok()?).ok()?).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn equal(expected: String, sent: &str) -> bool {
    !expected.is_empty() && constant_time_eq(expected.as_bytes(), sent.as_bytes())
}
