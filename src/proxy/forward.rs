//! What is sent on: the judged target, the way it came, the identity; and what becomes of a failure.

use pingora::http::RequestHeader;
use pingora::{Error, ErrorSource, ErrorType};

use super::context::Context;
use super::headers::{self, Forwarded};

/// Makes of a request what an upstream receives. Runs for each try, on a copy.
///
/// # Errors
/// When the request was not admitted, or a value is no header value.
pub fn finish_request(request: &mut RequestHeader, ctx: &Context) -> pingora::Result<()> {
    let fault = |what: &'static str| Error::explain(ErrorType::InternalError, what);
    let (Some(target), Some(client)) = (&ctx.target, &ctx.client) else {
        return Err(fault("not admitted"));
    };
    if request.headers.get(http::header::HOST).is_none() {
        let authority = request
            .uri
            .authority()
            .map_or_else(|| target.host().to_string(), ToString::to_string);
        request.insert_header(http::header::HOST, authority)?;
    }
    let sent = target.origin_form();
    if request.raw_path() != sent.as_bytes() {
        request.set_raw_path(sent.as_bytes())?;
    }
    // As it came, port included; it was found to be an authority and one of ours.
    let host = request.headers.get(http::header::HOST);
    let host = host
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let id = ctx.id_text();
    let way = Forwarded {
        chain: &client.forwarded_for,
        https: client.https,
        host: &host,
        id: &id,
    };
    headers::tell_way(request, &way).map_err(|_| fault("a forwarding header"))?;
    for (name, value) in ctx.injected.iter().flat_map(|injected| &injected.headers) {
        headers::set(request, name.clone(), value.clone());
    }
    Ok(())
}

/// The status for an error that Pingora met, or none when there is nobody left to tell.
#[must_use]
pub fn status_of(error: &Error) -> Option<u16> {
    use ErrorType::{
        ConnectTimedout, ConnectionClosed, HTTPStatus, ReadTimedout, WriteError, WriteTimedout,
    };
    match (error.etype(), error.esource()) {
        (HTTPStatus(status), _) => Some(*status),
        (ConnectTimedout | ReadTimedout | WriteTimedout, ErrorSource::Upstream) => Some(504),
        (_, ErrorSource::Upstream) => Some(502),
        (ReadTimedout, ErrorSource::Downstream) => Some(408),
        (WriteError | ConnectionClosed, ErrorSource::Downstream) => None,
        (_, ErrorSource::Downstream) => Some(400),
        _ => Some(500),
    }
}
