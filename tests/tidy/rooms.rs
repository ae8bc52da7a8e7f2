//! Who may use whom.

use super::source::{Source, root};

struct Room {
    name: &'static str,
    /// Rooms of the crate, besides itself.
    rooms: Use,
    /// Dependencies.
    crates: Use,
}

enum Use {
    Any,
    Only(&'static [&'static str]),
}

use Use::{Any, Only};

const ROOMS: [Room; 11] = [
    Room { name: "domain", rooms: Only(&[]), crates: Only(&[]) },
    Room {
        name: "wire",
        rooms: Only(&["domain"]),
        crates: Only(&[
            "serde",
            "serde_json",
            "chrono",
            "hmac",
            "sha1",
            "sha2",
            "constant_time_eq",
            "percent_encoding",
            "base64",
            "form_urlencoded",
            "ring",
            "x509_parser",
        ]),
    },
    Room {
        name: "store",
        rooms: Only(&["domain"]),
        crates: Only(&[
            "rusqlite",
            "r2d2",
            "r2d2_sqlite",
            "rusqlite_migration",
            "serde",
            "serde_json",
            "tokio",
            "tracing",
            "thiserror",
            "getrandom",
            "hdrhistogram",
            "strsim",
            "humantime",
            // addresses with a similar spelling
            "strsim",
            // how much of the disk is free
            "rustix",
            // keyed hashes of forgotten people, and the fingerprint of a quarantined body
            "hmac",
            "sha2",
            // a backup that is not complete yet
            "tempfile",
        ]),
    },
    // from what a format says to what the store takes
    Room { name: "intake", rooms: Only(&["domain", "wire", "store"]), crates: Only(&[]) },
    Room { name: "config", rooms: Only(&["domain", "wire", "store"]), crates: Any },
    Room { name: "pull", rooms: Only(&["domain", "wire", "store", "intake", "config"]), crates: Any },
    Room { name: "replicate", rooms: Only(&["store", "config"]), crates: Any },
    Room { name: "web", rooms: Only(&["domain", "wire", "store", "intake", "config", "pull"]), crates: Any },
    Room { name: "cli", rooms: Any, crates: Any },
    Room { name: "main", rooms: Any, crates: Any },
    Room { name: "lib", rooms: Any, crates: Any },
];

/// Inside of `store`: where the paths of some files must not lead.
const STORE: [(&[&str], &[&str], &str); 3] = [
    (
        &["src/store/query/"],
        &["apply", "writer", "tracker"],
        "a question reads: use the files of rows, and leave writing to `apply`",
    ),
    (
        &[
            "src/store/attributes.rs",
            "src/store/bodies.rs",
            "src/store/deliveries.rs",
            "src/store/events.rs",
            "src/store/registers.rs",
            "src/store/rollups.rs",
            "src/store/sources.rs",
            "src/store/suppressions.rs",
        ],
        &["apply", "writer", "tracker", "query", "verify", "erasure"],
        "the file of a table is what the others build on; pass in what it needs",
    ),
    (&["src/store/apply.rs"], &["writer", "tracker", "query", "verify"], "it turns a batch into rows, and no more"),
];

impl Use {
    fn allows(&self, name: &str) -> bool {
        match self {
            Any => true,
            Only(names) => names.contains(&name),
        }
    }

    fn list(&self) -> String {
        match self {
            Any => "anything".into(),
            Only([]) => "nothing".into(),
            Only(names) => names.join(", "),
        }
    }
}

/// The names under `[dependencies]`, as paths have them.
pub fn dependencies() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let names: Vec<String> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .filter(|name| !name.starts_with('#'))
        .collect();
    assert!(names.iter().any(|name| name == "rusqlite"), "read no dependencies from Cargo.toml");
    names
}

pub fn findings(source: &Source, dependencies: &[String]) -> Vec<String> {
    let modules = module_path(&source.path);
    let name = modules.first().copied().unwrap_or_default();
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        return vec![format!("{}: a new room; say in tests/tidy/rooms.rs what `{name}` may use", source.path)];
    };
    let mut found = Vec::new();
    for (place, path) in paths(&source.production) {
        for used in crate_names(&path, modules.len()) {
            if used != room.name && !room.rooms.allows(&used) {
                let list = room.rooms.list();
                found.push(format!(
                    "{}: `{name}` uses `crate::{used}`; of the crate it may use {list}: pass in what it needs, or \
                     move the code to the room that may know both",
                    source.at(place)
                ));
            }
        }
        let root = path.split("::").next().unwrap_or_default();
        for (files, banned, instead) in STORE {
            let is_one = files.iter().any(|file| source.path.starts_with(file));
            for name in second_names(&path, &modules).into_iter().filter(|name| is_one && banned.contains(&&**name)) {
                found.push(format!("{}: uses `store::{name}`; {instead}", source.at(place)));
            }
        }
        if dependencies.iter().any(|dependency| dependency == root) && !room.crates.allows(root) {
            let list = room.crates.list();
            found.push(format!(
                "{}: `{name}` uses the crate `{root}`; from outside it may use {list}: do this where {root} is at \
                 home, and hand over plain values",
                source.at(place)
            ));
        }
    }
    found
}

/// `src/wire/webhook.rs` is `[wire, webhook]`, `src/wire/mod.rs` is `[wire]`.
pub fn module_path(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    inner.split('/').filter(|part| *part != "mod").collect()
}

