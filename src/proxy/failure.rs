//! What becomes of a request whose service could not answer: what the client is told, and what the log is.
//!
//! Neither says anything of the inside: a failure may quote what a service sent.

use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, ErrorType};

use crate::telemetry::limit::Limit;

use super::answer::{Answer, is_navigation};
use super::cause::why;
use super::client::Client;
use super::connection::Owed;
use super::context::{Context, Passed};
use super::forward::{is_answered, is_late, status_of};
use super::gateway::Gateway;
use super::handle::note_hsts;
use super::refusal::TOO_MANY_REQUESTS;
use super::request::{owe, state_of};
use super::tries::is_answer_refused;
use super::tunnel::serve::tell_end;

impl Gateway {
    pub(super) async fn tell_failure(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        if let Some(told) = tell_end(session, ctx) {
            return told;
        }
        let status = if ctx.body == Passed::TooLate {
            Some(408)
        } else {
            status_of(error)
        };
        if status == Some(408) {
            ctx.outcome.reason = "slow";
            if !is_late(error) {
                self.0.metrics.refused(Limit::Body);
            }
        }
        if is_unread(error) {
            ctx.outcome.reason = "unread";
            self.0.metrics.refused(Limit::Reader);
        }
        if status == Some(503) && !is_answered(session) {
            return self.tell_maintenance(session, ctx).await;
        }
        let stands_in = is_unreachable(error) && has_maintenance(ctx) && !is_answered(session);
        let told = sent(session).or(if stands_in { Some(503) } else { status });
        if is_answered(session) && ctx.outcome.reason == "-" && !is_the_clients(error, status) {
            // What was sent looks like a success, and is half of one.
            ctx.outcome.reason = "broken";
        }
        note(error, (status, told), ctx);
        if stands_in {
            return self.tell_maintenance(session, ctx).await;
        }
        if !is_answered(session) {
            // What was not sent yet of its answer never will be, and ours is whole.
            owe(session, Owed::Nothing);
        }
        if let Some(status) = status.filter(|_| !is_answered(session)) {
            let navigation =
                is_navigation(&session.req_header().method, &session.req_header().headers);
            let (code, detail) = said(status, error);
            session.set_keepalive(None);
            let sent = Answer::refusal(status, code, detail, navigation)
                .with_hsts(ctx.hsts.as_ref())
                .send(session, ctx)
                .await;
            if let Err(error) = sent {
                tracing::debug!(%error, "the client was gone before it could be told");
            }
        }
        FailToProxy {
            error_code: status.unwrap_or(0),
            can_reuse_downstream: false,
        }
    }

