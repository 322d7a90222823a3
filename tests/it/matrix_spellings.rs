//! Ways to write `/admin/users` that some service, somewhere, has been seen to serve.

use crate::harness::dice::Dice;

/// Targets that ordinary clients would never send, one by one.
const TARGETS: [&str; 74] = [
    "admin/users",
    "./admin/users",
    "../admin/users",
    "x:/admin/users",
    "x://admin/users",
    "http:/admin/users",
    "http:admin/users",
    "http:///admin/users",
    "http://localhost/admin/users",
    "HTTP://LOCALHOST/admin/users",
    "http://localhost:80/admin/users",
    "http://evil.test/admin/users",
    "https://localhost/admin/users",
    "ftp://localhost/admin/users",
    "http://localhost/public/../admin/users",
    "localhost:80",
    "*",
    "**",
    "?/admin/users",
    "#/admin/users",
    "/?/../admin/users",
    "/public?/../admin/users",
    "/public/x?/../../admin/users",
    "/public/x#/../../admin/users",
    "/public/x%3f/../../admin/users",
    "/public/x%23/../../admin/users",
    "//admin/users",
    "///admin/users",
    "/.//admin/users",
    "//localhost/admin/users",
    "///localhost/admin/users",
    "/\\admin/users",
    "\\admin\\users",
    "/admin\\users",
    "/public\\..\\admin\\users",
    "/%5cadmin/users",
    "/public/..%5cadmin%5cusers",
    "/admin//users",
    "/admin/./users",
    "/admin/x/../users",
    "/admin/%2e/users",
    "/admin/x/%2e%2e/users",
    "/admin;a=b/users",
    "/admin/users;a=b",
    "/admin/users;",
    "/;/admin/users",
    "/x;/../admin/users",
    "/public;/../admin/users",
    "/public/..;/admin/users",
    "/%3b/admin/users",
    "/admin%3ba=b/users",
    "/admin/users%00",
    "/admin/users%00.png",
    "/%00/../admin/users",
    "/admin/users%20",
    "/admin/users%09",
    "/admin/users%0a",
    "/admin/users%0d%0a",
    "/admin/users/",
    "/admin/users//",
    "/admin/users/.",
    "/admin/users/..",
    "/admin/users/x/..",
    "/admin/users.",
    "/admin/users.json",
    "/ADMIN/users",
    "/Admin/Users",
    "/%41DMIN/users",
    "/adm\u{131}n/users",
    "/\u{ff41}dmin/users",
    "/admin\u{2215}users",
    "/admin\u{ff0f}users",
    "/ad%c2%admin/users",
    "/admin/users\u{200b}",
];

/// How single letters and separators may be written.
const SLASHES: [&str; 14] = [
    "/",
    "//",
    "/./",
    "%2f",
    "%2F",
    "\\",
    "%5c",
    "%252f",
    "%c0%af",
    "%e0%80%af",
    "/x/../",
    "/%2e/",
    ";/",
    "/;/",
];
const DOTS: [&str; 11] = [
    "..",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "..;",
    "..%00",
    "...",
    "%u002e%u002e",
    "\u{ff0e}\u{ff0e}",
];
const NAMES: [&str; 9] = [
    "admin",
    "%61dmin",
    "adm%69n",
    "%61%64%6d%69%6e",
    "%2561dmin",
    "a%2564min",
    "%u0061dmin",
    "ADMIN",
    "%c1%a1dmin",
];
const PREFIXES: [&str; 6] = [
    "/public/",
    "/public/x/",
    "/",
    "/x/",
    "/public/%2e/",
    "/a/b/",
];

/// The whole table.
pub fn targets() -> Vec<Vec<u8>> {
    let mut all: Vec<String> = TARGETS.iter().map(ToString::to_string).collect();
    for name in NAMES {
        for slash in SLASHES {
            all.push(format!("/{name}{slash}users"));
            all.push(format!("{slash}{name}/users"));
        }
    }
    for prefix in PREFIXES {
        for dots in DOTS {
            for slash in SLASHES {
                all.push(format!("{prefix}{dots}{slash}admin/users"));
                if prefix != "/" {
                    all.push(format!("{prefix}{dots}{slash}{dots}{slash}admin/users"));
                }
            }
        }
    }
    let mut all: Vec<Vec<u8>> = all.into_iter().map(String::into_bytes).collect();
    for byte in (0..=0x20_u8).chain([0x7f, 0x80, 0xff]) {
        for (before, after) in [
            ("/admin/users", ""),
            ("/admin", "/users"),
            ("/", "admin/users"),
            ("", "/admin/users"),
        ] {
            all.push([before.as_bytes(), &[byte], after.as_bytes()].concat());
        }
    }
    all
}

