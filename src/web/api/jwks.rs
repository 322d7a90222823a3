//! `GET jwks.json`: the public keys that verify what we sign (RFC 7517).

use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header;
use serde_json::json;

use crate::gate::visitor::Visitor;

/// The key set. Keys change rarely, and with an overlap longer than this may be cached.
pub async fn show(Extension(visitor): Extension<Visitor>) -> Response {
    let keys = json!({ "keys": [visitor.snapshot.injector.key().public()] });
    ([(header::CACHE_CONTROL, "public, max-age=300")], Json(keys)).into_response()
}
