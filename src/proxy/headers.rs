//! Headers of requests: what is deleted before anything is judged, and what the upstream is told.

use http::HeaderName;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts as ReqParts;
use pingora::http::RequestHeader;

use crate::crypto::cookie::{self, Left};
use crate::policy::header::{Reserved, fold};

use super::client::Client;
use super::settings::Upstream;
use super::tunnel;

/// The request id, towards both sides.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The configuration that an answer was judged by; sent only where the file says so.
pub const SNAPSHOT: HeaderName = HeaderName::from_static("x-portcullis-snapshot");
/// The decision's id, on a denial: that of the request, under which it stands in the log.
pub const DECISION: HeaderName = HeaderName::from_static("x-auth-decision");

/// How many headers tell of the way.
pub const WAY: usize = 4;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

const TRAILERS: &str = "trailers";

/// What a request looked like before what a client may not say was deleted from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripped {
    /// Nothing is left that is meant for one hop only.
    pub plain: bool,
    /// What it asked for of what was deleted.
    pub asks: Asks,
}

/// What a request asks for that is not forwarded as it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// A tunnel: `Upgrade` names `websocket` and nothing else.
    pub tunnel: bool,
    /// Trailers: `TE` says that they are understood and nothing else.
    pub trailers: bool,
}

/// Makes one header of what HTTP/2 clients send in crumbs (RFC 9113 section 8.2.3).
pub fn join_cookies(request: &mut RequestHeader) {
    if request.headers.len() == request.headers.keys_len() {
        // No name comes twice, which is how nearly every request comes.
        return;
    }
    let mut crumbs = request.headers.get_all(header::COOKIE).into_iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = request
        .headers
        .get_all(header::COOKIE)
        .into_iter()
        .map(HeaderValue::as_bytes)
        // An empty one would leave a `; ` at an end, which no client sends and is refused.
        .filter(|crumb| !crumb.trim_ascii().is_empty())
        .collect();
    if all.is_empty() {
        return drop(request.remove_header(&header::COOKIE));
    }
    match HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        // The name is a constant and the value checked, so that inserting cannot fail.
        Ok(joined) => drop(request.insert_header(header::COOKIE, joined)),
        Err(_) => drop(request.remove_header(&header::COOKIE)),
    }
}

/// The value of the cookie of this name, if there is exactly one, and what a service may see of the header.
#[must_use]
pub fn sort_cookies<'a>(line: &'a HeaderValue, name: &str) -> (Option<&'a str>, Left) {
    cookie::sort(line.as_bytes(), name)
}

/// What the lines of `Connection` say, one by one.
pub fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(header::CONNECTION).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Whether a connection ends behind this message, in whichever line that is said (RFC 9112 section 9.3): Pingora hears the
/// first alone, and of one that says both, `keep-alive`.
#[must_use]
pub fn says_close(headers: &HeaderMap) -> bool {
    connection_options(headers).any(|option| option.eq_ignore_ascii_case(b"close"))
}

/// Whether a connection ends behind this answer although Pingora keeps it.
#[must_use]
pub fn hides_close(headers: &HeaderMap) -> bool {
    let first = headers.get(header::CONNECTION);
    first.is_some_and(|first| !first.as_bytes().eq_ignore_ascii_case(b"close"))
        && says_close(headers)
}

/// Deletes what a client may not say: every spelling of every reserved name, our own cookies, and whatever
/// would change protocols.
pub fn strip(request: &mut RequestHeader, reserved: &Reserved, cookies: Left) -> Stripped {
    let mut plain = true;
    let mut theirs = Vec::new();
    for name in request.headers.keys() {
        if reserved.contains(name.as_str()) || changes_protocol(name) {
            theirs.push(name.clone());
        } else {
            plain = plain && !is_for_one_hop(name);
        }
    }
    let asks = if theirs.is_empty() {
        Asks::default()
    } else {
        asks(&request.headers)
    };
    for name in &theirs {
        request.remove_header(name);
    }
    leave_cookies(request, cookies);
    Stripped {
        plain: plain || says_nothing(request),
        asks,
    }
}

