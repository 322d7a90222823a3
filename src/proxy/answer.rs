//! Answers that the gateway gives itself, and the one place where the proxy's refusals become a status.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use serde_json::json;

use super::context::Context;
use super::headers;
use super::page::Page;

/// How long an HTTP/2 client may go on sending a body that was answered already.
const DRAIN: Duration = Duration::from_secs(5);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// Whether a browser is going somewhere, and would show what it gets.
///
/// `Sec-Fetch-Mode` says so; without it, a `GET` that accepts HTML. With nowhere to show it (`Sec-Fetch-Dest`), it is a link
/// with `download`, and what comes is kept as that file.
#[must_use]
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => {
            mode == "navigate" && headers.get("sec-fetch-dest").is_none_or(|it| it != "empty")
        }
        None => {
            let reads = matches!(*method, Method::GET | Method::HEAD);
            reads && headers.get_all(header::ACCEPT).iter().any(wants_html)
        }
    }
}

/// Whether HTML is what is wanted most, as by a browser: programs that can make do with it say so by its weight.
fn wants_html(accept: &HeaderValue) -> bool {
    let text = accept.to_str().unwrap_or_default();
    text.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let html = parts
            .next()
            .is_some_and(|it| it.eq_ignore_ascii_case("text/html"));
        let weight = parts.find_map(|it| it.strip_prefix("q=").or(it.strip_prefix("Q=")));
        html && weight.is_none_or(|it| it.starts_with('1'))
    })
}

impl Answer {
    /// An empty answer.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status: status_of(status),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// Plain text, for programs.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self {
            body: Bytes::copy_from_slice(text.as_bytes()),
            ..Self::empty(status)
        }
        .with(header::CONTENT_TYPE, "application/octet-stream")
        .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
    }

    /// A refusal: a page for somebody who looks at it, JSON for everything else. Says nothing about the
    /// inside.
    #[must_use]
    pub fn refusal(status: u16, code: &str, detail: &str, navigation: bool) -> Self {
        if navigation {
            let page = Page {
                detail,
                ..Page::default()
            };
            return Self::refusal_page(status, page);
        }
        let body = json!({ "detail": detail, "code": code }).to_string();
        Self::plain_refusal(status, "application/json", body)
    }

    /// A refusal for somebody who looks at it; its title is the status.
    #[must_use]
    pub fn refusal_page(status: u16, page: Page<'_>) -> Self {
        let reason = status_of(status).canonical_reason();
        let page = Page {
            title: reason.unwrap_or("Error"),
            ..page
        };
        Self::plain_refusal(status, "text/html; charset=utf-8", page.to_string())
    }

    fn plain_refusal(status: u16, kind: &str, body: String) -> Self {
        Self {
            body: Bytes::from(body),
            ..Self::empty(status)
        }
        .with(header::CONTENT_TYPE, kind)
        .with(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
        )
        .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .with(header::REFERRER_POLICY, "no-referrer")
    }

    /// A page of the operator's own: its styles and pictures may be in it, scripts may not.
    #[must_use]
    pub fn page(status: u16, page: Bytes) -> Self {
        Self {
            status: status_of(status),
            headers: Vec::new(),
            body: page,
        }
        .with(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .with(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'",
        )
        .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .with(header::REFERRER_POLICY, "no-referrer")
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::empty(status).with(header::LOCATION, location)
    }

    /// An answer that one of our own pages made.
    #[must_use]
    pub fn of(parts: &http::response::Parts, body: Bytes) -> Self {
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self {
            status: parts.status,
            headers,
            body,
        }
    }

    /// With one more header. A value that is no header value is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// With these lines, too.
    #[must_use]
    pub fn and(mut self, lines: Vec<(HeaderName, HeaderValue)>) -> Self {
        self.headers.extend(lines);
        self
    }

    /// With this `Strict-Transport-Security` in place of its own, if any is wanted.
    #[must_use]
    pub fn with_hsts(mut self, value: Option<&HeaderValue>) -> Self {
        if let Some(value) = value {
            let name = header::STRICT_TRANSPORT_SECURITY;
            self.headers.retain(|(other, _)| *other != name);
            self.headers.push((name, value.clone()));
        }
        self
    }

    /// The length to announce: for `HEAD` what the page said of its body, which it did not send.
    fn length(&self, head: bool) -> Option<HeaderValue> {
        let said = self
            .headers
            .iter()
            .find(|(name, _)| name == header::CONTENT_LENGTH);
        match said {
            _ if !head || !self.body.is_empty() => Some(self.body.len().into()),
            said => said.map(|(_, value)| value.clone()),
        }
    }

    /// Sends it. On HTTP/1 the connection is kept only when the request was read to its end: what is left
    /// of a body must never be taken for a request.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn send(self, session: &mut Session, ctx: &Context) -> pingora::Result<()> {
        if !session.is_body_done() {
            session.set_keepalive(None);
        }
        let bodiless = matches!(self.status.as_u16(), 204 | 304);
        let mut head = ResponseHeader::build(self.status, Some(self.headers.len() + 4))?;
        for (name, value) in &self.headers {
            if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
                head.append_header(name.clone(), value.clone())?;
            }
        }
        let announced = self.length(session.req_header().method == Method::HEAD);
        if let (false, Some(length)) = (bodiless, announced) {
            head.insert_header(header::CONTENT_LENGTH, length)?;
        }
        if !head.headers.contains_key(header::CACHE_CONTROL) {
            head.insert_header(header::CACHE_CONTROL, "no-store")?;
        }
        head.insert_header(headers::REQUEST_ID, ctx.id_text())?;
        for (name, value) in ctx.cors_lines() {
            head.append_header(name, value)?;
        }
        if let Some(name) = &ctx.snapshot_name {
            head.insert_header(headers::SNAPSHOT, name.clone())?;
        }
        let silent =
            bodiless || self.body.is_empty() || session.req_header().method == Method::HEAD;
        session
            .write_response_header(Box::new(head), silent)
            .await?;
        if !silent {
            session.write_response_body(Some(self.body), true).await?;
        } else if session.is_http2() {
            session.write_response_body(None, true).await?;
        }
        read_on(session).await;
        Ok(())
    }
}

