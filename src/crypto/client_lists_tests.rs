//! Which list says of a certificate that it was revoked, where there are several.

use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope,
    KeyPair, SerialNumber, date_time_ymd,
};

use super::*;
use crate::crypto::client::{ClientCertificate, NamedBy};
use crate::crypto::client_roots::ClientRoots;
use crate::crypto::client_roots::tests::{Authority, leaf, roots, serial, year};

type Params = CertificateRevocationListParams;

/// A list of this number, said from this year on, for two years.
fn edition(number: u64, year: i32) -> impl Fn(&mut Params) {
    move |list| {
        list.crl_number = SerialNumber::from(number);
        list.this_update = date_time_ymd(year, 1, 1);
        list.next_update = date_time_ymd(year + 2, 1, 1);
    }
}

fn of_users(list: &mut Params) {
    list.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint {
            uris: vec!["http://own.test/users".to_owned()],
        },
        scope: Some(CrlScope::UserCertsOnly),
    });
}

/// In both orders: which one a file begins with says nothing.
fn both_ways(one: &str, other: &str) -> [String; 2] {
    [[one, other].concat(), [other, one].concat()]
}

fn read(authorities: &[&Authority], lists: &str) -> Result<ClientRoots, RootsFault> {
    let pem: String = authorities.iter().map(|one| one.pem()).collect();
    ClientRoots::from_pem(
        pem.as_bytes(),
        Some(lists.as_bytes()),
        NamedBy::CommonName,
        None,
    )
}

#[test]
fn of_several_lists_of_an_authority_the_newest_holds() {
    let own = Authority::new("own");
    let [seven, eight] = [7, 8].map(|number| own.issue(serial(number)));
    let newer = own.list_with(&[7], edition(2, 2025));
    let older = [
        own.list_with(&[], edition(1, 2024)),
        // Of the same number, as some tools make them; and past its time.
        own.list_with(&[], edition(2, 2023)),
        own.list_with(&[8], edition(1, 2024)),
        newer.clone(),
    ];
    for (at, older) in older.iter().enumerate() {
        for lists in both_ways(older, &newer) {
            let roots = roots(&[&own], Some(&lists));
            assert!(roots.verify(&seven, year(2026)).is_err(), "{at}");
            let said = roots.verify(&eight, year(2026));
            assert!(said.is_ok(), "{at}: {said:?}");
            assert!(roots.lists_until() > Some(year(2026)), "{at}");
        }
    }
}

#[test]
fn lists_of_different_certificates_hold_beside_each_other() {
    let own = Authority::new("own");
    let all = own.list_with(&[6], edition(5, 2025));
    let users = own.list_with(&[7], |list| {
        edition(1, 2025)(list);
        of_users(list);
    });
    for lists in both_ways(&all, &users) {
        let roots = roots(&[&own], Some(&lists));
        for (number, good) in [(6, false), (7, false), (8, true)] {
            let said = roots.verify(&own.issue(serial(number)), year(2026));
            assert_eq!(said.is_ok(), good, "{number}: {said:?}");
        }
    }
}

#[test]
fn authorities_of_one_name_have_lists_of_their_own() {
    let [one, other, third] = [(); 3].map(|()| Authority::new("I"));
    let list = |of: &Authority, serials: &[u64]| of.list(serials, 2030);
    for lists in both_ways(&list(&one, &[7]), &list(&other, &[8])) {
        let roots = roots(&[&one, &other, &third], Some(&lists));
        let cases = [
            (&one, 7, false),
            (&one, 8, true),
            (&other, 7, true),
            (&other, 8, false),
            // Nobody says anything of its own.
            (&third, 9, false),
        ];
        for (at, (by, number, good)) in cases.into_iter().enumerate() {
            let said = roots.verify(&by.issue(serial(number)), year(2026));
            assert_eq!(said.is_ok(), good, "{at}: {said:?}");
        }
        let said = roots.verify(&one.issue(serial(7)), year(2026));
        let said = format!("{:?}", said.unwrap_err());
        assert!(said.contains("Revoked"), "{said}");
        assert_eq!(roots.subjects().len(), 3);
    }
}

#[test]
fn who_has_nothing_of_theirs_is_searched_for_once() {
    let own: Vec<_> = (0..10).map(|_| Authority::new("I")).collect();
    let lists: String = own.iter().map(|one| one.list(&[], 2030)).collect();
    let roots = roots(&own.iter().collect::<Vec<_>>(), Some(&lists));
    for one in &own {
        assert!(roots.verify(&one.issue(leaf()), year(2026)).is_ok());
    }
    let strangers: Vec<_> = (0..4).map(|_| Authority::new("I")).collect();
    let others: Vec<_> = strangers.iter().map(Authority::certificate).collect();
    let maze = ClientCertificate::new(&Authority::new("I").der(&leaf()), &others).unwrap();
    let said = format!("{:?}", roots.verify(&maze, year(2026)).unwrap_err());
    assert!(said.contains("MaximumSignature"), "{said}");
}

#[test]
fn of_what_is_below_an_authority_the_newest_list_holds_too() {
    let own = Authority::new("own");
    let below = own.below("below");
    let newer = below.list_with(&[7], edition(2, 2025));
    let upper = own.list(&[], 2030);
    for lists in both_ways(&below.list_with(&[], edition(1, 2025)), &newer) {
        let roots = roots(&[&own], Some(&(lists + &upper)));
        for (number, good) in [(7, false), (8, true)] {
            let leaf = below.der(&serial(number));
            let whole = ClientCertificate::new(&leaf, &[below.certificate()]).unwrap();
            let said = roots.verify(&whole, year(2026));
            assert_eq!(said.is_ok(), good, "{number}: {said:?}");
        }
    }
}

