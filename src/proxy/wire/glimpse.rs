//! What can be told of a head that was refused, for its line in the log: the method and the host, where they were
//! written as such. Nothing is decided by it.
//!
//! The target is not among them. What the log calls a path was judged, and this one was not even read.

use http::Method;
use memchr::{memchr2_iter, memmem};

use crate::base::net::Host;

use super::head::{is_token, trim};

/// A method and a host, as far as they could be made out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// The method, known or not.
    pub method: Option<Method>,
    /// The one host that was asked.
    pub host: Option<Host>,
}

/// Longer than any method there is; more is noise.
const LONGEST_METHOD: usize = 32;

const END: &[u8] = b"\r\n";
const NAME: &[u8] = b"host:";

impl Glimpse {
    /// Looks at a head, or as much of it as has come.
    #[must_use]
    pub fn of(head: &[u8]) -> Self {
        let head = head.strip_prefix(b"\r\n").unwrap_or(head);
        Self {
            method: method(head),
            host: host(head),
        }
    }
}

/// What stands before the first blank.
fn method(head: &[u8]) -> Option<Method> {
    let mut words = head.splitn(2, |&byte| byte == b' ');
    let (word, _) = (words.next()?, words.next()?);
    let sound = word.len() <= LONGEST_METHOD && word.iter().all(|&byte| is_token(byte));
    Method::from_bytes(word).ok().filter(|_| sound)
}

/// The host of the one `Host` among whole lines; none where lines end in ways that others may read otherwise.
fn host(head: &[u8]) -> Option<Host> {
    let whole = head.get(..memmem::rfind(head, END)?)?;
    let ends = memmem::find_iter(whole, END);
    if memchr2_iter(b'\r', b'\n', whole).count() != ends.clone().count() * END.len() {
        return None;
    }
    let lines = ends.filter_map(|at| whole.get(at + END.len()..));
    let mut hosts = lines.filter_map(|rest| {
        let (name, rest) = rest.split_at_checked(NAME.len())?;
        let until = memmem::find(rest, END).unwrap_or(rest.len());
        let value = trim(rest.get(..until)?);
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let text = hosts.next().filter(|_| hosts.next().is_none())?;
    let (host, _) = Host::parse_authority(std::str::from_utf8(text).ok()?).ok()?;
    Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_out_of_heads_that_are_refused() {
        let long = format!("{} / HTTP/1.1\r\n", "A".repeat(33));
        let cases: [(&str, &str); 15] = [
            (
                "PROPFIND / HTTP/1.1\r\nHost: App.Test:80\r\n\r\n",
                "PROPFIND app.test",
            ),
            (
                "\r\nTRACE / HTTP/1.1\r\nX: y\r\nhost:app.test\r\n\r\n",
                "TRACE app.test",
            ),
            ("CONNECT a:443 HTTP/1.1\r\n\r\n", "CONNECT -"),
            ("get  / HTTP/1.1\r\n\r\n", "get -"),
            // Cut where the limit was.
            ("HEAD /aaaaaaaaaa", "HEAD -"),
            (
                "GET / HTTP/1.1\r\nHost: app.test\r\nX: yyyyy",
                "GET app.test",
            ),
            ("GET / HTTP/1.1\r\nHost: app.te", "GET -"),
            // Which of the two was meant is not ours to say.
            (
                "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
                "GET -",
            ),
            ("GET / HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n", "GET -"),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET -"),
            (
                "GET / HTTP/1.1\n\nPOST / HTTP/1.1\r\nHost: a.test\r\n\r\n",
                "GET -",
            ),
            ("G\u{1b}T / HTTP/1.1\r\n\r\n", "- -"),
            ("\u{16}\u{3}\u{1}", "- -"),
            ("GET\r\nX: a b\r\n\r\n", "- -"),
            (&long, "- -"),
        ];
        for (head, expected) in cases {
            let Glimpse { method, host } = Glimpse::of(head.as_bytes());
            let method = method.as_ref().map_or("-", Method::as_str);
            let said = format!("{method} {}", host.as_ref().map_or("-", Host::as_str));
            assert_eq!(said, expected, "{head:?}");
        }
    }
}
