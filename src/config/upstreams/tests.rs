//! What is said of upstreams that are wrong, and what is read from those that are not.

use std::path::Path;
use std::time::Duration;

use crate::config::Config;
use crate::proxy::settings::{Balance, Eject, Place, Retry, Scheme};

/// The file beside an upstream `web` of this text.
fn read(web: &str) -> Result<Config, String> {
    let text = format!(
        "upstreams: {{ web: {{ {web} }} }}\nrules: [{{ path: /app/**, to: web, allow: signed_in }}]\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, text) in [
        ("cert.pem", signed.cert.pem()),
        ("key.pem", signed.signing_key.serialize_pem()),
        ("other.pem", other.signing_key.serialize_pem()),
        ("page.html", "<h1>Back soon</h1>".to_owned()),
        (
            "junk.pem",
            "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n".to_owned(),
        ),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let env = |name: &str| (name == "KEY").then(|| "s3cret".to_owned());
    Config::from_text(&text, folder.path(), &env).map_err(|report| {
        let faults = report
            .faults
            .iter()
            .map(|fault| format!("{}: {fault}", fault.path));
        let all = faults.collect::<Vec<_>>().join(" | ");
        all.replace("upstreams.web", "web")
            .replace(&*folder.path().to_string_lossy(), "")
    })
}

const WRONG: &[(&str, &str)] = &[
    (
        "to: unix:app.sock",
        "web.to: not the absolute path of a socket: 'unix:app.sock'",
    ),
    (
        "to: ['http://LOCALHOST:8080', 'http://[::1]:8080', 'http://127.0.0.1:8081']",
        "web.to[0]: is where this gateway listens: requests would go round for ever: 'http://LOCALHOST:8080' | web.to[1]: is where this gateway listens: requests would go round for ever: 'http://[::1]:8080'",
    ),
    ("to: ftp://web", "web.to: not an upstream: 'ftp://web'"),
    (
        "to: http://web, balance: random",
        "web.balance: unknown way to balance: 'random'",
    ),
    (
        "to: http://web, host: mine",
        "web.host: unknown host: 'mine'",
    ),
    (
        "to: http://web, timeout: 5",
        "web.timeout: not a duration: '5'",
    ),
    (
        "to: http://web, timeout: { conect: 1s }",
        "web.timeout: unknown key: 'conect'",
    ),
    (
        "to: http://web, timeout: { total: 0s }",
        "web.timeout.total: must be from 1ms to 1day: '0s'",
    ),
    (
        "to: http://web, resolve: 1ms",
        "web.resolve: must be from 100ms to 1day: '1ms'",
    ),
    (
        "to: http://web, health: healthz",
        "web.health: not a path to ask for: 'healthz'",
    ),
    (
        "to: http://web, health: '/a b'",
        "web.health: not a path to ask for: '/a b'",
    ),
    (
        "to: http://web, health: {}",
        "web.health: 'path' is missing",
    ),
    (
        "to: http://web, health: { path: /x, interval: 1ms }",
        "web.health.interval: must be from 50ms to 1h: '1ms'",
    ),
    (
        "to: http://web, health: { path: /x, host: 'a b' }",
        "web.health.host: not a host: 'a b'",
    ),
    (
        "to: http://web, health: { path: /x, down_after: 0 }",
        "web.health.down_after: must be from 1 to 100: '0'",
    ),
    (
        "to: http://web, eject: always",
        "web.eject: unknown value: 'always'",
    ),
    (
        "to: http://web, eject: { after: 0 }",
        "web.eject.after: must be from 1 to 1000: '0'",
    ),
    (
        "to: http://web, retry: 11",
        "web.retry: must be from 0 to 10: '11'",
    ),
    (
        "to: http://web, retry: { budget: 20% }",
        "web.retry: 'times' is missing",
    ),
    (
        "to: http://web, retry: { times: 1, budget: 0% }",
        "web.retry.budget: not a share of all requests: '0%'",
    ),
    (
        "to: http://web, retry: { times: 1, budget: 0.2 }",
        "web.retry.budget: expected text, found a number: '0.2'",
    ),
    (
        "to: http://web, strip: app",
        "web.strip: not a path as paths are judged: 'app'",
    ),
    (
        "to: http://web, strip: /",
        "web.strip: '/' alone changes nothing: '/'",
    ),
    (
        "to: http://web, add: /a/../b",
        "web.add: not a path as paths are judged: '/a/../b'",
    ),
    (
        "to: http://web, strip: /other",
        "rules[0]: leads to an upstream that strips /other, and its path does not begin with that",
    ),
    (
        "to: http://web, maintenance: none.html",
        "web.maintenance: cannot read /none.html: no such file or directory",
    ),
    (
        "to: http://web, tls: { ca: cert.pem }",
        "web.tls: no server of this upstream speaks TLS",
    ),
    (
        "to: https://web, tls: { ca: page.html }",
        "web.tls.ca: holds no PEM certificate: 'page.html'",
    ),
    (
        "to: https://web, tls: { ca: junk.pem }",
        "web.tls.ca: holds a certificate that cannot be read: 'junk.pem'",
    ),
    (
        "to: https://web, tls: { certificate: cert.pem }",
        "web.tls: a client certificate and its key go together",
    ),
    (
        "to: https://web, tls: { certificate: cert.pem, key: other.pem }",
        "web.tls: certificate and key do not go together",
    ),
    (
        "to: https://web, tls: { server_name: a b }",
        "web.tls.server_name: is not a host name or address, with or without a port: 'a b'",
    ),
    (
        "to: https://my_web.corp.test",
        "web.to: no certificate is verified for a name with a '_' in its first part: 'https://my_web.corp.test'",
    ),
    (
        "to: https://web, tls: { server_name: my_web.corp.test }",
        "web.tls.server_name: no certificate is verified for a name with a '_' in its first part: 'my_web.corp.test'",
    ),
    (
        "to: https://web, tls: { insecure: true }",
        "web.tls: unknown key: 'insecure'",
    ),
    (
        "to: http://web, headers: { request: { X-Auth-User: root } }",
        "web.headers.request.X-Auth-User: x-auth-user is the gateway's to set",
    ),
    (
        "to: http://web, headers: { request: { x_team: a } }",
        "web.headers.request.x_team: x_team is the gateway's to set",
    ),
    (
        "to: http://web, headers: { request: { X-Forwarded-For: a } }",
        "web.headers.request.X-Forwarded-For: x-forwarded-for is the gateway's to set",
    ),
    (
        "to: http://web, headers: { request: { Host: a } }",
        "web.headers.request.Host: host cannot be set here",
    ),
    (
        "to: http://web, headers: { request: { Cookie: a=b } }",
        "web.headers.request.Cookie: cookie cannot be set here",
    ),
    (
        "to: http://web, headers: { response: { Set-Cookie: a=b } }",
        "web.headers.response.Set-Cookie: set-cookie cannot be set here",
    ),
    (
        "to: http://web, headers: { response: { X-Auth-User: false } }",
        "web.headers.response.X-Auth-User: x-auth-user is the gateway's to set",
    ),
    (
        "to: http://web, headers: { response: { Alt-Svc: false } }",
        "web.headers.response.Alt-Svc: alt-svc is the gateway's to set",
    ),
    (
        "to: http://web, headers: { response: { Content-Length: false } }",
        "web.headers.response.Content-Length: content-length holds for one connection only",
    ),
    (
        "to: http://web, headers: { response: { Content-Encoding: false } }",
        "web.headers.response.Content-Encoding: content-encoding cannot be set here",
    ),
    (
        "to: http://web, headers: { response: { X-Envoy-A: b } }",
        "web.headers.response.X-Envoy-A: x-envoy-a is the gateway's to set",
    ),
    (
        "to: http://web, headers: { request: { Connection: close } }",
        "web.headers.request.Connection: connection holds for one connection only",
    ),
    (
        "to: http://web, headers: { response: { Proxy-Authenticate: x } }",
        "web.headers.response.Proxy-Authenticate: proxy-authenticate holds for one connection only",
    ),
    (
        "to: http://web, headers: { request: { Content-Length: '5' } }",
        "web.headers.request.Content-Length: content-length holds for one connection only",
    ),
    (
        "to: http://web, headers: { request: { X-A: a, X--A: b } }",
        "web.headers.request.X--A: x--a and X-A are one header to a service",
    ),
    (
        "to: http://web, headers: { request: { X-Key: 8675309123 } }",
        "web.headers.request.X-Key: is not text",
    ),
    (
        "to: http://web, headers: { request: { X-Key: ' s3cret' } }",
        "web.headers.request.X-Key: begins or ends with a blank",
    ),
    (
        "to: http://web, headers: { request: { X-A: '' } }",
        "web.headers.request.X-A: not the value of a header",
    ),
    (
        "to: http://web, headers: { request: { X-A: \"a\\nb\" } }",
        "web.headers.request.X-A: not the value of a header",
    ),
    (
        "to: http://web, headers: { request: { X-A: env:NOWHERE } }",
        "web.headers.request.X-A: the environment variable NOWHERE is not set, or empty: 'env:NOWHERE'",
    ),
];

/// What tells of the inside is what such a line is for.
#[test]
fn whatever_a_service_says_of_its_own_may_be_kept_back() {
    for name in [
        "Server",
        "X-Envoy-Upstream-Service-Time",
        "Proxy-Status",
        "X_Debug",
        "Set-Cookie",
        "X-Forwarded-Host",
    ] {
        let web = format!("to: http://web, headers: {{ response: {{ {name}: false }} }}");
        let upstream = &read(&web).unwrap().upstreams["web"];
        assert_eq!(upstream.headers.response.len(), 1, "{name}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_value() {
    for (web, expected) in WRONG {
        let said = read(web).map(|_| ()).unwrap_err();
        assert_eq!(said, *expected, "{web}");
    }
}

#[test]
fn short_forms_say_what_long_ones_do() {
    let upstream = |web: &str| read(web).unwrap().upstreams.remove("web").unwrap();
    let plain = upstream("to: http://web");
    assert_eq!(
        (plain.balance, plain.eject, plain.retry),
        (Balance::RoundRobin, Some(Eject::DEFAULT), None)
    );
    assert!(plain.health.is_none() && plain.rewrite.is_none() && !plain.trust.accept_any);
    let timeouts = upstream("to: http://web, timeout: 10s").timeouts;
    let ten = Duration::from_secs(10);
    assert_eq!(
        (
            timeouts.connect,
            timeouts.read,
            timeouts.write,
            timeouts.total
        ),
        (ten, ten, ten, None)
    );
    let health = upstream("to: http://web, health: /healthz").health.unwrap();
    assert_eq!(
        (&*health.path, health.down_after, health.up_after),
        ("/healthz", 3, 2)
    );
    let retry = |text: &str| upstream(&format!("to: http://web, retry: {text}")).retry;
    assert_eq!(
        retry("1"),
        Some(Retry {
            times: 1,
            percent: 20
        })
    );
    assert_eq!(
        retry("{ times: 3, budget: 5% }"),
        Some(Retry {
            times: 3,
            percent: 5
        })
    );
    let never = upstream("to: http://web, retry: 0, eject: never, keep_alive: never");
    assert!(never.retry.is_none() && never.eject.is_none() && never.keep_alive.is_zero());
    let headers =
        upstream("to: http://web, headers: { request: { Authorization: env:KEY, X-A: false } }")
            .headers;
    assert!(
        headers
            .request
            .iter()
            .any(|(name, value)| name == "x-a" && value.is_none())
    );
    let secret = headers
        .request
        .iter()
        .find(|(name, _)| name == "authorization")
        .unwrap();
    assert_eq!(secret.1.as_ref().unwrap(), "s3cret");
    assert!(!format!("{headers:?}").contains("s3cret"));
}

#[test]
fn servers_have_a_host_or_a_path() {
    let servers = |to: &str| match read(&format!("to: {to}"))
        .unwrap()
        .upstreams
        .remove("web")
        .unwrap()
        .to
    {
        crate::proxy::settings::Destination::Servers(servers) => servers,
        crate::proxy::settings::Destination::Echo => Vec::new(),
    };
    let all = servers(
        "['http://a', 'https://b:8443/', 'h2c://[::1]:9000', 'unix:/run/a.sock', 'h2c+unix:/run/b.sock']",
    );
    let told: Vec<_> = all
        .iter()
        .map(|server| (server.authority(), server.scheme))
        .collect();
    assert_eq!(
        told,
        [
            ("a".to_owned(), Scheme::Http),
            ("b:8443".to_owned(), Scheme::Https),
            ("[::1]:9000".to_owned(), Scheme::H2c),
            ("localhost".to_owned(), Scheme::Http),
            ("localhost".to_owned(), Scheme::H2c),
        ]
    );
    assert_eq!(all[2].host(), Some("::1"));
    assert_eq!(all[3].place, Place::Socket(Path::new("/run/a.sock").into()));
}

#[test]
fn what_weakens_something_is_warned_of() {
    let warned = |web: &str| -> Vec<String> {
        let config = read(web).unwrap();
        config
            .warnings
            .iter()
            .map(|warning| warning.path.clone())
            .collect()
    };
    assert_eq!(
        warned("to: https://web, tls: { insecure_accept_any_certificate: true }"),
        ["upstreams.web.tls.insecure_accept_any_certificate"]
    );
    // It stands in where no server takes a connection, too.
    let page = "to: http://web, maintenance: page.html";
    assert_eq!(warned(page), [""; 0]);
    assert_eq!(warned(&format!("{page}, health: /x")), [""; 0]);
}
