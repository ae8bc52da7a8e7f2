-- The file. Times are milliseconds since 1970 (UTC); a quarter is a quarter of an hour, counted from 1970.
--
-- What decides its shape:
--   * Events are clustered by delivery: one tree is the log, the dedupe index and the timeline.
--   * An index whose new entries would land at random in a big tree is led by a block of row ids, so that inserts
--     touch the newest block only; a reader asks block by block, from the newest.
--   * Counts are kept, one wide row for each key, never scanned for.
--   * What people query are the views (…_v1); tables may change with a migration.

-- Secrets and marks of this file: id_key (keys the hash of events that come without an id), filter_key (the hash of
-- the block filters), quarantine_read_by (the version that last read again all that is kept aside), verified (what
-- `waybill verify` last found, as JSON), address_chunks (how many chunks of addresses `address_pieces` holds), address_part (how many parts of
-- the next), days_until (before which day the counts of days are summed).
CREATE TABLE settings (
    key    TEXT PRIMARY KEY,
    value  ANY NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO settings VALUES ('filter_key', randomblob(16));

-- Names ------------------------------------------------------------------------------------------------------------

-- Codes below 100 are those of src/domain/names.rs; a channel that it does not list is given the next from 100.
CREATE TABLE channels (
    id       INTEGER PRIMARY KEY,
    channel  TEXT UNIQUE                -- null in row 0: not known
) STRICT;
INSERT INTO channels VALUES (0, NULL), (1, 'email'), (2, 'push'), (3, 'sms'), (4, 'in_app'), (5, 'webhook'), (6, 'slack'), (7, 'whatsapp');

-- The same for metrics.
CREATE TABLE metrics (
    id      INTEGER PRIMARY KEY,
    metric  TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO metrics VALUES (1, 'queued'), (2, 'drafted'), (3, 'attempted'), (4, 'deferred'), (5, 'sent'), (6, 'delivered'), (7, 'opened'), (8, 'clicked'), (9, 'replied'), (10, 'converted'), (11, 'unsubscribed'), (12, 'bounced'), (13, 'suppressed'), (14, 'spammed'), (15, 'failed'), (16, 'undeliverable');

-- What a status may be: a metric, or unknown.
CREATE TABLE statuses (
    id      INTEGER PRIMARY KEY,
    status  TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO statuses VALUES (0, 'unknown'), (1, 'queued'), (2, 'drafted'), (3, 'attempted'), (4, 'deferred'), (5, 'sent'), (6, 'delivered'), (7, 'opened'), (8, 'clicked'), (9, 'replied'), (10, 'converted'), (11, 'unsubscribed'), (12, 'bounced'), (13, 'suppressed'), (14, 'spammed'), (15, 'failed'), (16, 'undeliverable');

-- What is counted for a source.
CREATE TABLE counted (
    id      INTEGER PRIMARY KEY,
    metric  TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO counted VALUES (0, 'created'), (1, 'queued'), (2, 'drafted'), (3, 'attempted'), (4, 'deferred'), (5, 'sent'), (6, 'delivered'), (7, 'opened'), (8, 'clicked'), (9, 'replied'), (10, 'converted'), (11, 'unsubscribed'), (12, 'bounced'), (13, 'suppressed'), (14, 'spammed'), (15, 'failed'), (16, 'undeliverable'), (17, 'human_opened'), (18, 'machine_opened'), (19, 'human_clicked'), (20, 'machine_clicked');

-- Where deliveries come from. Events carry ids only; people give the names.
CREATE TABLE sources (
    id           INTEGER PRIMARY KEY,
    source_kind  TEXT NOT NULL,         -- campaign, broadcast, newsletter, transactional, unknown
    source_id    TEXT,                  -- null where unknown
    name         TEXT,
    tags         TEXT,
    UNIQUE (source_kind, source_id)
) STRICT;
INSERT INTO sources VALUES (1, 'unknown', NULL, NULL, NULL);

-- One message of a source: its action or content, on a channel.
CREATE TABLE messages (
    id            INTEGER PRIMARY KEY,
    source        INTEGER NOT NULL REFERENCES sources,
    channel       INTEGER NOT NULL REFERENCES channels,
    action_id     TEXT,
    content_id    TEXT,
    own_subjects  INTEGER NOT NULL DEFAULT 0    -- 1: it had so many subjects that deliveries have some of their own
) STRICT;
CREATE UNIQUE INDEX messages_by_parts ON messages (source, channel, coalesce(action_id, ''), coalesce(content_id, ''));

-- Subjects that many deliveries share. One of its own stays in the delivery's row.
CREATE TABLE subjects (
    id       INTEGER PRIMARY KEY,
    message  INTEGER NOT NULL REFERENCES messages,
    subject  TEXT NOT NULL,
    UNIQUE (message, subject)
) STRICT;

-- Recipients.
CREATE TABLE addresses (
    id       INTEGER PRIMARY KEY,
    address  TEXT NOT NULL,
    block    INTEGER AS (id >> 17) VIRTUAL
) STRICT;
CREATE UNIQUE INDEX addresses_by_address ON addresses (block, address);

-- Which groups of sixteen addresses (id >> 4) hold which three letters in a row, in lower case; of the first chunks
-- (id >> 14), as many as `settings` says.
CREATE TABLE address_pieces (
    chunk   INTEGER NOT NULL,
    piece   TEXT NOT NULL,
    groups  BLOB NOT NULL,                      -- counted from the chunk's first, as the steps between them
    PRIMARY KEY (chunk, piece)
) STRICT, WITHOUT ROWID;

-- The identifiers of a person that deliveries carry together.
CREATE TABLE people (
    id         INTEGER PRIMARY KEY,
    person_id  TEXT,
    email      TEXT,
    cio_id     TEXT,
    block      INTEGER AS (id >> 17) VIRTUAL,
    name       TEXT AS (coalesce(person_id, email, cio_id)) VIRTUAL
) STRICT;
CREATE INDEX people_by_name ON people (block, name);
CREATE INDEX people_by_email ON people (block, email) WHERE email IS NOT NULL;
CREATE INDEX people_by_cio_id ON people (block, cio_id) WHERE cio_id IS NOT NULL;

-- Deliveries and their events ---------------------------------------------------------------------------------------

-- A page is full when the rows after it begin, and a row of it that grows splits it in two. So what moves with a
-- delivery's events takes the same bytes from the first on: `standing` six, the times after creation four, as they are
-- less 2147483647. `deliveries_read` below unpacks them; src/store/progress.rs packs them. What is null of most rows
-- stands last: a record ends with its last column that is not null.
CREATE TABLE deliveries (
    id                INTEGER PRIMARY KEY,      -- in order of arrival
    delivery_id       TEXT NOT NULL,
    created_at_ms     INTEGER NOT NULL,         -- the time of its earliest event
    message           INTEGER NOT NULL REFERENCES messages,
    source            INTEGER NOT NULL REFERENCES sources,      -- that of the message, for its index
    facet             INTEGER NOT NULL,         -- channel * 32 + status: one index serves either and both
    said              INTEGER NOT NULL,         -- bit n: attribute n was known when the delivery was new, so most of its events say it
    standing          INTEGER NOT NULL,         -- 1 << 46, and from the lowest bit: 21 bits, n: counted n; five, outcome, a metric; five, engagement; events
    updated_after     INTEGER NOT NULL,
    outcome_after     INTEGER NOT NULL,         -- -2147483648: none
    engagement_after  INTEGER NOT NULL,
    person            INTEGER REFERENCES people,
    recipient         INTEGER REFERENCES addresses,
    subject           INTEGER REFERENCES subjects,
    journey_id        TEXT,
    trigger_event_id  TEXT,
    devices           INTEGER,                  -- null: none
    trigger_id        TEXT,
    parent_action_id  TEXT,
    failure_reason    TEXT,
    devices_bounced   INTEGER,
    own_subject       TEXT,
    forgotten         INTEGER,                  -- 1
    block             INTEGER AS (id >> 17) VIRTUAL
) STRICT;
-- All deliveries by time are those of all facets, merged.
CREATE INDEX deliveries_by_facet ON deliveries (facet, created_at_ms);
CREATE INDEX deliveries_by_source ON deliveries (source, created_at_ms);
CREATE INDEX deliveries_by_failure ON deliveries (created_at_ms) WHERE failure_reason IS NOT NULL;
CREATE INDEX deliveries_by_recipient ON deliveries (block, recipient) WHERE recipient IS NOT NULL;
CREATE INDEX deliveries_by_person ON deliveries (block, person) WHERE person IS NOT NULL;

-- How Waybill finds a delivery by its id: a number for each, block << 41 | 24 bits of the hash (filter_key) of delivery_id
-- << 17 | its place in the block, and then the text is compared (src/store/delivery_keys.rs). It is a third of an index
-- over the texts. Another tool, which cannot hash so, reads all deliveries for `WHERE delivery_id = ?`, a second for ten
-- million, unless it narrows by created_at_ms as well.
CREATE TABLE delivery_keys (
    key  INTEGER PRIMARY KEY
) STRICT;

-- When the deliveries of a block of rows were created, and until when something was delivered of them, from when it is
-- full; it may be wider than they are.
CREATE TABLE delivery_spans (
    block         INTEGER PRIMARY KEY,
    first_ms      INTEGER NOT NULL,
    last_ms       INTEGER NOT NULL,
    delivered_ms  INTEGER NOT NULL
) STRICT;

-- Told, not measured: a block holds 131072 rows, so a tool that opens the file skips through the blocks of an index
-- instead of scanning the table; and there are more events than deliveries, so it goes through these.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('deliveries', 'deliveries_by_facet', '10000000 200000 2'),
    ('deliveries', 'deliveries_by_source', '10000000 100000 2'),
    ('deliveries', 'deliveries_by_failure', '300000 2'),
    ('deliveries', 'deliveries_by_recipient', '10000000 131072 4'),
    ('deliveries', 'deliveries_by_person', '10000000 131072 4'),
    ('addresses', 'addresses_by_address', '2000000 131072 1'),
    ('people', 'people_by_name', '2000000 131072 1'),
    ('people', 'people_by_email', '2000000 131072 1'),
    ('people', 'people_by_cio_id', '2000000 131072 1'),
    ('events', 'events', '40000000 4 2 1');

-- Which texts a finished block may have: Bloom filters over SipHash-1-3 with the file's filter_key (src/store/filter.rs).
-- They follow from the rows: one that is missing is made when it is needed.
CREATE TABLE block_filters (
    kind   INTEGER NOT NULL,                    -- 0 addresses, 1 delivery ids, 2 names of people, 3 listed addresses
    block  INTEGER NOT NULL,
    bits   BLOB NOT NULL,
    PRIMARY KEY (kind, block)
) STRICT;

-- `events_read` below unpacks a row; src/store/marks.rs packs it. `marks`, from the lowest bit, so that it is 0 or 1 of
-- most events, which take no byte then:
--   one bit     received_after is not in ms: of an event that came a day late or later it is in whole seconds, the receipt
--               rounded up; of one that came 97 days late or later in whole hours, the receipt rounded down, and less than 0
--   one         at is in ms, not in seconds
--   two each    machine, proxied, synthetic: 0 not said, 1 no, 2 yes
--   one         the time was taken from receipt
--   sixteen     attribute n: whether the event says of it what the delivery shows is not as the delivery's `said` has it
--   the rest    raw, where it is a blob: which dictionary it is packed with, counted from 1, less 1
CREATE TABLE events (
    delivery        INTEGER NOT NULL REFERENCES deliveries,
    metric          INTEGER NOT NULL REFERENCES metrics,
    -- The event id: a ULID as 16 bytes, or 15 where the first is 1 (the text begins with 01, till 2039); a UUID as 1 + 16;
    -- a derived one as 2 + 16; else text.
    eid             ANY NOT NULL,
    -- When it happened, from 1970 on; with a ULID of 15 bytes, from the time in it on, less that time's last byte.
    at              INTEGER NOT NULL,
    received_after  INTEGER NOT NULL,           -- from when it happened on
    marks           INTEGER NOT NULL,
    -- What of its JSON no column holds: [format, mask, rest], as src/wire/residual.rs and columns.rs say, or the whole
    -- where that would not come out the same. An integer below 0: by `forms`; another, n: [n & 15, n >> 4]; text: as it
    -- is; a blob: zstd with a dictionary, less the four bytes with which each begins.
    raw             ANY,
    own             ANY,                        -- JSON: what it says otherwise or alone; `to`: its devices, as event_devices_read has them
    PRIMARY KEY (delivery, metric, eid)
) STRICT, WITHOUT ROWID;

-- What `raw` and `own` of many events have in common. Where such a text came often, the event has ~(numbers << 12 | id)
-- instead: `form` is the text with the numbers of two digits and more taken out, of which there are up to three. In the
-- place of the second or only one stands char(1), of the first char(2), of the third char(3); the first is the sum of the
-- others, or where there are two, `third` is how much it is above the second. `numbers`: from the lowest bit, third + half
-- of what its `bits` can say; then second, twice, and less 1 made positive where it is negative (src/store/forms.rs).
CREATE TABLE forms (
    id    INTEGER PRIMARY KEY,                  -- below 4096
    form  TEXT NOT NULL,
    bits  INTEGER NOT NULL,
    UNIQUE (form, bits)
) STRICT;

-- The event as the first copy told it, where another copy changed what its columns say: what `raw` lacks is here.
CREATE TABLE raw_bases (
    delivery  INTEGER NOT NULL,
    metric    INTEGER NOT NULL,
    eid       ANY NOT NULL,
    at_ms     INTEGER NOT NULL,
    flags     INTEGER NOT NULL,
    own       TEXT,                             -- all that it said
    PRIMARY KEY (delivery, metric, eid)
) STRICT, WITHOUT ROWID;

CREATE TABLE raw_dictionaries (
    id          INTEGER PRIMARY KEY,
    dictionary  BLOB NOT NULL
) STRICT;

-- How often an event came again.
CREATE TABLE repeats (
    delivery  INTEGER NOT NULL,
    metric    INTEGER NOT NULL,
    eid       ANY NOT NULL,
    repeats   INTEGER NOT NULL,
    PRIMARY KEY (delivery, metric, eid)
) STRICT, WITHOUT ROWID;

-- Counts: each follows from deliveries and events; `waybill verify` recounts them ------------------------------------

-- Of each counted thing a column says how many deliveries reached it, and `…_extra` by how much the events that say so
-- exceed them (or fall short: an open may be implied). What is 0 is null, and the columns are in the order of how often
-- they are not: most rows end after the first ten. The views `…_read` below unpack them.

-- By quarter hour of creation. A message's are together: a series of a source reads no more than its own, and all of a
-- range are read message by message.
CREATE TABLE cohorts (
    quarter  INTEGER NOT NULL,
    message  INTEGER NOT NULL REFERENCES messages,
    created               INTEGER,
    sent                  INTEGER,
    drafted               INTEGER,
    delivered             INTEGER,
    opened                INTEGER,
    human_opened          INTEGER,
    machine_opened        INTEGER,
    human_opened_extra    INTEGER,
    opened_extra          INTEGER,
    clicked               INTEGER,
    human_clicked         INTEGER,
    human_clicked_extra   INTEGER,
    clicked_extra         INTEGER,
    machine_clicked       INTEGER,
    machine_opened_extra  INTEGER,
    machine_clicked_extra INTEGER,
    attempted             INTEGER,
    deferred              INTEGER,
    bounced               INTEGER,
    converted             INTEGER,
    failed                INTEGER,
    suppressed            INTEGER,
    undeliverable         INTEGER,
    unsubscribed          INTEGER,
    spammed               INTEGER,
    replied               INTEGER,
    queued                INTEGER,
    queued_extra          INTEGER,
    drafted_extra         INTEGER,
    attempted_extra       INTEGER,
    deferred_extra        INTEGER,
    sent_extra            INTEGER,
    delivered_extra       INTEGER,
    replied_extra         INTEGER,
    converted_extra       INTEGER,
    unsubscribed_extra    INTEGER,
    bounced_extra         INTEGER,
    suppressed_extra      INTEGER,
    spammed_extra         INTEGER,
    failed_extra          INTEGER,
    undeliverable_extra   INTEGER,
    PRIMARY KEY (message, quarter)
) STRICT, WITHOUT ROWID;

-- Of the whole life.
CREATE TABLE totals (
    source   INTEGER NOT NULL REFERENCES sources,
    channel  INTEGER NOT NULL REFERENCES channels,
    created               INTEGER,
    sent                  INTEGER,
    drafted               INTEGER,
    delivered             INTEGER,
    opened                INTEGER,
    human_opened          INTEGER,
    machine_opened        INTEGER,
    human_opened_extra    INTEGER,
    opened_extra          INTEGER,
    clicked               INTEGER,
    human_clicked         INTEGER,
    human_clicked_extra   INTEGER,
    clicked_extra         INTEGER,
    machine_clicked       INTEGER,
    machine_opened_extra  INTEGER,
    machine_clicked_extra INTEGER,
    attempted             INTEGER,
    deferred              INTEGER,
    bounced               INTEGER,
    converted             INTEGER,
    failed                INTEGER,
    suppressed            INTEGER,
    undeliverable         INTEGER,
    unsubscribed          INTEGER,
    spammed               INTEGER,
    replied               INTEGER,
    queued                INTEGER,
    queued_extra          INTEGER,
    drafted_extra         INTEGER,
    attempted_extra       INTEGER,
    deferred_extra        INTEGER,
    sent_extra            INTEGER,
    delivered_extra       INTEGER,
    replied_extra         INTEGER,
    converted_extra       INTEGER,
    unsubscribed_extra    INTEGER,
    bounced_extra         INTEGER,
    suppressed_extra      INTEGER,
    spammed_extra         INTEGER,
    failed_extra          INTEGER,
    undeliverable_extra   INTEGER,
    PRIMARY KEY (source, channel)
) STRICT, WITHOUT ROWID;

-- Of each send of a broadcast, whole life.
CREATE TABLE triggers (
    source      INTEGER NOT NULL REFERENCES sources,
    trigger_id  TEXT NOT NULL,
    channel     INTEGER NOT NULL REFERENCES channels,
    created               INTEGER,
    sent                  INTEGER,
    drafted               INTEGER,
    delivered             INTEGER,
    opened                INTEGER,
    human_opened          INTEGER,
    machine_opened        INTEGER,
    human_opened_extra    INTEGER,
    opened_extra          INTEGER,
    clicked               INTEGER,
    human_clicked         INTEGER,
    human_clicked_extra   INTEGER,
    clicked_extra         INTEGER,
    machine_clicked       INTEGER,
    machine_opened_extra  INTEGER,
    machine_clicked_extra INTEGER,
    attempted             INTEGER,
    deferred              INTEGER,
    bounced               INTEGER,
    converted             INTEGER,
    failed                INTEGER,
    suppressed            INTEGER,
    undeliverable         INTEGER,
    unsubscribed          INTEGER,
    spammed               INTEGER,
    replied               INTEGER,
    queued                INTEGER,
    queued_extra          INTEGER,
    drafted_extra         INTEGER,
    attempted_extra       INTEGER,
    deferred_extra        INTEGER,
    sent_extra            INTEGER,
    delivered_extra       INTEGER,
    replied_extra         INTEGER,
    converted_extra       INTEGER,
    unsubscribed_extra    INTEGER,
    bounced_extra         INTEGER,
    suppressed_extra      INTEGER,
    spammed_extra         INTEGER,
    failed_extra          INTEGER,
    undeliverable_extra   INTEGER,
    PRIMARY KEY (source, trigger_id, channel)
) STRICT, WITHOUT ROWID;

-- Events by the quarter hour in which they happened; a source's are together.
CREATE TABLE activity (
    quarter  INTEGER NOT NULL,
    source   INTEGER NOT NULL REFERENCES sources,
    channel  INTEGER NOT NULL REFERENCES channels,
    sent            INTEGER,
    drafted         INTEGER,
    delivered       INTEGER,
    opened          INTEGER,
    human_opened    INTEGER,
    machine_opened  INTEGER,
    clicked         INTEGER,
    human_clicked   INTEGER,
    machine_clicked INTEGER,
    attempted       INTEGER,
    deferred        INTEGER,
    bounced         INTEGER,
    converted       INTEGER,
    failed          INTEGER,
    suppressed      INTEGER,
    undeliverable   INTEGER,
    unsubscribed    INTEGER,
    spammed         INTEGER,
    replied         INTEGER,
    queued          INTEGER,
    PRIMARY KEY (source, quarter, channel)
) STRICT, WITHOUT ROWID;

-- How many deliveries stand so now.
CREATE TABLE status_counts (
    source      INTEGER NOT NULL REFERENCES sources,
    channel     INTEGER NOT NULL REFERENCES channels,
    outcome     INTEGER NOT NULL REFERENCES statuses,   -- 0: none
    engagement  INTEGER NOT NULL REFERENCES statuses,   -- 0: none; else it is the status
    deliveries  INTEGER NOT NULL,
    PRIMARY KEY (source, channel, outcome, engagement)
) STRICT, WITHOUT ROWID;

-- Clicks by link.
CREATE TABLE links (
    id                  INTEGER PRIMARY KEY,
    source              INTEGER NOT NULL REFERENCES sources,
    action_id           TEXT,
    link                TEXT NOT NULL,          -- the link id, else the address
    events              INTEGER NOT NULL DEFAULT 0,
    deliveries          INTEGER NOT NULL DEFAULT 0,
    human_deliveries    INTEGER NOT NULL DEFAULT 0,
    machine_deliveries  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX links_by_parts ON links (source, coalesce(action_id, ''), link);

-- The rows behind a link's figures, and its latest address.
CREATE TABLE link_clicks (
    link      INTEGER NOT NULL REFERENCES links,
    at_ms     INTEGER NOT NULL,
    delivery  INTEGER NOT NULL REFERENCES deliveries,
    eid       ANY NOT NULL,
    PRIMARY KEY (link, at_ms, delivery, eid)
) STRICT, WITHOUT ROWID;

-- What was not taken in ---------------------------------------------------------------------------------------------

CREATE TABLE quarantine (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,  -- who acts on a row that has gone must not meet another
    received_at_ms  INTEGER NOT NULL,
    format          TEXT NOT NULL,              -- how to read the body again
    reason          TEXT NOT NULL,
    detail          TEXT NOT NULL,
    delivery_id     TEXT,
    due_at_ms       INTEGER,                    -- an event from the future: when it may be applied
    public          INTEGER NOT NULL DEFAULT 0, -- 1: by a sender who may only report on deliveries that are known
    event           TEXT,                       -- a report that waits for its delivery: all that it says,
    raw_dictionary  INTEGER,                    -- and its `raw`
    raw             ANY,
    body            BLOB NOT NULL,
    body_bytes      INTEGER NOT NULL,           -- of the whole; of one above 8 MiB only the beginning is kept
    fingerprint     BLOB NOT NULL,              -- the same body again is the same row
    repeats         INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX quarantine_by_fingerprint ON quarantine (fingerprint);
CREATE INDEX quarantine_by_reason ON quarantine (reason, id);
CREATE INDEX quarantine_of_strangers ON quarantine (reason, id) WHERE public = 1;
CREATE INDEX quarantine_by_due ON quarantine (due_at_ms) WHERE due_at_ms IS NOT NULL;
CREATE INDEX quarantine_by_delivery ON quarantine (delivery_id, reason) WHERE delivery_id IS NOT NULL;

CREATE TABLE quarantine_counts (
    reason   TEXT PRIMARY KEY,
    rows     INTEGER NOT NULL,
    dropped  INTEGER NOT NULL DEFAULT 0         -- by senders without a full key: how many made room for later ones
) STRICT, WITHOUT ROWID;

-- Events that are not about messages, by name.
CREATE TABLE ignored (
    name        TEXT PRIMARY KEY,
    events      INTEGER NOT NULL,
    last_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What came in, by the quarter hour of receipt.
CREATE TABLE receipts (
    quarter      INTEGER PRIMARY KEY,
    accepted     INTEGER NOT NULL DEFAULT 0,
    duplicate    INTEGER NOT NULL DEFAULT 0,
    ignored      INTEGER NOT NULL DEFAULT 0,
    quarantined  INTEGER NOT NULL DEFAULT 0,
    last_at_ms   INTEGER NOT NULL
) STRICT;

-- Rows with what they pack unpacked: what the views below and the pages read. (Generated columns of the tables would
-- do the same, and be computed at every insert, to check their types.)

CREATE VIEW deliveries_read AS
SELECT id, delivery_id, created_at_ms, message, source, facet, said, person, recipient, subject, own_subject, journey_id,
    trigger_id, trigger_event_id, parent_action_id, failure_reason, block, updated_at_ms, outcome, outcome_at_ms,
    engagement, engagement_at_ms,
    standing & 2097151 AS reached,
    (standing >> 31) - 32768 AS events,
    coalesce(devices, 0) AS devices,
    coalesce(devices_bounced, 0) AS devices_bounced,
    coalesce(forgotten, 0) AS forgotten,
    coalesce(engagement, outcome, 0) AS status,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (created_at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (created_at_ms) % 1000) AS TEXT) AS created_at,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (updated_at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (updated_at_ms) % 1000) AS TEXT) AS updated_at,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (outcome_at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (outcome_at_ms) % 1000) AS TEXT) AS outcome_at,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (engagement_at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (engagement_at_ms) % 1000) AS TEXT) AS engagement_at,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (coalesce(engagement_at_ms, outcome_at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (coalesce(engagement_at_ms, outcome_at_ms)) % 1000) AS TEXT) AS status_at
FROM (
    SELECT *,
        nullif(standing >> 21 & 31, 0) AS outcome,
        nullif(standing >> 26 & 31, 0) AS engagement,
        created_at_ms + updated_after + 2147483647 AS updated_at_ms,
        CASE WHEN outcome_after > -2147483648 THEN created_at_ms + outcome_after + 2147483647 END AS outcome_at_ms,
        CASE WHEN engagement_after > -2147483648 THEN created_at_ms + engagement_after + 2147483647 END AS engagement_at_ms
    FROM deliveries
);

CREATE VIEW events_read AS
SELECT delivery, metric, eid, at_ms, received_at_ms, flags, differs, raw, raw_dictionary, own,
    CAST(CASE
        WHEN typeof(eid) = 'text' THEN eid
        WHEN length(eid) < 17 THEN
            CASE length(eid) WHEN 15 THEN '01' ELSE
                substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((instr('0123456789ABCDEF', substr(hex(eid), 1, 1)) - 1) >> 1), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (((instr('0123456789ABCDEF', substr(hex(eid), 1, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), 2, 1)) - 1) & 31), 1) END
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -30, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -29, 1)) - 1) >> 3) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -29, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -28, 1)) - 1) >> 2) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -28, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -27, 1)) - 1) >> 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (((instr('0123456789ABCDEF', substr(hex(eid), -27, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -26, 1)) - 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -25, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -24, 1)) - 1) >> 3) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -24, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -23, 1)) - 1) >> 2) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -23, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -22, 1)) - 1) >> 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (((instr('0123456789ABCDEF', substr(hex(eid), -22, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -21, 1)) - 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -20, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -19, 1)) - 1) >> 3) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -19, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -18, 1)) - 1) >> 2) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -18, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -17, 1)) - 1) >> 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (((instr('0123456789ABCDEF', substr(hex(eid), -17, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -16, 1)) - 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -15, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -14, 1)) - 1) >> 3) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -14, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -13, 1)) - 1) >> 2) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -13, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -12, 1)) - 1) >> 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (((instr('0123456789ABCDEF', substr(hex(eid), -12, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -11, 1)) - 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -10, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -9, 1)) - 1) >> 3) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -9, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -8, 1)) - 1) >> 2) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -8, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -7, 1)) - 1) >> 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (((instr('0123456789ABCDEF', substr(hex(eid), -7, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -6, 1)) - 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -5, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -4, 1)) - 1) >> 3) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -4, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -3, 1)) - 1) >> 2) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((((instr('0123456789ABCDEF', substr(hex(eid), -3, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -2, 1)) - 1) >> 1) & 31), 1)
                || substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (((instr('0123456789ABCDEF', substr(hex(eid), -2, 1)) - 1) * 16 + instr('0123456789ABCDEF', substr(hex(eid), -1, 1)) - 1) & 31), 1)
        WHEN hex(substr(eid, 1, 1)) = '01' THEN
            lower(substr(hex(eid), 3, 8)) || '-' || lower(substr(hex(eid), 11, 4)) || '-' || lower(substr(hex(eid), 15, 4))
                || '-' || lower(substr(hex(eid), 19, 4)) || '-' || lower(substr(hex(eid), 23, 12))
        ELSE 'derived-' || lower(substr(hex(eid), 3, 32))
    END AS TEXT) AS event_id,
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS TEXT) AS occurred_at,
    CAST(strftime('%Y-%m-%dT%H:%M:%fZ', received_at_ms / 1000.0, 'unixepoch') AS TEXT) AS received_at,
    CAST(CASE flags & 3 WHEN 1 THEN 0 WHEN 2 THEN 1 END AS INTEGER) AS machine,
    CAST(CASE flags >> 2 & 3 WHEN 1 THEN 0 WHEN 2 THEN 1 END AS INTEGER) AS proxied,
    CAST(CASE flags >> 4 & 3 WHEN 1 THEN 0 WHEN 2 THEN 1 END AS INTEGER) AS synthetic,
    CAST(metric = 7 AND flags >> 4 & 3 = 2 AS INTEGER) AS implied,
    CAST(own ->> '$.href' AS TEXT) AS href,
    CAST(own ->> '$.link_id' AS TEXT) AS link_id,
    CAST(own ->> '$.action_value' AS TEXT) AS action_value,
    CAST(own ->> '$.reason' AS TEXT) AS reason