/// The paths in some code, each with its place: words joined by `::`, and the words after `use`. A path keeps the
/// braces that end it, as `crate::{domain, store::log}`.
pub fn paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut at = 0;
    while let Some(start) = code[at..].find(|c: char| c.is_alphabetic() || c == '_').map(|skip| at + skip) {
        let length = code[start..].find(|c| !is_path(c)).unwrap_or(code.len() - start);
        let mut end = start + length;
        at = end;
        let is_used = code[..start].trim_end().ends_with("use");
        let mut word = code[start..end].to_string();
        if word.ends_with("::") && code[end..].starts_with('{') {
            end += matching_brace(&code[end..]);
            word = code[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
        }
        let continues = code[..start].ends_with('.') || goes_on(&code[..start]);
        if !continues && (word.contains("::") || is_used) {
            found.push((start, word));
        }
    }
    found
}

/// Whether what stands before a word is a path that the word goes on with; a `::` after a space begins one.
fn goes_on(before: &str) -> bool {
    before.strip_suffix("::").is_some_and(|path| path.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>'))
}

fn matching_brace(code: &str) -> usize {
    let mut depth = 0;
    for (place, c) in code.char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return place + 1;
        }
    }
    code.len()
}

/// The names at the crate's root that a path leads to: by `crate::`, or by as many `super::` as the file is deep.
fn crate_names(path: &str, depth: usize) -> Vec<String> {
    let mut rest = path;
    let mut climbed = 0;
    while let Some(above) = rest.strip_prefix("super::") {
        (rest, climbed) = (above, climbed + 1);
    }
    let Some(rest) = rest.strip_prefix("crate::").or((climbed > 0 && climbed >= depth).then_some(rest)) else {
        return Vec::new();
    };
    match rest.strip_prefix('{') {
        Some(group) => top_level(group.trim_end_matches('}')),
        None => vec![first_name(rest)],
    }
}

/// The names below `store` that a path leads to.
fn second_names(path: &str, module: &[&str]) -> Vec<String> {
    let mut at = module.to_vec();
    let mut rest = path;
    while let Some(above) = rest.strip_prefix("super::") {
        at.pop();
        rest = above;
    }
    let rest = match (rest.strip_prefix("crate::store::"), rest.len() < path.len(), &at[..]) {
        (Some(rest), ..) => rest,
        (None, true, ["store"]) => rest,
        _ => return Vec::new(),
    };
    match rest.strip_prefix('{') {
        Some(group) => top_level(group.trim_end_matches('}')),
        None => vec![first_name(rest)],
    }
}

fn first_name(path: &str) -> String {
    path.trim().split([':', ' ']).next().unwrap_or_default().into()
}

/// The first names of a group, not of the groups within it.
fn top_level(group: &str) -> Vec<String> {
    let (mut depth, mut names) = (0, vec![String::new()]);
    for c in group.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match names.last_mut() {
            _ if c == ',' && depth == 0 => names.push(String::new()),
            Some(name) => name.push(c),
            None => {}
        }
    }
    names.iter().map(|name| first_name(name)).filter(|name| !name.is_empty()).collect()
}

#[test]
fn trespass_is_found() {
    let dependencies: Vec<String> = ["rusqlite", "serde_json"].map(String::from).into();
    let cases = [
        ("src/domain/event.rs", "use serde_json::Value;", 1),
        ("src/domain/event.rs", "use super::Metric; use std::fmt;", 0),
        ("src/domain/event.rs", "fn f() { crate::store::log() }", 1),
        ("src/domain/event.rs", "use super::super::store::log;", 1),
        ("src/domain/mod.rs", "use super::wire;", 1),
        ("src/wire/webhook.rs", "use crate::{domain::{Event, Metric}, store::{log, apply}, web};", 2),
        ("src/wire/webhook.rs", "use crate::{\n    domain::Event,\n};", 0),
        ("src/wire/webhook.rs", "fn f(c: &rusqlite::Connection) {}", 1),
        ("src/wire/webhook.rs", "use rusqlite as sql;", 1),
        ("src/wire/webhook.rs", "use ::rusqlite::Connection;", 1),
        ("src/wire/webhook.rs", "use {crate::store::log, crate::domain::Event};", 1),
        ("src/wire/webhook.rs", "fn f() { x::<u8>::rusqlite::y() }", 0),
        ("src/wire/webhook.rs", "// rusqlite::Connection\nlet s = \"crate::store::x\";", 0),
        ("src/wire/webhook.rs", "#[cfg(test)]\nmod tests { use crate::store::Store; }", 0),
        ("src/web/mod.rs", "use crate::cli::serve;", 1),
        ("src/cli/serve.rs", "use crate::web; use rusqlite::Connection;", 0),
        ("src/attic/mod.rs", "", 1),
        ("src/store/query/log.rs", "use crate::store::{Error, apply, events as rows};", 1),
        ("src/store/query/person/stated.rs", "fn f() { super::super::super::writer::go() }", 1),
        ("src/store/deliveries.rs", "use super::{Error, sqlite, query::log};", 1),
        ("src/store/deliveries.rs", "use super::{Error, attributes};", 0),
        ("src/store/apply.rs", "use super::{deliveries, events}; use super::verify::Report;", 1),
    ];
    for (path, text, count) in cases {
        let found = findings(&Source::new(path, text), &dependencies);
        assert_eq!(found.len(), count, "{path}: {text}\n{found:#?}");
    }
}
