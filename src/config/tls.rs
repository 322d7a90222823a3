//! What the https listener shows (`tls:`, one item or a list of them), and for how long browsers are told to come
//! back by https alone (`hsts:`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use rustls::SignatureScheme;

use crate::base::net::Host;
use crate::base::site::Sites;
use crate::base::time::Clock;
use crate::crypto::certificate::{CertificateFault, Identity};
use crate::policy::rule::{HostPattern, Rule};
use crate::proxy::settings::{Certificate, Listen};

use super::acme::{Around, acme};
use super::raw::{At, Object};
use super::tree::Value;
use super::{Tls, clients, secrets, values};

const YEAR: Duration = Duration::from_hours(365 * 24);

/// What there is, or will be, a certificate for.
#[derive(Debug, Default)]
pub struct Covered {
    files: Vec<Arc<Identity>>,
    names: Vec<String>,
    /// Whether that is all, and is shown to anybody.
    is_known: bool,
}

/// The certificates in files, and those to get, and what they are for.
pub fn tls(file: &Object<'_>, sites: Option<&Sites>, listen: &Listen) -> (Tls, Covered) {
    let items = file.get("tls").as_ref().and_then(items).unwrap_or_default();
    let (mut read, mut asked) = (Vec::new(), Vec::new());
    for item in &items {
        match item.get("acme") {
            Some(_)
                if item
                    .get("certificate")
                    .or_else(|| item.get("key"))
                    .is_some() =>
            {
                let hint =
                    "tls: [{ certificate: cert.pem, key: key.pem }, { acme: ops@example.com }]";
                item.at()
                    .refuse_with::<()>("is either in files or got from an authority", hint);
            }
            Some(at) => asked.push(at),
            None => read.extend(certificate(item).map(|read| (read, item))),
        }
    }
    warn_of_hidden(&read);
    let read = read.into_iter().map(|(read, _)| read);
    let (certificates, files): (Vec<_>, Vec<_>) = read.unzip();
    let around = Around {
        sites,
        listen,
        files: &files,
    };
    let acme = asked.first().and_then(|at| acme(at, &around));
    for second in asked.iter().skip(1) {
        second.refuse::<()>("there is one authority at most");
    }
    // One that has nothing to get is known as well.
    let got = acme.is_some() || !asked.is_empty() && around.has_all();
    let covered = Covered {
        is_known: listen.https.is_some() && files.len() + usize::from(got) == items.len(),
        names: acme.iter().flat_map(|acme| acme.names.clone()).collect(),
        files,
    };
    let clients = clients::clients(file, sites, listen);
    let tls = Tls {
        certificates,
        acme,
        clients,
    };
    (tls, covered)
}

/// Warns of hosts, those of sites and those that rules name, that no certificate is for: their clients refuse whatever
/// they are shown.
pub fn warn_of_uncovered(file: &Object<'_>, covered: &Covered, sites: &Sites, rules: &[Rule]) {
    let Some(at) = file.get("tls").filter(|_| covered.is_known) else {
        return;
    };
    let of_sites = sites.iter().filter(|site| site.https);
    let named = rules.iter().filter_map(|rule| match &rule.host {
        Some(HostPattern::Exact(host)) => {
            let site = sites.of_host(host).unwrap_or(sites.main());
            site.https.then_some(host)
        }
        _ => None,
    });
    let hosts: BTreeSet<&Host> = of_sites.map(|site| &site.host).chain(named).collect();
    for host in hosts.into_iter().filter(|host| !covered.holds(host)) {
        let hint = match covered.names.first() {
            Some(_) => format!("acme: {{ names: [..., {host}] }}, or a site of its own"),
            None => "its clients refuse what they are shown".to_owned(),
        };
        at.warn_around(format!("no certificate is for {host}"), hint);
    }
}

/// What keys sign with; those of two kinds have none in common.
const SCHEMES: [SignatureScheme; 5] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
];

