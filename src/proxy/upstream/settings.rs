//! What the file says of one upstream beside where it lives: how it is seen to, trusted and spoken to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::base::secret::Secret;
use crate::policy::header::Said;
use crate::proxy::settings::Certificate;

/// How servers are checked by asking them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The path that is asked for; anything from 200 to 299 is a good answer.
    pub path: Box<str>,
    /// The host that is asked for, in place of the server's own.
    pub host: Option<HeaderValue>,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Bad answers in a row after which a server is sent nothing.
    pub down_after: u32,
    /// Good answers in a row after which it is sent requests again.
    pub up_after: u32,
}

/// When a server is left alone for what became of requests to it, where there is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eject {
    /// Failures in a row.
    pub after: u32,
    /// For how long.
    pub span: Duration,
}

/// How often a request that failed is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// At most so often for one request.
    pub times: u32,
    /// At most so many for a hundred requests.
    pub percent: u32,
}

/// How the servers of an upstream prove who they are, and how they are told who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The authorities that count (DER), in place of those that this machine trusts.
    pub authorities: Option<Vec<Vec<u8>>>,
    /// The name that is asked for and must stand in the certificate, in place of the server's host.
    pub server_name: Option<String>,
    /// Who we are.
    pub client: Option<ClientCertificate>,
    /// Whether no proof is asked for at all.
    pub accept_any: bool,
    /// Where those that count and who we are were read.
    pub files: TrustFiles,
}

/// The files of what is trusted and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustFiles {
    /// Of the authorities.
    pub authorities: Option<PathBuf>,
    /// Of who we are.
    pub client: Option<Certificate>,
}

/// A certificate that we show, and its key.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The chain (DER), leaf first. Never empty.
    pub chain: Vec<Vec<u8>>,
    /// The private key (DER).
    pub key: Secret<Vec<u8>>,
}

/// Headers that are set, or with no value removed, on the way to a service and back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// On requests; the client's own copies are removed in every spelling.
    pub request: Vec<Said>,
    /// On the service's answers.
    pub response: Vec<Said>,
}

/// A page that is shown while no server is healthy.
pub type Maintenance = Bytes;

impl Trust {
    /// The files that say something else than they did. A certificate and its key are one, and go by the certificate's.
    pub fn renewed_since(&self, before: &Self) -> impl Iterator<Item = &Path> {
        let TrustFiles {
            authorities,
            client,
        } = &self.files;
        let authorities = authorities
            .as_ref()
            .filter(|_| self.authorities != before.authorities);
        let client = client.as_ref().filter(|_| self.client != before.client);
        let all = authorities.into_iter().chain(client.map(|it| &it.chain));
        all.map(PathBuf::as_path)
    }
}

impl TrustFiles {
    /// All of them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let client = self.client.iter().flat_map(|it| [&it.chain, &it.key]);
        let all = self.authorities.iter().chain(client);
        all.map(PathBuf::as_path)
    }
}

impl Eject {
    /// What holds where the file says nothing.
    pub const DEFAULT: Self = Self {
        after: 3,
        span: Duration::from_secs(10),
    };
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain && self.key.expose() == other.key.expose()
    }
}

impl Eq for ClientCertificate {}
