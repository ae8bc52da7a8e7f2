//! The choices of a filter in the sidebar of a list.

use askama::Template;
use askama::filters::HtmlSafe;

use crate::web::address::Address;
use crate::web::format::Count;

#[derive(Template)]
#[template(path = "parts/choices.html")]
pub struct Choices {
    pub choices: Vec<Choice>,
}

impl HtmlSafe for Choices {}

/// A value of a filter, as a toggle.
pub struct Choice {
    pub title: String,
    /// The ID of a symbol in the sprite.
    pub icon: String,
    /// How many deliveries or events have it, if known.
    pub count: Option<Count>,
    pub is_on: bool,
    pub href: Address,
}

/// Adds the value, or removes it if it is chosen.
pub fn switched(address: &Address, key: &str, value: &str, is_on: bool) -> Address {
    let address = address.clone();
    if is_on { address.without_pair(key, value) } else { address.with(key, value) }
}
