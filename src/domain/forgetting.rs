//! What stays of a forgotten person's messages: that they were sent, and their statuses.
//!
//! A pseudonym replaces each identifier. It is made of a keyed hash: nobody can read it back, and whoever has the key
//! recognises the identifier. So the events of a forgotten delivery are still events, its counts still follow from them,
//! and events that come later are joined to the same delivery.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Attribute, Channel, Event, Millis, Text, address};

/// The keyed hash of an identifier.
pub type Hash = [u8; 16];

/// The attributes that identify a person.
pub const IDENTIFYING: [Attribute; 4] = [Attribute::PersonId, Attribute::Email, Attribute::CioId, Attribute::Recipient];

const PSEUDONYM: &str = "forgotten-";

/// What replaces a part of an address that identifies a person.
const FORGOTTEN: &str = "forgotten";

/// An identifier as it is hashed and compared: an address in the form of [`address::normalize`].
pub fn normalized(identifier: &str) -> Cow<'_, str> {
    address::normalize(None, identifier)
}

/// What replaces an identifier.
pub fn pseudonym(hash: &Hash) -> Text {
    format!("{PSEUDONYM}{:032x}", u128::from_be_bytes(*hash)).into()
}

/// The hash that a pseudonym was made of.
pub fn hash_of_pseudonym(text: &str) -> Option<Hash> {
    let digits = text.strip_prefix(PSEUDONYM).filter(|digits| digits.len() == 32)?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !digits.bytes().all(is_digit) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// Whether a delivery created then is forgotten, by the requests for one identifier: deletions cover what was created up to
/// them, suppressions all that is created before they end.
pub fn covers(
    created_at_ms: Millis,
    last_deleted: Option<Millis>,
    last_suppressed: Option<Millis>,
    last_unsuppressed_by_then: Option<Millis>,
) -> bool {
    last_deleted.is_some_and(|at| created_at_ms <= at)
        || last_suppressed.is_some_and(|at| last_unsuppressed_by_then.is_none_or(|ended| ended <= at))
}

/// The identifiers that an event carries, with the attribute; devices have none.
pub fn identifiers(event: &Event) -> impl Iterator<Item = (Option<Attribute>, &str)> {
    let shown =
        IDENTIFYING.into_iter().filter_map(|attribute| Some((Some(attribute), event.attributes.get(attribute)?)));
    shown.chain(event.recipients.iter().map(|device| (None, &*device.device_id)))
}

/// Whether an identifier that is carried beside the one that a request names belongs to the same person, and is forgotten
/// with it: addresses and devices do; a Slack channel, a URL, or the id of another person with the same address does not.
pub fn is_of_the_person(attribute: Option<Attribute>, channel: Option<Channel>) -> bool {
    match attribute {
        Some(Attribute::PersonId) => false,
        Some(Attribute::Recipient) => {
            matches!(channel, Some(Channel::Email | Channel::Sms | Channel::Whatsapp | Channel::InApp))
        }
        _ => true,
    }
}

/// Removes from an event all that identifies its person. `forgotten` are the hashes of identifiers that links may
/// carry. Doing it again changes nothing.
pub fn sanitize(event: &mut Event, hash: &dyn Fn(&str) -> Hash, forgotten: &BTreeSet<Hash>) {
    for attribute in IDENTIFYING {
        if let Some(value) = event.attributes.get(attribute) {
            let pseudonym = pseudonym(&hash(value));
            event.attributes.set(attribute, Some(&pseudonym));
        }
    }
    event.attributes.set(Attribute::RecipientRaw, None);
    event.attributes.set(Attribute::Subject, None);
    event.reason = None;
    event.action_value = None;
    for device in &mut event.recipients {
        device.device_id = pseudonym(&hash(&device.device_id));
        device.reason = None;
    }
    event.href = event.href.take().and_then(|href| {
        let address = href.split(['?', '#']).next().unwrap_or_default();
        let part = |part: &str| if is_personal(part, hash, forgotten) { FORGOTTEN.into() } else { part.to_owned() };
        let parts: Vec<String> = address.split('/').map(part).collect();
        Some(parts.join("/").into()).filter(|address: &Text| !address.is_empty())
    });
}

fn is_personal(part: &str, hash: &dyn Fn(&str) -> Hash, forgotten: &BTreeSet<Hash>) -> bool {
    if part.is_empty() {
        return false;
    }
    let plain = percent_decoded(part);
    plain.contains('@') || forgotten.contains(&hash(&plain))
}

/// The text of a part of an address; what is no text after decoding, as it came.
fn percent_decoded(part: &str) -> Cow<'_, str> {
    if !part.contains('%') {
        return part.into();
    }
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let bytes = part.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).map_or(part.into(), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use crate::domain::{Device, EventTime, MetricName};

    use super::*;

    fn hash(text: &str) -> Hash {
        hash_of_pseudonym(text).unwrap_or_else(|| {
            let mut hash = [0; 16];
            for (place, byte) in normalized(text).bytes().enumerate() {
                hash[place % 16] ^= byte.wrapping_mul(place as u8 | 1);
            }
            hash
        })
    }

    fn event() -> Event {
        let mut event = Event::new("d", MetricName::parse("clicked"), "e", EventTime::given(1), 1);
        for (attribute, value) in [
            (Attribute::PersonId, "p7"),
            (Attribute::Email, "Ada@Example.org"),
            (Attribute::Recipient, "Ada <ada@example.org>"),
            (Attribute::Subject, "For Ada"),
            (Attribute::CampaignId, "8"),
        ] {
            event.attributes.set(attribute, Some(value));
        }
        event.reason = Some("550 <ada@example.org>".into());
        event.action_value = Some("ada".into());
        event.recipients =
            vec![Device { device_id: "token".into(), platform: Some("ios".into()), reason: Some("gone".into()) }];
        event
    }

    fn cleaned(href: &str) -> Option<Text> {
        let mut event = Event { href: Some(href.into()), ..event() };
        sanitize(&mut event, &hash, &BTreeSet::from([hash("p7")]));
        event.href
    }

    #[test]
    fn no_identifier_is_left_and_doing_it_again_changes_nothing() {
        let mut once = event();
        sanitize(&mut once, &hash, &BTreeSet::new());
        let pseudonym = |text| Some(super::pseudonym(&hash(text)));
        let get = |attribute| once.attributes.get(attribute).map(Text::from);
        assert_eq!(get(Attribute::PersonId), pseudonym("p7"));
        // one person, however written
        assert_eq!(get(Attribute::Email), pseudonym("ada@example.org"));
        assert_eq!(get(Attribute::Email), get(Attribute::Recipient));
        assert_eq!(get(Attribute::RecipientRaw), None);
        assert_eq!((get(Attribute::Subject), &once.reason, &once.action_value), (None, &None, &None));
        assert_eq!(get(Attribute::CampaignId), Some("8".into()));
        assert_eq!(Some(once.recipients[0].device_id.clone()), pseudonym("token"));
        assert_eq!((&once.recipients[0].reason, once.recipients[0].platform.as_deref()), (&None, Some("ios")));
        let mut twice = once.clone();
        sanitize(&mut twice, &hash, &BTreeSet::new());
        assert_eq!(once, twice);
    }

    #[test]
    fn links_lose_what_is_personal_and_stay_links() {
        for (href, left) in [
            ("https://x.test/a/b?to=ada@example.org#p7", Some("https://x.test/a/b")),
            ("https://x.test/u/p7/offer", Some("https://x.test/u/forgotten/offer")),
            ("https://x.test/u/p70/offer", Some("https://x.test/u/p70/offer")),
            ("https://x.test/u/%707/offer", Some("https://x.test/u/forgotten/offer")),
            ("https://x.test/bob%40example.org/", Some("https://x.test/forgotten/")),
            ("mailto:ada@example.org", Some("forgotten")),
            ("https://x.test/100%/%zz", Some("https://x.test/100%/%zz")),
            ("?t=2", None),
        ] {
            assert_eq!(cleaned(href).as_deref(), left, "{href}");
        }
    }

    #[test]
    fn a_deletion_covers_what_was_and_a_suppression_all_until_it_ends() {
        assert!(!covers(5, None, None, None));
        assert!(covers(5, Some(5), None, None) && !covers(6, Some(5), None, None));
        assert!(covers(5, None, Some(1), None) && covers(5, None, Some(9), None));
        // it ended at 3, and was asked for again at 9
        assert!(!covers(5, None, Some(1), Some(3)) && covers(2, None, Some(1), None));
        assert!(covers(5, None, Some(9), Some(3)));
        // ended as it was said: it has not ended since
        assert!(covers(5, None, Some(3), Some(3)));
    }

    #[test]
    fn only_a_pseudonym_is_one() {
        let text = pseudonym(&[0xAB; 16]);
        assert_eq!(hash_of_pseudonym(&text), Some([0xAB; 16]));
        for other in [
            "forgotten-",
            "forgotten",
            "ada",
            &text.to_uppercase(),
            &text[..text.len() - 1],
            "forgotten-+bababababababababababababababab",
        ] {
            assert_eq!(hash_of_pseudonym(other), None, "{other}");
        }
    }
}
