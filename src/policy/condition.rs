//! `allow:` as a tree: what must hold of whoever asks.

use std::fmt;

use crate::base::identity::Identity;
use crate::base::name::{Permission, RoleName, Username};

/// A condition on the identity behind a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Everybody, signed in or not.
    Anyone,
    /// Nobody: the path is closed.
    Nobody,
    /// Whoever is signed in.
    SignedIn,
    /// Holds the role, directly or by inheritance.
    Role(RoleName),
    /// Holds the permission.
    Permission(Permission),
    /// Is this user.
    User(Username),
    /// Has proved the e-mail address (`true`), or has not (`false`).
    Verified(bool),
    /// Every one holds.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// Signed in, and the inner one does not hold.
    Not(Box<Condition>),
}

impl Condition {
    /// Whether it holds for this identity, or for a stranger.
    #[must_use]
    pub fn holds(&self, who: Option<&Identity>) -> bool {
        match (self, who) {
            (Self::Anyone, _) => true,
            (Self::Nobody, _) => false,
            (Self::All(inner), _) => inner.iter().all(|condition| condition.holds(who)),
            (Self::Any(inner), _) => inner.iter().any(|condition| condition.holds(who)),
            // Of a stranger nothing is known, so nothing is believed: not even that something is untrue.
            (_, None) => false,
            (Self::SignedIn, Some(_)) => true,
            (Self::Role(role), Some(id)) => id.superuser || id.roles.contains(role),
            (Self::Permission(permission), Some(id)) => {
                id.superuser || id.permissions.contains(permission)
            }
            (Self::User(name), Some(id)) => id.name == *name,
            (Self::Verified(asked), Some(id)) => id.verified == *asked,
            (Self::Not(inner), Some(_)) => !inner.holds(who),
        }
    }

    /// Whether signing in could make it hold; `nobody` is not worth a login page.
    #[must_use]
    pub fn attainable(&self) -> bool {
        match self {
            Self::Nobody => false,
            Self::All(inner) => inner.iter().all(Self::attainable),
            Self::Any(inner) => inner.iter().any(Self::attainable),
            Self::Not(inner) => !inner.is_for_all_signed_in(),
            _ => true,
        }
    }

    /// Whether signing in is enough, whoever one is.
    fn is_for_all_signed_in(&self) -> bool {
        match self {
            Self::Anyone | Self::SignedIn => true,
            Self::All(inner) => inner.iter().all(Self::is_for_all_signed_in),
            Self::Any(inner) => inner.iter().any(Self::is_for_all_signed_in),
            _ => false,
        }
    }

    /// How little it asks, for the warning about lax rules above strict ones: 3 lets strangers in, 2 asks
    /// for a login only, 1 asks for more, 0 lets nobody in.
    #[must_use]
    pub fn laxity(&self) -> u8 {
        match self {
            _ if self.holds(None) => 3,
            _ if !self.attainable() => 0,
            Self::SignedIn => 2,
            Self::Any(inner) => inner.iter().map(Self::laxity).max().unwrap_or(0),
            Self::All(inner) => inner.iter().map(Self::laxity).min().unwrap_or(0),
            _ => 1,
        }
    }

    /// Whether it asks for all that another does, and for something else as well.
    #[must_use]
    pub fn asks_more_than(&self, other: &Self) -> bool {
        let parts = |of: &Self| match of {
            Self::All(inner) => inner.clone(),
            one => vec![one.clone()],
        };
        let (own, theirs) = (parts(self), parts(other));
        own.len() > theirs.len() && theirs.iter().all(|part| own.contains(part))
    }

    /// Whether it may hold for somebody because they lack something, which they may be given.
    #[must_use]
    pub fn asks_for_absence(&self) -> bool {
        match self {
            Self::Not(_) | Self::Verified(false) => true,
            Self::All(inner) | Self::Any(inner) => inner.iter().any(Self::asks_for_absence),
            _ => false,
        }
    }

    /// Every user it names.
    #[must_use]
    pub fn users(&self) -> Vec<&Username> {
        match self {
            Self::User(name) => vec![name],
            Self::All(inner) | Self::Any(inner) => inner.iter().flat_map(Self::users).collect(),
            Self::Not(inner) => inner.users(),
            _ => Vec::new(),
        }
    }

