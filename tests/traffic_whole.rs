//! A whole workspace's traffic through the real binary: by every way in, in every order, counted as the generator
//! says, which shares no code with what counts.

mod support;

#[path = "traffic_whole/sending.rs"]
mod sending;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use waybill_traffic::{Count, Format, Key, Kind, Line, Traffic};

use sending::{ODD, Sent, odd_lines, post_in_batches, post_one_by_one};
use support::file::{assert_same, rows, views};
use support::process::Process;
use support::server::{Server, waybill};

/// Ids that events get because they bring none are equal only in files of one key.
const ID_KEY: [(&str, &str); 1] = [("WAYBILL_ID_KEY", "the same for all files")];

fn traffic() -> Traffic {
    Traffic::new(23, 3_000, 1_767_225_600_000)
}

fn lines() -> Vec<Line> {
    traffic().lines(&Format::ALL).collect()
}

/// What the lines of the traffic must come to, once and again.
fn sent_once(lines: &[Line]) -> Sent {
    let count = |kind| lines.iter().filter(|line| line.kind == kind).count() as u64;
    let accepted = count(Kind::Event) + count(Kind::Person);
    Sent { accepted, duplicate: count(Kind::Repeat), ignored: count(Kind::Unrelated), quarantined: 0 }
}

/// Deliveries and events of every campaign, channel and metric.
fn expected_cells() -> BTreeMap<String, String> {
    let expected = traffic().expected();
    assert_eq!(expected.deliveries, 3_000);
    let cell = |(key, count): (&Key, &Count)| {
        let name = [key.kind, &key.id.to_string(), key.channel, key.counted].join("|");
        (name, format!("{}|{}", count.deliveries, count.events))
    };
    expected.counts.iter().map(cell).collect()
}

#[track_caller]
fn assert_counted(db: &Path) {
    let keys = "source_kind || '|' || source_id || '|' || channel || '|' || metric";
    let cells = rows(db, &format!("SELECT {keys}, deliveries, events FROM campaign_metrics_v1"));
    let parted = |cell: String| -> (String, String) {
        let (place, _) = cell.match_indices('|').nth(3).unwrap();
        (cell[..place].to_owned(), cell[place + 1..].to_owned())
    };
    let found: BTreeMap<_, _> = cells.into_iter().map(parted).collect();
    let expected = expected_cells();
    for (key, counts) in &expected {
        assert_eq!(found.get(key), Some(counts), "{key}");
    }
    assert_eq!(found.len(), expected.len(), "something is counted that never happened");
}

#[track_caller]
fn assert_verifies(db: &Path) {
    let (status, said) = Process::run(waybill().args(["verify", "--db"]).arg(db));
    assert!(status.success(), "{said}");
}

#[test]
fn posted_line_by_line_it_is_counted_as_it_happened() {
    let lines = lines();
    let server = Server::start();
    let once = sent_once(&lines);
    assert_eq!(post_one_by_one(&server.client(), &lines), once);
    assert_counted(&server.db());
    let before = views(&server.db());

    let again = post_one_by_one(&server.client(), &lines);
    let all = once.accepted + once.duplicate;
    assert_eq!(again, Sent { accepted: 0, duplicate: all, ignored: once.ignored, quarantined: 0 });
    assert_same(&before, &views(&server.db()), "posted again");
    assert_verifies(&server.db());
}

#[test]
fn neither_order_nor_batches_nor_repeats_matter() {
    let mut lines = lines();
    lines.extend(odd_lines());
    let folder = tempfile::tempdir().unwrap();
    let (file, db) = (folder.path().join("all.ndjson"), folder.path().join("imported.db"));
    write_lines(&lines, &file);
    import(&db, &[&file], None);
    let reference = views(&db);
    assert_same(&reference, &in_batches(&lines, 1), "in order");
    lines.reverse();
    assert_same(&reference, &in_batches(&lines, 2), "reversed");
    let repeats: Vec<Line> = lines.iter().step_by(7).cloned().collect();
    lines.extend(repeats);
    sending::shuffle(&mut lines, 3);
    assert_same(&reference, &in_batches(&lines, 4), "shuffled, with repeats");
}

fn in_batches(lines: &[Line], seed: u64) -> support::file::Views {
    let server = Server::start_with(&ID_KEY);
    post_in_batches(&server.client(), lines, seed);
    let views = views(&server.db());
    assert_verifies(&server.db());
    views
}

#[test]
fn imported_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut lines = lines();
    let once = sent_once(&lines);
    write_lines(&lines, &path("traffic.ndjson"));
    let summary = import(&path("clean.db"), &[&path("traffic.ndjson")], None);
    assert_eq!(summary, once);
    assert_counted(&path("clean.db"));

    lines.extend(odd_lines());
    write_lines(&lines, &path("all.ndjson"));
    let text = std::fs::read(path("all.ndjson")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(File::create(path("all.gz")).unwrap(), flate2::Compression::fast());
    gzip.write_all(&text).unwrap();
    gzip.finish().unwrap();
    std::fs::write(path("all.zst"), zstd::encode_all(&*text, 1).unwrap()).unwrap();

    let summary = import(&path("plain.db"), &[&path("all.ndjson")], None);
    assert_eq!(summary, Sent::sum([once, ODD].into_iter()));
    let reference = views(&path("plain.db"));
    for (name, file, stdin) in
        [("gz.db", path("all.gz"), None), ("zst.db", path("all.zst"), None), ("in.db", "-".into(), Some("all.ndjson"))]
    {
        let stdin = stdin.map(|name| File::open(path(name)).unwrap());
        assert_eq!(import(&path(name), &[&file], stdin), summary, "{name}");
        assert_same(&reference, &views(&path(name)), name);
    }

    let again = import(&path("plain.db"), &[&path("all.gz"), &path("all.zst")], None);
    let all = 2 * (summary.accepted + summary.duplicate);
    let twice =
        Sent { accepted: 0, duplicate: all, ignored: 2 * summary.ignored, quarantined: 2 * summary.quarantined };
    assert_eq!(again, twice);
    assert_same(&reference, &views(&path("plain.db")), "imported again");
    assert_verifies(&path("plain.db"));

    // the file serves with the key that it was made with
    std::fs::copy(path("plain.db"), path("waybill.db")).unwrap();
    let server = Server::start_in(folder, &ID_KEY);
    assert_eq!(server.client().get("/healthz").status, 200);
}

fn write_lines(lines: &[Line], path: &Path) {
    let text: String = lines.iter().map(|line| line.with_path() + "\n").collect();
    std::fs::write(path, text).unwrap();
}

/// What the summary says.
fn import(db: &Path, files: &[&Path], stdin: Option<File>) -> Sent {
    let mut command: Command = waybill();
    command.envs(ID_KEY).arg("import").args(files).arg("--db").arg(db);
    let output = command.stdin(stdin.map_or(Stdio::null(), Stdio::from)).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let number = |word: &str| -> u64 {
        let (before, _) = said.split_once(&format!(" {word}")).unwrap_or_else(|| panic!("{said} has no {word}"));
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    Sent {
        accepted: number("accepted"),
        duplicate: number("duplicate"),
        ignored: number("ignored"),
        quarantined: number("quarantined"),
    }
}
