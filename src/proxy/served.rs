//! Headers of services' answers: what a service may not tell a client, because it is ours to say or nobody's, and what
//! the file has it say.

use http::HeaderName;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use http::{Method, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::crypto::cookie::CookieNames;
use crate::policy::header::{Said, fold};

/// Changes a service's answer as plain parts, its own reason phrase kept. Pingora keeps the spelling of names in
/// a second map, in answers, too, and grows, copies and searches both: names are told in their usual spelling.
///
/// # Errors
/// When the reason phrase is none.
pub fn change_answer(
    response: &mut ResponseHeader,
    change: impl FnOnce(&mut Parts),
) -> pingora::Result<()> {
    let usual = response.status.canonical_reason();
    let own = response.get_reason_phrase();
    let own = own.filter(|own| usual != Some(own)).map(str::to_owned);
    let blank = ResponseHeader::from(http::Response::new(()).into_parts().0);
    let mut parts = std::mem::replace(response, blank).into();
    change(&mut parts);
    *response = ResponseHeader::from(parts);
    match own {
        Some(phrase) => response.set_reason_phrase(Some(&phrase)),
        None => Ok(()),
    }
}

/// Sets and removes headers of a service's answer as the file says.
pub fn dress_answer(headers: &mut HeaderMap, said: &[Said]) {
    for (name, value) in said {
        match value {
            Some(value) => headers.insert(name.clone(), value.clone()),
            None => headers.remove(name),
        };
    }
}

/// Whether what a service of HTTP/1 says of how its answer is framed has one reading: in chunks, said once and in one
/// word, or in no coding at all. Pingora reads everything else to the end of the connection and passes it on as it
/// came, so that the service could write the answer to a client's next request (RFC 9112 sections 6.1 and 6.3).
#[must_use]
pub fn is_framed_once(answer: &ResponseHeader) -> bool {
    if is_bodiless(answer.status) {
        return true;
    }
    let mut codings = answer.headers.get_all(header::TRANSFER_ENCODING).iter();
    codings.next().is_none_or(|coding| {
        let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        chunked && codings.next().is_none() && answer.version == Version::HTTP_11
    })
}

/// Whether an answer ends with its head (RFC 9112 section 6.3), as those of gRPC do that fail at once.
#[must_use]
pub fn has_no_body(request: &RequestHeader, answer: &ResponseHeader) -> bool {
    let length = answer.headers.get(header::CONTENT_LENGTH);
    request.method == Method::HEAD
        || is_bodiless(answer.status)
        || answer.status == StatusCode::NOT_MODIFIED
        || length.is_some_and(|length| length == "0")
        || answer.headers.contains_key("grpc-status")
}

/// What has no length and no coding because it has no body (RFC 9110 section 8.6, RFC 9112 section 6.1).
#[must_use]
pub fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT
}

/// Deletes what says how a body ends that does not come. What a 304 says of it is of another answer, which Go's client waits for
/// over HTTP/2.
pub fn strip_framing(answer: &mut Parts, over_http2: bool) {
    if is_bodiless(answer.status) {
        answer.headers.remove(header::TRANSFER_ENCODING);
    }
    if is_bodiless(answer.status) || over_http2 && answer.status == StatusCode::NOT_MODIFIED {
        answer.headers.remove(header::CONTENT_LENGTH);
    }
}

/// Says the length of an answer once and in the usual form; Pingora has read it, and refused what has two readings.
pub fn settle_length(headers: &mut HeaderMap) {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else {
        return;
    };
    let usual = |text: &[u8]| {
        text == b"0" || !text.starts_with(b"0") && text.iter().all(u8::is_ascii_digit)
    };
    if lengths.next().is_none() && usual(first.as_bytes()) {
        return;
    }
    let length = first
        .to_str()
        .ok()
        .and_then(|text| text.split(',').next()?.trim().parse::<u64>().ok());
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
}

/// Deletes what holds for the connection to the service only: `Connection`, and what it names (RFC 9110 section 7.6.1).
/// What frames an answer cannot be named away, nor what says what to change to.
pub fn strip_connection(headers: &mut HeaderMap) {
    const KEPT: [HeaderName; 4] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::SEC_WEBSOCKET_ACCEPT,
    ];
    let options: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter(|line| !is_usual(line.as_bytes()))
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        .filter(|name| !KEPT.contains(name))
        .collect();
    headers.remove(header::CONNECTION);
    for name in options {
        headers.remove(name);
    }
}

