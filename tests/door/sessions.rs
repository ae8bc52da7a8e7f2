//! Signing in and out by a browser.

use super::support::browser::{Browser, Key};
use super::support::client::Client;
use super::support::file::rows;
use super::{OPERATE, READ, TOKENS, served, session, sign_in};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

fn is_in(client: &Client, cookie: &str) -> bool {
    let answer = client.ask("GET", "/deliveries.json", &[("Cookie", cookie)], "");
    assert!([200, 401].contains(&answer.status), "{}", answer.text);
    answer.status == 200
}

#[test]
fn the_cookie_is_kept_from_scripts_and_other_sites() {
    let server = served(&TOKENS);
    let client = server.client();
    let answer = sign_in(&client, READ, "/deliveries?status=sent");
    assert_eq!((answer.status, answer.header("Location")), (303, "/deliveries?status=sent"));
    let cookie = answer.header("Set-Cookie").to_owned();
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("Domain") && !cookie.contains(READ), "{cookie}");

    let below = served(&[TOKENS[0], ("WAYBILL_BASE", "/waybill"), ("WAYBILL_TRUST_PROXY", "127.0.0.1")]);
    let client = below.client();
    let here = client.url("");
    let headers = [("Origin", &*here), FORM, ("X-Forwarded-Proto", "https")];
    let answer = client.post("/waybill/sign-in", &headers, format!("token={READ}&next=%2Fhealth"));
    assert_eq!((answer.status, answer.header("Location")), (303, "/waybill/health"));
    let cookie = answer.header("Set-Cookie");
    assert!(cookie.contains("Secure") && cookie.contains("Path=/waybill"), "{cookie}");
    let asked = client.get("/waybill/deliveries");
    assert_eq!(asked.header("Location"), "/waybill/sign-in?next=%2Fdeliveries");
}

#[test]
fn a_session_that_was_tampered_with_is_none() {
    let server = served(&TOKENS);
    let client = server.client();
    let cookie = session(&client, READ);
    assert!(is_in(&client, &cookie));
    let (name, value) = cookie.split_once('=').unwrap();
    let (began, mac) = value.split_once('.').unwrap();
    let later = began.parse::<i64>().unwrap() + 1;
    let other = if mac.starts_with('0') { "1" } else { "0" };
    for value in [
        format!("{later}.{mac}"),
        format!("{began}.{other}{}", &mac[1..]),
        format!("{began}.{}", &mac[..63]),
        format!("{began}.{}", mac.to_uppercase().replace(|c: char| c.is_ascii_digit(), "0")),
        format!("{began}."),
        began.to_owned(),
        format!("-{began}.{mac}"),
        ".".into(),
        String::new(),
        READ.into(),
    ] {
        assert!(!is_in(&client, &format!("{name}={value}")), "{value}");
    }
    assert!(!is_in(&client, &format!("waybill={value}")));
    for beside in [format!("junk; {cookie}"), format!("{name}=x.y; a=b; ;{cookie}"), format!("{cookie}; {name}=")] {
        assert!(is_in(&client, &beside), "{beside}");
    }
    // of another file
    let other = served(&TOKENS);
    assert!(!is_in(&other.client(), &cookie));
    // the secret is the file's: sessions outlive the process
    let folder = server.stop().1;
    let again = super::Server::start_in(folder, &TOKENS);
    assert!(is_in(&again.client(), &cookie));
    let without = super::Server::start_in(again.stop().1, &TOKENS[1..]);
    assert!(!is_in(&without.client(), &cookie), "its token is no more");
}

#[test]
fn signing_out_everywhere_ends_the_sessions_of_one_token() {
    let server = served(&TOKENS);
    let client = server.client();
    let here = client.url("");
    let (first, second, operator) = (session(&client, READ), session(&client, READ), session(&client, OPERATE));
    let end = |cookie: &str, form: &str| client.post("/sign-out", &[("Cookie", cookie), ("Origin", &here), FORM], form);
    let answer = end(&first, "");
    assert_eq!((answer.status, answer.header("Location")), (303, "/sign-in"));
    assert!(answer.header("Set-Cookie").contains("Max-Age=0"), "{}", answer.header("Set-Cookie"));
    assert!(is_in(&client, &second));
    assert_eq!(end(&second, "everywhere=1").status, 303);
    assert!(!is_in(&client, &first) && !is_in(&client, &second));
    assert!(is_in(&client, &operator), "another token");
    assert!(is_in(&client, &session(&client, READ)), "the token is as good as before");
    let folder = server.stop().1;
    let again = super::Server::start_in(folder, &TOKENS);
    assert!(!is_in(&again.client(), &second), "after a restart too");
    assert_eq!(rows(&again.db(), "SELECT count(*) FROM _ended_sessions"), ["1"]);
}

