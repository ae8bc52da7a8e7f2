-- Forgetting people: what was said of their standing, what is erased, and what keeps it erased.

-- What statements said of a person's standing, by each identifier that they carried, as it came. Those that erase go
-- once that is done: then `forgotten` alone knows of them.
CREATE TABLE standings (
    identifier      TEXT NOT NULL,
    standing        TEXT NOT NULL,          -- deleted, suppressed, unsuppressed
    at_ms           INTEGER NOT NULL,
    event_id        TEXT NOT NULL,
    received_at_ms  INTEGER NOT NULL,
    due_at_ms       INTEGER,                -- of a deletion: when it erases
    revoked_at_ms   INTEGER,                -- of a deletion: it does not
    PRIMARY KEY (identifier, standing, at_ms, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX standings_by_due ON standings (due_at_ms) WHERE due_at_ms IS NOT NULL AND revoked_at_ms IS NULL;

-- Identifiers that copies of a delivery's events carry and the delivery's own columns may not show: devices of a push,
-- and what events say otherwise. With the indexes of `people` and of recipients, all deliveries that carry an
-- identifier are found.
CREATE TABLE mentions (
    block     INTEGER NOT NULL,             -- of the delivery
    address   INTEGER NOT NULL REFERENCES addresses,
    delivery  INTEGER NOT NULL REFERENCES deliveries,
    PRIMARY KEY (block, address, delivery)
) STRICT, WITHOUT ROWID;

-- Those of them that no event carries: another copy told it otherwise.
CREATE TABLE mentions_of_copies (
    delivery  INTEGER NOT NULL REFERENCES deliveries,
    address   INTEGER NOT NULL REFERENCES addresses,
    PRIMARY KEY (delivery, address)
) STRICT, WITHOUT ROWID;

-- What was said, by the keyed hash of the identifier: deletions once they erase, all suppressions and their ends.
CREATE TABLE forgotten (
    hash      BLOB NOT NULL,                -- 16 bytes
    standing  TEXT NOT NULL,
    at_ms     INTEGER NOT NULL,
    PRIMARY KEY (hash, standing, at_ms)
) STRICT, WITHOUT ROWID;

-- What forgotten deliveries carried beside the identifier that a statement named: it is forgotten with that one.
CREATE TABLE forgotten_links (
    hash   BLOB NOT NULL,
    named  BLOB NOT NULL,
    PRIMARY KEY (hash, named)
) STRICT, WITHOUT ROWID;
CREATE INDEX forgotten_links_by_named ON forgotten_links (named);

-- Identifiers whose traces are being erased, and tombstones of those whose text is not known; gone when no trace is
-- left.
CREATE TABLE erasures (
    identifier  TEXT PRIMARY KEY,
    looked      INTEGER NOT NULL DEFAULT 0, -- 1: all deliveries that carry it were looked at
    delivery    INTEGER NOT NULL DEFAULT 0  -- up to this one until then
) STRICT, WITHOUT ROWID;

-- How far the walk through what no index finds has come, while there is something to erase.
CREATE TABLE erasing (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    stage   INTEGER NOT NULL,
    cursor  INTEGER NOT NULL
) STRICT;

-- Shared subjects of deliveries that were erased: those that no other delivery has go too.
CREATE TABLE erasing_subjects (
    subject  INTEGER PRIMARY KEY REFERENCES subjects
) STRICT;

-- The same of forms of their events.
CREATE TABLE erasing_forms (
    form  INTEGER PRIMARY KEY REFERENCES forms
) STRICT;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('mentions', 'mentions', '1000000 131072 2 1');
