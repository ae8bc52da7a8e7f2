//! Objects with the text that says them: what a body or its items are read as.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{self, MEMBERS, Notes, Object, Tree};
use super::{Unreadable, body};

/// An object, and the text that says it.
pub(super) struct Document<'a> {
    pub text: Cow<'a, str>,
    pub object: Object<'a>,
    /// Written again, the object has every key, value and digit of the text. It has not where a key comes twice, where
    /// half a surrogate was mended, and where a number has an exponent or begins with -0: those have several spellings.
    pub is_plain: bool,
}

/// An object that may hold calls. Those stay text: each is read by itself, and a tree of all of them would take many
/// times the memory.
pub(super) struct Outer<'a> {
    pub text: &'a str,
    /// All members but those two.
    pub object: Object<'a>,
    pub batch: Option<&'a RawValue>,
    pub body: Option<&'a RawValue>,
    is_plain: bool,
}

impl<'a> Document<'a> {
    /// As [`json::parse`], of what must be an object.
    pub fn read(text: &'a str) -> Result<Document<'a>, Unreadable> {
        let notes = Notes::default();
        match json::read(text, &notes)? {
            Tree::Object(object) => Ok(Document { text: text.into(), object, is_plain: !notes.is_odd.get() }),
            other => Err(Unreadable::NoUse { found: json::kind(&other) }),
        }
    }
}

impl<'a> Outer<'a> {
    /// As [`json::parse`], of what begins with a brace.
    pub fn read(text: &'a str) -> Result<Outer<'a>, Unreadable> {
        let notes = Notes::default();
        // what is white in JSON
        let white = [' ', '\n', '\t', '\r'];
        let outer = Outer {
            text: text.trim_matches(white),
            object: Object::default(),
            batch: None,
            body: None,
            is_plain: true,
        };
        if let Ok(outer) = json::whole(serde_json::Deserializer::from_str(text), OuterSeed { notes: &notes, outer }) {
            return Ok(outer);
        }
        // no JSON, too deep, or with half a surrogate, which is no fault of the calls
        let text = serde_json::from_str::<&RawValue>(text)?.get();
        let mut rest = body::keys(text).unwrap_or_default();
        let (batch, body) = (rest.remove("batch"), rest.remove("body"));
        let object = if batch.is_none() && body.is_none() {
            Document::read(text)?.object
        } else {
            rest.into_iter().filter_map(|(key, value)| Some((key, json::parse(value.get()).ok()?))).collect()
        };
        Ok(Outer { text, object, batch, body, is_plain: false })
    }

    pub fn contains_key(&self, key: &str) -> bool {
        match key {
            "batch" => self.batch.is_some(),
            "body" => self.body.is_some(),
            key => self.object.contains_key(key),
        }
    }

    /// The same of an object that is a call itself, and has nothing that is one.
    pub fn document(self) -> Result<Document<'a>, Unreadable> {
        if self.batch.is_some() || self.body.is_some() {
            return Document::read(self.text);
        }
        Ok(Document { text: self.text.into(), object: self.object, is_plain: self.is_plain })
    }
}

struct OuterSeed<'s, 'a> {
    notes: &'s Notes,
    outer: Outer<'a>,
}

impl<'de> DeserializeSeed<'de> for OuterSeed<'_, 'de> {
    type Value = Outer<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Outer<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OuterSeed<'_, 'de> {
    type Value = Outer<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Outer<'de>, A::Error> {
        let OuterSeed { notes, mut outer } = self;
        let mut members = Vec::with_capacity(MEMBERS);
        while let Some(key) = notes.key(&mut entries)? {
            match &*key {
                "batch" => outer.batch = Some(entries.next_value()?),
                "body" => outer.body = Some(entries.next_value()?),
                _ => members.push((key, entries.next_value_seed(notes)?)),
            }
        }
        outer.object = notes.object(members);
        outer.is_plain = !notes.is_odd.get();
        Ok(outer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::wire::testing::anything;

    use super::*;

    proptest! {
        #[test]
        fn members_are_found_by_their_keys(
            members in proptest::collection::vec(("[ab]{0,3}|batch|body", anything()), 0..40),
            others in proptest::collection::vec("[abc]{0,4}", 9),
        ) {
            let written: Vec<_> = members.iter().map(|(key, value)| format!("{}:{value}", Value::from(&**key))).collect();
            let text = format!(" {{{}}} ", written.join(","));
            // of equal keys the last stands
            let wanted: serde_json::Map<_, _> = members.into_iter().collect();
            let outer = Outer::read(&text).unwrap();
            prop_assert_eq!(outer.text, text.trim());
            for key in wanted.keys().chain(&others) {
                prop_assert_eq!(outer.contains_key(key), wanted.contains_key(key));
            }
            let document = outer.document().unwrap();
            for key in wanted.keys().chain(&others) {
                let member = document.object.get(key).cloned().map(Value::from);
                prop_assert_eq!(member.as_ref(), wanted.get(key));
            }
            prop_assert_eq!(Tree::Object(document.object).to_string(), Value::Object(wanted).to_string());
        }
    }

    #[test]
    fn what_has_one_spelling_is_told_from_what_has_several() {
        let is_plain = |text: &str| Outer::read(text).unwrap().document().unwrap().is_plain;
        for text in ["{}", r#"{"a":{"b":[1.50,-7,"\u00e9\ud83d\ude00\n","-0","1e5"]},"c":-12.0}"#] {
            assert!(is_plain(text), "{text}");
        }
        for member in [r#"-0"#, "-0.5", "1e5", "[2E-3]", r#""\ud83d""#, r#"{"b":1,"b":1}"#, r#"1,"a":1"#] {
            let text = format!(r#"{{"a":{member}}}"#);
            assert!(!is_plain(&text), "{text}");
            assert!(!Document::read(&text).unwrap().is_plain, "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_beside_calls_costs_none_of_them() {
        let outer = Outer::read(r#"{"context":{"traits":{"email":"\ude00"}},"batch":[{"a":"\ud83d"}]}"#).unwrap();
        assert_eq!(outer.batch.unwrap().get(), r#"[{"a":"\ud83d"}]"#);
        assert_eq!(Tree::Object(outer.object).to_string(), "{\"context\":{\"traits\":{\"email\":\"\u{FFFD}\"}}}");
    }
}
