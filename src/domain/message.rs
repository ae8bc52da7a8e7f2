//! What a delivery is counted under: the message, and the feed that it is of.

use std::sync::Arc;

use super::{Attribute, Attributes, Source, Text};

/// Where a delivery's counts belong: its source and channel, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Feed {
    pub source: Option<Source>,
    pub channel: Option<Text>,
}

/// The message within the source: its action or content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    pub feed: Arc<Feed>,
    pub action_id: Option<Text>,
    pub content_id: Option<Text>,
}

impl Message {
    pub fn of(attributes: &Attributes) -> Message {
        let text = |attribute| attributes.get(attribute).map(Text::from);
        Message {
            feed: Arc::new(Feed { source: attributes.source(), channel: text(Attribute::Channel) }),
            action_id: text(Attribute::ActionId),
            content_id: text(Attribute::ContentId),
        }
    }
}
