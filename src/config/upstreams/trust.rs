//! `tls:` of an upstream: whom it is believed by, and who we are.

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::net::Host;
use crate::base::secret::Secret;
use crate::base::time::Clock;
use crate::config::raw::{At, Object};
use crate::config::secrets;
use crate::crypto::certificate::life;
use crate::proxy::settings::{
    Certificate, ClientCertificate, Destination, Scheme, Server, Trust, TrustFiles,
};
use crate::proxy::upstream::trust::{is_authority, readable};

/// How the servers of an upstream prove who they are.
pub fn trust(upstream: &Object<'_>, to: Option<&Destination>) -> Trust {
    let trust = told(upstream, to);
    if let (Some(Destination::Servers(servers)), Some(at), None, false) =
        (to, upstream.get("to"), &trust.server_name, trust.accept_any)
    {
        let mut hosts = servers
            .iter()
            .filter(|server| server.scheme == Scheme::Https)
            .filter_map(Server::host);
        if hosts.any(is_verified_as_another) {
            at.refuse_with::<()>(
                "no certificate is verified for a name with a '_' in its first part",
                "name the server as its certificate does: tls: { server_name: … }",
            );
        }
    }
    trust
}

/// Pingora asks for and verifies `my-svc.example.com` where it is given `my_svc.example.com`, which is somebody else.
fn is_verified_as_another(name: &str) -> bool {
    let parts = name.split_once('.');
    parts.is_some_and(|(first, rest)| first.contains('_') && rest.contains('.'))
}

fn told(upstream: &Object<'_>, to: Option<&Destination>) -> Trust {
    let Some(object) = upstream.section("tls", "upstream_tls") else {
        return Trust::default();
    };
    let speaks_tls = |to: &Destination| match to {
        Destination::Servers(servers) => {
            servers.iter().any(|server| server.scheme == Scheme::Https)
        }
        Destination::Echo => false,
    };
    if to.is_some_and(|to| !speaks_tls(to)) {
        object
            .at()
            .refuse_with::<()>("no server of this upstream speaks TLS", "to: https://…");
    }
    let accept_any = object.get("insecure_accept_any_certificate");
    let accept_any = accept_any.is_some_and(|at| accepts_any(&at));
    if let Some(at) = object.get("ca").filter(|_| accept_any) {
        at.refuse_around::<()>(
            "means nothing where every certificate is accepted",
            Some("leave one of the two out: ca, or insecure_accept_any_certificate"),
        );
    }
    let (authorities_file, authorities) = object.get("ca").and_then(|at| authorities(&at)).unzip();
    let (client_files, client) = client(&object).unzip();
    Trust {
        authorities,
        server_name: object.get("server_name").and_then(|at| server_name(&at)),
        client,
        accept_any,
        files: TrustFiles {
            authorities: authorities_file,
            client: client_files,
        },
    }
}

fn accepts_any(at: &At<'_>) -> bool {
    let insecure = at.boolean() == Some(true);
    if insecure {
        at.warn(
            "the servers of this upstream are not verified: whoever answers is sent identities",
            "name the authority that signed their certificates: tls: { ca: ca.pem }",
        );
    }
    insecure
}

fn server_name(at: &At<'_>) -> Option<String> {
    let text = at.text()?;
    match text.parse::<Host>() {
        Ok(_) if is_verified_as_another(text) => at.refuse_with(
            "no certificate is verified for a name with a '_' in its first part",
            "write another name that the certificate is for",
        ),
        Ok(_) => Some(text.trim_matches(['[', ']']).to_owned()),
        Err(error) => at.refuse(error.to_string()),
    }
}

fn authorities(at: &At<'_>) -> Option<(PathBuf, Vec<Vec<u8>>)> {
    let (path, pem) = secrets::file(at)?;
    let found = certificates(at, &pem)?;
    if found.iter().all(|der| is_authority(der)) {
        let last = found
            .iter()
            .filter_map(|der| life(der))
            .map(|(_, until)| until)
            .max();
        if let Some(until) = last.filter(|until| *until <= Clock::System.now()) {
            at.warn(
                format!("expired on {until}"),
                "servers are still believed by it here, and by others no more",
            );
        }
        Some((path, found))
    } else {
        at.refuse("holds a certificate that cannot be an authority")
    }
}

fn certificates(at: &At<'_>, pem: &Secret<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut pem.expose().as_slice())
        .map(|der| der.map(|der| der.to_vec()))
        .collect();
    match found {
        Ok(found) if found.is_empty() => at.refuse("holds no PEM certificate"),
        Ok(found) if found.iter().all(|der| readable(der)) => Some(found),
        _ => at.refuse("holds a certificate that cannot be read"),
    }
}

/// Both of certificate and key, or none.
fn client(object: &Object<'_>) -> Option<(Certificate, ClientCertificate)> {
    let (certificate, key) = match (object.get("certificate"), object.get("key")) {
        (None, None) => return None,
        (Some(certificate), Some(key)) => (certificate, key),
        _ => {
            return object
                .at()
                .refuse("a client certificate and its key go together");
        }
    };
    let chain = secrets::file(&certificate)
        .and_then(|(path, pem)| Some((path, certificates(&certificate, &pem)?)));
    let (path, key_pem) = secrets::file(&key)?;
    let Ok(Some(private)) = rustls_pemfile::private_key(&mut key_pem.expose().as_slice()) else {
        return key.refuse("holds no PEM private key");
    };
    secrets::warn_if_public(&key, &path);
    let (chain_path, chain) = chain?;
    let times = chain.first().and_then(|leaf| life(leaf));
    if let Some((_, until)) = times.filter(|(_, until)| *until <= Clock::System.now()) {
        let hint = "services refuse it; put a renewed one in its place";
        certificate.warn(format!("expired on {until}"), hint);
    }
    let der = Secret::new(private.secret_der().to_vec());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let shown = chain.iter().map(|der| der.clone().into()).collect();
    match rustls::sign::CertifiedKey::from_der(shown, private, &provider) {
        Ok(_) => {
            let files = Certificate {
                chain: chain_path,
                key: path,
            };
            Some((files, ClientCertificate { chain, key: der }))
        }
        Err(error) => object
            .at()
            .refuse_with("certificate and key do not go together", error.to_string()),
    }
}
