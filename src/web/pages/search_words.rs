//! What is written in the search box, as the query of the log's address: `status:bounced -channel:sms "spring sale"`.
//!
//! Operators and plain words become the keys that [`LogQuery`](super::log_query::LogQuery) reads, so that a search and
//! an address are one filter.

use chrono::{Days, NaiveDate};

use super::span::Span;
use crate::domain::SourceKind;

/// What the words ask for.
#[derive(Debug, PartialEq)]
pub enum Asked {
    /// One delivery.
    Delivery(String),
    /// A filter of the log: keys and values of its address.
    Log(Vec<(String, String)>),
    /// Words without an operator; one that looks as if it was to be one, and what it could be.
    Plain(Option<String>),
    /// Why they cannot be read.
    Wrong(String),
}

/// The operators and the keys of the log's address. What is a kind of source stands for `source`.
const OPERATORS: [(&str, &str); 16] = [
    ("to", "recipient"),
    ("subject", "subject"),
    ("status", "status"),
    ("ever", "ever"),
    ("channel", "channel"),
    ("campaign", "source"),
    ("newsletter", "source"),
    ("broadcast", "source"),
    ("transactional", "source"),
    ("person", "person"),
    ("id", "id"),
    ("before", "until"),
    ("after", "since"),
    // other words for them
    ("recipient", "recipient"),
    ("since", "since"),
    ("until", "until"),
];

/// Those that are named where one is wrong.
const NAMED: usize = 13;

/// Words far off from any operator are not one mistyped.
const TYPOS_MAX: usize = 2;

/// Keys that a filter has one value of.
const ONCE: [&str; 5] = ["recipient", "person", "source", "since", "until"];

/// One word, with what stands before it.
struct Word<'a> {
    is_not: bool,
    operator: Option<&'a str>,
    value: String,
    written: &'a str,
}

impl Word<'_> {
    fn key(&self) -> Option<&'static str> {
        let name = self.operator?.to_lowercase();
        OPERATORS.iter().find(|(operator, _)| *operator == name).map(|(_, key)| *key)
    }
}

