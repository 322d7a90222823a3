//! The signature of Standard Webhooks 1.0 (<https://www.standardwebhooks.com>): HMAC-SHA-256 over id, time and
//! body, so that none of them can be changed, nor an old message passed off as a new one.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::settings::HookSecret;

/// The value of `webhook-signature`.
pub(super) fn of(secret: &HookSecret, id: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification's own libraries are tested with.
    #[test]
    fn signs_as_the_specification_does() {
        let secret: HookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = of(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_have_one_spelling_and_a_length() {
        let encoded = |length| format!("whsec_{}", STANDARD.encode(vec![7_u8; length]));
        for length in [24, 32, 64] {
            assert!(encoded(length).parse::<HookSecret>().is_ok(), "{length}");
        }
        for bad in [
            &encoded(23),
            &encoded(65),
            "whsec_",
            "hunter2",
            &encoded(32)[6..],
            "whsec_???",
        ] {
            assert!(bad.parse::<HookSecret>().is_err(), "{bad}");
        }
    }
}
