//! The admin port: `/metrics`, `/healthz`, `/readyz`, and nothing else. Never on a public listener.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{Method, Response, Version, header};
use pingora::apps::http_app::{HttpServer, ServeHttp};
use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::identity::hashing::Hashing;
use crate::identity::session::Sessions;
use crate::store::outbox::{Kind, Waiting};
use crate::store::{DbError, Store};
use crate::telemetry::metrics::Metrics;

use super::drain::Drain;
use super::request::state_of;
use super::running::Running;

/// What the admin port knows.
pub struct Admin {
    /// What it shows.
    pub metrics: Metrics,
    /// Whose servers are shown.
    pub running: Arc<ArcSwap<Running>>,
    /// What must answer for the gateway to be ready.
    pub store: Store,
    /// Counted when metrics are asked for.
    pub sessions: Sessions,
    /// Counted when metrics are asked for.
    pub hashing: Hashing,
    /// A gateway that is going down is not ready.
    pub drain: Drain,
    /// Whether the store can be written to.
    pub written: Written,
}

/// When the store was written to last to see whether it can be.
#[derive(Debug, Default)]
pub struct Written {
    last: std::sync::Mutex<Option<Instant>>,
    /// Held while one of those who ask writes for all of them.
    writing: Mutex<()>,
}

impl Written {
    fn is_within(&self, span: Duration) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|at| at.elapsed() < span)
    }

    fn note(&self, last: Option<Instant>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }
}

/// How long the store is waited for: whoever asks here waits for a few seconds at most, and is better told what is known.
const PATIENCE: Duration = Duration::from_millis(1500);

/// How long the store is waited for to be written to, within that.
const WRITES_WITHIN: Duration = Duration::from_secs(1);

/// For how long others may hold up what is written before the gateway is not ready for it.
const BUSY: Duration = Duration::from_secs(15);

/// For how many seconds a connection is kept that nobody uses, as on the other ports.
const KEPT: u64 = 75;

/// For how long a store that could be written to is believed to be so. Probes come often, and what is durable has its
/// price.
const WRITABLE: Duration = Duration::from_secs(5);

impl Admin {
    async fn metrics(&self) -> Response<Vec<u8>> {
        self.metrics
            .password_queue
            .set(i64::try_from(self.hashing.waiting()).unwrap_or(i64::MAX));
        self.count_stored().await;
        let running = self.running.load_full();
        let servers: Vec<_> = running
            .pools
            .values()
            .flat_map(|pool| {
                pool.shown()
                    .into_iter()
                    .map(|one| (Arc::clone(&pool.name), one))
            })
            .collect();
        let servers = servers
            .iter()
            .map(|(name, (address, healthy))| (&**name, &**address, *healthy));
        match self.metrics.render(servers) {
            Ok(text) => answer(200, "text/plain; version=0.0.4; charset=utf-8", text),
            Err(fault) => {
                tracing::error!(%fault, "could not render metrics");
                answer(500, "text/plain", b"metrics failed\n".to_vec())
            }
        }
    }

    /// Counts what is in the store. What does not answer in time keeps the number it had.
    async fn count_stored(&self) {
        let (sessions, waiting) = tokio::join!(
            timeout(PATIENCE, self.sessions.count()),
            timeout(PATIENCE, self.store.outbox.waiting()),
        );
        match sessions {
            Ok(Ok(count)) => self
                .metrics
                .sessions_active
                .set(i64::try_from(count).unwrap_or(i64::MAX)),
            Ok(Err(fault)) => tracing::warn!(%fault, "could not count sessions"),
            Err(late) => tracing::warn!(fault = %late, "could not count sessions"),
        }
        match waiting {
            Ok(Ok(waiting)) => self.count_waiting(&waiting),
            Ok(Err(error)) => tracing::warn!(%error, "could not count the outbox"),
            Err(late) => tracing::warn!(error = %late, "could not count the outbox"),
        }
    }

    fn count_waiting(&self, waiting: &[Waiting]) {
        for kind in Kind::ALL {
            for (tried, state) in [(false, "new"), (true, "tried")] {
                let found = waiting
                    .iter()
                    .find(|one| one.kind == kind && one.tried == tried);
                let count = found.map_or(0, |one| i64::try_from(one.count).unwrap_or(i64::MAX));
                self.metrics
                    .outbox_messages
                    .with_label_values(&[kind.as_str(), state])
                    .set(count);
            }
        }
    }

    async fn ready(&self) -> Response<Vec<u8>> {
        let text = match timeout(PATIENCE, self.look()).await {
            _ if self.drain.is_draining() => "draining\n",
            Ok(Ok(())) => return answer(200, "text/plain", b"ready\n".to_vec()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: the store does not answer");
                "the store does not answer\n"
            }
            Err(late) => {
                tracing::warn!(error = %late, "not ready: the store does not answer");
                "the store does not answer\n"
            }
        };
        answer(503, "text/plain", text.into())
    }

    /// Whether the store can be read, and could be written to a moment ago. Of several who ask at once, one writes.
    async fn look(&self) -> Result<(), DbError> {
        self.store.db.ping_reading().await?;
        let written = &self.written;
        let write = async {
            let _one = written.writing.lock().await;
            if !written.is_within(WRITABLE) {
                let done = self.store.db.ping_writing().await;
                written.note(done.is_ok().then(Instant::now));
                done?;
            }
            Ok(())
        };
        match timeout(WRITES_WITHIN, write).await {
            Ok(done) => done,
            // Others may have it for a while, as when many users are imported.
            Err(_) if written.is_within(BUSY) => Ok(()),
            Err(_) => Err(DbError::unavailable("it could not be written to in time")),
        }
    }
}

/// Answers the requests of the admin port.
pub struct AdminRequests(Arc<HttpServer<Admin>>);

impl AdminRequests {
    /// Of one connection after another, and one after another on each.
    #[must_use]
    pub fn new(admin: Admin) -> Self {
        Self(Arc::new(HttpServer::new_app(admin)))
    }
}

#[async_trait]
impl HttpServerApp for AdminRequests {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        // The guard of the connection lets no second head through until somebody waits for one.
        if let Some(state) = state_of(&session) {
            state.begin_request();
        }
        self.0.process_new_http(session, shutdown).await
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        // Pingora keeps all of them, for a minute: as long as scrapers let pass between two.
        let stays = session.req_header().version != Version::HTTP_10 && !self.drain.is_draining();
        session.set_keepalive(stays.then_some(KEPT));
        if let Some((fault, _)) = state_of(session).and_then(|state| state.refusal()) {
            // What has been read in its place is not theirs.
            return answer(fault.status(), "text/plain", format!("{fault}\n").into());
        }
        let request = session.req_header();
        if !matches!(request.method, Method::GET | Method::HEAD) {
            session.set_keepalive(None);
            return answer(405, "text/plain", b"GET only\n".to_vec());
        }
        let head = request.method == Method::HEAD;
        let mut response = match request.uri.path() {
            "/metrics" => self.metrics().await,
            "/healthz" => answer(200, "text/plain", b"ok\n".to_vec()),
            "/readyz" => self.ready().await,
            _ => answer(404, "text/plain", b"not found\n".to_vec()),
        };
        if head {
            response.body_mut().clear();
        }
        response
    }
}

fn answer(status: u16, kind: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    if let Ok(status) = http::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, length.into());
    response
}
