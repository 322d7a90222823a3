//! Requests that a browser was made to send by another site are refused (OWASP: fetch metadata first,
//! `Origin` where a browser is too old for it).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{self, HeaderMap};
use http::{Method, StatusCode};

use crate::base::net::Host;
use crate::base::site::PageOrigin;
use crate::gate::credential::bearer;
use crate::gate::snapshot::Snapshot;
use crate::gate::visitor::Visitor;

use super::error::Problem;

/// Stands in front of every endpoint, so that none can be made without it: what carries no token and would change
/// something was sent by our own pages or by a program, or is refused. Also without our cookie: a wrong password counts
/// against whoever's browser sends it, and against whom it is for.
///
/// # Errors
/// As [`check`].
pub async fn guard(request: Request, next: Next) -> Result<Response, Problem> {
    let changes = !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let headers = request.headers();
    if changes && bearer(headers).is_none() {
        let visitor = request.extensions().get::<Visitor>();
        let visitor = visitor.ok_or_else(Problem::internal)?;
        check(headers, &visitor.snapshot)?;
    }
    Ok(next.run(request).await)
}

/// Whether the request may change something: another site did not send it.
///
/// # Errors
/// When another site made the browser send it.
pub fn check(headers: &HeaderMap, snapshot: &Snapshot) -> Result<(), Problem> {
    if is_our_own(headers, |origin, asked| snapshot.is_own_page(origin, asked)) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "CROSS_SITE",
        "This request was made by another site.",
    ))
}

fn is_our_own(
    headers: &HeaderMap,
    is_own_page: impl FnOnce(&PageOrigin, &(Host, Option<u16>)) -> bool,
) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        // Browsers send one or the other with every request that changes something; this is a program.
        return true;
    };
    let origin = origin.to_str().ok().and_then(|text| text.parse().ok());
    let of = origin.zip(asked(headers));
    of.is_some_and(|(origin, asked)| is_own_page(&origin, &asked))
}

/// What the client asked, which a page of another site cannot choose.
fn asked(headers: &HeaderMap) -> Option<(Host, Option<u16>)> {
    Host::parse_authority(headers.get(header::HOST)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::site::{Site, Sites};

    #[test]
    fn c_14_who_made_the_browser_send_it() {
        let site = |https, host: &str, port| Site::new(https, host.parse().unwrap(), port, host);
        let sites = Sites::new(
            site(true, "app.test", None),
            vec![site(false, "localhost", Some(8080))],
        );
        let of_site = |origin: &PageOrigin, (host, port): &(Host, Option<u16>)| {
            let site = sites.of_host(host);
            site.is_some_and(|site| site.has_page(origin, *port))
        };
        let app = ("host", "app.test");
        let here = ("host", "localhost:8080");
        let cases: [(&[(&'static str, &str)], bool); 15] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "https://app.test"),
                    app,
                ],
                false,
            ),
            (&[("origin", "https://app.test"), app], true),
            (&[("origin", "https://app.test")], false),
            (&[("origin", "http://app.test"), app], false),
            (&[("origin", "https://app.test.evil"), app], false),
            (&[("origin", "https://evil.test"), app], false),
            (&[("origin", "null"), app], false),
            (&[("origin", "http://127.0.0.1:8080"), here], true),
            (&[("origin", "http://127.0.0.1:9999"), here], false),
            // A site's page is another's no more than anybody's.
            (&[("origin", "http://localhost:8080"), app], false),
            (
                &[
                    ("origin", "http://localhost:9999"),
                    ("host", "localhost:9999"),
                ],
                true,
            ),
        ];
        for (lines, ours) in cases {
            let headers: HeaderMap = lines
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(is_our_own(&headers, of_site), ours, "{lines:?}");
        }
    }
}
