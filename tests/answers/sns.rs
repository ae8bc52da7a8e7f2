//! Messages of Amazon SNS: those of the operator's topics are believed by their signature, and no others.

use serde_json::{Value, json};

use super::support::client::Client;
use super::support::file::rows;
use super::support::server::{Server, waybill};
use super::support::sns::{CERTIFICATE, EXPIRED, HOST, SEND, Sns, TOPIC};
use super::{assert_refused, assert_taken};

const CHINA: &str = "arn:aws-cn:sns:cn-north-1:123456789012:mail";

fn start(sns: &Sns, settings: &[(&str, &str)]) -> Server {
    let own = sns.settings();
    let own = own.iter().map(|(name, value)| (*name, &**value));
    Server::start_with(&own.chain(settings.iter().copied()).collect::<Vec<_>>())
}

fn post(client: &Client, message: &Value) -> super::Answer {
    client.post("/webhooks/ses", &[("Content-Type", "text/plain; charset=UTF-8")], message.to_string())
}

#[test]
fn a_topic_s_messages_are_believed_by_their_signature() {
    let folder = tempfile::tempdir().unwrap();
    let sns = Sns::start(folder.path());
    let server = start(&sns, &[("WAYBILL_SIGNING_KEYS", &format!("ses:{CHINA},ses:{TOPIC}"))]);
    let client = server.client();

    // none of these makes the server ask anybody
    let other_topic = TOPIC.replace("mail", "other");
    for (other, why) in [
        (json!({"TopicArn": other_topic}), "another topic"),
        (json!({"TopicArn": CHINA}), "a certificate of another region"),
        (json!({"SigningCertURL": format!("http://{HOST}/{CERTIFICATE}.pem")}), "no HTTPS"),
        (json!({"SigningCertURL": format!("https://{HOST}.evil.example/{CERTIFICATE}.pem")}), "another host"),
        (json!({"SigningCertURL": format!("https://evil.example/{HOST}/{CERTIFICATE}.pem")}), "another host"),
        (json!({"SigningCertURL": format!("https://{HOST}@evil.example/{CERTIFICATE}.pem")}), "another host"),
        (json!({"SigningCertURL": format!("https://sns.us-east-1.amazonaws.com/{CERTIFICATE}.pem")}), "region"),
        (json!({"SigningCertURL": format!("https://{HOST}/{CERTIFICATE}.crt")}), "no .pem"),
        (json!({"SigningCertURL": format!("https://{HOST}/?x=.pem")}), "a query"),
        (json!({"SigningCertURL": format!("https://{HOST}/../x.pem")}), "a path"),
        (json!({"SigningCertURL": "https://sns.eu-west-1.amazonaws.com.cn/x.pem"}), "China"),
        (json!({"SignatureVersion": "3"}), "an unknown version"),
        (json!({"Type": "Other"}), "an unknown type"),
        (json!({"Timestamp": "yesterday"}), "no time"),
        (json!({"Message": 1}), "no message"),
    ] {
        assert_refused(&post(&client, &sns.message("2", other)), 401, "wrong_signature", why);
    }
    for body in ["", "[]", "not json", SEND] {
        assert_refused(&client.post("/webhooks/ses", &[], body), 401, "wrong_signature", body);
    }
    assert_eq!(sns.asked(), [""; 0]);

    let right = [
        sns.message("1", json!({})),
        sns.message("2", json!({"Message": SEND.replace("s1", "s2"), "Subject": "Grüße\n\"von\" SES"})),
    ];
    for message in &right {
        assert_taken(&post(&client, message), [1, 0, 0, 0], "signed");
        assert_taken(&post(&client, message), [0, 1, 0, 0], "replayed");
    }
    for (name, value) in [
        ("Message", SEND.replace("Send", "Bounce").into()),
        ("MessageId", "other".into()),
        ("Timestamp", "2026-11-30T12:00:01Z".into()),
        ("Subject", "other".into()),
        ("Signature", "AAAA".into()),
        ("Signature", right[1]["Signature"].clone()),
        ("Signature", Value::Null),
        ("SignatureVersion", "2".into()),
    ] {
        let mut message = right[0].clone();
        message[name] = value;
        assert_refused(&post(&client, &message), 401, "wrong_signature", name);
    }
    let twice = right[0].to_string().replacen('{', "{\"Message\":\"{}\",", 1);
    assert_taken(&client.post("/webhooks/ses", &[], twice), [0, 1, 0, 0], "the last of two is signed and read");
    // one request for all of them
    assert_eq!(sns.asked(), [format!("{HOST}:443"), format!("/{CERTIFICATE}.pem")]);

    let expired = json!({"SigningCertURL": format!("https://{HOST}/{EXPIRED}.pem")});
    assert_refused(&post(&client, &sns.message("2", expired)), 401, "wrong_signature", "an expired certificate");

    // what is signed of a confirmation is no event, whatever is put beside it
    let asks = json!({
        "Type": "SubscriptionConfirmation", "Token": "2336412f37", "Message": "You have chosen to subscribe",
        "SubscribeURL": format!("https://{HOST}/?Action=ConfirmSubscription&Token=2336412f37"),
        "requestId": "1", "records": [{"data": "e30="}], "detail-type": "x", "detail": {"eventType": "Send"},
    });
    assert_taken(&post(&client, &sns.message("2", asks.clone())), [0, 0, 0, 1], "a confirmation");
    let mut changed = sns.message("2", asks);
    changed["SubscribeURL"] = format!("https://{HOST}/?Action=Other").into();
    assert_refused(&post(&client, &changed), 401, "wrong_signature", "another link");

    let stored = rows(&server.db(), "SELECT delivery_id, status FROM deliveries_v1 ORDER BY id");
    assert_eq!(stored, ["s1|sent", "s2|sent"]);
    assert_eq!(rows(&server.db(), "SELECT reason FROM quarantine_v1"), ["confirm_subscription"]);
    assert!(sns.asked().iter().all(|asked| !asked.contains("Action")), "no link is opened");
}

