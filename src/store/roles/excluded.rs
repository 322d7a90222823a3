//! What rules of the file keep people out by. Where such a role is gone, or is called something else, the rule keeps out
//! nobody: unlike a role that lets people in, it must not go while the file says so.

use std::collections::BTreeMap;

use super::{Graph, RoleError};
use crate::base::name::{Permission, RoleName};

/// The roles and permissions that rules name under `not:`, each with the line of the first such rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded {
    /// The roles.
    pub roles: BTreeMap<RoleName, u64>,
    /// The permissions.
    pub permissions: BTreeMap<Permission, u64>,
}

impl Excluded {
    /// Goes on unless a rule keeps out whoever has the role.
    ///
    /// # Errors
    /// On which line it does.
    pub(super) fn may_rename(&self, role: &RoleName) -> Result<(), RoleError> {
        match self.roles.get(role) {
            Some(line) => Err(RoleError::Excludes(role.clone(), *line)),
            None => Ok(()),
        }
    }

    /// The same for whoever has what the role gives, which is lost with it.
    ///
    /// # Errors
    /// On which line it does.
    pub(super) fn may_delete(&self, graph: &Graph, role: &RoleName) -> Result<(), RoleError> {
        self.may_rename(role)?;
        let given = graph.closure([role]);
        let roles = given.roles.iter().filter_map(|it| self.roles.get(it));
        let permissions = given.permissions.iter();
        let permissions = permissions.filter_map(|it| self.permissions.get(it));
        match roles.chain(permissions).min() {
            Some(line) => Err(RoleError::Excludes(role.clone(), *line)),
            None => Ok(()),
        }
    }
}
