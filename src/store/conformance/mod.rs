//! What every database and every volatile store must do, run against each of them.
//!
//! A further implementation is one function that opens it and one line in the list that names it.

mod acme;
mod counters;
mod db;
mod grants;
mod import;
mod lives;
mod mirror;
mod names;
mod outbox;
mod owners;
mod pages;
mod postgres;
mod roles;
mod schemas;
mod several;
mod sqlite;
mod superusers;
mod users;
mod volatile;

/// PostgreSQL for tests; the tests from outside have it, too.
#[path = "../../../tests/it/harness/postgres.rs"]
pub(super) mod server;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::task::JoinSet;

use self::server::Database;

use super::users::{NewUser, User};
use super::volatile::{Memory, Volatile};
use super::{DbUrl, Settings, Store, VolatileKind};
use crate::base::id::PublicId;
use crate::base::name::RoleName;
use crate::base::random::Random;
use crate::base::time::Timestamp;

/// Runs each test on every database.
macro_rules! on_every_db {
    ($($test:ident)*) => {
        on_every_db!(@ sqlite_file $($test)*);
        on_every_db!(@ sqlite_memory $($test)*);
        on_every_db!(@ postgres $($test)*);
    };
    (@ $db:ident $($test:ident)*) => {
        mod $db {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    let opened = crate::store::conformance::$db().await;
                    super::$test(&opened).await;
                }
            )*
        }
    };
}

/// Runs each test on every volatile store.
macro_rules! on_every_volatile {
    ($($test:ident)*) => {
        on_every_volatile!(@ sqlite_file $($test)*);
        on_every_volatile!(@ sqlite_memory $($test)*);
        on_every_volatile!(@ process_memory $($test)*);
        on_every_volatile!(@ postgres $($test)*);
    };
    (@ $kind:ident $($test:ident)*) => {
        mod $kind {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    let opened = crate::store::conformance::$kind().await;
                    super::$test(opened.volatile.clone()).await;
                }
            )*
        }
    };
}

/// Runs each test on every database that several processes can have open.
macro_rules! on_every_shared_db {
    ($($test:ident)*) => {
        super::on_every_db!(@ sqlite_file $($test)*);
        super::on_every_db!(@ postgres $($test)*);
    };
}
use {on_every_db, on_every_shared_db, on_every_volatile};

/// A store that is gone after the test.
struct Opened {
    store: Store,
    url: DbUrl,
    _folder: Option<TempDir>,
    database: Option<Database>,
}

impl Deref for Opened {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

async fn sqlite_file() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let url = DbUrl::SqliteFile(folder.path().join("data/portcullis.db"));
    Opened {
        store: open(&url).await,
        url,
        _folder: Some(folder),
        database: None,
    }
}

async fn sqlite_memory() -> Opened {
    let url = DbUrl::SqliteMemory;
    Opened {
        store: open(&url).await,
        url,
        _folder: None,
        database: None,
    }
}

async fn postgres() -> Opened {
    let database = Database::new();
    let url = DbUrl::parse(&database.socket_url()).unwrap();
    Opened {
        store: open(&url).await,
        url,
        _folder: None,
        database: Some(database),
    }
}

async fn process_memory() -> Opened {
    let mut opened = sqlite_memory().await;
    opened.store.volatile = Arc::new(Memory::default()) as Arc<dyn Volatile>;
    opened
}

async fn open(url: &DbUrl) -> Store {
    let settings = Settings {
        url: url.clone(),
        volatile: VolatileKind::Store,
    };
    Store::open(&settings, at(0), None).await.unwrap()
}

/// A moment, in milliseconds after the tests' beginning of time.
const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn new_user(name: &str) -> NewUser {
    NewUser {
        subject: PublicId::generate(&Random::System),
        username: name.parse().unwrap(),
        may_reuse_name: true,
        email: None,
        password_hash: None,
        is_active: true,
        is_superuser: false,
        is_verified: false,
        must_change_password: false,
        roles: BTreeSet::new(),
    }
}

fn with_email(name: &str, email: &str) -> NewUser {
    NewUser {
        email: Some(email.parse().unwrap()),
        ..new_user(name)
    }
}

fn superuser(name: &str) -> NewUser {
    NewUser {
        is_superuser: true,
        ..new_user(name)
    }
}

async fn made(store: &Store, new: &NewUser) -> User {
    store.users.insert(new, at(0)).await.unwrap()
}

fn names(list: &[&str]) -> BTreeSet<RoleName> {
    list.iter().map(|name| name.parse().unwrap()).collect()
}

/// Runs `count` futures at once and gives what each said.
async fn together<T, F>(count: usize, make: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    (0..count)
        .map(make)
        .collect::<JoinSet<_>>()
        .join_all()
        .await
}
