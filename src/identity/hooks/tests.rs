//! What is kept to be told, and to whom.

use std::time::Duration;

use super::*;
use crate::base::identity::fixture::identity;
use crate::base::time::Timestamp;
use crate::crypto::key::GatewayKey;
use crate::outbound::Reach;
use crate::store::{DbUrl, Settings, Store, VolatileKind};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn hook(name: &str, topics: &[Topic]) -> Hook {
    Hook {
        name: name.into(),
        url: "https://crm.example.com/hook".parse().unwrap(),
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap(),
        topics: topics.iter().copied().collect(),
        reach: Reach::Public,
    }
}

async fn bench(hooks: Vec<Hook>) -> (Store, GatewayKey, Hooks) {
    let settings = Settings {
        url: DbUrl::SqliteMemory,
        volatile: VolatileKind::Memory,
    };
    let store = Store::open(&settings, NOW, None).await.unwrap();
    let key = GatewayKey::generate(&Random::seeded(1)).unwrap();
    let outbox = Outbox::new(store.outbox.clone(), key.clone(), Random::System);
    let hooks = Hooks::new(outbox, Random::System, hooks);
    (store, key, hooks)
}

fn person() -> Person {
    let alice = identity("alice", &["user"], &[]);
    Person {
        id: alice.id.0,
        subject: alice.subject.to_string(),
        username: alice.name.to_string(),
        email: None,
        is_active: true,
        is_verified: false,
        is_superuser: false,
        roles: Some(vec!["user".into()]),
    }
}

#[tokio::test]
async fn an_event_is_kept_once_for_each_hook_that_wants_it() {
    let both = vec![
        hook("a", &[Topic::UserRegistered, Topic::UserDeleted]),
        hook("b", &[Topic::UserRegistered]),
        hook("c", &[Topic::UserLogin]),
    ];
    let (store, key, hooks) = bench(both).await;
    hooks
        .tell(&Event::of(Topic::UserRegistered, person()), NOW)
        .await
        .unwrap();
    hooks
        .tell(&Event::new(Topic::InvitationCreated), NOW)
        .await
        .unwrap();
    let taken = store
        .outbox
        .take(Kind::Hook, 9, (Duration::ZERO, Duration::ZERO), NOW)
        .await
        .unwrap();
    let calls: Vec<Call> = taken
        .iter()
        .map(|one| {
            serde_json::from_slice(key.open("outbox/hook", &one.body).unwrap().expose()).unwrap()
        })
        .collect();
    let names: Vec<&str> = calls.iter().map(|call| call.hook.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        (&calls[0].id, &calls[0].body),
        (&calls[1].id, &calls[1].body)
    );
    let subject = person().subject;
    let expected = format!(
        r#"{{"id":"{}","event":"user.registered","at":"2023-11-14T22:13:20Z","data":{{"user":{{"id":1,"subject":"{subject}","username":"alice","email":null,"is_active":true,"is_verified":false,"is_superuser":false,"roles":["user"]}}}}}}"#,
        calls[0].id
    );
    assert_eq!(calls[0].body, expected);
}

#[tokio::test]
async fn a_hook_that_left_the_file_is_told_nothing_more() {
    let (_, _, hooks) = bench(vec![hook("a", &[Topic::UserLogin])]).await;
    assert!(
        hooks
            .tell_one("a", &Event::new(Topic::HookTest), NOW)
            .await
            .unwrap()
    );
    assert!(
        !hooks
            .tell_one("b", &Event::new(Topic::HookTest), NOW)
            .await
            .unwrap()
    );
    let outbound = Outbound::new(crate::outbound::Limits::DEFAULT);
    let messenger = hooks.messenger(outbound, Clock::manual(NOW));
    hooks.install(Vec::new());
    let call = r#"{"hook":"a","id":"1","body":"{}"}"#;
    // Another node may have it.
    let said = messenger.deliver(call.as_bytes()).await;
    assert!(matches!(said, Delivery::Later(_)), "{said:?}");
    let said = messenger.deliver(b"nonsense").await;
    assert!(matches!(said, Delivery::Never(_)), "{said:?}");
}
