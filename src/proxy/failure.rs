//! What becomes of a request whose service could not answer: what the client is told, and what the log is.
//!
//! Neither says anything of the inside: a failure may quote what a service sent.

use pingora::Error;
use pingora::proxy::{FailToProxy, Session};

use super::answer::{Answer, is_navigation};
use super::context::Context;
use super::forward::status_of;
use super::gateway::Gateway;

impl Gateway {
    pub(super) async fn tell_failure(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Context,
    ) -> FailToProxy {
        if let Some(told) = self.tell_silence(session, ctx).await {
            return told;
        }
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
}
