//! `POST register`: an account for oneself.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::base::secret::Secret;
use crate::gate::visitor::Visitor;
use crate::identity::accounts::{NewAccount, Registered};
use crate::web::Web;
use crate::web::body::{Body, field};
use crate::web::error::Problem;
use crate::web::extract::links;

use super::user::{MessageOut, UserOut};

/// An account that somebody wants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Registration)]
pub struct RegisterIn {
    #[schema(format = Email, max_length = 254, example = "dora@example.com")]
    email: String,
    #[schema(min_length = 1, max_length = 64, example = "dora")]
    username: String,
    #[schema(value_type = String, format = Password, min_length = 8, example = "a long password of dora")]
    password: Secret<String>,
}

/// What is said whether or not the address is known.
pub const SENT: &str =
    "Please look at your mail: the next step is there, if the address can have an account.";

/// Make an account for yourself, or have a letter sent to prove the address first.
///
/// # Errors
/// When registration is not open, a name is taken, or the body does not validate.
#[utoipa::path(
    post, path = "/register", operation_id = "register", tag = "me",
    request_body = RegisterIn,
    responses(
        (status = CREATED, description = "The account", body = UserOut),
        (status = ACCEPTED, description = "Where addresses must be proved: a letter is on its way, if the address can have an account", body = MessageOut),
    ),
    extensions(("x-permission" = json!("anyone")))
)]
pub async fn submit(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    Body(sent): Body<RegisterIn>,
) -> Result<Response, Problem> {
    let new = NewAccount {
        email: field("email", &sent.email)?,
        username: field("username", &sent.username)?,
        password: sent.password,
    };
    let registered = web
        .accounts
        .register(new, visitor.ip, &links(&visitor))
        .await?;
    Ok(match registered {
        Registered::Created(account) => {
            let user = UserOut::find(&web, account.user.id).await?;
            (StatusCode::CREATED, Json(user)).into_response()
        }
        Registered::Sent => (StatusCode::ACCEPTED, MessageOut::new(SENT)).into_response(),
    })
}
