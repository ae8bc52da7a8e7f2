//! Signatures of Amazon SNS.
//!
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>, read 2026-11-30
//!
//! Whoever has an account at AWS can have SNS sign what they like, so a signature says something only of a topic that one
//! knows. The topics of the operator stand for the keys of this sender.

use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use x509_parser::prelude::{FromDer, X509Certificate, parse_x509_pem};

use crate::domain::Millis;
use crate::wire::signature::Key;
use crate::wire::{json, time};

/// What is signed of each type, in this order. A notification may have no subject.
const NOTIFICATION: &[&str] = &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION: &[&str] = &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// A message of a known topic, whose signature is still to be checked.
pub struct Message {
    /// Where the certificate is: an address of Amazon's in the topic's region.
    pub certificate_url: String,
    /// When it was published, in seconds since 1970.
    pub at_s: String,
    /// The place of its topic among the keys.
    pub place: usize,
    signed: String,
    signature: Vec<u8>,
    algorithm: &'static RsaParameters,
}

impl Message {
    /// Reads a request's body.
    ///
    /// # Errors
    /// It is no signed message of one of these topics; why, for its sender.
    pub fn read(body: &[u8], topics: &[Key]) -> Result<Message, &'static str> {
        let parsed = std::str::from_utf8(body).ok().and_then(|text| json::parse(text).ok());
        let Some(Value::Object(message)) = parsed else { return Err("the body is no message of Amazon SNS") };
        let field = |name: &str| message.get(name).and_then(Value::as_str);
        let (topic, signature) = (field("TopicArn").unwrap_or_default(), field("Signature").unwrap_or_default());
        let place = topics.iter().position(|known| known.bytes() == topic.as_bytes());
        let place =
            place.ok_or("TopicArn is none of those that were set by `waybill keys add signing NAME --for ses`")?;
        let algorithm = match field("SignatureVersion") {
            Some("1") => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Some("2") => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err("SignatureVersion must be 1 or 2"),
        };
        let fields = match field("Type") {
            Some("Notification") => NOTIFICATION,
            Some("SubscriptionConfirmation" | "UnsubscribeConfirmation") => CONFIRMATION,
            _ => return Err("Type must be Notification, SubscriptionConfirmation or UnsubscribeConfirmation"),
        };
        let mut signed = String::new();
        for name in fields {
            match field(name) {
                Some(value) => signed.extend([*name, "\n", value, "\n"]),
                None if *name == "Subject" => {}
                None => return Err("a field that Amazon SNS signs is missing"),
            }
        }
        let url = field("SigningCertURL").unwrap_or_default();
        if !is_of_region(url, topic) {
            return Err("SigningCertURL must be https://sns.REGION.amazonaws.com/NAME.pem, in the topic's region");
        }
        let at_ms = message.get("Timestamp").and_then(time::instant).ok_or("Timestamp is no time")?;
        Ok(Message {
            certificate_url: url.to_owned(),
            at_s: (at_ms / 1_000).to_string(),
            place,
            signed,
            signature: BASE64.decode(signature).map_err(|_| "Signature is no base64")?,
            algorithm,
        })
    }

    /// Whether the certificate's key made the signature, and is valid at this time.
    pub fn is_signed_by(&self, certificate: &Certificate, now_ms: Millis) -> bool {
        let is_valid = (certificate.from_ms..=certificate.until_ms).contains(&now_ms);
        let key = UnparsedPublicKey::new(self.algorithm, &certificate.key);
        is_valid && key.verify(self.signed.as_bytes(), &self.signature).is_ok()
    }
}

/// Whether this can be the name of a topic: `arn:aws:sns:eu-west-1:123456789012:mail`.
pub fn is_topic(arn: &str) -> bool {
    host(arn).is_some()
}

/// Where the certificates of a topic's region are.
fn host(arn: &str) -> Option<String> {
    let parts: Vec<_> = arn.split(':').collect();
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let ["arn", partition, "sns", region, account, name] = parts[..] else { return None };
    let is_whole = [partition, region, account].iter().all(is_word) && !name.is_empty();
    let ending = if partition == "aws-cn" { ".cn" } else { "" };
    is_whole.then(|| format!("sns.{region}.amazonaws.com{ending}"))
}

fn is_of_region(url: &str, topic: &str) -> bool {
    let path = host(topic).and_then(|host| url.strip_prefix(&format!("https://{host}/")));
    let name = path.and_then(|path| path.strip_suffix(".pem")).unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The public key with which SNS signs, and when it may.
pub struct Certificate {
    key: Vec<u8>,
    from_ms: Millis,
    until_ms: Millis,
}

impl Certificate {
    /// `None`: it is no certificate in PEM.
    pub fn of_pem(pem: &[u8]) -> Option<Certificate> {
        let (_, pem) = parse_x509_pem(pem).ok()?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
        let validity = certificate.validity();
        Some(Certificate {
            key: certificate.public_key().subject_public_key.data.to_vec(),
            from_ms: validity.not_before.timestamp() * 1_000,
            until_ms: validity.not_after.timestamp() * 1_000,
        })
    }
}
