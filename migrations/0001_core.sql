-- The file. Rules that every table keeps:
--   * One column, one fact. Words for kinds, statuses, channels and metrics. INTEGER milliseconds since 1970 (UTC) for times,
--     named *_at_ms. NULL: not known.
--   * `events` is the record. Everything under "Derived" follows from it; `waybill verify` recounts it by SQL.
--   * Plain names are public: columns are only added to them. Private tables and views begin with an underscore. Public tables
--     have row ids: DuckDB cannot count the rows of a table without them.
--   * The views *_v1 add ISO 8601 times and look nothing up but by index, so a condition on a view reaches the table's index.
--   * No statistics for SQLite's planner: those of a file with one event make it scan tables when there are a million. Each
--     question is written so that it uses its index without them, and tests check the plans.
--   * Comments stand inside the statements: SQLite keeps them there, so `.schema` explains the file.

CREATE TABLE _settings (
    -- Secrets and marks of this file: id_key (keys the hash that identifies events sent without an id, and those of forgotten
    -- identifiers), session_key (signs the cookies of browsers), erasures (counts what was forgotten, so that every process notices), replayed_by (the version that last replayed the quarantine), verified (what
    -- `waybill verify` last found, as JSON), pulled (what came of the last `waybill pull`), `pull` and a path (how far that list
    -- was pulled), replica (what the target of `waybill replicate` has).
    key    TEXT PRIMARY KEY,
    value  ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE retention (
    -- What was dropped for its age, or for the size of the file. No row: nothing of that kind ever was. All counts stay, so
    -- that they are greater than what a recount of the rest finds.
    what        TEXT NOT NULL PRIMARY KEY,          -- bodies: the JSON of events; events: all events of a delivery; deliveries: the deliveries too
    before_ms   INTEGER NOT NULL,                   -- of bodies: received before; of both others: of deliveries created before
    last_at_ms  INTEGER NOT NULL,                   -- when some were dropped last
    dropped     INTEGER NOT NULL,                   -- how many in all: bodies, events, deliveries
    CHECK (what IN ('bodies', 'events', 'deliveries'))
) STRICT;

CREATE TABLE _sizes (
    -- How many bytes of the file were in use when a day began, for the forecast of when the disk is full.
    day         INTEGER PRIMARY KEY,                -- since 1970
    bytes       INTEGER NOT NULL
) STRICT;

CREATE TABLE _keys (
    -- The keys of senders and the tokens of readers that `waybill keys add` made. A revoked one stays as a row without its
    -- hash or secret: what has ever needed a key does not open when the last one is revoked.
    id               INTEGER PRIMARY KEY,
    kind             TEXT NOT NULL,                 -- signing (of webhooks), ingest, browser (public), read, operate (tokens for the pages)
    name             TEXT NOT NULL,                 -- who uses it
    sender           TEXT,                          -- of a signing key: whose webhooks it is for (sendgrid, resend and so on); NULL: Customer.io's
    hash             BLOB UNIQUE,                   -- SHA-256 of the key; NULL: revoked
    secret           BLOB,                          -- a signing key as it is, since HMAC needs it; NULL: another kind, or revoked
    created_at_ms    INTEGER NOT NULL,
    last_used_at_ms  INTEGER,                       -- to the minute; NULL: never
    revoked_at_ms    INTEGER,                       -- NULL: in use
    CHECK (kind IN ('signing', 'ingest', 'browser', 'read', 'operate'))
) STRICT;

CREATE TABLE _ended_sessions (
    -- Where someone signed out everywhere: sessions of this token that began until then are over.
    token_hash  BLOB PRIMARY KEY,                   -- SHA-256, also of a token that comes by the environment
    until_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE about (
    -- What each public view is, and what its columns mean. Filled from the comments in the views.
    view_name    TEXT NOT NULL,
    column_name  TEXT NOT NULL,                     -- '': the view itself
    meaning      TEXT NOT NULL,
    PRIMARY KEY (view_name, column_name)
) STRICT;

CREATE TABLE source_names (
    -- Names of sources, which people gave or `waybill pull` found: events carry ids only.
    source_kind  TEXT NOT NULL,
    source_id    TEXT NOT NULL,
    name         TEXT,
    tags         TEXT,                              -- separated by commas
    is_pulled    INTEGER NOT NULL DEFAULT 0,        -- 1: the name is Customer.io's, and follows it; 0: somebody gave it here
    PRIMARY KEY (source_kind, source_id)
) STRICT;

CREATE TABLE action_names (
    -- Names of the actions of campaigns and broadcasts, and of the contents of newsletters and transactional messages, as
    -- `waybill pull` found them.
    source_kind  TEXT NOT NULL,
    source_id    TEXT NOT NULL,
    action_id    TEXT NOT NULL,                     -- the id of the action or the content
    name         TEXT NOT NULL,
    PRIMARY KEY (source_kind, source_id, action_id)
) STRICT;

-- Deliveries and their events ---------------------------------------------------------------------------------------

CREATE TABLE deliveries (
    -- One message to one recipient: what it is, its status now, when each metric first happened. A row follows from the
    -- delivery's events.
    id                INTEGER PRIMARY KEY,       -- order of arrival; other tables refer to it
    delivery_id       TEXT NOT NULL UNIQUE,      -- the sender's id
    channel           TEXT,                      -- email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
    source_kind       TEXT NOT NULL DEFAULT 'unknown', -- campaign, broadcast, newsletter, transactional or unknown
    source_id         TEXT,                      -- its id within the kind; NULL: not known
    action_id         TEXT,                      -- the step of the campaign or broadcast that sent it
    content_id        TEXT,                      -- the content of the newsletter or variant
    parent_action_id  TEXT,                      -- the step that holds that one, as of a test
    journey_id        TEXT,                      -- the person's way through the campaign
    trigger_id        TEXT,                      -- the send of the broadcast
    trigger_event_id  TEXT,                      -- the event that started the campaign for the person
    person_id         TEXT,                      -- whom it is for: the sender's id of the person
    email             TEXT,                      -- the person's email address, in lower case
    cio_id            TEXT,                      -- the person's id within Customer.io
    recipient         TEXT,                      -- the address to compare by: no display name; an email in lower case; a phone as + and digits
    recipient_raw     TEXT,                      -- as the sender wrote it, where that differs
    recipient_domain  TEXT,                      -- of an email recipient: what follows the @
    subject           TEXT,
    status            TEXT NOT NULL,             -- the engagement if there is one, else the outcome, else unknown
    status_at_ms      INTEGER,
    outcome           TEXT,                      -- how the sending went: queued to delivered, or bounced, failed and the like
    outcome_at_ms     INTEGER,
    outcome_event_id  TEXT,                      -- the event that decided the outcome
    engagement        TEXT,                      -- the furthest that the person did: opened < clicked < replied < converted < unsubscribed < spammed
    engagement_at_ms  INTEGER,
    failure_reason    TEXT,                      -- the reason given by the event that decided the outcome
    created_at_ms     INTEGER NOT NULL,          -- the time of its earliest event
    updated_at_ms     INTEGER NOT NULL,          -- the time of its latest event
    events            INTEGER NOT NULL,          -- how many distinct events it has
    devices           INTEGER NOT NULL DEFAULT 0, -- of a push: how many devices its events name
    devices_bounced   INTEGER NOT NULL DEFAULT 0, -- of a push: on how many of them it bounced
    queued_at_ms            INTEGER,             -- first time it was queued; NULL: never
    drafted_at_ms           INTEGER,             -- first time it was drafted; NULL: never
    attempted_at_ms         INTEGER,             -- first attempt to hand it off; NULL: never
    deferred_at_ms          INTEGER,             -- first time the receiving side deferred it; NULL: never
    sent_at_ms              INTEGER,             -- first time it was sent; NULL: never
    delivered_at_ms         INTEGER,             -- first time it was delivered; NULL: never
    opened_at_ms            INTEGER,             -- first open by anyone; a click implies one on email and push; NULL: never
    clicked_at_ms           INTEGER,             -- first click by anyone; NULL: never
    replied_at_ms           INTEGER,             -- first reply; NULL: never
    converted_at_ms         INTEGER,             -- first conversion; NULL: never
    unsubscribed_at_ms      INTEGER,             -- first unsubscription by it; NULL: never
    bounced_at_ms           INTEGER,             -- first bounce; NULL: never
    suppressed_at_ms        INTEGER,             -- first time the sender suppressed it; NULL: never
    spammed_at_ms           INTEGER,             -- first spam complaint; NULL: never
    failed_at_ms            INTEGER,             -- first failure; NULL: never
    undeliverable_at_ms     INTEGER,             -- first time it was undeliverable; NULL: never
    human_opened_at_ms      INTEGER,             -- first open not marked as a machine's; NULL: never
    machine_opened_at_ms    INTEGER,             -- first open marked as a machine's; NULL: never
    human_clicked_at_ms     INTEGER,             -- first click not marked as a machine's; NULL: never
    machine_clicked_at_ms   INTEGER,             -- first click marked as a machine's; NULL: never
    forgotten         INTEGER NOT NULL DEFAULT 0, -- 1: its person was erased, and what identified the person is gone
    pruned_at_ms      INTEGER,                   -- when its events were dropped for their age; NULL: they are here
    first_attributes  TEXT,                      -- JSON: the attributes of the event that arrived first; never changed
    absorbed          TEXT,                      -- JSON: pulled events that its other events make superfluous; they come back if those change. NULL: nothing was pulled of it
    attributes_from   TEXT,                      -- JSON: which event supplied each attribute, the earliest that has it: {'*': [time, event id, metric], 'subject': [...]}
    CHECK (source_kind IN ('campaign', 'broadcast', 'newsletter', 'transactional', 'unknown'))
) STRICT;
CREATE INDEX deliveries_created_at ON deliveries (created_at_ms);
CREATE INDEX deliveries_updated_at ON deliveries (updated_at_ms);
CREATE INDEX deliveries_status ON deliveries (status, created_at_ms);
CREATE INDEX deliveries_source ON deliveries (source_kind, source_id, created_at_ms);
CREATE INDEX deliveries_recipient ON deliveries (recipient, created_at_ms) WHERE recipient IS NOT NULL;
CREATE INDEX deliveries_recipient_domain ON deliveries (recipient_domain, created_at_ms) WHERE recipient_domain IS NOT NULL;
CREATE INDEX deliveries_person_id ON deliveries (person_id, created_at_ms) WHERE person_id IS NOT NULL;
CREATE INDEX deliveries_failure ON deliveries (created_at_ms) WHERE failure_reason IS NOT NULL;

CREATE TABLE events (
    -- One distinct event of a delivery, in order of arrival: `id > ?` is all that is new.
    id               INTEGER PRIMARY KEY,
    delivery         INTEGER NOT NULL REFERENCES deliveries (id),
    metric           TEXT NOT NULL,              -- what happened: sent, delivered, opened and so on, or as the sender names it
    event_id         TEXT NOT NULL,              -- the sender's id; a keyed hash of the event where none came
    occurred_at_ms   INTEGER NOT NULL,
    time_is_receipt  INTEGER NOT NULL DEFAULT 0, -- 1: it came without a time of its own
    clock_skew_ms    INTEGER NOT NULL DEFAULT 0, -- what was taken off its time because the sender's clock was wrong
    received_at_ms   INTEGER NOT NULL,           -- when the first copy came in
    machine          INTEGER,                    -- 1: by a machine (prefetched open, bot click); 0: not; NULL: not stated
    proxied          INTEGER,                    -- 1: opened through an image proxy; 0: not; NULL: not stated
    synthetic        INTEGER,                    -- 1: inferred by the sender from a click; 0: seen; NULL: not stated
    recipient        TEXT,                       -- the address that this event names; NULL: it names none
    href             TEXT,                       -- of a click: the address that was followed
    link_id          TEXT,                       -- of a click: the sender's id of the link
    link             TEXT,                       -- of a click: what it counts under: link_id, else href without query and fragment
    action_value     TEXT,                       -- of an in-app message: what was pressed; of a conversion: its value
    reason           TEXT,                       -- of a failure: why, in the sender's words
    bounce_class     TEXT,                       -- of a bounce: hard, soft, policy or unknown, where the sender states it; NULL: not stated, the reason is read
    repeats          INTEGER NOT NULL DEFAULT 0, -- how often a copy came again
    attributes       TEXT                        -- JSON: what it says of its delivery; NULL: the same as deliveries.first_attributes
) STRICT;
CREATE UNIQUE INDEX events_event_id ON events (event_id, delivery, metric);
CREATE INDEX events_delivery ON events (delivery, occurred_at_ms);
CREATE INDEX events_occurred_at ON events (occurred_at_ms);
CREATE INDEX events_link ON events (link, occurred_at_ms) WHERE link IS NOT NULL;

CREATE TABLE event_bodies (
    -- The JSON of an event as it came, as text: body ->> '$.data.subject' reads a field. Dropped when it is older than
    -- --keep-bodies allows.
    id      INTEGER PRIMARY KEY REFERENCES events (id),
    format  TEXT NOT NULL,                          -- webhook, pipelines, track, waybill and the like
    body    TEXT NOT NULL
) STRICT;

CREATE TABLE event_devices (
    -- The devices that a push event names.
    event      INTEGER NOT NULL REFERENCES events (id),
    position   INTEGER NOT NULL,
    device_id  TEXT NOT NULL,
    platform   TEXT,
    reason     TEXT,                                -- why it failed on this device
    PRIMARY KEY (event, position)
) STRICT;

CREATE TABLE delivery_devices (
    -- What the events of a push say of each device. The delivery's outcome is that of the device that fared best, events
    -- that name no device counting for all of them: those are the row whose device_id is ''.
    delivery       INTEGER NOT NULL REFERENCES deliveries (id),
    device_id      TEXT NOT NULL,
    platform       TEXT,
    outcome        TEXT,
    outcome_at_ms  INTEGER,
    event_id       TEXT,                            -- the event that decided it
    reason         TEXT,
    PRIMARY KEY (delivery, device_id)
) STRICT;

CREATE TABLE delivery_links (
    -- The links that were followed from a delivery, and by whom.
    delivery  INTEGER NOT NULL REFERENCES deliveries (id),
    link      TEXT NOT NULL,                        -- as events.link
    human     INTEGER NOT NULL,                     -- 1: at least once by a person
    machine   INTEGER NOT NULL,                     -- 1: at least once by a machine
    PRIMARY KEY (delivery, link)
) STRICT;

CREATE TABLE delivery_identifiers (
    -- Identifiers that a delivery's events, or copies of them, carry and its person_id and recipient do not show: email,
    -- cio_id, devices, and others that a later event names; in the form that is compared. So all deliveries of a person are
    -- found.
    identifier  TEXT NOT NULL,
    delivery    INTEGER NOT NULL REFERENCES deliveries (id),
    PRIMARY KEY (identifier, delivery)
) STRICT;
CREATE INDEX delivery_identifiers_delivery ON delivery_identifiers (delivery);

-- Derived: counts that `waybill verify` recounts --------------------------------------------------------------------

CREATE TABLE campaign_metrics (
    -- A row for each source and channel, for its whole life. `opened`: how many deliveries were opened, each counted once;
    -- `opened_events`: how many distinct events say so.
    source_kind TEXT NOT NULL,
    source_id TEXT,
    channel TEXT,
    created INTEGER NOT NULL DEFAULT 0,
    queued INTEGER NOT NULL DEFAULT 0, queued_events INTEGER NOT NULL DEFAULT 0,
    drafted INTEGER NOT NULL DEFAULT 0, drafted_events INTEGER NOT NULL DEFAULT 0,
    attempted INTEGER NOT NULL DEFAULT 0, attempted_events INTEGER NOT NULL DEFAULT 0,
    deferred INTEGER NOT NULL DEFAULT 0, deferred_events INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0, sent_events INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0, delivered_events INTEGER NOT NULL DEFAULT 0,
    opened INTEGER NOT NULL DEFAULT 0, opened_events INTEGER NOT NULL DEFAULT 0,
    clicked INTEGER NOT NULL DEFAULT 0, clicked_events INTEGER NOT NULL DEFAULT 0,
    replied INTEGER NOT NULL DEFAULT 0, replied_events INTEGER NOT NULL DEFAULT 0,
    converted INTEGER NOT NULL DEFAULT 0, converted_events INTEGER NOT NULL DEFAULT 0,
    unsubscribed INTEGER NOT NULL DEFAULT 0, unsubscribed_events INTEGER NOT NULL DEFAULT 0,
    bounced INTEGER NOT NULL DEFAULT 0, bounced_events INTEGER NOT NULL DEFAULT 0,
    suppressed INTEGER NOT NULL DEFAULT 0, suppressed_events INTEGER NOT NULL DEFAULT 0,
    spammed INTEGER NOT NULL DEFAULT 0, spammed_events INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, failed_events INTEGER NOT NULL DEFAULT 0,
    undeliverable INTEGER NOT NULL DEFAULT 0, undeliverable_events INTEGER NOT NULL DEFAULT 0,
    human_opened INTEGER NOT NULL DEFAULT 0, human_opened_events INTEGER NOT NULL DEFAULT 0,
    machine_opened INTEGER NOT NULL DEFAULT 0, machine_opened_events INTEGER NOT NULL DEFAULT 0,
    human_clicked INTEGER NOT NULL DEFAULT 0, human_clicked_events INTEGER NOT NULL DEFAULT 0,
    machine_clicked INTEGER NOT NULL DEFAULT 0, machine_clicked_events INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX campaign_metrics_key ON campaign_metrics (source_kind, source_id, channel);

CREATE TABLE campaign_metrics_quarter_hourly (
    -- The same by the quarter of an hour (UTC) in which the delivery was created, and by action and content. A quarter,
    -- because days begin at :30 and :45 in India, Nepal and elsewhere.
    source_kind TEXT NOT NULL,
    source_id TEXT,
    bucket_ms INTEGER NOT NULL,
    channel TEXT,
    action_id TEXT,
    content_id TEXT,
    created INTEGER NOT NULL DEFAULT 0,
    queued INTEGER NOT NULL DEFAULT 0, queued_events INTEGER NOT NULL DEFAULT 0,
    drafted INTEGER NOT NULL DEFAULT 0, drafted_events INTEGER NOT NULL DEFAULT 0,
    attempted INTEGER NOT NULL DEFAULT 0, attempted_events INTEGER NOT NULL DEFAULT 0,
    deferred INTEGER NOT NULL DEFAULT 0, deferred_events INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0, sent_events INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0, delivered_events INTEGER NOT NULL DEFAULT 0,
    opened INTEGER NOT NULL DEFAULT 0, opened_events INTEGER NOT NULL DEFAULT 0,
    clicked INTEGER NOT NULL DEFAULT 0, clicked_events INTEGER NOT NULL DEFAULT 0,
    replied INTEGER NOT NULL DEFAULT 0, replied_events INTEGER NOT NULL DEFAULT 0,
    converted INTEGER NOT NULL DEFAULT 0, converted_events INTEGER NOT NULL DEFAULT 0,
    unsubscribed INTEGER NOT NULL DEFAULT 0, unsubscribed_events INTEGER NOT NULL DEFAULT 0,
    bounced INTEGER NOT NULL DEFAULT 0, bounced_events INTEGER NOT NULL DEFAULT 0,
    suppressed INTEGER NOT NULL DEFAULT 0, suppressed_events INTEGER NOT NULL DEFAULT 0,
    spammed INTEGER NOT NULL DEFAULT 0, spammed_events INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, failed_events INTEGER NOT NULL DEFAULT 0,
    undeliverable INTEGER NOT NULL DEFAULT 0, undeliverable_events INTEGER NOT NULL DEFAULT 0,
    human_opened INTEGER NOT NULL DEFAULT 0, human_opened_events INTEGER NOT NULL DEFAULT 0,
    machine_opened INTEGER NOT NULL DEFAULT 0, machine_opened_events INTEGER NOT NULL DEFAULT 0,
    human_clicked INTEGER NOT NULL DEFAULT 0, human_clicked_events INTEGER NOT NULL DEFAULT 0,
    machine_clicked INTEGER NOT NULL DEFAULT 0, machine_clicked_events INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX campaign_metrics_quarter_hourly_key ON campaign_metrics_quarter_hourly (source_kind, source_id, bucket_ms, channel, action_id, content_id);

CREATE TABLE trigger_metrics (
    -- The same for each send of a broadcast, for its whole life.
    source_kind TEXT NOT NULL,
    source_id TEXT,
    trigger_id TEXT NOT NULL,
    channel TEXT,
    created INTEGER NOT NULL DEFAULT 0,
    queued INTEGER NOT NULL DEFAULT 0, queued_events INTEGER NOT NULL DEFAULT 0,
    drafted INTEGER NOT NULL DEFAULT 0, drafted_events INTEGER NOT NULL DEFAULT 0,
    attempted INTEGER NOT NULL DEFAULT 0, attempted_events INTEGER NOT NULL DEFAULT 0,
    deferred INTEGER NOT NULL DEFAULT 0, deferred_events INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0, sent_events INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0, delivered_events INTEGER NOT NULL DEFAULT 0,
    opened INTEGER NOT NULL DEFAULT 0, opened_events INTEGER NOT NULL DEFAULT 0,
    clicked INTEGER NOT NULL DEFAULT 0, clicked_events INTEGER NOT NULL DEFAULT 0,
    replied INTEGER NOT NULL DEFAULT 0, replied_events INTEGER NOT NULL DEFAULT 0,
    converted INTEGER NOT NULL DEFAULT 0, converted_events INTEGER NOT NULL DEFAULT 0,
    unsubscribed INTEGER NOT NULL DEFAULT 0, unsubscribed_events INTEGER NOT NULL DEFAULT 0,
    bounced INTEGER NOT NULL DEFAULT 0, bounced_events INTEGER NOT NULL DEFAULT 0,
    suppressed INTEGER NOT NULL DEFAULT 0, suppressed_events INTEGER NOT NULL DEFAULT 0,
    spammed INTEGER NOT NULL DEFAULT 0, spammed_events INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0, failed_events INTEGER NOT NULL DEFAULT 0,
    undeliverable INTEGER NOT NULL DEFAULT 0, undeliverable_events INTEGER NOT NULL DEFAULT 0,
    human_opened INTEGER NOT NULL DEFAULT 0, human_opened_events INTEGER NOT NULL DEFAULT 0,
    machine_opened INTEGER NOT NULL DEFAULT 0, machine_opened_events INTEGER NOT NULL DEFAULT 0,
    human_clicked INTEGER NOT NULL DEFAULT 0, human_clicked_events INTEGER NOT NULL DEFAULT 0,
    machine_clicked INTEGER NOT NULL DEFAULT 0, machine_clicked_events INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX trigger_metrics_key ON trigger_metrics (source_kind, source_id, trigger_id, channel);

CREATE TABLE activity_quarter_hourly (
    -- Distinct events by the quarter of an hour (UTC) in which they happened.
    source_kind TEXT NOT NULL,
    source_id TEXT,
    bucket_ms INTEGER NOT NULL,
    channel TEXT,
    queued_events INTEGER NOT NULL DEFAULT 0,
    drafted_events INTEGER NOT NULL DEFAULT 0,
    attempted_events INTEGER NOT NULL DEFAULT 0,
    deferred_events INTEGER NOT NULL DEFAULT 0,
    sent_events INTEGER NOT NULL DEFAULT 0,
    delivered_events INTEGER NOT NULL DEFAULT 0,
    opened_events INTEGER NOT NULL DEFAULT 0,
    clicked_events INTEGER NOT NULL DEFAULT 0,
    replied_events INTEGER NOT NULL DEFAULT 0,
    converted_events INTEGER NOT NULL DEFAULT 0,
    unsubscribed_events INTEGER NOT NULL DEFAULT 0,
    bounced_events INTEGER NOT NULL DEFAULT 0,
    suppressed_events INTEGER NOT NULL DEFAULT 0,
    spammed_events INTEGER NOT NULL DEFAULT 0,
    failed_events INTEGER NOT NULL DEFAULT 0,
    undeliverable_events INTEGER NOT NULL DEFAULT 0,
    human_opened_events INTEGER NOT NULL DEFAULT 0,
    machine_opened_events INTEGER NOT NULL DEFAULT 0,
    human_clicked_events INTEGER NOT NULL DEFAULT 0,
    machine_clicked_events INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX activity_quarter_hourly_key ON activity_quarter_hourly (source_kind, source_id, bucket_ms, channel);

CREATE INDEX campaign_metrics_quarter_hourly_bucket ON campaign_metrics_quarter_hourly (bucket_ms);
CREATE INDEX activity_quarter_hourly_bucket ON activity_quarter_hourly (bucket_ms);

CREATE TABLE status_counts (
    -- How many deliveries have this outcome and engagement now.
    source_kind  TEXT NOT NULL,
    source_id    TEXT,
    channel      TEXT,
    outcome      TEXT,
    engagement   TEXT,
    deliveries   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX status_counts_key ON status_counts (source_kind, source_id, channel, outcome, engagement);

CREATE TABLE link_metrics (
    -- Clicks by link of a source and action.
    source_kind         TEXT NOT NULL,
    source_id           TEXT,
    action_id           TEXT,
    link                TEXT NOT NULL,              -- the sender's id of the link, else its address
    address             TEXT,                       -- where it led when it was last followed, without query and fragment
    address_at_ms       INTEGER,                    -- the click that says so
    address_event_id    TEXT,
    events              INTEGER NOT NULL DEFAULT 0, -- clicks
    deliveries          INTEGER NOT NULL DEFAULT 0, -- deliveries in which it was followed
    human_deliveries    INTEGER NOT NULL DEFAULT 0, -- ... by a person
    machine_deliveries  INTEGER NOT NULL DEFAULT 0  -- ... by a machine
) STRICT;
CREATE UNIQUE INDEX link_metrics_key ON link_metrics (source_kind, source_id, action_id, link);

CREATE TABLE suppression_causes (
    -- Events that list an address for suppression: a hard bounce, a spam complaint, a suppression.
    id              INTEGER PRIMARY KEY,
    address         TEXT NOT NULL,                  -- the recipient; of a push a device
    channel         TEXT NOT NULL,
    occurred_at_ms  INTEGER NOT NULL,
    metric          TEXT NOT NULL,                  -- bounced, spammed or suppressed
    delivery        INTEGER NOT NULL REFERENCES deliveries (id),
    event_id        TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX suppression_causes_address ON suppression_causes (address, channel, occurred_at_ms, delivery, metric, event_id);
CREATE INDEX suppression_causes_occurred_at ON suppression_causes (occurred_at_ms);
CREATE INDEX suppression_causes_delivery ON suppression_causes (delivery);

CREATE TABLE suppression_lifts (
    -- Deliveries to those addresses after the first cause: each lifts the causes before it.
    address         TEXT NOT NULL,
    channel         TEXT NOT NULL,
    occurred_at_ms  INTEGER NOT NULL,
    delivery        INTEGER NOT NULL REFERENCES deliveries (id),
    event_id        TEXT NOT NULL,
    PRIMARY KEY (address, channel, occurred_at_ms, delivery, event_id)
) STRICT;
CREATE INDEX suppression_lifts_delivery ON suppression_lifts (delivery);

-- What was not applied ----------------------------------------------------------------------------------------------

CREATE TABLE quarantine (
    -- Bodies that were not understood, or that wait for their time or their delivery.
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at_ms  INTEGER NOT NULL,
    format          TEXT NOT NULL,                  -- how to read the body again
    reason          TEXT NOT NULL,                  -- why it is here, as a word
    detail          TEXT NOT NULL,                  -- the same for people
    delivery_id     TEXT,                           -- the delivery that it names
    due_at_ms       INTEGER,                        -- of an event from the future: when it may be applied
    is_public       INTEGER NOT NULL DEFAULT 0,     -- 1: from a sender without a full key
    event           TEXT,                           -- of a report that waits for its delivery: the event as JSON
    body            BLOB NOT NULL,
    body_bytes      INTEGER NOT NULL,               -- the length as received; of a body above 8 MiB only the beginning is kept
    fingerprint     BLOB NOT NULL,                  -- the same body again is the same row
    repeats         INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX quarantine_fingerprint ON quarantine (fingerprint);
CREATE INDEX quarantine_reason ON quarantine (reason, id);
CREATE INDEX quarantine_public ON quarantine (reason, id) WHERE is_public = 1;
CREATE INDEX quarantine_due_at ON quarantine (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX quarantine_delivery_id ON quarantine (delivery_id, reason) WHERE delivery_id IS NOT NULL;

CREATE TABLE _quarantine_counts (
    reason   TEXT PRIMARY KEY,
    entries  INTEGER NOT NULL,
    public_bytes INTEGER NOT NULL DEFAULT 0,        -- from senders without a full key: the bytes of their bodies
    dropped  INTEGER NOT NULL DEFAULT 0             -- and how many of these made room for later ones
) STRICT, WITHOUT ROWID;

CREATE TABLE ignored (
    -- Events that are not about messages, by name.
    name        TEXT NOT NULL PRIMARY KEY,
    events      INTEGER NOT NULL,
    last_at_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE receipts (
    -- What came in, by the quarter of an hour of receipt.
    bucket_ms    INTEGER PRIMARY KEY,
    accepted     INTEGER NOT NULL DEFAULT 0,
    duplicate    INTEGER NOT NULL DEFAULT 0,
    ignored      INTEGER NOT NULL DEFAULT 0,
    quarantined  INTEGER NOT NULL DEFAULT 0,
    pruned       INTEGER NOT NULL DEFAULT 0,        -- of deliveries whose events were dropped for their age
    last_at_ms   INTEGER NOT NULL
) STRICT;

-- People, devices, objects, subscriptions ---------------------------------------------------------------------------
--
-- Each row of the first six tables is a register: of all that was stated, the value with the greatest (at_ms, event_id, value)
-- stands; a NULL value is a deletion. A person stands under the name that the call gives: the id, else the email address, else
-- the cio_id, else the phone number, else the anonymous id. The latest deletion of a person or object hides what was stated
-- before it.

CREATE TABLE people (
    person            TEXT NOT NULL PRIMARY KEY,
    at_ms             INTEGER NOT NULL,
    event_id          TEXT NOT NULL,
    value             TEXT,
    deleted_at_ms     INTEGER,
    deleted_event_id  TEXT
) STRICT;

CREATE TABLE traits (
    person    TEXT NOT NULL,
    name      TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    event_id  TEXT NOT NULL,
    value     TEXT,                                 -- JSON
    PRIMARY KEY (person, name)
) STRICT;

CREATE TABLE devices (
    person     TEXT NOT NULL,
    device_id  TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    value      TEXT,                                -- a JSON object, platform among its keys
    PRIMARY KEY (person, device_id)
) STRICT;
CREATE INDEX devices_device_id ON devices (device_id, person);

CREATE TABLE objects (
    type_id           TEXT NOT NULL,
    object_id         TEXT NOT NULL,
    at_ms             INTEGER NOT NULL,
    event_id          TEXT NOT NULL,
    value             TEXT,
    deleted_at_ms     INTEGER,
    deleted_event_id  TEXT,
    PRIMARY KEY (type_id, object_id)
) STRICT;

CREATE TABLE object_traits (
    type_id    TEXT NOT NULL,
    object_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    value      TEXT,                                -- JSON
    PRIMARY KEY (type_id, object_id, name)
) STRICT;

CREATE TABLE relationships (
    type_id    TEXT NOT NULL,
    object_id  TEXT NOT NULL,
    person     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    value      TEXT,                                -- a JSON object
    PRIMARY KEY (type_id, object_id, person)
) STRICT;
CREATE INDEX relationships_person ON relationships (person, type_id, object_id);

CREATE TABLE identifiers (
    -- Identifiers that one call carried together, under the name of the person that it gives.
    person  TEXT NOT NULL,
    kind    TEXT NOT NULL,                          -- id, email, cio_id, phone, anonymous_id
    value   TEXT NOT NULL,
    PRIMARY KEY (person, kind, value)
) STRICT;
CREATE INDEX identifiers_value ON identifiers (value, person, kind);

CREATE TABLE subscription_changes (
    -- Changes of people's subscriptions: a row for each event and what it changed.
    event_id                  TEXT NOT NULL,
    change                    TEXT NOT NULL,        -- subscribed, unsubscribed, preferences
    at_ms                     INTEGER NOT NULL,
    time_is_receipt           INTEGER NOT NULL,
    person_id                 TEXT,
    email                     TEXT,
    cio_id                    TEXT,
    phone                     TEXT,
    anonymous_id              TEXT,
    delivery_id               TEXT,                 -- the delivery that is named with it, and its channel and source
    channel                   TEXT,
    campaign_id               TEXT,
    broadcast_id              TEXT,
    newsletter_id             TEXT,
    transactional_message_id  TEXT,
    action_id                 TEXT,
    content_id                TEXT,
    content                   TEXT,                 -- of preferences: JSON, topics and channels
    person                    TEXT,                 -- the person's name: the first of these that is known, else of whom the
                                                    -- delivery is
    PRIMARY KEY (event_id, change)
) STRICT;
CREATE INDEX subscription_changes_person ON subscription_changes (person, at_ms, event_id, change);
CREATE INDEX subscription_changes_delivery_id ON subscription_changes (delivery_id)
    WHERE coalesce(person_id, email, cio_id, phone, anonymous_id) IS NULL AND delivery_id IS NOT NULL;

-- Erasure -----------------------------------------------------------------------------------------------------------

CREATE TABLE erasure_requests (
    -- Requests to erase a person, or to end a suppression, by each identifier that the request carried. A request to erase
    -- waits here until it is due; its row goes once it has taken effect.
    identifier      TEXT NOT NULL,
    request         TEXT NOT NULL,                  -- deleted, suppressed, unsuppressed
    at_ms           INTEGER NOT NULL,
    event_id        TEXT NOT NULL,
    received_at_ms  INTEGER NOT NULL,
    due_at_ms       INTEGER,                        -- when it takes effect, which may be revoked until then; NULL: it does not erase
    revoked_at_ms   INTEGER,                        -- it was revoked before it took effect
    PRIMARY KEY (identifier, request, at_ms, event_id)
) STRICT;
CREATE INDEX erasure_requests_due_at ON erasure_requests (due_at_ms) WHERE due_at_ms IS NOT NULL AND revoked_at_ms IS NULL;

CREATE TABLE _forgotten (
    -- Erasure requests in effect, by the keyed hash of the identifier.
    hash     BLOB NOT NULL,
    request  TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    PRIMARY KEY (hash, request, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE _forgotten_links (
    -- What forgotten deliveries carried beside the identifier that the request named: forgotten with it.
    hash   BLOB NOT NULL,
    named  BLOB NOT NULL,
    PRIMARY KEY (hash, named)
) STRICT, WITHOUT ROWID;
CREATE INDEX _forgotten_links_named ON _forgotten_links (named);

CREATE TABLE _erasures (
    -- Identifiers whose traces are being erased, in the form that is compared, or their pseudonym. All rows go once the walk
    -- has ended.
    identifier  TEXT PRIMARY KEY,
    looked      INTEGER NOT NULL DEFAULT 0,         -- 1: its deliveries have been looked at
    delivery    INTEGER NOT NULL DEFAULT 0          -- the last delivery that was looked at
) STRICT, WITHOUT ROWID;

CREATE TABLE _erasure_walk (
    -- How far the walk through what no index finds has come. No row: there is nothing to erase.
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    stage   INTEGER NOT NULL,
    cursor  ANY                                     -- the last row that was looked at; NULL: none yet
) STRICT;

-- The views: a promise ----------------------------------------------------------------------------------------------

CREATE VIEW deliveries_v1 AS
-- A row for each delivery: one message to one recipient, its status now and when each metric first happened.
-- try: the newest deliveries and their status
--   SELECT created_at, channel, source_kind, source_id, recipient, subject, status, failure_reason
--   FROM deliveries_v1 ORDER BY created_at_ms DESC LIMIT 50;
-- try: why mail bounced in the last 30 days
--   SELECT failure_reason, count(*) AS deliveries FROM deliveries_v1
--   WHERE outcome = 'bounced' AND channel = 'email' AND created_at_ms > unixepoch('now', '-30 days') * 1000
--   GROUP BY failure_reason ORDER BY deliveries DESC LIMIT 20;
-- try: hours from sent to the first human open, by channel, over the last week
--   SELECT channel, count(*) AS opened, round(avg(human_opened_at_ms - sent_at_ms) / 3600000.0, 1) AS hours
--   FROM deliveries_v1
--   WHERE created_at_ms > unixepoch('now', '-7 days') * 1000 AND human_opened_at IS NOT NULL AND sent_at IS NOT NULL
--   GROUP BY channel;
SELECT
    d.id,                                        -- the row in deliveries; events_v1.delivery refers to it
    d.delivery_id,                               -- the sender's id
    d.channel,                                   -- email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
    d.source_kind,                               -- campaign, broadcast, newsletter, transactional or unknown
    d.source_id,                                 -- its id within the kind; NULL: not known
    (SELECT n.name FROM source_names n WHERE n.source_kind = d.source_kind AND n.source_id = d.source_id) AS source_name, -- the name that it was given here; NULL: none yet
    d.action_id,                                 -- the step of the campaign or broadcast that sent it
    d.parent_action_id,                          -- the step that holds that one, as of a test
    d.content_id,                                -- the content of the newsletter or variant
    d.journey_id,                                -- the person's way through the campaign
    d.trigger_id,                                -- the send of the broadcast
    d.trigger_event_id,                          -- the event that started the campaign for the person
    d.person_id,                                 -- whom it is for: the sender's id of the person
    d.email,                                     -- the person's email address, in lower case
    d.cio_id,                                    -- the person's id within Customer.io
    d.recipient,                                 -- the address that it went to, to compare by: an email in lower case, a phone as + and digits; of a push a device or NULL
    d.recipient_raw,                             -- the address as the sender wrote it, where that differs
    d.recipient_domain,                          -- of an email: what follows the @
    d.subject,                                   -- its subject
    d.status,                                    -- where it is now: the engagement if there is one, else the outcome, else unknown
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.status_at_ms / 1000.0, 'unixepoch') AS TEXT) AS status_at, -- since when; ISO 8601, UTC
    d.status_at_ms,                              -- the same in milliseconds since 1970
    d.outcome,                                   -- how the sending went: queued to delivered, or bounced, failed and the like
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.outcome_at_ms / 1000.0, 'unixepoch') AS TEXT) AS outcome_at, -- when that happened; ISO 8601, UTC
    d.outcome_at_ms,                             -- the same in milliseconds since 1970
    d.engagement,                                -- the furthest that the person did: opened, clicked, replied, converted, unsubscribed, spammed
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.engagement_at_ms / 1000.0, 'unixepoch') AS TEXT) AS engagement_at, -- when that happened; ISO 8601, UTC
    d.engagement_at_ms,                          -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.created_at_ms / 1000.0, 'unixepoch') AS TEXT) AS created_at, -- the time of its earliest event; ISO 8601, UTC
    d.created_at_ms,                             -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.updated_at_ms / 1000.0, 'unixepoch') AS TEXT) AS updated_at, -- the time of its latest event; ISO 8601, UTC
    d.updated_at_ms,                             -- the same in milliseconds since 1970
    d.failure_reason,                            -- why it failed or bounced, in the sender's words
    d.devices,                                   -- of a push: how many devices its events name
    d.devices_bounced,                           -- of a push: on how many of them it bounced
    d.forgotten,                                 -- 1: its person was erased, and what identified the person is gone
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.pruned_at_ms / 1000.0, 'unixepoch') AS TEXT) AS pruned_at, -- when its events were dropped for their age; NULL: they are here; ISO 8601, UTC
    d.pruned_at_ms,                              -- the same in milliseconds since 1970
    d.events,                                    -- how many distinct events it has
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.queued_at_ms / 1000.0, 'unixepoch') AS TEXT) AS queued_at, -- first time it was queued; NULL: never; ISO 8601, UTC
    d.queued_at_ms,                              -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.drafted_at_ms / 1000.0, 'unixepoch') AS TEXT) AS drafted_at, -- first time it was drafted; NULL: never; ISO 8601, UTC
    d.drafted_at_ms,                             -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.attempted_at_ms / 1000.0, 'unixepoch') AS TEXT) AS attempted_at, -- first attempt to hand it off; NULL: never; ISO 8601, UTC
    d.attempted_at_ms,                           -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.deferred_at_ms / 1000.0, 'unixepoch') AS TEXT) AS deferred_at, -- first time the receiving side deferred it; NULL: never; ISO 8601, UTC
    d.deferred_at_ms,                            -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.sent_at_ms / 1000.0, 'unixepoch') AS TEXT) AS sent_at, -- first time it was sent; NULL: never; ISO 8601, UTC
    d.sent_at_ms,                                -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.delivered_at_ms / 1000.0, 'unixepoch') AS TEXT) AS delivered_at, -- first time it was delivered; NULL: never; ISO 8601, UTC
    d.delivered_at_ms,                           -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.opened_at_ms / 1000.0, 'unixepoch') AS TEXT) AS opened_at, -- first open by anyone; a click implies one on email and push; NULL: never; ISO 8601, UTC
    d.opened_at_ms,                              -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.clicked_at_ms / 1000.0, 'unixepoch') AS TEXT) AS clicked_at, -- first click by anyone; NULL: never; ISO 8601, UTC
    d.clicked_at_ms,                             -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.replied_at_ms / 1000.0, 'unixepoch') AS TEXT) AS replied_at, -- first reply; NULL: never; ISO 8601, UTC
    d.replied_at_ms,                             -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.converted_at_ms / 1000.0, 'unixepoch') AS TEXT) AS converted_at, -- first conversion; NULL: never; ISO 8601, UTC
    d.converted_at_ms,                           -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.unsubscribed_at_ms / 1000.0, 'unixepoch') AS TEXT) AS unsubscribed_at, -- first unsubscription by it; NULL: never; ISO 8601, UTC
    d.unsubscribed_at_ms,                        -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.bounced_at_ms / 1000.0, 'unixepoch') AS TEXT) AS bounced_at, -- first bounce; NULL: never; ISO 8601, UTC
    d.bounced_at_ms,                             -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.suppressed_at_ms / 1000.0, 'unixepoch') AS TEXT) AS suppressed_at, -- first time the sender suppressed it; NULL: never; ISO 8601, UTC
    d.suppressed_at_ms,                          -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.spammed_at_ms / 1000.0, 'unixepoch') AS TEXT) AS spammed_at, -- first spam complaint; NULL: never; ISO 8601, UTC
    d.spammed_at_ms,                             -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.failed_at_ms / 1000.0, 'unixepoch') AS TEXT) AS failed_at, -- first failure; NULL: never; ISO 8601, UTC
    d.failed_at_ms,                              -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.undeliverable_at_ms / 1000.0, 'unixepoch') AS TEXT) AS undeliverable_at, -- first time it was undeliverable; NULL: never; ISO 8601, UTC
    d.undeliverable_at_ms,                       -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.human_opened_at_ms / 1000.0, 'unixepoch') AS TEXT) AS human_opened_at, -- first open not marked as a machine's; NULL: never; ISO 8601, UTC
    d.human_opened_at_ms,                        -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.machine_opened_at_ms / 1000.0, 'unixepoch') AS TEXT) AS machine_opened_at, -- first open marked as a machine's; NULL: never; ISO 8601, UTC
    d.machine_opened_at_ms,                      -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.human_clicked_at_ms / 1000.0, 'unixepoch') AS TEXT) AS human_clicked_at, -- first click not marked as a machine's; NULL: never; ISO 8601, UTC
    d.human_clicked_at_ms,                       -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', d.machine_clicked_at_ms / 1000.0, 'unixepoch') AS TEXT) AS machine_clicked_at, -- first click marked as a machine's; NULL: never; ISO 8601, UTC
    d.machine_clicked_at_ms                      -- the same in milliseconds since 1970
