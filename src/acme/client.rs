//! How an authority is asked: `instant-acme` speaks ACME, and every request of its goes through the one guarded
//! HTTP client. Nothing is asked in the clear (RFC 8555 section 6.1), wherever the authority's own answers lead.

use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use url::Url;

use crate::base::time::Clock;
use crate::outbound::{Answer, Limits, Outbound, Question, Reach};

use super::Settings;

/// One answer may take as long as an authority needs to sign a certificate.
const LIMITS: Limits = Limits {
    body: 1 << 20,
    deadline: Duration::from_secs(30),
};

/// Asks one authority. Clones share what is known of it.
#[derive(Clone)]
pub(super) struct Client {
    outbound: Outbound,
    reach: Reach,
    clock: Clock,
    wait: Arc<Mutex<Option<Duration>>>,
}

/// What is not asked.
#[derive(Debug, thiserror::Error)]
#[error("an authority is asked over https only")]
struct InTheClear;

impl Client {
    pub(super) fn new(settings: &Settings, clock: Clock) -> Self {
        let outbound = match &settings.roots {
            None => Outbound::new(LIMITS),
            Some(roots) => {
                let roots = roots.iter().map(|root| root.as_ref().into());
                Outbound::trusting(LIMITS, roots)
            }
        };
        Self {
            outbound,
            reach: settings.reach,
            clock,
            wait: Arc::default(),
        }
    }

    /// How long the authority asked to be left alone, if it refused anything and said so.
    pub(super) fn asked_to_wait(&self) -> Option<Duration> {
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(other)?.to_bytes();
        let question = Question {
            method: parts.method,
            url: secure(&parts.uri)?,
            reach: self.reach,
            headers: own(parts.headers),
            body,
        };
        let answer = self.outbound.ask(question).await.map_err(other)?;
        self.note(&answer);
        let mut response = Response::new(Full::new(answer.body));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response.into())
    }

    fn note(&self, answer: &Answer) {
        let refused = answer.status.is_client_error() || answer.status.is_server_error();
        let asked = answer.headers.get(header::RETRY_AFTER);
        let asked = asked.filter(|_| refused).and_then(|at| at.to_str().ok());
        if let Some(wait) = asked.and_then(|text| self.wait_of(text)) {
            *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = Some(wait);
        }
    }

    /// Seconds or a date (RFC 9110 section 10.2.3).
    fn wait_of(&self, text: &str) -> Option<Duration> {
        if let Ok(seconds) = text.trim().parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = SystemTime::from(httpdate::HttpDate::from_str(text.trim()).ok()?);
        let date = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let now = u64::try_from(self.clock.now().millis()).ok()?;
        Some(date.saturating_sub(Duration::from_millis(now)))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().ask(request))
    }
}

fn secure(uri: &Uri) -> Result<Url, Error> {
    let url: Url = uri.to_string().parse().map_err(other)?;
    if url.scheme() == "https" {
        Ok(url)
    } else {
        Err(other(InTheClear))
    }
}

/// The client says itself who asks.
fn own(mut headers: HeaderMap) -> HeaderMap {
    headers.remove(header::USER_AGENT);
    headers
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Other(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;

    fn client(wait: &str) -> Option<Duration> {
        let clock = Clock::manual(Timestamp::from_millis(784_111_777_000));
        let client = Client {
            outbound: Outbound::new(LIMITS),
            reach: Reach::Public,
            clock,
            wait: Arc::default(),
        };
        client.wait_of(wait)
    }

    #[test]
    fn f_07_what_an_authority_asks_for() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(client("120"), seconds(120));
        assert_eq!(client(" 0 "), seconds(0));
        assert_eq!(client("Sun, 06 Nov 1994 08:51:37 GMT"), seconds(120));
        assert_eq!(client("Sun, 06 Nov 1994 08:00:00 GMT"), seconds(0));
        for junk in ["", "-1", "soon", "99999999999999999999999"] {
            assert_eq!(client(junk), None, "{junk}");
        }
    }

    #[test]
    fn f_07_nothing_is_asked_in_the_clear() {
        let allowed = |text: &str| secure(&text.parse().unwrap()).is_ok();
        assert!(allowed("https://ca.test/new-order"));
        assert!(!allowed("http://ca.test/new-order"));
        assert!(!allowed("/new-order"));
    }
}