FROM (
    SELECT delivery, metric, eid, raw,
        CASE typeof(own) WHEN 'integer' THEN (SELECT replace(replace(replace(form, char(1), second), char(2), second + third), char(3), third) FROM (
            SELECT form, third, (folded >> 1) * (1 - 2 * (folded & 1)) - (folded & 1) AS second FROM (
                SELECT form, ~own >> 12 >> bits AS folded, (~own >> 12 & (1 << bits) - 1) - (1 << bits >> 1) AS third
                FROM forms WHERE id = ~own & 4095))) ELSE own END AS own,
        at_ms,
        CASE WHEN marks & 1 = 0 THEN at_ms + received_after
            WHEN received_after < 0 THEN (at_ms / 3600000 - received_after) * 3600000
            ELSE (at_ms / 1000 + received_after) * 1000 END AS received_at_ms,
        marks >> 2 & 127 AS flags,
        marks >> 9 & 65535 AS differs,
        CASE typeof(raw) WHEN 'blob' THEN (marks >> 25) + 1 ELSE 0 END AS raw_dictionary
    FROM (
        SELECT *, CASE WHEN marks & 2 THEN origin_ms + at ELSE (origin_ms / 1000 + at) * 1000 END AS at_ms FROM (
            SELECT *,
                CASE WHEN length(eid) = 15 AND typeof(eid) = 'blob' THEN
                    ((((instr(bytes, substr(eid, 1, 1)) - 1 + 256) * 256 + instr(bytes, substr(eid, 2, 1)) - 1) * 256
                        + instr(bytes, substr(eid, 3, 1)) - 1) * 256 + instr(bytes, substr(eid, 4, 1)) - 1) * 256 ELSE 0 END AS origin_ms
            -- where a byte stands in these is its value and 1
            FROM (SELECT *, x'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF' AS bytes FROM events)
        )
    )
);

