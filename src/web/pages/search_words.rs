//! The language of the search box: `status:bounced -channel:sms "spring sale"`.
//!
//! Operators and words become parameters of the log's address, so that [`LogQuery`](super::log_query::LogQuery) checks
//! them, and a search and an address are the same filter.

use chrono::{Days, NaiveDate, NaiveDateTime, TimeDelta};

use super::span::Span;
use crate::domain::SourceKind;
use crate::web::nearest::typo;

/// What a search asks for.
#[derive(Debug, PartialEq)]
pub enum Asked {
    /// A delivery by its ID.
    Delivery(String),
    /// One source, by kind and by id or name.
    Source(String, String),
    /// A filter of the log, as the parameters of its address. A source may be written by its name.
    Log(Vec<(String, String)>),
    /// Words without an operator; and a hint, where one looks like a misspelled operator.
    Plain(Option<String>),
    /// A syntax error.
    Wrong(String),
}

/// Operators with the parameter that each becomes, and an example of a value. Kinds of source become `source`.
const OPERATORS: [(&str, &str, &str); 18] = [
    ("to", "recipient", "ann@example.com"),
    ("domain", "domain", "example.com"),
    ("subject", "subject", "\"spring sale\""),
    ("status", "status", "bounced"),
    ("ever", "ever", "opened"),
    ("channel", "channel", "sms"),
    ("campaign", "source", "3"),
    ("newsletter", "source", "3"),
    ("broadcast", "source", "3"),
    ("transactional", "source", "3"),
    ("person", "person", "12345"),
    ("reason", "reason", "\"mailbox full\""),
    ("id", "id", "RKK4Aw"),
    ("before", "until", "2026-11-21"),
    ("after", "since", "2026-11-21"),
    // synonyms, named like the parameters
    ("recipient", "recipient", "ann@example.com"),
    ("since", "since", "2026-11-21"),
    ("until", "until", "2026-11-21"),
];

/// Those that error messages list.
const LISTED: usize = 15;

/// One word of a search.
struct Word<'a> {
    /// It begins with a minus.
    is_not: bool,
    /// What stands before a colon, whether or not it is an operator.
    prefix: Option<&'a str>,
    value: String,
    written: &'a str,
}

impl Word<'_> {
    /// The operator, the parameter that it becomes, and an example.
    fn operator(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let name = self.prefix?.to_lowercase();
        OPERATORS.into_iter().find(|(operator, ..)| *operator == name)
    }

    /// A hint, where the prefix looks like a misspelled operator.
    fn hint(&self) -> Option<String> {
        let prefix = self.prefix.filter(|_| self.operator().is_none())?;
        let operator = typo(&prefix.to_lowercase(), &OPERATORS.map(|(operator, ..)| operator))?;
        let example = OPERATORS.iter().find(|(name, ..)| *name == operator)?.2;
        Some(format!("Unknown operator “{prefix}:”. Did you mean “{operator}:”, as in {operator}:{example}?"))
    }
}

pub fn parse(text: &str) -> Asked {
    let (words, is_open) = split(text);
    let has_operator = words.iter().any(|word| word.operator().is_some());
    let excludes = words.len() > 1 && words.iter().any(|word| word.is_not && word.prefix.is_none());
    if !has_operator && !excludes {
        return Asked::Plain(words.iter().find_map(Word::hint));
    }
    if is_open {
        return Asked::Wrong("A quotation mark is not closed.".into());
    }
    if let [word] = &words[..]
        && let Some((_, key, _)) = word.operator()
        && !word.is_not
        && !word.value.is_empty()
    {
        match key {
            "id" => return Asked::Delivery(word.value.clone()),
            "source" => return Asked::Source(word.prefix.unwrap_or_default().to_lowercase(), word.value.clone()),
            _ => {}
        }
    }
    let pairs = words.iter().flat_map(several).map(|word| pair(&word)).collect::<Result<_, _>>();
    pairs.map_or_else(Asked::Wrong, Asked::Log)
}

/// Plain words, each to be found in recipient or subject.
pub fn plain(text: &str) -> Vec<(String, String)> {
    let text_of = |word: Word| word.prefix.map_or(word.value.clone(), |prefix| format!("{prefix}:{}", word.value));
    split(text).0.into_iter().map(|word| ("words".into(), text_of(word))).filter(|(_, it)| !it.is_empty()).collect()
}

/// A filter as words of the search box, where the language can express it.
pub fn written(pairs: &[(String, String)]) -> Option<String> {
    let word = |(key, value): &(String, String)| {
        let (minus, key) = key.strip_prefix('-').map_or(("", key.as_str()), |key| ("-", key));
        let (minus, value) = match value.strip_prefix('-') {
            Some(value) if key == "status" => ("-", value),
            _ => (minus, value.as_str()),
        };
        let (name, value) = match key {
            "words" => ("", value),
            "source" => value.split_once(':').filter(|(kind, _)| SourceKind::parse(kind).is_some())?,
            "since" | "until" => (key, value),
            "recipient" => {
                let part = value.strip_prefix('*').and_then(|part| part.strip_suffix('*')).unwrap_or(value);
                // a push token would be read as a part of an address
                ("to", Some(part).filter(|part| recipient((*part).to_owned()) == value)?)
            }
            "reason" if value != "*" => ("reason", value.strip_prefix('*')?.strip_suffix('*')?),
            _ => (OPERATORS.iter().find(|(_, known, _)| *known == key)?.0, value),
        };
        if value.is_empty() || value.contains('"') {
            return None;
        }
        // without quotation marks it would be an operator, or included
        let is_odd = value.starts_with('-')
            || value.contains(':')
            || !minus.is_empty() && !value.starts_with(char::is_alphabetic);
        let needs_quotes = value.contains(char::is_whitespace) || name.is_empty() && is_odd;
        let value = if needs_quotes { format!("\"{value}\"") } else { value.to_owned() };
        Some(if name.is_empty() { format!("{minus}{value}") } else { format!("{minus}{name}:{value}") })
    };
    Some(pairs.iter().map(word).collect::<Option<Vec<_>>>()?.join(" "))
}

