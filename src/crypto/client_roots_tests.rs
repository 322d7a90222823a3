//! Who vouches for whom, when, and for what.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};

use super::*;
use crate::crypto::client::ShownFault;

/// An authority made for a test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A root of this name.
    pub(crate) fn new(name: &str) -> Self {
        Self::of_years(name, 2020, 2040)
    }

    /// One that lasts from one year's first day to another's.
    pub(crate) fn of_years(name: &str, from: i32, until: i32) -> Self {
        let params = authority(name, from, until);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// An authority below it.
    pub(crate) fn below(&self, name: &str) -> Self {
        let (params, key) = (authority(name, 2020, 2030), KeyPair::generate().unwrap());
        Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap())
    }

    /// A certificate as it is shown, with nothing beside it.
    #[expect(clippy::needless_pass_by_value, reason = "made where it is issued")]
    pub(crate) fn issue(&self, params: CertificateParams) -> ClientCertificate {
        ClientCertificate::new(&self.der(&params), &[]).unwrap()
    }

    /// The same certificate again and again, each time with others beside it that it has no need of.
    pub(crate) fn issue_beside(
        &self,
        params: &CertificateParams,
        times: usize,
    ) -> Vec<ClientCertificate> {
        let leaf = self.der(params);
        let others: Vec<_> = (0..=times.isqrt())
            .map(|at| self.below(&at.to_string()))
            .collect();
        let pairs = others
            .iter()
            .flat_map(|one| others.iter().map(move |other| [one, other]));
        let beside = |pair: [&Self; 2]| pair.map(|one| one.0.der().clone());
        let all = pairs.map(|pair| ClientCertificate::new(&leaf, &beside(pair)).unwrap());
        all.take(times).collect()
    }

    /// What it issues for this.
    pub(crate) fn der(&self, params: &CertificateParams) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.0).unwrap().der().clone()
    }

    /// It alone, and nothing revoked.
    pub(crate) fn roots(&self) -> ClientRoots {
        roots(&[self], None)
    }

    /// What it has revoked, said until a year's first day.
    pub(crate) fn list(&self, serials: &[u64], until: i32) -> String {
        self.list_with(serials, |list| {
            list.next_update = date_time_ymd(until, 1, 1);
        })
    }

    /// The same, changed.
    pub(crate) fn list_with(
        &self,
        serials: &[u64],
        change: impl FnOnce(&mut CertificateRevocationListParams),
    ) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let mut list = CertificateRevocationListParams {
            this_update: date_time_ymd(2022, 1, 1),
            next_update: date_time_ymd(2030, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        change(&mut list);
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// The same as PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }
}

/// Writes `clients.pem` and `clients.crl`.
pub(crate) fn write(folder: &std::path::Path) {
    let own = Authority::new("own");
    std::fs::write(folder.join("clients.pem"), own.pem()).unwrap();
    std::fs::write(folder.join("clients.crl"), own.list(&[7], 2040)).unwrap();
}

fn authority(name: &str, from: i32, until: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

/// A certificate of `alice`.
pub(crate) fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "alice");
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    params
}

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = leaf();
    change(&mut params);
    params
}

/// The same of this number.
pub(crate) fn serial(serial: u64) -> CertificateParams {
    with(|params| params.serial_number = Some(SerialNumber::from(serial)))
}

/// These, and what they have revoked.
pub(crate) fn roots(authorities: &[&Authority], lists: Option<&str>) -> ClientRoots {
    let pem: String = authorities.iter().map(|one| one.pem()).collect();
    let lists = lists.map(str::as_bytes);
    ClientRoots::from_pem(pem.as_bytes(), lists, NamedBy::CommonName, None).unwrap()
}

/// The middle of a year.
pub(crate) fn year(year: i32) -> Timestamp {
    let at = date_time_ymd(year, 6, 1).unix_timestamp();
    Timestamp::from_millis(at * 1000)
}

