-- What the pages show, as a fold of the topics. Every upsert commutes: the four topics arrive in any order.
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS job (
    tenant TEXT NOT NULL,
    job_id TEXT NOT NULL,
    submission INTEGER NOT NULL,
    rank INTEGER NOT NULL,              -- 0 queued, 1 decided, 2 terminal: a row never goes back
    status TEXT NOT NULL,               -- queued, routed, or the result's status
    task TEXT,
    asked_model TEXT,
    model TEXT,                         -- who served it
    provider TEXT,
    cost_nanousd INTEGER NOT NULL DEFAULT 0,
    total_ms INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    published_ms INTEGER,
    changed_ms INTEGER NOT NULL,
    trace_id TEXT,
    error_kind TEXT,
    partition INTEGER,                  -- where its producer wrote it
    offset INTEGER,
    written_ms INTEGER,                 -- when the lane's transaction wrote the result
    decision TEXT,                      -- JSON as it was on the topic
    result TEXT,
    PRIMARY KEY (tenant, job_id, submission)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_by_time ON job (published_ms DESC, tenant, job_id);
CREATE INDEX IF NOT EXISTS job_by_trace ON job (trace_id);
CREATE INDEX IF NOT EXISTS job_by_status ON job (status, published_ms DESC);

CREATE TABLE IF NOT EXISTS record (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    job_id TEXT NOT NULL,
    seen INTEGER NOT NULL,              -- order of arrival here, for retention
    PRIMARY KEY (topic, partition, offset)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS record_by_seen ON record (seen);

CREATE TABLE IF NOT EXISTS span (
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    parent_id TEXT,
    service TEXT NOT NULL,
    name TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    error TEXT,
    attributes TEXT NOT NULL,           -- JSON object
    seen INTEGER NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS span_by_seen ON span (seen);
