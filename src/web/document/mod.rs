//! The `OpenAPI` document, and the page to try it.
//!
//! Each handler says what it takes and gives, and which permission it needs (`x-permission`). What is the same
//! everywhere (how errors look, how callers prove themselves) is added here, so that no handler can forget it.
//! The page is ours and small: the known ones need inline styles or megabytes of script.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use serde_json::{Map, Value, json};

const BASE: &str = include_str!("base.json");
const PAGE: &str = include_str!("docs.html");
const SCRIPT: &str = include_str!("docs.js");
const STYLE: &str = include_str!("docs.css");

/// What the page may do beside what every page of ours may: run its script, and call the API.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; \
     form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

type Object = Map<String, Value>;

/// The document of these routes, which live below `prefix`.
#[must_use]
pub fn of(routes: &utoipa::openapi::OpenApi, prefix: &str) -> Value {
    let mut document: Value = serde_json::from_str(BASE).unwrap_or_default();
    let mut routes = serde_json::to_value(routes).unwrap_or_default();
    if let Some(version) = document.pointer_mut("/info/version") {
        *version = env!("CARGO_PKG_VERSION").into();
    }
    let schemas = taken(&mut routes, "/components/schemas");
    let paths = taken(&mut routes, "/paths");
    let paths = paths
        .into_iter()
        .map(|(path, item)| (format!("{prefix}{path}"), completed(item)));
    extend(&mut document, "/components/schemas", schemas);
    extend(&mut document, "/paths", paths.collect());
    document
}

/// The object at a place, taken out.
fn taken(value: &mut Value, place: &str) -> Object {
    let found = value.pointer_mut(place).and_then(Value::as_object_mut);
    found.map(std::mem::take).unwrap_or_default()
}

fn extend(value: &mut Value, place: &str, with: Object) {
    if let Some(found) = value.pointer_mut(place).and_then(Value::as_object_mut) {
        found.extend(with);
    }
}

fn completed(mut item: Value) -> Value {
    for (method, operation) in item.as_object_mut().into_iter().flatten() {
        if let Some(operation) = operation.as_object_mut() {
            complete(method, operation);
        }
    }
    item
}

/// Adds what is the same everywhere.
fn complete(method: &str, operation: &mut Object) {
    let permission = operation.get("x-permission").and_then(Value::as_str);
    let open = permission == Some("anyone");
    let own = permission == Some("signed_in");
    let of_users = permission.is_some_and(|it| it.starts_with("users:"));
    let body = operation.contains_key("requestBody");
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let in_path = |it: &Value| it.get("in").is_some_and(|place| place == "path");
    let placed = parameters.is_some_and(|all| all.iter().any(in_path));
    let asked = parameters.is_some();
    let answers = [
        ("400", true),
        ("401", !open || body),
        ("403", !open || body),
        ("404", placed),
        ("409", (of_users || own && body) && method != "get"),
        ("413", body),
        ("415", body),
        ("422", body || asked),
        ("429", body && (open || own)),
        ("503", true),
    ];
    let security = if open {
        json!([])
    } else {
        json!([{ "bearer": [] }, { "cookie": [] }])
    };
    operation.insert("security".to_owned(), security);
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    if let Some(responses) = responses.as_object_mut() {
        for (status, _) in answers.iter().filter(|(_, given)| *given) {
            let shared = json!({ "$ref": format!("#/components/responses/{status}") });
            responses.entry(*status).or_insert(shared);
        }
    }
}

/// Serves the document as it was written once.
#[must_use]
pub fn show(document: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, document).into_response()
}

/// The page to try it.
pub async fn page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, PAGE).into_response()
}

/// What makes the page work.
pub async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// How it looks.
pub async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::api;

    #[test]
    fn the_document_is_what_it_was() {
        let (_, routes) = api::routes().split_for_parts();
        let mut document = of(&routes, "/auth");
        document["info"]["version"] = "-".into();
        let text = serde_json::to_string_pretty(&document).unwrap();
        insta::assert_snapshot!("openapi", text);
    }

    #[test]
    fn ad_01_every_operation_says_what_it_needs() {
        let known = [
            "anyone",
            "signed_in",
            "superuser",
            "users:read",
            "users:write",
            "users:delete",
            "roles:read",
            "permissions:read",
        ];
        let (_, routes) = api::routes().split_for_parts();
        let document = of(&routes, "/auth");
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let permission = operation["x-permission"].as_str().unwrap_or_default();
                assert!(
                    known.contains(&permission),
                    "{method} {path}: {permission:?}"
                );
            }
        }
    }
}