/// Warns of certificates that are never shown, since one of the same kind stands above for each of their names, and
/// is good for clients.
fn warn_of_hidden(all: &[((Certificate, Arc<Identity>), &Object<'_>)]) {
    let kind = |identity: &Identity| {
        let key = &identity.key().key;
        let signs = |scheme: &SignatureScheme| key.choose_scheme(&[*scheme]).is_some();
        SCHEMES.map(|scheme| signs(&scheme))
    };
    let now = Clock::System.now();
    for (number, ((_, identity), item)) in all.iter().enumerate() {
        let above = all.iter().take(number).map(|((_, above), _)| above);
        let above: Vec<_> = above
            .filter(|above| !above.is_expired(now) && kind(above) == kind(identity))
            .collect();
        let is_above = |name: &str| {
            above
                .iter()
                .any(|above| above.names().any(|own| own == name))
        };
        if identity.names().next().is_some() && identity.names().all(is_above) {
            item.at().warn_around(
                "is never shown: certificates above have its names",
                "of one name there may be several whose keys are of different kinds, such as RSA and ECDSA",
            );
        }
    }
}

impl Covered {
    fn holds(&self, host: &Host) -> bool {
        let covers = |name: &str| {
            let got = self.names.iter().any(|got| got == name);
            got || self.files.iter().any(|identity| identity.covers(name))
        };
        host.spellings().any(covers)
    }
}

fn items<'a>(at: &At<'a>) -> Option<Vec<Object<'a>>> {
    let items = match at.value() {
        Value::List(_) => at.list()?,
        _ => vec![at.clone()],
    };
    if items.is_empty() {
        let hint = "tls: { certificate: cert.pem, key: key.pem }";
        return at.refuse_with("names no certificate", hint);
    }
    Some(items.iter().filter_map(|item| item.object("tls")).collect())
}

fn certificate(tls: &Object<'_>) -> Option<(Certificate, Arc<Identity>)> {
    let chain = tls
        .require("certificate")
        .and_then(|at| Some((secrets::file(&at)?, at)));
    let key = tls
        .require("key")
        .and_then(|at| Some((secrets::file(&at)?, at)));
    let (((chain, chain_pem), chain_at), ((key, key_pem), key_at)) = chain.zip(key)?;
    let identity = match Identity::from_pem(chain_pem.expose(), key_pem.expose()) {
        Ok(identity) => identity,
        // Neither file alone is at fault.
        Err(fault @ CertificateFault::Mismatch) => return tls.at().refuse(fault.to_string()),
        Err(fault) if fault.is_of_key() => return key_at.refuse(fault.to_string()),
        Err(fault) => return chain_at.refuse(fault.to_string()),
    };
    secrets::warn_if_public(&key_at, &key);
    if identity.is_expired(Clock::System.now()) {
        let message = format!("expired on {}", identity.until());
        chain_at.warn(message, "clients refuse it; put a renewed one in its place");
    }
    if identity.from() > Clock::System.now() {
        let message = format!("not valid before {}", identity.from());
        chain_at.warn(message, "clients refuse it until then");
    }
    Some((Certificate { chain, key }, identity))
}

/// What browsers are told with every answer of an https site (RFC 6797), if the file says so.
pub fn hsts(file: &Object<'_>, sites: Option<&Sites>) -> Option<HeaderValue> {
    let at = file.get("hsts")?;
    if sites.is_some_and(|sites| !sites.iter().any(|site| site.https)) {
        at.warn_around("no site is https", "site: https://app.example.com");
    }
    if matches!(at.value(), Value::Text(_)) {
        return header(max_age(&at)?, "");
    }
    let object = at.object("hsts")?;
    let flag = |key| object.get(key).and_then(|at| at.boolean()).unwrap_or(false);
    let (subdomains, preload) = (flag("subdomains"), flag("preload"));
    let age = object.require("max_age").and_then(|at| max_age(&at))?;
    if preload && (!subdomains || age < YEAR) {
        return at.refuse_around(
            "browsers' lists take no such promise",
            Some("preload needs subdomains: true, and max_age: 365d or more"),
        );
    }
    let more = match (subdomains, preload) {
        (_, true) => "; includeSubDomains; preload",
        (true, false) => "; includeSubDomains",
        (false, false) => "",
    };
    header(age, more)
}

fn max_age(at: &At<'_>) -> Option<Duration> {
    values::duration(at, Duration::ZERO..=YEAR * 10)
}

fn header(age: Duration, more: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("max-age={}{more}", age.as_secs())).ok()
}
