//! What happens to a request before anything of it is forwarded: admit, own pages, judge.
//!
//! Fails closed at every step: without a connection state, a request id or a judgement nothing goes on.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use crate::base::token::Token;
use crate::crypto::cookie::CookieNames;
use crate::gate::judge::{JudgeFault, Presented};
use crate::gate::snapshot::Owner;
use crate::gate::visitor::Visitor;
use crate::policy::target::Verb;

use super::admit::{Admitted, Refused, admit};
use super::answer::{Answer, is_navigation};
use super::bridge;
use super::client::Client;
use super::context::Context;
use super::gateway::Gateway;
use super::headers;
use super::request::state_of;
use super::running::Running;

impl Gateway {
    /// Answers a request that goes no further.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        ctx: &Context,
        answer: Answer,
    ) -> pingora::Result<bool> {
        answer
            .with_hsts(ctx.hsts.as_ref())
            .send(session, ctx)
            .await?;
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
    pub(super) async fn handle(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<bool> {
        let connection = state_of(&session.downstream_session).cloned();
        let connection = connection
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "no connection state"))?;
        let running = self.0.running.load_full();
        ctx.snapshot_name.clone_from(&running.name);
        headers::join_cookies(session.req_header_mut());
        let client = Client::of(
            &connection,
            &session.req_header().headers,
            &running.snapshot.trusted_proxies,
        );
        let admitted = admit(
            session.req_header(),
            &connection,
            &client,
            &running,
            &self.0.keyring,
        );
        let over_https = client.https;
        ctx.client = Some(client);
        let Admitted { target, https_site } = match admitted {
            Ok(admitted) => admitted,
            Err(Refused::Challenge(answer)) => {
                ctx.outcome.verdict = "own";
                ctx.outcome.reason = "acme";
                return Box::pin(self.answer(session, ctx, Answer::text(200, &answer))).await;
            }
            Err(refused) => return Box::pin(self.refuse(session, ctx, &refused)).await,
        };
        if https_site && over_https {
            // Over plain http it means nothing (RFC 6797 section 7.2).
            ctx.hsts.clone_from(&running.hsts);
        }
        let owner = running.snapshot.owner(target.path().as_str());
        ctx.target = Some(target);
        let names = CookieNames::of(https_site, running.snapshot.cookie_domain.as_ref());
        match owner {
            Owner::Gateway => {
                // Boxed, as every turn that few requests take: a request carries the room of all others.
                Box::pin(self.own_page(session, ctx, &running, names)).await
            }
            Owner::Upstream if session.req_header().method == http::Method::OPTIONS => {
                Box::pin(self.options(session, ctx, &running, names)).await
            }
            Owner::Upstream => self.judge(session, ctx, &running, names).await,
        }
    }

    async fn own_page(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        names: CookieNames,
    ) -> pingora::Result<bool> {
        ctx.outcome.rule = Some(Arc::clone(&self.0.own_label));
        ctx.outcome.verdict = "own";
        let (client, target) = ctx.admitted()?;
        let marks = target.path().marks();
        if marks.encoded_slash || marks.matrix {
            return self.two_readings(session, ctx).await;
        }
        let visitor = Visitor {
            ip: client.ip,
            cookies: names,
            request: ctx
                .id
                .ok_or_else(|| Error::explain(ErrorType::InternalError, "no request id"))?,
            snapshot: Arc::clone(&running.snapshot),
        };
        let asked = target.origin_form();
        let answer = match bridge::ask(session, &asked, visitor, &self.0.pages).await {
            Ok(answer) => answer,
            Err(fault) => {
                session.set_keepalive(None);
                Answer::refusal(fault.status(), "REQUEST_REFUSED", &fault.to_string(), false)
            }
        };
        self.answer(session, ctx, answer).await
    }

    /// A browser's question before a request of another origin is answered here, where the rule for that request
    /// has an answer; a service is not asked. Every other `OPTIONS` is a request like any other.
    async fn options(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        names: CookieNames,
    ) -> pingora::Result<bool> {
        let (_, target) = ctx.admitted()?;
        let Some((origin, method)) = preflight(&session.req_header().headers) else {
            return self.judge(session, ctx, running, names).await;
        };
        let rule = self.0.gate.preview(&running.snapshot, target, method);
        let Some((rule, cors)) =
            rule.and_then(|rule| Some((Arc::clone(&rule), rule.cors.clone()?)))
        else {
            return self.judge(session, ctx, running, names).await;
        };
        ctx.outcome.rule = Some(Arc::clone(&rule.label));
        let answer = if cors.admits(&origin) {
            ctx.outcome.verdict = "preflight";
            Answer::empty(204).and(cors.preflight(&origin, method))
        } else {
            ctx.outcome.verdict = "deny";
            ctx.outcome.reason = "origin";
            let detail = "Pages of this origin may not use this.";
            Answer::refusal(403, "ORIGIN_REFUSED", detail, false).and(cors.answer(None))
        };
        self.answer(session, ctx, answer).await
    }

    async fn judge(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        names: CookieNames,
    ) -> pingora::Result<bool> {
        let (client, target) = ctx.admitted()?;
        let certificate = self.shown_by(session, client, target.host());
        let asked = &session.req_header().headers;
        let (cookie, left) = headers::sort_cookies(asked, names.session);
        let presented = Presented {
            ip: client.ip,
            session: cookie.and_then(|text| Token::parse_hash(text).ok()),
            bearer: headers::bearer(asked),
            certificate,
        };
        let judged = self
            .0
            .gate
            .judge(&running.snapshot, target, &presented)
            .await;
        let request = session.req_header_mut();
        headers::forget_case(request);
        let stripped = headers::strip(request, &running.snapshot.reserved, left);
        (ctx.plain, ctx.asks) = (stripped.plain, stripped.asks);
        self.0
            .metrics
            .gate_duration
            .observe(ctx.elapsed().as_secs_f64());
        match judged {
            Ok(judged) => self.obey(session, ctx, running, judged).await,
            Err(JudgeFault::Path(_)) => Box::pin(self.two_readings(session, ctx)).await,
            Err(JudgeFault::Credential) => Box::pin(self.bad_token(session, ctx)).await,
            Err(JudgeFault::Certificate) => Box::pin(self.bad_certificate(session, ctx)).await,
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

/// The origin and the method that a CORS preflight asks for (Fetch, section 3.3.2).
fn preflight(headers: &HeaderMap) -> Option<(HeaderValue, Verb)> {
    let method = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let method = Verb::parse(method.to_str().ok()?).ok()?;
    Some((headers.get(header::ORIGIN)?.clone(), method))
}
