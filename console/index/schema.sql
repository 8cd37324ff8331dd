-- What the explorer remembers, as a fold of the topics. Every write commutes and may come again: rows are facts of one
-- record, or the newest of several by a stamp that the records themselves carry. Nothing depends on the order of arrival
-- but the numbers of `identity`, which no page shows.
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- A job's number here. `job` in all tables below is `id << 20 | submission`; submission 0: the record cannot know.
-- A trace that belongs to no job of ours is an identity without tenant, and negative there.
CREATE TABLE IF NOT EXISTS identity (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice: what is pruned in pieces must not find a stranger
    tenant TEXT NOT NULL,
    job_id TEXT NOT NULL,
    last_ms INTEGER NOT NULL,               -- of the newest record that names it: retention
    UNIQUE (job_id, tenant)
);
CREATE INDEX IF NOT EXISTS identity_by_age ON identity (last_ms);

CREATE TABLE IF NOT EXISTS job (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    job_id TEXT NOT NULL,
    submission INTEGER NOT NULL,
    -- How far it is, from the record of the highest level: arrival (submission 0), decision, ledger, result.
    level INTEGER NOT NULL DEFAULT 0,       -- rank and stamp of that record
    status TEXT NOT NULL DEFAULT 'unknown', -- queued, routed, or the result's status
    changed_ms INTEGER,
    asked_model TEXT,
    model TEXT,                             -- who served it
    provider TEXT,
    cost_nanousd INTEGER NOT NULL DEFAULT 0,
    total_ms INTEGER,                       -- from publication to the result
    wait_ms INTEGER,                        -- of that, in queues, for slots, breakers and retries
    call_ms INTEGER,                        -- of that, in calls
    attempts INTEGER NOT NULL DEFAULT 0,
    error_kind TEXT,
    written_ms INTEGER,                     -- when the lane's transaction wrote the result
    -- Where its producer wrote it.
    place_level INTEGER NOT NULL DEFAULT 0,
    published_ms INTEGER,
    partition INTEGER,
    offset INTEGER,
    trace_id TEXT,
    task TEXT,
    -- What was decided.
    decision_stamp INTEGER NOT NULL DEFAULT 0,
    decided_ms INTEGER,
    team TEXT,
    tags TEXT,                              -- JSON object of the producer's labels
    quoted_nanousd INTEGER,
    reserved_nanousd INTEGER,
    at_ms INTEGER GENERATED ALWAYS AS (coalesce(published_ms, changed_ms, 0)) VIRTUAL
);
-- With what statistics are made of, so that the newest 50,000 are read from neighbouring pages.
CREATE INDEX IF NOT EXISTS job_by_time
    ON job (at_ms DESC, tenant, job_id, submission, level, status, total_ms, cost_nanousd);
CREATE INDEX IF NOT EXISTS job_by_status ON job (status, at_ms DESC, tenant, job_id, submission);
-- Of those that are listed: their number is counted in the index alone.
CREATE INDEX IF NOT EXISTS job_by_tenant ON job (tenant, status, at_ms DESC, job_id, submission) WHERE level > 0;
CREATE INDEX IF NOT EXISTS job_by_id ON job (job_id, tenant);
CREATE INDEX IF NOT EXISTS job_by_trace ON job (trace_id);
CREATE INDEX IF NOT EXISTS job_by_duration ON job (total_ms);
-- With what is told of a model that served: read from neighbouring pages (`console.index.calls`).
CREATE INDEX IF NOT EXISTS job_by_model
    ON job (model, changed_ms DESC, provider, attempts, call_ms, total_ms, cost_nanousd) WHERE model IS NOT NULL;

CREATE TABLE IF NOT EXISTS document (
    id INTEGER PRIMARY KEY,                 -- job << 1, and 1 for the result
    stamp INTEGER NOT NULL,
    body BLOB NOT NULL                      -- JSON, zlib
);

