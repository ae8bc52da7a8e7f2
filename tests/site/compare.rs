//! Comparisons of sources.

use super::*;

/// Deliveries of three sources: two of email with different open rates, and one of SMS, which has no opens.
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
async fn sources_are_compared_at_one_age() {
    let site = Site::new(&sources());
    let page = site.get("/below/compare?source=campaign:3&source=campaign:4&source=campaign:5").await;
    assert_eq!(page.all("thead th bdi"), ["Campaign 3", "Campaign 4", "Campaign 5"]);
    // none of the third is seven days old
    assert_eq!(page.all("tbody tr:first-child td"), ["100 deliveries", "100 deliveries", "", "0 deliveries", ""]);
    assert!(page.all(".lead")[0].starts_with("Only deliveries at least 7 days old (created before "));
    let opened = page.all("tbody tr:nth-child(4) td");
    let lower = "-40.0\u{a0}points (-51.2\u{a0}to\u{a0}-26.8)Significantly lower (p\u{a0}<\u{a0}0.01)";
    assert_eq!(opened, ["60.0%60 of 100", "20.0%20 of 100", lower, "not tracked", ""]);
    let links = page.attributes("tbody tr:nth-child(4) a", "href");
    assert!(links[0].starts_with("/below/deliveries?source=campaign:3&until=20"), "{links:?}");
    assert!(links[0].ends_with("&ever=human_opened"), "{links:?}");
    let first = page.attributes(".does a", "href");
    assert!(first[1].starts_with("/below/compare?source=campaign:4&source=campaign:3&source=campaign:5"), "{first:?}");

    let all = site.get("/below/compare?source=campaign:3&source=campaign:5&age=0").await;
    assert_eq!(all.all("tbody tr:first-child td"), ["100 deliveries", "100 deliveries", ""]);
    let same = "0.0\u{a0}points (-3.7\u{a0}to\u{a0}+3.7)No significant difference";
    assert_eq!(all.all("tbody tr:nth-child(3) td")[1..], ["100.0%100 of 100", same]);
    assert_eq!(all.attributes("tbody tr:first-child a", "href")[0], "/below/deliveries?source=campaign:3");
    // the usual age leaves something of every preset
    for (query, lead) in [
        ("since=24h", "Deliveries created: last 24 hours"),
        ("since=7d", "Only deliveries at least 3 days old"),
        ("since=30d", "Only deliveries at least 7 days old"),
        ("since=24h&age=7", "No delivery in this period is 7 days old yet"),
    ] {
        let page = site.get(&format!("/below/compare?source=campaign:3&source=campaign:4&{query}")).await;
        assert!(page.all(".lead")[0].starts_with(lead), "{query}: {:?}", page.all(".lead"));
    }
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
    assert_eq!(sheet.len(), 1 + 2 * 12, "email reports no replies: {sheet:?}");
}

#[actix_web::test]
async fn an_invalid_comparison_says_what_is_valid() {
    let site = Site::new(&sources());
    let many: Vec<String> = (0..5).map(|n| format!("source=campaign:{n}")).collect();
    let many = many
        .join("&")
        .replace("campaign:0", "campaign:3&source=campaign:5")
        .replace("campaign:1", "transactional:9")
        .replace("campaign:2", "broadcast:9");
    assert_eq!(site.get(&format!("/below/compare.json?{many}")).await.status, StatusCode::BAD_REQUEST);
    for (query, status, valid) in [
        ("source=campaign", 400, "campaign:3"),
        ("source=campaign:3&age=2", 400, "0, 1, 3, 7"),
        ("source=campaign:3&source=newsletter:9", 404, "newsletter 9"),
    ] {
        let answer = site.get(&format!("/below/compare?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
        assert!(answer.text.contains(valid), "{query}: {}", answer.text);
    }
    // the same twice is one, and others are offered
    let one = site.get("/below/compare?source=campaign:3&source=campaign:3&age=1").await;
    assert_eq!(one.all("thead th bdi"), ["Campaign 3"]);
    assert_eq!(one.attributes("option", "value"), ["campaign:4", "campaign:5"]);
    assert_eq!(one.attributes(".more-sources input", "value"), ["campaign:3", "1"]);
    assert_eq!(site.get("/below/compare").await.all(".empty h2"), ["Select 2–4 campaigns"]);
}
