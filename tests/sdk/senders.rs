//! What providers publish to make or to check their webhooks, against the real binary.

use serde_json::json;

use crate::driver::Sdk;
use crate::support::elliptic;
use crate::support::file::rows;
use crate::support::server::Server;
use crate::support::sns::{CERTIFICATE, HOST, SEND, Sns, TOPIC};

const LIBRARIES: Sdk = Sdk { driver: "senders.py", environment: "senders" };

const AT: &str = "1729800000";
const RESEND: &str =
    r#"{"type":"email.delivered","created_at":"2024-10-24T20:00:00Z","data":{"email_id":"r1","subject":"Grüße"}}"#;
const SENDGRID: &str =
    r#"[{"email":"ada@example.org","timestamp":1729800000,"event":"open","sg_event_id":"e1","sg_message_id":"g1"}]"#;

#[test]
fn what_the_providers_libraries_sign_is_believed() {
    let (pair, public) = elliptic::keys();
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let keys = format!("resend:{secret},twilio:an-auth-token,sendgrid:{public}");
    let settings = [("WAYBILL_SIGNING_KEYS", &*keys), ("WAYBILL_PUBLIC_URL", "https://waybill.example.com")];
    let server = Server::start_with(&settings);
    let client = server.client();
    let signature = elliptic::sign(&pair, &format!("{AT}{SENDGRID}"));
    let given = json!({
        "resend": {"key": secret, "id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "at": AT, "body": RESEND},
        "twilio": {
            "key": "an-auth-token", "url": "https://waybill.example.com/webhooks/twilio",
            "fields": {"MessageSid": "SM1", "MessageStatus": "undelivered", "To": "+15550002222", "ErrorCode": "30005", "From": "Ünï & co"}
        },
        "sendgrid": {"key": public, "signature": signature, "at": AT, "body": SENDGRID},
    });
    let made = LIBRARIES.run(&server.url(""), "", &given);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();

    let headers =
        [("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"), ("svix-timestamp", AT), ("svix-signature", &text("resend"))];
    assert_eq!(client.post("/webhooks/resend", &headers, RESEND).status, 200);
    let fields = "MessageSid=SM1&MessageStatus=undelivered&To=%2B15550002222&ErrorCode=30005&From=%C3%9Cn%C3%AF+%26+co";
    let answer = client.post("/webhooks/twilio", &[("X-Twilio-Signature", &text("twilio"))], fields);
    assert_eq!(answer.status, 200, "{}", answer.text);
    // it checks as Waybill does
    assert_eq!(made["sendgrid"], true);
    let headers =
        [("X-Twilio-Email-Event-Webhook-Timestamp", AT), ("X-Twilio-Email-Event-Webhook-Signature", &*signature)];
    assert_eq!(client.post("/webhooks/sendgrid", &headers, SENDGRID).status, 200);

    let stored = rows(&server.db(), "SELECT delivery_id, status FROM deliveries_v1 ORDER BY id");
    assert_eq!(stored, ["r1|delivered", "SM1|bounced", "g1:ada@example.org|opened"]);
    // the carrier does not know the number
    let listed = "SELECT address, cause FROM suppressions_v1";
    assert_eq!(rows(&server.db(), listed), ["+15550002222|hard_bounce"]);
}

/// AWS's validator of SNS messages says of each what Waybill says.
#[test]
fn a_message_of_sns_is_judged_as_aws_judges_it() {
    const VALIDATOR: Sdk = Sdk { driver: "sns-validator.js", environment: "javascript" };
    let folder = tempfile::tempdir().unwrap();
    let sns = Sns::start(folder.path());
    let own = sns.settings();
    let key = format!("ses:{TOPIC}");
    let settings = own.iter().map(|(name, value)| (*name, &**value)).chain([("WAYBILL_SIGNING_KEYS", &*key)]);
    let server = Server::start_with(&settings.collect::<Vec<_>>());
    let mut messages = Vec::new();
    for version in ["1", "2"] {
        let url = |url: &str| json!({"SigningCertURL": url});
        messages.extend([
            sns.message(version, json!({})),
            sns.message(version, json!({"Subject": "Grüße\n\"von\" SES", "Message": SEND.replace('1', "\\u00fc")})),
            sns.message(
                version,
                json!({"Type": "SubscriptionConfirmation", "Token": "2336", "SubscribeURL": format!("https://{HOST}/?x")}),
            ),
            sns.message(version, url(&format!("http://{HOST}/{CERTIFICATE}.pem"))),
            sns.message(version, url(&format!("https://{HOST}.example/{CERTIFICATE}.pem"))),
            sns.message(version, url(&format!("https://{HOST}/{CERTIFICATE}.crt"))),
            sns.message(version, url(&format!("https://{HOST}/missing.pem"))),
        ]);
        for name in ["Message", "MessageId", "Subject", "Timestamp", "Signature"] {
            let mut message = sns.message(version, json!({}));
            message[name] = "2026-11-30T12:00:01Z".into();
            messages.push(message);
        }
        for name in ["Message", "Signature", "SigningCertURL", "SignatureVersion"] {
            let mut message = sns.message(version, json!({}));
            message.as_object_mut().unwrap().remove(name);
            messages.push(message);
        }
    }
    messages.push(sns.message("3", json!({})));
    let given = json!({"host": HOST, "files": *sns.shared.files.lock().unwrap(), "messages": messages});
    let verdicts = VALIDATOR.run("", "", &given);
    let verdicts: Vec<bool> = verdicts.as_array().unwrap().iter().map(|verdict| verdict.as_bool().unwrap()).collect();
    assert_eq!(verdicts.iter().filter(|is_right| **is_right).count(), 6, "{verdicts:?}");
    for (message, is_right) in messages.iter().zip(verdicts) {
        let answer = server.client().post("/webhooks/ses", &[], message.to_string());
        assert_eq!(answer.status == 200, is_right, "{}: {message}", answer.text);
    }
}
