//! A tunnel's way through the gateway: the handshake that is refused or let through, the service's consent, the
//! client's bytes that keep its session alive, and what becomes of it when nothing moves any more.

use std::sync::Arc;

use pingora::proxy::{FailToProxy, Session};
use pingora::upstreams::peer::HttpPeer;

use super::socket::{Latch, latch};
use super::{End, HandshakeFault, Tunnel, check, fit};
use crate::identity::session::Live;
use crate::policy::decide::Permit;
use crate::proxy::context::Context;
use crate::proxy::forward::time_left;
use crate::proxy::gateway::Gateway;
use crate::proxy::request::state_of;
use crate::proxy::running::Running;

/// Tells how long a server may be silent: for so long as the rule says. Where a tunnel is asked for, the guard times it.
pub fn wait_for(session: &Session, peer: &mut HttpPeer, ctx: &mut Context) {
    let idle = ctx.permit().and_then(Permit::idle);
    if let Some(idle) = idle.filter(|_| ctx.tunnel.is_none()) {
        // A handshake is answered like any other request; it is the tunnel that may be silent.
        let left = time_left(ctx).ok().flatten();
        peer.options.read_timeout = Some(left.map_or(idle, |left| left.min(idle)));
    }
    if let Some(state) = state_of(&session.downstream_session) {
        // What the guard was told of the try before does not hold for this one.
        state.limit_no_answer();
    }
    // The guard may be late by a quarter, and the time for everything is not to be.
    let left = time_left(ctx).ok().flatten().map(|left| left * 4 / 5);
    if let Some(tunnel) = &mut ctx.tunnel
        && let Some(limit) = fit(&mut peer.options)
        && let Some(state) = state_of(&session.downstream_session)
    {
        state.limit_handshake(left.map_or(limit, |left| limit.min(left)));
        tunnel.latch = Latch::default();
        latch(peer, &tunnel.latch, state);
        return;
    }
    // Pingora would set a timer for each answer, and begin anew with each byte of its head. Where there is a limit for
    // everything, both are set: what is left of it is another span each time.
    if ctx.tunnel.is_none()
        && !session.is_http2()
        && is_http1(peer)
        && let Some(limit) = peer.options.read_timeout
        && let Some(state) = state_of(&session.downstream_session)
        && state.limit_answer(limit)
        && ctx.deadline.is_none()
    {
        peer.options.read_timeout = None;
    }
}

/// Whether a service is spoken to in HTTP/1 for certain. A connection of HTTP/2 is shared: one that says nothing any more
/// must be given up when a request on it is, and Pingora knows that by its own timer alone.
fn is_http1(peer: &HttpPeer) -> bool {
    peer.options.alpn.get_max_http_version() == 1
}

/// The service has closed its end of a tunnel: what it sent last is still to reach the client.
pub fn note_last(session: &Session) {
    if let Some(state) = state_of(&session.downstream_session) {
        state.backlogs().to_client.note_last();
    }
}

/// A tunnel is over: whether it was the client that broke it off.
pub fn note_broken(session: &Session, ctx: &mut Context) {
    if ctx.tunnel.is_some()
        && state_of(&session.downstream_session).is_some_and(|state| state.broke_off())
    {
        ctx.end_tunnel(End::Broken);
    }
}

impl Gateway {
    /// A handshake that the rules allow: it must be one, and made by a page that may make it.
    pub(in crate::proxy) async fn shake_hands(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        running: &Running,
        permit: Permit,
    ) -> pingora::Result<bool> {
        let checked = check(session.req_header(), &permit, &running.snapshot);
        let pool = running.pools.get(permit.upstream());
        let checked = match pool {
            Some(pool) if pool.is_h2_only() => checked.and(Err(HandshakeFault::Service)),
            _ => checked,
        };
        match checked {
            Ok(tunnel) => {
                super::ask(session.req_header_mut())?;
                ctx.tunnel = Some(Box::new(tunnel));
                let next = self.prepare(session, ctx, running, permit)?;
                next.answered().await
            }
            Err(fault) => {
                ctx.outcome.verdict = "refuse";
                ctx.outcome.reason = fault.reason();
                let rule = &*permit.rule().label;
                self.0
                    .metrics
                    .denials
                    .with_label_values(&[rule, fault.reason()])
                    .inc();
                session.set_keepalive(None);
                self.answer(session, ctx, fault.answer()).await
            }
        }
    }

    /// The service has agreed, and the client is about to be told.
    pub(in crate::proxy) fn open_tunnel(&self, session: &Session, ctx: &mut Context) {
        let state = state_of(&session.downstream_session);
        if let (Some(tunnel), Some(state)) = (&mut ctx.tunnel, state) {
            state.open_tunnel(tunnel.idle);
            tunnel.begin(self.0.metrics.clone());
            // What comes through a tunnel is no body.
            (ctx.body_limit, ctx.body_left) = (None, None);
        }
    }

    /// Something came from the client: the end of its handshake, or bytes through its tunnel, which are a use of its
    /// session.
    pub(in crate::proxy) fn hear(&self, tunnel: &Tunnel, session: Option<&Arc<Live>>, end: bool) {
        match session {
            _ if !tunnel.is_open() => tunnel.asked(),
            Some(live) if !end => self.0.gate.note_use(live),
            _ => {}
        }
    }
}

/// What becomes of a tunnel that broke off or was silent for too long; neither is a fault of the gateway's or a secret, and
/// both are how tunnels usually end. None for a request that was to become one.
pub fn tell_end(session: &Session, ctx: &mut Context) -> Option<FailToProxy> {
    let silent = state_of(&session.downstream_session).is_some_and(|state| state.fell_silent());
    let how = if silent { End::Idle } else { End::Broken };
    ctx.end_tunnel(how)?;
    Some(FailToProxy {
        error_code: 0,
        can_reuse_downstream: false,
    })
}
