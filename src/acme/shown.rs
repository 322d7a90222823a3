//! Which of the certificates that authorities have issued are shown: those of the one that is asked now; where it has
//! issued none yet, what others have and is good still. Whoever changes to another authority is not without a
//! certificate until it has answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::certificate::Identity;
use crate::store::acme::{Former, Wanted};

use super::Settings;
use super::worker::{Inner, Seen, lock};

/// By what a certificate is sealed for: how it is kept, and what it is; none when it does not open.
pub(super) type Opened = BTreeMap<String, (Vec<u8>, Option<Arc<Identity>>)>;

/// What is kept of a certificate, before it is sealed.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Inner {
    /// Puts in force what was issued.
    pub(super) fn show(
        &self,
        settings: &Settings,
        all: &[Wanted],
        former: &[Former],
        now: Timestamp,
    ) {
        let mut seen = lock(&self.seen);
        let known = std::mem::take(&mut seen.opened);
        let mut shown = BTreeMap::new();
        for one in all {
            let Some(sealed) = &one.sealed else { continue };
            let place = context(settings.directory.as_str(), &one.name);
            if known.get(&place).is_none_or(|(last, _)| last != sealed) {
                seen.failed.remove(&one.name);
            }
            let identity = self.open(&mut seen, &known, (place, &one.name), sealed);
            shown.extend(identity.map(|identity| (one.name.clone(), identity)));
        }
        let is_bare = |one: &&Former| settings.names.contains(&one.name);
        for one in former.iter().filter(is_bare) {
            let place = context(&one.directory, &one.name);
            let Some(identity) = self.open(&mut seen, &known, (place, &one.name), &one.sealed)
            else {
                continue;
            };
            let is_good = identity.is_valid(now) && identity.covers(&one.name);
            let is_own = all
                .iter()
                .any(|own| own.name == one.name && own.sealed.is_some());
            let last = shown.get(&one.name);
            if is_good && !is_own && last.is_none_or(|last| last.until() < identity.until()) {
                shown.insert(one.name.clone(), identity);
            }
        }
        let awaited = settings.names.iter();
        let awaited = awaited.filter(|name| !shown.contains_key(*name)).cloned();
        let all = shown.values().map(Arc::clone).collect();
        self.keyring.set_issued(all, awaited.collect());
        seen.shown = shown;
    }

    /// What has not changed is not opened again, nor complained of. One that does not open is not shown, and not the
    /// others' business.
    fn open(
        &self,
        seen: &mut Seen,
        known: &Opened,
        (place, name): (String, &str),
        sealed: &[u8],
    ) -> Option<Arc<Identity>> {
        let identity = match known.get(&place) {
            Some((last, identity)) if last == sealed => identity.clone(),
            _ => self.unseal(&place, name, sealed),
        };
        seen.opened
            .insert(place, (sealed.to_vec(), identity.clone()));
        identity
    }

    fn unseal(&self, place: &str, name: &str, sealed: &[u8]) -> Option<Arc<Identity>> {
        let opened = self.key.open(place, sealed);
        let kept = opened.map_err(|fault| fault.to_string()).and_then(|bytes| {
            let kept: Kept =
                serde_json::from_slice(bytes.expose()).map_err(|error| error.to_string())?;
            let key = Secret::new(kept.key);
            Identity::from_pem(kept.chain.as_bytes(), key.expose().as_bytes())
                .map_err(|fault| fault.to_string())
        });
        kept.inspect_err(|fault| {
            tracing::error!(name, "a stored certificate cannot be used: {fault}");
        })
        .ok()
    }
}

/// What a certificate is sealed for: it opens for its own name and authority only.
pub(super) fn context(directory: &str, name: &str) -> String {
    format!("acme/certificate/{directory}/{name}")
}
