//! The signed assertion a service can check for itself (H-18).

use std::collections::HashSet;
use std::env;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::harness::{Gateway, Recorder, Setup, Trial, marker};

const TYPE: &str = "portcullis-assertion+jwt";

/// The reference verifier in another language; prints the claims, or fails.
const PYTHON: &str = "
import json, sys, jwt
token, keys, audience = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
head = jwt.get_unverified_header(token)
assert head['typ'] == 'portcullis-assertion+jwt', head
assert head['alg'] == 'ES256', head
key = next(jwt.PyJWK(k) for k in keys['keys'] if k['kid'] == head['kid'])
claims = jwt.decode(token, key.key, algorithms=['ES256'], audience=audience, options={'require': ['exp', 'iat', 'aud', 'iss', 'sub']})
print(json.dumps(claims))
";

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn keys(gateway: &Gateway) -> Value {
    let answer = gateway.ask("GET /auth/jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status, 200);
    answer.json()
}

/// The claims, if the token is good for this audience.
fn verify(token: &str, keys: &Value, audience: &str) -> Result<Value, String> {
    let head = decode_header(token).map_err(|error| error.to_string())?;
    if (head.alg, head.typ.as_deref()) != (Algorithm::ES256, Some(TYPE)) {
        return Err(format!("{head:?}"));
    }
    let set: JwkSet = serde_json::from_value(keys.clone()).unwrap();
    let kid = head.kid.ok_or("no kid")?;
    let key = set
        .find(&kid)
        .ok_or_else(|| format!("{kid} is not published"))?;
    let key = DecodingKey::from_jwk(key).unwrap();
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&[audience]);
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    rules.leeway = 0;
    decode::<Value>(token, &key, &rules)
        .map(|token| token.claims)
        .map_err(|error| error.to_string())
}

/// The same by `PyJWT`; `None` when this machine has none.
fn verify_in_python(token: &str, keys: &Value, audience: &str) -> Option<bool> {
    let python = env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = |arguments: &[&str]| Command::new(&python).args(arguments).output().ok();
    run(&["-c", "import jwt, cryptography"]).filter(|output| output.status.success())?;
    let output = run(&["-c", PYTHON, token, &keys.to_string(), audience])?;
    Some(output.status.success())
}

/// The assertion that the service gets for alice at `target`.
fn assertion(gateway: &Gateway, recorder: &Recorder, target: &str) -> String {
    let mark = marker("H-18");
    let alice = gateway.as_user("alice");
    let answer = gateway.ask(format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Marker: {mark}\r\n{alice}\r\n"
    ));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &recorder.wait_for(&mark, 1)[0];
    seen.value("X-Auth-Assertion").expect("an assertion")
}

#[test]
fn h_18_the_assertion_says_who_and_to_whom() {
    let gateway = Gateway::shared();
    let token = assertion(gateway, gateway.recorder(), "/app/x");
    let keys = keys(gateway);
    let claims = verify(&token, &keys, "web").unwrap();
    let (issued, expires) = (
        claims["iat"].as_u64().unwrap(),
        claims["exp"].as_u64().unwrap(),
    );
    assert!(expires - issued <= 60, "{claims}");
    assert!(
        issued <= now() + 1 && expires <= now() + 60 && expires > now(),
        "{claims}"
    );
    assert!(
        claims["sub"]
            .as_str()
            .is_some_and(|subject| !subject.is_empty()),
        "{claims}"
    );
    assert!(claims.to_string().contains("alice"), "{claims}");
    let reference = verify_in_python(&token, &keys, "web");
    assert_ne!(reference, Some(false), "PyJWT disagrees");
    // A published key is public, and says what it is for.
    for key in keys["keys"].as_array().unwrap() {
        assert_eq!(key.get("d"), None, "a private key is published");
        assert_eq!((&key["kty"], &key["crv"]), (&"EC".into(), &"P-256".into()));
    }
}