/// What names no header.
fn is_usual(connection: &[u8]) -> bool {
    let same = |word: &&[u8]| connection.eq_ignore_ascii_case(word);
    [&b"keep-alive"[..], b"close"].iter().any(same)
}

/// Deletes from an upstream's answer what is not its to say: who is signed in, where else this host can be
/// reached and how, that the browser should forget our cookies, and what holds for one connection only. README.md lists
/// it.
pub fn strip_answer(headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| speaks_for_us(name.as_str(), value))
        .map(|(name, _)| name.clone())
        .collect();
    for name in ours {
        headers.remove(&name);
    }
    strip_our_cookies(headers);
}

/// Deletes from the trailers of an answer what is deleted from its head, and all cookies. What a client may not say is
/// another matter: services say in trailers what they like, and gRPC's have dots in their names.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let ours: Vec<_> = trailers
        .iter()
        .filter(|(name, value)| speaks_for_us(name.as_str(), value) || **name == header::SET_COOKIE)
        .map(|(name, _)| name.clone())
        .collect();
    for name in ours {
        trailers.remove(name);
    }
}

fn speaks_for_us(name: &str, value: &HeaderValue) -> bool {
    match name {
        "strict-transport-security" | "alt-svc" => true,
        "keep-alive" | "proxy-connection" | "te" => true,
        // The cookies of a host are ours too; a service may have its own cache and storage emptied.
        "clear-site-data" => {
            let text = value.as_bytes().to_ascii_lowercase();
            memchr::memmem::find(&text, b"cookies").is_some() || text.contains(&b'*')
        }
        // Whoever reads them may fold them, too. Few of an answer begin so.
        other => {
            let folded = other.starts_with('x').then(|| fold(other));
            folded.is_some_and(|name| {
                name.starts_with("x-auth-") || name.starts_with("x-portcullis-")
            })
        }
    }
}

