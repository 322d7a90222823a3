//! What Pingora calls for each request, in its order. What is done then stands in `handle` (up to a permit),
//! `forward` (what is sent on, and back) and `failure` (when the service cannot answer).
//!
//! Fails closed: without a permit nothing is forwarded.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use crate::base::id::PublicId;
use crate::policy::decide::Permit;
use crate::telemetry::limit::Limit;

use super::answer::read_on;
use super::coding;
use super::connection::Owed;
use super::context::{Context, Passed};
use super::forward::{finish_answer, finish_request, time_left};
use super::headers::says_close;
use super::places::Place;
use super::refusal::UNAVAILABLE;
use super::request::{note_answered, note_piece, note_whole, owe, state_of};
use super::served::{has_no_body, strip_trailers};
use super::settings::Limits;
use super::shell::Shell;
use super::tries::{ENDLESS_INTERIM, after_no_connection, in_time, tell_true_cause};
use super::tunnel::serve::{note_broken, note_last, wait_for};
use super::upstream::peer::{is_talk, suit};
use super::upstream::private::{keep_apart, open_anew};
use super::upstream::unread::end_connection;
use super::whole;

/// How long a request waits while a reload exchanges roles, which takes milliseconds.
const RELOAD: Duration = Duration::from_secs(5);

/// How often a service may say that there is no answer yet, for one request: one that says it every ten seconds does so
/// for hours.
const MOST_INTERIM: u32 = 1000;

/// The proxy's logic, as Pingora wants it.
pub struct Gateway(pub Shell);

impl Gateway {
    /// Whether its origin may have one more request under way.
    fn finds_place(session: &Session, ctx: &mut Context, limits: &Limits) -> bool {
        let connection = state_of(&session.downstream_session);
        let Some(crowd) = connection.and_then(|state| state.crowd.as_ref()) else {
            return true;
        };
        ctx.place = crowd.take(limits.requests_per_address);
        ctx.place.is_some()
    }

    /// Room for one more answer to be compressed, if there is any.
    fn place_to_code(&self) -> Option<Place> {
        let most = self.0.running.load().limits.compressed;
        let place = self.0.coders.take(most);
        if place.is_none() {
            self.0.metrics.refused(Limit::Compressed);
        }
        place
    }
}

