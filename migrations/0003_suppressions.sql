-- Which addresses should not be written to any more. Both tables follow from the events (src/domain/suppression.rs);
-- `waybill verify` recounts them. They hold few rows: those of addresses that something went wrong with.

-- What lists an address for a channel: a hard bounce, a spam complaint, a suppression.
CREATE TABLE suppression_causes (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,    -- never given again: a filter knows the addresses of those before
    address   TEXT NOT NULL,                        -- a recipient; of a push the token of a device
    channel   INTEGER NOT NULL REFERENCES channels,
    at_ms     INTEGER NOT NULL,
    delivery  INTEGER NOT NULL REFERENCES deliveries,
    metric    INTEGER NOT NULL REFERENCES metrics,
    eid       ANY NOT NULL                          -- delivery, metric and eid are the event
) STRICT;
CREATE UNIQUE INDEX suppression_causes_by_address ON suppression_causes (address, channel, at_ms, delivery, metric, eid);
CREATE INDEX suppression_causes_by_time ON suppression_causes (at_ms);

-- What was delivered to these addresses after the first cause: it lifts all that was strictly before it.
CREATE TABLE suppression_lifts (
    address   TEXT NOT NULL,
    channel   INTEGER NOT NULL REFERENCES channels,
    at_ms     INTEGER NOT NULL,
    delivery  INTEGER NOT NULL REFERENCES deliveries,
    eid       ANY NOT NULL,
    PRIMARY KEY (address, channel, at_ms, delivery, eid)
) STRICT, WITHOUT ROWID;

-- Asked for one with ORDER BY and LIMIT, never with min() or max(): SQLite hands a condition on to the parts of a union
-- only then, and reads all of them otherwise.
-- All that lifts: what was delivered, and that the person of a cause (or the address itself) was unsuppressed.
CREATE VIEW suppression_lifts_read AS
SELECT address, channel, at_ms, 'delivered' AS lifted_by FROM suppression_lifts
UNION ALL
SELECT c.address, c.channel, s.at_ms, 'unsuppressed'
FROM suppression_causes c
JOIN standings s ON s.identifier = c.address AND s.standing = 'unsuppressed'
UNION ALL
SELECT c.address, c.channel, s.at_ms, 'unsuppressed'
FROM suppression_causes c
JOIN deliveries d ON d.id = c.delivery
JOIN people p ON p.id = d.person
JOIN standings s ON s.identifier IN (p.person_id, p.email, p.cio_id) AND s.standing = 'unsuppressed';

-- Each listed address once, by the cause that stands: the earliest that no lift has taken away, as of the latest cause.
-- `lifted_at_ms` is the first lift after the latest cause, if there is one.
CREATE VIEW suppressions_read AS
SELECT
    r.id,
    r.address,
    CAST(CASE r.channel WHEN 2 THEN 'device' ELSE 'address' END AS TEXT) AS kind,
    h.channel,
    CAST(CASE r.metric WHEN 12 THEN 'likely' ELSE 'proven' END AS TEXT) AS class,
    CAST(CASE r.metric WHEN 12 THEN 'hard_bounce' WHEN 14 THEN 'spam_complaint' ELSE 'suppressed' END AS TEXT) AS cause,
    CAST(coalesce(
        CASE r.channel WHEN 2 THEN
            (SELECT t.reason FROM event_devices_read t
             WHERE t.delivery = r.delivery AND t.metric = r.metric AND t.eid = r.eid
               AND t.device_id = r.address AND t.reason IS NOT NULL
             ORDER BY t.place LIMIT 1) END,
        (SELECT e.reason FROM events_read e
         WHERE e.delivery = r.delivery AND e.metric = r.metric AND e.eid = r.eid)) AS TEXT) AS reason,
    d.delivery_id,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (r.at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (r.at_ms) % 1000) AS TEXT) AS since,
    r.at_ms AS since_ms,
    CAST(strftime('%Y-%m-%dT%H:%M:%S', (r.lifted_at_ms) / 1000, 'unixepoch') || printf('.%03dZ', (r.lifted_at_ms) % 1000) AS TEXT) AS lifted_at,
    CAST(r.lifted_at_ms AS INTEGER) AS lifted_at_ms,
    CAST((SELECT l.lifted_by FROM suppression_lifts_read l
        WHERE l.address = r.address AND l.channel = r.channel AND l.at_ms = r.lifted_at_ms
        ORDER BY l.lifted_by LIMIT 1) AS TEXT) AS lifted_by,
    CAST(r.lifted_at_ms IS NULL AS INTEGER) AS active
FROM (
    SELECT b.*,
        (SELECT l.at_ms FROM suppression_lifts_read l
         WHERE l.address = b.address AND l.channel = b.channel AND l.at_ms > b.latest_ms
         ORDER BY l.at_ms LIMIT 1) AS lifted_at_ms,
        (SELECT min(x.at_ms) FROM suppression_causes x
         WHERE x.address = b.address AND x.channel = b.channel
           AND x.at_ms >= coalesce(b.before_ms, x.at_ms)) AS first_ms
    FROM (
        SELECT a.*,
            (SELECT l.at_ms FROM suppression_lifts_read l
             WHERE l.address = a.address AND l.channel = a.channel AND l.at_ms <= a.latest_ms
             ORDER BY l.at_ms DESC LIMIT 1) AS before_ms
        FROM (
            SELECT c.*, (SELECT max(x.at_ms) FROM suppression_causes x
                WHERE x.address = c.address AND x.channel = c.channel) AS latest_ms
            FROM suppression_causes c
        ) a
    ) b
) r
JOIN channels h ON h.id = r.channel
JOIN deliveries d ON d.id = r.delivery
WHERE r.at_ms = r.first_ms
    -- of several at one moment the first by delivery, metric and event
    AND r.id = (SELECT x.id FROM suppression_causes x
        JOIN deliveries y ON y.id = x.delivery
        JOIN events_read e ON e.delivery = x.delivery AND e.metric = x.metric AND e.eid = x.eid
        WHERE x.address = r.address AND x.channel = r.channel AND x.at_ms = r.at_ms
        ORDER BY y.delivery_id, x.metric, e.event_id LIMIT 1);

-- A row for each address or device, and channel, that should not be written to, or was not to be until it was lifted.
--   address: the address, the phone number or the device's token
--   kind: address or device
--   channel: the channel for which it is listed
--   class: proven, or likely: what only the words of a bounce say
--   cause: hard_bounce, spam_complaint or suppressed
--   reason: why, in the words of the event
--   delivery_id: the delivery that lists it
--   since: since when; ISO 8601, UTC
--   since_ms: the same in milliseconds since 1970
--   lifted_at: when it was lifted; null while it stands
--   lifted_at_ms: the same in milliseconds since 1970
--   lifted_by: delivered: a later message arrived; unsuppressed: it was said
--   active: 1: it stands
--   try: who should not be written to any more
--     SELECT channel, address, cause, since FROM suppressions_v1 WHERE active ORDER BY since_ms DESC LIMIT 50;
CREATE VIEW suppressions_v1 AS
SELECT address, kind, channel, class, cause, reason, delivery_id, since, since_ms, lifted_at, lifted_at_ms, lifted_by,
    active
FROM suppressions_read;
