//! What is taken for a token of ours, and what is not.

use super::*;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const SITE: &str = "https://app.test";

fn key(algorithm: Algorithm) -> AccessKey {
    let made = algorithm.generate(&Random::seeded(1)).unwrap();
    AccessKey::new(algorithm, &made).unwrap()
}

fn claims() -> AccessClaims {
    AccessClaims {
        iss: SITE.into(),
        aud: SITE.into(),
        sub: "s".into(),
        client_id: "portcullis".into(),
        sid: "sid".into(),
        jti: "j".into(),
        iat: NOW.seconds(),
        exp: NOW.seconds() + 1800,
    }
}

fn part(value: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn every_algorithm_signs_and_verifies_and_shows_only_its_public_half() {
    for (word, algorithm) in Algorithm::ALL {
        let key = key(algorithm);
        let token = key.sign(&claims()).unwrap();
        assert_eq!(
            key.verify(token.expose(), SITE, NOW),
            Ok(claims()),
            "{word}"
        );
        let published = key.public().map(|jwk| serde_json::to_value(jwk).unwrap());
        assert_eq!(published.is_none(), algorithm == Algorithm::Hs256, "{word}");
        for private in ["d", "p", "q", "k"] {
            assert!(
                published.iter().all(|jwk| jwk.get(private).is_none()),
                "{word}"
            );
        }
    }
}

#[test]
fn j_07_j_08_times_issuers_and_audiences_are_exact() {
    let key = key(Algorithm::Es256);
    let token = key.sign(&claims()).unwrap();
    let good = |issuer, seconds: u64| {
        let at = NOW.plus(std::time::Duration::from_secs(seconds));
        key.verify(token.expose(), issuer, at).is_ok()
    };
    let ahead = AccessClaims {
        iat: NOW.seconds() + 300,
        ..claims()
    };
    let ahead = key.sign(&ahead).unwrap();
    assert!(key.verify(ahead.expose(), SITE, NOW).is_ok());
    assert!(good(SITE, 1799));
    assert!(!good(SITE, 1800));
    for other in [
        "https://app.test/",
        "https://APP.test",
        "https://evil.test",
        "",
    ] {
        assert!(!good(other, 0), "{other:?}");
    }
    for wrong in [
        AccessClaims {
            aud: "web".into(),
            ..claims()
        },
        AccessClaims {
            iss: "https://evil.test".into(),
            ..claims()
        },
        // G-11: signed while the clock was ahead, which also has its end too late.
        AccessClaims {
            iat: NOW.seconds() + 301,
            ..claims()
        },
        AccessClaims {
            iat: i64::MAX,
            exp: i64::MAX,
            ..claims()
        },
    ] {
        let token = key.sign(&wrong).unwrap();
        assert_eq!(
            key.verify(token.expose(), SITE, NOW),
            Err(NotAccess),
            "{wrong:?}"
        );
    }
}

#[test]
fn j_02_to_j_06_no_header_but_ours_is_read() {
    let key = key(Algorithm::Hs256);
    let good = key.sign(&claims()).unwrap().expose().clone();
    let (first, rest) = good.split_once('.').unwrap();
    let (body, _) = rest.split_once('.').unwrap();
    for header in [
        json!({"alg": "none", "typ": "at+jwt"}),
        json!({"alg": "nOnE", "typ": "at+jwt"}),
        json!({"typ": "at+jwt"}),
        json!({"typ": "at+jwt", "alg": "HS256", "kid": "../../etc/passwd"}),
        json!({"typ": "at+jwt", "alg": "HS256", "crit": ["x"]}),
        json!({"typ": "JWT", "alg": "HS256"}),
        json!({"typ": "at+jwt", "alg": "HS384"}),
    ] {
        let encoded = part(&header);
        assert_ne!(encoded, first);
        let message = format!("{encoded}.{body}");
        let signature = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &key.encoding,
            jsonwebtoken::Algorithm::HS256,
        )
        .unwrap();
        let token = format!("{message}.{signature}");
        assert_eq!(key.verify(&token, SITE, NOW), Err(NotAccess), "{header}");
    }
    let odd = [
        String::new(),
        format!("{first}."),
        format!("{first}.{body}"),
        format!("{first}.{body}."),
        format!("{good}."),
        format!("{good}A"),
        format!(" {good}"),
        good[..good.len() - 1].to_owned(),
        format!("{good}{}", "A".repeat(MAX_BYTES)),
    ];
    for token in odd {
        assert_eq!(key.verify(&token, SITE, NOW), Err(NotAccess), "{token:?}");
    }
}

#[test]
fn j_10_claims_come_once_and_in_their_own_type() {
    let key = key(Algorithm::Es256);
    let mut cases = vec![(json!(claims()).to_string(), true)];
    let changed = |name: &str, value: serde_json::Value| {
        let mut claims = json!(claims());
        claims[name] = value;
        (claims.to_string(), false)
    };
    cases.push(changed("exp", json!("1800000000")));
    cases.push(changed("exp", json!(1.8e9)));
    cases.push(changed("exp", json!(-1)));
    cases.push(changed("exp", json!(null)));
    cases.push(changed("sid", json!(7)));
    let twice = json!(claims()).to_string();
    cases.push((twice.replacen('{', r#"{"sub":"other","#, 1), false));
    for (body, good) in cases {
        let message = format!("{}.{}", key.first, URL_SAFE_NO_PAD.encode(&body));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key.encoding, key.algorithm.jose())
                .unwrap();
        let token = format!("{message}.{signature}");
        assert_eq!(key.verify(&token, SITE, NOW).is_ok(), good, "{body}");
    }
}
