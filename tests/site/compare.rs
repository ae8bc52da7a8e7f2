//! Sources side by side.

use super::*;

/// Deliveries of three sources: two of e-mail that are told apart, and one of SMS, which has no opens.
fn sources() -> Vec<Event> {
    let mut events = Vec::new();
    let day = 24 * 60;
    for (source, channel, ago, opened) in
        [("3", "email", 9 * day, 60), ("4", "email", 8 * day, 20), ("5", "sms", 2 * day, 0)]
    {
        for n in 0..100 {
            let mut one = |metric: &str, ago: i64| {
                let mut event = event(&format!("{source}-{n}"), metric, ago, channel);
                event.attributes.set(SourceKind::Campaign.attribute(), Some(source));
                events.push(event);
            };
            one("sent", ago);
            one("delivered", ago - 1);
            if n < opened {
                one("opened", ago - 2);
            }
        }
    }
    events
}

#[actix_web::test]
async fn sources_stand_side_by_side_at_one_age() {
    let site = Site::new(&sources());
    let page = site.get("/below/compare?source=campaign:3&source=campaign:4&source=campaign:5").await;
    assert_eq!(page.all("thead th bdi"), ["Campaign 3", "Campaign 4", "Campaign 5"]);
    // none of the third is seven days old
    assert_eq!(page.all("tbody tr:first-child td"), ["100 deliveries", "100 deliveries", "0 deliveries"]);
    assert!(page.all(".lead")[0].starts_with("Deliveries that are at least 7 days old (created before "));
    let opened = page.all("tbody tr:nth-child(4) td");
    assert_eq!(opened[0], "60.0%60 of 100 delivered");
    assert_eq!(opened[1], "20.0%20 of 100 deliveredvery likely lower-40.0 points (-51.2 to -26.8)");
    assert_eq!(opened[2], "not tracked");
    let links = page.attributes("tbody tr:nth-child(4) a", "href");
    assert!(
        links[0].starts_with("/below/deliveries?source=campaign:3&until=20")
            && links[0].ends_with("&ever=human_opened")
    );
    // the other way round
    // every preset of time has an answer
    for span in ["24h", "7d", "30d"] {
        let path = format!("/below/compare?source=campaign:3&source=campaign:4&since={span}");
        let lead = site.get(&path).await.all(".lead").remove(0);
        assert!(lead.contains("with all that became of them until now"), "{span}: {lead}");
    }
    let first = page.attributes(".does a", "href");
    assert!(first[1].starts_with("/below/compare?source=campaign:4&source=campaign:3&source=campaign:5"), "{first:?}");

    let all = site.get("/below/compare?source=campaign:3&source=campaign:5&age=0").await;
    assert_eq!(all.all("tbody tr:first-child td"), ["100 deliveries", "100 deliveries"]);
    assert_eq!(all.all("tbody tr:nth-child(3) td")[1], "100.0%100 of 100 sentcould be chance0.0 points (-3.7 to +3.7)");
    assert_eq!(all.attributes("tbody tr:first-child a", "href")[0], "/below/deliveries?source=campaign:3");
    let empty = site.get("/below/compare?source=campaign:3&source=campaign:4&since=24h&age=7").await;
    assert!(empty.all(".lead")[0].starts_with("No delivery of the time that is chosen is 7 days old yet"));
}

#[actix_web::test]
async fn a_comparison_has_twins() {
    let site = Site::new(&sources());
    let query = "source=campaign:3&source=campaign:4";
    let json = site.get(&format!("/below/compare.json?{query}")).await.json();
    let opened = |i: usize| {
        let rates = json["sources"][i]["rates"].as_array().unwrap();
        rates.iter().find(|rate| rate["metric"] == "human_opened").unwrap().clone()
    };
    assert_eq!((&opened(0)["share"], &opened(0)["difference"]), (&0.6.into(), &serde_json::Value::Null));
    assert_eq!(opened(1)["sureness"], "very_likely");
    assert_eq!((json["age_days"].as_i64(), json["since"].as_str()), (Some(7), None));
    let sheet = site.get(&format!("/below/compare.csv?{query}&age=0")).await.records();
    assert_eq!(sheet.len(), 1 + 2 * 12, "no replies to an e-mail: {sheet:?}");
}

#[actix_web::test]
async fn what_cannot_stand_side_by_side_is_said() {
    let site = Site::new(&sources());
    let many: Vec<String> = (0..5).map(|n| format!("source=campaign:{n}")).collect();
    for (query, status, said) in [
        (&*many.join("&"), 400, "two to four"),
        ("source=campaign", 400, "whole kind"),
        ("source=campaign:3&age=2", 400, "0, 1, 3, 7"),
        ("source=campaign:3&source=newsletter:9", 404, "newsletter 9"),
    ] {
        let answer = site.get(&format!("/below/compare?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
        assert!(answer.text.contains(said), "{query}: {}", answer.text);
    }
    // the same twice is one, and one is offered others
    let one = site.get("/below/compare?source=campaign:3&source=campaign:3&age=1").await;
    assert_eq!(one.all("thead th bdi"), ["Campaign 3"]);
    assert_eq!(one.attributes("option", "value"), ["campaign:4", "campaign:5"]);
    assert_eq!(one.attributes(".more-sources input", "value"), ["campaign:3", "1"]);
    assert!(site.get("/below/compare").await.all(".empty h2")[0].contains("Nothing is chosen"));
}

#[actix_web::test]
async fn reasons_stand_beside_the_newest_problems() {
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
async fn a_series_goes_by_the_clock_of_a_place() {
    let site = Site::new(&events());
    let page = site.get("/below/campaigns/campaign/3?by=month&zone=asia/kolkata&time=event").await;
    assert!(page.text.contains("Events by when they happened (Asia/Kolkata)"));
    assert_eq!(page.all(".chart thead th")[0], "month (Asia/Kolkata)");
    assert_eq!(page.attributes("input[list=zones]", "value"), ["Asia/Kolkata"]);
    let refused = site.get("/below/campaigns/campaign/3?zone=Mars/Olympus").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let json = site.get("/below/campaigns/campaign/3.json?by=day&zone=Asia/Kolkata").await.json();
    assert!(json["series"]["buckets"][0]["since"].as_str().unwrap().ends_with("T18:30:00.000Z"), "{}", json["series"]);
}
