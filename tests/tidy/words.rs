//! What code must not say.

use super::source::Source;

/// What is left over, and tests that do not run.
pub fn unfinished(source: &Source) -> Vec<String> {
    let marks = [
        ("todo!", "do it, or leave it out and open an issue"),
        ("unimplemented!", "do it, or make the case impossible by its type"),
        ("dbg!", "take it out, or log with tracing"),
        ("#[ignore", "mend the test or delete it: a test that does not run says nothing"),
        ("#![ignore", "mend the tests or delete them"),
    ];
    said(source, &source.code, &marks)
}

/// What ends the process where an error would do.
pub fn panics(source: &Source) -> Vec<String> {
    let mut found = said(
        source,
        &source.production,
        &[(".unwrap()", "return the error; or `.expect(\"invariant: ...\")` that says why it cannot fail")],
    );
    for (place, call) in source.production.match_indices(".expect(") {
        let argument = source.text[place + call.len()..].trim_start();
        if !argument.starts_with("\"invariant:") {
            found.push(format!(
                "{}: `.expect(` without its reason; begin the message with \"invariant:\" and say why it cannot \
                 fail, or return the error",
                source.at(place)
            ));
        }
    }
    found
}

/// Where the clock may be read: at the edges, and where a batch is timed.
const CLOCKS: [&str; 5] = ["src/web/", "src/cli/", "src/pull/", "src/main.rs", "src/store/writer"];

pub fn clock(source: &Source) -> Vec<String> {
    if CLOCKS.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let instead = "take the time as an argument; the clock is read in web, cli and the store's writer";
    let clocks = ["SystemTime::now", "Utc::now", "Local::now", "Instant::now", "UNIX_EPOCH.elapsed"];
    said(source, &source.production, &clocks.map(|clock| (clock, instead)))
}

/// Phrases that read as translated, with what an engineer writes instead. Of comments and text too.
const PHRASES: [(&str, &str); 11] = [
    ("kept aside", "quarantined"),
    ("keeps aside", "quarantines"),
    ("became of", "the outcome of, the status of, what happened to"),
    ("becomes of", "the outcome of, what happens to"),
    (" anew", "again"),
    ("is told", "say who answers, reports or logs what"),
    ("are told", "say who answers, reports or logs what"),
    ("told of", "reported, or named"),
    ("tells of", "reports, names or describes"),
    ("by itself,", "automatically, alone, or on its own"),
    ("so that holds", "so this holds"),
];

/// What pages, messages and help no longer say, with the term that people know. In templates, scripts and the code of pages
/// and commands.
const OLD_WORDS: [(&str, &str); 21] = [
    ("same for programs", "Download"),
    ("look for newer", "Refresh"),
    ("nothing so far", "No match yet"),
    ("newest problems", "Recent problems"),
    ("all of these", "Total"),
    ("take the names", "Import"),
    ("at least this old", "Minimum age"),
    ("could be chance", "No significant difference"),
    ("in points of a hundred", "percentage points"),
    ("stand side by side", "be compared"),
    ("something broke", "Server error"),
    ("busy for a moment", "Temporarily unavailable"),
    ("not from here", "Request blocked"),
    ("letter by letter", "case-sensitive"),
    ("how sure", "Confidence"),
    ("nothing was said", "Unknown"),
    ("last said", "Last seen"),
    ("e-mail", "email"),
    ("keys are on", "Enable shortcuts"),
    ("who went no further", "Segments"),
    ("row before", "previous row"),
];

/// Old words of the interface.
pub fn old_words(name: &str, text: &str) -> Vec<String> {
    let find = |(i, line): (usize, &str)| {
        let line = line.to_lowercase();
        let found = OLD_WORDS.iter().filter(|(phrase, _)| line.contains(phrase));
        found.map(|(phrase, instead)| format!("{name}:{}: `{phrase}`; write {instead}", i + 1)).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(find).collect()
}

/// Archaic phrases in what people read: comments, messages, pages, documentation.
pub fn archaic(name: &str, text: &str) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.flat_map(|(i, line)| {
        let line = line.to_lowercase();
        let phrases = PHRASES.iter().filter(move |(phrase, _)| line.contains(phrase));
        phrases.map(move |(phrase, instead)| format!("{name}:{}: `{}`; write {instead}", i + 1, phrase.trim()))
    });
    found.collect()
}

fn said(source: &Source, code: &str, marks: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for (mark, instead) in marks {
        for (place, _) in code.match_indices(mark) {
            found.push(format!("{}: `{mark}`; {instead}", source.at(place)));
        }
    }
    found
}

#[test]
fn old_words_are_found() {
    assert_eq!(old_words("a.html", "<p>The same for programs</p>\nLook for newer").len(), 2);
    assert_eq!(old_words("a.html", "Refresh").len(), 0);
}

#[test]
fn archaic_phrases_are_found() {
    assert_eq!(archaic("a.md", "fine\nWhat Became of it, written anew.").len(), 2);
    assert_eq!(archaic("a.rs", "let renewed = canewed;").len(), 0);
}

#[test]
fn bad_words_are_found_in_code_only() {
    type Rule = fn(&Source) -> Vec<String>;
    let cases: [(&str, &str, Rule, usize); 11] = [
        ("src/a.rs", "fn f() { todo!() } // dbg!", unfinished, 1),
        ("tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}", unfinished, 1),
        ("src/a.rs", "f(\"todo!\")", unfinished, 0),
        ("src/a.rs", "x.unwrap(); y.unwrap_or(0); z.expect(\"it\");", panics, 2),
        ("src/a.rs", "x.expect(\"invariant: one row\"); y.expect(\n    \"invariant: two\");", panics, 0),
        ("src/a.rs", "#[cfg(test)]\nmod tests { fn f() { x.unwrap(); } }", panics, 0),
        ("src/a.rs", "/// x.unwrap()\nfn f() {}", panics, 0),
        ("src/store/log.rs", "let t = std::time::Instant::now();", clock, 1),
        ("src/domain/log.rs", "let t = Utc::now();", clock, 1),
        ("src/store/writer.rs", "let t = Instant::now();", clock, 0),
        ("src/web/ops.rs", "let t = SystemTime::now();", clock, 0),
    ];
    for (path, text, rule, found) in cases {
        assert_eq!(rule(&Source::new(path, text)).len(), found, "{path}: {text}");
    }
}
