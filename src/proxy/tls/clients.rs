//! Certificates of clients, in the handshake: asked for where somebody vouches for them, never demanded (the rules
//! decide), and refused with the whole handshake when nobody does. And the files of those who vouch, looked at while
//! the gateway runs, as those of our own certificates are.
//!
//! Where one is asked for, nothing is resumed: a resumed handshake shows no certificate, and would carry on with what
//! was found out about an earlier one.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::base::time::Timestamp;
use crate::crypto::client::ClientCertificate;
use crate::crypto::client_roots::{ClientRoots, InForce, RootsFault, Unvouched};
use crate::proxy::settings::ClientCertificates;

use super::files::{Stamp, Watch};
use super::{SHOWN, Shown, TlsFault};

/// How many sessions are kept to be resumed, as many as rustls keeps.
const RESUMABLE: usize = 256;

/// The files, and where those who vouch are put in force.
#[derive(Debug)]
pub struct Clients {
    roots: Arc<InForce>,
    kept: Mutex<Option<Kept>>,
}

/// Authorities that were read, and what their files looked like then.
#[derive(Debug)]
pub struct Kept {
    files: ClientCertificates,
    text: [Vec<u8>; 2],
    roots: Arc<ClientRoots>,
    watch: Watch,
}

impl Clients {
    /// Nobody vouches for anybody yet.
    #[must_use]
    pub fn new(roots: Arc<InForce>) -> Self {
        Self {
            roots,
            kept: Mutex::default(),
        }
    }

    /// Who vouches now.
    #[must_use]
    pub fn in_force(&self) -> &InForce {
        &self.roots
    }

    /// Reads the files of a configuration; nothing is in force yet.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn read(&self, files: Option<&ClientCertificates>) -> Result<Option<Kept>, TlsFault> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        files
            .map(|files| Kept::read(files, kept.as_ref()))
            .transpose()
    }

    /// Puts what was read in force.
    pub fn install(&self, kept: Option<Kept>) {
        let mut own = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.roots
            .store(kept.as_ref().map(|kept| Arc::clone(&kept.roots)));
        *own = kept;
    }

    /// Looks at the files and puts a change in force once two looks in a row have found them alike. Whoever is told
    /// of one sees to it that what rests on the old ones is judged again.
    pub fn look(&self) -> Vec<Result<PathBuf, TlsFault>> {
        let mut own = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = own.as_mut() else {
            return Vec::new();
        };
        let stamp = Stamp::of(kept.files.paths());
        let Some(changed) = kept.watch.changed(stamp) else {
            return Vec::new();
        };
        let news = kept.news();
        let is_told = kept.watch.note(changed, &news);
        match news {
            Ok(news) => {
                self.roots.store(Some(Arc::clone(&news.roots)));
                let files = news.changed_since(kept);
                *kept = news;
                files.into_iter().map(Ok).collect()
            }
            Err(fault) if is_told => vec![Err(fault)],
            Err(_) => Vec::new(),
        }
    }
}

impl Kept {
    /// What says the same as before stays what it was: connections on which it was asked for are as good as new.
    fn read(files: &ClientCertificates, before: Option<&Self>) -> Result<Self, TlsFault> {
        // Before the files are: what is written meanwhile is then a change.
        let stamp = Stamp::of(files.paths());
        let read =
            |path: &PathBuf| fs::read(path).map_err(|error| TlsFault::File(path.clone(), error));
        let crl = files.crl.as_ref().map(read).transpose()?;
        let text = [read(&files.ca)?, crl.unwrap_or_default()];
        let same = before.filter(|before| before.files == *files && before.text == text);
        let roots = match same {
            Some(same) => Arc::clone(&same.roots),
            None => Arc::new(roots(files, &text)?),
        };
        Ok(Self {
            files: files.clone(),
            text,
            roots,
            watch: Watch::new(stamp),
        })
    }

