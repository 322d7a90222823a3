//! The tries of one request: which server each goes to, and whether there is another one after a failure.
//!
//! Fails closed: without a permit for this very upstream there is no first try. Nothing is sent twice that a service
//! may have acted upon: what is not idempotent, or of which some body was passed on, is sent once.

use std::io;
use std::time::Duration;

use http::header;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, RetryType};

use crate::policy::decide::Permit;
use crate::telemetry::limit::Limit;

use super::context::{Context, Passed};
use super::forward::{is_answered, time_left};
use super::gateway::Gateway;
use super::pace::{Pace, is_conversation};
use super::request::state_of;
use super::upstream::member::Serving;
use super::upstream::peer::{TALKS, suit_talk};
use super::upstream::{Ask, Nobody};

/// How soon it shows that a kept connection was closed before the request came: a round trip at most. A service that ends one
/// later may have worked on the request.
const SOON: Duration = Duration::from_millis(200);

/// A service says for ever that its answer is still to come.
pub const ENDLESS_INTERIM: ErrorType = ErrorType::Custom("EndlessInterim");

/// How often a request is offered to a service that is leaving, altogether.
const MOST_UNSEEN: u32 = 4;

impl Gateway {
    /// The server for the next try.
    pub(super) async fn next_peer(
        &self,
        ctx: &mut Context,
        has_body: bool,
    ) -> pingora::Result<Box<HttpPeer>> {
        let fault = |what: &'static str| Error::explain(ErrorType::InternalError, what);
        let permit = ctx.permit().ok_or_else(|| fault("no permit"))?;
        let pool = ctx
            .pool
            .as_ref()
            .filter(|pool| pool.name == *permit.upstream());
        let pool = pool.ok_or_else(|| fault("the permit is for another upstream"))?;
        if let (0, Some(retry)) = (ctx.tries, &pool.settings.retry) {
            pool.budget.earn(retry);
        }
        let left = time_left(ctx)?;
        let ask = Ask {
            tries_out: !has_body,
            ..ctx.ask(left)
        };
        let next = pool.next(ask).await;
        ctx.tries += 1;
        // A try sends the body from its beginning.
        ctx.body_left = ctx.body_limit;
        let (peer, serving) = next.map_err(|nobody| match nobody {
            Nobody::Known => {
                Error::explain(ErrorType::ConnectNoRoute, "no server is known").into_up()
            }
            Nobody::Healthy => Error::new(ErrorType::HTTPStatus(503)).into_up(),
        })?;
        ctx.serving = serving;
        ctx.group = peer.group_key;
        Ok(peer)
    }

    /// Whether there is another try after one whose connection was there.
    pub(super) fn after_failure(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        error: &Error,
        reused: bool,
    ) -> bool {
        if is_waiting_for_client(session, ctx, error) {
            // A client that asks first waits for the service. The service is not left alone for it even so: there are
            // some that know nothing of such questions, and whoever likes could ask them.
            if !waits_for_service(session, ctx) {
                ctx.body = Passed::TooLate;
            }
            return false;
        }
        let answered = is_answered(session);
        // Whoever has begun to speak has seen the request.
        let harmless = session.req_header().method.is_idempotent()
            && ctx.body == Passed::Nothing
            && ctx.interim == 0
            && !answered
            && !is_cut_short(error);
        // Once: all that are kept may be closed, and what is closed at once need not have been before. The next one is new.
        let dead = reused && !answered && ctx.found_dead == 0 && is_soon(ctx, error);
        match error.retry {
            // A kept connection that the service has closed meanwhile says nothing about the service.
            RetryType::ReusedOnly if dead => {
                ctx.found_dead += 1;
                ctx.unseen += 1;
                return harmless;
            }
            RetryType::Decided(true) => match error.etype() {
                // Something of HTTP/2 was wrong; what became of the request nobody knows.
                ErrorType::InvalidH2 => {}
                // And what asks for HTTP/1.1 has not looked at it either.
                _ => return self.again_unseen(session, ctx, answered),
            },
            _ if is_leaving(error) => return self.again_unseen(session, ctx, answered),
            // Nobody knows what became of it.
            _ if is_ours(error) => return harmless && self.again_unseen(session, ctx, answered),
            _ if dead && is_closed_unseen(error) => {
                ctx.found_dead += 1;
                ctx.unseen += 1;
                return harmless;
            }
            _ => {}
        }
        if *error.esource() != ErrorSource::Upstream || answered {
            return false;
        }
        if is_silence(error) && ctx.tunnel.is_none() && !session.is_body_done() {
            // The time for everything is up, and the client may well have used it.
            return false;
        }
        if is_time_up(ctx) && (ctx.tries > 1 || ctx.body != Passed::Nothing) {
            // Or a server before this one, or the client with the body that has come by now.
            return false;
        }
        if is_answer_refused(error) {
            drop(leave(ctx));
        } else {
            blame(ctx);
        }
        harmless && self.may_try_again(ctx)
    }

