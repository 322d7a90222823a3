//! `user add`: one user, by hand.

use crate::base::id::PublicId;
use crate::base::name::{Email, Username};
use crate::store::users::{NewUser, UserError};

use super::{PasswordArgs, Stored, parse_roles};

/// Options of `user add`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The username.
    name: String,
    /// The e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// Roles, separated by commas; these alone, so name `user` too where it is wanted.
    #[arg(long, value_delimiter = ',', default_value = "user")]
    roles: Vec<String>,
    /// Satisfies every role and permission.
    #[arg(long)]
    superuser: bool,
    #[command(flatten)]
    password: PasswordArgs,
}

pub async fn run(args: &Args, stored: &Stored) -> anyhow::Result<()> {
    let name = &args.name;
    let username: Username = name
        .parse()
        .map_err(|fault| anyhow::anyhow!("'{name}': {fault}"))?;
    let email = args.email.as_deref().map(parse_email).transpose()?;
    let roles = parse_roles(stored, &args.roles).await?;
    let from_stdin = args.password.password_stdin;
    let hash = stored.new_password(from_stdin, &username, email.as_ref())?;
    let new = NewUser {
        subject: PublicId::generate(&stored.random),
        username,
        may_reuse_name: true,
        email,
        password_hash: Some(hash),
        is_active: true,
        is_superuser: args.superuser,
        // Whoever can run this command vouches for the address.
        is_verified: true,
        must_change_password: args.password.must_change,
        roles,
    };
    let users = &stored.store.users;
    if users.by_login(new.username.as_str()).await?.is_some() {
        return Err(UserError::UsernameTaken(new.username).into());
    }
    if let Some(email) = &new.email
        && users.by_email(email).await?.is_some()
    {
        return Err(UserError::EmailTaken(email.clone()).into());
    }
    stored.take_over_for(&new.roles).await?;
    let user = users.insert(&new, stored.clock.now()).await?;
    outln!("added user {} (id {})", user.username, user.id);
    if let Some(before) = users.whose_was(&user.username).await? {
        outln!("the name was user {before}'s: what services keep under it is theirs now");
    }
    Ok(())
}

fn parse_email(text: &str) -> anyhow::Result<Email> {
    text.parse()
        .map_err(|fault| anyhow::anyhow!("'{text}' {fault}"))
}
