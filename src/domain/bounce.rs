//! What a bounce says of the address: is it dead, or was it only this message, this moment, this sender?
//!
//! Some providers state it with the event, and that stands. Other events carry only the words of the server, the carrier or
//! the push service. They are read with care for one mistake: an address must not be taken for dead because a message was
//! refused. What is not clear is not hard.
//!
//! The rules, in their order; the first that says something decides:
//!
//! 1. The number of an SMS or WhatsApp provider, where the reason begins with it or calls it an error or a code.
//! 2. A temporary code (a reply of 4yz, an enhanced code of 4.y.z): soft, whatever the words are.
//! 3. Words of a refusal (spam, lists, authentication, content, size, opt-out, anything about the sender): policy,
//!    even beside "user unknown".
//! 4. Words of a full mailbox, a limit, a fault on the way: soft.
//! 5. Words that cannot be mistaken: nobody of that name, closed for good, no such domain, token not registered: hard.
//! 6. The enhanced code (RFC 3463, RFC 5248 and IANA's registry), then the few reply codes that mean one thing.
//! 7. Words that mean it beside a certain code only.
//!
//! Addresses and links within the reason are not read: `full.spam@example.org` is a name. Nor are the codes that begin
//! each line of a long reply, which would tear its sentences apart.

/// What a bounce says of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BounceClass {
    /// The address itself is dead: nobody there, closed for good, no such domain, the token is of no device.
    Hard,
    /// The mailbox is full, or something was wrong for a time.
    Soft,
    /// The message or its sender was refused; the address may well be alive.
    Policy,
    /// Nothing to go by.
    Unknown,
}

impl BounceClass {
    pub const ALL: [BounceClass; 4] = [BounceClass::Hard, BounceClass::Soft, BounceClass::Policy, BounceClass::Unknown];

    /// Its name in SQL, JSON and URLs.
    pub fn name(self) -> &'static str {
        match self {
            BounceClass::Hard => "hard",
            BounceClass::Soft => "soft",
            BounceClass::Policy => "policy",
            BounceClass::Unknown => "unknown",
        }
    }

    pub fn parse(name: &str) -> Option<BounceClass> {
        BounceClass::ALL.into_iter().find(|class| class.name() == name)
    }

    pub fn title(self) -> &'static str {
        match self {
            BounceClass::Hard => "Hard bounce",
            BounceClass::Soft => "Soft bounce",
            BounceClass::Policy => "Refused by policy",
            BounceClass::Unknown => "Unclear bounce",
        }
    }

    /// For people, in plain words.
    pub fn meaning(self) -> &'static str {
        match self {
            BounceClass::Hard => {
                "the address is dead: nobody of that name, an account closed for good, a domain that does not exist, \
                 a device without the app"
            }
            BounceClass::Soft => {
                "it did not work this time: the mailbox is full, the server was busy or asked to come back later"
            }
            BounceClass::Policy => {
                "the message or its sender was refused: taken for spam, on a block list, not authenticated, too \
                 large, unsubscribed; the address may well be alive"
            }
            BounceClass::Unknown => "the reason does not say which it is",
        }
    }
}

/// The class that the sender states, else that of the reason.
pub fn class(stated: Option<BounceClass>, reason: Option<&str>) -> BounceClass {
    stated.unwrap_or_else(|| classify(reason))
}

/// Longer reasons are no server's words.
const READ_MAX: usize = 4_096;

/// Classes a bounce by its reason.
pub fn classify(reason: Option<&str>) -> BounceClass {
    let Some(reason) = reason.filter(|reason| !reason.trim().is_empty()) else { return BounceClass::Unknown };
    let reason = &reason[..reason.floor_char_boundary(READ_MAX)];
    let codes = Codes::of(reason);
    let words = words(reason);
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| has(&words, phrase));

    if let Some(class) = carrier(&words) {
        class
    } else if codes.are_temporary() {
        BounceClass::Soft
    } else if says(phrases::POLICY) {
        BounceClass::Policy
    } else if says(phrases::SOFT) {
        BounceClass::Soft
    } else if says(phrases::HARD) || codes.has((5, 4, 1)) && has(&words, "recipient address rejected access denied") {
        BounceClass::Hard
    } else {
        codes.class().unwrap_or_else(|| {
            let is_hard = codes.reply == Some(550) && has(&words, "mailbox unavailable")
                || codes.has((5, 1, 0)) && has(&words, "address rejected");
            if is_hard { BounceClass::Hard } else { BounceClass::Unknown }
        })
    }
}

/// Whether the words hold the phrase.
fn has(words: &str, phrase: &str) -> bool {
    words.match_indices(phrase).any(|(at, _)| stands_alone(words, at, phrase))
}

/// Whether what was found is of whole words. Scripts without spaces have none.
fn stands_alone(words: &str, at: usize, phrase: &str) -> bool {
    let around = [words[..at].chars().next_back(), words[at + phrase.len()..].chars().next()];
    !phrase.is_ascii() || around == [Some(' '); 2]
}

/// The reason as lower-case words with one space around each, without addresses, links and reply codes.
fn words(reason: &str) -> String {
    let mut words = String::with_capacity(reason.len() + 2);
    words.push(' ');
    for token in reason.split_whitespace() {
        if token.contains('@') || token.contains("://") || is_code(token) {
            continue;
        }
        for c in token.chars().flat_map(char::to_lowercase) {
            if c.is_alphanumeric() {
                words.push(c);
            } else if !matches!(c, '\'' | '\u{2019}') && !words.ends_with(' ') {
                words.push(' ');
            }
        }
        if !words.ends_with(' ') {
            words.push(' ');
        }
    }
    words
}

