//! Imports between files run one way. A reader can then start at any file and go down; a circle has to be read as one file.

use std::collections::{BTreeMap, BTreeSet};

use super::rooms::{module_path, paths};
use super::source::Source;

/// Files by their module, such as `store::query::log`.
type Modules<'a> = BTreeMap<String, &'a Source>;

/// Names that a module re-exports, with the module that has them.
type Exports = BTreeMap<(String, String), String>;

/// One finding for each circle of files under a folder.
///
/// `hubs` are files that hold what is common to the folder *and* list all of its files, as a table of routes does. What
/// they import is not followed.
pub fn findings(sources: &[Source], folder: &str, hubs: &[&str]) -> Vec<String> {
    let modules: Modules = sources
        .iter()
        .filter(|source| source.path.starts_with(folder))
        .map(|source| (module_path(&source.path).join("::"), source))
        .collect();
    let exports: Exports = modules.iter().flat_map(|(module, source)| exports(module, source, &modules)).collect();
    let imports: BTreeMap<&str, BTreeSet<String>> = modules
        .iter()
        .filter(|(_, source)| !hubs.contains(&&*source.path))
        .map(|(module, source)| (module.as_str(), imports(module, source, &modules, &exports)))
        .collect();
    let mut found = Vec::new();
    let mut reported = BTreeSet::new();
    for module in imports.keys() {
        if let Some(circle) = way(module, module, &imports)
            && reported.insert(circle.iter().copied().collect::<BTreeSet<_>>())
        {
            let files: Vec<&str> = circle.iter().map(|module| &*modules[*module].path).collect();
            found.push(format!(
                "{} import each other: {}; move what both need to a file below them",
                folder,
                files.join(" -> ")
            ));
        }
    }
    found
}

/// The shortest way along imports, without its end.
fn way<'a>(from: &'a str, to: &str, imports: &'a BTreeMap<&str, BTreeSet<String>>) -> Option<Vec<&'a str>> {
    let mut ways = vec![vec![from]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let last = way.last().copied().unwrap_or_default();
            for next in imports.get(last).into_iter().flatten() {
                if next == to {
                    return Some(way);
                }
                if seen.insert(next.as_str()) {
                    longer.push([&way[..], &[next.as_str()]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

/// The modules that a file imports from, or names by their path.
fn imports(module: &str, source: &Source, modules: &Modules, exports: &Exports) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (place, path) in paths(&source.production) {
        if is_export(&source.production[..place]) {
            continue;
        }
        for leaf in leaves(&path) {
            found.extend(absolute(&leaf, module, modules).and_then(|path| home(&path, modules, exports)));
        }
    }
    found.remove(module);
    found
}

fn exports(module: &str, source: &Source, modules: &Modules) -> Vec<((String, String), String)> {
    let paths = paths(&source.production);
    let exported = paths.iter().filter(|(place, _)| is_export(&source.production[..*place]));
    let leaves = exported.flat_map(|(_, path)| leaves(path));
    let named = leaves.filter_map(|leaf| {
        let path = absolute(&leaf, module, modules)?;
        let name = path.rsplit("::").next().unwrap_or_default().to_owned();
        Some(((module.to_owned(), name), path))
    });
    named.collect()
}

/// Whether what stands before a path makes it a re-export. That is a name, and no dependency of the file.
fn is_export(before: &str) -> bool {
    let Some(before) = before.trim_end().strip_suffix("use") else { return false };
    let before = before.trim_end();
    before.ends_with("pub") || before.ends_with("pub(super)") || before.ends_with("pub(crate)")
}

/// The paths that a path with groups stands for: `a::{self, b::{c, d}}` is `a`, `a::b::c` and `a::b::d`.
fn leaves(path: &str) -> Vec<String> {
    let Some((head, group)) = path.split_once('{') else {
        let plain = path.split(" as ").next().unwrap_or_default().trim();
        return vec![plain.trim_end_matches("::self").to_owned()];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in group.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match parts.last_mut() {
            _ if c == ',' && depth == 0 => parts.push(String::new()),
            Some(part) => part.push(c),
            None => {}
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(|part| leaves(&format!("{}{part}", head.trim()))).collect()
}

/// A path from the root of the crate. `None` where it does not lead into the crate.
fn absolute(path: &str, module: &str, modules: &Modules) -> Option<String> {
    if let Some(path) = path.strip_prefix("crate::") {
        return Some(path.to_owned());
    }
    let mut at: Vec<&str> = module.split("::").collect();
    let mut rest = path.strip_prefix("self::").unwrap_or(path);
    let is_relative = path.starts_with("self::") || path.starts_with("super::");
    while let Some(above) = rest.strip_prefix("super::") {
        at.pop();
        rest = above;
    }
    let first = rest.split("::").next().unwrap_or_default();
    let is_child = modules.contains_key(&format!("{module}::{first}"));
    (is_relative || is_child).then(|| at.into_iter().chain([rest]).collect::<Vec<_>>().join("::"))
}

/// The module that has what a path names, re-exports followed.
fn home(path: &str, modules: &Modules, exports: &Exports) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    let depth = (1..=parts.len()).rev().find(|depth| modules.contains_key(&parts[..*depth].join("::")))?;
    let module = parts[..depth].join("::");
    let export = parts.get(depth).and_then(|name| exports.get(&(module.clone(), (*name).to_owned())));
    match export {
        Some(target) if target != path => {
            let rest = parts[depth + 1..].iter().map(|part| format!("::{part}"));
            home(&format!("{target}{}", rest.collect::<String>()), modules, exports)
        }
        _ => Some(module),
    }
}

#[test]
fn circles_are_found() {
    let circle = |files: &[(&str, &str)]| {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        findings(&sources, "src/store", &["src/store/hub.rs"]).len()
    };
    let (a, b) = ("src/store/a.rs", "src/store/b.rs");
    assert_eq!(circle(&[(a, "use super::b::f;"), (b, "use crate::store::{a as first};")]), 1);
    assert_eq!(circle(&[(a, "use super::b::f;"), (b, "fn f() { super::a::g() }")]), 1);
    assert_eq!(circle(&[(a, "use super::b::f;"), (b, "#[cfg(test)]\nmod tests { use super::super::a::g; }")]), 0);
    assert_eq!(circle(&[(a, "use super::b::f;"), (b, "use crate::web::a;")]), 0);
    let root = ("src/store/mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::{B, f};");
    assert_eq!(circle(&[root, (a, "use super::B;"), (b, "use super::sqlite;")]), 0);
    assert_eq!(circle(&[root, (a, "use super::B;"), (b, "use crate::store::{\n    A, other,\n};")]), 1);
    let folder = [("src/store/q/mod.rs", "use super::a::f; fn g() { h::k() }"), ("src/store/q/h.rs", "use super::g;")];
    assert_eq!(circle(&folder), 1);
    let hub = ("src/store/hub.rs", "use super::a;");
    assert_eq!(circle(&[hub, (a, "use super::hub::X;")]), 0);
}
