//! What the filters may know of the connection that a request came on, and what may cut that request short.
//!
//! Apart from the guard, because requests see this and never the bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use tokio_util::sync::CancellationToken;

use crate::base::net::Host;
use crate::proxy::origins::Crowd;
use crate::proxy::tls::Shown;
use crate::proxy::wire::glimpse::Glimpse;
use crate::proxy::wire::head::{HeadFault, LastHost};

use super::cookies::LastCookies;
use super::cut::Cut;
use super::outbox::Backlogs;
use super::owed::{Dues, Owed};

/// What the filters may know of the connection that a request came on.
#[derive(Debug)]
pub struct ConnState {
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// Its address as a header carries it; asked for by each request.
    pub peer_header: HeaderValue,
    /// Whether the socket speaks TLS.
    pub tls: bool,
    /// What the TLS handshake was about.
    pub shown: Shown,
    /// What its origin has under way on all its connections; none for a proxy that is trusted.
    pub crowd: Option<Arc<Crowd>>,
    /// What the cookies of its last request said.
    pub cookies: LastCookies,
    /// What tells its connections to services from those of others, once a service may take them for it.
    pub own: OnceLock<u64>,
    /// Set once: nothing is read after it.
    refusal: OnceLock<(HeadFault, Glimpse)>,
    /// The first host that the handshake was found to be for: a certificate is parsed once for most connections.
    fits: OnceLock<Host>,
    /// The host of the head that was let through last, until it is asked for.
    host: Mutex<Option<Host>>,
    /// The host that was asked for last over HTTP/2.
    last_host: Mutex<LastHost>,
    /// Set when a request begins, so that the guard lets its head through.
    next: AtomicBool,
    cut: Mutex<Option<Cut>>,
    /// Whether the request that is under way rests on that session.
    rests: AtomicBool,
    /// For how many milliseconds the current request may be silent, where it is the guard's to time; else 0.
    silence: AtomicU64,
    /// Whether it was silent for longer.
    fell_silent: AtomicBool,
    /// For about how many milliseconds the service may say nothing, where that is the guard's to time; else 0.
    answer: AtomicU64,
    /// Whether it said nothing for longer.
    unanswered: AtomicBool,
    /// Whether another try has begun, whose service has all of that time again.
    another: AtomicBool,
    /// Whether the current request is a head and nothing else.
    bodiless: AtomicBool,
    /// Set when both sides have agreed that HTTP ends here.
    tunnel: AtomicBool,
    /// Whether the client broke a tunnel off.
    broke_off: AtomicBool,
    /// What the end of the connection would hide.
    dues: Dues,
    /// Has an HTTP/2 connection say GOAWAY, where what it showed may count no more.
    leaving: Option<CancellationToken>,
    /// What waits for the two sides of the current handshake.
    backlogs: Mutex<Arc<Backlogs>>,
}

impl ConnState {
    /// A connection from `peer` that is counted with no others.
    #[must_use]
    pub fn new(peer: SocketAddr, tls: bool, shown: Shown) -> Arc<Self> {
        Self::among(peer, tls, shown, None)
    }

    /// A connection from `peer`, one of its origin's.
    #[must_use]
    pub fn among(
        peer: SocketAddr,
        tls: bool,
        shown: Shown,
        crowd: Option<Arc<Crowd>>,
    ) -> Arc<Self> {
        let text = peer.ip().to_canonical().to_string();
        Arc::new(Self {
            peer,
            // The text of an address is always a header value.
            peer_header: HeaderValue::from_str(&text)
                .unwrap_or(HeaderValue::from_static("unknown")),
            tls,
            leaving: shown.asked.is_some().then(CancellationToken::new),
            shown,
            crowd,
            cookies: LastCookies::default(),
            own: OnceLock::new(),
            refusal: OnceLock::new(),
            fits: OnceLock::new(),
            host: Mutex::default(),
            last_host: Mutex::default(),
            next: AtomicBool::new(false),
            cut: Mutex::default(),
            rests: AtomicBool::new(false),
            silence: AtomicU64::new(0),
            fell_silent: AtomicBool::new(false),
            answer: AtomicU64::new(0),
            unanswered: AtomicBool::new(false),
            another: AtomicBool::new(false),
            bodiless: AtomicBool::new(false),
            tunnel: AtomicBool::new(false),
            broke_off: AtomicBool::new(false),
            dues: Dues::default(),
            backlogs: Mutex::default(),
        })
    }

