//! Redirects of services that were told their own host: the client does not know it, and is led to where it asked.

use std::fmt::Write;

use http::header::{self, HeaderMap, HeaderValue};

use crate::policy::rewrite::Rewrite;

use super::settings::{Scheme, Server};

/// Makes of a redirect to the server's own host, which the client does not know, one to where it asked. One to what was
/// `asked`, by https where the server is asked in the clear, is no way home but away from it: led back, it would come again
/// and again.
pub fn lead_home(
    headers: &mut HeaderMap,
    own: &Server,
    rewrite: &Rewrite,
    asked: impl FnOnce() -> Option<String>,
) {
    let led = headers
        .get(header::LOCATION)
        .and_then(|location| home(&ascii(location.as_bytes()), own.named(), rewrite))
        .filter(|(secure, path)| {
            own.scheme == Scheme::Https || !secure || asked().as_ref() != Some(path)
        })
        .and_then(|(_, location)| HeaderValue::try_from(location).ok());
    if let Some(location) = led {
        headers.insert(header::LOCATION, location);
    }
}

/// Everything else percent-encoded, as browsers do it where a path is in UTF-8 as it is.
fn ascii(location: &[u8]) -> String {
    let mut text = String::with_capacity(location.len());
    for &byte in location {
        if byte.is_ascii() {
            text.push(byte.into());
        } else {
            // A string takes everything.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Whether a URL of the server's own is https, and the path on our side for it; none for every other URL.
fn home(location: &str, own: (&str, u16), rewrite: &Rewrite) -> Option<(bool, String)> {
    // Browsers take tabs out before they look for slashes.
    if location.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    // Without a scheme, it is that of whatever leads there.
    let bare = location.strip_prefix("//").map(|rest| ("http", rest));
    let (scheme, rest) = bare.or_else(|| location.split_once("://"))?;
    let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // By whichever scheme: a service that believes `X-Forwarded-Proto` says https.
    let known = [("http", 80), ("https", 443)];
    let (_, usual) = known
        .iter()
        .find(|(known, _)| scheme.eq_ignore_ascii_case(known))?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            (host, port.parse().ok().filter(|_| digits)?)
        }
        // And leaves the port out where that is the usual one, be it of the other scheme.
        _ if [80, 443].contains(&own.1) => (authority, own.1),
        _ => (authority, *usual),
    };
    if !host.eq_ignore_ascii_case(own.0) || port != own.1 {
        return None;
    }
    let (path, more) = target.split_at(target.find(['?', '#']).unwrap_or(target.len()));
    let path = rewrite.undo(if path.is_empty() { "/" } else { path })?;
    // To browsers, two slashes begin a host, and a backslash is a slash.
    let is_host = matches!(path.as_bytes().get(1), Some(b'/' | b'\\'));
    (!is_host).then(|| (*usual == 443, path + more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::settings::Place;

    #[test]
    fn only_urls_of_the_servers_own_lead_home() {
        let cases = [
            ("http://own:81/x?y#z", Some("/x?y#z")),
            ("//own:81/x?y#z", Some("/x?y#z")),
            ("//other:81/x", None),
            ("///own:81/x", None),
            ("HTTPS://OWN:81/x", Some("/x")),
            ("http://own:81", Some("/")),
            ("http://own:81?y=http://own:81/", Some("/?y=http://own:81/")),
            ("http://own:81/a//b", Some("/a//b")),
            ("http://own:81//evil.example/", None),
            ("http://own:81/\\evil.example/", None),
            ("http://own:81/\t/evil.example/", None),
            ("http://own:81\t/x", None),
            ("http://own:82/x", None),
            ("http://own/x", None),
            ("http://own:81@evil.example/x", None),
            ("http://own:81.evil.example/x", None),
            ("ftp://own:81/x", None),
            ("/x", None),
            ("x://", None),
            ("", None),
        ];
        for (location, expected) in cases {
            let led = home(location, ("own", 81), &Rewrite::default());
            let path = led.map(|(_, path)| path);
            assert_eq!(path.as_deref(), expected, "{location}");
        }
        let cases = [
            ("http://own/x", 80, true),
            ("http://own:80/x", 80, true),
            ("https://own/x", 80, true),
            ("https://own/x", 443, true),
            ("https://own:443/x", 443, true),
            ("http://own/x", 443, true),
            ("https://own:443/x", 80, false),
            ("https://own/x", 81, false),
            ("http://own:+80/x", 80, false),
            ("http://own:/x", 80, false),
            ("http://own:99999/x", 80, false),
        ];
        for (location, port, led) in cases {
            let home = home(location, ("own", port), &Rewrite::default());
            assert_eq!(home.is_some(), led, "{location} {port}");
        }
        assert!(home("http://[::1]/x", ("[::1]", 80), &Rewrite::default()).is_some());
        assert_eq!(
            ascii("http://own/caf\u{e9}".as_bytes()),
            "http://own/caf%C3%A9"
        );
    }

    #[test]
    fn who_sends_away_from_the_clear_is_not_led_back() {
        let server = |scheme, port| Server {
            place: Place::Network {
                host: "own".to_owned(),
                port,
            },
            scheme,
        };
        let (clear, secure) = (server(Scheme::Http, 80), server(Scheme::Https, 443));
        for (own, location, expected) in [
            // It does not believe what it was told of the client, or it would have answered.
            (&clear, "https://own/x?y", "https://own/x?y"),
            (&clear, "https://own/after", "/after"),
            (&clear, "http://own/x?y", "/x?y"),
            (&secure, "https://own/x?y", "/x?y"),
            (&secure, "http://own/x?y", "/x?y"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_static(location));
            let asked = || Some("/x?y".to_owned());
            lead_home(&mut headers, own, &Rewrite::default(), asked);
            assert_eq!(headers[header::LOCATION], expected, "{location} of {own:?}");
        }
    }
}
