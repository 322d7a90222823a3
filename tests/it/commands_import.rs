//! Users who come from elsewhere with their password hashes: by file, all or none, and in by their old password.

use std::fmt::Write as _;

use serde_json::Value;

use crate::commands::{assert_no, folder, json, show};
use crate::harness::setup::{Folder, password};
use crate::harness::{Gateway, Setup};

const PASSWORD: &str = "correct horse battery";
const COMPOSED: &str = "zo\u{eb} gr\u{fc}n \u{1f40e}";
const DECOMPOSED: &str = "zoe\u{308} gru\u{308}n \u{1f40e}";

/// A user of every kind of hash, each made of a known password by the program that is named.
const HASHES: &[(&str, &str, &str)] = &[
    (
        "passlib.bcrypt",
        PASSWORD,
        "$2b$04$E/vUcW7BOhQ5ONQwRgEYIOBnkbB7/vyx6J/p3QZuzKaKS5dZLqc7C",
    ),
    (
        "passlib.2y",
        PASSWORD,
        "$2y$04$1B.6c2K9vUgIbHuLUhWtruXaQouvrnCkekWhb12GVGYOMSA0ZHtke",
    ),
    (
        "passlib.bcrypt-sha256",
        PASSWORD,
        "$bcrypt-sha256$v=2,t=2b,r=4$RgQXSSqU0Y9aqLdQU.B3cu$NOP/sEA2Wxqu0e5WY3WUmVczdusf/Z.",
    ),
    (
        "passlib.scrypt",
        PASSWORD,
        "$scrypt$ln=4,r=8,p=1$3/s/5zzn3HsPYaxVyhkDwA$pkZEE5LX+Pv8ew/KbC3bjPPADmP5E2s0+WUjfixfm3Y",
    ),
    (
        "passlib.pbkdf2",
        PASSWORD,
        "$pbkdf2-sha256$1000$l3IOYUzJOYfwfk9pDQGAcA$ZzZAwryu7uTUebLYZmjRxa54b/g.wJdxE7adaXnD0jk",
    ),
    (
        "pwdlib.argon2",
        PASSWORD,
        "$argon2id$v=19$m=64,t=1,p=1$lL2xNrvr/j+BgEov1hNR/Q$lkMEq29HgX76dSBwW5kYlV5wEA9D6cHFcNG3VBDEuhQ",
    ),
    (
        "pwdlib.bcrypt",
        PASSWORD,
        "$2b$04$bSrh.LXnNj5gjX/OkHqtseB6cXgzBPgHv8MDQtTa0.C4C.PXg1FH.",
    ),
    (
        "django.pbkdf2",
        PASSWORD,
        "pbkdf2_sha256$1000$6IAt1ol0yqGdjflJGgxTzu$+EViLqIDAKclHKOVckVZmfjG5KTtxSRp6bIoTWLIenc=",
    ),
    (
        "django.sha1",
        PASSWORD,
        "pbkdf2_sha1$1000$KKHJ2OXkEDWbRW9IgHBLrT$KLv8KFCseLt7bMyYfB6tNzqlKIw=",
    ),
    (
        "django.argon2",
        PASSWORD,
        "argon2$argon2id$v=19$m=64,t=1,p=1$VlU5emExR3F2RTJ3bzFRak9mZkMzOQ$spEWhFJXdjylFyqKqFncaih8qQjpHqdz926AhEMp7vc",
    ),
    (
        "django.bcrypt",
        PASSWORD,
        "bcrypt_sha256$$2b$04$tcg8fxyg/Iz1GVGIjUodR.V9RCpCperV6Y3s8AARIennqA5QSYZzS",
    ),
    (
        "django.scrypt",
        PASSWORD,
        "scrypt$64$4UWNZiQ6upPok1hNGueuIQ$8$5$WFpgDpzizIMwn3dv44M1Dcx9YhHlwXpbcdR0LkweWsYsLHZn5tIIOjCrt2IfDvoeCL9Ej0uRx9eFaP2kyuYGxQ==",
    ),
    (
        "composed",
        COMPOSED,
        "$2b$04$mU4waXLIv7BDSUnLqH28ueeqovcb0dnvLEqyWj14/tW3IBWPo8lwy",
    ),
    (
        "decomposed",
        DECOMPOSED,
        "bcrypt_sha256$$2b$04$71vp9mI3UkUDJg8tHSoV2u0bCU.mB12vxXbeApyS3dsdqCsK3ZATa",
    ),
];

fn csv() -> String {
    let mut text = "username,email,password_hash\n".to_owned();
    for (name, _, hash) in HASHES {
        writeln!(text, "{name},{name}@example.test,\"{hash}\"").unwrap();
    }
    text
}

fn stored_hash(folder: &Folder, name: &str) -> String {
    folder.stored(&format!(
        "SELECT password_hash FROM users WHERE username = '{name}'"
    ))
}