/// Tells a service that is spoken to in HTTP/2 that trailers are understood; services of gRPC insist on it. It is the
/// one thing that `TE` may say there (RFC 9113 section 8.2.2).
pub fn understand_trailers(headers: &mut HeaderMap) {
    headers.insert(header::TE, HeaderValue::from_static(TRAILERS));
}

fn asks(headers: &HeaderMap) -> Asks {
    Asks {
        tunnel: tunnel::is_named(headers),
        trailers: tunnel::only(headers, &header::TE).is_some_and(|te| te == TRAILERS),
    }
}

/// What would make another protocol of the connection, or of what is sent over it.
fn changes_protocol(name: &HeaderName) -> bool {
    *name == header::UPGRADE || *name == header::TE || *name == HTTP2_SETTINGS
}

/// The headers that end at the next hop (RFC 9110 section 7.6.1), as Pingora deletes them.
fn is_for_one_hop(name: &HeaderName) -> bool {
    match *name {
        header::CONNECTION
        | header::PROXY_AUTHENTICATE
        | header::PROXY_AUTHORIZATION
        | header::TRAILER
        | header::TRANSFER_ENCODING => true,
        ref other => matches!(other.as_str(), "keep-alive" | "proxy-connection"),
    }
}

/// Whether the one header for this hop is a `Connection` that names no other header, as browsers send it.
fn says_nothing(request: &RequestHeader) -> bool {
    let mut for_one_hop = request
        .headers
        .iter()
        .filter(|(name, _)| is_for_one_hop(name));
    match (for_one_hop.next(), for_one_hop.next()) {
        (Some((name, value)), None) if *name == header::CONNECTION => {
            value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
                || value.as_bytes().eq_ignore_ascii_case(b"close")
        }
        _ => false,
    }
}

/// Forgets how the client wrote the names of its headers: Pingora keeps that in a second map, and copies,
/// searches and deletes in both.
pub fn forget_case(request: &mut RequestHeader) {
    if request.has_case() {
        let parts = take(request);
        *request = RequestHeader::from(parts);
    }
}

/// Takes a request out of its place, where an empty one is left.
#[must_use]
pub fn take(request: &mut RequestHeader) -> ReqParts {
    let blank = RequestHeader::from(http::Request::new(()).into_parts().0);
    std::mem::replace(request, blank).into()
}

fn leave_cookies(request: &mut RequestHeader, left: Left) {
    let line = match left {
        Left::All => return,
        Left::Some(left) => HeaderValue::try_from(left).ok(),
        Left::Nothing => None,
    };
    match line {
        Some(line) => drop(request.insert_header(header::COOKIE, line)),
        None => drop(request.remove_header(&header::COOKIE)),
    }
}

