//! The one place where an error of a page or of the API becomes a status (RFC 9110) and a body.

use axum::Json;
use axum::extract::rejection::FormRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde_json::{Value, json};

use crate::identity::IdentityFault;
use crate::identity::accounts::AccountFault;
use crate::identity::login::Refusal;
use crate::store::DbError;

use super::form::FORM_WANTED;

/// Something a client is told: `{"detail", "code"}` in the convention of the `FastAPI` family.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Value,
    retry_after: Option<u64>,
    challenge: &'static str,
}

/// A problem as it was told, beside the answer that tells it: for who would rather tell it by a page.
#[derive(Clone, Debug)]
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// The word for programs.
    pub code: &'static str,
    /// The text for people.
    pub text: String,
}

/// What to come back with, when nothing was presented (RFC 9110 section 11.6.1).
const SESSION: &str = "Session realm=\"portcullis\", Bearer realm=\"portcullis\"";
/// What to come back with instead of what was presented (RFC 6750 section 3).
const BEARER: &str = "Bearer realm=\"portcullis\", error=\"invalid_token\"";

impl Problem {
    /// A problem with a text for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: &str) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            retry_after: None,
            challenge: SESSION,
        }
    }

    /// Nobody has proved who asks.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "NOT_AUTHENTICATED",
            "Not authenticated.",
        )
    }

    /// A token is there, and is no good.
    #[must_use]
    pub fn bad_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "INVALID_TOKEN",
            "The access token is not good, or no more.",
        )
        .bearer()
    }

    /// Nothing else is open to who has a password that somebody else set.
    #[must_use]
    pub fn must_change_password() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "PASSWORD_CHANGE_REQUIRED",
            "Your password was set by somebody else. Please choose another one first.",
        )
    }

    /// On a 401: a token is asked for.
    #[must_use]
    pub const fn bearer(mut self) -> Self {
        self.challenge = BEARER;
        self
    }

    /// Something of ours failed; nothing about it is told.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL",
            "Something went wrong.",
        )
    }

    /// The store does not answer, or too many others are asking.
    #[must_use]
    pub fn unavailable() -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "Not just now; please try again.",
        );
        problem.retry_after(5)
    }

    /// A body that does not validate.
    #[must_use]
    pub fn invalid(location: &[&str], message: &str, kind: &str) -> Self {
        let detail = json!([{ "loc": location, "msg": message, "type": kind }]);
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "VALIDATION_ERROR",
            detail,
            retry_after: None,
            challenge: SESSION,
        }
    }

    /// With the seconds after which it is worth trying again.
    #[must_use]
    pub const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The text for people, where it is one.
    #[must_use]
    pub fn text(&self) -> &str {
        self.detail.as_str().unwrap_or("The form cannot be read.")
    }

    /// Puts `Retry-After` and `WWW-Authenticate` where they belong.
    pub fn decorate(&self, response: &mut Response) {
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(self.challenge),
            );
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({ "detail": &self.detail, "code": self.code }));
        let mut response = (self.status, body).into_response();
        self.decorate(&mut response);
        response.extensions_mut().insert(Told {
            status: self.status,
            code: self.code,
            text: self.text().to_owned(),
        });
        response
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

impl From<IdentityFault> for Problem {
    fn from(fault: IdentityFault) -> Self {
        tracing::error!(%fault, "a request of ours failed");
        Self::unavailable()
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        IdentityFault::from(error).into()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid => Self::new(
                StatusCode::UNAUTHORIZED,
                "LOGIN_BAD_CREDENTIALS",
                "Wrong name or password.",
            ),
            Refusal::Unverified => Self::new(
                StatusCode::FORBIDDEN,
                "EMAIL_NOT_VERIFIED",
                "Please confirm your e-mail address first, by the link in the mail we sent you. If there is none, ask for a new password: that sends one.",
            ),
            Refusal::Throttled(_) => {
                let text = "Too many attempts. Please wait a while and try again.";
                // Told as a constant: the exact moment would say which budget it was.
                Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_ATTEMPTS", text).retry_after(60)
            }
            Refusal::Busy(_) => Self::unavailable(),
            Refusal::Fault(fault) => fault.into(),
        }
    }
}

