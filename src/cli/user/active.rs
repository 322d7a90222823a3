//! `user disable` and `user enable`.

use super::{Named, Stored, ended};

pub async fn run(named: &Named, active: bool, stored: &Stored) -> anyhow::Result<()> {
    let user = stored.user(&named.name).await?;
    let now = stored.clock.now();
    stored.store.users.set_active(user.id, active, now).await?;
    if active {
        outln!("{} is enabled", user.username);
        return Ok(());
    }
    stored.store.volatile.forget(user.id.0).await?;
    outln!("{} is disabled{}", user.username, ended(stored));
    Ok(())
}