    /// What the files say now. That somebody puts back a list of last week, and with it whom it does not know to be
    /// revoked, is no renewal.
    fn news(&self) -> Result<Self, TlsFault> {
        let news = Self::read(&self.files, Some(self))?;
        let checked = news.roots.is_no_step_back(&self.roots);
        checked.map_err(|fault| at_fault(&self.files, fault))?;
        Ok(news)
    }

    /// Which of the files say something else.
    fn changed_since(&self, before: &Self) -> Vec<PathBuf> {
        let files = self.files.paths().into_iter();
        let differs = self.text.iter().zip(&before.text);
        let changed = files.zip(differs).filter(|(_, (own, last))| own != last);
        changed.map(|(path, _)| path.to_owned()).collect()
    }
}

fn roots(files: &ClientCertificates, text: &[Vec<u8>; 2]) -> Result<ClientRoots, TlsFault> {
    let [authorities, revoked] = text;
    let revoked = files.crl.is_some().then_some(revoked.as_slice());
    let read = ClientRoots::from_pem(authorities, revoked, files.user, files.sites.clone());
    read.map_err(|fault| at_fault(files, fault))
}

fn at_fault(files: &ClientCertificates, fault: RootsFault) -> TlsFault {
    let path = files.crl.as_ref().filter(|_| fault.is_of_lists());
    TlsFault::Authorities(path.unwrap_or(&files.ca).clone(), fault)
}

/// Asks clients for certificates, and looks at what they show.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Arc<ClientRoots>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(roots: Arc<ClientRoots>) -> Self {
        Self {
            roots,
            algorithms: aws_lc_rs::default_provider().signature_verification_algorithms,
        }
    }

    fn verify(&self, shown: &ClientCertificate, now: UnixTime) -> Result<(), Error> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let now = Timestamp::from_millis(seconds.saturating_mul(1000));
        match self.roots.verify(shown, now) {
            Ok(()) => Ok(()),
            Err(Unvouched::Refused(error)) => Err(error),
            Err(Unvouched::Time) => Err(CertificateError::Expired.into()),
            Err(Unvouched::Roots(fault)) => Err(Error::General(fault.to_string())),
        }
    }
}

impl ClientCertVerifier for Verifier {
    /// rustls wants to know twice: before it has heard anything, whether to keep the words that a client signs in TLS
    /// 1.2, and once the resolver has seen the name, whether to ask.
    fn offer_client_auth(&self) -> bool {
        let offers = |shown: &Shown| !shown.heard || shown.asked.is_some();
        let offers = SHOWN.try_with(|shown| offers(&shown.borrow()));
        offers.unwrap_or(false)
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.roots.subjects()
    }

    /// What is noted here is good once the handshake is: that they have its key is proved after this.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let _ = note(|shown| shown.refused = true);
        // What is too much is let go before anything is read of it.
        let certificate = ClientCertificate::new(end_entity, intermediates)
            .map_err(|_| Error::from(CertificateError::BadEncoding))?;
        self.verify(&certificate, now)?;
        note(|shown| {
            shown.refused = false;
            shown.certificate = Some(Arc::new(certificate));
        })
        .ok_or_else(|| Error::General("nobody keeps what is shown".to_owned()))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Sessions to be resumed: kept, and found, only in handshakes that ask for no certificate.
#[derive(Debug)]
pub(super) struct Resumable(Arc<ServerSessionMemoryCache>);

impl Resumable {
    pub(super) fn new() -> Self {
        Self(ServerSessionMemoryCache::new(RESUMABLE))
    }
}

impl StoresServerSessions for Resumable {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        !is_asked() && self.0.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(key).filter(|_| !is_asked())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.take(key).filter(|_| !is_asked())
    }

    fn can_cache(&self) -> bool {
        !is_asked()
    }
}

/// Whether this handshake asks for a certificate.
fn is_asked() -> bool {
    let asked = SHOWN.try_with(|shown| shown.borrow().asked.is_some());
    asked.unwrap_or(false)
}

/// Notes something about this handshake; nothing, where nobody wants to know.
fn note(change: impl FnOnce(&mut Shown)) -> Option<()> {
    SHOWN.try_with(|shown| change(&mut shown.borrow_mut())).ok()
}
