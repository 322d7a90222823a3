//! What comes of proving who one is by a certificate: a browser shows it to every page's requests alike, and keeps
//! the connection it was not asked on.
//!
//! A cookie of ours stays behind when another site's page sends a form (`SameSite=Lax`); a certificate does not. So
//! what changes something is refused here when such a page has sent it.

use std::sync::Arc;

use http::header::{self, HeaderMap};
use http::{HeaderName, Method};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::base::identity::Method as Proof;
use crate::base::net::Host;
use crate::crypto::client::ClientCertificate;
use crate::policy::decide::Permit;
use crate::policy::target::Target;

use super::client::Client;
use super::context::Context;
use super::gateway::Gateway;
use super::refusal::CROSS_SITE;
use super::request::state_of;
use super::running::Running;
use super::tunnel;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a page of another site, in the browser of somebody who has a certificate, sends something that may change
/// something. Programs send neither of the two headers that say so.
pub fn is_foreign(request: &RequestHeader, permit: &Permit, running: &Running) -> bool {
    let by_certificate = matches!(permit.proof(), Some((Proof::Mtls, _)));
    let reads = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !by_certificate || reads {
        return false;
    }
    let headers = &request.headers;
    match tunnel::only(headers, &header::ORIGIN) {
        Some(origin) => {
            let admitted = permit
                .cors()
                .is_some_and(|cors| cors.admits_with_credentials(origin));
            let own = |origin: &_, asked: &_| running.snapshot.is_own_page(origin, asked);
            !admitted && !tunnel::is_ours(request, own)
        }
        None => headers.contains_key(header::ORIGIN) || is_sent_from_elsewhere(headers),
    }
}

fn is_sent_from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get(FETCH_SITE);
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

impl Gateway {
    /// The certificate of the client, where this host asks for one: on a connection that was opened for another it
    /// proves nothing here. That of a trusted proxy says who the proxy is, and not whom it speaks for.
    pub(super) fn shown_by(
        &self,
        session: &Session,
        client: &Client,
        host: &Host,
    ) -> Option<Arc<ClientCertificate>> {
        let shown = state_of(&session.downstream_session)?
            .shown
            .certificate
            .as_ref()?;
        let roots = self.0.roots.load();
        let asks = roots.as_ref().is_none_or(|roots| roots.asks_at(Some(host)));
        (asks && !client.through_trusted).then(|| Arc::clone(shown))
    }

    /// Whether a certificate could prove who asks, and was never asked for on this connection, or by others than
    /// those who vouch now: it was made for another site, or before a reload.
    pub(super) fn never_asked(&self, session: &Session, ctx: &Context) -> bool {
        let connection = state_of(&session.downstream_session);
        let direct = ctx.client.as_ref().is_some_and(|c| !c.through_trusted);
        let Some(connection) = connection.filter(|connection| connection.tls && direct) else {
            return false;
        };
        let host = ctx.target.as_ref().map(Target::host);
        let roots = self.0.roots.load();
        let Some(roots) = roots.as_ref().filter(|roots| roots.asks_at(host)) else {
            return false;
        };
        let asked = connection.shown.asked.as_ref();
        !asked.is_some_and(|asked| Arc::ptr_eq(asked, roots))
    }

    /// Somebody else's page asks, with the certificate of whoever looks at it.
    pub(super) async fn refuse_page(
        &self,
        session: &mut Session,
        ctx: &mut Context,
    ) -> pingora::Result<bool> {
        let rule = ctx.outcome.rule.as_deref().unwrap_or("-");
        let denials = &self.0.metrics.denials;
        denials.with_label_values(&[rule, "origin"]).inc();
        self.turn_down(session, ctx, &CROSS_SITE).await
    }
}
