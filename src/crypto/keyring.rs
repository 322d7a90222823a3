//! Every certificate that may be shown, chosen by the name that a client asks for, and what is shown to an
//! authority that checks whether a name is ours (RFC 8555, RFC 8737). Whoever reads files or asks authorities
//! puts them here; handshakes only look.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use super::certificate::Identity;

/// The certificates in force. Connections that are open keep the one they were made with.
#[derive(Debug, Default)]
pub struct Keyring {
    files: ArcSwap<Shelf>,
    issued: ArcSwap<Shelf>,
    /// Names that an authority has not issued a certificate for yet, and is asked to.
    awaited: ArcSwap<BTreeSet<String>>,
    pending: ArcSwap<Pending>,
}

/// Certificates in order, and by name.
#[derive(Debug, Default)]
struct Shelf {
    all: Vec<Arc<Identity>>,
    by_name: HashMap<Box<str>, Vec<Arc<Identity>>>,
}

/// What authorities are to find here while they look.
#[derive(Debug, Default)]
pub struct Pending {
    /// By the token of the URL: what is answered (RFC 8555 section 8.3).
    pub http: HashMap<Box<str>, Box<str>>,
    /// By name: the certificate that holds the answer (RFC 8737 section 3).
    pub tls: HashMap<Box<str>, Arc<CertifiedKey>>,
}

impl Keyring {
    /// Replaces the certificates that came from files.
    pub fn set_files(&self, all: Vec<Arc<Identity>>) {
        self.files.store(Arc::new(Shelf::new(all)));
    }

    /// Replaces the certificates that an authority has issued, and the names for which it has not yet.
    pub fn set_issued(&self, all: Vec<Arc<Identity>>, awaited: BTreeSet<String>) {
        self.awaited.store(Arc::new(awaited));
        self.issued.store(Arc::new(Shelf::new(all)));
    }

    /// Everything that may be shown.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Identity>> {
        let (files, issued) = (self.files.load(), self.issued.load());
        files.all.iter().chain(&issued.all).cloned().collect()
    }

    /// Replaces what authorities are to find.
    pub fn set_pending(&self, pending: Pending) {
        self.pending.store(Arc::new(pending));
    }

    /// The certificate for this name: one that names it, else one whose wildcard covers it, else the first; none while
    /// an authority is asked for one that names it, since another site's would only be a riddle to who sees it. Of
    /// several alike the first that `fits`, as where one is for clients that know no other algorithm.
    #[must_use]
    pub fn choose(
        &self,
        name: Option<&str>,
        fits: impl Fn(&Identity) -> bool,
    ) -> Option<Arc<Identity>> {
        let (files, issued) = (self.files.load(), self.issued.load());
        let pick = |all: &[Arc<Identity>]| {
            let fitting = all.iter().find(|identity| fits(identity));
            fitting.or_else(|| all.first()).cloned()
        };
        if let Some(name) = name {
            // A fully qualified name may be written with its dot.
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let by = |name: &str| {
                let found = files.by_name.get(name);
                let found = found.or_else(|| issued.by_name.get(name))?;
                pick(found)
            };
            let parent = name.split_once('.').map(|(_, parent)| parent);
            let found = by(&name).or_else(|| by(&format!("*.{}", parent?)));
            if found.is_some() || self.awaited.load().contains(&name) {
                return found;
            }
        }
        pick(&files.all).or_else(|| pick(&issued.all))
    }

    /// What is answered to an authority that asks for this token.
    #[must_use]
    pub fn http_answer(&self, token: &str) -> Option<Box<str>> {
        self.pending.load().http.get(token).cloned()
    }

    /// What is shown to an authority that looks for this name.
    #[must_use]
    pub fn tls_answer(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let pending = self.pending.load();
        pending.tls.get(name.to_ascii_lowercase().as_str()).cloned()
    }
}

impl Shelf {
    fn new(all: Vec<Arc<Identity>>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<_>> = HashMap::new();
        for identity in &all {
            for name in identity.names() {
                let named = by_name.entry(name.into()).or_default();
                named.push(Arc::clone(identity));
            }
        }
        Self { all, by_name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::certificate::tests::made;

    fn identity(names: &[&str]) -> Arc<Identity> {
        let (chain, key) = made(names);
        Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    #[test]
    fn the_name_chooses() {
        let keyring = Keyring::default();
        let any = |_: &Identity| true;
        assert!(keyring.choose(Some("one.test"), any).is_none());
        let [first, wide, exact, issued] = [
            &["one.test", "both.test"][..],
            &["*.wide.test"],
            &["a.wide.test", "both.test"],
            &["b.wide.test", "one.test"],
        ]
        .map(identity);
        keyring.set_issued(vec![Arc::clone(&issued)], ["soon.test".to_owned()].into());
        assert!(keyring.choose(None, any).unwrap().is_same(&issued));
        keyring.set_files([&first, &wide, &exact].map(Arc::clone).to_vec());
        let cases = [
            (None, &first),
            (Some("one.test"), &first),
            (Some("ONE.test"), &first),
            (Some("both.test"), &first),
            (Some("a.wide.test"), &exact),
            (Some("b.wide.test"), &issued),
            (Some("c.wide.test"), &wide),
            (Some("a.b.wide.test"), &first),
            (Some("wide.test"), &first),
            (Some("elsewhere.test"), &first),
            (Some(""), &first),
        ];
        for (name, expected) in cases {
            let chosen = keyring.choose(name, any).unwrap();
            assert!(chosen.is_same(expected), "{name:?}");
        }
    }
}
