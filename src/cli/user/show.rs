//! `user show`: one user, and everything they hold.

use crate::cli::output::Format;
use crate::identity::account::Demands;
use crate::store::roles::Closure;
use crate::store::users::User;

use super::{Stored, as_json, direct_roles, email_of, state_of};

/// Options of `user show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Username or e-mail address.
    name: String,
    #[command(flatten)]
    format: Format,
}

pub async fn run(args: &Args, stored: &Stored) -> anyhow::Result<()> {
    let user = stored.user(&args.name).await?;
    let roles = direct_roles(stored, &user).await?;
    if args.format.json {
        outln!("{}", serde_json::to_string_pretty(&as_json(&user, &roles))?);
        return Ok(());
    }
    let held = stored.store.roles.closure_of(user.id).await?;
    let demands = stored.config.identity.session.demands;
    for (name, value) in lines((&user, demands), &roles, &held) {
        outln!("{name:<10}{value}");
    }
    Ok(())
}

fn lines(
    (user, demands): (&User, Demands),
    roles: &[String],
    held: &Closure,
) -> [(&'static str, String); 10] {
    let inherited = held.roles.iter().map(ToString::to_string);
    let permissions = held.permissions.iter().map(ToString::to_string);
    [
        ("id", user.id.to_string()),
        ("subject", user.subject.to_string()),
        ("name", user.username.to_string()),
        ("e-mail", email_of(user)),
        ("state", state_of(user, demands)),
        ("roles", join(roles)),
        ("inherited", join(&inherited.collect::<Vec<_>>())),
        ("may", join(&permissions.collect::<Vec<_>>())),
        ("created", user.created_at.to_string()),
        ("updated", user.updated_at.to_string()),
    ]
}

fn join(items: &[String]) -> String {
    if items.is_empty() {
        "-".to_owned()
    } else {
        items.join(", ")
    }
}
