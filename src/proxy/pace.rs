//! How fast a request body must come, and how late it is.
//!
//! A body that keeps a service waiting costs as much as a fast one and is sent for nothing. It is timed by its pieces,
//! as they are passed on: what is silent altogether is ended by the time that the service gives it.

use std::time::Duration;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Version};
use tokio::time::Instant;

/// When the next piece of a body must be there.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    due: Instant,
    /// Bytes a second; none: any pace will do.
    rate: Option<u64>,
    /// How far it may fall behind.
    grace: Duration,
}

impl Pace {
    /// A body begins: so many bytes a second, and so far behind at most.
    #[must_use]
    pub fn begin(rate: Option<u64>, grace: Duration) -> Self {
        Self {
            due: Instant::now() + grace,
            rate,
            grace,
        }
    }

    /// Notes a piece; whether it came in time.
    pub fn take(&mut self, length: u64) -> bool {
        let Some(rate) = self.rate else {
            return true;
        };
        let now = Instant::now();
        let worth = Duration::from_millis(length.saturating_mul(1000) / rate.max(1));
        let in_time = now <= self.due;
        // What was sent fast is no credit for ever.
        self.due = (self.due + worth.min(self.grace)).min(now + self.grace);
        in_time
    }
}

/// Whether a body is one side of a conversation, which goes at the pace of whoever speaks: calls of gRPC and Connect's
/// streams, which are both told by more than their type; and what has no length, where the rule says how long its
/// streams may be silent. `trailers`: whether the client understands them.
#[must_use]
pub fn is_conversation(request: &Parts, trailers: bool, streams: bool) -> bool {
    if streams && !request.headers.contains_key(header::CONTENT_LENGTH) {
        return true;
    }
    if request.version != Version::HTTP_2 || request.method != Method::POST {
        return false;
    }
    let kind = request.headers.get(header::CONTENT_TYPE);
    kind.map(HeaderValue::as_bytes).is_some_and(|kind| {
        (trailers && kind.starts_with(b"application/grpc"))
            || kind.starts_with(b"application/connect+")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many seconds a body lasts of which `length` bytes come every `pause` seconds, up to an hour.
    async fn lasts(rate: Option<u64>, length: u64, pause: u64) -> u64 {
        let mut pace = Pace::begin(rate, Duration::from_mins(1));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_hours(1) && pace.take(length) {
            tokio::time::advance(Duration::from_secs(pause)).await;
        }
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn b_05_a_body_keeps_its_pace_or_is_late() {
        for (rate, length, pause, least, most) in [
            (Some(240), 1, 1, 60, 62),
            (Some(240), 1, 20, 60, 80),
            (Some(240), 240, 1, 3600, 3601),
            (Some(240), 2400, 10, 3600, 3610),
            // Fast at first is not enough.
            (Some(240), 1 << 30, 61, 61, 61),
            (None, 1, 30, 3600, 3630),
        ] {
            let lasted = lasts(rate, length, pause).await;
            let fits = (least..=most).contains(&lasted);
            assert!(
                fits,
                "{length} bytes every {pause} s at {rate:?}: {lasted} s"
            );
        }
    }

    #[test]
    fn b_05_a_type_alone_makes_no_conversation() {
        let (old, new) = (Version::HTTP_11, Version::HTTP_2);
        for (version, method, kind, trailers, expected) in [
            (new, "POST", "application/grpc", true, true),
            (new, "POST", "application/grpc+proto", true, true),
            (new, "POST", "application/connect+json", false, true),
            (new, "POST", "application/grpc", false, false),
            (new, "PUT", "application/grpc", true, false),
            (old, "POST", "application/grpc", true, false),
            (old, "POST", "application/connect+json", true, false),
            (new, "POST", "text/plain", true, false),
        ] {
            let request = http::Request::builder().method(method).version(version);
            let request = request.header("content-type", kind).body(()).unwrap();
            let (parts, ()) = request.into_parts();
            let told = is_conversation(&parts, trailers, false);
            assert_eq!(told, expected, "{method} {version:?} {kind} {trailers}");
        }
    }

    #[test]
    fn a_rule_for_streams_lets_what_has_no_length_take_its_time() {
        for (length, streams, expected) in [
            (None, true, true),
            (Some("5"), true, false),
            (None, false, false),
        ] {
            let mut request = http::Request::builder().method("POST");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let told = is_conversation(&parts, false, streams);
            assert_eq!(told, expected, "{length:?} {streams}");
        }
    }
}