impl Problem {
    fn closed(text: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "REGISTRATION_CLOSED", text)
    }
}

impl From<AccountFault> for Problem {
    fn from(fault: AccountFault) -> Self {
        let told = fault.to_string();
        let bad = |code, text: &str| Self::new(StatusCode::BAD_REQUEST, code, text);
        match fault {
            AccountFault::UsernameTaken(_) => bad("USERNAME_TAKEN", "The username is taken."),
            AccountFault::UsernamePath => {
                Self::invalid(&["body", "username"], &told, "username_refused")
            }
            AccountFault::EmailTaken(_) => bad("EMAIL_TAKEN", "The email address is taken."),
            AccountFault::LastSuperuser => {
                bad("LAST_SUPERUSER", "This is the last active superuser.")
            }
            AccountFault::UnknownRole(_) => bad("UNKNOWN_ROLE", &told),
            AccountFault::UnknownPermission(_) => bad("UNKNOWN_PERMISSION", &told),
            AccountFault::Exists(_) => bad("EXISTS", &told),
            AccountFault::Fixed(_) => bad("FIXED", &told),
            AccountFault::Excludes(_) => Self::new(StatusCode::CONFLICT, "RULE_EXCLUDES", &told),
            AccountFault::Link => bad(
                "LINK_INVALID",
                "The link is not good, or no more. Please ask for another one.",
            ),
            AccountFault::Conflict => Self::new(
                StatusCode::CONFLICT,
                "CONFLICT",
                "Somebody else has just changed this. Please look again.",
            ),
            AccountFault::Missing => Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "Not found."),
            AccountFault::Forbidden(why) => Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", why),
            AccountFault::Closed => {
                Self::closed("Accounts are made by invitation here, or by an administrator.")
            }
            AccountFault::NoInvitations => {
                Self::closed("Accounts are made by administrators only here.")
            }
            AccountFault::Reauthenticate => Self::new(
                StatusCode::FORBIDDEN,
                "REAUTHENTICATION_REQUIRED",
                "Please send your current password as well.",
            ),
            AccountFault::Password(_) => {
                Self::invalid(&["body", "password"], &told, "password_refused")
            }
            AccountFault::TooMany => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TOO_MANY_REQUESTS",
                "Too many requests. Please wait a while.",
            )
            .retry_after(600),
            // Not 401: whoever asks is signed in.
            AccountFault::Refused(Refusal::Invalid) => {
                bad("WRONG_PASSWORD", "The current password is wrong.")
            }
            AccountFault::Refused(refusal) => refusal.into(),
            AccountFault::Busy(_) => Self::unavailable(),
            AccountFault::Fault(fault) => fault.into(),
        }
    }
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        match rejection {
            FormRejection::InvalidFormContentType(_) => Self::unsupported(FORM_WANTED),
            FormRejection::FailedToDeserializeFormBody(error) => {
                Self::invalid(&["body"], &error.body_text(), "form_invalid")
            }
            other => Self::new(other.status(), "BAD_REQUEST", "The body is not a form."),
        }
    }
}

impl Problem {
    /// A body of another kind than is read here.
    #[must_use]
    pub fn unsupported(wanted: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            wanted,
        )
    }

    /// The body is longer than any that is asked for.
    #[must_use]
    pub fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "TOO_LARGE",
            "The form is too long.",
        )
    }

    /// A form is for a link, and another one was opened since.
    #[must_use]
    pub fn other_link() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "FORM_EXPIRED",
            "Another link was opened since. Please open this one again, from its letter.",
        )
    }

    /// A form was not made by us for this visitor, or not lately.
    #[must_use]
    pub fn expired() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "FORM_EXPIRED",
            "The page had expired. Please try again.",
        )
    }
}

/// There is nothing here, and it is never forwarded.
pub async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "There is nothing here.")
}

/// The page exists, but not for this method.
pub async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "METHOD_NOT_ALLOWED",
        "Not with this method.",
    )
}
