//! Files that are wrong: what is added to a good one, and what must be said of it, line by line.

pub(super) const WHERE: &[(&str, &str)] = &[
    ("upstreems: 1", "3 : unknown key: 'upstreems'"),
    ("site: example.com", "3 site: not a URL: 'example.com'"),
    (
        "site: https://example.com/app",
        "3 site: a site is scheme, host and port alone: 'https://example.com/app'",
    ),
    ("site: []", "3 site: a gateway has at least one site"),
    (
        "site: [https://u:hunter2@example.com, 5, http://localhost, 'http://[::1]:8080', https://b\u{fc}cher.example]",
        "3 site[0]: a site is scheme, host and port alone: 'https://***@example.com'
             3 site[1]: expected text, found a whole number: '5'
             3 site[3]: has the same host as http://localhost: 'http://[::1]:8080'
             3 site[4]: not a host: 'https://b\u{fc}cher.example'",
    ),
    (
        "listen: { http: \"8080\", htp: 1 }",
        "3 listen: unknown key: 'htp'
             3 listen.http: not an address to listen on: '8080'",
    ),
    (
        "listen: { admin: \"127.0.0.1:1\" }",
        "3 listen: no listener for requests",
    ),
    (
        "listen: { http: \":9901\" }",
        "3 listen: http and admin are the same address",
    ),
    ("prefix: /", "3 prefix: not a prefix: '/'"),
    ("prefix: auth", "3 prefix: not a prefix: 'auth'"),
    ("prefix: /../x", "3 prefix: not a prefix: '/../x'"),
    (
        "store: postgres://u:hunter2@db/x",
        "0 key: is required with PostgreSQL, the same on every node
             ?3 store: the database's password stands in this file",
    ),
    (
        "store: postgres://u@db/x?sslmode=disable\nkey: env:KEY",
        "?3 store: what is stored can be read and changed on its way",
    ),
    ("store: env:STORE\nkey: env:KEY", ""),
    (
        "store: postgres://u@db/x?sslrootcert=ca.pem\nkey: env:KEY",
        "3 store: sslrootcert: cannot read /nonexistent/ca.pem: no such file or directory",
    ),
    (
        "store: env:NOWHERE",
        "3 store: the environment variable NOWHERE is not set, or empty: 'env:NOWHERE'",
    ),
    (
        "store: env:PASSWORD",
        "3 store: not a store: 'env:PASSWORD'",
    ),
    (
        "store: postgres://u:hunter2@x@db/x\nkey: env:KEY",
        "3 store: not a store",
    ),
    (
        "store: mysql://u:hunter2@db/x",
        "3 store: not a store",
    ),
    (
        "volatile: redis://h",
        "3 volatile: not supported yet: 'redis'",
    ),
    (
        "store: postgres://u@localhost/g\nvolatile: memory",
        "0 key: is required with PostgreSQL, the same on every node
             ?4 volatile: each node has sessions, links and counters of its own, which no other one sees or ends: 'memory'",
    ),
    ("volatile: disk", "3 volatile: unknown place: 'disk'"),
    ("threads: 0", "3 threads: must be from 1 to 256: '0'"),
    ("threads: 257", "3 threads: must be from 1 to 256: '257'"),
    (
        "diagnostics: { snapshot: a b }",
        "3 diagnostics.snapshot: names of snapshots are 1 to 64 letters, digits, '_', '-' and '.': 'a b'",
    ),
    (
        "trusted_proxies: 10.0.0.0/8",
        "3 trusted_proxies: expected a list, found text",
    ),
    ("session: ~", "3 session: expected an object, found nothing"),
    (
        "prefix: !!str /auth",
        "3 prefix: expected text, found the YAML tag tag:yaml.org,2002:str",
    ),
];