FROM deliveries d;

CREATE VIEW events_v1 AS
-- A row for each distinct event of a delivery.
-- try: the story of the newest delivery that was opened
--   SELECT occurred_at, metric, machine, reason, href FROM events_v1
--   WHERE delivery_id = (SELECT delivery_id FROM deliveries_v1 WHERE status = 'opened' ORDER BY created_at_ms DESC LIMIT 1)
--   ORDER BY occurred_at_ms;
SELECT
    e.id,                                        -- the row in events, in order of arrival: id > ? is all that is new
    e.event_id,                                  -- the sender's id; a keyed hash where none came
    d.delivery_id,                               -- the delivery that it is of
    e.delivery,                                  -- that delivery's row: deliveries_v1.id
    d.channel,                                   -- the delivery's channel
    e.metric,                                    -- what happened: sent, delivered, opened and so on, or as the sender names it
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_at_ms / 1000.0, 'unixepoch') AS TEXT) AS occurred_at, -- when it happened; ISO 8601, UTC
    e.occurred_at_ms,                            -- the same in milliseconds since 1970
    e.time_is_receipt,                           -- 1: it came without a time, so that of its receipt stands
    e.clock_skew_ms,                             -- what was taken off its time because the sender's clock was wrong
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', e.received_at_ms / 1000.0, 'unixepoch') AS TEXT) AS received_at, -- when the first copy came in; ISO 8601, UTC
    e.received_at_ms,                            -- the same in milliseconds since 1970
    e.recipient,                                 -- the address that it names; NULL: none
    e.href,                                      -- of a click: the address that was followed
    e.link_id,                                   -- of a click: the sender's id of the link
    e.action_value,                              -- of an in-app message: what was pressed; of a conversion: its value
    CAST(coalesce(e.reason, CASE WHEN d.channel = 'push' THEN (SELECT v.reason FROM event_devices v WHERE v.event = e.id AND v.reason IS NOT NULL ORDER BY v.position LIMIT 1) END) AS TEXT) AS reason, -- of a failure: why, in the sender's words
    e.bounce_class,                              -- of a bounce: hard, soft, policy or unknown, where the sender states it; NULL: not stated, the reason is read
    e.machine,                                   -- 1: by a machine; 0: by a person; NULL: not stated
    e.proxied,                                   -- 1: opened through an image proxy; 0: not; NULL: not stated
    e.synthetic,                                 -- 1: inferred by the sender; 0: seen; NULL: not stated
    CAST(e.metric = 'opened' AND coalesce(e.synthetic, 0) = 1 AS INTEGER) AS implied, -- 1: an open that the sender inferred from a click
    e.repeats                                    -- how often a copy came again