CREATE TABLE IF NOT EXISTS record (
    topic INTEGER NOT NULL,                 -- number in the table of topics
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    job INTEGER NOT NULL,
    timestamp_ms INTEGER,                   -- NULL: known from a span alone
    size_bytes INTEGER,
    key TEXT,
    headers TEXT,                           -- JSON list of [name, shown value]
    asked_model TEXT,                       -- on the jobs topic alone
    asked TEXT,                             -- there: JSON object of what else decisions do not tell
    PRIMARY KEY (topic, partition, offset, job)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_by_job ON record (job);

CREATE TABLE IF NOT EXISTS ledger (
    job INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    n INTEGER NOT NULL,                     -- within its record
    decision TEXT NOT NULL,
    kind TEXT NOT NULL,
    at_ms INTEGER,
    reserved_nanousd INTEGER NOT NULL,
    cost_nanousd INTEGER NOT NULL,
    ambiguous_nanousd INTEGER NOT NULL,
    charges TEXT,                           -- JSON list; None: no charge
    by_whom TEXT,
    PRIMARY KEY (job, partition, offset, n)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS audit (
    job INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    n INTEGER NOT NULL,
    at_ms INTEGER,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,                   -- JSON object
    span_id TEXT,
    PRIMARY KEY (job, partition, offset, n)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch (          -- of audit entries
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    lane TEXT NOT NULL,
    sequence INTEGER,
    hash TEXT,
    PRIMARY KEY (partition, offset)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batch_by_age ON batch (at_ms);

-- The spans that one record tells of one job (or of one trace). Whole, because they are shown together; found by the
-- trace, or by what `posting` says of them.
CREATE TABLE IF NOT EXISTS chunk (
    id INTEGER PRIMARY KEY,
    trace BLOB NOT NULL,
    digest INTEGER NOT NULL,                -- of the content: the same spans again are no more spans
    job INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,                 -- of its record
    spans INTEGER NOT NULL,
    body BLOB NOT NULL,                     -- JSON list of spans, zlib
    UNIQUE (trace, digest)
);
CREATE INDEX IF NOT EXISTS chunk_by_age ON chunk (at_ms);
-- Which jobs have a span with this attribute, or with a link to this trace: `console.index.postings` makes the number
-- of name and value.
CREATE TABLE IF NOT EXISTS posting (attribute INTEGER, job INTEGER, PRIMARY KEY (attribute, job)) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS letter (
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    topic TEXT NOT NULL,
    body TEXT NOT NULL,                     -- JSON object
    PRIMARY KEY (partition, offset)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS letter_by_age ON letter (at_ms DESC);

CREATE TABLE IF NOT EXISTS alert (
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (partition, offset)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alert_by_age ON alert (at_ms DESC);

CREATE TABLE IF NOT EXISTS state (          -- the newest value of each key of a compacted topic
    kind TEXT NOT NULL,                     -- breaker, price
    key TEXT NOT NULL,
    stamp INTEGER NOT NULL,
    body TEXT,                              -- None: deleted
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS broken (         -- what could not be read, or not whole
    topic INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, offset, kind)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS broken_by_age ON broken (at_ms);

CREATE TABLE IF NOT EXISTS total (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO total VALUES
    ('identity', 0), ('spans', 0), ('letter', 0), ('alert', 0), ('batch', 0), ('broken', 0), ('record', 0);
CREATE TRIGGER IF NOT EXISTS identity_in AFTER INSERT ON identity BEGIN
    UPDATE total SET n = n + 1 WHERE name = 'identity';
END;
CREATE TRIGGER IF NOT EXISTS identity_out AFTER DELETE ON identity BEGIN
    UPDATE total SET n = n - 1 WHERE name = 'identity';
END;
CREATE TRIGGER IF NOT EXISTS letter_in AFTER INSERT ON letter BEGIN
    UPDATE total SET n = n + 1 WHERE name = 'letter';
END;
CREATE TRIGGER IF NOT EXISTS letter_out AFTER DELETE ON letter BEGIN
    UPDATE total SET n = n - 1 WHERE name = 'letter';
END;
CREATE TRIGGER IF NOT EXISTS alert_in AFTER INSERT ON alert BEGIN
    UPDATE total SET n = n + 1 WHERE name = 'alert';
END;
CREATE TRIGGER IF NOT EXISTS alert_out AFTER DELETE ON alert BEGIN
    UPDATE total SET n = n - 1 WHERE name = 'alert';
END;
CREATE TRIGGER IF NOT EXISTS batch_in AFTER INSERT ON batch BEGIN
    UPDATE total SET n = n + 1 WHERE name = 'batch';
END;
CREATE TRIGGER IF NOT EXISTS batch_out AFTER DELETE ON batch BEGIN
    UPDATE total SET n = n - 1 WHERE name = 'batch';
END;
CREATE TRIGGER IF NOT EXISTS broken_in AFTER INSERT ON broken BEGIN
    UPDATE total SET n = n + 1 WHERE name = 'broken';
END;
CREATE TRIGGER IF NOT EXISTS broken_out AFTER DELETE ON broken BEGIN
    UPDATE total SET n = n - 1 WHERE name = 'broken';
END;
CREATE TRIGGER IF NOT EXISTS chunk_in AFTER INSERT ON chunk BEGIN
    UPDATE total SET n = n + new.spans WHERE name = 'spans';
END;
CREATE TRIGGER IF NOT EXISTS chunk_out AFTER DELETE ON chunk BEGIN
    UPDATE total SET n = n - old.spans WHERE name = 'spans';
END;
CREATE TRIGGER IF NOT EXISTS record_in AFTER INSERT ON record BEGIN
    UPDATE total SET n = n + 1 WHERE name = 'record';
END;
CREATE TRIGGER IF NOT EXISTS record_out AFTER DELETE ON record BEGIN
    UPDATE total SET n = n - 1 WHERE name = 'record';
END;
