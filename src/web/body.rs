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
        // Straight into the type, since a map in between would keep the last of two fields of one name.
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| match error.classify() {
                Category::Data => Problem::invalid(&["body"], &error.to_string(), "value_error"),
                _ => malformed(),
            })
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
