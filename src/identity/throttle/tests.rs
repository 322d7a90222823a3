//! Budgets against a store in memory.

use super::*;
use crate::base::time::SKEW;
use crate::store::volatile::Memory;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn throttle() -> Throttle {
    Throttle::new(Arc::new(Memory::default()))
}

fn origin(last: u32) -> Origin {
    Origin::of(std::net::Ipv4Addr::from_bits(0x0a00_0000 + last).into())
}

async fn wrong(
    throttle: &Throttle,
    subject: &Subject,
    from: Origin,
    now: Timestamp,
) -> Option<&'static str> {
    match throttle.admit(subject, from, now).await.unwrap() {
        Ok(attempt) => {
            throttle.failed(&attempt, now).await.unwrap();
            None
        }
        Err(refused) => Some(refused.budget),
    }
}

#[tokio::test]
async fn a_01_one_origin_is_throttled_and_the_owner_is_not_locked_out() {
    let throttle = throttle();
    let bob = Subject::Known(UserId(7));
    for attempt in 0..1_000 {
        let refused = wrong(&throttle, &bob, origin(1), NOW).await;
        assert_eq!(
            refused.is_some(),
            attempt >= PAIR.attempts,
            "attempt {attempt}"
        );
    }
    assert!(throttle.admit(&bob, origin(2), NOW).await.unwrap().is_ok());
    assert!(
        throttle
            .admit(&bob, origin(1), NOW.plus(PAIR.window))
            .await
            .unwrap()
            .is_ok()
    );
}

#[tokio::test]
async fn a_02_spraying_and_botnets_have_budgets_of_their_own() {
    let throttle = throttle();
    let mut refused = 0;
    for account in 0..1_000 {
        refused += u64::from(
            wrong(&throttle, &Subject::Known(UserId(account)), origin(1), NOW)
                .await
                .is_some(),
        );
    }
    assert_eq!(refused, 1_000 - ORIGIN.attempts);
    let bob = Subject::Known(UserId(5_000));
    let mut refused = 0;
    for address in 10..1_010 {
        refused += u64::from(wrong(&throttle, &bob, origin(address), NOW).await.is_some());
    }
    assert_eq!(refused, 1_000 - ACCOUNT.attempts);
}

#[tokio::test]
async fn a_02_a_budget_that_a_clock_filled_which_was_ahead_is_no_longer_full() {
    let late = Duration::from_hours(24);
    for (ahead, refused) in [(SKEW, Some("origin")), (late, None)] {
        let (throttle, then) = (throttle(), NOW.plus(ahead));
        for account in 0..i64::try_from(ORIGIN.attempts).unwrap() {
            let account = Subject::Known(UserId(account));
            assert_eq!(wrong(&throttle, &account, origin(1), then).await, None);
        }
        let bob = Subject::Known(UserId(5_000));
        let at = async |now| wrong(&throttle, &bob, origin(1), now).await;
        assert_eq!(at(then).await, Some("origin"));
        assert_eq!(at(NOW).await, refused, "{ahead:?}");
        // What failed since was counted, in a window of the clock that is right.
        assert_eq!(at(NOW).await, Some("origin"));
        assert_eq!(at(NOW.plus(ORIGIN.window + SKEW)).await, None);
    }
}

#[tokio::test]
async fn a_01_a_botnet_does_not_lock_the_owner_out_of_home() {
    let throttle = throttle();
    let bob = Subject::Known(UserId(7));
    let at_home = throttle.admit(&bob, origin(1), NOW).await.unwrap().unwrap();
    // To confirm a password is not to come in.
    throttle.succeeded(&at_home).await.unwrap();
    assert!(!throttle.came_in(&at_home, NOW).await.unwrap());
    // The last login counts, not the first.
    let later = NOW.plus(FRIEND.window.saturating_sub(Duration::from_hours(1)));
    assert!(throttle.came_in(&at_home, later).await.unwrap());
    let now = NOW.plus(FRIEND.window + Duration::from_hours(24));
    for address in 10..1_010 {
        wrong(&throttle, &bob, origin(address), now).await;
    }
    assert!(throttle.admit(&bob, origin(1), now).await.unwrap().is_ok());
    assert!(throttle.admit(&bob, origin(2), now).await.unwrap().is_err());
}

