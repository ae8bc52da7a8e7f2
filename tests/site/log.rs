//! The log: its size, what words find, new deliveries, and the neighbours of a delivery.

use std::io::Read;

use actix_web::{App, test};
use flate2::read::GzDecoder;
use waybill::domain::{Attribute, Channel, Event, Metric};

use super::{Answer, Site, event, events};

/// The bytes on the wire of a first visit: the page, its style sheet, its script and its icon.
async fn weight(site: &Site, path: &str) -> usize {
    let page = site.get(path).await;
    assert_eq!(page.all("a.row").len(), 50, "{path}");
    let assets = [("link[rel=stylesheet]", "href"), ("script", "src"), ("link[rel=icon]", "href")];
    let mut files = vec![path.to_owned()];
    files.extend(assets.iter().flat_map(|(selector, name)| page.attributes(selector, name)));
    assert_eq!(files.len(), 4);
    let app = test::init_service(App::new().service(site.scope())).await;
    let mut bytes = 0;
    for file in files {
        let request = test::TestRequest::get().uri(&file).insert_header(("Accept-Encoding", "gzip"));
        let body = test::call_and_read_body(&app, request.to_request()).await;
        let mut text = String::new();
        GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert!(text.len() > body.len() || file.ends_with(".svg"), "{file}");
        bytes += body.len();
    }
    bytes
}

/// A large page: each status on each channel in the sidebar, and rows with long text.
fn heavy() -> Vec<Event> {
    let mut events = Vec::new();
    for channel in Channel::ALL {
        for metric in Metric::ALL {
            events.push(event(&format!("{channel:?}-{metric:?}"), metric.name(), 5_000, channel.name()));
        }
    }
    for i in 0..120i64 {
        let problem = ["bounced", "failed", "suppressed"][i as usize % 3];
        for (metric, ago) in [("sent", i + 3), ("opened", i + 2), (problem, i + 1)] {
            let mut event = event(&format!("dgS_ugcCAaIAfT-Qnx6cT6-AWek{i}="), metric, ago, "email");
            event.flags.machine = Some(true);
            let recipient = format!("somebody.with.a.name+{i}@mail.example.com");
            let subject = format!("{i}: the rather long subject of a message, {}", "really ".repeat(30));
            event.attributes.set(Attribute::Recipient, Some(&recipient));
            event.attributes.set(Attribute::Subject, Some(&subject));
            let reason = format!("550 5.1.{} The account that you tried to reach does not exist. ", i % 9);
            event.reason = (metric == problem).then(|| reason.repeat(9).into());
            events.push(event);
        }
    }
    events
}

#[actix_web::test]
async fn a_page_of_the_log_is_light() {
    let bytes = weight(&Site::new(&events()), "/below/deliveries").await;
    assert!(bytes < 24_500, "{bytes} bytes");
    let site = Site::new(&heavy());
    for query in [
        "",
        "?source=campaign:3&channel=email",
        "?status=bounced&status=failed&status=suppressed&status=opened&since=30d",
        "?reason=*&channel=email&source=campaign:3&ever=sent&-channel=sms&status=-drafted&until=2100-01-01&words=example",
    ] {
        let bytes = weight(&site, &format!("/below/deliveries{query}")).await;
        assert!(bytes < 28_000, "{query}: {bytes} bytes");
    }
}

#[actix_web::test]
async fn words_lead_to_recipients_and_subjects() {
    let site = Site::new(&events());
    let found = |words: &'static str| {
        let site = &site;
        async move { site.get(&format!("/below/search?q={words}")).await.headers[4].clone() }
    };
    let scripts = found("alert%281").await;
    assert_eq!(scripts, "/below/deliveries?words=alert%281");
    let log = site.get(&scripts).await;
    assert_eq!((log.all("a.row").len(), log.attributes("#q", "value")), (1, vec!["alert(1".to_owned()]));
    assert_eq!(found("channel:email+-subject:alert").await, "/below/deliveries?channel=email&-subject=alert");
    for query in ["domain=example.com", "recipient=*@EXAMPLE.com", "-domain=example.org&ever=clicked"] {
        let log = site.get(&format!("/below/deliveries?{query}")).await;
        assert_eq!(log.all(".head .total"), ["1 delivery"], "{query}");
    }
    assert_eq!(
        found("to:*@example.com+status:clicked").await,
        "/below/deliveries?recipient=*@example.com&status=clicked"
    );
    assert_eq!(found("domain:example.com").await, "/below/deliveries?domain=example.com");
    let log = site.get("/below/deliveries?channel=email&-subject=alert").await;
    assert_eq!(log.all(".head .total"), ["120 deliveries"]);
    assert_eq!(log.all(".chips .key + bdi"), ["Email", "alert"]);
}

#[actix_web::test]
async fn new_deliveries_are_counted() {
    let site = Site::new(&events());
    let ask = |page: &Answer| page.attributes("[data-newer]", "data-newer").pop();
    let newest = site.get("/below/deliveries").await;
    let url = ask(&newest).unwrap();
    assert_eq!(site.get(&url).await.json(), serde_json::json!({ "newer": 0, "more": false }));
    let second = site.get(&newest.attributes(".pager a[rel=next]", "href")[0]).await;
    assert_eq!(ask(&second), None, "a page further on stays as it is");
    let all = url.split('?').next().unwrap();
    assert_eq!(site.get(all).await.json(), serde_json::json!({ "newer": 99, "more": true }));
    let failed = site.get("/below/deliveries?status=failed").await;
    assert_eq!(ask(&failed).unwrap(), "/below/newer.json?status=failed");
    assert_eq!(site.get("/below/newer.json?status=failed").await.json()["newer"], 0);
    assert_eq!(site.get("/below/newer.json?ever=bounced").await.json()["newer"], 1);
}

