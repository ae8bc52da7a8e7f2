//! `waybill demo`: every page is alive, and nothing is left behind.

mod support;

use support::client::Client;
use support::process::Process;
use support::server::waybill;

#[test]
fn every_page_is_alive_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = waybill();
    command.args(["demo", "--weeks", "1", "--listen", "127.0.0.1:0"]).env("TMPDIR", folder.path());
    let (mut process, address) = Process::start(&mut command, "listening on http://");
    let client = Client::new(format!("http://{}", address.trim()));

    for (page, shows) in [
        ("/", "Bounced"),
        ("/deliveries", "@"),
        ("/deliveries?channel=push", "Push"),
        ("/campaigns", "Newsletter"),
        ("/quarantine", "no_delivery_id"),
    ] {
        let answer = client.get(page);
        assert!(answer.status == 200 && answer.text.contains(shows), "{page} does not show {shows:?}");
    }
    assert!(process.stop().success());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
