-- People, their devices, the objects they relate to, and what became of their subscriptions.
--
-- Each row of the first six tables is a register: of all that was said of it, the value of the greatest (at_ms,
-- event_id, value) stands; a null value is a deletion, and kept. A person stands in them under the name that a
-- statement gives: the id, else the e-mail address, else the cio_id, else the phone number, else the anonymous id.
-- Of people and objects the latest deletion is kept as well: it hides what was said of them before.

CREATE TABLE people_known (
    person            TEXT NOT NULL,
    at_ms             INTEGER NOT NULL,
    event_id          TEXT NOT NULL,
    value             TEXT,
    deleted_at_ms     INTEGER,
    deleted_event_id  TEXT,
    PRIMARY KEY (person)
) STRICT, WITHOUT ROWID;

CREATE TABLE traits (
    person    TEXT NOT NULL,
    name      TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    event_id  TEXT NOT NULL,
    value     TEXT,                     -- JSON
    PRIMARY KEY (person, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE person_devices (
    person     TEXT NOT NULL,
    device_id  TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    value      TEXT,                    -- a JSON object, platform among its keys
    PRIMARY KEY (person, device_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_devices_by_device ON person_devices (device_id);

CREATE TABLE objects (
    type_id           TEXT NOT NULL,
    object_id         TEXT NOT NULL,
    at_ms             INTEGER NOT NULL,
    event_id          TEXT NOT NULL,
    value             TEXT,
    deleted_at_ms     INTEGER,
    deleted_event_id  TEXT,
    PRIMARY KEY (type_id, object_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE object_traits (
    type_id    TEXT NOT NULL,
    object_id  TEXT NOT NULL,
    name       TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    value      TEXT,                    -- JSON
    PRIMARY KEY (type_id, object_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE relationships (
    type_id    TEXT NOT NULL,
    object_id  TEXT NOT NULL,
    person     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    event_id   TEXT NOT NULL,
    value      TEXT,                    -- a JSON object: what is said of the relation
    PRIMARY KEY (type_id, object_id, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX relationships_by_person ON relationships (person);

-- The identifiers that one statement carried together, under the name that it gives.
CREATE TABLE identifiers (
    person  TEXT NOT NULL,
    kind    TEXT NOT NULL,              -- id, email, cio_id, phone, anonymous_id
    value   TEXT NOT NULL,
    PRIMARY KEY (person, kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifiers_by_value ON identifiers (value);

-- What became of subscriptions: one row an event and what it changed, its copies taken together.
CREATE TABLE subscription_changes (
    event_id                  TEXT NOT NULL,
    change                    TEXT NOT NULL,        -- subscribed, unsubscribed, preferences
    at_ms                     INTEGER NOT NULL,
    at_from_receipt           INTEGER NOT NULL,
    person_id                 TEXT,
    email                     TEXT,
    cio_id                    TEXT,
    phone                     TEXT,
    anonymous_id              TEXT,
    -- what is named beside it
    delivery_id               TEXT,
    channel                   TEXT,
    campaign_id               TEXT,
    broadcast_id              TEXT,
    newsletter_id             TEXT,
    transactional_message_id  TEXT,
    action_id                 TEXT,
    content_id                TEXT,
    content                   TEXT,                 -- of preferences: JSON, topics and channels
    person                    TEXT AS (coalesce(person_id, email, cio_id, phone, anonymous_id)) VIRTUAL,
    PRIMARY KEY (event_id, change)
) STRICT, WITHOUT ROWID;
CREATE INDEX subscription_changes_by_person ON subscription_changes (person, at_ms, event_id);

-- The views: a promise; columns are only added ----------------------------------------------------------------------

-- A row for each identifier that was said together with a person.
--   person: the name by which the file knows the person: id, else e-mail, else cio_id
--   kind: id, email, cio_id, phone, anonymous_id or device
--   value: the identifier
--   try: how many identifiers of each kind
--     SELECT kind, count(*) AS identifiers FROM identifiers_v1 GROUP BY kind ORDER BY identifiers DESC;
CREATE VIEW identifiers_v1 AS
SELECT person, kind, value FROM identifiers
UNION SELECT person, 'device', device_id FROM person_devices
UNION SELECT person, 'id', person_id FROM subscription_changes WHERE person_id IS NOT NULL
UNION SELECT person, 'email', email FROM subscription_changes WHERE email IS NOT NULL
UNION SELECT person, 'cio_id', cio_id FROM subscription_changes WHERE cio_id IS NOT NULL
UNION SELECT person, 'phone', phone FROM subscription_changes WHERE phone IS NOT NULL
UNION SELECT person, 'anonymous_id', anonymous_id FROM subscription_changes WHERE anonymous_id IS NOT NULL
-- what deliveries show together
UNION SELECT p.name, 'id', p.person_id FROM people p
    WHERE p.person_id IS NOT NULL AND EXISTS (SELECT 1 FROM deliveries d WHERE d.person = p.id)
UNION SELECT p.name, 'email', p.email FROM people p
    WHERE p.email IS NOT NULL AND EXISTS (SELECT 1 FROM deliveries d WHERE d.person = p.id)
UNION SELECT p.name, 'cio_id', p.cio_id FROM people p
    WHERE p.cio_id IS NOT NULL AND EXISTS (SELECT 1 FROM deliveries d WHERE d.person = p.id)
UNION SELECT p.name, CASE g.channel WHEN 1 THEN 'email' ELSE 'phone' END, a.address
    FROM deliveries d JOIN people p ON p.id = d.person JOIN addresses a ON a.id = d.recipient
    JOIN messages g ON g.id = d.message
    WHERE g.channel IN (1, 3, 7)        -- email; sms, whatsapp
UNION SELECT p.name, 'device', r.device_id
    FROM deliveries d JOIN people p ON p.id = d.person JOIN messages g ON g.id = d.message
    JOIN event_devices_read r ON r.delivery = d.id
    WHERE g.channel = 2;

-- A row for each person that anything was said of or sent to.
--   person: the name by which the file knows the person
--   deleted: 1: the sender said that the person is deleted
--   traits: JSON: the traits that stand
--   changed_at: when it was said; ISO 8601, UTC
--   changed_at_ms: the same in milliseconds since 1970
--   try: people that something was said of
--     SELECT person, traits, changed_at FROM people_v1 WHERE changed_at_ms IS NOT NULL ORDER BY changed_at_ms DESC LIMIT 20;
CREATE VIEW people_v1 AS
SELECT
    CAST(n.person AS TEXT) AS person,
    CAST(k.at_ms IS NOT NULL AND k.value IS NULL AS INTEGER) AS deleted,
    CAST((SELECT json_group_object(o.name, json(o.value)) FROM (
        SELECT t.name, t.value FROM traits t
        WHERE t.person = n.person AND t.value IS NOT NULL
            AND (k.deleted_at_ms IS NULL OR (t.at_ms, t.event_id) > (k.deleted_at_ms, k.deleted_event_id))
        ORDER BY t.name) o) AS TEXT) AS traits,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (k.at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (k.at_ms) % 1000) AS TEXT) AS changed_at,
    CAST(k.at_ms AS INTEGER) AS changed_at_ms
FROM (
    SELECT person FROM people_known
    UNION SELECT person FROM traits
    UNION SELECT person FROM person_devices
    UNION SELECT person FROM relationships
    UNION SELECT person FROM identifiers
    UNION SELECT person FROM subscription_changes WHERE person IS NOT NULL
    UNION SELECT p.name FROM people p WHERE EXISTS (SELECT 1 FROM deliveries d WHERE d.person = p.id)
) n
LEFT JOIN people_known k ON k.person = n.person;

-- A row for each trait of a person that stands.
--   person: whose it is
--   name: the trait's name
--   value: JSON: what was said last
--   changed_at: when it was said; ISO 8601, UTC
--   changed_at_ms: the same in milliseconds since 1970
--   try: which traits people have
--     SELECT name, count(*) AS people FROM traits_v1 GROUP BY name ORDER BY people DESC;
CREATE VIEW traits_v1 AS
SELECT t.person, t.name, t.value,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (t.at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (t.at_ms) % 1000) AS TEXT) AS changed_at,
    t.at_ms AS changed_at_ms
FROM traits t
LEFT JOIN people_known k ON k.person = t.person
WHERE t.value IS NOT NULL
    AND (k.deleted_at_ms IS NULL OR (t.at_ms, t.event_id) > (k.deleted_at_ms, k.deleted_event_id));

-- A row for each device that was said to be a person's.
--   person: whose it is
--   device_id: the device's token
--   platform: ios, android and the like
--   device: JSON: all that was said of it; null once deleted
--   deleted: 1: it is no longer the person's
--   changed_at: when it was said; ISO 8601, UTC
--   changed_at_ms: the same in milliseconds since 1970
--   try: devices by platform
--     SELECT platform, count(*) AS devices FROM devices_v1 WHERE NOT deleted GROUP BY platform ORDER BY devices DESC;
CREATE VIEW devices_v1 AS
SELECT t.person, t.device_id,
    CAST(t.value ->> '$.platform' AS TEXT) AS platform,
    t.value AS device,
    CAST(t.value IS NULL AS INTEGER) AS deleted,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (t.at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (t.at_ms) % 1000) AS TEXT) AS changed_at,
    t.at_ms AS changed_at_ms
FROM person_devices t
LEFT JOIN people_known k ON k.person = t.person
WHERE k.deleted_at_ms IS NULL OR (t.at_ms, t.event_id) > (k.deleted_at_ms, k.deleted_event_id);

-- A row for each object, such as an account or a course, that people relate to.
--   object_type_id: the kind of object
--   object_id: its id within the kind
--   deleted: 1: the sender said that it is deleted
--   traits: JSON: what was said of it and stands
--   changed_at: when it was said; ISO 8601, UTC
--   changed_at_ms: the same in milliseconds since 1970
--   try: the objects of each kind
--     SELECT object_type_id, count(*) AS objects FROM objects_v1 WHERE NOT deleted GROUP BY object_type_id;
CREATE VIEW objects_v1 AS
SELECT
    CAST(n.type_id AS TEXT) AS object_type_id,
    CAST(n.object_id AS TEXT) AS object_id,
    CAST(k.at_ms IS NOT NULL AND k.value IS NULL AS INTEGER) AS deleted,
    CAST((SELECT json_group_object(o.name, json(o.value)) FROM (
        SELECT t.name, t.value FROM object_traits t
        WHERE t.type_id = n.type_id AND t.object_id = n.object_id AND t.value IS NOT NULL
            AND (k.deleted_at_ms IS NULL OR (t.at_ms, t.event_id) > (k.deleted_at_ms, k.deleted_event_id))
        ORDER BY t.name) o) AS TEXT) AS traits,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (k.at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (k.at_ms) % 1000) AS TEXT) AS changed_at,
    CAST(k.at_ms AS INTEGER) AS changed_at_ms
FROM (
    SELECT type_id, object_id FROM objects
    UNION SELECT type_id, object_id FROM object_traits
    UNION SELECT type_id, object_id FROM relationships
) n
LEFT JOIN objects k ON k.type_id = n.type_id AND k.object_id = n.object_id;

-- A row for each relation of a person to an object.
--   object_type_id: the kind of object
--   object_id: its id within the kind
--   person: who relates to it
--   relation: JSON: what was said of the relation; null once deleted
--   deleted: 1: the relation ended
--   changed_at: when it was said; ISO 8601, UTC
--   changed_at_ms: the same in milliseconds since 1970
--   try: the objects with the most people
--     SELECT object_type_id, object_id, count(*) AS people FROM relationships_v1
--     WHERE NOT deleted GROUP BY object_type_id, object_id ORDER BY people DESC LIMIT 20;
CREATE VIEW relationships_v1 AS
SELECT t.type_id AS object_type_id, t.object_id, t.person,
    t.value AS relation,
    CAST(t.value IS NULL AS INTEGER) AS deleted,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (t.at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (t.at_ms) % 1000) AS TEXT) AS changed_at,
    t.at_ms AS changed_at_ms
FROM relationships t
LEFT JOIN objects k ON k.type_id = t.type_id AND k.object_id = t.object_id
LEFT JOIN people_known p ON p.person = t.person
WHERE (k.deleted_at_ms IS NULL OR (t.at_ms, t.event_id) > (k.deleted_at_ms, k.deleted_event_id))
    AND (p.deleted_at_ms IS NULL OR (t.at_ms, t.event_id) > (p.deleted_at_ms, p.deleted_event_id));

-- What each change of preferences said of each topic and channel. Of one topic the greatest stamp stands.
CREATE VIEW subscription_preferences AS
SELECT c.person, p.key AS part, t.key AS topic, printf('%016d', c.at_ms) || c.event_id AS stamp,
    CASE t.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null'
        WHEN 'object' THEN t.value WHEN 'array' THEN t.value ELSE json_quote(t.value) END AS says
FROM subscription_changes c
JOIN json_each(CASE WHEN json_valid(c.content) THEN c.content END) p
JOIN json_each(CASE p.type WHEN 'object' THEN p.value END) t
WHERE c.change = 'preferences' AND p.key IN ('topics', 'channels');

-- A row for each change of a subscription: one event and what it changed.
--   event_id: the event
--   change: subscribed, unsubscribed or preferences
--   person: who it is about
--   changed_at: when it was said; ISO 8601, UTC
--   changed_at_ms: the same in milliseconds since 1970
--   delivery_id: the delivery by which it was done
--   channel: the channel of that delivery
--   source_kind: the kind of its source
--   source_id: the id of its source
--   action_id: the step that sent it
--   content_id: its content
--   content: of preferences: JSON, what was said of topics and channels
--   try: changes by month
--     SELECT substr(changed_at, 1, 7) AS month, change, count(*) AS changes FROM subscription_changes_v1
--     GROUP BY month, change ORDER BY month DESC;
CREATE VIEW subscription_changes_v1 AS
SELECT event_id, change,
    person,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (at_ms) % 1000) AS TEXT) AS changed_at,
    at_ms AS changed_at_ms,
    delivery_id, channel,
    CAST(CASE WHEN campaign_id IS NOT NULL THEN 'campaign' WHEN broadcast_id IS NOT NULL THEN 'broadcast'
        WHEN newsletter_id IS NOT NULL THEN 'newsletter' WHEN transactional_message_id IS NOT NULL THEN 'transactional'
        END AS TEXT) AS source_kind,
    CAST(coalesce(campaign_id, broadcast_id, newsletter_id, transactional_message_id) AS TEXT) AS source_id,
    action_id, content_id, content
FROM subscription_changes;

-- A row for each person of whom a subscription was said: what stands, and since when; of preferences, the latest said of
-- each topic and channel.
--   person: who
--   state: subscribed or unsubscribed; null where only preferences were said
--   since: since when; ISO 8601, UTC
--   since_ms: the same in milliseconds since 1970
--   delivery_id: the delivery by which it was done
--   channel: the channel of that delivery
--   source_kind: the kind of its source
--   source_id: the id of its source
--   action_id: the step that sent it
--   content_id: its content
--   topics: JSON: each topic and what was said of it last
--   channels: JSON: each channel and what was said of it last
--   try: how many are subscribed
--     SELECT coalesce(state, 'preferences only') AS state, count(*) AS people FROM subscriptions_v1 GROUP BY state;
CREATE VIEW subscriptions_v1 AS
SELECT n.person,
    s.change AS state,
    s.changed_at AS since, s.changed_at_ms AS since_ms,
    s.delivery_id, s.channel, s.source_kind, s.source_id, s.action_id, s.content_id,
    CAST((SELECT json_group_object(w.topic, json(w.says)) FROM (
        SELECT p.topic, p.says, max(p.stamp) FROM subscription_preferences p
        WHERE p.person = n.person AND p.part = 'topics' GROUP BY p.topic ORDER BY p.topic) w) AS TEXT) AS topics,
    CAST((SELECT json_group_object(w.topic, json(w.says)) FROM (
        SELECT p.topic, p.says, max(p.stamp) FROM subscription_preferences p
        WHERE p.person = n.person AND p.part = 'channels' GROUP BY p.topic ORDER BY p.topic) w) AS TEXT) AS channels
FROM (SELECT DISTINCT person FROM subscription_changes WHERE person IS NOT NULL) n
LEFT JOIN subscription_changes_v1 s ON (s.event_id, s.change) = (
    SELECT c.event_id, c.change FROM subscription_changes c
    WHERE c.person = n.person AND c.change IN ('subscribed', 'unsubscribed')
    ORDER BY c.at_ms DESC, c.event_id DESC, c.change DESC LIMIT 1);
