//! What files are called, how long they are, and whether anybody uses them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::source::{Source, files_under, root, rust_files};

/// Lines of code in one file; tests at its end are not counted.
const LINES_MAX: usize = 500;

const EMPTY_NAMES: [&str; 9] = ["util", "utils", "utilities", "helper", "helpers", "common", "types", "misc", "shared"];

pub fn shape(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let empty = source.path.split(['/', '.']).find(|part| EMPTY_NAMES.contains(part));
    if let Some(name) = empty {
        found.push(format!("{}: `{name}` says nothing; name the file for the one thing it holds", source.path));
    }
    let lines = source.production.lines().count() - test_lines(source);
    if lines > LINES_MAX {
        found.push(format!("{}: {lines} lines; split it by noun, {LINES_MAX} at most", source.path));
    }
    found
}

/// Lines that are blank only because a test stood there.
fn test_lines(source: &Source) -> usize {
    source
        .production
        .lines()
        .zip(source.code.lines())
        .filter(|(production, code)| production.trim().is_empty() && !code.trim().is_empty())
        .count()
}

/// Templates that no struct renders and no other template extends, includes or imports.
pub fn unused_templates() -> Vec<String> {
    let structs: String = rust_files("src").into_iter().map(|path| read(&path)).collect();
    let templates: Vec<(PathBuf, String)> =
        files_under("templates").into_iter().map(|path| (path.clone(), read(&path))).collect();
    let all: String = templates.iter().map(|(_, text)| text.as_str()).collect();
    let is_used = |name: &str| {
        let rendered = ["path = ", "path="].iter().any(|key| structs.contains(&format!("{key}\"{name}\"")));
        let words = ["extends", "include", "import"];
        rendered || words.iter().any(|word| all.contains(&format!("{word} \"{name}\"")))
    };
    let names = templates.iter().map(|(path, _)| path.strip_prefix("templates").unwrap().to_string_lossy());
    names
        .filter(|name| !is_used(name))
        .map(|name| format!("templates/{name}: no `#[template(path = \"{name}\")]`; use it or delete it"))
        .collect()
}

/// Fixtures that no test names, by file or by the folder it is read with.
pub fn unread_fixtures() -> Vec<String> {
    let readers: String = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(rust_files)
        .filter(|path| !path.starts_with("tests/tidy"))
        .map(|path| read(&path))
        .collect();
    files_under("tests/fixtures").into_iter().filter(|fixture| !is_named(fixture, &readers)).map(unread).collect()
}

fn unread(fixture: PathBuf) -> String {
    format!("{}: no test reads it; name it, or its folder, in one, or delete it", fixture.display())
}

fn is_named(fixture: &Path, readers: &str) -> bool {
    let inner = fixture.strip_prefix("tests/fixtures").unwrap();
    let file = inner.file_name().unwrap().to_string_lossy();
    let mut folders = inner.ancestors().skip(1).filter(|folder| folder.components().next().is_some());
    readers.contains(&*file) || folders.any(|folder| readers.contains(&format!("fixtures/{}", folder.display())))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Hosts of package registries, and paths of one machine, in anything that git tracks. Locks are left out: they
/// are written by tools.
pub fn machine_traces() -> Vec<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let listed = listed.expect("git lists the tracked files; install it");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    let is_lock = |name: &&str| name.ends_with(".lock") || name.ends_with("lock.json");
    let names = names.split('\0').filter(|name| !name.is_empty()).filter(|name| !is_lock(name));
    names.flat_map(|name| traces_in(name, &read(Path::new(name)))).collect()
}

fn traces_in(name: &str, text: &str) -> Vec<String> {
    // put together here, or this file would be a finding
    let hosts: Vec<String> = ["registry", "index", "static", "files", "deb", "security", "proxy"]
        .iter()
        .flat_map(|sub| {
            ["npmjs", "crates", "pypi", "pythonhosted", "debian", "golang"].map(|site| format!("{sub}.{site}."))
        })
        .collect();
    let folders = ["work", "root", "home", "Users"].map(|folder| format!("/{folder}/"));
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if let Some(host) = hosts.iter().find(|host| line.contains(*host)) {
            found.push(format!("{name}:{}: names the registry host `{host}`; name the package only", i + 1));
        }
        if let Some(folder) = folders.iter().find(|folder| begins_a_path(line, folder)) {
            found.push(format!("{name}:{}: a path of one machine, `{folder}`; make it relative", i + 1));
        }
    }
    found
}

/// Whether the folder stands at the beginning of a path, and not in the middle of one or of an address.
fn begins_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(place, _)| {
        let before = line[..place].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "/.-_}*~".contains(c)))
    })
}

#[test]
fn names_lengths_and_traces_are_found() {
    let long = "let a = 1;\n".repeat(LINES_MAX);
    let tested = format!("{long}#[cfg(test)]\nmod tests {{\n{}}}\n", "f();\n".repeat(50));
    assert_eq!(shape(&Source::new("src/web/utils.rs", "")).len(), 1);
    assert_eq!(shape(&Source::new("src/common/mod.rs", "")).len(), 1);
    assert_eq!(shape(&Source::new("src/a.rs", &format!("{long}let b = 2;\n"))).len(), 1);
    assert_eq!(shape(&Source::new("src/a.rs", &long)).len(), 0);
    assert_eq!(shape(&Source::new("src/b.rs", &tested)).len(), 0);

    let host = format!("see https://{}.org/x", ["registry", "npmjs"].join("."));
    let path = format!("cd {}", ["", "home", "me", "waybill"].join("/"));
    assert_eq!(traces_in("README.md", &host).len(), 1);
    assert_eq!(traces_in("README.md", &path).len(), 1);
    assert_eq!(traces_in("README.md", "https://app.example.com/home/start and ./work/x").len(), 0);
    assert!(is_named(Path::new("tests/fixtures/webhooks/sent.json"), "read(\"tests/fixtures/webhooks\")"));
    assert!(is_named(Path::new("tests/fixtures/sent.json"), "read(\"sent.json\")"));
    assert!(!is_named(Path::new("tests/fixtures/webhooks/sent.json"), "read(\"tests/fixtures/track\")"));
}
