//! Texts as they are remembered: by a keyed hash of 128 bits, not by themselves.
//!
//! Two texts of one hash are not found by chance, nor on purpose, since each process draws a key of its own. So a text
//! is known again without reading another one from memory, and what is remembered of it takes 24 bytes, whatever its
//! length.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use siphasher::sip128::{Hash128, Hasher128, SipHasher13};

/// The hash of a text. It says nothing to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u64; 2]);

/// With the key of this process.
static HASHER: LazyLock<SipHasher13> = LazyLock::new(hasher);

fn hasher() -> SipHasher13 {
    let random = || RandomState::new().build_hasher().finish();
    SipHasher13::new_with_keys(random(), random())
}

impl Fingerprint {
    pub fn of(text: &str) -> Fingerprint {
        Fingerprint::from(HASHER.hash(text.as_bytes()))
    }

    /// Of several texts, some of which may be missing.
    pub fn of_all(texts: &[Option<&str>]) -> Fingerprint {
        let mut hasher = *HASHER;
        texts.hash(&mut hasher);
        Fingerprint::from(hasher.finish128())
    }
}

impl From<Hash128> for Fingerprint {
    fn from(hash: Hash128) -> Fingerprint {
        Fingerprint([hash.h1, hash.h2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_has_another_fingerprint() {
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
                assert_eq!(Fingerprint::of_all(a) == Fingerprint::of_all(b), i == j, "{a:?} {b:?}");
            }
        }
        assert_eq!(Fingerprint::of("ann"), Fingerprint::of("ann"));
        assert_ne!(Fingerprint::of("ann"), Fingerprint::of("anm"));
    }

    #[test]
    fn each_process_draws_its_key() {
        let by = |hasher: SipHasher13| Fingerprint::from(hasher.hash(b"ann"));
        assert_eq!(Fingerprint::of("ann"), by(*HASHER));
        assert_ne!(by(hasher()), by(hasher()));
    }
}