/// The method as it came, where it could be read: Pingora may have been given another head in place of one that is refused.
fn method_of(session: &Session) -> Option<Method> {
    let refusal = state_of(&session.downstream_session).and_then(|state| state.refusal());
    match refusal {
        Some((_, seen)) => seen.method.clone(),
        None => Some(session.req_header().method.clone()),
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed, because Pingora moves it from future to future.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new(self.0.metrics.clone()))
    }

    /// No modules: nothing is compressed or rewritten behind our back.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<bool> {
        let id = PublicId::generate(&self.0.random);
        ctx.begin(id, method_of(session), self.0.drain.admitted());
        let old = session.req_header().version == http::Version::HTTP_10;
        if old {
            // It does not know that there may be two answers (RFC 9110 sections 10.1.1 and 15.2).
            session.set_ignore_info_resp(true);
            session
                .req_header_mut()
                .remove_header(&http::header::EXPECT);
        }
        // And it has no reliable way to keep a connection.
        if old || says_close(&session.req_header().headers) || self.0.drain.is_draining() {
            session.set_keepalive(None);
        }
        let mut running = self.0.running.load_full();
        if session.is_http2() {
            // A stream may stall on a connection that does not; HTTP/1 is timed by the guard.
            session.set_write_timeout(Some(running.limits.stall));
        }
        if !Self::finds_place(session, ctx, &running.limits) {
            return Box::pin(self.turn_away(session, ctx)).await;
        }
        loop {
            if let Some(answered) = self.handle(session, ctx, &running).await? {
                return Ok(answered);
            }
            if timeout(RELOAD, self.0.gate.settled()).await.is_err() {
                return self.turn_down(session, ctx, &UNAVAILABLE).await;
            }
            running = self.0.running.load_full();
        }
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<Box<HttpPeer>> {
        let has_body = !session.is_body_empty();
        let mut peer = self.next_peer(ctx, has_body).await?;
        if session.is_body_done() {
            note_whole();
        }
        let group = peer.group_key;
        let streams = ctx.permit().is_some_and(|it| it.idle().is_some());
        let kind = (has_body, streams);
        suit(&mut peer, session.req_header(), ctx.asks.trailers, kind);
        if let Some(client) = state_of(&session.downstream_session) {
            let shared = client.is_trusted() || session.is_http2();
            let headers = &session.req_header().headers;
            let apart = keep_apart(
                (&mut peer, group),
                headers,
                (client, shared),
                ctx.ask(None).user,
            );
            let none_kept = ctx
                .pool
                .as_ref()
                .is_some_and(|it| it.settings.keep_alive.is_zero());
            if !apart && (ctx.found_dead > 0 || none_kept) {
                open_anew(&mut peer);
            }
        }
        if is_talk(&peer, session.req_header(), ctx.asks.trailers, has_body) {
            self.give_room(&mut peer, ctx);
        }
        wait_for(session, &mut peer, ctx);
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        if let Some(tunnel) = &ctx.tunnel {
            tunnel.ask();
        }
        ctx.sent_at = Some(Instant::now());
        finish_request(request, ctx)?;
        if let Some(pool) = &ctx.pool {
            end_connection(request, !session.is_body_empty(), &pool.settings)?;
        }
        ctx.sent_in = request.version;
        let is_new = request.version == http::Version::HTTP_2;
        if is_new {
            whole::hear(session);
        }
        if is_new && request.headers.contains_key(http::header::EXPECT) {
            // What such a service says before its answer does not come through.
            request.remove_header(&http::header::EXPECT);
            if ctx.body == Passed::Nothing && !session.is_body_done() {
                ctx.body = Passed::Awaited;
                session.set_close_on_response_before_downstream_finish(false);
                session.write_continue_response().await?;
                session.set_close_on_response_before_downstream_finish(true);
            }
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        in_time(ctx)?;
        if end {
            note_whole();
        }
        if end && body.as_ref().is_some_and(Bytes::is_empty) {
            // Pingora would write it as the last chunk, and then the last chunk: the second would stand before whatever
            // request comes next on that connection, whoever sends it.
            *body = None;
        }
        if body.is_some() {
            ctx.body = Passed::Some;
            note_piece();
            if ctx.sent_in == http::Version::HTTP_2 {
                // Pingora sends as long as there is something to send, and looks for more of the answer only where it waits.
                // What the service has answered meanwhile could fill its window, and then it would read no more of this. That
                // is so less often with this, and still where answers come in smaller pieces than requests (README).
                yield_now().await;
            }
        }
        let length = body.as_ref().map_or(0, Bytes::len) as u64;
        if let Some(tunnel) = &ctx.tunnel {
            self.hear(tunnel, ctx.session.as_ref(), end);
        }
        self.keep_pace(session, ctx, length)?;
        if let Some(left) = &mut ctx.body_left {
            match left.checked_sub(length) {
                Some(rest) => *left = rest,
                None => {
                    session.set_keepalive(None);
                    ctx.outcome.reason = "body";
                    return Err(Error::new(ErrorType::HTTPStatus(413)));
                }
            }
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        // What comes before an answer is none: a server that says nothing else is no good.
        let is_final = !response.status.is_informational();
        if is_final {
            ctx.note_served();
        }
        time_left(ctx)?;
        if self.0.drain.is_draining() {
            session.set_keepalive(None);
        }
        if !is_final {
            ctx.interim += 1;
            if ctx.interim > MOST_INTERIM {
                return Err(Error::new_up(ENDLESS_INTERIM));
            }
        }
        if response.status == http::StatusCode::CONTINUE && ctx.body == Passed::Nothing {
            ctx.body = Passed::Awaited;
        }
        // Whoever is told to go on has not been answered yet: only an answer that comes before the end of the request ends
        // the connection.
        session.set_close_on_response_before_downstream_finish(is_final);
        let both_new = session.is_http2() && response.version == http::Version::HTTP_2;
        finish_answer(session, response, ctx)?;
        if is_final {
            ctx.status = response.status.as_u16();
            let ends = has_no_body(session.req_header(), response);
            owe(session, if ends { Owed::Rest } else { Owed::More });
            if ends {
                note_answered();
            }
        }
        let codes = |permit: &&Permit| permit.rules().all(|rule| !rule.compress.is_empty());
        if let Some(rule) = ctx.permit().filter(codes).map(Permit::rule) {
            let place = || self.place_to_code();
            ctx.coder = coding::begin(&rule.compress, session.req_header(), response, place)?;
            whole::note_coded(session, ctx.coder.is_some());
        }
        if !both_new && response.headers.contains_key(http::header::TRAILER) {
            // Over HTTP/1 Pingora sends none, and passes none on.
            response.remove_header(&http::header::TRAILER);
        }
        if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
            // The last word to this request, whatever its number says.
            ctx.note_served();
            self.open_tunnel(session, ctx);
            // The time for everything is that of an answer; a tunnel has none.
            ctx.deadline = None;
        }
        Ok(())
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<Option<Bytes>> {
        note_answered();
        strip_trailers(trailers);
        let last = coding::end(&mut ctx.coder)?;
        owe(session, Owed::Rest);
        Ok(last)
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<Option<Duration>> {
        if end {
            if ctx.tunnel.is_some() {
                note_last(session);
            } else {
                note_answered();
            }
        }
        time_left(ctx)?;
        coding::code(&mut ctx.coder, body, end)?;
        ctx.passed_on += body.as_ref().map_or(0, Bytes::len);
        if end {
            owe(session, Owed::Rest);
        }
        Ok(None)
    }

    /// Another server may be tried: nothing of the request has been sent yet.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<Context>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let again = after_no_connection(ctx, &error);
        error.set_retry(again);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Box<Context>,
        reused: bool,
    ) -> Box<Error> {
        tell_true_cause(session, &mut error);
        if let Some(pool) = &ctx.pool {
            pool.note_failure(ctx.group, &error);
        }
        let again = self.after_failure(session, ctx, &error, reused);
        error.set_retry(again);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Box<Context>,
    ) -> FailToProxy {
        self.tell_failure(session, error, ctx).await
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Box<Context>) {
        let status = session
            .response_written()
            .map_or(0, |head| head.status.as_u16());
        let bytes = session.body_bytes_sent();
        note_broken(session, ctx);
        ctx.log(status, bytes);
        if error.is_none() {
            owe(session, Owed::Nothing);
        }
        // After an answer of our own it was done.
        if error.is_none() && ctx.status > 0 {
            read_on(session).await;
        }
    }

    /// Failures are logged in `fail_to_proxy`, once.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<Context>, _error: &Error) -> bool {
        true
    }
}
