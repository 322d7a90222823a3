//! Refusals that say the same to everybody, in one table: what the client is told, and what the log and metrics are.

use std::sync::Arc;

use http::header;
use pingora::proxy::Session;

use crate::base::identity::Method;
use crate::policy::rule::Rule;

use super::answer::{Answer, is_navigation};
use super::context::Context;
use super::gateway::Gateway;
use super::headers;
use super::page::Page;
use super::running::Running;

/// One kind of refusal.
pub struct Refusal {
    /// What was decided; none where the decision stands, and only cannot be carried out.
    verdict: Option<&'static str>,
    /// Why; none where the decision has said so.
    reason: Option<&'static str>,
    status: u16,
    code: &'static str,
    detail: &'static str,
    /// What somebody who is going somewhere gets in place of JSON.
    page: Shown,
    /// Whether the connection ends: what follows on it is not to be read, or belongs on another one.
    closes: bool,
    hint: Hint,
    /// Whether it has an id, by which the decision can be asked about.
    decision: bool,
}

/// What people are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// What programs are.
    Json,
    /// A page.
    Page,
    /// One that says as whom they are signed in, and leads on to where they can change that.
    WayOut,
}

/// What a refusal says that a program may act upon.
enum Hint {
    None,
    /// What would be accepted (`WWW-Authenticate`, RFC 9110 section 11.6.1).
    Challenge(&'static str),
    /// When to come back (`Retry-After`), in seconds.
    Later(&'static str),
}

const USUAL: Refusal = Refusal {
    verdict: None,
    reason: None,
    status: 400,
    code: "REQUEST_REFUSED",
    detail: "",
    page: Shown::Json,
    closes: false,
    hint: Hint::None,
    decision: false,
};

/// The path can be read in two ways.
pub const TWO_READINGS: Refusal = Refusal {
    verdict: Some("refuse"),
    reason: Some("path"),
    detail: "The path can be read in two ways.",
    closes: true,
    ..USUAL
};

/// A cookie and a token that belong to two people: whoever was meant, one of them was not.
pub const TWO_USERS: Refusal = Refusal {
    verdict: Some("refuse"),
    reason: Some("two_users"),
    code: "TWO_IDENTITIES",
    detail: "What proves who you are names different users.",
    ..USUAL
};

/// A token is there and is not good (RFC 6750 section 3.1).
pub const BAD_TOKEN: Refusal = Refusal {
    verdict: Some("login"),
    reason: Some("token"),
    status: 401,
    code: "INVALID_TOKEN",
    detail: "The access token is not good, or no more.",
    hint: Hint::Challenge("Bearer realm=\"portcullis\", error=\"invalid_token\""),
    decision: true,
    ..USUAL
};

/// A certificate was shown, and does not count: it is revoked, or its time is over, or it is nobody's. On another
/// connection another one may be shown.
pub const BAD_CERTIFICATE: Refusal = Refusal {
    verdict: Some("login"),
    reason: Some("certificate"),
    status: 401,
    code: "INVALID_CERTIFICATE",
    detail: "The certificate that was shown is not good here, or no more.",
    page: Shown::Page,
    closes: true,
    hint: Hint::Challenge("Certificate realm=\"portcullis\""),
    decision: true,
};

/// A browser comes back on a connection of its own, on which it is asked (RFC 9110 section 15.5.20).
pub const ASK_AGAIN: Refusal = Refusal {
    reason: Some("misdirected"),
    status: 421,
    detail: "A certificate is asked for here, on a connection of its own.",
    closes: true,
    ..USUAL
};

/// Somebody else's page asks, with the certificate of whoever looks at it.
pub const CROSS_SITE: Refusal = Refusal {
    verdict: Some("refuse"),
    reason: Some("origin"),
    status: 403,
    code: "CROSS_SITE",
    detail: "This page may not do this here.",
    page: Shown::Page,
    closes: true,
    ..USUAL
};

/// Whoever asks is known, and may not.
pub const FORBIDDEN: Refusal = Refusal {
    status: 403,
    code: "FORBIDDEN",
    detail: "You may not see this.",
    page: Shown::WayOut,
    decision: true,
    ..USUAL
};

/// The path does not lie below what is to be cut off. `check` refuses rules that lead here.
pub const NO_SUCH_PATH: Refusal = Refusal {
    reason: Some("strip"),
    status: 404,
    code: "NOT_FOUND",
    detail: "There is nothing here.",
    ..USUAL
};

/// More is announced than may be sent.
pub const BODY_TOO_LARGE: Refusal = Refusal {
    reason: Some("body"),
    status: 413,
    code: "BODY_TOO_LARGE",
    detail: "The request body is too large.",
    closes: true,
    ..USUAL
};

/// Too many requests of one origin are under way. Nothing was looked at.
pub const TOO_MANY_REQUESTS: Refusal = Refusal {
    verdict: Some("refuse"),
    reason: Some("requests"),
    status: 429,
    code: "TOO_MANY_REQUESTS",
    detail: "Too many requests of this address are under way.",
    closes: true,
    hint: Hint::Later("1"),
    ..USUAL
};

/// The store does not answer, so that nobody can be told from anybody.
pub const UNAVAILABLE: Refusal = Refusal {
    verdict: Some("error"),
    reason: Some("store"),
    status: 503,
    code: "UNAVAILABLE",
    detail: "The gateway cannot check who you are just now.",
    hint: Hint::Later("5"),
    ..USUAL
};

impl Refusal {
    /// For programs, unless somebody may read it as a page.
    fn answer(&self, reader: Option<Page<'_>>) -> Answer {
        let page = Page {
            detail: self.detail,
            ..Page::default()
        };
        let answer = match (reader, self.page) {
            (None, _) | (_, Shown::Json) => {
                Answer::refusal(self.status, self.code, self.detail, false)
            }
            (Some(_), Shown::Page) => Answer::refusal_page(self.status, page),
            (Some(reader), Shown::WayOut) => {
                let detail = self.detail;
                Answer::refusal_page(self.status, Page { detail, ..reader })
            }
        };
        match self.hint {
            Hint::None => answer,
            Hint::Challenge(ways) => answer.with(header::WWW_AUTHENTICATE, ways),
            Hint::Later(seconds) => answer.with(header::RETRY_AFTER, seconds),
        }
    }
}

impl Gateway {
    /// Refuses a request in one of the ways of the table.
    pub(super) async fn turn_down(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        refusal: &Refusal,
    ) -> pingora::Result<bool> {
        self.turn_down_from(session, ctx, refusal, None).await
    }

    /// Whoever asks may not, whoever they are; where a session would have opened it, another one may.
    pub(super) async fn forbid(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        rule: Option<Arc<Rule>>,
    ) -> pingora::Result<bool> {
        let by_session = rule.is_some_and(|rule| rule.auth.contains(&Method::Session));
        let account = by_session.then(|| format!("{}/account", running.snapshot.prefix));
        self.turn_down_from(session, ctx, &FORBIDDEN, account.as_deref())
            .await
    }

    /// The same, with the page where people sign out.
    async fn turn_down_from(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        refusal: &Refusal,
        account: Option<&str>,
    ) -> pingora::Result<bool> {
        if let Some(verdict) = refusal.verdict {
            ctx.outcome.verdict = verdict;
        }
        if let Some(reason) = refusal.reason {
            ctx.outcome.reason = reason;
        }
        if refusal.closes {
            session.set_keepalive(None);
        }
        let request = session.req_header();
        let id = ctx.id_text();
        let live = ctx.session.as_ref();
        let reader = is_navigation(&request.method, &request.headers).then(|| Page {
            name: live.map(|live| live.identity.name.as_str()),
            account,
            id: Some(&id),
            ..Page::default()
        });
        let answer = refusal.answer(reader);
        let answer = if refusal.decision {
            answer.with(headers::DECISION, &id)
        } else {
            answer
        };
        self.answer(session, ctx, answer).await
    }
}