-- The devices that an event names. `own` has of each its row in `addresses`, its platform and its reason, the latter two
-- as far as there are any.
CREATE VIEW event_devices_read AS
SELECT e.delivery, e.metric, e.eid, r.key AS place, a.address AS device_id,
    CASE r.value ->> 1 WHEN 1 THEN 'ios' WHEN 2 THEN 'android' ELSE r.value ->> 1 END AS device_platform,
    r.value ->> 2 AS reason
FROM events_read e JOIN json_each(e.own, '$.to') r JOIN addresses a ON a.id = r.value ->> 0
WHERE e.own IS NOT NULL;

CREATE VIEW cohorts_read AS
SELECT quarter, message,
    coalesce(created, 0) AS created, coalesce(queued, 0) AS queued, coalesce(drafted, 0) AS drafted,
    coalesce(attempted, 0) AS attempted, coalesce(deferred, 0) AS deferred, coalesce(sent, 0) AS sent,
    coalesce(delivered, 0) AS delivered, coalesce(opened, 0) AS opened, coalesce(clicked, 0) AS clicked,
    coalesce(replied, 0) AS replied, coalesce(converted, 0) AS converted, coalesce(unsubscribed, 0) AS unsubscribed,
    coalesce(bounced, 0) AS bounced, coalesce(suppressed, 0) AS suppressed, coalesce(spammed, 0) AS spammed,
    coalesce(failed, 0) AS failed, coalesce(undeliverable, 0) AS undeliverable,
    coalesce(human_opened, 0) AS human_opened, coalesce(machine_opened, 0) AS machine_opened,
    coalesce(human_clicked, 0) AS human_clicked, coalesce(machine_clicked, 0) AS machine_clicked,
    coalesce(queued, 0) + coalesce(queued_extra, 0) AS queued_events,
    coalesce(drafted, 0) + coalesce(drafted_extra, 0) AS drafted_events,
    coalesce(attempted, 0) + coalesce(attempted_extra, 0) AS attempted_events,
    coalesce(deferred, 0) + coalesce(deferred_extra, 0) AS deferred_events,
    coalesce(sent, 0) + coalesce(sent_extra, 0) AS sent_events,
    coalesce(delivered, 0) + coalesce(delivered_extra, 0) AS delivered_events,
    coalesce(opened, 0) + coalesce(opened_extra, 0) AS opened_events,
    coalesce(clicked, 0) + coalesce(clicked_extra, 0) AS clicked_events,
    coalesce(replied, 0) + coalesce(replied_extra, 0) AS replied_events,
    coalesce(converted, 0) + coalesce(converted_extra, 0) AS converted_events,
    coalesce(unsubscribed, 0) + coalesce(unsubscribed_extra, 0) AS unsubscribed_events,
    coalesce(bounced, 0) + coalesce(bounced_extra, 0) AS bounced_events,
    coalesce(suppressed, 0) + coalesce(suppressed_extra, 0) AS suppressed_events,
    coalesce(spammed, 0) + coalesce(spammed_extra, 0) AS spammed_events,
    coalesce(failed, 0) + coalesce(failed_extra, 0) AS failed_events,
    coalesce(undeliverable, 0) + coalesce(undeliverable_extra, 0) AS undeliverable_events,
    coalesce(human_opened, 0) + coalesce(human_opened_extra, 0) AS human_opened_events,
    coalesce(machine_opened, 0) + coalesce(machine_opened_extra, 0) AS machine_opened_events,
    coalesce(human_clicked, 0) + coalesce(human_clicked_extra, 0) AS human_clicked_events,
    coalesce(machine_clicked, 0) + coalesce(machine_clicked_extra, 0) AS machine_clicked_events
