"""Signs, or checks, webhooks with what Resend's, Twilio's and SendGrid's libraries have for it, as their documentation says."""

import json
import sys
from datetime import datetime, timezone

from sendgrid.helpers.eventwebhook import EventWebhook
from svix.webhooks import Webhook
from twilio.request_validator import RequestValidator

given = json.loads(sys.argv[3])
resend, twilio, sendgrid = given["resend"], given["twilio"], given["sendgrid"]
at = datetime.fromtimestamp(int(resend["at"]), timezone.utc)
checked = EventWebhook(sendgrid["key"])
outcome = {
    "resend": Webhook(resend["key"]).sign(resend["id"], at, resend["body"]),
    "twilio": RequestValidator(twilio["key"]).compute_signature(twilio["url"], twilio["fields"]),
    "sendgrid": checked.verify_signature(sendgrid["body"], sendgrid["signature"], sendgrid["at"]),
}
print("outcome " + json.dumps(outcome), flush=True)
