//! What proxies say, and who says so.

use super::support::process::Process;
use super::support::server::{Server, waybill};
use super::{READ, TOKENS, bearer, served};

const USER: (&str, &str) = ("X-Forwarded-User", "ana");

fn with(proxy: &str, more: &[(&str, &str)]) -> Server {
    served(&[&[("WAYBILL_TRUST_HEADER", "X-Forwarded-User"), ("WAYBILL_TRUST_PROXY", proxy)], more].concat())
}

#[test]
fn a_trusted_proxy_signs_people_in() {
    let server = with("10.0.0.0/8,127.0.0.1", &[("WAYBILL_HOST", "w.test")]);
    let client = server.client();
    let here = client.url("");
    let get = |headers: &[(&str, &str)]| client.ask("GET", "/deliveries.json", headers, "").status;
    assert_eq!(get(&[USER]), 200);
    for headers in
        [&[][..], &[("X-Forwarded-User", "")], &[("X-Forwarded-User", "  ")], &[USER, ("X-Forwarded-User", "eve")]]
    {
        assert_eq!(get(headers), 401, "{headers:?}");
    }
    // the browser sends what makes the proxy add the header with the forms of other sites too
    let name = "kind=campaign&id=3&name=N";
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let post = |headers: &[(&str, &str)]| client.post("/campaigns/names", &[headers, &[form]].concat(), name).status;
    assert_eq!(post(&[USER]), 403);
    assert_eq!(post(&[USER, ("Origin", "https://evil.example")]), 403);
    assert_eq!(post(&[USER, ("Origin", &here)]), 303);
    let public = [USER, ("Host", "w.test"), ("X-Forwarded-Host", "w.example"), ("Origin", "https://w.example")];
    assert_eq!(post(&public), 303, "the name by which the browser knows it");
    // a page of a name that points here can make a browser beside the proxy send all but its own `Host`
    let rebound = [USER, ("Host", "evil.test"), ("X-Forwarded-Host", "w.test"), ("Origin", "http://evil.test")];
    assert_eq!(get(&rebound), 403);
    assert_eq!(post(&[&rebound[..], &[("Sec-Fetch-Site", "same-origin")]].concat()), 403);
    let page = client.ask("GET", "/", &[USER], "");
    assert!(page.status == 200 && !page.text.contains("sign-out"), "there is no session to end");

    let readers = with("127.0.0.0/8", &[("WAYBILL_TRUST_ROLE", "read")]);
    let answer = readers.client().post("/campaigns/names", &[USER, form, ("Origin", &readers.url(""))], name);
    assert_eq!(answer.status, 403);
    assert!(answer.text.contains("only read"), "{}", answer.text);
}

#[test]
fn from_any_other_address_the_header_counts_for_nothing() {
    let server = with("10.0.0.1", &[TOKENS[0]]);
    let client = server.client();
    for headers in [&[USER][..], &[USER, ("X-Forwarded-For", "10.0.0.1")], &[USER, ("Forwarded", "for=10.0.0.1")]] {
        assert_eq!(client.ask("GET", "/deliveries.json", headers, "").status, 401, "{headers:?}");
        assert_eq!(client.ask("GET", "/", headers, "").header("Location"), "/sign-in");
    }
    let token = bearer(READ);
    assert_eq!(client.ask("GET", "/deliveries.json", &[USER, ("Authorization", &token)], "").status, 200);
    // without any key, nothing else is open either
    let server =
        Server::start_with(&[("WAYBILL_TRUST_HEADER", "X-Forwarded-User"), ("WAYBILL_TRUST_PROXY", "10.0.0.1")]);
    assert_eq!(server.client().post("/v1/track", &[], "{}").status, 401);
    assert_eq!(server.client().post("/webhooks/customerio", &[], "{}").status, 401);
}

#[test]
fn forwarded_names_and_schemes_are_believed_from_trusted_proxies_alone() {
    let forwarded = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "w.example"), ("X-Forwarded-For", "1.2.3.4")];
    let region = |server: &Server| {
        let key = [("Authorization", "Bearer an-ingest-key"), ("Host", "inner")];
        server.client().ask("GET", "/api/v1/accounts/region", &[&forwarded[..], &key].concat(), "").json()["url"]
            .clone()
    };
    assert_eq!(region(&served(&[])), "http://inner");
    assert_eq!(region(&served(&[("WAYBILL_TRUST_PROXY", "127.0.0.1")])), "https://w.example");
}

#[test]
fn what_cannot_be_meant_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("waybill.db");
    let start = |settings: &[(&str, &str)]| {
        let mut command = waybill();
        command.args(["serve", "--db"]).arg(&db).args(["--listen", "127.0.0.1:0"]).envs(settings.iter().copied());
        let (status, said) = Process::run(&mut command);
        assert!(!status.success(), "{settings:?}");
        said
    };
    for (settings, words) in [
        (&[("WAYBILL_TRUST_HEADER", "X-User")][..], "--trust-proxy"),
        (&[("WAYBILL_TRUST_HEADER", "X User"), ("WAYBILL_TRUST_PROXY", "::1")], "name of a header"),
        (&[("WAYBILL_TRUST_PROXY", "proxy.example")], "10.0.0.0/8"),
        (&[("WAYBILL_READ_TOKENS", "short")], "WAYBILL_READ_TOKENS has a token of fewer than 16"),
        (&[("WAYBILL_OPERATE_TOKENS", "0123456789abcdef,123")], "WAYBILL_OPERATE_TOKENS"),
        (&[("WAYBILL_TLS_CERT", "cert.pem")], "--tls-key"),
        (&[("WAYBILL_TLS_CERT", "no.pem"), ("WAYBILL_TLS_KEY", "no.pem")], "no.pem"),
        (&[("WAYBILL_READ_TOKENS_FILE", "/no/such/file")], "WAYBILL_READ_TOKENS_FILE"),
        (&[("WAYBILL_INGEST_KEYS", "a"), ("WAYBILL_INGEST_KEYS_FILE", "b")], "both set"),
    ] {
        let said = start(settings);
        assert!(said.contains(words), "{settings:?}: {said}");
        assert!(!said.contains("0123456789abcdef"), "{said}");
    }
}
