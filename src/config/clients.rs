//! `client_certificates:`: who vouches for the certificates of clients, which name in one says whose it is, and on
//! which sites one is asked for.

use crate::base::net::Host;
use crate::base::site::Sites;
use crate::base::time::Clock;
use crate::crypto::client::NamedBy;
use crate::crypto::client_roots::ClientRoots;
use crate::proxy::settings::{ClientCertificates, Listen};

use super::raw::{At, Object};
use super::rules::Certificates;
use super::{listen, secrets};

/// Who vouches for clients, if anybody does.
pub fn clients(
    file: &Object<'_>,
    sites: Option<&Sites>,
    listen: &Listen,
) -> Option<ClientCertificates> {
    let object = file.section("client_certificates", "client_certificates")?;
    if listen.https.is_none() {
        let hint = "listen: { https: \":443\" }";
        object
            .at()
            .warn_around("no https listener asks for a certificate", hint);
    }
    let user = object
        .require("user")
        .and_then(|at| at.choice("name of a certificate", &NamedBy::ALL));
    let sites = object.get("sites").map(|at| hosts(&at, sites));
    let crl = object.get("crl").map(|at| Some((secrets::file(&at)?, at)));
    let ca = object
        .require("ca")
        .and_then(|at| Some((secrets::file(&at)?, at)));
    let (((ca, authorities), ca_at), user) = (ca?, user?);
    let (crl, list, crl_at) = match crl {
        None => (None, None, None),
        Some(crl) => {
            let ((path, list), at) = crl?;
            (Some(path), Some(list), Some(at))
        }
    };
    let list = list.as_ref().map(|list| list.expose().as_slice());
    match ClientRoots::from_pem(authorities.expose(), list, user, None) {
        Ok(roots) => warn_of_old(&roots, &ca_at, crl_at.as_ref()),
        Err(fault) if fault.is_of_lists() => {
            return crl_at.unwrap_or(ca_at).refuse(fault.to_string());
        }
        Err(fault) => return ca_at.refuse(fault.to_string()),
    }
    let sites = match sites {
        None => None,
        Some(hosts) => Some(hosts?),
    };
    Some(ClientCertificates {
        ca,
        crl,
        user,
        sites,
    })
}

/// Whether a rule may ask for a certificate. That what is said of them is sound is found out elsewhere.
pub fn used(file: &Object<'_>, listen: &Listen) -> Certificates {
    match (file.get("client_certificates"), listen.https) {
        (None, _) => Certificates::Unknown,
        (Some(_), None) => Certificates::NoHandshake,
        (Some(_), Some(_)) => Certificates::Asked,
    }
}

/// The hosts of the sites that are named, which must be https.
fn hosts(at: &At<'_>, sites: Option<&Sites>) -> Option<Vec<Host>> {
    let items = at.list_or_one()?;
    if items.is_empty() {
        return at.refuse_with(
            "names no site",
            "leave it out to ask for certificates on every site",
        );
    }
    let host = |at: &At<'_>| {
        let site = listen::site(at)?;
        if !site.https {
            return at.refuse("a certificate is shown over https only");
        }
        let known = |sites: &Sites| sites.of_host(&site.host).is_some();
        if sites.is_some_and(|sites| !known(sites)) {
            return at.refuse_with("is none of the sites", "name it under site:, too");
        }
        Some(site.host)
    };
    let hosts: Vec<_> = items.iter().map(host).collect();
    hosts.into_iter().collect()
}

/// What has expired vouches for nobody, which is right, and probably not meant.
fn warn_of_old(roots: &ClientRoots, ca: &At<'_>, crl: Option<&At<'_>>) {
    let now = Clock::System.now();
    if let Some((_, until)) = roots.life().filter(|(_, until)| *until <= now) {
        ca.warn(format!("expired on {until}"), "no certificate counts");
    }
    if let (Some(until), Some(crl)) = (roots.lists_until().filter(|until| *until <= now), crl) {
        let message = format!("a list was to be renewed before {until}");
        crl.warn(message, "until it is, no certificate of its issuer counts");
    }
}
