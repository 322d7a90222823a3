//! One request: cancellable, so that it ends with the session it rests on.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::proxy::{HttpProxy, Session};
use pingora::server::ShutdownWatch;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connection::{ConnState, Owed};
use super::gateway::Gateway;
use super::running::Running;

/// How much of a body may be under way on one HTTP/2 stream, in bytes, and twice that on its connection, so that one
/// upload that nobody reads does not hold up the others. What is unread is kept: it bounds what a connection holds.
const STREAM_WINDOW: u32 = 512 * 1024;

/// What frames of less than 256 bytes may cost that were not passed on, by what each lacks of that: h2 ends a connection at
/// once that costs more. All of a stream's window in frames of 16 bytes costs as much, or all of the connection's in frames
/// of 31, so that no client that sends its lines or messages one by one is ended by how its windows were meant. It bounds what
/// a hostile one can have us hold in frames of any size: 35,000 of them, in about ten megabytes beside the megabyte of
/// their content.
const SMALL_FRAMES: usize = STREAM_WINDOW as usize / 16 * (256 - 16);

/// How much of an answer is kept for one HTTP/2 stream whose client has no room for it, in bytes.
const UNSENT: usize = 128 * 1024;

/// How many streams may be reset before they are looked at. The guard counts resets by the file; h2 alone would take
/// twenty in one packet for an attack, as when somebody leaves a page with all its pictures.
const PENDING_RESETS: usize = 4096;

tokio::task_local! {
    static CURRENT: Arc<Cut>;
}

/// What may cut the current HTTP/2 request short: the end of a session, or a client that has its answer and neither ends
/// its request nor goes on with it. Over HTTP/1 its guard sees to that.
#[derive(Debug, Default)]
pub struct Cut {
    session: OnceLock<CancellationToken>,
    answered: AtomicBool,
    /// Whether all of the request has come.
    whole: AtomicBool,
    /// Whether it was cut short because it did not.
    late: AtomicBool,
    /// How many pieces of the body have come.
    pieces: AtomicU64,
}

/// Pingora's proxy, with every request made cancellable.
pub struct Requests {
    proxy: Arc<HttpProxy<Gateway>>,
    options: HttpServerOptions,
    running: Arc<ArcSwap<Running>>,
}

/// A request under way.
type UnderWay<'a> = Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'a>>;

/// Ends the current request when `token` is cancelled. Outside a request there is nothing to end.
pub fn cut_when(session: &ServerSession, token: &CancellationToken) {
    match state_of(session) {
        Some(state) if !session.is_http2() => state.cut_when(token),
        // No request is known twice; the first session it was judged by stays the one it rests on.
        _ => drop(CURRENT.try_with(|cut| cut.session.set(token.clone()))),
    }
}

/// What of an answer to a client of HTTP/1.0 must have been written before the connection may end in order: where it ends
/// before, whatever came in between, it breaks.
pub fn owe(session: &Session, owed: Owed) {
    if session.req_header().version == http::Version::HTTP_10
        && let Some(state) = state_of(&session.downstream_session)
    {
        state.owe(owed);
    }
}

/// The answer to the current request is complete.
pub fn note_answered() {
    // Outside an HTTP/2 request nothing waits for it.
    let _ = CURRENT.try_with(|cut| cut.answered.store(true, Ordering::Relaxed));
}

/// All of the current request has come.
pub fn note_whole() {
    // Nor for this.
    let _ = CURRENT.try_with(|cut| cut.whole.store(true, Ordering::Relaxed));
}

/// Whether the current request was answered, and is cut short because the rest of it did not come.
#[must_use]
pub fn is_late() -> bool {
    let late = CURRENT.try_with(|cut| cut.late.load(Ordering::Relaxed));
    late.unwrap_or_default()
}

/// A piece of the current request's body has come.
pub fn note_piece() {
    // Nor for this.
    let _ = CURRENT.try_with(|cut| cut.pieces.fetch_add(1, Ordering::Relaxed));
}

impl Requests {
    /// Requests to this proxy.
    #[must_use]
    pub fn new(proxy: HttpProxy<Gateway>, running: Arc<ArcSwap<Running>>) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        // Pingora lets idle HTTP/2 connections live for ever.
        options.h2_idle_timeout = Some(Duration::from_mins(1));
        Self {
            proxy: Arc::new(proxy),
            options,
            running,
        }
    }
}

