//! Choices of a filter in the rail beside a list.

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

/// A value of a filter, as a switch.
pub struct Choice {
    pub title: String,
    /// A symbol of the sprite.
    pub icon: String,
    /// How many deliveries, or events, there are, where that is known.
    pub count: Option<Count>,
    pub is_on: bool,
    pub href: Address,
}

/// With the value where it was not chosen, without it where it was.
pub fn switched(address: &Address, key: &str, value: &str, is_on: bool) -> Address {
    let address = address.clone();
    if is_on { address.without_pair(key, value) } else { address.with(key, value) }
}
