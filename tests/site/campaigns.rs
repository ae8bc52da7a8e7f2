//! One source.

use super::*;

#[actix_web::test]
async fn failure_reasons_are_grouped() {
    let mut events = Vec::new();
    for (n, reason) in ["mailbox full", "550 no such user", "mailbox full"].iter().enumerate() {
        let mut bounced = event(&format!("b-{n}"), "bounced", 5 + n as i64, "email");
        bounced.reason = Some((*reason).into());
        events.push(bounced);
    }
    let site = Site::new(&events);
    let page = site.get("/below/campaigns/campaign/3").await;
    assert_eq!(page.all(".reasons .figures tbody tr"), ["mailbox full2", "550 no such user1"]);
    assert_eq!(
        page.attributes(".reasons .figures a", "href")[0],
        "/below/deliveries?source=campaign:3&reason=mailbox%20full"
    );
    assert_eq!(page.all(".reasons a.row").len(), 3);
    let json = site.get("/below/campaigns/campaign/3.json").await.json();
    assert_eq!(json["failure_reasons"]["reasons"][0]["deliveries"], 2);
}

#[actix_web::test]
async fn a_series_goes_by_a_time_zone() {
    let site = Site::new(&events());
    let page = site.get("/below/campaigns/campaign/3?by=month&zone=asia/kolkata&time=event").await;
    assert!(page.text.contains("Grouped by event date (Asia/Kolkata)"));
    assert_eq!(page.all(".chart thead th")[0], "month (Asia/Kolkata)");
    assert_eq!(page.attributes("input[list=zones]", "value"), ["Asia/Kolkata"]);
    let refused = site.get("/below/campaigns/campaign/3?zone=Mars/Olympus").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let json = site.get("/below/campaigns/campaign/3.json?by=day&zone=Asia/Kolkata").await.json();
    assert!(json["series"]["buckets"][0]["since"].as_str().unwrap().ends_with("T18:30:00.000Z"), "{}", json["series"]);
}

#[actix_web::test]
async fn what_does_not_fit_has_an_address() {
    let link = |n: i64| {
        let mut clicked = event("clicks", "clicked", n, "email");
        clicked.href = Some(format!("https://x.test/{n}").into());
        clicked
    };
    let mut events: Vec<Event> = (1..=101).map(link).collect();
    events.push(event("old", "sent", 500 * 60, "email"));
    let site = Site::new(&events);
    let path = "/below/campaigns/campaign/3";
    let (page, json) = (site.get(path).await, site.get(&format!("{path}.json?by=hour")).await.json());
    assert_eq!((page.all(".links tbody tr").len(), json["links"].as_array().unwrap().len()), (100, 100));
    let all = site.get(&page.attributes("a[href*='links=all']", "href")[0]).await;
    assert_eq!(all.all(".links tbody tr").len(), 101);
    assert!(all.attributes("a[href*='links=all'].more", "href").is_empty());
    let all = site.get(json["more_links"].as_str().unwrap()).await.json();
    assert_eq!((all["links"].as_array().unwrap().len(), &all["more_links"]), (101, &serde_json::Value::Null));
    // 400 hours are shown, and the oldest delivery was created before
    let buckets = |json: &serde_json::Value| json["series"]["buckets"].as_array().unwrap().len();
    assert_eq!(buckets(&json), 1);
    let older = json["series"]["older"].as_str().unwrap();
    assert!(older.starts_with("/below/campaigns/campaign/3.json?"), "{older}");
    let older = site.get(older).await.json();
    assert_eq!((buckets(&older), &older["series"]["older"]), (1, &serde_json::Value::Null));
}
