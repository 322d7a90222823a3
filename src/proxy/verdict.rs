//! From a decision to what is done: a permit is readied for its upstream, everything else is answered.

use std::sync::Arc;

use http::HeaderValue;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tokio::time::Instant;

use crate::base::identity::Method;
use crate::base::site::PageOrigin;
use crate::gate::judge::{JudgeFault, Judged};
use crate::gate::snapshot::Snapshot;
use crate::policy::condition::Condition;
use crate::policy::cors::Cors;
use crate::policy::decide::{Decision, Permit, Reason, Verdict};
use crate::policy::header::Said;
use crate::policy::index::Selection;
use crate::policy::rule::Rule;
use crate::policy::target::Target;

use super::answer::{Answer, is_navigation};
use super::bridge;
use super::caches;
use super::certificates::is_foreign;
use super::context::Context;
use super::forward::finish_request;
use super::gateway::Gateway;
use super::headers;
use super::next::Next;
use super::refusal::{
    ASK_AGAIN, BAD_CERTIFICATE, BAD_TOKEN, BODY_TOO_LARGE, NO_SUCH_PATH, TWO_READINGS, TWO_USERS,
    UNAVAILABLE,
};
use super::request::{cut_when, state_of};
use super::running::Running;
use super::tunnel::{asked, only};
use super::upstream::Pool;

/// Notes whose page asks, where pages of other origins are to see the answer.
fn note_origin(session: &Session, ctx: &mut Context, cors: Option<&Arc<Cors>>) {
    if let Some(cors) = cors {
        let origin = only(&session.req_header().headers, &http::header::ORIGIN);
        ctx.cors = Some((Arc::clone(cors), origin.cloned()));
    }
}

/// What the rules have the answer say.
fn dress(permit: &Permit) -> Option<Arc<[Said]>> {
    let mut all = permit.rules().map(|rule| &rule.headers);
    let first = all.next()?;
    match all.next() {
        Some(second) if first != second => {
            let [first, second] = [first, second].map(|said| said.as_deref().unwrap_or_default());
            Some(caches::said_by_both(first, second).into())
        }
        _ => first.clone(),
    }
}

impl Gateway {
    /// Answers a request that could not be judged.
    pub(super) async fn refuse_unjudged(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        fault: JudgeFault,
    ) -> pingora::Result<bool> {
        // A page of another origin is to see that its token is no good any more.
        let target = ctx.target.as_ref();
        let rules = target.and_then(|target| {
            let snapshot = &running.snapshot;
            self.0.gate.preview(snapshot, target, target.method())
        });
        note_origin(session, ctx, rules.as_ref().and_then(Selection::cors));
        let refusal = match fault {
            JudgeFault::Path(_) => return self.two_readings(session, ctx).await,
            JudgeFault::Credential => BAD_TOKEN,
            JudgeFault::Certificate => {
                // In HTTP/2 no answer says so: another one is shown on another connection.
                let state = state_of(&session.downstream_session);
                if let Some(leaving) = state.and_then(|state| state.leaving()) {
                    leaving.cancel();
                }
                BAD_CERTIFICATE
            }
            JudgeFault::TwoUsers => TWO_USERS,
            JudgeFault::Identity(fault) => {
                tracing::error!(%fault, id = ctx.id_text(), "cannot tell who asks");
                UNAVAILABLE
            }
        };
        self.turn_down(session, ctx, &refusal).await
    }

