//! The filters of the lists: their parameters, their chips, and the language of the search box.

use super::*;

/// Where the search box leads: the parameters of the log, another page, or the error.
async fn search(site: &Site, words: &str) -> String {
    let words: String = words.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = site.get(&format!("/below/search?q={words}")).await;
    match answer.headers[4].strip_prefix("/below/") {
        Some(to) => to.strip_prefix("deliveries?").unwrap_or(to).replace("%20", " "),
        None => answer.all(".empty h1, .empty > p").join(" "),
    }
}

#[actix_web::test]
async fn operators_and_words_make_a_filter() {
    let site = Site::new(&events());
    let connection = rusqlite::Connection::open(site.readers.path()).unwrap();
    connection
        .execute_batch(
            "INSERT INTO source_names (source_kind, source_id, name) VALUES ('campaign', '3', 'Spring News')",
        )
        .unwrap();
    for (words, parameters) in [
        ("status:bounced to:a@b.c", "status=bounced&recipient=a@b.c"),
        ("to:smith status:sent", "recipient=*smith*&status=sent"),
        ("-to:+1555 to:ann*", "-recipient=%2B1555&recipient=ann*"),
        ("to:*@example.net -domain:example.org", "recipient=*@example.net&-domain=example.org"),
        ("domain:example.net", "domain=example.net"),
        ("newsletter:3 ever:opened", "source=newsletter:3&ever=opened"),
        ("ever:opened -status:clicked", "ever=opened&status=-clicked"),
        ("subject:\"spring sale\" -subject:test", "subject=spring sale&-subject=test"),
        ("status:bounced tom -\"last call\"", "status=bounced&words=tom&-words=last call"),
        ("basket -spring", "words=basket&-words=spring"),
        ("-campaign:3", "-source=campaign:3"),
        ("-channel:sms -person:7 -ever:opened", "-channel=sms&-person=7&-ever=opened"),
        ("STATUS:sent", "status=sent"),
        ("before:2026-11-01 after:2026-10-01", "until=2026-10-31&since=2026-10-01"),
        ("before:2026-11-01T00", "until=2026-10-31T23"),
        ("before:2026-11-01T14", "until=2026-11-01T13"),
        ("before:2026-11-01T14:00:00Z", "until=2026-11-01T14:00:00Z"),
        ("subject:\"id:3\"", "subject=id:3"),
        ("alert(1", "words=alert%281"),
        ("id:a/b=", "deliveries/a%2Fb%3D"),
        ("campaign:3", "campaigns/campaign/3"),
        ("campaign:\"Spring News\"", "campaigns/campaign/3"),
        ("campaign:\"spring news\" status:sent,bounced", "source=campaign:3&status=sent&status=bounced"),
        ("status:sent -status:bounced,failed", "status=sent&status=-bounced&status=-failed"),
        ("reason:token channel:push,sms", "reason=*token*&channel=push&channel=sms"),
        ("after:yesterday before:today", "since=yesterday&until=yesterday"),
        ("nobody@example.net", "recipient=nobody@example.net"),
        ("campaign 3", "campaigns/campaign/3"),
    ] {
        assert_eq!(search(&site, words).await, parameters, "{words}");
    }
    for words in ["urn:example:thing", "\"status\" 5\" disk", "+1 -555-1234"] {
        assert!(search(&site, words).await.starts_with("Nothing found"), "{words}");
    }
}

#[actix_web::test]
async fn a_wrong_search_says_what_is_possible() {
    let site = Site::new(&events());
    for (words, part) in [
        ("staus:bounced", "Did you mean “status:”"),
        ("status:sent chanel:sms", "Did you mean “channel:”"),
        ("status:sent colour:red", "Unknown operator “colour:”. Use to:, domain:, subject:"),
        ("status:", "status:bounced"),
        ("status:bouncy", "Unknown value status=bouncy."),
        ("before:soon", "“before:soon” is no time"),
        ("-after:2026-11-01", "“before:”"),
        ("id:a status:sent", "cannot be combined"),
        ("to:a to:b", "one value only"),
        ("campaign:Autumn", "No campaign has the ID or name “Autumn”"),
        ("before:yesterday", "is no time"),
        ("subject:\"open", "not closed"),
    ] {
        let error = search(&site, words).await;
        assert!(error.starts_with("Search syntax error ") && error.contains(part), "{words}: {error}");
    }
    let wrong = site.get("/below/search?q=status%3Abouncy").await;
    assert!(wrong.attributes("#q", "value").contains(&"status:bouncy".to_owned()));
}

#[actix_web::test]
async fn the_search_box_of_a_list_holds_its_filter() {
    let site = Site::new(&events());
    for words in [
        "status:bounced to:a@b.c",
        "to:smith -to:ann* ever:opened domain:example.net",
        "to:*@example.net",
        "subject:\"spring sale\" -subject:test tom -\"last call\"",
        "-campaign:3 -status:clicked since:2026-10-01 until:2026-10-31",
        "ever:opened \"a:b\" \"-c\"",
    ] {
        let list = site.get(&format!("/below/deliveries?{}", search(&site, words).await.replace(' ', "+"))).await;
        assert_eq!(list.attributes("#q", "value"), [words]);
    }
    for parameters in ["outcome=sent", "recipient=tok-1"] {
        assert_eq!(site.get(&format!("/below/deliveries?{parameters}")).await.attributes("#q", "value"), [""]);
    }
}

