//! `user set-roles`: other roles, in place of those that people gave.

use crate::store::roles::LOCAL;

use super::{Stored, direct_roles, parse_roles};

/// A role that is called like what no role is.
const SUPERUSER: &str = "superuser";

/// Options of `user set-roles`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Username or e-mail address.
    name: String,
    /// Roles, separated by commas; an empty text takes all away.
    #[arg(value_delimiter = ',', required = true)]
    roles: Vec<String>,
}

pub async fn run(args: &Args, stored: &Stored) -> anyhow::Result<()> {
    let user = stored.user(&args.name).await?;
    let roles = parse_roles(stored, &args.roles).await?;
    stored.take_over_for(&roles).await?;
    let now = stored.clock.now();
    let all = &stored.store.roles;
    all.set_user_roles(user.id, &roles, LOCAL, now).await?;
    let held = direct_roles(stored, &user).await?;
    outln!("{} has the roles: {}", user.username, held.join(", "));
    if !user.is_superuser && held.iter().any(|role| role == SUPERUSER) {
        outln!(
            "note: the role makes nobody a superuser; that is `portcullis user set-superuser {} yes`",
            user.username
        );
    }
    Ok(())
}
