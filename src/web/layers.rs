//! What every answer of ours carries, whatever made it, and what becomes of a handler that panics.

use axum::Router;
use axum::response::Response;
use http::header::{self, HeaderName, HeaderValue};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::error::Problem;

/// The headers of every answer: nothing may run, frame, sniff, cache or refer but what we say.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::CONTENT_SECURITY_POLICY, POLICY),
];

macro_rules! policy {
    ($forms:literal) => {
        concat!(
            "default-src 'none'; style-src 'self'; img-src 'self'; ",
            $forms,
            "frame-ancestors 'none'; base-uri 'none'"
        )
    };
}

const POLICY: &str = policy!("form-action 'self'; ");

/// The policy of a page whose form leads on to where somebody wanted to go. Browsers hold every redirect behind a form to
/// `form-action`, and what is there may redirect to wherever it likes: to its other name, to https, to another site.
pub const LEADING_ON: HeaderValue = HeaderValue::from_static(policy!(""));

/// Wraps the router.
pub fn protect(router: Router) -> Router {
    let mut router = router.layer(CatchPanicLayer::custom(|_| -> Response {
        Problem::internal().into()
    }));
    for (name, value) in HEADERS {
        router = router.layer(SetResponseHeaderLayer::if_not_present(
            name,
            HeaderValue::from_static(value),
        ));
    }
    router
}