#[test]
fn lists_of_which_nobody_can_tell_which_holds_are_refused() {
    let own = Authority::new("own");
    let one = own.list_with(&[], edition(5, 2025));
    let (below, namesake) = (own.below("below"), own.below("below"));
    let of_below = below.list(&[], 2030);
    let cases = [
        // Alike but for what they say, or newer by one sign and older by the other.
        (&one, own.list_with(&[7], edition(5, 2025))),
        (&one, own.list_with(&[7], edition(4, 2026))),
    ];
    for (at, (one, other)) in cases.iter().enumerate() {
        for lists in both_ways(one, other) {
            let said = read(&[&own], &lists).map(drop).unwrap_err();
            assert!(matches!(said, RootsFault::Undecided(..)), "{at}: {said}");
            assert!(said.is_of_lists());
            assert_eq!(said.to_string().matches("'CN=own'").count(), 2, "{said}");
        }
        assert!(read(&[&own], one).is_ok(), "{at}");
    }
    // Each to be told from the other: by keys that are known, or that the lists name.
    let lists = of_below + &namesake.list(&[], 2030);
    assert!(read(&[&below, &namesake], &lists).is_ok());
    assert!(read(&[&own], &lists).is_ok());
}

#[test]
fn a_list_that_is_older_than_the_one_in_force_is_told_from_a_newer_one() {
    let own = Authority::new("own");
    let of = |number, year| {
        let list = own.list_with(&[], edition(number, year));
        read(&[&own], &list).unwrap()
    };
    let last = of(5, 2025);
    for (number, year, good) in [
        (5, 2025, true),
        (6, 2026, true),
        (5, 2026, true),
        (4, 2024, false),
        (5, 2024, false),
        (4, 2025, false),
        // An authority that counts anew.
        (1, 2026, true),
    ] {
        let said = of(number, year).is_no_step_back(&last);
        assert_eq!(said.is_ok(), good, "{number} of {year}: {said:?}");
    }
    let other = Authority::new("own");
    let other = read(&[&other], &other.list_with(&[], edition(1, 2020))).unwrap();
    assert!(other.is_no_step_back(&last).is_ok());
}

/// One authority with two keys, of which one vouches no more and still has a list.
#[test]
fn a_list_is_older_than_that_of_its_own_key_alone() {
    let (own, gone) = (Authority::new("own"), Authority::new("own"));
    let list = |of: &Authority, (number, year)| of.list_with(&[], edition(number, year));
    let roots = |vouch: &[&Authority], of_own, of_gone| {
        read(vouch, &(list(&own, of_own) + &list(&gone, of_gone))).unwrap()
    };
    let (old, last, new) = ((890, 2024), (900, 2025), (901, 2026));
    for (of_gone, before, after, good) in [
        ((5, 2026), last, old, false),
        ((5, 2026), last, new, true),
        ((5, 2023), last, old, false),
        ((900, 2027), (5, 2025), (6, 2026), true),
        ((900, 2027), (5, 2025), (4, 2024), false),
    ] {
        // Known by name and key in both, or only before, or only after.
        for (known_before, known_after) in [(true, true), (true, false), (false, true)] {
            let vouch = |known| if known { vec![&own] } else { vec![&gone] };
            let before = roots(&vouch(known_before), before, of_gone);
            let after = roots(&vouch(known_after), after, of_gone);
            let said = after.is_no_step_back(&before);
            let case = format!("{of_gone:?} {known_before} {known_after}");
            assert_eq!(said.is_ok(), good, "{case}: {said:?}");
        }
    }
}

#[test]
fn what_has_nothing_to_do_with_a_certificate_says_nothing_of_it() {
    let own = Authority::new("own");
    let (below, namesake) = (own.below("below"), own.below("below"));
    let mut params = serial(7);
    params.use_authority_key_identifier_extension = true;
    let issued = below.der(&params);
    let unrelated = own.der(&serial(8));
    let clear = |lists: &str, others: &[CertificateDer<'static>]| {
        let lists = Lists::from_pem(lists.as_bytes(), &[]).unwrap();
        lists.clear(&issued, others)
    };
    let nothing = own.list(&[], 2030);
    assert!(clear(&nothing, std::slice::from_ref(&unrelated)).is_ok());
    // Sent along, and on no way from it.
    assert!(clear(&own.list(&[8], 2030), &[unrelated]).is_ok());
    // Another key's, as the list says.
    assert!(clear(&(nothing.clone() + &namesake.list(&[7], 2030)), &[]).is_ok());
    assert!(clear(&(nothing + &below.list(&[7], 2030)), &[]).is_err());
}

#[test]
fn a_serial_number_is_the_same_however_it_is_written() {
    assert_eq!(number(&[0, 0x80]), number(&[0x80]));
    assert_ne!(number(&[0x80, 0]), number(&[0x80]));
    assert!(number(&[0]).is_empty());
    let key = KeyPair::generate().unwrap();
    let signer = Signer {
        name: Box::default(),
        key: key.public_key_raw().into(),
    };
    assert!(!signer.signed(b"", b""));
}
