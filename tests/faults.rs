//! Every fault of `docs/faults.md` names the tests that prove it, and these are there.

use std::fs;

const TABLE: &str = include_str!("../docs/faults.md");

/// The cells of each row.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = TABLE.lines().filter(|line| line.starts_with("| F") && line.as_bytes()[3].is_ascii_digit());
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// The tests of a cell: `file name`.
fn tests(cell: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|quoted| !quoted.starts_with("fuzz/")).filter_map(|quoted| quoted.split_once(' '))
}

#[test]
fn every_fault_has_its_proof() {
    let rows = rows();
    assert_eq!(rows.len(), 75);
    for (n, row) in rows.iter().enumerate() {
        let [number, priority, fault, does, proof] = row[..] else { panic!("{row:?}") };
        assert_eq!(number, format!("F{:02}", n + 1));
        println!("{number} {priority}  {fault}: {does}\n        {proof}");
        for (file, name) in tests(proof) {
            let path = if file.starts_with("src/") { format!("{file}.rs") } else { format!("tests/{file}.rs") };
            let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{number}: {path}: {error}"));
            let function = source.split_once(&format!("fn {name}("));
            let (before, _) = function.unwrap_or_else(|| panic!("{number}: there is no test {name} in {path}"));
            let attributes = before.rsplit("\n\n").next().unwrap();
            assert!(attributes.contains("test]") || attributes.contains("proptest!"), "{number}: {name} is no test");
        }
        let is_proven = tests(proof).next().is_some() || proof.starts_with("by hand, ");
        assert!(is_proven || priority != "A", "{number}: no proof of {fault}");
    }
}
