//! Reading a JSON body: an object with the fields that are known, once each, and nothing else.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;

use super::error::Problem;

/// A JSON object that is exactly a `T`.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// A field that must be a `T`, such as an e-mail address.
///
/// # Errors
/// 422 that names the field.
pub fn field<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| {
        Problem::invalid(&["body", name], &error.to_string(), "value_error")
    })
}

/// The same, where it may be left out.
///
/// # Errors
/// As [`field`].
pub fn optional<T: FromStr<Err: Display>>(
    name: &str,
    text: Option<&String>,
) -> Result<Option<T>, Problem> {
    text.map(|text| field(name, text)).transpose()
}

/// A line for people, which may be left out: no control characters, at most 255 others.
///
/// # Errors
/// 422 that names the field.
pub fn prose(name: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    match text.as_deref().and_then(no_prose) {
        Some(fault) => Err(Problem::invalid(&["body", name], fault, "value_error")),
        None => Ok(text),
    }
}

/// Why a text is no line for people to read.
#[must_use]
pub fn no_prose(text: &str) -> Option<&'static str> {
    const MOST: usize = 255;
    match text {
        text if text.chars().any(char::is_control) => Some("holds control characters"),
        text if text.chars().count() > MOST => Some("must have at most 255 characters"),
        _ => None,
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(&request) {
            return Err(Problem::unsupported(
                "Send JSON (Content-Type: application/json).",
            ));
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| {
                Problem::new(
                    rejection.status(),
                    "BAD_REQUEST",
                    "The body cannot be read.",
                )
            })?;
        // Serde would take an array for a struct.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(match serde_json::from_slice::<IgnoredAny>(&bytes) {
                Ok(_) => Problem::invalid(&["body"], "must be an object", "object_type"),
                Err(_) => malformed(),
            });
        }
        read(&bytes).map(Self)
    }
}

/// Straight into the type, since a map in between would keep the last of two fields of one name.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        match error.classify() {
            Category::Data => invalid(&path, &error.to_string()),
            _ => malformed(),
        }
    })?;
    reader.end().map_err(|_| malformed())?;
    Ok(value)
}

/// What serde found wrong with the field at `path`, told as whoever sent it thinks of it: without places in a text that a
/// library wrote for them, and with the field that is missing or too many.
fn invalid(path: &str, told: &str) -> Problem {
    let told = told.rsplit_once(" at line ").map_or(told, |(told, _)| told);
    let named = |before: &str| {
        let (name, _) = told.strip_prefix(before)?.split_once('`')?;
        Some(name)
    };
    let (field, message, kind) = if let Some(name) = named("missing field `") {
        (name, "is required", "missing")
    } else if let Some(name) = named("unknown field `") {
        (name, told, "extra_forbidden")
    } else if let Some(name) = named("duplicate field `") {
        (name, told, "value_error")
    } else {
        (path, told, "value_error")
    };
    match field {
        "." => Problem::invalid(&["body"], message, kind),
        field => Problem::invalid(&["body", field], message, kind),
    }
}

fn malformed() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "BAD_REQUEST",
        "The body is not JSON.",
    )
}

fn is_json(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read to see what is said of it")]
    struct Sent {
        name: String,
        age: Option<u8>,
        roles: Option<Vec<String>>,
    }

    async fn told(problem: Problem) -> String {
        let body = problem.into_response().into_body();
        let bytes = axum::body::to_bytes(body, 1 << 16).await.unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        value["detail"].to_string()
    }

    #[tokio::test]
    async fn the_field_that_is_wrong_is_named() {
        let cases = [
            (r#"{"name": "a", "age": 3, "roles": ["x"]}"#, ""),
            (
                "{}",
                r#"[{"loc":["body","name"],"msg":"is required","type":"missing"}]"#,
            ),
            (
                r#"{"name": "a", "nme": 1}"#,
                r#"[{"loc":["body","nme"],"msg":"unknown field `nme`, expected one of `name`, `age`, `roles`","type":"extra_forbidden"}]"#,
            ),
            (
                r#"{"name": 1}"#,
                r#"[{"loc":["body","name"],"msg":"invalid type: integer `1`, expected a string","type":"value_error"}]"#,
            ),
            (
                r#"{"name": "a", "age": 300}"#,
                r#"[{"loc":["body","age"],"msg":"invalid value: integer `300`, expected u8","type":"value_error"}]"#,
            ),
            (
                r#"{"name": "a", "roles": ["x", null]}"#,
                r#"[{"loc":["body","roles[1]"],"msg":"invalid type: null, expected a string","type":"value_error"}]"#,
            ),
            (
                r#"{"name": "a", "name": "b"}"#,
                r#"[{"loc":["body","name"],"msg":"duplicate field `name`","type":"value_error"}]"#,
            ),
            (r#"{"name": "a"} {}"#, r#""The body is not JSON.""#),
            (r#"{"name": "a""#, r#""The body is not JSON.""#),
        ];
        for (body, told) in cases {
            let found = match read::<Sent>(body.as_bytes()) {
                Ok(_) => String::new(),
                Err(problem) => self::told(problem).await,
            };
            assert_eq!(found, told, "{body}");
        }
    }
}