    /// Refused unseen, whatever it is (RFC 9113 sections 6.8 and 8.7): any request may be sent again for as long as all of
    /// its body is still there. Once for nothing; a service that refuses everything does not want more of it.
    fn again_unseen(&self, session: &mut Session, ctx: &mut Context, answered: bool) -> bool {
        let whole = !answered && !session.as_ref().retry_buffer_truncated();
        let first = !std::mem::replace(&mut ctx.refused, true);
        ctx.unseen += u32::from(first);
        whole && (first || self.may_try_again(ctx))
    }

    /// Gives a conversation a connection to itself, and its room, if there is some left.
    pub(super) fn give_room(&self, peer: &mut HttpPeer, ctx: &mut Context) {
        ctx.talk = ctx.talk.take().or_else(|| self.0.talks.take(TALKS));
        suit_talk(peer, ctx.talk.is_some());
        if ctx.talk.is_none() {
            self.0.metrics.refused(Limit::Conversations);
        }
    }

    /// Notes a piece of a body of `length` bytes.
    ///
    /// # Errors
    /// When the body comes too slowly.
    pub(super) fn keep_pace(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        length: u64,
    ) -> pingora::Result<()> {
        if length == 0 || ctx.tunnel.is_some() {
            return Ok(());
        }
        let idle = ctx.permit().and_then(Permit::idle);
        let pace = ctx.pace.get_or_insert_with(|| {
            let limits = self.0.running.load().limits;
            // A service that does not take what came holds the rest up.
            let write = ctx.pool.as_ref().map(|pool| pool.settings.timeouts.write);
            let grace = limits.stall.max(idle.unwrap_or_default()) + write.unwrap_or_default();
            let trailers = ctx.asks.trailers;
            let free = is_conversation(session.req_header(), trailers, idle.is_some());
            Pace::begin(limits.body_rate.filter(|_| !free), grace)
        });
        if pace.take(length) {
            return Ok(());
        }
        too_slow(session, ctx)
    }

    fn may_try_again(&self, ctx: &mut Context) -> bool {
        let Some((pool, retry)) = ctx
            .pool
            .as_ref()
            .and_then(|pool| Some((pool, pool.settings.retry.as_ref()?)))
        else {
            return false;
        };
        if ctx.retried >= retry.times || time_left(ctx).is_err() {
            return false;
        }
        let granted = pool.budget.spend();
        let result = if granted { "sent" } else { "over_budget" };
        self.0
            .metrics
            .upstream_retries
            .with_label_values(&[&*pool.name, result])
            .inc();
        ctx.retried += u32::from(granted);
        granted
    }
}

/// Whether there is time left, when a piece of a body has come. Who has used it up, the client or a service that takes what
/// comes slowly, is not known: so it says nothing of the service.
///
/// # Errors
/// When it is up.
pub fn in_time(ctx: &mut Context) -> pingora::Result<()> {
    let left = time_left(ctx).map(drop);
    if left.is_err() {
        ctx.serving = None;
    }
    left
}

fn too_slow(session: &mut Session, ctx: &mut Context) -> pingora::Result<()> {
    session.set_keepalive(None);
    ctx.body = Passed::TooLate;
    Err(Error::new(ErrorType::HTTPStatus(408)))
}

/// Whether a connection ended so soon after the request was sent on it, and without a word, that it was closed before.
fn is_soon(ctx: &Context, error: &Error) -> bool {
    let sent = ctx.sent_at.is_some_and(|at| at.elapsed() < SOON);
    sent && ctx.interim == 0 && !is_cut_short(error)
}

/// Whether a connection ended within the head of an answer, which Pingora tells in words alone.
fn is_cut_short(error: &Error) -> bool {
    const READ: &str = "bytes already read: ";
    let context = error.context.as_ref().map(pingora::ImmutStr::as_str);
    let read = context.and_then(|context| Some(context.split_once(READ)?.1));
    read.is_some_and(|read| read != "0")
}

