//! The pages in process, on a file of a few events.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{App, Scope, test, web};
use scraper::{Html, Selector};

use waybill::config::Config;
use waybill::domain::people::{Change, ObjectRef, Register, Said, Setting, Subscription};
use waybill::domain::{
    Attribute, Attributes, Device, Event, EventTime, Identifiers, MetricName, SourceKind, Statement,
};
use waybill::store::{Entry, Incoming, Readers, Tracker, Writer};
use waybill::web::access::Access;
use waybill::web::guard;
use waybill::web::ingest::replay::{ReplayQueue, Replayer};
use waybill::web::keys::Keys;
use waybill::web::pages::Pages;
use waybill::web::pages::layout::now_ms;
use waybill::web::routes;
use waybill::wire::IdKey;

mod campaigns;
mod compare;
mod delivery;
mod filters;
mod log;
mod plans;
mod suppressions;
mod twins;

const BASE: &str = "/below";
const ODD_ID: &str = "a/b=c-d_e?f#g%2F";

/// A file, and events that arrived in the last minutes.
struct Site {
    _dir: tempfile::TempDir,
    readers: Readers,
    writer: Writer,
    queue: web::Data<ReplayQueue>,
}

fn event(delivery: &str, metric: &str, minutes_ago: i64, channel: &str) -> Event {
    let at_ms = now_ms() - minutes_ago * 60_000;
    let id = format!("{delivery}-{metric}-{minutes_ago}");
    let mut event = Event::new(delivery, MetricName::parse(metric), &id, EventTime::given(at_ms), at_ms + 2_700);
    event.attributes = std::mem::take(&mut event.attributes)
        .with(Attribute::Channel, channel)
        .with(SourceKind::Campaign.attribute(), "3")
        .with(Attribute::ActionId, "42")
        .with(Attribute::PersonId, "user/1+x@y");
    event
}

fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for (metric, ago) in
        [("sent", 50), ("delivered", 49), ("opened", 40), ("opened", 35), ("clicked", 30), ("strange", 20)]
    {
        let mut event = event(ODD_ID, metric, ago, "email");
        event.attributes.set(Attribute::Recipient, Some("<b>ann</b>@example.com"));
        event.attributes.set(Attribute::Subject, Some("\"><script>alert(1)</script>"));
        if metric == "clicked" {
            event.href = Some("javascript:alert(1)".into());
        }
        events.push(event);
    }
    events.push(event("sms-1", "sent", 10, "sms"));
    for (metric, ago) in [("sent", 8), ("bounced", 7)] {
        let mut event = event("push-1", metric, ago, "push");
        let device = |id: &str| Device { device_id: id.into(), platform: Some("ios".into()), reason: None };
        event.recipients = if metric == "sent" { vec![device("one"), device("two")] } else { vec![device("two")] };
        event.reason = (metric == "bounced").then(|| "bad token".into());
        events.push(event);
    }
    for i in 0..120 {
        events.push(event(&format!("many-{i}"), "sent", 100 + i, "email"));
    }
    events
}

impl Site {
    fn new(events: &[Event]) -> Site {
        Site::of(events, Vec::new())
    }