    /// One of too many requests of one origin.
    pub(super) async fn turn_away(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<bool> {
        self.0.metrics.refused(Limit::Requests);
        let state = state_of(&session.downstream_session);
        let tls = state.is_some_and(|state| state.tls);
        let running = self.0.running.load();
        // Whoever is counted is no proxy that is trusted, and who they are stands on their socket.
        ctx.client = state.map(|state| Client::of_socket(state));
        note_hsts(ctx, &running, tls && running.snapshot.sites.all_https());
        self.turn_down(session, ctx, &TOO_MANY_REQUESTS).await
    }

    /// No server is healthy, or none can be reached. The one was logged when the last server went, the other is before
    /// this; requests are counted, not logged once more.
    async fn tell_maintenance(&self, session: &mut Session, ctx: &mut Context) -> FailToProxy {
        ctx.outcome.reason = "unhealthy";
        let settings = ctx.pool.as_ref().map(|pool| &pool.settings);
        let navigation = is_navigation(&session.req_header().method, &session.req_header().headers);
        let page = settings.and_then(|settings| settings.maintenance.clone());
        let pause = settings.and_then(|settings| settings.health.as_ref());
        let pause = pause.map_or(1, |check| check.interval.as_secs().max(1));
        let answer = match page.filter(|_| navigation) {
            Some(page) => Answer::page(503, page),
            None => Answer::refusal(
                503,
                "UPSTREAM_UNAVAILABLE",
                "The service is not available just now.",
                navigation,
            ),
        };
        let answer = answer
            .with(http::header::RETRY_AFTER, &pause.to_string())
            .with_hsts(ctx.hsts.as_ref());
        session.set_keepalive(None);
        if let Err(error) = answer.send(session, ctx).await {
            tracing::debug!(%error, "the client was gone before it could be told");
        }
        FailToProxy {
            error_code: 503,
            can_reuse_downstream: false,
        }
    }
}

/// The status of the answer, where that has begun: no other one can be told.
fn sent(session: &Session) -> Option<u16> {
    let head = session.response_written().filter(|_| is_answered(session));
    head.map(|head| head.status.as_u16())
}

/// Logs a failure with the status that the client was told. Only what kind it was: the rest may quote what a service sent, secrets included. That a client has left,
/// or was too slow, stands in the line of its request, and is nobody else's trouble.
fn note(error: &Error, (status, told): (Option<u16>, Option<u16>), ctx: &Context) {
    let (id, kind) = (ctx.id_text(), error.etype().as_str());
    if is_the_clients(error, status) {
        tracing::debug!(id, error = kind, status = told, "the client failed");
        return;
    }
    let tried = ctx.tried.last().map(|member| member.label.clone());
    let only = || ctx.pool.as_ref()?.only();
    let server = tried.or_else(only);
    tracing::warn!(
        id,
        error = kind,
        side = error.esource().as_str(),
        why = why(error),
        status = told,
        upstream = ctx.pool.as_ref().map(|pool| &*pool.name),
        server,
        "a request failed"
    );
}

/// Whether a failure is the client's: it sent too much or too slowly, or did not take what was written. Pingora does not
/// say whose it is where we write an answer of our own.
fn is_the_clients(error: &Error, status: Option<u16>) -> bool {
    let writing = matches!(
        error.etype(),
        ErrorType::WriteError | ErrorType::WriteTimedout | ErrorType::ConnectionClosed
    );
    match error.esource() {
        ErrorSource::Downstream => true,
        ErrorSource::Upstream => false,
        _ => writing || matches!(status, Some(408 | 413)),
    }
}

/// Whether there was no connection to any server.
fn is_unreachable(error: &Error) -> bool {
    matches!(
        error.etype,
        ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectTimedout
            | ErrorType::ConnectError
    )
}

fn has_maintenance(ctx: &Context) -> bool {
    let settings = ctx.pool.as_ref().map(|pool| &pool.settings);
    settings.is_some_and(|settings| settings.maintenance.is_some())
}

/// What a client is told of a failure: a code and a sentence.
fn said(status: u16, error: &Error) -> (&'static str, &'static str) {
    match status {
        408 => ("BODY_TOO_SLOW", "The request body came too slowly."),
        413 => ("BODY_TOO_LARGE", "The request body is too large."),
        505 => (
            "HTTP_VERSION",
            "The service does not say how long its answer is, which HTTP/1.0 would have to know.",
        ),
        504 => ("UPSTREAM_TIMEOUT", "The service did not answer in time."),
        502 if is_no_answer(error) => (
            "UPSTREAM_INVALID",
            "What the service answered cannot be passed on.",
        ),
        502 => (
            "UPSTREAM_UNREACHABLE",
            "The service cannot be reached just now.",
        ),
        400..=499 => ("REQUEST_REFUSED", "The request could not be read."),
        _ => ("INTERNAL", "Something went wrong."),
    }
}

/// Whether a service that can be reached said what is no answer: Pingora could not read it, or we do not pass it on.
fn is_no_answer(error: &Error) -> bool {
    let invalid = matches!(
        error.etype,
        ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 | ErrorType::Custom(_)
    );
    invalid || is_answer_refused(error)
}

/// Whether the client did not take an answer in time that had begun: on HTTP/2, whose streams stall one by one. A whole
/// connection is timed, and counted, by its guard.
fn is_unread(error: &Error) -> bool {
    *error.etype() == ErrorType::WriteTimedout && *error.esource() != ErrorSource::Upstream
}
