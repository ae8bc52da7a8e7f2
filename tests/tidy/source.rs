//! A Rust file as the rules see it.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    pub text: String,
    /// The text with comments and the insides of strings and characters blanked; every byte keeps its place.
    pub code: String,
    /// The same, with `#[cfg(test)]` items blanked too.
    pub production: String,
}

impl Source {
    pub fn read(path: PathBuf) -> Source {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        Source::new(&path.to_string_lossy().replace('\\', "/"), &text)
    }

    pub fn new(path: &str, text: &str) -> Source {
        let code = blank_text(text);
        let production = blank_tests(&code);
        Source { path: path.into(), text: text.into(), code, production }
    }

    /// "src/x.rs:12", for a place in the text.
    pub fn at(&self, place: usize) -> String {
        format!("{}:{}", self.path, self.text[..place].matches('\n').count() + 1)
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under a folder of the repository, sorted; none where there is no such folder.
pub fn files_under(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return found };
    for entry in entries {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_under(&path));
        } else {
            found.push(path.into());
        }
    }
    found.sort();
    found
}

pub fn rust_files(folder: &str) -> Vec<PathBuf> {
    files_under(folder).into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// Files, and folders, that are there for tests only: `#[cfg(test)] mod NAME;` says so where they are declared.
pub fn test_modules() -> Vec<PathBuf> {
    rust_files("src").into_iter().map(Source::read).flat_map(|source| modules_for_tests(&source)).collect()
}

fn modules_for_tests(source: &Source) -> Vec<PathBuf> {
    let path = Path::new(&source.path);
    let owns_folder = path.file_stem().is_some_and(|stem| ["mod", "lib", "main"].iter().any(|name| stem == *name));
    let folder = if owns_folder { path.with_file_name("") } else { path.with_extension("") };
    let items = source.code.split("#[cfg(test)]").skip(1);
    let declared = items.filter_map(|item| Some(item.split_once(';')?.0.trim()));
    let names = declared.filter_map(|item| item.trim_start_matches("pub ").strip_prefix("mod "));
    names.filter(|name| !name.contains('{')).map(|name| folder.join(name.trim())).collect()
}

/// Whether a file is a module of tests, or within one.
pub fn is_of(path: &Path, modules: &[PathBuf]) -> bool {
    modules.iter().any(|module| path.with_extension("") == *module || path.starts_with(module))
}

/// Blanks comments and the insides of literals.
fn blank_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let word_before = at > 0 && is_word(bytes[at - 1]);
        let (skip, inside) = if rest.starts_with(b"//") {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            (end, 0..end)
        } else if rest.starts_with(b"/*") {
            let end = block_comment(rest);
            (end, 0..end)
        } else if rest[0] == b'"' {
            let end = string(rest);
            (end, 1..end - 1)
        } else if let Some((inside, end)) = raw_string(rest).filter(|_| !word_before) {
            (end, inside)
        } else if let Some(end) = character(text, at) {
            (end, 1..end - 1)
        } else {
            (1, 0..0)
        };
        for byte in &mut out[at..][inside] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += skip;
    }
    String::from_utf8(out).unwrap()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn block_comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The inside of `r#"..."#` (or `br`, `cr`), and where the literal ends.
fn raw_string(bytes: &[u8]) -> Option<(Range<usize>, usize)> {
    let prefix = [&b"br"[..], b"cr", b"r"].into_iter().find(|prefix| bytes.starts_with(prefix))?.len();
    let hashes = bytes[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes + 1;
    if bytes.get(open - 1) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let inside = bytes[open..].windows(close.len()).position(|window| window == close)?;
    Some((open..open + inside, open + inside + close.len()))
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str, at: usize) -> Option<usize> {
    let inside = text.get(at..)?.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        return escape.char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(end, _)| end + 3);
    }
    let length = inside.chars().next()?.len_utf8();
    inside[length..].starts_with('\'').then_some(length + 2)
}

/// Blanks every item behind `#[cfg(test)]`: up to its closing brace, or its semicolon.
fn blank_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        let mut depth = 0;
        for (place, byte) in code.bytes().enumerate().skip(start) {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                _ => {}
            }
            let done = depth == 0 && matches!(byte, b'}' | b';');
            if byte != b'\n' {
                out[place] = b' ';
            }
            if done {
                break;
            }
        }
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn text_is_blanked_and_code_is_not() {
    for (text, code) in [
        ("a // b.unwrap()\nc", "a              \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("say \"hi\"") + 1"#, r#"f("          ") + 1"#),
        (r##"r#"a "b" c"# + d"##, r##"r#"       "# + d"##),
        (r"x('\'') + y('{')", r"x('  ') + y(' ')"),
        ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
        (r"'\u{1F4C9}' + 'é'", r"'         ' + '  '"),
    ] {
        assert_eq!(blank_text(text), code, "{text}");
    }
}

#[test]
fn tests_are_blanked_and_what_follows_is_not() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\nfn c() {}\n#[cfg(test)]\nmod tests;\nfn d() {}";
    let left: Vec<String> = blank_tests(code).split_whitespace().map(String::from).collect();
    assert_eq!(left.join(" "), "fn a() {} fn c() {} fn d() {}");
}

#[test]
fn modules_for_tests_are_known_by_their_declaration() {
    let text = "#[cfg(test)]\nmod testing;\nmod real;\n#[cfg(test)]\nmod tests { fn f() {} }\n";
    assert_eq!(modules_for_tests(&Source::new("src/wire/mod.rs", text)), [PathBuf::from("src/wire/testing")]);
    assert_eq!(modules_for_tests(&Source::new("src/wire.rs", text)), [PathBuf::from("src/wire/testing")]);
    let modules = [PathBuf::from("src/wire/testing")];
    assert!(is_of(Path::new("src/wire/testing.rs"), &modules) && is_of(Path::new("src/wire/testing/a.rs"), &modules));
    assert!(!is_of(Path::new("src/wire/real.rs"), &modules));
}
