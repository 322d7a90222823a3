//! How fast a request body must come, and how late it is.
//!
//! A body that keeps a service waiting costs as much as a fast one and is sent for nothing. It is timed by its pieces,
//! as they are passed on: what is silent altogether is ended by the time that the service gives it.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
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
    /// A body begins: so many bytes a second, and so far behind at most. Calls that are conversations go at the pace of
    /// whoever speaks.
    #[must_use]
    pub fn begin(headers: &HeaderMap, rate: Option<u64>, grace: Duration) -> Self {
        Self {
            due: Instant::now() + grace,
            rate: rate.filter(|_| !is_conversation(headers)),
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

/// Whether a body is a stream of messages by its type: gRPC, and Connect's streams.
fn is_conversation(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| {
        kind.starts_with(b"application/grpc") || kind.starts_with(b"application/connect+")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many seconds a body lasts of which `length` bytes come every `pause` seconds, up to an hour.
    async fn lasts(kind: &'static str, length: u64, pause: u64) -> u64 {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let mut pace = Pace::begin(&headers, Some(240), Duration::from_mins(1));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_hours(1) && pace.take(length) {
            tokio::time::advance(Duration::from_secs(pause)).await;
        }
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn b_05_a_body_keeps_its_pace_or_is_late() {
        for (kind, length, pause, least, most) in [
            ("text/plain", 1, 1, 60, 62),
            ("text/plain", 1, 20, 60, 80),
            ("text/plain", 240, 1, 3600, 3601),
            ("text/plain", 2400, 10, 3600, 3610),
            // Fast at first is not enough.
            ("text/plain", 1 << 30, 61, 61, 61),
            ("application/grpc", 1, 30, 3600, 3630),
            ("application/connect+proto", 1, 30, 3600, 3630),
        ] {
            let lasted = lasts(kind, length, pause).await;
            let fits = (least..=most).contains(&lasted);
            assert!(fits, "{length} bytes every {pause} s of {kind}: {lasted} s");
        }
    }
}