    fn of(events: &[Event], statements: Vec<Statement>) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pages.db");
        let entry = |event: &Event| {
            let body = "{\"kept\": true}".into();
            Entry::Event(Box::new(Incoming { event: event.clone(), format: "test".into(), body }))
        };
        let said = statements.into_iter().map(|statement| Entry::Statement(Box::new(statement)));
        let entries: Vec<Entry> = events.iter().map(entry).chain(said).collect();
        let mut tracker = Tracker::open(&path).unwrap();
        tracker.record(&entries.iter().collect::<Vec<_>>(), now_ms()).unwrap();
        let readers = Readers::open(&path, 2).unwrap();
        let (writer, _) = Writer::start(tracker).unwrap();
        let (id_key, source_from) = (Arc::new(IdKey::new(b"test")), Arc::default());
        let replayer = Replayer { writer: writer.clone(), id_key, source_from, readers: readers.clone() };
        Site { _dir: dir, readers, writer, queue: web::Data::new(ReplayQueue::new(replayer)) }
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_from(path, "/below/").await
    }

    /// All pages, below a base path.
    fn scope(&self) -> Scope {
        let pages = web::Data::new(Pages {
            quarantined: Default::default(),
            readers: self.readers.clone(),
            writer: self.writer.clone(),
            base: BASE.into(),
            exports: Arc::new(tokio::sync::Semaphore::new(waybill::web::export::AT_ONCE)),
            refusals: Default::default(),
            counts: Default::default(),
            started_at_ms: 0,
            store: Default::default(),
        });
        web::scope(BASE).app_data(pages).app_data(self.access()).app_data(self.queue.clone()).configure(routes)
    }

    /// No key is set.
    fn access(&self) -> web::Data<Access> {
        let config = Config { base: BASE.into(), ..Config::new(self.readers.path()) };
        web::Data::new(Access::new(&config, Keys::default(), b"secret".to_vec()))
    }

    /// By a link on a page `from`.
    async fn get_from(&self, path: &str, from: &str) -> Answer {
        let app = App::new().app_data(self.access()).service(self.scope()).wrap(from_fn(guard::guard));
        let app = test::init_service(app).await;
        let answer = test::call_service(
            &app,
            test::TestRequest::get()
                .uri(path)
                .insert_header(("Host", "localhost:8080"))
                .insert_header(("Referer", format!("http://localhost{from}")))
                .to_request(),
        )
        .await;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let headers = [
            "content-security-policy",
            "x-content-type-options",
            "referrer-policy",
            "cache-control",
            "location",
            "link",
        ]
        .map(|name| header(name).unwrap_or_default());
        let status = answer.status();
        let text = String::from_utf8(test::read_body(answer).await.to_vec()).unwrap();
        let path = path.split('?').next().unwrap_or_default().to_owned();
        Answer { status, headers, page: Html::parse_document(&text), text, path }
    }
}

struct Answer {
    status: StatusCode,
    headers: [String; 6],
    page: Html,
    text: String,
    path: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The records of CSV, with the header first.
    fn records(&self) -> Vec<csv::StringRecord> {
        let reader = csv::ReaderBuilder::new().has_headers(false).from_reader(self.text.as_bytes());
        reader.into_records().map(|record| record.unwrap()).collect()
    }

    fn all(&self, selector: &str) -> Vec<String> {
        let selector = Selector::parse(selector).unwrap();
        self.page.select(&selector).map(|it| it.text().collect::<Vec<_>>().join("").trim().to_owned()).collect()
    }

    fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let selector = Selector::parse(selector).unwrap();
        let of_this_page = |value: &str| if name == "href" && value.starts_with('?') { self.path.as_str() } else { "" };
        let values = self.page.select(&selector).filter_map(|it| it.value().attr(name));
        values.map(|value| format!("{}{value}", of_this_page(value))).collect()
    }
}

const PERSON: &str = "user/1+x@y";

/// Calls about the person of all of these events.
fn statements() -> Vec<Statement> {
    let statement = |minutes_ago: i64, said| {
        let at_ms = now_ms() - minutes_ago * 60_000;
        Statement {
            name: "a call".into(),
            id: format!("s-{minutes_ago}").into(),
            time: EventTime::given(at_ms),
            received_at_ms: at_ms,
            who: Identifiers {
                person_id: Some(PERSON.into()),
                email: Some("mail@example.com".into()),
                ..Identifiers::default()
            },
            said,
        }
    };
    let object = || ObjectRef { type_id: "1".into(), id: "acme/<b>".into() };
    let set = |register, value: &str| Setting { register, value: Some(value.into()) };
    let settings = vec![
        set(Register::Trait { person: PERSON.into(), name: "<b>plan</b>".into() }, "\"<b>pro</b>\""),
        set(
            Register::Device { person: PERSON.into(), device_id: "one".into() },
            "{\"name\":\"Ann's <b>phone</b>\",\"platform\":\"ios\"}",
        ),
        Setting { register: Register::Device { person: PERSON.into(), device_id: "old".into() }, value: None },
        set(Register::ObjectTrait { object: object(), name: "name".into() }, "\"Acme\""),
        set(Register::Relationship { object: object(), person: PERSON.into() }, "{\"role\":\"admin\"}"),
    ];
    let change = |change, attributes, delivery_id: Option<&str>, content: Option<&str>| {
        Said::Subscription(Box::new(Subscription {
            change,
            attributes,
            delivery_id: delivery_id.map(Into::into),
            content: content.map(Into::into),
        }))
    };
    let beside = || Attributes::default().with(SourceKind::Campaign.attribute(), "3");
    vec![
        statement(90, Said::Set(settings)),
        statement(80, change(Change::Subscribed, Attributes::default(), None, None)),
        statement(70, change(Change::Unsubscribed, beside(), Some("sms-1"), None)),
        statement(60, change(Change::Preferences, beside(), None, Some("{\"topics\":{\"news\":false}}"))),
    ]
}

