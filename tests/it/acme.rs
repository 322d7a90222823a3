//! Certificates from an authority: Debian's pebble issues them.

use std::io::ErrorKind;
use std::time::Duration;

use crate::harness::authority::Authority;
use crate::harness::pebble::{Looks, Pebble, free_ports};
use crate::harness::process::Said;
use crate::harness::setup::Folder;
use crate::harness::tls::{self, Identity};
use crate::harness::{Gateway, Raw, Setup, eventually, within};

/// Longer than any test.
const LONG: u64 = 90 * 24 * 3600;

/// Where a gateway listens, chosen before the authority is told where to look.
#[derive(Clone, Copy)]
pub struct Doors {
    http: u16,
    https: u16,
}

impl Doors {
    pub fn new() -> Self {
        let [http, https] = free_ports();
        Self { http, https }
    }

    pub fn looks(self, life: u64) -> Looks {
        Looks {
            http: self.http,
            tls: self.https,
            life,
        }
    }
}

/// A gateway for the site `https://one.test` that gets its certificate at this directory.
pub fn setup(doors: Doors, directory: &str, own: &str, more: &str) -> Setup {
    let Doors { http, https } = doors;
    let acme = format!(
        "{{ email: ops@example.test, directory: \"{directory}\", ca: ca.pem, private: allow, pause: 1s{more} }}"
    );
    Setup::new()
        .nobody()
        .set("site", "https://one.test")
        .set(
            "listen",
            &format!("{{ http: \"127.0.0.1:{http}\", https: \"127.0.0.1:{https}\", admin: \"127.0.0.1:0\" }}"),
        )
        .set("tls", &format!("{{ acme: {acme} }}"))
        .asset("ca.pem", own)
}

fn with(pebble: &Pebble, doors: Doors, more: &str) -> Setup {
    setup(doors, &pebble.directory(), pebble.own(), more)
}

/// The certificate that is shown to somebody who asks for the name and trusts the authority; none while there is
/// none.
pub fn shown(gateway: &Gateway, root: &Identity) -> Option<Vec<u8>> {
    let wire = tls::try_connect(gateway.https(), root, "one.test", &["http/1.1"]);
    wire.ok().map(|wire| tls::shown(&wire))
}

pub fn issued(gateway: &Gateway, root: &Identity) -> Vec<u8> {
    let found = within(Duration::from_secs(40), || shown(gateway, root));
    found.unwrap_or_else(|| panic!("no certificate: {}", gateway.log()))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: one.test\r\n\r\n")
}

pub fn orders(gateway: &Gateway, result: &str) -> f64 {
    let metrics = gateway.metrics();
    metrics.sum("portcullis_acme_orders_total", &[("result", result)])
}

/// Whether an authority found its answer by a request.
fn was_asked_in_the_clear(gateway: &Gateway) -> bool {
    gateway.log().contains("reason=\"acme\"")
}

/// A handshake as an authority makes it.
fn looks_for_an_answer(gateway: &Gateway, root: &Identity) -> std::io::Result<()> {
    tls::try_connect(gateway.https(), root, "one.test", &["acme-tls/1"]).map(drop)
}

#[test]
fn a_certificate_by_a_handshake_and_none_before() {
    let doors = Doors::new();
    let pebble = Pebble::start(doors.looks(LONG));
    let (directory, own) = (pebble.directory(), pebble.own().to_owned());
    let root = pebble.root();
    // The authority is away: no handshake succeeds, and in the clear people are sent to where it would.
    drop(pebble);
    let gateway = setup(doors, &directory, &own, ", challenge: tls-alpn-01").start();
    eventually("an order to fail", || {
        (orders(&gateway, "failed") > 0.5).then_some(())
    });
    let refused = tls::try_connect(gateway.https(), &root, "one.test", &["http/1.1"]);
    assert_eq!(
        refused.err().map(|error| error.kind()),
        Some(ErrorKind::InvalidData)
    );
    let answer = gateway.ask(get("/public/x"));
    assert_eq!(answer.status, 308);
    assert_eq!(
        answer.header("location").as_deref(),
        Some("https://one.test/public/x")
    );
    gateway.says("no certificate was issued");
    drop(gateway);
    // With the authority there, one order is all it takes.
    let doors = Doors::new();
    let pebble = Pebble::start(doors.looks(LONG));
    let gateway = with(&pebble, doors, ", challenge: tls-alpn-01").start();
    let root = pebble.root();
    issued(&gateway, &root);
    let mut raw = Raw::over(tls::connect(
        gateway.https(),
        &root,
        "one.test",
        &["http/1.1"],
    ));
    assert_eq!(raw.ask(get("/public/x")).status, 200);
    let wire = tls::connect(gateway.https(), &root, "one.test", &["h2", "http/1.1"]);
    assert_eq!(tls::agreed(&wire).as_deref(), Some("h2"));
    // Nobody waits for an answer any more.
    assert!(looks_for_an_answer(&gateway, &root).is_err());
    let both = tls::try_connect(
        gateway.https(),
        &root,
        "one.test",
        &["acme-tls/1", "http/1.1"],
    );
    assert!(both.is_err(), "an answer is looked for alone or not at all");
    assert_eq!(pebble.orders(), 1, "{}", pebble.log());
    assert!((orders(&gateway, "issued") - 1.0).abs() < 0.1);
    assert!(!was_asked_in_the_clear(&gateway), "{}", gateway.log());
    sealed(&gateway);
    // A restart serves it from the first handshake on, and orders nothing.
    let gateway = gateway.restart();
    assert!(shown(&gateway, &root).is_some(), "{}", gateway.log());
    assert!(gateway.reload(), "{}", gateway.log());
    assert!(shown(&gateway, &root).is_some());
    assert_eq!(pebble.orders(), 1, "{}", pebble.log());
}

