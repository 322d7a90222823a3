//! Hashes that passlib 1.7.4, Django 5.2 and pwdlib 0.3 made of known passwords, and texts that are none.

use super::*;
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::crypto::password::{Password, Settings, is_outdated};

const ASCII: &str = "correct horse battery";
const COMPOSED: &str = "zo\u{eb} gr\u{fc}n \u{1f40e}";
/// As some keyboards send it, and as it was hashed where nobody normalised.
const DECOMPOSED: &str = "zoe\u{308} gru\u{308}n \u{1f40e}";
const LONG: &str =
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// Who wrote it, of what, and what.
const VECTORS: &[(&str, &str, &str)] = &[
    (
        "passlib bcrypt",
        ASCII,
        "$2b$04$E/vUcW7BOhQ5ONQwRgEYIOBnkbB7/vyx6J/p3QZuzKaKS5dZLqc7C",
    ),
    (
        "passlib bcrypt_sha256 v2",
        ASCII,
        "$bcrypt-sha256$v=2,t=2b,r=4$RgQXSSqU0Y9aqLdQU.B3cu$NOP/sEA2Wxqu0e5WY3WUmVczdusf/Z.",
    ),
    (
        "passlib bcrypt",
        COMPOSED,
        "$2b$04$mU4waXLIv7BDSUnLqH28ueeqovcb0dnvLEqyWj14/tW3IBWPo8lwy",
    ),
    (
        "passlib bcrypt_sha256 v2",
        COMPOSED,
        "$bcrypt-sha256$v=2,t=2b,r=4$hbrU5hfWx49VXsQ/.AoPie$L9LUYtj39PRuRPGskYKnQ/.rS.vJUUO",
    ),
    (
        "passlib bcrypt 2a",
        ASCII,
        "$2a$04$16bf6zBFbO7ShTsjtpl0leNUYGASffGx5r3K.PCDcNs1vsXScXtSe",
    ),
    (
        "passlib bcrypt 2y",
        ASCII,
        "$2y$04$1B.6c2K9vUgIbHuLUhWtruXaQouvrnCkekWhb12GVGYOMSA0ZHtke",
    ),
    (
        "passlib bcrypt_sha256 v1",
        ASCII,
        "$bcrypt-sha256$2a,4$1XrTXaZUnBOPA0XGwk.sSu$g6xb9dA6KuZDWoDB7LaAscHYoJkF4vu",
    ),
    (
        "passlib bcrypt_sha256 v1 2b",
        ASCII,
        "$bcrypt-sha256$2b,4$UVGtl3R8KA7mWNwYUZbxeO$1.rI2fWSkPx8GAG96Kb6FTp2IG7nsC6",
    ),
    (
        "passlib bcrypt long",
        LONG,
        "$2b$04$NzOU52LUonb1fF7ZaPMwB.OIxNXseity4covDbHEtRUxrfTh/AXli",
    ),
    (
        "passlib scrypt",
        ASCII,
        "$scrypt$ln=4,r=8,p=1$3/s/5zzn3HsPYaxVyhkDwA$pkZEE5LX+Pv8ew/KbC3bjPPADmP5E2s0+WUjfixfm3Y",
    ),
    (
        "passlib pbkdf2_sha256",
        ASCII,
        "$pbkdf2-sha256$1000$l3IOYUzJOYfwfk9pDQGAcA$ZzZAwryu7uTUebLYZmjRxa54b/g.wJdxE7adaXnD0jk",
    ),
    (
        "passlib pbkdf2_sha512",
        ASCII,
        "$pbkdf2-sha512$1000$vBdiTIlxzvlfK8UYAwDAOA$7jpOI1MPH7a1MwBEgnx6uCLV0UetXFQRPr4yxl8U.N7a1vomfj2Ol6RhxiJr0sCLKmdRgej0tZZ2iyHcwpsKkA",
    ),
    (
        "passlib pbkdf2_sha1",
        ASCII,
        "$pbkdf2$1000$s5byfg.hFCKE8F4LgRAipA$pa6afIpSbOXYUZW5nSs9cnDCmOM",
    ),
    (
        "passlib argon2",
        ASCII,
        "$argon2id$v=19$m=64,t=1,p=1$vlfqfY8RgjCmNIbQunfOmQ$7yytoUv+aqrydGKb2Ihugkq4D2Ins/6VFpPIhfsT2v0",
    ),
    (
        "passlib scrypt",
        COMPOSED,
        "$scrypt$ln=4,r=8,p=1$//9fK0XI2RujFCKE0Lo35g$Cld3Inl2qDMmIMc16ENoMX9A5eeEHwVWvJngJjRz1Sc",
    ),
    (
        "passlib pbkdf2_sha256",
        COMPOSED,
        "$pbkdf2-sha256$1000$UkrpXUuJEaL0/l/LmdO6Vw$dl.IoIixRohEhC2Ucs3sstxbXNoQpkHXlY6FYtLZsqI",
    ),
    (
        "passlib pbkdf2_sha512",
        COMPOSED,
        "$pbkdf2-sha512$1000$orR2TskZo1SqFWKMUYrRmg$DiPF.4z8cWSVepP1U/Lueg31n9mGByyNkfJCmDC.wbtnzMX0qverTi07YNvCLV0cTiLlbgY1Jhn1ohllJ9fcFg",
    ),
    (
        "passlib pbkdf2_sha1",
        COMPOSED,
        "$pbkdf2$1000$gtB6z/mfEwLA2DtnbC1FKA$OUihzJjIp1XOhsCCehpP4lCdpeg",
    ),
    (
        "passlib argon2",
        COMPOSED,
        "$argon2id$v=19$m=64,t=1,p=1$9/6fc27NWatVSonROofQ2g$3Q3NpqKo+C6bo/x9MTCcOK4v0QErFfh0zuPIE2Rm+HA",
    ),
    (
        "passlib argon2i",
        ASCII,
        "$argon2i$v=19$m=64,t=1,p=2$DoHQ+t/b27uXkjLm3BvjXA$CWbIBZw7fMfinrjAD0olbdVlIFU6W+ibqCUOQxAolF4",
    ),
    (
        "passlib argon2d",
        ASCII,
        "$argon2d$v=19$m=64,t=1,p=1$/T/H+D9HaC1lDMG4V2rN+Q$3Bybq6RwbY/xlSeRw++AMh8h/PRg8vEz+GmroUCJYiI",
    ),
    (
        "django PBKDF2",
        ASCII,
        "pbkdf2_sha256$1000$6IAt1ol0yqGdjflJGgxTzu$+EViLqIDAKclHKOVckVZmfjG5KTtxSRp6bIoTWLIenc=",
    ),
    (
        "django PBKDF2SHA1",
        ASCII,
        "pbkdf2_sha1$1000$KKHJ2OXkEDWbRW9IgHBLrT$KLv8KFCseLt7bMyYfB6tNzqlKIw=",
    ),
    (
        "django Argon2",
        ASCII,
        "argon2$argon2id$v=19$m=64,t=1,p=1$VlU5emExR3F2RTJ3bzFRak9mZkMzOQ$spEWhFJXdjylFyqKqFncaih8qQjpHqdz926AhEMp7vc",
    ),
    (
        "django BCryptSHA256",
        ASCII,
        "bcrypt_sha256$$2b$04$tcg8fxyg/Iz1GVGIjUodR.V9RCpCperV6Y3s8AARIennqA5QSYZzS",
    ),
    (
        "django BCrypt",
        ASCII,
        "bcrypt$$2b$04$48uSnR4OgdSnKRUrmIf9U.RuE23CN6py.KxOZ4IJbZyNM5jXoZX8q",
    ),
    (
        "django Scrypt",
        ASCII,
        "scrypt$64$4UWNZiQ6upPok1hNGueuIQ$8$5$WFpgDpzizIMwn3dv44M1Dcx9YhHlwXpbcdR0LkweWsYsLHZn5tIIOjCrt2IfDvoeCL9Ej0uRx9eFaP2kyuYGxQ==",
    ),
    (
        "django PBKDF2",
        COMPOSED,
        "pbkdf2_sha256$1000$4D3ug7IaDP6l6i9CjIFv1F$GJCy7zzIYkBh/Y5/QQitwcBlLQKjtLhixMeFO9DuHGo=",
    ),
    (
        "django PBKDF2SHA1",
        COMPOSED,
        "pbkdf2_sha1$1000$FUeBz9ZmfZZuw3Zt5YTBsn$SIjN/MRLmBrOag6u+FjTENxo9HI=",
    ),
    (
        "django Argon2",
        COMPOSED,
        "argon2$argon2id$v=19$m=64,t=1,p=1$bmhSRnFYWE1EQ09ndFBmbjJjU1FKTQ$BLr6Csjapg0iNhn/RfFUeRuXn/qLfGSi9iFxKzQRaFk",
    ),
    (
        "django BCryptSHA256",
        COMPOSED,
        "bcrypt_sha256$$2b$04$gilHQtR1XJks7zI6f4AuM.FxtdXj6EXFI8yYZj9eYjKQoFKzSbyoa",
    ),
    (
        "django BCrypt",
        COMPOSED,
        "bcrypt$$2b$04$ujmz05.ukJivVvproGkiROoGQCq1tkiH/LVq9qreLK0VeRVzHFz5i",
    ),
    (
        "django Scrypt",
        COMPOSED,
        "scrypt$64$HHMn0WDDtdO4sQ34LIvyxz$8$5$3/zVKZj39fW8+gAzcH0if3Guc9jwkNtg8q90WvYVgk3cK+S59Zk65xTjwq3bGRB3TjA7lCRvK6145kVlT9ZxMQ==",
    ),
    (
        "django PBKDF2",
        DECOMPOSED,
        "pbkdf2_sha256$1000$xK68u5vogUTtzmeEu2hXda$L92aR4c/x4U+1JS572lfixB23ceijjfcLOoElB65Smc=",
    ),
    (
        "django PBKDF2SHA1",
        DECOMPOSED,
        "pbkdf2_sha1$1000$9vmmObJMlqHFQC4tj5drIs$oo5dWiUQDWIh7aJ5ADg0gVuZJrY=",
    ),
    (
        "django Argon2",
        DECOMPOSED,
        "argon2$argon2id$v=19$m=64,t=1,p=1$cnZXblZZQW5DdDlyUzBKb2tlMExQUQ$a06djZ2XvYOzBBN69zV1r77Wsdcmx2qqse9A1rdhPgc",
    ),
    (
        "django BCryptSHA256",
        DECOMPOSED,
        "bcrypt_sha256$$2b$04$71vp9mI3UkUDJg8tHSoV2u0bCU.mB12vxXbeApyS3dsdqCsK3ZATa",
    ),
    (
        "django BCrypt",
        DECOMPOSED,
        "bcrypt$$2b$04$Bflksa.OsfLyLKbfi9Yf6.QCAjqudJyTVYzRTT6mwqqYk79N6iIAW",
    ),
    (
        "django Scrypt",
        DECOMPOSED,
        "scrypt$64$VtZ8JJ1gVXLbNq0fqiCm95$8$5$QX+ngWAcAtoA9lzgMTUrM4wen1LshelMN9vQtR2Hu1TlEiPU9KUdM1iaKf00DptghdEEtyKe6xqJappkiA95lQ==",
    ),
    (
        "pwdlib argon2",
        ASCII,
        "$argon2id$v=19$m=64,t=1,p=1$lL2xNrvr/j+BgEov1hNR/Q$lkMEq29HgX76dSBwW5kYlV5wEA9D6cHFcNG3VBDEuhQ",
    ),
    (
        "pwdlib bcrypt",
        ASCII,
        "$2b$04$bSrh.LXnNj5gjX/OkHqtseB6cXgzBPgHv8MDQtTa0.C4C.PXg1FH.",
    ),
];

