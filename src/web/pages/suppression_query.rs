//! The query of the suppression list: its filters, and the place in the list.

use super::layout;
use super::log_query::{Chip, cursor};
use super::span::Choice;
use crate::domain::Channel;
use crate::domain::suppression::{CHANNELS, Cause};
use crate::store::query::paging::At;
use crate::store::query::suppressions::{self, Filter};
use crate::web::address::Address;
use crate::web::error::Error;

/// A filter with its choices.
pub struct Group {
    pub title: &'static str,
    pub choices: Vec<Item>,
}

/// A choice of a filter, with its icon and the class that colours it.
pub struct Item {
    pub choice: Choice,
    pub icon: &'static str,
    pub class: &'static str,
}

/// What the address of the page asks for.
pub struct Query {
    pub filter: Filter,
    pub at: At,
    /// The filter alone, without the place.
    pub address: Address,
}

impl Query {
    /// # Errors
    /// [`Error::BadRequest`] with the parameter that is unknown or invalid.
    pub fn parse(base: &str, pairs: &[(String, String)]) -> Result<Query, Error> {
        layout::refuse_unknown(pairs, &parameters())?;
        layout::is_set(pairs, "all", "1")?;
        let mut query =
            Query { filter: Filter::default(), at: At::Newest, address: Address::new(base, "/suppressions") };
        for (key, value) in pairs {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let filter = &mut query.filter;
            match key.as_str() {
                "state" => filter.active = Some(one_of(key, value, &[("listed", true), ("lifted", false)])?),
                "class" => filter.proven = Some(one_of(key, value, &[("proven", true), ("likely", false)])?),
                "cause" => filter.cause = Some(one_of(key, value, &Cause::ALL.map(|it| (it.name(), it)))?),
                "channel" => filter.channel = Some(one_of(key, value, &CHANNELS.map(|it| (it.name(), it)))?),
                "address" => {
                    filter.address = Some(match value.strip_suffix('*') {
                        Some(start) if !start.is_empty() => suppressions::Address::StartingWith(start.into()),
                        _ => suppressions::Address::Exactly(value.into()),
                    });
                }
                "before" => query.at = At::OlderThan(cursor(key, value)?),
                "after" => query.at = At::NewerThan(cursor(key, value)?),
                _ => {}
            }
            if KEYS.iter().any(|(known, _)| known == key) {
                query.address = query.address.set(key, value);
            }
        }
        Ok(query)
    }

    pub fn groups(&self) -> Vec<Group> {
        let cause = |cause: Cause| (cause.name(), cause.title(), cause.metric().name(), cause.metric().name());
        let channel = |channel: Channel| (channel.name(), channel.title(), channel.name(), "other");
        let states = [("listed", "Suppressed", "suppressed", "other"), ("lifted", "Removed", "delivered", "other")];
        let classes = [("proven", "Confirmed", "spammed", "other"), ("likely", "Likely", "bounced", "other")];
        let group = |key: &'static str, items: &[(&str, &'static str, &'static str, &'static str)]| {
            let item = |&(value, title, icon, class): &(&str, &str, &'static str, &'static str)| {
                let is_current = self.address.has(key, value);
                let address = self.address.clone();
                let href = if is_current { address.without(key) } else { address.set(key, value) };
                Item { choice: Choice { title: title.into(), href, is_current }, icon, class }
            };
            Group { title: key_title(key), choices: items.iter().map(item).collect() }
        };
        vec![
            group("state", &states),
            group("class", &classes),
            group("cause", &Cause::ALL.map(cause)),
            group("channel", &CHANNELS.map(channel)),
        ]
    }

    /// A chip for each filter, by the title of its choice.
    pub fn chips(&self) -> Vec<Chip> {
        let items: Vec<Item> = self.groups().into_iter().flat_map(|group| group.choices).collect();
        let chip = |(key, value): &(String, String)| {
            let without = self.address.clone().without(key);
            let chosen = items.iter().find(|it| it.choice.is_current && it.choice.href == without);
            let value = chosen.map_or(value, |it| &it.choice.title).clone();
            Chip { key: key_title(key), value, without }
        };
        self.address.query().iter().map(chip).collect()
    }
}

const KEYS: [(&str, &str); 5] =
    [("state", "State"), ("class", "Confidence"), ("cause", "Cause"), ("channel", "Channel"), ("address", "Address")];

/// The query parameters of the list.
pub fn parameters() -> [&'static str; 8] {
    let [state, class, cause, channel, address] = KEYS.map(|(key, _)| key);
    [state, class, cause, channel, address, "before", "after", "all"]
}

fn key_title(key: &str) -> &'static str {
    KEYS.iter().find(|(known, _)| *known == key).map_or("", |(_, title)| title)
}

fn one_of<T: Copy>(key: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Error> {
    choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Error::BadRequest(format!("Invalid `{key}={value}`. It must be one of {}.", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use crate::store::query::paging::Cursor;

    use super::*;

    #[test]
    fn an_address_is_read_and_written_again() {
        let text = "state=listed&class=likely&cause=hard_bounce&channel=email&address=a%2Bb@c.d";
        let query = Query::parse("", &layout::pairs(&format!("{text}&before=12.3")).unwrap()).unwrap();
        assert_eq!(query.filter.cause, Some(Cause::HardBounce));
        assert_eq!(query.filter.address, Some(suppressions::Address::Exactly("a+b@c.d".into())));
        assert_eq!(query.at, At::OlderThan(Cursor { at_ms: 12, id: 3 }));
        assert_eq!(query.address.to_string(), format!("/suppressions?{text}"));
        assert_eq!(query.chips().len(), 5);
        assert_eq!(
            query.groups()[0].choices[0].choice.href.to_string(),
            format!("/suppressions?{}", text.replace("state=listed&", ""))
        );
    }

    #[test]
    fn an_invalid_choice_is_refused_with_the_valid_ones() {
        for (text, valid) in [
            ("state=on", "listed"),
            ("class=1", "proven"),
            ("cause=x", "hard_bounce"),
            ("channel=slack", "whatsapp"),
            ("after=x", "position"),
        ] {
            let error = Query::parse("", &layout::pairs(text).unwrap()).err().unwrap();
            assert!(error.to_string().contains(valid), "{text}: {error}");
        }
    }
}
