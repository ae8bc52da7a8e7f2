//! Writes one JSON object straight into its text. A generator that fed a benchmark through a tree of values would
//! be what is measured.

/// An object being written. Keys are literals of this crate and need no escapes.
pub struct Object {
    text: String,
}

impl Object {
    pub fn new() -> Object {
        Object { text: String::from("{") }
    }

    pub fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn key(&mut self, key: &str) {
        if !self.text.ends_with(['{', '[']) {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    pub fn text(&mut self, key: &str, value: &str) -> &mut Object {
        self.key(key);
        self.text.push_str(&quoted(value));
        self
    }

    /// Left out where there is none.
    pub fn text_if(&mut self, key: &str, value: Option<&str>) -> &mut Object {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    pub fn number(&mut self, key: &str, value: i64) -> &mut Object {
        self.raw(key, &value.to_string())
    }

    pub fn number_if(&mut self, key: &str, value: Option<u32>) -> &mut Object {
        match value {
            Some(value) => self.number(key, i64::from(value)),
            None => self,
        }
    }

    pub fn flag(&mut self, key: &str, value: bool) -> &mut Object {
        self.raw(key, if value { "true" } else { "false" })
    }

    pub fn flag_if(&mut self, key: &str, value: Option<bool>) -> &mut Object {
        match value {
            Some(value) => self.flag(key, value),
            None => self,
        }
    }

    pub fn null(&mut self, key: &str) -> &mut Object {
        self.raw(key, "null")
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Object {
        self.key(key);
        self.text.push_str(json);
        self
    }

    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object)) -> &mut Object {
        self.key(key);
        self.text.push('{');
        fill(self);
        self.text.push('}');
        self
    }

    pub fn objects<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        fill: impl Fn(&mut Object, T),
    ) -> &mut Object {
        self.key(key);
        self.text.push('[');
        for (i, item) in items.into_iter().enumerate() {
            self.text.push_str(if i == 0 { "{" } else { ",{" });
            fill(self, item);
            self.text.push('}');
        }
        self.text.push(']');
        self
    }
}

fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_objects_and_escapes_are_json() {
        let mut object = Object::new();
        object.text("a", "say \"hi\" \\ ✉️").number("n", -3).null("z").object("o", |_| {}).objects(
            "l",
            [1, 2],
            |o, n| {
                o.number("n", n);
            },
        );
        object.object("p", |o| {
            o.flag("t", true).text_if("u", None);
        });
        let text = object.finish();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a"], "say \"hi\" \\ ✉️");
        assert_eq!(text.matches('{').count(), 5);
        assert_eq!(value["l"][1]["n"], 2);
    }
}
