//! How a server is connected to, as Pingora wants it said.
//!
//! Connections are shared by requests to one upstream only: the group key keeps an address that has gone over to
//! another upstream, or is trusted by other certificates since a reload, from being spoken to over a connection
//! that was opened for somebody else.

use std::sync::Arc;
use std::time::Duration;

use http::header;
use pingora::Error;
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions};

use crate::proxy::pace::is_conversation;
use crate::proxy::settings::{Scheme, Timeouts, Upstream};

use super::balance::key;
use super::fallback::Fallback;
use super::member::Member;
use super::trust::Material;

/// How many requests share one HTTP/2 connection to a service: as many as most services let one have.
const STREAMS: usize = 100;

/// What a service may send of one answer that its client has not taken: enough for 25 megabytes a second from a hundredth
/// of a second away.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for a conversation. Pingora takes nothing of an answer while a service takes nothing of a request, and a service
/// that sends one message before it reads the next one does not: it must have room for a message. Of gRPC's these are 4 MiB,
/// where nobody has said otherwise.
const TALK_WINDOW: u32 = 4 * 1024 * 1024 + STREAM_WINDOW;

/// How many conversations at a time have that much room: clients that take nothing hold it, and half as much again for frames
/// that hold next to nothing.
pub const TALKS: usize = 32;

/// What h2 holds of an answer that is not taken it counts by its frames, too: each costs what it lacks of 256 bytes, and more of
/// that than half a connection's window ends the connection with all that is on it, with a `GOAWAY` of ours. So windows of
/// connections are as large as that takes: what comes at a time is bounded by those of streams. Where a connection is shared,
/// a hundred clients may take nothing of answers in frames of 64 bytes, of which three quarters are spent on the frames.
const CONNECTION_WINDOW: u32 = 2 * 3 * 100 * STREAM_WINDOW;

/// What a service may send of an answer that may be a stream of events: as much as the protocol begins with.
const EVENTS_WINDOW: u32 = 64 * 1024;

/// The window of a connection that one answer has to itself: a mebibyte for its frames, which takes events of 16 bytes. Who
/// leaves more of smaller ones untaken loses nobody's answer but their own.
const ALONE_WINDOW: u32 = 2 * 1024 * 1024;

/// How many bytes a small body has at most. Of all bodies on a connection together, a service takes 65,535 unread at least
/// (RFC 9113 section 6.9.2).
const SMALL: u64 = 4096;

/// How many requests with small bodies share a connection: as many as fit into that, whether the service reads them or not.
const SMALL_STREAMS: usize = 15;

/// What the connections of one upstream have in common.
#[derive(Debug)]
pub struct Manner {
    timeouts: Timeouts,
    keep_alive: Duration,
    group: u64,
    fallback: Arc<Fallback>,
    material: Material,
    server_name: Option<String>,
    accept_any: bool,
}

impl Manner {
    /// The manner of an upstream. How its HTTP/2 fared under `before` stays known.
    #[must_use]
    pub fn of(upstream: &Upstream, before: Option<&Self>) -> Self {
        Self {
            timeouts: upstream.timeouts,
            keep_alive: upstream.keep_alive,
            group: group(upstream),
            fallback: before
                .map(|before| Arc::clone(&before.fallback))
                .unwrap_or_default(),
            material: Material::of(&upstream.trust),
            server_name: upstream.trust.server_name.clone(),
            accept_any: upstream.trust.accept_any,
        }
    }

    /// How a member is connected to. `plain` says that the request holds nothing that is meant for one hop only;
    /// `left` is what remains of the time for everything, if that is limited.
    #[must_use]
    pub fn peer(&self, member: &Member, plain: bool, left: Option<Duration>) -> Box<HttpPeer> {
        let scheme = member.server.scheme;
        let tls = scheme == Scheme::Https;
        let name = self.server_name.as_deref().or(member.server.host());
        let name = name.filter(|_| tls).unwrap_or_default();
        let mut peer = Box::new(HttpPeer {
            _address: member.address.clone(),
            scheme: pingora::upstreams::peer::Scheme::from_tls_bool(tls),
            sni: name.to_owned(),
            proxy: None,
            client_cert_key: self.material.client.clone(),
            group_key: self.group,
            options: PeerOptions::new(),
        });
        let options = &mut peer.options;
        let within = |step: Duration| Some(left.map_or(step, |left| step.min(left)));
        options.connection_timeout = within(self.timeouts.connect);
        options.total_connection_timeout = options.connection_timeout;
        options.read_timeout = within(self.timeouts.read);
        options.write_timeout = within(self.timeouts.write);
        options.idle_timeout = Some(self.keep_alive);
        options.max_h2_streams = STREAMS;
        options.h2_stream_window_size = Some(STREAM_WINDOW);
        options.h2_connection_window_size = Some(CONNECTION_WINDOW);
        options.ca.clone_from(&self.material.authorities);
        options.verify_cert = !self.accept_any;
        // Tunnels are judged by rules of their own; until a request may ask for one, none is opened.
        options.http_upstream_request_policy = if plain && scheme == Scheme::Http {
            // Nothing to look for: the request was searched when it was admitted.
            HttpUpstreamRequestPolicy::preserve()
        } else {
            HttpUpstreamRequestPolicy::deny_upgrades()
        };
        match scheme {
            Scheme::Http => {
                peer.group_key = self.fallback.group(self.group);
                peer.options.set_http_version(1, 1);
            }
            Scheme::Https => {
                let kind = self.fallback.kind(self.group);
                peer.group_key = kind.group;
                peer.options
                    .set_http_version(if kind.old { 1 } else { 2 }, 1);
            }
            Scheme::H2c => options.set_http_version(2, 2),
        }
        peer
    }
}

