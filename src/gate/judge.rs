//! The judgement of one request: rule, identity, decision.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::identity::Method;
use crate::base::token::Token;
use crate::identity::IdentityFault;
use crate::identity::session::{Live, Sessions};
use crate::policy::decide::{Decision, Evidence, decide};
use crate::policy::index::Selection;
use crate::policy::readings::{TwoReadings, settle};
use crate::policy::target::Target;

use super::snapshot::Snapshot;

/// The engine. Clones share what it knows.
#[derive(Clone)]
pub struct Gate {
    sessions: Sessions,
}

/// What a request presents, unproved.
#[derive(Debug)]
pub struct Presented {
    /// The client's address, after trusted proxies were taken off.
    pub ip: IpAddr,
    /// The token of its session cookie, if it has exactly one.
    pub session: Option<Token>,
}

/// A decision, and the session it rests on.
#[derive(Debug)]
pub struct Judged {
    /// What is to be done.
    pub decision: Decision,
    /// The session that proved the identity; when it ends, so does the request.
    pub session: Option<Arc<Live>>,
}

/// No judgement was possible. The request is refused.
#[derive(Debug, thiserror::Error)]
pub enum JudgeFault {
    /// The path has two readings.
    #[error(transparent)]
    Path(#[from] TwoReadings),
    /// Nobody can say who asks.
    #[error(transparent)]
    Identity(#[from] IdentityFault),
}

impl Gate {
    /// An engine over these sessions.
    #[must_use]
    pub const fn new(sessions: Sessions) -> Self {
        Self { sessions }
    }

    /// Judges a request.
    ///
    /// # Errors
    /// When the path is ambiguous or the store does not answer; nothing may be forwarded then.
    pub async fn judge(
        &self,
        snapshot: &Snapshot,
        target: &Target,
        presented: &Presented,
    ) -> Result<Judged, JudgeFault> {
        let selection = settle(&snapshot.policy, target, |upstream| {
            snapshot.readings_of(upstream)
        })?;
        let session = self.authenticate(&selection, presented).await?;
        let proof = session
            .as_ref()
            .map(|live| (Method::Session, Arc::clone(&live.identity)));
        let decision = decide(
            &selection,
            &Evidence {
                ip: presented.ip,
                proof,
            },
        );
        Ok(Judged { decision, session })
    }

    /// Tries only what some selected rule accepts; a request without credentials touches no store.
    async fn authenticate(
        &self,
        selection: &Selection,
        presented: &Presented,
    ) -> Result<Option<Arc<Live>>, IdentityFault> {
        let rules = || selection.rule.iter().chain(&selection.reporting);
        match &presented.session {
            Some(token) if rules().any(|rule| rule.auth.contains(&Method::Session)) => {
                self.sessions.find(token).await
            }
            _ => Ok(None),
        }
    }
}
