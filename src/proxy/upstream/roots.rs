//! The authorities that this machine trusts, for services whose upstream names none.
//!
//! Pingora reads them itself and panics at the first that cannot be read: one rotten file among them, or none at all,
//! would keep a gateway from starting that asks for no TLS. Where that would be so, it is given those that can be read.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{MemfdFlags, memfd_create};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::load_native_certs;

/// The file that Pingora is to read instead of the machine's; nothing, where it can read those.
#[must_use]
pub fn file() -> Option<&'static str> {
    static FILE: LazyLock<Option<String>> = LazyLock::new(|| {
        let found = load_native_certs();
        let faults = found.errors.iter().map(ToString::to_string).collect();
        sound(&found.certs, faults)
    });
    FILE.as_deref()
}

/// A file of the certificates that can be used, where others are among them, or there is none.
fn sound(certificates: &[CertificateDer<'static>], mut faults: Vec<String>) -> Option<String> {
    let mut pem = String::new();
    let mut number = 0;
    for certificate in certificates {
        match RootCertStore::empty().add(certificate.clone()) {
            Ok(()) => {
                number += 1;
                pem.push_str(&armoured(certificate));
            }
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    if faults.is_empty() && number > 0 {
        return None;
    }
    for fault in &faults {
        tracing::warn!(fault, "an authority of this machine cannot be read");
    }
    tracing::warn!(
        number,
        "services asked by https:// are believed by these authorities of this machine, or by those of `ca:`"
    );
    kept(&pem)
        .inspect_err(|error| tracing::error!(%error, "they could not be kept"))
        .ok()
}

/// In memory, for as long as the process lives.
fn kept(pem: &str) -> std::io::Result<String> {
    let file = memfd_create(c"authorities", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(pem.as_bytes())?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::mem::forget(file);
    Ok(path)
}

fn armoured(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["root.test".to_owned()]).unwrap();
        made.cert.der().clone()
    }

    #[test]
    fn f_08_those_that_can_be_read_stay() {
        let (good, bad) = (authority(), CertificateDer::from(vec![0, 1, 2]));
        assert_eq!(sound(std::slice::from_ref(&good), Vec::new()), None);
        for (certificates, faults, number) in [
            (vec![good.clone(), bad], Vec::new(), 1),
            (vec![good], vec!["no such file".to_owned()], 1),
            (Vec::new(), Vec::new(), 0),
        ] {
            let path = sound(&certificates, faults).unwrap();
            let pem = std::fs::read_to_string(path).unwrap();
            assert_eq!(pem.matches("BEGIN").count(), number);
            let lines = pem.lines().filter(|line| !line.starts_with('-'));
            for line in lines {
                let der = CertificateDer::from(STANDARD.decode(line).unwrap());
                RootCertStore::empty().add(der).unwrap();
            }
        }
    }
}
