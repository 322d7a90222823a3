//! What a service is told about who asks: `identity:` of the file.

use std::str::FromStr;

use http::HeaderName;

/// The headers that carry an identity to a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// Header and what it carries.
    pub headers: Vec<(HeaderName, Attribute)>,
    /// The header of the signed assertion, unless it is turned off.
    pub assertion: Option<HeaderName>,
}

/// Something to tell a service about a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// `user.name`
    Name,
    /// `user.id`
    Id,
    /// `user.subject`
    Subject,
    /// `user.email`
    Email,
    /// `user.verified`: `true` or `false`
    Verified,
    /// `user.roles`: the closure, sorted, joined by commas
    Roles,
    /// `user.permissions`: sorted, joined by commas
    Permissions,
    /// `user.superuser`: `true` or `false`
    Superuser,
    /// `method`: how the identity was proved
    Method,
}

impl Attribute {
    /// Every attribute and the word for it in the file.
    pub const ALL: [(&'static str, Self); 9] = [
        ("user.name", Self::Name),
        ("user.id", Self::Id),
        ("user.subject", Self::Subject),
        ("user.email", Self::Email),
        ("user.verified", Self::Verified),
        ("user.roles", Self::Roles),
        ("user.permissions", Self::Permissions),
        ("user.superuser", Self::Superuser),
        ("method", Self::Method),
    ];
}

impl FromStr for Attribute {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|(word, _)| *word == text)
            .map(|(_, attribute)| attribute)
            .ok_or(())
    }
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        let header = HeaderName::from_static;
        Self {
            headers: vec![
                (header("x-auth-user"), Attribute::Name),
                (header("x-auth-user-id"), Attribute::Id),
                (header("x-auth-email"), Attribute::Email),
                (header("x-auth-roles"), Attribute::Roles),
                (header("x-auth-method"), Attribute::Method),
            ],
            assertion: Some(header("x-auth-assertion")),
        }
    }
}
