//! Access tokens from outside: what is taken for one and what is not (J-01, J-02, J-09, J-11, J-20, J-21).

use std::env;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::accounts::{Pair, bearer, get, open, opens, refused, tokens, try_refresh};
use crate::harness::{Gateway, Setup, Trial};

const RULES: &str = "
  - { path: /public/**, allow: anyone }
  - { path: /program/**, auth: [jwt], allow: signed_in }
  - { path: /both/**, auth: [session, jwt], allow: signed_in }
  - { path: /app/**, allow: signed_in }
";

/// Verifies an access token as a service would that knows only our key set; prints its claims.
const PYTHON: &str = "
import json, sys, jwt
token, keys, algorithm, issuer = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], sys.argv[4]
head = jwt.get_unverified_header(token)
assert (head['typ'], head['alg']) == ('at+jwt', algorithm), head
key = next(jwt.PyJWK(k) for k in keys['keys'] if k['kid'] == head['kid'])
required = ['exp', 'iat', 'aud', 'iss', 'sub', 'jti', 'client_id']
claims = jwt.decode(token, key.key, algorithms=[algorithm], audience=issuer, issuer=issuer, options={'require': required})
print(json.dumps(claims))
";

fn gateway() -> Gateway {
    open("").rules(RULES).start()
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A trial whose twin is a request with a good token, and the token.
fn with_twin<'a>(gateway: &'a Gateway, id: &str) -> (Trial<'a>, Pair) {
    let pair = tokens(gateway, "alice");
    let mut trial = Trial::new(gateway, id);
    trial.allowed(trial.get("/program/x", &pair.line()));
    (trial, pair)
}

/// Refused at a rule and by our own API.
fn is_none(gateway: &Gateway, trial: &mut Trial<'_>, line: &str) {
    for path in ["/program/x", "/both/x"] {
        let answer = trial.denied(trial.get(path, line), "");
        assert_eq!(answer.status, 401, "{line}");
        let asked = answer.header("www-authenticate").unwrap();
        // The first, and alone on its line: many clients read nothing else.
        assert!(
            asked.starts_with("Bearer ") && !asked.contains(", Session"),
            "{asked}"
        );
    }
    let answer = get(gateway, "/auth/me", line);
    assert_eq!(answer.status, 401, "{line}: {}", answer.text());
    assert!(
        answer
            .header("www-authenticate")
            .unwrap()
            .contains("Bearer realm=")
    );
}

#[test]
fn j_01_what_is_no_token_and_where_none_is_looked_for() {
    let gateway = gateway();
    let (mut trial, pair) = with_twin(&gateway, "J-01");
    let good = &pair.access;
    for line in [
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer \r\n".to_owned(),
        "Authorization: Bearer nonsense\r\n".to_owned(),
        format!("Authorization: Bearer  {good}\r\n"),
        format!("Authorization: Bearer {good} {good}\r\n"),
        format!("Authorization: Bearer {good},{good}\r\n"),
        format!("Authorization: Bearer\t{good}\r\n"),
        format!("Authorization: Bearer:{good}\r\n"),
        format!("Authorization: Bearer \"{good}\"\r\n"),
        format!("{0}{0}", pair.line()),
        format!("Authorization: Basic YTpi\r\n{}", pair.line()),
        format!("{}Authorization: Basic YTpi\r\n", pair.line()),
    ] {
        is_none(&gateway, &mut trial, &line);
    }
    // The scheme has no letter case.
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        let line = format!("Authorization: {scheme} {good}\r\n");
        trial.served(&trial.get("/program/x", &line));
        assert!(opens(&gateway, &line), "{scheme}");
    }
    // Not in the query, not in a body, not in a cookie.
    let answer = trial.denied(trial.get(format!("/program/x?access_token={good}"), ""), "");
    assert_eq!(
        answer.header("www-authenticate").unwrap(),
        "Bearer realm=\"portcullis\""
    );
    trial.denied(
        trial.get("/program/x", &format!("Cookie: portcullis={good}\r\n")),
        "",
    );
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    trial.denied(
        trial.post("/program/x", form, &format!("access_token={good}")),
        "",
    );
    assert_eq!(
        get(&gateway, &format!("/auth/me?access_token={good}"), "").status,
        401
    );
}

#[test]
fn j_02_j_09_no_other_algorithm_and_no_other_token() {
    let gateway = gateway();
    let (mut trial, pair) = with_twin(&gateway, "J-02");
    let parts: Vec<&str> = pair.access.split('.').collect();
    for alg in ["none", "None", "nOnE", "HS256", ""] {
        let head = part(&json!({ "alg": alg, "typ": "at+jwt" }));
        for signature in ["", parts[2], "AAAA"] {
            let forged = format!("{head}.{}.{signature}", parts[1]);
            is_none(&gateway, &mut trial, &bearer(&forged));
        }
    }
    let without = part(&json!({ "typ": "at+jwt" }));
    for forged in [
        format!("{without}.{}.", parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
    ] {
        is_none(&gateway, &mut trial, &bearer(&forged));
    }
    // The refresh token, the session's cookie and the assertion are none; and the access token is none of them.
    let cookie = gateway.login("alice");
    let seen = trial
        .served(&trial.get("/app/x", &format!("Cookie: {cookie}\r\n")))
        .0;
    let assertion = seen.value("X-Auth-Assertion").unwrap();
    for other in [&pair.refresh, cookie.split_once('=').unwrap().1, &assertion] {
        is_none(&gateway, &mut trial, &bearer(other));
    }
    for other in [&pair.access, &assertion, cookie.split_once('=').unwrap().1] {
        refused(&try_refresh(&gateway, other), 401, "INVALID_REFRESH_TOKEN");
    }
    trial.denied(
        trial.get(
            "/app/x",
            &format!("Cookie: portcullis={}\r\n", pair.refresh),
        ),
        "",
    );
    assert_eq!(try_refresh(&gateway, &pair.refresh).status, 200);
}

#[test]
fn j_11_long_tokens_are_not_read() {
    let gateway = gateway();
    let (mut trial, pair) = with_twin(&gateway, "J-11");
    let head = pair.access.split('.').next().unwrap();
    let nested = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    for token in [
        format!("{}{}", pair.access, "A".repeat(8 * 1024)),
        format!("{head}.{}.AAAA", URL_SAFE_NO_PAD.encode(nested)),
        "A".repeat(16 * 1024),
    ] {
        is_none(&gateway, &mut trial, &bearer(&token));
    }
    // Longer than a head may be.
    trial.malformed(
        trial.get("/program/x", &bearer(&"A".repeat(1 << 20))),
        &[431],
    );
}

#[test]
fn j_20_a_token_is_the_whole_of_it() {
    let gateway = gateway();
    let (mut trial, pair) = with_twin(&gateway, "J-20");
    let flip = |text: &str, at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let swap = |text: &str| {
        let swapped = text.chars().map(|c| match c {
            'a'..='z' => c.to_ascii_uppercase(),
            'A'..='Z' => c.to_ascii_lowercase(),
            other => other,
        });
        swapped.collect::<String>()
    };
    let good = &pair.access;
    for at in [0, good.find('.').unwrap() + 5, good.len() - 3] {
        is_none(&gateway, &mut trial, &bearer(&flip(good, at)));
    }
    let cut = |text: &str| text[..text.len() - 1].to_owned();
    for other in [
        cut(good),
        format!("{good}A"),
        format!("{good}="),
        swap(good),
    ] {
        is_none(&gateway, &mut trial, &bearer(&other));
    }
    let refresh = &pair.refresh;
    for other in [
        cut(refresh),
        format!("{refresh}A"),
        format!("{refresh}="),
        format!(" {refresh}"),
        refresh[..20].to_owned(),
        swap(refresh),
        flip(refresh, 7),
        String::new(),
    ] {
        refused(&try_refresh(&gateway, &other), 401, "INVALID_REFRESH_TOKEN");
    }
    assert_eq!(try_refresh(&gateway, refresh).status, 200);
}

/// The claims that `PyJWT` reads, if it believes the token; `None` when this machine has no `PyJWT`.
fn in_python(token: &str, keys: &Value, algorithm: &str) -> Option<Result<Value, String>> {
    let python = env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = |arguments: &[&str]| Command::new(&python).args(arguments).output().ok();
    run(&["-c", "import jwt, cryptography"]).filter(|output| output.status.success())?;
    let keys = keys.to_string();
    let output = run(&["-c", PYTHON, token, &keys, algorithm, "http://localhost"])?;
    let failed = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(serde_json::from_slice(&output.stdout).map_err(|_| failed))
}

#[test]
fn j_21_only_public_keys_are_published_and_they_verify() {
    for algorithm in ["ES256", "EdDSA", "RS256", "HS256"] {
        let setup = Setup::new().set("tokens", &format!("{{ algorithm: {algorithm} }}"));
        let gateway = setup.rules(RULES).start();
        let pair = tokens(&gateway, "alice");
        assert!(pair.opens(&gateway), "{algorithm}");
        let answer = get(&gateway, "/auth/jwks.json", "");
        assert_eq!(answer.status, 200);
        assert!(answer.header("cache-control").unwrap().contains("max-age="));
        let keys = answer.json();
        let all = keys["keys"].as_array().unwrap();
        // One signs assertions; a symmetric key has no half to publish.
        let count = if algorithm == "HS256" { 1 } else { 2 };
        assert_eq!(all.len(), count, "{algorithm}: {keys}");
        for key in all {
            for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
                assert_eq!(key.get(private), None, "{algorithm}: {private}");
            }
            assert_ne!(key["kty"], "oct", "{algorithm}");
            assert!(key["kid"].is_string() && key["use"] == "sig", "{key}");
        }
        if algorithm == "HS256" {
            continue;
        }
        if let Some(read) = in_python(&pair.access, &keys, algorithm) {
            let claims = read.unwrap();
            let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
            assert_eq!(life, 1_800, "{claims}");
            assert!(!claims.to_string().contains("alice"), "{claims}");
            let cut = &pair.access[..pair.access.len() - 8];
            assert!(in_python(cut, &keys, algorithm).unwrap().is_err());
        }
    }
}
