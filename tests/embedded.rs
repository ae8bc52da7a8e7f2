//! A program that embeds Waybill: the example, as somebody would run it.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, http::StatusCode};
use scraper::{Html, Selector};
use serde_json::{Value, json};
use support::client::Client;
use support::file::rows;
use support::process::Process;
use support::server::waybill;
use waybill::{Error, Outcome, Settings, Waybill};

/// Built as cargo builds the tests; `cargo test` without a name has done it.
fn example() -> Command {
    let build = ["build", "--quiet", "--locked", "--example", "embedded"];
    let folder = env!("CARGO_MANIFEST_DIR");
    let built = Command::new(env!("CARGO")).args(build).current_dir(folder).status().unwrap();
    assert!(built.success());
    let beside = Path::new(env!("CARGO_BIN_EXE_waybill")).parent().unwrap();
    Command::new(beside.join("examples/embedded"))
}

const WEBHOOK: &str = r#"{"event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ", "object_type": "email", "metric": "delivered",
    "timestamp": 1795000000, "data": {"delivery_id": "order-7", "recipient": "ana@example.com", "transactional_message_id": 3}}"#;

#[test]
fn an_application_mounts_records_and_reads() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("shop.db");
    let mut command = example();
    command.arg(&db).arg("127.0.0.1:0").stderr(Stdio::inherit());
    let (mut process, address) = Process::start(&mut command, "listening on http://");
    let client = Client::new(format!("http://{}", address.trim()));

    // its own routes record and read
    assert_eq!(client.get("/orders/7/message").status, 404);
    assert_eq!(client.post("/orders/7/ship", &[], "").status, 202);
    assert_eq!(client.post("/orders/7/ship", &[], "").status, 202);
    let message: Value = serde_json::from_str(&client.get("/orders/7/message").text).unwrap();
    assert_eq!((&message["status"], &message["events"]), (&"sent".into(), &1.into()), "{message}");

    // a sender posts below the base, and only there
    assert_eq!(client.post("/webhooks/customerio", &[], WEBHOOK).status, 404);
    let taken = client.post("/messages/webhooks/customerio", &[], WEBHOOK);
    assert_eq!(taken.status, 200, "{}", taken.text);
    let message: Value = serde_json::from_str(&client.get("/orders/7/message").text).unwrap();
    assert_eq!(message["status"], "delivered", "{message}");

    // every link of a page stays below the base, and leads somewhere
    for path in ["/messages/", "/messages/deliveries", "/messages/deliveries/order-7", "/messages/health"] {
        let page = client.get(path);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert_ne!(page.header("content-security-policy"), "", "{path}");
        let document = Html::parse_document(&page.text);
        let mut links = 0;
        for (selector, name) in
            [("a[href^='/'], link[href^='/']", "href"), ("script[src]", "src"), ("form[action]", "action")]
        {
            for element in document.select(&Selector::parse(selector).unwrap()) {
                let link = element.value().attr(name).unwrap();
                assert!(link.starts_with("/messages/"), "{path} links to {link}");
                links += 1;
            }
        }
        assert!(links > 10, "{path} has {links} links");
    }
    assert_eq!(client.get("/elsewhere").status, 404);
    assert_eq!(client.get("/elsewhere").header("content-security-policy"), "", "that is the application's");

    // the program's commands work beside it, and another server does not
    let verify = waybill().args(["verify", "--db"]).arg(&db).output().unwrap();
    assert!(verify.status.success(), "{verify:?}");
    let serve = waybill().args(["serve", "--listen", "127.0.0.1:0", "--db"]).arg(&db).output().unwrap();
    assert!(!serve.status.success() && String::from_utf8_lossy(&serve.stderr).contains("another"), "{serve:?}");

    assert!(process.stop().success());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with("-wal")), "{left:?}");
    assert_eq!(rows(&db, "SELECT count(*) FROM events"), ["2"]);
    let verify = waybill().args(["verify", "--db"]).arg(&db).output().unwrap();
    assert!(verify.status.success(), "{verify:?}");
}

