//! One request: cancellable, so that it ends with the session it rests on.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio_util::sync::CancellationToken;

use super::connection::ConnState;
use super::gateway::Gateway;
use super::settings::Limits;

tokio::task_local! {
    static CURRENT: Arc<Cut>;
}

/// What may cut the current request short: nothing, or the end of a session.
#[derive(Debug, Default)]
pub struct Cut(OnceLock<CancellationToken>);

/// Pingora's proxy, with every request made cancellable.
pub struct Requests {
    proxy: Arc<HttpProxy<Gateway>>,
    options: HttpServerOptions,
    limits: Limits,
}

/// Ends the current request when `token` is cancelled. Outside a request there is nothing to end.
pub fn cut_when(token: &CancellationToken) {
    // No request is known twice; the first session it was judged by stays the one it rests on.
    let _ = CURRENT.try_with(|cut| cut.0.set(token.clone()));
}

impl Requests {
    /// Requests to this proxy.
    #[must_use]
    pub fn new(proxy: HttpProxy<Gateway>, limits: Limits) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        // Pingora lets idle HTTP/2 connections live for ever.
        options.h2_idle_timeout = Some(std::time::Duration::from_mins(1));
        Self {
            proxy: Arc::new(proxy),
            options,
            limits,
        }
    }
}

#[async_trait]
impl HttpServerApp for Requests {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let state = state_of(&session);
        if let Some(state) = &state {
            state.begin_request();
        }
        let cut = Arc::new(Cut::default());
        let request = CURRENT.scope(
            Arc::clone(&cut),
            self.proxy.process_new_http(session, shutdown),
        );
        let mut request = std::pin::pin!(request);
        let mut ended: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
        std::future::poll_fn(|cx| {
            use std::task::Poll;
            if let Poll::Ready(reused) = request.as_mut().poll(cx) {
                return Poll::Ready(reused);
            }
            if ended.is_none()
                && let Some(token) = cut.0.get()
            {
                ended = Some(Box::pin(token.clone().cancelled_owned()));
            }
            match ended.as_mut().map(|ended| ended.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(None),
                _ => Poll::Pending,
            }
        })
        .await
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = H2Options::default();
        options.max_header_list_size(u32::try_from(self.limits.head).unwrap_or(u32::MAX));
        options.max_concurrent_streams(128);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// The state of the connection that a request came on.
#[must_use]
pub fn state_of(session: &ServerSession) -> Option<Arc<ConnState>> {
    let digest = session.digest()?.proxy_digest.as_ref()?;
    digest
        .user_data
        .as_ref()?
        .downcast_ref::<Arc<ConnState>>()
        .cloned()
}

/// What a listener hands its connections to.
#[async_trait]
pub trait Connections: Send + Sync + 'static {
    /// Serves a connection to its end.
    async fn serve(self: Arc<Self>, stream: Stream, shutdown: ShutdownWatch);

    /// Called once when the listener stops.
    async fn stop(&self);
}

#[async_trait]
impl<T: HttpServerApp + Send + Sync + 'static> Connections for T {
    async fn serve(self: Arc<Self>, stream: Stream, shutdown: ShutdownWatch) {
        let mut next = self.process_new(stream, &shutdown).await;
        while let Some(stream) = next {
            next = self.process_new(stream, &shutdown).await;
        }
    }

    async fn stop(&self) {
        self.http_cleanup().await;
    }
}
