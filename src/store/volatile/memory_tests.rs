//! Memory alone is bounded: what gives way when it is full, and what does not.

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn entry(n: u32, expires: i64) -> NewEntry {
    NewEntry {
        key: key(n),
        value: Vec::new(),
        owner: Some(n.into()),
        expires_at: at(expires),
    }
}

fn key(n: u32) -> Key {
    Key::of(&[&n.to_be_bytes()])
}

#[tokio::test]
async fn a_flood_of_login_pages_pushes_out_its_like_only() {
    let memory = Memory::with_room(10);
    for n in 0..10 {
        assert!(
            memory
                .create(Kind::Session, entry(n, 1_000), at(0))
                .await
                .unwrap()
        );
    }
    for n in 0..1_000 {
        assert!(
            memory
                .create(Kind::Flow, entry(n, 1_000 + i64::from(n)), at(0))
                .await
                .unwrap()
        );
    }
    assert_eq!(memory.live(Kind::Session, at(0)).await.unwrap(), 10);
    assert_eq!(memory.live(Kind::Flow, at(0)).await.unwrap(), 10);
    assert!(
        memory
            .get(Kind::Flow, &key(999), at(0))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn values_are_bounded_together() {
    let mut memory = Memory::with_room(100);
    memory.room.bytes = 10_000;
    let large = |n| NewEntry {
        value: vec![0; 1_000],
        ..entry(n, 1_000 + i64::from(n))
    };
    for n in 0..50 {
        assert!(memory.create(Kind::Flow, large(n), at(0)).await.unwrap());
    }
    assert_eq!(memory.live(Kind::Flow, at(0)).await.unwrap(), 10);
    let last = memory
        .get(Kind::Flow, &key(49), at(0))
        .await
        .unwrap()
        .unwrap();
    let replace = async |version, bytes| {
        memory
            .replace(
                Kind::Flow,
                &key(49),
                version,
                vec![0; bytes],
                at(9_000),
                at(0),
            )
            .await
    };
    assert_eq!(
        replace(last.version, 1_001).await,
        Err(VolatileError::Full(Kind::Flow))
    );
    let smaller = replace(last.version, 500).await.unwrap().unwrap();
    assert!(replace(smaller, 1_000).await.unwrap().is_some());
    assert_eq!(
        memory.forget(0).await.unwrap() + memory.forget(49).await.unwrap(),
        1
    );
    assert!(memory.create(Kind::Flow, large(50), at(0)).await.unwrap());
    assert_eq!(memory.live(Kind::Flow, at(0)).await.unwrap(), 10);
}

#[tokio::test]
async fn nobody_is_thrown_out_to_let_another_in() {
    let memory = Memory::with_room(2);
    memory
        .create(Kind::Session, entry(0, 10), at(0))
        .await
        .unwrap();
    memory
        .create(Kind::Session, entry(1, 1_000), at(0))
        .await
        .unwrap();
    let full = Err(VolatileError::Full(Kind::Session));
    assert_eq!(
        memory.create(Kind::Session, entry(2, 1_000), at(0)).await,
        full
    );
    assert_eq!(memory.live(Kind::Session, at(0)).await.unwrap(), 2);
    assert_eq!(
        memory.create(Kind::Session, entry(2, 1_000), at(10)).await,
        Ok(true),
        "one has expired"
    );
    let own = NewEntry {
        owner: Some(2),
        ..entry(3, 1_000)
    };
    assert_eq!(
        memory.create_capped(Kind::Session, own, 1, at(10)).await,
        Ok(Some(vec![key(2)]))
    );
}

#[tokio::test]
async fn what_is_refused_for_want_of_room_has_changed_nothing() {
    let mut memory = Memory::with_room(10);
    memory.room.bytes = 1_000;
    let of = |n: u32, owner: i64, bytes: usize| NewEntry {
        value: vec![0; bytes],
        owner: Some(owner),
        ..entry(n, 1_000)
    };
    let make = async |new| memory.create_capped(Kind::Session, new, 1, at(0)).await;
    assert_eq!(make(of(0, 7, 300)).await, Ok(Some(Vec::new())));
    assert_eq!(make(of(1, 8, 600)).await, Ok(Some(Vec::new())));
    // What its owner has would give way, and that is not enough.
    let refused = make(of(2, 7, 500)).await;
    assert_eq!(refused, Err(VolatileError::Full(Kind::Session)));
    assert_eq!(memory.live(Kind::Session, at(0)).await, Ok(2));
    assert_eq!(make(of(2, 7, 400)).await, Ok(Some(vec![key(0)])));
}

#[tokio::test]
async fn a_flood_of_names_does_not_wash_away_who_is_being_stopped() {
    let memory = Memory::with_room(10);
    for _ in 0..5 {
        memory
            .count(Kind::Throttle, &key(0), MINUTE, at(0))
            .await
            .unwrap();
    }
    for n in 1..1_000 {
        memory
            .count(Kind::Throttle, &key(n), MINUTE, at(i64::from(n)))
            .await
            .unwrap();
    }
    assert_eq!(
        memory
            .count(Kind::Throttle, &key(0), MINUTE, at(2_000))
            .await
            .unwrap()
            .count,
        6
    );
    assert!(memory.state().counters.len() <= 10);
}