#[async_trait]
impl HttpServerApp for Requests {
    /// Not an `async fn`: the session would be moved once more, and room for it kept, in a future around
    /// Pingora's own.
    fn process_new_http<'a, 'b, 'c>(
        self: &'a Arc<Self>,
        session: ServerSession,
        shutdown: &'b ShutdownWatch,
    ) -> UnderWay<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let state = state_of(&session).cloned();
        match state {
            Some(state) if !session.is_http2() => {
                state.begin_request();
                let mut request = self.proxy.process_new_http(session, shutdown);
                Box::pin(poll_fn(move |cx| match request.as_mut().poll(cx) {
                    Poll::Pending => state.poll_cut(cx).map(|()| None),
                    reused @ Poll::Ready(_) => reused,
                }))
            }
            _ => {
                let cut = Arc::new(Cut::default());
                let request = self.proxy.process_new_http(session, shutdown);
                let stall = self.running.load().limits.stall;
                Box::pin(until_cut(
                    CURRENT.scope(Arc::clone(&cut), request),
                    cut,
                    stall,
                ))
            }
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        let limits = self.running.load().limits;
        let mut options = H2Options::default();
        options.max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX));
        options.max_concurrent_streams(limits.streams);
        // The 64 KiB that HTTP/2 begins with are half a megabyte a second from a tenth of a second away.
        options.initial_window_size(STREAM_WINDOW);
        options.initial_connection_window_size(2 * STREAM_WINDOW);
        options.data_frame_budget(SMALL_FRAMES);
        options.max_send_buffer_size(UNSENT);
        options.max_pending_accept_reset_streams(PENDING_RESETS);
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// An HTTP/2 request, which has neighbours on its connection: what cuts it short is known to it alone. Once it is
/// answered, its body may pause for as long as `stall`.
async fn until_cut<R>(
    request: impl Future<Output = Option<R>>,
    cut: Arc<Cut>,
    stall: Duration,
) -> Option<R> {
    let mut request = std::pin::pin!(request);
    let mut ended: Option<Wait> = None;
    let mut late: Option<(u64, Wait)> = None;
    poll_fn(|cx| {
        if let Poll::Ready(reused) = request.as_mut().poll(cx) {
            return Poll::Ready(reused);
        }
        if ended.is_none()
            && let Some(token) = cut.session.get()
        {
            ended = Some(Box::pin(token.clone().cancelled_owned()));
        }
        if let Some(Poll::Ready(())) = ended.as_mut().map(|ended| ended.as_mut().poll(cx)) {
            return Poll::Ready(None);
        }
        let waits = || cut.answered.load(Ordering::Relaxed) && !cut.whole.load(Ordering::Relaxed);
        while waits() {
            let pieces = cut.pieces.load(Ordering::Relaxed);
            let (before, pause) =
                late.get_or_insert_with(|| (pieces, Box::pin(tokio::time::sleep(stall))));
            if pause.as_mut().poll(cx).is_pending() {
                break;
            }
            if *before == pieces {
                cut.late.store(true, Ordering::Relaxed);
                return Poll::Ready(None);
            }
            late = None;
        }
        Poll::Pending
    })
    .await
}

/// Something that is waited for.
type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The state of the connection that a request came on.
#[must_use]
pub fn state_of(session: &ServerSession) -> Option<&Arc<ConnState>> {
    connection_of(session.digest()?.proxy_digest.as_ref()?)
}

fn connection_of(digest: &ProxyDigest) -> Option<&Arc<ConnState>> {
    digest.user_data.as_ref()?.downcast_ref::<Arc<ConnState>>()
}

/// Turns to true when the gateway goes down, or this connection is to end.
fn either(mut shutdown: ShutdownWatch, leaving: CancellationToken) -> ShutdownWatch {
    let (tell, told) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = shutdown.changed() => {}
            () = leaving.cancelled() => {}
            () = tell.closed() => return,
        }
        tell.send_replace(true);
        // Whoever listens to nobody would hear that at once, again and again.
        tell.closed().await;
    });
    told
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
        let digest = stream.get_proxy_digest();
        let leaving = digest.as_deref().and_then(connection_of);
        let shutdown = match leaving.and_then(|state| state.leaving()) {
            Some(leaving) => either(shutdown, leaving.clone()),
            None => shutdown,
        };
        let mut next = self.process_new(stream, &shutdown).await;
        while let Some(stream) = next {
            next = self.process_new(stream, &shutdown).await;
        }
    }

    async fn stop(&self) {
        self.http_cleanup().await;
    }
}
