//! The one account check. Every door (session, password, later provider, key, device) comes through here.

use crate::base::id::UserId;
use crate::base::identity::Identity;
use crate::store::{Account, Store};

use super::IdentityFault;

/// The identity behind an account number, if the account exists and is enabled.
///
/// # Errors
/// When the store does not answer.
pub async fn check(store: &Store, id: UserId) -> Result<Option<Identity>, IdentityFault> {
    Ok(store.account(id).await?.and_then(admit))
}

fn admit(account: Account) -> Option<Identity> {
    let Account {
        user,
        roles,
        permissions,
    } = account;
    user.is_active.then_some(Identity {
        id: user.id,
        subject: user.subject,
        name: user.username,
        email: user.email,
        verified: user.is_verified,
        roles,
        permissions,
        superuser: user.is_superuser,
        generation: user.generation,
    })
}
