//! JSON from strangers, as a tree.
//!
//! `serde_json::Value` is not read by its own `Deserialize`: with `arbitrary_precision` and `raw_value` that takes
//! an object whose first key is one of serde_json's private names for a number or for JSON inside a string. The
//! latter starts a parser with a fresh depth limit, so that a few megabytes of escaped strings in strings overflow
//! the stack. Here such objects stay objects, and the depth limit holds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Unreadable;

/// How serde_json hands a number that is no 64-bit integer to a visitor under `arbitrary_precision`.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one JSON value. Of a key that comes twice the last value stands. A surrogate without its other half, which
/// senders make by cutting text within an emoji, becomes U+FFFD.
///
/// # Errors
///
/// Text that is not JSON, or nested more than 127 deep.
pub fn parse(text: &str) -> Result<Value, Unreadable> {
    match serde_json::from_str::<Tree>(text) {
        Ok(tree) => Ok(tree.0),
        Err(error) => match mend_surrogates(text) {
            Some(mended) => Ok(serde_json::from_str::<Tree>(&mended)?.0),
            None => Err(error.into()),
        },
    }
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

struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Tree(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Tree(value))) = entries.next_entry::<String, Tree>()? {
            if object.is_empty()
                && key == NUMBER
                && let Value::String(text) = &value
                && let Ok(number) = text.parse::<Number>()
            {
                return Ok(Value::Number(number));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// The text with every lone surrogate escape written as `\ufffd`; `None` where there is none.
fn mend_surrogates(text: &str) -> Option<String> {
    let mut mended = String::new();
    let mut kept = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..)?.find('\\') {
        let escape = at + found;
        match unit(text, escape) {
            // a pair
            Some(0xD800..=0xDBFF) if matches!(unit(text, escape + 6), Some(0xDC00..=0xDFFF)) => at = escape + 12,
            Some(0xD800..=0xDFFF) => {
                mended.push_str(&text[kept..escape]);
                mended.push_str("\\ufffd");
                at = escape + 6;
                kept = at;
            }
            _ => at = escape + 2,
        }
    }
    (kept > 0).then(|| mended + &text[kept..])
}

/// The UTF-16 unit that an escape at this place stands for.
fn unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_what_was_written() {
        let text = r#"{"a":[1,-2,2.50,1e+400,true,null,"x"],"big":123456789012345678901234567890}"#;
        assert_eq!(parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn the_last_of_equal_keys_stands() {
        assert_eq!(parse(r#"{"a":1,"a":2}"#).unwrap().to_string(), r#"{"a":2}"#);
    }

    #[test]
    fn private_names_of_the_parser_are_keys_like_others() {
        for text in [
            r#"{"$serde_json::private::RawValue":"[1]"}"#,
            r#"{"$serde_json::private::Number":"x"}"#,
            r#"{"$serde_json::private::Number":[]}"#,
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    /// With `serde_json::Value`'s own `Deserialize` this overflows the stack of the thread.
    #[test]
    fn json_hidden_in_strings_is_not_unpacked() {
        let mut text = String::from("1");
        for _ in 0..18 {
            let nested = serde_json::to_string(&format!("{}{text}{}", "[".repeat(120), "]".repeat(120))).unwrap();
            text = format!(r#"{{"$serde_json::private::RawValue":{nested}}}"#);
        }
        let read = std::thread::Builder::new().stack_size(1 << 20).spawn(move || parse(&text).is_ok());
        assert!(read.unwrap().join().unwrap());
    }

    #[test]
    fn depth_is_limited() {
        let text = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(parse(&text).unwrap_err().to_string().contains("recursion limit"));
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
        for (text, wanted) in cases {
            assert_eq!(parse(text).unwrap(), Value::String(wanted.to_owned()), "{text}");
        }
        assert!(parse(r#""\ud83"#).is_err());
    }
}
