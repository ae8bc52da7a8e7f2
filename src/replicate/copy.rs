//! Rows in the text format of PostgreSQL's `COPY`.

use std::fmt::Write as _;

use rusqlite::types::ValueRef;

/// Rows of one table.
#[derive(Default)]
pub struct Rows {
    pub text: String,
    /// Written at the beginning of each row.
    instance: String,
}

impl Rows {
    pub fn new(instance: &str) -> Rows {
        let mut rows = Rows::default();
        push_text(&mut rows.instance, instance.as_bytes());
        rows
    }

    pub fn push<'a>(&mut self, values: impl Iterator<Item = ValueRef<'a>>) {
        self.text.push_str(&self.instance);
        for value in values {
            self.text.push('\t');
            push_value(&mut self.text, value);
        }
        self.text.push('\n');
    }
}

fn push_value(text: &mut String, value: ValueRef) {
    // writing to a string does not fail
    let _ = match value {
        ValueRef::Null => write!(text, "\\N"),
        ValueRef::Integer(number) => write!(text, "{number}"),
        ValueRef::Real(number) => write!(text, "{number:?}"),
        ValueRef::Text(bytes) => {
            push_text(text, bytes);
            Ok(())
        }
        ValueRef::Blob(bytes) => {
            text.push_str("\\\\x");
            bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}"))
        }
    };
}

/// PostgreSQL stores no NUL and nothing that is not UTF-8: U+FFFD stands for both, as it does for NUL in what Waybill reads.
fn push_text(text: &mut String, bytes: &[u8]) {
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push(char::REPLACEMENT_CHARACTER),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let mut rows = Rows::new("a\tb");
        let text = ValueRef::Text(b"tab\tline\r\n\\N nul\0 \xff \xc3\xa9");
        rows.push(
            [ValueRef::Null, ValueRef::Integer(-7), ValueRef::Real(0.5), text, ValueRef::Blob(&[0, 255])].into_iter(),
        );
        rows.push([ValueRef::Text(b"")].into_iter());
        assert_eq!(
            rows.text,
            "a\\tb\t\\N\t-7\t0.5\ttab\\tline\\r\\n\\\\N nul\u{FFFD} \u{FFFD} é\t\\\\x00ff\na\\tb\t\n"
        );
    }
}
