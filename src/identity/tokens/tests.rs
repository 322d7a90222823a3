//! Tokens against a real store with a clock that is moved by hand.

use super::*;
use crate::crypto::access::Algorithm;
use crate::identity::settings::SessionSettings;
use crate::store::users::{NewUser, User};
use crate::store::{DbUrl, Settings as StoreSettings, Store, VolatileKind};

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct Bench {
    tokens: Tokens,
    sessions: Sessions,
    store: Store,
    clock: Clock,
    user: User,
}

async fn bench() -> Bench {
    let settings = StoreSettings {
        url: DbUrl::parse("sqlite::memory:").unwrap(),
        volatile: VolatileKind::Store,
    };
    let store = Store::open(&settings, START, None).await.unwrap();
    let (clock, random) = (Clock::manual(START), Random::seeded(1));
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
    let sessions = Sessions::new(
        store.clone(),
        clock.clone(),
        random.clone(),
        SessionSettings::DEFAULT,
    );
    let made = Algorithm::Es256.generate(&random).unwrap();
    let tokens = Tokens::new(
        (sessions.clone(), Arc::clone(&store.volatile)),
        (
            AccessKey::new(Algorithm::Es256, &made).unwrap(),
            &GatewayKey::generate(&random).unwrap(),
        ),
        (clock.clone(), random),
        "https://app.test".into(),
        TokenSettings::DEFAULT,
    );
    Bench {
        tokens,
        sessions,
        store,
        clock,
        user,
    }
}

impl Bench {
    async fn issue(&self) -> Pair {
        let opening = Opening {
            user: &self.user,
            ip: "10.0.0.1".parse().unwrap(),
            user_agent: "test",
        };
        self.tokens.issue(&opening).await.unwrap()
    }

    async fn opens(&self, pair: &Pair) -> bool {
        let found = self.tokens.find(pair.access.expose()).await.unwrap();
        found.is_some_and(|live| live.identity.id == self.user.id)
    }

    async fn refresh(&self, pair: &Pair) -> Result<Pair, RefreshRefusal> {
        self.tokens.refresh(pair.refresh.expose()).await
    }

    fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_token_opens_until_its_time_is_over_and_is_renewed() {
    let bench = bench().await;
    let first = bench.issue().await;
    assert!(bench.opens(&first).await);
    bench.wait(1799);
    assert!(bench.opens(&first).await);
    bench.wait(1);
    assert!(!bench.opens(&first).await, "30 minutes are over");
    let second = bench.refresh(&first).await.unwrap();
    assert!(bench.opens(&second).await && !bench.opens(&first).await);
    assert_ne!(first.refresh.secret.hash(), second.refresh.secret.hash());
}

#[tokio::test]
async fn r_04_parallel_refreshes_are_given_one_successor() {
    let bench = bench().await;
    let pair = bench.issue().await;
    let all = futures_util::future::join_all((0..20).map(|_| bench.refresh(&pair))).await;
    let all: Vec<Pair> = all.into_iter().map(Result::unwrap).collect();
    assert!(
        all.iter()
            .all(|next| next.refresh.secret.hash() == all[0].refresh.secret.hash())
    );
    bench.wait(9);
    let again = bench.refresh(&pair).await.unwrap();
    assert_eq!(again.refresh.secret.hash(), all[0].refresh.secret.hash());
    assert!(bench.opens(&again).await);
}

#[tokio::test]
async fn op_14_a_used_token_that_comes_back_late_ends_the_family() {
    let bench = bench().await;
    let first = bench.issue().await;
    let second = bench.refresh(&first).await.unwrap();
    let asked = NewEntry {
        key: Key::of(&[b"asked"]),
        value: Vec::new(),
        owner: Some(bench.user.id.0),
        expires_at: bench.clock.now().plus(Duration::from_hours(24)),
    };
    let volatile = &bench.store.volatile;
    let made = volatile.create(Kind::NewEmail, asked, bench.clock.now());
    assert!(made.await.unwrap());
    bench.wait(11);
    assert!(matches!(
        bench.refresh(&first).await,
        Err(RefreshRefusal::Reused)
    ));
    // The thief may have asked for another address as well.
    let asked = volatile.live(Kind::NewEmail, bench.clock.now()).await;
    assert_eq!(asked.unwrap(), 0);
    assert!(!bench.opens(&second).await);
    assert!(matches!(
        bench.refresh(&second).await,
        Err(RefreshRefusal::Invalid)
    ));
}

#[tokio::test]
async fn r_04_who_refreshes_often_pushes_out_nobody() {
    let bench = bench().await;
    let (idle, first) = (bench.issue().await, bench.issue().await);
    let mut busy = bench.refresh(&first).await.unwrap();
    for _ in 0..u64::from(MOST_SPENT) + 10 {
        bench.wait(1);
        busy = bench.refresh(&busy).await.unwrap();
    }
    let volatile = &bench.store.volatile;
    let kept = |kind| volatile.live(kind, bench.clock.now());
    assert_eq!(kept(Kind::Spent).await.unwrap(), u64::from(MOST_SPENT));
    assert_eq!(kept(Kind::Refresh).await.unwrap(), 2);
    let idle = bench.refresh(&idle).await.unwrap();
    // So long ago that nothing is stored of it: it still ends its own family, and no other.
    let refusal = bench.refresh(&first).await.unwrap_err();
    assert!(matches!(refusal, RefreshRefusal::Reused), "{refusal:?}");
    assert!(!bench.opens(&busy).await);
    assert!(bench.opens(&idle).await);
}

#[tokio::test]
async fn op_14_a_used_token_ends_the_family_also_when_its_own_time_is_over() {
    let bench = bench().await;
    let first = bench.issue().await;
    bench.wait(5 * 86_400);
    let second = bench.refresh(&first).await.unwrap();
    bench.wait(3 * 86_400);
    bench
        .store
        .volatile
        .sweep(bench.clock.now(), 500)
        .await
        .unwrap();
    let refusal = bench.refresh(&first).await.unwrap_err();
    assert!(matches!(refusal, RefreshRefusal::Reused), "{refusal:?}");
    assert!(bench.refresh(&second).await.is_err());
}

#[tokio::test]
async fn op_14_nobody_ends_a_family_by_naming_it() {
    let bench = bench().await;
    let (pair, other) = (bench.issue().await, bench.issue().await);
    let (own, foreign) = (pair.refresh.expose(), other.refresh.expose());
    let (mine, theirs): (Vec<_>, Vec<_>) = (own.split('.').collect(), foreign.split('.').collect());
    let forged = [
        [theirs[0], mine[1], theirs[2]].join("."),
        [theirs[0], mine[1], mine[2]].join("."),
        [mine[0], theirs[1], mine[2]].join("."),
        [mine[0], mine[1], ""].join("."),
        [mine[0], mine[1]].join("."),
        mine[0].to_owned(),
        format!("{own}."),
        format!("{}.{own}", mine[0]),
    ];
    for forged in forged {
        let refusal = bench.tokens.refresh(&forged).await.unwrap_err();
        assert!(
            matches!(refusal, RefreshRefusal::Invalid),
            "{forged}: {refusal:?}"
        );
    }
    assert!(bench.refresh(&pair).await.is_ok() && bench.refresh(&other).await.is_ok());
}

#[tokio::test]
async fn op_15_a_family_ends_when_it_is_not_used_and_in_any_case() {
    let idle = bench().await;
    let pair = idle.issue().await;
    idle.wait(7 * 86_400);
    assert!(idle.refresh(&pair).await.is_err(), "not used for a week");

    let busy = bench().await;
    let mut pair = busy.issue().await;
    for _ in 0..2 {
        busy.wait(6 * 86_400);
        pair = busy.refresh(&pair).await.unwrap();
    }
    busy.wait(2 * 86_400);
    assert!(busy.refresh(&pair).await.is_err(), "two weeks are the end");
}

#[tokio::test]
async fn a_21_what_ends_a_session_ends_its_tokens() {
    type Ends = fn(&Bench) -> futures_util::future::BoxFuture<'_, ()>;
    let ends: [(&str, Ends); 4] = [
        ("logged out", |bench| {
            Box::pin(async {
                let ended = bench.sessions.end_all_of(bench.user.id, None).await;
                assert_eq!(ended.unwrap(), 1);
            })
        }),
        ("disabled", |bench| {
            Box::pin(async {
                let done = bench.store.users.set_active(bench.user.id, false, START);
                done.await.unwrap();
            })
        }),
        ("another password", |bench| {
            Box::pin(async {
                let hash = Secret::new("x".into());
                let done = bench
                    .store
                    .users
                    .set_password(bench.user.id, &hash, false, START);
                done.await.unwrap();
            })
        }),
        ("deleted", |bench| {
            Box::pin(async {
                bench.store.delete_user(bench.user.id).await.unwrap();
            })
        }),
    ];
    for (what, end) in ends {
        let bench = bench().await;
        let pair = bench.issue().await;
        assert!(bench.opens(&pair).await);
        end(&bench).await;
        bench.sessions.revalidate().await.unwrap();
        assert!(!bench.opens(&pair).await, "{what}");
        assert!(bench.refresh(&pair).await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn j_09_j_20_nothing_else_is_a_token() {
    let bench = bench().await;
    let pair = bench.issue().await;
    let live = bench.tokens.find(pair.access.expose()).await;
    let sid = live.unwrap().unwrap().sid.to_string();
    for other in [pair.refresh.expose(), &sid, "", "x.y.z"] {
        assert!(bench.tokens.find(other).await.unwrap().is_none(), "{other}");
    }
    for other in [pair.access.expose(), &sid, "", "invalid_token"] {
        assert!(bench.tokens.refresh(other).await.is_err(), "{other}");
    }
}

#[tokio::test]
async fn r_04_the_grace_does_not_end_with_the_token() {
    let bench = bench().await;
    let first = bench.issue().await;
    bench.wait(7 * 86_400 - 1);
    let second = bench.refresh(&first).await.unwrap();
    // The other half of a race comes when the token's own time is over.
    bench.wait(5);
    let again = bench.refresh(&first).await.unwrap();
    assert_eq!(again.refresh.expose(), second.refresh.expose());
    assert!(bench.opens(&second).await);
    bench.wait(6);
    let refusal = bench.refresh(&first).await.unwrap_err();
    assert!(matches!(refusal, RefreshRefusal::Reused), "{refusal:?}");
}

#[tokio::test]
async fn a_shorter_life_of_refresh_tokens_bites_at_a_reload() {
    let bench = bench().await;
    let (old, other) = (bench.issue().await, bench.issue().await);
    bench.wait(3_600);
    let young = bench.refresh(&other).await.unwrap();
    let settings = TokenSettings {
        refresh: Duration::from_mins(30),
        ..TokenSettings::DEFAULT
    };
    let issuer = bench.tokens.0.terms.load().issuer.clone();
    bench.tokens.configure(issuer, settings);
    assert!(matches!(
        bench.refresh(&old).await,
        Err(RefreshRefusal::Invalid)
    ));
    bench.refresh(&young).await.unwrap();
}

#[tokio::test]
async fn g_11_what_a_clock_that_was_ahead_has_signed_is_over() {
    let bench = bench().await;
    let (pair, ahead) = (bench.issue().await, Duration::from_hours(2));
    bench.clock.advance(ahead);
    let late = bench.refresh(&pair).await.unwrap();
    assert!(bench.opens(&late).await);
    bench.clock.set_back(ahead);
    assert!(!bench.opens(&late).await, "whether or not it is known");
    // Not one that is used a second time within ten seconds.
    let again = bench.refresh(&pair).await;
    assert!(again.is_err(), "{again:?}");
}