pub(super) const UNSAFE: &[(&str, &str)] = &[
        ("site: http://example.com", "3 site: plain http would send passwords and cookies in the clear: 'http://example.com'"),
        ("site: [http://localhost, http://10.0.0.1]", "3 site[1]: plain http would send passwords and cookies in the clear: 'http://10.0.0.1'"),
        ("site: [http://127.9.9.9, http://app.localhost]", ""),
        (
            "trusted_proxies: [0.0.0.0/0, '::/0', 10.1.2.3/8, nonsense, 64.0.0.0/2, '::ffff:10.0.0.0/104', 192.0.2.1]",
            "3 trusted_proxies[0]: is everybody, who could then choose the address they seem to come from: '0.0.0.0/0'
             3 trusted_proxies[1]: is everybody, who could then choose the address they seem to come from: '::/0'
             3 trusted_proxies[2]: has bits set behind its prefix: '10.1.2.3/8'
             3 trusted_proxies[3]: not a network: 'nonsense'
             3 trusted_proxies[5]: is an IPv4 network in IPv6 notation: '::ffff:10.0.0.0/104'
             ?3 trusted_proxies[4]: is a large part of the internet: '64.0.0.0/2'",
        ),
        (
            "trusted_proxies: ['8000::/1', 128.0.0.0/1, 10.0.0.0/8, '::/1']",
            "3 trusted_proxies: is everybody, who could then choose the address they seem to come from
             ?3 trusted_proxies[0]: is a large part of the internet: '8000::/1'
             ?3 trusted_proxies[1]: is a large part of the internet: '128.0.0.0/1'
             ?3 trusted_proxies[3]: is a large part of the internet: '::/1'",
        ),
        (
            "listen: { http: \":80\", admin: \":9901\" }",
            "3 listen.admin: others could reach the admin listener, which asks nobody who they are: ':9901'",
        ),
        (
            "listen: { http: \":80\", admin: \":9901\", admin_public: true }",
            "?3 listen.admin: the admin listener can be reached by others: ':9901'",
        ),
        ("site: https://app.test", "?3 site: nobody can reach an https site through a plain http listener: 'https://app.test'"),
        ("site: https://app.test\ntrusted_proxies: [10.0.0.1]", ""),
        ("site: https://app.test\nlisten: { https: \":443\" }", "4 listen.https: https needs a certificate: ':443'"),
        ("bootstrap: { username: root, password: env:SHORT }", "3 bootstrap.password: the password must have at least 8 characters"),
        ("bootstrap: { username: root, password: env:CONTEXT }", "3 bootstrap.password: the password must hold more than the name of this gateway, digits and signs"),
        ("login: { password: { blocklist: false } }\nbootstrap: { username: root, password: env:CONTEXT }", "?3 login.password.blocklist: passwords that everybody tries first are accepted: 'false'"),
        ("login: { password: { blocklist: maybe } }", "3 login.password.blocklist: expected true or false, found text: 'maybe'"),
        ("login: { password: { argon2: { memory: 7MiB } } }", "3 login.password.argon2.memory: must be from 8MiB to 4GiB: '7MiB'"),
        ("login: { password: { argon2: { memory: 8MiB } } }", "?3 login.password.argon2: hashes are cheaper to guess than OWASP advises"),
        ("login: { password: { min_length: 7 } }", "?3 login.password.min_length: passwords this short are guessed: '7'"),
];

pub(super) const SECRETS: &[(&str, &str)] = &[
    ("key: hunter2", "3 key: not a reference to a secret"),
    ("key: env:KEY", ""),
    ("key: env:SHORT", "3 key: not a gateway key"),
    (
        "key: file:/nonexistent",
        "3 key: cannot read /nonexistent: no such file or directory",
    ),
    ("key: file:/", "3 key: cannot read /: is a directory"),
    ("key: file:/dev/null", "3 key: /dev/null is empty"),
    (
        "bootstrap: { username: \"a@b\", password: hunter2 }",
        "3 bootstrap.username: not a username: 'a@b'
             3 bootstrap.password: not a reference to a secret",
    ),
    (
        "bootstrap: { username: root, password: env:NOPE }",
        "3 bootstrap.password: the environment variable NOPE is not set, or empty",
    ),
    (
        "bootstrap: { username: root, password: env:EMPTY }",
        "3 bootstrap.password: the environment variable EMPTY is not set, or empty",
    ),
    (
        "bootstrap: { password: env:PASSWORD }",
        "3 bootstrap: 'username' is missing",
    ),
    ("bootstrap: { username: root, password: env:PASSWORD }", ""),
    (
        "login: { password: hunter2 }",
        "3 login.password: expected an object, found text",
    ),
];