/// `550`, `550-5.1.1`, `(#5.1.1)`: no word, and at the start of each line of a reply.
fn is_code(token: &str) -> bool {
    if token.contains(char::is_alphabetic) {
        return false;
    }
    let token = token.trim_matches(|c: char| !c.is_ascii_digit());
    !token.is_empty()
        && token.split('-').all(|part| part.parse::<u16>().is_ok_and(is_reply) || enhanced(part).is_some())
}

/// The codes that a reason holds.
#[derive(Default)]
struct Codes {
    /// The first.
    reply: Option<u16>,
    enhanced: Vec<(u16, u16, u16)>,
}

impl Codes {
    fn of(reason: &str) -> Codes {
        let mut codes = Codes::default();
        for number in reason.split(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
            // the end of a sentence is no part of a number
            let number = number.trim_end_matches('.');
            if let Some(code) = enhanced(number) {
                codes.enhanced.push(code);
            } else if codes.reply.is_none() {
                codes.reply = number.parse().ok().filter(|code| number.len() == 3 && is_reply(*code));
            }
        }
        codes
    }

    fn has(&self, code: (u16, u16, u16)) -> bool {
        self.enhanced.contains(&code)
    }

    fn are_temporary(&self) -> bool {
        self.reply.is_some_and(|code| code < 500) || self.enhanced.iter().any(|(class, ..)| *class == 4)
    }

    /// What the codes say by themselves. Of several the mildest stands.
    fn class(&self) -> Option<BounceClass> {
        let said = |class| self.enhanced.iter().any(|code| permanent(*code) == Some(class));
        if said(BounceClass::Policy) {
            Some(BounceClass::Policy)
        } else if said(BounceClass::Soft) || self.reply == Some(552) {
            Some(BounceClass::Soft)
        } else {
            said(BounceClass::Hard).then_some(BounceClass::Hard)
        }
    }
}

/// Reply codes of mail servers, as far as they report a failure.
fn is_reply(code: u16) -> bool {
    matches!(code, 421 | 432 | 441..=459 | 471 | 500..=505 | 510..=525 | 530..=557 | 571)
}

/// `5.1.1`: a class of 4 or 5, one of the eight subjects, a detail.
fn enhanced(text: &str) -> Option<(u16, u16, u16)> {
    let mut parts = text.split('.');
    let mut part = |most: u16| {
        let part = parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        part.parse().ok().filter(|number| *number <= most)
    };
    let code = (part(5).filter(|class| *class >= 4)?, part(7)?, part(999)?);
    parts.next().is_none().then_some(code)
}

/// What a permanent code says by itself.
fn permanent(code: (u16, u16, u16)) -> Option<BounceClass> {
    match code {
        // no such mailbox, no such host, not an address, moved without a word, a domain without mail, disabled
        (5, 1, 1 | 2 | 3 | 6 | 10) | (5, 2, 1) => Some(BounceClass::Hard),
        // the mailbox or the system is full, no answer, a bad connection, a loop, too late, too many recipients
        (5, 2, 2) | (5, 3, 1 | 2 | 5) | (5, 4, 1..=3 | 5..=7) | (5, 5, 3) => Some(BounceClass::Soft),
        // the sender's address, the message's size, what it holds, security and policy
        (5, 1, 7 | 8) | (5, 2, 3) | (5, 3, 4) | (5, 6, _) | (5, 7, _) => Some(BounceClass::Policy),
        _ => None,
    }
}

/// The class of a provider's number: the first word, or the one after "error" or "code".
fn carrier(words: &str) -> Option<BounceClass> {
    let mut before = "error";
    for word in words.split_whitespace() {
        if matches!(before, "error" | "code" | "errorcode" | "twilio")
            && let Some(class) = word.parse().ok().and_then(carrier_code)
        {
            return Some(class);
        }
        before = word;
    }
    None
}

/// Numbers of Twilio's (5 digits) and WhatsApp's (6 digits) error dictionaries.
fn carrier_code(code: u32) -> Option<BounceClass> {
    match code {
        // not a number, not a mobile one, unknown to its network, a landline, not on WhatsApp
        21211 | 21217 | 21401 | 21614 | 30005 | 30006 | 63003 | 63024 => Some(BounceClass::Hard),
        // a full queue, switched off or out of reach, a part lost, too many at once
        20429 | 21611 | 30001 | 30003 | 30009 | 30017 | 30018 | 30410 | 63018 | 130429 | 131048 | 131056 => {
            Some(BounceClass::Soft)
        }
        // suspended, blocked, filtered, not allowed there, not verified, unsubscribed, not registered to send,
        // outside the time in which one may write, held back by Meta
        21408
        | 21606
        | 21608
        | 21610
        | 21612
        | 30002
        | 30004
        | 30007
        | 30010
        | 30022..=30024
        | 30032..=30035
        | 63016
        | 63032
        | 63033
        | 63049
        | 130472
        | 131047
        | 131049
        | 131050 => Some(BounceClass::Policy),
        30008 | 63012 | 131000 | 131026 => Some(BounceClass::Unknown),
        _ => None,
    }
}

mod phrases;

#[cfg(test)]
mod tests;