/// Neither keys nor the account can be read from what is stored.
fn sealed(gateway: &Gateway) {
    for select in [
        "SELECT hex(sealed) FROM acme_certificates",
        "SELECT hex(sealed) FROM sealed_keys WHERE substr(name, 1, 13) = 'acme/account/'",
    ] {
        if std::env::var("PORTCULLIS_TEST_STORE").as_deref() == Ok("postgres") {
            return;
        }
        let stored = gateway.stored(select);
        assert!(stored.len() > 200, "{stored}");
        for word in ["PRIVATE", "BEGIN", "key_pkcs8", "localhost"] {
            assert!(!stored.contains(&hex::encode_upper(word)), "{word}");
        }
    }
}

#[test]
fn a_certificate_by_a_request_in_the_clear() {
    let doors = Doors::new();
    let pebble = Pebble::start(doors.looks(LONG));
    let gateway = with(&pebble, doors, ", challenge: http-01").start();
    issued(&gateway, &pebble.root());
    assert_eq!(pebble.orders(), 1, "{}", pebble.log());
    eventually("the request in the clear to be logged", || {
        was_asked_in_the_clear(&gateway).then_some(())
    });
}

#[test]
fn f_07_an_authority_that_finds_nothing_on_one_port_is_shown_the_other() {
    let doors = Doors::new();
    let [closed] = free_ports();
    let looks = Looks {
        tls: closed,
        ..doors.looks(LONG)
    };
    let pebble = Pebble::start(looks);
    let gateway = with(&pebble, doors, "").start();
    issued(&gateway, &pebble.root());
    assert_eq!(pebble.orders(), 2, "{}", pebble.log());
    gateway.says(&format!(
        "Failed to connect to 127.0.0.1:{closed} for the tls-alpn-01 challenge"
    ));
    eventually("the request in the clear to be logged", || {
        was_asked_in_the_clear(&gateway).then_some(())
    });
    assert!((orders(&gateway, "failed") - 1.0).abs() < 0.1);
}

#[test]
fn g_07_a_certificate_is_renewed_while_requests_go_on() {
    let doors = Doors::new();
    let pebble = Pebble::start(doors.looks(9));
    let gateway = with(&pebble, doors, "").start();
    let root = pebble.root();
    let first = issued(&gateway, &root);
    let mut raw = Raw::over(tls::connect(
        gateway.https(),
        &root,
        "one.test",
        &["http/1.1"],
    ));
    assert_eq!(raw.ask(get("/public/x")).status, 200);
    let renewed = within(Duration::from_secs(40), || {
        assert_eq!(raw.ask(get("/public/x")).status, 200);
        shown(&gateway, &root).filter(|one| *one != first)
    });
    assert!(renewed.is_some(), "{}", gateway.log());
    assert!(pebble.orders() >= 2, "{}", pebble.log());
    assert!(orders(&gateway, "failed") < 0.5, "{}", gateway.log());
}

#[test]
fn f_07_an_authority_that_has_forgotten_us_is_told_again() {
    let doors = Doors::new();
    let looks = doors.looks(9);
    let pebble = Pebble::start(looks);
    let gateway = with(&pebble, doors, "").start();
    issued(&gateway, &pebble.root());
    let pebble = pebble.replaced(looks);
    let root = pebble.root();
    issued(&gateway, &root);
    gateway.says("no certificate was issued");
}

/// Two nodes on one database. The authority looks on the ports of the first.
struct Pair {
    pebble: Pebble,
    nodes: [Gateway; 2],
}

