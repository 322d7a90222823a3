//! The first superuser.

use std::collections::BTreeSet;

use crate::base::id::PublicId;
use crate::base::random::Random;
use crate::base::secret::Secret;
use crate::base::time::Clock;
use crate::config::{Bootstrap, Config};
use crate::crypto::password::Password;
use crate::store::Store;
use crate::store::users::{NewUser, UserError};

use super::banner::FirstUser;

/// The first superuser, made once, while there is none: no default password exists.
///
/// # Errors
/// When the store does not answer, or there is no randomness.
pub async fn first_user(
    store: &Store,
    config: &Config,
    clock: &Clock,
    random: &Random,
) -> anyhow::Result<Option<FirstUser>> {
    let (name, given) = match &config.bootstrap {
        Some(Bootstrap { username, password }) => (username.clone(), Some(password.clone())),
        None => ("admin".parse()?, None),
    };
    let generated: [u8; 12] = random.bytes()?;
    let password = given
        .clone()
        .unwrap_or_else(|| Secret::new(hex::encode(generated)));
    let hash = Password::typed(password.expose())?.hash(&config.identity.password, random)?;
    let new = NewUser {
        subject: PublicId::generate(random),
        username: name.clone(),
        may_reuse_name: true,
        email: None,
        password_hash: Some(hash),
        is_active: true,
        is_superuser: true,
        is_verified: false,
        must_change_password: false,
        roles: BTreeSet::new(),
    };
    match store.users.bootstrap(&new, clock.now()).await {
        Ok(Some(_)) => Ok(Some(FirstUser {
            name,
            password: given.is_none().then_some(password),
        })),
        Ok(None) => Ok(None),
        Err(UserError::UsernameTaken(name)) => {
            tracing::warn!(%name, "there is no superuser, and the name for the first one is taken: portcullis user add NAME --superuser");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
