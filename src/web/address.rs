//! Addresses of our own pages, below the configured base path, percent-encoded.

use std::fmt::{self, Display, Write};

use askama::filters::HtmlSafe;

/// A path with its query, in order; a key may stand several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Address {
    path: String,
    query: Vec<(String, String)>,
}

impl Address {
    /// `path` is ours and needs no encoding.
    pub fn new(base: &str, path: &str) -> Address {
        Address { path: format!("{base}{path}"), query: Vec::new() }
    }

    /// Adds a part of the path that may hold anything.
    pub fn segment(mut self, text: &str) -> Address {
        self.path.push_str(&format!("/{}", Encoded(text)));
        self
    }

    pub fn with(mut self, key: &str, value: impl Display) -> Address {
        self.query.push((key.into(), value.to_string()));
        self
    }

    /// With this the only value of the key.
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

    /// With an ending of its path, such as `.json`.
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
        self.query().iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    pub fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// The query alone, as it stands behind the question mark.
    pub fn query_text(&self) -> String {
        let pairs = self.query.iter().map(|(key, value)| format!("{}={}", Encoded(key), Encoded(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// From a page of the same path, this leads here: the query alone.
    pub fn of_this_page(&self) -> Safe {
        Safe(format!("?{}", self.query_text()))
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}

/// It holds nothing that HTML would read as its own: an ampersand begins no name that ends in a semicolon.
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

/// A part of an address.
#[derive(Debug, PartialEq)]
pub struct Safe(String);

impl HtmlSafe for Safe {}

impl Display for Safe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Percent-encoded.
struct Encoded<'a>(&'a str);

impl Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b':' | b'@' | b',' | b'*' => {
                    f.write_char(byte as char)?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

/// The address of a link in an event, if it may be followed: only the web's own schemes.
pub fn followable(href: &str) -> bool {
    let scheme = |scheme: &str| href.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    scheme("https://") || scheme("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_can_stand_in_an_address() {
        let address = Address::new("/w", "/deliveries").segment("a/b=c?&#é").with("to", "x+y@z & co");
        assert_eq!(address.to_string(), "/w/deliveries/a%2Fb%3Dc%3F%26%23%C3%A9?to=x%2By@z%20%26%20co");
        assert_eq!(address.of_this_page().to_string(), "?to=x%2By@z%20%26%20co");
        assert_eq!(Address::new("/w", "/deliveries").of_this_page().to_string(), "?");
    }

    #[test]
    fn a_filter_can_be_taken_away() {
        let address = Address::new("", "/d").with("status", "a").with("status", "b").with("q", 1);
        assert_eq!(address.clone().without_pair("status", "a").to_string(), "/d?status=b&q=1");
        assert_eq!(address.set("status", "c").to_string(), "/d?q=1&status=c");
    }

    #[test]
    fn only_web_links_are_followed() {
        for (href, is) in [
            ("https://example.com", true),
            ("HTTP://example.com", true),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("//example.com", false),
            ("é", false),
        ] {
            assert_eq!(followable(href), is, "{href}");
        }
    }
}