pub(super) const OTHER: &[(&str, &str)] = &[
    (
        "login: { ldap: {}, totp: true, pasword: {} }",
        "3 login: not supported yet: 'ldap'
             3 login: not supported yet: 'totp'
             3 login: unknown key: 'pasword'",
    ),
    (
        "login: { password: { register: everybody, verify_email: true } }",
        "3 login.password.register: unknown kind of registration: 'everybody'
             3 login.password.verify_email: needs a way to send letters: 'true'",
    ),
    (
        "tokens: { algorithm: none, access: 2d, refresh: forever, claims: { a: user.id } }",
        "3 tokens: not supported yet: 'claims'
             3 tokens.access: must be from 1s to 1day: '2d'
             3 tokens.refresh: not a duration: 'forever'
             3 tokens.algorithm: unknown signing algorithm: 'none'",
    ),
    (
        "login: { password: { argon2: { memory: 1, passes: 0, lanes: many } } }",
        "3 login.password.argon2.memory: not a size: '1'
             3 login.password.argon2.passes: must be from 1 to 64: '0'
             3 login.password.argon2.lanes: expected a whole number, found text: 'many'",
    ),
    (
        "session: { idle: 30, max: 1w, per_user: 0 }",
        "3 session.idle: not a duration: '30'
             3 session.max: not a duration: '1w'
             3 session.per_user: must be from 1 to 1000: '0'",
    ),
    (
        "session: { idle: 18446744073709551615d }",
        "3 session.idle: not a duration: '18446744073709551615d'",
    ),
    (
        "session: { idle: 30d, max: 1d }",
        "?3 session: idle is longer than max, so it never ends a session",
    ),
    (
        "roles: { a: [b], b: [c], c: [a], \"x y\": [zz, \"q:r:s\"], d: editor, e: [admin, vieewer], viewer: [1e3] }",
        "3 roles.x y[0]: unknown role: 'zz'
             3 roles.x y[1]: not a role or a permission (resource:action): 'q:r:s'
             3 roles.x y: not a role name
             3 roles.d: expected a list, found text
             3 roles.d: unknown role: 'editor'
             3 roles.e[1]: unknown role: 'vieewer'
             3 roles.viewer[0]: expected text, found a number: '1000'
             3 roles.a: roles include each other in a circle: a -> b -> c -> a",
    ),
    (
        "brand: { name: \"\", color: #0a5\n  , logo: x, templates: nowhere, font: x }",
        "3 brand.name: must have 1 to 64 characters: ''
             3 brand.color: expected a colour, found nothing
             4 brand: unknown key: 'font'
             4 brand.logo: cannot read /nonexistent/x: no such file or directory
             4 brand.templates: cannot read /nonexistent/nowhere: no such file or directory",
    ),
    (
        "identity: { headers: { Host: user.name, X-A: user.nam, X_A: user.id, \"b ad\": user.id, X-B: user.attributes.team }, assertion: true }",
        "3 identity.headers.Host: the header host has a meaning of its own
             3 identity.headers.X-A: unknown attribute: 'user.nam'
             3 identity.headers.X_A: X_A and X-A are one header to a service
             3 identity.headers.b ad: not a header name: 'b ad'
             3 identity.headers.X-B: not supported yet: 'user.attributes.team'
             3 identity.assertion: expected the name of a header, or false: 'true'",
    ),
    (
        "identity: { headers: { X_Auth_Assertion: user.name } }",
        "3 identity: x-auth-assertion and X_Auth_Assertion are one header to a service
             ?3 identity.headers.X_Auth_Assertion: many services never see a header called X_Auth_Assertion",
    ),
    (
        "identity: { assertion: X-Auth-User }",
        "3 identity.assertion: x-auth-user and x-auth-user are one header to a service",
    ),
    (
        "identity: { headers: { X_User: user.name, x.role: user.roles, X-Team1: user.id }, assertion: X_Proof }",
        "?3 identity.headers.X_User: many services never see a header called X_User
             ?3 identity.headers.x.role: many services never see a header called x.role
             ?3 identity.assertion: many services never see a header called X_Proof",
    ),
    (
        "identity: { assertion: Authorization }",
        "3 identity.assertion: the header authorization has a meaning of its own",
    ),
    (
        "limits: { head: 32, fields: 0, target: 2MiB, body: lots, head_timeout: 0s, connections_per_address: -1, requests_per_address: 0 }",
        "3 limits.head: not a size: '32'
             3 limits.fields: must be from 1 to 256: '0'
             3 limits.target: must be from 64B to 63KiB: '2MiB'
             3 limits.body: not a size: 'lots'
             3 limits.head_timeout: must be from 10ms to 10m: '0s'
             3 limits.connections_per_address: must be from 1 to 1000000: '-1'
             3 limits.requests_per_address: must be from 1 to 1000000: '0'",
    ),
    (
        "limits: { connections: 0, body_rate: fast, stall: 2h, compressed: 0, streams: 0, resets: 0, drain: 2h }",
        "3 limits.connections: must be from 1 to 10000000: '0'
             3 limits.body_rate: not a size: 'fast'
             3 limits.stall: must be from 10ms to 1h: '2h'
             3 limits.compressed: must be from 1 to 1000000: '0'
             3 limits.streams: must be from 1 to 10000: '0'
             3 limits.resets: must be from 1 to 1000000: '0'
             3 limits.drain: must be from 0s to 1h: '2h'",
    ),
    (
        "log: { format: xml }",
        "3 log.format: unknown format: 'xml'",
    ),
    ("clients: {}", "3 : not supported yet: 'clients'"),
    (
        "defaults: { to: wab, auth: [mtls, sesion] }",
        "3 defaults.to: unknown upstream: 'wab'
             3 defaults.auth[0]: nobody vouches for a certificate: 'mtls'
             3 defaults.auth[1]: unknown method: 'sesion'",
    ),
    (
        "defaults: { auth: { all: [session, mtls] } }",
        "3 defaults.auth: not supported yet: 'auth: { all: [..] }'",
    ),
    (
        "prefix: /auth\nprefix: /auth\nvolatil: x",
        "4 : the same key twice: 'prefix'
             5 : unknown key: 'volatil'",
    ),
];

