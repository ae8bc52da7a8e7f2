//! The keys of an object, read leniently: senders write ids as numbers or text, flags as booleans or words.

use std::borrow::Cow;

use serde_json::Value;

use crate::domain::Text;

use super::json::{self, Object};
use super::reason::{Reason, Refusal};

/// The longest delivery id or event id, in bytes.
pub const ID_BYTES_MAX: usize = 256;

/// The longest other value that is kept, in bytes; a longer one is cut.
pub const VALUE_BYTES_MAX: usize = 2_000;

/// An object, or nothing where there is none.
#[derive(Clone, Copy, Default)]
pub(super) struct Fields<'a>(Option<&'a Object>);

impl<'a> Fields<'a> {
    pub fn new(object: &'a Object) -> Fields<'a> {
        Fields(Some(object))
    }

    pub fn of(value: Option<&'a Value>) -> Fields<'a> {
        Fields(value.and_then(Value::as_object))
    }

    /// What the key holds; null and empty text carry nothing.
    pub fn value(self, key: &str) -> Option<&'a Value> {
        self.0?.get(key).filter(|value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        })
    }

    /// All keys, of an object that is there.
    pub fn map(self) -> Option<&'a Object> {
        self.0
    }

    /// The object that the key holds, if it is one.
    pub fn inside(self, key: &str) -> Fields<'a> {
        Fields::of(self.value(key))
    }

    /// The object that the key holds; nothing where it is missing; refused where it is something else.
    pub fn object(self, key: &'static str) -> Result<Fields<'a>, Refusal> {
        match self.value(key) {
            Some(Value::Object(object)) => Ok(Fields::new(object)),
            Some(other) => Err(Refusal::at(Reason::BadField, key, &format!("is {}, not an object", json::kind(other)))),
            None => Ok(Fields(None)),
        }
    }

    /// The first of the keys that holds a scalar, as text of at most [`VALUE_BYTES_MAX`] bytes.
    pub fn text(self, keys: &[&str]) -> Option<Text> {
        self.borrowed(keys).map(Text::from)
    }

    /// The same, copied only where it must be.
    pub fn borrowed(self, keys: &[&str]) -> Option<Cow<'a, str>> {
        keys.iter().find_map(|key| text_of(self.value(key)?)).map(|text| cut(text, VALUE_BYTES_MAX))
    }

    /// The first of the keys that holds anything, which must be a scalar: for what an event cannot do without.
    /// `path` names the field to people.
    pub fn word(self, keys: &[&str], path: &'static str) -> Result<Option<Text>, Refusal> {
        let Some(value) = keys.iter().find_map(|key| self.value(key)) else { return Ok(None) };
        match text_of(value) {
            Some(text) => Ok(Some(text.into())),
            None => {
                Err(Refusal::at(Reason::BadField, path, &format!("is {}, not text or a number", json::kind(value))))
            }
        }
    }

    /// As [`Fields::word`], of at most [`ID_BYTES_MAX`] bytes.
    pub fn id(self, keys: &[&str], path: &'static str) -> Result<Option<Text>, Refusal> {
        let id = self.word(keys, path)?;
        match &id {
            Some(text) if text.len() > ID_BYTES_MAX => {
                let problem = format!("has {} bytes, more than {ID_BYTES_MAX}", text.len());
                Err(Refusal::at(Reason::IdTooLong, path, &problem))
            }
            _ => Ok(id),
        }
    }

    /// A boolean, also written as a word or as 0 or 1.
    pub fn flag(self, keys: &[&str]) -> Option<bool> {
        keys.iter().find_map(|key| match text_of(self.value(key)?)?.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }
}

/// Below it every whole number is an `f64`.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A scalar as text: an integer of 64 bits digit for digit. Any other number is as an `f64` is written, but 7.0 is 7, so
/// that an id is one id whether it passed through a float or not. U+0000 would end the text for some readers of the
/// file, and becomes U+FFFD.
pub(super) fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    let text: Cow<str> = match value {
        Value::String(text) if text.contains('\0') => text.replace('\0', "\u{FFFD}").into(),
        Value::String(text) => text.into(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) if float.fract() == 0.0 && float.abs() < WHOLE_MAX => (float as i64).to_string().into(),
            _ => number.to_string().into(),
        },
        Value::Bool(flag) => if *flag { "true" } else { "false" }.into(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// Text of at most so many bytes, cut between characters. No mark is added: a longer copy and a cut one must merge
/// to the same value whichever came first.
pub(super) fn cut(mut text: Cow<str>, bytes_max: usize) -> Cow<str> {
    if text.len() > bytes_max {
        let end = text.floor_char_boundary(bytes_max);
        text.to_mut().truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Option<String> {
        text_of(&json::parse(json).unwrap()).map(String::from)
    }

    #[test]
    fn scalars_become_text() {
        let cases = [
            ("\"7\"", "7"),
            ("7", "7"),
            ("7.0", "7"),
            ("7.000", "7"),
            ("7.50", "7.5"),
            ("1e5", "100000"),
            ("-0.0", "0"),
            ("\"7.0\"", "7.0"),
            ("12345678901234567890", "12345678901234567890"),
            ("900719925474099312345", "9.007199254740993e+20"),
            ("-1", "-1"),
            ("true", "true"),
            ("\"a\\u0000b\"", "a\u{FFFD}b"),
        ];
        for (json, wanted) in cases {
            assert_eq!(text(json).as_deref(), Some(wanted), "{json}");
        }
        for json in ["null", "\"\"", "[]", "[7]", "{}"] {
            assert_eq!(text(json), None, "{json}");
        }
    }

    #[test]
    fn flags_are_read_from_words_and_digits() {
        let object =
            json::parse(r#"{"a":true,"b":"false","c":1,"d":"0","e":"maybe","f":null,"g":2,"h":"TRUE"}"#).unwrap();
        let fields = Fields::of(Some(&object));
        let read: Vec<_> =
            ["a", "b", "c", "d", "e", "f", "g", "h", "i"].iter().map(|key| fields.flag(&[key])).collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(read, [yes, no, yes, no, None, None, None, yes, None]);
        assert_eq!(fields.flag(&["e", "b"]), no);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(&*cut("aé".repeat(10).into(), 5), "aéa");
        assert_eq!(&*cut("abc".into(), 3), "abc");
    }

    #[test]
    fn what_is_needed_must_be_a_scalar_and_an_id_not_too_long() {
        let object = format!(r#"{{"a":{{}},"b":"{}","c":null,"d":5}}"#, "x".repeat(257));
        let object = json::parse(&object).unwrap();
        let fields = Fields::of(Some(&object));
        let refused = |key| fields.id(&[key], "here").unwrap_err();
        assert_eq!((refused("a").reason, refused("a").field), (Reason::BadField, Some("here")));
        assert_eq!(refused("a").detail, "here is an object, not text or a number");
        assert_eq!(refused("b").reason, Reason::IdTooLong);
        assert_eq!(fields.id(&["c", "d"], "here").unwrap().as_deref(), Some("5"));
        assert_eq!(fields.id(&["c", "e"], "here").unwrap(), None);
    }
}
