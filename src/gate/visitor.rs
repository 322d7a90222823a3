//! What our own pages are told about the request they answer, beside the request itself.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use crate::base::id::PublicId;
use crate::base::name::Username;
use crate::crypto::cookie::CookieNames;

use super::snapshot::Snapshot;

/// The visitor of a page of ours. Travels as an extension of the request.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The client's address, after trusted proxies.
    pub ip: IpAddr,
    /// The names of our cookies on the site that was asked.
    pub cookies: CookieNames,
    /// The request id.
    pub request: PublicId,
    /// What is in force while this request lasts.
    pub snapshot: Arc<Snapshot>,
    /// Who it turns out to be, told by the page that asks, for the access log.
    pub who: Arc<OnceLock<Username>>,
}
