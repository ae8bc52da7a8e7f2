//! One delivery: how it is found, and what is told of it.

use super::*;

#[actix_web::test]
async fn an_odd_id_is_found_by_its_link() {
    let site = Site::new(&events());
    let log = site.get("/below/deliveries?recipient=%3Cb%3Eann%3C/b%3E%40example.com").await;
    assert_eq!(log.all(".lines tbody tr").len(), 1);
    let href = &log.attributes("a.row", "href")[0];
    let page = site.get_from(href, "/below/deliveries?recipient=%3Cb%3Eann%3C/b%3E%40example.com").await;
    assert_eq!(page.all("h1"), ["<b>ann</b>@example.com"]);
    assert_eq!(page.all(".title .badge"), ["Clicked"]);
    assert!(page.all(".facts dd").iter().any(|value| value.starts_with(ODD_ID)));
    // not the link but the browser says which list it stands in
    let back = page.attributes("a[rel=up]", "href").pop().unwrap();
    assert!(!href.contains('?') && back.starts_with("/below/deliveries?recipient=%3Cb%3Eann"), "{href}, {back}");
    let page = site.get_from(href, "/below/campaigns?recipient=x").await;
    assert!(page.attributes("a[rel=up]", "href")[0].starts_with("/below/deliveries#r"));
    let found = site.get("/below/search?q=a%2Fb%3Dc-d_e%3Ff%23g%252F").await;
    assert_eq!((found.status, &*found.headers[4]), (StatusCode::SEE_OTHER, href.as_str()));
}

#[actix_web::test]
async fn a_delivery_tells_its_story() {
    let site = Site::new(&events());
    let page = site.get("/below/deliveries/a%2Fb%3Dc-d_e%3Ff%23g%252F").await;
    let answer = &page.all(".answer")[0];
    assert!(answer.starts_with("Accepted by the provider at "), "{answer}");
    assert!(answer.ends_with(" UTC and delivered 1 min later; opened 9 min later; clicked 10 min later."), "{answer}");
    assert_eq!(page.all(".timeline strong"), ["Sent", "Delivered", "Opened", "Opened", "Clicked", "strange"]);
    assert_eq!(
        page.all(".timeline .detail"),
        ["Status unchanged: Opened already.", "Status unchanged: this metric has no place in it."]
    );
    assert_eq!(page.all(".timeline .href"), ["javascript:alert(1)"]);
    assert!(page.attributes(".timeline a", "href").is_empty());
    assert_eq!(page.all(".received")[0], "received 2.7 s later");
    assert_eq!(page.all(".raw pre").len(), 6);
}

#[actix_web::test]
async fn what_a_person_did_is_told_before_what_a_machine_did() {
    let mut events =
        vec![event("m", "sent", 50, "email"), event("m", "opened", 49, "email"), event("m", "opened", 30, "email")];
    events[1].flags.machine = Some(true);
    let only_machine = Site::new(&events[..2]).get("/below/deliveries/m").await;
    assert!(only_machine.all(".answer")[0].ends_with("; opened 1 min later, by a machine only."));
    let both = Site::new(&events).get("/below/deliveries/m").await;
    assert!(both.all(".answer")[0].ends_with("; opened 20 min later."), "{:?}", both.all(".answer"));
}

#[actix_web::test]
async fn a_push_says_how_each_device_fared() {
    let site = Site::new(&events());
    let page = site.get("/below/deliveries/push-1").await;
    assert_eq!(page.all(".title .badge"), ["Sent"]);
    assert_eq!(page.all(".plain tbody .badge"), ["Sent", "Bounced"]);
    assert!(page.all(".answer")[0].contains("1 of 2 devices bounced"));
}

#[actix_web::test]
async fn a_long_reason_is_cut_in_the_sentence_alone() {
    let mut bounced = event("long-1", "bounced", 3, "email");
    bounced.reason = Some("x".repeat(900).into());
    let site = Site::new(&[bounced]);
    let page = site.get("/below/deliveries/long-1").await;
    assert!(page.all(".answer")[0].chars().count() < 320);
    assert!(page.all(".standing .reason")[0].len() == 900);
}

#[actix_web::test]
async fn marks_are_explained_where_they_stand() {
    let mut opened = event("m-1", "opened", 4, "email");
    opened.flags.synthetic = Some(true);
    let mut machine = event("m-1", "opened", 3, "email");
    machine.flags.machine = Some(true);
    let site = Site::new(&[event("m-1", "sent", 5, "email"), opened, machine]);
    let page = site.get("/below/deliveries/m-1").await;
    assert_eq!(page.all(".timeline .mark"), ["implied", "machine"]);
    assert_eq!(page.all(".marks dt"), ["implied", "machine"]);
    assert!(page.all(".marks dd")[0].contains("inferred from a click"));
    let campaign = site.get("/below/campaigns/campaign/3").await;
    assert!(campaign.all(".figures td:last-child").contains(&"0 human, 1 automated, 1 implied, 2 total".to_owned()));
}