impl Manner {
    /// Nobody is sent over a connection any more that is kept now, or that is kept after a request which is under way.
    pub fn forget_kept(&self) {
        self.fallback.forget_kept();
    }

    /// A request failed whose peer was in this group at first; whether the next connection is opened otherwise.
    pub fn note_failure(&self, group: u64, error: &Error) -> bool {
        self.fallback.note(self.group, group, error)
    }
}

/// Suits a peer to a request. Bodies over HTTP/2 fill what a service takes at once of all of a connection, and if the
/// service does not read them, keep everybody else's from it: an upload has its connection to itself for as long as it
/// lasts, and no more small bodies share one than always fit. What may be a stream of events has its own, too: small as they
/// are, a few clients that do not take them end a connection.
/// A client of HTTP/1.0 cannot be told where an answer ends that comes without a length over HTTP/2, and is not spoken for
/// in HTTP/2 where that can be helped. `streams`: whether the rule is one for streams.
pub fn suit(
    peer: &mut HttpPeer,
    request: &RequestHeader,
    trailers: bool,
    (has_body, streams): (bool, bool),
) {
    let old = request.version == http::Version::HTTP_10;
    match peer.options.alpn {
        ALPN::H1 | ALPN::Custom(_) => {}
        ALPN::H2H1 if old => {
            peer.options.set_http_version(1, 1);
            set_apart(peer, "old");
        }
        ALPN::H2 | ALPN::H2H1 if has_body && is_upload(request, trailers) => {
            peer.options.max_h2_streams = 1;
            set_apart(peer, "uploads");
        }
        ALPN::H2 | ALPN::H2H1 if is_talk(peer, request, trailers, has_body) => {}
        ALPN::H2 | ALPN::H2H1 if streams || asks_for_events(request) => {
            peer.options.h2_stream_window_size = Some(EVENTS_WINDOW);
            set_alone(peer);
            set_apart(peer, "events");
        }
        ALPN::H2 | ALPN::H2H1 if has_body => {
            peer.options.max_h2_streams = SMALL_STREAMS;
            set_apart(peer, "small");
        }
        ALPN::H2 | ALPN::H2H1 => {}
    }
}

/// Whether a service may be spoken to in HTTP/2, and spoken with.
#[must_use]
pub fn is_talk(peer: &HttpPeer, request: &RequestHeader, trailers: bool, has_body: bool) -> bool {
    let in_h2 = matches!(peer.options.alpn, ALPN::H2 | ALPN::H2H1);
    in_h2 && has_body && is_conversation(request, trailers, false)
}

/// Gives a conversation a connection to itself, and its room, if there is `room`.
pub fn suit_talk(peer: &mut HttpPeer, room: bool) {
    set_alone(peer);
    if room {
        peer.options.h2_stream_window_size = Some(TALK_WINDOW);
        peer.options.h2_connection_window_size = Some(TALK_WINDOW);
    }
    set_apart(peer, if room { "talks" } else { "crowd" });
}

/// Has what is sent to it share connections with its like alone.
fn set_apart(peer: &mut HttpPeer, carries: &str) {
    peer.group_key = key((peer.group_key, carries));
}

fn set_alone(peer: &mut HttpPeer) {
    peer.options.max_h2_streams = 1;
    peer.options.h2_connection_window_size = Some(ALONE_WINDOW);
}

/// Whether what is asked for is, or may be, a stream of events (HTML section 9.2.2: a browser says so).
fn asks_for_events(request: &RequestHeader) -> bool {
    request.headers.get_all(header::ACCEPT).iter().any(|line| {
        let mut kinds = line.as_bytes().split(|byte| *byte == b',');
        kinds.any(|kind| {
            let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
            kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        })
    })
}

/// Whether a body may be more than a small one, and is no side of a conversation.
fn is_upload(request: &RequestHeader, trailers: bool) -> bool {
    let length = request.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_none_or(|length| length > SMALL) && !is_conversation(request, trailers, false)
}

/// What must be alike for a connection to be shared: whose it is, and whom it trusts.
fn group(upstream: &Upstream) -> u64 {
    let trust = &upstream.trust;
    let client = trust
        .client
        .as_ref()
        .map(|client| (&client.chain, client.key.expose()));
    key((
        &upstream.name,
        (&trust.authorities, &trust.server_name),
        (client, trust.accept_any),
    ))
}
