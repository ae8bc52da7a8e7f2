//! What a person does, in a real Chromium.

mod support;

use support::browser::{Browser, Key};

/// A page that shows what the browser was told: who types, how wide it is, which colours it prefers, whether
/// scripts run.
const PAGE: &str = "data:text/html;charset=utf-8,<title>Page</title>\
    <style>b{color:white} @media (prefers-color-scheme: dark){b{color:black}}</style>\
    <p id=scripts>off</p><b>bold</b><input id=name><input id=next>\
    <script>document.getElementById('scripts').textContent='on'</script>";

#[test]
fn the_browser_does_as_it_is_told() {
    let browser = Browser::start();
    browser.goto(PAGE);
    assert_eq!((browser.title().as_str(), browser.text("#scripts").as_str()), ("Page", "on"));

    browser.type_into("#name", "Zoë");
    browser.press(Key::Tab.into());
    browser.press('x');
    assert_eq!(browser.run("return [...document.querySelectorAll('input')].map(i => i.value).join()"), "Zoë,x");

    browser.resize(390, 844);
    assert_eq!(browser.run("return innerWidth"), 390);
    assert!(browser.screenshot("harness-phone").starts_with(b"\x89PNG"));

    let colour = "return getComputedStyle(document.querySelector('b')).color";
    browser.prefer_dark(true);
    assert_eq!(browser.run(colour), "rgb(0, 0, 0)");
    browser.prefer_dark(false);
    assert_eq!(browser.run(colour), "rgb(255, 255, 255)");

    browser.allow_scripts(false);
    browser.goto(PAGE);
    assert_eq!(browser.text("#scripts"), "off");
    assert_eq!(browser.count("input"), 2);
    browser.allow_scripts(true);
    browser.goto(PAGE);
    assert_eq!(browser.text("#scripts"), "on");
}
