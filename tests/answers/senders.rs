//! The webhooks of providers: who signs is believed, and so is who has an ingest key; nobody else is.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::EcdsaKeyPair;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use waybill::wire::providers::{Proof, SENDERS};

use super::support::client::{Answer, Client};
use super::support::elliptic;
use super::support::file::rows;
use super::support::server::{Server, waybill};
use super::{assert_refused, assert_taken, gzip};

const PUBLIC_URL: &str = "https://waybill.example.com/base";
const AT: &str = "1729800000";

const SENDGRID: &str = r#"[{"email":"ada@example.org","timestamp":1729800000,"event":"delivered","sg_event_id":"e1","sg_message_id":"m1.recvd-1"}]"#;
const RESEND: &str = r#"{"type":"email.delivered","created_at":"2024-10-24T20:00:00Z","data":{"email_id":"r1","to":["ada@example.org"]}}"#;
const VONAGE: &str = r#"{"message_uuid":"v1","to":"447700900000","timestamp":"2024-10-24T20:00:00Z","status":"delivered","channel":"sms"}"#;
const POSTMARK: &str =
    r#"{"RecordType":"Delivery","MessageID":"p1","Recipient":"ada@example.org","DeliveredAt":"2024-10-24T20:00:00Z"}"#;
const TWILIO: &str = "MessageSid=SM1&MessageStatus=delivered&To=%2B15550002222&AccountSid=AC0";
const MANDRILL: &str = "mandrill_events=%5B%7B%22event%22%3A%22open%22%2C%22_id%22%3A%22k1%22%2C%22ts%22%3A1729800000%2C%22msg%22%3A%7B%22email%22%3A%22ada%40example.org%22%7D%7D%5D";