fn names(folder: &Folder) -> Vec<String> {
    let all = json(&folder.cli(&["user", "list", "--json"], ""));
    let name = |user: &Value| user["username"].as_str().unwrap().to_owned();
    all.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn whoever_is_imported_logs_in_and_has_a_hash_of_ours_then() {
    let gateway: Gateway = Setup::new().start();
    let said = gateway.cli(&["user", "import", "-"], &csv()).fine();
    insta::assert_snapshot!(said.out, @r"
    14 users imported, 0 refused
    password hashes: 3 PBKDF2, 2 argon2, 7 bcrypt, 2 scrypt
    cheap to guess, until their owners log in and they are made anew: 14
    ");
    for (name, password, hash) in HASHES {
        assert_eq!(stored_hash(&gateway, name), *hash);
        assert_eq!(
            gateway.try_login(name, "not the password").status,
            401,
            "{name}"
        );
        assert_eq!(stored_hash(&gateway, name), *hash, "after a wrong password");
        let answer = gateway.try_login(name, password);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.json()["user"]["roles"][0]["name"], "user");
        let ours = stored_hash(&gateway, name);
        assert!(
            ours.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"),
            "{name}: {ours}"
        );
        assert_eq!(
            gateway.try_login(name, password).status,
            200,
            "{name}, again"
        );
        assert_eq!(stored_hash(&gateway, name), ours);
    }
    // Now that it is ours, every keyboard opens it.
    assert_eq!(gateway.try_login("decomposed", COMPOSED).status, 200);
}

#[test]
fn ad_13_one_bad_row_stops_all_unless_it_is_to_be_left_out() {
    let folder = folder();
    let file = "username,email,password_hash,roles,shoe_size\n\
                bob,bob@x.test,,user,42\n\
                ALICE,,,,\n\
                carol,alice@example.test,,,\n\
                bob,,,,\n\
                dave,,hunter2,,\n\
                erin,,,admin,\n";
    folder.write("users.csv", file);
    let import = |more: &[&str]| folder.cli(&[&["user", "import", "users.csv"], more].concat(), "");
    let said = import(&[]);
    assert_no(&said, "bad rows");
    insta::assert_snapshot!(said.err, @r"
    line 3 (alice): the username 'alice' is taken
    line 4 (carol): the e-mail address 'alice@example.test' is taken
    line 5 (bob): has the username of line 2
    line 6 (dave): the hash is of no kind that is known here (argon2, bcrypt, scrypt, PBKDF2); passwords themselves are not imported: leave the field empty, and set one later
    portcullis: nothing was imported; mend the rows, or leave them out with --skip-bad
    ");
    insta::assert_snapshot!(said.out, @r"
    2 users could be imported, 4 refused
    password hashes: 2 without
    columns that mean nothing here: shoe_size
    ");
    assert!(!said.all().contains("hunter2"), "a password is repeated");
    assert_eq!(names(&folder), ["alice"]);
    assert_no(&import(&["--dry-run"]), "bad rows");
    let report = import(&["--json"]);
    assert_eq!(report.code, Some(1));
    let report: Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(
        (&report["rows"], &report["imported"]),
        (&6.into(), &2.into())
    );
    assert_eq!(
        (&report["written"], &report["refused"][0]["line"]),
        (&false.into(), &3.into())
    );
    import(&["--dry-run", "--skip-bad"]).fine();
    assert_eq!(names(&folder), ["alice"]);
    let said = import(&["--skip-bad"]).fine();
    assert!(
        said.out.starts_with("2 users imported, 4 refused\n"),
        "{}",
        said.out
    );
    assert_eq!(names(&folder), ["alice", "bob", "erin"]);
    assert_eq!(show(&folder, "erin")["roles"], serde_json::json!(["admin"]));
    assert_eq!(show(&folder, "bob")["has_password"], false);
    assert_no(&import(&[]), "twice");
}

#[test]
fn json_lines_and_superusers() {
    let folder = folder();
    let hash = HASHES[0].2;
    let file = format!(
        "{{\"username\": \"bob\", \"hashed_password\": \"{hash}\", \"roles\": [\"user\", \"admin\"], \"is_verified\": true, \"created_at\": \"2020-02-29T12:00:00+01:00\"}}\n\
         {{\"username\": \"boss\", \"is_superuser\": true, \"is_active\": false}}\n"
    );
    folder.write("users.jsonl", &file);
    let said = folder.cli(&["user", "import", "users.jsonl"], "");
    assert_no(&said, "a superuser");
    assert!(
        said.err.contains("line 2 (boss): is a superuser"),
        "{}",
        said.err
    );
    folder
        .cli(&["user", "import", "--superusers", "users.jsonl"], "")
        .fine();
    let (bob, boss) = (show(&folder, "bob"), show(&folder, "boss"));
    assert_eq!(bob["created_at"], "2020-02-29T11:00:00Z");
    assert_eq!(bob["roles"], serde_json::json!(["admin", "user"]));
    assert_eq!(
        (&bob["is_verified"], &bob["is_superuser"]),
        (&true.into(), &false.into())
    );
    assert_eq!(
        (&boss["is_active"], &boss["is_superuser"]),
        (&false.into(), &true.into())
    );
    assert!(
        !folder
            .cli(&["user", "show", "bob"], "")
            .fine()
            .out
            .contains(hash)
    );
    for arguments in [
        &["user", "import", "nowhere.csv"][..],
        &["user", "import", "users.jsonl", "--format", "csv"],
        &["user", "import", "gateway.yaml"],
    ] {
        assert_no(&folder.cli(arguments, ""), "no such file");
    }
    let said = folder.cli(&["user", "import", "users.jsonl", "--format", "xml"], "");
    assert_eq!(said.code, Some(2));
}

#[test]
fn ad_13_twenty_thousand_are_imported_within_the_patience_of_a_test() {
    let folder = folder();
    let mut file = "username,email,password_hash,roles\n".to_owned();
    let hash = HASHES[0].2;
    for number in 0..20_000 {
        writeln!(
            file,
            "user{number},user{number}@example.test,{hash},user;admin"
        )
        .unwrap();
    }
    let began = std::time::Instant::now();
    let said = folder.cli(&["user", "import", "-"], &file).fine();
    assert!(
        said.out.starts_with("20000 users imported, 0 refused"),
        "{}",
        said.out
    );
    assert!(
        said.err.is_empty(),
        "no bar where nobody looks: {}",
        said.err
    );
    assert!(
        began.elapsed() < std::time::Duration::from_mins(1),
        "{:?}",
        began.elapsed()
    );
    let last = show(&folder, "user19999");
    assert_eq!(last["roles"], serde_json::json!(["admin", "user"]));
}

/// Roles are a running gateway's to take over, at a reload that finds nothing wrong. Looking must not do so, nor what only
/// says what would happen.
#[test]
fn a_draft_of_the_file_is_not_put_in_force_by_looking() {
    let folder = Setup::new()
        .without("roles")
        .rules("  - { path: /**, allow: signed_in }")
        .folder();
    folder.add_user("alice", "").fine();
    folder
        .cli(
            &["role", "add", "editor", "--permissions", "posts:write"],
            "",
        )
        .fine();
    let roles = || {
        let mut all = json(&folder.cli(&["role", "list", "--json"], ""));
        let is_in_force = |role: &Value| role["origin"] != "file, not in force yet";
        all.as_array_mut().unwrap().retain(is_in_force);
        all
    };
    let before = roles();
    assert!(before.to_string().contains("posts:write"), "{before}");
    let draft = |expect: &str| {
        let setup = Setup::new()
            .rules("  - { path: /**, allow: signed_in }")
            .set("roles", "{ editor: [\"drafts:read\"], clerk: [] }")
            .set("tests", &format!("[{{ GET: /x, expect: {expect} }}]"));
        folder.write("gateway.yaml", &setup.yaml());
    };
    draft("allow");
    folder.write("users.csv", "username,roles\nbob,clerk\n");
    let dry = ["user", "import", "users.csv", "--dry-run"];
    let give = ["user", "set-roles", "alice", "clerk"];
    folder.cli(&["user", "list"], "").fine();
    assert_no(&folder.cli(&dry, ""), "a file whose tests fail");
    folder
        .cli(&["user", "set-roles", "alice", "editor"], "")
        .fine();
    assert_no(&folder.cli(&give, ""), "a file whose tests fail");
    assert_no(
        &folder.cli(&["user", "import", "users.csv"], ""),
        "the same",
    );
    // Nor is a file that is sound, by what fails.
    draft("login");
    folder.write("users.csv", "username,roles\nbob,clerk\nalice,clerk\n");
    for (failing, why) in [
        (&["user", "import", "users.csv"][..], "alice is there"),
        (&["user", "set-roles", "alice", "clerk,nix"], "no such role"),
        (&["user", "set-roles", "nobody", "clerk"], "no such user"),
        (
            &[
                "user",
                "add",
                "carol",
                "--email",
                "alice@example.test",
                "--roles",
                "clerk",
                "--password-stdin",
            ],
            "the address is alice's",
        ),
        (
            &[
                "user",
                "add",
                "alice",
                "--roles",
                "clerk",
                "--password-stdin",
            ],
            "alice is there",
        ),
    ] {
        assert_no(
            &folder.cli(failing, &format!("{}\n", password("alice"))),
            why,
        );
    }
    folder.write("users.csv", "username,roles\ncarl,user\nalice,clerk\n");
    let most = ["user", "import", "users.csv", "--skip-bad"];
    folder.cli(&most, "").fine();
    folder.write("users.csv", "username,roles\nbob,clerk\n");
    folder.cli(&dry, "").fine();
    let after = roles();
    for role in before.as_array().unwrap() {
        let same =
            |it: &&Value| it["name"] == role["name"] && it["permissions"] == role["permissions"];
        assert!(
            after.as_array().unwrap().iter().any(|it| same(&it)),
            "{role} is not in {after}"
        );
    }
    assert_eq!(
        after.as_array().unwrap().len(),
        before.as_array().unwrap().len()
    );
    // What is new in a file that is sound can be given before the gateway has read it.
    folder.cli(&give, "").fine();
    assert!(roles().to_string().contains("drafts:read"));
    folder.cli(&["user", "import", "users.csv"], "").fine();
    assert_eq!(show(&folder, "bob")["roles"], serde_json::json!(["clerk"]));
}
