//! A session as it is stored, and as people see it in lists.

use serde::{Deserialize, Serialize};

use super::Opening;
use crate::base::id::PublicId;
use crate::base::time::Timestamp;
use crate::identity::IdentityFault;
use crate::store::volatile::Entry;

/// What is stored of a session, beside its key, owner and expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) sid: String,
    pub(super) created_at: i64,
    pub(super) seen_at: i64,
    pub(super) ip: String,
    pub(super) user_agent: String,
    /// Which password the account had when it began.
    #[serde(default)]
    pub(super) password_version: i64,
    /// Whether tokens carry it instead of a cookie.
    #[serde(default)]
    pub(super) tokens: bool,
}

/// A session as people see it in lists.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// Its public name.
    pub sid: String,
    /// Whose it is.
    pub user_id: i64,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to the minute.
    pub seen_at: Timestamp,
    /// When it ends if it is not used again.
    pub expires_at: Timestamp,
    /// Where it was begun from.
    pub ip: String,
    /// What the browser or the program called itself.
    pub user_agent: String,
    /// Whether tokens carry it instead of a cookie.
    pub tokens: bool,
}

impl Record {
    pub(super) fn new(sid: PublicId, opening: &Opening<'_>, tokens: bool, now: Timestamp) -> Self {
        Self {
            sid: sid.to_string(),
            created_at: now.millis(),
            seen_at: now.millis(),
            ip: opening.ip.to_canonical().to_string(),
            user_agent: opening
                .user_agent
                .chars()
                .filter(|c| !c.is_control())
                .take(256)
                .collect(),
            password_version: opening.user.password_version,
            tokens,
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, IdentityFault> {
        serde_json::to_vec(self).map_err(|error| IdentityFault::Store(error.to_string()))
    }

    /// A row that cannot be read is a session that does not exist.
    pub(super) fn decode(entry: &Entry) -> Option<Self> {
        serde_json::from_slice(&entry.value)
            .inspect_err(|error| tracing::error!(%error, "unreadable session in the store"))
            .ok()
    }
}

impl SessionInfo {
    pub(super) fn of(entry: &Entry) -> Option<Self> {
        let record = Record::decode(entry)?;
        Some(Self {
            sid: record.sid,
            user_id: entry.owner?,
            created_at: Timestamp::from_millis(record.created_at),
            seen_at: Timestamp::from_millis(record.seen_at),
            expires_at: entry.expires_at,
            ip: record.ip,
            user_agent: record.user_agent,
            tokens: record.tokens,
        })
    }
}
