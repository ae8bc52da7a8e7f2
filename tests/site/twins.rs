//! Pages as JSON and CSV, and exports.

use super::*;

#[actix_web::test]
async fn json_and_csv_have_the_rows_of_the_page() {
    let site = Site::new(&events());
    for path in
        ["/below/deliveries", "/below/deliveries?source=campaign:3&ever=sent", "/below/deliveries?status=clicked"]
    {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let page = site.get(&format!("{path}?{query}")).await;
        let json = site.get(&format!("{path}.json?{query}")).await.json();
        let rows = json["rows"].as_array().unwrap();
        assert_eq!(rows.len(), page.all("a.row").len());
        assert_eq!(json["total"].to_string(), page.all(".head .total")[0].split(' ').next().unwrap());
        let sheet = site.get(&format!("{path}.csv?{query}")).await.records();
        let named = |name: &str| sheet[0].iter().position(|column| column == name).unwrap();
        let ids: Vec<&str> = sheet[1..].iter().map(|row| &row[named("delivery_id")]).collect();
        let in_json: Vec<&str> = rows.iter().map(|row| row["delivery_id"].as_str().unwrap()).collect();
        assert_eq!(ids, in_json);
        assert_eq!(rows[0]["human_opened_at"].is_string(), query == "status=clicked");
        if let Some(older) = json["older"].as_str() {
            assert!(older.starts_with("/below/deliveries.json?") && older.contains("before="), "{older}");
            let link = &site.get(&format!("{path}.csv?{query}")).await.headers[5];
            assert_eq!(*link, format!("<{}>; rel=\"next\"", older.replace(".json?", ".csv?")));
            assert_ne!(site.get(older).await.json()["rows"][0], json["rows"][0]);
        }
    }
}

#[actix_web::test]
async fn two_exports_run_at_a_time() {
    let long = |i: i64| {
        let mut event = event(&format!("long-{i}"), "sent", i, "email");
        event.attributes.set(Attribute::Subject, Some(&format!("{i} {}", "long ".repeat(150))));
        event
    };
    // more than is written before a reader takes any of it
    let site = Site::new(&(0..1_500).map(long).collect::<Vec<_>>());
    let app = test::init_service(App::new().service(site.scope())).await;
    let ask =
        async || test::call_service(&app, test::TestRequest::get().uri("/below/deliveries.ndjson").to_request()).await;
    let (first, second) = (ask().await, ask().await);
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    let third = ask().await;
    assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(third.headers().contains_key("Retry-After"));
    let body = String::from_utf8(test::read_body(third).await.to_vec()).unwrap();
    assert!(body.contains("Two exports are already running."), "{body}");
    // whoever has read to the end may ask for the next at once
    let all = String::from_utf8(test::read_body(second).await.to_vec()).unwrap();
    assert_eq!(all.lines().count(), 1_501);
    assert_eq!(ask().await.status(), StatusCode::OK);
    drop(first);
}

#[actix_web::test]
async fn csv_has_no_formulas_and_json_has_the_exact_text() {
    let mut odd = event("odd", "bounced", 9, "email");
    let formula = "=hyperlink(\"http://x\"),\r\n<b>&\u{202e}";
    odd.attributes.set(Attribute::Recipient, Some(formula));
    odd.reason = Some(formula.into());
    let site = Site::new(&[odd]);
    for path in ["/below/deliveries.csv", "/below/deliveries/odd.csv", "/below/events.csv"] {
        let sheet = site.get(path).await.records();
        let place = sheet[0].iter().position(|name| name == "recipient").unwrap();
        assert_eq!(sheet[1][place], format!("'{formula}"), "{path}");
    }
    for path in ["/below/deliveries.json", "/below/events.json"] {
        assert_eq!(site.get(path).await.json()["rows"][0]["recipient"], formula, "{path}");
    }
    let whole = site.get("/below/deliveries/odd.json").await.json();
    assert_eq!((&whole["failure_reason"], &whole["timeline"][0]["reason"]), (&formula.into(), &formula.into()));
    assert_eq!(whole["timeline"][0]["raw"], serde_json::json!({ "kept": true }));
}

