//! What is sent on: the judged target, the way it came, the identity; and what is sent back.

use std::io;
use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use http::request::Parts as ReqParts;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};
use tokio::time::Instant;

use crate::policy::cors;
use crate::policy::rule::Rule;
use crate::policy::target::Target;

use super::caches;
use super::client::Client;
use super::context::Context;
use super::headers;
use super::home;
use super::served;
use super::settings::HostSent;
use super::tunnel;
use super::upstream::member::Member;

/// Makes of a request what an upstream receives. Runs for each try, on a copy.
///
/// # Errors
/// When the request was not admitted, or a value is no header value.
pub fn finish_request(request: &mut RequestHeader, ctx: &Context) -> pingora::Result<()> {
    let fault = |what: &'static str| Error::explain(ErrorType::InternalError, what);
    let (client, target) = ctx.admitted()?;
    // What is sent is what was judged, or what the upstream's strip and add make of it.
    let is_sent = |raw: &[u8]| match &ctx.sent {
        Some(sent) => raw == sent.as_bytes(),
        None => target.is_origin_form(raw),
    };
    let as_judged = is_sent(request.raw_path());
    let ends_stream = request.send_end_stream();
    // As plain parts, because Pingora's own way to set a header parses each name again.
    let mut parts = headers::take(request);
    if ctx.plain {
        parts.headers.remove(header::CONNECTION);
    }
    if ctx.asks.trailers && parts.version == http::Version::HTTP_2 {
        headers::understand_trailers(&mut parts.headers);
    }
    let host = ctx.host.clone().ok_or_else(|| fault("no host"))?;
    tell(&mut parts, host, client, ctx).map_err(|_| fault("a forwarding header"))?;
    *request = RequestHeader::from(parts);
    if let Some(ends_stream) = ends_stream {
        request.set_send_end_stream(ends_stream);
    }
    if !as_judged || !is_sent(request.raw_path()) {
        let judged = || target.origin_form();
        let sent = ctx.sent.as_ref().map_or_else(judged, ToString::to_string);
        request.set_raw_path(sent.as_bytes())?;
    }
    Ok(())
}

fn tell(
    parts: &mut ReqParts,
    host: HeaderValue,
    client: &Client,
    ctx: &Context,
) -> Result<(), InvalidHeaderValue> {
    let own = ctx.injected.as_ref().map_or(&[][..], |made| &made.headers);
    // Room for what follows, and little more: larger pieces of memory cost more. A copied map has no room at all
    // and would grow with each header, unless it is asked for more than its index has places for.
    parts.headers.reserve(8.max(headers::WAY + own.len()));
    if parts.headers.get(header::HOST) != Some(&host) {
        parts.headers.insert(header::HOST, host.clone());
    }
    headers::tell_way(&mut parts.headers, host, client, ctx.id_header.as_ref());
    if let Some(host) = own_host(ctx) {
        parts.headers.insert(header::HOST, host.clone());
    }
    if let Some(pool) = &ctx.pool {
        headers::tell_more(&mut parts.headers, &pool.settings)?;
    }
    for (name, value) in own {
        parts.headers.insert(name.clone(), value.clone());
    }
    Ok(())
}

/// The host of the server itself, for an upstream that is told that one.
fn own_host(ctx: &Context) -> Option<&HeaderValue> {
    own_member(ctx)?.host.as_ref()
}

/// The server that is told its own host, if it is.
fn own_member(ctx: &Context) -> Option<&Member> {
    let pool = ctx.pool.as_ref()?;
    let wanted = pool.settings.host == HostSent::Upstream;
    let serving = ctx.serving.as_ref().filter(|_| wanted)?;
    Some(serving.member())
}

/// What is left of the time for everything, if that is limited: no clock is read where it is not.
///
/// # Errors
/// When nothing is left.
pub fn time_left(ctx: &Context) -> pingora::Result<Option<Duration>> {
    let Some(deadline) = ctx.deadline else {
        return Ok(None);
    };
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => {
            let fault = Error::explain(ErrorType::ReadTimedout, "the time for everything is up");
            Err(fault.into_up())
        }
        left => Ok(Some(left)),
    }
}

/// The service agreed to an upgrade that nobody asked for.
const UNASKED_UPGRADE: ErrorType = ErrorType::Custom("UnaskedUpgrade");

/// The service's answer ends in one place for one reader, and in another for the next.
const AMBIGUOUS_FRAMING: ErrorType = ErrorType::Custom("AmbiguousFraming");

