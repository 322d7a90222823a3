//! Form tokens against cross-site requests: a MAC over the visitor's flow cookie.
//!
//! The cookie is `HttpOnly` and host-bound; another site can neither read it nor compute its MAC, so a form
//! that carries the right token was served by us to this very browser (OWASP: signed double submit).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::key::{GatewayKey, Purpose};
use crate::base::token::Token;

/// The token for a form served to the bearer of `flow`.
#[must_use]
pub fn form_token(key: &GatewayKey, flow: &Token) -> String {
    let tag = hmac::sign(&key.mac(Purpose::Csrf), flow.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(tag)
}

/// Whether a submitted form carries the token of the flow cookie that came with it. In constant time.
#[must_use]
pub fn verify(key: &GatewayKey, flow: &Token, submitted: &str) -> bool {
    match URL_SAFE_NO_PAD.decode(submitted) {
        Ok(tag) => hmac::verify(&key.mac(Purpose::Csrf), flow.expose().as_bytes(), &tag).is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    #[test]
    fn c_14_a_token_is_good_for_its_own_cookie_only() {
        let random = Random::seeded(2);
        let key = GatewayKey::generate(&random).unwrap();
        let (flow, other) = (
            Token::generate(&random).unwrap(),
            Token::generate(&random).unwrap(),
        );
        let token = form_token(&key, &flow);
        assert!(verify(&key, &flow, &token));
        assert!(!verify(&key, &other, &token));
        for bad in ["", "x", &token[1..], &format!("{token}A")] {
            assert!(!verify(&key, &flow, bad), "{bad:?}");
        }
    }
}