#[actix_web::test]
async fn a_person_is_shown_with_all_that_is_known() {
    let site = Site::of(&events(), statements());
    let page = site.get("/below/people/user%2F1%2Bx%40y").await;
    assert_eq!(page.all("h1"), ["<b>ann</b>@example.com"]);
    assert!(page.all(".title .badge").starts_with(&["Unsubscribed".into()]), "{:?}", page.all(".title .badge"));
    let state = &page.all(".standing dd")[0];
    assert!(state.starts_with("Unsubscribed since ") && state.contains("a delivery of Campaign 3"), "{state}");
    assert_eq!(page.all(".standing small"), ["topic news: false"]);
    assert_eq!(page.attributes(".standing a", "href"), ["/below/deliveries/sms-1"]);
    let devices = page.all("[aria-label=Devices] tbody tr");
    assert!(devices[0].starts_with("oneAnn's <b>phone</b>ios"), "{devices:?}");
    assert!(devices[1].contains("deleted") && devices[2].ends_with("seen in push events only"), "{devices:?}");
    assert!(page.all("[aria-label=Objects] tbody tr")[0].starts_with("Acme acme/<b>1{\"role\":\"admin\"}"));
    assert_eq!(
        page.all("[aria-label='Subscription history'] tbody th"),
        ["Preferences changed", "Unsubscribed", "Subscribed"]
    );
    assert_eq!(page.all(".traits dd"), ["\"<b>pro</b>\""]);
    assert_eq!(page.attributes(".about [data-copy]", "data-copy")[..2], [PERSON, "<b>ann</b>@example.com"]);
    assert_eq!(page.all("#messages"), ["Deliveries the newest 50 of 123 deliveries"]);
    assert_eq!(page.all(".lines tbody tr").len(), 50);
    assert_eq!(page.all(".chips li")[0], "Sent 122");
    let log = site.get(&page.attributes(".chips a", "href")[0]).await;
    assert!(log.all(".chips .key + bdi").contains(&"Sent".into()));

    // by any identifier, from the search and from a push
    for words in ["mail%40example.com", "MAIL%40example.com", "%3Cb%3Eann%3C%2Fb%3E%40example.com", "one", "two"] {
        let found = site.get(&format!("/below/search?q={words}")).await;
        assert!(found.headers[4].starts_with("/below/people/"), "{words}: {}", found.headers[4]);
        assert_eq!(site.get(&found.headers[4]).await.all("h1"), ["<b>ann</b>@example.com"], "{words}");
    }
    let push = site.get("/below/deliveries/push-1").await;
    assert!(push.all("[aria-label=Devices] tbody th")[0].starts_with("Ann's <b>phone</b>"));
    assert_eq!(push.attributes("[aria-label=Devices] a", "href"), ["/below/people/one"]);
}

#[actix_web::test]
async fn a_shared_address_names_its_people_and_tells_of_none() {
    let mut events = vec![event("d1", "sent", 5, "email"), event("d2", "sent", 4, "email")];
    for (event, person) in events.iter_mut().zip(["user/1+x@y", "bob"]) {
        event.attributes.set(Attribute::PersonId, Some(person));
        event.attributes.set(Attribute::Recipient, Some("family@example.com"));
    }
    let site = Site::of(&events, statements());
    let page = site.get("/below/people/family%40example.com").await;
    assert_eq!(page.all("h1"), ["family@example.com"]);
    let mut people = page.attributes(".note a", "href");
    people.sort();
    assert_eq!(people, ["/below/people/bob", "/below/people/user%2F1%2Bx@y"]);
    assert!(page.all(".standing").is_empty());
    assert_eq!(page.all(".lines a.row").len(), 2);
    assert_eq!(page.attributes(".about [data-copy]", "data-copy"), ["family@example.com"]);
    let bob = site.get("/below/people/bob").await;
    assert_eq!(bob.all(".lines a.row").len(), 1, "what was sent to the other is not his");
    assert!(bob.all(".standing").is_empty());
}