#[test]
fn while_the_certificate_cannot_be_had_it_is_to_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let sns = Sns::start(folder.path());
    let server = start(&sns, &[("WAYBILL_SIGNING_KEYS", &format!("ses:{TOPIC}")), ("WAYBILL_INGEST_KEYS", "a-key")]);
    let client = server.client();
    let url = |name: &str| json!({"SigningCertURL": format!("https://{HOST}/{name}.pem")});
    sns.put("nonsense", "<html>".into());
    sns.put("large", "x".repeat(100_000));
    for name in ["missing", "nonsense", "large"] {
        let answer = post(&client, &sns.message("2", url(name)));
        assert_refused(&answer, 503, "no_certificate", name);
        assert!(!answer.header("Retry-After").is_empty());
    }
    // a key opens the path to what is not signed, and nothing is fetched for it
    let asked = sns.asked().len();
    for (key, status) in [("Bearer a-key", 200), ("Bearer another", 401)] {
        assert_eq!(client.post("/webhooks/ses", &[("Authorization", key)], SEND).status, status, "{key}");
    }
    assert_eq!(sns.asked().len(), asked);
    assert_taken(&post(&client, &sns.message("2", json!({}))), [0, 1, 0, 0], "a certificate that there is");

    let stale = [("WAYBILL_SIGNING_KEYS", &*format!("ses:{TOPIC}")), ("WAYBILL_SIGNATURE_MAX_AGE", "1h")];
    let server = start(&sns, &stale);
    let old = sns.message("2", json!({"Timestamp": "2024-11-30T12:00:00.123Z"}));
    assert_refused(&post(&server.client(), &old), 401, "stale_signature", "an old message");
}

#[test]
fn the_key_of_this_sender_is_a_topic() {
    let server = Server::start();
    let add = |arguments: &[&str], key: &str| {
        let mut command = waybill();
        command.args(["keys", "add", "signing", "ours", "--for", "ses"]).args(arguments).arg("--db").arg(server.db());
        let file = server.folder().join("key");
        std::fs::write(&file, key).unwrap();
        command.stdin(std::fs::File::open(file).unwrap()).output().unwrap()
    };
    for (arguments, key) in [(&[][..], ""), (&["--stdin"], "arn:aws:sqs:eu-west-1:1:mail"), (&["--stdin"], "a-key")] {
        let refused = add(arguments, key);
        assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("ARN"), "{key}");
    }
    assert!(add(&["--stdin"], TOPIC).status.success());
}