FROM cohorts;

CREATE VIEW totals_read AS
SELECT source, channel,
    coalesce(created, 0) AS created, coalesce(queued, 0) AS queued, coalesce(drafted, 0) AS drafted,
    coalesce(attempted, 0) AS attempted, coalesce(deferred, 0) AS deferred, coalesce(sent, 0) AS sent,
    coalesce(delivered, 0) AS delivered, coalesce(opened, 0) AS opened, coalesce(clicked, 0) AS clicked,
    coalesce(replied, 0) AS replied, coalesce(converted, 0) AS converted, coalesce(unsubscribed, 0) AS unsubscribed,
    coalesce(bounced, 0) AS bounced, coalesce(suppressed, 0) AS suppressed, coalesce(spammed, 0) AS spammed,
    coalesce(failed, 0) AS failed, coalesce(undeliverable, 0) AS undeliverable,
    coalesce(human_opened, 0) AS human_opened, coalesce(machine_opened, 0) AS machine_opened,
    coalesce(human_clicked, 0) AS human_clicked, coalesce(machine_clicked, 0) AS machine_clicked,
    coalesce(queued, 0) + coalesce(queued_extra, 0) AS queued_events,
    coalesce(drafted, 0) + coalesce(drafted_extra, 0) AS drafted_events,
    coalesce(attempted, 0) + coalesce(attempted_extra, 0) AS attempted_events,
    coalesce(deferred, 0) + coalesce(deferred_extra, 0) AS deferred_events,
    coalesce(sent, 0) + coalesce(sent_extra, 0) AS sent_events,
    coalesce(delivered, 0) + coalesce(delivered_extra, 0) AS delivered_events,
    coalesce(opened, 0) + coalesce(opened_extra, 0) AS opened_events,
    coalesce(clicked, 0) + coalesce(clicked_extra, 0) AS clicked_events,
    coalesce(replied, 0) + coalesce(replied_extra, 0) AS replied_events,
    coalesce(converted, 0) + coalesce(converted_extra, 0) AS converted_events,
    coalesce(unsubscribed, 0) + coalesce(unsubscribed_extra, 0) AS unsubscribed_events,
    coalesce(bounced, 0) + coalesce(bounced_extra, 0) AS bounced_events,
    coalesce(suppressed, 0) + coalesce(suppressed_extra, 0) AS suppressed_events,
    coalesce(spammed, 0) + coalesce(spammed_extra, 0) AS spammed_events,
    coalesce(failed, 0) + coalesce(failed_extra, 0) AS failed_events,
    coalesce(undeliverable, 0) + coalesce(undeliverable_extra, 0) AS undeliverable_events,
    coalesce(human_opened, 0) + coalesce(human_opened_extra, 0) AS human_opened_events,
    coalesce(machine_opened, 0) + coalesce(machine_opened_extra, 0) AS machine_opened_events,
    coalesce(human_clicked, 0) + coalesce(human_clicked_extra, 0) AS human_clicked_events,
    coalesce(machine_clicked, 0) + coalesce(machine_clicked_extra, 0) AS machine_clicked_events