pub fn parse(text: &str) -> Asked {
    let (words, is_open) = split(text);
    let has_operator = words.iter().any(|word| word.key().is_some());
    let leaves_out = words.len() > 1 && words.iter().any(|word| word.is_not && word.operator.is_none());
    if !has_operator && !leaves_out {
        return Asked::Plain(words.iter().find_map(near));
    }
    if is_open {
        return Asked::Wrong("A quotation mark is not closed.".into());
    }
    // a source alone is its page
    if let [word] = &words[..]
        && word.key() == Some("source")
        && !word.is_not
        && !word.value.is_empty()
    {
        return Asked::Plain(None);
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for word in &words {
        match pair(word, words.len()) {
            Ok(Pair::Delivery(id)) => return Asked::Delivery(id),
            Ok(Pair::Of(key, value)) => {
                if ONCE.contains(&key.as_str()) && pairs.iter().any(|(other, _)| *other == key) {
                    return Asked::Wrong(format!("“{}” asks again for what was asked for before it.", word.written));
                }
                pairs.push((key, value));
            }
            Err(wrong) => return Asked::Wrong(wrong),
        }
    }
    Asked::Log(pairs)
}

/// Plain words, each to be found in recipient or subject.
pub fn plain(text: &str) -> Vec<(String, String)> {
    split(text).0.into_iter().map(|word| ("words".into(), word.whole())).filter(|(_, it)| !it.is_empty()).collect()
}

/// The words that ask for what an address does, where there are such.
pub fn written(pairs: &[(String, String)]) -> Option<String> {
    let word = |(key, value): &(String, String)| {
        let (minus, key) = key.strip_prefix('-').map_or(("", key.as_str()), |key| ("-", key));
        let (minus, value) = match value.strip_prefix('-') {
            Some(value) if key == "status" => ("-", value),
            _ => (minus, value.as_str()),
        };
        let (name, value) = match key {
            "words" => ("", value),
            "source" => value.split_once(':')?,
            "since" | "until" => (key, value),
            "recipient" => {
                let part = value.strip_prefix('*').and_then(|part| part.strip_suffix('*')).unwrap_or(value);
                // a whole address that does not look like one has no words
                ("to", Some(part).filter(|part| recipient((*part).to_owned()) == value)?)
            }
            _ => (OPERATORS.iter().find(|(_, known)| *known == key)?.0, value),
        };
        if value.is_empty() || value.contains('"') || (key == "source" && SourceKind::parse(name).is_none()) {
            return None;
        }
        let is_bare = !value.contains(char::is_whitespace)
            && !(name.is_empty() && (value.starts_with('-') || value.contains(':')));
        let value = if is_bare { value.to_owned() } else { format!("\"{value}\"") };
        Some(if name.is_empty() { format!("{minus}{value}") } else { format!("{minus}{name}:{value}") })
    };
    Some(pairs.iter().map(word).collect::<Option<Vec<_>>>()?.join(" "))
}

enum Pair {
    Delivery(String),
    Of(String, String),
}

fn pair(word: &Word, words: usize) -> Result<Pair, String> {
    let Some(operator) = word.operator else {
        let key = if word.is_not { "-words" } else { "words" };
        return Ok(Pair::Of(key.into(), word.value.clone()));
    };
    let Some(key) = word.key() else {
        return Err(near(word).unwrap_or_else(|| {
            let names: Vec<String> = OPERATORS[..NAMED].iter().map(|(name, _)| format!("{name}:")).collect();
            let quoted = format!("Put words that hold a colon in quotation marks: \"{}\".", word.written);
            format!("There is no operator “{operator}:”. There are {}. {quoted}", names.join(", "))
        }));
    };
    let (name, value) = (operator.to_lowercase(), word.value.clone());
    if value.is_empty() {
        return Err(format!("“{name}:” has no value. Write it right after the colon: {}.", example(&name)));
    }
    let value = match key {
        "id" if words == 1 && !word.is_not => return Ok(Pair::Delivery(value)),
        "id" => return Err("“id:” leads to one delivery, so it stands alone.".into()),
        "source" => format!("{name}:{value}"),
        "since" | "until" => time(word, &name, &value)?,
        "recipient" => recipient(value),
        _ => value,
    };
    Ok(match (word.is_not, key) {
        (false, _) => Pair::Of(key.into(), value),
        (true, "status") => Pair::Of(key.into(), format!("-{value}")),
        (true, _) => Pair::Of(format!("-{key}"), value),
    })
}

/// What looks like a whole address is that one; else it is a part of some.
fn recipient(value: String) -> String {
    let is_whole = value.contains(['@', '*']) || value.starts_with('+');
    if is_whole { value } else { format!("*{value}*") }
}

/// As the address has it, where a day or an hour is the last one meant: what is before it ends one earlier.
fn time(word: &Word, name: &str, value: &str) -> Result<String, String> {
    if word.is_not {
        let other = if matches!(name, "before" | "until") { "after" } else { "before" };
        return Err(format!("A time is not left out; “{other}:” asks for the other side of it."));
    }
    let key = if matches!(name, "before" | "until") { "until" } else { "since" };
    if Span::parse(&[(key.into(), value.into())], 0).is_err() {
        let preset = if key == "since" { "24h, 7d or 30d, " } else { "" };
        return Err(format!(
            "“{}” is no time. It can be {preset}a day such as 2026-11-21, an hour of it such as 2026-11-21T14, or a time \
            such as 2026-11-21T14:00:00Z; all in UTC.",
            word.written
        ));
    }
    if name != "before" {
        return Ok(value.into());
    }
    let the_day_before = |day: NaiveDate| day.checked_sub_days(Days::new(1)).unwrap_or(day);
    if let Ok(day) = value.parse::<NaiveDate>() {
        return Ok(the_day_before(day).to_string());
    }
    Ok(match value.split_once('T') {
        Some((day, hour)) if hour.len() == 2 => match (day.parse::<NaiveDate>(), hour.parse::<u32>()) {
            (Ok(day), Ok(0)) => format!("{}T23", the_day_before(day)),
            (Ok(day), Ok(hour)) => format!("{day}T{:02}", hour - 1),
            _ => value.into(),
        },
        _ => value.into(),
    })
}

fn example(name: &str) -> String {
    let value = match name {
        "to" | "recipient" => "ann@example.com",
        "subject" => "\"spring sale\"",
        "status" => "bounced",
        "ever" => "opened",
        "channel" => "sms",
        "before" | "after" | "since" | "until" => "2026-11-21",
        _ => "3",
    };
    format!("{name}:{value}")
}

/// What a word could be that looks like an operator and is none.
fn near(word: &Word) -> Option<String> {
    let name = word.operator.filter(|_| word.key().is_none())?.to_lowercase();
    let far = |operator: &str| strsim::osa_distance(&name, operator);
    let (operator, _) = OPERATORS.iter().min_by_key(|(operator, _)| far(operator))?;
    let is_near = far(operator) <= TYPOS_MAX.min(operator.len() / 2);
    is_near.then(|| format!("There is no operator “{name}:”. It could be “{operator}:”, as in {}.", example(operator)))
}

impl Word<'_> {
    /// With what looks like an operator and is none.
    fn whole(self) -> String {
        match self.operator {
            Some(operator) => format!("{operator}:{}", self.value),
            None => self.value,
        }
    }
}

