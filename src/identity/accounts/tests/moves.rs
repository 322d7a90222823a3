//! Links to a new address, and the sessions that they were asked for in.

use super::bench::{bench, links};
use crate::store::users::UserChange;

/// The session ends while the letter is being written.
#[tokio::test]
async fn a_16_a_link_that_is_made_after_its_session_is_none() {
    for ends in [false, true] {
        let bench = bench().await;
        let (begun, token) = (bench.session().await, bench.next_token());
        let sessions = &bench.accounts.parts().sessions;
        if ends {
            assert!(sessions.end(&begun.token).await.unwrap());
        }
        let asks = (bench.user.clone(), Some(begun.sid));
        let to = "new@example.test".parse().unwrap();
        let sent = bench.accounts.clone().send_move(asks, to, links());
        sent.await.unwrap();
        let behind = bench.accounts.behind_move(&token).await;
        assert_eq!(behind.is_err(), ends, "{behind:?}");
    }
}

/// Another password ends every session, the one that asks for both included.
#[tokio::test]
async fn a_16_a_link_that_is_asked_for_with_another_password_holds_as_long_as_that() {
    for ends in [false, true] {
        let bench = bench().await;
        let (_, token) = (bench.session().await, bench.next_token());
        if ends {
            let change = UserChange {
                password_hash: Some("another".to_owned().into()),
                ..UserChange::default()
            };
            let users = &bench.accounts.parts().store.users;
            let now = bench.accounts.now();
            users.update(bench.user.id, &change, now).await.unwrap();
        }
        let to = "new@example.test".parse().unwrap();
        let asks = (bench.user.clone(), None);
        let sent = bench.accounts.clone().send_move(asks, to, links());
        sent.await.unwrap();
        let behind = bench.accounts.behind_move(&token).await;
        assert_eq!(behind.is_err(), ends, "{behind:?}");
    }
}

#[tokio::test]
async fn g_15_who_ends_everything_ends_links_that_outlived_their_sessions() {
    let bench = bench().await;
    let (begun, token) = (bench.session().await, bench.next_token());
    let asks = (bench.user.clone(), Some(begun.sid));
    let to = "new@example.test".parse().unwrap();
    let sent = bench.accounts.clone().send_move(asks, to, links());
    sent.await.unwrap();
    let sessions = &bench.accounts.parts().sessions;
    assert!(sessions.end(&begun.token).await.unwrap());
    assert!(bench.accounts.behind_move(&token).await.is_ok());
    assert_eq!(sessions.end_everybody().await.unwrap(), 0);
    assert!(bench.accounts.behind_move(&token).await.is_err());
}