FROM events e
JOIN deliveries d ON d.id = e.delivery;

CREATE VIEW events_raw_v1 AS
-- A row for each event with the JSON that it came as.
-- try: fields of the latest bodies
--   SELECT metric, body ->> '$.type' AS type, length(body) AS bytes FROM events_raw_v1 ORDER BY id DESC LIMIT 20;
SELECT
    e.id,                                        -- the row in events
    e.event_id,                                  -- the event
    d.delivery_id,                               -- the delivery that it is of
    e.delivery,                                  -- that delivery's row: deliveries_v1.id
    e.metric,                                    -- what happened
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', e.received_at_ms / 1000.0, 'unixepoch') AS TEXT) AS received_at, -- when the first copy came in; ISO 8601, UTC
    e.received_at_ms,                            -- the same in milliseconds since 1970
    (SELECT b.format FROM event_bodies b WHERE b.id = e.id) AS format, -- webhook, pipelines, track, waybill and the like; NULL: no longer kept
    CAST('json' AS TEXT) AS encoding,            -- of the body: always json
    (SELECT b.body FROM event_bodies b WHERE b.id = e.id) AS body -- the JSON as it came; NULL: no longer kept
FROM events e
JOIN deliveries d ON d.id = e.delivery;

CREATE VIEW event_devices_v1 AS
-- A row for each device that an event of a push names.
-- try: events of pushes by platform
--   SELECT device_platform, metric, count(*) AS devices FROM event_devices_v1
--   GROUP BY device_platform, metric ORDER BY device_platform, devices DESC;
SELECT
    e.event_id,                                  -- the event
    d.delivery_id,                               -- the delivery that it is of
    e.delivery,                                  -- that delivery's row: deliveries_v1.id
    e.metric,                                    -- what happened
    v.device_id,                                 -- the device's token
    v.platform AS device_platform,               -- ios, android and the like, as the sender names it
    v.reason                                     -- why it failed on this device