#[actix_web::test]
async fn without_keys_only_this_machine_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let (open, named) = (true, vec!["shop.test".to_owned()]);
    for (allow_anonymous, hosts, peer, host, expected) in [
        (!open, vec![], "127.0.0.1:9", "localhost", 200),
        (!open, vec![], "[::ffff:127.0.0.1]:9", "127.0.0.1", 200),
        (!open, vec![], "192.0.2.1:9", "localhost", 403),
        (!open, vec![], "127.0.0.1:9", "shop.test", 403),
        (!open, named.clone(), "127.0.0.1:9", "shop.test", 200),
        (!open, named.clone(), "192.0.2.1:9", "shop.test", 403),
        (open, vec![], "192.0.2.1:9", "shop.test", 403),
        (open, named, "192.0.2.1:9", "shop.test", 200),
    ] {
        let settings = Settings { base: "/w".into(), hosts, allow_anonymous };
        let waybill = Waybill::open(&db, settings).unwrap();
        let app = init_service(App::new().service(waybill.scope())).await;
        let event = json!({"id": "e", "delivery_id": "d", "metric": "sent"});
        for request in [
            TestRequest::get().uri("/w/deliveries"),
            TestRequest::get().uri("/w/readyz"),
            TestRequest::post().uri("/w/v1/events").set_json(event),
        ] {
            let request = request.peer_addr(peer.parse().unwrap()).insert_header(("Host", host)).to_request();
            let path = request.path().to_owned();
            let status = call_service(&app, request).await.status();
            assert_eq!(status, StatusCode::from_u16(expected).unwrap(), "{path} from {peer} to {host}");
        }
        drop(app);
        waybill.close().unwrap();
    }
}

#[actix_web::test]
async fn what_is_wrong_is_said_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let waybill = Waybill::open(&db, Settings::default()).unwrap();
    let good = json!({"id": "e", "delivery_id": "d", "metric": "sent"});
    for (events, message) in [
        (json!([good, {"delivery_id": "d"}]), "event 1: "),
        (json!("sent"), "object"),
        (json!(vec![good.clone(); 5_001]), "more than 5000 events"),
    ] {
        let refused = waybill.record(&events).await;
        assert!(matches!(&refused, Err(Error::Invalid(text)) if text.contains(message)), "{refused:?}");
    }
    assert_eq!(waybill.record(&json!([])).await.unwrap(), []);
    assert!(waybill.delivery("d").unwrap().is_none() && waybill.events("d").unwrap().is_empty());
    assert_eq!(waybill.record(&json!([good, good])).await.unwrap(), [Outcome::Accepted, Outcome::Duplicate]);
    assert_eq!(waybill.events("d").unwrap()[0].text("metric"), Some("sent"));
    let typo = waybill.deliveries("chanel=sms", 1);
    assert!(matches!(&typo, Err(Error::Invalid(text)) if text.contains("`channel`")), "{typo:?}");
    assert!(waybill.deliveries("", 0).unwrap().is_empty() && waybill.metrics("campaign", "none").unwrap().is_empty());

    let base = Waybill::open(&db, Settings { base: "w/".into(), ..Settings::default() });
    assert!(matches!(base, Err(Error::Invalid(_))));
    let second = Waybill::open(&db, Settings::default());
    assert!(matches!(&second, Err(error @ Error::File(_)) if error.to_string().contains("another waybill")));
    let shared = waybill.clone();
    waybill.close().unwrap();
    let late = shared.record(&good).await;
    assert!(matches!(&late, Err(Error::Unavailable(text)) if text.contains("stopping")), "{late:?}");
    shared.close().unwrap();
    // dropped, it ends by itself
    drop(Waybill::open(&db, Settings::default()).unwrap());
}
