//! What a message of a provider counts under: providers have no campaigns in Waybill's sense, but tags, categories and ids.

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::Value;

use crate::domain::{Attributes, SourceKind};
use crate::wire::fields::{Fields, VALUE_BYTES_MAX, cut, text_of};

/// From which field of a provider's event its source is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SourceFrom {
    /// The campaign or broadcast that the provider itself names, else the first tag.
    #[default]
    Provider,
    /// The first tag or category.
    Tag,
    /// A key of what the provider returns of the sender's own: metadata, custom arguments, variables, or tags with names.
    Metadata(Box<str>),
}

impl FromStr for SourceFrom {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SourceFrom, &'static str> {
        match text {
            "provider" => Ok(SourceFrom::Provider),
            "tag" | "category" => Ok(SourceFrom::Tag),
            _ => match text.strip_prefix("metadata.") {
                Some(key) if !key.is_empty() => Ok(SourceFrom::Metadata(key.into())),
                _ => Err("it is one of provider, tag, category and metadata.KEY"),
            },
        }
    }
}

/// What an event says of its source.
#[derive(Clone, Copy, Default)]
pub(super) struct Source<'a> {
    /// What the provider itself groups messages by.
    pub own: Option<(SourceKind, &'a Value)>,
    /// One, or an array.
    pub tags: Option<&'a Value>,
    pub metadata: Fields<'a>,
}

impl<'a> Source<'a> {
    /// Sets the source by the rule. An event that lacks what the rule names keeps the provider's own. Tags and metadata become
    /// campaigns.
    pub fn put(self, attributes: &mut Attributes, rule: &SourceFrom) {
        let campaign = |value| Some((SourceKind::Campaign, first(value)?));
        let own = || self.own.and_then(|(kind, value)| Some((kind, first(value)?)));
        let tag = || self.tags.and_then(campaign);
        let ruled = match rule {
            SourceFrom::Provider => None,
            SourceFrom::Tag => tag(),
            SourceFrom::Metadata(key) => self.metadata.value(key).and_then(campaign),
        };
        if let Some((kind, id)) = ruled.or_else(own).or_else(tag) {
            attributes.set(kind.attribute(), Some(&id));
        }
    }
}

/// A scalar, or the first of an array.
fn first(value: &Value) -> Option<Cow<'_, str>> {
    let value = if let Value::Array(items) = value { items.first()? } else { value };
    text_of(value).map(|text| cut(text, VALUE_BYTES_MAX))
}
