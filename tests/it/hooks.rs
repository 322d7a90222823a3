//! Other programs, told what happens: signed, again until they answer, and never where they were not named.

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::process::Said;
use crate::harness::{Gateway, Recorded, Recorder, Reply, Setup, eventually};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A setup with a hook `crm` behind this URL, and the rest of its line.
fn with_hook(url: &str, rest: &str) -> Setup {
    let hooks = format!("{{ crm: {{ url: \"{url}\", secret: file:hook.secret{rest} }} }}");
    Setup::new().set("hooks", &hooks)
}

fn told(setup: &Setup) -> Said {
    let folder = setup.folder();
    folder.write("hook.secret", SECRET);
    folder.cli(&["hook", "test", "crm"], "")
}

/// Whether the receiver of the README believes the request.
fn believed(request: &Recorded, body: &str) -> bool {
    let readme = include_str!("../../README.md");
    let snippet = readme
        .split("```python")
        .find(|part| part.contains("webhook-signature"));
    let snippet = snippet.unwrap().split("```").next().unwrap();
    let program = format!(
        "{snippet}\nimport json, sys\ngiven = json.load(sys.stdin)\n\
         print(is_from_portcullis(given['headers'], given['body'].encode(), '{SECRET}'))"
    );
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Value = names
        .iter()
        .map(|name| ((*name).to_owned(), request.value(name).into()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let python = env::var("PORTCULLIS_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut child = Command::new(python)
        .args(["-c", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let given = json!({ "headers": headers, "body": body }).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(given.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    match String::from_utf8_lossy(&output.stdout).trim() {
        "True" => true,
        "False" => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_receiver_knows_us_by_the_signature() {
    let receiver = Recorder::start();
    let url = format!("{}/hook?key=1", receiver.url());
    let said = told(&with_hook(&url, ", private: allow")).fine();
    assert!(said.out.contains("answered 200"), "{}", said.out);
    let request = receiver.last().unwrap();
    assert_eq!(
        (request.method().as_str(), request.target().as_str()),
        ("POST", "/hook?key=1")
    );
    assert_eq!(
        request.value("content-type").as_deref(),
        Some("application/json")
    );
    let text = String::from_utf8(request.body.clone()).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&body["event"], &body["data"]),
        (&json!("hook.test"), &json!({}))
    );
    assert_eq!(body["id"].as_str(), request.value("webhook-id").as_deref());
    assert!(believed(&request, &text));
    assert!(!believed(
        &request,
        &text.replace("hook.test", "user.registered")
    ));
}

#[test]
fn an_event_is_told_again_until_it_is_taken() {
    let receiver = Recorder::start();
    let tries = std::sync::atomic::AtomicU32::new(0);
    receiver.answer(
        move |_| match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Reply::raw(
                "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
            ),
            _ => Reply::ok("thanks"),
        },
    );
    let gateway = start(&with_hook(
        &receiver.url(),
        ", private: allow, events: [user.deleted]",
    ));
    gateway.cli(&["hook", "test", "crm", "--queue"], "").fine();
    let sent = [("kind", "hook"), ("result", "sent")];
    eventually("the event to be taken", || {
        (gateway.metrics().sum("portcullis_outbox_sent_total", &sent) > 0.0).then_some(())
    });
    let requests = receiver.everything();
    assert_eq!(
        requests.len(),
        2,
        "a redirect was followed, or nothing was sent again"
    );
    assert!(requests.iter().all(|request| request.target() == "/"));
    assert_eq!(
        requests[0].value("webhook-id"),
        requests[1].value("webhook-id")
    );
    assert_eq!(requests[0].body, requests[1].body);
}

fn start(setup: &Setup) -> Gateway {
    let folder = setup.folder();
    folder.write("hook.secret", SECRET);
    for name in ["alice", "root"] {
        folder.add_user(name, "").fine();
    }
    Gateway::launch(folder, setup.recorder().clone(), None, &[])
        .unwrap_or_else(|said| panic!("{said}"))
}

#[test]
fn logging_in_and_out_is_told() {
    let receiver = Recorder::start();
    let events = ", private: allow, events: [user.login, user.logout]";
    let gateway = start(&with_hook(&receiver.url(), events));
    let cookie = gateway.login("alice");
    let out = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(gateway.ask(&out).status, 200);
    // Nobody is logged out twice.
    assert_eq!(gateway.ask(&out).status, 401);
    gateway.login("root");
    let told = eventually("three events", || {
        let all = receiver.requests();
        let read = |request: &Recorded| -> Value { serde_json::from_slice(&request.body).unwrap() };
        let mut told: Vec<String> = all
            .iter()
            .map(read)
            .map(|body| format!("{} {}", body["event"], body["data"]["user"]["username"]))
            .collect();
        told.sort();
        (told.len() >= 3).then_some(told)
    });
    assert_eq!(
        told,
        [
            r#""user.login" "alice""#,
            r#""user.login" "root""#,
            r#""user.logout" "alice""#
        ]
    );
}

#[test]
fn h_19_what_is_told_carries_nothing_of_the_client() {
    let receiver = Recorder::start();
    let gateway = start(&with_hook(
        &receiver.url(),
        ", private: allow, events: [user.login, user.logout]",
    ));
    let cookie = gateway.login("alice");
    let trial = crate::harness::Trial::new(&gateway, "H-19");
    let lines = format!(
        "Host: localhost\r\nCookie: {cookie}; other={0}\r\nX-Secret: {0}\r\nUser-Agent: {0}\r\nReferer: http://localhost/{0}\r\n",
        trial.marker
    );
    // The service is given what the client said; who is told of its logout is not.
    assert_eq!(
        gateway
            .ask(format!("GET /app/x HTTP/1.1\r\n{lines}\r\n"))
            .status,
        200
    );
    assert_eq!(gateway.recorder().with(&trial.marker).len(), 1);
    let out = format!("POST /auth/logout HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n");
    assert_eq!(gateway.ask(out).status, 200);
    let told = eventually("both events", || {
        let all = receiver.requests();
        (all.len() >= 2).then_some(all)
    });
    let value = cookie.split_once('=').unwrap().1;
    for request in told {
        let mut names: Vec<_> = request
            .fields()
            .into_iter()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "accept",
                "content-length",
                "content-type",
                "host",
                "user-agent",
                "webhook-id",
                "webhook-signature",
                "webhook-timestamp"
            ],
            "{}",
            request.text()
        );
        let text = request.text();
        assert!(
            !text.contains(&trial.marker) && !text.contains(value),
            "{text}"
        );
    }
}

#[test]
fn f_01_private_receivers_are_told_only_when_the_file_says_so() {
    let receiver = Recorder::start();
    let port = receiver.address().port();
    // In the file an address can be seen for what it is; a name only when it was looked up.
    for host in ["127.0.0.1", "[::1]", "2130706433", "0.0.0.0"] {
        let said = told(&with_hook(&format!("https://{host}:{port}"), ""));
        assert_eq!(said.code, Some(1), "{host}");
        assert!(said.err.contains("address"), "{}", said.err);
    }
    let said = told(&with_hook(&format!("https://localhost:{port}"), ""));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("has no address to ask"), "{}", said.err);
    let link_local = told(&with_hook(
        "http://169.254.169.254/latest",
        ", private: allow",
    ));
    assert_eq!(link_local.code, Some(1));
    assert_eq!(receiver.connections(), 0);
}

#[test]
fn f_05_proxies_of_the_environment_are_not_heeded() {
    let (receiver, proxy) = (Recorder::start(), Recorder::start());
    let folder = with_hook(&receiver.url(), ", private: allow").folder();
    folder.write("hook.secret", SECRET);
    let environment: Vec<_> = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ]
    .into_iter()
    .map(|name| (name, proxy.url()))
    .collect();
    let environment: Vec<_> = environment
        .iter()
        .map(|(name, url)| (*name, url.as_str()))
        .collect();
    folder
        .cli_with(&["hook", "test", "crm"], &environment)
        .fine();
    assert_eq!((receiver.count(), proxy.connections()), (1, 0));
}
