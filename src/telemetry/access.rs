//! The access line: one for each request, whatever became of it.

use std::net::IpAddr;
use std::time::Duration;

/// What is told of a request. Texts that a client chose are capped and escaped by the log's formatter.
#[derive(Debug)]
pub struct Access<'a> {
    /// `X-Request-Id`.
    pub id: &'a str,
    /// The client's address, after trusted proxies.
    pub ip: Option<IpAddr>,
    /// The method as it came.
    pub method: &'a str,
    /// The host that was asked, canonical.
    pub host: &'a str,
    /// The path that was judged, without its query, which may hold secrets.
    pub path: &'a str,
    /// The status that was sent; 0 when none was.
    pub status: u16,
    /// The rule that decided.
    pub rule: &'a str,
    /// What was decided.
    pub verdict: &'a str,
    /// Why not.
    pub reason: &'a str,
    /// Who asked.
    pub user: Option<&'a str>,
    /// Where it went.
    pub upstream: &'a str,
    /// Bytes of body sent to the client.
    pub bytes: usize,
    /// From the first byte of the request to the last of the answer.
    pub took: Duration,
}

/// Longest text taken over from a client.
const CAP: usize = 512;

impl Access<'_> {
    /// Writes the line.
    pub fn write(&self) {
        let cap = |text: &str| text.chars().take(CAP).collect::<String>();
        tracing::info!(
            target: "access",
            id = self.id,
            ip = self.ip.map(tracing::field::display),
            method = cap(self.method),
            host = cap(self.host),
            path = cap(self.path),
            status = self.status,
            rule = self.rule,
            verdict = self.verdict,
            reason = self.reason,
            user = self.user,
            upstream = self.upstream,
            bytes = self.bytes,
            ms = in_millis(self.took),
        );
    }
}

/// Milliseconds, to the microsecond: what a float adds behind that is noise.
fn in_millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_to_the_microsecond() {
        for (nanos, told) in [
            (0, "0.0"),
            (499, "0.0"),
            (500, "0.001"),
            (368_983, "0.369"),
            (1_000_000, "1.0"),
            (12_345_678, "12.346"),
            (70_000_000_000, "70000.0"),
            (3_600_123_456_789, "3600123.457"),
        ] {
            let millis = in_millis(Duration::from_nanos(nanos));
            assert_eq!(format!("{millis:?}"), told);
        }
        // As many digits for each of a second's.
        for micros in 0..1_000_000 {
            let told = in_millis(Duration::from_micros(micros)).to_string();
            let behind = told.split_once('.').map_or("", |(_, behind)| behind);
            assert!(behind.len() <= 3, "{micros}: {told}");
        }
    }
}