/// Makes of a service's answer what the client receives.
///
/// # Errors
/// When the service agreed to an upgrade that nobody asked for, or a value is no header value.
pub fn finish_answer(
    session: &Session,
    response: &mut ResponseHeader,
    ctx: &Context,
) -> pingora::Result<()> {
    let agrees = response.status == http::StatusCode::SWITCHING_PROTOCOLS;
    if agrees && (ctx.tunnel.is_none() || !tunnel::is_consent(response)) {
        return Err(Error::new_up(UNASKED_UPGRADE));
    }
    if !agrees && !served::is_framed_once(response) {
        return Err(Error::new_up(AMBIGUOUS_FRAMING));
    }
    if let Some(pool) = ctx
        .pool
        .as_ref()
        .filter(|_| headers::hides_close(&response.headers))
    {
        pool.forget_kept();
    }
    let old = session.req_header().version == http::Version::HTTP_10;
    says_its_end(session.req_header(), response)?;
    served::change_answer(response, |answer| {
        if old {
            // HTTP/1.0 knows no chunks; the end of the connection ends the answer.
            answer.headers.remove(header::TRANSFER_ENCODING);
        }
        // The version is ours to say: the service's own is between it and us. So is `Connection`, which Pingora
        // writes anew; what follows then fits in where it stood.
        answer.version = http::Version::HTTP_11;
        served::strip_connection(&mut answer.headers);
        if !matches!(answer.status.as_u16(), 101 | 426) {
            answer.headers.remove(header::UPGRADE);
        }
        served::strip_framing(answer, session.is_http2());
        served::settle_length(&mut answer.headers);
        served::strip_answer(&mut answer.headers);
        lead_home(&mut answer.headers, ctx);
        if let Some(pool) = &ctx.pool {
            served::dress_answer(&mut answer.headers, &pool.settings.headers.response);
        }
        if let Some(said) = &ctx.dress {
            served::dress_answer(&mut answer.headers, said);
        }
        if let Some(id) = &ctx.id_header {
            answer.headers.insert(headers::REQUEST_ID, id.clone());
        }
        if ctx.cors.is_some() {
            cors::strip(&mut answer.headers);
            for (name, value) in ctx.cors_lines() {
                answer.headers.append(name, value);
            }
        }
        keep_to_one_user(&mut answer.headers, ctx);
        if let Some(hsts) = &ctx.hsts {
            let name = header::STRICT_TRANSPORT_SECURITY;
            answer.headers.insert(name, hsts.clone());
        }
        if let Some(name) = &ctx.snapshot_name {
            answer.headers.insert(headers::SNAPSHOT, name.clone());
        }
    })?;
    if agrees {
        tunnel::finish_consent(response)?;
    }
    Ok(())
}

/// A service that was told its own host sends redirects there.
fn lead_home(headers: &mut HeaderMap, ctx: &Context) {
    if let Some((own, pool)) = own_member(ctx).zip(ctx.pool.as_ref()) {
        let asked = || ctx.target.as_ref().map(Target::origin_form);
        home::lead_home(headers, &own.server, &pool.settings.rewrite, asked);
    }
}

/// What was made for somebody signed in, or for those whom a rule lets in, is not for caches to give to others: a rule may
/// go by addresses alone.
fn keep_to_one_user(headers: &mut HeaderMap, ctx: &Context) {
    let permit = ctx.permit();
    let open = permit.is_some_and(|permit| permit.rules().all(Rule::lets_everybody_in));
    if !open || ctx.session.is_some() {
        let of_pool = ctx
            .pool
            .iter()
            .flat_map(|pool| &pool.settings.headers.response);
        let said = of_pool.chain(ctx.dress.iter().flat_map(|said| said.iter()));
        let is_said = |name: &HeaderName| {
            said.clone()
                .any(|(other, value)| other == name && value.is_some())
        };
        caches::keep_to_one_user(headers, open, is_said);
    }
}

/// Whether the client has been told something final: leave to send a body is not an answer yet.
#[must_use]
pub fn is_answered(session: &Session) -> bool {
    let is_last = |status: StatusCode| {
        !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
    };
    session
        .response_written()
        .is_some_and(|head| is_last(head.status))
}

/// The status for an error that Pingora met, or none when there is nobody left to tell.
#[must_use]
pub fn status_of(error: &Error) -> Option<u16> {
    use ErrorType::{
        ConnectTimedout, ConnectionClosed, H2Error, HTTPStatus, ReadTimedout, WriteError,
        WriteTimedout,
    };
    match (error.etype(), error.esource()) {
        (HTTPStatus(status), _) => Some(*status),
        (ConnectTimedout | ReadTimedout | WriteTimedout, ErrorSource::Upstream) => Some(504),
        (_, ErrorSource::Upstream) => Some(502),
        (ReadTimedout, ErrorSource::Downstream) => Some(408),
        (WriteError | ConnectionClosed | H2Error, ErrorSource::Downstream) => None,
        (_, ErrorSource::Downstream) if is_late(error) => Some(408),
        (_, ErrorSource::Downstream) => Some(400),
        _ => Some(500),
    }
}

/// Whether the guard of a connection has waited for the rest of a request for long enough, and counted that.
#[must_use]
pub fn is_late(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    let late = cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut);
    late && *error.esource() == ErrorSource::Downstream
}

/// Goes on unless the client is one of HTTP/1.0, and nothing but HTTP/2 says where the answer ends: Pingora would put it
/// into chunks, which such a client does not know.
fn says_its_end(request: &RequestHeader, answer: &ResponseHeader) -> pingora::Result<()> {
    let unsaid = request.version == http::Version::HTTP_10
        && answer.version == http::Version::HTTP_2
        && !answer.headers.contains_key(header::CONTENT_LENGTH)
        && !served::has_no_body(request, answer);
    if unsaid {
        return Err(Error::new(ErrorType::HTTPStatus(505)));
    }
    Ok(())
}
