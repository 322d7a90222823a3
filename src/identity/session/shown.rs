//! What a certificate stands for that is shown with every request of a connection, and what it costs when it stands
//! for nobody: one look a second, which is how soon everything else that changes is felt.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quick_cache::sync::Cache;

use super::ends::Source;
use super::{Live, Sessions};
use crate::base::time::Timestamp;
use crate::base::token::TokenHash;
use crate::crypto::client::ClientCertificate;
use crate::identity::IdentityFault;

/// For how long a certificate that does not count is not looked at again, unless something ends meanwhile.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// Certificates that did not count a moment ago.
pub(super) type Refusals = Cache<TokenHash, Refusal>;

/// When one did not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    until: Timestamp,
    epoch: u64,
}

impl Refusal {
    fn is_fresh(&self, now: Timestamp) -> bool {
        // A clock that was set back must not make it last.
        now < self.until && self.until.since(now) <= REFUSED_FOR
    }
}

impl Sessions {
    /// What a certificate that was shown stands for: the account that it names, for as long as somebody vouches
    /// for it and the account may be used. It has no row; otherwise it is a session like others.
    ///
    /// # Errors
    /// As [`Sessions::find`].
    pub async fn find_certificate(
        &self,
        shown: &Arc<ClientCertificate>,
    ) -> Result<Option<Arc<Live>>, IdentityFault> {
        let (inner, hash) = (&self.0, shown.hash());
        let now = inner.clock.now();
        let known = inner.shown.get(&hash);
        if let Some(live) = known.filter(|live| live.is_fresh(now)) {
            return Ok(Some(live));
        }
        // Before anything is read: what ends meanwhile makes it be read again.
        let epoch = inner.epoch.load(Ordering::Acquire);
        let refused = inner.refused.get(&hash);
        if refused.is_some_and(|refused| refused.epoch == epoch && refused.is_fresh(now)) {
            return Ok(None);
        }
        let found = Box::pin(self.load(&Source::Certificate(Arc::clone(shown)), now)).await?;
        if found.is_none() {
            let until = now.plus(REFUSED_FOR);
            inner.refused.insert(hash, Refusal { until, epoch });
        }
        Ok(found)
    }
}