FROM event_devices v
JOIN events e ON e.id = v.event
JOIN deliveries d ON d.id = e.delivery;

CREATE VIEW _sources AS
-- All sources that have deliveries, a name or tags. (DuckDB reads a view either as it is, or, if it lacks a function such as
-- strftime with three arguments, as SQL that it writes again, wrongly for UNION. So unions stand in views of their own.)
SELECT source_kind, source_id FROM campaign_metrics
UNION SELECT source_kind, source_id FROM source_names WHERE name IS NOT NULL OR tags IS NOT NULL;

CREATE VIEW sources_v1 AS
-- A row for each campaign, broadcast, newsletter and transactional message.
-- try: what was sent lately
--   SELECT source_kind, source_id, name, last_seen FROM sources_v1 ORDER BY last_seen DESC LIMIT 20;
SELECT
    s.source_kind,                               -- campaign, broadcast, newsletter, transactional or unknown
    s.source_id,                                 -- its id within the kind; NULL: not known
    (SELECT n.name FROM source_names n WHERE n.source_kind = s.source_kind AND n.source_id = s.source_id) AS name, -- the name that it was given here; NULL: none yet
    (SELECT n.tags FROM source_names n WHERE n.source_kind = s.source_kind AND n.source_id = s.source_id) AS tags, -- tags that it was given here
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', CASE WHEN s.source_id IS NULL THEN (SELECT d.created_at_ms FROM deliveries d WHERE d.source_kind = s.source_kind AND d.source_id IS NULL ORDER BY d.created_at_ms LIMIT 1) ELSE (SELECT d.created_at_ms FROM deliveries d WHERE d.source_kind = s.source_kind AND d.source_id = s.source_id ORDER BY d.created_at_ms LIMIT 1) END / 1000.0, 'unixepoch') AS TEXT) AS first_seen, -- when its first delivery was created; ISO 8601, UTC
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', CASE WHEN s.source_id IS NULL THEN (SELECT d.created_at_ms FROM deliveries d WHERE d.source_kind = s.source_kind AND d.source_id IS NULL ORDER BY d.created_at_ms DESC LIMIT 1) ELSE (SELECT d.created_at_ms FROM deliveries d WHERE d.source_kind = s.source_kind AND d.source_id = s.source_id ORDER BY d.created_at_ms DESC LIMIT 1) END / 1000.0, 'unixepoch') AS TEXT) AS last_seen -- when its latest delivery was created; ISO 8601, UTC
FROM _sources s;

