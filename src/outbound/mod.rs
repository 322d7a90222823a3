//! The one HTTP client with which the gateway asks others: every limit it must keep to is here, and nobody else
//! may build a client (`clippy.toml`).
//!
//! What it does not do: follow redirects, heed `HTTP_PROXY` and its kin, unpack compressed answers, read more
//! than was agreed or wait longer, send cookies or anything that came with a client's request. What it connects
//! to is decided on the address itself, after names were resolved, so that a name that changes its mind between
//! the question and the connection gains nothing.

pub mod address;
mod resolve;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::timeout;
use url::{Host, Url};

pub use address::Reach;
use resolve::Guarded;

/// The client. Clones share its connections.
///
/// It is made at the first question: a gateway that asks nobody needs no roots to trust.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Connects to public addresses only.
    public: Arc<OnceLock<reqwest::Client>>,
    /// Connects to private ones, too.
    private: Arc<OnceLock<reqwest::Client>>,
    /// The only certificates to trust, in DER; none for those of this machine.
    roots: Option<Arc<[Box<[u8]>]>>,
    limits: Limits,
}

/// How much, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of an answer's body.
    pub body: usize,
    /// From the question to the last byte of the answer, looking up the name included.
    pub deadline: Duration,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// An `http` or `https` URL.
    pub url: Url,
    /// Where it may lead.
    pub reach: Reach,
    /// Headers besides those the client sets itself.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What was answered. Redirects are answers like others.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer. No text holds more of the URL than its host.
#[derive(Debug, thiserror::Error)]
pub enum OutboundFault {
    /// The client could not be made.
    #[error("no HTTP client: {0}")]
    Client(reqwest::Error),
    /// Neither http nor https.
    #[error("the scheme '{0}' is not one to ask with")]
    Scheme(String),
    /// The URL names an address that must not be asked.
    #[error("{0} is not an address to ask")]
    Address(IpAddr),
    /// No connection, or it broke.
    #[error("{0}")]
    Exchange(String),
    /// More than was agreed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// Longer than was agreed.
    #[error("no whole answer within {}", humantime::format_duration(*.0))]
    TooSlow(Duration),
}

impl Limits {
    /// 1 MiB within 5 seconds.
    pub const DEFAULT: Self = Self {
        body: 1 << 20,
        deadline: Duration::from_secs(5),
    };
}

impl Outbound {
    /// A client with these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            public: Arc::default(),
            private: Arc::default(),
            roots: None,
            limits,
        }
    }

    /// A client with these limits that trusts these certificates (DER) and no others.
    #[must_use]
    pub fn trusting(limits: Limits, roots: impl IntoIterator<Item = Box<[u8]>>) -> Self {
        Self {
            roots: Some(roots.into_iter().collect()),
            ..Self::new(limits)
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// When there is no whole answer within the limits, nobody may be asked there, or this machine trusts no
    /// roots at all.
    pub async fn ask(&self, question: Question) -> Result<Answer, OutboundFault> {
        checked(&question.url, question.reach)?;
        let Limits { body, deadline } = self.limits;
        let client = self.client(question.reach)?;
        timeout(deadline, exchange(client, question, body))
            .await
            .unwrap_or(Err(OutboundFault::TooSlow(deadline)))
    }

    fn client(&self, reach: Reach) -> Result<&reqwest::Client, OutboundFault> {
        let cell = match reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
        };
        match cell.get() {
            Some(made) => Ok(made),
            None => {
                let made = client(reach, self.roots.as_deref())?;
                Ok(cell.get_or_init(|| made))
            }
        }
    }
}

/// A literal address is never looked up, so it is looked at here.
fn checked(url: &Url, reach: Reach) -> Result<(), OutboundFault> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(OutboundFault::Scheme(url.scheme().to_owned()));
    }
    let ip = match url.host() {
        Some(Host::Ipv4(v4)) => IpAddr::V4(v4),
        Some(Host::Ipv6(v6)) => IpAddr::V6(v6),
        Some(Host::Domain(_)) | None => return Ok(()),
    };
    if reach.covers(ip) {
        Ok(())
    } else {
        Err(OutboundFault::Address(ip))
    }
}

async fn exchange(
    client: &reqwest::Client,
    question: Question,
    most: usize,
) -> Result<Answer, OutboundFault> {
    let Question {
        method,
        url,
        headers,
        body,
        ..
    } = question;
    let request = client.request(method, url).headers(headers).body(body);
    let mut response = request.send().await.map_err(|error| broken(&error))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len() + chunk.len() > most {
            return Err(OutboundFault::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.into(),
    })
}

/// The chain of causes without the URL, whose path and query may be secret.
fn broken(error: &reqwest::Error) -> OutboundFault {
    let mut text = String::from("the exchange failed");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    OutboundFault::Exchange(text)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that builds an HTTP client"
)]
fn client(reach: Reach, roots: Option<&[Box<[u8]>]>) -> Result<reqwest::Client, OutboundFault> {
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(Arc::new(Guarded(reach)))
        .pool_max_idle_per_host(2)
        .pool_idle_timeout(Duration::from_secs(30));
    if let Some(roots) = roots {
        let roots: Result<Vec<_>, _> = roots
            .iter()
            .map(|root| reqwest::Certificate::from_der(root))
            .collect();
        builder = builder.tls_certs_only(roots.map_err(OutboundFault::Client)?);
    }
    builder.build().map_err(OutboundFault::Client)
}

#[cfg(test)]
mod tests;