/// Follows every link from the overview, and holds each page to the same rules.
#[actix_web::test]
async fn every_link_leads_to_a_sound_page() {
    let site = Site::of(&events(), statements());
    let mut waiting = VecDeque::from([format!("{BASE}/")]);
    let mut seen: HashSet<String> = waiting.iter().cloned().collect();
    let (mut visited, mut twins) = (0, 0);
    while let Some(path) = waiting.pop_front() {
        let answer = site.get(&path).await;
        visited += 1;
        if path.contains("/assets/") {
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            continue;
        }
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let [policy, sniff, referrer, cache, ..] = &answer.headers;
        let is = |extension: &str| answer.path.ends_with(extension);
        if is(".json") || is(".csv") || is(".ndjson") {
            twins += 1;
            if is(".json") {
                serde_json::from_str::<serde_json::Value>(&answer.text).unwrap();
            }
            continue;
        }
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(
            (sniff.as_str(), referrer.as_str(), cache.as_str()),
            ("nosniff", "same-origin", "no-store"),
            "{path}"
        );
        assert_eq!(answer.all("h1").len(), 1, "{path} has one heading");
        assert!(answer.all("style, script:not([src]), [style], [onclick]").is_empty(), "{path} has nothing inline");
        assert_eq!(answer.all("main").len(), 1, "{path}");
        assert!(answer.attributes("table > caption", "class").len() == answer.all("table").len(), "{path}: captions");
        assert_eq!(answer.all("b").len(), 0, "{path} escapes what events say");
        let ids = answer.attributes("[id]", "id");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{path} has an id twice");
        for href in answer.attributes("a[href], link[href]", "href") {
            let target = href.split('#').next().unwrap().to_owned();
            assert!(href.starts_with('#') || href.starts_with(BASE), "{path} links to {href}");
            if !target.is_empty() && seen.len() < 400 && seen.insert(target.clone()) {
                waiting.push_back(target);
            }
        }
    }
    assert!(visited > 250 && twins > 50, "{visited} pages, {twins} twins");
}

#[actix_web::test]
async fn what_a_channel_cannot_report_is_not_zero() {
    let site = Site::new(&events());
    let page = site.get("/below/deliveries/sms-1").await;
    assert!(page.all(".answer")[0].ends_with("; opens are not tracked for SMS."));
    let overview = site.get("/below/").await;
    let rows = overview.all("table.figures tbody tr");
    let sms = rows.iter().find(|row| row.starts_with("SMS")).unwrap();
    assert!(sms.contains("not tracked"), "{sms}");
}

#[actix_web::test]
async fn what_was_seen_of_each_metric_is_told_by_channel() {
    let site = Site::new(&events());
    let page = site.get("/below/meanings").await;
    let row = |title: &str| {
        let rows = page.all(".matrix tbody tr");
        rows.into_iter().find_map(|row| row.strip_prefix(title).map(str::to_owned)).unwrap()
    };
    // e-mail, push, SMS, in-app, webhook, Slack, WhatsApp: seen, only possible, impossible
    assert_eq!(row("Sent"), "121110000");
    assert_eq!(row("Opened"), "10–cannot0–cannot–cannot0");
    for (figure, href) in page.all(".matrix td a").into_iter().zip(page.attributes(".matrix td a", "href")) {
        let total = site.get(&href).await.all(".head .total").remove(0);
        assert_eq!(total.split(' ').next(), Some(&*figure), "{href}");
    }
    let opened = site.get("/below/meanings.json").await.json();
    let opened = opened["metrics"].as_array().unwrap().iter().find(|it| it["metric"] == "opened").unwrap().clone();
    assert_eq!(opened["seen"], serde_json::json!(["email"]));
}

#[actix_web::test]
async fn of_a_time_before_it_began_a_source_shows_nothing() {
    let site = Site::new(&events());
    for by in ["", "&time=event"] {
        let page = site.get(&format!("/below/campaigns/campaign/3?since=2020-01-01&until=2020-01-02{by}")).await;
        assert!(page.all(".chart, .funnel").is_empty(), "{by}");
        assert!(page.all("main p").contains(&"No deliveries were created in this period.".to_owned()));
    }
}