/// `status:bounced,failed` as a word for each. Of a filter that may have one value only, a comma belongs to it.
fn several<'a>(word: &Word<'a>) -> Vec<Word<'a>> {
    let is_list = word.operator().is_some_and(|(_, key, _)| ["status", "channel"].contains(&key));
    let values = word.value.split(',').filter(|value| is_list && !value.is_empty());
    let values: Vec<String> = values.map(Into::into).collect();
    let values = if values.is_empty() { vec![word.value.clone()] } else { values };
    values.into_iter().map(|value| Word { value, ..*word }).collect()
}

/// The parameter that a word becomes.
fn pair(word: &Word) -> Result<(String, String), String> {
    let minus = if word.is_not { "-" } else { "" };
    let Some(prefix) = word.prefix else { return Ok((format!("{minus}words"), word.value.clone())) };
    let Some((name, key, example)) = word.operator() else {
        return Err(word.hint().unwrap_or_else(|| {
            let names: Vec<String> = OPERATORS[..LISTED].iter().map(|(name, ..)| format!("{name}:")).collect();
            let quote = format!("Put words with a colon in quotation marks: \"{}\".", word.written);
            format!("Unknown operator “{prefix}:”. Use {}. {quote}", names.join(", "))
        }));
    };
    let value = match key {
        _ if word.value.is_empty() => return Err(format!("“{name}:” needs a value right after it: {name}:{example}.")),
        "id" => return Err("“id:” opens one delivery, so it cannot be combined.".into()),
        "source" => format!("{name}:{}", word.value),
        "since" | "until" => time(word, name)?,
        "recipient" => recipient(word.value.clone()),
        "reason" if !word.value.contains('*') => format!("*{}*", word.value),
        _ => word.value.clone(),
    };
    Ok(match (word.is_not, key) {
        (true, "status") => (key.into(), format!("-{value}")),
        _ => (format!("{minus}{key}"), value),
    })
}

/// A complete address as it is, anything else as a part of one.
fn recipient(value: String) -> String {
    let is_complete = value.contains(['@', '*']) || value.starts_with('+');
    if is_complete { value } else { format!("*{value}*") }
}

/// A time as a parameter. `until` includes the day or hour that it names, `before` does not.
fn time(word: &Word, name: &str) -> Result<String, String> {
    let (value, is_end) = (&word.value, matches!(name, "before" | "until"));
    if word.is_not {
        return Err(format!("A time cannot be excluded; use “{}:”.", if is_end { "after" } else { "before" }));
    }
    let key = if is_end { "until" } else { "since" };
    let is_unknown = name == "before" && value == "yesterday";
    if is_unknown || Span::parse(&[(key.into(), value.clone())], 0).is_err() {
        let preset = if is_end { "today, " } else { "24h, 7d, 30d, today, yesterday, " };
        return Err(format!(
            "“{}” is no time. Use {preset}a day (2026-11-21), an hour (2026-11-21T14) or a time (2026-11-21T14:00:00Z), in \
            UTC.",
            word.written
        ));
    }
    let day = value.parse::<NaiveDate>().ok().and_then(|day| day.checked_sub_days(Days::new(1)));
    let hour = NaiveDateTime::parse_from_str(&format!("{value}:00"), "%Y-%m-%dT%H:%M").ok();
    let hour = hour.and_then(|hour| hour.checked_sub_signed(TimeDelta::hours(1)));
    Ok(match (name, day, hour) {
        ("before", ..) if value == "today" => "yesterday".into(),
        ("before", Some(day), _) => day.to_string(),
        ("before", _, Some(hour)) => hour.format("%Y-%m-%dT%H").to_string(),
        _ => value.clone(),
    })
}

/// Words separated by spaces outside of quotation marks; and whether a quotation is left open.
fn split(text: &str) -> (Vec<Word<'_>>, bool) {
    let (mut words, mut is_open) = (Vec::new(), false);
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        is_open = false;
        let end = rest.char_indices().find(|(_, c)| {
            is_open ^= *c == '"';
            !is_open && c.is_whitespace()
        });
        let written = &rest[..end.map_or(rest.len(), |(at, _)| at)];
        rest = rest[written.len()..].trim_start();
        // a minus before a digit belongs to a number
        let bare = written.strip_prefix('-').filter(|bare| bare.starts_with(|c: char| c.is_alphabetic() || c == '"'));
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
        let parts = bare.unwrap_or(written).split_once(':').filter(|(name, _)| is_name(name));
        let (prefix, value) = parts.map_or((None, bare.unwrap_or(written)), |(name, value)| (Some(name), value));
        words.push(Word { is_not: bare.is_some(), prefix, value: value.replace('"', ""), written });
    }
    (words, is_open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        match parse(text) {
            Asked::Plain(_) => plain(text),
            Asked::Log(pairs) => pairs,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_filter_that_is_written_as_a_search_stays_the_same() {
        for text in ["spring sale", "a -\"2024\"", "a -\"\u{0}b\"", "\"-a\" -\"b:c\"", "to:ann -status:sent \"a b\""] {
            let filter = pairs(text);
            let again = written(&filter).unwrap();
            assert_eq!(pairs(&again), filter, "{text} was written {again}");
        }
    }
}
