//! Headers of services' answers: what a service may not tell a client, because it is ours to say or nobody's, and what
//! the file has it say.

use http::HeaderName;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use pingora::http::ResponseHeader;

use crate::crypto::cookie::CookieNames;
use crate::policy::header::{Reserved, Said};

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

/// Deletes from an upstream's answer what is not its to say: who is signed in, where else this host can be
/// reached and how, and that the browser should forget our cookies. README.md lists it.
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

/// Deletes from the trailers of an answer what is ours to say and nobody else's.
pub fn strip_trailers(trailers: &mut HeaderMap, reserved: &Reserved) {
    let ours: Vec<_> = trailers
        .keys()
        .filter(|name| reserved.contains(name.as_str()) || **name == header::SET_COOKIE)
        .cloned()
        .collect();
    for name in ours {
        trailers.remove(name);
    }
}

fn speaks_for_us(name: &str, value: &HeaderValue) -> bool {
    match name {
        "strict-transport-security" | "alt-svc" => true,
        // The cookies of a host are ours too; a service may have its own cache and storage emptied.
        "clear-site-data" => {
            let text = value.as_bytes().to_ascii_lowercase();
            memchr::memmem::find(&text, b"cookies").is_some() || text.contains(&b'*')
        }
        other => other.starts_with("x-auth-") || other.starts_with("x-portcullis-"),
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
        let name = named.split(|&byte| byte == b'=').next().unwrap_or_default();
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
            "set-cookie",
            "x-forwarded-for",
        ] {
            trailers.insert(name, HeaderValue::from_static("0"));
        }
        strip_trailers(&mut trailers, &Reserved::new([]));
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
    }

    #[test]
    fn an_upstream_does_not_set_our_cookie() {
        let mut answer = HeaderMap::new();
        for cookie in [
            "a=1",
            "__Host-portcullis=x; Path=/",
            " portcullis =y",
            "=portcullis=x",
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
