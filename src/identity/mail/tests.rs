//! Letters as they are written: nothing that a user chose becomes markup, a header or a link.

use std::fs;
use std::time::Duration;

use super::*;
use crate::base::name::Username;

fn office(folder: Option<PathBuf>) -> Result<Office, MailFault> {
    let settings = Settings {
        transport: settings::Transport::Folder("unused".into()),
        from: "login@example.com".parse().unwrap(),
    };
    let letterhead = Letterhead {
        templates: folder,
        ..samples::letterhead().unwrap()
    };
    Office::open(&settings, letterhead)
}

fn words(letter: &Letter) -> render::Text {
    let office = office(None).unwrap();
    office.templates.render(letter, &office.letterhead).unwrap()
}

/// HTML with the slashes as they are meant: escaping spells them out.
fn slashes(html: &str) -> String {
    html.replace("&#x2f;", "/")
}

fn raw(to: &str, letter: &Letter) -> String {
    let (id, at) = (
        PublicId::generate(&Random::seeded(1)),
        Timestamp::from_millis(0),
    );
    let written = office(None)
        .unwrap()
        .write(&to.parse().unwrap(), letter, id, at);
    written.unwrap().raw
}

#[test]
fn every_letter_has_a_subject_and_says_who_it_is_from() {
    for letter in samples::letters().unwrap() {
        let text = words(&letter);
        assert!(
            text.subject.len() > 5 && !text.plain.contains("{{"),
            "{text:?}"
        );
        for part in [&text.plain, &slashes(&text.html)] {
            assert!(
                part.contains("Example") && part.contains("https://example.com"),
                "{text:?}"
            );
        }
        let html = text.html.to_lowercase();
        for remote in ["<img", "<script", "<link", "@import", "url(", "src="] {
            assert!(!html.contains(remote), "{remote} in {letter:?}");
        }
    }
}

#[test]
fn x_05_the_text_of_a_link_is_the_link() {
    for letter in samples::letters().unwrap() {
        let html = words(&letter).html;
        for anchor in html.split("<a href=\"").skip(1) {
            let (link, rest) = anchor.split_once('"').unwrap();
            let text = rest.split_once('>').unwrap().1.split('<').next().unwrap();
            assert_eq!(link, text, "{letter:?}");
            assert!(
                words(&letter)
                    .plain
                    .contains("https://example.com/auth/verify?token=x")
            );
        }
    }
}

#[test]
fn x_05_names_and_devices_are_text() {
    let evil: Username = "<b>bob&amp;\"".parse().unwrap();
    let user_agent = "<script>alert(1)</script>\r\nBcc: eve@example.com\r\n\r\n".repeat(9);
    let letter = Letter::NewSignIn {
        name: Salutation::proved(evil),
        ip: "::1".parse().unwrap(),
        user_agent,
        at: Timestamp::from_millis(0),
    };
    let text = words(&letter);
    assert!(
        text.html.contains("&lt;b&gt;bob") && !text.html.contains("<b>"),
        "{}",
        text.html
    );
    // A program that is not known is not let speak.
    for part in [&text.html, &text.plain] {
        assert!(!part.contains("alert") && !part.contains("eve@"), "{part}");
        assert!(part.contains("Device: not known"), "{part}");
    }
    assert!(text.plain.contains("1970-01-01 00:00:00 UTC"));
    let letter = Letter::NewSignIn {
        name: Salutation::proved("bob".parse().unwrap()),
        ip: "::1".parse().unwrap(),
        user_agent: "You have won: call 0800 1234 (X11; Linux x86_64) Firefox/128.0".into(),
        at: Timestamp::from_millis(0),
    };
    let text = words(&letter).plain;
    assert!(text.contains("Device: Firefox on Linux\n"), "{text}");
    assert!(!text.contains("0800"), "{text}");
}

#[test]
fn x_05_a_stranger_cannot_send_links_by_their_name() {
    for name in ["http://evil.example/win", "evil.example", "a:b"] {
        let letter = Letter::ResetPassword {
            name: Salutation::proved(name.parse().unwrap()),
            link: "https://example.com/auth/reset-password".into(),
            minutes: 30,
        };
        let text = words(&letter);
        assert!(
            !text.plain.contains(name) && !text.html.contains(name),
            "{name}"
        );
        assert!(text.plain.starts_with("Hello,\n"), "{}", text.plain);
    }
}

