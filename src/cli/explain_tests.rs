//! What `explain` tells of some requests.

use clap::Parser;

use super::*;

const FILE: &str = "site: http://app.localhost
upstreams: { web: { to: http://web }, old: { to: http://old, paths: { case: fold } } }
rules:
  - { path: /public/**, to: web, allow: anyone }
  - { path: /**, to: web, allow: nobody, mode: report }
  - { path: /admin/**, to: web, allow: { role: admin }, methods: [GET], from: [10.0.0.0/8] }
  - { path: /old/secret, to: old, allow: nobody }
  - { path: /**, to: old, allow: signed_in }
";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn story(line: &str) -> (Args, Story, Option<Target>, String) {
    let config = Config::from_text(FILE, Path::new("/nonexistent"), &|_| None).unwrap();
    let args = Line::parse_from(["explain"].into_iter().chain(line.split(' '))).args;
    let (asker, who) = (
        Asker::new(&config),
        who(&args, Path::new("/nonexistent")).unwrap(),
    );
    let target = target(&asker, &args);
    let story = tell(&config, &asker, target.as_ref(), &who);
    let asked = format!("{} {}{who}", args.method, args.path);
    (args, story, target.ok(), asked)
}

fn text(line: &str) -> String {
    let (args, story, target, asked) = story(line);
    as_text(&story, &asked, target.as_ref(), &args, Ink::of_stdout())
}

/// As the gateway answers: what an upstream allows in its paths says nothing of our own pages.
#[test]
fn own_pages_have_one_reading() {
    let file = "prefix: /auth
upstreams: { web: { to: http://web, paths: { encoded_slashes: allow, matrix_params: allow } } }
rules: [{ path: /**, to: web, allow: anyone }]
tests:
  - { GET: /auth/a%2fb, expect: bad_request }
  - { GET: /Auth/a;b, expect: bad_request }
  - { GET: /other/a%2fb, expect: allow }
";
    let config = Config::from_text(file, Path::new("/nonexistent"), &|_| None).unwrap();
    for outcome in crate::config::policy_test::run(&config) {
        assert!(outcome.passed(), "{}: {:?}", outcome.test, outcome.failures);
    }
    let asker = Asker::new(&config);
    let cases = [
        ("/auth/login", "own_page"),
        ("/Auth/login", "own_page"),
        ("/auth/a%2fb", "bad_request"),
        ("/auth/a;b", "bad_request"),
        ("/Auth/%2f", "bad_request"),
        ("/authors/a%2fb", "allow"),
    ];
    for (path, answer) in cases {
        let target = asker.target("GET", None, path);
        let story = tell(&config, &asker, target.as_ref(), &Who::stranger());
        assert_eq!(story.answer.as_str(), answer, "{path}");
    }
}

/// The last rule that was looked at is not the one that decides where none does.
#[test]
fn a_path_is_folded_for_the_rule_that_decides_alone() {
    let file =
        "upstreams: { web: { to: http://web }, old: { to: http://old, paths: { case: fold } } }
rules:
  - { path: /public/**, to: web, allow: anyone }
  - { path: /admin/**, to: old, allow: anyone }
";
    let config = Config::from_text(file, Path::new("/nonexistent"), &|_| None).unwrap();
    let asker = Asker::new(&config);
    for (path, answer, decided) in [
        ("/admin/x", "allow", Some("allow")),
        ("/ADMIN/x", "deny", None),
    ] {
        let target = asker.target("GET", None, path);
        let story = tell(&config, &asker, target.as_ref(), &Who::stranger());
        let last = story.steps.iter().find_map(|step| match step.outcome {
            Outcome::Decided(verdict, _) => Some(verdict),
            _ => None,
        });
        assert_eq!((story.answer.as_str(), last), (answer, decided), "{path}");
    }
}

#[test]
fn what_becomes_of_the_answer() {
    let file = "upstreams: { web: { to: http://web, strip: /api, headers: { response: { Server: false, X-Mode: a } } } }
rules:
  - { path: /api/**, to: web, allow: anyone, cors: { origins: '*' }, headers: { response: { X-Mode: b } } }
";
    let config = Config::from_text(file, Path::new("/nonexistent"), &|_| None).unwrap();
    let args = Line::parse_from(["explain", "GET", "/api/x"]).args;
    let (asker, who) = (
        Asker::new(&config),
        who(&args, Path::new("/nonexistent")).unwrap(),
    );
    let target = asker.target(&args.method, None, &args.path);
    let story = tell(&config, &asker, target.as_ref(), &who);
    let text = as_text(
        &story,
        "GET /api/x",
        target.as_ref().ok(),
        &args,
        Ink::of_stdout(),
    );
    insta::assert_snapshot!(text, @"
    GET /api/x

      line 3  /api/**  allow  allow: anyone

    allow: by /api/** (line 3), forwarded to web as /x without identity headers
    its answer:
      server:            (removed)
      x-mode:            b
      shown to pages of  *
    ");
    let told = as_json(&story, target.as_ref().ok());
    assert_eq!(told["response"], json!({ "server": false, "x-mode": "b" }));
    assert_eq!(told["cors"], json!("*"));
}

#[test]
fn every_rule_down_to_the_one_that_decides() {
    insta::assert_snapshot!(text("GET /public/../admin?x=1 --as role=admin --as user=Alice --as email=a@x.test --ip 10.1.2.3"), @"
    GET /public/../admin?x=1 as alice, admin from 10.1.2.3
    judged and sent as /admin?x=1

      line 4  /public/**     -      another path
      line 5  /** (report)   deny   does not satisfy allow: nobody (only reported)
      line 6  GET /admin/**  allow  allow: role: admin

    allow: by GET /admin/** (line 6), forwarded to web with
      x-auth-user:       alice
      x-auth-user-id:    (the account's)
      x-auth-email:      a@x.test
      x-auth-roles:      admin
      x-auth-method:     session
      x-auth-assertion:  (a signed token for web)
    ");
    insta::assert_snapshot!(text("GET /admin --ip 8.8.8.8"), @"
    GET /admin from 8.8.8.8

      line 4  /public/**     -     another path
      line 5  /** (report)   deny  does not satisfy allow: nobody (only reported)
      line 6  GET /admin/**  deny  the address is not in from: [10.0.0.0/8]

    deny: by GET /admin/** (line 6)
    ");
    insta::assert_snapshot!(text("GET /public/x"), @"
    GET /public/x

      line 4  /public/**  allow  allow: anyone

    allow: by /public/** (line 4), forwarded to web without identity headers
    ");
    insta::assert_snapshot!(text("GET /OLD/Secret --as superuser"), @"
    GET /OLD/Secret as superuser

      line 4  /public/**     -     another path
      line 5  /** (report)   deny  does not satisfy allow: nobody (only reported)
      line 6  GET /admin/**  -     another path
      line 7  /old/secret    deny  does not satisfy allow: nobody

    deny: by /old/secret (line 7)
    ");
}

#[test]
fn what_no_rule_is_asked_about() {
    let endings = [
        "GET /a%2Fb",
        "GET /AUTH/login",
        "TRACE /",
        "GET /x --host evil.test",
        "GET /%zz",
    ]
    .map(|line| text(line).lines().last().unwrap_or_default().to_owned());
    insta::assert_snapshot!(endings.join("\n"), @"
    bad_request: refused before any rule is read: the path can be read in two ways
    own_page: one of the gateway's own pages; rules are not asked
    bad_request: refused before any rule is read: this method is never served here
    bad_request: refused before any rule is read: neither site: nor a rule names the host evil.test
    bad_request: refused before any rule is read: the path is ambiguous: '%' without two hex digits
    ");
}

#[test]
fn programs_read_it() {
    let (_, story, target, _) = story("GET /admin --as role=admin --ip 10.1.2.3");
    let json = as_json(&story, target.as_ref());
    assert_eq!(
        (&json["verdict"], &json["upstream"], &json["rule"]),
        (&json!("allow"), &json!("web"), &json!("GET /admin/**"))
    );
    assert_eq!(
        (
            &json["headers"]["x-auth-roles"],
            &json["steps"][1]["outcome"]
        ),
        (&json!("admin"), &json!("reported"))
    );
}

#[test]
fn claims_that_mean_nothing_are_misuse() {
    for bad in [
        "rol=admin",
        "role=",
        "role=a b",
        "superuser=maybe",
        "admin",
        "auth=cookie",
        "auth",
    ] {
        assert!(
            Line::try_parse_from(["explain", "GET", "/", "--as", bad]).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn what_cannot_be_asked_is_told_as_it_can() {
    let cases = [
        ("get /", "this method is not known here; write GET"),
        ("Get /public/x", "this method is not known here; write GET"),
        ("FETCH /", "this method is not known here"),
        (
            "GET http://app.localhost/public/x",
            "give the path alone, and its host with --host",
        ),
    ];
    for (line, told) in cases {
        let (_, story, target, _) = story(line);
        let Answer::Refused(why) = &story.answer else {
            panic!("{line}: {}", story.answer.as_str());
        };
        assert!(why.ends_with(told), "{line}: {why}");
        assert_eq!(target, None, "{line}");
    }
}

#[test]
fn roles_that_the_file_does_not_have_are_told_of() {
    let config = Config::from_text(FILE, Path::new("/nonexistent"), &|_| None).unwrap();
    let asker = Asker::new(&config);
    let told = |line: &str| {
        let args = Line::parse_from(["explain"].into_iter().chain(line.split(' '))).args;
        let claims = args.claims.iter().flat_map(Claim::roles);
        asker.warnings(claims).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(told("GET / --as role=admn --as role=user --as role=zebra"), @"
    the role 'admn' is not in this file, and has no permissions here; did you mean admin?
    the role 'zebra' is not in this file, and has no permissions here
    ");
    assert_eq!(told("GET / --as role=admin --as user=bob"), "");
}
