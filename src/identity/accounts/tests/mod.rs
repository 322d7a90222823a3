//! How long things are good: links, invitations, and a login that stands for the password.

use std::time::Duration;

use super::*;
use crate::base::net::Origin;
use crate::identity::login::Refusal;
use crate::store::users::{NewUser, User, UserChange};

mod bench;
mod moves;

use bench::{Bench, NEW, START, address, bench, email, links, password};

const SECOND: Duration = Duration::from_secs(1);

/// Makes a link in one bench after another and uses it a second before its time is over, and when it is.
async fn lasts(
    life: Duration,
    make: impl AsyncFn(&Bench) -> String,
    used: impl AsyncFn(&Bench, &str) -> Result<(), AccountFault>,
) {
    for (wait, good) in [
        (life.checked_sub(SECOND).unwrap(), true),
        (life, false),
        (life + SECOND, false),
    ] {
        let bench = bench().await;
        let token = make(&bench).await;
        bench.clock.advance(wait);
        match used(&bench, &token).await {
            Ok(()) => assert!(good, "good after {wait:?}"),
            Err(AccountFault::Link) => assert!(!good, "no good after {wait:?}"),
            Err(fault) => panic!("{fault}"),
        }
        assert!(
            matches!(used(&bench, &token).await, Err(AccountFault::Link)),
            "used twice"
        );
    }
}

#[tokio::test]
async fn a_16_a_reset_link_is_good_for_half_an_hour() {
    let make = async |bench: &Bench| {
        let token = bench.next_token();
        bench
            .accounts
            .clone()
            .send_reset(email(), links())
            .await
            .unwrap();
        token
    };
    let used = async |bench: &Bench, token: &str| {
        bench
            .accounts
            .reset(token, &password(), address())
            .await
            .map(drop)
    };
    lasts(Duration::from_mins(30), make, used).await;
}

#[tokio::test]
async fn a_link_that_proves_an_address_is_good_for_a_day() {
    let make = async |bench: &Bench| {
        let token = bench.next_token();
        bench
            .accounts
            .send_proof(&bench.user, &links())
            .await
            .unwrap();
        token
    };
    let used = async |bench: &Bench, token: &str| bench.accounts.verify(token).await.map(drop);
    lasts(Duration::from_hours(24), make, used).await;
}

#[tokio::test]
async fn a_registration_waits_a_day_for_its_proof() {
    let make = async |bench: &Bench| {
        let token = bench.next_token();
        let (name, to) = ("new".parse().unwrap(), "new@example.test".parse().unwrap());
        let hash = Secret::new("$argon2id$none".to_owned());
        let accounts = bench.accounts.clone();
        let users = &accounts.parts().store.users;
        accounts
            .clone()
            .wait_for_proof(name, to, hash, links())
            .await
            .unwrap();
        let found = users.by_username(&"new".parse().unwrap()).await.unwrap();
        assert!(found.is_none(), "an account before its address was proved");
        token
    };
    let used = async |bench: &Bench, token: &str| bench.accounts.verify(token).await.map(drop);
    lasts(Duration::from_hours(24), make, used).await;
}

#[tokio::test]
async fn a_link_to_a_new_address_is_good_for_a_day() {
    let make = async |bench: &Bench| {
        let sid = bench.session().await.sid;
        let token = bench.next_token();
        let to = "new@example.test".parse().unwrap();
        bench
            .accounts
            .clone()
            .send_move((bench.user.clone(), Some(sid)), to, links())
            .await
            .unwrap();
        token
    };
    let used =
        async |bench: &Bench, token: &str| bench.accounts.confirm_email(token).await.map(drop);
    lasts(Duration::from_hours(24), make, used).await;
}

