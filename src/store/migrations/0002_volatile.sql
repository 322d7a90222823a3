-- Everything with an expiry. Keys are hashes, never what a client holds.

CREATE TABLE volatile_entries (
    kind TEXT NOT NULL,
    key BYTEA NOT NULL,
    owner BIGINT,
    value BYTEA NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE INDEX volatile_entries_by_owner ON volatile_entries (owner, kind, created_at);
CREATE INDEX volatile_entries_by_expiry ON volatile_entries (expires_at);

CREATE TABLE volatile_counters (
    kind TEXT NOT NULL,
    key BYTEA NOT NULL,
    hits BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE INDEX volatile_counters_by_end ON volatile_counters (ends_at);
