//! The channel that a page of figures is limited to: `channel=email`.

use std::collections::BTreeSet;

use super::parts::{Behind, channel_title};
use super::rail::place_of;
use super::span::Choice;
use crate::store::query::campaigns::{ChannelRow, Source};
use crate::web::address::Address;

/// `None`: all channels.
#[derive(Clone, Debug, Default)]
pub struct OneChannel(pub Option<String>);

impl OneChannel {
    pub fn parse(pairs: &[(String, String)]) -> OneChannel {
        OneChannel(pairs.iter().find(|(key, value)| key == "channel" && !value.is_empty()).map(|it| it.1.clone()))
    }

    pub fn on(&self, address: Address) -> Address {
        self.0.iter().fold(address, |address, channel| address.set("channel", channel))
    }

    pub fn behind(&self, behind: Behind) -> Behind {
        self.0.iter().fold(behind, |behind, channel| behind.with("channel", channel))
    }

    pub fn is(&self, channel: Option<&str>) -> bool {
        self.0.as_deref().is_none_or(|asked| asked == channel.unwrap_or("unknown"))
    }

    pub fn keep(&self, channels: &mut Vec<ChannelRow>) {
        channels.retain(|row| self.is(row.channel.as_deref()));
    }

    /// All channels and each of them, as links from an address; empty where there is one only.
    pub fn choices<'s>(&self, here: &Address, sources: impl IntoIterator<Item = &'s Source>) -> Vec<Choice> {
        let names = sources.into_iter().flat_map(|source| &source.channels).map(|row| row.channel.clone());
        let mut names: Vec<Option<String>> = names.collect::<BTreeSet<_>>().into_iter().collect();
        names.sort_by_key(|name| place_of(name.as_deref()));
        if names.len() < 2 && self.0.is_none() {
            return Vec::new();
        }
        let bare = here.clone().without("channel");
        let all = Choice { title: "All channels".into(), href: bare.clone(), is_current: self.0.is_none() };
        let one = |name: Option<String>| Choice {
            title: channel_title(name.as_deref()),
            href: bare.clone().with("channel", name.as_deref().unwrap_or("unknown")),
            is_current: self.0.is_some() && self.is(name.as_deref()),
        };
        [all].into_iter().chain(names.into_iter().map(one)).collect()
    }
}
