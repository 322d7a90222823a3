//! `POST register`: an account for oneself.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::base::secret::Secret;
use crate::gate::visitor::Visitor;
use crate::identity::accounts::{NewAccount, Registered};
use crate::web::Web;
use crate::web::body::{Body, field};
use crate::web::error::Problem;
use crate::web::extract::links;

use super::user::UserOut;

/// An account that somebody wants.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterIn {
    email: String,
    username: String,
    password: String,
}

/// What is said whether or not the address is known.
pub const SENT: &str =
    "Please look at your mail: the next step is there, if the address can have an account.";

/// Makes an account, or sends a letter to prove the address first.
///
/// # Errors
/// When registration is not open, a name is taken, or the body does not validate.
pub async fn submit(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    Body(sent): Body<RegisterIn>,
) -> Result<Response, Problem> {
    let new = NewAccount {
        email: field("email", &sent.email)?,
        username: field("username", &sent.username)?,
        password: Secret::new(sent.password),
    };
    let registered = web
        .accounts
        .register(new, visitor.ip, &links(&visitor))
        .await?;
    Ok(match registered {
        Registered::Created(account) => {
            (StatusCode::CREATED, Json(UserOut::from(account))).into_response()
        }
        Registered::Sent => {
            (StatusCode::ACCEPTED, Json(json!({ "message": SENT }))).into_response()
        }
    })
}
