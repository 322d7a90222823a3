//! Which names may be given to whom: services are told usernames, and make something of them.

use super::{AccountFault, Accounts, Actor};
use crate::base::name::Username;
use crate::policy::path::by_letters;
use crate::store::users::User;

/// What services call whoever may do everything there, or nobody in particular. They are told usernames, and many take
/// one of these for their own: only a superuser gives it to somebody.
const OFFICES: [&str; 10] = [
    "admin",
    "administrator",
    "anonymous",
    "none",
    "null",
    "root",
    "superuser",
    "sysadmin",
    "system",
    "undefined",
];
/// How many names somebody may give up. Each stays theirs, and is lost to others.
const NAMES: i64 = 5;

fn is_path(name: &str) -> bool {
    name.contains(['/', '\\']) || [".", ".."].contains(&name)
}

impl Accounts {
    /// Goes on unless a rule of the file names somebody so, or services do: whoever took that name would be who is meant.
    /// And unless it is a path: services keep a folder for each user, and `alice/photos` or `..` would be somebody else's.
    pub(super) fn may_be_named(
        &self,
        name: Option<&Username>,
        superuser: bool,
    ) -> Result<(), AccountFault> {
        let Some(name) = name.filter(|_| !superuser) else {
            return Ok(());
        };
        if is_path(name.as_str()) {
            return Err(AccountFault::UsernamePath);
        }
        // `admın` is `admin` to services that compare capitals.
        let folded = by_letters(name.as_str());
        let terms = self.0.terms.load();
        let mut named = terms.named.users.iter();
        if OFFICES.contains(&folded.as_str()) || named.any(|it| by_letters(it.as_str()) == folded) {
            return Err(AccountFault::UsernameTaken(name.clone()));
        }
        Ok(())
    }

    /// Goes on unless a rule of the file names this user, which may be there to keep them out, or they have kept
    /// [`NAMES`] from everybody else already.
    pub(super) async fn may_rename(
        &self,
        actor: &Actor<'_>,
        user: &User,
        to: &Username,
    ) -> Result<(), AccountFault> {
        if actor.who.superuser {
            return Ok(());
        }
        if self.0.terms.load().named.users.contains(&user.username) {
            return Err(AccountFault::Forbidden(
                "A rule goes by this name: only a superuser may change it.",
            ));
        }
        let users = &self.parts().store.users;
        if users.names_given_up(user.id).await? >= NAMES
            && users.whose_was(to).await? != Some(user.id)
        {
            return Err(AccountFault::Forbidden(
                "This account has had many names: only a superuser gives it another.",
            ));
        }
        Ok(())
    }
}
