//! The roles and permissions themselves: everybody with the right may look, superusers make and change them.
//!
//! Roles of the file are changed in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rights::Right;
use super::{AccountFault, Accounts, Actor};
use crate::base::name::{Permission, RoleName};
use crate::store::roles::{Role, RoleChange, StoredPermission};

/// A role with everything that is known of its permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullRole {
    /// The role.
    pub role: Role,
    /// The permissions it gives itself, by number.
    pub permissions: Vec<StoredPermission>,
}

/// A role to be.
#[derive(Clone, Debug)]
pub struct RoleDraft {
    /// Its name.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// The numbers of its permissions.
    pub permissions: BTreeSet<i64>,
}

/// What to change about a role; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct RoleEdit {
    /// Another name.
    pub name: Option<RoleName>,
    /// What it is for.
    pub description: Option<String>,
    /// The numbers of its permissions.
    pub permissions: Option<BTreeSet<i64>>,
}

impl Accounts {
    /// Every role, by number; also those that have left the file.
    ///
    /// # Errors
    /// Without `roles:read`.
    pub async fn roles(&self, actor: &Actor<'_>) -> Result<Vec<Arc<FullRole>>, AccountFault> {
        actor.needs(Right::ReadRoles)?;
        Ok(self.full_roles().await?.into_values().collect())
    }

    /// A role.
    ///
    /// # Errors
    /// Without `roles:read`, or when there is none of that number.
    pub async fn role(&self, actor: &Actor<'_>, id: i64) -> Result<Arc<FullRole>, AccountFault> {
        actor.needs(Right::ReadRoles)?;
        self.full_role(id).await
    }

    /// How many users have a role.
    ///
    /// # Errors
    /// Without `roles:read`.
    pub async fn holders(&self, actor: &Actor<'_>, id: i64) -> Result<u64, AccountFault> {
        actor.needs(Right::ReadRoles)?;
        Ok(self.parts().store.roles.holders(id).await?)
    }

    /// Makes a role.
    ///
    /// # Errors
    /// For everybody but superusers; when there is one of that name, or no permission of a number.
    pub async fn add_role(
        &self,
        actor: &Actor<'_>,
        draft: &RoleDraft,
    ) -> Result<Arc<FullRole>, AccountFault> {
        actor.needs(Right::Superuser)?;
        let permissions: Vec<_> = self
            .numbered(&draft.permissions)
            .await?
            .into_iter()
            .collect();
        let roles = &self.parts().store.roles;
        let made = roles
            .add(&draft.name, &draft.description, &permissions, self.now())
            .await?;
        actor.did("role.create", (&made.id, made.name.as_str()), &[]);
        self.full_role(made.id).await
    }

    /// Changes a role. Whoever has it holds more or less from their next request on.
    ///
    /// # Errors
    /// As [`Accounts::add_role`]; when the role comes from the file, or a built-in one would be renamed,
    /// or one that a rule keeps people out by.
    pub async fn edit_role(
        &self,
        actor: &Actor<'_>,
        id: i64,
        edit: &RoleEdit,
    ) -> Result<Arc<FullRole>, AccountFault> {
        actor.needs(Right::Superuser)?;
        let permissions = match &edit.permissions {
            Some(numbers) => Some(self.numbered(numbers).await?),
            None => None,
        };
        let change = RoleChange {
            name: edit.name.clone(),
            description: edit.description.clone(),
            permissions,
        };
        let roles = &self.parts().store.roles;
        let terms = self.0.terms.load_full();
        let excluded = &terms.named.excluded;
        roles.update(id, &change, excluded, self.now()).await?;
        let changed = self.changed().await;
        self.note_role(actor, id, edit).await;
        changed?;
        self.full_role(id).await
    }

    /// Deletes a role; whoever has it loses it.
    ///
    /// # Errors
    /// For everybody but superusers; when the role comes from the file, is built in, is included by another, or
    /// a rule keeps people out by it or by what it gives.
    pub async fn delete_role(&self, actor: &Actor<'_>, id: i64) -> Result<(), AccountFault> {
        actor.needs(Right::Superuser)?;
        let terms = self.0.terms.load_full();
        let (roles, excluded) = (&self.parts().store.roles, &terms.named.excluded);
        let name = roles.delete_number(id, excluded).await?;
        actor.did("role.delete", (&id, name.as_str()), &[]);
        self.changed().await
    }

    /// Every permission that was declared, by number.
    ///
    /// # Errors
    /// Without `permissions:read`.
    pub async fn permissions(
        &self,
        actor: &Actor<'_>,
    ) -> Result<Vec<StoredPermission>, AccountFault> {
        actor.needs(Right::ReadPermissions)?;
        Ok(self.parts().store.roles.permissions().await?)
    }

    /// Declares a permission.
    ///
    /// # Errors
    /// For everybody but superusers; when it is there already.
    pub async fn add_permission(
        &self,
        actor: &Actor<'_>,
        permission: &Permission,
        description: &str,
    ) -> Result<StoredPermission, AccountFault> {
        actor.needs(Right::Superuser)?;
        let roles = &self.parts().store.roles;
        let made = roles.add_permission(permission, description).await?;
        actor.did("permission.create", (&made.id, permission.as_str()), &[]);
        Ok(made)
    }

    /// Every role, by number.
    pub(super) async fn full_roles(&self) -> Result<BTreeMap<i64, Arc<FullRole>>, AccountFault> {
        let roles = self.parts().store.roles.catalogue().await?;
        // After the roles: what they give was declared before.
        let permissions = self.parts().store.roles.permissions().await?;
        let full = |role: Role| {
            let gives = |it: &&StoredPermission| role.permissions.contains(&it.permission);
            let permissions = permissions.iter().filter(gives).cloned().collect();
            (role.id, Arc::new(FullRole { role, permissions }))
        };
        Ok(roles.into_iter().map(full).collect())
    }

    async fn note_role(&self, actor: &Actor<'_>, id: i64, edit: &RoleEdit) {
        let full = self.full_role(id).await;
        let name = full.as_ref().map_or("", |full| full.role.name.as_str());
        actor.did("role.edit", (&id, name), &edit.said());
    }

    async fn full_role(&self, id: i64) -> Result<Arc<FullRole>, AccountFault> {
        let mut roles = self.full_roles().await?;
        roles.remove(&id).ok_or(AccountFault::Missing)
    }

    /// What the numbers of permissions mean.
    async fn numbered(
        &self,
        numbers: &BTreeSet<i64>,
    ) -> Result<BTreeSet<Permission>, AccountFault> {
        let all = self.parts().store.roles.permissions().await?;
        let find = |id: &i64| {
            let found = all.iter().find(|it| it.id == *id);
            found
                .map(|it| it.permission.clone())
                .ok_or(AccountFault::UnknownPermission(*id))
        };
        numbers.iter().map(find).collect()
    }
}
