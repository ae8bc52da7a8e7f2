//! Signatures of webhooks: the right one is accepted however the body is cut, and nothing else is.

#![no_main]

use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;
use waybill::wire::signature::{Key, Verifier};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_accepted(mut verifier: Verifier, body: &[u8], cut: usize, signature: &str) -> bool {
    let (first, second) = body.split_at(cut.min(body.len()));
    verifier.update(first);
    verifier.update(second);
    verifier.verify(signature).is_some()
}

fuzz_target!(|input: (String, String, Vec<u8>, String, u8, u8)| {
    let (secret, timestamp, body, forged, cut, flipped) = input;
    let keys = [&b"another"[..], secret.as_bytes()].map(Key::new);
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("v0:{timestamp}:").as_bytes());
    mac.update(&body);
    let right = hex(&mac.finalize().into_bytes());

    let is_number = !timestamp.is_empty() && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let check =
        |body: &[u8], signature: &str| is_accepted(Verifier::webhook(&keys, &timestamp), body, cut.into(), signature);
    assert_eq!(check(&body, &right), is_number);
    assert!(forged == right || !check(&body, &forged));
    assert!(!is_accepted(Verifier::pipelines(&keys), &body, cut.into(), &forged) || forged.len() == 40);
    if !body.is_empty() {
        let mut tampered = body.clone();
        tampered[usize::from(flipped) % body.len()] ^= 1;
        assert!(!check(&tampered, &right));
    }
});