FROM totals;

CREATE VIEW triggers_read AS
SELECT source, trigger_id, channel,
    coalesce(created, 0) AS created, coalesce(queued, 0) AS queued, coalesce(drafted, 0) AS drafted,
    coalesce(attempted, 0) AS attempted, coalesce(deferred, 0) AS deferred, coalesce(sent, 0) AS sent,
    coalesce(delivered, 0) AS delivered, coalesce(opened, 0) AS opened, coalesce(clicked, 0) AS clicked,
    coalesce(replied, 0) AS replied, coalesce(converted, 0) AS converted, coalesce(unsubscribed, 0) AS unsubscribed,
    coalesce(bounced, 0) AS bounced, coalesce(suppressed, 0) AS suppressed, coalesce(spammed, 0) AS spammed,
    coalesce(failed, 0) AS failed, coalesce(undeliverable, 0) AS undeliverable,
    coalesce(human_opened, 0) AS human_opened, coalesce(machine_opened, 0) AS machine_opened,
    coalesce(human_clicked, 0) AS human_clicked, coalesce(machine_clicked, 0) AS machine_clicked,
    coalesce(queued, 0) + coalesce(queued_extra, 0) AS queued_events,
    coalesce(drafted, 0) + coalesce(drafted_extra, 0) AS drafted_events,
    coalesce(attempted, 0) + coalesce(attempted_extra, 0) AS attempted_events,
    coalesce(deferred, 0) + coalesce(deferred_extra, 0) AS deferred_events,
    coalesce(sent, 0) + coalesce(sent_extra, 0) AS sent_events,
    coalesce(delivered, 0) + coalesce(delivered_extra, 0) AS delivered_events,
    coalesce(opened, 0) + coalesce(opened_extra, 0) AS opened_events,
    coalesce(clicked, 0) + coalesce(clicked_extra, 0) AS clicked_events,
    coalesce(replied, 0) + coalesce(replied_extra, 0) AS replied_events,
    coalesce(converted, 0) + coalesce(converted_extra, 0) AS converted_events,
    coalesce(unsubscribed, 0) + coalesce(unsubscribed_extra, 0) AS unsubscribed_events,
    coalesce(bounced, 0) + coalesce(bounced_extra, 0) AS bounced_events,
    coalesce(suppressed, 0) + coalesce(suppressed_extra, 0) AS suppressed_events,
    coalesce(spammed, 0) + coalesce(spammed_extra, 0) AS spammed_events,
    coalesce(failed, 0) + coalesce(failed_extra, 0) AS failed_events,
    coalesce(undeliverable, 0) + coalesce(undeliverable_extra, 0) AS undeliverable_events,
    coalesce(human_opened, 0) + coalesce(human_opened_extra, 0) AS human_opened_events,
    coalesce(machine_opened, 0) + coalesce(machine_opened_extra, 0) AS machine_opened_events,
    coalesce(human_clicked, 0) + coalesce(human_clicked_extra, 0) AS human_clicked_events,
    coalesce(machine_clicked, 0) + coalesce(machine_clicked_extra, 0) AS machine_clicked_events
FROM triggers;

CREATE VIEW activity_read AS
SELECT quarter, source, channel,
    coalesce(queued, 0) AS queued, coalesce(drafted, 0) AS drafted, coalesce(attempted, 0) AS attempted,
    coalesce(deferred, 0) AS deferred, coalesce(sent, 0) AS sent, coalesce(delivered, 0) AS delivered,
    coalesce(opened, 0) AS opened, coalesce(clicked, 0) AS clicked, coalesce(replied, 0) AS replied,
    coalesce(converted, 0) AS converted, coalesce(unsubscribed, 0) AS unsubscribed, coalesce(bounced, 0) AS bounced,
    coalesce(suppressed, 0) AS suppressed, coalesce(spammed, 0) AS spammed, coalesce(failed, 0) AS failed,
    coalesce(undeliverable, 0) AS undeliverable, coalesce(human_opened, 0) AS human_opened,
    coalesce(machine_opened, 0) AS machine_opened, coalesce(human_clicked, 0) AS human_clicked,
    coalesce(machine_clicked, 0) AS machine_clicked
FROM activity;

-- The views: a promise; columns are only added ----------------------------------------------------------------------

-- With its row, for whoever comes by it: the view below shows the rest.
CREATE VIEW deliveries_whole AS
SELECT
    d.id,
    d.delivery_id,
    c.channel,
    s.source_kind,
    s.source_id,
    s.name AS source_name,
    g.action_id,
    d.parent_action_id,
    g.content_id,
    d.journey_id,
    d.trigger_id,
    d.trigger_event_id,
    p.person_id,
    p.email,
    p.cio_id,
    a.address AS recipient,
    CAST(coalesce(d.own_subject, j.subject) AS TEXT) AS subject,
    st.status,
    d.status_at,
    CAST(ou.status AS TEXT) AS outcome,
    d.outcome_at,
    CAST(en.status AS TEXT) AS engagement,
    d.engagement_at,
    d.created_at,
    d.created_at_ms,
    d.updated_at,
    CAST(d.updated_at_ms AS INTEGER) AS updated_at_ms,
    d.failure_reason,
    CAST(d.devices AS INTEGER) AS devices,
    CAST(d.devices_bounced AS INTEGER) AS devices_bounced,
    CAST(d.forgotten AS INTEGER) AS forgotten,
    CAST(d.events AS INTEGER) AS events,
    CAST(CASE WHEN d.reached >> 1 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 1) END AS TEXT) AS queued_at,
    CAST(CASE WHEN d.reached >> 2 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 2) END AS TEXT) AS drafted_at,
    CAST(CASE WHEN d.reached >> 3 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 3) END AS TEXT) AS attempted_at,
    CAST(CASE WHEN d.reached >> 4 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 4) END AS TEXT) AS deferred_at,
    CAST(CASE WHEN d.reached >> 5 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 5) END AS TEXT) AS sent_at,
    CAST(CASE WHEN d.reached >> 6 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 6) END AS TEXT) AS delivered_at,
    CAST(CASE WHEN d.reached >> 7 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric IN (7, 8) AND (e.metric = 7 OR g.channel IN (1, 2))) END AS TEXT) AS opened_at,
    CAST(CASE WHEN d.reached >> 8 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 8) END AS TEXT) AS clicked_at,
    CAST(CASE WHEN d.reached >> 9 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 9) END AS TEXT) AS replied_at,
    CAST(CASE WHEN d.reached >> 10 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 10) END AS TEXT) AS converted_at,
    CAST(CASE WHEN d.reached >> 11 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 11) END AS TEXT) AS unsubscribed_at,
    CAST(CASE WHEN d.reached >> 12 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 12) END AS TEXT) AS bounced_at,
    CAST(CASE WHEN d.reached >> 13 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 13) END AS TEXT) AS suppressed_at,
    CAST(CASE WHEN d.reached >> 14 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 14) END AS TEXT) AS spammed_at,
    CAST(CASE WHEN d.reached >> 15 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 15) END AS TEXT) AS failed_at,
    CAST(CASE WHEN d.reached >> 16 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 16) END AS TEXT) AS undeliverable_at,
    CAST(CASE WHEN d.reached >> 17 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric IN (7, 8) AND e.flags & 3 <> 2 AND (CASE e.metric WHEN 7 THEN e.flags >> 4 & 3 <> 2 ELSE g.channel IN (1, 2) END)) END AS TEXT) AS human_opened_at,
    CAST(CASE WHEN d.reached >> 18 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric IN (7, 8) AND e.flags & 3 = 2 AND (e.metric = 7 OR g.channel IN (1, 2))) END AS TEXT) AS machine_opened_at,
    CAST(CASE WHEN d.reached >> 19 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 8 AND e.flags & 3 <> 2) END AS TEXT) AS human_clicked_at,
    CAST(CASE WHEN d.reached >> 20 & 1 THEN
        (SELECT strftime('%Y-%m-%dT%H:%M:%S', (min(e.at_ms)) / 1000, 'unixepoch') || printf('.%03dZ', (min(e.at_ms)) % 1000)
         FROM events_read e WHERE e.delivery = d.id AND e.metric = 8 AND e.flags & 3 = 2) END AS TEXT) AS machine_clicked_at
FROM deliveries_read d
JOIN messages g ON g.id = d.message
JOIN channels c ON c.id = g.channel
JOIN sources s ON s.id = d.source
JOIN statuses st ON st.id = d.status
LEFT JOIN statuses ou ON ou.id = d.outcome
LEFT JOIN statuses en ON en.id = d.engagement
LEFT JOIN people p ON p.id = d.person
LEFT JOIN addresses a ON a.id = d.recipient
LEFT JOIN subjects j ON j.id = d.subject;

