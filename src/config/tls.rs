//! What the https listener shows (`tls:`, one item or a list of them), and for how long browsers are told to come
//! back by https alone (`hsts:`).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::base::site::Sites;
use crate::base::time::Clock;
use crate::crypto::certificate::{CertificateFault, Identity};
use crate::proxy::settings::{Certificate, Listen};

use super::acme::{Around, acme};
use super::raw::{At, Object};
use super::tree::Value;
use super::{Tls, clients, secrets, values};

const YEAR: Duration = Duration::from_hours(365 * 24);

/// The certificates in files, and those to get.
pub fn tls(file: &Object<'_>, sites: Option<&Sites>, listen: &Listen) -> Tls {
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
            None => read.extend(certificate(item)),
        }
    }
    let (certificates, files): (Vec<_>, Vec<_>) = read.into_iter().unzip();
    let around = Around {
        sites,
        listen,
        files: &files,
    };
    let acme = asked.first().and_then(|at| acme(at, &around));
    let got = acme.iter().flat_map(|acme| &acme.names);
    let got: Vec<&str> = got.map(String::as_str).collect();
    let is_whole = files.len() + usize::from(acme.is_some()) == items.len();
    if let Some(at) = file.get("tls").filter(|_| is_whole && !items.is_empty()) {
        warn_of_uncovered(&at, &around, &got);
    }
    for second in asked.iter().skip(1) {
        second.refuse::<()>("there is one authority at most");
    }
    Tls {
        certificates,
        acme,
        clients: clients::clients(file, sites, listen),
    }
}

/// A site that no certificate is for: its clients refuse whatever they are shown.
fn warn_of_uncovered(at: &At<'_>, around: &Around<'_>, got: &[&str]) {
    let covered = |host: &str| {
        got.contains(&host) || around.files.iter().any(|identity| identity.covers(host))
    };
    let https = around.sites.into_iter().flat_map(Sites::iter);
    for site in https.filter(|site| site.https && around.listen.https.is_some()) {
        if !site.host.spellings().any(covered) {
            at.warn_around(
                format!("no certificate is for {}", site.host),
                "clients of that site refuse what they are shown",
            );
        }
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
        Err(fault @ (CertificateFault::NoCertificate | CertificateFault::Unreadable(_))) => {
            return chain_at.refuse(fault.to_string());
        }
        Err(fault @ CertificateFault::NoKey) => return key_at.refuse(fault.to_string()),
        Err(CertificateFault::Unusable(error)) => {
            return tls
                .at()
                .refuse_with("certificate and key do not go together", error.to_string());
        }
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
