//! What certificates call their holders, and for how long that is worth listening to.

use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, DnValue, SanType};

use super::*;
use crate::crypto::client_roots::tests::Authority;

fn shown(common: &[&str], alternative: &[SanType]) -> ClientCertificate {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for name in common {
        let name = DnValue::Utf8String((*name).to_owned());
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.subject_alt_names = alternative.to_vec();
    Authority::new("authority").issue(params)
}

fn ia5(text: &str) -> Ia5String {
    Ia5String::try_from(text).unwrap()
}

#[test]
fn the_common_name_is_a_username_to_the_letter() {
    let user = |name: &str| Ok(Named::Username(name.parse().unwrap()));
    let cases = [
        ("alice", user("alice")),
        ("zo\u{eb}", user("zo\u{eb}")),
        ("build-agent.7", user("build-agent.7")),
        // Somebody else, who looks like alice.
        ("\u{430}lice", user("\u{430}lice")),
        ("alice.", user("alice.")),
        ("Alice", Err(NameFault::Spelling)),
        ("ALICE", Err(NameFault::Spelling)),
        (" alice", Err(NameFault::Spelling)),
        ("alice ", Err(NameFault::Spelling)),
        ("alice\0", Err(NameFault::Spelling)),
        ("alice\0.example.test", Err(NameFault::Spelling)),
        ("alice\n", Err(NameFault::Spelling)),
        ("\u{200b}alice", Err(NameFault::Spelling)),
        ("\u{ff41}lice", Err(NameFault::Spelling)),
        ("zoe\u{308}", Err(NameFault::Spelling)),
        ("alice@example.test", Err(NameFault::Spelling)),
        ("alice,root", user("alice,root")),
        ("", Err(NameFault::Spelling)),
    ];
    for (name, expected) in cases {
        let named = shown(&[name], &[]).named(NamedBy::CommonName);
        assert_eq!(named, expected, "{name:?}");
    }
    let named = |names: &[&str]| shown(names, &[]).named(NamedBy::CommonName);
    assert_eq!(named(&[]), Err(NameFault::None));
}

/// `dns:`, `mail:` or `uri:`, and the name; `then` parts two.
fn alternatives(written: &str) -> Vec<SanType> {
    let names = written.split(" then ").filter(|name| !name.is_empty());
    let read = |name: &str| match name.split_once('=').unwrap() {
        ("dns", name) => SanType::DnsName(ia5(name)),
        ("mail", name) => SanType::Rfc822Name(ia5(name)),
        (_, name) => SanType::URI(ia5(name)),
    };
    names.map(read).collect()
}

#[test]
fn alternative_names_count_when_there_is_one_of_the_kind() {
    use NameFault::{None, Several, Spelling};
    use NamedBy::{CommonName, DnsName, Email, Uri};
    let good = [
        (DnsName, "dns=job.test", "job.test"),
        (
            DnsName,
            "mail=a@b.test then dns=job.test then uri=x:y",
            "job.test",
        ),
        (Uri, "uri=spiffe://corp/job", "spiffe://corp/job"),
    ];
    for (by, names, user) in good {
        let named = shown(&[], &alternatives(names)).named(by);
        assert_eq!(named, Ok(Named::Username(user.parse().unwrap())), "{names}");
    }
    let alice = shown(&[], &alternatives("mail=alice@example.test")).named(Email);
    assert_eq!(
        alice,
        Ok(Named::Email("alice@example.test".parse().unwrap()))
    );
    let bad = [
        (DnsName, "", None),
        (DnsName, "uri=job", None),
        (DnsName, "dns=job then dns=job", Several),
        (DnsName, "dns=JOB", Spelling),
        (DnsName, "dns=*.test", Spelling),
        (DnsName, "dns=job\0x", Spelling),
        (
            Uri,
            "uri=spiffe://corp/job then uri=spiffe://corp/root",
            Several,
        ),
        (Uri, "uri=", Spelling),
        (
            Email,
            "mail=alice@example.test then mail=root@example.test",
            Several,
        ),
        (Email, "mail=Alice@example.test", Spelling),
        (Email, "mail=alice@example.test.", Spelling),
        (Email, "mail=alice@example.test\0.evil.test", Spelling),
        (Email, "mail=alice@example.test,root@example.test", Spelling),
        (Email, "dns=alice@example.test", None),
        (CommonName, "dns=job.test", None),
    ];
    for (by, names, fault) in bad {
        let named = shown(&[], &alternatives(names)).named(by);
        assert_eq!(named, Err(fault), "{by:?} {names:?}");
    }
}

#[test]
fn two_common_names_are_none() {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let spelt_out = DnType::CustomDnType(vec![2, 5, 4, 3]);
    params.distinguished_name.push(DnType::CommonName, "alice");
    params.distinguished_name.push(spelt_out, "root");
    let named = Authority::new("authority")
        .issue(params)
        .named(NamedBy::CommonName);
    assert_eq!(named, Err(NameFault::Several));
}

#[test]
fn what_comes_along_tells_two_apart() {
    let (one, two) = (shown(&["alice"], &[]), shown(&["alice"], &[]));
    let der = |shown: &ClientCertificate| shown.chain().unwrap().0.clone();
    let again = ClientCertificate::new(&der(&one), &[]).unwrap();
    assert_eq!(one.hash(), again.hash());
    let more = ClientCertificate::new(&der(&one), &[der(&two)]).unwrap();
    assert!(one.hash() != two.hash() && one.hash() != more.hash());
    let junk = CertificateDer::from(vec![0x30, 0x03, 0x02, 0x01, 0x01]);
    assert!(ClientCertificate::new(&junk, &[]).is_err());
    assert!(ClientCertificate::new(&der(&one), &[junk]).is_err());
}
