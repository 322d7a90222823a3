//! The outbox and its worker, on a store in memory, with a clock that the tests move.

use std::sync::Mutex;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::worker::{Courier, Delivery, Worker};
use super::*;
use crate::base::time::Clock;
use crate::store::{DbUrl, Settings, Store, VolatileKind};
use crate::telemetry::metrics::Metrics;

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Says what it is told to say, last first, and keeps what it was given.
#[derive(Clone, Default)]
struct Fake {
    says: Arc<Mutex<Vec<Delivery>>>,
    carried: Arc<Mutex<Vec<String>>>,
}

impl Courier for Fake {
    const KIND: Kind = Kind::Mail;

    async fn deliver(&self, body: &[u8]) -> Delivery {
        let text = String::from_utf8(body.to_vec()).unwrap();
        self.carried.lock().unwrap().push(text);
        self.says.lock().unwrap().pop().unwrap_or(Delivery::Done)
    }
}

struct Bench {
    store: Store,
    worker: Worker<Fake>,
    clock: Clock,
}

impl Bench {
    async fn new(says: &[Delivery]) -> Self {
        let settings = Settings {
            url: DbUrl::SqliteMemory,
            volatile: VolatileKind::Memory,
        };
        let store = Store::open(&settings, START, None).await.unwrap();
        let random = Random::seeded(9);
        let key = GatewayKey::generate(&random).unwrap();
        let clock = Clock::manual(START);
        let courier = Fake::default();
        courier
            .says
            .lock()
            .unwrap()
            .extend(says.iter().rev().cloned());
        let worker = Worker {
            outbox: Outbox::new(store.outbox.clone(), key, random),
            courier,
            clock: clock.clone(),
            metrics: Metrics::new().unwrap(),
        };
        Self {
            store,
            worker,
            clock,
        }
    }

    async fn put(&self, key: &str) {
        let parcel = Parcel {
            key: key.into(),
            body: Secret::new(key.as_bytes().to_owned()),
        };
        let now = self.clock.now();
        self.worker
            .outbox
            .put(Kind::Mail, vec![parcel], now)
            .await
            .unwrap();
    }

    /// Sends what is due, to the end of it.
    async fn turn(&self) {
        let now = self.clock.now();
        for taken in self.worker.outbox.take(Kind::Mail, 100, now).await.unwrap() {
            self.worker.clone().attend(taken).await;
        }
    }

    fn carried(&self) -> usize {
        self.worker.courier.carried.lock().unwrap().len()
    }

    fn counted(&self, result: &str) -> u64 {
        self.worker
            .metrics
            .outbox_sent
            .with_label_values(&["mail", result])
            .get()
    }

    async fn waiting(&self) -> usize {
        self.store.outbox.waiting().await.unwrap().len()
    }
}

fn later() -> Delivery {
    Delivery::Later("come back later".into())
}

#[tokio::test]
async fn what_failed_is_sent_again_after_a_pause_that_grows() {
    let bench = Bench::new(&[later(), later()]).await;
    bench.put("a").await;
    // Milliseconds that pass before each look, and how often it was carried by then: the first pause is 2.5 to
    // 5 seconds, the second twice that.
    for (passes, carried) in [
        (0, 1),
        (2_400, 1),
        (2_600, 2),
        (4_900, 2),
        (5_100, 3),
        (86_400_000, 3),
    ] {
        bench.clock.advance(Duration::from_millis(passes));
        bench.turn().await;
        assert_eq!(bench.carried(), carried, "after {passes} ms more");
    }
    assert_eq!((bench.counted("retried"), bench.counted("sent")), (2, 1));
    assert_eq!(bench.waiting().await, 0);
}

#[tokio::test]
async fn what_is_refused_for_good_or_too_old_is_given_up() {
    let bench = Bench::new(&[Delivery::Never("no such user".into())]).await;
    bench.put("a").await;
    bench.turn().await;
    assert_eq!(
        (
            bench.carried(),
            bench.counted("given_up"),
            bench.waiting().await
        ),
        (1, 1, 0)
    );
    bench.put("b").await;
    bench
        .clock
        .advance(backoff::GIVE_UP_AFTER + Duration::from_secs(1));
    bench.turn().await;
    assert_eq!(
        (
            bench.carried(),
            bench.counted("given_up"),
            bench.waiting().await
        ),
        (1, 2, 0)
    );
}

#[tokio::test]
async fn c_10_what_is_stored_opens_with_the_gateway_key_and_as_its_kind_only() {
    let bench = Bench::new(&[]).await;
    bench.put("https://localhost/reset?token=secret").await;
    let stored = bench
        .store
        .outbox
        .take(Kind::Mail, 1, (Duration::ZERO, Duration::ZERO), START)
        .await
        .unwrap();
    let sealed = &stored[0].body;
    assert!(!sealed.windows(6).any(|part| part == b"secret"));
    let outbox = &bench.worker.outbox;
    assert!(outbox.open(Kind::Mail, sealed).is_ok());
    assert!(outbox.open(Kind::Hook, sealed).is_err());
    let other = GatewayKey::generate(&Random::System).unwrap();
    let stranger = Outbox::new(bench.store.outbox.clone(), other, Random::System);
    assert!(stranger.open(Kind::Mail, sealed).is_err());
}

#[tokio::test]
async fn a_worker_is_woken_and_ends_when_it_is_told() {
    let bench = Bench::new(&[]).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(bench.worker.clone().run(stop.clone()));
    for n in 0..20 {
        bench.put(&n.to_string()).await;
    }
    while bench.counted("sent") < 20 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    bench.put("late").await;
    assert_eq!((bench.carried(), bench.waiting().await), (20, 1));
}