#[actix_web::test]
async fn a_page_beyond_the_end_says_so() {
    let site = Site::new(&events());
    let page = site.get("/below/deliveries?channel=email&before=1.1").await;
    assert_eq!(page.all(".empty h2"), ["End of the list"]);
    assert_eq!(page.attributes(".empty .button", "href"), ["/below/deliveries?channel=email"]);
}

#[actix_web::test]
async fn a_delivery_has_neighbours_in_the_list_it_was_opened_from() {
    let site = Site::new(&events());
    let log = site.get("/below/deliveries?channel=email").await;
    let rows = log.attributes("a.row", "href");
    let beside = |page: &Answer, rel: &str| {
        page.attributes(&format!(".pager a[rel={rel}]"), "href")
            .pop()
            .map(|it| it.split('?').next().unwrap().to_owned())
    };
    let path = |row: &String| Some(row.split('?').next().unwrap().to_owned());
    let mut page = site.get_from(&rows[1], "/below/deliveries?channel=email").await;
    assert_eq!((beside(&page, "prev"), beside(&page, "next")), (path(&rows[0]), path(&rows[2])));
    assert_eq!(page.all("a[rel=up]"), ["Deliveries: Email"]);
    for _ in 0..2 {
        page = site.get(&page.attributes(".pager a[rel=next]", "href")[0]).await;
    }
    // back to the list, which begins with this row
    let back = page.attributes("a[rel=up]", "href").pop().unwrap();
    let (list, row) = back.split_once('#').unwrap();
    let list = site.get(list).await;
    assert_eq!(
        (list.attributes("a.row", "id")[0].as_str(), path(&list.attributes("a.row", "href")[0])),
        (row, path(&rows[3]))
    );
    // and on until the first, whatever page of the list that is on
    for i in (0..3).rev() {
        page = site.get(&page.attributes(".pager a[rel=prev]", "href")[0]).await;
        let back = page.attributes("a[rel=up]", "href").pop().unwrap();
        let (list, row) = back.split_once('#').unwrap();
        assert!(site.get(list).await.attributes("a.row", "id").contains(&row.to_owned()), "{i}: {back}");
    }
    assert_eq!(beside(&page, "prev"), None);
    assert_eq!(page.all(".others a.row").len(), 5);
}

#[actix_web::test]
async fn problems_have_their_top_reasons_beside_them() {
    let mut events = events();
    for i in 0..3 {
        let mut failed = event(&format!("f-{i}"), "failed", 3, "sms");
        failed.reason = Some(if i == 0 { "no route" } else { "switched off" }.into());
        events.push(failed);
    }
    let site = Site::new(&events);
    assert!(site.get("/below/deliveries").await.all(".rail h2").iter().all(|title| !title.starts_with("Top reasons")));
    for query in ["status=failed&status=bounced", "ever=failed&channel=sms", "reason=*"] {
        let page = site.get(&format!("/below/deliveries?{query}")).await;
        let first = page.attributes(".choices a[href*='reason=switched']", "href").pop().unwrap();
        let log = site.get(&first).await;
        assert_eq!(log.all(".head .total"), ["2 deliveries"], "{query}");
        assert!(log.attributes(".choices a[href*='reason=']", "href").iter().all(|href| !href.contains("no%20route")));
    }
}

#[actix_web::test]
async fn events_are_filtered_as_deliveries_are() {
    let site = Site::new(&events());
    let page = site.get("/below/events").await;
    for title in ["Sent", "Bounced"] {
        let titles = page.all(".rail .choices li");
        let said = titles.iter().find(|it| it.starts_with(title)).unwrap();
        let href = page.attributes(&format!(".rail a[href*='metric={}']", title.to_lowercase()), "href").pop().unwrap();
        let narrowed = site.get(&href).await;
        let total = narrowed.all(".head .total").remove(0);
        assert_eq!(format!("{title}{}", total.split(' ').next().unwrap()), *said);
        // and once more by a channel, which says how many
        let channels = narrowed.all(".rail .choices li");
        let push = channels.iter().find_map(|it| it.strip_prefix("Push")).unwrap();
        let href = narrowed.attributes(".rail a[href*='channel=push']", "href").pop().unwrap();
        assert_eq!(site.get(&href).await.all(".head .total")[0].split(' ').next(), Some(push), "{href}");
    }
    let opened = site.get("/below/events?metric=opened&by=human").await;
    assert_eq!(opened.all(".rail a[aria-current]"), ["Opened", "Human"]);
    let machine = opened.attributes(".rail a[href*='by=machine']", "href").pop().unwrap();
    assert_eq!(machine, "/below/events?metric=opened&by=machine");
}

#[actix_web::test]
async fn totals_without_stored_counts_stop_at_a_thousand() {
    let mut events = Vec::new();
    for i in 0..1_001 {
        let mut one = event(&format!("n-{i}"), "failed", 5, "email");
        one.reason = Some(if i == 0 { "odd" } else { "same" }.into());
        events.push(one);
    }
    let site = Site::new(&events);
    for (query, said) in [
        ("", "1,001 deliveries"),
        ("?reason=odd", "1 delivery"),
        ("?reason=same", "1,000 deliveries"),
        ("?reason=%2A", "more than 1,000 deliveries"),
        ("?since=24h", "1,001 deliveries"),
        ("?outcome=failed&channel=email", "1,001 deliveries"),
    ] {
        assert_eq!(site.get(&format!("/below/deliveries{query}")).await.all(".head .total"), [said], "{query}");
    }
    assert_eq!(site.get("/below/deliveries.json?reason=%2A").await.json()["total"], serde_json::Value::Null);
}