CREATE VIEW campaign_metrics_v1 AS
-- A row for each source, channel and metric, for the source's whole life.
-- try: human open rate by source and channel, of delivered
--   SELECT source_kind, source_id, source_name, channel,
--       round(100.0 * max(CASE metric WHEN 'human_opened' THEN deliveries END)
--           / max(CASE metric WHEN 'delivered' THEN deliveries END), 1) AS percent
--   FROM campaign_metrics_v1
--   GROUP BY source_kind, source_id, channel HAVING percent IS NOT NULL ORDER BY percent DESC;
-- source_kind: campaign, broadcast, newsletter, transactional or unknown
-- source_id: its id within the kind; NULL: not known
-- source_name: the name that it was given here; NULL: none yet
-- channel: email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
-- metric: created, a metric, or human_opened, machine_opened, human_clicked, machine_clicked
-- deliveries: how many deliveries reached it, each counted once
-- events: how many distinct events say so; 0 for created
SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('created' AS TEXT) AS metric, t.created AS deliveries, CAST(0 AS INTEGER) AS events FROM campaign_metrics t WHERE t.created > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('queued' AS TEXT) AS metric, t.queued AS deliveries, t.queued_events AS events FROM campaign_metrics t WHERE t.queued > 0 OR t.queued_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('drafted' AS TEXT) AS metric, t.drafted AS deliveries, t.drafted_events AS events FROM campaign_metrics t WHERE t.drafted > 0 OR t.drafted_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('attempted' AS TEXT) AS metric, t.attempted AS deliveries, t.attempted_events AS events FROM campaign_metrics t WHERE t.attempted > 0 OR t.attempted_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('deferred' AS TEXT) AS metric, t.deferred AS deliveries, t.deferred_events AS events FROM campaign_metrics t WHERE t.deferred > 0 OR t.deferred_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('sent' AS TEXT) AS metric, t.sent AS deliveries, t.sent_events AS events FROM campaign_metrics t WHERE t.sent > 0 OR t.sent_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('delivered' AS TEXT) AS metric, t.delivered AS deliveries, t.delivered_events AS events FROM campaign_metrics t WHERE t.delivered > 0 OR t.delivered_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('opened' AS TEXT) AS metric, t.opened AS deliveries, t.opened_events AS events FROM campaign_metrics t WHERE t.opened > 0 OR t.opened_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('clicked' AS TEXT) AS metric, t.clicked AS deliveries, t.clicked_events AS events FROM campaign_metrics t WHERE t.clicked > 0 OR t.clicked_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('replied' AS TEXT) AS metric, t.replied AS deliveries, t.replied_events AS events FROM campaign_metrics t WHERE t.replied > 0 OR t.replied_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('converted' AS TEXT) AS metric, t.converted AS deliveries, t.converted_events AS events FROM campaign_metrics t WHERE t.converted > 0 OR t.converted_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('unsubscribed' AS TEXT) AS metric, t.unsubscribed AS deliveries, t.unsubscribed_events AS events FROM campaign_metrics t WHERE t.unsubscribed > 0 OR t.unsubscribed_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('bounced' AS TEXT) AS metric, t.bounced AS deliveries, t.bounced_events AS events FROM campaign_metrics t WHERE t.bounced > 0 OR t.bounced_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('suppressed' AS TEXT) AS metric, t.suppressed AS deliveries, t.suppressed_events AS events FROM campaign_metrics t WHERE t.suppressed > 0 OR t.suppressed_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('spammed' AS TEXT) AS metric, t.spammed AS deliveries, t.spammed_events AS events FROM campaign_metrics t WHERE t.spammed > 0 OR t.spammed_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('failed' AS TEXT) AS metric, t.failed AS deliveries, t.failed_events AS events FROM campaign_metrics t WHERE t.failed > 0 OR t.failed_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('undeliverable' AS TEXT) AS metric, t.undeliverable AS deliveries, t.undeliverable_events AS events FROM campaign_metrics t WHERE t.undeliverable > 0 OR t.undeliverable_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('human_opened' AS TEXT) AS metric, t.human_opened AS deliveries, t.human_opened_events AS events FROM campaign_metrics t WHERE t.human_opened > 0 OR t.human_opened_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('machine_opened' AS TEXT) AS metric, t.machine_opened AS deliveries, t.machine_opened_events AS events FROM campaign_metrics t WHERE t.machine_opened > 0 OR t.machine_opened_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('human_clicked' AS TEXT) AS metric, t.human_clicked AS deliveries, t.human_clicked_events AS events FROM campaign_metrics t WHERE t.human_clicked > 0 OR t.human_clicked_events > 0
UNION ALL SELECT t.source_kind, t.source_id, (SELECT n.name FROM source_names n WHERE n.source_kind = t.source_kind AND n.source_id = t.source_id) AS source_name, t.channel, CAST('machine_clicked' AS TEXT) AS metric, t.machine_clicked AS deliveries, t.machine_clicked_events AS events FROM campaign_metrics t WHERE t.machine_clicked > 0 OR t.machine_clicked_events > 0;