/// Keys and values of the chips.
fn chips(page: &Answer) -> String {
    page.all(".chips .without").join(", ")
}

#[actix_web::test]
async fn a_filter_has_chips() {
    let site = Site::new(&events());
    for (parameters, expected) in [
        ("status=bounced&status=-opened&channel=email", "Status Bounced, Status not Opened, Channel Email"),
        ("source=campaign:3&recipient=a%2Bb@c.d&ever=opened", "Campaign Campaign 3, To a+b@c.d, Ever Opened"),
        ("source=broadcast&action_id=&content_id=7", "Campaign Every broadcast, Action none, Content 7"),
        ("trigger_id=9&outcome=bounced&outcome=none", "Trigger 9, Outcome Bounced, Outcome None"),
        (
            "engagement=clicked&reason=*&link=x.test&by=human",
            "Engagement Clicked, Reason any, Link x.test, by a person",
        ),
        ("recipient=*@x.test&domain=@X.test", "To @x.test, Domain @X.test"),
        ("words=tom&subject=Sale&delivery_id=d", "Contains tom, Subject Sale, Delivery d"),
        ("-channel=sms&-source=campaign:3&-ever=opened", "Not channel SMS, Not campaign Campaign 3, Never Opened"),
    ] {
        let page = site.get(&format!("/below/deliveries?{parameters}")).await;
        assert_eq!(chips(&page), expected, "{parameters}: {}", page.text);
    }
    let page = site.get("/below/deliveries?-channel=sms&words=x").await;
    assert_eq!(page.all("title"), ["Not channel SMS, x · Deliveries · Waybill"]);
    let page =
        site.get("/below/events?source=campaign:3&metric=opened&by=implied&from=2026-11-21T09&to=2026-11-21T09").await;
    assert!(chips(&page).starts_with("Campaign Campaign 3, Event Opened, By implied, Happened "), "{}", chips(&page));
}

#[actix_web::test]
async fn an_invalid_filter_says_what_is_possible() {
    let site = Site::new(&events());
    let many: Vec<String> = (0..90).map(|i| format!("channel=c{i}")).collect();
    let long = format!("recipient={}", "x".repeat(2_001));
    for (list, parameters, part) in [
        ("deliveries", "status=bouncy", "bounced"),
        ("deliveries", "source=3", "campaign:3"),
        ("deliveries", "-source=3", "campaign:3"),
        ("deliveries", "ever=never", "human_opened"),
        ("deliveries", "-ever=never", "human_opened"),
        ("deliveries", "outcome=clicked", "bounced"),
        ("deliveries", "engagement=sent", "clicked"),
        ("deliveries", "before=x", "position"),
        ("deliveries", "since=soon", "24h"),
        ("deliveries", "by=human", "link"),
        ("deliveries", "domain=@", "one domain"),
        ("deliveries", "domain=x.test&recipient=*@y.test", "one domain"),
        ("deliveries", "status=sent&status=-sent", "No status is left"),
        ("deliveries", "staus=bounced", "Unknown parameter staus. Did you mean status?"),
        ("deliveries/sms-1", "staus=bounced", "Did you mean status?"),
        ("deliveries", "-status=sent", "-status"),
        ("deliveries", "seen=3", "seen"),
        ("deliveries", "source=campaign:3&source=campaign:4", "one value only"),
        ("deliveries", &many.join("&"), "more than 64 filters"),
        ("deliveries", &long, "longer than"),
        ("campaigns", "kinds=newsletter", "Did you mean kind?"),
        ("campaigns/campaign/3", "untl=2026-01-01", "Did you mean until?"),
        ("compare", "sources=campaign:3", "Did you mean source?"),
        ("suppressions", "stat=listed", "Did you mean state?"),
        ("quarantine", "reson=bad_time", "Did you mean reason?"),
        ("events", "metrc=opened", "Unknown parameter metrc. Did you mean metric?"),
        ("events", "by=nobody", "human, machine or implied"),
        ("events", "once=2", "once=1"),
        ("events", "before=1.1.7.x00", "newest"),
        ("events", "before=1.1.7.b%C3%A9", "newest"),
    ] {
        let answer = site.get(&format!("/below/{list}?{parameters}")).await;
        let text = &answer.all("main")[0];
        assert!(answer.status == StatusCode::BAD_REQUEST && text.contains(part), "{parameters}: {text}");
    }
    assert_eq!(
        site.get(&format!("/below/deliveries?{}", vec!["channel=email"; 90].join("&"))).await.status,
        StatusCode::OK
    );
}

#[actix_web::test]
async fn an_unknown_address_gets_a_straight_answer() {
    let mut known = event("d1", "sent", 5, "email");
    known.attributes.set(Attribute::Recipient, Some("noor@example.com"));
    let mut sms = event("d2", "sent", 5, "sms");
    sms.attributes.set(Attribute::Recipient, Some("+15551012235"));
    let site = Site::new(&[known, sms]);
    let page = site.get("/below/deliveries?recipient=nooor@example.com").await;
    assert_eq!(page.all(".empty h2"), ["No deliveries to this address"]);
    let text = page.all(".empty").remove(0);
    assert!(text.contains("Did you mean noor@example.com?") && text.contains("not suppressed"), "{text}");
    for digits in ["15551012235", "1 (555) 101-2235", "0015551012235"] {
        let page = site.get(&format!("/below/deliveries?recipient={}", digits.replace(' ', "%20"))).await;
        assert_eq!(page.all("a.row"), ["+15551012235"], "{digits}");
    }
}
