//! Whether opens and clicks by machines count: only those of people do, unless the address has `automated=1`.

use super::layout;
use super::span::Choice;
use crate::domain::{Counted, Metric};
use crate::web::address::Address;
use crate::web::error::Error;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Automated(bool);

impl Automated {
    pub const KEY: &str = "automated";

    /// # Errors
    /// [`Error::BadRequest`] for a value other than `1`.
    pub fn parse(pairs: &[(String, String)]) -> Result<Automated, Error> {
        layout::is_set(pairs, Self::KEY, "1").map(Automated)
    }

    pub fn opened(self) -> Counted {
        if self.0 { Counted::Metric(Metric::Opened) } else { Counted::HumanOpened }
    }

    pub fn clicked(self) -> Counted {
        if self.0 { Counted::Metric(Metric::Clicked) } else { Counted::HumanClicked }
    }

    pub fn on(self, address: Address) -> Address {
        if self.0 { address.set(Self::KEY, 1) } else { address }
    }

    /// The switch, from a page's address.
    pub fn choice(self, here: &Address) -> Choice {
        Choice {
            title: "Include automated".into(),
            href: Automated(!self.0).on(here.clone().without(Self::KEY)),
            is_current: self.0,
        }
    }

    pub fn note(self) -> &'static str {
        if self.0 { "Opens and clicks include bots and prefetching" } else { "Opens and clicks exclude bots" }
    }
}
