//! `gateway.yaml`: from text to a [`Config`] in which everything is meant, or to every fault at once.
//!
//! The way of a file: [`tree`] reads YAML into a marked tree, [`raw`] walks that tree as it was written,
//! [`check`] turns it into what is meant, section by section, and [`report`] collects what is wrong on the
//! way. Nothing is silently ignored: what the JSON Schema ([`schema`]) does not name is a fault.
//!
//! Only `app` and `cli` see a [`Config`]; every floor below is handed the settings it owns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::name::Username;
use crate::base::net::Networks;
use crate::base::secret::Secret;
use crate::base::site::Sites;
use crate::crypto::key::GatewayKey;
use crate::crypto::password::Context;
use crate::gate::settings::IdentityHeaders;
use crate::identity;
use crate::policy::condition::Named;
use crate::policy::index::Policy;
use crate::policy::role::Roles;
use crate::policy::rule::Rule;
use crate::proxy::settings::{Certificate, ClientCertificates, Limits, Listen, Upstreams};
use crate::store;
use crate::store::roles::Excluded;
use crate::telemetry::settings::Format;
use crate::web::brand::Brand;

pub mod check;
pub mod policy_test;
pub mod raw;
pub mod reading;
pub mod report;
pub mod schema;
pub mod tree;
mod unheld;

mod acme;
pub mod ask;
mod brand;
mod clients;
mod compress;
mod conditions;
mod cookies;
mod cors;
mod doubles;
mod hooks;
mod identities;
mod later;
mod limits;
mod listen;
mod login;
mod mail;
mod roles;
mod rules;
mod secrets;
mod selectors;
mod streams;
mod tls;
mod upstreams;
mod values;

use policy_test::PolicyTest;
use report::{Fault, Report};
pub use secrets::environment;

/// What `gateway.yaml` means: defaults filled in, names resolved, secrets read.
#[derive(Clone, Debug)]
pub struct Config {
    /// The public URLs. Without `site:` it is `http://localhost` with the port of `listen.http`, which is 0
    /// when the system is to choose one: see [`Config::site_is_default`].
    pub sites: Sites,
    /// Whether `sites` was derived from `listen.http`, and must follow the port that is really bound.
    pub site_is_default: bool,
    /// The domain whose hosts share sessions, if any do.
    pub cookie_domain: Option<Arc<str>>,
    /// Where our own pages and API live: `/auth`, without a slash at the end.
    pub prefix: String,
    /// The gateway key.
    pub key: KeySource,
    /// Where to listen.
    pub listen: Listen,
    /// What the https listener shows.
    pub tls: Tls,
    /// `Strict-Transport-Security` of every answer of an https site.
    pub hsts: Option<http::HeaderValue>,
    /// Who may set `X-Forwarded-*`.
    pub trusted_proxies: Networks,
    /// Where everything is kept.
    pub store: store::Settings,
    /// The upstreams by name.
    pub upstreams: Upstreams,
    /// Passwords and sessions.
    pub identity: identity::settings::Settings,
    /// The roles of the file, with what each includes.
    pub roles: Roles,
    /// The first superuser, where the file names one.
    pub bootstrap: Option<Bootstrap>,
    /// How mail is sent, if it is.
    pub mail: Option<identity::mail::Settings>,
    /// Who is told what happens here.
    pub hooks: Vec<identity::hooks::Hook>,
    /// What our own pages look like.
    pub brand: Brand,
    /// What services are told about who asks.
    pub headers: IdentityHeaders,
    /// What one client may ask for.
    pub limits: Limits,
    /// The shape of log lines.
    pub log: Format,
    /// Worker threads, 1 to 256.
    pub threads: usize,
    /// Whether they are as many as there were cores when the file was read.
    pub threads_are_default: bool,
    /// What answers call this file, where `diagnostics.snapshot` says so.
    pub snapshot_name: Option<http::HeaderValue>,
    /// The rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// The policy tests of the file.
    pub tests: Vec<PolicyTest>,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Fault>,
}

/// What the https listener shows; never empty when there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates in files, the first of them shown where no other is asked for.
    pub certificates: Vec<Certificate>,
    /// Certificates that an authority issues.
    pub acme: Option<crate::acme::Settings>,
    /// Who vouches for clients' certificates, if they are asked for.
    pub clients: Option<ClientCertificates>,
}

/// Where the gateway key comes from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// The default file, which is made at the first start when it is not there.
    Kept(PathBuf),
    /// Given by the operator with `key:`; read and found to be a key.
    Given(GatewayKey),
}

/// The superuser of the very first start.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The username.
    pub username: Username,
    /// The password, read from where the file said.
    pub password: Secret<String>,
}

impl Config {
    /// Reads a file and everything it refers to.
    ///
    /// # Errors
    /// Every fault at once; nothing of the file counts then.
    pub fn load(path: &Path) -> Result<Self, Report> {
        let named = |report: Report| report.of_file(path);
        let text = tree::read_file(path).map_err(|fault| named(Report::of_fault(fault)))?;
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        Self::from_text(&text, base, &secrets::environment).map_err(named)
    }

    /// Reads the text of a file whose relative paths start at `base` and whose `env:NAME` is asked of `env`.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn from_text(
        text: &str,
        base: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Report> {
        check::config(text, base, env)
    }

    /// The words that no password may be made of, less those of an account: see [`Context::of_user`].
    #[must_use]
    pub fn password_words(&self) -> Context {
        login::words(Some(&self.sites), &self.brand)
    }

    fn named(&self) -> identity::accounts::Named {
        let allowed = self.rules.iter().map(|rule| &rule.allow);
        identity::accounts::Named {
            users: allowed.flat_map(|allow| allow.users()).cloned().collect(),
            excluded: self.excluded(),
        }
    }

    /// What rules keep people out by.
    #[must_use]
    pub fn excluded(&self) -> Excluded {
        let mut excluded = Excluded::default();
        for rule in &self.rules {
            for (named, _) in rule.allow.named().into_iter().filter(|(_, not)| *not) {
                match named {
                    Named::Role(role) => {
                        excluded.roles.entry(role.clone()).or_insert(rule.line);
                    }
                    Named::Permission(it) => {
                        excluded.permissions.entry(it.clone()).or_insert(rule.line);
                    }
                }
            }
        }
        excluded
    }

    /// What accounts must keep to.
    #[must_use]
    pub fn account_terms(&self) -> identity::accounts::Terms {
        identity::accounts::Terms {
            password: self.identity.password,
            words: self.password_words(),
            register: self.identity.register,
            named: self.named(),
        }
    }

    /// The rules, ready to be asked.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy::new(self.rules.clone())
    }
}
