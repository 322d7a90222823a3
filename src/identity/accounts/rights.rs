//! What it takes to look after other people's accounts: the permissions, and two rules beside them.
//!
//! Nobody gives what they do not hold; and nobody but a superuser lays hands on somebody who holds more than they
//! do. To hold a role is to have it, directly or through another. What every new account is given counts as held
//! by everybody. A role that was made through the API, that no rule names and that includes none which counts, is
//! nothing but its permissions. This refuses nothing by itself: it is asked where something is about to be done.

use std::collections::BTreeSet;

use super::{AccountFault, Actor, Named};
use crate::base::id::UserId;
use crate::base::identity::Identity;
use crate::base::name::RoleName;
use crate::store::roles::{Closure, Graph};
use crate::store::users::User;

/// The role of new accounts.
pub(super) const DEFAULT: &str = "user";

/// A permission of our own API, or what stands above all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// `users:read`
    ReadUsers,
    /// `users:write`
    WriteUsers,
    /// `users:delete`
    DeleteUsers,
    /// `roles:read`
    ReadRoles,
    /// `permissions:read`
    ReadPermissions,
    /// Being a superuser, which no permission stands for.
    Superuser,
}

/// How far an actor's arm reaches.
pub(super) struct Reach<'a> {
    who: &'a Identity,
    graph: &'a Graph,
    named: &'a Named,
    /// What every new account is given.
    everybody: Closure,
}

impl Right {
    /// The permission; none stands for a superuser.
    #[must_use]
    pub const fn permission(self) -> Option<&'static str> {
        match self {
            Self::ReadUsers => Some("users:read"),
            Self::WriteUsers => Some("users:write"),
            Self::DeleteUsers => Some("users:delete"),
            Self::ReadRoles => Some("roles:read"),
            Self::ReadPermissions => Some("permissions:read"),
            Self::Superuser => None,
        }
    }

    /// Whether somebody has it.
    #[must_use]
    pub fn is_held_by(self, who: &Identity) -> bool {
        who.superuser
            || self.permission().is_some_and(|needed| {
                let mut held = who.permissions.iter();
                held.any(|permission| permission.as_str() == needed)
            })
    }

    const fn refusal(self) -> &'static str {
        match self {
            Self::ReadUsers => "This needs the permission users:read.",
            Self::WriteUsers => "This needs the permission users:write.",
            Self::DeleteUsers => "This needs the permission users:delete.",
            Self::ReadRoles => "This needs the permission roles:read.",
            Self::ReadPermissions => "This needs the permission permissions:read.",
            Self::Superuser => "Only a superuser may do this.",
        }
    }
}

impl Actor<'_> {
    /// Goes on only with this right.
    pub(super) fn needs(&self, right: Right) -> Result<(), AccountFault> {
        if right.is_held_by(self.who) {
            return Ok(());
        }
        Err(AccountFault::Forbidden(right.refusal()))
    }

    /// Goes on only where somebody else is meant.
    pub(super) fn not_oneself(&self, user: UserId, why: &'static str) -> Result<(), AccountFault> {
        if self.who.id == user {
            return Err(AccountFault::Forbidden(why));
        }
        Ok(())
    }
}

impl<'a> Reach<'a> {
    /// The reach of `who` over the roles there are.
    pub(super) fn new(who: &'a Identity, graph: &'a Graph, named: &'a Named) -> Self {
        let everybody = DEFAULT.parse::<RoleName>();
        let everybody =
            everybody.map_or_else(|_| Closure::default(), |role| graph.closure([&role]));
        Self {
            who,
            graph,
            named,
            everybody,
        }
    }

    /// Goes on when all of `roles` exist and may be given.
    pub(super) fn give(&self, roles: &BTreeSet<RoleName>) -> Result<(), AccountFault> {
        if let Some(role) = roles
            .iter()
            .find(|role| self.graph.counting(role).is_none())
        {
            return Err(AccountFault::UnknownRole(role.to_string()));
        }
        if self.covers(roles) {
            return Ok(());
        }
        Err(AccountFault::Forbidden(
            "Nobody gives what they do not hold.",
        ))
    }

