//! Whether a body comes from one who knows the secret.
//!
//! Signatures are lower-case hex without a prefix, as Customer.io's own verifiers want them. They are compared in
//! constant time, and every key is tried whatever the others said. Bodies are hashed as they stream in.

use std::fmt;

use constant_time_eq::constant_time_eq;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;

/// A signing secret: the text that Customer.io shows, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Box<[u8]>);

impl Key {
    pub fn new(secret: impl Into<Box<[u8]>>) -> Key {
        Key(secret.into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Takes a body in pieces and then judges its signature.
#[derive(Clone)]
pub struct Verifier(Macs);

#[derive(Clone)]
enum Macs {
    Sha256(Vec<Hmac<Sha256>>),
    Sha1(Vec<Hmac<Sha1>>),
}

impl Verifier {
    /// For a reporting webhook: `X-CIO-Signature` is the HMAC-SHA256 of `v0:TIMESTAMP:BODY`, where the timestamp is
    /// `X-CIO-Timestamp` as it came.
    ///
    /// Only a timestamp of digits can be right. With another, what was signed as the body could be passed off in part
    /// as the timestamp.
    pub fn webhook(keys: &[Key], timestamp: &str) -> Verifier {
        let is_number = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        let mut verifier = Verifier(Macs::Sha256(macs(if is_number { keys } else { &[] })));
        for part in ["v0:", timestamp, ":"] {
            verifier.update(part.as_bytes());
        }
        verifier
    }

    /// For a Data Pipelines webhook destination: `X-Signature` is the HMAC-SHA1 of the body.
    pub fn pipelines(keys: &[Key]) -> Verifier {
        Verifier(Macs::Sha1(macs(keys)))
    }

    /// Takes the next piece of the body, as it came over the wire.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.0 {
            Macs::Sha256(macs) => macs.iter_mut().for_each(|mac| mac.update(piece)),
            Macs::Sha1(macs) => macs.iter_mut().for_each(|mac| mac.update(piece)),
        }
    }

    /// The place of the key that made this signature of what was taken, if one did.
    pub fn verify(self, signature: &str) -> Option<usize> {
        match self.0 {
            Macs::Sha256(macs) => which_made(macs, signature),
            Macs::Sha1(macs) => which_made(macs, signature),
        }
    }
}

fn macs<M: KeyInit>(keys: &[Key]) -> Vec<M> {
    // HMAC takes keys of any length; one that it did not take would verify nothing
    keys.iter().filter_map(|key| M::new_from_slice(&key.0).ok()).collect()
}

fn which_made<M: Mac>(macs: Vec<M>, signature: &str) -> Option<usize> {
    macs.into_iter().enumerate().fold(None, |made, (place, mac)| {
        let mut expected = String::new();
        for byte in mac.finalize().into_bytes() {
            expected.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
            expected.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        }
        constant_time_eq(expected.as_bytes(), signature.as_bytes()).then_some(place).or(made)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"object_type":"sms","metric":"sent","data":{"content":"Gr\u00fc\u00dfe"}}"#;
    const TIMESTAMP: &str = "1714521918";

    fn keys(secrets: &[&str]) -> Vec<Key> {
        secrets.iter().map(|secret| Key::new(secret.as_bytes())).collect()
    }

    fn verify(mut verifier: Verifier, signature: &str, body: &[u8]) -> bool {
        verifier.update(body);
        verifier.verify(signature).is_some()
    }

    fn sign_webhook(secret: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("v0:{timestamp}:").as_bytes());
        mac.update(body);
        mac.finalize().into_bytes().to_vec()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn webhook_signatures_are_judged_as_customer_io_judges_them() {
        let good = hex(&sign_webhook("s\u{e9}cret", TIMESTAMP, BODY));
        let tampered = [BODY, b" "].concat();
        let bare = {
            let mut mac = Hmac::<Sha256>::new_from_slice("s\u{e9}cret".as_bytes()).unwrap();
            mac.update(BODY);
            hex(&mac.finalize().into_bytes())
        };
        let own: &[&str] = &["s\u{e9}cret"];
        type Case<'a> = (&'a str, &'a [&'a str], &'a str, &'a str, &'a [u8], bool);
        let cases: &[Case] = &[
            ("good", own, TIMESTAMP, &good, BODY, true),
            ("second key of two", &["old", "s\u{e9}cret"], TIMESTAMP, &good, BODY, true),
            ("first key of two", &["s\u{e9}cret", "new"], TIMESTAMP, &good, BODY, true),
            ("tampered body", own, TIMESTAMP, &good, &tampered, false),
            ("another key", &["secret"], TIMESTAMP, &good, BODY, false),
            ("another time", own, "1714521919", &good, BODY, false),
            ("no time", own, "", &good, BODY, false),
            ("upper-case hex", own, TIMESTAMP, &good.to_uppercase(), BODY, false),
            ("with a prefix", own, TIMESTAMP, &format!("v0={good}"), BODY, false),
            ("base64", own, TIMESTAMP, "+OeDPru1G+g/j2+URDRJoT8t97+TsZ5gQS5Q56qVv54=", BODY, false),
            ("cut short", own, TIMESTAMP, &good[..62], BODY, false),
            ("signed without time", own, TIMESTAMP, &bare, BODY, false),
            ("empty", own, TIMESTAMP, "", BODY, false),
            ("no keys", &[], TIMESTAMP, &good, BODY, false),
        ];
        for (name, secrets, timestamp, signature, body, expected) in cases {
            let verifier = Verifier::webhook(&keys(secrets), timestamp);
            assert_eq!(verify(verifier, signature, body), *expected, "{name}");
        }
    }

    /// RFC 2202, test case 2.
    #[test]
    fn pipelines_signatures_are_plain_hmac_sha1() {
        let keys = keys(&["other", "Jefe"]);
        let body = b"what do ya want for nothing?";
        let good = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
        assert!(verify(Verifier::pipelines(&keys), good, body));
        assert!(!verify(Verifier::pipelines(&keys[..1]), good, body));
        assert!(!verify(Verifier::pipelines(&keys), &good.to_uppercase(), body));
        assert!(!verify(Verifier::pipelines(&keys), good, b"what do ya want for something?"));
        assert!(!verify(Verifier::pipelines(&keys), "", body));
    }

    #[test]
    fn a_body_may_come_in_pieces() {
        let good = hex(&sign_webhook("s", TIMESTAMP, BODY));
        for size in [1, 7, BODY.len()] {
            let mut verifier = Verifier::webhook(&keys(&["s"]), TIMESTAMP);
            BODY.chunks(size).for_each(|piece| verifier.update(piece));
            assert!(verifier.verify(&good).is_some(), "{size}");
        }
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", Key::new(*b"secret")), "Key(..)");
    }
}
