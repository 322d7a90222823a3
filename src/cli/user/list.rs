//! `user list`: the users, in the order in which they were made.

use crate::cli::output::Format;
use crate::store::users::{LIST_MAX, User, UserQuery};

use super::{Stored, as_json, direct_roles, email_of, state_of};

/// Options of `user list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Part of the username or e-mail address.
    #[arg(long)]
    search: Option<String>,
    /// Leave out so many.
    #[arg(long, default_value_t = 0)]
    skip: u32,
    /// List at most so many [default: all].
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    format: Format,
}

pub async fn run(args: &Args, stored: &Stored) -> anyhow::Result<()> {
    let users = read(args, stored).await?;
    let demands = stored.config.identity.session.demands;
    let mut listed = Vec::with_capacity(users.len());
    for user in &users {
        listed.push((user, direct_roles(stored, user).await?));
    }
    let json = listed.iter().map(|(user, roles)| as_json(user, roles));
    args.format.print(
        &json.collect::<Vec<_>>(),
        ["ID", "NAME", "E-MAIL", "ROLES", "STATE"],
        listed.iter().map(|(user, roles)| {
            [
                user.id.to_string(),
                user.username.to_string(),
                email_of(user),
                roles.join(","),
                state_of(user, demands),
            ]
        }),
    )
}

/// The users, a page at a time.
async fn read(args: &Args, stored: &Stored) -> anyhow::Result<Vec<User>> {
    let wanted = args.limit.unwrap_or(u32::MAX);
    let mut users = Vec::new();
    loop {
        let have = u32::try_from(users.len())?;
        let limit = (wanted - have).min(LIST_MAX);
        let query = UserQuery {
            skip: args.skip.saturating_add(have),
            limit,
            search: args.search.clone(),
        };
        let page = stored.store.users.list(&query).await?;
        let last = page.len() < LIST_MAX as usize;
        users.extend(page);
        if last || users.len() >= wanted as usize {
            return Ok(users);
        }
    }
}
