-- Keys that every node shares, sealed with the gateway key.
CREATE TABLE sealed_keys (
    name       TEXT NOT NULL PRIMARY KEY,
    sealed     BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
