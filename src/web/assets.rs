//! Style sheets, embedded in the binary. Pages hold no inline style, so that the CSP can forbid it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;

use super::Web;

const STYLE: &str = include_str!("assets/style.css");

/// How all pages look.
pub async fn style() -> Response {
    css(STYLE.to_owned())
}

/// What `brand:` adds.
pub async fn brand(State(web): State<Web>) -> Response {
    // The colour was checked when the file was read: `#` and hex digits only.
    css(format!(
        ":root {{ --accent: {}; }}\n",
        web.brand.load().color
    ))
}

fn css(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, text).into_response()
}
