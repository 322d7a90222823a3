//! `GET jwks.json`: the public keys that verify what we sign (RFC 7517).

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::gate::visitor::Visitor;
use crate::web::Web;

/// A key set (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
pub struct KeySet {
    /// The keys.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<Value>,
}

/// The public keys that verify what is signed here.
///
/// There is one key, which changes when `tokens.algorithm` does: then look again.
#[utoipa::path(
    get, path = "/jwks.json", operation_id = "jwks", tag = "login",
    responses((status = OK, description = "The keys", body = KeySet)),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn show(State(web): State<Web>, Extension(visitor): Extension<Visitor>) -> Response {
    let mut keys = vec![json!(visitor.snapshot.injector.key().public())];
    keys.extend(web.tokens.key().public().map(|key| json!(key)));
    let cache = [(header::CACHE_CONTROL, "public, max-age=300")];
    (cache, Json(KeySet { keys })).into_response()
}