    /// What is heard by whoever serves a connection on which a certificate was asked for: it is of no use any more.
    #[must_use]
    pub fn leaving(&self) -> Option<&CancellationToken> {
        self.leaving.as_ref()
    }

    /// Whether the other end is a proxy that keeps order among those it speaks for.
    #[must_use]
    pub const fn is_trusted(&self) -> bool {
        self.crowd.is_none()
    }

    /// The fault for which the head of the current request was refused, and what could be made out of it: another head
    /// stands in its place.
    #[must_use]
    pub fn refusal(&self) -> Option<&(HeadFault, Glimpse)> {
        self.refusal.get()
    }

    /// Whether the handshake was found to be for this host.
    #[must_use]
    pub fn is_known_to_fit(&self, host: &Host) -> bool {
        self.fits.get() == Some(host)
    }

    /// The handshake was for this host, by its name or its certificate, and stays so for as long as the connection lasts.
    pub fn note_fit(&self, host: &Host) {
        // Another one was first; it is looked at again.
        let _ = self.fits.set(host.clone());
    }

    /// The one host of the current HTTP/1 request, as the guard read it; once.
    pub fn take_host(&self) -> Option<Host> {
        self.host
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The host in an HTTP/2 request's `:authority` or `Host`, which is nearly always that of the last one.
    ///
    /// # Errors
    /// When there is none in it.
    pub fn read_host(&self, text: &[u8]) -> Result<Host, HeadFault> {
        self.last_host
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .read(text)
    }

    pub(super) fn note_host(&self, host: Host) {
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = Some(host);
    }

    /// A request begins: the guard may let a head through. It rests on nothing yet.
    pub fn begin_request(&self) {
        self.next.store(true, Ordering::Release);
        self.silence.store(0, Ordering::Relaxed);
        self.answer.store(0, Ordering::Relaxed);
        self.unanswered.store(false, Ordering::Relaxed);
        self.rests.store(false, Ordering::Release);
    }

    /// Ends the current request when `token` is cancelled. For HTTP/1, which has one request at a time.
    pub fn cut_when(&self, token: &CancellationToken) {
        let mut cut = self.cut();
        let known = cut.as_ref().is_some_and(|same| same.is_by(token));
        if !known {
            *cut = Some(Cut::by(token));
        }
        drop(cut);
        self.rests.store(true, Ordering::Release);
    }

    /// Ready when the current request must end.
    pub fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.rests.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        match &mut *self.cut() {
            Some(cut) => cut.poll(cx),
            None => Poll::Pending,
        }
    }

    /// A try begins: from here on the guard times the service, which may say nothing for `limit` or a quarter of that more,
    /// without a clock for each request. Whether it does: where there is a body, it does not know what is held up where.
    pub fn limit_answer(&self, limit: Duration) -> bool {
        let bodiless = self.bodiless.load(Ordering::Acquire);
        if bodiless {
            self.limit_handshake(limit);
        }
        bodiless
    }

    /// The same of a handshake, which has no body.
    pub fn limit_handshake(&self, limit: Duration) {
        self.answer.store(in_millis(limit), Ordering::Release);
        self.another.store(true, Ordering::Release);
    }

    /// Another try is timed by somebody else.
    pub fn limit_no_answer(&self) {
        self.answer.store(0, Ordering::Release);
    }

