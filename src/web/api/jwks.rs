//! `GET jwks.json`: the public keys that verify what we sign (RFC 7517).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header;
use serde_json::json;

use crate::gate::visitor::Visitor;
use crate::web::Web;

/// The key set. Keys change rarely, and with an overlap longer than this may be cached.
pub async fn show(State(web): State<Web>, Extension(visitor): Extension<Visitor>) -> Response {
    let mut keys = vec![json!(visitor.snapshot.injector.key().public())];
    keys.extend(web.tokens.key().public().map(|key| json!(key)));
    let cache = [(header::CACHE_CONTROL, "public, max-age=300")];
    (cache, Json(json!({ "keys": keys }))).into_response()
}
