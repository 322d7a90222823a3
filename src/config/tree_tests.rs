//! What YAML may and may not do.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use super::*;

fn refusal(text: &str) -> String {
    match parse(text) {
        Err(fault) => format!("{}: {fault}", fault.line),
        Ok(tree) => panic!("was read: {tree:?}"),
    }
}

#[test]
fn every_value_knows_its_line() {
    let tree = parse("a: 1\n# comment\nb:\n  - x\n  - {c: true}\n").unwrap();
    let Value::Object(entries) = &tree.root.value else {
        panic!()
    };
    let lines: Vec<_> = entries
        .iter()
        .map(|(key, node)| (key.text.as_str(), key.line, node.line))
        .collect();
    assert_eq!(lines, [("a", 1, 1), ("b", 3, 4)]);
    let Value::List(items) = &entries[1].1.value else {
        panic!()
    };
    assert_eq!(
        items.iter().map(|item| item.line).collect::<Vec<_>>(),
        [4, 5]
    );
}

#[test]
fn b_01_what_yaml_can_do_and_files_must_not() {
    let cases = [
        (
            "a: &x 1\nb: *x\n",
            "1: anchors and aliases ('&', '*') are not read here",
        ),
        (
            "b: *x\n",
            "1: anchors and aliases ('&', '*') are not read here",
        ),
        (
            "a: 1\n<<: {b: 1}\n",
            "2: merge keys ('<<') are not read here",
        ),
        (
            "a: 1\n---\nb: 1\n",
            "2: holds a second YAML document ('---')",
        ),
        ("\u{feff}a: 1\n", "1: begins with a byte order mark"),
        ("a: 1\nb: \0\n", "2: holds a control character"),
        ("a: 1\nb: \u{1b}[31m\n", "2: holds a control character"),
        (
            "a: 1\n# b\rc: 2\n",
            "2: holds a character that has its reader see other lines, or another order",
        ),
        (
            "a: 1\nb: \u{202e}x\n",
            "2: holds a character that has its reader see other lines, or another order",
        ),
        ("", "0: is empty"),
        (" \n\t\n", "0: is empty"),
        ("# nothing\n", "0: is empty"),
        (
            "a: [1, 2\n",
            "1: is not YAML that can be read: unclosed bracket '['",
        ),
        (
            "a: \"x\n",
            "2: is not YAML that can be read: invalid indentation in multiline quoted scalar",
        ),
        (
            "a:\n\t- b\n",
            "2: is not YAML that can be read: tabs disallowed within this context (block indentation)",
        ),
        (
            "? [a]\n: b\n",
            "1: is not YAML that can be read: a key is a list, not text",
        ),
    ];
    let got: Vec<_> = cases.iter().map(|(text, _)| refusal(text)).collect();
    assert_eq!(got, cases.map(|(_, said)| said));
}

#[test]
fn b_01_words_stay_what_they_look_like() {
    let cases = [
        ("yes", Value::Text("yes".into())),
        ("on", Value::Text("on".into())),
        ("0o17", Value::Integer(15)),
        ("1e3", Value::Float(1000.0)),
        ("010", Value::Float(10.0)),
        ("~", Value::Null),
        ("!!str 5", Value::Tagged("tag:yaml.org,2002:str".into())),
        ("!x {a: 1}", Value::Tagged("!x".into())),
        ("\"5\"", Value::Text("5".into())),
        ("99999999999999999999", Value::Float(1e20)),
    ];
    for (text, value) in cases {
        let tree = parse(&format!("a: {text}\n")).unwrap();
        let Value::Object(entries) = tree.root.value else {
            panic!()
        };
        assert_eq!(entries[0].1.value, value, "{text}");
    }
}

#[test]
fn b_01_a_duplicate_key_does_not_hide_the_rest() {
    let tree = parse("a: 1\nb: {c: 1, c: 2}\n").unwrap();
    assert_eq!(tree.faults.len(), 1);
    assert_eq!(
        (tree.faults[0].line, tree.faults[0].to_string().as_str()),
        (2, "the same key twice: 'c'")
    );
}

