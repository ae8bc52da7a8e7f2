//! The house rules, read off the sources. Each finding says where, what, and what to do instead.
//!
//! The rules see code only: comments and the insides of strings are blanked first ([`source`]), and most of them
//! leave `#[cfg(test)]` items alone.

mod circles;
mod files;
mod rooms;
mod source;
mod words;

use source::{Source, files_under, is_of, rust_files, test_modules};

/// Fails with every finding, so that one run shows them all.
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn production() -> Vec<Source> {
    let tests = test_modules();
    let files = rust_files("src").into_iter().filter(|path| !is_of(path, &tests));
    let sources: Vec<Source> = files.map(Source::read).collect();
    assert!(!sources.is_empty(), "no sources found under src");
    sources
}

fn everything() -> Vec<Source> {
    let roots = ["src", "tests", "benches", "traffic/src"];
    roots.into_iter().flat_map(rust_files).map(Source::read).collect()
}

#[test]
fn rooms_keep_apart() {
    none(production().iter().flat_map(|source| rooms::findings(source, &rooms::dependencies())).collect());
}

#[test]
fn imports_run_one_way() {
    let sources = production();
    none(circles::findings(&sources, "src/store/", &[]));
    // its `mod.rs` is the table of routes
    none(circles::findings(&sources, "src/web/pages/", &["src/web/pages/mod.rs"]));
}

#[test]
fn nothing_is_unfinished_or_skipped() {
    none(everything().iter().flat_map(words::unfinished).collect());
}

#[test]
fn production_code_does_not_panic_by_accident() {
    none(production().iter().flat_map(words::panics).collect());
}

#[test]
fn text_reads_as_engineers_write() {
    let folders = ["src", "templates", "docs", "migrations", "static", "traffic/src"];
    let files = folders.into_iter().flat_map(files_under).chain(["README.md".into()]);
    let ends = ["rs", "md", "sql", "html", "js", "css"];
    let texts = files.filter(|path| path.extension().is_some_and(|end| ends.iter().any(|text| end == *text)));
    none(texts.map(Source::read).flat_map(|file| words::archaic(&file.path, &file.text)).collect());
}

#[test]
fn pages_use_the_terms_that_people_know() {
    let folders = ["templates", "static", "src/web/pages", "src/cli"];
    let ends =
        |path: &std::path::Path| path.extension().is_some_and(|end| ["html", "js", "rs"].iter().any(|it| end == *it));
    let texts = folders.into_iter().flat_map(files_under).filter(|path| ends(path));
    none(texts.map(Source::read).flat_map(|file| words::old_words(&file.path, &file.text)).collect());
}

#[test]
fn time_is_an_argument() {
    none(production().iter().flat_map(words::clock).collect());
}

#[test]
fn files_are_small_and_named_for_what_they_hold() {
    none(everything().iter().flat_map(files::shape).collect());
}

#[test]
fn every_template_is_used() {
    none(files::unused_templates());
}

#[test]
fn every_fixture_is_read() {
    none(files::unread_fixtures());
}

#[test]
fn tracked_files_name_no_machine_and_no_registry() {
    none(files::machine_traces());
}
