//! Certificates that an authority issues by ACME (RFC 8555), and the answers by which it finds that a name is ours.
//!
//! Apart from `identity`, beside which it stands: it asks an authority, not a person. `order` gets one
//! certificate, [`schedule`] says when the next is due, [`worker`] does both for every name, on one node of
//! several; `client` is how the authority is asked, through the one guarded HTTP client. What is issued and what
//! is to be found go into the [`Keyring`](crate::crypto::keyring::Keyring), of which alone handshakes and requests
//! know. Keys never leave this process but sealed.

mod account;
mod answers;
mod client;
mod desk;
mod hurry;
mod order;
pub mod schedule;
mod shown;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use url::Url;

use crate::outbound::Reach;
pub use crate::store::acme::Kind;

/// What is asked for, and of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whom the authority may write to. To name an address is to agree to the authority's terms.
    pub email: String,
    /// Where the authority says what it can do.
    pub directory: Url,
    /// The only certificates by which the authority itself is known; none for those of this machine.
    pub roots: Option<Arc<[CertificateDer<'static>]>>,
    /// Where the authority may be.
    pub reach: Reach,
    /// The names to get certificates for, one each.
    pub names: Vec<String>,
    /// How the authority may look for answers, in the order in which that is tried.
    pub ways: Vec<Kind>,
    /// The shortest pause between two orders for one name.
    pub pause: Duration,
}

/// The shortest pause unless the file says otherwise: five failures then take an hour, which is as many as Let's
/// Encrypt allows.
pub const PAUSE: Duration = Duration::from_mins(2);

/// Let's Encrypt.
pub const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
