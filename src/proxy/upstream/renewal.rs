//! Whom upstreams are believed by, and who we are to them, in files that are renewed while the gateway runs. What is new
//! and sound takes the place of what was read before; what is not is told once, and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::certificate::{CertificateFault, Identity, chain_of};
use crate::proxy::settings::{Certificate, Upstream};
use crate::proxy::tls::TlsFault;
use crate::proxy::tls::files::{Stamp, Watch, in_time};

use super::settings::{ClientCertificate, Trust, TrustFiles};
use super::trust::{is_authority, readable};

/// What is known of the files of each upstream.
#[derive(Debug, Default)]
pub struct Renewals(BTreeMap<Arc<str>, (TrustFiles, Watch)>);

impl Renewals {
    /// Looks at the files. What an upstream is to trust from now on, or why that is no good.
    pub fn look<'a>(
        &mut self,
        upstreams: impl IntoIterator<Item = &'a Upstream>,
        now: Timestamp,
    ) -> Vec<(Arc<str>, Result<Trust, TlsFault>)> {
        let mut before = std::mem::take(&mut self.0);
        let mut news = Vec::new();
        for upstream in upstreams {
            let (name, trust) = (&upstream.name, &upstream.trust);
            if trust.files == TrustFiles::default() {
                continue;
            }
            let known = before.remove(name);
            let known = known.filter(|(files, _)| *files == trust.files);
            // Those of which nothing is known are read again: they may have changed since the file was.
            let mut watch = known.map_or_else(|| Watch::new(Stamp::of([])), |(_, watch)| watch);
            if let Some(changed) = watch.changed(Stamp::of(trust.files.paths())) {
                let renewed = renewed(trust, now);
                let is_told = watch.note(changed, &renewed);
                let is_same = renewed.as_ref().is_ok_and(|renewed| renewed == trust);
                if is_told && !is_same {
                    news.push((Arc::clone(name), renewed));
                }
            }
            self.0
                .insert(Arc::clone(name), (trust.files.clone(), watch));
        }
        news
    }
}

/// What the files say now.
fn renewed(before: &Trust, now: Timestamp) -> Result<Trust, TlsFault> {
    let mut renewed = before.clone();
    if let Some(path) = &before.files.authorities {
        renewed.authorities = Some(authorities(path)?);
    }
    if let Some(files) = &before.files.client {
        let (client, identity) = client(files)?;
        if before.client.as_ref() != Some(&client) {
            in_time(&identity, files, now)?;
        }
        renewed.client = Some(client);
    }
    Ok(renewed)
}

fn authorities(path: &Path) -> Result<Vec<Vec<u8>>, TlsFault> {
    let found = certificates(path, &read(path)?)?;
    if found.iter().all(|der| is_authority(der)) {
        Ok(found)
    } else {
        let what = "it cannot be an authority".to_owned();
        let fault = CertificateFault::Unreadable(what);
        Err(TlsFault::Unusable(path.to_owned(), fault))
    }
}

fn client(files: &Certificate) -> Result<(ClientCertificate, Arc<Identity>), TlsFault> {
    let (chain, key) = (read(&files.chain)?, read(&files.key)?);
    let fault = |fault: CertificateFault| {
        let path = if fault.is_of_key() {
            &files.key
        } else {
            &files.chain
        };
        TlsFault::Unusable(path.clone(), fault)
    };
    let identity = Identity::from_pem(&chain, &key).map_err(fault)?;
    let private = rustls_pemfile::private_key(&mut key.as_slice());
    let private = private.ok().flatten();
    let private = private.ok_or_else(|| fault(CertificateFault::NoKey))?;
    let client = ClientCertificate {
        chain: certificates(&files.chain, &chain)?,
        key: Secret::new(private.secret_der().to_vec()),
    };
    Ok((client, identity))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<Vec<u8>>, TlsFault> {
    let fault = |fault| TlsFault::Unusable(path.to_owned(), fault);
    let found: Vec<_> = chain_of(pem).map_err(fault)?;
    if found.iter().all(|der| readable(der)) {
        Ok(found.iter().map(|der| der.to_vec()).collect())
    } else {
        Err(fault(CertificateFault::Damaged))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFault> {
    fs::read(path).map_err(|error| TlsFault::File(path.to_owned(), error))
}
