//! `user set-password`: another password, and the end of every session that the old one opened.

use super::{PasswordArgs, Stored, ended};

use crate::store::volatile::Kind;

/// What an earlier password opened.
const ENDED: [Kind; 5] = [
    Kind::Session,
    Kind::Refresh,
    Kind::Spent,
    Kind::Reset,
    Kind::NewEmail,
];

/// Options of `user set-password`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Username or e-mail address.
    name: String,
    #[command(flatten)]
    password: PasswordArgs,
}

pub async fn run(args: &Args, stored: &Stored) -> anyhow::Result<()> {
    let user = stored.user(&args.name).await?;
    let from_stdin = args.password.password_stdin;
    let hash = stored.new_password(from_stdin, &user.username, user.email.as_ref())?;
    let (must_change, now) = (args.password.must_change, stored.clock.now());
    let users = &stored.store.users;
    users.set_password(user.id, &hash, must_change, now).await?;
    // Not the link that proves their address: whose that is, the password says nothing of.
    for kind in ENDED {
        let volatile = &stored.store.volatile;
        volatile.delete_owned(kind, user.id.0, None).await?;
    }
    outln!("the password of {} is set{}", user.username, ended(stored));
    Ok(())
}