/// Reads what an HTTP/2 client still sends of a request that was answered: a stream that is let go meanwhile is reset, and
/// some clients then forget the answer that they have. HTTP/1 is drained by the guard.
pub async fn read_on(session: &mut Session) {
    if session.is_http2() && !session.is_body_done() {
        session.set_total_drain_timeout(Some(DRAIN));
        let _ = session.drain_request_body().await;
    }
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn navigations_are_told_from_programs() {
        type Lines<'a> = &'a [(&'a str, &'a str)];
        let cases: [(&str, Lines<'_>, bool); 11] = [
            ("GET", &[("accept", "text/html,*/*")], true),
            ("HEAD", &[("accept", "text/html")], true),
            ("GET", &[("accept", "text/plain, Text/HTML;q=1.0")], true),
            // What pip says.
            (
                "GET",
                &[(
                    "accept",
                    "application/json, text/html; q=0.1, text/html;q=0.01",
                )],
                false,
            ),
            // A link with `download`.
            (
                "GET",
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "empty")],
                false,
            ),
            (
                "GET",
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
                true,
            ),
            ("POST", &[("accept", "text/html")], false),
            ("GET", &[("accept", "*/*")], false),
            ("GET", &[], false),
            ("POST", &[("sec-fetch-mode", "navigate")], true),
            (
                "GET",
                &[("accept", "text/html"), ("sec-fetch-mode", "cors")],
                false,
            ),
        ];
        for (method, lines, navigation) in cases {
            let headers: HeaderMap = lines
                .iter()
                .map(|(n, v)| {
                    (
                        HeaderName::from_bytes(n.as_bytes()).unwrap(),
                        v.parse().unwrap(),
                    )
                })
                .collect();
            assert_eq!(
                is_navigation(&method.parse().unwrap(), &headers),
                navigation,
                "{method} {lines:?}"
            );
        }
    }
}
