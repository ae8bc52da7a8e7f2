//! Identifiers in texts that were not understood: bodies in quarantine, names of ignored events.
//!
//! Each word of a text that may be an identifier is hashed and looked up, so that a text is judged alike whether it came
//! before the request or after it.

use std::collections::HashSet;

use rusqlite::Connection;

use super::super::Error;
use super::super::quarantine::Quarantined;
use super::{Forgotten, covers, links_of};
use crate::domain::Millis;
use crate::domain::forgetting::Hash;

/// Shorter words without an `@` stand in many a body by chance: they count as the value of a key that ends in `id`.
const TELLING_BYTES_MIN: usize = 6;

/// What stands around identifiers, from the longest words to the shortest: an id may have spaces, or colons.
const SEPARATORS: [&[char]; 3] = [
    &['"'],
    &['"', '\'', ' ', '\t', '\r', '\n', ',', ';', '<', '>', '(', ')', '[', ']', '{', '}'],
    &[
        '"', '\'', ' ', '\t', '\r', '\n', ',', ';', '<', '>', '(', ')', '[', ']', '{', '}', ':', '=', '&', '?', '#',
        '/', '\\', '|',
    ],
];

/// Whether a body that was not understood names a forgotten person, and must not be stored.
pub fn is_of_the_forgotten(
    connection: &Connection,
    forgotten: &Forgotten,
    item: &Quarantined,
    received_at_ms: Millis,
) -> Result<bool, Error> {
    let texts = [item.detail.as_bytes(), &item.body];
    are_of_the_forgotten(connection, forgotten, texts, (received_at_ms, item.due_at_ms))
}

/// The same of the texts of a row of the quarantine, with its receipt and, of an event from the future, its time.
pub(super) fn are_of_the_forgotten<'t>(
    connection: &Connection,
    forgotten: &Forgotten,
    texts: impl IntoIterator<Item = &'t [u8]>,
    (received_at_ms, due_at_ms): (Millis, Option<Millis>),
) -> Result<bool, Error> {
    if !forgotten.any() {
        return Ok(false);
    }
    for text in texts {
        for word in words(&decoded(text)) {
            if forgotten.knows(connection, word)?
                && is_forgotten(connection, &forgotten.hash(word), received_at_ms, due_at_ms)?
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a text holds an identifier that is forgotten, for some time at least.
pub(super) fn has_forgotten(connection: &Connection, forgotten: &Forgotten, text: &str) -> Result<bool, Error> {
    forgotten.knows_any(connection, words(&decoded(text.as_bytes())).into_iter())
}

/// Whether what was received then, and not understood, is forgotten with an identifier. When its delivery was created is
/// not known, so a deletion takes all, except for an event that lies ahead.
fn is_forgotten(
    connection: &Connection,
    hash: &Hash,
    received_at_ms: Millis,
    due_at_ms: Option<Millis>,
) -> Result<bool, Error> {
    let mut deleted = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM _forgotten WHERE hash = ?1 AND request = 'deleted')")?;
    for hash in links_of(connection, hash)?.iter().chain([hash]) {
        if covers(connection, hash, due_at_ms.unwrap_or(received_at_ms))?
            || (due_at_ms.is_none() && deleted.query_row([hash], |row| row.get(0))?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The words that may be identifiers, once each.
fn words(text: &str) -> HashSet<&str> {
    let mut words = HashSet::new();
    for separators in SEPARATORS {
        let mut from = 0;
        for word in text.split(separators) {
            if tells(word, &text[..from]) {
                words.insert(word);
                // at the end of a sentence
                words.insert(word.trim_matches(['.', ':', '!', '?', '-', '_']));
            }
            // every separator is one byte long
            from += word.len() + 1;
        }
    }
    words
}

/// Whether a word, with what stands before it, may be the identifier of a person.
fn tells(word: &str, before: &str) -> bool {
    if word.contains('@') || word.len() >= TELLING_BYTES_MIN {
        return true;
    }
    let key = before.trim_end_matches(['"', ' ', ':', '[', '=']);
    // a key and its value are parted by something
    !word.is_empty() && key.len() < before.len() && key.to_ascii_lowercase().ends_with("id")
}

/// A text without the escapes of URLs and of JSON.
fn decoded(text: &[u8]) -> String {
    let number = |from: usize, digits: usize| {
        let digits = text.get(from..from + digits).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
        u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut plain, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = text.get(at) {
        let escaped = match (byte, text.get(at + 1)) {
            (b'%', _) => number(at + 1, 2).map(|byte| (vec![byte as u8], 3)),
            (b'\\', Some(b'u')) => {
                number(at + 2, 4).and_then(char::from_u32).map(|char| (char.to_string().into_bytes(), 6))
            }
            (b'\\', Some(b'/')) => Some((vec![b'/'], 2)),
            _ => None,
        };
        let (bytes, length) = escaped.unwrap_or((vec![byte], 1));
        plain.extend(bytes);
        at += length;
    }
    String::from_utf8(plain).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::forgetting::normalized;

    fn names(text: &str) -> bool {
        let text = decoded(text.as_bytes());
        let words = words(&text);
        words.iter().any(|word| ["ada+x@example.org", "p7", "person-70", "token:APA_7-x"].contains(&&*normalized(word)))
    }

    #[test]
    fn an_identifier_is_found_in_every_spelling_and_not_in_longer_words() {
        for text in [
            "to ada+x@example.org.",
            "<ADA+X@Example.org>",
            "?to=ada%2Bx%40example.org&a",
            "?to=ada+x%40example.org",
            r#""ada+x\u0040example.org""#,
            r#"{"customer_id":"p7"}"#,
            r#"{"userId": "p7"}"#,
            r#"{"id":["p7"]}"#,
            "about person-70",
            "https:\\/\\/x.test\\/u\\/person-70\\/offer",
            "no token:APA_7-x",
        ] {
            assert!(names(text), "{text}");
        }
        for text in
            ["bada+x@example.org", "ada+x@example.organic", "p7", r#"{"size":"p7"}"#, "userIdp7", "person-701", "100%"]
        {
            assert!(!names(text), "{text}");
        }
    }
}