-- A row for each delivery: one message to one recipient, and what became of it. Narrow by created_at_ms, which uses an
-- index: to order by time without a range, or to look for a delivery_id alone, reads them all, a second for ten million.
--   delivery_id: the sender's id of it
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   source_name: the name that it was given here; null until then
--   action_id: the step of the campaign or broadcast that sent it
--   parent_action_id: the step that holds that one, as of a test
--   content_id: the content of the newsletter or variant
--   journey_id: the person's way through the campaign
--   trigger_id: the send of the broadcast
--   trigger_event_id: the event that set the campaign off
--   person_id, email, cio_id: who it is for: the identifiers that its events carry
--   recipient: the address that it went to; of a push null or a device
--   subject: its subject
--   status: where it stands: the engagement where there is one, else the outcome, else unknown
--   status_at: when that came about; ISO 8601, UTC
--   outcome: what became of the sending: queued to delivered, or bounced, failed and the like
--   outcome_at: when the outcome came about
--   engagement: the furthest that the person did: opened, clicked, replied, converted, unsubscribed, spammed
--   engagement_at: when the engagement came about
--   created_at: the time of its earliest event; ISO 8601, UTC
--   created_at_ms: the same in milliseconds since 1970, to filter by
--   updated_at: the time of its latest event
--   updated_at_ms: the same in milliseconds since 1970
--   failure_reason: why it failed or bounced, in the sender's words
--   devices: of a push: how many devices its events name
--   devices_bounced: of a push: how many of them bounced
--   forgotten: 1: its person was erased, and what said who it was is gone
--   events: how many distinct events it has
--   queued_at, drafted_at, attempted_at, deferred_at, sent_at, delivered_at: when it first was so; null if it never was
--   opened_at, clicked_at, replied_at, converted_at, unsubscribed_at: when that was first done, by anyone; null if it never was
--   bounced_at, suppressed_at, spammed_at, failed_at, undeliverable_at: when that first happened; null if it never did
--   human_opened_at, human_clicked_at: the first that was not marked as a machine's
--   machine_opened_at, machine_clicked_at: the first that was marked as a machine's
--   try: the newest deliveries, and where they stand
--     SELECT created_at, channel, source_kind, source_id, recipient, subject, status, failure_reason
--     FROM deliveries_v1 WHERE created_at_ms > unixepoch('now', '-1 day') * 1000 ORDER BY created_at_ms DESC LIMIT 50;
--   try: why mail bounced in the last 30 days
--     SELECT failure_reason, count(*) AS deliveries FROM deliveries_v1
--     WHERE outcome = 'bounced' AND channel = 'email' AND created_at_ms > unixepoch('now', '-30 days') * 1000
--     GROUP BY failure_reason ORDER BY deliveries DESC LIMIT 20;
--   try: hours from sent to the first human open, by channel, over the last week
--     SELECT channel, count(*) AS opened,
--         round(avg(unixepoch(human_opened_at) - unixepoch(sent_at)) / 3600, 1) AS hours
--     FROM deliveries_v1
--     WHERE created_at_ms > unixepoch('now', '-7 days') * 1000 AND human_opened_at IS NOT NULL AND sent_at IS NOT NULL
--     GROUP BY channel;
CREATE VIEW deliveries_v1 AS
SELECT
    delivery_id, channel, source_kind, source_id, source_name, action_id, parent_action_id, content_id, journey_id,
    trigger_id, trigger_event_id, person_id, email, cio_id, recipient, subject, status, status_at, outcome,
    outcome_at, engagement, engagement_at, created_at, created_at_ms, updated_at, updated_at_ms, failure_reason,
    devices, devices_bounced, forgotten, events, queued_at, drafted_at, attempted_at, deferred_at, sent_at,
    delivered_at, opened_at, clicked_at, replied_at, converted_at, unsubscribed_at, bounced_at, suppressed_at,
    spammed_at, failed_at, undeliverable_at, human_opened_at, machine_opened_at, human_clicked_at, machine_clicked_at
FROM deliveries_whole;

CREATE VIEW events_whole AS
SELECT
    e.delivery,
    e.metric AS metric_code,
    e.eid,
    e.event_id,
    d.delivery_id,
    c.channel,
    m.metric,
    e.occurred_at,
    CAST(e.at_ms AS INTEGER) AS occurred_at_ms,
    e.received_at,
    CAST(CASE WHEN e.differs >> 10 & 1 <> d.said >> 10 & 1 THEN a.address ELSE e.own ->> '$.recipient' END AS TEXT) AS recipient,
    e.href,
    e.link_id,
    e.action_value,
    CAST(coalesce(e.reason, CASE g.channel WHEN 2 THEN     -- push: else the first of its recipients'
        (SELECT r.value ->> 2 FROM json_each(e.own, '$.to') r WHERE r.value ->> 2 IS NOT NULL ORDER BY r.key LIMIT 1) END) AS TEXT) AS reason,
    e.machine,
    e.proxied,
    e.synthetic,
    e.implied
FROM events_read e
JOIN deliveries d ON d.id = e.delivery
JOIN messages g ON g.id = d.message
JOIN channels c ON c.id = g.channel
JOIN metrics m ON m.id = e.metric
LEFT JOIN addresses a ON a.id = d.recipient;

-- A row for each distinct event of a delivery; one that came again is not another. Narrow by delivery_id, which is looked
-- for among the deliveries.
--   event_id: the sender's id of it; one made from what it says where it came without
--   delivery_id: the delivery that it is of
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   metric: what happened: sent, delivered, opened and so on, or as the sender named it
--   occurred_at: when it happened; ISO 8601, UTC
--   occurred_at_ms: the same in milliseconds since 1970
--   received_at: when it came in; only the second of it if that was a day after it happened, or the hour if 97 days
--   recipient: the address that it names
--   href: of a click: the link that was followed
--   link_id: of a click: the sender's id of the link
--   action_value: of an in-app message: what was pressed; of a conversion: its value
--   reason: of a failure: why, in the sender's words
--   machine: 1: by a machine; 0: by a person; null: not said
--   proxied: 1: opened through a proxy for images; 0: not; null: not said
--   synthetic: 1: inferred by the sender, not seen; 0: seen; null: not said
--   implied: 1: an open that the sender inferred from a click
--   try: the story of the newest delivery that was opened
--     SELECT occurred_at, metric, machine, reason, href FROM events_v1
--     WHERE delivery_id = (SELECT delivery_id FROM deliveries_v1 WHERE engagement = 'opened' ORDER BY created_at_ms DESC LIMIT 1)
--     ORDER BY occurred_at_ms;
CREATE VIEW events_v1 AS
SELECT
    event_id, delivery_id, channel, metric, occurred_at, occurred_at_ms, received_at, recipient, href, link_id,
    action_value, reason, machine, proxied, synthetic, implied
FROM events_whole;

-- A row for each event: what of its JSON no column holds, packed. A delivery's page shows the JSON whole.
--   event_id: the event
--   delivery_id: the delivery that it is of
--   metric: what happened
--   encoding: json, or zstd with a dictionary
--   body: a JSON array [format, mask, rest], in that encoding
--   dictionary_id: which dictionary, of raw_dictionaries_v1; 0 with json
--   try: how much room the raw JSON takes, over ten thousand events
--     SELECT encoding, count(*) AS events, sum(length(body)) AS bytes
--     FROM (SELECT encoding, body FROM events_raw_v1 LIMIT 10000) GROUP BY encoding;
CREATE VIEW events_raw_v1 AS
SELECT
    e.event_id,
    d.delivery_id,
    m.metric,
    CAST(CASE e.raw_dictionary WHEN 0 THEN 'json' ELSE 'zstd' END AS TEXT) AS encoding,
    CAST(CASE typeof(e.raw)
        WHEN 'integer' THEN CASE WHEN e.raw >= 0 THEN printf('[%d,%d]', e.raw & 15, e.raw >> 4) ELSE (SELECT replace(replace(replace(form, char(1), second), char(2), second + third), char(3), third) FROM (
            SELECT form, third, (folded >> 1) * (1 - 2 * (folded & 1)) - (folded & 1) AS second FROM (
                SELECT form, ~e.raw >> 12 >> bits AS folded, (~e.raw >> 12 & (1 << bits) - 1) - (1 << bits >> 1) AS third
                FROM forms WHERE id = ~e.raw & 4095))) END
        WHEN 'text' THEN e.raw
        ELSE x'28b52ffd' || e.raw END AS BLOB) AS body,
    CAST(e.raw_dictionary AS INTEGER) AS dictionary_id
FROM events_read e
JOIN deliveries d ON d.id = e.delivery
JOIN metrics m ON m.id = e.metric
WHERE e.raw IS NOT NULL;

-- A row for each zstd dictionary that raw JSON is packed with.
--   dictionary_id: its number
--   dictionary: the dictionary itself
--   try: which dictionaries this file uses
--     SELECT dictionary_id, length(dictionary) AS bytes FROM raw_dictionaries_v1;
CREATE VIEW raw_dictionaries_v1 AS SELECT id AS dictionary_id, dictionary FROM raw_dictionaries;