#[test]
fn h_18_not_for_another_service() {
    let other = Recorder::start();
    let setup = Setup::new();
    let rules = "
  - { path: /other/**, to: other, allow: signed_in }
  - { path: /public/**, allow: anyone }
  - { path: /app/**, allow: signed_in }
";
    let address = format!("{{ to: \"{}\" }}", other.url());
    let gateway = setup.upstream("other", &address).rules(rules).start();
    Trial::with_plain_twin(&gateway, "H-18");
    let keys = keys(&gateway);
    let web = assertion(&gateway, gateway.recorder(), "/app/x");
    let theirs = assertion(&gateway, &other, "/other/x");
    assert!(verify(&web, &keys, "web").is_ok());
    assert!(verify(&theirs, &keys, "other").is_ok());
    for (token, audience) in [(&web, "other"), (&theirs, "web")] {
        assert!(verify(token, &keys, audience).is_err());
        assert_ne!(verify_in_python(token, &keys, audience), Some(true));
    }
    // Signed once per session and upstream, and reused while it is young.
    assert_eq!(assertion(&gateway, gateway.recorder(), "/app/y"), web);
    // Sent back to the gate it opens nothing, and is not passed on.
    let mut trial = Trial::with_plain_twin(&gateway, "H-18-replay");
    for line in [
        format!("X-Auth-Assertion: {web}\r\n"),
        format!("Authorization: Bearer {web}\r\n"),
        format!("Cookie: portcullis={web}\r\n"),
    ] {
        trial.denied(trial.get("/app/x", &line), "");
    }
    let seen = trial.allowed(trial.get("/public/x", &format!("X-Auth-Assertion: {web}\r\n")));
    assert_eq!(seen.values("X-Auth-Assertion"), [""; 0]);
}

#[test]
fn h_18_altered_or_unsigned() {
    let gateway = Gateway::shared();
    let token = assertion(gateway, gateway.recorder(), "/app/x");
    let keys = keys(gateway);
    let parts: Vec<&str> = token.split('.').collect();
    let root = "eyJhdWQiOiJ3ZWIiLCJzdWIiOiJyb290IiwiaXNzIjoieCIsImV4cCI6NDEwMjQ0NDgwMCwiaWF0IjoxfQ";
    let none = "eyJhbGciOiJub25lIiwidHlwIjoicG9ydGN1bGxpcy1hc3NlcnRpb24rand0In0";
    for forged in [
        format!("{}.{root}.{}", parts[0], parts[2]),
        format!("{none}.{}.", parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86)),
    ] {
        assert!(verify(&forged, &keys, "web").is_err(), "{forged}");
        assert_ne!(
            verify_in_python(&forged, &keys, "web"),
            Some(true),
            "{forged}"
        );
    }
    assert!(verify(&token, &keys, "web").is_ok());
}

#[test]
fn h_18_two_sessions_two_tokens() {
    let gateway = Gateway::shared();
    let mut seen = HashSet::new();
    for user in ["alice", "root"] {
        let mut trial = Trial::new(gateway, "H-18-two");
        let request = trial.get("/app/x", &gateway.as_user(user));
        let token = trial.allowed(request).value("X-Auth-Assertion").unwrap();
        let claims = verify(&token, &keys(gateway), "web").unwrap();
        assert!(
            seen.insert(claims["sub"].clone()),
            "one subject for two users"
        );
    }
    let mut trial = Trial::new(gateway, "H-18-off");
    let seen = trial.allowed(trial.get("/public/x", ""));
    assert_eq!(seen.values("X-Auth-Assertion"), [""; 0]);
}

#[test]
fn h_18_switched_off() {
    let gateway = Setup::new().set("identity", "{ assertion: false }").start();
    let mut trial = Trial::new(&gateway, "H-18-false");
    let request = trial.get(
        "/app/x",
        &format!("X-Auth-Assertion: spoofed\r\n{}", gateway.as_user("alice")),
    );
    let seen = trial.allowed(request);
    assert_eq!(seen.values("X-Auth-User"), ["alice"]);
    assert!(!seen.mentions("spoofed"), "{}", seen.text());
}