/// Words parted by spaces, but not within quotation marks; and whether a mark was not closed.
fn split(text: &str) -> (Vec<Word<'_>>, bool) {
    let (mut words, mut is_open) = (Vec::new(), false);
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut quoted = false;
        let end = rest.char_indices().find(|(_, c)| {
            quoted ^= *c == '"';
            !quoted && c.is_whitespace()
        });
        let written = &rest[..end.map_or(rest.len(), |(at, _)| at)];
        is_open = quoted;
        rest = rest[written.len()..].trim_start();
        // a minus before a number is a part of it
        let bare = written.strip_prefix('-').filter(|bare| bare.starts_with(|c: char| c.is_alphabetic() || c == '"'));
        let (is_not, bare) = bare.map_or((false, written), |bare| (true, bare));
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
        let parts = bare.split_once(':').filter(|(name, _)| is_name(name));
        let (operator, value) = parts.map_or((None, bare), |(name, value)| (Some(name), value));
        words.push(Word { is_not, operator, value: value.replace('"', ""), written });
    }
    (words, is_open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        match parse(text) {
            Asked::Log(pairs) => {
                pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
            }
            Asked::Delivery(id) => format!("delivery {id}"),
            Asked::Plain(None) => "plain".into(),
            Asked::Plain(Some(wrong)) | Asked::Wrong(wrong) => wrong,
        }
    }

    #[test]
    fn operators_and_words_make_a_filter() {
        for (text, wanted) in [
            ("status:bounced to:a@b.c", "status=bounced&recipient=a@b.c"),
            ("to:smith status:sent", "recipient=*smith*&status=sent"),
            ("-to:+1555 to:ann*", "-recipient=+1555&recipient=ann*"),
            ("newsletter:3 ever:opened", "source=newsletter:3&ever=opened"),
            ("ever:opened -status:clicked", "ever=opened&status=-clicked"),
            ("subject:\"spring sale\" -subject:test", "subject=spring sale&-subject=test"),
            ("status:bounced tom -\"last call\"", "status=bounced&words=tom&-words=last call"),
            ("basket -spring", "words=basket&-words=spring"),
            ("-campaign:3", "-source=campaign:3"),
            ("-channel:sms -to:ann* -person:7 -ever:opened", "-channel=sms&-recipient=ann*&-person=7&-ever=opened"),
            ("STATUS:sent", "status=sent"),
            ("before:2026-11-01 after:7d", "until=2026-10-31&since=7d"),
            ("before:2026-11-01T00", "until=2026-10-31T23"),
            ("before:2026-11-01T14", "until=2026-11-01T13"),
            ("before:2026-11-01T14:00:00Z", "until=2026-11-01T14:00:00Z"),
            ("id:a/b=", "delivery a/b="),
            ("subject:\"id:3\"", "subject=id:3"),
            ("campaign:3", "plain"),
            ("campaign 3", "plain"),
            ("urn:example:thing", "plain"),
            ("\"status\" 5\" disk", "plain"),
            ("+1 -555-1234", "plain"),
            ("", "plain"),
        ] {
            assert_eq!(said(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_wrong_operator_says_what_it_could_be() {
        for (text, part) in [
            ("staus:bounced", "It could be “status:”"),
            ("status:sent chanel:sms", "It could be “channel:”"),
            ("status:sent colour:red", "There is no operator “colour:”. There are to:, subject:"),
            ("status:", "status:bounced"),
            ("before:soon", "“before:soon” is no time"),
            ("-after:2026-11-01", "“before:”"),
            ("id:a status:sent", "stands alone"),
            ("to:a to:b", "asks again"),
            ("subject:\"open", "not closed"),
        ] {
            assert!(said(text).contains(part), "{text}: {}", said(text));
        }
    }

    #[test]
    fn an_address_is_written_as_words_that_ask_for_it() {
        for text in [
            "status:bounced to:a@b.c",
            "to:smith -to:ann* ever:opened",
            "subject:\"spring sale\" -subject:test tom -\"last call\"",
            "-campaign:3 -status:clicked since:7d until:2026-10-31",
            "ever:opened \"a:b\" \"-c\"",
        ] {
            let Asked::Log(pairs) = parse(text) else { panic!("{text}") };
            assert_eq!(written(&pairs).as_deref(), Some(text));
        }
        assert_eq!(written(&[("outcome".into(), "sent".into())]), None);
        assert_eq!(written(&[("recipient".into(), "tok-1".into())]), None);
        assert_eq!(written(&[]).as_deref(), Some(""));
    }
}
