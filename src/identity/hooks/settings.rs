//! What hooks need to know of the file.

use std::collections::BTreeSet;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::base::secret::Secret;
use crate::outbound::Reach;

use super::event::Topic;

/// One entry of `hooks:`.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its name in the file.
    pub name: String,
    /// Where it is told.
    pub url: Url,
    /// What the signature is made with.
    pub secret: HookSecret,
    /// What it wants to be told.
    pub topics: BTreeSet<Topic>,
    /// Whether its host may be on a private network.
    pub reach: Reach,
}

/// A secret as Standard Webhooks writes it: `whsec_` and 24 to 64 bytes in base64.
#[derive(Clone, Debug)]
pub struct HookSecret(Secret<Vec<u8>>);

/// The text is no such secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hook's secret is whsec_ and 24 to 64 bytes in base64")]
pub struct NotASecret;

impl Hook {
    /// Whether it wants to be told.
    #[must_use]
    pub fn wants(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }
}

impl HookSecret {
    /// The bytes.
    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl FromStr for HookSecret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let encoded = text.trim().strip_prefix("whsec_").ok_or(NotASecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NotASecret)?;
        if (24..=64).contains(&bytes.len()) {
            Ok(Self(Secret::new(bytes)))
        } else {
            Err(NotASecret)
        }
    }
}
