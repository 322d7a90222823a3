//! P-01 as a property over a real socket: what is accepted is forwarded as one canonical path, and no lenient
//! reading of it, or of what was sent, leads to a page its sender may not see.
//!
//! Every run draws other targets; `PORTCULLIS_TEST_SEED` repeats one, `PORTCULLIS_TEST_TARGETS` asks for more.

use crate::harness::dice::{self, Dice};
use crate::harness::{Gateway, Raw, Recorded, Response, Setup, eventually};
use crate::readings::{is_admin, meanings, readings};

const WORDS: &[&[u8]] = &[
    b"admin",
    b"public",
    b"app",
    b"a",
    b"x.y",
    b"Admin",
    b"adminX",
    b"%61dmin",
    b"adm%69n",
    b"%70ublic",
    b"admi%6E",
    b"%2561dmin",
    b"users",
    b"~b",
    b"c%20d",
    b"caf%c3%a9",
    b"e:f@g",
    b"(h)",
    b"%7Ei",
    b"",
    b"auth",
];

const DOTS: &[&[u8]] = &[
    b".",
    b"..",
    b"...",
    b"%2e",
    b"%2E%2e",
    b".%2e",
    b"%2e.",
    b"%252e%252e",
    b"..;",
    b"..%00",
    b"%c0%ae%c0%ae",
    b"..%20",
    b".%2E.",
    b"%25%32%65.",
];

const GAPS: &[&[u8]] = &[
    b"/",
    b"/",
    b"/",
    b"/",
    b"/",
    b"//",
    b"///",
    b"\\",
    b"%2f",
    b"%2F",
    b"%5c",
    b"%252f",
    b";/",
    b"/;x=y/",
    b"/./",
    b"%c0%af",
    b"\xc3\xa9",
    b"%ef%bc%8f",
    b"/%2e/",
];

const TAILS: &[&[u8]] = &[
    b"?x=/admin",
    b"?/../admin",
    b"#/admin",
    b"%23/admin",
    b"%3F/..",
    b"%00",
    b"\x01",
    b"\x7f",
    b"%0d%0a",
    b";a=b",
    b"%3bx",
    b"%",
    b"%zz",
    b"|",
    b"^",
    b"{}",
    b"\"",
    b"<",
    b">",
    b"`",
    b"%7c",
    b"/",
    b"/..",
    b"/.",
    b"!$&'()*+,=:@",
    b"%25",
    b"%2520",
    b"\xff",
    b"%ff",
    b"%EF%BC%8E",
    b"%09",
    b"\t",
    b" ",
];

const STARTS: &[&[u8]] = &[
    b"/",
    b"/",
    b"/",
    b"/",
    b"/",
    b"/",
    b"/",
    b"/",
    b"/",
    b"/public/",
    b"/public/",
    b"/app/",
    b"//",
    b"",
    b"\\",
    b"http://localhost/",
    b"http://localhost",
    b"HTTP://LOCALHOST/",
    b"//localhost/",
    b"/%2f",
    b"*",
    b"?",
    b"x:/",
];

fn target(dice: &mut Dice) -> Vec<u8> {
    let mut target = dice.pick(STARTS).to_vec();
    for _ in 0..=dice.roll(5) {
        let kind = dice.roll(10);
        let part = if kind < 3 { DOTS } else { WORDS };
        target.extend_from_slice(dice.pick(part));
        // Most gaps are honest, so that many targets are accepted.
        let gap = if dice.roll(4) > 0 {
            b"/"
        } else {
            dice.pick(GAPS)
        };
        target.extend_from_slice(gap);
    }
    if dice.roll(2) == 0 {
        target.extend_from_slice(dice.pick(WORDS));
    }
    if dice.roll(3) == 0 {
        target.extend_from_slice(dice.pick(TAILS));
    }
    if dice.roll(16) == 0 {
        let any = u8::try_from(dice.roll(256)).unwrap();
        let at = dice.roll(target.len() + 1);
        if !matches!(any, b'\r' | b'\n') {
            target.insert(at, any);
        }
    }
    target
}