    /// Goes on when the actor holds `roles`, whether or not they still exist: taking back what was to be given.
    pub(super) fn take_back(&self, roles: &BTreeSet<RoleName>) -> Result<(), AccountFault> {
        if self.covers(roles) {
            return Ok(());
        }
        Err(AccountFault::Forbidden("It gives more than you hold."))
    }

    /// Goes on when `user`, who has `roles`, holds no more than the actor: neither by them nor by a rule that names
    /// this very user.
    pub(super) fn manage(
        &self,
        user: &User,
        roles: &BTreeSet<RoleName>,
    ) -> Result<(), AccountFault> {
        let above = user.is_superuser || self.named.users.contains(&user.username);
        if self.who.superuser || (!above && self.covers(roles)) {
            return Ok(());
        }
        Err(AccountFault::Forbidden(
            "They hold more than you do: only a superuser may do this.",
        ))
    }

    fn covers(&self, roles: &BTreeSet<RoleName>) -> bool {
        let all = self.graph.closure(roles);
        let mut permissions = all.permissions.iter();
        // Also those that have left the file: they open nothing until they are back, and whoever took the account over
        // meanwhile would have them then.
        let mut names = all.roles.iter().chain(roles);
        self.who.superuser
            || (permissions.all(|it| {
                self.who.permissions.contains(it) || self.everybody.permissions.contains(it)
            }) && names.all(|it| {
                // Whatever permissions it has: services are told its name, and may go by it.
                self.who.roles.contains(it) || self.everybody.roles.contains(it)
            }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::identity::fixture::identity;
    use crate::store::roles::Node;

    fn names(text: &str) -> BTreeSet<RoleName> {
        text.split_whitespace()
            .map(|name| name.parse().unwrap())
            .collect()
    }

    fn graph() -> Graph {
        use crate::store::roles::RoleOrigin::{Config, Local, Retired};
        let node = |(name, origin, includes, permissions): (&str, _, &str, &str)| {
            let permissions = permissions.split_whitespace();
            let node = Node {
                origin,
                includes: names(includes),
                permissions: permissions.map(|it| it.parse().unwrap()).collect(),
            };
            (name.parse().unwrap(), node)
        };
        let nodes = [
            ("user", Local, "", "profile:read"),
            ("admin", Local, "", "users:write orders:read"),
            ("boss", Config, "", ""),
            ("tester", Local, "", ""),
            ("auditor", Local, "", ""),
            ("reader", Local, "", "orders:read"),
            ("writer", Local, "", "orders:write"),
            ("climber", Local, "boss", ""),
            ("gone", Retired, "", ""),
        ];
        Graph {
            nodes: nodes.into_iter().map(node).collect(),
        }
    }

    #[test]
    fn ad_06_nobody_gives_what_they_do_not_hold() {
        let graph = graph();
        let named = Named::default();
        let admin = identity("root", &["admin"], &["users:write", "orders:read"]);
        let mut superuser = identity("super", &[], &[]);
        superuser.superuser = true;
        // What is given, whether an admin may, whether a superuser may.
        let cases = [
            ("", true, true),
            ("user", true, true),
            ("admin", true, true),
            ("tester", false, true),
            ("reader", false, true),
            ("tester reader user", false, true),
            ("boss", false, true),
            ("auditor", false, true),
            ("writer", false, true),
            ("climber", false, true),
            ("superuser", false, false),
            ("gone", false, false),
            ("tester writer", false, true),
        ];
        for (roles, by_admin, by_superuser) in cases {
            let roles = names(roles);
            let gives = |who| Reach::new(who, &graph, &named).give(&roles).is_ok();
            assert_eq!(gives(&admin), by_admin, "{roles:?}");
            assert_eq!(gives(&superuser), by_superuser, "{roles:?}");
        }
    }
}
