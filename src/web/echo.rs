//! The built-in upstream `builtin:echo`: shows what a service behind the gateway receives.
//!
//! It stands where a service would stand, so it is given the very request a service would get, and knows
//! nothing else.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use super::brand::Brand;
use super::layers;
use arc_swap::ArcSwap;

#[derive(Clone)]
struct Echo {
    brand: Arc<ArcSwap<Brand>>,
    prefix: Arc<str>,
}

/// The echo service.
pub fn router(brand: Arc<ArcSwap<Brand>>, prefix: &str) -> Router {
    let echo = Echo {
        brand,
        prefix: prefix.into(),
    };
    layers::protect(Router::new().fallback(show).with_state(echo))
}

async fn show(State(echo): State<Echo>, request: Request) -> Response {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    // What the gateway says comes first: it is what people look for.
    headers.sort_by_key(|(name, _)| {
        (
            !(name.starts_with("x-auth")
                || name.starts_with("x-forwarded")
                || name == "x-request-id"),
            name.clone(),
        )
    });
    let wants_page = request
        .headers()
        .get_all(header::ACCEPT)
        .iter()
        .any(|v| v.to_str().is_ok_and(|v| v.contains("text/html")));
    let (method, target) = (request.method().to_string(), request.uri().to_string());
    if wants_page {
        let user = headers
            .iter()
            .find(|(name, _)| name == "x-auth-user")
            .map(|(_, value)| value.clone());
        let values =
            json!({ "method": method, "target": target, "headers": headers, "user": user });
        let brand = echo.brand.load();
        return brand.page(StatusCode::OK, "echo.html", &echo.prefix, values);
    }
    let headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    axum::Json(json!({ "method": method, "target": target, "headers": headers })).into_response()
}
