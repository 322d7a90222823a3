//! Reading a form that a page of ours sent: fields by name, each once, but for the lists that are known.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use http::header::{self, HeaderMap};
use url::form_urlencoded;

use super::error::Problem;
use crate::base::secret::Secret;

/// What a form sent, before anybody has checked that it was one of ours.
#[derive(Debug)]
pub struct Sent(Fields);

/// The fields of a form of ours. What a page does not ask for, it does not see.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

/// A form with every field filled is shorter.
const MAX_BYTES: usize = 256 * 1024;

/// Fields that may come more than once.
const LISTS: [&str; 2] = ["roles", "permissions"];

/// What is told to who sends anything else.
pub const FORM_WANTED: &str = "Send a form (Content-Type: application/x-www-form-urlencoded).";

/// Whether a body is said to be a form.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next());
    essence.is_some_and(|kind| {
        kind.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_form(request.headers()) {
            return Err(Problem::unsupported(FORM_WANTED));
        }
        let body = to_bytes(request.into_body(), MAX_BYTES).await;
        let body = body.map_err(|_| Problem::too_large())?;
        Ok(Self(Fields::parse(&body)?))
    }
}

impl Sent {
    /// The fields, if `genuine` says so of the form's token.
    ///
    /// # Errors
    /// When the form was not made by us for this visitor, or not lately.
    pub fn open(self, genuine: impl FnOnce(&str) -> bool) -> Result<Fields, (Problem, Fields)> {
        if genuine(self.0.text("csrf")) {
            return Ok(self.0);
        }
        Err((Problem::expired(), self.0))
    }
}

impl Fields {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        let wrong = |why: &str| Problem::invalid(&["body"], why, "form_invalid");
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            // What is not UTF-8 was replaced by this; no form of ours sends it.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(wrong("is not UTF-8"));
            }
            let again = fields.iter().any(|(known, _)| *known == name);
            if again && !LISTS.contains(&&*name) {
                return Err(wrong("names a field twice"));
            }
            if fields.len() >= 1_000 {
                return Err(wrong("has too many fields"));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// A field, or nothing.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        let mut all = self.0.iter().filter(|(known, _)| known == name);
        all.next().map_or("", |(_, value)| value)
    }

    /// A field without the blanks around it, unless nothing is left.
    #[must_use]
    pub fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty())
    }

    /// A password, exactly as typed.
    #[must_use]
    pub fn secret(&self, name: &str) -> Secret<String> {
        Secret::new(self.text(name).to_owned())
    }

    /// Whether a box was ticked.
    #[must_use]
    pub fn ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// Every value of a list.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Every value of a list, as what it means.
    ///
    /// # Errors
    /// The first that means nothing.
    pub fn list<T: FromStr<Err: Display>, C: FromIterator<T>>(
        &self,
        name: &str,
    ) -> Result<C, String> {
        let values = self.all(name);
        let parsed = values.map(|text| text.parse().map_err(|error: T::Err| error.to_string()));
        parsed.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_name_once_each() {
        let fields = Fields::parse(b"a=1&b=%20x+&roles=u&roles=v&on=yes&empty=").unwrap();
        assert_eq!((fields.text("a"), fields.text("b")), ("1", " x "));
        assert_eq!(
            (fields.filled("b"), fields.filled("empty")),
            (Some("x"), None)
        );
        assert_eq!(fields.secret("b").expose(), " x ");
        assert_eq!(fields.all("roles").collect::<Vec<_>>(), ["u", "v"]);
        assert!(fields.ticked("on") && !fields.ticked("off") && !fields.ticked("empty"));
        for wrong in ["a=1&a=2", "csrf=x&csrf=y", "a=%ff", "%ff=a"] {
            assert!(Fields::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let many = "roles=x&".repeat(1_001);
        assert!(Fields::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn c_14_other_media_types_are_no_form() {
        let is = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            is_form(&headers)
        };
        assert!(is("application/x-www-form-urlencoded"));
        assert!(is("Application/X-WWW-Form-Urlencoded; charset=UTF-8"));
        for other in ["text/plain", "application/json", "multipart/form-data", ""] {
            assert!(!is(other), "{other}");
        }
        assert!(!is_form(&HeaderMap::new()));
    }
}
