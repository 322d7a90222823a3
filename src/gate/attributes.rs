//! What each attribute of `identity.headers` says about somebody.

use crate::base::identity::{Identity, Method};
use crate::base::name::{Permission, RoleName};
use crate::policy::header::join;

use super::settings::Attribute;

/// The header value of an attribute, encoded; none when there is nothing to say.
#[must_use]
pub fn value(attribute: Attribute, who: &Identity, method: Method) -> Option<String> {
    let one = |text: &str| Some(join([text]));
    let value = match attribute {
        Attribute::Name => one(who.name.as_str()),
        Attribute::Id => one(&who.id.to_string()),
        Attribute::Subject => one(&who.subject.to_string()),
        Attribute::Email => who.email.as_ref().and_then(|email| one(&email.mailbox())),
        Attribute::Verified => one(if who.verified { "true" } else { "false" }),
        Attribute::Roles => Some(join(who.roles.iter().map(RoleName::as_str))),
        Attribute::Permissions => Some(join(who.permissions.iter().map(Permission::as_str))),
        Attribute::Superuser => one(if who.superuser { "true" } else { "false" }),
        Attribute::Method => one(method.as_str()),
    };
    value.filter(|value| !value.is_empty())
}
