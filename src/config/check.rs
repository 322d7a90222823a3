//! The file as it is meant: every section read, and what only shows when they are held side by side.

use std::path::Path;

use super::policy_test;
use super::raw::At;
use super::reading::Reading;
use super::report::{Fault, Report};
use super::rules::{self, Scope};
use super::{
    Config, brand, clients, cookies, hooks, identities, limits, listen, login, mail, roles, tls,
    tree, upstreams,
};

/// Reads a whole file.
///
/// # Errors
/// Every fault at once.
pub fn config(
    text: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Report> {
    let tree = tree::parse(text).map_err(Report::of_fault)?;
    let reading = Reading::new(base, env);
    tree.faults
        .iter()
        .cloned()
        .for_each(|fault| reading.fault(fault));
    let read = file(&At::root(&tree.root, &reading));
    let (mut faults, warnings) = reading.into_findings();
    match read {
        Some(config) if faults.is_empty() => Ok(Config {
            warnings: Report::new(Vec::new(), warnings).warnings,
            ..config
        }),
        _ => {
            // A reader that gives up says why; should one not, the file is refused all the same.
            if faults.is_empty() {
                faults.push(Fault::of_file("cannot be used"));
            }
            Err(Report::new(faults, warnings))
        }
    }
}

fn file(root: &At<'_>) -> Option<Config> {
    let file = root.object("file")?;
    let listen = listen::listen(&file);
    let sites = listen::sites(&file, &listen);
    let (tls, covered) = tls::tls(&file, sites.as_ref().map(|(sites, _)| sites), &listen);
    let hsts = tls::hsts(&file, sites.as_ref().map(|(sites, _)| sites));
    let (prefix, roles) = (listen::prefix(&file), roles::roles(&file));
    let headers = identities::headers(&file);
    let (upstreams, names) = upstreams::upstreams(&file, &headers, &listen);
    let scope = Scope {
        upstreams: &upstreams,
        names: &names,
        sites: sites.as_ref().map(|(sites, _)| sites),
        prefix: &prefix,
        roles: &roles,
        certificates: clients::used(&file, &listen),
        headers: &headers,
    };
    let rules = rules::rules(&file, &scope);
    let tests = policy_test::read_all(&file, &scope, &rules);
    let identity = login::settings(&file);
    let store = listen::store(&file);
    let key = login::key(&file, store.as_ref());
    let (brand, limits) = (brand::brand(&file), limits::limits(&file));
    let words = login::words(sites.as_ref().map(|(sites, _)| sites), &brand);
    let bootstrap = login::bootstrap(&file, identity.password, words);
    let trusted_proxies = listen::trusted_proxies(&file);
    let (mail, hooks) = (mail::mail(&file), hooks::hooks(&file));
    let (log, (threads, threads_are_default)) = (limits::log(&file), limits::threads(&file));
    let snapshot_name = limits::snapshot_name(&file);
    let domain = cookies::domain(&file, sites.as_ref().map(|(sites, _)| sites), &rules);
    let (sites, site_is_default) = sites?;
    tls::warn_of_uncovered(&file, &covered, &sites, &rules);
    Some(Config {
        sites,
        site_is_default,
        cookie_domain: domain,
        prefix,
        key: key?,
        listen,
        tls,
        hsts,
        trusted_proxies,
        store: store?,
        upstreams,
        identity,
        roles,
        bootstrap,
        mail,
        hooks,
        brand,
        headers,
        limits,
        log,
        threads,
        threads_are_default,
        snapshot_name,
        rules,
        tests,
        warnings: Vec::new(),
    })
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
