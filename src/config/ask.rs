//! Asking the rules of a file: for policy tests and for `explain`. Who asks is made up.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::id::{PublicId, UserId};
use crate::base::identity::{Identity, Method};
use crate::base::name::{Email, Permission, RoleName, Username};
use crate::base::net::Host;
use crate::gate::question::{Answer, NOBODYS_ADDRESS, Rules};
use crate::policy::decide::Evidence;
use crate::policy::explain::Step;
use crate::policy::index::Policy;
use crate::policy::readings::Paths;
use crate::policy::role::{Roles, closure};
use crate::policy::rule::Rule;
use crate::policy::target::Target;

use super::Config;
use super::report::nearest;
use super::roles::with_defaults;

/// Somebody who might ask.
#[derive(Clone, Debug)]
pub struct Who {
    /// Whether anything was said of them but an address; otherwise they are a stranger.
    pub known: bool,
    /// The username.
    pub user: Option<Username>,
    /// The e-mail address.
    pub email: Option<Email>,
    /// Roles they hold directly.
    pub roles: BTreeSet<RoleName>,
    /// Permissions beside those of their roles.
    pub permissions: BTreeSet<Permission>,
    /// Satisfies every role and permission.
    pub superuser: bool,
    /// Has proved the address.
    pub verified: bool,
    /// How they prove who they are.
    pub auth: Method,
    /// Where they come from.
    pub ip: IpAddr,
}

/// The rules of a file, ready to be asked.
pub struct Asker<'a> {
    config: &'a Config,
    policy: Policy,
    roles: Roles,
}

impl Who {
    /// A stranger from nowhere.
    #[must_use]
    pub const fn stranger() -> Self {
        Self {
            known: false,
            user: None,
            email: None,
            roles: BTreeSet::new(),
            permissions: BTreeSet::new(),
            superuser: false,
            verified: false,
            auth: Method::Session,
            ip: NOBODYS_ADDRESS,
        }
    }
}

impl<'a> Asker<'a> {
    /// Builds the policy.
    #[must_use]
    pub fn new(config: &'a Config) -> Self {
        Self {
            config,
            policy: config.policy(),
            roles: with_defaults(&config.roles),
        }
    }

    /// A request line as a client would send it; the host is the main site's unless one is given.
    ///
    /// # Errors
    /// Why it is refused before any rule is read.
    pub fn target(&self, method: &str, host: Option<&Host>, path: &str) -> Result<Target, String> {
        let host = host.unwrap_or_else(|| &self.config.sites.main().host);
        let named = |rule: &Arc<Rule>| {
            rule.host
                .as_ref()
                .is_some_and(|pattern| pattern.matches(host))
        };
        if self.config.sites.of_host(host).is_none() && !self.policy.rules().iter().any(named) {
            return Err(format!("neither site: nor a rule names the host {host}"));
        }
        Target::parse(method, host.clone(), path.as_bytes()).map_err(|fault| fault.to_string())
    }

    /// What is to be said of roles that the file does not have: mistyped, most of the time.
    pub fn warnings<'b>(
        &'b self,
        roles: impl Iterator<Item = &'b RoleName>,
    ) -> impl Iterator<Item = String> {
        let unknown: BTreeSet<_> = roles
            .filter(|role| !self.roles.contains_key(*role))
            .collect();
        unknown.into_iter().map(|role| {
            let known = self.roles.keys().map(RoleName::as_str);
            let meant = nearest(role.as_str(), known);
            let meant = meant.map(|meant| format!("; did you mean {meant}?"));
            let meant = meant.unwrap_or_default();
            format!("the role '{role}' is not in this file, and has no permissions here{meant}")
        })
    }

    /// What becomes of a request.
    #[must_use]
    pub fn answer(&self, target: &Target, who: &Who) -> Answer {
        self.rules().answer(target, &self.evidence(who))
    }

    /// Every rule down to the one that decides.
    #[must_use]
    pub fn steps(&self, target: &Target, who: &Who) -> Vec<Step> {
        self.rules().steps(target, &self.evidence(who))
    }

    /// What they amount to, unless they are a stranger.
    #[must_use]
    pub fn identity(&self, who: &Who) -> Option<Identity> {
        let held = closure(&self.roles, who.roles.iter().cloned());
        let somebody = || "somebody".parse().ok();
        let subject: PublicId = "00000000000000000000000000000000".parse().ok()?;
        who.known.then_some(())?;
        Some(Identity {
            id: UserId(0),
            subject,
            name: who.user.clone().or_else(somebody)?,
            email: who.email.clone(),
            verified: who.verified,
            roles: held.roles,
            permissions: held.permissions.union(&who.permissions).cloned().collect(),
            superuser: who.superuser,
            generation: 0,
        })
    }

    fn evidence(&self, who: &Who) -> Evidence {
        let proof = self
            .identity(who)
            .map(|identity| (who.auth, Arc::new(identity)));
        Evidence {
            ip: Some(who.ip),
            proof,
        }
    }

    fn rules<'b>(&'b self) -> Rules<'b, impl Fn(&str) -> Paths<'b>> {
        Rules {
            policy: &self.policy,
            prefix: &self.config.prefix,
            paths: |upstream: &str| self.paths(upstream),
        }
    }

    fn paths(&self, upstream: &str) -> Paths<'_> {
        let upstream = self.config.upstreams.get(upstream);
        upstream.map_or_else(Paths::default, |upstream| Paths {
            readings: upstream.paths,
            rewrite: Some(&upstream.rewrite),
        })
    }
}
