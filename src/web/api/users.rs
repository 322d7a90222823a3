//! `users`: other people's accounts, for administrators.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use utoipa::{IntoParams, ToSchema};

use crate::base::id::UserId;
use crate::base::secret::Secret;
use crate::gate::visitor::Visitor;
use crate::identity::accounts::{UserDraft, UserEdit};
use crate::store::users::{Sort, SortBy, UserQuery};
use crate::web::Web;
use crate::web::body::{Body, field, optional};
use crate::web::error::Problem;
use crate::web::extract::{Caller, links};
use crate::web::params::{InPath, InQuery, Paging, wrong};

use super::user::{MessageOut, UserOut};

/// How many users a search finds, whatever part of them is listed.
const TOTAL: &str = "x-total-count";
/// No name and no address is longer.
const SEARCH_MAX: usize = 254;

/// Which users to list, and how.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// A part of the username or of the e-mail address, without regard to case.
    #[param(max_length = 254)]
    search: Option<String>,
    /// By what: the greatest first with `-` before it.
    #[param(
        pattern = "^-?(id|username|email|created_at)$",
        example = "-created_at"
    )]
    sort: Option<String>,
}

/// An account to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser)]
pub struct UserIn {
    #[schema(min_length = 1, max_length = 64, example = "carol")]
    username: String,
    #[schema(format = Email, max_length = 254, example = "carol@example.com")]
    email: Option<String>,
    /// To be changed at the first login. Without one, only a link in a letter lets them in.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, example = "a long first password")]
    password: Option<Secret<String>>,
    /// The names of their roles, and these alone; without, `user`, as every new account is given.
    #[schema(value_type = Option<Vec<String>>, example = json!(["user"]))]
    roles: Option<BTreeSet<String>>,
}

/// What to change. What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange)]
pub struct EditIn {
    /// Counts as not proved, unless `is_verified` comes with it. An account keeps its address: `null` is none.
    #[serde(default, deserialize_with = "there")]
    #[schema(nullable = false, format = Email, max_length = 254, example = "carol@example.com")]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 64, example = "carol")]
    username: Option<String>,
    /// To be changed at the next login. Ends every session of theirs.
    #[schema(value_type = Option<String>, format = Password, min_length = 8, example = "another long password")]
    password: Option<Secret<String>>,
    is_active: Option<bool>,
    /// For superusers to say.
    is_superuser: Option<bool>,
    is_verified: Option<bool>,
}

/// List users.
///
/// # Errors
/// Without the permission, or when the query says nothing sensible.
#[utoipa::path(
    get, path = "/users", operation_id = "list_users", tag = "users",
    params(Paging, Wanted),
    responses((status = OK, description = "The users", body = Vec<UserOut>,
        headers(("x-total-count" = i64, description = "How many there are in all")))),
    extensions(("x-permission" = json!("users:read")))
)]
pub async fn list(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InQuery(paging): InQuery<Paging>,
    InQuery(wanted): InQuery<Wanted>,
) -> Result<Response, Problem> {
    let actor = caller.0.actor(&visitor);
    let sort = sort(wanted.sort.as_deref())?;
    let (skip, limit) = paging.bounds()?;
    let search = wanted.search;
    if search
        .as_ref()
        .is_some_and(|text| text.chars().count() > SEARCH_MAX)
    {
        return Err(wrong("search", "must have at most 254 characters"));
    }
    let total = web.accounts.count(&actor, search.as_deref()).await?;
    let query = UserQuery {
        skip,
        limit,
        search,
    };
    let found = web.accounts.list(&actor, &query, sort).await?;
    let users: Vec<UserOut> = found.iter().map(Into::into).collect();
    Ok(([(TOTAL, total.to_string())], Json(users)).into_response())
}

/// Show a user.
///
/// # Errors
/// Without the permission, or when there is none.
#[utoipa::path(
    get, path = "/users/{id}", operation_id = "get_user", tag = "users",
    params(("id" = i64, Path, description = "The user's number")),
    responses((status = OK, description = "The user", body = UserOut)),
    extensions(("x-permission" = json!("users:read")))
)]
pub async fn show(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
) -> Result<Json<UserOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    let found = web.accounts.get(&actor, UserId(id)).await?;
    Ok(Json((&found).into()))
}

