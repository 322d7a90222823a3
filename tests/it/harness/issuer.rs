//! Authorities that issue certificates to clients, as they should and as they should not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, DnValue, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

use super::tls::Identity;

/// An authority with a name.
pub struct Issuer(CertifiedIssuer<'static, KeyPair>);

impl Issuer {
    /// Makes one.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Its own certificate and key, which are for nothing but issuing.
    pub fn own(&self) -> Identity {
        Identity {
            certificate: self.pem(),
            key: self.0.key().serialize_pem(),
        }
    }

    /// A certificate with this common name.
    pub fn issue(&self, name: &str) -> Identity {
        self.with(named(name))
    }

    /// A certificate as it is asked for.
    #[expect(clippy::needless_pass_by_value, reason = "made where it is issued")]
    pub fn with(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity {
            certificate: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    /// A list that revokes certificates with these numbers.
    pub fn list(&self, serials: &[u64]) -> String {
        self.edition(1, serials)
    }

    /// The so manieth of its lists.
    pub fn edition(&self, number: u64, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2040, 1, 1),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// What a certificate of this name is made of.
pub fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let name = DnValue::Utf8String(name.to_owned());
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2035, 1, 1);
    params
}

/// The same with a number, by which it can be revoked.
pub fn numbered(name: &str, serial: u64) -> CertificateParams {
    let mut params = named(name);
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

/// The same, over so soon.
pub fn until(name: &str, left: Duration) -> CertificateParams {
    let mut params = named(name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    params.not_after = date_time_ymd(1970, 1, 1) + now + left;
    params
}

/// A certificate for these e-mail addresses.
pub fn addressed(addresses: &[&str]) -> CertificateParams {
    let mut params = named("somebody");
    let san = |address: &&str| SanType::Rfc822Name(Ia5String::try_from(*address).unwrap());
    params.subject_alt_names = addresses.iter().map(san).collect();
    params
}
