//! Style sheets, embedded in the binary, and the logo. Pages hold no inline style, so that the CSP can forbid it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use super::Web;
use super::error;

const STYLE: &str = include_str!("assets/style.css");

const ICON: &str = include_str!("assets/icon.svg");

/// A document of its own, should somebody open the picture's address: nothing runs, nothing is loaded.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// How all pages look.
pub async fn style() -> Response {
    css(STYLE.to_owned())
}

/// What `brand:` adds.
pub async fn brand(State(web): State<Web>) -> Response {
    css(web.brand.load().style())
}

/// What browsers show of us in a tab, where there is no logo.
pub async fn icon() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "public, max-age=86400"),
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
    ];
    (headers, ICON).into_response()
}

/// The logo, where there is one.
pub async fn logo(State(web): State<Web>) -> Response {
    let brand = web.brand.load();
    let Some(logo) = &brand.logo else {
        return error::not_found().await.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, logo.kind().media_type()),
        (header::CACHE_CONTROL, "public, max-age=86400"),
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
    ];
    (headers, logo.bytes().to_vec()).into_response()
}

fn css(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, text).into_response()
}
