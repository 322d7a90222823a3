//! What Pingora calls for each request: admit, own pages, judge, forward, answer, log.
//!
//! Fails closed at every step: without a connection state, a snapshot or a permit nothing is forwarded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use crate::base::id::PublicId;
use crate::crypto::cookie::{self, CookieNames};
use crate::gate::judge::{JudgeFault, Presented};
use crate::gate::snapshot::Owner;
use crate::gate::visitor::Visitor;

use super::admit::{Admitted, Refused, admit};
use super::answer::{Answer, is_navigation};
use super::bridge;
use super::client::Client;
use super::context::Context;
use super::forward::{finish_request, status_of};
use super::headers;
use super::request::state_of;
use super::running::Running;
use super::shell::Shell;

/// How long a client may leave an answer unread.
const STALLED: Duration = Duration::from_mins(1);

/// The proxy's logic, as Pingora wants it.
pub struct Gateway(pub Shell);

impl Gateway {
    /// Answers a request that goes no further.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        ctx: &Context,
        answer: Answer,
    ) -> pingora::Result<bool> {
        answer.send(session, &ctx.id_text()).await?;
        Ok(true)
    }

    async fn refuse(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        refused: &Refused,
    ) -> pingora::Result<bool> {
        self.0
            .metrics
            .refusals
            .with_label_values(&[refused.reason()])
            .inc();
        ctx.outcome.verdict = "refuse";
        ctx.outcome.reason = refused.reason();
        // Whatever follows on this connection was written by somebody who sent this.
        session.set_keepalive(None);
        let answer = match refused {
            Refused::ServerOptions => Answer::empty(204),
            Refused::Insecure(Some(location)) => Answer::redirect(308, location),
            other => {
                let navigation =
                    is_navigation(&session.req_header().method, &session.req_header().headers);
                Answer::refusal(
                    other.status(),
                    "REQUEST_REFUSED",
                    &other.to_string(),
                    navigation,
                )
            }
        };
        self.answer(session, ctx, answer).await
    }

    /// Everything up to a permit. `Ok(true)` when the request has been answered.
    async fn handle(&self, session: &mut Session, ctx: &mut Context) -> pingora::Result<bool> {
        let connection = state_of(&session.downstream_session).cloned();
        let connection = connection
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "no connection state"))?;
        let running = self.0.running.load_full();
        headers::join_cookies(session.req_header_mut());
        let client = Client::of(
            &connection,
            &session.req_header().headers,
            &running.snapshot.trusted_proxies,
        );
        let client = Arc::new(client);
        ctx.client = Some(Arc::clone(&client));
        let admitted = match admit(session.req_header(), &connection, &client, &running) {
            Ok(admitted) => admitted,
            Err(refused) => return Box::pin(self.refuse(session, ctx, &refused)).await,
        };
        ctx.target = Some(Arc::clone(&admitted.target));
        match running.snapshot.owner(admitted.target.path().as_str()) {
            Owner::Gateway => {
                // Boxed, as every turn that few requests take: a request carries the room of all others.
                Box::pin(self.own_page(session, ctx, &running, &client, &admitted)).await
            }
            Owner::Upstream => self.judge(session, ctx, &running, &client, &admitted).await,
        }
    }

    async fn own_page(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        client: &Client,
        admitted: &Admitted,
    ) -> pingora::Result<bool> {
        ctx.outcome.rule = Some(Arc::clone(&self.0.own_label));
        ctx.outcome.verdict = "own";
        let marks = admitted.target.path().marks();
        if marks.encoded_slash || marks.matrix {
            return self.two_readings(session, ctx).await;
        }
        let visitor = Visitor {
            ip: client.ip,
            cookies: CookieNames::of(admitted.https_site),
            request: ctx
                .id
                .ok_or_else(|| Error::explain(ErrorType::InternalError, "no request id"))?,
            snapshot: Arc::clone(&running.snapshot),
        };
        let answer = match bridge::ask(
            session,
            &admitted.target.origin_form(),
            visitor,
            &self.0.pages,
        )
        .await
        {
            Ok(answer) => answer,
            Err(fault) => {
                session.set_keepalive(None);
                Answer::refusal(fault.status(), "REQUEST_REFUSED", &fault.to_string(), false)
            }
        };
        self.answer(session, ctx, answer).await
    }

    async fn judge(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        client: &Client,
        admitted: &Admitted,
    ) -> pingora::Result<bool> {
        let names = CookieNames::of(admitted.https_site);
        let token = cookie::token(
            headers::cookies(&session.req_header().headers),
            names.session,
        );
        let presented = Presented {
            ip: client.ip,
            session: token,
            bearer: headers::bearer(&session.req_header().headers),
        };
        let judged = self
            .0
            .gate
            .judge(&running.snapshot, &admitted.target, &presented)
            .await;
        let request = session.req_header_mut();
        ctx.plain = headers::strip(request, &running.snapshot.reserved);
        headers::forget_case(request);
        self.0
            .metrics
            .gate_duration
            .observe(ctx.elapsed().as_secs_f64());
        match judged {
            Ok(judged) => self.obey(session, ctx, running, judged).await,
            Err(JudgeFault::Path(_)) => Box::pin(self.two_readings(session, ctx)).await,
            Err(JudgeFault::Credential) => Box::pin(self.bad_token(session, ctx)).await,
            Err(JudgeFault::TwoUsers) => Box::pin(self.two_users(session, ctx)).await,
            Err(JudgeFault::Identity(fault)) => {
                tracing::error!(%fault, id = ctx.id_text(), "cannot tell who asks");
                ctx.outcome.verdict = "error";
                ctx.outcome.reason = "store";
                let answer = Answer::refusal(
                    503,
                    "UNAVAILABLE",
                    "The gateway cannot check who you are just now.",
                    false,
                );
                let answer = answer.with(http::header::RETRY_AFTER, "5");
                Box::pin(self.answer(session, ctx, answer)).await
            }
        }
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed, because Pingora moves it from future to future.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new(self.0.metrics.clone()))
    }

    /// No modules: nothing of ours is compressed or rewritten behind our back.
    fn init_downstream_modules(&self, _modules: &mut pingora::modules::http::HttpModules) {}

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<bool> {
        let id = PublicId::generate(&self.0.random);
        ctx.begin(id, self.0.drain.admitted());
        // HTTP/1.0 has no reliable way to keep a connection.
        let old = session.req_header().version == http::Version::HTTP_10;
        if old || self.0.drain.is_draining() {
            session.set_keepalive(None);
        }
        if session.is_http2() {
            // A stream may stall on a connection that does not; HTTP/1 is timed by the guard.
            session.set_write_timeout(Some(STALLED));
        }
        self.handle(session, ctx).await
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<Box<HttpPeer>> {
        let permit = ctx
            .permit()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "no permit"))?;
        let pool = ctx
            .pool
            .as_ref()
            .filter(|pool| pool.name == *permit.upstream());
        let pool = pool.ok_or_else(|| {
            Error::explain(
                ErrorType::InternalError,
                "the permit is for another upstream",
            )
        })?;
        let peer = pool.next(ctx.plain).await;
        ctx.tries += 1;
        // A try sends the body from its beginning.
        ctx.body_left = ctx.body_limit;
        peer.ok_or_else(|| {
            Error::explain(ErrorType::ConnectNoRoute, "no server is known").into_up()
        })
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        finish_request(request, ctx)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Box<Context>,
    ) -> pingora::Result<()> {
        let length = body.as_ref().map_or(0, Bytes::len) as u64;
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
        if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
            // No upgrade is ever asked of a service, so none can be agreed to.
            let fault = Error::explain(ErrorType::InvalidHTTPHeader, "an upgrade nobody asked for");
            return Err(fault.into_up());
        }
        if session.req_header().version == http::Version::HTTP_10 {
            // HTTP/1.0 knows no chunks; the end of the connection ends the answer.
            response.remove_header(&http::header::TRANSFER_ENCODING);
        }
        // The version is ours to say: the service's own is between it and us.
        response.set_version(http::Version::HTTP_11);
        headers::strip_answer(response);
        match &ctx.id_header {
            // By its text: Pingora would make a copy of a name.
            Some(id) => response.insert_header("x-request-id", id.clone()),
            None => Ok(()),
        }
    }

    /// Another server may be tried: nothing of the request has been sent yet.
    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<Context>,
        mut error: Box<Error>,
    ) -> Box<Error> {
        error.set_retry(
            ctx.pool
                .as_ref()
                .is_some_and(|pool| ctx.tries < pool.known()),
        );
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Box<Context>,
    ) -> FailToProxy {
        let status = status_of(error);
        // Only what kind of failure it was: the rest may quote what a service sent, secrets included.
        tracing::warn!(
            id = ctx.id_text(),
            error = error.etype().as_str(),
            side = error.esource().as_str(),
            status,
            upstream = ctx.pool.as_ref().map(|pool| &*pool.name),
            "a request failed"
        );
        if let (Some(status), None) = (status, session.response_written()) {
            let navigation =
                is_navigation(&session.req_header().method, &session.req_header().headers);
            let (code, detail) = match status {
                413 => ("BODY_TOO_LARGE", "The request body is too large."),
                504 => ("UPSTREAM_TIMEOUT", "The service did not answer in time."),
                502 => (
                    "UPSTREAM_UNREACHABLE",
                    "The service cannot be reached just now.",
                ),
                400..=499 => ("REQUEST_REFUSED", "The request could not be read."),
                _ => ("INTERNAL", "Something went wrong."),
            };
            session.set_keepalive(None);
            let sent = Answer::refusal(status, code, detail, navigation)
                .send(session, &ctx.id_text())
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

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Box<Context>) {
        let status = session
            .response_written()
            .map_or(0, |head| head.status.as_u16());
        let bytes = session.body_bytes_sent();
        ctx.log(session.req_header().method.as_str(), status, bytes);
    }

    /// Failures are logged in `fail_to_proxy`, once.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<Context>, _error: &Error) -> bool {
        true
    }
}
