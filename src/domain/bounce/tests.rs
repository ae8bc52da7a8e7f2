//! Real reasons retold, by provider, and texts of any kind.

use proptest::prelude::*;

use super::*;

/// A class, a tab, a reason; `#` begins a heading.
const REASONS: &str = include_str!("../../../tests/fixtures/bounces.txt");

fn reasons() -> impl Iterator<Item = (BounceClass, &'static str)> {
    REASONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let (class, reason) = line.split_once('\t').expect("a class, a tab, a reason");
        let class = BounceClass::ALL.into_iter().find(|known| known.name() == class);
        (class.unwrap_or_else(|| panic!("a class that is known: {line}")), reason)
    })
}

#[test]
fn reasons_are_classed_as_people_would() {
    let wrong: Vec<String> = reasons()
        .filter(|(class, reason)| classify(Some(reason)) != *class)
        .map(|(class, reason)| format!("{} is taken for {}: {reason}", class.name(), classify(Some(reason)).name()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(reasons().count() >= 150, "{}", reasons().count());
}

#[test]
fn nothing_says_nothing() {
    for reason in [None, Some(""), Some("  "), Some("5"), Some("550"), Some("..."), Some("5.1."), Some("\u{0}")] {
        assert_eq!(classify(reason), BounceClass::Unknown, "{reason:?}");
    }
}

#[test]
fn a_refusal_beats_an_unknown_user_and_a_temporary_code_beats_both() {
    for (_, reason) in reasons().filter(|(class, _)| *class == BounceClass::Hard) {
        if carrier(&words(reason)).is_none() {
            assert_eq!(classify(Some(&format!("{reason} (listed at Spamhaus)"))), BounceClass::Policy, "{reason}");
            assert_eq!(classify(Some(&format!("421 4.7.0 {reason}"))), BounceClass::Soft, "{reason}");
        }
    }
}

#[test]
fn addresses_and_links_are_not_read() {
    assert_eq!(classify(Some("550 5.1.1 <spam.quota@example.org>: gone")), BounceClass::Hard);
    assert_eq!(classify(Some("550 5.1.1 gone, see https://example.org/spam/quota")), BounceClass::Hard);
    assert_eq!(classify(Some("550 to unknown-user@example.org: try https://example.org/no-such-user")), {
        BounceClass::Unknown
    });
    assert_eq!(classify(Some("host mx.example.org[192.5.1.1] said: 550 rejected")), BounceClass::Unknown);
}

#[test]
fn a_long_reason_takes_no_longer_than_a_short_one() {
    // in the square of its length this would take days
    for piece in ["user ", "5.1.1", "5.", "no such ", "\u{10FFFF}", "550-5.1.1 "] {
        classify(Some(&piece.repeat(8 << 20 >> 3)));
    }
}

proptest! {
    #[test]
    fn any_text_has_a_class(text in any::<String>()) {
        classify(Some(&text));
    }

    #[test]
    fn any_words_have_a_class(
        words in prop::collection::vec(
            prop::sample::select(vec!["550", "5.1.1", "4.2.2", "5.", "-", "ß", "\u{130}", "user unknown", "spam", "\u{301}"]),
            0..40,
        ),
        between in prop::sample::select(vec!["", " ", "-", ".", "\n"]),
    ) {
        classify(Some(&words.join(between)));
    }
}
