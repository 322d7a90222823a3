-- Certificates that an authority issues. Chain and key are sealed with the gateway key. A certificate is free to be
-- ordered once it is due; taking it moves due_at on, past the time that an order may need.

CREATE TABLE acme_certificates (
    directory TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BYTEA,
    taken BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (directory, name)
);

-- What an authority is to find on any node while it checks whether a name is ours. Told to whoever asks, so not sealed.

CREATE TABLE acme_answers (
    kind TEXT NOT NULL CHECK (kind IN ('http-01', 'tls-alpn-01')),
    key TEXT NOT NULL,
    answer TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (kind, key)
);