-- A row for each device that an event of a push names.
--   event_id: the event
--   delivery_id: the delivery that it is of
--   metric: what happened
--   device_id: the device's token
--   device_platform: ios, android and the like, as the sender names it
--   reason: why it failed on this device
--   try: events of pushes by platform
--     SELECT device_platform, metric, count(*) AS devices FROM event_devices_v1
--     GROUP BY device_platform, metric ORDER BY device_platform, devices DESC;
CREATE VIEW event_devices_v1 AS
SELECT
    e.event_id,
    d.delivery_id,
    m.metric,
    CAST(r.device_id AS TEXT) AS device_id,
    CAST(r.device_platform AS TEXT) AS device_platform,
    CAST(r.reason AS TEXT) AS reason
FROM event_devices_read r
JOIN events_read e ON e.delivery = r.delivery AND e.metric = r.metric AND e.eid = r.eid
JOIN deliveries d ON d.id = e.delivery
JOIN metrics m ON m.id = e.metric;

-- A row for each campaign, broadcast, newsletter and transactional message.
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   name: the name that it was given here; null until then
--   tags: tags that it was given here
--   first_seen: when its first delivery was created; ISO 8601, UTC
--   last_seen: when its latest delivery was created
--   try: what was sent from of late
--     SELECT source_kind, source_id, name, last_seen FROM sources_v1 ORDER BY last_seen DESC LIMIT 20;
CREATE VIEW sources_v1 AS
SELECT
    s.source_kind,
    s.source_id,
    s.name,
    s.tags,
    CAST((SELECT d.created_at FROM deliveries_read d WHERE d.source = s.id ORDER BY d.created_at_ms LIMIT 1) AS TEXT) AS first_seen,
    CAST((SELECT d.created_at FROM deliveries_read d WHERE d.source = s.id ORDER BY d.created_at_ms DESC LIMIT 1) AS TEXT) AS last_seen
FROM sources s
WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.source = s.id) OR s.name IS NOT NULL OR s.tags IS NOT NULL;

-- A row for each source, channel and metric: the counts of the whole life, kept and not scanned for.
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   source_name: the name that it was given here; null until then
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   metric: created, a metric's name, or human_opened, machine_opened, human_clicked, machine_clicked
--   deliveries: how many deliveries reached it: each counts once
--   events: how many distinct events say so; 0 for created
--   try: human open rate by source and channel, of what was delivered
--     SELECT source_kind, source_id, source_name, channel,
--         round(100.0 * max(CASE metric WHEN 'human_opened' THEN deliveries END)
--             / max(CASE metric WHEN 'delivered' THEN deliveries END), 1) AS percent
--     FROM campaign_metrics_v1
--     GROUP BY source_kind, source_id, channel HAVING percent IS NOT NULL ORDER BY percent DESC;
CREATE VIEW campaign_metrics_v1 AS
SELECT source_kind, source_id, source_name, channel, metric, deliveries, events FROM (
    SELECT s.source_kind, s.source_id, s.name AS source_name, c.channel, m.metric,
        CAST(CASE m.id
            WHEN 0 THEN t.created WHEN 1 THEN t.queued WHEN 2 THEN t.drafted WHEN 3 THEN t.attempted
            WHEN 4 THEN t.deferred WHEN 5 THEN t.sent WHEN 6 THEN t.delivered WHEN 7 THEN t.opened
            WHEN 8 THEN t.clicked WHEN 9 THEN t.replied WHEN 10 THEN t.converted WHEN 11 THEN t.unsubscribed
            WHEN 12 THEN t.bounced WHEN 13 THEN t.suppressed WHEN 14 THEN t.spammed WHEN 15 THEN t.failed
            WHEN 16 THEN t.undeliverable WHEN 17 THEN t.human_opened WHEN 18 THEN t.machine_opened WHEN 19 THEN t.human_clicked
            WHEN 20 THEN t.machine_clicked
            ELSE 0 END AS INTEGER) AS deliveries,
        CAST(CASE m.id
            WHEN 1 THEN t.queued_events WHEN 2 THEN t.drafted_events WHEN 3 THEN t.attempted_events WHEN 4 THEN t.deferred_events
            WHEN 5 THEN t.sent_events WHEN 6 THEN t.delivered_events WHEN 7 THEN t.opened_events WHEN 8 THEN t.clicked_events
            WHEN 9 THEN t.replied_events WHEN 10 THEN t.converted_events WHEN 11 THEN t.unsubscribed_events WHEN 12 THEN t.bounced_events
            WHEN 13 THEN t.suppressed_events WHEN 14 THEN t.spammed_events WHEN 15 THEN t.failed_events WHEN 16 THEN t.undeliverable_events
            WHEN 17 THEN t.human_opened_events WHEN 18 THEN t.machine_opened_events WHEN 19 THEN t.human_clicked_events WHEN 20 THEN t.machine_clicked_events
            ELSE 0 END AS INTEGER) AS events
    FROM totals_read t
    JOIN sources s ON s.id = t.source
    JOIN channels c ON c.id = t.channel
    JOIN counted m
)
WHERE deliveries > 0 OR events > 0;

-- A row for each send of a broadcast, channel and metric: the counts of the whole life.
--   source_kind: broadcast, or as the events say
--   source_id: the broadcast's id
--   trigger_id: the send
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   metric: created, a metric's name, or human_opened, machine_opened, human_clicked, machine_clicked
--   deliveries: how many deliveries reached it: each counts once
--   events: how many distinct events say so; 0 for created
--   try: the latest sends of broadcasts
--     SELECT source_id, trigger_id, channel,
--         max(CASE metric WHEN 'sent' THEN deliveries END) AS sent,
--         max(CASE metric WHEN 'human_opened' THEN deliveries END) AS opened
--     FROM trigger_metrics_v1 GROUP BY source_id, trigger_id, channel ORDER BY CAST(trigger_id AS INTEGER) DESC LIMIT 20;
CREATE VIEW trigger_metrics_v1 AS
SELECT source_kind, source_id, trigger_id, channel, metric, deliveries, events FROM (
    SELECT s.source_kind, s.source_id, t.trigger_id, c.channel, m.metric,
        CAST(CASE m.id
            WHEN 0 THEN t.created WHEN 1 THEN t.queued WHEN 2 THEN t.drafted WHEN 3 THEN t.attempted
            WHEN 4 THEN t.deferred WHEN 5 THEN t.sent WHEN 6 THEN t.delivered WHEN 7 THEN t.opened
            WHEN 8 THEN t.clicked WHEN 9 THEN t.replied WHEN 10 THEN t.converted WHEN 11 THEN t.unsubscribed
            WHEN 12 THEN t.bounced WHEN 13 THEN t.suppressed WHEN 14 THEN t.spammed WHEN 15 THEN t.failed
            WHEN 16 THEN t.undeliverable WHEN 17 THEN t.human_opened WHEN 18 THEN t.machine_opened WHEN 19 THEN t.human_clicked
            WHEN 20 THEN t.machine_clicked
            ELSE 0 END AS INTEGER) AS deliveries,
        CAST(CASE m.id
            WHEN 1 THEN t.queued_events WHEN 2 THEN t.drafted_events WHEN 3 THEN t.attempted_events WHEN 4 THEN t.deferred_events
            WHEN 5 THEN t.sent_events WHEN 6 THEN t.delivered_events WHEN 7 THEN t.opened_events WHEN 8 THEN t.clicked_events
            WHEN 9 THEN t.replied_events WHEN 10 THEN t.converted_events WHEN 11 THEN t.unsubscribed_events WHEN 12 THEN t.bounced_events
            WHEN 13 THEN t.suppressed_events WHEN 14 THEN t.spammed_events WHEN 15 THEN t.failed_events WHEN 16 THEN t.undeliverable_events
            WHEN 17 THEN t.human_opened_events WHEN 18 THEN t.machine_opened_events WHEN 19 THEN t.human_clicked_events WHEN 20 THEN t.machine_clicked_events
            ELSE 0 END AS INTEGER) AS events
    FROM triggers_read t
    JOIN sources s ON s.id = t.source
    JOIN channels c ON c.id = t.channel
    JOIN counted m
)
WHERE deliveries > 0 OR events > 0;

-- A row for each hour of creation, source, action, content, channel and metric. A click counts for the hour in which its
-- message was made, so an old hour keeps growing.
--   hour: the hour in which the deliveries were created; ISO 8601, UTC
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   source_name: the name that it was given here; null until then
--   action_id: the step that sent it
--   content_id: the content of the newsletter or variant
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   metric: created, a metric's name, or human_opened, machine_opened, human_clicked, machine_clicked
--   deliveries: how many deliveries reached it: each counts once
--   events: how many distinct events say so; 0 for created
--   try: deliveries created and delivered by day
--     SELECT substr(hour, 1, 10) AS day, channel,
--         sum(CASE metric WHEN 'created' THEN deliveries END) AS created,
--         sum(CASE metric WHEN 'delivered' THEN deliveries END) AS delivered
--     FROM campaign_metrics_hourly_v1 GROUP BY day, channel ORDER BY day DESC, channel LIMIT 60;
CREATE VIEW campaign_metrics_hourly_v1 AS
SELECT hour, source_kind, source_id, source_name, action_id, content_id, channel, metric,
    CAST(sum(deliveries) AS INTEGER) AS deliveries, CAST(sum(events) AS INTEGER) AS events
