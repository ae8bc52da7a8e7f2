//! The page of one delivery.

use super::*;

#[actix_web::test]
async fn an_odd_id_is_found_by_its_link() {
    let site = Site::new(&events());
    let list = "/below/deliveries?recipient=%3Cb%3Eann%3C/b%3E%40example.com";
    let log = site.get(list).await;
    assert_eq!(log.all(".lines tbody tr").len(), 1);
    let href = &log.attributes("a.row", "href")[0];
    let page = site.get_from(href, list).await;
    assert_eq!(page.all("h1"), ["<b>ann</b>@example.com"]);
    assert!(page.all(".facts dd").iter().any(|value| value.starts_with(ODD_ID)));
    // the Referer, not the link, names the list
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
    assert_eq!(page.all(".title .badge"), ["Clicked"]);
    let answer = &page.all(".answer")[0];
    assert!(answer.starts_with("Accepted by the provider at "), "{answer}");
    assert!(answer.ends_with(" UTC and delivered 1 min later; opened 9 min later; clicked 10 min later."), "{answer}");
    assert_eq!(page.all(".timeline strong"), ["Sent", "Delivered", "Opened", "Opened", "Clicked", "strange"]);
    assert_eq!(page.all(".timeline .detail"), ["Status stays Opened.", "Doesn't affect the status."]);
    assert_eq!(page.all(".timeline .href"), ["javascript:alert(1)"]);
    assert!(page.attributes(".timeline a", "href").is_empty());
    assert_eq!(page.all(".received")[0], "received 2.7 s later");
    assert_eq!(page.all(".raw pre").len(), 6);
}

#[actix_web::test]
async fn opens_by_people_come_before_automated_ones() {
    let mut events = ["sent", "opened", "opened"].map(|metric| event("m", metric, 50, "email"));
    let at = |minutes_ago| event("m", "opened", minutes_ago, "email");
    (events[1], events[2]) = (at(49), at(30));
    events[1].flags.machine = Some(true);
    let automated = Site::new(&events[..2]).get("/below/deliveries/m").await;
    assert!(automated.all(".answer")[0].ends_with("; opened 1 min later (automated)."));
    let both = Site::new(&events).get("/below/deliveries/m").await;
    assert!(both.all(".answer")[0].ends_with("; opened 20 min later."), "{:?}", both.all(".answer"));
}

#[actix_web::test]
async fn a_push_has_an_outcome_on_each_device() {
    let site = Site::new(&events());
    let page = site.get("/below/deliveries/push-1").await;
    assert_eq!(page.all(".title .badge"), ["Sent"]);
    assert_eq!(page.all(".plain tbody .badge"), ["Sent", "Bounced"]);
    assert!(page.all(".answer")[0].contains("1 of 2 devices bounced"));
    assert!(page.all(".timeline .detail").contains(&"Status stays Sent, the best result of its devices.".to_owned()));
}

#[actix_web::test]
async fn a_long_reason_is_cut_in_the_sentence_only() {
    let mut events = ["sent", "bounced"].map(|metric| event("long-1", metric, 5, "email"));
    // each reads the clock
    events[1].time.ms = events[0].time.ms + 2 * 60_000;
    events[1].reason = Some("x".repeat(900).into());
    let site = Site::new(&events);
    let page = site.get("/below/deliveries/long-1").await;
    let answer = &page.all(".answer")[0];
    assert!(answer.starts_with("Bounced 2 min after sending (") && answer.chars().count() < 320, "{answer}");
    assert!(page.all(".standing .reason")[0].len() == 900);
}

#[actix_web::test]
async fn marks_have_a_legend() {
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

#[actix_web::test]
async fn beyond_500_events_a_delivery_links_to_all() {
    let opened = |n| event("hot", "opened", n, "email");
    let site = Site::new(&(0..502).map(opened).chain([event("cool", "sent", 9, "email")]).collect::<Vec<_>>());
    let page = site.get("/below/deliveries/hot").await;
    assert_eq!(page.all(".timeline li").len(), 500);
    let all = page.attributes("main .note a", "href").pop().unwrap();
    assert_eq!(site.get(&all).await.all(".head .total"), ["502 events"]);
    let json = site.get("/below/deliveries/hot.json").await.json();
    assert_eq!(json["timeline"].as_array().unwrap().len(), 500);
    assert_eq!(json["next"], "/below/events.json?delivery_id=hot");
    let (mut next, mut rows) = (json["next"].as_str().map(str::to_owned), 0);
    while let Some(address) = next {
        let list = site.get(&address).await.json();
        rows += list["rows"].as_array().unwrap().len();
        next = list["older"].as_str().map(str::to_owned);
    }
    assert_eq!(rows, 502);
    let csv = site.get("/below/deliveries/hot.csv").await;
    assert_eq!(csv.records().len(), 501);
    assert_eq!(csv.headers[5], "</below/events.csv?delivery_id=hot>; rel=\"next\"");
    let cool = site.get("/below/deliveries/cool.json").await;
    assert!(cool.json()["next"].is_null() && cool.headers[5].is_empty());
}

#[actix_web::test]
async fn what_was_changed_or_dropped_is_shown() {
    let mut sent = event("m-2", "sent", 5, "email");
    sent.attributes.set(Attribute::Recipient, Some("ana@x.test"));
    sent.attributes.set(Attribute::RecipientRaw, Some("Ana <ANA@x.test>"));
    sent.time.clock_skew_ms = -(3 * 60 + 2) * 60_000;
    let site = Site::new(&[sent, event("m-2", "delivered", 4, "email")]);
    let file = rusqlite::Connection::open(site.readers.path()).unwrap();
    assert_eq!(file.execute("DELETE FROM event_bodies WHERE id = 1", []).unwrap(), 1);
    let page = site.get("/below/deliveries/m-2").await;
    assert_eq!(page.all(".timeline .mark"), ["clock corrected by 3 h 2 min"]);
    assert!(page.all(".facts dd").iter().any(|value| value.starts_with("Ana <ANA@x.test>")));
    assert_eq!(page.all(".raw h2 .n"), ["1 of 2"]);
    assert!(page.all(".raw p")[0].ends_with("no longer kept."));
    let log = site.get("/below/deliveries?recipient=ANA%40x.test").await;
    assert_eq!(log.all(".lines tbody tr").len(), 1);
}
