//! `user delete`: for good.

use super::{Named, Stored};

pub async fn run(named: &Named, stored: &Stored) -> anyhow::Result<()> {
    let user = stored.user(&named.name).await?;
    stored.store.delete_user(user.id).await?;
    outln!("{} is deleted", user.username);
    Ok(())
}