#[tokio::test]
async fn r_02_an_invitation_is_good_for_a_week() {
    let make = async |bench: &Bench| {
        let begun = bench.session().await;
        let live = bench
            .accounts
            .parts()
            .sessions
            .find(&begun.token)
            .await
            .unwrap()
            .unwrap();
        let actor = Actor {
            who: &live.identity,
            sid: live.sid,
            since: live.began_at,
            password_version: live.password_version,
            ip: address(),
        };
        let to = "new@example.test".parse().unwrap();
        let invited = bench
            .accounts
            .invite(&actor, &to, &BTreeSet::new(), &links())
            .await;
        let Invited { link, .. } = invited.unwrap();
        link.unwrap().split_once("?token=").unwrap().1.to_owned()
    };
    let used = async |bench: &Bench, token: &str| {
        let name = "new".parse().unwrap();
        bench
            .accounts
            .accept(token, name, &password(), address())
            .await
            .map(drop)
    };
    lasts(Duration::from_hours(7 * 24), make, used).await;
}

#[tokio::test]
async fn a_20_a_login_stands_for_the_password_for_five_minutes() {
    for (wait, good) in [
        (Duration::from_mins(5), true),
        (Duration::from_mins(5) + SECOND, false),
    ] {
        let changes = [
            MeChange {
                password: Some(password()),
                ..MeChange::default()
            },
            MeChange {
                email: Some("new@example.test".parse().unwrap()),
                ..MeChange::default()
            },
        ];
        for change in changes {
            let bench = bench().await;
            let begun = bench.session().await;
            bench.clock.advance(wait);
            // A name is no secret.
            let renamed = MeChange {
                username: Some("alicia".parse().unwrap()),
                ..MeChange::default()
            };
            bench.change(&begun, renamed).await.unwrap();
            match bench.change(&begun, change).await {
                Ok(_) => assert!(good, "{wait:?}"),
                Err(AccountFault::Reauthenticate) => assert!(!good, "{wait:?}"),
                Err(fault) => panic!("{fault}"),
            }
        }
    }
}

#[tokio::test]
async fn a_16_what_changes_between_looking_and_writing_is_noticed() {
    let bench = bench().await;
    let users = &bench.accounts.parts().store.users;
    let token = bench.next_token();
    bench
        .accounts
        .send_proof(&bench.user, &links())
        .await
        .unwrap();
    // Judged by an address that is another by the time of writing.
    let moved = UserChange {
        email: Some(Some("other@example.test".parse().unwrap())),
        ..UserChange::default()
    };
    let still = |user: &User| user.email == Some(email());
    let proved = UserChange {
        is_verified: Some(true),
        ..UserChange::default()
    };
    users.update(bench.user.id, &moved, START).await.unwrap();
    let stale = users
        .update_if(bench.user.id, Some(bench.user.generation), &proved, START)
        .await;
    assert!(matches!(
        stale,
        Err(crate::store::users::UserError::Stale(_))
    ));
    let done = bench
        .accounts
        .change_while(bench.user.id, still, &proved)
        .await;
    assert!(matches!(done, Err(AccountFault::Link)));
    assert!(matches!(
        bench.accounts.verify(&token).await,
        Err(AccountFault::Link)
    ));
    let user = users.by_id(bench.user.id).await.unwrap().unwrap();
    assert!(!user.is_verified);
}

#[tokio::test]
async fn a_20_the_password_of_another_account_confirms_nothing() {
    let bench = bench().await;
    let parts = bench.accounts.parts();
    let set = async |id, text: &str| {
        let hash = bench
            .accounts
            .hash(
                &Secret::new(text.to_owned()),
                (&"x1y2".parse().unwrap(), None),
                address(),
            )
            .await;
        parts
            .store
            .users
            .set_password(id, &hash.unwrap(), false, START)
            .await
            .unwrap()
    };
    let alice = set(bench.user.id, NEW).await;
    let other = another("mallory");
    let mallory = parts.store.users.insert(&other, START).await.unwrap();
    set(mallory.id, "mallory knows this one").await;
    // Whoever holds alice's session gives her name to an account of their own.
    let rename = async |id, name: &str| {
        let change = UserChange {
            username: Some(name.parse().unwrap()),
            may_reuse_name: true,
            ..UserChange::default()
        };
        parts.store.users.update(id, &change, START).await.unwrap()
    };
    let renamed = rename(alice.id, "alicia").await;
    rename(mallory.id, "alice").await;
    let confirm = async |user: &User, text: &str| {
        let word = Secret::new(text.to_owned());
        parts.logins.confirm(user, &word, address()).await.is_ok()
    };
    assert!(!confirm(&alice, "mallory knows this one").await);
    assert!(!confirm(&renamed, "mallory knows this one").await);
    assert!(confirm(&renamed, NEW).await);
}