FROM (
    SELECT CAST(strftime('%Y-%m-%dT%H:%M:%S', (t.quarter / 4 * 3600000) / 1000, 'unixepoch') || printf('.%03dZ', (t.quarter / 4 * 3600000) % 1000) AS TEXT) AS hour,
        s.source_kind, s.source_id, s.name AS source_name, g.action_id, g.content_id, c.channel, m.metric,
        CASE m.id
            WHEN 0 THEN t.created WHEN 1 THEN t.queued WHEN 2 THEN t.drafted WHEN 3 THEN t.attempted
            WHEN 4 THEN t.deferred WHEN 5 THEN t.sent WHEN 6 THEN t.delivered WHEN 7 THEN t.opened
            WHEN 8 THEN t.clicked WHEN 9 THEN t.replied WHEN 10 THEN t.converted WHEN 11 THEN t.unsubscribed
            WHEN 12 THEN t.bounced WHEN 13 THEN t.suppressed WHEN 14 THEN t.spammed WHEN 15 THEN t.failed
            WHEN 16 THEN t.undeliverable WHEN 17 THEN t.human_opened WHEN 18 THEN t.machine_opened WHEN 19 THEN t.human_clicked
            WHEN 20 THEN t.machine_clicked
            ELSE 0 END AS deliveries,
        CASE m.id
            WHEN 1 THEN t.queued_events WHEN 2 THEN t.drafted_events WHEN 3 THEN t.attempted_events WHEN 4 THEN t.deferred_events
            WHEN 5 THEN t.sent_events WHEN 6 THEN t.delivered_events WHEN 7 THEN t.opened_events WHEN 8 THEN t.clicked_events
            WHEN 9 THEN t.replied_events WHEN 10 THEN t.converted_events WHEN 11 THEN t.unsubscribed_events WHEN 12 THEN t.bounced_events
            WHEN 13 THEN t.suppressed_events WHEN 14 THEN t.spammed_events WHEN 15 THEN t.failed_events WHEN 16 THEN t.undeliverable_events
            WHEN 17 THEN t.human_opened_events WHEN 18 THEN t.machine_opened_events WHEN 19 THEN t.human_clicked_events WHEN 20 THEN t.machine_clicked_events
            ELSE 0 END AS events
    FROM cohorts_read t
    JOIN messages g ON g.id = t.message
    JOIN sources s ON s.id = g.source
    JOIN channels c ON c.id = g.channel
    JOIN counted m
)
WHERE deliveries > 0 OR events > 0
GROUP BY hour, source_kind, source_id, source_name, action_id, content_id, channel, metric;

-- A row for each hour, source, channel and metric: events by the time at which they happened.
--   hour: the hour in which the events happened; ISO 8601, UTC
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   metric: a metric's name, or human_opened, machine_opened, human_clicked, machine_clicked
--   events: how many distinct events
--   try: events by hour of the last two days
--     SELECT hour, sum(events) AS events FROM activity_hourly_v1
--     WHERE metric NOT GLOB 'human_*' AND metric NOT GLOB 'machine_*' AND hour > strftime('%Y-%m-%dT%H', 'now', '-2 days')
--     GROUP BY hour ORDER BY hour DESC;
CREATE VIEW activity_hourly_v1 AS
SELECT hour, source_kind, source_id, channel, metric, CAST(sum(events) AS INTEGER) AS events
FROM (
    SELECT CAST(strftime('%Y-%m-%dT%H:%M:%S', (t.quarter / 4 * 3600000) / 1000, 'unixepoch') || printf('.%03dZ', (t.quarter / 4 * 3600000) % 1000) AS TEXT) AS hour, s.source_kind, s.source_id, c.channel, m.metric,
        CASE m.id
            WHEN 1 THEN t.queued WHEN 2 THEN t.drafted WHEN 3 THEN t.attempted
            WHEN 4 THEN t.deferred WHEN 5 THEN t.sent WHEN 6 THEN t.delivered WHEN 7 THEN t.opened
            WHEN 8 THEN t.clicked WHEN 9 THEN t.replied WHEN 10 THEN t.converted WHEN 11 THEN t.unsubscribed
            WHEN 12 THEN t.bounced WHEN 13 THEN t.suppressed WHEN 14 THEN t.spammed WHEN 15 THEN t.failed
            WHEN 16 THEN t.undeliverable WHEN 17 THEN t.human_opened WHEN 18 THEN t.machine_opened WHEN 19 THEN t.human_clicked
            WHEN 20 THEN t.machine_clicked
            ELSE 0 END AS events
    FROM activity_read t
    JOIN sources s ON s.id = t.source
    JOIN channels c ON c.id = t.channel
    JOIN counted m
)
WHERE events > 0
GROUP BY hour, source_kind, source_id, channel, metric;

-- A row for each source, channel and status: how many deliveries stand so now.
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   status: where they stand: engagement where there is one, else outcome, else unknown
--   deliveries: how many stand so now
--   try: deliveries by status now
--     SELECT channel, status, sum(deliveries) AS deliveries FROM status_counts_v1
--     GROUP BY channel, status ORDER BY channel, deliveries DESC;
CREATE VIEW status_counts_v1 AS
SELECT s.source_kind, s.source_id, c.channel, st.status AS status, CAST(sum(n.deliveries) AS INTEGER) AS deliveries
FROM status_counts n
JOIN sources s ON s.id = n.source
JOIN channels c ON c.id = n.channel
JOIN statuses st ON st.id = iif(n.engagement, n.engagement, n.outcome)
GROUP BY n.source, n.channel, st.id;

-- A row for each source, channel and outcome: how many deliveries stand so now.
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   outcome: what became of the sending
--   deliveries: how many stand so now
--   try: deliveries by outcome now
--     SELECT channel, outcome, sum(deliveries) AS deliveries FROM outcome_counts_v1
--     GROUP BY channel, outcome ORDER BY channel, deliveries DESC;
CREATE VIEW outcome_counts_v1 AS
SELECT s.source_kind, s.source_id, c.channel, st.status AS outcome, CAST(sum(n.deliveries) AS INTEGER) AS deliveries
FROM status_counts n
JOIN sources s ON s.id = n.source
JOIN channels c ON c.id = n.channel
JOIN statuses st ON st.id = n.outcome
WHERE n.outcome <> 0
GROUP BY n.source, n.channel, n.outcome;

-- A row for each source, channel and engagement: how many deliveries stand so now.
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   channel: email, push, sms, in_app, webhook, slack, whatsapp or as the sender named it; null where unknown
--   engagement: the furthest that the person did
--   deliveries: how many stand so now
--   try: deliveries by engagement now
--     SELECT channel, engagement, sum(deliveries) AS deliveries FROM engagement_counts_v1
--     GROUP BY channel, engagement ORDER BY channel, deliveries DESC;
CREATE VIEW engagement_counts_v1 AS
SELECT s.source_kind, s.source_id, c.channel, st.status AS engagement, CAST(sum(n.deliveries) AS INTEGER) AS deliveries
FROM status_counts n
JOIN sources s ON s.id = n.source
JOIN channels c ON c.id = n.channel
JOIN statuses st ON st.id = n.engagement
WHERE n.engagement <> 0
GROUP BY n.source, n.channel, n.engagement;

-- A row for each link of a source: who followed it.
--   source_kind: campaign, broadcast, newsletter, transactional or unknown
--   source_id: its id there; null where unknown
--   action_id: the step whose message holds it
--   link: the sender's id of the link, else its address less query and fragment
--   address: where it led when it was last followed, less query and fragment
--   deliveries: in how many deliveries it was followed
--   events: how many clicks
--   human_deliveries: in how many a person followed it
--   machine_deliveries: in how many a machine did
--   try: the links that people follow most
--     SELECT source_kind, source_id, coalesce(address, link) AS link, human_deliveries, machine_deliveries
--     FROM link_metrics_v1 ORDER BY human_deliveries DESC LIMIT 20;
CREATE VIEW link_metrics_v1 AS
SELECT s.source_kind, s.source_id, l.action_id, l.link,
    CAST((SELECT substr(e.href, 1, min(instr(e.href || '?', '?'), instr(e.href || '#', '#')) - 1)
        FROM link_clicks k JOIN events_read e ON e.delivery = k.delivery AND e.metric = 8 AND e.eid = k.eid
        WHERE k.link = l.id AND substr(e.href, 1, min(instr(e.href || '?', '?'), instr(e.href || '#', '#')) - 1) <> ''
        ORDER BY k.at_ms DESC, e.event_id DESC, 1 LIMIT 1) AS TEXT) AS address,
    l.deliveries, l.events, l.human_deliveries, l.machine_deliveries
FROM links l
JOIN sources s ON s.id = l.source;

-- A row for each body that was not understood, or that waits for its time or its delivery.
--   quarantine_id: its number
--   received_at: when it came in; ISO 8601, UTC
--   received_at_ms: the same in milliseconds since 1970
--   format: how it would be read: webhook, pipelines, track, waybill
--   reason: why it was kept aside, as a word
--   detail: the same for people
--   delivery_id: the delivery that it names
--   due_at: of an event from the future: when it may be applied
--   due_at_ms: the same in milliseconds since 1970
--   body: what came, at most its beginning
--   body_bytes: how long the whole was
--   repeats: how often the same came again
--   public: 1: by a sender who may only report on deliveries that are known
--   try: what is kept aside, by reason
--     SELECT reason, count(*) AS bodies, max(received_at) AS latest FROM quarantine_v1 GROUP BY reason ORDER BY bodies DESC;
CREATE VIEW quarantine_v1 AS
SELECT id AS quarantine_id,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (received_at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (received_at_ms) % 1000) AS TEXT) AS received_at,
    received_at_ms, format, reason, detail, delivery_id,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (due_at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (due_at_ms) % 1000) AS TEXT) AS due_at,
    due_at_ms, body, body_bytes, repeats, public
FROM quarantine;