/// Whole messages; `WHO` is where the cookie goes. A page that is asked for inside another request, by a
/// header, or by a method of another name.
pub fn messages() -> Vec<Vec<u8>> {
    let close = "Connection: close\r\n";
    let inner = "GET /admin/users HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = inner.len();
    let mut all = vec![
        "GET /admin/users HTTP/1.0\r\nWHO\r\n\r\n".to_owned(),
        "GET /admin/users\r\nWHO\r\n\r\n".to_owned(),
        "GET /admin/users HTTP/0.9\r\nWHO\r\n\r\n".to_owned(),
        format!(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nWHO\r\nContent-Length: {length}\r\n\r\n{inner}"
        ),
        format!(
            "GET /public/x HTTP/1.1\r\nHost: localhost\r\nWHO\r\nContent-Length: {length}\r\n\r\n{inner}"
        ),
        format!(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nWHO\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}",
            length + 5
        ),
        format!(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nWHO\r\nTransfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{inner}"
        ),
        format!(
            "POST /public/x HTTP/1.1\r\nHost: localhost\r\nWHO\r\nContent-Length: 0\r\nContent-Length: {length}\r\n\r\n{inner}"
        ),
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\nWHO\r\nA: b\r\n\n{inner}"),
        format!("GET /public/x HTTP/1.1\r\nHost: localhost\r\nWHO\r\n\r\n{inner}"),
        format!("HEAD /admin/users HTTP/1.1\r\nHost: localhost\r\nWHO\r\n{close}\r\n"),
        format!("GET /admin/users HTTP/1.1\r\nHost: localhost/public/x\r\nWHO\r\n{close}\r\n"),
        format!("GET /admin/users HTTP/1.1\r\nHost: evil.test\r\nWHO\r\n{close}\r\n"),
        format!(
            "GET /admin/users HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\nWHO\r\n{close}\r\n"
        ),
    ];
    for header in [
        "X-Original-URL: /admin/users",
        "X-Rewrite-URL: /admin/users",
        "X-Forwarded-Uri: /admin/users",
        "X-Forwarded-Prefix: /admin/users",
        "X-Script-Name: /admin",
        "SCRIPT_NAME: /admin",
        "X-Envoy-Original-Path: /admin/users",
        "Path-Info: /admin/users",
        "X-HTTP-Method-Override: GET",
    ] {
        for target in ["/public/x", "/", "/users"] {
            all.push(format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nWHO\r\n{header}\r\n{close}\r\n"
            ));
        }
    }
    for method in [
        "get", "Get", "POST", "PUT", "OPTIONS", "TRACE", "FOO", "GET\t", "PRI", "X-GET",
    ] {
        all.push(format!(
            "{method} /admin/users HTTP/1.1\r\nHost: localhost\r\nWHO\r\nX-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n{close}\r\n"
        ));
    }
    all.into_iter().map(String::into_bytes).collect()
}

/// A spelling of the table, changed in a few places.
pub fn mutated(dice: &mut Dice) -> Vec<u8> {
    const PIECES: [&[u8]; 30] = [
        b"/",
        b"//",
        b".",
        b"..",
        b"/../",
        b"/./",
        b"\\",
        b"%2f",
        b"%5c",
        b"%2e",
        b"%2e%2e/",
        b";",
        b";x=y",
        b"%3b",
        b"%",
        b"%25",
        b"%00",
        b"\0",
        b"?",
        b"#",
        b"\t",
        b"\xc0\xaf",
        b"\xff",
        b"%61",
        b"public",
        b"admin",
        b"users",
        b"x",
        b":",
        b"@",
    ];
    let tables = [
        &b"/admin/users"[..],
        b"/public/../admin/users",
        b"/x/%2e%2e/admin/users",
        b"//admin/users",
        b"admin/users",
        b"/admin/./users",
        b"/public/x/../../admin/users",
    ];
    let mut target = dice.pick(&tables).to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(target.len() + 1);
        match dice.roll(6) {
            0 | 1 => {
                let piece = dice.pick(&PIECES);
                target.splice(at..at, piece.iter().copied());
            }
            2 if at < target.len() => {
                target.remove(at);
            }
            3 if at < target.len() => percent(&mut target, at, dice.roll(2) == 0, 1),
            4 if at < target.len() => percent(&mut target, at, dice.roll(2) == 0, 2),
            _ if at < target.len() => target[at] ^= 0x20,
            _ => {}
        }
    }
    // The request line's own separators would only make another request of it.
    target.retain(|byte| !matches!(byte, b' ' | b'\r' | b'\n'));
    target
}

/// Writes one byte as `%xx`, or as `%25xx`.
fn percent(target: &mut Vec<u8>, at: usize, upper: bool, times: usize) {
    let byte = target[at];
    let hex = if upper {
        format!("{byte:02X}")
    } else {
        format!("{byte:02x}")
    };
    let escape = if times == 1 {
        format!("%{hex}")
    } else {
        format!("%25{hex}")
    };
    target.splice(at..=at, escape.bytes());
}