CREATE VIEW trigger_metrics_v1 AS
-- A row for each send of a broadcast, channel and metric, for the send's whole life.
-- try: the latest sends of broadcasts
--   SELECT source_id, trigger_id, channel,
--       max(CASE metric WHEN 'sent' THEN deliveries END) AS sent,
--       max(CASE metric WHEN 'human_opened' THEN deliveries END) AS opened
--   FROM trigger_metrics_v1 GROUP BY source_id, trigger_id, channel ORDER BY CAST(trigger_id AS INTEGER) DESC LIMIT 20;
-- source_kind: campaign, broadcast, newsletter, transactional or unknown
-- source_id: its id within the kind; NULL: not known
-- trigger_id: the send
-- channel: email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
-- metric: created, a metric, or human_opened, machine_opened, human_clicked, machine_clicked
-- deliveries: how many deliveries reached it, each counted once
-- events: how many distinct events say so; 0 for created
SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('created' AS TEXT) AS metric, t.created AS deliveries, CAST(0 AS INTEGER) AS events FROM trigger_metrics t WHERE t.created > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('queued' AS TEXT) AS metric, t.queued AS deliveries, t.queued_events AS events FROM trigger_metrics t WHERE t.queued > 0 OR t.queued_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('drafted' AS TEXT) AS metric, t.drafted AS deliveries, t.drafted_events AS events FROM trigger_metrics t WHERE t.drafted > 0 OR t.drafted_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('attempted' AS TEXT) AS metric, t.attempted AS deliveries, t.attempted_events AS events FROM trigger_metrics t WHERE t.attempted > 0 OR t.attempted_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('deferred' AS TEXT) AS metric, t.deferred AS deliveries, t.deferred_events AS events FROM trigger_metrics t WHERE t.deferred > 0 OR t.deferred_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('sent' AS TEXT) AS metric, t.sent AS deliveries, t.sent_events AS events FROM trigger_metrics t WHERE t.sent > 0 OR t.sent_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('delivered' AS TEXT) AS metric, t.delivered AS deliveries, t.delivered_events AS events FROM trigger_metrics t WHERE t.delivered > 0 OR t.delivered_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('opened' AS TEXT) AS metric, t.opened AS deliveries, t.opened_events AS events FROM trigger_metrics t WHERE t.opened > 0 OR t.opened_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('clicked' AS TEXT) AS metric, t.clicked AS deliveries, t.clicked_events AS events FROM trigger_metrics t WHERE t.clicked > 0 OR t.clicked_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('replied' AS TEXT) AS metric, t.replied AS deliveries, t.replied_events AS events FROM trigger_metrics t WHERE t.replied > 0 OR t.replied_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('converted' AS TEXT) AS metric, t.converted AS deliveries, t.converted_events AS events FROM trigger_metrics t WHERE t.converted > 0 OR t.converted_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('unsubscribed' AS TEXT) AS metric, t.unsubscribed AS deliveries, t.unsubscribed_events AS events FROM trigger_metrics t WHERE t.unsubscribed > 0 OR t.unsubscribed_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('bounced' AS TEXT) AS metric, t.bounced AS deliveries, t.bounced_events AS events FROM trigger_metrics t WHERE t.bounced > 0 OR t.bounced_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('suppressed' AS TEXT) AS metric, t.suppressed AS deliveries, t.suppressed_events AS events FROM trigger_metrics t WHERE t.suppressed > 0 OR t.suppressed_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('spammed' AS TEXT) AS metric, t.spammed AS deliveries, t.spammed_events AS events FROM trigger_metrics t WHERE t.spammed > 0 OR t.spammed_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('failed' AS TEXT) AS metric, t.failed AS deliveries, t.failed_events AS events FROM trigger_metrics t WHERE t.failed > 0 OR t.failed_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('undeliverable' AS TEXT) AS metric, t.undeliverable AS deliveries, t.undeliverable_events AS events FROM trigger_metrics t WHERE t.undeliverable > 0 OR t.undeliverable_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('human_opened' AS TEXT) AS metric, t.human_opened AS deliveries, t.human_opened_events AS events FROM trigger_metrics t WHERE t.human_opened > 0 OR t.human_opened_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('machine_opened' AS TEXT) AS metric, t.machine_opened AS deliveries, t.machine_opened_events AS events FROM trigger_metrics t WHERE t.machine_opened > 0 OR t.machine_opened_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('human_clicked' AS TEXT) AS metric, t.human_clicked AS deliveries, t.human_clicked_events AS events FROM trigger_metrics t WHERE t.human_clicked > 0 OR t.human_clicked_events > 0
UNION ALL SELECT t.source_kind, t.source_id, t.trigger_id, t.channel, CAST('machine_clicked' AS TEXT) AS metric, t.machine_clicked AS deliveries, t.machine_clicked_events AS events FROM trigger_metrics t WHERE t.machine_clicked > 0 OR t.machine_clicked_events > 0;

