//! Addresses in the form in which they are compared.
//!
//! Senders spell one mailbox in several ways: with a display name, with capitals, with spaces in a phone number. Search,
//! suppression, erasure and every join go by what [`normalize`] makes of it, and nothing else decides that two
//! addresses are the same.

use std::borrow::Cow;

use super::Channel;

/// A phone number has at least so many digits; fewer are a short code or no number at all.
const PHONE_DIGITS_MIN: usize = 3;

/// Fewer digits alone are rather some id.
const PHONE_DIGITS_SEARCHED_MIN: usize = 7;

/// Schemes that senders write before a number, as Twilio does.
const PHONE_SCHEMES: [&str; 4] = ["tel:", "sms:", "rcs:", "whatsapp:"];

/// The compared form of an address that was written on this channel.
///
/// Trimmed; an email without its display name (`Ana <ana@x.org>` is `ana@x.org`) and in lower case; a phone number as `+`
/// and digits. What has no `@`, or is no number, is neither, whatever the channel. Device tokens, Slack channels and URLs
/// stay as they came.
///
/// Without a channel only what cannot be anything else is recognised: a text with an `@` that is no URL is an email, and
/// one that begins with `+` and has digits and punctuation only is a phone number. Bare digits may be any id.
///
/// Idempotent, on the same channel and without one.
pub fn normalize(channel: Option<Channel>, written: &str) -> Cow<'_, str> {
    let text = written.trim();
    match channel {
        Some(Channel::Email) if text.contains('@') => email(text),
        Some(Channel::Sms | Channel::Whatsapp) => phone(text).unwrap_or(text.into()),
        Some(Channel::Email | Channel::Push | Channel::Slack | Channel::Webhook) => text.into(),
        // in-app messages go to whatever the workspace knows people by
        Some(Channel::InApp) | None if text.contains("://") => text.into(),
        Some(Channel::InApp) | None if text.contains('@') => email(text),
        Some(Channel::InApp) | None if text.starts_with('+') => phone(text).unwrap_or(text.into()),
        Some(Channel::InApp) | None => text.into(),
    }
}

/// The form in which an address is likely stored that somebody looks for: also digits alone, long enough for a phone
/// number, as one.
pub fn searched(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    match phone(text).filter(|_| digits >= PHONE_DIGITS_SEARCHED_MIN) {
        Some(number) => number.strip_prefix("+00").map(|rest| format!("+{rest}").into()).unwrap_or(number),
        None => normalize(None, text),
    }
}

fn email(text: &str) -> Cow<'_, str> {
    let address = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, address)) if address.contains('@') => address.trim(),
        _ => text,
    };
    if address.chars().any(char::is_uppercase) { address.to_lowercase().into() } else { address.into() }
}

/// `None` where the text is no phone number.
fn phone(text: &str) -> Option<Cow<'_, str>> {
    let scheme = PHONE_SCHEMES
        .into_iter()
        .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let text = text[scheme.map_or(0, str::len)..].trim_start();
    let number = text.strip_prefix('+').unwrap_or(text);
    if !number.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || "()-./\u{2010}\u{2011}".contains(c)) {
        return None;
    }
    let digits = number.chars().filter(char::is_ascii_digit).count();
    if digits < PHONE_DIGITS_MIN {
        return None;
    }
    if digits + 1 == text.len() && text.starts_with('+') {
        return Some(text.into());
    }
    Some(std::iter::once('+').chain(number.chars().filter(char::is_ascii_digit)).collect::<String>().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn spellings_of_one_address_are_one() {
        use Channel::*;
        for (channel, written, compared) in [
            (Some(Email), "Ana <Ana@X.org>", "ana@x.org"),
            (Some(Email), " ana@x.org\t", "ana@x.org"),
            (Some(Email), "\"A. <b>\" <ANA@x.org >", "ana@x.org"),
            (Some(Email), "<ana@x.org>", "ana@x.org"),
            (Some(Email), "MÜLLER@x.org", "müller@x.org"),
            (Some(Email), "Postmaster", "Postmaster"),
            (Some(Email), "No address <here>", "No address <here>"),
            (Some(Email), "ana@x.org <Here>", "ana@x.org <here>"),
            (Some(Sms), "+1 (555) 010-0199", "+15550100199"),
            (Some(Sms), "15550100199", "+15550100199"),
            (Some(Whatsapp), "whatsapp:+15550100199", "+15550100199"),
            (Some(Sms), "+15550100199", "+15550100199"),
            (Some(Sms), "forgotten-1f", "forgotten-1f"),
            (Some(Sms), "12", "12"),
            (Some(Push), "fX9:APA91-b+C", "fX9:APA91-b+C"),
            (Some(Slack), "#Orders", "#Orders"),
            (Some(Webhook), "https://X.org/Hook?to=A@b", "https://X.org/Hook?to=A@b"),
            (Some(InApp), "Ana@X.org", "ana@x.org"),
            (Some(InApp), "15550100199", "15550100199"),
            (None, "Ana <Ana@X.org>", "ana@x.org"),
            (None, "+1 555.010-0199", "+15550100199"),
            (None, "15550100199", "15550100199"),
            (None, "+1 555 x2", "+1 555 x2"),
            (None, "https://X.org/@Ana", "https://X.org/@Ana"),
            (None, "Token", "Token"),
            (None, "  ", ""),
        ] {
            assert_eq!(normalize(channel, written), compared, "{channel:?} {written}");
        }
    }

    #[test]
    fn digits_that_may_be_a_phone_number_are_searched_as_one() {
        for (written, stored) in [
            ("15551012235", "+15551012235"),
            ("1 (555) 101-2235", "+15551012235"),
            ("0015551012235", "+15551012235"),
            ("112345", "112345"),
            ("Ana <Ana@X.org>", "ana@x.org"),
        ] {
            assert_eq!(searched(written), stored, "{written}");
        }
    }

    fn written() -> impl Strategy<Value = String> {
        prop_oneof!["\\PC{0,12}", "[ +<>@.()A-Ca-c0-9:/-]{0,16}", "(tel:|sms:)?[+]?[0-9 ().-]{0,12}"]
    }

    proptest! {
        #[test]
        fn again_is_the_same(written in written(), channel in select(&Channel::ALL[..]), is_known in any::<bool>()) {
            let channel = is_known.then_some(channel);
            let once = normalize(channel, &written).into_owned();
            prop_assert_eq!(&*normalize(channel, &once), &*once);
        }

        /// So that one who is known by an address is found by the recipient of a message, whatever its channel.
        #[test]
        fn what_an_email_or_a_phone_became_is_the_same_without_the_channel(
            name in "[A-Za-z0-9._-]{1,8}", digits in "[1-9][0-9]{2,14}", spaces in 0..4usize,
        ) {
            let email = format!("Some One <{name}@X.org>{}", " ".repeat(spaces));
            let compared = normalize(Some(Channel::Email), &email).into_owned();
            prop_assert_eq!(normalize(None, &email), compared.clone());
            prop_assert_eq!(&*normalize(None, &compared), &*compared);
            let compared = normalize(Some(Channel::Sms), &digits).into_owned();
            prop_assert_eq!(&*normalize(None, &compared), &*compared);
            prop_assert_eq!(&*compared, format!("+{digits}"));
        }
    }
}