#[actix_web::test]
async fn an_id_may_end_like_an_extension() {
    let site = Site::new(&[event("a", "sent", 9, "email"), event("a.json", "sent", 8, "email")]);
    assert_eq!(site.get("/below/deliveries/a.json").await.all("h1"), ["user/1+x@y"]);
    assert_eq!(site.get("/below/deliveries/a.json.json").await.json()["delivery_id"], "a.json");
    assert_eq!(site.get("/below/deliveries/a.csv").await.records().len(), 2);
    let missing = site.get("/below/deliveries/b.json").await;
    assert_eq!((missing.status, missing.json()["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
    for path in ["deliveries.json", "deliveries.csv", "deliveries.ndjson", "events.csv", "deliveries/a.csv"] {
        let typo = site.get(&format!("/below/{path}?chanel=sms")).await;
        let message = typo.json()["message"].to_string();
        assert!(typo.status == StatusCode::BAD_REQUEST && message.contains("`channel`"), "{path}: {message}");
    }
}

#[actix_web::test]
async fn figures_have_twins() {
    let site = Site::new(&events());
    let sources = site.get("/below/campaigns.json").await.json();
    assert_eq!(sources["sources"][0]["deliveries"]["created"], 123);
    assert_eq!(sources["sources"][0]["rates"]["delivered"]["of"], "sent");
    let sheet = site.get("/below/campaigns.csv").await.records();
    assert_eq!((&sheet[0][0], &sheet[1][1], sheet.len()), ("source_kind", "3", 2));
    let source = site.get("/below/campaigns/campaign/3.json?by=day").await.json();
    assert_eq!(source["messages"][0]["action_id"], "42");
    assert_eq!(source["series"]["width"], "day");
    let sheet = site.get("/below/campaigns/campaign/3.csv").await.records();
    assert_eq!(
        sheet[0].iter().collect::<Vec<_>>()[3..],
        ["action_id", "content_id", "channel", "metric", "deliveries", "events"]
    );
    let now = site.get("/below/overview.json").await.json();
    assert_eq!(now["channels"][0]["deliveries"]["created"], 121);
    assert_eq!(site.get("/below/overview.csv").await.records()[0].len(), 4);
    assert_eq!(site.get("/below/meanings.csv").await.records().len(), 17);
    assert_eq!(site.get("/below/quarantine.json").await.json()["total"], 0);
    let quarantine = site.get("/below/quarantine.csv").await.records();
    assert!(quarantine.len() == 1 && quarantine[0].iter().any(|column| column == "public"));
}

#[actix_web::test]
async fn suppressed_addresses_have_twins() {
    let gone = |delivery: &str, metric: &str, ago: i64, to: &str| {
        let mut event = event(delivery, metric, ago, "email");
        event.attributes.set(Attribute::Recipient, Some(to));
        event
    };
    let mut events = vec![gone("one", "spammed", 30, "=ann@x.test"), gone("two", "delivered", 20, "=ann@x.test")];
    events.extend((0..60).map(|n| gone(&format!("n-{n}"), "spammed", 100 + n, &format!("n{n}@x.test"))));
    let site = Site::new(&events);
    let page = site.get("/below/suppressions").await;
    let json = site.get("/below/suppressions.json").await.json();
    let addresses: Vec<&str> =
        json["rows"].as_array().unwrap().iter().map(|row| row["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, page.all("a.row"));
    assert_eq!((&json["rows"][0]["cause"], &json["rows"][0]["active"]), (&"spam_complaint".into(), &0.into()));
    assert_eq!(json["total"], 61);
    let older = json["older"].as_str().unwrap();
    assert!(older.starts_with("/below/suppressions.json?before="), "{older}");
    assert_eq!(site.get(older).await.json()["rows"].as_array().unwrap().len(), 11);
    let lifted = site.get("/below/suppressions.csv?state=lifted").await.records();
    assert_eq!((lifted.len(), &lifted[0][1], &lifted[1][1]), (2, "address", "'=ann@x.test"));
    assert_eq!(site.get("/below/suppressions.json?cause=x").await.status, StatusCode::BAD_REQUEST);
    let here = page.attributes(".pager a[rel=next]", "href");
    let twins = site.get(&here[0]).await.attributes(".twins a", "href");
    assert_eq!(twins[0], here[0].replace("/suppressions?", "/suppressions.json?"));
}

#[actix_web::test]
async fn a_person_has_twins() {
    let mut said = statements();
    let mut preferences = said.iter().find(|it| matches!(it.said, Said::Subscription(_))).unwrap().clone();
    let Said::Subscription(change) = &mut preferences.said else { panic!() };
    change.change = Change::Preferences;
    change.content = Some(r#"{"topics":{"a":1,"b":"true","c":true}}"#.into());
    preferences.id = "preferences".into();
    said.push(preferences);
    let site = Site::of(&events(), said);
    let path = "/below/people/user%2F1%2Bx@y";
    let page = site.get(path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let json = site.get(&format!("{path}.json")).await.json();
    assert_eq!(json["person"], PERSON);
    let says = |n: usize| (json["preferences"][n]["name"].clone(), json["preferences"][n]["value"].clone());
    assert_eq!(
        [says(0), says(1), says(2)],
        [("a".into(), 1.into()), ("b".into(), "true".into()), ("c".into(), true.into())]
    );
    assert_eq!(json["deliveries"].as_array().unwrap().len(), page.all("a.row").len());
    assert_eq!(json["sent"]["deliveries"], 123);
    let older = json["older"].as_str().unwrap();
    assert!(older.starts_with("/below/deliveries.json?person="), "{older}");
    let rest = site.get(older).await.json();
    assert!(!json["deliveries"].as_array().unwrap().contains(&rest["rows"][0]) && rest["older"].is_string());
    let app = test::init_service(App::new().service(site.scope())).await;
    let request = test::TestRequest::get().uri(&format!("{path}.csv")).to_request();
    let link = test::call_service(&app, request).await.headers().get("link").unwrap().to_str().unwrap().to_owned();
    assert_eq!(link, format!("<{}>; rel=\"next\"", older.replace(".json?", ".csv?")));
    assert_eq!(json["devices"].as_array().unwrap().len(), page.all("[aria-label=Devices] tbody tr").len());
    assert_eq!(json["identifiers"].as_array().unwrap().len(), page.all(".about dt").len());
    let sheet = site.get(&format!("{path}.csv")).await.records();
    assert_eq!(sheet.len(), page.all("a.row").len() + 1);
    let nobody = site.get("/below/people/nobody.json").await;
    assert_eq!((nobody.status, nobody.json()["code"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
}
