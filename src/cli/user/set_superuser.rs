//! `user set-superuser`: who may do everything.

use crate::store::users::UserChange;

use super::Stored;

/// Options of `user set-superuser`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Username or e-mail address.
    name: String,
    /// Whether they are to be one.
    is: Answer,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Answer {
    Yes,
    No,
}

pub async fn run(args: &Args, stored: &Stored) -> anyhow::Result<()> {
    let user = stored.user(&args.name).await?;
    let wanted = matches!(args.is, Answer::Yes);
    let change = UserChange {
        is_superuser: Some(wanted),
        ..UserChange::default()
    };
    let (users, now) = (&stored.store.users, stored.clock.now());
    let user = users.update_if(user.id, None, &change, now).await?;
    let is = if wanted { "is" } else { "is not" };
    outln!("{} {is} a superuser", user.username);
    Ok(())
}
