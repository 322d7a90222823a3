//! What happens to a request before anything of it is forwarded: admit, own pages, judge.
//!
//! Fails closed at every step: without a connection state, a request id or a judgement nothing goes on.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use crate::base::token::Token;
use crate::crypto::cookie::{CookieNames, Left};
use crate::gate::credential::bearer;
use crate::gate::judge::Presented;
use crate::gate::snapshot::Owner;
use crate::gate::visitor::Visitor;
use crate::policy::target::Verb;
use crate::telemetry::limit::Limit;

use super::admit::{Admitted, Refused, TurnedAway, admit};
use super::answer::{Answer, is_navigation};
use super::bridge::{self, BridgeFault};
use super::client::Client;
use super::connection::ConnState;
use super::context::Context;
use super::gateway::Gateway;
use super::headers;
use super::next::{Answering, Next};
use super::request::state_of;
use super::running::Running;
use super::tunnel::only;

/// What our own pages of an https site say where the file says nothing: two years, as browsers' preload lists ask at least
/// half of.
const OWN_HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// Notes what the answer says of https. Over plain http it means nothing (RFC 6797 section 7.2).
pub(super) fn note_hsts(ctx: &mut Context, running: &Running, https: bool) {
    if https {
        ctx.hsts.clone_from(&running.hsts);
    }
}

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

    /// Everything up to a permit. `true` when the request has been answered; none when it is to be judged once more,
    /// because a reload came in between.
    pub(super) async fn handle(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
    ) -> pingora::Result<Option<bool>> {
        let names = match self.receive(session, ctx, running)? {
            Received::Judge(names) => names,
            Received::Keep(kept) => return self.keep(session, ctx, running, kept).await.map(Some),
        };
        let (presented, cookies) = self.credentials(session, ctx, &names)?;
        let judged = match self.0.gate.select(&running.snapshot, ctx.admitted()?.1) {
            Err(fault) => Err(fault),
            Ok(selection) => match self.0.gate.judge_at_hand(&selection, &presented) {
                Some(judged) => Ok(judged),
                None => Box::pin(self.0.gate.judge(&selection, &presented)).await,
            },
        };
        if matches!(&judged, Ok(judged) if !self.0.gate.counts(&running.snapshot, judged)) {
            return Ok(None);
        }
        let request = session.req_header_mut();
        headers::forget_case(request);
        let stripped = headers::strip(request, &running.snapshot.reserved, cookies);
        (ctx.plain, ctx.asks) = (stripped.plain, stripped.asks);
        let took = ctx.elapsed().as_secs_f64();
        self.0.metrics.gate_duration.observe(took);
        let next = match judged {
            Ok(judged) => self.obey(session, ctx, running, judged)?,
            Err(fault) => Next::answer(self.refuse_unjudged(session, ctx, running, fault)),
        };
        next.answered().await.map(Some)
    }

    /// Whom a request is for.
    fn receive(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
    ) -> pingora::Result<Received> {
        let connection = Arc::clone(connection_of(session)?);
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
            running,
            &self.0.keyring,
        );
        let over_https = client.https;
        ctx.client = Some(client);
        let Admitted {
            target,
            host,
            https_site,
        } = match admitted {
            Ok(admitted) => admitted,
            Err(TurnedAway { why, host, target }) => {
                ctx.asked = host;
                ctx.target = target.map(|target| *target);
                if matches!(why, Refused::Insecure(_)) {
                    self.advise(session, ctx, &connection);
                }
                // Whatever it asked for, it asked an https site.
                note_hsts(
                    ctx,
                    running,
                    over_https && running.snapshot.sites.all_https(),
                );
                return Ok(Received::Keep(Kept::Refused(why)));
            }
        };
        note_hsts(ctx, running, over_https && https_site);
        let owner = running.snapshot.owner(target.path());
        ctx.target = Some(target);
        ctx.host = Some(host);
        let names = CookieNames::of(https_site, running.snapshot.cookie_domain.as_ref());
        if owner != Owner::Upstream {
            if https_site {
                ctx.hsts.get_or_insert(OWN_HSTS);
            }
            ctx.outcome.rule = Some(Arc::clone(&self.0.own_label));
            return Ok(Received::Keep(match owner {
                Owner::Gateway => Kept::OwnPage(names),
                _ => Kept::NobodysPage,
            }));
        }
        Ok(match self.preflight(session, ctx, running) {
            Some(answer) => Received::Keep(Kept::Preflight(answer)),
            None => Received::Judge(names),
        })
    }

    /// Tells the operator what may be wrong where an https site is asked in the clear.
    #[cold]
    fn advise(&self, session: &Session, ctx: &Context, connection: &ConnState) {
        if let Some(client) = &ctx.client {
            let (peer, headers) = (
                connection.peer.ip().to_canonical(),
                &session.req_header().headers,
            );
            let now = self.0.clock.now();
            self.0.advice.note_insecure(peer, client, headers, now);
        }
    }

    /// A request that no service is to see.
    #[cold]
    fn keep<'a>(
        &'a self,
        session: &'a mut Session,
        ctx: &'a mut Context,
        running: &'a Running,
        kept: Kept,
    ) -> Answering<'a> {
        Box::pin(async move {
            match kept {
                Kept::OwnPage(names) => self.own_page(session, ctx, running, names).await,
                Kept::NobodysPage => self.two_readings(session, ctx).await,
                Kept::Preflight(answer) => self.answer(session, ctx, answer).await,
                Kept::Refused(Refused::Challenge(answer)) => {
                    ctx.outcome.verdict = "own";
                    ctx.outcome.reason = "acme";
                    self.answer(session, ctx, Answer::text(200, &answer)).await
                }
                Kept::Refused(refused) => self.refuse(session, ctx, &refused).await,
            }
        })
    }

    async fn own_page(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        names: CookieNames,
    ) -> pingora::Result<bool> {
        ctx.outcome.verdict = "own";
        let who = Arc::clone(ctx.who.get_or_insert_default());
        let (client, target) = ctx.admitted()?;
        let visitor = Visitor {
            ip: client.ip,
            cookies: names,
            request: ctx
                .id
                .ok_or_else(|| Error::explain(ErrorType::InternalError, "no request id"))?,
            snapshot: Arc::clone(&running.snapshot),
            who,
        };
        let asked = target.origin_form();
        let answer = match bridge::ask(session, &asked, visitor, &self.0.pages).await {
            Ok(answer) => answer,
            Err(fault) => {
                if matches!(fault, BridgeFault::TooSlow) {
                    ctx.outcome.reason = "slow";
                    self.0.metrics.refused(Limit::Body);
                }
                session.set_keepalive(None);
                let request = session.req_header();
                let shown = is_navigation(&request.method, &request.headers);
                Answer::refusal(fault.status(), "REQUEST_REFUSED", &fault.to_string(), shown)
            }
        };
        self.answer(session, ctx, answer).await
    }

    /// The answer to a browser's question before a request of another origin, where the rule for that request has
    /// one; a service is not asked. Every other `OPTIONS` is a request like any other.
    fn preflight(&self, session: &Session, ctx: &mut Context, running: &Running) -> Option<Answer> {
        let request = session.req_header();
        if request.method != http::Method::OPTIONS {
            return None;
        }
        let (origin, method) = preflight(&request.headers)?;
        let target = ctx.target.as_ref()?;
        let rules = self.0.gate.preview(&running.snapshot, target, method)?;
        let cors = rules.cors()?;
        ctx.outcome.rule = rules.rule.as_ref().map(|rule| Arc::clone(&rule.label));
        Some(if cors.admits(&origin) {
            ctx.outcome.verdict = "preflight";
            Answer::empty(204).and(cors.preflight(&origin, method))
        } else {
            ctx.outcome.verdict = "deny";
            ctx.outcome.reason = "origin";
            let detail = "Pages of this origin may not use this.";
            Answer::refusal(403, "ORIGIN_REFUSED", detail, false).and(cors.answer(None))
        })
    }

    /// What a request presents, and what a service may see of its cookies.
    fn credentials(
        &self,
        session: &Session,
        ctx: &Context,
        names: &CookieNames,
    ) -> pingora::Result<(Presented, Left)> {
        let (client, target) = ctx.admitted()?;
        let asked = &session.req_header().headers;
        let sort = |line: &_| {
            let (cookie, left) = headers::sort_cookies(line, names.session);
            (cookie.and_then(|text| Token::parse_hash(text).ok()), left)
        };
        let last = &connection_of(session)?.cookies;
        let (token, left) = match asked.get(header::COOKIE) {
            Some(line) => last.read(line, names.session, sort),
            None => (None, Left::All),
        };
        let presented = Presented {
            ip: client.origin(),
            session: token,
            bearer: bearer(asked),
            certificate: self.shown_by(session, client, target.host()),
            safe: session.req_header().method.is_safe() && !asked.contains_key(header::UPGRADE),
        };
        Ok((presented, left))
    }
}

/// Whom a request is for, as far as it was looked at.
enum Received {
    /// For a service, if the rules say so; cookies of these names tell who asks.
    Judge(CookieNames),
    /// For no service.
    Keep(Kept),
}

/// What no service is to see.
enum Kept {
    /// One of our own pages is asked for.
    OwnPage(CookieNames),
    /// One of them may be, and perhaps something else.
    NobodysPage,
    /// A service would be asked, and is answered for.
    Preflight(Answer),
    /// Nobody is to see it.
    Refused(Refused),
}

fn connection_of(session: &Session) -> pingora::Result<&Arc<ConnState>> {
    let fault = || Error::explain(ErrorType::InternalError, "no connection state");
    state_of(&session.downstream_session).ok_or_else(fault)
}

/// The origin and the method that a CORS preflight asks for (Fetch, section 3.3.2).
fn preflight(headers: &HeaderMap) -> Option<(HeaderValue, Verb)> {
    let method = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let method = Verb::parse(method.to_str().ok()?).ok()?;
    Some((only(headers, &header::ORIGIN)?.clone(), method))
}
