//! Sessions against a real store with a clock that is moved by hand.

use super::*;
use crate::store::statement::Statement;
use crate::store::users::NewUser;
use crate::store::{DbUrl, Settings as StoreSettings, VolatileKind};

mod certificates;
mod looks;

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
        may_reuse_name: true,
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

#[tokio::test]
async fn w_01_a_session_whose_time_is_over_ends_what_is_open() {
    let bench = bench(None).await;
    let (used, idle) = (bench.begin().await, bench.begin().await);
    let find = async |token| bench.sessions.find(token).await.unwrap().unwrap();
    let (busy, still) = (find(&used).await, find(&idle).await);
    bench.clock.advance(6 * HOUR);
    bench.sessions.note_use(&busy);
    let moved = || busy.end.expires_at() > START.plus(12 * HOUR);
    while !moved() {
        tokio::task::yield_now().await;
    }
    bench.sessions.end_expired().await.unwrap();
    assert!(!busy.ended().is_cancelled() && !still.ended().is_cancelled());
    bench.clock.advance(6 * HOUR);
    bench.sessions.end_expired().await.unwrap();
    assert!(!busy.ended().is_cancelled(), "it was in use");
    assert!(still.ended().is_cancelled(), "idle for twelve hours");
    bench.clock.advance(6 * HOUR);
    bench.sessions.end_expired().await.unwrap();
    assert!(busy.ended().is_cancelled());
}

#[tokio::test]
async fn w_01_another_process_may_have_given_a_session_more_time() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    let live = bench.sessions.find(&token).await.unwrap().unwrap();
    bench.clock.advance(6 * HOUR);
    let elsewhere = bench.elsewhere();
    let theirs = elsewhere.find(&token).await.unwrap().unwrap();
    let now = bench.clock.now();
    elsewhere
        .write_seen(token.hash(), &theirs, now)
        .await
        .unwrap();
    bench.clock.advance(7 * HOUR);
    bench.sessions.end_expired().await.unwrap();
    assert!(!live.ended().is_cancelled());
    bench.clock.advance(6 * HOUR);
    bench.sessions.end_expired().await.unwrap();
    assert!(live.ended().is_cancelled());
}

#[tokio::test]
async fn w_01_lost_rights_end_what_is_open_and_not_the_session() {
    let bench = bench(None).await;
    let stored = &bench.store.roles;
    for role in ["user", "admin", "auditor"] {
        let role = role.parse().unwrap();
        stored.add(&role, "", &[], START).await.unwrap();
    }
    let set = async |roles: &[&str]| {
        let roles = roles.iter().map(|role| role.parse().unwrap()).collect();
        let set = stored.set_user_roles(bench.user.id, &roles, "local", START);
        set.await.unwrap();
        bench.sessions.reconsider(bench.user.id).await.unwrap();
    };
    set(&["user", "admin"]).await;
    let token = bench.begin().await;
    let find = async || bench.sessions.find(&token).await.unwrap().unwrap();
    let opened = find().await;
    set(&["user", "admin", "auditor"]).await;
    assert!(!opened.ended().is_cancelled(), "nothing was lost");
    set(&["user"]).await;
    assert!(opened.ended().is_cancelled());
    let next = find().await;
    assert!(!next.ended().is_cancelled() && next.identity.roles.len() == 1);
    set(&["user"]).await;
    assert!(!next.ended().is_cancelled());
    // Whoever asks while the change is noticed is not turned away.
    let (set, found) = tokio::join!(set(&[]), find());
    let () = set;
    assert!(!found.ended().is_cancelled() || found.identity.roles.len() == 1);
}

#[tokio::test]
async fn w_01_what_somebody_is_given_may_shut_them_out() {
    let bench = bench(None).await;
    let stored = &bench.store.roles;
    let suspended = "suspended".parse().unwrap();
    stored.add(&suspended, "", &[], START).await.unwrap();
    let set = async |roles: &[&str]| {
        let roles = roles.iter().map(|role| role.parse().unwrap()).collect();
        let set = stored.set_user_roles(bench.user.id, &roles, "local", START);
        set.await.unwrap();
        bench.sessions.reconsider(bench.user.id).await.unwrap();
    };
    let token = bench.begin().await;
    let find = async || bench.sessions.find(&token).await.unwrap().unwrap();
    bench.sessions.count_gains(true);
    let opened = find().await;
    set(&["suspended"]).await;
    assert!(opened.ended().is_cancelled());
    // A rule may go by the name.
    bench.sessions.count_gains(false);
    let opened = find().await;
    let change = crate::store::users::UserChange {
        username: Some("alicia".parse().unwrap()),
        ..Default::default()
    };
    let users = &bench.store.users;
    users.update(bench.user.id, &change, START).await.unwrap();
    bench.sessions.reconsider(bench.user.id).await.unwrap();
    assert!(opened.ended().is_cancelled());
}

#[tokio::test]
async fn w_01_a_session_ends_also_where_nobody_can_read_its_row() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    let opened = bench.sessions.find(&token).await.unwrap().unwrap();
    let away = Statement::write("test.away", "ALTER TABLE volatile_entries RENAME TO away");
    bench.store.db.execute(away.with([])).await.unwrap();
    bench.clock.advance(12 * HOUR);
    assert!(bench.sessions.end_expired().await.is_err());
    // Another node may have given it more time.
    assert!(!opened.ended().is_cancelled());
    bench.clock.advance(CACHE_TTL + Duration::from_millis(1));
    assert!(bench.sessions.end_expired().await.is_err());
    assert!(opened.ended().is_cancelled());
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_last() {
    let bench = bench(None).await;
    let token = bench.begin().await;
    let live = bench.sessions.find(&token).await.unwrap().unwrap();
    let at = |millis: i64| Timestamp::from_millis(START.millis() + millis);
    assert!(live.is_fresh(at(0)) && live.is_fresh(at(29_999)));
    assert!(!live.is_fresh(at(30_000)) && !live.is_fresh(at(-1)));
}

#[tokio::test]
async fn c_04_a_shorter_idle_time_bites_at_a_reload() {
    let bench = bench(None).await;
    let (idle, used) = (bench.begin().await, bench.begin().await);
    bench.clock.advance(2 * HOUR);
    let live = bench.sessions.find(&used).await.unwrap().unwrap();
    let written = bench
        .sessions
        .write_seen(used.hash(), &live, bench.clock.now());
    written.await.unwrap();
    bench.sessions.configure(SessionSettings {
        idle: HOUR,
        ..**bench.sessions.0.settings.load()
    });
    let elsewhere = bench.elsewhere();
    assert!(elsewhere.find(&idle).await.unwrap().is_none());
    assert!(elsewhere.find(&used).await.unwrap().is_some());
    assert!(!bench.alive(&idle).await && bench.alive(&used).await);
}

#[tokio::test]
async fn g_11_what_a_clock_that_was_ahead_has_made_is_over() {
    let bench = bench(None).await;
    for (ahead, alive) in [(Duration::from_mins(5), true), (24 * HOUR, false)] {
        bench.clock.advance(ahead);
        let token = bench.begin().await;
        assert!(bench.alive(&token).await);
        bench.clock.set_back(ahead);
        assert_eq!(bench.alive(&token).await, alive, "{ahead:?}");
        let elsewhere = bench.elsewhere().find(&token).await.unwrap();
        assert_eq!(elsewhere.is_some(), alive, "{ahead:?}");
    }
}