#[test]
fn a_19_x_05_header_fields_are_ours() {
    let mut office = office(None).unwrap();
    office.letterhead.brand = "Evil\r\nBcc: eve@example.com, \"x\" <y@z>".into();
    let (id, at) = (
        PublicId::generate(&Random::seeded(1)),
        Timestamp::from_millis(0),
    );
    let letter = Letter::Invitation {
        by: "bob".parse().unwrap(),
        roles: Vec::new(),
        link: "https://example.com/auth/join".into(),
        hours: 1,
    };
    let message = office
        .write(&"A.B+c@Example.test".parse().unwrap(), &letter, id, at)
        .unwrap();
    let head = message.raw.split("\r\n\r\n").next().unwrap();
    let names: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    let expected = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ];
    assert_eq!(names, expected, "{head}");
    assert_eq!(
        (message.from.as_str(), message.to.as_str()),
        ("login@example.com", "A.B+c@example.test")
    );
    assert!(
        head.contains(&format!("Message-ID: <{id}@example.com>")),
        "{head}"
    );
    assert!(
        head.contains("Date: Thu, 01 Jan 1970 00:00:00 +0000"),
        "{head}"
    );
    assert!(
        head.lines().all(|line| line.len() < 200 && line.is_ascii()),
        "{head}"
    );
}

#[test]
fn a_message_survives_the_outbox() {
    let (id, at) = (
        PublicId::generate(&Random::seeded(1)),
        Timestamp::from_millis(5),
    );
    let message = office(None)
        .unwrap()
        .write(&"bob@example.test".parse().unwrap(), &Letter::Test, id, at)
        .unwrap();
    assert_eq!(Message::unpack(&message.pack()), Some(message.clone()));
    assert_eq!(Message::unpack(b"{}"), None);
    assert!(!format!("{message:?}").contains("bob"));
}

#[test]
fn long_links_arrive_whole() {
    let link = format!("https://example.com/auth/verify?token={}", "x".repeat(900));
    let letter = Letter::ResetPassword {
        name: Salutation::proved("bob".parse().unwrap()),
        link: link.clone(),
        minutes: 30,
    };
    let raw = raw("bob@example.test", &letter);
    // RFC 5322 section 2.1.1: 998 characters a line; quoted-printable breaks lines with `=`.
    assert!(raw.split("\r\n").all(|line| line.len() <= 998));
    let joined = raw.replace("=\r\n", "").replace("=3D", "=");
    assert!(joined.contains(&link), "{raw}");
}

#[test]
fn templates_of_a_folder_come_first_and_are_tried_when_they_are_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    put(
        "test.txt",
        "{% extends \"base.txt\" %}{% block subject %}Servus{% endblock %}{% block body %}Griaß di{% endblock %}",
    );
    let own = office(Some(folder.path().to_owned())).unwrap();
    let text = own
        .templates
        .render(&Letter::Test, &own.letterhead)
        .unwrap();
    assert_eq!(text.subject, "Servus");
    assert!(text.plain.contains("Griaß di") && text.html.contains("arrives. It does."));
    for (name, wrong) in [
        ("verify_email.html", "{{ no_such_value }}"),
        (
            "verify_email.txt",
            "{% extends \"base.txt\" %}{% block body %}no subject{% endblock %}",
        ),
        ("invitation.txt", "{% if %}"),
        ("base.html", "{% include \"/etc/passwd\" %}"),
    ] {
        put(name, wrong);
        let fault = office(Some(folder.path().to_owned())).unwrap_err();
        assert!(fault.to_string().contains(name), "{fault}");
        fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[tokio::test]
async fn a_letter_whose_link_is_dead_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        transport: settings::Transport::Folder(folder.path().to_owned()),
        from: "login@example.com".parse().unwrap(),
    };
    let office = Office::open(&settings, samples::letterhead().unwrap()).unwrap();
    let at = Timestamp::from_millis(5);
    let letter = Letter::ResetPassword {
        name: Salutation::proved("bob".parse().unwrap()),
        link: "https://example.com/auth/reset-password".into(),
        minutes: 30,
    };
    let to: Email = "bob@example.test".parse().unwrap();
    let write = |letter: &Letter, seed| {
        let id = PublicId::generate(&Random::seeded(seed));
        office.write(&to, letter, id, at).unwrap().pack()
    };
    let (linked, plain) = (write(&letter, 1), write(&Letter::Test, 2));
    let clock = Clock::manual(at);
    let postman = Postman {
        office: Arc::new(ArcSwapOption::from_pointee(office)),
        clock: clock.clone(),
    };
    clock.advance(Duration::from_mins(30) - Duration::from_millis(1));
    assert_eq!(postman.deliver(&linked).await, Delivery::Done);
    clock.advance(Duration::from_millis(1));
    assert!(matches!(postman.deliver(&linked).await, Delivery::Never(_)));
    assert_eq!(postman.deliver(&plain).await, Delivery::Done);
}
