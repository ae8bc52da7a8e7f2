//! JSON from strangers: read by serde_json, and taken apart as text.
//!
//! A body of many items is cut into the texts of its items before any tree is made. So one item that cannot be read costs
//! no other, a body of calls never is in memory as one tree, and what is stored of an item is its text as it came.
//!
//! Numbers are serde_json's: an integer of 64 bits keeps every digit, any other number is an `f64`. A number beyond its
//! range (`1e400`) is refused as no JSON. serde_json's feature `raw_value` must stay off: with it an object whose key is
//! a private name of serde_json is parsed as JSON within a string with a fresh depth limit, which overflows the stack.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::Unreadable;

pub(super) type Object = Map<String, Value>;

/// The most values that are read as one tree. A few megabytes of `[0,0,0,...]` would take a gigabyte.
const VALUES_MAX: usize = 1_000_000;

/// What a body holds, as text.
pub(super) enum Body<'a> {
    /// It begins as an object; whether it is one is for its reader to say.
    One(&'a str),
    /// The items of an array.
    Many(Vec<&'a str>),
}

impl<'a> Body<'a> {
    pub fn read(body: &'a [u8]) -> Result<Body<'a>, Unreadable> {
        let text = text(body)?;
        match text.trim_start().as_bytes().first() {
            Some(b'{') => Ok(Body::One(text)),
            Some(b'[') => {
                check(text)?;
                Ok(Body::Many(parts(text).collect()))
            }
            _ => Err(Unreadable::NoUse { found: kind(&parse(text)?) }),
        }
    }
}

/// An object, and the text that says it.
pub(super) struct Document<'a> {
    pub text: Cow<'a, str>,
    pub object: Object,
}

impl<'a> Document<'a> {
    /// As [`parse`], of what must be an object.
    pub fn read(text: &'a str) -> Result<Document<'a>, Unreadable> {
        match read(text)? {
            (text, Value::Object(object)) => Ok(Document { text, object }),
            (_, other) => Err(Unreadable::NoUse { found: kind(&other) }),
        }
    }

    /// As [`Document::read`], of an object that may hold calls. These are read from its text, one by one, so that one
    /// which is nested too deeply does not cost the others: it is `null` in the object then.
    pub fn around_calls(text: &'a str) -> Result<Document<'a>, Unreadable> {
        const CALLS: [&str; 2] = ["batch", "body"];
        Document::read(text).or_else(|error| {
            check(text)?;
            let members = members(text);
            if !CALLS.iter().any(|key| members.contains_key(*key)) {
                return Err(error);
            }
            let value = |key: &str, text| if CALLS.contains(&key) { Some(Value::Null) } else { parse(text).ok() };
            let members = members.into_iter().filter_map(|(key, text)| Some((value(&key, text)?, key)));
            Ok(Document { text: text.into(), object: members.map(|(value, key)| (key, value)).collect() })
        })
    }
}

/// Reads one JSON value. Of a key that comes twice the last value stands. A surrogate without its other half, which
/// senders make by cutting text within an emoji, becomes U+FFFD.
///
/// # Errors
///
/// Text that is not JSON, is nested more than 127 deep, or has more than [`VALUES_MAX`] values.
pub(super) fn parse(text: &str) -> Result<Value, Unreadable> {
    read(text).map(|(_, value)| value)
}

/// As [`parse`], with the text that was read: as it came, or with lone surrogates replaced.
fn read(text: &str) -> Result<(Cow<'_, str>, Value), Unreadable> {
    // no more values than these, and few of them stand in strings
    let values = text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > VALUES_MAX {
        return Err(Unreadable::TooMany { items: values, max: VALUES_MAX });
    }
    match serde_json::from_str(text) {
        Ok(value) => Ok((text.trim().into(), value)),
        Err(error) => match without_lone_surrogates(text) {
            Some(mended) => {
                let value = serde_json::from_str(&mended)?;
                Ok((mended.trim().to_owned().into(), value))
            }
            None => Err(error.into()),
        },
    }
}

/// Whether a text is JSON, however deep.
pub(super) fn check(text: &str) -> Result<(), Unreadable> {
    serde_json::from_str::<IgnoredAny>(text)?;
    Ok(())
}

/// The items of an array, or the members of an object, as they are written. The text must be JSON.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    let mut rest = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
    std::iter::from_fn(move || {
        if rest.trim_start().is_empty() {
            return None;
        }
        let end = comma(rest);
        let part = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(part.trim())
    })
}

/// Where the first comma stands that is neither in a string nor in brackets, else the end.
fn comma(text: &str) -> usize {
    let (mut depth, mut is_in_string, mut is_escaped) = (0usize, false, false);
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            _ if is_in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return place,
            _ => {}
        }
    }
    text.len()
}

/// The keys of an object with the texts of their values; of a key that comes twice the last. The text must be JSON.
pub(super) fn members(object: &str) -> BTreeMap<String, &str> {
    let member = |member| {
        let mut key = serde_json::Deserializer::from_str(member).into_iter::<String>();
        let name = key.next()?.ok()?;
        let value = member[key.byte_offset()..].trim_start().strip_prefix(':')?;
        Some((name, value.trim()))
    };
    parts(object).filter_map(member).collect()
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// An object as compact JSON, its keys in their order.
pub(super) fn written(object: &Object) -> String {
    serde_json::to_string(object).expect("invariant: a map with text for keys is JSON")
}

/// Compact JSON with sorted keys: equal values are equal texts.
pub(super) fn sorted(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

/// Some editors and exporters begin a file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The lines of an NDJSON body with their numbers from 1, blank ones left out. `None` where it is not one: a body
/// that is one broken object must be said to be so, and not be taken for lines.
pub(super) fn lines(body: &[u8]) -> Option<Vec<(usize, &[u8])>> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let lines: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).map(|(i, line)| (i + 1, line)).collect();
    let (_, first) = lines.first()?;
    (lines.len() > 1 && first.starts_with(b"{") && first.ends_with(b"}")).then_some(lines)
}

