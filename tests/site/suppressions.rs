//! The suppression list, and what other pages show of it.

use super::*;

#[actix_web::test]
async fn an_address_on_the_suppression_list_says_so_wherever_it_is() {
    let gone = |delivery: &str, metric: &str, ago: i64, to: &str| {
        let mut event = event(delivery, metric, ago, "email");
        event.attributes.set(Attribute::Recipient, Some(to));
        event.attributes.set(Attribute::PersonId, None);
        event.reason = (metric == "bounced").then(|| "550 5.1.1 <b>User</b> unknown".into());
        event
    };
    let mut device = event("push-9", "bounced", 5, "push");
    device.recipients = vec![Device { device_id: "tok/1".into(), platform: None, reason: Some("Unregistered".into()) }];
    let site = Site::new(&[
        gone("one/1", "bounced", 30, "<b>ann</b>@x.test"),
        gone("two", "sent", 20, "<b>ann</b>@x.test"),
        gone("three", "spammed", 20, "bob@x.test"),
        gone("four", "delivered", 10, "bob@x.test"),
        device,
    ]);
    let list = site.get("/below/suppressions").await;
    assert_eq!(list.all("a.row"), ["tok/1", "bob@x.test", "<b>ann</b>@x.test"]);
    assert_eq!(list.all(".lines .badge"), ["Hard bounce", "Spam complaint", "Hard bounce"]);
    assert_eq!(list.attributes("a.row", "href")[2], "/below/deliveries/one%2F1");
    assert!(list.all(".lines .c-subject")[1].starts_with("Removed"));
    let narrowed = site.get("/below/suppressions?state=listed&channel=email").await;
    assert_eq!(narrowed.all("a.row"), ["<b>ann</b>@x.test"]);
    assert_eq!(site.get("/below/suppressions?address=bob*").await.all("a.row"), ["bob@x.test"]);
    let check = async |address: &str| {
        site.get(&format!("/below/suppressions?address={address}")).await.all(".answer")[0].clone()
    };
    assert_eq!(check("nobody").await, "nobody: Not suppressed. It was never on the list.");
    assert_eq!(check("Bob@x.test").await, "Bob@x.test: Not suppressed");
    assert!(check("tok/1").await.starts_with("tok/1: Suppressed since 20"));
    assert_eq!(site.get("/below/suppressions?address=nobody*").await.all(".empty h2"), ["No address matches"]);
    assert_eq!(list.all(".head .total"), ["3 entries"]);
    assert_eq!(narrowed.all(".head .total"), ["1 entry"]);
    let export = site.get("/below/suppressions.ndjson?state=listed").await.text;
    let addresses: Vec<_> = export
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["address"].as_str().map(String::from)
        })
        .collect();
    assert_eq!(addresses, ["tok/1", "<b>ann</b>@x.test"]);
    assert_eq!(export.lines().last(), Some(r#"{"end":true,"rows":2}"#));
    assert_eq!(site.get("/below/suppressions.csv?all=1").await.records().len(), 4);
    assert_eq!(site.get("/below/suppressions?cause=x").await.status, StatusCode::BAD_REQUEST);

    // without a person too
    let state = async |address: &str| {
        let page = site.get(&format!("/below/people/{address}")).await;
        let json = site.get(&format!("/below/people/{address}.json")).await.json();
        let causes: Vec<_> = json["suppressions"].as_array().unwrap().iter().map(|row| row["cause"].clone()).collect();
        (page.all(".title .line, .note").join(" "), json["suppressed"].clone(), causes)
    };
    let said = |page: &Answer| page.all(".note").join(" ");
    let cause = site.get("/below/deliveries/one%2F1").await;
    assert!(said(&cause).starts_with("Suppressed since"), "{}", said(&cause));
    assert!(said(&cause).contains("(likely)") && said(&cause).ends_with("Caused by this message."));
    assert_eq!(cause.all(".standing .mark"), ["Hard bounce"]);
    assert!(cause.all(".marks dt").contains(&"Hard bounce".to_owned()));
    let other = site.get("/below/deliveries/two").await;
    assert!(other.attributes(".note a", "href").contains(&"/below/deliveries/one%2F1".to_owned()));
    let lifted = site.get("/below/deliveries/four").await;
    assert!(said(&lifted).starts_with("Was suppressed since") && said(&lifted).contains("Removed"));
    let push = site.get("/below/deliveries/push-9").await;
    assert!(said(&push).starts_with("The device tok/1: Suppressed since"), "{}", said(&push));
    assert_eq!(push.all(".plain .mark"), ["Hard bounce"]);
    let log = site.get("/below/deliveries?recipient=bob@x.test&status=failed").await;
    assert!(said(&log).starts_with("Was suppressed since"), "{}", said(&log));

    let (text, suppressed, causes) = state("%3Cb%3Eann%3C%2Fb%3E@x.test").await;
    assert!(
        text.starts_with("Suppressedsince 20")
            && text.contains("<b>ann</b>@x.test: Suppressed since")
            && suppressed == true,
        "{text}"
    );
    assert_eq!(causes, ["hard_bounce"]);
    let (text, suppressed, causes) = state("bob@x.test").await;
    assert!(text.starts_with("Not suppressed bob@x.test: Was suppressed since") && suppressed == false, "{text}");
    assert_eq!(causes, ["spam_complaint"]);
    assert_eq!(state("tok%2F1").await.1, true);
    let nobody = site.get("/below/people/nobody@x.test").await;
    assert!(nobody.status == 404 && nobody.text.contains("it is not suppressed"), "{}", nobody.text);
}
