-- Which password an account has had last: what was opened with an earlier one is closed.
ALTER TABLE users ADD COLUMN password_version BIGINT NOT NULL DEFAULT 0;