#[actix_web::test]
async fn a_figure_leads_to_as_many_deliveries() {
    let site = Site::new(&events());
    let campaign = site.get("/below/campaigns/campaign/3").await;
    let figures = campaign.all(".funnel .figure a").into_iter().zip(campaign.attributes(".funnel .figure a", "href"));
    let mut checked = 0;
    for (figure, href) in figures {
        let log = site.get(&href).await;
        assert_eq!(log.all(".head .total")[0].split(' ').next(), Some(figure.as_str()), "{href}");
        assert_eq!(log.all("a.row").len(), figure.parse().map_or(50, |n: usize| n.min(50)), "{href}");
        checked += 1;
    }
    assert!(checked >= 5);
}

#[actix_web::test]
async fn pages_of_the_log_join_without_gap() {
    let site = Site::new(&events());
    let (mut path, mut rows) = ("/below/deliveries".to_owned(), Vec::new());
    loop {
        let page = site.get(&path).await;
        rows.extend(page.attributes("a.row", "href"));
        match page.attributes(".pager a[rel=next]", "href").pop() {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(rows.len(), 123);
    assert_eq!(rows.iter().collect::<HashSet<_>>().len(), 123);
}

#[actix_web::test]
async fn errors_are_pages_that_say_what_to_do() {
    let site = Site::new(&events());
    for (path, status, said) in [
        ("/below/deliveries/none", 404, "No events of delivery none"),
        ("/below/people/no%2Fbody", 404, "no event names no/body"),
        ("/below/nowhere", 404, "There is no page at /below/nowhere"),
        ("/below/campaigns/campaign/99", 404, "No event of campaign 99"),
        ("/below/campaigns?sort=colour", 400, "human_opened"),
        ("/below/deliveries?since=2026-13-01", 400, "24h, 7d or 30d"),
        ("/below/events?from=2026-13-01", 400, "2026-11-21T14"),
    ] {
        let page = site.get(path).await;
        assert_eq!(page.status, status, "{path}");
        assert!(page.all("main")[0].contains(said), "{path}: {:?}", page.all("main"));
        assert!(page.headers[0].starts_with("default-src 'none'"));
        assert_eq!(page.all("form[role=search]").len(), 1, "{path} has the search box");
    }
}

#[actix_web::test]
async fn an_empty_file_shows_where_to_send() {
    let site = Site::new(&[]);
    for path in ["/below/", "/below/deliveries", "/below/campaigns"] {
        let page = site.get(path).await;
        assert!(page.all("#curl")[0].contains("http://localhost:8080/below/v1/events"), "{path}");
    }
    assert!(site.get("/below/quarantine").await.all("main")[0].contains("No unprocessed events"));
}

#[actix_web::test]
async fn nothing_found_says_what_was_looked_for() {
    let site = Site::new(&events());
    let page = site.get("/below/search?q=zzz").await;
    assert_eq!(page.all("h1"), ["Nothing found for “zzz”"]);
    let log = site.get("/below/deliveries?recipient=zzz&status=opened").await;
    assert!(log.all(".empty")[0].contains("No deliveries match"));
    assert_eq!(log.attributes(".empty a.button", "href"), ["/below/deliveries"]);
}

#[actix_web::test]
async fn a_status_can_be_left_out() {
    let site = Site::new(&events());
    let log = site.get("/below/deliveries?source=campaign:3&status=-sent").await;
    assert_eq!(log.all(".head .total"), ["1 delivery"]);
    assert_eq!(log.all(".lines td:first-child"), ["Clicked"]);
    assert_eq!(log.all(".chips .key + bdi"), ["Campaign 3", "not Sent"]);
    let again = site.get(&log.attributes(".choices [href*=\"status=sent\"]", "href")[0]).await;
    assert_eq!(again.all(".head .total"), ["122 deliveries"]);
    let found = site.get("/below/search?q=ever%3Aopened+-status%3Aclicked").await;
    assert_eq!(found.headers[4], "/below/deliveries?ever=opened&status=-clicked");
}

#[actix_web::test]
async fn a_phone_number_is_found_however_it_is_written() {
    let mut sms = event("sms-9", "sent", 5, "sms");
    sms.attributes.set(Attribute::Recipient, Some("+15551012235"));
    let site = Site::new(&[sms]);
    for words in ["%2B15551012235", "%2B1+%28555%29+101-2235", "1-555-101-2235"] {
        let found = site.get(&format!("/below/search?q={words}")).await;
        assert_eq!(found.headers[4], "/below/people/%2B15551012235", "{words}");
    }
}
