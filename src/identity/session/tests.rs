//! Sessions against a real store with a clock that is moved by hand.

use super::*;
use crate::store::users::NewUser;
use crate::store::{DbUrl, Settings as StoreSettings, VolatileKind};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const HOUR: Duration = Duration::from_hours(1);

struct Bench {
    sessions: Sessions,
    store: Store,
    clock: Clock,
    user: User,
}

async fn bench(per_user: Option<u32>) -> Bench {
    let settings = StoreSettings {
        url: DbUrl::parse("sqlite::memory:").unwrap(),
        volatile: VolatileKind::Store,
    };
    let store = Store::open(&settings, START, None).await.unwrap();
    let clock = Clock::manual(START);
    let random = Random::seeded(1);
    let new = NewUser {
        subject: PublicId::generate(&random),
        username: "alice".parse().unwrap(),
        email: None,
        password_hash: None,
        is_active: true,
        is_superuser: false,
        is_verified: false,
        must_change_password: false,
        roles: std::collections::BTreeSet::new(),
    };
    let user = store.users.insert(&new, START).await.unwrap();
    let settings = SessionSettings {
        idle: 12 * HOUR,
        max: 48 * HOUR,
        per_user,
        demands: Demands::default(),
    };
    let sessions = Sessions::new(store.clone(), clock.clone(), random, settings);
    Bench {
        sessions,
        store,
        clock,
        user,
    }
}

impl Bench {
    fn opening(&self) -> Opening<'_> {
        Opening {
            user: &self.user,
            ip: "10.0.0.1".parse().unwrap(),
            user_agent: "test",
        }
    }

    async fn begin(&self) -> Token {
        self.sessions
            .begin(&self.opening(), None)
            .await
            .unwrap()
            .token
    }

    async fn alive(&self, token: &Token) -> bool {
        self.sessions.find(token).await.unwrap().is_some()
    }

    /// As another process would: past this one's cache.
    fn elsewhere(&self) -> Sessions {
        Sessions::new(
            self.store.clone(),
            self.clock.clone(),
            Random::seeded(2),
            **self.sessions.0.settings.load(),
        )
    }
}

#[tokio::test]
async fn c_01_c_02_a_login_ends_the_session_that_came_with_it() {
    let bench = bench(None).await;
    let planted = bench.begin().await;
    let begun = bench
        .sessions
        .begin(&bench.opening(), Some(&planted))
        .await
        .unwrap();
    assert_ne!(begun.token.hash(), planted.hash());
    assert!(bench.alive(&begun.token).await);
    assert!(!bench.alive(&planted).await);
}

#[tokio::test]
async fn c_06_an_ended_session_is_dead_here_and_elsewhere() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    let live = bench.sessions.find(&token).await.unwrap().unwrap();
    assert!(bench.sessions.end(&token).await.unwrap());
    assert!(live.ended().is_cancelled());
    assert!(!bench.alive(&token).await);
    assert!(bench.elsewhere().find(&token).await.unwrap().is_none());

    let token = bench.begin().await;
    let live = bench.sessions.find(&token).await.unwrap().unwrap();
    assert!(bench.elsewhere().end_sid(live.sid).await.unwrap());
    bench.sessions.revalidate().await.unwrap();
    assert!(
        live.ended().is_cancelled(),
        "a live request ends with its session"
    );
    assert!(!bench.alive(&token).await);
}

#[tokio::test]
async fn c_07_idle_and_absolute_limits() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    bench.clock.advance(11 * HOUR);
    let live = bench.sessions.find(&token).await.unwrap().unwrap();
    bench
        .sessions
        .write_seen(token.hash(), &live, bench.clock.now())
        .await
        .unwrap();
    bench.clock.advance(11 * HOUR);
    assert!(bench.alive(&token).await, "use extends the idle limit");
    bench.clock.advance(13 * HOUR);
    assert!(!bench.alive(&token).await, "idle too long");

    let token = bench.begin().await;
    for _ in 0..5 {
        bench.clock.advance(9 * HOUR);
        let live = bench.sessions.find(&token).await.unwrap().unwrap();
        bench
            .sessions
            .write_seen(token.hash(), &live, bench.clock.now())
            .await
            .unwrap();
    }
    bench.clock.advance(4 * HOUR);
    assert!(
        !bench.alive(&token).await,
        "the absolute limit is not extended by use"
    );
}

#[tokio::test]
async fn c_08_never_more_sessions_than_allowed() {
    let bench = bench(Some(3)).await;
    let opening = bench.opening();
    let logins = (0..20).map(|_| bench.sessions.begin(&opening, None));
    let begun = futures_util::future::join_all(logins).await;
    assert_eq!(bench.sessions.count().await.unwrap(), 3);
    let mut alive = 0;
    for session in begun {
        alive += usize::from(bench.alive(&session.unwrap().token).await);
    }
    assert_eq!(alive, 3);
}

#[tokio::test]
async fn c_15_a_disabled_account_has_no_sessions() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    assert!(bench.alive(&token).await);
    bench
        .store
        .users
        .set_active(bench.user.id, false, START)
        .await
        .unwrap();
    bench.sessions.revalidate().await.unwrap();
    assert!(!bench.alive(&token).await);
}

#[tokio::test]
async fn r_08_noting_when_it_was_seen_does_not_raise_the_dead() {
    let bench = bench(None).await;
    for _ in 0..50 {
        let token = bench.begin().await;
        let live = bench.sessions.find(&token).await.unwrap().unwrap();
        let now = bench.clock.now();
        let (seen, ended) = tokio::join!(
            bench.sessions.write_seen(token.hash(), &live, now),
            bench.sessions.end(&token)
        );
        seen.unwrap();
        ended.unwrap();
        bench
            .sessions
            .write_seen(token.hash(), &live, now)
            .await
            .unwrap();
        assert!(!bench.alive(&token).await);
        assert!(bench.elsewhere().find(&token).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn w_07_a_stream_ends_with_its_session_whatever_the_cache_forgot() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    let stream = bench.sessions.find(&token).await.unwrap().unwrap();
    bench.clock.advance(CACHE_TTL);
    let later = bench.sessions.find(&token).await.unwrap().unwrap();
    assert!(!Arc::ptr_eq(&stream, &later), "read again");
    bench.sessions.revalidate().await.unwrap();
    assert!(!stream.ended().is_cancelled());
    bench.sessions.end(&token).await.unwrap();
    assert!(stream.ended().is_cancelled() && later.ended().is_cancelled());

    let token = bench.begin().await;
    let stream = bench.sessions.find(&token).await.unwrap().unwrap();
    bench.sessions.revalidate().await.unwrap();
    bench.elsewhere().end(&token).await.unwrap();
    bench.sessions.revalidate().await.unwrap();
    assert!(
        stream.ended().is_cancelled(),
        "ended elsewhere after another change elsewhere"
    );
}