pub(super) const TESTS: &[(&str, &str)] = &[(
    "tests:
  - { expect: allow }
  - { GET: /, POST: /, expect: maybe }
  - { GET: /, expect: step_up, as: { mfa: 1h, rol: admin, ip: x } }
  - { GET: /, expect: deny, to: web, rule: /* }
  - { GET: /, expect: allow, to: wbe, as: { auth: api_key, roles: admin, verified: yes } }",
    "4 tests[0]: asks for nothing
         5 tests[1]: asks for several things at once
         5 tests[1].expect: unknown outcome: 'maybe'
         6 tests[2].expect: not supported yet: 'step_up'
         6 tests[2].as: not supported yet: 'mfa'
         6 tests[2].as: unknown key: 'rol'
         6 tests[2].as.ip: not an address: 'x'
         7 tests[3].to: only an allowed request goes anywhere: 'web'
         7 tests[3].rule: unknown rule: '/*'
         8 tests[4].to: unknown upstream: 'wbe'
         8 tests[4].as.roles: expected a list, found text
         8 tests[4].as.verified: expected true or false, found text: 'yes'
         8 tests[4].as.auth: not supported yet: 'api_key'",
)];

pub(super) const OUT: &[(&str, &str)] = &[
    (
        "mail: { url: smtps://mail.example, from: login@example.com, username: gw, password: env:PASSWORD }",
        "",
    ),
    (
        "mail: { url: \"smtp://mail.example:2525/\", from: a@b }",
        "",
    ),
    ("mail: { url: file:data/outbox, from: a@b }", ""),
    (
        "mail: {}",
        "3 mail: 'from' is missing
         3 mail: 'url' is missing",
    ),
    (
        "mail: { url: \"smtp://gw:hunter2@mail.example\", from: nobody, usrname: x }",
        "3 mail: unknown key: 'usrname'
         3 mail.from: not an e-mail address: 'nobody'
         3 mail.url: has a username or password: 'smtp://***@mail.example'",
    ),
    (
        "mail: { url: \"smtp://127.0.0.1:2525?tls=none\", from: a@b }",
        "?3 mail.url: mail goes to the server in the clear: 'smtp://127.0.0.1:2525?tls=none'",
    ),
    (
        "mail: { url: \"smtp://mail.example?tls=none\", from: a@b }",
        "3 mail.url: would send passwords and links that open accounts in the clear: 'smtp://mail.example?tls=none'",
    ),
    (
        "mail: { url: \"smtps://localhost?tls=none\", from: a@b }",
        "3 mail.url: would send passwords and links that open accounts in the clear: 'smtps://localhost?tls=none'",
    ),
    (
        "mail: { url: \"smtp://localhost?tls=optional\", from: a@b }",
        "3 mail.url: has an unknown option: 'smtp://localhost?tls=optional'",
    ),
    (
        "mail: { url: sendmail, from: \"a@b, c@d\" }",
        "3 mail.from: not an e-mail address: 'a@b, c@d'
         3 mail.url: not a way to send mail: 'sendmail'",
    ),
    (
        "mail: { url: \"file:\", from: a@b, username: gw }",
        "3 mail.username: a username needs a password: 'gw'
         3 mail.url: names no folder: 'file:'",
    ),
    (
        "mail: { url: file:x, from: a@b, username: gw, password: hunter2 }",
        "3 mail.password: not a reference to a secret",
    ),
    (
        "mail: { url: file:x, from: a@b, username: gw, password: env:PASSWORD }",
        "3 mail.url: a folder asks for no username and password: 'file:x'",
    ),
    (
        "hooks: { crm: { url: https://crm.example/x, secret: env:HOOK }, erp: { url: \"http://10.0.0.1\", secret: env:HOOK, private: allow } }",
        "",
    ),
    (
        "hooks: { crm: { url: http://crm.example/x, secret: env:PASSWORD, events: [user.registred] }, \"a b\": {} }",
        "3 hooks.crm.url: plain http would tell everybody on the way
         3 hooks.crm.secret: a hook's secret is whsec_ and 24 to 64 bytes in base64
         3 hooks.crm.events[0]: unknown event: 'user.registred'
         3 hooks.a b: names of hooks are 1 to 64 letters, digits, '_', '-' and '.'
         3 hooks.a b: 'url' is missing
         3 hooks.a b: 'secret' is missing",
    ),
    (
        "hooks:
  a: { url: https://127.1, secret: env:HOOK }
  b: { url: \"https://[::ffff:a9fe:a9fe]\", secret: env:HOOK, private: allow }
  c: { url: file:///etc/passwd, secret: env:HOOK, private: true }
  d: { url: \"https://u:hunter2@x\", secret: hunter2, events: [] }",
        "4 hooks.a.url: 127.0.0.1 is a private address
         5 hooks.b.url: ::ffff:169.254.169.254 is not an address to tell anything
         6 hooks.c.private: unknown value: 'true'
         6 hooks.c.url: not a URL
         7 hooks.d.url: has a username, password or fragment
         7 hooks.d.secret: not a reference to a secret
         7 hooks.d.events: asks for nothing",
    ),
];