#[test]
fn an_authority_vouches_for_what_it_issued_for_this_use_and_while_it_lasts() {
    let (own, other) = (Authority::new("own"), Authority::new("own"));
    let usage = |purpose| with(|params| params.extended_key_usages = vec![purpose]);
    let client = usage(ExtendedKeyUsagePurpose::ClientAuth);
    let server = usage(ExtendedKeyUsagePurpose::ServerAuth);
    let no_authority = with(|params| params.is_ca = IsCa::ExplicitNoCa);
    let selfsigned = leaf().self_signed(&KeyPair::generate().unwrap()).unwrap();
    let selfsigned = ClientCertificate::new(selfsigned.der(), &[]).unwrap();
    let cases = [
        ("plain", own.issue(leaf()), 2026, true),
        ("for clients", own.issue(client), 2026, true),
        (
            "says it is no authority",
            own.issue(no_authority),
            2026,
            true,
        ),
        ("for servers", own.issue(server), 2026, false),
        ("early", own.issue(leaf()), 2023, false),
        ("late", own.issue(leaf()), 2031, false),
        ("of a namesake", other.issue(leaf()), 2026, false),
        ("of its own", selfsigned, 2026, false),
        (
            "an authority's",
            own.issue(authority("below", 2020, 2030)),
            2026,
            false,
        ),
    ];
    let roots = roots(&[&own], None);
    for (what, shown, at, good) in cases {
        assert_eq!(roots.verify(&shown, year(at)).is_ok(), good, "{what}");
    }
    let root = ClientCertificate::new(own.0.der(), &[]).unwrap();
    assert!(roots.verify(&root, year(2026)).is_err(), "the root itself");
}

#[test]
fn an_authority_whose_time_is_over_vouches_for_nobody() {
    let (old, new) = (
        Authority::of_years("old", 2020, 2025),
        Authority::of_years("new", 2025, 2040),
    );
    let roots = roots(&[&old, &new], None);
    let (by_old, by_new) = (old.issue(leaf()), new.issue(leaf()));
    for (at, of_old, of_new) in [(2024, true, false), (2026, false, true)] {
        assert_eq!(roots.verify(&by_old, year(at)).is_ok(), of_old, "{at}");
        assert_eq!(roots.verify(&by_new, year(at)).is_ok(), of_new, "{at}");
    }
    assert_eq!(roots.subjects().len(), 2);
}

#[test]
fn what_comes_along_is_needed_and_has_a_time_of_its_own() {
    let own = Authority::new("own");
    let below = own.below("below");
    let roots = roots(&[&own], None);
    let leaf = below.der(&with(|params| params.not_after = date_time_ymd(2035, 1, 1)));
    let alone = ClientCertificate::new(&leaf, &[]).unwrap();
    let whole = ClientCertificate::new(&leaf, &[below.0.der().clone()]).unwrap();
    assert!(roots.verify(&alone, year(2026)).is_err());
    assert!(roots.verify(&whole, year(2026)).is_ok());
    assert!(roots.verify(&whole, year(2031)).is_err());
    let until = whole.good_until(year(2026)).unwrap();
    assert!(until < year(2030), "looked at again when the first is over");
    assert!(whole.good_until(year(2036)).is_none());
}

/// A certificate of `I`, and so many authorities that are all called so and have issued none of it.
fn maze(others: usize) -> Result<ClientCertificate, ShownFault> {
    let leaf = Authority::new("I").der(&leaf());
    let others: Vec<_> = (0..others)
        .map(|_| Authority::new("I").0.der().clone())
        .collect();
    ClientCertificate::new(&leaf, &others)
}

#[test]
fn what_comes_along_is_no_more_than_authorities_need() {
    for (others, fault) in [(4, None), (5, Some(ShownFault::TooMuch))] {
        assert_eq!(maze(others).err(), fault, "{others}");
    }
    let junk = |bytes: usize| {
        let der = CertificateDer::from(vec![0; bytes]);
        ClientCertificate::new(&der, &[]).unwrap_err()
    };
    assert_eq!(junk(16 * 1024 + 1), ShownFault::TooMuch);
    assert!(matches!(junk(16 * 1024), ShownFault::Unreadable(_)));
}

