//! Names, addresses, roles and permissions: what is one, and which are the same.

use super::*;

#[test]
fn a_06_spellings_of_one_name_meet() {
    for spelling in ["bob", "Bob", "BOB", " bob ", "Ｂｏｂ"] {
        assert_eq!(
            spelling.parse::<Username>().unwrap().as_str(),
            "bob",
            "{spelling:?}"
        );
    }
    let cyrillic: Username = "b\u{043e}b".parse().unwrap();
    assert_ne!(cyrillic.as_str(), "bob");
    let (nfc, nfd): (Username, Username) =
        ("zo\u{eb}".parse().unwrap(), "zoe\u{308}".parse().unwrap());
    assert_eq!(nfc, nfd);
    for bad in ["", "  ", "bob\0", "a b", "a@b", "a＠b", &"x".repeat(65)] {
        assert!(bad.parse::<Username>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_06_what_a_name_is_mapped_to_is_that_name() {
    // Capitals whose small letters are unknown to the tables, and marks that change places.
    for bad in ["q\u{13a0}", "\u{915}\u{952}\u{94d}\u{200d}\u{937}"] {
        assert!(bad.parse::<Username>().is_err(), "{bad:?}");
    }
    for c in (0..=0x10_ffff).filter_map(char::from_u32) {
        let Ok(name) = format!("a{c}b").parse::<Username>() else {
            continue;
        };
        let again = name.as_str().parse::<Username>();
        assert_eq!(again.as_ref(), Ok(&name), "{c:?}");
        assert_eq!(Username::stored(name.to_string()), Ok(name), "{c:?}");
    }
}

#[test]
fn a_stored_name_is_read_though_nobody_could_choose_it_today() {
    assert_eq!(
        Username::stored("q\u{ab70}".into()).unwrap().as_str(),
        "q\u{ab70}"
    );
    for bad in ["", "a b", "a\n", "a@b", &"x".repeat(65)] {
        assert!(Username::stored(bad.into()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_19_addresses() {
    let email: Email = "Bob.X+tag@Bücher.Example".parse().unwrap();
    assert_eq!(email.as_str(), "Bob.X+tag@Bücher.Example");
    assert_eq!(email.folded(), "bob.x+tag@xn--bcher-kva.example");
    assert_eq!(
        (email.local(), email.domain()),
        ("Bob.X+tag", "xn--bcher-kva.example")
    );
    assert_eq!(email.mailbox(), "Bob.X+tag@xn--bcher-kva.example");
    let (nfc, nfd) = ("zo\u{eb}@x.test", "zoe\u{308}@x.test");
    let (nfc, nfd) = (nfc.parse::<Email>(), nfd.parse::<Email>());
    assert_eq!(
        nfc.as_ref().map(Email::as_str),
        nfd.as_ref().map(Email::as_str)
    );
    assert_eq!(nfc.is_ok(), nfd.is_ok());
    let long = format!("{}@x.test", "a".repeat(320));
    for bad in [
        "",
        "a",
        "@x",
        "a@",
        "a b@x",
        "a@x\r\nBcc: b@y",
        "a@x,b@y",
        "\"a\"@x",
        "a@[127.0.0.1]",
        ".a@x",
        "a.@x",
        "a..b@x",
        "a@x_y.test",
        "a@-x.test",
        "a@x..test",
        "a\u{200b}b@x.test",
        "a\u{ad}b@x.test",
        "ab@x\u{ad}y.test",
        "a\u{202e}b@x.test",
        "\u{1f9c0}@x.test",
        "\u{212a}im@x.test",
        "a@ex%61mple.test",
        "a@\u{ff45}xample.test",
        &long,
    ] {
        assert!(bad.parse::<Email>().is_err(), "{bad:?}");
    }
}

#[test]
fn roles_and_permissions_are_told_apart() {
    assert!("editor".parse::<RoleName>().is_ok());
    assert!("orders:read".parse::<RoleName>().is_err());
    assert!("orders:read".parse::<Permission>().is_ok());
    for bad in ["orders", ":", "a:", ":b", "a:b:c", "a b:c", "a,b:c"] {
        assert!(bad.parse::<Permission>().is_err(), "{bad:?}");
    }
}
