//! What is done for upstreams in the background: their names are looked up again, and their servers asked whether
//! they are well.
//!
//! Every pool has a keeper of its own, which ends when a reload replaces the pool.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::pool::Pool;

/// The keepers of all pools in force.
#[derive(Debug, Default)]
pub struct Keepers(BTreeMap<Arc<str>, Keeper>);

#[derive(Debug)]
struct Keeper {
    pool: Arc<Pool>,
    _task: AbortOnDropHandle<()>,
}

impl Keepers {
    /// Keeps these pools from now on and no others. Within a runtime, whose tasks they become.
    pub fn follow(&mut self, pools: &BTreeMap<Arc<str>, Arc<Pool>>) {
        self.0.retain(|name, keeper| {
            pools
                .get(name)
                .is_some_and(|pool| Arc::ptr_eq(pool, &keeper.pool))
        });
        for (name, pool) in pools {
            self.0.entry(Arc::clone(name)).or_insert_with(|| Keeper {
                pool: Arc::clone(pool),
                _task: AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(pool)))),
            });
        }
    }
}

/// Looks every pool up once, all at once, and waits for no name server longer than the limit.
pub async fn refresh_all(pools: impl Iterator<Item = &Pool>, limit: Duration) {
    join_all(pools.map(|pool| pool.refresh(limit).boxed())).await;
}

/// How long whoever is about to serve waits for what servers say.
const FIRST_CHECKS: Duration = Duration::from_secs(10);

/// Asks all servers once whether they are well, where the file says how. Whoever takes longer is found out later.
pub async fn check_all(pools: impl Iterator<Item = &Pool>) {
    let checks = join_all(pools.map(|pool| pool.check().boxed()));
    let _ = timeout(FIRST_CHECKS, checks).await;
}

async fn keep(pool: Arc<Pool>) {
    tokio::join!(look_up(&pool), check(&pool));
}

/// Asks at once and then again and again.
async fn check(pool: &Pool) {
    while let Some(check) = &pool.settings.health {
        pool.check().await;
        tokio::time::sleep(check.interval).await;
    }
}

/// Looks the names up again and again. The first look was taken when the pool was made; for whom it has found nothing, a
/// name server may only have needed longer than there was time.
async fn look_up(pool: &Pool) {
    if pool.has_names() && pool.misses_any() {
        pool.refresh(Duration::MAX).await;
    }
    while pool.has_names() {
        tokio::time::sleep(pool.settings.resolve).await;
        pool.refresh(Duration::MAX).await;
    }
}
