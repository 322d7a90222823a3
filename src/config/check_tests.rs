//! Whole files: what is said of wrong ones, and what is made of good ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::super::schema;
use super::*;

#[path = "check_tests_hints.rs"]
mod hints;
#[path = "check_tables_tls.rs"]
mod listener_tables;
#[path = "check_tables.rs"]
mod tables;

/// Two lines that make a whole file; cases add to them from line 3 on.
const BASE: &str =
    "upstreams: { web: { to: http://web } }\nrules: [{ path: /**, to: web, allow: signed_in }]\n";

fn env(name: &str) -> Option<String> {
    let value = match name {
        "PASSWORD" => "correct horse",
        "SHORT" => "x",
        "CONTEXT" => "gateway2026",
        "STORE" => "postgres://u:hunter2@db/x",
        "EMPTY" => "",
        "HOOK" => "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "KEY" => "0000000000000000000000000000000000000000000000000000000000000000",
        _ => return None,
    };
    Some(value.to_owned())
}

fn read(text: &str) -> Result<Config, Report> {
    config(text, Path::new("/nonexistent"), &env)
}

/// `3 site: not a URL`, each fault; warnings after them with `?`.
fn said(text: &str) -> Vec<String> {
    let (faults, warnings) = match read(text) {
        Ok(config) => (Vec::new(), config.warnings),
        Err(report) => (report.faults, report.warnings),
    };
    let line = |mark: &str, fault: &Fault| format!("{mark}{} {}: {fault}", fault.line, fault.path);
    faults
        .iter()
        .map(|fault| line("", fault))
        .chain(warnings.iter().map(|warning| line("?", warning)))
        .collect()
}

/// Each case is what is added to the base, and what is said of it, line by line.
fn check_table(cases: &[(&str, &str)]) {
    for (extra, expected) in cases {
        let said = said(&format!("{BASE}{extra}\n"));
        let expected: Vec<&str> = expected
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(said, expected, "{extra}");
    }
}

#[test]
fn the_base_is_fine() {
    assert_eq!(said(BASE), Vec::<String>::new());
}

#[test]
fn where_the_gateway_is() {
    check_table(tables::WHERE);
}

#[test]
fn what_sites_share() {
    check_table(listener_tables::SHARED);
}

#[test]
fn what_the_https_listener_shows() {
    check_table(listener_tables::TLS);
}

#[test]
fn g_05_unsafe_combinations_need_to_be_named() {
    check_table(tables::UNSAFE);
}

#[test]
fn g_06_secrets_that_are_not_there() {
    check_table(tables::SECRETS);
}

#[test]
fn f_01_f_08_how_others_are_written_to() {
    check_table(tables::OUT);
}

/// Whatever is written where its reference belongs, or where what holds it does.
#[test]
fn c_10_what_may_be_a_secret_is_not_repeated() {
    let hidden = "hunter2hunter2";
    let pem = "\"-----BEGIN PRIVATE KEY-----\\nhunter2hunter2\\n-----END PRIVATE KEY-----\"";
    let hex = "6".repeat(50) + hidden;
    for text in [
        format!("tls: {{ certificate: c.pem, key: {pem} }}"),
        format!("tls: {{ certificate: {pem}, key: k.pem }}"),
        format!("key: file:{hex}"),
        format!("key: env:{hidden}"),
        format!("key: {hidden}"),
        format!("hooks: {{ crm: {hidden} }}"),
        format!("bootstrap: \"root:{hidden}\""),
        format!("mail: \"smtp://gw:{hidden}@x\""),
        format!("mail: {{ url: \"smtp:gw:{hidden}@x\", from: a@b.test }}"),
        format!("mail: {{ url: \"smtp://x?password={hidden}\", from: a@b.test }}"),
    ] {
        let all = said(&format!("{BASE}{text}\n")).join("\n");
        assert!(!all.is_empty() && !all.contains(hidden), "{text}: {all}");
    }
}

/// Their paths are, however long.
#[test]
fn g_06_a_missing_secret_is_named() {
    for path in [
        "/run/secrets/portcullis-production-gateway-key",
        "portcullis-production-gateway.key",
    ] {
        let all = said(&format!("{BASE}key: file:{path}\n")).join("\n");
        assert!(all.contains(path) && all.contains("no such file"), "{all}");
    }
}

