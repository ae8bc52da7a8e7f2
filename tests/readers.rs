//! The file is an interface: other people's tools read every table and view while Waybill writes.
//!
//! `./test` installs the tools beside the build, by the list in `tests/readers/`.

mod support;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use support::installed::installed;
use support::server::Server;

/// A batch of events of many deliveries, some of them pushes.
fn batch(round: usize) -> Vec<u8> {
    let metrics = ["sent", "delivered", "opened", "clicked", "bounced"];
    let events = (0..200).map(|n| {
        let delivery = (round * 200 + n) / 3;
        let metric = metrics[n % metrics.len()];
        let push = delivery % 5 == 0;
        serde_json::json!({
            "id": format!("{round}-{n}"), "delivery_id": format!("d{delivery}"), "metric": metric,
            "channel": if push { "push" } else { "email" }, "time": 1_790_000_000_000i64 + (round * 200 + n) as i64 * 1000,
            "source": {"kind": "campaign", "id": format!("{}", delivery % 7), "action_id": "1"},
            "person_id": format!("p{}", delivery % 50), "subject": "Your order",
            "recipient": if push { None } else { Some(format!("p{}@example.com", delivery % 50)) },
            "recipients": if push { serde_json::json!([{"device_id": "token", "device_platform": "ios"}]) } else { serde_json::json!([]) },
            "href": (metric == "clicked").then_some("https://example.com/a?t=1"),
            "reason": (metric == "bounced").then_some("550 5.1.1 no such user"),
        })
    });
    serde_json::to_vec(&events.collect::<Vec<_>>()).unwrap()
}

#[test]
fn every_view_is_read_by_other_tools_while_events_come_in() {
    let server = Server::start();
    let (status, _) = server.post("/v1/events", &[], &batch(0));
    assert_eq!(status, 200);
    let done = AtomicBool::new(false);
    let client = server.client();
    let (read, rounds) = std::thread::scope(|scope| {
        let done = &done;
        let writing = scope.spawn(move || {
            let mut round = 1;
            while !done.load(Relaxed) {
                let answer = client.post("/v1/events", &[], batch(round));
                assert_eq!(answer.status, 200, "{}", answer.text);
                round += 1;
            }
            round
        });
        let read = Command::new(installed("readers/bin/python")).arg("tests/readers/read.py").arg(server.db()).output();
        done.store(true, Relaxed);
        (read.unwrap(), writing.join().unwrap())
    });
    let told = String::from_utf8_lossy(&read.stdout);
    assert!(read.status.success(), "{told}\n{}", String::from_utf8_lossy(&read.stderr));
    assert_eq!(told.lines().count(), 5, "{told}");
    assert!(rounds > 2, "events came in meanwhile");
}