    pub(super) async fn two_readings(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<bool> {
        self.0.metrics.refusals.with_label_values(&["path"]).inc();
        self.turn_down(session, ctx, &TWO_READINGS).await
    }

    /// Does what was decided.
    pub(super) fn obey<'a>(
        &'a self,
        session: &'a mut Session,
        ctx: &'a mut Context,
        running: &'a Running,
        judged: Judged,
    ) -> pingora::Result<Next<'a>> {
        let Judged {
            decision,
            session: live,
            spent_bearer,
        } = judged;
        self.note(ctx, &decision);
        note_origin(session, ctx, decision.cors.as_ref());
        ctx.dress = match &decision.verdict {
            Verdict::Allow(permit) => dress(permit),
            _ => decision.rule.as_ref().and_then(|it| it.headers.clone()),
        };
        self.withhold_tokens(session.req_header_mut(), spent_bearer);
        if let Some(live) = live {
            cut_when(&session.downstream_session, live.ended());
            ctx.session = Some(live);
        }
        Ok(match decision.verdict {
            Verdict::Allow(permit) if ctx.asks.tunnel => {
                Next::answer(self.shake_hands(session, ctx, running, permit))
            }
            Verdict::Allow(permit) if is_foreign(session.req_header(), &permit, running) => {
                Next::answer(self.refuse_page(session, ctx))
            }
            Verdict::Allow(permit) => self.prepare(session, ctx, running, permit)?,
            Verdict::SignIn => Next::answer(self.sign_in(session, ctx, running, decision.rule)),
            Verdict::Forbid => {
                // Of whom it takes none, or by where they come from, nobody else is let in either.
                let by_rights = decision.reason == Some(Reason::Rights);
                let rule = decision
                    .rule
                    .filter(|it| by_rights && it.allow != Condition::Nobody);
                Next::answer(self.forbid(session, ctx, running, rule))
            }
        })
    }

    /// Takes tokens of ours out of what the service is sent.
    fn withhold_tokens(&self, request: &mut RequestHeader, spent_bearer: bool) {
        let name = http::header::AUTHORIZATION;
        let lines = request.headers.get_all(&name).iter();
        let (ours, theirs): (Vec<_>, Vec<_>) =
            lines.partition(|line| spent_bearer || self.0.gate.holds_token(line));
        if ours.is_empty() {
            return;
        }
        let theirs: Vec<HeaderValue> = theirs.into_iter().cloned().collect();
        request.remove_header(&name);
        for line in theirs {
            // The name is a constant and the value was one, so that this cannot fail.
            let _ = request.append_header(name.clone(), line);
        }
    }

    fn note(&self, ctx: &mut Context, decision: &Decision) {
        if let Some(rule) = &decision.rule {
            ctx.outcome.rule = Some(Arc::clone(&rule.label));
        }
        ctx.outcome.verdict = decision.verdict.as_str();
        if let Some(reason) = decision.reason {
            ctx.outcome.reason = reason.as_str();
            self.0
                .metrics
                .denials
                .with_label_values(&[ctx.outcome.rule.as_deref().unwrap_or("-"), reason.as_str()])
                .inc();
        }
        for (rule, would) in &decision.reports {
            self.0
                .metrics
                .report_only
                .with_label_values(&[&*rule.label, would.as_str()])
                .inc();
            tracing::info!(
                id = ctx.id_text(),
                rule = &*rule.label,
                would = would.as_str(),
                "a reporting rule would have said"
            );
        }
    }

    /// A permit is there: readies what every try to the upstream needs.
    pub(super) fn prepare<'a>(
        &'a self,
        session: &'a mut Session,
        ctx: &'a mut Context,
        running: &'a Running,
        permit: Permit,
    ) -> pingora::Result<Next<'a>> {
        let limit = permit.body_limit(running.limits.body);
        let announced = session
            .req_header()
            .headers
            .get(http::header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if matches!((announced, limit), (Some(length), Some(limit)) if length > limit) {
            return Ok(Next::answer(self.turn_down(session, ctx, &BODY_TOO_LARGE)));
        }
        ctx.body_limit = limit;
        if let Some((method, identity)) = permit.proof() {
            let made = running.snapshot.injector.headers_for(
                (method, identity),
                permit.upstream(),
                self.0.clock.now(),
            );
            ctx.injected = Some(made.map_err(|fault| {
                Error::because(ErrorType::InternalError, "identity headers", fault)
            })?);
        }
        let pool = running.pools.get(permit.upstream()).cloned();
        let pool = pool.ok_or_else(|| {
            Error::explain(ErrorType::InternalError, "the rule's upstream is not there")
        })?;
        if !pool.settings.rewrite.is_none() {
            ctx.sent = rewritten(ctx, &pool);
            if ctx.sent.is_none() {
                return Ok(Next::answer(self.turn_down(session, ctx, &NO_SUCH_PATH)));
            }
        }
        let echo = pool.is_echo();
        ctx.deadline = pool
            .settings
            .timeouts
            .total
            .map(|total| Instant::now() + total);
        ctx.pool = Some(pool);
        ctx.grant(permit);
        Ok(if echo {
            Next::answer(self.show(session, ctx))
        } else {
            Next::Forward
        })
    }

    /// The built-in upstream: gets the very headers that a service would get.
    async fn show(&self, session: &mut Session, ctx: &mut Context) -> pingora::Result<bool> {
        let mut request = session.req_header().clone();
        finish_request(&mut request, ctx)?;
        // Between the client and us only; a service never sees it.
        request.remove_header(&http::header::CONNECTION);
        let judged = || ctx.target.as_ref().map(Target::origin_form);
        let target = ctx.sent.as_deref().map(ToOwned::to_owned).or_else(judged);
        let target = target.unwrap_or_default();
        let answer = match bridge::show(&request, &target, &self.0.echo).await {
            Ok(answer) => answer,
            Err(fault) => Answer::refusal(fault.status(), "ECHO", &fault.to_string(), false),
        };
        self.answer(session, ctx, answer).await
    }

    async fn sign_in(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        rule: Option<Arc<Rule>>,
    ) -> pingora::Result<bool> {
        let request = session.req_header();
        let decision = ctx.id_text();
        let accepts = |method| {
            rule.as_ref()
                .is_some_and(|rule| rule.auth.contains(&method))
        };
        if accepts(Method::Mtls) && self.never_asked(session, ctx) {
            return self.turn_down(session, ctx, &ASK_AGAIN).await;
        }
        // Where no session opens anything, the login page would only lead back here.
        let by_page = accepts(Method::Session) || !(accepts(Method::Jwt) || accepts(Method::Mtls));
        let answer = if by_page && is_navigation(&request.method, &request.headers) {
            let place = login_place(request, ctx.target.as_ref(), running);
            Answer::redirect(303, &place)
        } else {
            // A line each: many programs read the first of a line alone, or the first of all.
            let ways = [
                (accepts(Method::Jwt), "Bearer realm=\"portcullis\""),
                (by_page, "Session realm=\"portcullis\""),
                (accepts(Method::Mtls), "Certificate realm=\"portcullis\""),
            ];
            let page = !by_page && is_navigation(&request.method, &request.headers);
            let answer = Answer::refusal(401, "NOT_AUTHENTICATED", "Not authenticated.", page);
            let ways = ways.iter().filter(|(open, _)| *open);
            ways.fold(answer, |answer, (_, way)| {
                answer.with(http::header::WWW_AUTHENTICATE, way)
            })
        };
        self.answer(session, ctx, answer.with(headers::DECISION, &decision))
            .await
    }
}

