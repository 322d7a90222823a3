//! What a refresh token looks like.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::base::id::PublicId;
use crate::base::secret::Secret;
use crate::base::token::Token;

/// A refresh token. Its text is `SECRET.SID.TAG`: what is looked up, whose family it is of, and a MAC over both, so that
/// nobody ends a family by naming it.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    pub(super) secret: Token,
    pub(super) sid: PublicId,
    text: Secret<String>,
}

impl RefreshToken {
    /// A token of this family.
    pub(super) fn new(secret: Token, sid: PublicId, key: &hmac::Key) -> Self {
        let said = said(&secret, sid);
        let tag = hmac::sign(key, said.as_bytes());
        let text = Secret::new(format!("{said}.{}", URL_SAFE_NO_PAD.encode(tag)));
        Self { secret, sid, text }
    }

    /// A token that was made under this key.
    pub(super) fn read(text: &str, key: &hmac::Key) -> Option<Self> {
        let (whole, tag) = text.rsplit_once('.')?;
        let (secret, sid) = whole.split_once('.')?;
        let (secret, sid) = (Token::parse(secret).ok()?, sid.parse().ok()?);
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(key, said(&secret, sid).as_bytes(), &tag).ok()?;
        let text = Secret::new(text.to_owned());
        Some(Self { secret, sid, text })
    }

    /// What the program is given.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

/// What the MAC of a refresh token is over. Never a secret alone: of that, the MAC is the successor.
fn said(secret: &Token, sid: PublicId) -> String {
    format!("{}.{sid}", secret.expose())
}
