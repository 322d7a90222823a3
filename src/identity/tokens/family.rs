//! The end of a family of refresh tokens: all that one login was given, one after the other.

use super::{RefreshRefusal, Tokens};
use crate::base::id::PublicId;
use crate::identity::IdentityFault;
use crate::identity::session::Live;

impl Tokens {
    /// A used token came back.
    pub(super) async fn end_family(
        &self,
        sid: PublicId,
        live: &Live,
    ) -> Result<RefreshRefusal, IdentityFault> {
        let sessions = &self.0.sessions;
        let ended = sessions.end_of_tokens(sid).await;
        sessions.end_moves(live.identity.id).await?;
        ended?;
        tracing::warn!(%sid, user = %live.identity.id, "a used refresh token came back: its session was ended");
        Ok(RefreshRefusal::Reused)
    }
}