#[tokio::test]
async fn a_10_an_attempt_that_is_not_looked_at_costs_nothing() {
    let bench = bench().await;
    let parts = bench.accounts.parts();
    let tried = async || {
        parts
            .logins
            .confirm(&bench.user, &password(), address())
            .await
    };
    // Everybody's places are taken, from as many addresses as it takes.
    let origins = (0..=u8::MAX).map(|at| Origin::of([10, 1, 0, at].into()));
    let places: Vec<_> = origins
        .map_while(|origin| parts.hashing.enter(origin).ok())
        .collect();
    for _ in 0..100 {
        assert!(matches!(tried().await, Err(Refusal::Busy(_))));
    }
    drop(places);
    assert!(matches!(tried().await, Err(Refusal::Invalid)), "counted");
    let mut looked_at = 1;
    while !matches!(tried().await, Err(Refusal::Throttled(_))) {
        looked_at += 1;
        assert!(looked_at < 100, "never throttled");
    }
}

#[tokio::test]
async fn a_10_what_is_refused_is_refused_before_it_is_hashed() {
    let bench = bench().await;
    let parts = bench.accounts.parts();
    let other = NewUser {
        email: Some("bob@example.test".parse().unwrap()),
        ..another("bob")
    };
    parts.store.users.insert(&other, START).await.unwrap();
    let begun = bench.session().await;
    let fill = |ips: &mut dyn Iterator<Item = IpAddr>| {
        let places = ips.map_while(|ip| parts.hashing.enter(Origin::of(ip)).ok());
        places.collect::<Vec<_>>()
    };
    let with = |email: Option<&str>, username: Option<&str>| MeChange {
        email: email.map(|text| text.parse().unwrap()),
        username: username.map(|text| text.parse().unwrap()),
        password: Some(password()),
        ..MeChange::default()
    };
    let places = fill(&mut (0..=u8::MAX).map(|at| [10, 1, 0, at].into()));
    let mut tries = 0;
    let refused = loop {
        tries += 1;
        match bench
            .change(&begun, with(Some("bob@example.test"), None))
            .await
        {
            Err(AccountFault::EmailTaken(_)) if tries < 1_000 => {}
            other => break other,
        }
    };
    assert!(matches!(refused, Err(AccountFault::TooMany)), "{refused:?}");
    let refused = bench.change(&begun, with(None, Some("bob"))).await;
    assert!(
        matches!(refused, Err(AccountFault::UsernameTaken(_))),
        "{refused:?}"
    );
    drop(places);
    // Whoever has filled their share of the queue waits, and nobody else.
    let places = fill(&mut std::iter::repeat(address()));
    let busy = bench.change(&begun, with(None, None)).await;
    assert!(matches!(busy, Err(AccountFault::Busy(_))), "{busy:?}");
    let elsewhere = "10.9.9.9".parse().unwrap();
    let (word, name) = (password(), "x1y2".parse().unwrap());
    let hashed = bench.accounts.hash(&word, (&name, None), elsewhere).await;
    assert!(hashed.is_ok());
    drop(places);
    bench.change(&begun, with(None, None)).await.unwrap();
}

/// Somebody beside alice, without an address and a password.
fn another(name: &str) -> NewUser {
    NewUser {
        subject: PublicId::generate(&Random::seeded(9)),
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
