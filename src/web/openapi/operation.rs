//! An operation of the document, written as a line of a table.

use serde_json::{Map, Value, json};

/// What kind of path it is, which decides the key that it needs and the errors that it may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Takes events.
    Sending,
    /// The same, without a key.
    Reporting,
    /// A read of Customer.io's App API.
    Reading,
    /// A page as JSON or CSV, and exports.
    Data,
    /// A page for people, or the target of its form.
    Page,
    /// For whatever watches the server: needs no key.
    Operating,
}

impl Group {
    fn tag(self) -> &'static str {
        match self {
            Group::Sending | Group::Reporting => "Sending",
            Group::Reading => "App API",
            Group::Data => "Data",
            Group::Page => "Pages",
            Group::Operating => "Operating",
        }
    }

    fn security(self) -> Value {
        match self {
            Group::Sending => json!([{ "ingestKey": [] }, { "ingestBasic": [] }]),
            Group::Reporting => json!([{}, { "ingestKey": [] }, { "ingestBasic": [] }]),
            Group::Reading | Group::Data | Group::Page => json!([{ "readToken": [] }]),
            Group::Operating => json!([]),
        }
    }

    /// The statuses of its errors, and their form.
    fn errors(self) -> (&'static [u16], &'static str) {
        match self {
            Group::Sending | Group::Reporting => (&[400, 401, 403, 408, 413, 415, 503], "Error"),
            Group::Reading | Group::Data => (&[400, 401, 403, 404, 429, 503], "Error"),
            Group::Page => (&[400, 401, 403, 404, 429, 503], "PageError"),
            Group::Operating => (&[403, 503], "Error"),
        }
    }
}

pub struct Operation {
    pub path: String,
    pub method: &'static str,
    /// The names of its query parameters, and what tells them from parameters of other paths with the same names.
    pub query: (&'static str, Vec<String>),
    pub value: Value,
}

impl Operation {
    /// `path` as in a route; patterns of its segments are left out.
    pub fn new(group: Group, method: &'static str, path: &str, summary: &str) -> Operation {
        let path = without_patterns(path);
        let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let id = words.fold(method.to_owned(), |id, word| format!("{id}_{word}"));
        let (statuses, form) = group.errors();
        let error = |status: &u16| (status.to_string(), json!({ "$ref": format!("#/components/responses/{form}") }));
        let responses: Map<String, Value> = statuses.iter().map(error).collect();
        let value = json!({
            "tags": [group.tag()], "operationId": id, "summary": summary, "security": group.security(),
            "parameters": [], "responses": responses,
        });
        Operation { path, method, query: ("", Vec::new()), value }
    }

    pub fn get(group: Group, path: &str, summary: &str) -> Operation {
        Operation::new(group, "get", path, summary)
    }

    pub fn post(group: Group, path: &str, summary: &str) -> Operation {
        Operation::new(group, "post", path, summary)
    }

    /// Query parameters. Their descriptions are in `components.json` under `scope.name`, else under the name.
    pub fn query<N: Into<String>>(mut self, scope: &'static str, names: impl IntoIterator<Item = N>) -> Operation {
        self.query = (scope, names.into_iter().map(Into::into).collect());
        self
    }

    /// A body of one of these content types, with its schema.
    pub fn body(mut self, content: &[(&str, &str)]) -> Operation {
        self.value["requestBody"] = json!({ "required": true, "content": media(content) });
        self
    }

    pub fn returns(mut self, content: &[(&str, &str)]) -> Operation {
        self.value["responses"]["200"] = json!({ "description": "Success.", "content": media(content) });
        self
    }

    pub fn json(self, schema: &str) -> Operation {
        self.returns(&[("application/json", schema)])
    }

    /// Sends on to another page.
    pub fn goes_on(mut self) -> Operation {
        self.value["responses"]["303"] = json!({ "$ref": "#/components/responses/SeeOther" });
        self
    }

    /// Needs no key and no token.
    pub fn open(self) -> Operation {
        self.security(json!([]))
    }

    pub fn security(mut self, security: Value) -> Operation {
        self.value["security"] = security;
        self
    }
}

/// The names of the parameters in a path.
pub fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

/// `/people/{id:.+}` as `/people/{id}`.
fn without_patterns(path: &str) -> String {
    let mut parts = path.split('{');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |path, part| {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        let name = name.split(':').next().unwrap_or_default();
        format!("{path}{{{name}}}{rest}")
    })
}

/// Content types with their schemas; an empty one is text.
fn media(content: &[(&str, &str)]) -> Value {
    let one = |(media, schema): &(&str, &str)| {
        let schema = match *schema {
            "" => json!({ "type": "string" }),
            name => json!({ "$ref": format!("#/components/schemas/{name}") }),
        };
        ((*media).to_owned(), json!({ "schema": schema }))
    };
    content.iter().map(one).collect::<Map<_, _>>().into()
}
