//! Our own pages in a real browser: Debian's Chromium, driven by the scripts of `tests/browser`. What people do from
//! their first visit on; a login by keyboard alone; what axe-core finds on every page; what hostile texts and forged
//! forms come to. Pictures of all of it are kept for somebody to look at.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::setup::password;
use crate::harness::{Gateway, Recorder, Reply, Setup};

/// The version that was looked at; a later one may find more.
const AXE: &str = "axe-4.14.1.min.js";

/// Open to everybody, with mail into a folder, in front of the recorder and of the echo page.
fn start() -> Gateway {
    let gateway = Setup::new()
        .without("site")
        .set(
            "login",
            "{ password: { register: open, verify_email: true, argon2: { memory: 8MiB, passes: 1, lanes: 1 } } }",
        )
        .set("mail", "{ url: \"file:data/outbox\", from: login@example.test }")
        .set("brand", "{ name: Example, color: \"#2f5d8c\", logo: logo.svg }")
        .set(
            "roles",
            "{ user: [], editor: [user, \"posts:write\"], admin: [editor, \"users:read\", \"users:write\", \"users:delete\", \"roles:read\"] }",
        )
        .upstream("echo", "{ to: builtin:echo }")
        .rules(
            "
  - { path: /public/**, allow: anyone }
  - { path: /favicon.ico, allow: anyone }
  - { path: /echo, to: echo, allow: anyone }
  - { path: /app/**, allow: signed_in }
  - { path: /editors/**, allow: { role: editor } }
  - { path: /**, allow: nobody }
",
        )
        .asset("logo.svg", LOGO)
        .start();
    let added = [
        "user",
        "add",
        "super",
        "--email",
        "super@example.test",
        "--superuser",
        "--password-stdin",
    ];
    gateway
        .cli(&added, &format!("{}\n", password("super")))
        .fine();
    gateway
}

const LOGO: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#2f5d8c" d="M4 30V12a12 12 0 0 1 24 0v18h-4V4h-2v26h-4V4h-4v26h-4V4H8v26z"/></svg>"##;

fn output() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    env::var_os("PORTCULLIS_TEST_OUTPUT").map_or(target, PathBuf::from)
}

fn axe() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").unwrap()).join(".cache"),
        PathBuf::from,
    );
    cache.join("portcullis-tests/axe").join(AXE)
}

/// The number of a user, as the command line tells it.
fn number(gateway: &Gateway, name: &str) -> i64 {
    let said = gateway.cli(&["user", "show", name, "--json"], "").fine();
    let user: Value = serde_json::from_str(&said.out).unwrap();
    user["id"].as_i64().unwrap()
}

/// Runs a scenario of a script to its end.
pub fn run(gateway: &Gateway, script: &str, scenario: &str, more: &Value) {
    let python = env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("PORTCULLIS_TEST_PYTHON is not set: start the tests with tests/run, or name a Python with playwright")
    });
    let axe = axe();
    assert!(
        axe.exists(),
        "{} is missing: tests/run fetches it",
        axe.display()
    );
    let mut arguments = json!({
        "base": format!("http://localhost:{}", gateway.http().port()),
        "outbox": gateway.path().join("data/outbox"),
        "out": output().join(scenario),
        "axe": axe,
        "password": password("super"),
        "alice": password("alice"),
        "alice_id": number(gateway, "alice"),
    });
    arguments
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let said = Command::new(python)
        .args(["-B", script, scenario, &arguments.to_string()])
        .current_dir(folder)
        .output()
        .unwrap();
    let told = [said.stdout, said.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    let log = gateway.log();
    let loud: Vec<&str> = log
        .lines()
        .filter(|line| !line.contains(" INFO "))
        .collect();
    assert!(said.status.success(), "{told}\n{}", loud.join("\n"));
    assert!(told.contains(&format!("{scenario}: fine")), "{told}");
}

#[test]
fn x_04_somebody_registers_and_comes_to_administer() {
    run(
        &start(),
        "stories.py",
        "registers_and_is_promoted",
        &json!({}),
    );
}

#[test]
fn x_04_the_console_looks_after_a_team() {
    run(
        &start(),
        "stories.py",
        "is_invited_and_looked_after",
        &json!({}),
    );
}

#[test]
fn x_04_signing_in_needs_a_keyboard_only() {
    run(&start(), "stories.py", "signs_in_by_keyboard", &json!({}));
}

/// What is asked for may lead on to another site, as services do that go by https themselves or by their own login.
#[test]
fn x_04_signing_in_leads_on_wherever_that_leads() {
    let (gateway, other) = (start(), Recorder::start());
    let place = format!("{}/arrived", other.url());
    let lead = format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
    gateway.recorder().answer(move |_| Reply::raw(&lead));
    run(
        &gateway,
        "stories.py",
        "signs_in_and_is_led_elsewhere",
        &json!({ "place": place }),
    );
}

#[test]
fn x_04_axe_finds_nothing_on_any_page() {
    run(&start(), "gallery.py", "all_pages", &json!({}));
}

#[test]
fn x_04_the_api_is_tried_on_its_page() {
    run(&start(), "gallery.py", "documents_are_tried", &json!({}));
}

#[test]
fn x_02_x_03_hostile_texts_do_nothing_in_a_browser() {
    run(&start(), "gallery.py", "hostile_texts", &json!({}));
}

#[test]
fn c_14_ad_08_another_site_cannot_send_our_forms() {
    let evil = Recorder::start();
    let more = json!({ "evil": evil.url() });
    run(&start(), "gallery.py", "forged_requests", &more);
}