/// The login page, and with it the way back: without its query, or none at all, where the whole of it would be too long for
/// ourselves.
fn login_place(request: &RequestHeader, target: Option<&Target>, running: &Running) -> String {
    let whole = way_back(request, target, &running.snapshot);
    let path = whole.split(['?', '#']).next().unwrap_or_default();
    let lost = if is_read(&request.method) {
        ""
    } else {
        "&done=not-taken"
    };
    let place = |next: &str| {
        let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
        format!("{}/login?next={next}{lost}", running.snapshot.prefix)
    };
    let mut places = [&*whole, path].into_iter().map(place);
    // The pages behind it have longer names.
    let fits = |place: &String| place.len() + 64 <= running.limits.target;
    places.find(fits).unwrap_or_else(|| place("/"))
}

const fn is_read(method: &http::Method) -> bool {
    matches!(*method, http::Method::GET | http::Method::HEAD)
}

/// What the login page leads back to. A form's body is gone, which is said there, and what leads back to is the page that
/// it was on.
fn way_back(request: &RequestHeader, target: Option<&Target>, snapshot: &Snapshot) -> String {
    let next = match target {
        Some(target) if is_read(&request.method) => Some(target.origin_form()),
        Some(target) => own_referer(request, target, snapshot),
        None => None,
    };
    next.unwrap_or_else(|| "/".to_owned())
}

/// The path of the page that a request was made on, where it is one of the host that is asked. A form that was shown again
/// stands at the address that it is sent to, which may be no page; and our own pages lead nowhere from here.
fn own_referer(request: &RequestHeader, target: &Target, snapshot: &Snapshot) -> Option<String> {
    let referer = only(&request.headers, &http::header::REFERER)?
        .to_str()
        .ok()?;
    let (scheme, rest) = referer.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let origin: PageOrigin = format!("{scheme}://{authority}").parse().ok()?;
    let (host, port) = asked(request)?;
    let site = snapshot.site_of(&host)?;
    let path = format!("/{path}");
    let page = path.split(['?', '#']).next().unwrap_or_default();
    let elsewhere = page != target.path().as_str() && !page.starts_with(&*snapshot.prefix);
    (site.has_page(&origin, port) && elsewhere).then_some(path)
}

/// What an upstream with other paths is sent in place of the judged target.
fn rewritten(ctx: &Context, pool: &Pool) -> Option<Box<str>> {
    let target = ctx.target.as_ref()?;
    let settings = &pool.settings;
    let path = settings
        .rewrite
        .apply(target.path(), settings.paths.fold_case)?;
    Some(target.with_path(path).origin_form().into())
}