/// A client that keeps its connection while it may.
struct Client<'a> {
    gateway: &'a Gateway,
    raw: Option<Raw>,
    cookies: [(&'static str, String); 3],
    asked: usize,
}

impl<'a> Client<'a> {
    fn new(gateway: &'a Gateway) -> Self {
        let cookies = ["", "alice", "root"].map(|user| (user, gateway.as_user(user)));
        Self {
            gateway,
            raw: None,
            cookies,
            asked: 0,
        }
    }

    fn ask(&mut self, target: &[u8], who: usize) -> (Response, Option<Recorded>) {
        self.asked += 1;
        let mark = format!("r{}r", self.asked);
        let mut request = b"GET ".to_vec();
        request.extend_from_slice(target);
        let rest = format!(
            " HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n{}\r\n",
            self.cookies[who].1
        );
        request.extend_from_slice(rest.as_bytes());
        let kept = self.raw.take().and_then(|mut raw| {
            let answer = raw.send(&request).try_read().ok()?;
            Some((raw, answer))
        });
        let (raw, answer) = kept.unwrap_or_else(|| {
            let mut raw = self.gateway.connect();
            let answer = raw.ask(&request);
            (raw, answer)
        });
        let closes = answer
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.raw = (!closes).then_some(raw);
        let last = self.gateway.recorder().last();
        let seen = last.filter(|last| last.values("x-marker") == [mark.as_str()]);
        (answer, seen)
    }
}

/// What the service was sent is canonical: one reading, and only bytes a path is made of.
fn assert_canonical(path: &str) {
    assert!(path.starts_with('/'), "{path:?}");
    assert!(!path.contains("//"), "{path:?}");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@/%".contains(&byte);
    assert!(path.bytes().all(plain), "{path:?}");
    assert!(
        !path
            .split('/')
            .any(|segment| segment == "." || segment == ".."),
        "{path:?}"
    );
    for (at, _) in path.match_indices('%') {
        let code = &path[at + 1..at + 3];
        let byte = u8::from_str_radix(code, 16).unwrap();
        assert_eq!(code, format!("{byte:02X}"), "{path:?}");
        let decodable = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let refused = byte < 0x20 || byte == 0x7f || b"/\\;".contains(&byte);
        assert!(!decodable && !refused, "{path:?}");
    }
}

fn check(client: &mut Client<'_>, target: &[u8], who: usize, seed: u64) -> bool {
    let user = client.cookies[who].0;
    let shown = format!(
        "{:?} as {user:?}, seed {seed}",
        target.escape_ascii().to_string()
    );
    let (answer, arrived) = client.ask(target, who);
    // 422 says that a part of a path of our own API is no number.
    let known = [200, 400, 401, 303, 403, 404, 405, 414, 421, 422];
    assert!(
        known.contains(&answer.status),
        "{} to {shown}",
        answer.status
    );
    let server = answer.header("server").unwrap_or_default();
    assert!(!server.contains("Pingora"), "the library answered {shown}");
    let Some(first) = arrived else {
        return false;
    };
    assert_eq!(answer.status, 200, "{shown}");
    assert_canonical(&first.path());
    let (_, again) = client.ask(first.target().as_bytes(), who);
    let again = again.unwrap_or_else(|| panic!("its own path is refused: {shown}"));
    assert_eq!(
        again.target(),
        first.target(),
        "not the same twice: {shown}"
    );
    if user != "root" {
        let forwarded = readings(first.path().as_bytes());
        let found = forwarded.iter().find(|path| is_admin(path));
        assert_eq!(found, None, "forwarded {:?} for {shown}", first.path());
        let meant = meanings(target);
        let found = meant.iter().find(|path| is_admin(path));
        assert_eq!(found, None, "forwarded {:?} for {shown}", first.path());
    }
    true
}

#[test]
fn p_01_random_targets_have_one_reading() {
    let seed = dice::seed();
    let rounds = dice::setting("PORTCULLIS_TEST_TARGETS").unwrap_or(10_000);
    let gateway = Setup::new().start();
    let mut client = Client::new(&gateway);
    // The twin: the recorder sees what is allowed.
    assert!(check(&mut client, b"/public/x", 0, seed));
    let mut dice = Dice::new(seed);
    let mut accepted = 0;
    for _ in 0..rounds {
        let target = target(&mut dice);
        let who = dice.roll(3);
        accepted += u64::from(check(&mut client, &target, who, seed));
    }
    assert!(
        accepted > rounds / 20,
        "only {accepted} of {rounds} were accepted: nothing was proved"
    );
    // Whatever was refused has not arrived later either: each acceptance was asked twice.
    let all = u64::try_from(gateway.recorder().count()).unwrap();
    eventually("the count of requests", || {
        (all == 2 * (accepted + 1)).then_some(())
    });
}