#[test]
fn it_leads_back_to_paths_of_this_server_only() {
    let server = served(&TOKENS);
    let client = server.client();
    for (next, location) in [
        ("/deliveries?status=bounced&-channel=sms", "/deliveries?status=bounced&-channel=sms"),
        ("/people/a%2Fb", "/people/a%2Fb"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("https:evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("/%0d%0aSet-Cookie:%20a=b", "/%0d%0aSet-Cookie:%20a=b"),
        (" //evil.example", "/"),
        ("deliveries", "/"),
    ] {
        let answer = sign_in(&client, READ, next);
        assert_eq!((answer.status, answer.header("Location")), (303, location), "{next:?}");
        let escaped: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let page = client.get(&format!("/sign-in?next={escaped}"));
        assert_eq!(page.status, 200);
        assert!(location != "/" || !page.text.contains("evil"), "{next:?}");
    }
    // who is signed in goes on at once
    let cookie = session(&client, READ);
    let answer = client.ask("GET", "/sign-in?next=%2F%2Fevil.example", &[("Cookie", &cookie)], "");
    assert_eq!((answer.status, answer.header("Location")), (303, "/"));
}

#[test]
fn a_person_signs_in_and_out_by_keyboard_without_scripts() {
    let (server, browser) = (served(&TOKENS), Browser::start());
    browser.allow_scripts(false);
    browser.goto(&server.url("/deliveries?status=sent"));
    assert_eq!((browser.text("h1").as_str(), browser.count("nav")), ("Sign in", 0));
    // the field has the focus
    for key in "wrong-token".chars() {
        browser.press(key);
    }
    browser.press(Key::Enter.into());
    browser.wait_for("[role=alert]");
    assert_eq!(browser.text("[role=alert]"), "This token is unknown or revoked.");
    browser.type_into("#token", READ);
    browser.press(Key::Enter.into());
    browser.wait_for("a.row");
    assert!(browser.url().ends_with("/deliveries?status=sent"), "{}", browser.url());
    browser.click(".menu summary");
    browser.click("a[href='/sign-out']");
    browser.click("button[name=everywhere]");
    browser.wait_for("#token");
    browser.goto(&server.url("/deliveries"));
    assert_eq!(browser.text("h1"), "Sign in");
}

#[test]
fn the_sign_in_page_is_for_everybody() {
    let (server, browser) = (served(&TOKENS), Browser::start());
    for (name, dark, width) in
        [("light", false, 1280), ("dark", true, 1280), ("phone", false, 390), ("small", true, 320)]
    {
        browser.resize(width, 800);
        browser.prefer_dark(dark);
        browser.goto(&server.url("/sign-in?next=%2Fhealth"));
        browser.screenshot(&format!("sign-in-{name}"));
        let mut faults = browser.accessibility_faults();
        browser.type_into("#token", "wrong");
        browser.press(Key::Enter.into());
        browser.wait_for("[role=alert]");
        browser.screenshot(&format!("sign-in-{name}-wrong"));
        faults.extend(browser.accessibility_faults());
        assert_eq!(browser.run("return document.documentElement.scrollWidth - innerWidth").as_i64(), Some(0), "{name}");
        browser.type_into("#token", OPERATE);
        browser.press(Key::Enter.into());
        browser.wait_for("a[href='/sign-out']");
        browser.screenshot(&format!("signed-in-{name}"));
        browser.goto(&server.url("/sign-out"));
        browser.screenshot(&format!("sign-out-{name}"));
        faults.extend(browser.accessibility_faults());
        assert_eq!(faults, [""; 0], "{name}");
        browser.click(".acts button");
        browser.wait_for("#token");
    }
}