/// A folder with certificates, keys and secrets, good and bad.
fn folder_of_secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let make = || rcgen::generate_simple_self_signed(["app.test".to_owned()]).unwrap();
    let (one, other) = (make(), make());
    let key = one.signing_key.serialize_pem();
    let files = [
        ("cert.pem", one.cert.pem(), 0o644),
        ("key.pem", key.clone(), 0o600),
        ("seen.pem", key, 0o644),
        ("other.pem", other.signing_key.serialize_pem(), 0o600),
        ("empty", String::new(), 0o600),
        (
            "garbage",
            "-----BEGIN CERTIFICATE-----\nnot\n".into(),
            0o600,
        ),
        ("password", "correct horse\n".into(), 0o600),
    ];
    for (name, text, mode) in files {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

#[test]
fn g_06_secret_files_and_certificates() {
    let folder = folder_of_secrets();
    let tls = |chain: &str, key: &str| {
        let site = "listen: { https: \":443\" }\nsite: https://app.test";
        format!("{site}\ntls: {{ certificate: {chain}, key: {key} }}")
    };
    let bootstrap = |file: &str| format!("bootstrap: {{ username: root, password: file:{file} }}");
    let cases = [
        (tls("cert.pem", "key.pem"), ""),
        (
            tls("cert.pem", "seen.pem"),
            "every user of this machine can read DIR/seen.pem",
        ),
        (
            tls("cert.pem", "other.pem"),
            "certificate and key do not go together",
        ),
        (
            tls("key.pem", "key.pem"),
            "holds no PEM certificate: 'key.pem'",
        ),
        (
            tls("garbage", "key.pem"),
            "holds a PEM block that is damaged or cut off: 'garbage'",
        ),
        (tls("empty", "key.pem"), "DIR/empty is empty"),
        (tls("cert.pem", "cert.pem"), "holds no PEM private key"),
        (bootstrap("password"), ""),
        (bootstrap("empty"), "DIR/empty is empty"),
        ("key: file:password".into(), "not a gateway key"),
    ];
    for (extra, expected) in cases {
        let outcome = config(&format!("{BASE}{extra}\n"), folder.path(), &env);
        let found = match outcome {
            Ok(config) => config.warnings,
            Err(report) => [report.faults, report.warnings].concat(),
        };
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let found = found
            .join("\n")
            .replace(&folder.path().display().to_string(), "DIR");
        assert_eq!(found, expected, "{extra}");
    }
}

#[test]
fn g_06_what_secret_files_hold() {
    let folder = folder_of_secrets();
    let text = format!("{BASE}bootstrap: {{ username: Root, password: file:password }}\n");
    let bootstrap = config(&text, folder.path(), &env)
        .unwrap()
        .bootstrap
        .unwrap();
    assert_eq!(bootstrap.username.as_str(), "root");
    assert_eq!(bootstrap.password.expose(), "correct horse");
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/gateway.key"), "short").unwrap();
    let report = config(BASE, folder.path(), &env).unwrap_err();
    assert!(
        report.to_string().contains("a gateway key is 32 bytes"),
        "{report}"
    );
}

#[test]
fn everything_else_that_is_not_a_rule() {
    check_table(tables::OTHER);
}

#[test]
fn policy_tests_that_cannot_be_meant() {
    check_table(tables::TESTS);
}

/// Each rule's host is a site for everything else, but who gets certificates is told where they are asked for.
#[test]
fn hosts_of_rules_that_no_certificate_is_for() {
    let said_of = |acme: &str| {
        let rules = ["b.test", "b.test", "app.test", "'*.wide.test'"]
            .map(|host| format!("  - {{ host: {host}, path: /**, to: web, allow: signed_in }}\n"))
            .concat();
        said(&format!(
            "site: https://app.test\nlisten: {{ https: \":443\" }}\ntls: {{ acme: {acme} }}\nupstreams: {{ web: {{ to: http://web }} }}\nrules:\n{rules}"
        ))
    };
    let of_certificates = |acme| -> Vec<String> {
        let lines = said_of(acme).into_iter();
        lines.filter(|line| line.contains("certificate")).collect()
    };
    assert_eq!(
        of_certificates("ops@example.com"),
        ["?3 tls: no certificate is for b.test"]
    );
    let both = "{ email: ops@example.com, names: [app.test, b.test] }";
    assert!(of_certificates(both).is_empty());
}

/// The path of the shipped file, which every newcomer starts from.
const SHIPPED: &str = include_str!("../../gateway.yaml");

#[test]
fn the_shipped_file_is_fine_and_its_tests_pass() {
    let config = read(SHIPPED).unwrap();
    assert_eq!(config.warnings, []);
    let outcomes = policy_test::run(&config);
    assert!(
        outcomes.len() > 5 && outcomes.iter().all(policy_test::TestOutcome::passed),
        "{outcomes:?}"
    );
    assert!(policy_test::unreached(&config, &outcomes).is_empty());
}

#[test]
fn g_01_a_file_cut_short_never_lets_more_pass() {
    let whole = read(SHIPPED).unwrap();
    let labels = |config: &Config| {
        config
            .rules
            .iter()
            .map(|rule| format!("{rule:?}"))
            .collect::<Vec<_>>()
    };
    for (at, _) in SHIPPED.char_indices() {
        if let Ok(cut) = read(&SHIPPED[..at]) {
            assert!(
                !cut.rules.is_empty() && labels(&whole).starts_with(&labels(&cut)),
                "cut at {at}"
            );
        }
    }
}

#[test]
fn b_01_of_very_many_faults_only_the_first_are_listed() {
    let many: Vec<String> = (0..90_000).map(|at| format!("a{at}: 1\n")).collect();
    let report = read(&format!("{BASE}{}", many.concat())).unwrap_err();
    assert_eq!(report.faults.len(), 501);
    assert_eq!(
        report.faults[500].message,
        "has more faults than are worth listing"
    );
}

fn keys_of(value: &serde_json::Value, found: &mut Vec<String>) {
    if let Some(properties) = value
        .get("properties")
        .and_then(serde_json::Value::as_object)
    {
        found.extend(properties.keys().cloned());
    }
    value
        .as_object()
        .into_iter()
        .flatten()
        .for_each(|(_, inner)| keys_of(inner, found));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn g_02_mutated_files_do_not_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[-a-z0-9:{}\\[\\],\"'#&*!|> \n\t/%.]{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = SHIPPED.chars().collect();
        for (at, length, instead) in cuts {
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, instead.chars());
        }
        let _ = read(&text.into_iter().collect::<String>());
    }

    #[test]
    fn g_02_an_unknown_key_is_never_accepted(at in any::<prop::sample::Index>(), key in "[a-z_]{1,12}") {
        let mut known = Vec::new();
        keys_of(&serde_json::from_str(schema::TEXT).unwrap(), &mut known);
        prop_assume!(!known.contains(&key));
        // Before any key of an object that has keys of the schema, also nested ones.
        let text = include_str!("testdata/everything.yaml");
        let shapes = ["{ http:", "{ to:", "{ password:", "{ min_length:", "{ memory:", "{ idle:", "{ username:", "{ name:", "{ encoded_slashes:",
            "{ headers:", "{ head:", "{ format:", "{ path:", "{ roles:", "{ any: [editor", "{ GET:", "{ user: alice, role", "\nprefix:", "{ certificate:"];
        let shape = shapes[at.index(shapes.len())];
        prop_assert!(text.contains(shape), "{}", shape);
        let (start, rest) = (&shape[..1], &shape[1..]);
        let comma = if start == "{" { "," } else { "" };
        let changed = text.replacen(shape, &format!("{start}{key}: 1{comma}{}{rest}", if start == "{" { "" } else { "\n" }), 1);
        let report = read(&changed).unwrap_err();
        let named = |fault: &Fault| fault.seen.as_deref() == Some(&key) && (fault.message == "unknown key" || fault.message == crate::config::later::MESSAGE);
        prop_assert!(report.faults.iter().any(named), "{}: {}", shape, report);
    }
}
