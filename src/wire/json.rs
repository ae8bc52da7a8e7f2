//! JSON from strangers, as a tree.
//!
//! The tree is Waybill's own, with serde_json's tokenizer under it: text is lent by the JSON where it can be, and an
//! object is one list, where `serde_json::Value` would allocate for each key and each value. Nor is `Value` read by its
//! own `Deserialize`: with `arbitrary_precision` and `raw_value` that takes an object whose first key is one of
//! serde_json's private names for a number or for JSON inside a string. The latter starts a parser with a fresh depth
//! limit, so that a few megabytes of escaped strings in strings overflow the stack. Here such objects stay objects, and
//! the depth limit holds.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::de::Read;

use super::{Unreadable, surrogates};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree<'a> {
    Null,
    Bool(bool),
    /// A number that is written with digits only and has up to 64 bits.
    Whole(u64),
    /// Any other number, as it is written.
    Number(Box<str>),
    Text(Cow<'a, str>),
    Array(Vec<Tree<'a>>),
    Object(Object<'a>),
}

/// The members of an object: each key once, in the order of their bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Object<'a> {
    members: Vec<(Cow<'a, str>, Tree<'a>)>,
    /// A bit for each key: the formats ask for three times as many keys as there are, and most are not.
    bits: u64,
}

/// The order of keys. Most differ in their first byte, and need no more than a look at it.
pub(super) fn order(a: &str, b: &str) -> Ordering {
    let first = |key: &str| key.as_bytes().first().copied();
    first(a).cmp(&first(b)).then_with(|| a.cmp(b))
}

/// The bit of a key.
fn bit(key: &str) -> u64 {
    let key = key.as_bytes();
    let ends = key.first().zip(key.last()).map_or(0, |(first, last)| usize::from(first ^ (last << 2)));
    1 << ((key.len() * 5 + ends) % 64)
}

/// Reads one JSON value. Of a key that comes twice the last value stands. A surrogate without its other half, which
/// senders make by cutting text within an emoji, becomes U+FFFD.
///
/// # Errors
///
/// Text that is not JSON, or nested more than 127 deep.
pub(super) fn parse(text: &str) -> Result<Tree<'_>, Unreadable> {
    Ok(read(text, &Notes::default())?)
}

/// As [`parse`], with what the tree does not say.
pub(super) fn read<'a>(text: &'a str, notes: &Notes) -> serde_json::Result<Tree<'a>> {
    whole(serde_json::Deserializer::from_str(text), notes).or_else(|error| match surrogates::mended(text) {
        Some(mended) => {
            notes.is_odd.set(true);
            // a reader lends nothing, so that the tree outlives what was mended
            whole(serde_json::Deserializer::from_reader(mended.as_bytes()), notes)
        }
        None => Err(error),
    })
}

/// Reads the one value that a text is.
pub(super) fn whole<'a, S: DeserializeSeed<'a>>(
    mut tokens: serde_json::Deserializer<impl Read<'a>>,
    seed: S,
) -> serde_json::Result<S::Value> {
    let value = seed.deserialize(&mut tokens)?;
    tokens.end().map(|()| value)
}

/// What a value is, in words.
pub(super) fn kind(value: &Tree) -> &'static str {
    match value {
        Tree::Null => "null",
        Tree::Bool(_) => "a boolean",
        Tree::Whole(_) | Tree::Number(_) => "a number",
        Tree::Text(_) => "a string",
        Tree::Array(_) => "an array",
        Tree::Object(_) => "an object",
    }
}

impl<'a> Tree<'a> {
    pub fn as_object(&self) -> Option<&Object<'a>> {
        if let Tree::Object(object) = self { Some(object) } else { None }
    }

    pub fn as_object_mut(&mut self) -> Option<&mut Object<'a>> {
        if let Tree::Object(object) = self { Some(object) } else { None }
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Tree::Text(text) = self { Some(text) } else { None }
    }

    /// Appends it as compact JSON with sorted keys.
    pub fn write(&self, json: &mut String) {
        match self {
            Tree::Null => json.push_str("null"),
            Tree::Bool(flag) => json.push_str(if *flag { "true" } else { "false" }),
            Tree::Whole(number) => json.push_str(&number.to_string()),
            Tree::Number(number) => json.push_str(number),
            Tree::Text(text) => write_text(text, json),
            Tree::Array(items) => {
                json.push('[');
                for (i, item) in items.iter().enumerate() {
                    json.push_str(if i == 0 { "" } else { "," });
                    item.write(json);
                }
                json.push(']');
            }
            Tree::Object(object) => object.write(json),
        }
    }
}

pub(super) fn write_text(text: &str, json: &mut String) {
    // without a branch for each byte
    if text.bytes().fold(false, |odd, byte| odd | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
        json.push_str(&Value::from(text).to_string());
        return;
    }
    json.push('"');
    json.push_str(text);
    json.push('"');
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = String::new();
        self.write(&mut json);
        f.write_str(&json)
    }
}

impl<'a> From<&'a str> for Tree<'a> {
    fn from(text: &'a str) -> Tree<'a> {
        Tree::Text(text.into())
    }
}

impl From<Tree<'_>> for Value {
    fn from(tree: Tree) -> Value {
        match tree {
            Tree::Null => Value::Null,
            Tree::Bool(flag) => flag.into(),
            Tree::Whole(number) => number.into(),
            Tree::Number(number) => number.parse().map_or(Value::Null, Value::Number),
            Tree::Text(text) => text.into(),
            Tree::Array(items) => items.into_iter().collect(),
            Tree::Object(object) => object.members.into_iter().collect(),
        }
    }
}