/// Sets what the upstream is told about the request's way: the client and the trusted proxies behind it,
/// whether the client spoke TLS, the host that was asked, and the request id. Runs for each try.
pub fn tell_way(
    headers: &mut HeaderMap,
    host: HeaderValue,
    client: &Client,
    id: Option<&HeaderValue>,
) {
    let scheme = if client.https { "https" } else { "http" };
    headers.insert(FORWARDED_FOR, client.forwarded_for.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    headers.insert(FORWARDED_HOST, host);
    if let Some(id) = id {
        headers.insert(REQUEST_ID, id.clone());
    }
}

/// Tells a service what the file adds for it: the prefix that was cut off, and headers of the operator's choice,
/// in place of whatever the client sent under that name, in any spelling.
///
/// # Errors
/// When a prefix is no header value.
pub fn tell_more(
    headers: &mut HeaderMap,
    upstream: &Upstream,
) -> Result<(), header::InvalidHeaderValue> {
    if let Some(prefix) = &upstream.rewrite.strip {
        let prefix = HeaderValue::from_str(prefix.as_str())?;
        headers.insert(FORWARDED_PREFIX, prefix);
    }
    for (name, value) in &upstream.headers.request {
        let theirs: Vec<_> = headers
            .keys()
            .filter(|theirs| fold(theirs.as_str()) == fold(name.as_str()))
            .cloned()
            .collect();
        for name in theirs {
            headers.remove(name);
        }
        if let Some(value) = value {
            headers.insert(name.clone(), value.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in lines {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    #[test]
    fn s_21_crumbs_become_one_line() {
        let mut joined = request(&[("cookie", "a=1"), ("cookie", "sid=2"), ("cookie", "c=3")]);
        join_cookies(&mut joined);
        assert_eq!(
            joined.headers.get_all("cookie").iter().collect::<Vec<_>>(),
            ["a=1; sid=2; c=3"]
        );
        let mut empty = request(&[("cookie", "a=1"), ("cookie", ""), ("cookie", " ")]);
        join_cookies(&mut empty);
        let lines: Vec<_> = empty.headers.get_all("cookie").iter().collect();
        assert_eq!(lines, ["a=1"]);
        let mut nothing = request(&[("cookie", ""), ("cookie", "")]);
        join_cookies(&mut nothing);
        assert!(!nothing.headers.contains_key("cookie"));
    }

    #[test]
    fn h_01_h_15_what_is_ours_does_not_pass() {
        let mut stripped = request(&[
            ("X-Auth-User", "root"),
            ("x_auth_user", "root"),
            ("X-Forwarded-For", "1.2.3.4"),
            ("Cookie", "a=1; __Host-portcullis=x; portcullis-flow=y"),
            ("Upgrade", "h2c"),
            ("Accept", "*/*"),
        ]);
        let line = stripped.headers.get(header::COOKIE).unwrap();
        let (value, cookies) = sort_cookies(line, "__Host-portcullis");
        assert_eq!(value, Some("x"));
        strip(&mut stripped, &Reserved::new([]), cookies);
        let left = |name: &str| stripped.headers.get(name).map(HeaderValue::as_bytes);
        assert_eq!(stripped.headers.len(), 2);
        assert_eq!(left("cookie"), Some(&b"a=1"[..]));
        assert_eq!(left("accept"), Some(&b"*/*"[..]));
    }

    #[test]
    fn h_15_cookies_that_are_no_text_are_no_cookies() {
        for (line, session) in [
            (&b"portcullis=x; a=\xe9"[..], Some("x")),
            ("a=\u{e9}; portcullis=x".as_bytes(), Some("x")),
            ("a=\u{e9}".as_bytes(), None),
            ("portcullis=\u{e9}".as_bytes(), None),
        ] {
            let line = HeaderValue::from_bytes(line).unwrap();
            assert_eq!(sort_cookies(&line, "portcullis"), (session, Left::Nothing));
        }
    }

    #[test]
    fn trailers_are_understood_by_who_says_so() {
        let says = |lines: &[(&'static str, &str)]| {
            strip(&mut request(lines), &Reserved::new([]), Left::All)
                .asks
                .trailers
        };
        assert!(says(&[("te", "trailers")]));
        assert!(!says(&[]) && !says(&[("te", "gzip")]) && !says(&[("te", "trailers, gzip")]));
        assert!(!says(&[("te", "trailers"), ("te", "trailers")]));
    }

    #[test]
    fn what_is_for_one_hop_is_noticed() {
        let is_plain = |lines: &[(&'static str, &str)]| {
            let mut request = request(lines);
            strip(&mut request, &Reserved::new([]), Left::All).plain
        };
        assert!(is_plain(&[
            ("Host", "a"),
            ("Upgrade", "h2c"),
            ("TE", "trailers")
        ]));
        assert!(is_plain(&[("Connection", "Keep-Alive")]) && is_plain(&[("Connection", "close")]));
        let looked_at: [&[(&'static str, &str)]; 8] = [
            &[("Connection", "close, X-Team")],
            &[("Connection", "X-Forwarded-For")],
            &[("Connection", "close"), ("Connection", "X-Team")],
            &[("Connection", "keep-alive"), ("Keep-Alive", "timeout=5")],
            &[("Transfer-Encoding", "chunked")],
            &[("Trailer", "X-Team")],
            &[("Proxy-Connection", "keep-alive")],
            &[("Proxy-Authorization", "Basic eDp5")],
        ];
        for lines in looked_at {
            assert!(!is_plain(lines), "{lines:?}");
        }
    }
}