/// Whether a kept connection over TLS was closed without a word in TLS: then it is no error of the system, which Pingora
/// goes by.
fn is_closed_unseen(error: &Error) -> bool {
    let cause = error.root_cause();
    let of_h2 = || cause.downcast_ref::<h2::Error>()?.get_io();
    let cause = cause.downcast_ref::<io::Error>().or_else(of_h2);
    *error.etype() == ErrorType::ReadError
        && *error.esource() == ErrorSource::Upstream
        && cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// Whether a service answered, and what cannot be passed on. That is no failure of its: whoever can have it repeat a byte that
/// stands in no header could have all of its servers left alone. One that does not even speak HTTP has not answered, nor one
/// that never comes to its answer.
pub fn is_answer_refused(error: &Error) -> bool {
    match error.etype() {
        ErrorType::InvalidHTTPHeader => {
            let cause = error.root_cause().downcast_ref::<httparse::Error>();
            cause != Some(&httparse::Error::Version)
        }
        ErrorType::InvalidH2 => true,
        // What h2 found wrong with one answer ends its stream; the connection, and the others on it, go on.
        ErrorType::H2Error => {
            let cause = error.root_cause().downcast_ref::<h2::Error>();
            cause.is_some_and(|cause| cause.is_reset() && cause.is_library())
        }
        kind @ ErrorType::Custom(_) => *kind != ENDLESS_INTERIM,
        _ => false,
    }
}

/// Whether a service has closed an HTTP/2 connection without having looked at this request, for whatever reason: of those
/// it has looked at, nothing is said by that (RFC 9113 section 6.8).
fn is_leaving(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<h2::Error>();
    cause.is_some_and(|cause| cause.is_go_away() && cause.is_remote())
}

/// Whether we have closed an HTTP/2 connection, because clients did not take what a service sent in small frames. All that
/// the service did was to answer.
fn is_ours(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<h2::Error>();
    cause.is_some_and(|cause| {
        let calm = cause.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM);
        cause.is_go_away() && cause.is_library() && calm
    })
}

/// Says what happened, whoever noticed it: where the guard of a connection times the service, Pingora takes it for the
/// client's fault.
pub fn tell_true_cause(session: &Session, error: &mut Error) {
    let silent = state_of(&session.downstream_session).is_some_and(|state| state.take_unanswered());
    if silent {
        *error = *Error::explain(ErrorType::ReadTimedout, "the service says nothing").into_up();
    }
}

/// Whether a service did not answer in time because it waited for a body, as it should. That is the client's doing, and
/// says nothing of the service: otherwise whoever likes could have any server left alone.
fn is_waiting_for_client(session: &mut Session, ctx: &Context, error: &Error) -> bool {
    let answered = is_answered(session);
    is_silence(error)
        && !answered
        && ctx.tunnel.is_none()
        && !is_time_up(ctx)
        && !session.is_body_done()
}

/// Whether the time for everything is up, or all but: a timer that was set for what is left of it may be early by one of
/// Pingora's steps, which are 10 ms, and must not pass for one of its own.
fn is_time_up(ctx: &Context) -> bool {
    const STEP: Duration = Duration::from_millis(20);
    match time_left(ctx) {
        Ok(left) => left.is_some_and(|left| left <= STEP),
        Err(_) => true,
    }
}

fn is_silence(error: &Error) -> bool {
    (error.etype(), error.esource()) == (&ErrorType::ReadTimedout, &ErrorSource::Upstream)
}

/// Whether a client sends its body when it is told that it may, and was not told.
fn waits_for_service(session: &Session, ctx: &Context) -> bool {
    let asks = session.req_header().headers.contains_key(header::EXPECT);
    asks && ctx.body == Passed::Nothing
}

/// Whether there is another try after one that came to no connection. Nothing of the request has been sent, so that
/// any request may go to another server; every one of them is tried once.
pub fn after_no_connection(ctx: &mut Context, error: &Error) -> bool {
    // A connection that a service, or we, are about to close is offered for as long as others use it, and not twice.
    if (is_leaving(error) || is_ours(error)) && ctx.unseen < MOST_UNSEEN {
        ctx.unseen += 1;
        return true;
    }
    blame(ctx);
    ctx.pool.as_ref().is_some_and(|pool| {
        let known = pool.known().saturating_add(tries_again(ctx));
        ctx.tries < known && pool.has_others(&ctx.tried)
    })
}

/// How many of the tries were not the first of a server.
fn tries_again(ctx: &Context) -> usize {
    usize::try_from(ctx.retried.saturating_add(ctx.unseen)).unwrap_or(usize::MAX)
}

/// Leaves the server of this try, for whatever comes next.
fn leave(ctx: &mut Context) -> Option<Serving> {
    let serving = ctx.serving.take()?;
    ctx.tried.push(serving.member().clone());
    Some(serving)
}

/// Notes that the server of this try failed, and leaves it.
fn blame(ctx: &mut Context) {
    if let Some(mut serving) = leave(ctx) {
        serving.settle();
        if let Some(pool) = &ctx.pool {
            pool.failed(serving.member());
        }
    }
}
