//! What a delivery is counted under: the message, and the feed that it is of.

use hashbrown::Equivalent;

use super::{Attribute, Attributes, Source, SourceKind, Text};

/// Where a delivery's counts belong: its source and channel, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Feed {
    pub source: Option<Source>,
    pub channel: Option<Text>,
}

/// The message within the source: its action or content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    pub feed: Feed,
    pub action_id: Option<Text>,
    pub content_id: Option<Text>,
}

/// A [`Message`] by names that another holds, for looking it up.
#[derive(Hash)]
pub struct MessageRef<'a> {
    feed: FeedRef<'a>,
    action_id: Option<&'a str>,
    content_id: Option<&'a str>,
}

#[derive(Hash)]
struct FeedRef<'a> {
    source: Option<SourceRef<'a>>,
    channel: Option<&'a str>,
}

#[derive(Hash)]
struct SourceRef<'a> {
    kind: SourceKind,
    id: &'a str,
}

impl<'a> MessageRef<'a> {
    pub fn of(attributes: &'a Attributes) -> MessageRef<'a> {
        let source = attributes.source_ref().map(|(kind, id)| SourceRef { kind, id });
        MessageRef {
            feed: FeedRef { source, channel: attributes.get(Attribute::Channel) },
            action_id: attributes.get(Attribute::ActionId),
            content_id: attributes.get(Attribute::ContentId),
        }
    }
}

impl Equivalent<Message> for MessageRef<'_> {
    fn equivalent(&self, message: &Message) -> bool {
        let source = message.feed.source.as_ref().map(|source| (source.kind, &*source.id));
        self.feed.source.as_ref().map(|source| (source.kind, source.id)) == source
            && self.feed.channel == message.feed.channel.as_deref()
            && self.action_id == message.action_id.as_deref()
            && self.content_id == message.content_id.as_deref()
    }
}

impl From<&MessageRef<'_>> for Message {
    fn from(message: &MessageRef) -> Message {
        let source = message.feed.source.as_ref().map(|source| Source { kind: source.kind, id: source.id.into() });
        Message {
            feed: Feed { source, channel: message.feed.channel.map(Text::from) },
            action_id: message.action_id.map(Text::from),
            content_id: message.content_id.map(Text::from),
        }
    }
}
