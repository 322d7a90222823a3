//! The one account check. Every door (session, password, token, later provider, key, device) comes through here.

use crate::base::id::UserId;
use crate::base::identity::Identity;
use crate::store::users::User;
use crate::store::{Account, Store};

use super::IdentityFault;

/// What an account must be, beside enabled, to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// The e-mail address must have been proved to be theirs. An account without one has nothing to prove.
    pub verified_email: bool,
}

/// An account that may be used.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Whose it is.
    pub identity: Identity,
    /// Which password it has had last; what was opened with an earlier one is closed.
    pub password_version: i64,
    /// Whether somebody else set the password, so that nothing but changing it is open to them.
    pub must_change_password: bool,
}

/// Why an account that exists may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// It is disabled.
    Disabled,
    /// Its address was not proved, and the file asks for that.
    Unverified,
}

impl Demands {
    /// What bars the account, if anything.
    #[must_use]
    pub fn bar(self, user: &User) -> Option<Bar> {
        if !user.is_active {
            return Some(Bar::Disabled);
        }
        let unproved = user.email.is_some() && !user.is_verified;
        (self.verified_email && unproved).then_some(Bar::Unverified)
    }
}

/// The identity behind an account number, if the account exists and may be used.
///
/// # Errors
/// When the store does not answer.
pub async fn check(
    store: &Store,
    id: UserId,
    demands: Demands,
) -> Result<Option<Admitted>, IdentityFault> {
    let account = store.account(id).await?;
    Ok(account
        .filter(|account| demands.bar(&account.user).is_none())
        .map(Admitted::of))
}

impl Admitted {
    fn of(account: Account) -> Self {
        let Account {
            user,
            roles,
            permissions,
        } = account;
        Self {
            password_version: user.password_version,
            must_change_password: user.must_change_password,
            identity: Identity {
                id: user.id,
                subject: user.subject,
                name: user.username,
                email: user.email,
                verified: user.is_verified,
                roles,
                permissions,
                superuser: user.is_superuser,
                generation: user.generation,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::PublicId;
    use crate::base::random::Random;
    use crate::base::time::Timestamp;

    fn user(is_active: bool, email: Option<&str>, is_verified: bool) -> User {
        User {
            id: UserId(1),
            subject: PublicId::generate(&Random::seeded(1)),
            username: "alice".parse().unwrap(),
            email: email.map(|email| email.parse().unwrap()),
            password_hash: None,
            is_active,
            is_superuser: false,
            is_verified,
            must_change_password: false,
            password_version: 0,
            generation: 1,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }

    #[test]
    fn a_21_what_bars_an_account() {
        let mail = Some("alice@example.test");
        let cases = [
            (user(true, mail, true), None, None),
            (user(true, mail, false), None, Some(Bar::Unverified)),
            (user(true, None, false), None, None),
            (
                user(false, mail, true),
                Some(Bar::Disabled),
                Some(Bar::Disabled),
            ),
            (
                user(false, mail, false),
                Some(Bar::Disabled),
                Some(Bar::Disabled),
            ),
        ];
        for (user, plain, strict) in cases {
            assert_eq!(Demands::default().bar(&user), plain, "{user:?}");
            let demands = Demands {
                verified_email: true,
            };
            assert_eq!(demands.bar(&user), strict, "{user:?}");
        }
    }
}
