//! Signatures as SendGrid makes them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

/// A private key, and the public one as SendGrid's console shows it.
pub fn keys() -> (EcdsaKeyPair, String) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
    // what stands before a point of P-256 in a SubjectPublicKeyInfo
    let head = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let head: Vec<u8> =
        (0..head.len()).step_by(2).map(|at| u8::from_str_radix(&head[at..at + 2], 16).unwrap()).collect();
    let public = BASE64.encode([&head, pair.public_key().as_ref()].concat());
    (pair, public)
}

pub fn sign(pair: &EcdsaKeyPair, signed: &str) -> String {
    BASE64.encode(pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap())
}
