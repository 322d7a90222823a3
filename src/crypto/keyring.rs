//! Every certificate that may be shown, chosen by the name that a client asks for, and what is shown to an
//! authority that checks whether a name is ours (RFC 8555, RFC 8737). Whoever reads files or asks authorities
//! puts them here; handshakes only look.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use crate::base::time::Timestamp;

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
    /// several the first that `fits`, as where one is for clients that know no other algorithm, and whose time it is:
    /// one that is over, and forgotten in its file, must not hide what an authority issues.
    #[must_use]
    pub fn choose(
        &self,
        name: Option<&str>,
        now: Timestamp,
        fits: impl Fn(&Identity) -> bool,
    ) -> Option<Arc<Identity>> {
        let (files, issued) = (self.files.load(), self.issued.load());
        let pick = |all: &[&Arc<Identity>]| {
            let fitting = || all.iter().filter(|identity| fits(identity));
            let found = fitting().find(|identity| identity.is_valid(now));
            let found = found.or_else(|| fitting().next());
            found.or_else(|| all.first()).map(|found| Arc::clone(found))
        };
        if let Some(name) = name {
            // A fully qualified name may be written with its dot.
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let parent = name.split_once('.').map(|(_, parent)| parent);
            let wide = parent.map(|parent| format!("*.{parent}"));
            let mut named = Vec::new();
            for name in [Some(&name), wide.as_ref()].into_iter().flatten() {
                named.extend(files.named(name));
                named.extend(issued.named(name));
            }
            let found = pick(&named);
            if found.is_some() || self.awaited.load().contains(&name) {
                return found;
            }
        }
        pick(&files.all.iter().chain(&issued.all).collect::<Vec<_>>())
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

    fn named(&self, name: &str) -> &[Arc<Identity>] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
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
        let (any, now) = (|_: &Identity| true, Timestamp::from_millis(0));
        assert!(keyring.choose(Some("one.test"), now, any).is_none());
        let [first, wide, exact, issued] = [
            &["one.test", "both.test"][..],
            &["*.wide.test"],
            &["a.wide.test", "both.test"],
            &["b.wide.test", "one.test"],
        ]
        .map(identity);
        keyring.set_issued(vec![Arc::clone(&issued)], ["soon.test".to_owned()].into());
        assert!(keyring.choose(None, now, any).unwrap().is_same(&issued));
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
            let chosen = keyring.choose(name, now, any).unwrap();
            assert!(chosen.is_same(expected), "{name:?}");
        }
    }

    /// From one year's first day to another's.
    fn of_years(names: &[&str], from: i32, until: i32) -> Arc<Identity> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        Identity::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_over_hides_nothing_that_is_valid() {
        let keyring = Keyring::default();
        let names: &[&str] = &["a.wide.test"];
        let (old, new) = (of_years(names, 2020, 2025), of_years(names, 2024, 2030));
        let wide = of_years(&["*.wide.test"], 2020, 2028);
        let issued = of_years(names, 2024, 2040);
        keyring.set_files([&old, &new, &wide].map(Arc::clone).to_vec());
        keyring.set_issued(vec![Arc::clone(&issued)], BTreeSet::new());
        let any = |_: &Identity| true;
        let not_new = |one: &Identity| !one.is_same(&new);
        let shown = |year, fits: &dyn Fn(&Identity) -> bool| {
            let at = rcgen::date_time_ymd(year, 6, 1).unix_timestamp();
            let now = Timestamp::from_millis(at * 1000);
            keyring.choose(Some("a.wide.test"), now, fits).unwrap()
        };
        for (year, expected) in [
            (2023, &old),
            (2024, &old),
            (2026, &new),
            (2035, &issued),
            // Nothing is valid.
            (2019, &old),
            (2045, &old),
        ] {
            assert!(shown(year, &any).is_same(expected), "{year}");
        }
        // Who cannot read the valid one in the file is shown what they can, and that is valid.
        assert!(shown(2026, &not_new).is_same(&issued));
        keyring.set_issued(Vec::new(), BTreeSet::new());
        assert!(shown(2026, &not_new).is_same(&wide));
        assert!(shown(2029, &not_new).is_same(&old));
    }
}
