//! What a session id is, and what is stored and sent of it: C-09, C-10, C-12, C-13.

use std::collections::BTreeSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::harness::dice::{self, Dice};
use crate::harness::gateway::session_cookie;
use crate::harness::setup::password;
use crate::harness::{Gateway, Setup, Trial, holds};
use crate::sessions::{IDENTITY, as_alice, value_of};

#[test]
fn c_09_ids_are_256_random_bits_and_stored_as_their_hash() {
    let gateway = Setup::new().on_sqlite().start();
    let tokens: BTreeSet<String> = (0..30)
        .map(|_| value_of(&gateway.login("alice")).to_owned())
        .collect();
    assert_eq!(tokens.len(), 30, "a token came twice");
    let stored = stored_bytes(&gateway);
    let mut ones = 0;
    for token in &tokens {
        let bits = URL_SAFE_NO_PAD.decode(token).unwrap();
        assert_eq!(bits.len(), 32, "{token}");
        ones += bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
        let hashes = [Sha256::digest(token), Sha256::digest(&bits)];
        let kept = hashes
            .iter()
            .any(|hash| holds(&stored, hash) || holds(&stored, hex::encode(hash).as_bytes()));
        assert!(kept, "not stored as SHA-256");
    }
    // 7680 fair coins: half of them, give or take eleven standard deviations.
    assert!((3_360..4_320).contains(&ones), "{ones} of 7680 bits set");
}

#[test]
fn c_10_a_stolen_database_opens_nothing() {
    let gateway = Setup::new().on_sqlite().start();
    let cookies = [gateway.login("alice"), gateway.login("root")];
    let stored = stored_bytes(&gateway);
    // The right file: it knows who there is.
    assert!(holds(&stored, b"alice@example.test"));
    assert!(holds(&stored, b"$argon2id$"));
    for cookie in &cookies {
        let token = value_of(cookie);
        let bits = URL_SAFE_NO_PAD.decode(token).unwrap();
        for secret in [
            token.as_bytes(),
            &bits,
            hex::encode(&bits).as_bytes(),
            &token.as_bytes()[..22],
        ] {
            assert!(!holds(&stored, secret), "a session id is in the database");
        }
    }
    for name in ["alice", "root"] {
        assert!(!holds(&stored, password(name).as_bytes()), "a password");
    }
    // What is stored is no cookie either.
    let mut trial = as_alice(&gateway, "C-10");
    let hash = Sha256::digest(URL_SAFE_NO_PAD.decode(value_of(&cookies[0])).unwrap());
    let text = Sha256::digest(value_of(&cookies[0]));
    for stolen in [hash, text] {
        let line = format!("Cookie: portcullis={}\r\n", URL_SAFE_NO_PAD.encode(stolen));
        trial.denied(trial.get("/app/x", &line), "");
    }
    let log = gateway.log();
    assert!(
        cookies.iter().all(|cookie| !log.contains(value_of(cookie))),
        "in the log"
    );
}

/// Every byte that the store has on disk, its side files included.
fn stored_bytes(gateway: &Gateway) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(gateway.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("portcullis.db") {
            all.extend(fs::read(path).unwrap());
        }
    }
    all
}

#[test]
fn c_12_cookie_fuzz() {
    let gateway = Gateway::shared();
    let mut trial = as_alice(gateway, "C-12");
    let token = value_of(&gateway.cookie("alice")).to_owned();
    let mut values: Vec<Vec<u8>> = [
        "",
        "=",
        ";",
        ";;;;;;",
        "portcullis",
        "portcullis=",
        "portcullis==",
        "=portcullis",
        "portcullis=\"\"",
        "portcullis=null",
        "portcullis=undefined",
        "portcullis=' or 1=1 --",
        "portcullis=%00",
        "portcullis=../../etc/passwd",
        "portcullis=\u{fffd}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    values.push(format!("portcullis=\"{token}\"").into_bytes());
    values.push(format!("portcullis={token}=").into_bytes());
    values.push(format!("portcullis={token}x").into_bytes());
    values.push(format!("portcullis={}", &token[..42]).into_bytes());
    values.push(format!("portcullis={}", swap_case(&token)).into_bytes());
    values.push(format!("portcullis={token},x=y").into_bytes());
    values.push(format!("portcullis, ={token}").into_bytes());
    values.push(b"portcullis=\xff\xfe\x80".to_vec());
    values.push(format!("portcullis={}", "x".repeat(8 * 1024)).into_bytes());
    values.push(format!("portcullis={}", token.repeat(100)).into_bytes());
    let many: Vec<String> = (0..200).map(|n| format!("c{n}=v{n}")).collect();
    values.push(many.join("; ").into_bytes());
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    values.extend((0..60).map(|_| random_cookie(&mut dice, &token)));
    for value in values {
        judge_odd_cookie(&mut trial, &value, seed);
    }
}

/// Anonymous where signing in is asked, without identity where it is not, and never an error of ours.
fn judge_odd_cookie(trial: &mut Trial<'_>, value: &[u8], seed: u64) {
    let shown = String::from_utf8_lossy(value).into_owned();
    let with = |target: &str| {
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\n{}Cookie: ",
            trial.line()
        );
        [head.as_bytes(), value, b"\r\n\r\n"].concat()
    };
    let (app, public) = (with("/app/x"), with("/public/x"));
    let answer = trial.refused(app).answer.expect("no answer");
    let fits = answer.status == 400 || answer.denies_anonymous();
    assert!(fits, "seed {seed}: {} to {shown:?}", answer.status);
    if answer.status == 400 {
        return;
    }
    let (seen, _) = trial.served(&public);
    for name in IDENTITY {
        assert_eq!(seen.values(name), [""; 0], "seed {seed}: {shown:?}");
    }
}

/// Bytes that a field value may have, around pieces of a good cookie; never the good cookie itself.
fn random_cookie(dice: &mut Dice, token: &str) -> Vec<u8> {
    let half = &token.as_bytes()[..21];
    let pieces: [&[u8]; 14] = [
        b"portcullis=",
        b"portcullis",
        half,
        b";",
        b"; ",
        b"=",
        b"\"",
        b"\\",
        b",",
        b" ",
        b"\t",
        b"\xc3\xa9",
        b"\xff",
        b"%",
    ];
    let length = 1 + dice.roll(12);
    (0..length)
        .flat_map(|_| dice.pick(&pieces).to_vec())
        .collect()
}

fn swap_case(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

#[test]
fn c_13_the_cookie_stays_small_whatever_somebody_may() {
    let roles: Vec<String> = (0..200).map(|n| format!("department-{n:03}")).collect();
    let yaml: Vec<String> = roles.iter().map(|role| format!("{role}: []")).collect();
    let gateway = Setup::new()
        .set(
            "roles",
            &format!("{{ user: [], admin: [user], {} }}", yaml.join(", ")),
        )
        .user("many", &roles.join(","))
        .start();
    let answer = gateway.try_login("many", &password("many"));
    for cookie in answer.values("set-cookie") {
        let pair = cookie.split(';').next().unwrap();
        assert!(pair.len() <= 4_096, "{} bytes", pair.len());
    }
    let mut trial = Trial::new(&gateway, "C-13");
    let line = format!("Cookie: {}\r\n", session_cookie(&answer));
    let seen = trial.allowed(trial.get("/app/x", &line));
    let held = seen.value("x-auth-roles").unwrap();
    assert!(held.contains("department-199"), "{held}");
}