CREATE VIEW _campaign_metrics_hourly AS
-- Four quarters of an hour together, a row for each metric.
SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('created' AS TEXT) AS metric, CAST(sum(t.created) AS INTEGER) AS deliveries, CAST(sum(0) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.created > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('queued' AS TEXT) AS metric, CAST(sum(t.queued) AS INTEGER) AS deliveries, CAST(sum(t.queued_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.queued > 0 OR t.queued_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('drafted' AS TEXT) AS metric, CAST(sum(t.drafted) AS INTEGER) AS deliveries, CAST(sum(t.drafted_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.drafted > 0 OR t.drafted_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('attempted' AS TEXT) AS metric, CAST(sum(t.attempted) AS INTEGER) AS deliveries, CAST(sum(t.attempted_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.attempted > 0 OR t.attempted_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('deferred' AS TEXT) AS metric, CAST(sum(t.deferred) AS INTEGER) AS deliveries, CAST(sum(t.deferred_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.deferred > 0 OR t.deferred_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('sent' AS TEXT) AS metric, CAST(sum(t.sent) AS INTEGER) AS deliveries, CAST(sum(t.sent_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.sent > 0 OR t.sent_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('delivered' AS TEXT) AS metric, CAST(sum(t.delivered) AS INTEGER) AS deliveries, CAST(sum(t.delivered_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.delivered > 0 OR t.delivered_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('opened' AS TEXT) AS metric, CAST(sum(t.opened) AS INTEGER) AS deliveries, CAST(sum(t.opened_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.opened > 0 OR t.opened_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('clicked' AS TEXT) AS metric, CAST(sum(t.clicked) AS INTEGER) AS deliveries, CAST(sum(t.clicked_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.clicked > 0 OR t.clicked_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('replied' AS TEXT) AS metric, CAST(sum(t.replied) AS INTEGER) AS deliveries, CAST(sum(t.replied_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.replied > 0 OR t.replied_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('converted' AS TEXT) AS metric, CAST(sum(t.converted) AS INTEGER) AS deliveries, CAST(sum(t.converted_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.converted > 0 OR t.converted_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('unsubscribed' AS TEXT) AS metric, CAST(sum(t.unsubscribed) AS INTEGER) AS deliveries, CAST(sum(t.unsubscribed_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.unsubscribed > 0 OR t.unsubscribed_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('bounced' AS TEXT) AS metric, CAST(sum(t.bounced) AS INTEGER) AS deliveries, CAST(sum(t.bounced_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.bounced > 0 OR t.bounced_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('suppressed' AS TEXT) AS metric, CAST(sum(t.suppressed) AS INTEGER) AS deliveries, CAST(sum(t.suppressed_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.suppressed > 0 OR t.suppressed_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('spammed' AS TEXT) AS metric, CAST(sum(t.spammed) AS INTEGER) AS deliveries, CAST(sum(t.spammed_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.spammed > 0 OR t.spammed_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('failed' AS TEXT) AS metric, CAST(sum(t.failed) AS INTEGER) AS deliveries, CAST(sum(t.failed_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.failed > 0 OR t.failed_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('undeliverable' AS TEXT) AS metric, CAST(sum(t.undeliverable) AS INTEGER) AS deliveries, CAST(sum(t.undeliverable_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.undeliverable > 0 OR t.undeliverable_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('human_opened' AS TEXT) AS metric, CAST(sum(t.human_opened) AS INTEGER) AS deliveries, CAST(sum(t.human_opened_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.human_opened > 0 OR t.human_opened_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('machine_opened' AS TEXT) AS metric, CAST(sum(t.machine_opened) AS INTEGER) AS deliveries, CAST(sum(t.machine_opened_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.machine_opened > 0 OR t.machine_opened_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('human_clicked' AS TEXT) AS metric, CAST(sum(t.human_clicked) AS INTEGER) AS deliveries, CAST(sum(t.human_clicked_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.human_clicked > 0 OR t.human_clicked_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, t.action_id, t.content_id, CAST('machine_clicked' AS TEXT) AS metric, CAST(sum(t.machine_clicked) AS INTEGER) AS deliveries, CAST(sum(t.machine_clicked_events) AS INTEGER) AS events
    FROM campaign_metrics_quarter_hourly t WHERE t.machine_clicked > 0 OR t.machine_clicked_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel, t.action_id, t.content_id;

CREATE VIEW campaign_metrics_hourly_v1 AS
-- A row for each hour of creation, source, action, content, channel and metric. A click counts in the hour in which its
-- delivery was created, so an old hour keeps growing.
-- try: deliveries created and delivered by day
--   SELECT substr(hour, 1, 10) AS day, channel,
--       sum(CASE metric WHEN 'created' THEN deliveries END) AS created,
--       sum(CASE metric WHEN 'delivered' THEN deliveries END) AS delivered
--   FROM campaign_metrics_hourly_v1 GROUP BY day, channel ORDER BY day DESC, channel LIMIT 60;
SELECT
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', u.hour_ms / 1000.0, 'unixepoch') AS TEXT) AS hour, -- the hour in which the deliveries were created; ISO 8601, UTC
    u.hour_ms,                                   -- the same in milliseconds since 1970
    u.source_kind,                               -- campaign, broadcast, newsletter, transactional or unknown
    u.source_id,                                 -- its id within the kind; NULL: not known
    (SELECT n.name FROM source_names n WHERE n.source_kind = u.source_kind AND n.source_id = u.source_id) AS source_name, -- the name that it was given here; NULL: none yet
    u.action_id,                                 -- the step that sent it
    u.content_id,                                -- the content of the newsletter or variant
    u.channel,                                   -- email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
    u.metric,                                    -- created, a metric, or human_opened, machine_opened, human_clicked, machine_clicked
    u.deliveries,                                -- how many deliveries reached it, each counted once
    u.events                                     -- how many distinct events say so; 0 for created
FROM _campaign_metrics_hourly u;

CREATE VIEW _activity_hourly AS
-- Four quarters of an hour together, a row for each metric.
SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('queued' AS TEXT) AS metric, CAST(sum(t.queued_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.queued_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('drafted' AS TEXT) AS metric, CAST(sum(t.drafted_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.drafted_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('attempted' AS TEXT) AS metric, CAST(sum(t.attempted_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.attempted_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('deferred' AS TEXT) AS metric, CAST(sum(t.deferred_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.deferred_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('sent' AS TEXT) AS metric, CAST(sum(t.sent_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.sent_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('delivered' AS TEXT) AS metric, CAST(sum(t.delivered_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.delivered_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('opened' AS TEXT) AS metric, CAST(sum(t.opened_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.opened_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('clicked' AS TEXT) AS metric, CAST(sum(t.clicked_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.clicked_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('replied' AS TEXT) AS metric, CAST(sum(t.replied_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.replied_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('converted' AS TEXT) AS metric, CAST(sum(t.converted_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.converted_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('unsubscribed' AS TEXT) AS metric, CAST(sum(t.unsubscribed_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.unsubscribed_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('bounced' AS TEXT) AS metric, CAST(sum(t.bounced_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.bounced_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('suppressed' AS TEXT) AS metric, CAST(sum(t.suppressed_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.suppressed_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('spammed' AS TEXT) AS metric, CAST(sum(t.spammed_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.spammed_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('failed' AS TEXT) AS metric, CAST(sum(t.failed_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.failed_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('undeliverable' AS TEXT) AS metric, CAST(sum(t.undeliverable_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.undeliverable_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('human_opened' AS TEXT) AS metric, CAST(sum(t.human_opened_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.human_opened_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('machine_opened' AS TEXT) AS metric, CAST(sum(t.machine_opened_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.machine_opened_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('human_clicked' AS TEXT) AS metric, CAST(sum(t.human_clicked_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.human_clicked_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel
UNION ALL SELECT t.source_kind, t.source_id, CAST((t.bucket_ms - t.bucket_ms % 3600000) AS BIGINT) AS hour_ms, t.channel, CAST('machine_clicked' AS TEXT) AS metric, CAST(sum(t.machine_clicked_events) AS INTEGER) AS events
    FROM activity_quarter_hourly t WHERE t.machine_clicked_events > 0 GROUP BY t.source_kind, t.source_id, (t.bucket_ms - t.bucket_ms % 3600000), t.channel;

CREATE VIEW activity_hourly_v1 AS
-- A row for each hour, source, channel and metric: events by the time at which they happened.
-- try: events by hour of the last two days
--   SELECT hour, sum(events) AS events FROM activity_hourly_v1
--   WHERE metric NOT GLOB 'human_*' AND metric NOT GLOB 'machine_*' AND hour_ms > unixepoch('now', '-2 days') * 1000
--   GROUP BY hour ORDER BY hour DESC;
SELECT
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', u.hour_ms / 1000.0, 'unixepoch') AS TEXT) AS hour, -- the hour in which the events happened; ISO 8601, UTC
    u.hour_ms,                                   -- the same in milliseconds since 1970
    u.source_kind,                               -- campaign, broadcast, newsletter, transactional or unknown
    u.source_id,                                 -- its id within the kind; NULL: not known
    u.channel,                                   -- email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
    u.metric,                                    -- a metric, or human_opened, machine_opened, human_clicked, machine_clicked
    u.events                                     -- how many distinct events say so
FROM _activity_hourly u;

CREATE VIEW status_counts_v1 AS
-- A row for each source, channel and status: how many deliveries have it now.
-- try: deliveries by status now
--   SELECT channel, status, sum(deliveries) AS deliveries FROM status_counts_v1
--   GROUP BY channel, status ORDER BY channel, deliveries DESC;
SELECT
    t.source_kind,                               -- campaign, broadcast, newsletter, transactional or unknown
    t.source_id,                                 -- its id within the kind; NULL: not known
    t.channel,                                   -- email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
    CAST(coalesce(t.engagement, t.outcome, 'unknown') AS TEXT) AS status, -- the engagement if there is one, else the outcome, else unknown
    CAST(sum(t.deliveries) AS INTEGER) AS deliveries -- how many have it now
FROM status_counts t
GROUP BY t.source_kind, t.source_id, t.channel, coalesce(t.engagement, t.outcome, 'unknown');

CREATE VIEW outcome_counts_v1 AS
-- A row for each source, channel and outcome: how many deliveries have it now.
-- try: deliveries by outcome now
--   SELECT channel, outcome, sum(deliveries) AS deliveries FROM outcome_counts_v1
--   GROUP BY channel, outcome ORDER BY channel, deliveries DESC;
SELECT
    t.source_kind,                               -- campaign, broadcast, newsletter, transactional or unknown
    t.source_id,                                 -- its id within the kind; NULL: not known
    t.channel,                                   -- email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
    t.outcome,                                   -- how the sending went
    CAST(sum(t.deliveries) AS INTEGER) AS deliveries -- how many have it now
FROM status_counts t
WHERE t.outcome IS NOT NULL
GROUP BY t.source_kind, t.source_id, t.channel, t.outcome;

CREATE VIEW engagement_counts_v1 AS
-- A row for each source, channel and engagement: how many deliveries have it now.
-- try: deliveries by engagement now
--   SELECT channel, engagement, sum(deliveries) AS deliveries FROM engagement_counts_v1
--   GROUP BY channel, engagement ORDER BY channel, deliveries DESC;
SELECT
    t.source_kind,                               -- campaign, broadcast, newsletter, transactional or unknown
    t.source_id,                                 -- its id within the kind; NULL: not known
    t.channel,                                   -- email, push, sms, in_app, webhook, slack, whatsapp, or as the sender names it; NULL: not known
    t.engagement,                                -- the furthest that the person did
    CAST(sum(t.deliveries) AS INTEGER) AS deliveries -- how many have it now
FROM status_counts t
WHERE t.engagement IS NOT NULL
GROUP BY t.source_kind, t.source_id, t.channel, t.engagement;

CREATE VIEW link_metrics_v1 AS
-- A row for each link of a source and action: who followed it.
-- try: the links that people follow most
--   SELECT source_kind, source_id, coalesce(address, link) AS link, human_deliveries, machine_deliveries
--   FROM link_metrics_v1 ORDER BY human_deliveries DESC LIMIT 20;
SELECT
    t.source_kind,                               -- campaign, broadcast, newsletter, transactional or unknown
    t.source_id,                                 -- its id within the kind; NULL: not known
    t.action_id,                                 -- the step whose message holds it
    t.link,                                      -- the sender's id of the link, else its address
    t.address,                                   -- where it led when it was last followed, without query and fragment
    t.deliveries,                                -- in how many deliveries it was followed
    t.events,                                    -- how many clicks
    t.human_deliveries,                          -- in how many a person followed it
    t.machine_deliveries                         -- in how many a machine did
FROM link_metrics t;

CREATE VIEW quarantine_v1 AS
-- A row for each body that was not understood, or that waits for its time or its delivery.
-- try: what is in quarantine, by reason
--   SELECT reason, count(*) AS bodies, max(received_at) AS latest FROM quarantine_v1 GROUP BY reason ORDER BY bodies DESC;
SELECT
    q.id AS quarantine_id,                       -- its number
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', q.received_at_ms / 1000.0, 'unixepoch') AS TEXT) AS received_at, -- when it came in; ISO 8601, UTC
    q.received_at_ms,                            -- the same in milliseconds since 1970
    q.format,                                    -- how it would be read: webhook, pipelines, track, waybill
    q.reason,                                    -- why it is in quarantine, as a word
    q.detail,                                    -- the same for people
    q.delivery_id,                               -- the delivery that it names
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', q.due_at_ms / 1000.0, 'unixepoch') AS TEXT) AS due_at, -- of an event from the future: when it may be applied
    q.due_at_ms,                                 -- the same in milliseconds since 1970
    q.body,                                      -- what came, at most its beginning
    q.body_bytes,                                -- how long it was
    q.repeats,                                   -- how often the same came again
    q.is_public AS public                        -- 1: from a sender who may only report on known deliveries
FROM quarantine q;

CREATE VIEW identifiers_v1 AS
-- A row for each identifier that was stated together with a person.
-- try: how many identifiers of each kind
--   SELECT kind, count(*) AS identifiers FROM identifiers_v1 GROUP BY kind ORDER BY identifiers DESC;
SELECT
    person,                                      -- the name of the person in this file: id, else email, else cio_id
    kind,                                        -- id, email, cio_id, phone, anonymous_id or device
    value                                        -- the identifier
FROM identifiers
UNION SELECT person, 'device', device_id FROM devices
UNION SELECT person, 'id', person_id FROM subscription_changes WHERE person_id IS NOT NULL
UNION SELECT person, 'email', email FROM subscription_changes WHERE email IS NOT NULL
UNION SELECT person, 'cio_id', cio_id FROM subscription_changes WHERE cio_id IS NOT NULL
UNION SELECT person, 'phone', phone FROM subscription_changes WHERE phone IS NOT NULL
UNION SELECT person, 'anonymous_id', anonymous_id FROM subscription_changes WHERE anonymous_id IS NOT NULL
UNION SELECT coalesce(d.person_id, d.email, d.cio_id), 'id', d.person_id FROM deliveries d WHERE d.person_id IS NOT NULL
UNION SELECT coalesce(d.person_id, d.email, d.cio_id), 'email', d.email FROM deliveries d WHERE d.email IS NOT NULL
UNION SELECT coalesce(d.person_id, d.email, d.cio_id), 'cio_id', d.cio_id FROM deliveries d WHERE d.cio_id IS NOT NULL
UNION SELECT coalesce(d.person_id, d.email, d.cio_id), CASE d.channel WHEN 'email' THEN 'email' ELSE 'phone' END, d.recipient
    FROM deliveries d
    WHERE d.channel IN ('email', 'sms', 'whatsapp') AND d.recipient IS NOT NULL AND coalesce(d.person_id, d.email, d.cio_id) IS NOT NULL
UNION SELECT coalesce(d.person_id, d.email, d.cio_id), 'device', v.device_id
    FROM deliveries d JOIN delivery_devices v ON v.delivery = d.id
    WHERE d.channel = 'push' AND v.device_id <> '' AND coalesce(d.person_id, d.email, d.cio_id) IS NOT NULL;

CREATE VIEW _people AS
-- The names of all people that anything was stated of or sent to.
SELECT person FROM people
UNION SELECT person FROM traits
UNION SELECT person FROM devices
UNION SELECT person FROM relationships
UNION SELECT person FROM identifiers
UNION SELECT person FROM subscription_changes WHERE person IS NOT NULL
UNION SELECT coalesce(d.person_id, d.email, d.cio_id) FROM deliveries d WHERE coalesce(d.person_id, d.email, d.cio_id) IS NOT NULL;

CREATE VIEW people_v1 AS
-- A row for each person that anything was stated of or sent to.
-- try: people that something was stated of
--   SELECT person, traits, changed_at FROM people_v1 WHERE changed_at_ms IS NOT NULL ORDER BY changed_at_ms DESC LIMIT 20;
SELECT
    CAST(n.person AS TEXT) AS person,            -- the name of the person in this file
    CAST(k.at_ms IS NOT NULL AND k.value IS NULL AS INTEGER) AS deleted, -- 1: the sender deleted the person
    CAST((SELECT json_group_object(o.name, json(o.value)) FROM (SELECT t.name, t.value FROM traits t WHERE t.person = n.person AND t.value IS NOT NULL AND (k.deleted_at_ms IS NULL OR t.at_ms > k.deleted_at_ms OR (t.at_ms = k.deleted_at_ms AND t.event_id > k.deleted_event_id)) ORDER BY t.name) o) AS TEXT) AS traits, -- JSON: the traits that stand
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', k.at_ms / 1000.0, 'unixepoch') AS TEXT) AS changed_at, -- when that was stated; ISO 8601, UTC
    k.at_ms AS changed_at_ms                     -- the same in milliseconds since 1970
FROM _people n
LEFT JOIN people k ON k.person = n.person;

CREATE VIEW traits_v1 AS
-- A row for each trait of a person that stands.
-- try: which traits people have
--   SELECT name, count(*) AS people FROM traits_v1 GROUP BY name ORDER BY people DESC;
SELECT
    t.person,                                    -- whose it is
    t.name,                                      -- the trait's name
    t.value,                                     -- JSON: what was stated last
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', t.at_ms / 1000.0, 'unixepoch') AS TEXT) AS changed_at, -- when that was stated; ISO 8601, UTC
    t.at_ms AS changed_at_ms                     -- the same in milliseconds since 1970
FROM traits t
LEFT JOIN people k ON k.person = t.person
WHERE t.value IS NOT NULL
    AND (k.deleted_at_ms IS NULL OR t.at_ms > k.deleted_at_ms OR (t.at_ms = k.deleted_at_ms AND t.event_id > k.deleted_event_id));

CREATE VIEW devices_v1 AS
-- A row for each device that was stated to be a person's.
-- try: devices by platform
--   SELECT platform, count(*) AS devices FROM devices_v1 WHERE NOT deleted GROUP BY platform ORDER BY devices DESC;
SELECT
    t.person,                                    -- whose it is
    t.device_id,                                 -- the device's token
    CAST(t.value ->> '$.platform' AS TEXT) AS platform, -- ios, android and the like
    t.value AS device,                           -- JSON: what was stated of it; NULL once deleted
    CAST(t.value IS NULL AS INTEGER) AS deleted, -- 1: it is no longer the person's
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', t.at_ms / 1000.0, 'unixepoch') AS TEXT) AS changed_at, -- when that was stated; ISO 8601, UTC
    t.at_ms AS changed_at_ms                     -- the same in milliseconds since 1970
FROM devices t
LEFT JOIN people k ON k.person = t.person
WHERE (k.deleted_at_ms IS NULL OR t.at_ms > k.deleted_at_ms OR (t.at_ms = k.deleted_at_ms AND t.event_id > k.deleted_event_id));

CREATE VIEW _objects AS
-- All objects that anything was stated of.
SELECT type_id, object_id FROM objects
UNION SELECT type_id, object_id FROM object_traits
UNION SELECT type_id, object_id FROM relationships;

CREATE VIEW objects_v1 AS
-- A row for each object, such as an account or a course, that people relate to.
-- try: the objects of each kind
--   SELECT object_type_id, count(*) AS objects FROM objects_v1 WHERE NOT deleted GROUP BY object_type_id;
SELECT
    CAST(n.type_id AS TEXT) AS object_type_id,   -- the kind of object
    CAST(n.object_id AS TEXT) AS object_id,      -- its id within the kind
    CAST(k.at_ms IS NOT NULL AND k.value IS NULL AS INTEGER) AS deleted, -- 1: the sender deleted it
    CAST((SELECT json_group_object(o.name, json(o.value)) FROM (SELECT t.name, t.value FROM object_traits t WHERE t.type_id = n.type_id AND t.object_id = n.object_id AND t.value IS NOT NULL AND (k.deleted_at_ms IS NULL OR t.at_ms > k.deleted_at_ms OR (t.at_ms = k.deleted_at_ms AND t.event_id > k.deleted_event_id)) ORDER BY t.name) o) AS TEXT) AS traits, -- JSON: the traits that stand
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', k.at_ms / 1000.0, 'unixepoch') AS TEXT) AS changed_at, -- when that was stated; ISO 8601, UTC
    k.at_ms AS changed_at_ms                     -- the same in milliseconds since 1970
FROM _objects n
LEFT JOIN objects k ON k.type_id = n.type_id AND k.object_id = n.object_id;

CREATE VIEW relationships_v1 AS
-- A row for each relation of a person to an object.
-- try: the objects with the most people
--   SELECT object_type_id, object_id, count(*) AS people FROM relationships_v1
--   WHERE NOT deleted GROUP BY object_type_id, object_id ORDER BY people DESC LIMIT 20;
SELECT
    t.type_id AS object_type_id,                 -- the kind of object
    t.object_id,                                 -- its id within the kind
    t.person,                                    -- who relates to it
    t.value AS relation,                         -- JSON: what was stated of the relation; NULL once deleted
    CAST(t.value IS NULL AS INTEGER) AS deleted, -- 1: the relation ended
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', t.at_ms / 1000.0, 'unixepoch') AS TEXT) AS changed_at, -- when that was stated; ISO 8601, UTC
    t.at_ms AS changed_at_ms                     -- the same in milliseconds since 1970
FROM relationships t
LEFT JOIN objects k ON k.type_id = t.type_id AND k.object_id = t.object_id
LEFT JOIN people p ON p.person = t.person
WHERE (k.deleted_at_ms IS NULL OR t.at_ms > k.deleted_at_ms OR (t.at_ms = k.deleted_at_ms AND t.event_id > k.deleted_event_id))
    AND (p.deleted_at_ms IS NULL OR t.at_ms > p.deleted_at_ms OR (t.at_ms = p.deleted_at_ms AND t.event_id > p.deleted_event_id));

CREATE VIEW _subscription_preferences AS
-- What each change of preferences states of each topic and channel. Of one topic the greatest stamp stands.
SELECT c.person, p.key AS part, t.key AS topic, printf('%016d', c.at_ms) || c.event_id AS stamp,
    CASE t.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null'
        WHEN 'object' THEN t.value WHEN 'array' THEN t.value ELSE json_quote(t.value) END AS stated
FROM subscription_changes c, json_each(CASE WHEN json_valid(c.content) THEN c.content END) p,
    json_each(CASE p.type WHEN 'object' THEN p.value END) t
WHERE c.change = 'preferences' AND p.key IN ('topics', 'channels');

CREATE VIEW subscription_changes_v1 AS
-- A row for each change of a subscription: one event and what it changed.
-- try: changes by month
--   SELECT substr(changed_at, 1, 7) AS month, change, count(*) AS changes FROM subscription_changes_v1
--   GROUP BY month, change ORDER BY month DESC;
SELECT
    c.event_id,                                  -- the event
    c.change,                                    -- subscribed, unsubscribed or preferences
    c.person,                                    -- whom it is about
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', c.at_ms / 1000.0, 'unixepoch') AS TEXT) AS changed_at, -- when that was stated; ISO 8601, UTC
    c.at_ms AS changed_at_ms,                    -- the same in milliseconds since 1970
    c.delivery_id,                               -- the delivery by which it was done
    c.channel,                                   -- the channel of that delivery
    CAST(CASE WHEN c.campaign_id IS NOT NULL THEN 'campaign' WHEN c.broadcast_id IS NOT NULL THEN 'broadcast' WHEN c.newsletter_id IS NOT NULL THEN 'newsletter' WHEN c.transactional_message_id IS NOT NULL THEN 'transactional' END AS TEXT) AS source_kind, -- the kind of its source
    CAST(coalesce(c.campaign_id, c.broadcast_id, c.newsletter_id, c.transactional_message_id) AS TEXT) AS source_id, -- the id of its source
    c.action_id,                                 -- the step that sent it
    c.content_id,                                -- its content
    c.content                                    -- of preferences: JSON, topics and channels
FROM subscription_changes c;

CREATE VIEW subscriptions_v1 AS
-- A row for each person whose subscription was stated: what stands, and since when; of preferences, the latest of each topic
-- and channel.
-- try: how many are subscribed
--   SELECT coalesce(state, 'preferences only') AS state, count(*) AS people FROM subscriptions_v1 GROUP BY state;
SELECT
    n.person,                                    -- who
    s.change AS state,                           -- subscribed or unsubscribed; NULL: only preferences were stated
    s.changed_at AS since,                       -- since when; ISO 8601, UTC
    s.changed_at_ms AS since_ms,                 -- the same in milliseconds since 1970
    s.delivery_id,                               -- the delivery by which it was done
    s.channel,                                   -- the channel of that delivery
    s.source_kind,                               -- the kind of its source
    s.source_id,                                 -- the id of its source
    s.action_id,                                 -- the step that sent it
    s.content_id,                                -- its content
    CAST((SELECT json_group_object(w.topic, json(w.stated)) FROM (SELECT p.topic, p.stated, max(p.stamp) FROM _subscription_preferences p WHERE p.person = n.person AND p.part = 'topics' GROUP BY p.topic ORDER BY p.topic) w) AS TEXT) AS topics, -- JSON: each topic and what was stated of it last
    CAST((SELECT json_group_object(w.topic, json(w.stated)) FROM (SELECT p.topic, p.stated, max(p.stamp) FROM _subscription_preferences p WHERE p.person = n.person AND p.part = 'channels' GROUP BY p.topic ORDER BY p.topic) w) AS TEXT) AS channels -- JSON: each channel and what was stated of it last
FROM (
    SELECT o.person, (SELECT c.event_id || '/' || c.change FROM subscription_changes c
        WHERE c.person = o.person AND c.change IN ('subscribed', 'unsubscribed')
        ORDER BY c.at_ms DESC, c.event_id DESC, c.change DESC LIMIT 1) AS latest
    FROM (SELECT DISTINCT person FROM subscription_changes WHERE person IS NOT NULL) o
) n
LEFT JOIN subscription_changes_v1 s ON s.event_id || '/' || s.change = n.latest AND s.person = n.person;

CREATE VIEW _suppression_lifts AS
-- All that lifts a listing: a later delivery, and that the person of a cause, or the address, was unsuppressed. Ask with ORDER BY
-- and LIMIT, not min() or max(): SQLite passes a condition to the parts of a union only then.
SELECT address, channel, occurred_at_ms AS at_ms, 'delivered' AS lifted_by FROM suppression_lifts
UNION ALL
SELECT c.address, c.channel, r.at_ms, 'unsuppressed'
FROM suppression_causes c
JOIN erasure_requests r ON r.identifier = c.address AND r.request = 'unsuppressed'
UNION ALL
SELECT c.address, c.channel, r.at_ms, 'unsuppressed'
FROM suppression_causes c
JOIN deliveries d ON d.id = c.delivery
JOIN erasure_requests r ON r.identifier IN (d.person_id, d.email, d.cio_id) AND r.request = 'unsuppressed';

CREATE VIEW _suppression_latest AS
-- Each listed address and channel, and its latest cause.
SELECT address, channel, max(occurred_at_ms) AS latest_ms FROM suppression_causes GROUP BY address, channel;

CREATE VIEW _suppressions AS
-- Each listed address and channel once: the last lift before its latest cause, and the first lift after it. (DISTINCT keeps
-- SQLite from merging this into the query around it, where each mention of a column would look the lifts up again.)
SELECT DISTINCT a.address, a.channel,
    (SELECT l.at_ms FROM _suppression_lifts l
        WHERE l.address = a.address AND l.channel = a.channel AND l.at_ms <= a.latest_ms
        ORDER BY l.at_ms DESC LIMIT 1) AS before_ms,
    (SELECT l.at_ms FROM _suppression_lifts l
        WHERE l.address = a.address AND l.channel = a.channel AND l.at_ms > a.latest_ms
        ORDER BY l.at_ms LIMIT 1) AS lifted_at_ms
FROM _suppression_latest a;

CREATE VIEW suppressions_v1 AS
-- A row for each address or device, and channel, that should not be written to, or was not to be until it was lifted.
-- try: who should not be written to any more
--   SELECT channel, address, cause, since FROM suppressions_v1 WHERE active ORDER BY since_ms DESC LIMIT 50;
SELECT
    r.id,                                        -- its number: the cause that stands, in suppression_causes
    s.address,                                   -- the address, the phone number or the device's token
    CAST(CASE s.channel WHEN 'push' THEN 'device' ELSE 'address' END AS TEXT) AS kind, -- address or device
    s.channel,                                   -- the channel for which it is listed
    CAST(CASE r.metric WHEN 'bounced' THEN 'likely' ELSE 'proven' END AS TEXT) AS class, -- proven, or likely: only the words of a bounce say so
    CAST(CASE r.metric WHEN 'bounced' THEN 'hard_bounce' WHEN 'spammed' THEN 'spam_complaint' ELSE 'suppressed' END AS TEXT) AS cause, -- hard_bounce, spam_complaint or suppressed
    CAST(coalesce(CASE s.channel WHEN 'push' THEN (SELECT v.reason FROM events e JOIN event_devices v ON v.event = e.id WHERE e.event_id = r.event_id AND e.delivery = r.delivery AND e.metric = r.metric AND v.device_id = s.address AND v.reason IS NOT NULL ORDER BY v.position LIMIT 1) END, (SELECT e.reason FROM events e WHERE e.event_id = r.event_id AND e.delivery = r.delivery AND e.metric = r.metric), (SELECT coalesce((SELECT v.reason FROM delivery_devices v WHERE v.delivery = d.id AND v.device_id = s.address AND v.event_id = r.event_id), iif(d.outcome_event_id = r.event_id, d.failure_reason, NULL)) FROM deliveries d WHERE d.id = r.delivery AND d.pruned_at_ms IS NOT NULL)) AS TEXT) AS reason, -- why, in the words of the event
    (SELECT d.delivery_id FROM deliveries d WHERE d.id = r.delivery) AS delivery_id, -- the delivery that lists it
    r.delivery,                                  -- that delivery's row: deliveries_v1.id
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', r.occurred_at_ms / 1000.0, 'unixepoch') AS TEXT) AS since, -- since when; ISO 8601, UTC
    r.occurred_at_ms AS since_ms,                -- the same in milliseconds since 1970
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', s.lifted_at_ms / 1000.0, 'unixepoch') AS TEXT) AS lifted_at, -- when it was lifted; NULL while it stands
    s.lifted_at_ms,                              -- the same in milliseconds since 1970
    CAST((SELECT l.lifted_by FROM _suppression_lifts l WHERE l.address = s.address AND l.channel = s.channel AND l.at_ms = s.lifted_at_ms ORDER BY l.lifted_by LIMIT 1) AS TEXT) AS lifted_by, -- delivered: a later message arrived; unsuppressed: it was stated
    CAST(s.lifted_at_ms IS NULL AS INTEGER) AS active -- 1: it stands
FROM _suppressions s
-- the cause that stands: the earliest that no lift took away; of several at one moment the first by delivery, metric and event
JOIN suppression_causes r ON r.id = (SELECT x.id FROM suppression_causes x JOIN deliveries y ON y.id = x.delivery
    WHERE x.address = s.address AND x.channel = s.channel AND x.occurred_at_ms >= coalesce(s.before_ms, -9223372036854775807)
    ORDER BY x.occurred_at_ms, y.delivery_id, x.metric, x.event_id LIMIT 1);