/// Make an account for somebody.
///
/// # Errors
/// Without the permission, when a name is taken, or a role may not be given.
#[utoipa::path(
    post, path = "/users", operation_id = "create_user", tag = "users",
    request_body = UserIn,
    responses((status = CREATED, description = "The user", body = UserOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn create(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    Body(sent): Body<UserIn>,
) -> Result<Response, Problem> {
    let name = |role: &String| field("roles", role);
    let roles = sent.roles.as_ref();
    let draft = UserDraft {
        username: field("username", &sent.username)?,
        email: optional("email", sent.email.as_ref())?,
        password: sent.password,
        roles: roles
            .map(|roles| roles.iter().map(name).collect())
            .transpose()?,
        is_verified: false,
    };
    let actor = caller.0.actor(&visitor);
    let made = web
        .accounts
        .create(&actor, &draft, &links(&visitor))
        .await?;
    Ok((StatusCode::CREATED, Json(UserOut::from(&made))).into_response())
}

/// Change a user.
///
/// # Errors
/// Without the permission, for oneself, for somebody who holds more, or when a name is taken.
#[utoipa::path(
    put, path = "/users/{id}", operation_id = "update_user", tag = "users",
    params(("id" = i64, Path, description = "The user's number")),
    request_body = EditIn,
    responses((status = OK, description = "The user", body = UserOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn update(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
    Body(sent): Body<EditIn>,
) -> Result<Json<UserOut>, Problem> {
    let edit = UserEdit {
        email: optional("email", sent.email.as_ref())?,
        username: optional("username", sent.username.as_ref())?,
        password: sent.password,
        is_active: sent.is_active,
        is_superuser: sent.is_superuser,
        is_verified: sent.is_verified,
    };
    let actor = caller.0.actor(&visitor);
    let accounts = &web.accounts;
    let changed = accounts
        .edit(&actor, UserId(id), &edit, &links(&visitor))
        .await?;
    Ok(Json((&changed).into()))
}

/// Change a user: the same as PUT.
///
/// # Errors
/// As [`update`].
#[utoipa::path(
    patch, path = "/users/{id}", operation_id = "patch_user", tag = "users",
    params(("id" = i64, Path, description = "The user's number")),
    request_body = EditIn,
    responses((status = OK, description = "The user", body = UserOut)),
    extensions(("x-permission" = json!("users:write")))
)]
pub async fn patch(
    state: State<Web>,
    visitor: Extension<Visitor>,
    caller: Caller,
    id: InPath<i64>,
    sent: Body<EditIn>,
) -> Result<Json<UserOut>, Problem> {
    update(state, visitor, caller, id, sent).await
}

/// Delete a user, with everything that was theirs.
///
/// # Errors
/// Without the permission, for oneself, for somebody who holds more, or for the last superuser.
#[utoipa::path(
    delete, path = "/users/{id}", operation_id = "delete_user", tag = "users",
    params(("id" = i64, Path, description = "The user's number")),
    responses((status = OK, description = "Deleted", body = MessageOut)),
    extensions(("x-permission" = json!("users:delete")))
)]
pub async fn delete(
    State(web): State<Web>,
    Extension(visitor): Extension<Visitor>,
    caller: Caller,
    InPath(id): InPath<i64>,
) -> Result<Json<MessageOut>, Problem> {
    let actor = caller.0.actor(&visitor);
    web.accounts.delete(&actor, UserId(id)).await?;
    Ok(MessageOut::new("User deleted."))
}

/// What is said is said: `null` would look as though something was taken away, and nothing is.
fn there<'de, D: Deserializer<'de>>(text: D) -> Result<Option<String>, D::Error> {
    String::deserialize(text).map(Some)
}

fn sort(text: Option<&str>) -> Result<Sort, Problem> {
    let Some(text) = text else {
        return Ok(Sort::default());
    };
    let (descending, word) = match text.strip_prefix('-') {
        Some(word) => (true, word),
        None => (false, text),
    };
    let known = SortBy::ALL.iter().find(|(name, _)| *name == word);
    let by = known.map(|(_, by)| *by).ok_or_else(|| {
        let words = "id, username, email or created_at, with - for the greatest first";
        wrong("sort", words)
    })?;
    Ok(Sort { by, descending })
}
