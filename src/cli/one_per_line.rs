//! One JSON value a line, however a file spreads its values.
//!
//! Tools write events as one array (`jq -s`, the exports of databases) or indented over many lines (`jq .`). Each byte
//! stands for itself or becomes white space: so nothing of the file is held in memory, and positions stay.

use std::io::{self, Read};

/// Whether the values of a file that begins so are spread over lines, or stand in one array.
///
/// A file of one value a line is none: there a broken line costs no other, while a bracket that is never closed swallows
/// all that comes after it.
pub fn is_spread(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let (first, rest) = match head.iter().position(|byte| *byte == b'\n') {
        Some(end) => (head[..end].trim_ascii_end(), Some(head[end..].trim_ascii())),
        None => (head.trim_ascii_end(), None),
    };
    let goes_on = matches!(first.last(), Some(b'{' | b'[' | b','));
    match head.first() {
        Some(b'[') => goes_on || !first.ends_with(b"]") || rest.is_none_or(<[u8]>::is_empty),
        Some(b'{') => goes_on && rest.is_some(),
        _ => false,
    }
}

/// Puts each value of a JSON text on a line of its own, the items of an array too.
pub struct OnePerLine<R> {
    input: R,
    is_in_array: bool,
    /// Brackets that are open within a value.
    depth: usize,
    is_in_string: bool,
    is_escaped: bool,
}

impl<R> OnePerLine<R> {
    pub fn new(input: R) -> OnePerLine<R> {
        OnePerLine { input, is_in_array: false, depth: 0, is_in_string: false, is_escaped: false }
    }

    fn next(&mut self, byte: u8) -> u8 {
        if std::mem::take(&mut self.is_escaped) {
            return byte;
        }
        match byte {
            b'"' => self.is_in_string = !self.is_in_string,
            b'\\' => self.is_escaped = self.is_in_string,
            _ if self.is_in_string => {}
            b'[' if self.depth == 0 && !self.is_in_array => {
                self.is_in_array = true;
                return b' ';
            }
            b',' if self.depth == 0 && self.is_in_array => return b'\n',
            b']' if self.depth == 0 && self.is_in_array => {
                self.is_in_array = false;
                return b'\n';
            }
            b'[' | b'{' => self.depth += 1,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            b'\n' | b'\r' if self.depth > 0 || self.is_in_array => return b' ',
            _ => {}
        }
        byte
    }
}

impl<R: Read> Read for OnePerLine<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(into)?;
        for byte in &mut into[..n] {
            *byte = self.next(*byte);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let mut read = String::new();
        OnePerLine::new(text.as_bytes()).read_to_string(&mut read).unwrap();
        read.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn each_value_gets_a_line() {
        let values = [r#"{"a":[1,{"b":"],[\"\\"}]}"#, "7", r#""x,\n""#, "[1,2]"];
        let array = format!("[\n{}\n]\n", values.join(",\n"));
        assert_eq!(lines(&array), values);
        assert_eq!(lines(&array.replace('\n', "")), values);
        let indented: Vec<String> = ["{\n  \"a\": [\n    1,\n    2\n  ]\n}", "{}"].map(String::from).to_vec();
        assert_eq!(lines(&indented.join("\n")), ["{   \"a\": [     1,     2   ] }", "{}"]);
        // two arrays, as `cat` makes of two files
        assert_eq!(lines("[1,2]\n[3]"), ["1", "2", "3"]);
        assert_eq!(lines(""), [""; 0]);
    }

    #[test]
    fn what_begins_as_one_value_a_line_is_left() {
        for (head, expected) in [
            ("[\n  {\"a\":1},", true),
            ("\u{FEFF} [{\"a\":1},\r\n{\"a\":2}]", true),
            ("[{\"a\":1}\n,{\"a\":2}]", true),
            ("[{\"a\":1},{\"a\":2}]", true),
            ("[{\"a\":1},{\"a\":2}]\n", true),
            ("[{\"a\":1}]\n[{\"a\":2}]\n", false),
            ("{\n  \"a\": 1\n}", true),
            ("{\"a\": 1,\n\"b\": 2}", true),
            ("{\"a\":1}\n{\"a\":2}", false),
            // where the line ends is not known yet
            ("{\"a\":1,", false),
            ("{\"a\":", false),
            ("", false),
            ("a,b\n1,2", false),
        ] {
            assert_eq!(is_spread(head.as_bytes()), expected, "{head}");
        }
    }
}
