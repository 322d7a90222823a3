//! Who administered: one line of the log for each thing that somebody did to what is not their own, so that whoever runs
//! the gateway can tell afterwards. Written once it is done, whatever becomes of what follows from it.
//!
//! Numbers and names only. What was typed goes into fields, which the log's formatter escapes; secrets go nowhere.

use std::fmt::Display;

use super::admin::UserEdit;
use super::{Actor, RoleEdit};
use crate::store::users::User;

impl Actor<'_> {
    /// Writes what was done to somebody.
    pub(super) fn did_to(&self, action: &'static str, user: &User, what: &[&str]) {
        let id = user.id.0;
        self.did(action, (&id, user.username.as_str()), what);
    }

    /// Writes what was done to something, by its number or public name, and its name.
    pub(super) fn did(
        &self,
        action: &'static str,
        (on, on_name): (&dyn Display, &str),
        what: &[&str],
    ) {
        tracing::info!(
            action,
            by = self.who.id.0,
            by_name = self.who.name.as_str(),
            ip = %self.ip,
            on = %on,
            on_name,
            what = what.join(","),
            "an administrator changed something"
        );
    }
}

impl UserEdit {
    /// What is to be changed, by name.
    pub(super) fn said(&self) -> Vec<&'static str> {
        let fields = [
            ("email", self.email.is_some()),
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("is_active", self.is_active.is_some()),
            ("is_superuser", self.is_superuser.is_some()),
            ("is_verified", self.is_verified.is_some()),
        ];
        said(&fields)
    }
}

impl RoleEdit {
    /// What is to be changed, by name.
    pub(super) fn said(&self) -> Vec<&'static str> {
        let fields = [
            ("name", self.name.is_some()),
            ("description", self.description.is_some()),
            ("permissions", self.permissions.is_some()),
        ];
        said(&fields)
    }
}

fn said(fields: &[(&'static str, bool)]) -> Vec<&'static str> {
    let named = fields.iter().filter(|(_, is_said)| *is_said);
    named.map(|(name, _)| *name).collect()
}
