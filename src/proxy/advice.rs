//! What the operator is told where `trusted_proxies` does not fit the proxy in front: its clients, who did come by https,
//! are sent to the very address that they asked for, again and again, and no answer can tell them why.
//!
//! Anybody can have it said by a header that they write, so it is said seldom.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::HeaderMap;

use crate::base::time::Timestamp;

use super::client::{Client, entries, is_secure};

/// How long something that was said is not said again.
const PAUSE: Duration = Duration::from_mins(1);

/// What was said, and when.
#[derive(Debug, Default)]
pub struct Advice {
    distrusted: Seldom,
    silent: Seldom,
}

/// Why a client that came by https may be taken for one that did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Misfit {
    /// Its proxy says that it did, and is not believed.
    Distrusted,
    /// Its proxy would be believed, and says nothing.
    Silent,
}

/// When something was said last, in milliseconds; zero for never.
#[derive(Debug, Default)]
struct Seldom(AtomicI64);

impl Advice {
    /// An https site was asked in the clear.
    pub fn note_insecure(
        &self,
        peer: IpAddr,
        client: &Client,
        headers: &HeaderMap,
        now: Timestamp,
    ) {
        match misfit(client, headers) {
            Some(Misfit::Distrusted) if self.distrusted.is_due(now) => tracing::warn!(
                %peer,
                "{peer} says https and is not in trusted_proxies: if it is a proxy of yours, its clients are sent to https again and again"
            ),
            Some(Misfit::Silent) if self.silent.is_due(now) => tracing::warn!(
                %peer,
                "{peer} is in trusted_proxies and sends no X-Forwarded-Proto: its clients are sent to https again and again"
            ),
            _ => {}
        }
    }
}

fn misfit(client: &Client, headers: &HeaderMap) -> Option<Misfit> {
    if client.through_trusted {
        let silent = entries(headers, "x-forwarded-proto").is_empty();
        return silent.then_some(Misfit::Silent);
    }
    says_https(headers).then_some(Misfit::Distrusted)
}

/// Whether it is said of any hop, by the names that proxies use for it (RFC 7239 section 5.4).
fn says_https(headers: &HeaderMap) -> bool {
    let forwarded = entries(headers, "forwarded");
    let pairs = forwarded.iter().flat_map(|entry| entry.split(';'));
    let said = pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_proto = name.trim().eq_ignore_ascii_case("proto");
        is_proto.then(|| value.trim().trim_matches('"'))
    });
    let plain = entries(headers, "x-forwarded-proto");
    said.chain(plain).any(is_secure)
}

impl Seldom {
    /// Whether it is time to say it; then it counts as said. A clock that was set back does not silence it.
    fn is_due(&self, now: Timestamp) -> bool {
        let last = self.0.load(Ordering::Relaxed);
        let said = Timestamp::from_millis(last);
        if last != 0 && now >= said && now.since(said) < PAUSE {
            return false;
        }
        let noted =
            self.0
                .compare_exchange(last, now.millis(), Ordering::Relaxed, Ordering::Relaxed);
        noted.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_minute() {
        let seldom = Seldom::default();
        // milliseconds, whether it is said
        let cases = [
            (1, true),
            (2, false),
            (60_000, false),
            (60_001, true),
            (60_002, false),
            // Set back.
            (30_000, true),
            (30_001, false),
            (90_000, true),
        ];
        for (millis, due) in cases {
            assert_eq!(
                seldom.is_due(Timestamp::from_millis(millis)),
                due,
                "{millis}"
            );
        }
    }

    #[test]
    fn what_does_not_fit() {
        use Misfit::{Distrusted, Silent};
        // trusted, a header, its value, what does not fit
        let cases = [
            (false, "x-forwarded-proto", "https", Some(Distrusted)),
            (false, "x-forwarded-proto", "http, HTTPS", Some(Distrusted)),
            (false, "x-forwarded-proto", "wss", Some(Distrusted)),
            (false, "x-forwarded-proto", "http", None),
            (
                false,
                "forwarded",
                "for=1.2.3.4;proto=https",
                Some(Distrusted),
            ),
            (
                false,
                "forwarded",
                "for=_x, for=_y; Proto=\"https\"",
                Some(Distrusted),
            ),
            (false, "forwarded", "for=1.2.3.4;proto=http", None),
            (false, "forwarded", "host=https", None),
            (false, "x-other", "https", None),
            (true, "x-other", "https", Some(Silent)),
            (true, "x-forwarded-proto", " , ", Some(Silent)),
            (true, "x-forwarded-proto", "http", None),
            // Only the other name is believed.
            (true, "forwarded", "for=1.2.3.4;proto=https", Some(Silent)),
        ];
        for (through_trusted, name, value, expected) in cases {
            let client = Client {
                ip: IpAddr::from([10, 0, 0, 1]),
                https: false,
                named: true,
                through_trusted,
                forwarded_for: http::HeaderValue::from_static("10.0.0.1"),
            };
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(misfit(&client, &headers), expected, "{name}: {value}");
        }
    }
}