/// Deletes cookies of our name: sessions are ours to set.
fn strip_our_cookies(headers: &mut HeaderMap) {
    let ours = |value: &HeaderValue| {
        // `=name=value` is a cookie without a name to some browsers, which then send `name=value`.
        let start = value
            .as_bytes()
            .iter()
            .position(|byte| !b"= 	".contains(byte));
        let named = value
            .as_bytes()
            .get(start.unwrap_or(0)..)
            .unwrap_or_default();
        // And so is what has no `=` at all.
        let ends = |byte: &u8| b"=;".contains(byte);
        let name = named.split(ends).next().unwrap_or_default();
        std::str::from_utf8(name.trim_ascii()).is_ok_and(CookieNames::is_ours)
    };
    let all = headers.get_all(header::SET_COOKIE);
    if !all.iter().any(ours) {
        return;
    }
    let kept: Vec<HeaderValue> = all.iter().filter(|value| !ours(value)).cloned().collect();
    headers.remove(header::SET_COOKIE);
    for value in kept {
        headers.append(header::SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h_08_trailers_carry_nothing_of_ours() {
        let mut trailers = HeaderMap::new();
        for name in [
            "grpc-status",
            "x-auth-user",
            "x_auth_user",
            "x.portcullis-x",
            "alt-svc",
            "set-cookie",
            // What heads of answers may hold as well.
            "google.rpc.debuginfo-bin",
            "my_key",
            "x-forwarded-for",
            "x-request-id",
        ] {
            trailers.insert(name, HeaderValue::from_static("0"));
        }
        strip_trailers(&mut trailers);
        let left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        let ours = [
            "x-auth-user",
            "x_auth_user",
            "x.portcullis-x",
            "alt-svc",
            "set-cookie",
        ];
        assert!(ours.iter().all(|name| !left.contains(name)), "{left:?}");
        assert_eq!(left.len(), 5, "{left:?}");
    }

    #[test]
    fn h_08_answers_carry_nothing_of_ours_in_any_spelling() {
        let mut answer = HeaderMap::new();
        for name in [
            "x-auth-user",
            "x_auth_user",
            "x.portcullis-x",
            "x-author",
            "x_mine",
        ] {
            answer.insert(name, HeaderValue::from_static("0"));
        }
        strip_answer(&mut answer);
        let mut left: Vec<_> = answer.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-author", "x_mine"]);
    }

    #[test]
    fn what_ends_with_its_head_needs_no_other_end() {
        let ends = |method: &str, status: u16, fields: &[(&'static str, &str)]| {
            let request = RequestHeader::build(method, b"/", None).unwrap();
            let mut answer = ResponseHeader::build(status, None).unwrap();
            for (name, value) in fields {
                answer.append_header(*name, *value).unwrap();
            }
            has_no_body(&request, &answer)
        };
        assert!(ends("HEAD", 200, &[("content-length", "9")]));
        assert!(ends("GET", 204, &[]) && ends("GET", 304, &[]));
        // It says how long the answer would have been that the client has.
        assert!(ends("GET", 304, &[("content-length", "9")]));
        assert!(ends("GET", 200, &[("content-length", "0")]));
        assert!(ends("POST", 200, &[("grpc-status", "5")]));
        for (method, status) in [("GET", 200), ("POST", 200), ("GET", 206), ("GET", 404)] {
            assert!(!ends(method, status, &[]), "{method} {status}");
            assert!(!ends(method, status, &[("content-length", "9")]));
        }
    }

    #[test]
    fn s_19_an_answer_is_framed_in_one_way_or_not_passed_on() {
        let framed = |version, codings: &[&str]| {
            let mut answer = ResponseHeader::build(200, None).unwrap();
            answer.set_version(version);
            for coding in codings {
                answer.append_header("transfer-encoding", *coding).unwrap();
            }
            is_framed_once(&answer)
        };
        for good in [&[][..], &["chunked"], &["Chunked"]] {
            assert!(framed(Version::HTTP_11, good), "{good:?}");
        }
        for bad in [
            &["chunked,"][..],
            &["chunked, identity"],
            &["identity, chunked"],
            &["gzip, chunked"],
            &["chunked ; a=b"],
            &["\"chunked\""],
            &["chunked", "chunked"],
            &["chunked", "identity"],
            &["identity"],
            &["gzip"],
            &[""],
            &["xchunked"],
        ] {
            assert!(!framed(Version::HTTP_11, bad), "{bad:?}");
        }
        assert!(framed(Version::HTTP_10, &[]) && !framed(Version::HTTP_10, &["chunked"]));
    }

    #[test]
    fn s_19_a_length_is_said_once() {
        for (said, expected) in [
            (&["4"][..], "4"),
            (&["0"], "0"),
            (&["04"], "4"),
            (&["4,4"], "4"),
            (&["4, 4"], "4"),
            (&["4", "4"], "4"),
        ] {
            let mut headers = HeaderMap::new();
            for length in said {
                headers.append("content-length", HeaderValue::from_static(length));
            }
            settle_length(&mut headers);
            let lengths: Vec<_> = headers.get_all("content-length").iter().collect();
            assert_eq!(lengths, [expected], "{said:?}");
        }
    }

    #[test]
    fn h_17_what_holds_for_one_connection_stays_there() {
        let left = |connection: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for name in [
                "x-gone",
                "keep-alive",
                "te",
                "proxy-connection",
                "content-length",
                "x-kept",
            ] {
                headers.insert(name, HeaderValue::from_static("1"));
            }
            for line in connection {
                headers.append("connection", HeaderValue::from_static(line));
            }
            strip_connection(&mut headers);
            strip_answer(&mut headers);
            let mut left: Vec<_> = headers.keys().map(ToString::to_string).collect();
            left.sort();
            left
        };
        let all = ["content-length", "x-gone", "x-kept"];
        assert_eq!(left(&[]), all);
        assert_eq!(left(&["keep-alive"]), all);
        for named in [
            &["x-gone"][..],
            &["close, X-Gone , content-length"],
            &["close", "a b, x-gone"],
        ] {
            assert_eq!(left(named), ["content-length", "x-kept"], "{named:?}");
        }
    }

    #[test]
    fn an_upstream_does_not_set_our_cookie() {
        let mut answer = HeaderMap::new();
        for cookie in [
            "a=1",
            "__Host-portcullis=x; Path=/",
            " portcullis =y",
            "=portcullis=x",
            "portcullis; Path=/",
            " == __Host-portcullis=x",
            "portcullis2=z",
        ] {
            answer.append("set-cookie", HeaderValue::from_static(cookie));
        }
        strip_answer(&mut answer);
        assert_eq!(
            answer.get_all("set-cookie").iter().collect::<Vec<_>>(),
            ["a=1", "portcullis2=z"]
        );
    }
}