#[tokio::test]
async fn a_01_everybody_together_keeps_nobody_from_home() {
    let throttle = throttle();
    let (bob, home) = (Subject::Known(UserId(7)), origin(1));
    let attempt = throttle.admit(&bob, home, NOW).await.unwrap().unwrap();
    throttle.came_in(&attempt, NOW).await.unwrap();
    // Each from a place of its own, for an account of its own.
    for other in 0..u32::try_from(EVERYBODY.attempts).unwrap() {
        let account = Subject::Known(UserId(i64::from(other) + 1_000));
        assert_eq!(
            wrong(&throttle, &account, origin(other + 10), NOW).await,
            None
        );
    }
    let strange = wrong(&throttle, &bob, origin(2), NOW).await;
    assert_eq!(strange, Some("everybody"));
    assert!(throttle.admit(&bob, home, NOW).await.unwrap().is_ok());
}

#[tokio::test]
async fn an_unlocked_account_begins_anew_everywhere_and_alone() {
    let throttle = throttle();
    let (bob, eve) = (Subject::Known(UserId(7)), Subject::Known(UserId(8)));
    let exhaust = async |subject: &Subject, now| {
        for _ in 0..PAIR.attempts {
            assert_eq!(wrong(&throttle, subject, origin(1), now).await, None);
        }
        assert_eq!(
            wrong(&throttle, subject, origin(1), now).await,
            Some("pair")
        );
    };
    exhaust(&bob, NOW).await;
    exhaust(&eve, NOW).await;
    throttle.unlock(&bob, NOW).await.unwrap();
    exhaust(&bob, NOW).await;
    assert_eq!(wrong(&throttle, &eve, origin(1), NOW).await, Some("pair"));
    // What was counted shortly before does not come back with the first unlocking of another day.
    let late = NOW.plus(Duration::from_mins(24 * 60 - 1));
    exhaust(&bob, late).await;
    let next = NOW.plus(UNLOCKED.window);
    throttle.unlock(&bob, next).await.unwrap();
    exhaust(&bob, next).await;
}

#[tokio::test]
async fn a_04_parallel_attempts_do_not_slip_past_the_limit() {
    let throttle = throttle();
    let bob = Subject::Known(UserId(7));
    let attempts = (0..50).map(|_| throttle.admit(&bob, origin(1), NOW));
    let admitted = futures_util::future::join_all(attempts)
        .await
        .into_iter()
        .filter(|a| a.as_ref().unwrap().is_ok());
    assert_eq!(admitted.count() as u64, PAIR.attempts);
}

#[tokio::test]
async fn a_05_a_06_success_forgives_and_unknown_names_count_alike() {
    let throttle = throttle();
    let nobody = Subject::Unknown("nobody".into());
    for _ in 0..PAIR.attempts {
        assert!(wrong(&throttle, &nobody, origin(1), NOW).await.is_none());
    }
    assert_eq!(
        wrong(&throttle, &nobody, origin(1), NOW).await,
        Some("pair")
    );
    let bob = Subject::Known(UserId(7));
    for _ in 0..5 {
        let attempt = throttle.admit(&bob, origin(2), NOW).await.unwrap().unwrap();
        throttle.succeeded(&attempt).await.unwrap();
    }
    for _ in 0..PAIR.attempts {
        assert!(wrong(&throttle, &bob, origin(2), NOW).await.is_none());
    }
}

#[test]
fn metrics_know_every_budget() {
    let budgets = [PAIR, ORIGIN, ACCOUNT, EVERYBODY].map(|budget| budget.name);
    let known = crate::telemetry::known::BUDGETS.map(str::as_bytes);
    assert_eq!(budgets, known);
}
