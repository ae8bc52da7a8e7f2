//! Texts as they are remembered: by a keyed hash of 128 bits, not by themselves.
//!
//! Two texts of one hash are not found by chance, nor on purpose, since each process draws a key of its own. So a text
//! is known again without reading another one from memory, and what is remembered of it takes 32 bytes, whatever its
//! length.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher13};

/// The hash of a text. It says nothing to another process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

/// Makes them, with a key of this process.
pub struct Fingerprints(SipHasher13);

impl Default for Fingerprints {
    fn default() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Fingerprints(SipHasher13::new_with_keys(random(), random()))
    }
}

impl Fingerprints {
    pub fn of(&self, text: &str) -> Fingerprint {
        Fingerprint(self.0.hash(text.as_bytes()).as_u128())
    }

    /// Of several texts, some of which may be missing.
    pub fn of_all(&self, texts: &[Option<&str>]) -> Fingerprint {
        let mut hasher = self.0;
        texts.hash(&mut hasher);
        Fingerprint(hasher.finish128().as_u128())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_has_another_fingerprint() {
        let fingerprints = Fingerprints::default();
        let lists: [&[Option<&str>]; 7] = [
            &[Some("ann"), None, None],
            &[None, Some("ann"), None],
            &[Some("an"), Some("n"), None],
            &[Some("a"), Some("nn"), None],
            &[Some("ann"), Some(""), None],
            &[None, None, None],
            &[None, None],
        ];
        for (i, a) in lists.iter().enumerate() {
            for (j, b) in lists.iter().enumerate() {
                assert_eq!(fingerprints.of_all(a) == fingerprints.of_all(b), i == j, "{a:?} {b:?}");
            }
        }
        assert!(fingerprints.of("ann") == fingerprints.of("ann") && fingerprints.of("ann") != fingerprints.of("anm"));
        assert!(fingerprints.of("ann") != Fingerprints::default().of("ann"), "each process has its own");
    }
}
