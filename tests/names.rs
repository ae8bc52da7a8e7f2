//! Names of sources: typed on a page, sent as a file, given by the command.

mod support;

use std::fs;

use support::client::Answer;
use support::server::{Server, waybill};

const OURS: (&str, &str) = ("Sec-Fetch-Site", "same-origin");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

const EVENTS: &str = r#"{"id": "e1", "delivery_id": "one", "channel": "email", "metric": "sent", "source": {"kind": "campaign", "id": "3"}}
{"id": "e2", "delivery_id": "two", "channel": "email", "metric": "sent", "source": {"kind": "newsletter", "id": "a/b c.json"}}"#;

fn server() -> Server {
    let server = Server::start();
    assert_eq!(server.post("/v1/events", &[("Content-Type", "application/x-ndjson")], EVENTS).0, 200);
    server
}

/// The name of each source.
fn names(server: &Server) -> Vec<(String, Option<String>)> {
    let json = server.client().get("/campaigns.json?sort=name&dir=asc").json();
    let of = |source: &serde_json::Value| {
        (source["source_id"].as_str().unwrap().to_owned(), source["source_name"].as_str().map(str::to_owned))
    };
    json["sources"].as_array().unwrap().iter().map(of).collect()
}

fn upload(server: &Server, headers: &[(&str, &str)], csv: &[u8]) -> Answer {
    let mut body = b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"names.csv\"\r\n\
        Content-Type: text/csv\r\n\r\n"
        .to_vec();
    body.extend_from_slice(csv);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let headers: Vec<_> =
        headers.iter().copied().chain([("Content-Type", "multipart/form-data; boundary=edge")]).collect();
    server.client().post("/campaigns/names/file", &headers, body)
}

#[test]
fn a_source_is_named_where_it_stands() {
    let server = server();
    let send = |form: &str| server.client().post("/campaigns/names", &[OURS, FORM], form);
    let saved =
        send("kind=newsletter&id=a%2Fb+c.json&name=+Spring+%3Cb%3E+&list=kind%3Dnewsletter%26sort%3Dname%26dir%3Dasc");
    assert_eq!((saved.status, saved.header("Location")), (303, "/campaigns?kind=newsletter&sort=name&dir=asc"));
    assert_eq!(names(&server)[1], ("a/b c.json".into(), Some("Spring <b>".into())));
    let page = server.get(saved.header("Location")).1;
    assert!(page.contains("Spring &#60;b&#62;"), "{page}");

    // events of it go on to be counted under it, and a name is no event
    let events = EVENTS.replace("\"one\"", "\"more\"").replace("\"two\"", "\"again\"").replace("\"e", "\"f");
    assert_eq!(server.post("/v1/events", &[("Content-Type", "application/x-ndjson")], events).0, 200);
    let json = server.client().get("/campaigns.json?kind=newsletter").json();
    assert_eq!(json["sources"][0]["deliveries"]["sent"], 2);
    assert_eq!(server.client().get("/overview.json").json()["feed"]["accepted_day"], 4);

    let gone = send("kind=newsletter&id=a%2Fb+c.json&name=");
    assert_eq!((gone.status, gone.header("Location")), (303, "/campaigns/newsletter/a%2Fb%20c.json"));
    assert_eq!(server.get(gone.header("Location")).0, 200);
    assert_eq!(names(&server)[1].1, None);
    for (form, said) in [
        ("kind=company&id=3&name=x", "Unknown source kind"),
        ("kind=campaign&id=&name=x", "1 to"),
        (&*format!("kind=campaign&id=3&name={}", "x".repeat(201)), "longer than 200"),
        ("kind=campaign&id=3&name=a%0Ab", "single line"),
    ] {
        let refused = send(form);
        assert!(refused.status == 400 && refused.text.contains(said), "{form}: {}", refused.text);
    }
    assert_eq!(names(&server)[0].1, None);
}

#[test]
fn many_are_named_by_a_file() {
    let server = server();
    let many: String = (0..1_200).map(|n| format!("broadcast,{n},Send {n}\n")).collect();
    let saved = upload(&server, &[OURS], format!("kind,id,name\ncampaign,3,\"Reset, again\"\n{many}").as_bytes());
    assert_eq!((saved.status, saved.header("Location")), (303, "/campaigns?named=1201"), "{}", saved.text);
    assert!(server.get(saved.header("Location")).1.contains("1,201 names imported"));
    assert_eq!(names(&server)[1], ("3".into(), Some("Reset, again".into())));

    // all or none
    let refused = upload(&server, &[OURS], b"kind,id,name\ncampaign,3,Other\ncompany,4,X\n");
    assert!(refused.status == 400 && refused.text.contains("Line 3"), "{}", refused.text);
    assert_eq!(names(&server)[1].1.as_deref(), Some("Reset, again"));
    // what the page gives can be sent back
    let sheet = server.get("/campaigns.csv").1.replace("Reset, again", "Edited");
    assert_eq!(upload(&server, &[OURS], sheet.as_bytes()).status, 303);
    assert!(names(&server).contains(&("3".into(), Some("Edited".into()))));
    for (csv, said) in [(&b""[..], "No file was chosen"), (&[b'x'; 2 << 20], "Invalid file")] {
        let refused = upload(&server, &[OURS], csv);
        assert!(refused.status == 400 && refused.text.contains(said), "{} {}", refused.status, refused.text);
    }
    let odd = server.client().post("/campaigns/names/file", &[OURS, ("Content-Type", "text/csv")], "kind,id,name\n");
    assert_eq!(odd.status, 400);
}

#[test]
fn only_our_own_pages_may_name() {
    let server = server();
    let foreign = ("Sec-Fetch-Site", "cross-site");
    for headers in [&[FORM][..], &[FORM, foreign]] {
        assert_eq!(server.client().post("/campaigns/names", headers, "kind=campaign&id=3&name=x").status, 403);
    }
    assert_eq!(upload(&server, &[foreign], b"kind,id,name\ncampaign,3,x\n").status, 403);
    assert_eq!(server.get("/campaigns/names").0, 405);
    assert_eq!(names(&server)[0].1, None);
}

#[test]
fn the_command_takes_a_file_too() {
    let server = server();
    let file = server.folder().join("names.csv");
    let name = |arguments: &[&str]| {
        let mut command = waybill();
        command.args(["name", "--db"]).arg(server.db()).args(arguments);
        command.output().unwrap()
    };
    fs::write(&file, "kind,id,name\ncampaign,3,Reset\nnewsletter,9,Later\n").unwrap();
    let done = name(&["--csv", file.to_str().unwrap()]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "campaign 3 is now \"Reset\"\nnewsletter 9 is now \"Later\"\n");
    fs::write(&file, "kind,id,name\ncampaign,3,Other\nnewsletter\n").unwrap();
    let refused = name(&["--csv", file.to_str().unwrap()]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("line 3"), "{refused:?}");
    assert_eq!(names(&server)[1].1.as_deref(), Some("Reset"));
    assert!(name(&["campaign", "3", ""]).status.success());
    assert_eq!(names(&server)[0].1, None);
    assert!(!name(&["campaign", "3"]).status.success());
}
