-- Mails and webhooks that wait to be sent. Bodies are sealed with the gateway key: they hold links that open accounts.
-- A message is free to be taken once it is due; taking it moves due_at on, past the time its sender may need.

CREATE TABLE outbox (
    id {{id}},
    kind TEXT NOT NULL CHECK (kind IN ('mail', 'hook')),
    key TEXT NOT NULL UNIQUE,
    body BYTEA NOT NULL,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL
);

CREATE INDEX outbox_by_due ON outbox (kind, due_at);
