//! URLs of Waybill's own pages, below the configured base path.

use std::fmt::{self, Display};

use askama::filters::HtmlSafe;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// A path and its query in order; a key may occur several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Address {
    path: String,
    query: Vec<(String, String)>,
}

impl Address {
    /// `path` is written as it is, without encoding.
    pub fn new(base: &str, path: &str) -> Address {
        Address { path: format!("{base}{path}"), query: Vec::new() }
    }

    /// Adds a segment to the path, percent-encoded.
    pub fn segment(mut self, text: &str) -> Address {
        self.path.push_str(&format!("/{}", encoded(text)));
        self
    }

    /// Adds a value to the key, beside others that it has.
    pub fn with(mut self, key: &str, value: impl Display) -> Address {
        self.query.push((key.into(), value.to_string()));
        self
    }

    /// Makes this the only value of the key.
    pub fn set(self, key: &str, value: impl Display) -> Address {
        self.without(key).with(key, value)
    }

    pub fn without(mut self, key: &str) -> Address {
        self.query.retain(|(other, _)| other != key);
        self
    }

    pub fn without_pair(mut self, key: &str, value: &str) -> Address {
        self.query.retain(|(k, v)| !(k == key && v == value));
        self
    }

    /// Appends to the path, for an extension such as `.json`.
    pub fn ending(mut self, ending: &str) -> Address {
        self.path.push_str(ending);
        self
    }

    /// The same query at another path.
    pub fn at(self, base: &str, path: &str) -> Address {
        Address { path: format!("{base}{path}"), ..self }
    }

    /// The first value of a key.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, key: &str, value: &str) -> bool {
        self.query.iter().any(|(k, v)| k == key && v == value)
    }

    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// The query alone, without the question mark.
    pub fn query_text(&self) -> String {
        let pairs = self.query.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The query as a relative link, for use on a page of the same path.
    pub fn of_this_page(&self) -> Safe {
        Safe(format!("?{}", self.query_text()))
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Everything that HTML could interpret is percent-encoded, except the ampersand between pairs: what follows it is a key
/// and `=`, which a parser does not take for a character reference within an attribute.
impl HtmlSafe for Address {}

/// As text.
impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", self.query_text()) }
    }
}

/// A part of an address, safe in HTML for the same reason.
#[derive(Debug, PartialEq)]
pub struct Safe(String);

impl HtmlSafe for Safe {}

impl Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stays readable in an address: `?source=campaign:3&recipient=ann*`. Form encoding (`form_urlencoded`) would
/// encode the colon, the at sign and the comma too.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b',')
    .remove(b'*');

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, ENCODED)
}

/// Whether a link of an event may be followed: only http and https.
pub fn followable(href: &str) -> bool {
    let scheme = |scheme: &str| href.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    scheme("https://") || scheme("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_can_be_part_of_an_address() {
        let address = Address::new("/w", "/deliveries").segment("a/b=c?&#é").with("to", "x+y@z & co");
        assert_eq!(address.to_string(), "/w/deliveries/a%2Fb%3Dc%3F%26%23%C3%A9?to=x%2By@z%20%26%20co");
        assert_eq!(address.of_this_page().to_string(), "?to=x%2By@z%20%26%20co");
    }

    #[test]
    fn a_filter_can_be_removed_and_replaced() {
        let address = Address::new("", "/d").with("status", "a").with("status", "b").with("q", 1);
        assert_eq!(address.clone().without_pair("status", "a").to_string(), "/d?status=b&q=1");
        assert_eq!(address.set("status", "c").to_string(), "/d?q=1&status=c");
    }

    #[test]
    fn only_web_links_are_followed() {
        for href in ["https://example.com", "HTTP://example.com"] {
            assert!(followable(href), "{href}");
        }
        for href in ["javascript:alert(1)", "data:text/html,x", "//example.com", "é"] {
            assert!(!followable(href), "{href}");
        }
    }
}