/// A request with its headers.
struct Post {
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Post {
    fn send(&self, client: &Client) -> Answer {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        client.post(self.path, &headers, self.body.as_str())
    }
}

fn sha256(key: &[u8], signed: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(signed).finalize().into_bytes().to_vec()
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sendgrid(pair: &EcdsaKeyPair) -> Post {
    let signature = elliptic::sign(pair, &format!("{AT}{SENDGRID}"));
    let headers = vec![
        ("X-Twilio-Email-Event-Webhook-Timestamp", AT.to_owned()),
        ("X-Twilio-Email-Event-Webhook-Signature", signature),
    ];
    Post { path: "/webhooks/sendgrid", headers, body: SENDGRID.into() }
}

fn mailgun(key: &str) -> Post {
    let signature = hex(sha256(key.as_bytes(), format!("{AT}token").as_bytes()));
    let body = format!(
        r#"{{"signature":{{"timestamp":"{AT}","token":"token","signature":"{signature}"}},"event-data":{{"event":"opened","id":"g1","timestamp":1729800000.5,"recipient":"ada@example.org","message":{{"headers":{{"message-id":"g1"}}}}}}}}"#
    );
    Post { path: "/webhooks/mailgun", headers: Vec::new(), body }
}

fn resend(secret: &[u8]) -> Post {
    let signature = BASE64.encode(sha256(secret, format!("msg_1.{AT}.{RESEND}").as_bytes()));
    let headers = vec![
        ("svix-id", "msg_1".into()),
        ("svix-timestamp", AT.into()),
        ("svix-signature", format!("v1,bm90IHRoaXM= v1,{signature} v2,x")),
    ];
    Post { path: "/webhooks/resend", headers, body: RESEND.into() }
}

fn of_form(path: &'static str, header: &'static str, key: &str, url: &str, body: &str, fields: &str) -> Post {
    let mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap().chain_update(format!("{url}{fields}"));
    let headers = vec![
        (header, BASE64.encode(mac.finalize().into_bytes())),
        ("Content-Type", "application/x-www-form-urlencoded".into()),
    ];
    Post { path, headers, body: body.into() }
}

fn twilio(key: &str) -> Post {
    let fields = "AccountSidAC0MessageSidSM1MessageStatusdeliveredTo+15550002222";
    let url = format!("{PUBLIC_URL}/webhooks/twilio?a=1");
    of_form("/webhooks/twilio?a=1", "X-Twilio-Signature", key, &url, TWILIO, fields)
}

fn mandrill(key: &str) -> Post {
    let fields = r#"mandrill_events[{"event":"open","_id":"k1","ts":1729800000,"msg":{"email":"ada@example.org"}}]"#;
    let url = format!("{PUBLIC_URL}/webhooks/mandrill");
    of_form("/webhooks/mandrill", "X-Mandrill-Signature", key, &url, MANDRILL, fields)
}

fn vonage(key: &str, algorithm: &str, signed_body: &str) -> Post {
    let claims = format!(r#"{{"iat":{AT},"payload_hash":"{}"}}"#, hex(Sha256::digest(signed_body)));
    let signed = format!(
        "{}.{}",
        BASE64_URL.encode(format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#)),
        BASE64_URL.encode(claims)
    );
    let token = format!("{signed}.{}", BASE64_URL.encode(sha256(key.as_bytes(), signed.as_bytes())));
    Post { path: "/webhooks/vonage", headers: vec![("Authorization", format!("Bearer {token}"))], body: VONAGE.into() }
}

/// Each right, and changed in every way that could matter.
#[test]
fn who_signs_is_believed_and_whoever_changes_it_is_not() {
    let (pair, public) = elliptic::keys();
    let (_, other_public) = elliptic::keys();
    let whsec = format!("whsec_{}", BASE64.encode("resend's secret"));
    let keys = format!(
        "cio-key,sendgrid:{other_public},sendgrid:{public},mailgun:old,mailgun:mg-key,resend:{whsec},twilio:tw-key,mandrill:md-key,vonage:vg-key"
    );
    let server =
        Server::start_with(&[("WAYBILL_SIGNING_KEYS", &keys), ("WAYBILL_PUBLIC_URL", &format!("{PUBLIC_URL}/"))]);
    let client = server.client();
    let right = [
        sendgrid(&pair),
        mailgun("mg-key"),
        resend(b"resend's secret"),
        twilio("tw-key"),
        mandrill("md-key"),
        vonage("vg-key", "HS256", VONAGE),
    ];
    let wrong = [
        sendgrid(&elliptic::keys().0),
        // one sender's key is no other's
        mailgun("tw-key"),
        mailgun("cio-key"),
        resend(b"another secret"),
        twilio("md-key"),
        mandrill("tw-key"),
        vonage("mg-key", "HS256", VONAGE),
        vonage("vg-key", "none", VONAGE),
        vonage("vg-key", "HS256", "another body"),
        of_form(
            "/webhooks/twilio?a=2",
            "X-Twilio-Signature",
            "tw-key",
            &format!("{PUBLIC_URL}/webhooks/twilio?a=1"),
            TWILIO,
            "AccountSidAC0MessageSidSM1MessageStatusdeliveredTo+15550002222",
        ),
    ];
    for post in &wrong {
        assert_refused(&post.send(&client), 401, "wrong_signature", &format!("{} {:?}", post.path, post.headers));
    }
    for post in &right {
        let unsigned =
            Post { headers: Vec::new(), body: post.body.replace("\"signature\":\"", "\"signature\":\"0"), ..*post };
        assert_refused(&unsigned.send(&client), 401, "wrong_signature", post.path);
        // Mailgun's signature is of a token, and says nothing of the event
        if post.path != "/webhooks/mailgun" {
            let changed = Post {
                body: post.body.replace("delivered", "bounced").replace("open", "spam"),
                headers: post.headers.clone(),
                path: post.path,
            };
            assert_refused(&changed.send(&client), 401, "wrong_signature", post.path);
        }
    }
    assert_eq!(rows(&server.db(), "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM quarantine)"), ["0"]);
    for post in &right {
        assert_taken(&post.send(&client), [1, 0, 0, 0], post.path);
        assert_taken(&post.send(&client), [0, 1, 0, 0], "again");
    }
    let stored = rows(&server.db(), "SELECT delivery_id, channel, status, recipient FROM deliveries_v1 ORDER BY id");
    assert_eq!(
        stored,
        [
            "m1:ada@example.org|email|delivered|ada@example.org",
            "g1:ada@example.org|email|opened|ada@example.org",
            "r1|email|delivered|ada@example.org",
            "SM1|sms|delivered|+15550002222",
            "k1|email|opened|ada@example.org",
            "v1|sms|delivered|+447700900000",
        ]
    );
    // those who do not sign have no key here
    assert_refused(&client.post("/webhooks/postmark", &[], POSTMARK), 401, "no_key_set", "no ingest key");
}

#[test]
fn an_old_signature_is_refused_where_its_age_is_limited() {
    let settings = [("WAYBILL_SIGNING_KEYS", "mailgun:mg-key,vonage:vg-key"), ("WAYBILL_SIGNATURE_MAX_AGE", "1h")];
    let server = Server::start_with(&settings);
    for post in [mailgun("mg-key"), vonage("vg-key", "HS256", VONAGE)] {
        assert_refused(&post.send(&server.client()), 401, "stale_signature", post.path);
    }
}

#[test]
fn an_ingest_key_opens_every_provider_s_path_and_the_url_is_asked_for() {
    let server =
        Server::start_with(&[("WAYBILL_INGEST_KEYS", "an-ingest-key"), ("WAYBILL_SIGNING_KEYS", "twilio:tw-key")]);
    let client = server.client();
    let basic = format!("Basic {}", BASE64.encode("an-ingest-key:"));
    for (path, body) in [
        ("/webhooks/postmark", POSTMARK),
        ("/webhooks/sendgrid", SENDGRID),
        ("/webhooks/twilio", TWILIO),
        ("/webhooks/mandrill", MANDRILL),
        ("/webhooks/resend", RESEND),
        ("/webhooks/vonage", VONAGE),
    ] {
        assert_taken(&client.post(path, &[("Authorization", &basic)], body), [1, 0, 0, 0], path);
        let wrong = client.post(path, &[("Authorization", "Bearer another-key")], body);
        let code = if path.ends_with("postmark") {
            "wrong_key"
        } else if path.ends_with("twilio") {
            "no_public_url"
        } else {
            "no_key_set"
        };
        assert_refused(&wrong, 401, code, path);
    }
    // credentials within an address are sent when they are asked for
    let asked = client.post("/webhooks/ses", &[], "{}");
    assert!(asked.header("WWW-Authenticate").starts_with("Basic"), "{}", asked.text);
    // as Firehose asks for and takes it
    let record = BASE64.encode(r#"{"eventType":"Send","mail":{"messageId":"s1","timestamp":"2024-10-24T20:00:00Z","destination":["a@example.org"]},"send":{}}"#);
    let batch = format!(r#"{{"requestId":"q1","timestamp":1729800000000,"records":[{{"data":"{record}"}}]}}"#);
    let headers = [
        ("X-Amz-Firehose-Access-Key", "an-ingest-key"),
        ("X-Amz-Firehose-Request-Id", "q1"),
        ("Content-Encoding", "gzip"),
    ];
    let answer = client.post("/webhooks/ses", &headers, gzip(batch));
    assert_eq!((answer.status, &answer.json()["requestId"]), (200, &"q1".into()), "{}", answer.text);
    assert_eq!(rows(&server.db(), "SELECT status FROM deliveries_v1 WHERE delivery_id = 's1'"), ["sent"]);
    assert_eq!(client.ask("HEAD", "/webhooks/mandrill", &[], "").status, 200);
    // what is authentic and not understood is kept
    let taken = client.post("/webhooks/postmark", &[("Authorization", &basic)], "not json");
    assert_taken(&taken, [0, 0, 0, 1], "not JSON");
    let ask = r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:eu-west-1:1:mail","SubscribeURL":"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"}"#;
    assert_taken(&client.post("/webhooks/ses", &[("Authorization", &basic)], ask), [0, 0, 0, 1], "a subscription");
    let details = rows(&server.db(), "SELECT detail FROM quarantine_v1 WHERE reason = 'confirm_subscription'");
    assert_eq!(
        details,
        [
            "to receive the events of arn:aws:sns:eu-west-1:1:mail, open https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
        ]
    );
}

#[test]
fn with_no_key_set_everything_is_taken_on_this_machine() {
    let server = Server::start_with(&[("WAYBILL_SOURCE_FROM", "metadata.team")]);
    let client = server.client();
    for (path, body) in
        [("/webhooks/postmark", POSTMARK), ("/webhooks/twilio", TWILIO), ("/webhooks/sendgrid", SENDGRID)]
    {
        assert_taken(&client.post(path, &[], body), [1, 0, 0, 0], path);
    }
    let named = POSTMARK.replace("\"p1\"", r#""p2","Tag":"welcome","Metadata":{"team":"growth"}"#);
    assert_taken(&client.post("/webhooks/postmark", &[], named), [1, 0, 0, 0], "metadata");
    let source = "SELECT source_kind, source_id FROM deliveries_v1 WHERE delivery_id LIKE 'p2%'";
    assert_eq!(rows(&server.db(), source), ["campaign|growth"]);
}

#[test]
fn a_key_of_the_file_is_of_one_sender() {
    let server = Server::start_with(&[("WAYBILL_SIGNING_KEYS", "cio-key")]);
    let add = |arguments: &[&str]| {
        let mut command = waybill();
        command.args(["keys", "add"]).args(arguments).arg("--db").arg(server.db());
        command.output().unwrap()
    };
    let made = add(&["signing", "ours", "--for", "mailgun"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(!add(&["ingest", "ours", "--for", "mailgun"]).status.success());
    assert!(!add(&["signing", "ours", "--for", "postmark"]).status.success());
    let post = mailgun(&key);
    // the server reads its keys every second
    while post.send(&server.client()).status == 401 {
        std::thread::yield_now();
    }
    assert_eq!(rows(&server.db(), "SELECT sender FROM _keys"), ["mailgun"]);
    assert_eq!(rows(&server.db(), "SELECT count(*) FROM events"), ["1"]);
}

/// What the page Connect says to try, while no key is set and once one is.
#[test]
fn the_example_of_each_sender_is_taken_and_shown() {
    let keyed = Server::start_with(&[("WAYBILL_INGEST_KEYS", "an-ingest-key"), ("WAYBILL_SIGNING_KEYS", "mailgun:k")]);
    let open = Server::start();
    let basic = format!("Basic {}", BASE64.encode("an-ingest-key:"));
    for sender in SENDERS.iter().filter(|sender| sender.proof != Proof::Import) {
        let (path, page) = (sender.path(), format!("/connect?from={}", sender.name));
        let (_, before) = open.get(&page);
        assert!(before.contains("Nothing yet") && before.contains("Open: no key"), "{before}");
        assert!(before.contains(&format!("{path} ")) && before.contains("Only this machine reaches"), "{before}");
        assert_taken(&open.client().post(&path, &[], sender.example), [1, 0, 0, 0], sender.name);
        let (_, after) = open.get(&page);
        assert!(after.contains(&format!(">{}-test", sender.name)) && !after.contains("not understood"), "{after}");

        let (_, page) = keyed.get(&page);
        let is_set = sender.name == "mailgun" || matches!(sender.proof, Proof::IngestKey { .. });
        assert_eq!(page.contains("A key is set."), is_set, "{page}");
        assert_eq!(page.contains("curl -u INGEST-KEY: "), sender.is_provider(), "{page}");
        if sender.is_provider() {
            let answer = keyed.client().post(&path, &[("Authorization", &basic)], sender.example);
            assert_taken(&answer, [1, 0, 0, 0], sender.name);
        }
    }
}
