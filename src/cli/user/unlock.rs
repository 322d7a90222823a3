//! `user unlock`: forgets the failed logins that keep somebody waiting. Whoever was disabled stays so.

use crate::identity::throttle::{Subject, Throttle};

use super::{Named, Stored};

pub async fn run(named: &Named, stored: &Stored) -> anyhow::Result<()> {
    stored.must_see_volatile("failed logins")?;
    let user = stored.user(&named.name).await?;
    let throttle = Throttle::new(stored.store.volatile.clone());
    let now = stored.clock.now();
    throttle.unlock(&Subject::Known(user.id), now).await?;
    let still = if user.is_active {
        ""
    } else {
        ", but is disabled: `portcullis user enable` lets them in again"
    };
    outln!("{} need not wait to try again{still}", user.username);
    Ok(())
}