fn text(body: &[u8]) -> Result<&str, Unreadable> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
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

/// The text with every lone surrogate escape, which no string can hold, written as `\ufffd`; `None` where there is none.
fn without_lone_surrogates(text: &str) -> Option<String> {
    let mut mended = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..)?.find('\\') {
        let escape = at + found;
        match utf16_unit(text, escape) {
            // a pair
            Some(0xD800..=0xDBFF) if matches!(utf16_unit(text, escape + 6), Some(0xDC00..=0xDFFF)) => at = escape + 12,
            Some(0xD800..=0xDFFF) => {
                mended.push_str(&text[copied..escape]);
                mended.push_str("\\ufffd");
                at = escape + 6;
                copied = at;
            }
            _ => at = escape + 2,
        }
    }
    (copied > 0).then(|| mended + &text[copied..])
}

/// The UTF-16 unit that an escape at this place stands for.
fn utf16_unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::wire::testing::anything;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_apart_is_what_it_was(values in prop::collection::vec(("[a\"\\\\,é{]{0,3}", anything()), 0..8), is_spread in any::<bool>()) {
            let write = |value: &Value| if is_spread { format!(" {value:#}\n") } else { value.to_string() };
            let array = Value::from_iter(values.iter().map(|(_, value)| value.clone()));
            let text = write(&array);
            let items: Vec<Value> = parts(&text).map(|item| parse(item).unwrap()).collect();
            prop_assert_eq!(Value::Array(items), array);

            let object: Object = values.into_iter().collect();
            let text = write(&Value::Object(object.clone()));
            let members: Object =
                members(&text).into_iter().map(|(key, value)| (key, parse(value).unwrap())).collect();
            prop_assert_eq!(&members, &object);
            let document = Document::read(&text).unwrap();
            prop_assert_eq!((&*document.text, document.object), (text.trim(), object));
        }
    }

    #[test]
    fn of_equal_keys_the_last_stands() {
        assert_eq!(parse(r#"{"a":1,"b":0,"a":2}"#).unwrap().to_string(), r#"{"a":2,"b":0}"#);
        assert_eq!(members(r#"{"a":1,"\u0061":2}"#), BTreeMap::from([("a".into(), "2")]));
    }

    #[test]
    fn integers_keep_their_digits_and_other_numbers_are_floats() {
        for (written, read) in [
            ("12345678901234567890", "12345678901234567890"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("2.50", "2.5"),
            ("100000000000000000000", "1e+20"),
        ] {
            assert_eq!(parse(written).unwrap().to_string(), read);
        }
        assert!(parse("1e400").is_err());
    }

    /// With serde_json's feature `raw_value` this overflows the stack of the thread.
    #[test]
    fn json_in_strings_is_not_unpacked() {
        let mut text = String::from("1");
        for _ in 0..18 {
            let nested = serde_json::to_string(&format!("{}{text}{}", "[".repeat(120), "]".repeat(120))).unwrap();
            text = format!(r#"{{"$serde_json::private::RawValue":{nested}}}"#);
        }
        let read = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
            let value = parse(&text).unwrap().to_string();
            value == text
        });
        assert!(read.unwrap().join().unwrap());
    }

    #[test]
    fn depth_and_the_number_of_values_are_limited() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(parse(&deep).unwrap_err().to_string().contains("recursion limit"));
        let many = format!("[0{}]", ",0".repeat(VALUES_MAX));
        assert!(matches!(parse(&many), Err(Unreadable::TooMany { .. })));
    }

    #[test]
    fn a_call_that_is_too_deep_costs_no_other() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let text = format!(r#"{{"context":{{"a":"\ude00"}},"x":{deep},"batch":[{deep},{{"a":1}}]}}"#);
        let document = Document::around_calls(&text).unwrap();
        assert_eq!(Value::Object(document.object).to_string(), "{\"batch\":null,\"context\":{\"a\":\"\u{FFFD}\"}}");
        assert_eq!(parts(members(&document.text)["batch"]).collect::<Vec<_>>(), [deep.as_str(), r#"{"a":1}"#]);
        assert!(Document::around_calls(&format!(r#"{{"x":{deep}}}"#)).is_err());
    }

    #[test]
    fn half_an_emoji_does_not_cost_the_event() {
        let cases = [
            (r#""\ud83d\ude00""#, "\u{1F600}"),
            (r#""a\ud83d""#, "a\u{FFFD}"),
            (r#""\ude00b""#, "\u{FFFD}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{FFFD}\u{1F600}"),
            (r#""\\ud83d\ude00é""#, "\\ud83d\u{FFFD}é"),
        ];
        for (text, read) in cases {
            assert_eq!(parse(text).unwrap(), Value::from(read), "{text}");
        }
        assert!(parse(r#""\ud83"#).is_err());
        assert_eq!(Document::read(r#"{"a":"\ud83d"}"#).unwrap().text, r#"{"a":"\ufffd"}"#);
    }
}