impl Pair {
    fn start(own_of_first: Option<&str>) -> Self {
        let (first, second) = (Doors::new(), Doors::new());
        let pebble = Pebble::start(first.looks(LONG));
        let on_postgres = |setup: Setup| {
            setup
                .set("store", "file:store.url")
                .set("key", "file:store.key")
        };
        let a = on_postgres(with(&pebble, first, ""));
        let b = on_postgres(with(&pebble, second, ""));
        let folder = a.folder();
        if let Some(own) = own_of_first {
            folder.write("ca.pem", own);
        }
        let url = std::fs::read_to_string(folder.path().join("store.url")).unwrap();
        let other = b.folder();
        other.write("store.url", &url);
        let launch = |folder: Folder, setup: &Setup| {
            Gateway::launch(folder, setup.recorder().clone(), None, &[]).unwrap()
        };
        Self {
            pebble,
            nodes: [launch(folder, &a), launch(other, &b)],
        }
    }
}

#[test]
fn of_two_nodes_one_orders_and_both_serve() {
    let pair = Pair::start(None);
    let root = pair.pebble.root();
    let [first, second] = pair.nodes.each_ref().map(|node| issued(node, &root));
    assert_eq!(first, second);
    assert_eq!(pair.pebble.orders(), 1, "{}", pair.pebble.log());
}

#[test]
fn an_authority_finds_the_answer_on_another_node_than_the_one_that_ordered() {
    // The first node cannot ask the authority, which looks there all the same.
    let stranger = Identity::new(&["localhost"]);
    let pair = Pair::start(Some(&stranger.certificate));
    let root = pair.pebble.root();
    let [first, second] = pair.nodes.each_ref().map(|node| issued(node, &root));
    assert_eq!(first, second);
    assert!(orders(&pair.nodes[0], "issued") < 0.5);
    assert!((orders(&pair.nodes[1], "issued") - 1.0).abs() < 0.1);
}

/// What is asked in the clear below the path of challenges, while a token is waited for.
#[test]
fn f_07_the_path_of_challenges_is_no_way_around_the_rules() {
    const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    let doors = Doors::new();
    let stub = Authority::start(|_| (403, "Retry-After: 3600\r\n", "{}"));
    let gateway = setup(doors, &stub.directory(), stub.own(), "")
        .on_sqlite()
        .set("site", "[\"https://one.test\", \"http://localhost\"]")
        .rules("  - { path: /public/**, allow: anyone }\n  - { path: /.well-known/**, allow: signed_in }")
        .start();
    let path = format!("/.well-known/acme-challenge/{TOKEN}");
    let ask = |host: &str, method: &str, path: &str| {
        gateway.ask(format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    assert_eq!(
        ask("one.test", "GET", &path).status,
        308,
        "nobody waits for it yet"
    );
    assert_eq!(
        ask("localhost", "GET", &path).status,
        401,
        "judged by its rule"
    );
    let store = rusqlite::Connection::open(gateway.path().join("data/portcullis.db")).unwrap();
    let put = "INSERT INTO acme_answers (kind, key, answer, expires_at) VALUES ('http-01', ?1, 'the answer', ?2)";
    store.execute(put, (TOKEN, i64::MAX / 2)).unwrap();
    let answer = eventually("the answer", || {
        Some(ask("one.test", "GET", &path)).filter(|answer| answer.status == 200)
    });
    assert_eq!(answer.text(), "the answer");
    assert_eq!(ask("localhost", "GET", &path).text(), "the answer");
    let cases = [
        ("GET", format!("{path}/"), 401),
        ("GET", format!("{path}/admin"), 401),
        ("GET", format!("{path}?x"), 401),
        ("GET", format!("/{path}"), 401),
        (
            "GET",
            format!("/.well-known/x/../acme-challenge/{TOKEN}"),
            401,
        ),
        (
            "GET",
            format!("/.well-known/acme-challenge/{}", TOKEN.to_lowercase()),
            401,
        ),
        (
            "GET",
            format!("/.well-known/acme-challenge/%65{}", &TOKEN[1..]),
            401,
        ),
        ("GET", "/.well-known/acme-challenge/".into(), 401),
        ("GET", "/.well-known/acme-challenge".into(), 401),
        ("GET", format!("{path}%00"), 400),
        ("POST", path.clone(), 401),
        ("DELETE", path.clone(), 401),
    ];
    for (method, path, status) in cases {
        let answer = ask("localhost", method, &path);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(!answer.text().contains("the answer"), "{method} {path}");
    }
    assert_eq!(ask("one.test", "POST", &path).status, 403);
    assert_eq!(ask("one.test", "GET", &format!("{path}/x")).status, 308);
    assert!(
        gateway.recorder().requests().is_empty(),
        "something was forwarded"
    );
    assert_eq!(ask("localhost", "GET", "/public/x").status, 200);
    assert_eq!(gateway.recorder().requests().len(), 1);
}

#[test]
fn what_is_wrong_with_an_authority_is_said_before_it_is_asked() {
    let check = |more: &str| -> Said {
        let setup = setup(Doors::new(), "https://localhost:1/dir", "junk", more);
        setup.folder().cli(&["check"], "")
    };
    let said = check("");
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(said.all().contains("tls.acme.ca"), "{}", said.all());
}
