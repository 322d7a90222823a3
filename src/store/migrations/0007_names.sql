-- Whose a username was last, of those that somebody has given up or was about to: services go by them, and what they keep for a name
-- is not the next one's. Numbers of users that are gone stay.
CREATE TABLE names (
    name TEXT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL
);

CREATE INDEX names_by_user ON names (user_id);
