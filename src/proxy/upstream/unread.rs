//! Services that do not read a body, and take it for the next request on the connection.
//!
//! To `GET`, `HEAD`, `DELETE` and `OPTIONS` a body means nothing (RFC 9110 section 9.3), and servers are about that do not look
//! for one there. Whoever sends one writes what they run next, on a path that was judged for nobody, and with the headers of
//! whoever comes next behind it. So such a request is the last one of its connection, and says so: a server that is told that
//! reads no further. What a service does with bodies of other methods, the file may know (`keep_alive: never`).

use http::Method;
use http::header::{self, HeaderValue};
use pingora::http::RequestHeader;

use crate::proxy::settings::Upstream;

/// Says `Connection: close` where nothing may come behind a request on its connection. Pingora keeps none on which that was
/// said.
///
/// # Errors
/// Never: name and value are sound.
pub fn end_connection(
    request: &mut RequestHeader,
    has_body: bool,
    upstream: &Upstream,
) -> pingora::Result<()> {
    let headers = &request.headers;
    // Who is asked first may answer, and so say that it reads none.
    let unread = means_nothing_to(&request.method) || headers.contains_key(header::EXPECT);
    let unread = has_body && unread;
    // Frames say where a body ends in HTTP/2, whoever reads it; and a tunnel ends its connection anyway.
    if (unread || upstream.keep_alive.is_zero())
        && request.version != http::Version::HTTP_2
        && !headers.contains_key(header::CONNECTION)
    {
        request.insert_header(header::CONNECTION, HeaderValue::from_static("close"))?;
    }
    Ok(())
}

fn means_nothing_to(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS
    )
}