fn matches(typed: &str, stored: &str) -> bool {
    let stored = Secret::new(stored.to_owned());
    Password::typed(typed).is_ok_and(|password| password.matches(&stored))
}

#[test]
fn hashes_of_other_programs_open_for_their_password_only() {
    for (who, password, hash) in VECTORS {
        assert!(matches(password, hash), "{who}: {hash}");
        for wrong in [
            "",
            "correct horse batterY",
            "correct horse battery\0",
            "zoe grun",
        ] {
            assert!(!matches(wrong, hash), "{who}: {wrong:?} opens {hash}");
        }
        let parsed = StoredHash::parse(hash).unwrap();
        assert!(parsed.is_weak(), "{who}: made cheap for this test");
        assert!(is_outdated(
            &Secret::new((*hash).to_owned()),
            &Settings::DEFAULT
        ));
    }
}

#[test]
fn a_11_both_normal_forms_open_what_was_hashed_in_either() {
    for (who, password, hash) in VECTORS {
        match *password {
            // Made of the composed form: every keyboard opens it.
            COMPOSED => assert!(matches(DECOMPOSED, hash), "{who}"),
            // Made of the other form: only what sends that form, until it is hashed anew.
            DECOMPOSED => assert!(!matches(COMPOSED, hash), "{who}"),
            _ => {}
        }
    }
}