    /// Every role and permission it names, to warn of those that exist nowhere; and whether it is those who lack it that
    /// are meant.
    #[must_use]
    pub fn named(&self) -> Vec<(Named<'_>, bool)> {
        match self {
            Self::Role(role) => vec![(Named::Role(role), false)],
            Self::Permission(permission) => vec![(Named::Permission(permission), false)],
            Self::All(inner) | Self::Any(inner) => inner.iter().flat_map(Self::named).collect(),
            Self::Not(inner) => {
                let turned = |(named, negated): (_, bool)| (named, !negated);
                inner.named().into_iter().map(turned).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// What a condition names that somebody may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// A role.
    Role(&'a RoleName),
    /// A permission.
    Permission(&'a Permission),
}

impl fmt::Display for Condition {
    /// As one would write it in `gateway.yaml`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Nobody => f.write_str("nobody"),
            Self::SignedIn => f.write_str("signed_in"),
            Self::Role(role) => write!(f, "role: {role}"),
            Self::Permission(permission) => write!(f, "permission: {permission}"),
            Self::User(user) => write!(f, "user: {user}"),
            Self::Verified(asked) => write!(f, "verified: {asked}"),
            Self::All(inner) => list(f, "all", inner),
            Self::Any(inner) => list(f, "any", inner),
            Self::Not(inner) => write!(f, "not: {{{inner}}}"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, word: &str, inner: &[Condition]) -> fmt::Result {
    write!(f, "{word}: [")?;
    for (at, condition) in inner.iter().enumerate() {
        write!(f, "{}{condition}", if at == 0 { "" } else { ", " })?;
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::identity::fixture::identity;

    #[test]
    fn conditions() {
        use Condition::*;
        let role = |name: &str| Role(name.parse().unwrap());
        let permission = |name: &str| Permission(name.parse().unwrap());
        let root = Identity {
            superuser: true,
            ..identity("root", &[], &[])
        };
        let alice = identity("alice", &["user"], &["orders:read"]);
        // condition, stranger, alice, superuser
        let cases = [
            (Anyone, true, true, true),
            (Nobody, false, false, false),
            (SignedIn, false, true, true),
            (role("user"), false, true, true),
            (role("admin"), false, false, true),
            (permission("orders:read"), false, true, true),
            (permission("orders:write"), false, false, true),
            (User("alice".parse().unwrap()), false, true, false),
            (Verified(true), false, false, false),
            (Verified(false), false, true, true),
            (
                All(vec![role("user"), permission("orders:read")]),
                false,
                true,
                true,
            ),
            (All(vec![role("user"), role("admin")]), false, false, true),
            (Any(vec![role("admin"), SignedIn]), false, true, true),
            (Any(vec![role("admin"), Anyone]), true, true, true),
            (Any(vec![]), false, false, false),
            (Not(Box::new(role("admin"))), false, true, false),
            (Not(Box::new(Anyone)), false, false, false),
            (
                Not(Box::new(Not(Box::new(role("user"))))),
                false,
                true,
                true,
            ),
        ];
        for (condition, stranger, for_alice, for_root) in cases {
            let holds = [None, Some(&alice), Some(&root)].map(|who| condition.holds(who));
            assert_eq!(holds, [stranger, for_alice, for_root], "{condition}");
        }
    }

    #[test]
    fn laxity_and_attainability() {
        use Condition::*;
        let admin = || Role("admin".parse().unwrap());
        assert_eq!(Anyone.laxity(), 3);
        assert_eq!(All(vec![Anyone, SignedIn]).laxity(), 2);
        assert_eq!(Any(vec![admin(), SignedIn]).laxity(), 2);
        assert_eq!(admin().laxity(), 1);
        assert_eq!(Nobody.laxity(), 0);
        let both = All(vec![admin(), Verified(true)]);
        assert!(both.asks_more_than(&admin()) && !admin().asks_more_than(&both));
        assert!(!admin().asks_more_than(&admin()));
        assert!(!All(vec![Nobody, SignedIn]).attainable());
        let either = || Any(vec![admin(), SignedIn]);
        for never in [Anyone, SignedIn, either(), All(vec![either(), Anyone])] {
            assert!(!Not(Box::new(never)).attainable());
        }
        assert!(Not(Box::new(All(vec![SignedIn, admin()]))).attainable());
        assert!(Any(vec![Nobody, admin()]).attainable());
    }
}
