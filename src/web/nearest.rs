//! "Did you mean": the known word that is spelled most like another.

/// The known word with the fewest letters to change.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known.iter().copied().min_by_key(|other| strsim::osa_distance(word, other))
}

/// The same, but only where it may be a typo: up to two letters differ, of a short word fewer than half.
pub fn typo<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    nearest(word, known).filter(|other| strsim::osa_distance(word, other) <= 2.min(other.len() / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_near_one_word() {
        let known = ["status", "since", "to"];
        assert_eq!((nearest("staus", &known), typo("staus", &known)), (Some("status"), Some("status")));
        assert_eq!((nearest("at", &known), typo("urn", &known)), (Some("to"), None));
    }
}