/// To YAML these are two keys each; here one has the name of the other.
#[test]
fn b_01_keys_of_one_text_are_one() {
    for text in ["a: {1: x, \"1\": y}", "a: [{true: x, True: y}]"] {
        let tree = parse(text).unwrap();
        let said: Vec<String> = tree.faults.iter().map(ToString::to_string).collect();
        let shown = if text.contains('1') { "1" } else { "true" };
        assert_eq!(said, [format!("the same key twice: '{shown}'")]);
    }
}

/// Time that this thread had a processor: what others do meanwhile does not count (proc(5), `schedstat`).
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let spent = text.split(' ').next().unwrap();
    Duration::from_nanos(spent.parse().unwrap())
}

#[test]
fn b_01_hostile_files_are_refused_at_once() {
    let mut laughs = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
    for (from, to) in ('a'..'i').zip('b'..='i') {
        let _ = writeln!(
            laughs,
            "{to}: &{to} [{}]",
            vec![format!("*{from}"); 9].join(", ")
        );
    }
    let block: String = (0..10_000).fold(String::new(), |mut text, at| {
        let _ = writeln!(text, "{}a:", " ".repeat(at.min(90)));
        text
    });
    let cases = [
        ("laughs", laughs),
        ("10 MB", "a: ".to_owned() + &"x".repeat(10 << 20)),
        ("deep lists", "[".repeat(10_000)),
        ("deep objects", "{a: ".repeat(10_000)),
        ("deep blocks", block),
        ("deep dashes", "- ".repeat(10_000)),
        (
            "many values",
            format!("[{}]", "a,".repeat(MAX_BYTES / 2 - 2)),
        ),
        (
            "many keys",
            format!("{{{}}}", "a: a,".repeat(MAX_BYTES / 5 - 2)),
        ),
        ("many documents", "---\n".repeat(MAX_BYTES / 4 - 1)),
        (
            "one long quote",
            format!("a: \"{}", "\\u0041".repeat(MAX_BYTES / 6 - 2)),
        ),
        ("one long key", "? ".repeat(MAX_BYTES / 2 - 1)),
        ("anchors", "- &a b\n".repeat(MAX_BYTES / 7 - 1)),
    ];
    for (name, text) in cases {
        let start = processor_time();
        assert!(parse(&text).is_err(), "{name}");
        let taken = processor_time().saturating_sub(start);
        assert!(taken.as_secs() < 5, "{name} took {taken:?}, unoptimised");
    }
}

#[test]
fn g_01_what_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("latin1"), b"a: 1\nb: caf\xe9\n").unwrap();
    File::create(at("large"))
        .unwrap()
        .set_len(10 << 20)
        .unwrap();
    let said = |path: &Path| read_file(path).unwrap_err();
    assert_eq!(
        said(folder.path()).to_string(),
        "is a directory, not a file"
    );
    assert_eq!(said(&at("missing")).to_string(), "there is no such file");
    assert_eq!(
        (said(&at("latin1")).line, said(&at("latin1")).to_string()),
        (2, "is not UTF-8 text".to_owned())
    );
    let large = read_file(&at("large")).unwrap();
    assert_eq!(
        large.len(),
        MAX_BYTES + 1,
        "no more is read than it takes to know"
    );
    assert_eq!(
        parse(&large).unwrap_err().to_string(),
        "has more than 1024 KiB"
    );
    let mut file = File::create(at("endless")).unwrap();
    file.write_all(b"a: 1\n").unwrap();
    assert_eq!(read_file(&at("endless")).unwrap(), "a: 1\n");
    // A pipe that nobody writes to, itself and behind a link, and a link to a file.
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    for (link, to) in [("to_pipe", "pipe"), ("to_file", "endless")] {
        std::os::unix::fs::symlink(to, at(link)).unwrap();
    }
    for name in ["pipe", "to_pipe"] {
        assert_eq!(read_file(&at(name)).unwrap(), "", "nobody writes to it");
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"a: 1\n").unwrap();
    drop(writer);
    let given = format!("/dev/fd/{}", reader.as_raw_fd());
    assert_eq!(read_file(Path::new(&given)).unwrap(), "a: 1\n");
    assert_eq!(read_file(&at("to_file")).unwrap(), "a: 1\n");
}
