//! A body, taken apart into items without losing a byte of them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::reason::Unreadable;

/// What a body holds, as the exact text of each item.
pub(super) enum Body<'a> {
    /// It begins as an object: whether it is one is for its reader to say.
    One(&'a str),
    Many(Vec<&'a RawValue>),
}

impl<'a> Body<'a> {
    /// Takes a whole body apart: an object, or an array.
    pub fn read(body: &'a [u8]) -> Result<Body<'a>, Unreadable> {
        let text = text(body)?;
        match text.trim_start().as_bytes().first() {
            Some(b'{') => return Ok(Body::One(text)),
            Some(b'[') => return Ok(Body::Many(serde_json::from_str(text)?)),
            _ => {}
        }
        let whole: &RawValue = serde_json::from_str(text)?;
        match whole.get().as_bytes().first() {
            Some(b'"') => Err(Unreadable::NoUse { found: "a string" }),
            Some(b't' | b'f') => Err(Unreadable::NoUse { found: "a boolean" }),
            Some(b'n') => Err(Unreadable::NoUse { found: "null" }),
            _ => Err(Unreadable::NoUse { found: "a number" }),
        }
    }
}

/// The lines of an NDJSON body with their numbers from 1, blank ones left out. `None` where it is not one: a body
/// that is one broken object must be said to be so, and not be taken for lines.
pub(super) fn lines(body: &[u8]) -> Option<Vec<(usize, &[u8])>> {
    let body = body.strip_prefix(BOM).unwrap_or(body);
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let lines: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).map(|(i, line)| (i + 1, line)).collect();
    let (_, first) = lines.first()?;
    (lines.len() > 1 && first.starts_with(b"{") && first.ends_with(b"}")).then_some(lines)
}

/// The keys of an object and the exact text of their values; of a key that comes twice the last. `None` where it is
/// no object.
pub(super) fn keys(object: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(object).ok()
}

/// Some editors and exporters begin a file with it.
const BOM: &[u8] = b"\xEF\xBB\xBF";

fn text(body: &[u8]) -> Result<&str, Unreadable> {
    let body = body.strip_prefix(BOM).unwrap_or(body);
    std::str::from_utf8(body).map_err(|error| {
        let good = &body[..error.valid_up_to()];
        let line_start = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |i| i + 1);
        Unreadable::NotJson {
            message: format!("invalid UTF-8 at byte {}", good.len()),
            line: good.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: good.len() - line_start + 1,
        }
    })
}