impl<'a> Object<'a> {
    pub fn get(&self, key: &str) -> Option<&Tree<'a>> {
        if self.bits & bit(key) == 0 {
            return None;
        }
        if self.members.len() <= 2 * MEMBERS {
            return self.members.iter().find(|(other, _)| other == key).map(|(_, value)| value);
        }
        self.place(key).ok().map(|place| &self.members[place].1)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Tree<'a>> {
        self.place(key).ok().map(|place| &mut self.members[place].1)
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tree<'a>)> {
        self.members.iter().map(|(key, value)| (&**key, value))
    }

    pub fn write(&self, json: &mut String) {
        json.push('{');
        for (i, (key, value)) in self.iter().enumerate() {
            json.push_str(if i == 0 { "" } else { "," });
            write_text(key, json);
            json.push(':');
            value.write(json);
        }
        json.push('}');
    }

    /// All after it are moved: for many at a time there is [`Object::merge`].
    pub fn insert(&mut self, key: &'a str, value: Tree<'a>) {
        match self.place(key) {
            Ok(place) => self.members[place].1 = value,
            Err(place) => self.members.insert(place, (key.into(), value)),
        }
        self.bits |= bit(key);
    }

    /// Takes all members of another, whose values stand.
    pub fn merge(&mut self, other: Object<'a>) {
        self.members.extend(other.members);
        self.settle();
    }

    pub fn remove(&mut self, key: &str) -> Option<Tree<'a>> {
        let (_, value) = self.members.remove(self.place(key).ok()?);
        self.mark();
        Some(value)
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.members.binary_search_by(|(other, _)| order(other, key))
    }

    /// Puts the members in order. True if a key came twice; the last stands.
    fn settle(&mut self) -> bool {
        let came = self.members.len();
        self.members.sort_by(|(a, _), (b, _)| order(a, b));
        self.members.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        self.mark();
        self.members.len() < came
    }

    fn mark(&mut self) {
        self.bits = self.members.iter().fold(0, |bits, (key, _)| bits | bit(key));
    }
}

impl<'a, K: Into<Cow<'a, str>>> FromIterator<(K, Tree<'a>)> for Object<'a> {
    fn from_iter<I: IntoIterator<Item = (K, Tree<'a>)>>(members: I) -> Object<'a> {
        let members = members.into_iter().map(|(key, value)| (key.into(), value)).collect();
        let mut object = Object { members, bits: 0 };
        object.settle();
        object
    }
}

/// What is seen on the way through a text, of which the tree says nothing.
#[derive(Default)]
pub(super) struct Notes {
    /// Something would be written again in another way than it came, or not at all.
    pub is_odd: Cell<bool>,
    /// The value just read is a number that serde_json hands over as an object with one of its private names.
    is_number: Cell<bool>,
}

impl Notes {
    pub fn object<'a>(&self, members: Vec<(Cow<'a, str>, Tree<'a>)>) -> Object<'a> {
        let mut object = Object { members, bits: 0 };
        if object.settle() {
            self.is_odd.set(true);
        }
        object
    }

    pub fn key<'de, A: MapAccess<'de>>(&self, entries: &mut A) -> Result<Option<Cow<'de, str>>, A::Error> {
        match entries.next_key_seed(self)? {
            Some(Tree::Text(key)) => Ok(Some(key)),
            Some(_) => Err(de::Error::custom("a key is a string")),
            None => Ok(None),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &Notes {
    type Value = Tree<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Notes {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.to_string().into()))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(value.to_owned().into()))
    }

    /// Strings are lent by serde_json; only a number comes as text of its own.
    fn visit_string<E>(self, value: String) -> Result<Tree<'de>, E> {
        self.is_number.set(true);
        if value.contains('e') || value.starts_with("-0") {
            self.is_odd.set(true);
        }
        Ok(Tree::Number(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree<'de>, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Tree::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = self.key(&mut entries)? {
            let value = entries.next_value_seed(self)?;
            if self.is_number.take() {
                return Ok(value);
            }
            if members.is_empty() {
                members = Vec::with_capacity(MEMBERS);
            }
            members.push((key, value));
        }
        Ok(Tree::Object(self.object(members)))
    }
}

/// Room for these is made at once.
pub(super) const MEMBERS: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::wire::testing::anything;

    use super::*;

    proptest! {
        #[test]
        fn a_tree_says_and_writes_what_serde_json_does(value in anything(), spread in any::<bool>(), escaped in any::<bool>()) {
            let mut text = if spread { format!("{value:#}") } else { value.to_string() };
            if escaped {
                // it stands in strings only
                text = text.replace('_', "\\u005f");
            }
            let tree = parse(&text).unwrap();
            prop_assert_eq!(tree.to_string(), value.to_string());
            prop_assert_eq!(Value::from(tree), value);
        }

    }

    #[test]
    fn objects_are_what_their_members_are() {
        let object = |text| parse(text).unwrap().as_object().unwrap().clone();
        let mut changed = object(r#"{"b":1,"d":2,"gone":3}"#);
        assert_eq!(changed.remove("gone"), Some(Tree::Whole(3)));
        assert_eq!(changed.remove("gone"), None);
        changed.insert("a", Tree::Null);
        changed.insert("b", Tree::Whole(5));
        changed.merge(object(r#"{"c":7,"d":8}"#));
        assert_eq!(changed, object(r#"{"d":8,"c":7,"b":5,"a":null}"#));
        assert_eq!(Tree::Object(changed).to_string(), r#"{"a":null,"b":5,"c":7,"d":8}"#);
    }

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
            assert_eq!(parse(text).unwrap(), Tree::from(wanted), "{text}");
        }
        assert!(parse(r#""\ud83"#).is_err());
    }
}
