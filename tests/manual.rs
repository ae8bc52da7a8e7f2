//! What is made from the options: completions and man pages; and the question that a container asks.

mod support;

use std::fs;

use support::process::Process;
use support::server::{Server, waybill};

#[test]
fn completions_and_man_pages_know_every_command() {
    let help = waybill().arg("help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(commands.len() > 10, "{commands:?}");

    let folder = tempfile::tempdir().unwrap();
    let (status, said) = Process::run(waybill().arg("man").arg(folder.path()));
    assert!(status.success(), "{said}");
    let completions = waybill().args(["completions", "bash"]).output().unwrap();
    let completions = String::from_utf8(completions.stdout).unwrap();
    for command in commands.into_iter().filter(|command| *command != "help") {
        let page = fs::read_to_string(folder.path().join(format!("waybill-{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{page}");
        assert!(completions.contains(&format!("waybill,{command})")), "{command}");
    }
}

#[test]
fn a_server_is_asked_whether_it_is_healthy() {
    let server = Server::start();
    let address = server.url("").trim_start_matches("http://").to_owned();
    let ask = || waybill().args(["healthcheck", "--listen", &address]).output().unwrap();
    let answer = ask();
    assert!(answer.status.success(), "{answer:?}");
    assert!(String::from_utf8(answer.stdout).unwrap().contains(r#""status":"ok""#));
    let _folder = server.kill();
    let answer = ask();
    assert!(!answer.status.success());
    assert!(String::from_utf8(answer.stderr).unwrap().contains("no answer from"), "{:?}", answer.stdout);
}