#[test]
fn what_bcrypt_never_saw_does_not_count() {
    let (_, _, plain) = VECTORS
        .iter()
        .find(|(.., hash)| hash.starts_with("$2b$") && matches(LONG, hash))
        .unwrap();
    assert!(matches(&LONG[..72], plain));
    assert!(matches(&format!("{LONG}y"), plain));
    assert!(!matches(&LONG[..71], plain));
}

#[test]
fn a_hash_is_outdated_unless_it_is_ours() {
    let settings = Settings {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
        ..Settings::DEFAULT
    };
    let ours = Password::typed(ASCII)
        .unwrap()
        .hash(&settings, &Random::seeded(1))
        .unwrap();
    assert!(!is_outdated(&ours, &settings));
    let text = ours.expose();
    for other in [
        text.replace("argon2id", "argon2i"),
        text.replace("v=19", "v=16"),
        text.replace("v=19$", ""),
        text.replace("t=1", "t=2"),
        text.replacen('$', "argon2$", 1),
        "nothing".to_owned(),
    ] {
        assert!(
            is_outdated(&Secret::new(other.clone()), &settings),
            "{other}"
        );
    }
}

#[test]
fn texts_that_are_no_hash_match_nothing() {
    use Kind::{Argon2, Bcrypt, Pbkdf2, Scrypt};
    use UnusableHash::{Faulty, Malformed, TooCostly, Unknown};
    let salt = "saltsaltsaltsalt";
    let long = "c".repeat(2000);
    let cases = [
        (String::new(), Unknown),
        ("hunter2".into(), Unknown),
        ("5f4dcc3b5aa765d61d8327deb882cf99".into(), Unknown),
        ("md5$salt$5f4dcc3b5aa765d61d8327deb882cf99".into(), Unknown),
        ("!o0AaDUZf9frEXd4ofU0JuRYcMX3tFQduFvG21CTM".into(), Unknown),
        ("$1$salt$x".into(), Unknown),
        ("$6$rounds=5000$salt$x".into(), Unknown),
        (format!("$2b$04${long}"), Unknown),
        ("$2x$04$E/vUcW7BOhQ5ONQwRgEYIOBnkbB7/vyx6J/p3QZuzKaKS5dZLqc7C".into(), Faulty),
        ("$2b$".into(), Malformed(Bcrypt)),
        ("$2b$03$E/vUcW7BOhQ5ONQwRgEYIOBnkbB7/vyx6J/p3QZuzKaKS5dZLqc7C".into(), Malformed(Bcrypt)),
        ("$2b$17$E/vUcW7BOhQ5ONQwRgEYIOBnkbB7/vyx6J/p3QZuzKaKS5dZLqc7C".into(), TooCostly(Bcrypt)),
        ("bcrypt$$2x$04$E/vUcW7BOhQ5ONQwRgEYIOBnkbB7/vyx6J/p3QZuzKaKS5dZLqc7C".into(), Malformed(Bcrypt)),
        ("bcrypt$hunter2".into(), Malformed(Bcrypt)),
        ("$bcrypt-sha256$v=3,t=2b,r=4$RgQXSSqU0Y9aqLdQU.B3cu$NOP/sEA2Wxqu0e5WY3WUmVczdusf/Z.".into(), Malformed(Bcrypt)),
        ("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ".into(), Malformed(Argon2)),
        ("$argon2id$v=19$m=64,t=1,p=1".into(), Malformed(Argon2)),
        ("$argon2x$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$7yytoUv+aqrydGKb2Ihugkq4D2Ins/6VFpPIhfsT2v0".into(), Malformed(Argon2)),
        ("$argon2id$v=19$m=2097152,t=1,p=1$c2FsdHNhbHQ$7yytoUv+aqrydGKb2Ihugkq4D2Ins/6VFpPIhfsT2v0".into(), TooCostly(Argon2)),
        ("$argon2id$v=19$m=65536,t=1000,p=1$c2FsdHNhbHQ$7yytoUv+aqrydGKb2Ihugkq4D2Ins/6VFpPIhfsT2v0".into(), TooCostly(Argon2)),
        (format!("$scrypt$ln=24,r=8,p=1${salt}$pkZEE5LX+Pv8ew/KbC3bjPPADmP5E2s0+WUjfixfm3Y"), TooCostly(Scrypt)),
        (format!("$scrypt$ln=70,r=8,p=1${salt}$pkZEE5LX+Pv8ew/KbC3bjPPADmP5E2s0+WUjfixfm3Y"), TooCostly(Scrypt)),
        (format!("$scrypt$ln=16,r=8,p=1000${salt}$pkZEE5LX+Pv8ew/KbC3bjPPADmP5E2s0+WUjfixfm3Y"), TooCostly(Scrypt)),
        (format!("$scrypt$ln=4,r=0,p=1${salt}$pkZEE5LX+Pv8ew/KbC3bjPPADmP5E2s0+WUjfixfm3Y"), Malformed(Scrypt)),
        (format!("$scrypt$ln=4,r=8,p=1${salt}$"), Malformed(Scrypt)),
        (format!("scrypt$63${salt}$8$1$WFpgDpzizIMwn3dv44M1Dcx9YhHlwXpbcdR0LkweWsY="), Malformed(Scrypt)),
        (format!("pbkdf2_sha256$0${salt}$L92aR4c/x4U+1JS572lfixB23ceijjfcLOoElB65Smc="), Malformed(Pbkdf2)),
        (format!("pbkdf2_sha256$+9${salt}$L92aR4c/x4U+1JS572lfixB23ceijjfcLOoElB65Smc="), Malformed(Pbkdf2)),
        (format!("pbkdf2_sha256$10000001${salt}$L92aR4c/x4U+1JS572lfixB23ceijjfcLOoElB65Smc="), TooCostly(Pbkdf2)),
        (format!("pbkdf2_sha256$99999999999${salt}$L92aR4c/x4U+1JS572lfixB23ceijjfcLOoElB65Smc="), TooCostly(Pbkdf2)),
        // A digest that any password would meet.
        (format!("pbkdf2_sha256$1000${salt}$"), Malformed(Pbkdf2)),
        (format!("pbkdf2_sha256$1000${salt}$AA=="), Malformed(Pbkdf2)),
        (format!("pbkdf2_sha256$1000${salt}"), Malformed(Pbkdf2)),
    ];
    for (text, wanted) in cases {
        assert_eq!(StoredHash::parse(&text).map(|_| ()), Err(wanted), "{text}");
        assert!(!matches("hunter2", &text) && !matches("", &text), "{text}");
    }
}
