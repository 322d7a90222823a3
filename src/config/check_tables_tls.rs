//! What the https listener shows: what is said of each line that is not right.

/// Sessions that sites share.
pub(super) const SHARED: &[(&str, &str)] = &[
    (
        "site: [http://a.x.localhost, http://x.localhost]\ncookie_domain: x.localhost",
        "?4 cookie_domain: every host below it is sent the session, and can set one: 'x.localhost'",
    ),
    (
        "site: http://a.x.localhost\ncookie_domain: x.localhost",
        "?4 cookie_domain: there is one site, which needs none: 'x.localhost'",
    ),
    (
        "site: [http://a.x.localhost, http://ax.localhost, http://127.0.0.1]\ncookie_domain: x.localhost",
        "4 cookie_domain: the site http://ax.localhost is not below it: 'x.localhost'
             4 cookie_domain: the site http://127.0.0.1 is not below it: 'x.localhost'
             ?4 cookie_domain: every host below it is sent the session, and can set one: 'x.localhost'",
    ),
    (
        "site: [http://a.localhost, https://b.x.test]\nlisten: { http: \":80\", https: \":443\" }\ntls: { acme: ops@example.com }\ncookie_domain: x.test",
        "6 cookie_domain: the site http://a.localhost is not below it: 'x.test'
             6 cookie_domain: some sites are https and others are not: 'x.test'
             ?6 cookie_domain: every host below it is sent the session, and can set one: 'x.test'",
    ),
    (
        "cookie_domain: localhost",
        "3 cookie_domain: no browser takes a cookie for all of it: 'localhost'",
    ),
    (
        "cookie_domain: com",
        "3 cookie_domain: no browser takes a cookie for all of it: 'com'",
    ),
    (
        "cookie_domain: 192.0.2.1",
        "3 cookie_domain: no browser takes a cookie for all of it: '192.0.2.1'",
    ),
    (
        "cookie_domain: x.test.",
        "3 cookie_domain: no browser takes a cookie for all of it: 'x.test.'",
    ),
    ("cookie_domain: .x.test", "3 cookie_domain: not a domain: '.x.test'"),
    (
        "cookie_domain: \"x.test; Path=/a\"",
        "3 cookie_domain: not a domain: 'x.test; Path=/a'",
    ),
];

/// Certificates in files, an authority's, and what browsers are told.
pub(super) const TLS: &[(&str, &str)] = &[
    (
        "tls: { certificate: c, key: k }",
        "3 tls.certificate: cannot read /nonexistent/c: no such file or directory
             3 tls.key: cannot read /nonexistent/k: no such file or directory
             ?3 tls: no https listener uses this certificate",
    ),
    (
        "tls: { acme: a@b, certificate: c, key: k }",
        "3 tls: is either in files or got from an authority
             ?3 tls: no https listener uses this certificate",
    ),
    (
        "tls: { acme: ops@example.com }",
        "3 tls.acme: there is no site to get a certificate for
             ?3 tls: no https listener uses this certificate",
    ),
    (
        "site: https://app.test\nlisten: { https: \":443\" }\ntls: { acme: ops@example.com }",
        "",
    ),
    (
        "site: https://app.test\nlisten: { https: \":443\" }\ntls: { acme: nobody }",
        "5 tls.acme: not an e-mail address: 'nobody'",
    ),
    (
        "site: [https://localhost, https://192.0.2.1]\nlisten: { https: \":443\" }\ntls: { acme: a@b.test }",
        "5 tls.acme: no authority can look at localhost
             5 tls.acme: no authority can look at 192.0.2.1",
    ),
    (
        "site: https://app.test\nlisten: { https: \":443\" }\ntls: [{ acme: a@b.test }, { acme: a@b.test }, {}]",
        "5 tls[2]: 'certificate' is missing
             5 tls[2]: 'key' is missing
             5 tls[1].acme: there is one authority at most: 'a@b.test'",
    ),
    (
        "site: https://app.test\nlisten: { https: \":443\" }\ntls: { acme: { challenge: http-01, names: [\"*.app.test\"] } }",
        "5 tls.acme: 'email' is missing
             5 tls.acme.names[0]: not a host name: '*.app.test'
             5 tls.acme.challenge: the authority would find no listener",
    ),
    (
        "site: https://app.test\nlisten: { https: \":443\" }\ntls: { acme: { email: a@b.test, directory: http://ca.test, ca: nowhere, pause: 1s } }",
        "5 tls.acme.directory: not the URL of a directory: 'http://ca.test'
             5 tls.acme.ca: cannot read /nonexistent/nowhere: no such file or directory
             ?5 tls.acme.pause: public authorities stop answering who asks this often: '1s'",
    ),
    (
        "site: https://app.test\nlisten: { https: \":443\" }\ntls: { acme: { email: a@b.test, directory: \"https://127.0.0.1:1/\" } }",
        "5 tls.acme.directory: 127.0.0.1 is not a public address: 'https://127.0.0.1:1/'",
    ),
    ("hsts: 365d", "?3 hsts: no site is https"),
    (
        "site: https://app.test\nlisten: { https: \":443\" }\ntls: { acme: a@b.test }\nhsts: { max_age: 30d, preload: true }",
        "6 hsts: browsers' lists take no such promise",
    ),
    (
        "tls: []",
        "3 tls: names no certificate\n             ?3 tls: no https listener uses this certificate",
    ),
];
