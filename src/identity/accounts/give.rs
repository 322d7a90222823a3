//! Who may give which roles: nobody gives what they do not hold.
//!
//! A role is held when somebody has it, directly or through another. One that was made through the API, which no
//! rule names and which includes none of the file's, is nothing but its permissions: it may be given by whoever
//! holds those.

use std::collections::BTreeSet;

use super::{AccountFault, Accounts};
use crate::base::identity::Identity;
use crate::base::name::RoleName;
use crate::store::roles::{Closure, Graph, RoleOrigin};

impl Accounts {
    /// Goes on when `who` may give every one of `roles`.
    ///
    /// # Errors
    /// When they may not, or a role does not exist.
    pub async fn may_give(
        &self,
        who: &Identity,
        roles: &BTreeSet<RoleName>,
    ) -> Result<(), AccountFault> {
        let graph = self.parts().store.roles.graph().await?;
        for role in roles {
            let node = graph.nodes.get(role);
            if node.is_none_or(|node| node.origin == RoleOrigin::Retired) {
                return Err(AccountFault::UnknownRole(role.to_string()));
            }
        }
        if who.superuser || self.covers(who, &graph.closure(roles), &graph) {
            return Ok(());
        }
        Err(AccountFault::Forbidden(
            "Nobody gives what they do not hold.",
        ))
    }

    /// Whether `who` holds all of it.
    pub(super) fn covers(&self, who: &Identity, all: &Closure, graph: &Graph) -> bool {
        let terms = self.0.terms.load();
        let weighs = |role: &RoleName| {
            let of_file = graph
                .nodes
                .get(role)
                .is_none_or(|node| node.origin != RoleOrigin::Local);
            of_file || BUILT_IN.contains(&role.as_str()) || terms.named_roles.contains(role)
        };
        all.permissions.is_subset(&who.permissions)
            && all
                .roles
                .iter()
                .all(|role| who.roles.contains(role) || !weighs(role))
    }
}

/// The roles that are there from the first start. `user` is what everybody has.
const BUILT_IN: [&str; 2] = ["superuser", "admin"];
