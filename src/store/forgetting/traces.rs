//! Identifiers in texts that nobody has taken apart: bodies kept aside, subjects, names of what was ignored.

use std::borrow::Cow;

use aho_corasick::AhoCorasick;
use rusqlite::Connection;

use super::super::Error;
use super::super::names::Names;
use super::super::receipts::Quarantined;
use super::covers;
use crate::domain::Millis;
use crate::domain::forgetting::Hash;

/// Shorter texts without an `@` stand in many a body by chance: they count as the value of a key that ends in `id`.
const TELLING_BYTES_MIN: usize = 6;

/// What identifiers look like in texts.
pub struct Traces {
    spelled: AhoCorasick,
}

impl Traces {
    /// Of identifiers in plain, in URLs and in JSON.
    pub fn of(identifiers: &[String]) -> Result<Traces, Error> {
        let spellings = identifiers.iter().flat_map(|identifier| spellings(identifier));
        let spelled = AhoCorasick::builder().ascii_case_insensitive(true).build(spellings);
        Ok(Traces { spelled: spelled.map_err(|error| Error::Row(format!("identifiers to look for: {error}")))? })
    }

    /// Whether one of them stands there by itself, not as a part of a longer word.
    pub fn in_text(&self, text: &[u8]) -> bool {
        self.spelled.find_overlapping_iter_checked(text).any(|(from, to)| {
            let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
            let alone = !is_word(from.checked_sub(1).and_then(|at| text.get(at))) && !is_word(text.get(to));
            alone && tells(&text[from..to], &text[..from])
        })
    }

    /// What finds them anywhere.
    pub fn anywhere(&self) -> &AhoCorasick {
        &self.spelled
    }
}

trait Overlapping {
    fn find_overlapping_iter_checked<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, usize)>;
}

impl Overlapping for AhoCorasick {
    /// All places, also those within one another.
    fn find_overlapping_iter_checked<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, usize)> {
        self.try_find_overlapping_iter(text).into_iter().flatten().map(|found| (found.start(), found.end()))
    }
}

fn spellings(identifier: &str) -> Vec<String> {
    let in_url = |plain: &dyn Fn(u8) -> bool| -> String {
        let byte = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        identifier.bytes().map(byte).collect()
    };
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let in_json = serde_json::Value::from(identifier).to_string();
    let in_json = in_json.get(1..in_json.len() - 1).unwrap_or_default();
    let mut spellings = vec![
        identifier.to_owned(),
        in_url(&is_unreserved),
        in_url(&|byte| is_unreserved(byte) || byte == b'+'),
        in_url(&|byte| is_unreserved(byte) || byte == b'@'),
        in_json.to_owned(),
        in_json.replace('/', "\\/"),
        in_json.replace('@', "\\u0040"),
        in_json.replace('@', "\\u0040").replace('+', "\\u002b"),
        in_json.replace('+', "\\u002b"),
    ];
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// Whether a word in a text, with what stands before it, tells of a person.
fn tells(word: &[u8], before: &[u8]) -> bool {
    if word.contains(&b'@') || word.len() >= TELLING_BYTES_MIN {
        return true;
    }
    let key = before.iter().rposition(|byte| !b"\" :[=".contains(byte)).map_or(&[][..], |end| &before[..=end]);
    // a key and its value are parted by something
    key.len() < before.len() && key.to_ascii_lowercase().ends_with(b"id")
}

/// Whether something that was not understood, but names a forgotten person, must not be kept.
pub fn is_of_the_forgotten(
    connection: &Connection,
    names: &Names,
    aside: &Quarantined,
    received_at_ms: Millis,
) -> Result<bool, Error> {
    if !names.forgotten.any() {
        return Ok(false);
    }
    let text = String::from_utf8_lossy(&aside.body);
    let text: Cow<str> = if text.contains("\\u0040") || text.contains("%40") {
        text.replace("\\u0040", "@").replace("%40", "@").into()
    } else {
        text
    };
    let base = text.as_ptr() as usize;
    let parts = |separators: &'static [char]| text.split(separators);
    // whole values, and the words of longer ones
    for word in parts(&['"']).chain(parts(&[
        '"', ' ', ',', ':', ';', '{', '}', '[', ']', '(', ')', '<', '>', '?', '&', '=', '/', '\\', '\n',
    ])) {
        let at = word.as_ptr() as usize - base;
        if word.is_empty() || !tells(word.as_bytes(), &text.as_bytes()[..at]) {
            continue;
        }
        if names.forgotten.knows(connection, word)?
            && is_forgotten(connection, &names.forgotten.hash(word), received_at_ms, aside.due_at_ms)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether what was received then, and not understood, is forgotten with an identifier. Nobody knows when it was
/// created, so a deletion takes all, but for what lies ahead.
pub fn is_forgotten(
    connection: &Connection,
    hash: &Hash,
    received_at_ms: Millis,
    due_at_ms: Option<Millis>,
) -> Result<bool, Error> {
    let mut links = connection.prepare_cached("SELECT named FROM forgotten_links WHERE hash = ?1")?;
    let mut named = links.query_map([hash], |row| row.get(0))?.collect::<Result<Vec<Hash>, _>>()?;
    named.push(*hash);
    let mut deleted = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM forgotten WHERE hash = ?1 AND standing = 'deleted')")?;
    for hash in named {
        if covers(connection, &hash, due_at_ms.unwrap_or(received_at_ms))?
            || (due_at_ms.is_none() && deleted.query_row([hash], |row| row.get(0))?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_found_however_it_is_spelled_and_only_by_itself() {
        let traces = Traces::of(&["ada+x@example.org".into(), "p7".into(), "person-70".into()]).unwrap();
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
        ] {
            assert!(traces.in_text(text.as_bytes()), "{text}");
        }
        for text in ["bada+x@example.org", "ada+x@example.organic", "p7", r#"{"size":"p7"}"#, "userIdp7", "person-701"]
        {
            assert!(!traces.in_text(text.as_bytes()), "{text}");
        }
    }
}