#[test]
fn however_many_vouch_a_certificate_gets_one_search() {
    let own: Vec<_> = (0..10).map(|_| Authority::new("I")).collect();
    let roots = roots(&own.iter().collect::<Vec<_>>(), None);
    // Four can be put in a row in 65 ways, each to be held against each of the ten.
    let said = roots.verify(&maze(4).unwrap(), year(2026)).unwrap_err();
    assert!(format!("{said:?}").contains("MaximumSignature"), "{said:?}");
    for one in &own {
        assert!(roots.verify(&one.issue(leaf()), year(2026)).is_ok());
    }
}

#[test]
fn what_is_revoked_or_not_spoken_of_does_not_count() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let list = own.list(&[7], 2030);
    let with = |lists: &str| roots(&[&own, &other], Some(lists));
    let cases = [
        (own.issue(serial(7)), list.clone(), 2026, false),
        (own.issue(serial(8)), list.clone(), 2026, true),
        (own.issue(serial(8)), own.list(&[], 2025), 2026, false),
        (own.issue(serial(8)), own.list(&[], 2025), 2024, true),
        (other.issue(serial(8)), list.clone(), 2026, false),
        (
            other.issue(serial(8)),
            list.clone() + &other.list(&[], 2030),
            2026,
            true,
        ),
        // A namesake's list says nothing of ours.
        (
            own.issue(serial(8)),
            Authority::new("own").list(&[], 2030),
            2026,
            false,
        ),
    ];
    for (at, (shown, lists, on, good)) in cases.into_iter().enumerate() {
        let said = with(&lists).verify(&shown, year(on));
        assert_eq!(said.is_ok(), good, "{at}: {said:?}");
    }
    assert_eq!(with(&list).lists_until(), {
        let at = date_time_ymd(2030, 1, 1).unix_timestamp();
        Some(Timestamp::from_millis(at * 1000))
    });
}

#[test]
fn what_vouches_for_nobody_is_refused_before_it_is_in_force() {
    let own = Authority::new("own");
    let read = |ca: &str, crl: Option<&str>| {
        let crl = crl.map(str::as_bytes);
        ClientRoots::from_pem(ca.as_bytes(), crl, NamedBy::CommonName, None).map(drop)
    };
    let key = KeyPair::generate().unwrap();
    let nobody = leaf().self_signed(&key).unwrap().pem();
    let junk = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    assert_eq!(read("", None), Err(RootsFault::NoCertificate));
    assert_eq!(
        read(&key.serialize_pem(), None),
        Err(RootsFault::NoCertificate)
    );
    assert!(matches!(
        read(&nobody, None),
        Err(RootsFault::NoAuthority(name)) if name.contains("alice")
    ));
    let both = own.pem() + &nobody;
    assert!(matches!(read(&both, None), Err(RootsFault::NoAuthority(_))));
    assert_eq!(read(&own.pem(), Some("")), Err(RootsFault::NoList));
    assert!(matches!(
        read(&own.pem(), Some(junk)),
        Err(RootsFault::UnreadableList(_))
    ));
    assert_eq!(read(&own.pem(), Some(&own.list(&[], 2030))), Ok(()));
}

#[test]
fn the_name_that_is_asked_for_says_whether_a_certificate_is() {
    let pem = Authority::new("own").pem();
    let asks = |hosts: Option<Vec<Host>>, name| {
        let roots = ClientRoots::from_pem(pem.as_bytes(), None, NamedBy::Uri, hosts);
        roots.unwrap().asks(name)
    };
    let some = || Some(vec!["api.test".parse().unwrap()]);
    for (hosts, name, asked) in [
        (None, Some("app.test"), true),
        (None, None, true),
        (some(), Some("api.test"), true),
        (some(), Some("API.test"), true),
        (some(), None, true),
        (some(), Some("app.test"), false),
        (some(), Some("x.api.test"), false),
        (some(), Some("a b"), false),
    ] {
        assert_eq!(asks(hosts, name), asked, "{name:?}");
    }
}
