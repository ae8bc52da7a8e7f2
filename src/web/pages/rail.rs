//! The choices of a filter in the sidebar of a list.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::domain::Channel;
use crate::web::address::Address;
use crate::web::format::Count;
use crate::web::pages::parts::{channel_icon, channel_title};

#[derive(Template)]
#[template(path = "parts/choices.html")]
pub struct Choices {
    pub choices: Vec<Choice>,
}

impl HtmlSafe for Choices {}

/// A value of a filter, as a toggle.
pub struct Choice {
    title: String,
    /// The ID of a symbol in the sprite.
    icon: String,
    /// How many deliveries or events have it, if known.
    count: Option<Count>,
    is_on: bool,
    href: Address,
}

impl Choice {
    /// The toggle of `key=name` in an address.
    pub fn new(address: &Address, key: &str, name: &str, title: &str, icon: &str, count: Option<i64>) -> Choice {
        let (address, is_on) = (address.clone(), address.has(key, name));
        let href = if is_on { address.without_pair(key, name) } else { address.with(key, name) };
        Choice { title: title.into(), icon: icon.into(), count: count.map(Count), is_on, href }
    }

    /// A toggle that leads where it says.
    pub fn link(title: &str, icon: &str, count: Option<i64>, is_on: bool, href: Address) -> Choice {
        Choice { title: title.into(), icon: icon.into(), count: count.map(Count), is_on, href }
    }

    /// The toggle of a channel, where `None` is the unknown one.
    pub fn channel(address: &Address, channel: Option<&str>, count: Option<i64>) -> Choice {
        let (name, title) = (channel.unwrap_or("unknown"), channel_title(channel));
        Choice::new(address, "channel", name, &title, channel_icon(channel), count)
    }
}

/// Sorts known channels as everywhere, then the others.
pub fn place_of(channel: Option<&str>) -> usize {
    Channel::ALL.iter().position(|known| Some(known.name()) == channel).unwrap_or(Channel::ALL.len())
}

/// The rest of a filter as hidden fields of a form that has fields for `asked`.
pub fn hidden(address: &Address, asked: &[&str]) -> Vec<(String, String)> {
    address.query().iter().filter(|(key, _)| !asked.contains(&key.as_str())).cloned().collect()
}
