//! Roles and permissions that nothing in the file gives to anybody: mistyped, most of the time. Warnings, because the
//! command line may still make them.

use crate::base::name::{Permission, RoleName};
use crate::policy::condition::{Condition, Named};
use crate::policy::role::Roles;

use super::raw::At;
use super::report::nearest;
use super::roles::with_defaults;

/// What the file gives.
pub struct Given {
    roles: Roles,
}

impl Given {
    /// What these roles are and give, those that exist without being declared included.
    pub fn by(roles: &Roles) -> Self {
        Self {
            roles: with_defaults(roles),
        }
    }

    /// Warns of what a condition names and nobody is given.
    pub fn look_at(&self, at: &At<'_>, allow: &Condition) {
        for (named, negated) in allow.named() {
            let without = if negated {
                "it keeps out nobody but superusers, who have all"
            } else {
                "nobody but a superuser has it"
            };
            match named {
                Named::Role(role) => self.warn_of_role(at, role, without),
                Named::Permission(permission) => self.warn_of_permission(at, permission, without),
            }
        }
    }

    /// Warns of a role that the file does not have; `without` says what that means.
    pub fn warn_of_role(&self, at: &At<'_>, role: &RoleName, without: &str) {
        if self.roles.contains_key(role) {
            return;
        }
        let known = self.roles.keys().map(RoleName::as_str);
        at.warn(
            format!("the role '{role}' is not in this file"),
            hint(
                nearest(role.as_str(), known),
                "it is made on the command line",
                without,
            ),
        );
    }

    /// Warns of a permission that no role of the file gives.
    pub fn warn_of_permission(&self, at: &At<'_>, permission: &Permission, without: &str) {
        let mut known = self.roles.values().flat_map(|role| &role.permissions);
        if known.any(|it| it == permission) {
            return;
        }
        let known = self.roles.values().flat_map(|role| &role.permissions);
        at.warn(
            format!("no role of this file gives the permission '{permission}'"),
            hint(
                nearest(permission.as_str(), known.map(Permission::as_str)),
                "one made on the command line does",
                without,
            ),
        );
    }
}

fn hint(meant: Option<&str>, until: &str, without: &str) -> String {
    match meant {
        Some(meant) => format!("did you mean {meant}? until {until}, {without}"),
        None => format!("until {until}, {without}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    #[test]
    fn g_04_what_nobody_is_given_is_named() {
        let file = "site: http://localhost
upstreams: { web: { to: http://web } }
defaults: { to: web }
rules:
  - { path: /a, allow: { permission: users:raed } }
  - { path: /b, allow: { not: { permission: orders:take } } }
  - { path: /c, allow: { any: [{ role: admni }, { not: { not: { role: ghost } } }] } }
  - { path: /d, allow: { permissions: { all: [users:read, users:write] } } }
tests:
  - { GET: /d, as: { role: editr, permissions: [users:read, users:wriet] }, expect: deny }
";
        let config = Config::from_text(file, Path::new("/nonexistent"), &|_| None).unwrap();
        let told = config.warnings.iter().map(|it| {
            let hint = it.hint.as_deref().unwrap_or_default();
            format!("{it}: {hint}")
        });
        insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @"
        no role of this file gives the permission 'users:raed': did you mean users:read? until one made on the command line does, nobody but a superuser has it
        no role of this file gives the permission 'orders:take': until one made on the command line does, it keeps out nobody but superusers, who have all
        the role 'admni' is not in this file: did you mean admin? until it is made on the command line, nobody but a superuser has it
        the role 'ghost' is not in this file: until it is made on the command line, nobody but a superuser has it
        the role 'editr' is not in this file: 'editr': until it is made on the command line, no account is like that
        no role of this file gives the permission 'users:wriet': 'users:wriet': did you mean users:write? until one made on the command line does, no account is like that
        ");
    }
}