    /// Whether the service said nothing for too long; once.
    pub fn take_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Acquire) && self.unanswered.swap(false, Ordering::AcqRel)
    }

    /// From here on the current request is cut when nothing comes or goes for so long.
    fn limit_silence(&self, limit: Duration) {
        self.silence.store(in_millis(limit), Ordering::Release);
    }

    /// Whether the current request was cut because nothing came or went for too long.
    #[must_use]
    pub fn fell_silent(&self) -> bool {
        self.fell_silent.load(Ordering::Acquire)
    }

    /// Both sides have agreed: what comes behind this request is no HTTP, and nothing of it is looked at.
    pub fn open_tunnel(&self, idle: Duration) {
        self.answer.store(0, Ordering::Relaxed);
        self.limit_silence(idle);
        self.tunnel.store(true, Ordering::Release);
    }

    /// A handshake begins, and nothing waits for anybody.
    pub fn begin_handshake(&self) -> Arc<Backlogs> {
        let new = Arc::<Backlogs>::default();
        *self.backlogs.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        new
    }

    /// What waits for the two sides of the handshake that began last.
    #[must_use]
    pub fn backlogs(&self) -> Arc<Backlogs> {
        Arc::clone(&self.backlogs.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The client has left a tunnel.
    pub(super) fn note_left(&self, how: io::Result<()>) {
        // Many a program says no goodbye in TLS, but a message cannot be cut unseen: they have a frame around them.
        let broke_off = how.is_err_and(|error| error.kind() != io::ErrorKind::UnexpectedEof);
        self.broke_off.fetch_or(broke_off, Ordering::AcqRel);
    }

    /// Whether the client broke a tunnel off.
    #[must_use]
    pub fn broke_off(&self) -> bool {
        self.broke_off.load(Ordering::Acquire)
    }

    /// What must have been written before the connection may end in order.
    pub fn owe(&self, owed: Owed) {
        self.dues.set(owed);
    }

    pub(super) fn is_owed(&self, unwritten: bool) -> bool {
        self.dues.is_owed(unwritten)
    }

    /// Whether both sides have agreed that HTTP ends here.
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Acquire)
    }

    /// For how long the current request may be silent.
    pub(super) fn silence(&self) -> Option<Duration> {
        from_millis(&self.silence)
    }

    /// For about how long the service may say nothing, where the guard is to time it.
    pub(super) fn answer(&self) -> Option<Duration> {
        from_millis(&self.answer)
    }

    /// Whether another try has begun since this was asked last.
    pub(super) fn take_another(&self) -> bool {
        self.another.load(Ordering::Acquire) && self.another.swap(false, Ordering::AcqRel)
    }

    pub(super) fn note_unanswered(&self) {
        self.unanswered.store(true, Ordering::Release);
    }

    pub(super) fn note_bodiless(&self, bodiless: bool) {
        self.bodiless.store(bodiless, Ordering::Release);
    }

    pub(super) fn note_silence(&self) {
        self.fell_silent.store(true, Ordering::Release);
    }

    pub(super) fn refuse(&self, fault: HeadFault, seen: Glimpse) {
        // The first one stays: a connection has no other head after it.
        let _ = self.refusal.set((fault, seen));
    }

    /// Whether a request waits for its head.
    pub(super) fn wants_head(&self) -> bool {
        self.next.load(Ordering::Acquire)
    }

    /// The head that was waited for is there, or about to be read; whether one was waited for.
    pub(super) fn take_head(&self) -> bool {
        self.next.swap(false, Ordering::AcqRel)
    }

    fn cut(&self) -> MutexGuard<'_, Option<Cut>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At least one: none means that there is no limit.
fn in_millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
}

fn from_millis(limit: &AtomicU64) -> Option<Duration> {
    match limit.load(Ordering::Acquire) {
        0 => None,
        millis => Some(Duration::from_millis(millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn state() -> Arc<ConnState> {
        ConnState::new(([127, 0, 0, 1], 1).into(), false, Shown::default())
    }

    #[tokio::test]
    async fn a_request_is_cut_by_its_own_session_only() {
        let (state, token) = (state(), CancellationToken::new());
        let is_cut = || poll_fn(|cx| Poll::Ready(state.poll_cut(cx).is_ready()));
        state.begin_request();
        state.cut_when(&token);
        assert!(!is_cut().await);
        state.begin_request();
        token.cancel();
        assert!(!is_cut().await, "the next request rests on nothing");
        state.cut_when(&token);
        assert!(is_cut().await);
        state.cut_when(&CancellationToken::new());
        assert!(!is_cut().await);
    }

    #[tokio::test]
    async fn c_16_the_end_is_heard_in_every_request_of_a_session() {
        let (state, token) = (state(), CancellationToken::new());
        for _ in 0..2 {
            state.begin_request();
            state.cut_when(&token);
            assert!(poll_fn(|cx| Poll::Ready(state.poll_cut(cx).is_pending())).await);
        }
        let waiting = tokio::spawn({
            let state = Arc::clone(&state);
            async move { poll_fn(|cx| state.poll_cut(cx)).await }
        });
        // Another task took the connection over: it is woken, too, once it has listened.
        state.cut_when(&token);
        tokio::task::yield_now().await;
        token.cancel();
        waiting.await.unwrap();
    }
}
