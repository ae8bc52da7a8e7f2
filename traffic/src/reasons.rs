//! Why messages fail, in the words of servers, carriers and push services.

/// What is reported when something goes wrong, on one channel. `{address}` is the recipient's.
pub struct Reasons {
    /// Sending failed and will be tried again, or was put off.
    pub temporary: &'static [&'static str],
    /// Sending failed for good.
    pub failed: &'static [&'static str],
    /// It bounced, and so will the next.
    pub hard_bounce: &'static [&'static str],
    /// It bounced, but the next may not.
    pub soft_bounce: &'static [&'static str],
    pub suppressed: &'static [&'static str],
}

pub(crate) const UNDELIVERABLE: &[&str] =
    &["message limit reached", "the newsletter was cancelled", "sending is disabled in this workspace"];

/// What the servers of [`crate::OUTAGE_DOMAIN`] answer during the outage.
pub const OUTAGE: &str = "554 5.7.1 Service unavailable; client host [192.0.2.25] blocked by example.net policy";

/// The reasons of a channel.
pub fn reasons(channel: &str) -> &'static Reasons {
    match channel {
        "email" => &EMAIL,
        "push" => &PUSH,
        "sms" | "whatsapp" => &PHONE,
        _ => &CALL,
    }
}

const EMAIL: Reasons = Reasons {
    temporary: &[
        "451 4.7.1 Greylisting in action, please come back later",
        "421 4.7.0 [TSS04] Messages temporarily deferred due to user complaints",
        "dial tcp 203.0.113.25:25: i/o timeout",
    ],
    failed: &["liquid: \"customer.plan\" is undefined in the subject", "552 5.3.4 Message size exceeds fixed limit"],
    hard_bounce: &[
        "550 5.1.1 The email account that you tried to reach does not exist",
        "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table",
        "554 5.4.4 Unable to route: no mail hosts for domain",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
    ],
    soft_bounce: &[
        "452 4.2.2 Mailbox full",
        "550 5.7.1 Message rejected as spam by content scanning",
        "421 4.4.2 Connection dropped due to timeout",
    ],
    suppressed: &["Not delivering to previously bounced address", "Not delivering to a user who marked mail as spam"],
};

const PUSH: Reasons = Reasons {
    temporary: &["FCM: UNAVAILABLE", "APNs: TooManyRequests", "NoDevicesSynced"],
    failed: &["APNs: BadCertificate", "FCM: SENDER_ID_MISMATCH", "APNs: PayloadTooLarge"],
    hard_bounce: &["APNs: Unregistered", "FCM: UNREGISTERED", "APNs: BadDeviceToken", "FCM: NotRegistered"],
    soft_bounce: &["FCM: QUOTA_EXCEEDED"],
    suppressed: &["device token bounced before"],
};

const PHONE: Reasons = Reasons {
    temporary: &["20429: Too Many Requests", "30001: Queue overflow"],
    failed: &["21211: Invalid 'To' phone number", "21608: unverified number on a trial account"],
    hard_bounce: &["30005: Unknown destination handset", "30006: Landline or unreachable carrier"],
    soft_bounce: &["30003: Unreachable destination handset", "30007: Message filtered by carrier"],
    suppressed: &["21610: Attempt to send to unsubscribed recipient"],
};

const CALL: Reasons = Reasons {
    temporary: &["503 Service Unavailable", "context deadline exceeded", "429 Too Many Requests: rate_limited"],
    failed: &["404 Not Found", "channel_not_found", "401 Unauthorized: {\"error\":\"invalid_auth\"}"],
    hard_bounce: &[],
    soft_bounce: &[],
    suppressed: &[],
};
