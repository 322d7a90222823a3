-- People, what they may do, and the rows that transactions lock.
-- Times are milliseconds since 1970; every key that is compared is stored in its folded form.

CREATE TABLE locks (
    name TEXT NOT NULL PRIMARY KEY,
    taken BIGINT NOT NULL
);

CREATE TABLE users (
    id {{id}},
    subject TEXT NOT NULL UNIQUE,
    username TEXT NOT NULL UNIQUE,
    email TEXT,
    email_folded TEXT UNIQUE,
    password_hash TEXT,
    is_active BOOLEAN NOT NULL,
    is_superuser BOOLEAN NOT NULL,
    is_verified BOOLEAN NOT NULL,
    must_change_password BOOLEAN NOT NULL,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE roles (
    id {{id}},
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('config', 'local', 'retired')),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE permissions (
    id {{id}},
    resource TEXT NOT NULL,
    action TEXT NOT NULL,
    description TEXT NOT NULL,
    UNIQUE (resource, action)
);

CREATE TABLE role_permissions (
    role_id BIGINT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    permission_id BIGINT NOT NULL REFERENCES permissions (id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, permission_id)
);

CREATE TABLE role_includes (
    role_id BIGINT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    included_id BIGINT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, included_id)
);

-- The source is part of the key: what two sources grant, each may take back without the other.
CREATE TABLE user_roles (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role_id BIGINT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, role_id, source)
);

CREATE INDEX user_roles_by_role ON user_roles (role_id);
